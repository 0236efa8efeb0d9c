package identitytest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var pageTests = []conformanceTest{
	{"$orderby sorts, absent values first, at last by id", defaults, testOrder},
	{"every property that can be sorted by sorts", defaults, testOrderEverything},
	{"$top, $skip and $count cut a page", defaults, testTopSkipCount},
	{"the pages of a walk hold every entity once", defaults, testWalk},
	{"the pages of a walk hold every entity once while others write", anyUsername, testWalkWhileWriting},
	{"a page leaves out what is no longer selected", defaults, testWalkWithLosses},
	{"a cursor of another query is refused", defaults, testForeignCursor},
	{"$select leaves the other properties out", defaults, testSelect},
	{"$search looks into the searchable properties", defaults, testSearch},
}

// ordered returns the ids of an answer in its order.
func (s *subject) ordered(answer *education.Answer) []string {
	s.Helper()
	var ids []string
	for entity, err := range answer.Entities {
		if err != nil {
			s.Fatal(err)
		}
		ids = append(ids, entity.ID())
	}
	return ids
}

func (s *subject) answer(set *education.EntitySet, query *odata.Query) *education.Answer {
	s.Helper()
	answer, err := s.directory.List(context.Background(), set, query)
	if err != nil {
		s.Fatalf("list of %s: %v", set.Name, err)
	}
	return answer
}

// wantOrder fails the test unless a list that is ordered has the entities in exactly this order.
func (s *subject) wantOrder(set *education.EntitySet, orderBy string, want ...*education.Entity) {
	s.Helper()
	s.wantSequence("$orderby="+orderBy, s.answer(set, s.query(set, "$orderby", orderBy)), want...)
}

func (s *subject) wantSequence(what string, answer *education.Answer, want ...*education.Entity) {
	s.Helper()
	got, wanted := s.ordered(answer), make([]string, len(want))
	for i, entity := range want {
		wanted[i] = entity.ID()
	}
	if !slices.Equal(got, wanted) {
		s.Errorf("%s: got %q, want %q", what, got, wanted)
	}
}

// byID sorts entities by their ids.
func byID(entities ...*education.Entity) []*education.Entity {
	return slices.SortedFunc(slices.Values(entities), func(a, b *education.Entity) int { return strings.Compare(a.ID(), b.ID()) })
}

func testOrder(s *subject) {
	a1 := s.create(users, fields{"displayName": "anna", "surname": "Zorn"})
	a2 := s.create(users, fields{"displayName": "Anna", "surname": "Adam"})
	b := s.create(users, fields{"displayName": "Bert"})
	u := s.create(users, fields{"displayName": "Über", "mail": "a@example.org"})
	same := byID(a1, a2)
	s.wantOrder(users, "displayName", same[0], same[1], b, u)
	s.wantOrder(users, "displayName desc", u, b, same[0], same[1])
	s.wantOrder(users, "displayName asc,surname", a2, a1, b, u)
	s.wantOrder(users, "DISPLAYNAME ASC,surname DESC", a1, a2, b, u)
	s.wantOrder(users, "surname", append(byID(b, u), a2, a1)...)
	s.wantOrder(users, "surname desc", append([]*education.Entity{a1, a2}, byID(b, u)...)...)
	s.wantOrder(users, "mail,displayName desc", append([]*education.Entity{b}, append(same, u)...)...)
	school := s.create(schools, nil)
	s.addRef(schoolUsers, school, b)
	s.addRef(schoolUsers, school, u)
	class := s.create(classes, fields{"members@odata.bind": bind(a1, b, u)})
	for _, test := range []struct {
		nav   *education.Navigation
		owner *education.Entity
		want  []*education.Entity
	}{{schoolUsers, school, []*education.Entity{u, b}}, {classMembers, class, []*education.Entity{u, b, a1}}} {
		answer, err := s.directory.ListRelated(context.Background(), test.nav, idOf(test.owner), s.query(users, "$orderby", "displayName desc"))
		if err != nil {
			s.Fatal(err)
		}
		s.wantSequence(test.nav.Name, answer, test.want...)
	}
}

