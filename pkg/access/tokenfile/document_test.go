package tokenfile

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/access"
)

func TestNewToken(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^edu_[0-9A-Za-z]{49}$`)
	seen := map[string]bool{}
	for range 1000 {
		token := NewToken()
		if !shape.MatchString(token) || !wellFormed(token) || seen[token] {
			t.Fatalf("%q is malformed or was there before", token)
		}
		seen[token] = true
	}
}

func TestWellFormed(t *testing.T) {
	t.Parallel()
	token := NewToken()
	other := "0"
	if strings.HasSuffix(token, other) {
		other = "1"
	}
	for text, want := range map[string]bool{
		token:                              true,
		"":                                 false,
		token[:len(token)-1]:               false,
		token[:len(token)-1] + other:       false,
		token + "0":                        false,
		"EDU_" + token[4:]:                 false,
		strings.Repeat("x", len(token)):    false,
		prefix + strings.Repeat("0", 49):   false,
		prefix + strings.Repeat("\x00", 9): false,
	} {
		if got := wellFormed(text); got != want {
			t.Errorf("%q: got %t, want %t", text, got, want)
		}
	}
}

// digit returns a digest's text made of one digit.
func digit(d string) string { return strings.Repeat(d, 64) }

// wrap puts credentials into a document's text.
func wrap(credentials ...string) string {
	return `{"version": 1, "credentials": [` + strings.Join(credentials, ",") + `]}`
}

const (
	schoolID = "0193b2c4-7d1e-7a50-8c3e-2f6a1b9d4e77"
	noon     = `"2026-01-02T12:00:00Z"`
)

func TestParse(t *testing.T) {
	t.Parallel()
	document, err := Parse([]byte(wrap(
		`{"name": "sync", "verbs": ["read", "write"], "schools": [{"id": "`+schoolID+`"}, {"externalId": "DE, 4711"}],
		  "tokens": [{"sha256": "`+digit("a")+`", "created": `+noon+`, "expires": "2027-01-02T12:00:00Z"}]}`,
		`{"name": "all", "verbs": ["read"], "allSchools": true, "tokens": [{"sha256": "`+digit("b")+`", "created": `+noon+`}]}`,
	)))
	if err != nil {
		t.Fatal(err)
	}
	created := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	fill := func(b byte) (d Digest) {
		for i := range d {
			d[i] = b
		}
		return d
	}
	want := &Document{Version: 1, Credentials: []Credential{
		{
			Name: "sync", Verbs: []string{"read", "write"}, Schools: []access.School{{ID: schoolID}, {ExternalID: "DE, 4711"}},
			Tokens: []Token{{Digest: fill(0xaa), Created: created, Expires: created.AddDate(1, 0, 0)}},
		},
		{Name: "all", Verbs: []string{"read"}, AllSchools: true, Tokens: []Token{{Digest: fill(0xbb), Created: created}}},
	}}
	if diff := cmp.Diff(want, document); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	content, err := document.encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(content)
	if diff := cmp.Diff(want, again); diff != "" || err != nil {
		t.Errorf("written and read again: %v (-want +got):\n%s", err, diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	token := func(d string) string { return `{"sha256": "` + digit(d) + `", "created": ` + noon + `}` }
	credential := func(name, rest string) string {
		return `{"name": "` + name + `", ` + rest + `, "tokens": [` + token(name[:1]) + `]}`
	}
	const all = `"verbs": ["read"], "allSchools": true`
	tests := []struct {
		name, text, want string
	}{
		{"nothing", "", "ends too soon"},
		{"half", wrap()[:20], "ends too soon"},
		{"null", "null", "version"},
		{"no object", "[]", "line 1, column 1: there must be an object, not an array"},
		{"an end that is null", wrap(`{"name": "a", ` + all + `, "tokens": [{"sha256": "` + digit("a") + `", "created": ` + noon + `, "expires": null}]}`), "null"},
		{"another version", `{"version": 2, "credentials": []}`, "version"},
		{"more behind it", wrap() + "{}", "behind the end"},
		{"an unknown name", `{"version": 1, "credentials": [], "comment": ""}`, `"comment" is not known`},
		{"a name in another case", `{"Version": 1, "credentials": []}`, `"Version" is not known`},
		{"a name in the wrong place", `{"version": 1, "credentials": [], "verbs": []}`, "verbs"},
		{"a name twice", `{"version": 1, "credentials": [], "credentials": []}`, "twice"},
		{"too deep", strings.Repeat("[", 1<<20), "brackets"},
		{"no name", wrap(`{` + all + `, "tokens": [` + token("a") + `]}`), "a name must be"},
		{"a name with a blank", wrap(credential("a b", all)), "a name must be"},
		{"a reserved name", wrap(credential("Administrator", all)), "taken"},
		{"one name in two cases", wrap(credential("a", all), credential("A", all)), "two credentials"},
		{"no verbs", wrap(credential("a", `"allSchools": true`)), "verbs"},
		{"an unknown verb", wrap(credential("a", `"verbs": ["read", "admin"], "allSchools": true`)), `"admin" is no verb`},
		{"no schools", wrap(credential("a", `"verbs": ["read"]`)), "allSchools"},
		{"an empty list of schools", wrap(credential("a", `"verbs": ["read"], "schools": []`)), "allSchools"},
		{"all schools and one", wrap(credential("a", all+`, "schools": [{"externalId": "x"}]`)), "allSchools"},
		{"a school without a key", wrap(credential("a", `"verbs": ["read"], "schools": [{}]`)), "id or an externalId"},
		{"a school with two keys", wrap(credential("a", `"verbs": ["read"], "schools": [{"id": "`+schoolID+`", "externalId": "x"}]`)), "not both"},
		{"an id that is none", wrap(credential("a", `"verbs": ["read"], "schools": [{"id": "x"}]`)), "no UUID"},
		{"no tokens", wrap(`{"name": "a", ` + all + `, "tokens": []}`), "no tokens"},
		{"a token without a digest", wrap(`{"name": "a", ` + all + `, "tokens": [{"created": ` + noon + `}]}`), "no sha256"},
		{"a digest that is none", wrap(`{"name": "a", ` + all + `, "tokens": [{"sha256": "abc", "created": ` + noon + `}]}`), "64 hexadecimal digits"},
		{"a token without a beginning", wrap(`{"name": "a", ` + all + `, "tokens": [{"sha256": "` + digit("a") + `"}]}`), "time of creation"},
		{"a time that is none", wrap(`{"name": "a", ` + all + `, "tokens": [{"sha256": "` + digit("a") + `", "created": "today"}]}`), "parsing time"},
		{"a token twice", wrap(`{"name": "a", ` + all + `, "tokens": [` + token("a") + `, ` + token("a") + `]}`), "there twice"},
		{"one token of two names", wrap(credential("a", all), `{"name": "b", `+all+`, "tokens": [`+token("a")+`]}`), "there twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			document, err := Parse([]byte(test.text))
			if err == nil || document != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v; want an error with %q", document, err, test.want)
			}
		})
	}
}

// TestParseTellsNoToken shows that a token which somebody has put in the place of its digest is not repeated in the error.
func TestParseTellsNoToken(t *testing.T) {
	t.Parallel()
	token := NewToken()
	_, err := Parse([]byte(wrap(`{"name": "a", "verbs": ["read"], "allSchools": true, "tokens": [{"sha256": "` + token + `"}]}`)))
	if err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("got %v", err)
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	now := time.Date(2026, 5, 1, 8, 30, 15, 999, time.FixedZone("CEST", 7200))
	document := &Document{Version: version}
	fails := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: got no error", what)
		}
	}
	credential := Credential{Name: "Sync", Verbs: []string{"read"}, AllSchools: true}
	if err := document.Create(credential, "first", now, now.Add(90*day)); err != nil {
		t.Fatal(err)
	}
	credential.Name = "sYNC"
	fails("a name in another case", document.Create(credential, "x", now, time.Time{}))
	fails("revoking what is not there", document.Revoke("other"))
	_, err := document.Rotate("other", "x", now, 0, time.Time{})
	fails("rotating what is not there", err)
	rotate := func(token string, overlap time.Duration, expires, want time.Time) {
		t.Helper()
		got, err := document.Rotate("sync", token, now, overlap, expires)
		if err != nil || !got.Equal(want.Truncate(time.Second)) {
			t.Fatalf("the rotation to the %s token: the old one ends at %v, %v; want %v", token, got, err, want)
		}
	}

	now = now.Add(80 * day)
	expires, err := document.SameLife("sync", now)
	if want := now.Add(90 * day).Truncate(time.Second); err != nil || expires.Truncate(time.Second).Sub(want).Abs() > time.Second {
		t.Errorf("a life as long as the last one ends at %v, %v; want %v", expires, err, want)
	}
	rotate("second", day, expires, now.Add(day))
	states := func(at time.Time) (states []State) {
		t.Helper()
		if err := document.check(); err != nil {
			t.Error(err)
		}
		for i := range document.Credentials[0].Tokens {
			states = append(states, document.Credentials[0].State(i, at))
		}
		return states
	}
	for after, want := range map[time.Duration][]State{
		0: {Replaced, Active}, day - 2*time.Second: {Replaced, Active}, day: {Expired, Active}, 90 * day: {Expired, Expired},
	} {
		if diff := cmp.Diff(want, states(now.Add(after))); diff != "" {
			t.Errorf("%v after the rotation (-want +got):\n%s", after, diff)
		}
	}
	// An overlap makes no token last longer than it would have.
	rotate("third", 365*day, time.Time{}, expires)
	if diff := cmp.Diff([]State{Expired, Expired, Active}, states(now.Add(91*day))); diff != "" {
		t.Errorf("after the second rotation (-want +got):\n%s", diff)
	}
	// Without an overlap the former ones are gone at once.
	rotate("fourth", 0, time.Time{}, time.Time{})
	if diff := cmp.Diff([]State{Active}, states(now)); diff != "" {
		t.Errorf("after the third rotation (-want +got):\n%s", diff)
	}
	if expires, err := document.SameLife("sync", now); err != nil || !expires.IsZero() {
		t.Errorf("a life without an end ends at %v, %v", expires, err)
	}
	if err := document.Revoke("SYNC"); err != nil || len(document.Credentials) != 0 {
		t.Errorf("after the revocation: %v, %v", document, err)
	}
}

// FuzzParse holds that what is read means one thing: written and read again it is the same.
func FuzzParse(f *testing.F) {
	f.Add(wrap())
	f.Add(wrap(`{"name": "a", "verbs": ["read"], "allSchools": true, "tokens": [{"sha256": "` + digit("a") + `", "created": ` + noon + `}]}`))
	f.Add(wrap(`{"name": "b", "verbs": ["delete"], "schools": [{"externalId": "\u0000"}], "tokens": [{"sha256": "` + digit("b") +
		`", "created": ` + noon + `, "expires": "2026-01-02T12:00:00.5+02:00"}]}`))
	f.Add(`{"version": 1, "Version": 1}`)
	f.Add(strings.Repeat("[", 100))
	f.Fuzz(func(t *testing.T, text string) {
		document, err := Parse([]byte(text))
		if err != nil {
			if document != nil {
				t.Fatalf("got %v with the error %v", document, err)
			}
			return
		}
		tokens, err := holders([]byte(text))
		if err != nil {
			t.Fatalf("what was read permits nothing: %v", err)
		}
		for _, holder := range tokens {
			if holder.grant.Verbs == 0 || holder.grant.AllSchools == (len(holder.grant.Schools) > 0) {
				t.Fatalf("got the grant %+v", holder.grant)
			}
		}
		content, err := document.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(content)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, content)
		}
		if diff := cmp.Diff(document, again); diff != "" {
			t.Fatalf("(-first +second):\n%s", diff)
		}
	})
}
