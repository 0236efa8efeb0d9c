package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
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
	for _, fault := range append(wrong, schoolFaults(said)...) {
		name := oidcVariable(fault.Member)
		if fault.Issuer >= ofVariables {
			name = fmt.Sprintf("EDUCATION_OIDC_FILE, issuer %d: %s", fault.Issuer-ofVariables+1, fault.Member)
		}
		faults = append(faults, fmt.Errorf("%s %s", name, fault.Problem))
	}
	s.issuers = authenticator
	return faults
}

// schoolFaults finds the keys in issuers' lists of schools that no school can have, as 'education token create' does.
func schoolFaults(said []oidc.Issuer) []oidc.Fault {
	var faults []oidc.Fault
	for index, one := range said {
		for _, key := range one.Schools {
			school, ok := one.School(key)
			if !ok {
				continue // What the claim cannot have is a fault anyway.
			}
			if err := checkSchool(school); err != nil {
				faults = append(faults, oidc.Fault{Issuer: index, Member: "schools", Problem: fmt.Sprintf("must be keys of schools: %v", err)})
			}
		}
	}
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
		URL: s.OIDCIssuer, Audience: s.OIDCAudience, Algorithms: listIfSet(s.OIDCAlgorithms),
		TenantClaim: s.OIDCTenantClaim, TenantKey: s.OIDCTenantKey, WithoutTenant: s.OIDCWithoutTenant,
		Schools: listIfSet(s.OIDCSchools), VerbClaims: listIfSet(s.OIDCVerbClaims), Verbs: verbs,
		NameClaims: listIfSet(s.OIDCNameClaims), CAFile: s.OIDCCAFile,
	}, nil
}

// listIfSet splits a list, nil for a variable that is not set. One that is set and holds no element is another thing: a list of
// restrictions that somebody has not succeeded in writing.
func listIfSet(text string) []string {
	if text == "" {
		return nil
	}
	return splitList(text)
}

// verbsOfRoles reads pairs of a role or scope and its verbs, nil for a variable that is not set. The error follows the name of the
// setting.
func verbsOfRoles(text string) (map[string][]string, error) {
	if text == "" {
		return nil, nil
	}
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
	return issuers, emptyText(text)
}

// emptyText returns an error if a member of an issuer in a file, which is well-formed, is an empty text: what was to be written
// there may be a restriction. Lists are oidc's to look at.
func emptyText(file []byte) error {
	var issuers []map[string]any
	if err := json.Unmarshal(file, &issuers); err != nil {
		return err
	}
	for index, members := range issuers {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if members[name] == "" {
				return fmt.Errorf("must not have an empty %s, as issuer %d has: leave it out for the default", name, index+1)
			}
		}
	}
	return nil
}

// capital is where a word begins within the name of a member.
var capital = regexp.MustCompile(`[A-Z]`)

// oidcVariable returns the variable of a member of oidc.Issuer.
func oidcVariable(member string) string {
	return "EDUCATION_OIDC_" + strings.ToUpper(capital.ReplaceAllString(member, "_$0"))
}
