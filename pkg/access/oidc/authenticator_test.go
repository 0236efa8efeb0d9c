package oidc

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/access"
)

const anID = "0193b2c4-7d1e-7a50-8c3e-2f6a1b9d4e77"

func TestGrants(t *testing.T) {
	t.Parallel()
	p := newProvider(t, named("a", rsaKey()), named("e", curveKey()))
	north := []access.School{{ExternalID: "north"}}
	grant := func(verbs access.Verbs, schools ...access.School) *access.Grant {
		return &access.Grant{Name: "sync@" + p.URL, Verbs: verbs, Schools: schools}
	}
	tests := map[string]struct {
		said   func(*Issuer)
		claims claims
		want   *access.Grant
	}{
		"everything as usual":      {nil, nil, grant(access.AllVerbs, north...)},
		"one role for reading":     {nil, claims{"roles": "EduRoster.Read.All"}, grant(access.Read, north...)},
		"a scope of Entra ID":      {nil, claims{"roles": nil, "scp": "openid EduRoster.Read.All"}, grant(access.Read, north...)},
		"a scope of Keycloak":      {nil, claims{"roles": nil, "scope": "profile EduRoster.ReadBasic.All"}, grant(access.Read, north...)},
		"roles beside unknown":     {nil, claims{"roles": []any{"x", 1, nil, "EduRoster.Read.All"}}, grant(access.Read, north...)},
		"several audiences":        {nil, claims{"aud": []string{"account", audience}}, grant(access.AllVerbs, north...)},
		"clocks apart":             {nil, claims{"exp": time.Now().Unix() - 20, "nbf": time.Now().Unix() + 20, "iat": time.Now().Unix() + 20}, grant(access.AllVerbs, north...)},
		"a fraction of a second":   {nil, claims{"exp": json.Number("1e11"), "nbf": 0.5}, grant(access.AllVerbs, north...)},
		"neither iat nor nbf":      {nil, claims{"iat": nil, "nbf": nil}, grant(access.AllVerbs, north...)},
		"several schools":          {nil, claims{"tenant": []any{"north", "", nil, anID, "north"}}, grant(access.AllVerbs, access.School{ExternalID: "north"}, access.School{ID: anID})},
		"a number":                 {nil, claims{"tenant": 4711}, grant(access.AllVerbs, access.School{ExternalID: "4711"})},
		"an id":                    {func(i *Issuer) { i.TenantKey = ByID }, claims{"tenant": strings.ToUpper(anID)}, grant(access.AllVerbs, access.School{ID: anID})},
		"an externalId like an id": {func(i *Issuer) { i.TenantKey = ByExternalID }, claims{"tenant": anID}, grant(access.AllVerbs, access.School{ExternalID: anID})},
		"a nested claim": {
			func(i *Issuer) { i.TenantClaim = `https://example\.org/orgs.*.id` },
			claims{"https://example.org/orgs": map[string]any{"b": map[string]any{"id": "south"}, "a": []any{map[string]any{"id": "north"}}}},
			grant(access.AllVerbs, access.School{ExternalID: "north"}, access.School{ExternalID: "south"}),
		},
		"roles of one's own": {
			func(i *Issuer) {
				i.VerbClaims, i.Verbs = []string{"realm_access.roles"}, map[string][]string{"School Reader": {"read"}}
			},
			claims{"realm_access": map[string]any{"roles": []string{"School Reader"}}},
			grant(access.Read, north...),
		},
		"all schools where permitted":     {func(i *Issuer) { i.WithoutTenant = All }, claims{"tenant": nil}, &access.Grant{Name: "sync@" + p.URL, Verbs: access.AllVerbs, AllSchools: true}},
		"a school where all are":          {func(i *Issuer) { i.WithoutTenant = All }, nil, grant(access.AllVerbs, north...)},
		"all schools and no claim at all": {func(i *Issuer) { i.TenantClaim, i.WithoutTenant = "", All }, nil, &access.Grant{Name: "sync@" + p.URL, Verbs: access.AllVerbs, AllSchools: true}},
		"a school of the issuer's":        {func(i *Issuer) { i.Schools = []string{"south", "north"} }, nil, grant(access.AllVerbs, north...)},
		"the schools of the issuer":       {func(i *Issuer) { i.TenantClaim, i.Schools = "", []string{"south"} }, nil, grant(access.AllVerbs, access.School{ExternalID: "south"})},
		"the next name":                   {nil, claims{"azp": nil, "appid": "two\nlines", "client_id": "c"}, &access.Grant{Name: "c@" + p.URL, Verbs: access.AllVerbs, Schools: north}},
		"typ of Keycloak":                 {nil, claims{"typ": "Bearer"}, grant(access.AllVerbs, north...)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := test.said
			if change == nil {
				change = func(*Issuer) {}
			}
			a := authenticator(t, p.said(change))
			got, err := a.Authenticate(t.Context(), rs256("a", rsaKey()).sign(t, p.good(test.claims)))
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("got error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestSignatures shows each way to sign a token and what becomes of it.
func TestSignatures(t *testing.T) {
	t.Parallel()
	p := newProvider(t, named("a", rsaKey()), named("e", curveKey()), named("wide", wideCurve()), named("weak", weakRSA()),
		jose.JSONWebKey{KeyID: "only-ps", Key: otherKey(), Algorithm: "PS256"}, jose.JSONWebKey{KeyID: "enc", Key: otherKey(), Use: "enc"})
	elsewhere := newProvider(t, named("a", otherKey()), named("b", otherKey()))
	public := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	a := authenticator(t, p.said(), elsewhere.said())

	type header = map[jose.HeaderKey]any
	tests := map[string]struct {
		signer signer
		fails  string
	}{
		"RS256":                      {rs256("a", rsaKey()), ""},
		"PS256":                      {signer{jose.PS256, named("a", rsaKey()), nil}, ""},
		"ES256":                      {signer{jose.ES256, named("e", curveKey()), nil}, ""},
		"a key for one algorithm":    {signer{jose.PS256, named("only-ps", otherKey()), nil}, ""},
		"no kid":                     {rs256("", rsaKey()), ""},
		"a jku that means nothing":   {signer{jose.RS256, named("a", rsaKey()), header{"jku": elsewhere.URL + "/keys", "x5u": elsewhere.URL}}, ""},
		"typ of RFC 9068":            {signer{jose.RS256, named("a", rsaKey()), header{"typ": "at+JWT"}}, ""},
		"typ of everybody":           {signer{jose.RS256, named("a", rsaKey()), header{"typ": "JWT"}}, ""},
		"HS256, the key as a secret": {signer{jose.HS256, publicPEM, header{"kid": "a"}}, "not permitted"},
		"HS256, the key in DER":      {signer{jose.HS256, public, header{"kid": "a"}}, "not permitted"},
		"RS384":                      {signer{jose.RS384, named("a", rsaKey()), nil}, "not permitted"},
		"another key":                {rs256("a", otherKey()), "signature is wrong"},
		"a key of another kind":      {signer{jose.ES256, named("a", curveKey()), nil}, "signature is wrong"},
		"a curve too wide":           {signer{jose.ES384, named("wide", wideCurve()), nil}, "not permitted"},
		"another issuer's key":       {rs256("b", otherKey()), "no key of its issuer"},
		"another issuer's, no kid":   {signer{jose.RS256, otherKey(), nil}, "no key of its issuer"},
		"a key that is too short":    {rs256("weak", weakRSA()), "no key of its issuer"},
		"a key for encryption":       {rs256("enc", otherKey()), "no key of its issuer"},
		"another algorithm's key":    {rs256("only-ps", otherKey()), "signature is wrong"},
		"a path for a kid":           {rs256("../../../../dev/null", otherKey()), "no key of its issuer"},
		"SQL for a kid":              {rs256("a' OR '1'='1", otherKey()), "no key of its issuer"},
		"a jku":                      {signer{jose.RS256, named("b", otherKey()), header{"jku": elsewhere.URL + "/keys"}}, "no key of its issuer"},
		"a jwk":                      {signer{jose.RS256, named("b", otherKey()), header{"jwk": jose.JSONWebKey{Key: otherKey().Public(), KeyID: "b"}}}, "no key of its issuer"},
		"an x5u":                     {signer{jose.RS256, named("b", otherKey()), header{"x5u": elsewhere.URL + "/keys"}}, "no key of its issuer"},
		"an extension":               {signer{jose.RS256, named("a", rsaKey()), header{"crit": []string{"b64"}, "b64": true}}, "extension"},
		"a kid that is no text":      {signer{jose.RS256, rsaKey(), header{"kid": 7}}, "kid"},
		"typ of a proof":             {signer{jose.RS256, named("a", rsaKey()), header{"typ": "dpop+jwt"}}, "typ"},
		"typ of a logout":            {signer{jose.RS256, named("a", rsaKey()), header{"typ": "logout+jwt"}}, "typ"},
		"typ that is no text":        {signer{jose.RS256, named("a", rsaKey()), header{"typ": 1}}, "typ"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := test.signer.sign(t, p.good(nil))
			grant, err := a.Authenticate(t.Context(), text)
			wantRefused(t, grant, err, test.fails, access.ErrInvalid)
		})
	}
	if elsewhere.fetches() > 0 {
		t.Errorf("what a token names was fetched")
	}
}

// wantRefused expects a failure that says a text and wraps an error, or a grant if that text is empty.
func wantRefused(t *testing.T, grant *access.Grant, err error, text string, wraps error) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if grant != nil || !errors.Is(err, wraps) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %+v, error %v; want one with %q that wraps %q", grant, err, text, wraps)
	}
}

// TestClaimsThatAreRefused shows that tokens with faulty claims are refused before their issuer is asked for anything.
func TestClaimsThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newProvider(t, named("a", rsaKey()))
	a := authenticator(t, p.said())
	now := time.Now().Unix()
	tests := map[string]struct {
		claims claims
		fails  string
		wraps  error
	}{
		"another issuer":          {claims{"iss": "https://issuer.example"}, "no configured issuer", access.ErrUnknown},
		"no issuer":               {claims{"iss": nil}, "no configured issuer", access.ErrUnknown},
		"nearly the issuer":       {claims{"iss": p.URL + "/"}, "no configured issuer", access.ErrUnknown},
		"a list of issuers":       {claims{"iss": []string{p.URL}}, "no configured issuer", access.ErrUnknown},
		"another audience":        {claims{"aud": "account"}, "audience", access.ErrInvalid},
		"no audience":             {claims{"aud": nil}, "audience", access.ErrInvalid},
		"an audience around ours": {claims{"aud": audience + "/x " + audience}, "audience", access.ErrInvalid},
		"an audience in an array": {claims{"aud": []any{[]string{audience}, map[string]any{}}}, "audience", access.ErrInvalid},
		"an audience by case":     {claims{"aud": nil, "AUD": audience}, "audience", access.ErrInvalid},
		"expired":                 {claims{"exp": now - 31}, "expired", access.ErrInvalid},
		"no end":                  {claims{"exp": nil}, "exp is missing", access.ErrInvalid},
		"an end that is text":     {claims{"exp": "4102444800"}, "exp is no time", access.ErrInvalid},
		"an end beyond numbers":   {claims{"exp": json.Number("1e999")}, "exp is no time", access.ErrInvalid},
		"an end that is null":     {claims{"exp": json.RawMessage("null")}, "exp is no time", access.ErrInvalid},
		"not yet":                 {claims{"nbf": now + 60}, "not valid yet", access.ErrInvalid},
		"nbf that is no time":     {claims{"nbf": true}, "nbf is no time", access.ErrInvalid},
		"from the future":         {claims{"iat": now + 60}, "future", access.ErrInvalid},
		"an ID token of Keycloak": {claims{"typ": "ID"}, "no bearer token", access.ErrInvalid},
		"a token for DPoP":        {claims{"typ": "DPoP"}, "no bearer token", access.ErrInvalid},
		"an ID token":             {claims{"at_hash": "x"}, "ID token", access.ErrInvalid},
		"an ID token with a code": {claims{"c_hash": "x"}, "ID token", access.ErrInvalid},
		"bound to a key":          {claims{"cnf": map[string]string{"jkt": "x"}}, "bound to a key", access.ErrInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := rs256("a", rsaKey()).sign(t, p.good(test.claims))
			grant, err := a.Authenticate(t.Context(), text)
			wantRefused(t, grant, err, test.fails, test.wraps)
		})
	}
	if p.fetches() > 0 {
		t.Errorf("the keys were fetched %d times for tokens that could not be let in", p.fetches())
	}
}

