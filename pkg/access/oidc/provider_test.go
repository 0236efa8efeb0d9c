package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// provider is an issuer of tokens with any claims and headers.
type provider struct {
	*httptest.Server

	mutex sync.Mutex
	// keys are those that it publishes, each with its private half.
	keys []jose.JSONWebKey
	// down says that it answers nothing but 503, slow for how long it thinks.
	down bool
	slow time.Duration
	// asked is how often its keys were fetched.
	asked int
}

// audience is the name of the service at the providers.
const audience = "https://education.example"

// Keys are costly to make, so that all tests share them.
var (
	rsaKey    = sync.OnceValue(newRSAKey)
	otherKey  = sync.OnceValue(newRSAKey)
	curveKey  = sync.OnceValue(newCurveKey)
	weakRSA   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	wideCurve = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
)

func newRSAKey() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, minRSABits)) }

func newCurveKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// named returns a key with a name.
func named(kid string, key any) jose.JSONWebKey { return jose.JSONWebKey{KeyID: kid, Key: key} }

func newProvider(t testing.TB, keys ...jose.JSONWebKey) *provider {
	t.Helper()
	p := unstartedProvider(keys)
	p.Start()
	t.Cleanup(p.Close)
	return p
}

func unstartedProvider(keys []jose.JSONWebKey) *provider {
	p := &provider{keys: keys}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", p.answer(func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": p.URL, "jwks_uri": p.URL + "/keys"})
	}))
	mux.HandleFunc("/keys", p.answer(func(w http.ResponseWriter) {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.asked++
		set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
		for _, key := range p.keys {
			set.Keys = append(set.Keys, key.Public())
		}
		_ = json.NewEncoder(w).Encode(set)
	}))
	p.Server = httptest.NewUnstartedServer(mux)
	return p
}

// answer makes a handler that fails while the provider is down.
func (p *provider) answer(next func(http.ResponseWriter)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		p.mutex.Lock()
		down, slow := p.down, p.slow
		p.mutex.Unlock()
		time.Sleep(slow)
		if down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		next(w)
	}
}

// change changes what the provider does.
func (p *provider) change(how func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	how()
}

// fetches returns how often the keys were fetched.
func (p *provider) fetches() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.asked
}

// said returns what an operator says about the provider, changed by changes.
func (p *provider) said(changes ...func(*Issuer)) Issuer {
	said := Issuer{URL: p.URL, Audience: audience, TenantClaim: "tenant"}
	for _, change := range changes {
		change(&said)
	}
	return said
}

// authenticator returns one for what an operator says.
func authenticator(t testing.TB, said ...Issuer) *Authenticator {
	t.Helper()
	a, faults := New(said)
	if len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	return a
}

// claims are those of a token.
type claims map[string]any

// good returns the claims of a token that is let in, with others put over them. One that is nil is taken away.
func (p *provider) good(others claims) claims {
	now := time.Now().Unix()
	merged := claims{
		"iss": p.URL, "aud": audience, "exp": now + 300, "iat": now, "nbf": now, "azp": "sync", "sub": "s",
		"roles": []string{"EduRoster.ReadWrite.All"}, "tenant": "north",
	}
	for name, value := range others {
		merged[name] = value
		if value == nil {
			delete(merged, name)
		}
	}
	return merged
}

// signer says how a token is signed.
type signer struct {
	algorithm jose.SignatureAlgorithm
	key       any
	header    map[jose.HeaderKey]any
}

// sign makes a token.
func (s signer) sign(t testing.TB, payload any) string {
	t.Helper()
	options := &jose.SignerOptions{ExtraHeaders: s.header}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: s.algorithm, Key: s.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := payload.([]byte)
	if !ok {
		text = must(json.Marshal(payload))
	}
	return must(must(made.Sign(text)).CompactSerialize())
}

// rs256 signs with a key of a name.
func rs256(kid string, key *rsa.PrivateKey) signer { return signer{jose.RS256, named(kid, key), nil} }
