package identitytest

import "github.com/opencloud-eu/education/pkg/odata"

// Two changes of one entity at the same time are worked out from the same state, and each must hold after the other.
var revisionTests = []conformanceTest{
	{"an externalId given while its user joins a school is unique in that school", defaults, testGivenWhileJoining},
	{"an externalId given while its user moves is unique in the new school", defaults, testGivenWhileMoving},
	{"an externalId changed while its class joins a school is unique in that school", defaults, testChangedWhileJoining},
	{"of two values given to one entity at once, one stays and none is said to be taken", defaults, testGivenTwice},
	{"a surname given while its user is renamed is kept", defaults, testSurnameWhileRenamed},
}

// rounds is how often two changes meet.
func (s *subject) rounds() int { return Effort(5, 20, 20) }

func testGivenWhileJoining(s *subject) {
	school := s.create(schools, nil)
	for range s.rounds() {
		user := s.create(users, nil)
		s.wantNone("join and change", inParallel(2, func(i int) error {
			if i == 0 {
				return s.tryAddRef(schoolUsers, school, user)
			}
			_, err := s.tryUpdate(user, fields{"externalId": "id of " + user.ID()})
			return err
		}))
		_, err := s.tryCreate(users, fields{"externalId": "id of " + user.ID(), "schools@odata.bind": bind(school)})
		s.wantError("a second one in the school", err, odata.NameAlreadyExists, "externalId")
	}
}

func testGivenWhileMoving(s *subject) {
	from, to := s.create(schools, nil), s.create(schools, nil)
	for range s.rounds() {
		user := s.create(users, fields{"schools@odata.bind": bind(from)})
		s.wantNone("move and change", inParallel(2, func(i int) error {
			body := fields{"externalId": "id of " + user.ID()}
			if i == 0 {
				body = fields{"schools@odata.bind": bind(to)}
			}
			_, err := s.tryUpdate(user, body)
			return err
		}))
		_, err := s.tryCreate(users, fields{"externalId": "id of " + user.ID(), "schools@odata.bind": bind(to)})
		s.wantError("a second one in the new school", err, odata.NameAlreadyExists, "externalId")
	}
}

func testChangedWhileJoining(s *subject) {
	first, second := s.create(schools, nil), s.create(schools, nil)
	for range s.rounds() {
		class := s.create(classes, fields{"schools@odata.bind": bind(first)})
		old, changed := class.Text("externalId"), "new id of "+class.ID()
		s.wantNone("join and change", inParallel(2, func(i int) error {
			if i == 0 {
				return s.tryAddRef(schoolClasses, second, class)
			}
			_, err := s.tryUpdate(class, fields{"externalId": changed})
			return err
		}))
		_, err := s.tryCreate(classes, fields{"externalId": changed, "schools@odata.bind": bind(second)})
		s.wantError("a second one in the school", err, odata.NameAlreadyExists, "externalId")
		if old != "" {
			s.create(classes, fields{"externalId": old, "schools@odata.bind": bind(second)})
		}
	}
}

func testGivenTwice(s *subject) {
	for range s.rounds() {
		school := s.create(schools, nil)
		values := []string{"a " + school.ID()[24:], "b " + school.ID()[24:]}
		s.wantNone("two numbers for one school", inParallel(2, func(i int) error {
			_, err := s.tryUpdate(school, fields{"schoolNumber": values[i]})
			return err
		}))
		left := s.get(schools, idOf(school)).Text("schoolNumber")
		for _, value := range values {
			if value != left {
				s.create(schools, fields{"schoolNumber": value})
			}
		}
	}
}

func testSurnameWhileRenamed(s *subject) {
	for range s.rounds() {
		user := s.create(users, fields{"surname": nil})
		s.wantNone("surname and rename", inParallel(2, func(i int) error {
			body := fields{"surname": "Muster"}
			if i == 0 {
				body = fields{username: "renamed" + user.ID()[24:]}
			}
			_, err := s.tryUpdate(user, body)
			return err
		}))
		s.wantValue(s.get(users, idOf(user)), "surname", "Muster")
	}
}

// wantNone fails the test if one of several calls failed.
func (s *subject) wantNone(what string, errs []error) {
	s.Helper()
	for _, err := range errs {
		if err != nil {
			s.Errorf("%s: %v", what, err)
		}
	}
}
