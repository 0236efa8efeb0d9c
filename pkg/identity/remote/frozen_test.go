package remote

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// frozenConfig returns a configuration and a timing with which a server that hangs is soon left.
func frozenConfig(servers ...*fakeServer) (Config, timing) {
	config, _ := fakeConfig(servers...)
	config.DialTimeout, config.BindTimeout, config.Timeout = impatient, impatient, impatient
	soon := hasty
	soon.headStart, soon.failBackAfter = impatient/5, time.Hour
	return config, soon
}

// TestImpatientCallers has a server hang while nobody waits for it as long as the client would: a balancer asks whether the service
// is ready, and sends it nothing else.
func TestImpatientCallers(t *testing.T) {
	t.Parallel()
	first, second := newFake(t), newFake(t)
	config, soon := frozenConfig(first, second)
	client := openFake(t, config, soon)
	wantList(t, client, 0)
	first.freeze()
	eventually(t, "the second is in use", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), impatient/10)
		defer cancel()
		return client.Ready(ctx) == nil
	})
	if got := inUse(client); got != second.uri {
		t.Errorf("%s is in use", got)
	}
}

// TestWaitersGoAlong has operations wait for a connection to a server that is given up. They are carried out on the next one: they
// do not wait until the first one gives them up, and a write does not go to it when it is back.
func TestWaitersGoAlong(t *testing.T) {
	t.Parallel()
	first, second := newFake(t), newFake(t)
	config, soon := frozenConfig(first, second)
	config.PoolSize, config.BindTimeout = 1, patience
	client := openFake(t, config, soon)
	wantList(t, client, 0)
	first.freeze()
	const waiters = 5
	reads, written := make(chan error, waiters), make(chan error, 1)
	for range waiters {
		go func() { _, err := list(t.Context(), client); reads <- err }()
	}
	time.Sleep(impatient / 5) // One has the connection.
	go func() {
		_, err := client.Add(t.Context(), &wire.AddRequest{DN: userDN(1)})
		written <- err
	}()
	start := time.Now()
	for range waiters {
		if err := <-reads; err != nil {
			t.Errorf("a read that waited: %v", err)
		}
	}
	first.thaw()
	if err := <-written; err != nil || second.entry(userDN(1)) == nil || first.entry(userDN(1)) != nil {
		t.Errorf("a write that waited: %v, on the first %v, on the second %v", err, first.entry(userDN(1)), second.entry(userDN(1)))
	}
	wantWithin(t, 2*impatient, start)
}

// TestOldHealth has the second of three servers fail while it is in use. That it answered long ago, when the third was in use, does
// not bring the client back to it as soon as it answers again.
func TestOldHealth(t *testing.T) {
	t.Parallel()
	first, second, third := newFake(t), newFake(t), newFake(t)
	config, _ := fakeConfig(first, second, third)
	byHand := hasty
	byHand.failBackInterval, byHand.failBackAfter, byHand.failBackQuiet = time.Hour, time.Minute, 0
	client := openFake(t, config, byHand)
	healthy, now := map[*server]time.Time{}, time.Now()
	look := func(after time.Duration, want *fakeServer) {
		t.Helper()
		now = now.Add(after)
		client.keeper.look(t.Context(), now, healthy)
		wantList(t, client, 0)
		if got := inUse(client); got != want.uri {
			t.Fatalf("%s is in use, want %s", got, want.uri)
		}
	}
	first.stop()
	second.stop()
	wantList(t, client, 0)
	second.restart()
	look(0, third) // The second one is seen.
	third.stop()
	wantList(t, client, 0)
	look(byHand.failBackAfter, second)
	third.restart()
	second.stop()
	wantList(t, client, 0)
	second.restart()
	look(time.Second, third)
	look(byHand.failBackAfter, second)
}

// TestFailureAfterClose has a connection break after the client was closed. Nobody decides any more, and nobody waits for it.
func TestFailureAfterClose(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	config, _ := fakeConfig(f)
	client, err := open(config, hasty)
	if err != nil {
		t.Fatal(err)
	}
	wantList(t, client, 0)
	underWay, ended, closed := make(chan *fakeSession, 1), make(chan error, 1), make(chan error, 1)
	f.set(once(wire.TagSearchRequest, func(s *fakeSession, _ wire.Message, _ wire.Request) bool {
		underWay <- s
		return true
	}))
	go func() { _, err := list(t.Context(), client); ended <- err }()
	session := <-underWay
	go func() { closed <- client.Close() }()
	eventually(t, "there is no server any more", func() bool { return inUse(client) == "" })
	_ = session.conn.Close()
	if err := <-ended; err == nil {
		t.Error("a read is answered that nobody has answered")
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := list(t.Context(), client); !isUnavailable(err) {
		t.Errorf("a closed client: %v", err)
	}
}

// TestPlainDuringADecision asks what kind of server is in use while that is being decided, for longer than a decision may take.
func TestPlainDuringADecision(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	config, _ := frozenConfig(f)
	config.DialTimeout, config.BindTimeout, config.Timeout = time.Millisecond, time.Millisecond, time.Millisecond
	client, err := open(config, hasty)
	if err != nil {
		t.Fatal(err)
	}
	k := client.keeper
	k.start = func() {}
	if client.IsPlain() {
		t.Error("there has been no server yet, and it is said to be a plain one")
	}
	plain := client.servers[0]
	plain.features.Store(&Features{SchemaKnown: true})
	k.decide(t.Context(), plain, nil)
	k.doubt(k.current)
	if _, err := client.Features(canceled(t)); !errors.Is(err, context.Canceled) {
		t.Fatalf("it is decided: %v", err)
	}
	if !client.IsPlain() {
		t.Error("the last server was a plain one")
	}
	k.decide(t.Context(), nil, errors.New("none answers"))
	if !client.IsPlain() {
		t.Error("no server answers, and the last one was a plain one")
	}
}

// canceled returns a context that has ended.
func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
