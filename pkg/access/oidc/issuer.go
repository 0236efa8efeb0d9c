package oidc

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/opencloud-eu/education/pkg/access"
)

// Issuer is what an operator says about an issuer. Members that are left out, which is an empty text and a list that is nil,
// have the values of Defaults. A list that is there holds something: what was meant to restrict must not open everything.
type Issuer struct {
	// URL is the issuer's name (iss), below which its configuration is found. It is https, or on this machine.
	URL string `json:"issuer"`
	// Audience is the name by which the issuer knows this service. A token must be meant for it (aud).
	Audience string `json:"audience"`
	// Algorithms are those that tokens may be signed with.
	Algorithms []string `json:"algorithms"`
	// TenantClaim is the path of the claim with the school, or schools, that a token is for.
	TenantClaim string `json:"tenantClaim"`
	// TenantKey says how that claim names a school: ByID, ByExternalID or Auto.
	TenantKey string `json:"tenantKey"`
	// WithoutTenant says what becomes of a token without that claim: Refuse or All.
	WithoutTenant string `json:"withoutTenant"`
	// Schools are those that tokens of the issuer may be for, written as in the claim; left out: whichever they name. Without
	// a TenantClaim every token is for these.
	Schools []string `json:"schools"`
	// VerbClaims are the paths of the claims with roles and scopes.
	VerbClaims []string `json:"verbClaims"`
	// Verbs are the verbs that roles and scopes mean.
	Verbs map[string][]string `json:"verbs"`
	// NameClaims are the paths of the claims that name a token's client, the first that a token has counts.
	NameClaims []string `json:"nameClaims"`
	// CAFile holds authorities, in PEM, that the issuer's certificate must come from; empty: the system's.
	CAFile string `json:"caFile"`
}

// Values of TenantKey and WithoutTenant.
const (
	ByID         = "id"
	ByExternalID = "externalId"
	Auto         = "auto"

	Refuse = "refuse"
	All    = "all"
)

// Defaults returns what an issuer is that an operator has said nothing about. The roles are those of Microsoft Graph; there is
// no reading less than everything here, so that ReadBasic is reading, too.
func Defaults() Issuer {
	return Issuer{
		Algorithms:    []string{"RS256", "PS256", "ES256"},
		TenantKey:     Auto,
		WithoutTenant: Refuse,
		VerbClaims:    []string{"roles", "scp", "scope"},
		Verbs: map[string][]string{
			"EduRoster.ReadBasic.All": {"read"},
			"EduRoster.Read.All":      {"read"},
			"EduRoster.ReadWrite.All": {"read", "write", "delete"},
		},
		NameClaims: []string{"azp", "appid", "client_id", "sub"},
	}
}

// supported are the algorithms that can be permitted: signatures with a key pair (RFC 7518, section 3.1; RFC 8037), of which an
// issuer publishes one half. What it would share with us, an HMAC's key, could make tokens; none is no signature at all.
var supported = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Fault is something that is wrong with what an operator says about an issuer.
type Fault struct {
	// Issuer is the index of the issuer, Member the name of its member in JSON.
	Issuer int
	Member string
	// Problem follows the name of the member in a sentence.
	Problem string
}

// issuer is an Issuer that has been understood.
type issuer struct {
	url, label, audience string
	algorithmNames       []string
	algorithms           []jose.SignatureAlgorithm
	tenantClaim          path
	tenantKey            string
	withoutTenant        string
	permitted            []access.School
	verbClaims           []path
	verbsOf              map[string]access.Verbs
	nameClaims           []path
	keys                 *keySet
	caFile               string
}

// understand makes an issuer of what an operator says, or returns all that is wrong with it.
func understand(said Issuer) (*issuer, []Fault) {
	said = said.withDefaults()
	var faults []Fault
	fault := func(member, format string, values ...any) {
		faults = append(faults, Fault{Member: member, Problem: fmt.Sprintf(format, values...)})
	}
	i := &issuer{
		url: said.URL, audience: said.Audience, algorithmNames: said.Algorithms, caFile: said.CAFile,
		tenantKey: said.TenantKey, withoutTenant: said.WithoutTenant, verbsOf: map[string]access.Verbs{},
	}
	if parsed, err := url.Parse(said.URL); err != nil || !isSecure(parsed) || strings.ContainsAny(said.URL, "?#") || parsed.User != nil {
		fault("issuer", "must be a URL without a query, https:// unless it is on this machine")
	} else {
		i.label = strings.TrimSuffix(parsed.Host+parsed.Path, "/")
	}
	if strings.TrimSpace(said.Audience) == "" {
		fault("audience", "must be set")
	}
	for _, name := range said.Algorithms {
		if !slices.Contains(supported, name) {
			fault("algorithms", "must be some of: %s", strings.Join(supported, ", "))
			break
		}
		i.algorithms = append(i.algorithms, jose.SignatureAlgorithm(name))
	}
	said.refuseEmptyLists(fault)
	i.understandSchools(said, fault)
	i.understandClaims(said, fault)
	authorities, err := readAuthorities(said.CAFile)
	if err != nil {
		fault("caFile", "must be a file with certificates in PEM: %v", err)
	}
	i.keys = newKeySet(said.URL, authorities)
	return i, faults
}

