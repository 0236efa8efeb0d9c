package oidc

import (
	"slices"
	"strings"
	"unicode"

	"github.com/opencloud-eu/education/pkg/access"
)

const (
	// maxSchools is how many schools a token may name. Each may take a search.
	maxSchools = 256
	// maxNameBytes is the length of the longest name of a client.
	maxNameBytes = 128
)

// grant reads the grant out of the claims of a token that has been checked.
func (i *issuer) grant(claims map[string]any) (*access.Grant, error) {
	name, err := i.name(claims)
	if err != nil {
		return nil, err
	}
	grant := &access.Grant{Name: name, Verbs: i.verbs(claims)}
	if grant.Verbs == 0 {
		return nil, invalid("none of its roles and scopes means a verb")
	}
	grant.Schools, grant.AllSchools, err = i.schools(claims)
	if err != nil {
		return nil, err
	}
	return grant, nil
}

// name returns the name of the token's client and, because another issuer may call another client the same, its issuer. The
// URL in it keeps it apart from the names of all tokens that are not of an issuer.
func (i *issuer) name(claims map[string]any) (string, error) {
	for _, p := range i.nameClaims {
		values, _ := p.find(claims)
		for _, value := range values {
			if text, ok := textOf(value); ok && isName(text) {
				return text + "@" + i.url, nil
			}
		}
	}
	return "", invalid("no claim names its client")
}

// isName reports whether a text can stand in a log as a name.
func isName(text string) bool {
	return text != "" && len(text) <= maxNameBytes && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// verbs returns the verbs that the token's roles and scopes mean. A text is taken as a whole, as roles are, and in its parts,
// because scopes stand in one text, separated by blanks (RFC 6749, section 3.3).
func (i *issuer) verbs(claims map[string]any) access.Verbs {
	var verbs access.Verbs
	for _, p := range i.verbClaims {
		values, _ := p.find(claims)
		for _, value := range values {
			text, _ := textOf(value)
			verbs |= i.verbsOf[text]
			for word := range strings.FieldsSeq(text) {
				verbs |= i.verbsOf[word]
			}
		}
	}
	return verbs
}

// schools returns the schools that a token is for, or that it is for all of them. A token whose claim is there and names no
// school, or cannot be read, is for none: it must not pass for one that has no such claim.
func (i *issuer) schools(claims map[string]any) (schools []access.School, all bool, err error) {
	if i.tenantClaim == nil {
		return i.permitted, i.withoutTenant == All, nil
	}
	values, present := i.tenantClaim.find(claims)
	if !present && i.withoutTenant == All {
		return nil, true, nil
	}
	for _, value := range values {
		text, ok := textOf(value)
		switch {
		case value == nil || text == "" && ok:
			continue
		case !ok:
			return nil, false, invalid("the claim with its schools holds something that is neither text nor a whole number")
		}
		school, ok := schoolOf(text, i.tenantKey)
		if !ok {
			return nil, false, invalid("the claim with its schools holds something that is no id")
		}
		if len(i.permitted) > 0 && !slices.Contains(i.permitted, school) {
			return nil, false, invalid("it names a school that its issuer has no say in")
		}
		if slices.Contains(schools, school) {
			continue
		}
		if schools = append(schools, school); len(schools) > maxSchools {
			return nil, false, invalid("it names more than %d schools", maxSchools)
		}
	}
	if len(schools) == 0 {
		return nil, false, invalid("no claim names a school")
	}
	return schools, false, nil
}

// schoolOf reads the key of a school in one of the ways that TenantKey can say. It is false if the key must be an id and is none.
func schoolOf(text, key string) (access.School, bool) {
	school := access.SchoolOf(text)
	switch key {
	case ByExternalID:
		return access.School{ExternalID: text}, true
	case ByID:
		return school, school.ID != ""
	}
	return school, true
}
