package identitytest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var propertyTests = []conformanceTest{
	{"every property makes the round trip", defaults, testRoundTrip},
	{"a property that is not given has no value or its default", defaults, testAbsent},
	{"null on create is no value", defaults, testNullOnCreate},
	{"an empty string is refused", defaults, testEmpty},
	{"an empty string in a PATCH keeps the value in compatibility mode", compatible, testEmptyKeeps},
	{"every property can be changed alone", defaults, testChangeOne},
	{"every property that is not required can be cleared", defaults, testClear},
	{"a user without surname shows none", defaults, testNoSurname},
	{"a user without surname shows the username in compatibility mode", compatible, testStandInShown},
	{"a PATCH without properties changes nothing", defaults, testEmptyPatch},
	{"read-only properties may be repeated and not changed", defaults, testReadOnly},
	{"the id of a school may be chosen", defaults, testChosenID},
	{"passwords are never returned", defaults, testPassword},
	{"special characters are kept and found exactly", anyUsername, testSpecialCharacters},
	{"identities that differ in case alone are kept or refused", defaults, testIdentitiesInTwoCases},
}

// filled returns a body with a value for every property of a set that can be written, and the values.
func filled(set *education.EntitySet) (fields, map[*education.Property]any) {
	body, values := fields{}, map[*education.Property]any{}
	for _, property := range set.Properties {
		if value := fixture(property); value != nil {
			body[property.Name], values[property] = jsonOf(value), value
		}
	}
	return body, values
}

func testRoundTrip(s *subject) {
	for _, set := range education.EntitySets {
		s.each(set.Name, func(s *subject) {
			body, values := filled(set)
			created := s.create(set, body)
			s.wantSame(created, s.get(set, idOf(created)))
			for _, property := range set.Properties {
				switch {
				case property.Access == education.WriteOnly:
					s.wantValue(created, property.Name, nil)
				case property.Access == education.ReadOnly:
					if created.Value(property) == nil {
						s.Errorf("%s has no value", property.Name)
					}
				default:
					s.wantValue(created, property.Name, values[property])
				}
			}
			for listed, err := range s.list(set, &odata.Query{}) {
				if err != nil {
					s.Fatal(err)
				}
				s.wantSame(listed, created)
			}
			s.wantIDs("list", s.list(set, nil), created)
		})
	}
}

func testAbsent(s *subject) {
	for _, set := range education.EntitySets {
		entity := s.create(set, nil)
		for _, property := range set.Properties {
			switch {
			case property.Required, property.Access == education.ReadOnly, property == set.ID:
				if entity.Value(property) == nil {
					s.Errorf("%s of %s has no value", property.Name, set.Name)
				}
			case property.Default != "":
				s.wantValue(entity, property.Name, property.Default)
			default:
				s.wantValue(entity, property.Name, nil)
			}
		}
	}
}

func testNullOnCreate(s *subject) {
	for _, set := range education.EntitySets {
		body := fields{}
		for _, property := range set.Properties {
			if !property.Required && property.Access != education.ReadOnly {
				body[property.Name] = nil
			}
		}
		entity := s.create(set, body)
		for name := range body {
			if property := set.Property(name); property.Default == "" && property != set.ID {
				s.wantValue(entity, name, nil)
			}
		}
	}
}

func testEmpty(s *subject) {
	for _, set := range education.EntitySets {
		entity := s.create(set, nil)
		for _, property := range set.Properties {
			if property.Type != education.String || property.Access != education.ReadWrite {
				continue
			}
			_, err := s.tryCreate(set, fields{property.Name: ""})
			s.wantError("create with "+property.Name+" empty", err, odata.InvalidRequest, property.Name)
			_, err = s.tryUpdate(entity, fields{property.Name: ""})
			s.wantError("update with "+property.Name+" empty", err, odata.InvalidRequest, property.Name)
		}
		s.wantSame(s.get(set, idOf(entity)), entity)
	}
}

