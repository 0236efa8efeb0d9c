package remote_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/opencloud-eu/education/internal/faultproxy"
	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// outages are ways in which a server can be out of reach. begin begins one.
var outages = []struct {
	name  string
	begin func(p *faultproxy.Proxy)
}{
	{"refuses connections", (*faultproxy.Proxy).Refuse},
	{"resets connections", setting(faultproxy.All(faultproxy.Reset))},
	{"ends connections", setting(faultproxy.All(faultproxy.Cut))},
	{"swallows everything", setting(faultproxy.All(faultproxy.Lose))},
	{"answers nothing", setting(faultproxy.Reply(faultproxy.AnyRequest, faultproxy.Lose))},
	{"takes binds and no searches", setting(faultproxy.Request(wire.TagSearchRequest, faultproxy.Lose))},
	{"sends an octet a second", setting(faultproxy.All(faultproxy.Trickle(time.Second)))},
	{"is late", setting(faultproxy.Reply(faultproxy.AnyRequest, faultproxy.Late(time.Minute)))},
}

func setting(fault faultproxy.Fault) func(*faultproxy.Proxy) {
	return func(p *faultproxy.Proxy) { p.Set(fault) }
}

// end ends an outage.
func (s *site) end(t *testing.T, outage string) {
	t.Helper()
	s.proxy.Set(nil)
	if outage == outages[0].name {
		s.proxy.Accept(t)
	}
}

// requests are those that a directory is asked in an outage, by what they are. The names of what they make hold attempt.
func (s *site) requests(user, class *education.Entity, attempt string) map[string]func(context.Context) error {
	d, users, classes := s.directory, education.Users, education.Classes
	members := education.NavigationOf(classes, "members")
	return map[string]func(context.Context) error{
		"list": func(ctx context.Context) error { _, err := idsOf(d.List(ctx, users, nil)); return err },
		"count": func(ctx context.Context) error {
			_, err := d.List(ctx, users, &odata.Query{Count: true})
			return err
		},
		"get":         func(ctx context.Context) error { _, err := d.Get(ctx, users, idKey(users, user.ID()), nil); return err },
		"get no such": func(ctx context.Context) error { _, err := d.Get(ctx, users, userNamed("nobody"), nil); return err },
		"list related": func(ctx context.Context) error {
			_, err := idsOf(d.ListRelated(ctx, members, idKey(classes, class.ID()), nil))
			return err
		},
		"create":       func(ctx context.Context) error { _, err := create(ctx, d, users, person("new"+attempt)); return err },
		"create again": func(ctx context.Context) error { _, err := create(ctx, d, users, person("max")); return err },
		"update": func(ctx context.Context) error {
			return update(ctx, d, users, user.ID(), fields{"displayName": "changed" + attempt})
		},
		"delete": func(ctx context.Context) error { return d.Delete(ctx, classes, idKey(classes, class.ID())) },
		"add a member": func(ctx context.Context) error {
			return d.AddRef(ctx, members, idKey(classes, class.ID()), idKey(users, user.ID()))
		},
		"remove a member": func(ctx context.Context) error {
			return d.RemoveRef(ctx, members, idKey(classes, class.ID()), idKey(users, user.ID()))
		},
	}
}

// slack is what a busy machine may add to a time.
const slack = 3 * time.Second

// TestOutages holds that, whatever is between the service and its server, every request ends in time, says that the directory
// is not there and nothing about the data, and succeeds again within a second of the server's return.
func TestOutages(t *testing.T) {
	t.Parallel()
	for _, outage := range outages {
		t.Run(outage.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, hasty)
			user := s.given(education.Users, person("max"))
			class := s.given(education.Classes, fields{
				"displayName": "5a", "classification": "class", "members@odata.bind": []string{"/users/max"},
			})
			if _, err := s.directory.Get(t.Context(), education.Users, userNamed("max"), nil); err != nil {
				t.Fatal(err)
			}
			outage.begin(s.proxy)
			// The clients of the first requests wait for as long as it takes: dial, bind and read, once in vain and once to find
			// out whether another server answers.
			s.expectDown(t, s.requests(user, class, "1"), context.Background(), 6*time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			s.expectDown(t, s.requests(user, class, "2"), ctx, 500*time.Millisecond)
			s.end(t, outage.name)
			s.expectReturn(t)
		})
	}
}

