package identitytest

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var tenancyTests = []conformanceTest{
	{"a tenant sees its own and nothing else", manySchools, testTenantSees},
	{"a foreign key is one that does not exist", manySchools, testForeignKeys},
	{"a tenant cannot ask about what it does not see", manySchools, testForeignFilters},
	{"a tenant creates within itself", defaults, testTenantCreates},
	{"a tenant of several schools names the one it creates in", defaults, testSeveralSchools},
	{"a tenant changes its own and nothing else", defaults, testTenantChanges},
	{"a tenant does not change what others share", manySchools, testSharedEntities},
	{"a tenant moves nothing out of its reach", defaults, testTenantKeeps},
	{"a tenant does not change schools", defaults, testTenantSchools},
	{"a tenant is told that a username is taken, and nothing about by whom", defaults, testTakenUsername},
	{"a page of another tenant's list is none", defaults, testCursorOfTenant},
	{"a tenant without a school has nothing", defaults, testNoTenant},
	{"an entity that leaves a tenant while it is changed is not changed", defaults, testChangedWhileMoved},
}

// tenant is a school with a user and a class that has the user as its member and teacher.
type tenant struct{ school, user, class *education.Entity }

func (s *subject) tenant() tenant {
	s.Helper()
	t := tenant{school: s.create(schools, fields{"externalId": newUUID(), "schoolNumber": "n" + newUUID()})}
	t.user = s.create(users, fields{"schools@odata.bind": bind(t.school), "externalId": newUUID()})
	t.class = s.create(classes, fields{
		"schools@odata.bind": bind(t.school), "externalId": newUUID(), "members@odata.bind": bind(t.user), "teachers@odata.bind": bind(t.user),
	})
	return t
}

// of returns the tenant's entity of a set.
func (t tenant) of(set *education.EntitySet) *education.Entity {
	return map[*education.EntitySet]*education.Entity{schools: t.school, users: t.user, classes: t.class}[set]
}

func testTenantSees(s *subject) {
	own, foreign := s.tenant(), s.tenant()
	s.create(users, nil)
	s.create(classes, fields{"externalId": newUUID()})
	// An administrator has linked across the tenants.
	s.addRef(classMembers, own.class, foreign.user)
	s.addRef(classTeachers, own.class, foreign.user)
	s.addRef(classMembers, foreign.class, own.user)
	own.class = s.get(classes, idOf(own.class)) // The links are a change of it, perhaps in another second.
	bound := s.as(own.school)
	for _, set := range education.EntitySets {
		bound.wantIDs(set.Name, bound.list(set, &odata.Query{}), own.of(set))
		bound.wantSame(bound.get(set, idOf(own.of(set))), s.get(set, idOf(own.of(set))))
		counted, err := bound.directory.List(bound.ctx, set, &odata.Query{Count: true})
		if err != nil || counted.Total != 1 {
			s.Errorf("number of %s: got %d, %v; want 1", set.Name, counted.Total, err)
		}
	}
	for _, nav := range education.Navigations {
		owner, target := own.of(nav.Owner), own.of(nav.Target)
		bound.wantRelated(nav, owner, target)
		query := &odata.Query{Expand: []odata.Expand{{Navigation: nav.Name, Query: &odata.Query{}}}}
		expanded, err := bound.directory.Get(bound.ctx, nav.Owner, idOf(owner), query)
		if err != nil {
			s.Fatal(err)
		}
		related, _ := expanded.Related(nav)
		bound.wantIDs(nav.Owner.Name+" with "+nav.Name, entities(&education.Answer{Entities: sequence(related)}, nil), target)
	}
	both := s.as(own.school, foreign.school)
	both.wantIDs("users of two tenants", both.list(users, &odata.Query{}), own.user, foreign.user)
	both.wantRelated(classMembers, own.class, own.user, foreign.user)
}