func testEmptyKeeps(s *subject) {
	for _, set := range education.EntitySets {
		body, _ := filled(set)
		entity := s.create(set, body)
		for _, property := range set.Properties {
			if property.Type == education.String && property.Access == education.ReadWrite {
				updated := s.update(entity, fields{property.Name: ""})
				s.wantValue(updated, property.Name, entity.Value(property))
			}
		}
	}
}

func testChangeOne(s *subject) {
	for _, set := range education.EntitySets {
		body, _ := filled(set)
		entity := s.create(set, body)
		for _, property := range set.Properties {
			if property.Access != education.ReadWrite {
				continue
			}
			value := fixture(property)
			if property.Type == education.Boolean {
				value = false
			}
			if property.Default != "" {
				value = property.Default
			}
			updated := s.update(entity, fields{property.Name: jsonOf(value)})
			s.wantValue(updated, property.Name, value)
			s.wantOthersKept(updated, entity, property)
			entity = updated
		}
	}
}

// wantOthersKept fails the test unless an update has kept all properties but the given ones, apart from the time of the
// last change.
func (s *subject) wantOthersKept(updated, before *education.Entity, changed ...*education.Property) {
	s.Helper()
	for _, property := range before.Set.Properties {
		touched := property.Name == "lastModifiedDateTime"
		for _, one := range changed {
			touched = touched || one == property
		}
		if !touched {
			s.wantValue(updated, property.Name, before.Value(property))
		}
	}
}

func testClear(s *subject) {
	for _, set := range education.EntitySets {
		for _, property := range set.Properties {
			clearable := property.Access == education.ReadWrite || property.Access == education.WriteOnly
			body, _ := filled(set)
			entity := s.create(set, body)
			updated, err := s.tryUpdate(entity, fields{property.Name: nil})
			if property.Required || !clearable {
				s.wantError("clear "+property.Name, err, odata.InvalidRequest, property.Name)
				s.wantSame(s.get(set, idOf(entity)), entity)
				continue
			}
			if err != nil {
				s.Errorf("clear %s of a %s: %v", property.Name, set.Singular, err)
				continue
			}
			s.wantSame(updated, s.get(set, idOf(entity)))
			s.wantValue(updated, property.Name, nil)
			s.wantOthersKept(updated, entity, property)
			s.wantSame(s.update(entity, fields{property.Name: nil}), s.get(set, idOf(entity)))
			if property.Access == education.WriteOnly {
				continue
			}
			if property.Filter != education.NotFilterable && slices.Contains(s.ids(s.list(set, equal(property, entity.Value(property)))), entity.ID()) {
				s.Errorf("%s eq its old value finds the %s still", property.Name, set.Singular)
			}
			restored := s.update(entity, fields{property.Name: jsonOf(entity.Value(property))})
			s.wantValue(restored, property.Name, entity.Value(property))
		}
	}
}

func testNoSurname(s *subject) {
	surname := users.Property("surname")
	named := s.create(users, fields{username: "named", "surname": "Named"})
	bare := s.create(users, fields{username: "bare"})
	s.wantValue(bare, "surname", nil)
	s.wantIDs("surname eq null", s.list(users, equal(surname, nil)), bare)
	s.wantIDs("surname eq the username", s.list(users, equal(surname, "bare")))

	bare = s.update(bare, fields{username: "renamed"})
	s.wantValue(bare, "surname", nil)
	s.wantIDs("surname eq the new username", s.list(users, equal(surname, "renamed")))

	// A surname that happens to be the username is a surname.
	s.wantValue(s.update(bare, fields{"surname": "renamed"}), "surname", "renamed")
	s.wantIDs("surname eq the surname", s.list(users, equal(surname, "renamed")), bare)
	s.wantValue(s.update(bare, fields{username: "again"}), "surname", "renamed")
	s.wantValue(s.update(bare, fields{"surname": nil, username: "last"}), "surname", nil)
	s.wantIDs("surname eq null", s.list(users, equal(surname, nil)), bare)
	s.wantIDs("surname eq Named", s.list(users, equal(surname, "named")), named)
}

