package acceptance

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// bearer presents a token.
func bearer(token string) option { return header("Authorization", "Bearer "+token) }

// startForProvider runs a provider with two clients, each for a school, and one that may only read, and a service that lets
// their tokens in.
func startForProvider(t *testing.T) (*identityProvider, *server) {
	t.Helper()
	p := startIdentityProvider(t, map[string]map[string]any{
		"north-sync":   claimsFor("EduRoster.ReadWrite.All", "north"),
		"south-sync":   claimsFor("EduRoster.ReadWrite.All", "south"),
		"north-reader": claimsFor("EduRoster.Read.All", "north"),
		"lost":         claimsFor("EduRoster.Read.All", "west"),
		"no-role":      claimsFor("other", "north"),
		"no-school":    {"roles": []string{"EduRoster.Read.All"}},
	})
	return p, start(t, p.settings()...)
}

// TestIssuerTenants shows that tokens of a provider see and change the schools that their claims name, and nothing else.
func TestIssuerTenants(t *testing.T) {
	t.Parallel()
	p, s := startForProvider(t)
	schools, users := map[string]string{}, map[string]string{}
	for _, name := range []string{"north", "south"} {
		schools[name] = s.school(t, entity{"externalId": name})
		users[name] = s.make(t, "/schools/"+schools[name]+"/users", aUser(), nil)
	}
	for name, other := range map[string]string{"north": "south", "south": "north"} {
		token := p.token(t, name+"-sync")
		s.conceal(token)
		for path, want := range map[string]string{"/schools": schools[name], "/users": users[name]} {
			got := s.get(t, path, bearer(token)).want(http.StatusOK).ids()
			if diff := cmp.Diff([]string{want}, got); diff != "" {
				t.Errorf("%s of %s (-want +got):\n%s", path, name, diff)
			}
		}
		s.get(t, "/users/"+users[other], bearer(token)).want(http.StatusNotFound)
		s.remove(t, "/users/"+users[other], bearer(token)).want(http.StatusNotFound)
		s.patch(t, "/users/"+users[name], entity{"surname": "Changed"}, bearer(token)).want(http.StatusOK)
	}
	reader := p.token(t, "north-reader")
	s.get(t, "/users/"+users["north"], bearer(reader)).want(http.StatusOK)
	s.patch(t, "/users/"+users["north"], entity{"surname": "Changed"}, bearer(reader)).want(http.StatusForbidden)
	s.get(t, "/users", bearer(p.token(t, "lost"))).want(http.StatusOK).wantNone()
	s.get(t, "/users", bearer(p.token(t, "no-role"))).want(http.StatusUnauthorized)
	s.get(t, "/users", bearer(p.token(t, "no-school"))).want(http.StatusUnauthorized)
	s.get(t, "/users").want(http.StatusOK)
}

// TestIssuerRotatesKeys shows that a new key counts at once, and that one that the provider has taken back ends.
func TestIssuerRotatesKeys(t *testing.T) {
	t.Parallel()
	p, s := startForProvider(t)
	first := p.token(t, "north-sync")
	s.get(t, "/users", bearer(first)).want(http.StatusOK)
	p.store.rotate()
	second := p.token(t, "north-sync")
	s.get(t, "/users", bearer(second)).want(http.StatusOK)
	s.get(t, "/users", bearer(first)).want(http.StatusOK)
	p.store.forget()
	p.store.rotate()
	s.get(t, "/users", bearer(p.token(t, "north-sync"))).want(http.StatusOK)
	s.get(t, "/users", bearer(first)).want(http.StatusUnauthorized)
	s.get(t, "/users", bearer(second)).want(http.StatusOK)
}

// TestIssuerDown shows that the provider's absence ends no token, and that a service that starts meanwhile asks to try later
// until the provider is back.
func TestIssuerDown(t *testing.T) {
	t.Parallel()
	p, s := startForProvider(t)
	s.troubled = true
	token := p.token(t, "north-sync")
	s.get(t, "/users", bearer(token)).want(http.StatusOK)
	p.setDown(true)
	s.get(t, "/users", bearer(token)).want(http.StatusOK)
	s.restart(t)
	s.get(t, "/users", bearer(token)).want(http.StatusServiceUnavailable)
	s.get(t, "/users").want(http.StatusOK)
	s.get(t, "/users", bearer("no JWT")).want(http.StatusUnauthorized)
	p.setDown(false)
	s.get(t, "/users", bearer(token)).want(http.StatusOK)
}

// volatile is what differs between two answers that are the same.
var volatile = regexp.MustCompile(`"(date|request-id|client-request-id)":"[^"]*"`)

