package remote_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"

	"github.com/opencloud-eu/education/internal/faultproxy"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// ambiguous is a kind of write whose answer can be lost. Each try is about entities of its own.
type ambiguous struct {
	name string
	// tag is that of the LDAP request that makes the change.
	tag wire.Tag
	// tries is how often it is tried.
	tries int
	// prepare makes what try i is about.
	prepare func(s *site, i int) error
	// write makes the change, as a client of the API asks for it.
	write func(s *site, i int) error
	// holds reports whether the change is in effect, once.
	holds func(s *site, i int) (bool, error)
	// repeated is what a repetition of a change that is in effect may be answered with beside success.
	repeated odata.Code
}

// ids are the ids of the entities that tries are about, by the number of the try.
type ids []string

// ambiguousWrites are so many tries of an add, of a delete and of modifications of three kinds together, and a tenth as
// many of a modification of a DN, which only entries of OpenCloud's need.
func ambiguousWrites(tries int) []ambiguous {
	const kinds, renames = 3, 10
	modifications := (tries + kinds - 1) / kinds
	plain, keys, members, foreign, deleted := make(ids, tries), make(ids, tries), make(ids, tries), make(ids, tries), make(ids, tries)
	keeper, classes := make(ids, tries), make(ids, tries)
	name := func(kind string, i int) string { return fmt.Sprintf("%s-%d", kind, i) }
	nav := education.NavigationOf(education.Classes, "members")
	return []ambiguous{
		{
			name: "add", tag: wire.TagAddRequest, tries: tries, repeated: odata.NameAlreadyExists,
			prepare: func(*site, int) error { return nil },
			write: func(s *site, i int) error {
				_, err := create(context.Background(), s.directory, education.Users, person(name("add", i)))
				return err
			},
			holds: func(s *site, i int) (bool, error) {
				// A second one with the same name would be an error.
				user, err := s.read(education.Users, userNamed(name("add", i)))
				return user != nil, err
			},
		},
		{
			name: "modify a value", tag: wire.TagModifyRequest, tries: modifications,
			prepare: func(s *site, i int) error { return plain.make(s, i, education.Users, person(name("plain", i))) },
			write: func(s *site, i int) error {
				return update(context.Background(), s.directory, education.Users, plain[i], fields{"displayName": name("changed", i)})
			},
			holds: func(s *site, i int) (bool, error) {
				user, err := s.read(education.Users, idKey(education.Users, plain[i]))
				return user != nil && user.Text("displayName") == name("changed", i), err
			},
		},
		{
			name: "modify a unique key", tag: wire.TagModifyRequest, tries: modifications,
			prepare: func(s *site, i int) error { return keys.make(s, i, education.Users, person(name("key", i))) },
			write: func(s *site, i int) error {
				return update(context.Background(), s.directory, education.Users, keys[i], fields{username: name("new-key", i)})
			},
			holds: func(s *site, i int) (bool, error) {
				user, err := s.read(education.Users, userNamed(name("new-key", i)))
				return user != nil && user.ID() == keys[i], err
			},
		},
		{
			name: "modify a link", tag: wire.TagModifyRequest, tries: modifications,
			prepare: func(s *site, i int) error {
				if err := members.make(s, i, education.Users, person(name("member", i))); err != nil {
					return err
				}
				if err := keeper.make(s, i, education.Users, person(name("other", i))); err != nil {
					return err
				}
				return classes.make(s, i, education.Classes, fields{
					"displayName": "Class", "classification": "class", "members@odata.bind": []string{"/users/" + keeper[i]},
				})
			},
			write: func(s *site, i int) error {
				return s.directory.AddRef(context.Background(), nav, idKey(education.Classes, classes[i]), idKey(education.Users, members[i]))
			},
			holds: func(s *site, i int) (bool, error) { return s.isLinked(nav, classes[i], members[i]) },
		},
		{
			name: "modify DN", tag: wire.TagModifyDNRequest, tries: tries / renames,
			prepare: func(s *site, i int) error {
				if err := foreign.foreign(s, i, name("foreign", i)); err != nil {
					return err
				}
				// From the first change on the entry has unique keys.
				return update(context.Background(), s.truth, education.Users, foreign[i], fields{"displayName": "known"})
			},
			write: func(s *site, i int) error {
				return update(context.Background(), s.directory, education.Users, foreign[i], fields{username: name("renamed", i)})
			},
			holds: func(s *site, i int) (bool, error) {
				user, err := s.read(education.Users, userNamed(name("renamed", i)))
				if user == nil || user.ID() != foreign[i] || err != nil {
					return false, err
				}
				// The old name is free and the new one is taken.
				keys, err := s.uniqueKeys(user)
				return slices.Contains(keys, "user/username/-/"+name("renamed", i)) && len(keys) == 2, err
			},
		},
		{
			name: "delete", tag: wire.TagDeleteRequest, tries: tries, repeated: odata.ItemNotFound,
			prepare: func(s *site, i int) error {
				return deleted.make(s, i, education.Users, person(name("delete", i)))
			},
			write: func(s *site, i int) error {
				return s.directory.Delete(context.Background(), education.Users, idKey(education.Users, deleted[i]))
			},
			holds: func(s *site, i int) (bool, error) {
				user, err := s.read(education.Users, idKey(education.Users, deleted[i]))
				return user == nil, err
			},
		},
	}
}

