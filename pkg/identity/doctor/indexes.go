package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// probe is a filter that no entry matches and that an index answers at once.
type probe struct {
	// name is what findings call it, and attribute what it is about.
	name, attribute string
	filter          *wire.Filter
	// key says that every request needs it.
	key bool
}

// nobody is a value that no entry has.
const nobody = namePrefix + "nobody"

// probesOf returns the filters that the service sends for a set.
func probesOf(set *education.EntitySet) []probe {
	probes := []probe{
		// A class of RFC 4519 that no user, class or school is of.
		{"objectClass", "objectClass", wire.Equal("objectClass", "device"), true},
		{attributeUniqueKey, attributeUniqueKey, wire.Equal(attributeUniqueKey, nobody), true},
	}
	for _, attribute := range linksOf(set) {
		absent := "00000000-0000-0000-0000-000000000000"
		if slices.Contains(dnLinks, attribute) {
			absent = "cn=" + nobody
		}
		probes = append(probes, probe{attribute, attribute, wire.Equal(attribute, absent), true})
	}
	for _, property := range set.Properties {
		absent, comparable := absentValues[property.Type]
		if property.Filter == education.NotFilterable || !comparable {
			continue
		}
		attribute := property.Attribute
		probes = append(probes, probe{attribute, attribute, wire.Equal(attribute, absent), property.Key})
		if property.Substrings {
			probes = append(probes, probe{
				attribute + " (substrings)", attribute,
				&wire.Filter{Kind: wire.FilterSubstrings, Attribute: attribute, Initial: nobody}, false,
			})
		}
	}
	return probes
}

// absentValues are values that no entry has, by the type of the property. A boolean has none.
var absentValues = map[education.Type]string{
	education.String: nobody, education.UUID: "00000000-0000-0000-0000-000000000000", education.DateTime: "19000101000000Z",
}

// indexes is what measuring has shown.
type indexes struct {
	// missingKeys and missingFilters name the probes that the server answers by looking at every entry.
	missingKeys, missingFilters []string
	// unmeasured are the sets for which it cannot be told.
	unmeasured []string
}

// measureIndexes measures all filters of the service, once.
func (p *patient) measureIndexes(ctx context.Context) (*indexes, error) {
	if p.indexes != nil {
		return p.indexes, nil
	}
	found := &indexes{}
	for _, set := range education.EntitySets {
		if err := p.measureSet(ctx, set, found); err != nil {
			return nil, err
		}
	}
	p.indexes = found
	return found, nil
}

func (p *patient) measureSet(ctx context.Context, set *education.EntitySet, found *indexes) error {
	probes := slices.DeleteFunc(probesOf(set), func(probe probe) bool { return !p.schema.hasAttribute(probe.attribute) })
	scanned, err := p.scanned(ctx, p.config.base(set), probes)
	if err != nil {
		return err
	}
	if scanned == nil {
		found.unmeasured = append(found.unmeasured, set.Name)
		return nil
	}
	for i, probe := range probes {
		switch name := probe.name + " of " + set.Name; {
		case !scanned[i]:
		case probe.key:
			found.missingKeys = append(found.missingKeys, name)
		default:
			found.missingFilters = append(found.missingFilters, name)
		}
	}
	return nil
}

const (
	// ballast is the number of values of the throw-away entry that makes looking at every entry slow.
	ballast = 20000
	// attributeBallast has these values, and is what the costly expression asks for.
	attributeBallast = "businessCategory"
)

// scanned reports of each probe whether the server looks at every entry below a base, or returns nil if it cannot be told:
// with the least costly expression that makes the difference, and with a throw-away entry as well if there is no other way.
func (p *patient) scanned(ctx context.Context, base string, probes []probe) ([]bool, error) {
	for _, terms := range []int{0, 64, 256} {
		scanned, err := p.measure(ctx, base, terms, probes)
		if err != nil || scanned != nil {
			return scanned, err
		}
	}
	if p.config.Depth < Writing {
		return nil, nil
	}
	entry := plainEntry("ou", p.throwaways.name(), base)
	values := make([]string, ballast)
	for i := range values {
		values[i] = fmt.Sprintf("%s%05d", namePrefix, i)
	}
	entry.Attributes = append(entry.Attributes, wire.Attribute{Type: attributeBallast, Values: values})
	if _, err := p.throwaways.write(ctx, entry); err != nil {
		return nil, err
	}
	defer p.throwaways.remove(ctx, entry.DN)
	for _, terms := range []int{64, 256} {
		scanned, err := p.measure(ctx, base, terms, probes)
		if err != nil || scanned != nil {
			return scanned, err
		}
	}
	return nil, nil
}

