package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/access/oidc"
)

// TestOIDCDefaults holds that an issuer in variables and one in a file have the same defaults.
func TestOIDCDefaults(t *testing.T) {
	t.Parallel()
	s, err := load(map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.issuerOfVariables()
	want := oidc.Defaults()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if s.issuers != nil {
		t.Error("there is an authenticator of no issuer")
	}
}

// TestIssuersFormat holds that the file of issuers can have every member of an issuer, and no other.
func TestIssuersFormat(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(oidc.Issuer{})
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(members)), slices.Sorted(slices.Values(issuersFormat.Names))); diff != "" {
		t.Errorf("(-members +format):\n%s", diff)
	}
	issuers, err := issuersOfFile(writeFile(t, `[{"verbs": {"Issuer": ["read"], "issuer": ["write"]}}]`))
	want := []oidc.Issuer{{Verbs: map[string][]string{"Issuer": {"read"}, "issuer": {"write"}}}}
	if diff := cmp.Diff(want, issuers); diff != "" || err != nil {
		t.Errorf("roles in two cases: error %v (-want +got):\n%s", err, diff)
	}
}

// writeFile returns the path of a file with a content.
func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOIDCSettings(t *testing.T) {
	t.Parallel()
	file := func(content string) string { return "EDUCATION_OIDC_FILE=" + writeFile(t, content) }
	const (
		issuer, where  = "EDUCATION_OIDC_ISSUER=https://issuer.example", "EDUCATION_OIDC_AUDIENCE=education"
		tenant, inFile = "EDUCATION_OIDC_TENANT_CLAIM=tenant", `{"issuer": "https://other.example", "audience": "e", "schools": ["a b"]}`
	)
	tests := map[string]struct {
		environment []string
		want        []string
	}{
		"one":                {[]string{issuer, where, tenant}, nil},
		"one in a file":      {[]string{file("[" + inFile + "]")}, nil},
		"one of each":        {[]string{issuer, where, tenant, file("[" + inFile + "]")}, nil},
		"OpenCloud's":        {[]string{"OC_OIDC_ISSUER=no URL"}, nil},
		"nothing but itself": {[]string{issuer}, []string{"EDUCATION_OIDC_AUDIENCE must be set", "EDUCATION_OIDC_TENANT_CLAIM must be set"}},
		"no issuer":          {[]string{where}, []string{"EDUCATION_OIDC_ISSUER must be set"}},
		"an issuer on http":  {[]string{"EDUCATION_OIDC_ISSUER=http://issuer.example", where, tenant}, []string{"EDUCATION_OIDC_ISSUER must be a URL"}},
		"no signature":       {[]string{issuer, where, tenant, "EDUCATION_OIDC_ALGORITHMS=none"}, []string{"EDUCATION_OIDC_ALGORITHMS must be some of"}},
		"values of no kind": {
			[]string{issuer, where, tenant, "EDUCATION_OIDC_TENANT_KEY=x", "EDUCATION_OIDC_WITHOUT_TENANT=x", "EDUCATION_OIDC_CA_FILE=/does/not/exist"},
			[]string{"EDUCATION_OIDC_TENANT_KEY must be one of", "EDUCATION_OIDC_WITHOUT_TENANT must be one of", "EDUCATION_OIDC_CA_FILE must be a file"},
		},
		"paths that are none": {
			[]string{issuer, where, "EDUCATION_OIDC_TENANT_CLAIM=a..b", "EDUCATION_OIDC_VERB_CLAIMS=*", "EDUCATION_OIDC_NAME_CLAIMS=a."},
			[]string{"EDUCATION_OIDC_TENANT_CLAIM must be made", "EDUCATION_OIDC_VERB_CLAIMS must be made", "EDUCATION_OIDC_NAME_CLAIMS must be made"},
		},
		"verbs of no pairs":        {[]string{issuer, where, tenant, "EDUCATION_OIDC_VERBS=Reader"}, []string{"EDUCATION_OIDC_VERBS must be pairs"}},
		"verbs of one role twice":  {[]string{issuer, where, tenant, "EDUCATION_OIDC_VERBS=X=read X=write"}, []string{`EDUCATION_OIDC_VERBS must name each role or scope once, with all of its verbs: "X" is there twice`}},
		"verbs unheard of":         {[]string{issuer, where, tenant, "EDUCATION_OIDC_VERBS=Reader=look"}, []string{"EDUCATION_OIDC_VERBS must name"}},
		"a school of no kind":      {[]string{issuer, where, tenant, "EDUCATION_OIDC_SCHOOLS=a,x\x07y"}, []string{`EDUCATION_OIDC_SCHOOLS must be keys of schools: no school can have the key "x\ay"`}},
		"an empty variable":        {[]string{issuer, where, tenant, "EDUCATION_OIDC_SCHOOLS=", "EDUCATION_OIDC_VERBS="}, nil},
		"an empty list of schools": {[]string{issuer, where, tenant, "EDUCATION_OIDC_SCHOOLS=,"}, []string{"EDUCATION_OIDC_SCHOOLS is there and holds nothing: leave it out for all schools"}},
		"lists of blanks": {
			[]string{issuer, where, tenant, "EDUCATION_OIDC_ALGORITHMS=,", "EDUCATION_OIDC_SCHOOLS= ", "EDUCATION_OIDC_VERB_CLAIMS= , ", "EDUCATION_OIDC_VERBS= ", "EDUCATION_OIDC_NAME_CLAIMS=\t"},
			[]string{
				"EDUCATION_OIDC_ALGORITHMS is there and holds nothing", "EDUCATION_OIDC_SCHOOLS is there", "EDUCATION_OIDC_VERB_CLAIMS is there",
				"EDUCATION_OIDC_VERBS is there and holds nothing: leave it out for the default", "EDUCATION_OIDC_NAME_CLAIMS is there",
			},
		},
		"texts of blanks": {
			[]string{issuer, "EDUCATION_OIDC_AUDIENCE= ", "EDUCATION_OIDC_TENANT_CLAIM= "},
			[]string{"EDUCATION_OIDC_AUDIENCE must be set", "EDUCATION_OIDC_TENANT_CLAIM must be made"},
		},
		"empty lists in the file": {
			[]string{file(`[{"issuer": "https://other.example", "audience": "e", "tenantClaim": "t", "schools": [], "verbs": {}, "algorithms": [], "verbClaims": [], "nameClaims": []}]`)},
			[]string{
				"EDUCATION_OIDC_FILE, issuer 1: schools is there and holds nothing: leave it out for all schools", "issuer 1: verbs is there",
				"issuer 1: algorithms is there", "issuer 1: verbClaims is there", "issuer 1: nameClaims is there",
			},
		},
		"an empty text in the file": {
			[]string{file("[" + inFile + `, {"issuer": "https://third.example", "audience": "e", "tenantClaim": "", "withoutTenant": "all"}]`)},
			[]string{"EDUCATION_OIDC_FILE must not have an empty tenantClaim, as issuer 2 has"},
		},
		"keys that no school can have, in the file": {
			[]string{file(`[{"issuer": "https://other.example", "audience": "e", "schools": ["north", " "]}, {"issuer": "https://third.example", "audience": "e", "schools": ["a\nb"], "tenantKey": "externalId"}]`)},
			[]string{`EDUCATION_OIDC_FILE, issuer 1: schools must be keys of schools: no school can have the key " "`, `EDUCATION_OIDC_FILE, issuer 2: schools must be keys of schools: no school can have the key "a\nb"`},
		},
		"no file":              {[]string{"EDUCATION_OIDC_FILE=/does/not/exist"}, []string{"EDUCATION_OIDC_FILE must be a file that can be read"}},
		"a file of no list":    {[]string{file(inFile)}, []string{"EDUCATION_OIDC_FILE must hold a list"}},
		"an empty list":        {[]string{file("[]")}, []string{"EDUCATION_OIDC_FILE must hold at least one"}},
		"two lists":            {[]string{file("[" + inFile + "][]")}, []string{"EDUCATION_OIDC_FILE must hold a list", "behind the end"}},
		"an unknown member":    {[]string{file(`[{"tenant": "x"}]`)}, []string{"EDUCATION_OIDC_FILE must hold", `"tenant"`}},
		"a member twice":       {[]string{file(`[{"schools": ["a"], "audience": "e", "schools": []}]`)}, []string{"EDUCATION_OIDC_FILE must hold", `"schools" is there twice`}},
		"a member in capitals": {[]string{file(`[{"schools": ["a"], "Schools": []}]`)}, []string{"EDUCATION_OIDC_FILE must hold", `"Schools" is not known`}},
		"a role twice":         {[]string{file(`[{"verbs": {"X": ["read"], "X": ["write"]}}]`)}, []string{"EDUCATION_OIDC_FILE must hold", `"X" is there twice`}},
		"a null for a list":    {[]string{file(`[{"schools": null}]`)}, []string{"EDUCATION_OIDC_FILE must hold", "null"}},
		"a fault in the file":  {[]string{issuer, where, tenant, file("[" + inFile + `, {"issuer": "https://issuer.example"}]`)}, []string{"EDUCATION_OIDC_FILE, issuer 2: audience must be set", "issuer 2: tenantClaim must be set", "issuer 2: issuer names an issuer a second time"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr := inForce(t, test.environment...)
			if len(test.want) == 0 && stderr != "" {
				t.Errorf("faults: %s", stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("got %q, want %q in it", stderr, want)
				}
			}
		})
	}
}