func testOrderEverything(s *subject) {
	for _, set := range education.EntitySets {
		population := s.population(set)
		for _, property := range set.Properties {
			if field, _ := set.Field(property.Name); !field.Sortable {
				continue
			}
			for _, direction := range []string{"asc", "desc"} {
				want := slices.SortedFunc(slices.Values(population), func(a, b *education.Entity) int {
					order := 0
					left, right := a.Value(property), b.Value(property)
					switch {
					case left == nil && right != nil:
						order = -1
					case left != nil && right == nil:
						order = 1
					case left != nil:
						order = orderOf(left, right)
					}
					if direction == "desc" {
						order = -order
					}
					if order == 0 {
						order = strings.Compare(a.ID(), b.ID())
					}
					return order
				})
				s.wantOrder(set, property.Name+" "+direction, want...)
			}
		}
	}
}

func testTopSkipCount(s *subject) {
	people := byID(s.createMany(users, make([]fields, 10))...)
	for _, test := range []struct {
		options    []string
		from, to   int
		total      int
		wantFollow bool
	}{
		{[]string{"$top", "3"}, 0, 3, 10, true},
		{[]string{"$top", "10"}, 0, 10, 10, false},
		{[]string{"$top", "100"}, 0, 10, 10, false},
		{[]string{"$top", "0", "$count", "true"}, 0, 0, 10, false},
		{[]string{"$skip", "4"}, 4, 10, 10, false},
		{[]string{"$skip", "10"}, 10, 10, 10, false},
		{[]string{"$skip", "2147483647"}, 10, 10, 10, false},
		{[]string{"$skip", "8", "$top", "1"}, 8, 9, 10, true},
		{[]string{"$skip", "8", "$top", "2"}, 8, 10, 10, false},
		{[]string{"$count", "true"}, 0, 10, 10, false},
	} {
		answer := s.answer(users, s.query(users, test.options...))
		s.wantSequence(fmt.Sprint(test.options), answer, people[test.from:test.to]...)
		if answer.Total != test.total || (answer.Next != "") != test.wantFollow {
			s.Errorf("%v: got the total %d and more %v, want %d and %v", test.options, answer.Total, answer.Next != "", test.total, test.wantFollow)
		}
	}
	answer := s.answer(users, s.query(users, "$count", "true", "$top", "1", "$filter", "id eq '"+people[4].ID()+"' or id eq '"+people[5].ID()+"'"))
	s.wantSequence("with a filter", answer, people[4])
	if answer.Total != 2 || answer.Next == "" {
		s.Errorf("with a filter: got the total %d, want 2 and more", answer.Total)
	}
	answer = s.answer(users, s.query(users, "$count", "true", "$filter", "displayName eq 'nobody'"))
	s.wantSequence("of nothing", answer)
	if answer.Total != 0 {
		s.Errorf("of nothing: got the total %d", answer.Total)
	}
}

// walk returns the ids on all pages of a query, which has a $top. between is called before each page but the first.
func (s *subject) walk(ask func(*odata.Query) (*education.Answer, error), query *odata.Query, between func(page int)) []string {
	s.Helper()
	var ids []string
	for page := 0; ; page++ {
		answer, err := ask(query)
		if err != nil {
			s.Fatalf("page %d: %v", page, err)
		}
		ids = append(ids, s.ordered(answer)...)
		if answer.Next == "" {
			return ids
		}
		following := *query
		following.Cursor = answer.Next
		query = &following
		between(page)
	}
}

func (s *subject) listOf(set *education.EntitySet) func(*odata.Query) (*education.Answer, error) {
	return func(query *odata.Query) (*education.Answer, error) {
		return s.directory.List(context.Background(), set, query)
	}
}

