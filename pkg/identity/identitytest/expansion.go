package identitytest

import (
	"context"
	"slices"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var expansionTests = []conformanceTest{
	{"$expand shows the targets of every navigation property", manySchools, testExpand},
	{"$expand takes options of its own", manySchools, testExpandOptions},
	{"an expanded list is complete", manySchools, testExpandMany},
}

// wantExpanded fails the test unless an entity was expanded to the targets, in this order if the expansion has one.
func (s *subject) wantExpanded(what string, entity *education.Entity, nav *education.Navigation, inOrder bool, want ...*education.Entity) {
	s.Helper()
	related, ok := entity.Related(nav)
	if !ok {
		s.Errorf("%s: %s is not expanded", what, nav.Name)
		return
	}
	got, wanted := []string{}, []string{}
	for _, target := range related {
		got = append(got, target.ID())
	}
	for _, target := range want {
		wanted = append(wanted, target.ID())
	}
	if !inOrder {
		slices.Sort(got)
		slices.Sort(wanted)
	}
	if !slices.Equal(got, wanted) {
		s.Errorf("%s: %s: got %q, want %q", what, nav.Name, got, wanted)
	}
}

func testExpand(s *subject) {
	f := s.school()
	want := map[*education.Navigation]map[*education.Entity][]*education.Entity{
		schoolUsers:       {f.inside: {f.max, f.moritz}, f.outside: nil},
		schoolClasses:     {f.inside: {f.class}, f.outside: nil},
		classMembers:      {f.class: {f.max}, f.other: nil},
		classTeachers:     {f.class: {f.moritz}, f.other: nil},
		classSchools:      {f.class: {f.inside}, f.other: nil},
		userSchools:       {f.max: {f.inside}, f.moritz: {f.inside}, f.out: nil},
		userClasses:       {f.max: {f.class}, f.moritz: {f.class}, f.out: nil},
		userTaughtClasses: {f.max: nil, f.moritz: {f.class}, f.out: nil},
	}
	for _, nav := range education.Navigations {
		for owner, targets := range want[nav] {
			entity, err := s.directory.Get(context.Background(), nav.Owner, idOf(owner), s.query(nav.Owner, "$expand", nav.Name))
			if err != nil {
				s.Fatal(err)
			}
			s.wantSame(entity, owner)
			s.wantExpanded("get", entity, nav, false, targets...)
		}
		for _, options := range [][]string{nil, {"$orderby", "displayName"}, {"$select", "id"}, {"$top", "100", "$select", "displayName"}} {
			query := s.query(nav.Owner, append([]string{"$expand", nav.Name}, options...)...)
			found := 0
			for entity, err := range s.list(nav.Owner, query) {
				if err != nil {
					s.Fatal(err)
				}
				found++
				for owner, targets := range want[nav] {
					if owner.ID() == entity.ID() {
						s.wantExpanded("list", entity, nav, false, targets...)
						s.wantTargets(entity, nav, targets)
					}
				}
			}
			if found != len(want[nav]) {
				s.Errorf("%s: got %d entities, want %d", nav.Name, found, len(want[nav]))
			}
		}
	}
	s.wantExpandedTogether(f)
}

// wantTargets fails the test unless the expanded entities have all their properties.
func (s *subject) wantTargets(entity *education.Entity, nav *education.Navigation, want []*education.Entity) {
	s.Helper()
	related, _ := entity.Related(nav)
	for _, target := range related {
		for _, other := range want {
			if other.ID() == target.ID() {
				s.wantSame(target, s.get(nav.Target, idOf(other)))
			}
		}
	}
}

// wantExpandedTogether expands several navigation properties of a list, and of that of a navigation property.
func (s *subject) wantExpandedTogether(f school) {
	s.Helper()
	query := s.query(users, "$expand", "schools,classes,taughtClasses", "$orderby", "displayName")
	for _, list := range []*education.Answer{
		s.answer(users, query), s.mustAnswer(s.directory.ListRelated(context.Background(), schoolUsers, idOf(f.inside), query)),
	} {
		for entity, err := range list.Entities {
			if err != nil {
				s.Fatal(err)
			}
			if entity.ID() == f.moritz.ID() {
				s.wantExpanded("together", entity, userSchools, false, f.inside)
				s.wantExpanded("together", entity, userClasses, false, f.class)
				s.wantExpanded("together", entity, userTaughtClasses, false, f.class)
			}
		}
	}
}

func testExpandOptions(s *subject) {
	f := s.school()
	s.addRef(classMembers, f.class, f.moritz)
	s.addRef(classMembers, f.class, f.out)
	for _, test := range []struct {
		options string
		inOrder bool
		want    []*education.Entity
	}{
		{"members($orderby=displayName)", true, []*education.Entity{f.out, f.max, f.moritz}},
		{"members($orderby=displayName desc;$top=2)", true, []*education.Entity{f.moritz, f.max}},
		{"members($orderby=mail desc,displayName;$select=id)", true, []*education.Entity{f.max, f.out, f.moritz}},
		{"members($top=1)", true, byID(f.max, f.moritz, f.out)[:1]},
		{"members($top=0)", true, nil},
		{"members($filter=startswith(displayName,'m'))", false, []*education.Entity{f.max, f.moritz}},
		{"members($filter=not contains(mail,'x');$select=surname)", false, nil},
		{"members($filter=displayName ge 'max';$select=mail;$orderby=displayName)", true, []*education.Entity{f.max, f.moritz}},
		{"members($filter=taughtClasses/any(c:c/externalId eq '5a'))", false, []*education.Entity{f.moritz}},
	} {
		query := s.query(classes, "$expand", test.options)
		entity, err := s.directory.Get(context.Background(), classes, idOf(f.class), query)
		if err != nil {
			s.Fatal(err)
		}
		s.wantExpanded("get with "+test.options, entity, classMembers, test.inOrder, test.want...)
		for entity, err := range s.list(classes, query) {
			if err != nil {
				s.Fatal(err)
			}
			if entity.ID() == f.class.ID() {
				s.wantExpanded("list with "+test.options, entity, classMembers, test.inOrder, test.want...)
			}
		}
	}
	entity, err := s.directory.Get(context.Background(), classes, idOf(f.class), s.query(classes, "$expand", "members($select=mail)"))
	if err != nil {
		s.Fatal(err)
	}
	members, _ := entity.Related(classMembers)
	for _, member := range members {
		s.wantValue(member, "displayName", nil)
		if member.ID() == f.max.ID() {
			s.wantValue(member, "mail", "max@example.org")
		}
	}
	_, err = tryIDs(s.list(users, s.query(users, "$expand", "schools($filter=users/$count eq 2)")))
	s.wantError("a nested filter that cannot be answered", err, odata.NotSupported, "users/$count")
}

func testExpandMany(s *subject) {
	school := s.create(schools, nil)
	bodies := make([]fields, 450)
	for i := range bodies {
		bodies[i] = fields{"schools@odata.bind": bind(school)}
	}
	people := s.createMany(users, bodies)
	class := s.create(classes, fields{"members@odata.bind": bind(people...)})
	for _, options := range [][]string{nil, {"$top", "430"}} {
		found := 0
		for user, err := range s.list(users, s.query(users, append([]string{"$expand", "schools,classes"}, options...)...)) {
			if err != nil {
				s.Fatal(err)
			}
			found++
			s.wantExpanded("user", user, userSchools, false, school)
			s.wantExpanded("user", user, userClasses, false, class)
		}
		if want := map[bool]int{true: 450, false: 430}[options == nil]; found != want {
			s.Errorf("%v: got %d users, want %d", options, found, want)
		}
	}
	for entity, err := range s.list(classes, s.query(classes, "$expand", "members")) {
		if err != nil {
			s.Fatal(err)
		}
		s.wantExpanded("class", entity, classMembers, false, people...)
	}
}