const (
	// contrast is how many times longer a look at every entry must take than one at a single entry.
	contrast = 8
	// leastScan is how long it must take at least, so that it is longer than what busy machines make of a short search.
	leastScan = 3 * time.Millisecond
	// leastRounds and mostRounds are how often each search is made, and budget what the searches with one filter should take
	// at most.
	leastRounds, mostRounds = 2, 12
	budget                  = time.Second
	// tries is how many times more, at most, a search is made again that seems to look at every entry.
	tries = 5
)

// measure reports of each probe whether the server looks at every entry below a base, or returns nil if that takes no
// time, with an expression of so many terms.
func (p *patient) measure(ctx context.Context, base string, terms int, probes []probe) ([]bool, error) {
	weight := costly(terms)
	single := newTimer(p, base, wire.ScopeBase, weight, wire.Equal("uid", nobody))
	every := []*timer{
		newTimer(p, base, wire.ScopeSubtree, weight, wire.Not(everything)),
		newTimer(p, base, wire.ScopeSubtree, weight, &wire.Filter{
			Kind: wire.FilterExtensible, Attribute: "uid", Rule: "caseExactMatch", Value: nobody,
		}),
	}
	bounds := append([]*timer{single}, every...)
	shown := func() bool {
		scan := max(every[0].least, every[1].least)
		return scan >= leastScan && scan >= contrast*single.least
	}
	if err := run(ctx, 1, bounds); err != nil {
		return nil, err
	}
	rounds := min(max(int(budget/every[0].least), leastRounds), mostRounds)
	if err := run(ctx, rounds/2, bounds); err != nil || !shown() {
		return nil, err
	}
	timers := make([]*timer, len(probes))
	for i, probe := range probes {
		timers[i] = newTimer(p, base, wire.ScopeSubtree, weight, probe.filter)
	}
	if err := run(ctx, rounds/2, slices.Concat(bounds, timers)); err != nil || !shown() {
		return nil, err
	}
	limit := (single.least + max(every[0].least, every[1].least)) / 2
	scanned := make([]bool, len(probes))
	for i, timer := range timers {
		var err error
		if scanned[i], err = timer.exceeds(ctx, limit, rounds, single); err != nil {
			return nil, err
		}
	}
	return scanned, nil
}

// costly returns an expression of so many terms that every entry matches and no index helps with.
func costly(terms int) *wire.Filter {
	all := make([]*wire.Filter, terms, terms+1)
	for i := range all {
		all[i] = &wire.Filter{Kind: wire.FilterExtensible, Attribute: attributeBallast, Rule: "caseIgnoreMatch", Value: fmt.Sprintf("n%d", i)}
	}
	if terms == 0 {
		return everything
	}
	return wire.Or(append(all, everything)...)
}

// timer takes the time of a search.
type timer struct {
	patient *patient
	request *wire.SearchRequest
	// least is the least time that the search has taken, zero before the first.
	least time.Duration
}

// newTimer returns a timer of a filter behind a costly expression. 389-DS puts an equality before everything else, and so
// would not evaluate the expression; it leaves a disjunction where it is.
func newTimer(p *patient, base string, scope wire.Scope, weight, filter *wire.Filter) *timer {
	return &timer{patient: p, request: &wire.SearchRequest{
		Base: base, Scope: scope, Filter: wire.And(weight, wire.Or(filter, filter)), Attributes: []string{wire.NoAttributes},
	}}
}

// search makes the search.
func (t *timer) search(ctx context.Context) error {
	begun := time.Now()
	_, err := t.patient.find(ctx, t.request)
	if took := time.Since(begun); err == nil && (t.least == 0 || took < t.least) {
		t.least = took
	}
	return err
}

