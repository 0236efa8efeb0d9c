package identitytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Variables of the environment that say how many filters RunGenerated makes, and from which seed.
const (
	variableFilters = "EDUCATION_TEST_FILTERS"
	variableSeed    = "EDUCATION_TEST_SEED"
)

// texts are hard to quote, to escape, to fold or to tell from another kind of literal.
var texts = []string{
	"Max", "MAX", "Max Müller", "Mu\u0308ller", "müller", "Straße", "STRASSE", "O'Brien", "x'", "''", "P1D", "*", "a*b", `\`, `a\2ab`,
	"(x)", ")(uid=*", "null", "true", "  Max   Müller ", "a b", "a  b", "ＡＢＣ", "İstanbul", "ﬁn", "%41", "a+b", "a&b", "a;b", "a,b", "日本",
	"🏫", "é", "e\u0301", "2026-01-01T00:00:00Z", "not", "#", "id eq 'x'", "5a", "4711", "$count", "{}", `"`, "ß", "ſ", "a\u00adb",
}

// RunGenerated asks the directories that open returns for what generated filters select, and compares the answers with
// an evaluation of the filters in memory. See Run for open.
func RunGenerated(t *testing.T, open func(t *testing.T, rules education.Rules) education.Directory, permitted ...Difference) {
	rules := manySchools
	rules.UsernameMatch = education.UsernameMatchNone
	s := newSubject(t, open, rules)
	seed := fromEnvironment(t, variableSeed, uint64(time.Now().UnixNano()))
	number := fromEnvironment(t, variableFilters, uint64(Effort(500, 2000, 5000)))
	t.Logf("%d filters; to see the same ones again, set %s=%d", number, variableSeed, seed)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), population: make(map[*education.EntitySet][]*known), texts: texts}
	if slices.Contains(permitted, InvisibleCharactersCount) {
		g.texts = slices.DeleteFunc(slices.Clone(g.texts), func(text string) bool { return strings.Contains(text, "\u00ad") })
	}
	if slices.Contains(permitted, WaysOfWritingCount) {
		g.texts = slices.DeleteFunc(slices.Clone(g.texts), func(text string) bool {
			dense := strings.ReplaceAll(text, " ", "")
			return dense != "" && match.CaseExact(dense) != dense
		})
	}
	s.populate(g)
	differences, telling := 0, 0
	for range number {
		tells, right := s.checkGenerated(g)
		if tells {
			telling++
		}
		if !right {
			if differences++; differences == 20 {
				t.Fatal("too many differences")
			}
		}
	}
	t.Logf("%d filters, of which %d select some entities and not all, %d differences", number, telling, differences)
	if telling < int(number)/4 {
		t.Error("too few filters tell entities apart")
	}
}

func fromEnvironment(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s is not a number", name)
	}
	return number
}

// populate makes schools, users and classes with links between them.
func (s *subject) populate(g *generator) {
	s.Helper()
	for _, set := range education.EntitySets {
		for range map[*education.EntitySet]int{schools: 8, users: 60, classes: 16}[set] {
			g.population[set] = append(g.population[set], s.randomEntity(g, set))
		}
	}
	// What is read later is what counts: links change the entity that holds them.
	for set, population := range g.population {
		for _, one := range population {
			one.entity = s.get(set, idOf(one.entity))
		}
	}
}

// randomEntity makes an entity. One whose unique values are taken is tried again with others.
func (s *subject) randomEntity(g *generator, set *education.EntitySet) *known {
	s.Helper()
	for range 1000 {
		body := fields{}
		for _, property := range set.Properties {
			if value := g.fieldValue(property); value != nil {
				body[property.Name] = value
			}
		}
		made := &known{related: make(map[*education.Navigation][]*known)}
		linked := make(map[*education.Navigation][]*known)
		for _, nav := range education.Navigations {
			if nav.Owner != set || !nav.Bind {
				continue
			}
			linked[nav] = g.some(nav.Target)
			body[nav.Name+"@odata.bind"] = bind(entitiesOf(linked[nav])...)
		}
		entity, err := s.tryCreate(set, body)
		if odata.Is(err, odata.NameAlreadyExists) {
			continue
		}
		if err != nil {
			s.Fatalf("create one of %s with %v: %v", set.Name, body, err)
		}
		made.entity = entity
		for nav, targets := range linked {
			for _, target := range targets {
				made.link(nav, target)
			}
		}
		return made
	}
	s.Fatalf("no unique values left for %s", set.Name)
	return nil
}