// sequence yields entities.
func sequence(all []*education.Entity) func(func(*education.Entity, error) bool) {
	return func(yield func(*education.Entity, error) bool) {
		for _, entity := range all {
			if !yield(entity, nil) {
				return
			}
		}
	}
}

// keysOf returns all keys of an entity.
func keysOf(entity *education.Entity) []education.Key {
	var keys []education.Key
	for _, property := range entity.Set.Properties {
		if text, ok := entity.Value(property).(string); ok && property.Key {
			keys = append(keys, education.Key{Property: property, Value: text})
		}
	}
	return keys
}

// testForeignKeys uses each foreign key in every place of each operation that takes one, and compares the error with that
// for a key that nobody has.
func testForeignKeys(s *subject) {
	own, foreign := s.tenant(), s.tenant()
	bound := s.as(own.school)
	for _, set := range education.EntitySets {
		for _, key := range keysOf(foreign.of(set)) {
			absent := education.Key{Property: key.Property, Value: newUUID()}
			for what, try := range bound.uses(set, own) {
				got, want := try(key), try(absent)
				if !sameError(got, want, key.Value, absent.Value) {
					s.Errorf("%s with the %s of a foreign %s: got %v, want as for one that does not exist: %v",
						what, key.Property.Name, set.Singular, got, want)
				}
			}
		}
	}
	for _, set := range education.EntitySets {
		s.wantSame(s.get(set, idOf(foreign.of(set))), foreign.of(set))
	}
	for _, nav := range education.Navigations {
		s.wantRelated(nav, foreign.of(nav.Owner), foreign.of(nav.Target))
		s.wantRelated(nav, own.of(nav.Owner), own.of(nav.Target))
	}
}

// uses returns what can be tried with a key of a set.
func (s *subject) uses(set *education.EntitySet, own tenant) map[string]func(education.Key) error {
	uses := map[string]func(education.Key) error{
		"get": func(key education.Key) error { _, err := s.tryGet(set, key); return err },
		"delete": func(key education.Key) error {
			return s.directory.Delete(s.ctx, set, key)
		},
		"update": func(key education.Key) error {
			change, err := s.tryChange(set, education.UpdateEntity, fields{"displayName": "changed"})
			if err != nil {
				return err
			}
			_, err = s.directory.Update(s.ctx, set, key, change)
			return err
		},
	}
	for _, nav := range education.Navigations {
		name := nav.Owner.Name + "/" + nav.Name
		if nav.Owner == set {
			uses["list "+name] = func(key education.Key) error {
				_, err := s.directory.ListRelated(s.ctx, nav, key, &odata.Query{})
				return err
			}
			uses["add to "+name] = func(key education.Key) error { return s.directory.AddRef(s.ctx, nav, key, idOf(own.of(nav.Target))) }
			uses["remove from "+name] = func(key education.Key) error { return s.directory.RemoveRef(s.ctx, nav, key, idOf(own.of(nav.Target))) }
		}
		if nav.Target == set {
			uses["add as one of "+name] = func(key education.Key) error { return s.directory.AddRef(s.ctx, nav, idOf(own.of(nav.Owner)), key) }
			uses["remove as one of "+name] = func(key education.Key) error {
				return s.directory.RemoveRef(s.ctx, nav, idOf(own.of(nav.Owner)), key)
			}
		}
		if nav.Target == set && nav.Bind {
			link := func(change *education.Change, key education.Key) {
				change.Links = append(change.Links, education.Link{Navigation: nav, Keys: []education.Key{key}})
			}
			uses["create with "+name] = func(key education.Key) error {
				change, err := s.tryChange(nav.Owner, education.CreateEntity, nil)
				if err != nil {
					return err
				}
				link(change, key)
				_, err = s.directory.Create(s.ctx, nav.Owner, change)
				return err
			}
			uses["update with "+name] = func(key education.Key) error {
				change, err := s.tryChange(nav.Owner, education.UpdateEntity, nil)
				if err != nil {
					return err
				}
				link(change, key)
				_, err = s.directory.Update(s.ctx, nav.Owner, idOf(own.of(nav.Owner)), change)
				return err
			}
		}
	}
	return uses
}