func testStandInShown(s *subject) {
	surname := users.Property("surname")
	user := s.create(users, fields{username: "max"})
	s.wantValue(user, "surname", "max")
	s.wantIDs("surname eq the username", s.list(users, equal(surname, "max")), user)
	s.wantIDs("surname eq null", s.list(users, equal(surname, nil)))
	s.wantValue(s.update(user, fields{"surname": "Mustermann"}), "surname", "Mustermann")
	s.wantValue(s.update(user, fields{"surname": nil}), "surname", "max")
	s.wantValue(s.update(user, fields{username: "moritz"}), "surname", "moritz")
	s.wantValue(s.update(user, fields{"surname": "moritz"}), "surname", "moritz")
	s.wantValue(s.update(user, fields{username: "max"}), "surname", "moritz")
}

func testEmptyPatch(s *subject) {
	for _, set := range education.EntitySets {
		body, _ := filled(set)
		entity := s.create(set, body)
		updated := s.update(entity, fields{})
		s.wantOthersKept(updated, entity)
		same := fields{}
		for _, property := range set.Properties {
			if property.Returned() && property.Name != "lastModifiedDateTime" {
				same[property.Name] = jsonOf(entity.Value(property))
			}
		}
		s.wantOthersKept(s.update(entity, same), entity)
	}
}

func testReadOnly(s *subject) {
	for _, set := range education.EntitySets {
		for _, property := range set.Properties {
			if property.Access != education.ReadOnly && property.Access != education.CreateOnly {
				continue
			}
			entity := s.create(set, nil)
			display := fixture(set.Property("displayName"))
			updated := s.update(entity, fields{property.Name: jsonOf(entity.Value(property)), "displayName": display})
			s.wantValue(updated, "displayName", display)

			var other any = newUUID()
			if at, ok := entity.Value(property).(time.Time); ok {
				other = jsonOf(at.Add(-time.Hour))
			}
			_, err := s.tryUpdate(entity, fields{property.Name: other, "displayName": "not to be"})
			s.wantError("change "+property.Name, err, odata.InvalidRequest, property.Name)
			s.wantValue(s.get(set, idOf(entity)), "displayName", display)
			if property.Type == education.UUID {
				s.update(entity, fields{property.Name: strings.ToUpper(entity.ID())})
			}
		}
	}
}

func testChosenID(s *subject) {
	id := newUUID()
	school := s.create(schools, fields{"id": strings.ToUpper(id)})
	s.wantValue(s.get(schools, keyOf(schools, "id", id)), "displayName", school.Text("displayName"))
	_, err := s.tryCreate(schools, fields{"id": id})
	s.wantError("an id that a school has", err, odata.NameAlreadyExists, "id")
	user := s.create(users, nil)
	_, err = s.tryCreate(schools, fields{"id": user.ID()})
	s.wantError("an id that a user has", err, odata.NameAlreadyExists, "id")
	s.wantIDs("schools", s.list(schools, nil), school)
}

func testPassword(s *subject) {
	const secret = "correct horse battery staple"
	password := users.Property("passwordProfile")
	body, _ := filled(users)
	body[password.Name] = fields{"password": secret}
	user := s.create(users, body)
	s.wantValue(user, password.Name, nil)
	for _, next := range []any{fields{"password": secret + " 2"}, nil, nil, fields{"password": secret + " 3"}} {
		updated := s.update(user, fields{password.Name: next})
		s.wantValue(updated, password.Name, nil)
		s.wantOthersKept(updated, user)
		for _, property := range users.Properties {
			shown, err := json.Marshal(updated.Value(property))
			if err != nil || strings.Contains(string(shown), secret) {
				s.Errorf("%s shows the password, or cannot be shown: %v", property.Name, err)
			}
		}
	}
}