func testWalk(s *subject) {
	school := s.create(schools, nil)
	// Enough for ties in every order that reach over the ends of pages.
	bodies := make([]fields, 25)
	for i := range bodies {
		bodies[i] = fields{"displayName": "name " + strconv.Itoa(i%6), "schools@odata.bind": bind(school)}
		if i%3 > 0 {
			bodies[i]["surname"] = "surname " + strconv.Itoa(i%4)
		}
	}
	people := s.createMany(users, bodies)
	class := s.create(classes, fields{"members@odata.bind": bind(people...)})
	asks := map[string]func(*odata.Query) (*education.Answer, error){"users": s.listOf(users)}
	for nav, owner := range map[*education.Navigation]*education.Entity{schoolUsers: school, classMembers: class} {
		asks[nav.Name] = func(query *odata.Query) (*education.Answer, error) {
			return s.directory.ListRelated(context.Background(), nav, idOf(owner), query)
		}
	}
	for name, ask := range asks {
		for _, options := range [][]string{
			nil,
			{"$orderby", "displayName"},
			{"$orderby", "surname desc,displayName"},
			{"$orderby", "displayName", "$skip", "10"},
			{"$filter", "not (surname ge 'surname 2')", "$orderby", "surname"},
			{"$search", "name"},
		} {
			whole := s.ordered(s.mustAnswer(ask(s.query(users, append([]string{"$top", "1000"}, options...)...))))
			for _, top := range []string{"1", "7", "24", "25", "26"} {
				got := s.walk(ask, s.query(users, append([]string{"$top", top}, options...)...), func(int) {})
				if !slices.Equal(got, whole) {
					s.Errorf("%s with %v in pages of %s: got %d entities in another order or number than %d", name, options, top, len(got), len(whole))
				}
			}
		}
	}
}

func (s *subject) mustAnswer(answer *education.Answer, err error) *education.Answer {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	return answer
}

// testWalkWhileWriting walks while people come, go and change the name that the walk is ordered by, and while the same
// walk is begun anew.
func testWalkWhileWriting(s *subject) {
	bodies := make([]fields, 60)
	for i := range bodies {
		bodies[i] = fields{"displayName": fmt.Sprintf("name %02d", i)}
	}
	stable := s.createMany(users, bodies)
	for _, orderBy := range []string{"displayName", "displayName desc,surname", "lastModifiedDateTime"} {
		query := s.query(users, "$top", "7", "$orderby", orderBy)
		passing := s.createMany(users, make([]fields, 10))
		got := s.walk(s.listOf(users), query, func(page int) {
			var writers sync.WaitGroup
			for i := range 3 {
				writers.Go(func() {
					if _, err := s.tryUpdate(stable[(page*7+i*23)%len(stable)], fields{"displayName": fmt.Sprintf("name %02d", (page*31+i*17)%60)}); err != nil {
						s.Error(err)
					}
					if _, err := s.tryCreate(users, nil); err != nil {
						s.Error(err)
					}
				})
			}
			if page < len(passing) {
				writers.Go(func() {
					if err := s.tryDelete(passing[page]); err != nil {
						s.Error(err)
					}
				})
			}
			writers.Wait()
			s.ordered(s.answer(users, query))
		})
		times := make(map[string]int)
		for _, id := range got {
			times[id]++
			if times[id] > 1 {
				s.Errorf("%s: an entity came %d times", orderBy, times[id])
			}
		}
		for _, entity := range stable {
			if times[entity.ID()] != 1 {
				s.Errorf("%s: an entity that was there all the time came %d times", orderBy, times[entity.ID()])
			}
		}
	}
}

// testWalkWithLosses takes entities out of the answer when its first page has been read.
func testWalkWithLosses(s *subject) {
	school := s.create(schools, nil)
	bodies := make([]fields, 6)
	for i := range bodies {
		bodies[i] = fields{"displayName": fmt.Sprint("name ", i), "schools@odata.bind": bind(school)}
	}
	people := s.createMany(users, bodies)
	class := s.create(classes, fields{"members@odata.bind": bind(people...)})
	for nav, owner := range map[*education.Navigation]*education.Entity{schoolUsers: school, classMembers: class} {
		s.each(nav.Name, func(s *subject) {
			query := s.query(users, "$top", "2", "$orderby", "displayName", "$filter", "mail eq null")
			got := s.walk(func(query *odata.Query) (*education.Answer, error) {
				return s.directory.ListRelated(context.Background(), nav, idOf(owner), query)
			}, query, func(page int) {
				if page == 0 {
					s.removeRef(nav, owner, people[3])
					s.update(people[4], fields{"mail": "max@example.org"})
				}
			})
			if want := []string{people[0].ID(), people[1].ID(), people[2].ID(), people[5].ID()}; !slices.Equal(got, want) {
				s.Errorf("got %q, want %q", got, want)
			}
			s.addRef(nav, owner, people[3])
			s.update(people[4], fields{"mail": nil})
		})
	}
}

