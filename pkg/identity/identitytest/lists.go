package identitytest

import "github.com/opencloud-eu/education/pkg/education"

var listTests = []conformanceTest{
	{"an empty list is empty", defaults, testEmptyList},
	{"long lists", defaults, testLongLists},
}

func testEmptyList(s *subject) {
	for _, set := range education.EntitySets {
		s.wantIDs(set.Name, s.list(set, nil))
	}
}

// testLongLists reads lists that are longer than servers return at once, and a class with more members than they like to keep
// in one entry. Both are about the same users, because making these is most of the work.
func testLongLists(s *subject) {
	school := s.create(schools, nil)
	// More than 389-DS returns to whoever has no right to more (2,000), and several pages.
	bodies := make([]fields, Effort(600, 2200, 5000))
	for i := range bodies {
		if i%2 == 0 {
			bodies[i] = fields{"schools@odata.bind": bind(school)}
		}
	}
	people := s.createMany(users, bodies)
	s.each("a long list is complete", func(s *subject) { s.checkLongList(school, people) })
	// More than OpenLDAP keeps in the entry itself, as deploy/openldap sets it up (1,000).
	s.each("a class lists all of its many members", func(s *subject) { s.checkManyMembers(people[:Effort(400, 1200, 1200)]) })
}

// checkLongList lists all users, of whom every other one is in the school.
func (s *subject) checkLongList(school *education.Entity, people []*education.Entity) {
	s.Helper()
	s.wantIDs("users", s.list(users, nil), people...)
	var inside []*education.Entity
	for i := 0; i < len(people); i += 2 {
		inside = append(inside, people[i])
	}
	s.wantRelated(schoolUsers, school, inside...)
	s.wantIDs("by the default of a property", s.list(users, equal(users.Property("userType"), "member")), people...)
}

// checkManyMembers makes users the members of a class, in two steps that overlap, and takes two of them out again.
func (s *subject) checkManyMembers(people []*education.Entity) {
	s.Helper()
	half, more := len(people)/2, len(people)*3/4
	class := s.create(classes, fields{"members@odata.bind": bind(people[:more]...), "teachers@odata.bind": bind(people[more])})
	s.update(class, fields{"members@odata.bind": bind(people[half:]...)})
	s.wantRelated(classMembers, class, people...)
	s.wantRelated(classTeachers, class, people[more])
	s.delete(people[0])
	s.removeRef(classMembers, class, people[1])
	s.wantRelated(classMembers, class, people[2:]...)
	s.wantRelated(userClasses, people[len(people)-1], class)
}
