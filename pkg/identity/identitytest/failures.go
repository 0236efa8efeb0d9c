package identitytest

import (
	"context"
	"errors"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

var failureTests = []conformanceTest{
	{"a cancelled request finds nothing out and changes nothing", defaults, testCancelled},
	{"a request whose time is over finds nothing out and changes nothing", defaults, testDeadline},
	{"a list can be left before its end", defaults, testListLeft},
}

func testCancelled(s *subject) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.checkFailing(ctx, func(err error) bool {
		return errors.Is(err, context.Canceled) || odata.Is(err, odata.ServiceNotAvailable) || odata.Is(err, odata.GatewayTimeout)
	})
}

func testDeadline(s *subject) {
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	s.checkFailing(ctx, func(err error) bool {
		return odata.Is(err, odata.ServiceNotAvailable) || odata.Is(err, odata.GatewayTimeout)
	})
}

// checkFailing calls every method with a context that has ended. No error may be one that says something about the
// data, nor may a list be empty.
func (s *subject) checkFailing(ctx context.Context, expected func(error) bool) {
	school, user := s.create(schools, nil), s.create(users, nil)
	s.addRef(schoolUsers, school, user)
	user = s.get(users, idOf(user))
	other := s.create(users, nil)
	create, err := s.tryChange(users, education.CreateEntity, fields{"passwordProfile": fields{"password": "secret"}})
	if err != nil {
		s.Fatal(err)
	}
	update, err := s.tryChange(users, education.UpdateEntity, fields{"displayName": "not to be"})
	if err != nil {
		s.Fatal(err)
	}
	calls := map[string]func() error{
		"List": func() error { _, err := tryIDs(entities(s.directory.List(ctx, users, nil))); return err },
		"List with a filter": func() error {
			_, err := tryIDs(entities(s.directory.List(ctx, users, equal(users.Property(username), "nobody"))))
			return err
		},
		"ListRelated": func() error {
			_, err := tryIDs(entities(s.directory.ListRelated(ctx, schoolUsers, idOf(school), nil)))
			return err
		},
		"Get":       func() error { _, err := s.directory.Get(ctx, users, idOf(user), nil); return err },
		"Create":    func() error { _, err := s.directory.Create(ctx, users, create); return err },
		"Update":    func() error { _, err := s.directory.Update(ctx, users, idOf(user), update); return err },
		"Delete":    func() error { return s.directory.Delete(ctx, users, idOf(user)) },
		"AddRef":    func() error { return s.directory.AddRef(ctx, schoolUsers, idOf(school), idOf(other)) },
		"RemoveRef": func() error { return s.directory.RemoveRef(ctx, schoolUsers, idOf(school), idOf(user)) },
	}
	for name, call := range calls {
		if err := call(); err == nil || !expected(err) {
			s.Errorf("%s: got the error %v", name, err)
		}
	}
	s.wantIDs("users", s.list(users, nil), user, other)
	s.wantRelated(schoolUsers, school, user)
	s.wantSame(s.get(users, idOf(user)), user)
}

func testListLeft(s *subject) {
	for range 5 {
		s.create(users, nil)
	}
	for range 3 {
		seen := 0
		for _, err := range s.list(users, nil) {
			if err != nil {
				s.Fatal(err)
			}
			if seen++; seen == 2 {
				break
			}
		}
		if seen != 2 {
			s.Errorf("got %d entities, want 2", seen)
		}
	}
	s.create(users, nil)
	if got := len(s.ids(s.list(users, nil))); got != 6 {
		s.Errorf("got %d entities, want 6", got)
	}
}