// refuseEmptyLists finds the lists that are there and hold nothing, as where they are made of variables that are not set.
func (i Issuer) refuseEmptyLists(fault func(member, format string, values ...any)) {
	for _, list := range []struct {
		member  string
		isEmpty bool
		without string
	}{
		{"algorithms", i.Algorithms != nil && len(i.Algorithms) == 0, "the default"},
		{"schools", i.Schools != nil && len(i.Schools) == 0, "all schools"},
		{"verbClaims", i.VerbClaims != nil && len(i.VerbClaims) == 0, "the default"},
		{"verbs", i.Verbs != nil && len(i.Verbs) == 0, "the default"},
		{"nameClaims", i.NameClaims != nil && len(i.NameClaims) == 0, "the default"},
	} {
		if list.isEmpty {
			fault(list.member, "is there and holds nothing: leave it out for %s", list.without)
		}
	}
}

// School reads a key of a school as the claim with the school has it. It is false if the claim cannot have such a key.
func (i Issuer) School(key string) (access.School, bool) {
	school, ok := schoolOf(key, i.TenantKey)
	return school, ok && key != ""
}

// understandSchools reads what is said about schools.
func (i *issuer) understandSchools(said Issuer, fault func(member, format string, values ...any)) {
	if !slices.Contains([]string{Auto, ByID, ByExternalID}, said.TenantKey) {
		fault("tenantKey", "must be one of: %s, %s, %s", Auto, ByID, ByExternalID)
	}
	for _, text := range said.Schools {
		school, ok := said.School(text)
		if !ok {
			fault("schools", "must be keys of schools, written as in the claim")
			break
		}
		i.permitted = append(i.permitted, school)
	}
	switch said.WithoutTenant {
	case Refuse:
		if said.TenantClaim == "" && len(said.Schools) == 0 {
			fault("tenantClaim", "must be set, unless the issuer's schools are, or its tokens are for all schools")
		}
	case All:
		if len(said.Schools) > 0 {
			fault("schools", "cannot be set where tokens without the claim are for all schools")
		}
	default:
		fault("withoutTenant", "must be one of: %s, %s", Refuse, All)
	}
}

// understandClaims reads the paths of claims and the verbs.
func (i *issuer) understandClaims(said Issuer, fault func(member, format string, values ...any)) {
	parse := func(member, text string) path {
		p, err := parsePath(text)
		if err != nil {
			fault(member, "must be made of names of claims separated by dots: %v", err)
		}
		return p
	}
	if said.TenantClaim != "" {
		i.tenantClaim = parse("tenantClaim", said.TenantClaim)
	}
	for _, text := range said.VerbClaims {
		i.verbClaims = append(i.verbClaims, parse("verbClaims", text))
	}
	for _, text := range said.NameClaims {
		i.nameClaims = append(i.nameClaims, parse("nameClaims", text))
	}
	for name, names := range said.Verbs {
		verbs, err := access.ParseVerbs(names)
		if err != nil || name == "" {
			fault("verbs", "must name, for roles and scopes, some of: %s", strings.Join(access.AllVerbs.Names(), ", "))
			break
		}
		i.verbsOf[name] = verbs
	}
}

// withDefaults fills in the members that are left out.
func (i Issuer) withDefaults() Issuer {
	d := Defaults()
	for _, member := range []struct{ value, otherwise *[]string }{
		{&i.Algorithms, &d.Algorithms}, {&i.VerbClaims, &d.VerbClaims}, {&i.NameClaims, &d.NameClaims},
	} {
		if *member.value == nil {
			*member.value = *member.otherwise
		}
	}
	if i.TenantKey == "" {
		i.TenantKey = d.TenantKey
	}
	if i.WithoutTenant == "" {
		i.WithoutTenant = d.WithoutTenant
	}
	if i.Verbs == nil {
		i.Verbs = d.Verbs
	}
	return i
}

// isSecure reports whether what is read from a URL comes from where it says: by TLS, or from this machine.
func isSecure(u *url.URL) bool {
	if u.Scheme == "https" {
		return u.Hostname() != ""
	}
	address, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && address.IsLoopback())
}

// readAuthorities reads certificates, nil for no file.
func readAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}
