package identitytest

import "github.com/opencloud-eu/education/pkg/education"

var listTests = []conformanceTest{
	{"an empty list is empty", defaults, testEmptyList},
	{"a long list is complete", defaults, testLongList},
	{"a class lists all of its many members", defaults, testManyMembers},
}

func testEmptyList(s *subject) {
	for _, set := range education.EntitySets {
		s.wantIDs(set.Name, s.list(set, nil))
	}
}

func testLongList(s *subject) {
	school := s.create(schools, nil)
	// More than 389-DS returns to whoever has no right to more (2,000), and several pages.
	bodies := make([]fields, Effort(500, 2200, 5000))
	for i := range bodies {
		if i%2 == 0 {
			bodies[i] = fields{"schools@odata.bind": bind(school)}
		}
	}
	people := s.createMany(users, bodies)
	s.wantIDs("users", s.list(users, nil), people...)
	var inside []*education.Entity
	for i := 0; i < len(people); i += 2 {
		inside = append(inside, people[i])
	}
	s.wantRelated(schoolUsers, school, inside...)
	s.wantIDs("by the default of a property", s.list(users, equal(users.Property("userType"), "member")), people...)
}

func testManyMembers(s *subject) {
	people := s.createMany(users, make([]fields, 1200))
	class := s.create(classes, fields{"members@odata.bind": bind(people[:900]...), "teachers@odata.bind": bind(people[900])})
	s.update(class, fields{"members@odata.bind": bind(people[600:]...)})
	s.wantRelated(classMembers, class, people...)
	s.wantRelated(classTeachers, class, people[900])
	s.delete(people[0])
	s.removeRef(classMembers, class, people[1])
	s.wantRelated(classMembers, class, people[2:]...)
	s.wantRelated(userClasses, people[1199], class)
}