// make creates an entity for a try.
func (all ids) make(s *site, i int, set *education.EntitySet, body fields) error {
	entity, err := create(context.Background(), s.truth, set, body)
	if err == nil {
		all[i] = entity.ID()
	}
	return err
}

// foreign adds a user as OpenCloud's graph service does, which names the entry by its username: a new one renames it.
func (all ids) foreign(s *site, i int, name string) error {
	all[i] = uuid.NewString()
	request := ldap.NewAddRequest("uid="+name+","+s.bases.UserBase, nil)
	for attribute, values := range map[string][]string{
		"objectClass":   {"top", "person", "organizationalPerson", "inetOrgPerson", "openCloudObject", "openCloudUser", "openCloudEducationUser"},
		"openCloudUUID": {all[i]}, "uid": {name}, "cn": {name}, "sn": {name}, "displayName": {name},
	} {
		request.Attribute(attribute, values)
	}
	connection, err := s.connect()
	if err != nil {
		return err
	}
	defer connection.Close()
	return connection.Add(request)
}

// TestLostReplies holds that a write whose answer is lost, on a server that is there, is answered as what it is: a
// success. Every answer of the kind is lost, the connection with it.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	for _, kind := range ambiguousWrites(identitytest.Effort(50, 300, 1000)) {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.prepared(t)
			s.proxy.Set(faultproxy.Reply(kind.tag, faultproxy.Cut))
			err := inParallel(kind.tries, func(i int) error {
				if err := kind.write(s, i); err != nil {
					return fmt.Errorf("try %d: %w", i, err)
				}
				return kind.check(s, i)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// prepared returns a site that has what all tries are about.
func (a *ambiguous) prepared(t *testing.T) *site {
	t.Helper()
	s := newSite(t, nil)
	if err := inParallel(a.tries, func(i int) error { return a.prepare(s, i) }); err != nil {
		t.Fatal(err)
	}
	return s
}

// check returns an error unless the change is in effect.
func (a *ambiguous) check(s *site, i int) error {
	holds, err := a.holds(s, i)
	if err == nil && !holds {
		err = fmt.Errorf("try %d was answered with success, and is not in effect", i)
	}
	return err
}

// TestUncertainWrites holds that the answer to a write is true when nobody can say what has become of it: it may be that it
// is unknown, and then whoever repeats the request gets what was asked for, once.
func TestUncertainWrites(t *testing.T) {
	t.Parallel()
	for _, kind := range ambiguousWrites(identitytest.Effort(50, 200, 200)) {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.prepared(t)
			s.proxy.Set(flaky(kind.tag))
			var unknown atomic.Int64
			err := inParallel(kind.tries, func(i int) error {
				err := kind.write(s, i)
				if isDown(err) {
					unknown.Add(1)
					return kind.repeat(s, i)
				}
				if err != nil {
					return fmt.Errorf("try %d: %w", i, err)
				}
				return kind.check(s, i)
			})
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d of %d were answered with 503 or 504", unknown.Load(), kind.tries)
		})
	}
}

// flaky is a fault that loses requests and replies of a kind of write, and now and then what the client does to find out.
func flaky(tag wire.Tag) faultproxy.Fault {
	return func(m *faultproxy.Message) faultproxy.Fate {
		chance, end := rand.IntN(100), faultproxy.Cut
		if rand.IntN(2) == 0 {
			end = faultproxy.Reset
		}
		switch {
		case m.Request == tag && m.Reply && chance < 50,
			m.Request == tag && !m.Reply && chance < 20,
			m.Request == wire.TagSearchRequest && m.Reply && chance < 5,
			m.Request == wire.TagBindRequest && chance < 5:
			return end
		}
		return faultproxy.Pass
	}
}

// stubbornness is how long a client repeats a write. It is a time and no number of repetitions: through flaky, a quarter of
// the attempts to choose the server again fail, so that now and then there is none for a second or two, and for longer on a
// busy machine. Every repetition is refused at once meanwhile.
const stubbornness = 3 * time.Minute

// repeat repeats a write, as a client does, until it is answered.
func (a *ambiguous) repeat(s *site, i int) error {
	for start := time.Now(); time.Since(start) < stubbornness; time.Sleep(50 * time.Millisecond) {
		before, err := a.holds(s, i)
		if err != nil {
			return fmt.Errorf("try %d: %w", i, err)
		}
		err = a.write(s, i)
		switch {
		case isDown(err):
			continue
		case err != nil && !(before && a.repeated.Status != 0 && odata.Is(err, a.repeated)):
			return fmt.Errorf("try %d, repeated (in effect before: %v): %w", i, before, err)
		}
		return a.check(s, i)
	}
	return fmt.Errorf("try %d: no answer in %v", i, stubbornness)
}
