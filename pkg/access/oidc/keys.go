package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// pace says how often an issuer is asked for its keys.
type pace struct {
	// every is how long it takes at most until a key is no longer trusted that the issuer has taken back.
	every time.Duration
	// retry is how long it takes until an issuer that has not answered is asked again without a token that needs it.
	retry time.Duration
	// keep is for how long keys count while the issuer does not answer.
	keep time.Duration
	// timeout is how long the issuer may take to answer, patience how long a request waits for that.
	timeout, patience time.Duration
	// Tokens with unknown keys may make us ask burst times in a row, and after that once in each pause.
	burst int
	pause time.Duration
}

var usualPace = pace{
	every: 5 * time.Minute, retry: 10 * time.Second, keep: 24 * time.Hour,
	timeout: 5 * time.Second, patience: 2 * time.Second, burst: 5, pause: 10 * time.Second,
}

// keySet is the keys of an issuer. They are fetched by one goroutine at a time, for whose result all requests wait that need
// it, and outlive the issuer's absence.
type keySet struct {
	issuer string
	client *http.Client
	pace   pace

	mutex sync.Mutex
	keys  []jose.JSONWebKey
	// seen is when the issuer last gave us its keys.
	seen time.Time
	// failure is why the last fetch failed, nil if it did not.
	failure error
	// running is closed when the fetch ends that is under way, nil without one.
	running chan struct{}
	// allowance is how many fetches requests may cause, as of since.
	allowance float64
	since     time.Time
}

// Reasons why it cannot be told whether a token is valid.
var (
	errNeverSeen = errors.New("none have been fetched yet")
	errSlow      = errors.New("the issuer takes long to answer")
)

func newKeySet(issuer string, authorities *x509.CertPool) *keySet {
	return &keySet{issuer: issuer, client: newClient(authorities), pace: usualPace, failure: errNeverSeen}
}

// verify checks the signature of a token. The error wraps access.ErrInvalid if it is not that of a key of the issuer; any other
// says that this cannot be told, because the issuer may have a new key and does not answer.
func (k *keySet) verify(ctx context.Context, signed *jose.JSONWebSignature) error {
	verified, known := k.try(signed)
	if !verified && !known {
		if err := k.refresh(ctx); err != nil {
			return err
		}
		verified, known = k.try(signed)
	}
	switch {
	case verified:
		return nil
	case known:
		return invalid("its signature is wrong")
	}
	return invalid("it is signed with no key of its issuer (kid %.80q)", signed.Signatures[0].Header.KeyID)
}

// try checks a signature with the keys at hand. known says that there is a key with the name (kid) that the token gives, so that
// no other one would verify it. A token that names none is tried with all.
func (k *keySet) try(signed *jose.JSONWebSignature) (verified, known bool) {
	header := signed.Signatures[0].Header
	for _, key := range k.trusted() {
		if header.KeyID != "" && header.KeyID != key.KeyID {
			continue
		}
		known = header.KeyID != ""
		if !fits(key, header.Algorithm) {
			continue
		}
		if _, err := signed.Verify(key.Key); err == nil {
			return true, known
		}
	}
	return false, known
}

// trusted returns the keys that count at the moment.
func (k *keySet) trusted() []jose.JSONWebKey {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if time.Since(k.seen) > k.pace.keep {
		return nil
	}
	return k.keys
}

// refresh fetches the keys, or joins a fetch that is under way, and waits for the result, but not longer than a request may
// wait. If the issuer has been asked too often lately, the result is that of the last time.
func (k *keySet) refresh(ctx context.Context) error {
	running, err := k.begin()
	if running == nil {
		return err
	}
	patience := time.NewTimer(k.pace.patience)
	defer patience.Stop()
	select {
	case <-running:
		return k.outcome()
	case <-patience.C:
		return errSlow
	case <-ctx.Done():
		return ctx.Err()
	}
}

// renew fetches the keys, or joins a fetch that is under way, and waits for the result for as long as the fetch may take. That
// needs no allowance: it is for tokens with new keys, and who keeps the keys fresh has a pace of his own.
func (k *keySet) renew(ctx context.Context) error {
	k.mutex.Lock()
	running := k.start()
	k.mutex.Unlock()
	select {
	case <-running:
		return k.outcome()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// outcome returns the result of the last fetch.
func (k *keySet) outcome() error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.failure
}

// begin returns the fetch that is under way and begins one if there is none. Without an allowance for it, begin returns the
// result of the last one.
func (k *keySet) begin() (running <-chan struct{}, err error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.running != nil {
		return k.running, nil
	}
	now := time.Now()
	k.allowance = min(float64(k.pace.burst), k.allowance+float64(now.Sub(k.since))/float64(k.pace.pause))
	k.since = now
	if k.allowance < 1 {
		return nil, k.failure
	}
	k.allowance--
	return k.start(), nil
}

// start returns the fetch that is under way and starts one if there is none. The caller holds the mutex.
func (k *keySet) start() (running <-chan struct{}) {
	if k.running != nil {
		return k.running
	}
	done := make(chan struct{})
	k.running = done
	go func() {
		defer close(done)
		k.fetch()
	}()
	return done
}

// fetch fetches the keys and takes them over. It does not depend on the request that has caused it, because others wait, too.
func (k *keySet) fetch() {
	ctx, cancel := context.WithTimeout(context.Background(), k.pace.timeout)
	defer cancel()
	keys, err := fetchKeys(ctx, k.client, k.issuer)

	k.mutex.Lock()
	defer k.mutex.Unlock()
	switch before := k.failure; {
	case err == nil && before != nil:
		slog.Info("the keys of an issuer were fetched", "issuer", k.issuer, "keys", len(keys))
	case err != nil && (before == nil || errors.Is(before, errNeverSeen)):
		slog.Warn("an issuer does not give its keys; those that are known are kept for a while", "issuer", k.issuer, "for", k.pace.keep, "cause", err)
	}
	k.running, k.failure = nil, err
	if err == nil {
		k.keys, k.seen = keys, time.Now()
	}
}

// keepFresh fetches the keys again and again until ctx ends.
func (k *keySet) keepFresh(ctx context.Context) {
	for ctx.Err() == nil {
		pause := k.pace.every
		if err := k.renew(ctx); err != nil {
			pause = k.pace.retry
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	k.mutex.Lock()
	running := k.running
	k.mutex.Unlock()
	if running != nil {
		<-running
	}
}

// minRSABits is the length of the shortest RSA key that is used (RFC 7518, section 3.3).
const minRSABits = 2048

// isUsable reports whether a key is one to check signatures with: the public half of a pair, strong enough, and not for
// encryption (RFC 7517, section 4.2).
func isUsable(key jose.JSONWebKey) bool {
	if !key.IsPublic() || !key.Valid() || key.Use != "" && key.Use != "sig" {
		return false
	}
	pair, ok := key.Key.(*rsa.PublicKey)
	return !ok || pair.N.BitLen() >= minRSABits
}

// curves are those that go with algorithms (RFC 7518, section 3.4).
var curves = map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}

// fits reports whether a key is one for an algorithm. A key that names an algorithm is for no other (RFC 7517, section 4.4).
func fits(key jose.JSONWebKey, algorithm string) bool {
	if key.Algorithm != "" && key.Algorithm != algorithm {
		return false
	}
	switch pair := key.Key.(type) {
	case *rsa.PublicKey:
		return algorithm[:2] == "RS" || algorithm[:2] == "PS"
	case *ecdsa.PublicKey:
		return pair.Curve == curves[algorithm]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}