// TestForgedTokens shows that whatever is wrong with a token, the answer is one and the same.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	p, s := startForProvider(t)
	elsewhere := startIdentityProvider(t, map[string]map[string]any{"north-sync": claimsFor("EduRoster.ReadWrite.All", "north")})
	now, key, other := time.Now().Unix(), p.store.current(), elsewhere.store.current()
	claims := func(others map[string]any) map[string]any {
		good := claimsFor("EduRoster.ReadWrite.All", "north")
		for name, value := range map[string]any{"iss": p.URL, "aud": oidcAudience, "sub": "x", "iat": now, "exp": now + 300} {
			good[name] = value
		}
		for name, value := range others {
			good[name] = value
		}
		return good
	}
	sign := func(algorithm jose.SignatureAlgorithm, with any, more map[jose.HeaderKey]any, payload map[string]any) string {
		return signJWT(t, jose.SigningKey{Algorithm: algorithm, Key: with}, more, payload)
	}
	named := func(kid string, k providerKey) jose.JSONWebKey { return jose.JSONWebKey{KeyID: kid, Key: k.pair} }
	s.get(t, "/users", bearer(sign(jose.RS256, named(key.id, key), nil, claims(nil)))).want(http.StatusOK)

	type headers = map[jose.HeaderKey]any
	good := strings.Split(p.token(t, "north-sync"), ".")
	der, err := x509.MarshalPKIXPublicKey(key.pair.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	tokens := map[string]string{
		"no JWT":                   "a-token",
		"alg none":                 none + "." + good[1] + ".",
		"alg none, signed":         none + "." + good[1] + "." + good[2],
		"no signature":             good[0] + "." + good[1] + ".",
		"another's signature":      good[0] + "." + good[1] + "." + strings.Split(elsewhere.token(t, "north-sync"), ".")[2],
		"HS256 with the public":    sign(jose.HS256, publicPEM, headers{"kid": key.id}, claims(nil)),
		"a wrong key":              sign(jose.RS256, named(key.id, other), nil, claims(nil)),
		"a key nobody knows":       sign(jose.RS256, named("unknown", other), nil, claims(nil)),
		"no kid and a wrong key":   sign(jose.RS256, other.pair, nil, claims(nil)),
		"another issuer's key":     sign(jose.RS256, named(other.id, other), nil, claims(nil)),
		"another issuer":           elsewhere.token(t, "north-sync"),
		"a path for a kid":         sign(jose.RS256, named("../../../dev/null", other), nil, claims(nil)),
		"a jku":                    sign(jose.RS256, named(other.id, other), headers{"jku": elsewhere.URL + "/keys"}, claims(nil)),
		"an x5u":                   sign(jose.RS256, named(other.id, other), headers{"x5u": elsewhere.URL + "/keys"}, claims(nil)),
		"a jwk":                    sign(jose.RS256, other.pair, headers{"jwk": jose.JSONWebKey{Key: other.pair.Public()}}, claims(nil)),
		"another audience":         sign(jose.RS256, named(key.id, key), nil, claims(map[string]any{"aud": "account"})),
		"expired":                  sign(jose.RS256, named(key.id, key), nil, claims(map[string]any{"exp": now - 60})),
		"not yet":                  sign(jose.RS256, named(key.id, key), nil, claims(map[string]any{"nbf": now + 120})),
		"from the future":          sign(jose.RS256, named(key.id, key), nil, claims(map[string]any{"iat": now + 120})),
		"an ID token":              sign(jose.RS256, named(key.id, key), nil, claims(map[string]any{"at_hash": "x"})),
		"a claim that is not text": sign(jose.RS256, named(key.id, key), nil, claims(map[string]any{"https://example.org/tenant": map[string]any{"schools": true}})),
		"too long":                 good[0] + "." + good[1] + "." + good[2] + strings.Repeat("A", 20_000),
	}
	asked := elsewhere.requests()
	want := s.get(t, "/users", bearer("never-seen")).want(http.StatusUnauthorized)
	for name, token := range tokens {
		s.conceal(token)
		got := s.get(t, "/users", bearer(token))
		if got.status != want.status || unvaried(got) != unvaried(want) {
			t.Errorf("%s: got %d\n%s\nwant %d\n%s", name, got.status, unvaried(got), want.status, unvaried(want))
		}
	}
	if elsewhere.requests() != asked {
		t.Error("the place that a token names was asked for keys")
	}
}

// signJWT makes a token of claims.
func signJWT(t testing.TB, key jose.SigningKey, more map[jose.HeaderKey]any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, &jose.SignerOptions{ExtraHeaders: more})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// unvaried returns the headers and the body of an answer without dates and request ids.
func unvaried(a *answer) string {
	headers := a.header.Clone()
	for _, name := range []string{"Date", "Request-Id", "X-Request-Id", "Client-Request-Id"} {
		headers.Del(name)
	}
	var text strings.Builder
	_ = headers.Write(&text)
	text.Write(volatile.ReplaceAll(a.body, nil))
	return text.String()
}
