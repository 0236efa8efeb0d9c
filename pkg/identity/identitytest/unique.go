package identitytest

import (
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var uniqueTests = []conformanceTest{
	{"a unique value is taken until its entity is gone or changed", defaults, testUnique},
	{"a unique value is taken in compatibility mode", compatible, testUnique},
	{"unique values are compared without case, blanks and ways of writing", anyUsername, testUniqueFolds},
	{"unique values are compared without characters that nobody sees", anyUsername, testUniqueInvisible},
	{"an externalId is unique within a school", defaults, testUniquePerSchool},
	{"an externalId is unique everywhere if the rules say so", globalScope, testUniqueGlobally},
	{"an externalId of a class is unique everywhere in compatibility mode", compatible, testUniqueClasses},
	{"an externalId is free again in a school that its user has left", defaults, testUniqueAfterMove},
	{"an externalId is unique in each school of a user with many", manySchools, testUniqueInManySchools},
	{"a class outside a school must not have the externalId of one in a school", defaults, testClassOutside},
	{"a refused update changes nothing", defaults, testRefusedUpdate},
}

// testUnique checks each unique property on entities outside any school.
func testUnique(s *subject) {
	for _, set := range education.EntitySets {
		for _, property := range set.Properties {
			if s.rules.UniqueScope(set, property) == education.NotUnique {
				continue
			}
			s.each(set.Name+" "+property.Name, func(s *subject) { s.checkUnique(set, property) })
		}
	}
}

func (s *subject) checkUnique(set *education.EntitySet, property *education.Property) {
	value, next := fixture(property), fixture(property)
	taken := func(what string, value any) {
		s.Helper()
		_, err := s.tryCreate(set, fields{property.Name: value})
		s.wantError(what, err, odata.NameAlreadyExists, property.Name)
	}
	first := s.create(set, fields{property.Name: value})
	taken("create", value)
	second := s.create(set, fields{property.Name: next})
	_, err := s.tryUpdate(second, fields{property.Name: value})
	s.wantError("update", err, odata.NameAlreadyExists, property.Name)
	s.wantSame(s.get(set, idOf(second)), second)

	s.update(first, fields{property.Name: strings.ToUpper(value.(string))})
	taken("create after a change of case", value)
	moved := fixture(property)
	s.update(first, fields{property.Name: moved})
	taken("create after a rename", moved)
	third := s.create(set, fields{property.Name: value})
	taken("create anew", value)

	if set == schools {
		s.update(third, fields{"terminationDate": jsonOf(time.Now().UTC().Add(s.after(time.Hour)))})
		s.wait(2 * time.Hour)
	}
	s.delete(third)
	fourth := s.create(set, fields{property.Name: value})
	if !property.Required {
		s.update(fourth, fields{property.Name: nil})
		s.create(set, fields{property.Name: value})
	}
}

// after is how far in the future something is that lies d after the time of the rules' clock.
func (s *subject) after(d time.Duration) time.Duration { return time.Duration(s.ahead.Load()) + d }

func testUniqueFolds(s *subject) {
	s.checkFolding(map[string][]string{
		"Straße 1":   {"Straße 1", "STRASSE 1", "strasse 1", "straße  1", " Straße 1 ", "Straẞe 1"},
		"Max":        {"max", "MAX", " Max", "Max  "},
		"Andr\u00e9": {"Andre\u0301", "ANDR\u00c9", "andr\u00e9"},
		"a\u00a0b c": {"a b c", "A B\u00a0C"},
		"Σίσυφος":    {"ΣΊΣΥΦΟΣ", "σίσυφοσ"},
	})
	// What people tell apart is not the same.
	s.create(users, fields{username: "Andre"})
	s.create(users, fields{username: "Ma x"})
}

func testUniqueInvisible(s *subject) {
	s.checkFolding(map[string][]string{"soft\u00adly": {"softly"}})
}

// checkFolding makes entities with a unique value, and then others with texts that are the same.
func (s *subject) checkFolding(spellings map[string][]string) {
	s.Helper()
	for first, others := range spellings {
		s.create(users, fields{username: first})
		s.create(schools, fields{"displayName": first, "schoolNumber": first, "externalId": first})
		s.create(classes, fields{"externalId": first})
		for _, other := range others {
			_, err := s.tryCreate(users, fields{username: other})
			s.wantError("username "+other, err, odata.NameAlreadyExists, username)
			_, err = s.tryCreate(classes, fields{"externalId": other})
			s.wantError("externalId of a class "+other, err, odata.NameAlreadyExists, "externalId")
			for _, name := range []string{"displayName", "schoolNumber", "externalId"} {
				_, err := s.tryCreate(schools, fields{name: other})
				s.wantError(name+" "+other, err, odata.NameAlreadyExists, name)
			}
		}
	}
}

// inSchool are the sets whose entities are in schools, with the navigation property from the school.
var inSchool = map[*education.EntitySet]*education.Navigation{users: schoolUsers, classes: schoolClasses}

func testUniquePerSchool(s *subject) {
	for set, nav := range inSchool {
		s.each(set.Name, func(s *subject) {
			one, two := s.create(schools, nil), s.create(schools, nil)
			first := s.create(set, fields{"externalId": "4711", "schools@odata.bind": bind(one)})
			second := s.create(set, fields{"externalId": "4711", "schools@odata.bind": bind(two)})
			_, err := s.tryCreate(set, fields{"externalId": "4711", "schools@odata.bind": bind(one)})
			s.wantError("create in the school", err, odata.NameAlreadyExists, "externalId")
			third := s.create(set, fields{"externalId": "4712", "schools@odata.bind": bind(one)})
			_, err = s.tryUpdate(third, fields{"externalId": "4711"})
			s.wantError("update in the school", err, odata.NameAlreadyExists, "externalId")
			outside := s.create(set, fields{"externalId": "4713"})
			s.update(third, fields{"externalId": "4713"})
			s.wantError("move into the school", s.tryAddRef(nav, one, outside), odata.NameAlreadyExists, "externalId")
			s.wantRelated(nav, one, first, third)
			s.wantRelated(nav, two, second)
			s.addRef(nav, two, outside)
		})
	}
}

func testUniqueGlobally(s *subject) {
	for set, nav := range inSchool {
		one, two := s.create(schools, nil), s.create(schools, nil)
		first := s.create(set, fields{"externalId": "4711", "schools@odata.bind": bind(one)})
		_, err := s.tryCreate(set, fields{"externalId": "4711", "schools@odata.bind": bind(two)})
		s.wantError("create in another school", err, odata.NameAlreadyExists, "externalId")
		_, err = s.tryCreate(set, fields{"externalId": "4711"})
		s.wantError("create outside of schools", err, odata.NameAlreadyExists, "externalId")
		s.removeRef(nav, one, first)
		s.addRef(nav, two, first)
		s.delete(first)
		s.create(set, fields{"externalId": "4711"})
	}
}

func testUniqueClasses(s *subject) {
	one, two := s.create(schools, nil), s.create(schools, nil)
	s.create(classes, fields{"externalId": "5a", "schools@odata.bind": bind(one)})
	_, err := s.tryCreate(classes, fields{"externalId": "5A", "schools@odata.bind": bind(two)})
	s.wantError("create in another school", err, odata.NameAlreadyExists, "externalId")
	s.create(users, fields{"externalId": "5a", "schools@odata.bind": bind(one)})
	s.create(users, fields{"externalId": "5a", "schools@odata.bind": bind(two)})
}

func testUniqueAfterMove(s *subject) {
	one, two := s.create(schools, nil), s.create(schools, nil)
	first := s.create(users, fields{"externalId": "4711", "schools@odata.bind": bind(one)})
	s.update(first, fields{"schools@odata.bind": bind(two)})
	second := s.create(users, fields{"externalId": "4711", "schools@odata.bind": bind(one)})
	_, err := s.tryUpdate(second, fields{"schools@odata.bind": bind(two), "displayName": "not to be"})
	s.wantError("move to where the externalId is taken", err, odata.NameAlreadyExists, "externalId")
	s.wantSame(s.get(users, idOf(second)), second)
	s.wantRelated(userSchools, second, one)

	s.removeRef(schoolUsers, two, first)
	s.update(second, fields{"schools@odata.bind": bind(two)})
	s.addRef(schoolUsers, one, first)
	s.wantRelated(schoolUsers, one, first)
	s.wantRelated(schoolUsers, two, second)
}

func testUniqueInManySchools(s *subject) {
	one, two := s.create(schools, nil), s.create(schools, nil)
	first := s.create(users, fields{"externalId": "4711", "schools@odata.bind": bind(one, two)})
	for _, school := range []*education.Entity{one, two} {
		_, err := s.tryCreate(users, fields{"externalId": "4711", "schools@odata.bind": bind(school)})
		s.wantError("create in one of the schools", err, odata.NameAlreadyExists, "externalId")
	}
	s.update(first, fields{"externalId": "4712"})
	second := s.create(users, fields{"externalId": "4711", "schools@odata.bind": bind(one)})
	_, err := s.tryUpdate(first, fields{"externalId": "4711"})
	s.wantError("change to what is taken in one of the schools", err, odata.NameAlreadyExists, "externalId")
	s.removeRef(schoolUsers, one, first)
	s.update(first, fields{"externalId": "4711"})
	s.wantError("back into the school", s.tryAddRef(schoolUsers, one, first), odata.NameAlreadyExists, "externalId")
	s.wantRelated(userSchools, first, two)
	s.wantRelated(userSchools, second, one)
}

func testClassOutside(s *subject) {
	one, two := s.create(schools, nil), s.create(schools, nil)
	s.create(classes, fields{"externalId": "5a", "schools@odata.bind": bind(one)})
	_, err := s.tryCreate(classes, fields{"externalId": " 5A"})
	s.wantError("create outside of schools", err, odata.NameAlreadyExists, "externalId")
	s.create(classes, fields{"externalId": "5a", "schools@odata.bind": bind(two)})
	_, err = s.tryCreate(classes, fields{"externalId": "5a"})
	s.wantError("create outside of schools with two of them", err, odata.NameAlreadyExists, "externalId")
	s.create(classes, fields{"externalId": "5b"})
	_, err = s.tryCreate(classes, fields{"externalId": "5b"})
	s.wantError("create twice", err, odata.NameAlreadyExists, "externalId")
	// Users may: an importer makes the user first and puts it into its school in a second step.
	s.create(users, fields{"externalId": "5a", "schools@odata.bind": bind(one)})
	s.create(users, fields{"externalId": "5a"})
}

func testRefusedUpdate(s *subject) {
	school := s.create(schools, nil)
	s.create(users, fields{username: "taken"})
	body, _ := filled(users)
	user := s.create(users, body)
	next, _ := filled(users)
	next[username], next["schools@odata.bind"] = "taken", bind(school)
	_, err := s.tryUpdate(user, next)
	s.wantError("update with a username that is taken", err, odata.NameAlreadyExists, username)
	s.wantSame(s.get(users, idOf(user)), user)
	s.wantRelated(userSchools, user)

	next[username] = "free"
	next["schools@odata.bind"] = []string{"/schools/" + newUUID()}
	_, err = s.tryUpdate(user, next)
	s.wantError("update with a school that is not there", err, odata.ItemNotFound, "schools")
	s.wantSame(s.get(users, idOf(user)), user)
}
