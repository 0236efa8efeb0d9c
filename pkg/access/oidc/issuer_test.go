package oidc

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*Issuer)
		want   []string
	}{
		"none":                    {func(*Issuer) {}, nil},
		"on this machine":         {func(i *Issuer) { i.URL = "http://[::1]:8080/realms/x" }, nil},
		"nothing":                 {func(i *Issuer) { *i = Issuer{} }, []string{"issuer", "audience", "tenantClaim"}},
		"http":                    {func(i *Issuer) { i.URL = "http://issuer.example" }, []string{"issuer"}},
		"http, named like us":     {func(i *Issuer) { i.URL = "http://localhost.example" }, []string{"issuer"}},
		"a query":                 {func(i *Issuer) { i.URL = "https://issuer.example?x" }, []string{"issuer"}},
		"a password":              {func(i *Issuer) { i.URL = "https://a:b@issuer.example" }, []string{"issuer"}},
		"no host":                 {func(i *Issuer) { i.URL = "https:///x" }, []string{"issuer"}},
		"none as an algorithm":    {func(i *Issuer) { i.Algorithms = []string{"RS256", "none"} }, []string{"algorithms"}},
		"a shared secret":         {func(i *Issuer) { i.Algorithms = []string{"HS256"} }, []string{"algorithms"}},
		"a path that is none":     {func(i *Issuer) { i.TenantClaim, i.VerbClaims, i.NameClaims = "a.", []string{"*"}, []string{""} }, []string{"tenantClaim", "verbClaims", "nameClaims"}},
		"a key of no kind":        {func(i *Issuer) { i.TenantKey = "number" }, []string{"tenantKey"}},
		"tokens without":          {func(i *Issuer) { i.WithoutTenant = "some" }, []string{"withoutTenant"}},
		"no claim and all":        {func(i *Issuer) { i.TenantClaim, i.WithoutTenant = "", All }, nil},
		"no claim and schools":    {func(i *Issuer) { i.TenantClaim, i.Schools = "", []string{"x"} }, nil},
		"all of some":             {func(i *Issuer) { i.WithoutTenant, i.Schools = All, []string{"x"} }, []string{"schools"}},
		"schools that are no ids": {func(i *Issuer) { i.TenantKey, i.Schools = ByID, []string{"x"} }, []string{"schools"}},
		"a school without a key":  {func(i *Issuer) { i.Schools = []string{""} }, []string{"schools"}},
		"lists of nothing": {
			func(i *Issuer) {
				i.Algorithms, i.Schools, i.VerbClaims, i.Verbs, i.NameClaims = []string{}, []string{}, []string{}, map[string][]string{}, []string{}
			},
			[]string{"algorithms", "schools", "verbClaims", "verbs", "nameClaims"},
		},
		"paths of blanks":          {func(i *Issuer) { i.TenantClaim, i.VerbClaims, i.NameClaims = " ", []string{" "}, []string{"a.\t"} }, []string{"tenantClaim", "verbClaims", "nameClaims"}},
		"an audience of blanks":    {func(i *Issuer) { i.Audience = " " }, []string{"audience"}},
		"a verb that is none":      {func(i *Issuer) { i.Verbs = map[string][]string{"a": {"admin"}} }, []string{"verbs"}},
		"a role without a verb":    {func(i *Issuer) { i.Verbs = map[string][]string{"a": nil} }, []string{"verbs"}},
		"a verb without a role":    {func(i *Issuer) { i.Verbs = map[string][]string{"": {"read"}} }, []string{"verbs"}},
		"authorities not there":    {func(i *Issuer) { i.CAFile = empty + "x" }, []string{"caFile"}},
		"authorities that are not": {func(i *Issuer) { i.CAFile = empty }, []string{"caFile"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := Issuer{URL: "https://issuer.example", Audience: "education", TenantClaim: "tenant"}
			test.change(&said)
			a, faults := New([]Issuer{said})
			var members []string
			for _, fault := range faults {
				members = append(members, fault.Member)
			}
			if diff := cmp.Diff(test.want, members); diff != "" || (a == nil) != (len(faults) > 0) {
				t.Errorf("%v (-want +got):\n%s", faults, diff)
			}
		})
	}
}

func TestIssuersAreDistinct(t *testing.T) {
	t.Parallel()
	said := Issuer{URL: "https://issuer.example", Audience: "education", TenantClaim: "tenant"}
	_, faults := New([]Issuer{said, said})
	want := []Fault{{Issuer: 1, Member: "issuer", Problem: "names an issuer a second time"}}
	if diff := cmp.Diff(want, faults); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
