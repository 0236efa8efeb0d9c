package oidc

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
)

// FuzzToken holds that whatever is presented as a token is refused, without a panic, unless it is one that the issuer has
// signed, and that no error repeats it.
func FuzzToken(f *testing.F) {
	p := newProvider(f, named("a", rsaKey()))
	a := authenticator(f, p.said())
	good := rs256("a", rsaKey()).sign(f, p.good(claims{"exp": time.Now().Add(time.Hour).Unix()}))
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add("..")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","jwk":{},"crit":[]}`)) + "." + parts[1] + "." + parts[2])
	f.Fuzz(func(t *testing.T, text string) {
		grant, err := a.Authenticate(t.Context(), text)
		switch {
		case err == nil && (grant == nil || grant.AllSchools || !strings.HasPrefix(text, parts[0]+"."+parts[1]+".")):
			t.Errorf("let in with %+v", grant)
		case err != nil && !errors.Is(err, access.ErrUnknown) && !errors.Is(err, access.ErrInvalid):
			t.Errorf("not told: %v", err)
		case err != nil && len(text) > 200 && strings.Contains(err.Error(), text):
			t.Error("the error repeats the token")
		}
	})
}

// FuzzClaims holds that no claims are a grant for all schools, where that is permitted, but those that lack the claim, that a
// grant has a name, verbs and schools, and that the schools are among those of the issuer.
func FuzzClaims(f *testing.F) {
	f.Add(`a.*.b\.c`, `{"azp":"x","roles":["EduRoster.Read.All"],"a":{"q":{"b.c":["north",null,1]}}}`, Auto)
	f.Add("tenant", `{"azp":"x","scp":"EduRoster.Read.All","tenant":[]}`, ByID)
	f.Add("tenant", `{"azp":"x","scope":"EduRoster.ReadWrite.All"}`, ByExternalID)
	f.Fuzz(func(t *testing.T, text, payload, key string) {
		claims, err := decodePart(base64.RawURLEncoding.EncodeToString([]byte(payload)))
		if err != nil {
			return
		}
		said := Issuer{URL: "https://i.example", Audience: "a", TenantClaim: text, TenantKey: key}
		bound, free := said, said
		bound.Schools, free.WithoutTenant = []string{"north", anID}, All
		if key == ByID {
			bound.Schools = []string{anID}
		}
		for _, said := range []Issuer{said, bound, free} {
			i, faults := understand(said)
			if len(faults) > 0 {
				continue
			}
			grant, err := i.grant(claims)
			if err != nil {
				continue
			}
			_, present := claims[i.firstTenantName()]
			switch {
			case grant.Name == "", grant.Verbs == 0:
				t.Errorf("a grant without a name or a verb: %+v", grant)
			case grant.AllSchools && (said.WithoutTenant != All || present):
				t.Errorf("a grant for all schools: %+v", grant)
			case !grant.AllSchools && len(grant.Schools) == 0, len(grant.Schools) > maxSchools:
				t.Errorf("a grant for %d schools", len(grant.Schools))
			}
			for _, school := range grant.Schools {
				if school.String() == "" || len(said.Schools) > 0 && school.ExternalID != "north" && school != (access.School{ID: anID}) {
					t.Errorf("a grant for the school %+v", school)
				}
			}
		}
	})
}

// firstTenantName returns the name of the outermost claim that leads to the schools, or text that no claim is called.
func (i *issuer) firstTenantName() string {
	if i.tenantClaim == nil {
		return "\x00"
	}
	return i.tenantClaim[0].name
}