// sameError reports whether two errors look the same to a client that has sent one value in the one case and another in the
// other.
func sameError(got, want error, sent, other string) bool {
	var left, right *odata.Error
	if !errors.As(got, &left) || !errors.As(want, &right) {
		return false
	}
	return left.Code == right.Code && left.Target == right.Target && len(left.Details) == len(right.Details) &&
		withoutValue(left.Message, sent) == withoutValue(right.Message, other)
}

// withoutValue returns a message without the client's own text in it.
func withoutValue(message, value string) string {
	if value == "" {
		return message
	}
	return strings.ReplaceAll(message, value, "…")
}

// testForeignFilters asks for own entities by what they have to do with foreign ones.
func testForeignFilters(s *subject) {
	own, foreign := s.tenant(), s.tenant()
	s.addRef(schoolUsers, foreign.school, own.user)
	lonely := s.create(classes, fields{"schools@odata.bind": bind(own.school), "externalId": newUUID()})
	s.addRef(classMembers, lonely, foreign.user)
	bound := s.as(own.school)
	any := func(nav *education.Navigation, filter odata.Filter) *odata.Query {
		return &odata.Query{Filter: &odata.Any{Navigation: nav.Name, Filter: filter}}
	}
	is := func(entity *education.Entity) odata.Filter {
		return &odata.Compare{Property: entity.Set.ID.Name, Operator: odata.Eq, Value: entity.ID()}
	}
	bound.wantIDs("users of the foreign school", bound.list(users, any(userSchools, is(foreign.school))))
	bound.wantIDs("users of the own school", bound.list(users, any(userSchools, is(own.school))), own.user)
	bound.wantIDs("classes of the foreign user", bound.list(classes, any(classMembers, is(foreign.user))))
	bound.wantIDs("classes with members", bound.list(classes, any(classMembers, nil)), own.class)
	bound.wantIDs("users of the foreign class", bound.list(users, any(userClasses, is(foreign.class))))
	none := &odata.Query{Filter: &odata.Count{Navigation: classMembers.Name, Operator: odata.Eq, Value: 0}}
	bound.wantIDs("classes without members", bound.list(classes, none), lonely)
	s.wantIDs("classes with members, to an administrator", s.list(classes, any(classMembers, nil)), own.class, foreign.class, lonely)
}

func testTenantCreates(s *subject) {
	own, foreign := s.tenant(), s.tenant()
	bound := s.as(own.school)
	for _, set := range []*education.EntitySet{users, classes} {
		body := fields{"externalId": foreign.of(set).Text("externalId")}
		made := bound.create(set, body)
		s.wantRelated(education.NavigationOf(set, schools.Name), made, own.school)
		named := bound.create(set, fields{"schools@odata.bind": bind(own.school)})
		s.wantRelated(education.NavigationOf(set, schools.Name), named, own.school)
		_, err := bound.tryCreate(set, body)
		s.wantError("create one of "+set.Name+" with an externalId that is taken in the tenant", err, odata.NameAlreadyExists, "externalId")
		_, err = bound.tryCreate(set, fields{"schools@odata.bind": bind(own.school, foreign.school)})
		if err == nil || odata.Is(err, odata.Conflict) {
			s.Errorf("create one of %s in two schools, one of them foreign: got %v", set.Name, err)
		}
	}
}

func testSeveralSchools(s *subject) {
	first, second := s.tenant(), s.tenant()
	both := s.as(first.school, second.school)
	for _, set := range []*education.EntitySet{users, classes} {
		_, err := both.tryCreate(set, nil)
		s.wantError("create one of "+set.Name+" in none of two schools", err, odata.InvalidRequest, schools.Name)
		made := both.create(set, fields{"schools@odata.bind": bind(second.school)})
		s.wantRelated(education.NavigationOf(set, schools.Name), made, second.school)
	}
	moved := both.update(first.user, fields{"schools@odata.bind": bind(second.school)})
	s.wantRelated(userSchools, moved, second.school)
}

