package identitytest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var filterTests = []conformanceTest{
	{"eq finds the entities that have the value, for every property", defaults, testEqual},
	{"eq compares strings without case and blanks at their ends", defaults, testEqualFolds},
	{"eq compares dates as moments", defaults, testEqualDates},
	{"eq with a value that nothing can have finds nothing", defaults, testEqualImpossible},
	{"eq restricts the list of a navigation property", defaults, testEqualRelated},
}

// population makes entities of a set that differ: two with all properties, of which the second has the opposite of
// every boolean, and one with the required properties alone.
func (s *subject) population(set *education.EntitySet) []*education.Entity {
	s.Helper()
	first, _ := filled(set)
	second, _ := filled(set)
	for _, property := range set.Properties {
		if property.Type == education.Boolean {
			second[property.Name] = false
		}
	}
	return []*education.Entity{s.create(set, first), s.create(set, second), s.create(set, nil)}
}

// testEqual asks for every value that occurs in a population, for null and for a value that does not occur.
func testEqual(s *subject) {
	for _, set := range education.EntitySets {
		population := s.population(set)
		for _, property := range set.Properties {
			if property.Filter == education.NotFilterable {
				continue
			}
			values := []any{nil, fixtureLiteral(property)}
			for _, entity := range population {
				values = append(values, entity.Value(property))
			}
			for _, value := range values {
				var want []*education.Entity
				for _, entity := range population {
					if education.Equal(entity.Value(property), value) {
						want = append(want, entity)
					}
				}
				what := fmt.Sprintf("%s: %s eq %v", set.Name, property.Name, value)
				s.wantIDs(what, s.list(set, equal(property, value)), want...)
			}
		}
		upper := strings.ToUpper(population[0].ID())
		s.wantIDs("id in capitals", s.list(set, equal(set.ID, upper)), population[0])
	}
}

// fixtureLiteral returns a value of the property that, but for booleans, no entity has.
func fixtureLiteral(property *education.Property) any {
	switch property.Type {
	case education.UUID:
		return newUUID()
	case education.Boolean:
		return true
	case education.DateTime:
		return time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)
	default:
		return "nobody has this"
	}
}

func testEqualFolds(s *subject) {
	display := users.Property("displayName")
	max := s.create(users, fields{"displayName": "Max Groß"})
	s.create(users, fields{"displayName": "Max Gros"})
	for _, text := range []string{"Max Groß", "max groß", "  MAX   GROSS ", "Max\u00a0Groß"} {
		s.wantIDs("displayName eq "+text, s.list(users, equal(display, text)), max)
	}
	for _, text := range []string{"MaxGroß", "Max", "Groß", "Max*", "*", "Max Groß*", ""} {
		s.wantIDs("displayName eq "+text, s.list(users, equal(display, text)))
	}
}

func testEqualDates(s *subject) {
	date := schools.Property("terminationDate")
	at := time.Now().UTC().Truncate(time.Second).Add(time.Hour)
	school := s.create(schools, fields{date.Name: jsonOf(at)})
	s.wantIDs("in another time zone", s.list(schools, equal(date, at.In(time.FixedZone("", 5*3600+1800)))), school)
	s.wantIDs("half a second later", s.list(schools, equal(date, at.Add(time.Second/2))))
	s.wantIDs("a second later", s.list(schools, equal(date, at.Add(time.Second))))
	// A fraction in a body is cut off.
	s.update(school, fields{date.Name: at.Add(time.Second / 2).Format(time.RFC3339Nano)})
	s.wantIDs("with the fraction cut off", s.list(schools, equal(date, at)), school)
}

func testEqualImpossible(s *subject) {
	s.create(users, nil)
	for name, value := range map[string]any{
		"id": "no id", "mail": "jürgen@example.org", "displayName": "\xff", "createdDateTime": time.Time{},
	} {
		s.wantIDs(name+" eq an impossible value", s.list(users, equal(users.Property(name), value)))
	}
}

func testEqualRelated(s *subject) {
	school := s.create(schools, nil)
	display := users.Property("displayName")
	max := s.create(users, fields{"displayName": "Max", "schools@odata.bind": bind(school)})
	moritz := s.create(users, fields{"displayName": "Moritz", "schools@odata.bind": bind(school)})
	s.create(users, fields{"displayName": "Max"})
	class := s.create(classes, fields{"members@odata.bind": bind(max, moritz), "teachers@odata.bind": bind(moritz)})
	for _, test := range []struct {
		nav  *education.Navigation
		name string
		want []*education.Entity
	}{
		{schoolUsers, "max", []*education.Entity{max}},
		{schoolUsers, "nobody", nil},
		{classMembers, "moritz", []*education.Entity{moritz}},
		{classMembers, "nobody", nil},
		{classTeachers, "max", nil},
	} {
		owner := school
		if test.nav.Owner == classes {
			owner = class
		}
		list := s.relatedBy(test.nav, owner, equal(display, test.name))
		s.wantIDs(test.nav.Name+" with the displayName "+test.name, list, test.want...)
	}
	s.wantIDs("classes of a user", s.relatedBy(userClasses, moritz,
		equal(classes.Property("displayName"), class.Text("displayName"))), class)
	list := s.relatedBy(userSchools, max, equal(schools.Property("displayName"), "nobody"))
	s.wantIDs("schools of a user", list)
	_, err := tryIDs(entities(s.directory.ListRelated(context.Background(), schoolUsers,
		education.Key{Property: schools.ID, Value: newUUID()}, equal(display, "max"))))
	s.wantError("users of no school", err, odata.ItemNotFound, "schools")
}