// TestGrantsThatAreRefused shows tokens that are genuine and stand for nothing.
func TestGrantsThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newProvider(t, named("a", rsaKey()))
	many := make([]int, maxSchools+1)
	for n := range many {
		many[n] = n
	}
	byID, all := func(i *Issuer) { i.TenantKey = ByID }, func(i *Issuer) { i.WithoutTenant = All }
	south := func(i *Issuer) { i.Schools = []string{"south"} }
	tests := map[string]struct {
		said   func(*Issuer)
		claims claims
		fails  string
	}{
		"no school":                        {nil, claims{"tenant": nil}, "no claim names a school"},
		"no school of the issuer's":        {south, claims{"tenant": nil}, "no claim names a school"},
		"an empty claim, where all are":    {all, claims{"tenant": ""}, "no claim names a school"},
		"null, where all are":              {all, claims{"tenant": json.RawMessage("null")}, "no claim names a school"},
		"an empty list, where all are":     {all, claims{"tenant": []string{}}, "no claim names a school"},
		"an object, where all are":         {all, claims{"tenant": map[string]any{}}, "neither text"},
		"a path that ends, where all are":  {func(i *Issuer) { i.WithoutTenant, i.TenantClaim = All, "tenant.id" }, nil, "no claim names a school"},
		"a truth":                          {nil, claims{"tenant": true}, "neither text"},
		"a broken number":                  {nil, claims{"tenant": 1.5}, "neither text"},
		"no id":                            {byID, claims{"tenant": "north"}, "no id"},
		"too many":                         {nil, claims{"tenant": many}, "more than 256"},
		"a school of another issuer's":     {south, nil, "no say"},
		"among them one of another's":      {south, claims{"tenant": []string{"south", "north"}}, "no say"},
		"no role":                          {nil, claims{"roles": nil}, "means a verb"},
		"a role that means nothing":        {nil, claims{"roles": []string{"eduroster.read.all"}}, "means a verb"},
		"a role in the wrong place":        {nil, claims{"roles": map[string]any{"x": "EduRoster.Read.All"}}, "means a verb"},
		"nobody":                           {nil, claims{"azp": nil, "sub": ""}, "names its client"},
		"a name that would break the log":  {nil, claims{"azp": "a\u202eb", "sub": strings.Repeat("s", maxNameBytes+1)}, "names its client"},
		"a name that is no text":           {nil, claims{"azp": map[string]any{"x": "y"}, "sub": nil}, "names its client"},
		"an administrator of another name": {nil, claims{"azp": nil, "sub": nil, "name": access.Administrator}, "names its client"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := test.said
			if change == nil {
				change = func(*Issuer) {}
			}
			a := authenticator(t, p.said(change))
			grant, err := a.Authenticate(t.Context(), rs256("a", rsaKey()).sign(t, p.good(test.claims)))
			wantRefused(t, grant, err, test.fails, access.ErrInvalid)
		})
	}
}