// link links an entity to another one, as both ends and the classes of a teacher see it.
func (k *known) link(nav *education.Navigation, target *known) {
	k.related[nav] = append(k.related[nav], target)
	for _, other := range education.Navigations {
		if other.Owner == nav.Target && other.Target == nav.Owner && slices.Contains(other.Attributes, nav.Attributes[0]) &&
			!slices.Contains(target.related[other], k) {
			target.related[other] = append(target.related[other], k)
		}
	}
}

// some returns up to three entities of a set, each once.
func (g *generator) some(set *education.EntitySet) []*known {
	var chosen []*known
	for range g.IntN(4) {
		if one := pick(g, g.population[set]); !slices.Contains(chosen, one) {
			chosen = append(chosen, one)
		}
	}
	return chosen
}

func entitiesOf(population []*known) []*education.Entity {
	entities := make([]*education.Entity, len(population))
	for i, one := range population {
		entities[i] = one.entity
	}
	return entities
}

// fieldValue returns a value for a property in a body, or nil.
func (g *generator) fieldValue(property *education.Property) any {
	if property.Access != education.ReadWrite || !property.Required && g.IntN(3) == 0 {
		return nil
	}
	switch {
	case property.Type == education.Boolean:
		return g.IntN(2) == 0
	case property.Type == education.DateTime:
		return time.Date(2100+g.IntN(4), 1, 1+g.IntN(3), g.IntN(3), 0, g.IntN(3), 0, time.UTC).Format(time.RFC3339)
	case property.Type != education.String:
		return nil
	case property.Name == "mail":
		return pick(g, []string{"max", "MAX", "o'brien", "a+b", "strasse", "x"}) + strconv.Itoa(g.IntN(5)) + "@example.org"
	case property.Name == "userType":
		return pick(g, []string{"Member", "Guest", "member", "GUEST"})
	case property.Name == "description" && g.IntN(4) == 0:
		return "two\nlines\tof text"
	case property.Unique != education.NotUnique && g.IntN(2) == 0:
		return pick(g, g.texts) + strconv.Itoa(g.IntN(100))
	}
	return pick(g, g.texts)
}

// checkGenerated asks for what one filter selects in a set, or among the targets of a navigation property. It reports
// whether that is neither nothing nor everything, and whether the answer is right.
func (s *subject) checkGenerated(g *generator) (tells, right bool) {
	s.Helper()
	set := pick(g, education.EntitySets)
	asked := g.expression(set, g.IntN(4), 0)
	text := asked.text("")
	query, err := odata.ParseQuery("$filter="+url.QueryEscape(text), set.Resource(odata.OptionFilter))
	if err != nil {
		s.Errorf("%s: %s is refused: %v", set.Name, text, err)
		return false, false
	}
	what, candidates := set.Name, g.population[set]
	call := func() (*education.Answer, error) { return s.directory.List(context.Background(), set, query) }
	if g.IntN(4) == 0 {
		owners, nav := pick(g, education.EntitySets), (*education.Navigation)(nil)
		for nav = g.navigation(owners); nav.Target != set; nav = g.navigation(owners) {
			owners = pick(g, education.EntitySets)
		}
		owner := pick(g, g.population[owners])
		what, candidates = nav.Owner.Name+"/"+nav.Name, owner.related[nav]
		call = func() (*education.Answer, error) {
			return s.directory.ListRelated(context.Background(), nav, idOf(owner.entity), query)
		}
	}
	got, err := tryIDs(entities(call()))
	if err != nil {
		s.Errorf("%s: %s fails: %v", what, text, err)
		return false, false
	}
	want := []string{}
	for _, one := range candidates {
		if asked.eval(one) == isTrue {
			want = append(want, one.entity.ID())
		}
	}
	slices.Sort(want)
	tells = len(want) > 0 && len(want) < len(candidates)
	if slices.Equal(got, want) {
		return tells, true
	}
	s.Errorf("%s: %s selects %d, want %d\n%s", what, text, len(got), len(want), g.explain(set, got, want))
	return tells, false
}

// explain shows the entities in which two lists of ids differ.
func (g *generator) explain(set *education.EntitySet, got, want []string) string {
	var b strings.Builder
	for _, one := range g.population[set] {
		id := one.entity.ID()
		if slices.Contains(got, id) == slices.Contains(want, id) {
			continue
		}
		fmt.Fprintf(&b, "  wanted %v:", slices.Contains(want, id))
		for _, property := range set.Properties {
			if value := one.value(property); value != nil {
				fmt.Fprintf(&b, " %s=%q", property.Name, fmt.Sprint(value))
			}
		}
		for nav, targets := range one.related {
			fmt.Fprintf(&b, " %s=%d", nav.Name, len(targets))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
