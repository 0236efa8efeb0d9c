package identitytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var concurrencyTests = []conformanceTest{
	{"of many who create the same at once, one succeeds", defaults, testRacingCreates},
	{"of many who rename to the same at once, one succeeds", defaults, testRacingRenames},
	{"the same externalId can be created in two schools at once", defaults, testRacingSchools},
	{"a user that many put into two schools at once is in one", defaults, testRacingRefs},
	{"a user that many move at once is in one school", defaults, testRacingMoves},
	{"members added and removed at once are kept exactly", defaults, testRacingMembers},
	{"two updates of different properties are both kept", defaults, testRacingUpdates},
	{"a user deleted while it joins classes is in none", defaults, testRacingDeletion},
	{"a list yields every entity once while others come and go", defaults, testRacingList},
}

// testRacingCreates creates entities that differ in everything but one unique value.
func testRacingCreates(s *subject) {
	school := s.create(schools, nil)
	for _, test := range []struct {
		set  *education.EntitySet
		name string
		in   []string
	}{
		{users, username, nil},
		{users, "externalId", bind(school)},
		{classes, "externalId", bind(school)},
		{classes, "externalId", nil},
		{schools, "schoolNumber", nil},
		{schools, "displayName", nil},
	} {
		value := fixture(test.set.Property(test.name))
		body := fields{test.name: value}
		if test.in != nil {
			body["schools@odata.bind"] = test.in
		}
		created := make([]*education.Entity, workers)
		errs := inParallel(workers, func(i int) (err error) {
			created[i], err = s.tryCreate(test.set, body)
			return err
		})
		winner := s.wantOneWinner(test.set.Name+" with the same "+test.name, errs, test.name)
		if winner >= 0 {
			s.wantIDs(test.name, s.list(test.set, equal(test.set.Property(test.name), value)), created[winner])
		}
	}
}

// wantOneWinner fails the test unless one call succeeded and all others were told that the value is taken. It returns
// the number of the successful one, or -1.
func (s *subject) wantOneWinner(what string, errs []error, target string) int {
	s.Helper()
	winner := -1
	for i, err := range errs {
		var fault *odata.Error
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			s.Errorf("%s: more than one succeeded", what)
			return winner
		case !errors.As(err, &fault) || fault.Code != odata.NameAlreadyExists || fault.Target != target:
			s.Errorf("%s: got %v, want NameAlreadyExists with the target %q", what, err, target)
			return winner
		}
	}
	if winner < 0 {
		s.Errorf("%s: nobody succeeded", what)
	}
	return winner
}

func testRacingRenames(s *subject) {
	bodies := make([]fields, 30)
	people := s.createMany(users, bodies)
	errs := inParallel(len(people), func(i int) error {
		_, err := s.tryUpdate(people[i], fields{username: "wanted", "givenName": "Renamed"})
		return err
	})
	winner := s.wantOneWinner("renames", errs, username)
	for i, user := range people {
		if i != winner {
			s.wantSame(s.get(users, idOf(user)), user)
		}
	}
}

func testRacingSchools(s *subject) {
	for _, set := range []*education.EntitySet{users, classes} {
		in := []*education.Entity{s.create(schools, nil), s.create(schools, nil)}
		errs := inParallel(workers, func(i int) error {
			_, err := s.tryCreate(set, fields{"externalId": "4711", "schools@odata.bind": bind(in[i%2])})
			return err
		})
		var halves [2][]error
		for i, err := range errs {
			halves[i%2] = append(halves[i%2], err)
		}
		for i, half := range halves {
			s.wantOneWinner(fmt.Sprint(set.Name, " of school ", i), half, "externalId")
		}
		if got := len(s.ids(s.list(set, nil))); got != 2 {
			s.Errorf("%s: got %d, want 2", set.Name, got)
		}
	}
}

func testRacingRefs(s *subject) {
	for _, externalID := range []any{nil, "4711"} {
		in := []*education.Entity{s.create(schools, nil), s.create(schools, nil)}
		user := s.create(users, fields{"externalId": externalID})
		errs := inParallel(50, func(i int) error { return s.tryAddRef(schoolUsers, in[i%2], user) })
		got := s.ids(s.related(userSchools, user))
		if len(got) != 1 {
			s.Errorf("the user is in %d schools, want 1", len(got))
			continue
		}
		for i, err := range errs {
			switch {
			case in[i%2].ID() == got[0] && err != nil:
				s.Errorf("add to the school that the user is in: %v", err)
			case in[i%2].ID() != got[0]:
				s.wantError("add to the other school", err, odata.Conflict, "users")
			}
		}
	}
}