// specialTexts are strings that mean something in a filter, a DN, an index or Unicode, and here mean themselves.
func specialTexts() []string {
	return []string{
		`*`, `a*b`, `*)(uid=*`, `(`, `)`, `()`, `(&)`, `\`, `\\`, `\2a`, `a\`, `\20`, `,`, `a,b=c`, `+`, `a+b`,
		`"`, `"quoted"`, `<`, `>`, `;`, `=`, `#`, `#04024869`, `/`, `a/b`, `-/-`, `'`, `''`, `%2F`, `%`, `&`, `|`, `!`, `$`, `.`, `..`, `:`, `@`,
		` leading`, `trailing `, `  both  `, `a  wide   gap`, `ä`, `Übergrößenträger`, `ſ`, `Straße`, `İstanbul`, `ﬁne`, `Ω`,
		`👩‍🏫`, `🏫 school`, `日本語`, `العربية`, "e\u0301", "\u00a0x", "a\u00adb", "x\u2028y", "\ufeffx", "x\U0010ffff", "\ufffd",
	}
}

func testSpecialCharacters(s *subject) {
	for _, set := range education.EntitySets {
		s.each(set.Name, func(s *subject) {
			texts := specialTexts()
			for i := 0; i < len(texts); i += Effort(5, 1, 1) {
				text := texts[i]
				s.checkText(set, func(property *education.Property) string { return text })
			}
			s.checkText(set, func(property *education.Property) string {
				return strings.Repeat("ä", longest(property, 1000)-1) + "*"
			})
		})
	}
}

// checkText gives every property of a new entity that takes any text the one that the function returns, and looks
// whether it is kept and found.
func (s *subject) checkText(set *education.EntitySet, text func(*education.Property) string) {
	s.Helper()
	body := fields{}
	for _, property := range set.Properties {
		switch {
		case takesAnyText(property):
			body[property.Name] = text(property)
		case property.Type == education.Identities:
			text := text(property)
			body[property.Name] = []education.Identity{{Issuer: text, IssuerAssignedID: text}}
		}
	}
	entity, err := s.tryCreate(set, body)
	if err != nil {
		s.Errorf("%q: %v", some([]string{text(set.Property("displayName"))}), err)
		return
	}
	read := s.get(set, idOf(entity))
	for _, property := range set.Properties {
		want, given := body[property.Name]
		if !given {
			continue
		}
		s.wantValue(read, property.Name, want)
		if property.Type != education.String {
			continue
		}
		what := fmt.Sprintf("%s eq %.20q", property.Name, want)
		s.wantIDs(what, s.list(set, equal(property, want)), entity)
		if property.Key {
			found := s.get(set, education.Key{Property: property, Value: want.(string)})
			if found.ID() != entity.ID() {
				s.Errorf("the key %s finds another entity", what)
			}
		}
	}
	// Changed to something else and back, the value is the same as well. In the end it is free for the next text, which
	// may be the same for a unique key.
	other := func() fields {
		changed := fields{}
		for name := range body {
			changed[name] = jsonOf(fixture(set.Property(name)))
		}
		return changed
	}
	s.update(entity, other())
	s.wantOthersKept(s.update(entity, body), entity)
	s.update(entity, other())
}

func testIdentitiesInTwoCases(s *subject) {
	identities := []education.Identity{
		{Issuer: "https://idp.example.org", IssuerAssignedID: "Max"},
		{Issuer: "https://idp.example.org", IssuerAssignedID: "max"},
	}
	user, err := s.tryCreate(users, fields{"identities": identities})
	if err == nil {
		s.wantValue(user, "identities", identities)
	} else {
		s.wantError("create", err, odata.InvalidRequest, "identities")
	}
	user = s.create(users, fields{"identities": identities[:1]})
	_, err = s.tryUpdate(user, fields{"identities": identities})
	if err != nil {
		s.wantError("update", err, odata.InvalidRequest, "identities")
		s.wantValue(s.get(users, idOf(user)), "identities", identities[:1])
	}
	// The case of the one identity can be changed.
	s.wantValue(s.update(user, fields{"identities": identities[1:]}), "identities", identities[1:])
}
