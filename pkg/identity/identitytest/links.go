package identitytest

import (
	"context"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var linkTests = []conformanceTest{
	{"a link is shown from both of its ends", manySchools, testBothEnds},
	{"adding a link twice is no error", defaults, testDoubleAdd},
	{"removing a link that is not there is not found", defaults, testAbsentRemove},
	{"removing a link that is not there is OpenCloud's answer in compatibility mode", compatible, testAbsentRemoveCompatible},
	{"a link needs both of its ends", defaults, testLinkEnds},
	{"a link can be named by any key", defaults, testLinkKeys},
	{"a user is in one school", defaults, testOneSchool},
	{"a user is in many schools if the rules say so", manySchools, testManySchools},
	{"a user moves to another school in one update", defaults, testMove},
	{"an entity can be made inside a school", defaults, testCreateInSchool},
	{"members and teachers can be given with a class", defaults, testBindMembers},
	{"the classes of a user include those it teaches", defaults, testTaughtClasses},
	{"a class may lose its last member", defaults, testLastMember},
	{"links survive renames", defaults, testLinksAndRenames},
}

// owned returns an owner and two targets of a navigation property, not linked yet.
func (s *subject) owned(nav *education.Navigation) (owner, first, second *education.Entity) {
	s.Helper()
	return s.create(nav.Owner, nil), s.create(nav.Target, nil), s.create(nav.Target, nil)
}

// eachRef runs a test for every navigation property that has $ref.
func (s *subject) eachRef(run func(s *subject, nav *education.Navigation)) {
	for _, nav := range education.Navigations {
		if nav.Ref {
			s.each(nav.Owner.Name+" "+nav.Name, func(s *subject) { run(s, nav) })
		}
	}
}

func testBothEnds(s *subject) {
	s.eachRef(func(s *subject, nav *education.Navigation) {
		owner, first, second := s.owned(nav)
		otherOwner := s.create(nav.Owner, nil)
		inverse := nav.Inverse()
		if inverse == nil {
			s.Fatalf("no navigation property shows the %s of %s from their other end", nav.Name, nav.Owner.Name)
		}
		s.wantRelated(nav, owner)
		s.wantRelated(inverse, first)
		s.addRef(nav, owner, first)
		s.addRef(nav, owner, second)
		s.addRef(nav, otherOwner, first)
		s.wantRelated(nav, owner, first, second)
		s.wantRelated(nav, otherOwner, first)
		s.wantRelated(inverse, first, owner, otherOwner)
		s.wantRelated(inverse, second, owner)
		s.removeRef(nav, owner, first)
		s.wantRelated(nav, owner, second)
		s.wantRelated(inverse, first, otherOwner)
		for entity, err := range s.related(nav, owner) {
			if err != nil {
				s.Fatal(err)
			}
			s.wantSame(entity, s.get(nav.Target, idOf(entity)))
		}
	})
}

func testDoubleAdd(s *subject) {
	s.eachRef(func(s *subject, nav *education.Navigation) {
		owner, first, second := s.owned(nav)
		s.addRef(nav, owner, first)
		s.addRef(nav, owner, second)
		s.addRef(nav, owner, first)
		s.wantRelated(nav, owner, first, second)
		s.removeRef(nav, owner, first)
		s.wantRelated(nav, owner, second)
	})
}

func testAbsentRemove(s *subject) {
	s.eachRef(func(s *subject, nav *education.Navigation) {
		owner, first, second := s.owned(nav)
		s.wantError("nothing linked", s.tryRemoveRef(nav, owner, first), odata.ItemNotFound, nav.Name)
		s.addRef(nav, owner, first)
		s.wantError("another one linked", s.tryRemoveRef(nav, owner, second), odata.ItemNotFound, nav.Name)
		s.removeRef(nav, owner, first)
		s.wantError("twice", s.tryRemoveRef(nav, owner, first), odata.ItemNotFound, nav.Name)
	})
}

func testAbsentRemoveCompatible(s *subject) {
	s.eachRef(func(s *subject, nav *education.Navigation) {
		owner, first, second := s.owned(nav)
		s.addRef(nav, owner, first)
		err := s.tryRemoveRef(nav, owner, second)
		switch {
		case !nav.SilentRemoval:
			s.wantError("remove", err, odata.ItemNotFound, nav.Name)
		case err != nil:
			s.Errorf("remove: %v", err)
		}
		s.wantRelated(nav, owner, first)
	})
}

func testLinkEnds(s *subject) {
	ctx := context.Background()
	s.eachRef(func(s *subject, nav *education.Navigation) {
		owner, target, _ := s.owned(nav)
		noOwner := education.Key{Property: nav.Owner.ID, Value: newUUID()}
		noTarget := education.Key{Property: nav.Target.ID, Value: newUUID()}
		s.wantError("add to nothing", s.directory.AddRef(ctx, nav, noOwner, idOf(target)), odata.ItemNotFound, nav.Owner.Name)
		s.wantError("add nothing", s.directory.AddRef(ctx, nav, idOf(owner), noTarget), odata.ItemNotFound, nav.Target.Name)
		s.wantError("remove from nothing", s.directory.RemoveRef(ctx, nav, noOwner, idOf(target)), odata.ItemNotFound, nav.Owner.Name)
		s.wantError("remove nothing", s.directory.RemoveRef(ctx, nav, idOf(owner), noTarget), odata.ItemNotFound, nav.Target.Name)
		// An id of another set is no id of this one.
		wrong := education.Key{Property: nav.Target.ID, Value: owner.ID()}
		s.wantError("add one of the wrong set", s.directory.AddRef(ctx, nav, idOf(owner), wrong), odata.ItemNotFound, nav.Target.Name)
		_, err := tryIDs(entities(s.directory.ListRelated(ctx, nav, noOwner, nil)))
		s.wantError("list of nothing", err, odata.ItemNotFound, nav.Owner.Name)
		s.wantRelated(nav, owner)
	})
	for _, nav := range education.Navigations {
		if !nav.Bind {
			continue
		}
		good, member := s.create(nav.Target, nil), nav.Name+"@odata.bind"
		references := append(bind(good), "/"+nav.Target.Name+"/"+newUUID())
		_, err := s.tryCreate(nav.Owner, fields{"displayName": "not to be", member: references})
		s.wantError("create with a link to nothing", err, odata.ItemNotFound, nav.Name)
		s.wantIDs("created all the same", s.list(nav.Owner, equal(nav.Owner.Property("displayName"), "not to be")))
		owner := s.create(nav.Owner, nil)
		_, err = s.tryUpdate(owner, fields{"displayName": "not to be", member: references})
		s.wantError("update with a link to nothing", err, odata.ItemNotFound, nav.Name)
		s.wantSame(s.get(nav.Owner, idOf(owner)), owner)
		s.wantRelated(nav, owner)
	}
}

func testLinkKeys(s *subject) {
	ctx := context.Background()
	school := s.create(schools, fields{"schoolNumber": "0042"})
	user := s.create(users, fields{username: "max", "externalId": "4711"})
	class := s.create(classes, fields{"externalId": "5a"})
	for _, userKey := range []education.Key{idOf(user), keyOf(users, username, "MAX"), keyOf(users, "externalId", "4711")} {
		for nav, owner := range map[*education.Navigation]education.Key{
			schoolUsers: keyOf(schools, "schoolNumber", "0042"), classMembers: keyOf(classes, "externalId", "5A"),
		} {
			if err := s.directory.AddRef(ctx, nav, owner, userKey); err != nil {
				s.Errorf("add by %s: %v", userKey.Property.Name, err)
			}
			if err := s.directory.RemoveRef(ctx, nav, owner, userKey); err != nil {
				s.Errorf("remove by %s: %v", userKey.Property.Name, err)
			}
		}
	}
	references := []string{"/users/max", "https://elsewhere.example.org/v1.0/education/users(externalId='4711')", "users('" + user.ID() + "')"}
	s.update(class, fields{"members@odata.bind": references})
	s.wantRelated(classMembers, class, user)
	s.update(user, fields{"schools@odata.bind": []string{"/schools/0042"}})
	s.wantRelated(userSchools, user, school)
}

func testOneSchool(s *subject) {
	one, two := s.create(schools, nil), s.create(schools, nil)
	user := s.create(users, nil)
	s.addRef(schoolUsers, one, user)
	s.wantError("a second school", s.tryAddRef(schoolUsers, two, user), odata.Conflict, "users")
	s.addRef(schoolUsers, one, user)
	s.wantRelated(userSchools, user, one)
	s.wantRelated(schoolUsers, two)
	_, err := s.tryCreate(users, fields{"schools@odata.bind": bind(one, two)})
	s.wantError("create in two schools", err, odata.Conflict, "schools")
	_, err = s.tryUpdate(user, fields{"schools@odata.bind": bind(one, two)})
	s.wantError("update to two schools", err, odata.Conflict, "schools")
	s.wantRelated(userSchools, user, one)
	s.create(users, fields{"schools@odata.bind": append(bind(one), bind(one)...)})

	s.removeRef(schoolUsers, one, user)
	s.addRef(schoolUsers, two, user)
	s.wantRelated(userSchools, user, two)
	// Classes are shared between schools.
	class := s.create(classes, fields{"schools@odata.bind": bind(one, two)})
	s.wantRelated(classSchools, class, one, two)
}

func testManySchools(s *subject) {
	one, two, three := s.create(schools, nil), s.create(schools, nil), s.create(schools, nil)
	user := s.create(users, fields{"schools@odata.bind": bind(one, two)})
	s.addRef(schoolUsers, three, user)
	s.wantRelated(userSchools, user, one, two, three)
	s.removeRef(schoolUsers, two, user)
	s.wantRelated(userSchools, user, one, three)
	s.update(user, fields{"schools@odata.bind": bind(two, three)})
	s.wantRelated(userSchools, user, one, two, three)
}

func testMove(s *subject) {
	one, two := s.create(schools, nil), s.create(schools, nil)
	user := s.create(users, fields{"schools@odata.bind": bind(one)})
	updated := s.update(user, fields{"schools@odata.bind": bind(two), "givenName": "Max"})
	s.wantValue(updated, "givenName", "Max")
	s.wantRelated(userSchools, user, two)
	s.wantRelated(schoolUsers, one)
	s.wantRelated(schoolUsers, two, user)
	s.update(user, fields{"schools@odata.bind": bind(two)})
	s.wantRelated(userSchools, user, two)
	s.removeRef(schoolUsers, two, user)
	s.update(user, fields{"schools@odata.bind": bind(one)})
	s.wantRelated(userSchools, user, one)
	s.wantError("a second school", s.tryAddRef(schoolUsers, two, user), odata.Conflict, "users")
}

func testCreateInSchool(s *subject) {
	school := s.create(schools, nil)
	for set, nav := range inSchool {
		body, values := filled(set)
		complete, err := s.tryChange(set, education.CreateEntity, body)
		if err == nil {
			err = complete.LinkTo(nav.Inverse(), idOf(school))
		}
		if err != nil {
			s.Fatal(err)
		}
		created, err := s.directory.Create(context.Background(), set, complete)
		if err != nil {
			s.Fatal(err)
		}
		s.wantRelated(nav, school, created)
		s.wantValue(created, "externalId", values[set.Property("externalId")])
		s.removeRef(nav, school, created)
		s.wantRelated(nav, school)
	}
}

func testBindMembers(s *subject) {
	first, second, third := s.create(users, nil), s.create(users, nil), s.create(users, nil)
	class := s.create(classes, fields{"members@odata.bind": bind(first, second, first), "teachers@odata.bind": bind(third)})
	s.wantRelated(classMembers, class, first, second)
	s.wantRelated(classTeachers, class, third)
	// Those that are given are added; the others stay.
	s.update(class, fields{"members@odata.bind": bind(second, third), "teachers@odata.bind": bind(first), "displayName": "5b"})
	s.wantRelated(classMembers, class, first, second, third)
	s.wantRelated(classTeachers, class, first, third)
	s.update(class, fields{"members@odata.bind": []string{}})
	s.wantRelated(classMembers, class, first, second, third)
}

func testTaughtClasses(s *subject) {
	user, other := s.create(users, nil), s.create(users, nil)
	joined := s.create(classes, fields{"members@odata.bind": bind(user, other)})
	taught := s.create(classes, fields{"teachers@odata.bind": bind(user), "members@odata.bind": bind(other)})
	both := s.create(classes, fields{"teachers@odata.bind": bind(user), "members@odata.bind": bind(user)})
	s.create(classes, nil)
	s.wantRelated(userClasses, user, joined, taught, both)
	s.wantRelated(userTaughtClasses, user, taught, both)
	s.wantRelated(userClasses, other, joined, taught)
	s.wantRelated(userTaughtClasses, other)
	s.removeRef(classTeachers, taught, user)
	s.removeRef(classMembers, both, user)
	s.wantRelated(userClasses, user, joined, both)
}

func testLastMember(s *subject) {
	for _, nav := range []*education.Navigation{classMembers, classTeachers} {
		class, first, second := s.owned(nav)
		for range 2 {
			s.wantRelated(nav, class)
			s.addRef(nav, class, first)
			s.addRef(nav, class, second)
			s.removeRef(nav, class, first)
			s.removeRef(nav, class, second)
		}
		s.wantRelated(nav, class)
		s.wantError("one too many", s.tryRemoveRef(nav, class, first), odata.ItemNotFound, nav.Name)
		s.update(class, fields{"displayName": "still here"})
	}
}

func testLinksAndRenames(s *subject) {
	school, user := s.create(schools, nil), s.create(users, nil)
	class := s.create(classes, fields{"members@odata.bind": bind(user), "schools@odata.bind": bind(school)})
	s.addRef(schoolUsers, school, user)
	s.update(user, fields{username: "renamed", "externalId": "4711"})
	s.update(school, fields{"displayName": "renamed", "externalId": "renamed", "schoolNumber": "7"})
	s.update(class, fields{"displayName": "renamed", "externalId": "renamed"})
	s.wantRelated(classMembers, class, user)
	s.wantRelated(userClasses, user, class)
	s.wantRelated(schoolUsers, school, user)
	s.wantRelated(schoolClasses, school, class)
	s.wantRelated(userSchools, user, school)
}
