package identity

import (
	"strings"

	"github.com/opencloud-eu/education/pkg/identity/match"
)

// parseDN reads a DN without a schema: all values are compared as caseIgnoreMatch does, which fits every attribute that
// names an entry here.
func parseDN(text string) (*match.DN, bool) {
	return match.ParseDN(text, func(string) (string, match.Normalizer, bool) { return "", nil, false })
}

// foldDN returns a form of a DN that is the same for every way to spell it.
func foldDN(text string) string {
	dn, ok := parseDN(text)
	if !ok {
		return strings.ToLower(text)
	}
	return dn.Key()
}

// rdn returns an RDN of one attribute.
func rdn(attribute, value string) string {
	return match.RDN{Values: []match.RDNValue{{Attribute: attribute, Value: value}}}.String()
}

// splitDN cuts the RDN off a DN, both in the DN's own spelling.
func splitDN(text string) (first, parent string, ok bool) {
	dn, ok := parseDN(text)
	if !ok || len(dn.RDNs) == 0 {
		return "", "", false
	}
	return dn.RDNs[0].String(), dn.Parent().String(), true
}