// TestShapes shows what is no JWT, and JWTs that two readers could read differently.
func TestShapes(t *testing.T) {
	t.Parallel()
	p := newProvider(t, named("a", rsaKey()))
	a := authenticator(t, p.said())
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	header := encode(`{"alg":"RS256","kid":"a"}`)
	payload := encode(string(must(json.Marshal(p.good(nil)))))
	good := rs256("a", rsaKey()).sign(t, p.good(claims{"tenant": "south"}))
	tests := map[string]struct {
		token string
		fails string
		wraps error
	}{
		"nothing":                    {"", "no JWT", access.ErrUnknown},
		"a random token":             {"nXk3mV0pQ2", "no JWT", access.ErrUnknown},
		"dots":                       {"..", "header", access.ErrUnknown},
		"an encrypted token":         {header + ".." + "." + payload + ".", "no JWT", access.ErrUnknown},
		"no base64url":               {"a+/=." + payload + ".", "header", access.ErrUnknown},
		"padding":                    {header + "=." + payload + ".", "header", access.ErrUnknown},
		"no JSON":                    {header + "." + encode("{") + ".", "claims", access.ErrUnknown},
		"no object":                  {header + "." + encode("[]") + ".", "claims", access.ErrUnknown},
		"two objects":                {header + "." + encode("{}{}") + ".", "claims", access.ErrUnknown},
		"no UTF-8":                   {header + "." + encode("{\"iss\":\"\xff\"}") + ".", "claims", access.ErrUnknown},
		"an algorithm of none":       {encode(`{"alg":"none"}`) + "." + payload + ".", "not permitted", access.ErrInvalid},
		"None":                       {encode(`{"alg":"None"}`) + "." + payload + ".", "not permitted", access.ErrInvalid},
		"no algorithm":               {encode(`{}`) + "." + payload + ".", "not permitted", access.ErrInvalid},
		"no signature":               {header + "." + payload + ".", "signature is wrong", access.ErrInvalid},
		"a signature of no base64":   {header + "." + payload + ".!", "cannot be read", access.ErrInvalid},
		"a signature of other text":  {header + "." + payload + good[strings.LastIndex(good, "."):], "signature is wrong", access.ErrInvalid},
		"a header member twice":      {encode(`{"alg":"RS256","alg":"none"}`) + "." + payload + ".", "twice", access.ErrInvalid},
		"too long":                   {good + strings.Repeat("A", maxTokenBytes), "longer", access.ErrInvalid},
		"too deep":                   {header + "." + encode(strings.Repeat(`{"a":`, maxDepth+2)+"1"+strings.Repeat("}", maxDepth+2)) + ".", "deep", access.ErrInvalid},
		"far too deep":               {header + "." + encode(`{"a":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}`) + ".", "deep", access.ErrInvalid},
		"a claim twice":              {rs256("a", rsaKey()).sign(t, []byte(`{"tenant":"a","iss":"x","tenant":"b"}`)), "twice", access.ErrInvalid},
		"a name twice, further down": {rs256("a", rsaKey()).sign(t, []byte(`{"iss":"x","o":[{"a":1,"\u0061":2}]}`)), "twice", access.ErrInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			grant, err := a.Authenticate(t.Context(), test.token)
			wantRefused(t, grant, err, test.fails, test.wraps)
			if len(test.token) > 100 && err != nil && strings.Contains(err.Error(), test.token[len(test.token)-100:]) {
				t.Error("the error holds the token")
			}
		})
	}
}

