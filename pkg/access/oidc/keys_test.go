package oidc

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/opencloud-eu/education/pkg/access"
)

// outcome is what becomes of a token: "" for a grant, "refused", or "later" if it cannot be told.
func outcome(t testing.TB, a *Authenticator, text string) string {
	t.Helper()
	switch _, err := a.Authenticate(t.Context(), text); {
	case err == nil:
		return ""
	case errors.Is(err, access.ErrInvalid), errors.Is(err, access.ErrUnknown):
		return "refused"
	default:
		return "later"
	}
}

// wantOutcome expects what becomes of a token.
func wantOutcome(t testing.TB, a *Authenticator, text, when, want string) {
	t.Helper()
	if got := outcome(t, a, text); got != want {
		t.Errorf("%s: got %q, want %q", when, got, want)
	}
}

// within waits until something is so.
func within(t testing.TB, patience time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s it is not so that %s", patience, what)
		}
	}
}

// paced returns an authenticator of a provider that keeps another pace.
func paced(t testing.TB, p *provider, change func(*pace)) *Authenticator {
	t.Helper()
	a := authenticator(t, p.said())
	change(&a.issuers[p.URL].keys.pace)
	return a
}

// running runs the authenticator until the test ends.
func running(t testing.TB, a *Authenticator) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
}

// TestRotation shows that a new key counts at once, and an old one until the issuer takes it back and not much longer.
func TestRotation(t *testing.T) {
	t.Parallel()
	old, next := named("old", rsaKey()), named("next", otherKey())
	p := newProvider(t, old)
	a := paced(t, p, func(p *pace) { p.every = 50 * time.Millisecond })
	running(t, a)
	oldToken, nextToken := rs256("old", rsaKey()).sign(t, p.good(nil)), rs256("next", otherKey()).sign(t, p.good(nil))
	wantOutcome(t, a, oldToken, "before the rotation", "")
	p.change(func() { p.keys = []jose.JSONWebKey{old, next} })
	wantOutcome(t, a, nextToken, "after the rotation, with the new key", "")
	wantOutcome(t, a, oldToken, "after the rotation, with the old key", "")
	p.change(func() { p.keys = []jose.JSONWebKey{next} })
	within(t, 5*time.Second, "the old key has ended", func() bool { return outcome(t, a, oldToken) == "refused" })
	wantOutcome(t, a, nextToken, "when the old key has ended", "")
	p.change(func() { p.keys = nil })
	within(t, 5*time.Second, "no key counts", func() bool { return outcome(t, a, nextToken) == "refused" })
}

// TestFlood shows that tokens with unknown keys make us ask the issuer a few times only, and that a new key is found all the same.
func TestFlood(t *testing.T) {
	t.Parallel()
	p := newProvider(t, named("a", rsaKey()))
	a := paced(t, p, func(p *pace) { p.burst, p.pause = 3, 100*time.Millisecond })
	begin := time.Now()
	var flood sync.WaitGroup
	for worker := range 8 {
		flood.Go(func() {
			for n := range 25 {
				wantOutcome(t, a, rs256(fmt.Sprintf("%d-%d", worker, n), otherKey()).sign(t, p.good(nil)), "an unknown key", "refused")
				wantOutcome(t, a, signer{jose.RS256, otherKey(), nil}.sign(t, p.good(nil)), "an unknown key without a name", "refused")
			}
		})
	}
	flood.Wait()
	if got, most := p.fetches(), 4+int(time.Since(begin)/(100*time.Millisecond)); got > most {
		t.Errorf("400 tokens with unknown keys made %d requests, want at most %d", got, most)
	}
	p.change(func() { p.keys = append(p.keys, named("new", otherKey())) })
	good := rs256("new", otherKey()).sign(t, p.good(nil))
	within(t, 5*time.Second, "the new key is found", func() bool { return outcome(t, a, good) == "" })
	asked := p.fetches()
	for range 20 {
		wantOutcome(t, a, rs256("a", otherKey()).sign(t, p.good(nil)), "a wrong signature with a known key", "refused")
	}
	if p.fetches() != asked {
		t.Error("wrong signatures with a known key made requests")
	}
}

// TestIssuerDown shows that known keys outlive their issuer's absence for a while, and that without keys nothing is refused for
// good.
func TestIssuerDown(t *testing.T) {
	t.Parallel()
	p := newProvider(t, named("a", rsaKey()))
	a := paced(t, p, func(p *pace) {
		p.every, p.retry, p.pause, p.keep = 20*time.Millisecond, 20*time.Millisecond, 10*time.Millisecond, time.Second
	})
	good, other := rs256("a", rsaKey()).sign(t, p.good(nil)), rs256("b", otherKey()).sign(t, p.good(nil))
	p.change(func() { p.down = true })
	running(t, a)
	wantOutcome(t, a, good, "before the issuer has ever been there", "later")
	p.change(func() { p.down = false })
	within(t, 5*time.Second, "the keys are there", func() bool { return outcome(t, a, good) == "" })
	wantOutcome(t, a, other, "with the issuer there, an unknown key", "refused")

	p.change(func() { p.down = true })
	within(t, 5*time.Second, "it is noticed that the issuer is gone", func() bool { return outcome(t, a, other) == "later" })
	wantOutcome(t, a, good, "with the issuer gone, a known key", "")
	wantOutcome(t, a, rs256("a", otherKey()).sign(t, p.good(nil)), "with the issuer gone, a wrong signature", "refused")
	within(t, 5*time.Second, "keys are given up", func() bool { return outcome(t, a, good) == "later" })
	p.change(func() { p.down = false })
	within(t, 5*time.Second, "the keys are there again", func() bool { return outcome(t, a, good) == "" })
}

