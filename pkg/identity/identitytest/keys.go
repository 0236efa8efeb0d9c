package identitytest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var keyTests = []conformanceTest{
	{"every key finds its entity", defaults, testKeys},
	{"keys are compared without case and blanks at their ends", defaults, testKeysFold},
	{"a key that nothing has is not found", defaults, testKeyNotFound},
	{"a key that two entities have is an error with both ids", defaults, testAmbiguousKey},
	{"a property that two entities share keeps neither from being changed", defaults, testSharedKeyUpdate},
}

func testKeys(s *subject) {
	for _, set := range education.EntitySets {
		body, _ := filled(set)
		entity := s.create(set, body)
		other, _ := filled(set)
		s.create(set, other)
		s.create(set, nil)
		for _, property := range set.Properties {
			if !property.Key {
				continue
			}
			found := s.get(set, education.Key{Property: property, Value: entity.Text(property.Name)})
			s.wantSame(found, entity)
		}
		for _, text := range []string{entity.ID(), strings.ToUpper(entity.ID()), entity.Text(set.HumanKey.Name)} {
			key, err := set.Key(odata.Key{Value: text})
			if err != nil {
				s.Fatal(err)
			}
			s.wantSame(s.get(set, key), entity)
		}
	}
}

func testKeysFold(s *subject) {
	school := s.create(schools, fields{"displayName": "Große Schule", "schoolNumber": "A 1"})
	for name, texts := range map[string][]string{
		"displayName":  {"große schule", "GROSSE SCHULE", "  Große   Schule ", "Grosse Schule"},
		"schoolNumber": {"a 1", " A  1 "},
	} {
		for _, text := range texts {
			s.wantSame(s.get(schools, keyOf(schools, name, text)), school)
		}
	}
	_, err := s.tryGet(schools, keyOf(schools, "schoolNumber", "A1"))
	s.wantError("a number without its blank", err, odata.ItemNotFound, "schools")
}

func testKeyNotFound(s *subject) {
	ctx := context.Background()
	for _, set := range education.EntitySets {
		s.create(set, nil)
		for _, property := range set.Properties {
			if !property.Key {
				continue
			}
			key := education.Key{Property: property, Value: "nobody"}
			if property.Type == education.UUID {
				key.Value = newUUID()
			}
			_, err := s.tryGet(set, key)
			s.wantError("get by "+property.Name, err, odata.ItemNotFound, set.Name)
			change, err := s.tryChange(set, education.UpdateEntity, fields{"displayName": "x"})
			if err != nil {
				s.Fatal(err)
			}
			_, err = s.directory.Update(ctx, set, key, change)
			s.wantError("update by "+property.Name, err, odata.ItemNotFound, set.Name)
			err = s.directory.Delete(ctx, set, key)
			s.wantError("delete by "+property.Name, err, odata.ItemNotFound, set.Name)
		}
		// A name that is shaped like an id is an id, and text that is none is not one.
		_, err := s.tryGet(set, education.Key{Property: set.ID, Value: "no id"})
		s.wantError("get by an id that is none", err, odata.ItemNotFound, set.Name)
	}
}

// shared makes two users with the same externalId in different schools.
func (s *subject) shared(externalID string) (first, second, firstSchool, secondSchool *education.Entity) {
	s.Helper()
	firstSchool, secondSchool = s.create(schools, nil), s.create(schools, nil)
	first = s.create(users, fields{"externalId": externalID, "schools@odata.bind": bind(firstSchool)})
	second = s.create(users, fields{"externalId": externalID, "schools@odata.bind": bind(secondSchool)})
	return first, second, firstSchool, secondSchool
}

func testAmbiguousKey(s *subject) {
	ctx := context.Background()
	first, second, firstSchool, secondSchool := s.shared("4711")
	key := keyOf(users, "externalId", "4711")
	class := s.create(classes, nil)
	check := func() {
		s.Helper()
		_, err := s.tryGet(users, key)
		s.wantAmbiguous("get", err, first, second)
		change, err := s.tryChange(users, education.UpdateEntity, fields{"displayName": "x"})
		if err != nil {
			s.Fatal(err)
		}
		_, err = s.directory.Update(ctx, users, key, change)
		s.wantAmbiguous("update", err, first, second)
		s.wantAmbiguous("delete", s.directory.Delete(ctx, users, key), first, second)
		_, err = tryIDs(entities(s.directory.ListRelated(ctx, userClasses, key, nil)))
		s.wantAmbiguous("list of a navigation property", err, first, second)
		s.wantAmbiguous("add", s.directory.AddRef(ctx, classMembers, idOf(class), key), first, second)
		s.wantAmbiguous("remove", s.directory.RemoveRef(ctx, classMembers, idOf(class), key), first, second)
		_, err = s.tryCreate(classes, fields{"members@odata.bind": []string{"/users(externalId='4711')"}})
		s.wantAmbiguous("create with a link", err, first, second)
	}
	check()
	// Nobody is kept in a school because somebody outside of it has the same externalId.
	s.removeRef(schoolUsers, firstSchool, first)
	s.removeRef(schoolUsers, secondSchool, second)
	check()
	s.wantIDs("users", s.list(users, nil), first, second)

	s.update(second, fields{"externalId": "4712"})
	s.wantSame(s.get(users, key), s.get(users, idOf(first)))
	_, err := s.tryUpdate(second, fields{"externalId": "4711"})
	s.wantError("take the externalId back", err, odata.NameAlreadyExists, "externalId")
	s.delete(first)
	s.update(second, fields{"externalId": "4711"})
	s.wantSame(s.get(users, key), s.get(users, idOf(second)))
}

// wantAmbiguous fails the test unless err says that the key has the wanted entities, with their ids.
func (s *subject) wantAmbiguous(what string, err error, want ...*education.Entity) {
	s.Helper()
	var fault *odata.Error
	if !errors.As(err, &fault) || fault.Code != odata.TooManyResults {
		s.Errorf("%s by an ambiguous key: got %v, want TooManyResults", what, err)
		return
	}
	for _, entity := range want {
		if !slices.ContainsFunc(fault.Details, func(detail odata.Detail) bool { return detail.Target == entity.ID() }) {
			s.Errorf("%s by an ambiguous key: the details lack an id", what)
		}
	}
}

func testSharedKeyUpdate(s *subject) {
	first, second, firstSchool, secondSchool := s.shared("4711")
	s.removeRef(schoolUsers, firstSchool, first)
	s.removeRef(schoolUsers, secondSchool, second)
	for _, user := range []*education.Entity{first, second} {
		s.wantValue(s.update(user, fields{"accountEnabled": false}), "accountEnabled", false)
		s.wantValue(s.update(user, fields{"externalId": "4711", "givenName": "Max"}), "givenName", "Max")
	}
	s.addRef(schoolUsers, firstSchool, second)
	s.wantRelated(schoolUsers, firstSchool, second)
	err := s.tryAddRef(schoolUsers, firstSchool, first)
	s.wantError("a second 4711 in one school", err, odata.NameAlreadyExists, "externalId")
	s.wantRelated(userSchools, first)
	s.addRef(schoolUsers, secondSchool, first)
	s.wantRelated(userSchools, first, secondSchool)
	s.delete(first)
	s.delete(second)
	s.create(users, fields{"externalId": "4711"})
}