func testForeignCursor(s *subject) {
	s.createMany(users, make([]fields, 5))
	s.createMany(classes, make([]fields, 5))
	first := s.answer(users, s.query(users, "$top", "2", "$orderby", "displayName"))
	for name, options := range map[string][]string{
		"another order":     {"$orderby", "surname"},
		"another direction": {"$orderby", "displayName desc"},
		"no order":          {},
		"a filter":          {"$orderby", "displayName", "$filter", "mail eq null"},
		"a search":          {"$orderby", "displayName", "$search", "x"},
	} {
		_, err := s.directory.List(context.Background(), users, s.query(users, append([]string{"$top", "2", "$skiptoken", first.Next}, options...)...))
		s.wantError(name, err, odata.InvalidRequest, odata.OptionSkipToken)
	}
	_, err := s.directory.List(context.Background(), classes, s.query(classes, "$top", "2", "$orderby", "displayName", "$skiptoken", first.Next))
	s.wantError("another set", err, odata.InvalidRequest, odata.OptionSkipToken)
	for _, cursor := range []string{"x", "e30", "!", first.Next + "x", first.Next[1:]} {
		_, err := s.directory.List(context.Background(), users, s.query(users, "$orderby", "displayName", "$skiptoken", cursor))
		s.wantError("no cursor", err, odata.InvalidRequest, odata.OptionSkipToken)
	}
	second := s.answer(users, s.query(users, "$top", "100", "$orderby", "displayName", "$skiptoken", first.Next))
	if got := len(s.ordered(second)); got != 3 || second.Total != 5 {
		s.Errorf("with another $top: got %d entities of %d, want 3 of 5", got, second.Total)
	}
}

func testSelect(s *subject) {
	for _, set := range education.EntitySets {
		population := s.population(set)
		for _, property := range set.Properties {
			if !property.Returned() {
				continue
			}
			for _, options := range [][]string{nil, {"$top", "3"}, {"$orderby", "displayName", "$filter", "displayName ne 'x'"}} {
				for entity, err := range s.list(set, s.query(set, append([]string{"$select", property.Name}, options...)...)) {
					if err != nil {
						s.Fatal(err)
					}
					i := slices.IndexFunc(population, func(other *education.Entity) bool { return other.ID() == entity.ID() })
					s.wantValue(entity, property.Name, population[i].Value(property))
					for _, other := range set.Properties {
						if other != property && other != set.ID && entity.Value(other) != nil {
							s.Errorf("%s: $select=%s returns %s, too", set.Name, property.Name, other.Name)
						}
					}
				}
			}
		}
	}
}

func testSearch(s *subject) {
	max := s.create(users, fields{"displayName": "Max Müller", "mail": "mm@example.org", "givenName": "Max"})
	moritz := s.create(users, fields{"displayName": "Moritz Maximus", username: "other@example.org"})
	for _, test := range []struct {
		search string
		want   []*education.Entity
	}{
		{`max`, []*education.Entity{max, moritz}},
		{`"displayName:MÜLLER"`, []*education.Entity{max}},
		{`"givenName:max"`, []*education.Entity{max}},
		{`"givenName:ax"`, nil},
		{`"mail:example"`, nil},
		{`"mail:mm@"`, []*education.Entity{max}},
		{`max AND NOT "givenName:max"`, []*education.Entity{moritz}},
		{`NOT "mail:mm"`, []*education.Entity{moritz}},
		{`NOT "mail:ü"`, []*education.Entity{max, moritz}},
		{`NOT "externalId:x"`, []*education.Entity{max, moritz}},
		{`NOT NOT mm`, []*education.Entity{max}},
		{`müller OR "onPremisesSamAccountName:other"`, []*education.Entity{max, moritz}},
		{`"*"`, nil},
	} {
		s.wantIDs("$search="+test.search, s.list(users, s.query(users, "$search", test.search)), test.want...)
	}
	s.wantIDs("with a filter", s.list(users, s.query(users, "$search", "max", "$filter", "mail eq null")), moritz)
}