// TestSlowIssuer shows that requests share one fetch and wait for it no longer than they may.
func TestSlowIssuer(t *testing.T) {
	t.Parallel()
	p := newProvider(t, named("a", rsaKey()))
	a := paced(t, p, func(p *pace) { p.patience = 50 * time.Millisecond })
	p.change(func() { p.slow = 2 * time.Second })
	good := rs256("a", rsaKey()).sign(t, p.good(nil))
	begin := time.Now()
	var crowd sync.WaitGroup
	for range 20 {
		crowd.Go(func() { wantOutcome(t, a, good, "while the issuer thinks", "later") })
	}
	crowd.Wait()
	if took := time.Since(begin); took >= 2*time.Second {
		t.Errorf("requests waited %s", took)
	}
	within(t, 5*time.Second, "the keys are there", func() bool { return outcome(t, a, good) == "" })
	if got := p.fetches(); got > 1 {
		t.Errorf("the keys were fetched %d times", got)
	}
}

// TestSlowIssuerIsNotHurried shows that an issuer that takes longer than a request waits is asked as seldom as any other.
func TestSlowIssuerIsNotHurried(t *testing.T) {
	t.Parallel()
	p := newProvider(t, named("a", rsaKey()))
	a := paced(t, p, func(p *pace) { p.patience, p.retry = 20*time.Millisecond, 200*time.Millisecond })
	p.change(func() { p.slow = 50 * time.Millisecond })
	running(t, a)
	within(t, 5*time.Second, "the keys are there", func() bool { return len(a.issuers[p.URL].keys.trusted()) > 0 })
	time.Sleep(time.Second)
	if got := p.fetches(); got != 1 {
		t.Errorf("the keys were fetched %d times, want once", got)
	}
}

// TestFreshKeysNeedNoAllowance shows that keeping keys fresh takes nothing from the fetches that tokens with new keys may cause,
// and goes on without any of those.
func TestFreshKeysNeedNoAllowance(t *testing.T) {
	t.Parallel()
	p := newProvider(t, named("old", rsaKey()))
	a := paced(t, p, func(p *pace) { p.burst, p.pause = 1, time.Hour })
	running(t, a)
	within(t, 5*time.Second, "the keys are there", func() bool { return len(a.issuers[p.URL].keys.trusted()) > 0 })
	p.change(func() { p.keys = append(p.keys, named("new", otherKey())) })
	wantOutcome(t, a, rs256("new", otherKey()).sign(t, p.good(nil)), "a new key", "")

	often := newProvider(t, named("a", rsaKey()))
	running(t, paced(t, often, func(p *pace) { p.every, p.burst = 10*time.Millisecond, 0 }))
	within(t, 5*time.Second, "keys are fetched again and again", func() bool { return often.fetches() >= 3 })
}

// TestWaitEndsWithTheRequest shows that a request whose client has gone waits for nothing.
func TestWaitEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	p := newProvider(t, named("a", rsaKey()))
	a := authenticator(t, p.said())
	p.change(func() { p.slow = 100 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Authenticate(ctx, rs256("a", rsaKey()).sign(t, p.good(nil))); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
}

// TestAuthorities shows that keys are taken from an issuer with a certificate of the authorities that were named, and from no
// other.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	p := unstartedProvider([]jose.JSONWebKey{named("a", rsaKey())})
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	good := rs256("a", rsaKey()).sign(t, p.good(nil))
	wantOutcome(t, authenticator(t, p.said(func(i *Issuer) { i.CAFile = file })), good, "with its authority", "")
	wantOutcome(t, authenticator(t, p.said()), good, "with the system's authorities", "later")
}

// BenchmarkAuthenticate measures what a token takes whose issuer's keys are known.
func BenchmarkAuthenticate(b *testing.B) {
	p := newProvider(b, named("a", rsaKey()), named("e", curveKey()))
	a := authenticator(b, p.said())
	for _, s := range []signer{rs256("a", rsaKey()), {jose.PS256, named("a", rsaKey()), nil}, {jose.ES256, named("e", curveKey()), nil}} {
		text := s.sign(b, p.good(nil))
		b.Run(string(s.algorithm), func(b *testing.B) {
			for b.Loop() {
				if _, err := a.Authenticate(b.Context(), text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