func testTenantChanges(s *subject) {
	own := s.tenant()
	bound := s.as(own.school)
	another := bound.create(users, nil)
	for _, set := range []*education.EntitySet{users, classes} {
		bound.wantValue(bound.update(own.of(set), fields{"displayName": "changed"}), "displayName", "changed")
	}
	for _, nav := range []*education.Navigation{classMembers, classTeachers} {
		bound.addRef(nav, own.class, another)
		bound.wantRelated(nav, own.class, own.user, another)
		bound.removeRef(nav, own.class, another)
		bound.wantRelated(nav, own.class, own.user)
	}
	bound.delete(own.user)
	s.wantGone(own.user)
	s.wantRelated(classMembers, own.class)
	bound.delete(own.class)
	s.wantGone(own.class)
}

func testSharedEntities(s *subject) {
	own, foreign := s.tenant(), s.tenant()
	s.addRef(schoolUsers, foreign.school, own.user)
	s.addRef(schoolClasses, foreign.school, own.class)
	bound := s.as(own.school)
	for _, set := range []*education.EntitySet{users, classes} {
		before := s.get(set, idOf(own.of(set)))
		bound.wantRelated(education.NavigationOf(set, schools.Name), own.of(set), own.school)
		_, err := bound.tryUpdate(own.of(set), fields{"displayName": "changed"})
		s.wantError("update a shared "+set.Singular, err, odata.AccessDenied, set.Name)
		s.wantError("delete a shared "+set.Singular, bound.tryDelete(own.of(set)), odata.AccessDenied, set.Name)
		nav := education.NavigationOf(schools, set.Name)
		s.wantError("remove a shared "+set.Singular, bound.tryRemoveRef(nav, own.school, own.of(set)), odata.AccessDenied, set.Name)
		s.wantSame(s.get(set, idOf(own.of(set))), before)
	}
	s.wantError("add to a shared class", bound.tryAddRef(classMembers, own.class, own.user), odata.AccessDenied, classes.Name)
	// Whoever may act for both schools may do all of it.
	both := s.as(own.school, foreign.school)
	both.removeRef(schoolUsers, foreign.school, own.user)
	both.wantRelated(userSchools, own.user, own.school)
	both.update(own.class, fields{"displayName": "changed"})
}

func testTenantKeeps(s *subject) {
	own, foreign := s.tenant(), s.tenant()
	outside := s.create(users, nil)
	bound := s.as(own.school)
	for _, set := range []*education.EntitySet{users, classes} {
		nav := education.NavigationOf(schools, set.Name)
		s.wantError("take a "+set.Singular+" out", bound.tryRemoveRef(nav, own.school, own.of(set)), odata.AccessDenied, set.Name)
		_, err := bound.tryUpdate(own.of(set), fields{"schools@odata.bind": bind(foreign.school)})
		s.wantError("move a "+set.Singular+" out", err, odata.ItemNotFound, schools.Name)
		s.wantRelated(nav.Inverse(), own.of(set), own.school)
	}
	s.wantError("take a user in", bound.tryAddRef(schoolUsers, own.school, outside), odata.ItemNotFound, users.Name)
	s.wantRelated(userSchools, outside)
}

func testTenantSchools(s *subject) {
	own, foreign := s.tenant(), s.tenant()
	bound := s.as(own.school)
	_, err := bound.tryCreate(schools, nil)
	s.wantError("create a school", err, odata.AccessDenied, schools.Name)
	for _, school := range []*education.Entity{own.school, foreign.school} {
		_, err := bound.tryUpdate(school, fields{"displayName": "changed"})
		s.wantError("update a school", err, odata.AccessDenied, schools.Name)
		s.wantError("delete a school", bound.tryDelete(school), odata.AccessDenied, schools.Name)
		s.wantSame(s.get(schools, idOf(school)), school)
	}
}