// testRacingMoves moves a user between schools and takes it out of them. What remains must be one school or none, and
// the user must still be able to move.
func testRacingMoves(s *subject) {
	in := []*education.Entity{s.create(schools, nil), s.create(schools, nil), s.create(schools, nil)}
	for range 10 {
		user := s.create(users, fields{"externalId": "4711", "schools@odata.bind": bind(in[0])})
		inParallel(9, func(i int) error {
			switch i % 3 {
			case 0:
				_, err := s.tryUpdate(user, fields{"schools@odata.bind": bind(in[rand.N(3)])})
				return err
			case 1:
				return s.tryRemoveRef(schoolUsers, in[rand.N(3)], user)
			default:
				return s.tryAddRef(schoolUsers, in[rand.N(3)], user)
			}
		})
		if got := s.ids(s.related(userSchools, user)); len(got) > 1 {
			s.Errorf("the user is in %d schools", len(got))
		}
		s.update(user, fields{"schools@odata.bind": bind(in[2])})
		s.wantRelated(userSchools, user, in[2])
		_, err := s.tryCreate(users, fields{"externalId": "4711", "schools@odata.bind": bind(in[2])})
		s.wantError("the same externalId in the last school", err, odata.NameAlreadyExists, "externalId")
		s.delete(user)
		for _, school := range in {
			s.delete(s.create(users, fields{"externalId": "4711", "schools@odata.bind": bind(school)}))
		}
	}
}

// testRacingMembers has several writers add and remove members of one class. Each has its own users, so each knows what
// of them must be left.
func testRacingMembers(s *subject) {
	const writers, each = 8, 10
	steps := Effort(20, 30, 60)
	people := s.createMany(users, make([]fields, writers*each))
	for _, nav := range []*education.Navigation{classMembers, classTeachers} {
		class := s.create(classes, nil)
		var left sync.Map
		errs := inParallel(writers, func(writer int) error {
			own, member := people[writer*each:(writer+1)*each], make([]bool, each)
			for range steps {
				i := rand.N(each)
				change := s.tryAddRef
				if member[i] {
					change = s.tryRemoveRef
				}
				if err := change(nav, class, own[i]); err != nil {
					return err
				}
				if member[i] = !member[i]; member[i] {
					left.Store(own[i], true)
				} else {
					left.Delete(own[i])
				}
			}
			return nil
		})
		if err := errors.Join(errs...); err != nil {
			s.Fatal(err)
		}
		want := slices.DeleteFunc(slices.Clone(people), func(user *education.Entity) bool {
			_, kept := left.Load(user)
			return !kept
		})
		s.wantRelated(nav, class, want...)
	}
}

func testRacingUpdates(s *subject) {
	user := s.create(users, fields{"givenName": "0", "surname": "0"})
	school := s.create(schools, nil)
	for round := 1; round <= 20; round++ {
		text := fmt.Sprint(round)
		bodies := []fields{{"givenName": text}, {"surname": text}, {username: "u" + text}, {"externalId": text}, {"mail": text + "@example.org"}}
		errs := inParallel(len(bodies)+1, func(i int) error {
			if i < len(bodies) {
				_, err := s.tryUpdate(user, bodies[i])
				return err
			}
			if round%2 == 1 {
				return s.tryAddRef(schoolUsers, school, user)
			}
			return s.tryRemoveRef(schoolUsers, school, user)
		})
		if err := errors.Join(errs...); err != nil {
			s.Fatal(err)
		}
		got := s.get(users, idOf(user))
		for _, body := range bodies {
			for name, want := range body {
				s.wantValue(got, name, want)
				if property := users.Property(name); property.Key {
					s.wantSame(s.get(users, keyOf(users, name, want.(string))), got)
				}
			}
		}
	}
	// All keys that the user went through are free.
	s.create(users, fields{username: "u19", "externalId": "19"})
	s.create(users, fields{username: "u18", "externalId": "18", "schools@odata.bind": bind(school)})
}

func testRacingDeletion(s *subject) {
	const groups = 10
	all := s.createMany(classes, make([]fields, groups))
	for range 5 {
		user := s.create(users, nil)
		errs := inParallel(groups+1, func(i int) error {
			if i == groups/2 {
				return s.tryDelete(user)
			}
			return s.tryAddRef(classMembers, all[i%groups], user)
		})
		for i, err := range errs {
			if err != nil && (i == groups/2 || !odata.Is(err, odata.ItemNotFound)) {
				s.Errorf("got %v", err)
			}
		}
		s.wantGone(user)
		for _, class := range all {
			s.wantRelated(classMembers, class)
		}
	}
}

func testRacingList(s *subject) {
	const stable = 200
	want := s.createMany(users, make([]fields, stable))
	stop := make(chan struct{})
	var others sync.WaitGroup
	var failed error
	var once sync.Once
	for range 4 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				user, err := s.tryCreate(users, nil)
				if err == nil {
					err = s.tryDelete(user)
				}
				if err != nil {
					once.Do(func() { failed = err })
					return
				}
			}
		})
	}
	for range Effort(5, 8, 15) {
		ids := s.idsWhile(stop, &others)
		if len(slices.Compact(slices.Clone(ids))) != len(ids) {
			s.Error("an entity came twice")
		}
		for _, entity := range want {
			if _, found := slices.BinarySearch(ids, entity.ID()); !found {
				s.Errorf("an entity that was there all the time did not come")
				break
			}
		}
	}
	close(stop)
	others.Wait()
	if failed != nil {
		s.Error(failed)
	}
	s.wantIDs("users", s.list(users, nil), want...)
}

// idsWhile lists all users. If that fails, it ends the writers before the test.
func (s *subject) idsWhile(stop chan struct{}, writers *sync.WaitGroup) []string {
	s.Helper()
	ids, err := tryIDs(s.list(users, nil))
	if err != nil {
		close(stop)
		writers.Wait()
		s.Fatal(err)
	}
	return ids
}
