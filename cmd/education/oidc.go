package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/opencloud-eu/education/internal/strictjson"
	"github.com/opencloud-eu/education/pkg/access/oidc"
)

// issuerFaults checks what the settings say about OIDC issuers, one in variables and any number in a file, and makes the
// authenticator of their tokens. OpenCloud's issuer (OC_OIDC_ISSUER) is not taken over: people sign in there, and whom it
// lets sign in is not therefore to provision schools.
func (s *settings) issuerFaults() []error {
	var said []oidc.Issuer
	var faults []error
	one, err := s.issuerOfVariables()
	switch {
	case err != nil:
		faults = append(faults, err)
	case s.OIDCIssuer != "":
		said = append(said, one)
	}
	ofVariables := len(said)
	several, err := issuersOfFile(s.OIDCFile)
	if err != nil {
		faults = append(faults, fmt.Errorf("EDUCATION_OIDC_FILE %w", err))
	}
	if said = append(said, several...); len(said) == 0 {
		return faults
	}
	authenticator, wrong := oidc.New(said)
	for _, fault := range wrong {
		name := oidcVariable(fault.Member)
		if fault.Issuer >= ofVariables {
			name = fmt.Sprintf("EDUCATION_OIDC_FILE, issuer %d: %s", fault.Issuer-ofVariables+1, fault.Member)
		}
		faults = append(faults, fmt.Errorf("%s %s", name, fault.Problem))
	}
	s.issuers = authenticator
	return faults
}

// issuerOfVariables returns the issuer that the variables describe.
func (s *settings) issuerOfVariables() (oidc.Issuer, error) {
	if s.OIDCIssuer == "" && s.OIDCAudience+s.OIDCTenantClaim+s.OIDCSchools+s.OIDCCAFile != "" {
		return oidc.Issuer{}, errors.New("EDUCATION_OIDC_ISSUER must be set with other variables of an OIDC issuer")
	}
	verbs, err := verbsOfRoles(s.OIDCVerbs)
	if err != nil {
		return oidc.Issuer{}, fmt.Errorf("EDUCATION_OIDC_VERBS %w", err)
	}
	return oidc.Issuer{
		URL: s.OIDCIssuer, Audience: s.OIDCAudience, Algorithms: splitList(s.OIDCAlgorithms),
		TenantClaim: s.OIDCTenantClaim, TenantKey: s.OIDCTenantKey, WithoutTenant: s.OIDCWithoutTenant,
		Schools: splitList(s.OIDCSchools), VerbClaims: splitList(s.OIDCVerbClaims), Verbs: verbs,
		NameClaims: splitList(s.OIDCNameClaims), CAFile: s.OIDCCAFile,
	}, nil
}

// verbsOfRoles reads pairs of a role or scope and its verbs. The error follows the name of the setting.
func verbsOfRoles(text string) (map[string][]string, error) {
	verbs := map[string][]string{}
	for pair := range strings.FieldsSeq(text) {
		end := strings.LastIndexByte(pair, '=')
		if end < 0 {
			return nil, errors.New(
				"must be pairs of a role or scope and its verbs, separated by blanks, such as Reader=read Editor=read,write")
		}
		role := pair[:end]
		if _, ok := verbs[role]; ok {
			return nil, fmt.Errorf("must name each role or scope once, with all of its verbs: %q is there twice", role)
		}
		verbs[role] = splitList(pair[end+1:])
	}
	return verbs, nil
}

// issuersFormat is what the file of issuers may be made of. In verbs, roles and scopes are the names.
var issuersFormat = strictjson.Format{
	Names: []string{
		"issuer", "audience", "algorithms", "tenantClaim", "tenantKey", "withoutTenant", "schools", "verbClaims", "verbs", "nameClaims", "caFile",
	},
	Free:  []string{"verbs"},
	Depth: 4,
}

// issuersOfFile reads a JSON file with a list of issuers. The error follows the name of the setting.
func issuersOfFile(path string) ([]oidc.Issuer, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("must be a file that can be read: %w", err)
	}
	var issuers []oidc.Issuer
	if err := issuersFormat.Decode(text, &issuers); err != nil {
		return nil, fmt.Errorf("must hold a list of issuers in JSON: %w", err)
	}
	if len(issuers) == 0 {
		return nil, errors.New("must hold at least one issuer")
	}
	return issuers, nil
}

// capital is where a word begins within the name of a member.
var capital = regexp.MustCompile(`[A-Z]`)

// oidcVariable returns the variable of a member of oidc.Issuer.
func oidcVariable(member string) string {
	return "EDUCATION_OIDC_" + strings.ToUpper(capital.ReplaceAllString(member, "_$0"))
}