func testTakenUsername(s *subject) {
	own, foreign := s.tenant(), s.tenant()
	bound := s.as(own.school)
	taken := func(by tenant) error {
		_, err := bound.tryCreate(users, fields{username: by.user.Text(username)})
		return err
	}
	renamed := func(by tenant) error {
		another := bound.create(users, nil)
		_, err := bound.tryUpdate(another, fields{username: by.user.Text(username)})
		return err
	}
	for what, try := range map[string]func(tenant) error{"create": taken, "rename": renamed} {
		s.wantError(what+" with a foreign username", try(foreign), odata.NameAlreadyExists, username)
		if got, want := try(foreign), try(own); !sameError(got, want, "", "") {
			s.Errorf("%s with a foreign username: got %v, want as for one in the tenant: %v", what, got, want)
		}
	}
}

func testCursorOfTenant(s *subject) {
	own, foreign := s.tenant(), s.tenant()
	top := 1
	query := &odata.Query{Top: &top}
	for _, by := range []*subject{s, s.as(foreign.school)} {
		by.create(users, fields{"schools@odata.bind": bind(foreign.school)})
		answer, err := by.directory.List(by.ctx, users, query)
		if err != nil || answer.Next == "" {
			s.Fatalf("a page: got %+v, %v", answer, err)
		}
		bound := s.as(own.school)
		_, err = bound.directory.List(bound.ctx, users, &odata.Query{Top: &top, Cursor: answer.Next})
		s.wantError("the page after another tenant's", err, odata.InvalidRequest, odata.OptionSkipToken)
	}
}

func testNoTenant(s *subject) {
	foreign := s.tenant()
	bound := s.as()
	for _, set := range education.EntitySets {
		bound.wantIDs(set.Name, bound.list(set, &odata.Query{}))
		_, err := bound.tryGet(set, idOf(foreign.of(set)))
		s.wantError("get a foreign "+set.Singular, err, odata.ItemNotFound, set.Name)
		_, err = bound.tryCreate(set, nil)
		s.wantError("create a "+set.Singular, err, odata.AccessDenied, set.Name)
	}
}

// testChangedWhileMoved lets an administrator move a user back and forth while a tenant changes it. Whatever the tenant did is
// done to a user of its own: the value it writes names the tenant, and is never seen together with the other school.
func testChangedWhileMoved(s *subject) {
	own, foreign := s.tenant(), s.tenant()
	bound := s.as(own.school)
	const rounds = 30
	errs := inParallel(2, func(i int) error {
		for range rounds {
			if i == 0 {
				for _, school := range []*education.Entity{foreign.school, own.school} {
					// The one who moves takes the mark away in the same write.
					if _, err := s.tryUpdate(own.user, fields{"schools@odata.bind": bind(school), "givenName": nil}); err != nil {
						return err
					}
					moved, err := s.directory.Get(s.ctx, users, idOf(own.user), &odata.Query{Expand: []odata.Expand{{Navigation: "schools", Query: &odata.Query{}}}})
					if err != nil {
						return err
					}
					at, _ := moved.Related(userSchools)
					if school == foreign.school && slices.ContainsFunc(at, func(e *education.Entity) bool { return e.ID() == school.ID() }) && moved.Text("givenName") != "" {
						return errors.New("the tenant has changed a user that was not its own any more")
					}
				}
				continue
			}
			_, err := bound.tryUpdate(own.user, fields{"givenName": "marked"})
			if err != nil && !odata.Is(err, odata.ItemNotFound) && !odata.Is(err, odata.ServiceNotAvailable) {
				return err
			}
		}
		return nil
	})
	if err := cmp.Or(errs...); err != nil {
		s.Error(err)
	}
}