// TestNobodyElseIsAsked shows that discovery goes to no place whose answer could have come from anybody.
func TestNobodyElseIsAsked(t *testing.T) {
	t.Parallel()
	issuers := map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, self string)
		fails  string
	}{
		"keys over http": {func(w http.ResponseWriter, _ *http.Request, self string) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": self, "jwks_uri": "http://192.0.2.1/keys"})
		}, "it is not https"},
		"a redirection to http": {func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}, "it is not https"},
		"another issuer's configuration": {func(w http.ResponseWriter, _ *http.Request, self string) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": self + "/other", "jwks_uri": self})
		}, "did not match"},
		"no configuration": {func(w http.ResponseWriter, _ *http.Request, _ string) {
			_, _ = w.Write([]byte(strings.Repeat("<html>", 1000)))
		}, "its configuration"},
		"an endless configuration": {func(w http.ResponseWriter, _ *http.Request, self string) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"x":"` + strings.Repeat("x", 2*maxAnswerBytes) + `","issuer":"` + self + `","jwks_uri":"` + self + `"}`))
		}, "its configuration"},
	}
	for name, test := range issuers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var server *httptest.Server
			server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { test.answer(w, r, server.URL) }))
			defer server.Close()
			keys, err := fetchKeys(t.Context(), newClient(nil), server.URL)
			if err == nil || !strings.Contains(err.Error(), test.fails) || len(err.Error()) > maxCause+100 {
				t.Errorf("got %d keys, error %.500v; want %q in it", len(keys), err, test.fails)
			}
		})
	}
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	usable := string(must(json.Marshal(jose.JSONWebKey{KeyID: "a", Key: rsaKey().Public()})))
	private := string(must(json.Marshal(jose.JSONWebKey{KeyID: "p", Key: rsaKey()})))
	tests := map[string]struct {
		set   string
		want  int
		fails bool
	}{
		"none":            {`{"keys":[]}`, 0, false},
		"one":             {`{"keys":[` + usable + `]}`, 1, false},
		"unknown kinds":   {`{"keys":[{"kty":"OKP","crv":"Ed448","x":"AA"},{"kty":"oct","k":"AA"},{},7,` + usable + `]}`, 1, false},
		"a private half":  {`{"keys":[` + private + `]}`, 0, false},
		"too many":        {`{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`, 0, true},
		"no set":          {`{}`, 0, true},
		"no JSON":         {`<html>`, 0, true},
		"broken off":      {`{"keys":[` + usable, 0, true},
		"keys of no list": {`{"keys":{}}`, 0, true},
	}
	for name, test := range tests {
		keys, err := readKeys(strings.NewReader(test.set))
		if len(keys) != test.want || (err != nil) != test.fails {
			t.Errorf("%s: got %d keys, error %v", name, len(keys), err)
		}
	}
}