// run makes the searches, one after the other so that they all meet the same conditions, in some rounds.
func run(ctx context.Context, rounds int, timers []*timer) error {
	for range rounds {
		for _, timer := range timers {
			if err := timer.search(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// exceeds reports whether the search takes longer than a limit, whenever it is made. A machine that is busy with something
// else makes every search slow: what is measured counts only if a search that should be fast has just been so.
func (t *timer) exceeds(ctx context.Context, limit time.Duration, rounds int, fast *timer) (bool, error) {
	counted := 0
	for try := 0; try < tries*rounds && counted < rounds && t.least > limit; try++ {
		begun := time.Now()
		if err := fast.search(ctx); err != nil {
			return false, err
		}
		if time.Since(begun) <= limit {
			counted++
		}
		if err := t.search(ctx); err != nil {
			return false, err
		}
	}
	return t.least > limit, nil
}

func askKeyIndexes(ctx context.Context, p *patient) (verdict, error) {
	found, err := p.measureIndexes(ctx)
	if err != nil {
		return verdict{}, err
	}
	return p.judgeIndexes(found.missingKeys, found.unmeasured, verdict{
		severity: Warning,
		matter:   "The server looks at every entry to find some by %s.",
		cost:     "Requests take the longer the more entries there are, reading and writing one entity included.",
	}), nil
}

func askFilterIndexes(ctx context.Context, p *patient) (verdict, error) {
	found, err := p.measureIndexes(ctx)
	if err != nil {
		return verdict{}, err
	}
	return p.judgeIndexes(found.missingFilters, found.unmeasured, verdict{
		severity: Note,
		matter:   "The server looks at every entry to find some by %s.",
		cost:     "$filter and $search by these take the longer the more entries there are.",
	}), nil
}

// judgeIndexes completes a verdict, whose matter has a place for the names of what has no index.
func (p *patient) judgeIndexes(missing, unmeasured []string, v verdict) verdict {
	v.remedy = "Index them, and have existing entries indexed: see " + p.place(topicIndexes) + "."
	switch {
	case len(missing) > 0:
		v.matter = fmt.Sprintf(v.matter, strings.Join(missing, ", "))
		return v
	case len(unmeasured) > 0:
		return verdict{
			Note, fmt.Sprintf("It cannot be told whether there are indexes for %s: searching all entries takes no time.", strings.Join(unmeasured, ", ")),
			"None as long as the directory is that small.",
			"Examine the server again when there are more entries.",
		}
	}
	return ok("The server finds entries without looking at every one.")
}

// samples is the number of entries of each set whose values are looked for.
const samples = 5

// askComplete looks for entries by the values that they have. A server whose indexes are configured and were never
// built finds nothing.
func askComplete(ctx context.Context, p *patient) (verdict, error) {
	looked := 0
	for _, set := range education.EntitySets {
		entries, err := p.find(ctx, &wire.SearchRequest{
			Base: p.config.base(set), Scope: wire.ScopeSubtree, SizeLimit: samples, Filter: wire.Equal("objectClass", set.ObjectClass),
		})
		if err != nil {
			return verdict{}, err
		}
		for _, entry := range entries {
			looked++
			lost, err := p.lost(ctx, set, entry)
			if err != nil {
				return verdict{}, err
			}
			if lost != "" {
				return verdict{
					Error, fmt.Sprintf("The server does not find %s by its %s.", entry.DN, lost),
					"Entities that are there are answered with 404, or created a second time.",
					"Build the indexes of existing entries anew: stop OpenLDAP and run slapindex; on 389-DS, dsconf … backend index reindex.",
				}, nil
			}
		}
	}
	if looked == 0 {
		return ok("There are no entries yet that an index could lack."), nil
	}
	return ok("Of %d entries that were looked for by their values, all were found.", looked), nil
}

// lost returns an attribute by whose value an entry is not found although it has it, or an empty name. An entry that has
// gone meanwhile is not lost.
func (p *patient) lost(ctx context.Context, set *education.EntitySet, entry *wire.Entry) (string, error) {
	for _, probe := range probesOf(set) {
		value := entry.Value(probe.attribute)
		if !probe.key || value == "" || probe.attribute == "objectClass" {
			continue
		}
		found, err := p.finds(ctx, p.config.base(set), wire.ScopeSubtree, probe.attribute, value, entry.DN)
		if err != nil {
			return "", err
		}
		if found {
			continue
		}
		// No index is asked when the entry alone is looked at.
		there, err := p.finds(ctx, entry.DN, wire.ScopeBase, probe.attribute, value, entry.DN)
		if err != nil || there {
			return probe.attribute, err
		}
	}
	return "", nil
}

// finds reports whether a search for a value finds an entry.
func (p *patient) finds(ctx context.Context, base string, scope wire.Scope, attribute, value, dn string) (bool, error) {
	entries, err := p.find(ctx, &wire.SearchRequest{
		Base: base, Scope: scope, Filter: wire.Equal(attribute, value), Attributes: []string{wire.NoAttributes},
	})
	if hasCode(err, wire.ResultNoSuchObject) {
		return false, nil
	}
	return slices.ContainsFunc(entries, func(entry *wire.Entry) bool { return entry.DN == dn }), err
}