// expectDown makes all requests at the same time and expects that each says within the time that the directory is not there.
func (s *site) expectDown(t *testing.T, requests map[string]func(context.Context) error, ctx context.Context, within time.Duration) {
	t.Helper()
	var names []string
	for name := range requests {
		names = append(names, name)
	}
	err := inParallel(len(names), func(i int) error {
		start := time.Now()
		err := requests[names[i]](ctx)
		took := time.Since(start)
		switch {
		case !isDown(err):
			return fmt.Errorf("%s: got %v, want ServiceNotAvailable or GatewayTimeout", names[i], err)
		case took > within+slack:
			return fmt.Errorf("%s: took %v, want at most %v", names[i], took, within)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// expectReturn expects that a directory which is there again is used soon: within the second that is promised, after the
// probe that is under way has been given up, which takes no longer than a bind may.
func (s *site) expectReturn(t *testing.T) {
	t.Helper()
	const promised, probe = time.Second, time.Second
	start := time.Now()
	for {
		_, err := s.directory.Get(t.Context(), education.Users, userNamed("max"), nil)
		took := time.Since(start)
		switch {
		case err == nil:
			t.Logf("back after %v", took.Round(time.Millisecond))
			return
		case !isDown(err):
			t.Fatalf("on return: %v", err)
		case took > promised+probe+slack:
			t.Fatalf("not back after %v: %v", took, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// heavy is the body of a user that takes a lot of room, so that a few hundred are more than a client keeps in memory.
func heavy(name string) fields {
	body := person(name)
	for _, property := range []string{"displayName", "givenName", "surname", "primaryRole"} {
		body[property] = strings.Repeat("x", 512)
	}
	return body
}

// every is a fault of one in so many entries.
func every(count int64, fate faultproxy.Fate) faultproxy.Fault {
	var seen atomic.Int64
	return func(m *faultproxy.Message) faultproxy.Fate {
		if m.Tag == wire.TagSearchEntry && m.Request == wire.TagSearchRequest && seen.Add(1)%count == 0 {
			return fate
		}
		return faultproxy.Pass
	}
}

// TestBrokenLists holds that a list that breaks off is begun again where nobody has seen its beginning, and is an error
// otherwise. It is never shorter than it should be.
func TestBrokenLists(t *testing.T) {
	t.Parallel()
	const all = 800
	s := newSite(t, nil)
	s.given(education.Users, heavy("max"))
	err := inParallel(all-1, func(i int) error {
		_, err := create(t.Context(), s.truth, education.Users, heavy(fmt.Sprintf("person-%d", i)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		fault faultproxy.Fault
		// whole says that the list is complete all the same, and begun that its beginning has been handed on before it
		// broke off.
		whole, begun bool
	}{
		{"at first, once", faultproxy.Entry(100, faultproxy.Cut), true, false},
		{"at first, always", every(100, faultproxy.Reset), false, false},
		{"between two pages", faultproxy.Times(1, faultproxy.Reply(wire.TagSearchRequest, faultproxy.Cut)), false, true},
		{"late", faultproxy.Entry(all-10, faultproxy.Cut), false, true},
		{"never", nil, true, false},
	} {
		// One after the other, because a proxy has one fault.
		s.proxy.Set(test.fault)
		ids, err := idsOf(s.directory.List(t.Context(), education.Users, nil))
		s.proxy.Set(nil)
		switch {
		case test.whole && (err != nil || len(ids) != all):
			t.Errorf("%s: got %d of %d and %v", test.name, len(ids), all, err)
		case !test.whole && !isDown(err):
			t.Errorf("%s: got %d of %d and %v, want ServiceNotAvailable", test.name, len(ids), all, err)
		case !test.whole && test.begun != (len(ids) > 0):
			t.Errorf("%s: %d have been handed on", test.name, len(ids))
		}
		s.expectReturn(t)
	}
}

// TestNothingIsLeft holds that faults leave behind no goroutine and no connection, neither while the client is open nor when
// it is closed. It does not run beside other tests, whose goroutines would count.
func TestNothingIsLeft(t *testing.T) {
	ldapserver.SharedOpenLDAP(t)
	before := goleak.IgnoreCurrent()
	t.Run("client", func(t *testing.T) {
		s := newSite(t, hasty)
		user := s.given(education.Users, person("max"))
		class := s.given(education.Classes, fields{
			"displayName": "5a", "classification": "class", "members@odata.bind": []string{"/users/max"},
		})
		if _, err := s.directory.Get(t.Context(), education.Users, userNamed("max"), nil); err != nil {
			t.Fatal(err)
		}
		goroutines := runtime.NumGoroutine()
		for i, outage := range outages {
			outage.begin(s.proxy)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			s.expectDown(t, s.requests(user, class, strconv.Itoa(i)), ctx, 300*time.Millisecond)
			cancel()
			s.end(t, outage.name)
			s.expectReturn(t)
		}
		s.expectBase(t, goroutines)
	})
	goleak.VerifyNone(t, before)
}

// expectBase expects that within 10 s no more goroutines run than before and no more connections are open than the
// pool may keep. Each connection is two goroutines of the proxy and the one that waits for them.
func (s *site) expectBase(t *testing.T, before int) {
	t.Helper()
	const perConnection = 3
	var open, goroutines int
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		open, _ = s.proxy.Connections()
		goroutines = runtime.NumGoroutine()
		if open <= remote.DefaultPoolSize && goroutines <= before+perConnection*(open-1) {
			t.Logf("%d connections and %d goroutines, %d before", open, goroutines, before)
			return
		}
	}
	t.Errorf("10 s later there are %d connections and %d goroutines, %d before", open, goroutines, before)
}
