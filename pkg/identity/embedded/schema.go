package embedded

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/opencloud-eu/education/pkg/identity/match"
)

// attribute is an attribute type, compiled from its row.
type attribute struct {
	attributeRow
	// name is the first of the names, spelt as entries spell it.
	name string
	// equality, ordering and substrings are nil where the attribute has no such rule.
	equality   *rule
	ordering   *rule
	substrings *rule
	syntax     *syntax
	// subtypes are the attribute itself and all attributes below it: asking for "name" asks for cn and sn too
	// (RFC 4512, section 2.5.1).
	subtypes []*attribute
}

func (a *attribute) is(t trait) bool { return a.traits&t != 0 }

// indexed says whether the attribute has an equality index.
func (a *attribute) indexed() bool {
	return a.equality != nil && !a.is(unindexed) && !a.is(computed) && !a.is(link)
}

// ruleKind says what a matching rule decides.
type ruleKind uint8

const (
	equalityRule ruleKind = iota
	orderingRule
	substringsRule
)

// rule is a matching rule (RFC 4517, section 4.2).
type rule struct {
	oid  string
	name string
	kind ruleKind
	// syntax is the syntax of assertion values.
	syntax string
	// normalize prepares values and, unless the rule is one for substrings, assertion values.
	normalize match.Normalizer
	// substrings prepares values and parts of a substrings rule.
	substrings match.Substrings
}

// syntax is an LDAP syntax (RFC 4517, section 3.3).
type syntax struct {
	oid         string
	description string
	valid       func(string) bool
}

// class is an object class, compiled from its row.
type class struct {
	classRow
	superior *class
	must     []*attribute
	may      []*attribute
}

// within says whether the class is the other one or below it.
func (c *class) within(other *class) bool {
	for ; c != nil; c = c.superior {
		if c == other {
			return true
		}
	}
	return false
}

// schema finds attributes, classes and rules by any of their names and by their object identifiers.
type schema struct {
	attributes map[string]*attribute
	classes    map[string]*class
	rules      map[string]*rule
	syntaxes   map[string]*syntax
	// links are the attributes whose values are kept as links, uniques those whose values are unique.
	// linkClasses are the names of the object classes that allow a link attribute.
	linkClasses []string
	// parted are those that have an index within each school, computed those that are not kept.
	links    []*attribute
	uniques  []*attribute
	parted   []*attribute
	computed []*attribute
	// These keep the order of the tables.
	all        []*attribute
	classList  []*class
	ruleRows   []*rule
	syntaxRows []*syntax
}

// directory is the schema of every store.
var directory = newSchema()

// newSchema compiles the tables. A slip in them is a slip of the programmer and panics.
func newSchema() *schema {
	s := &schema{
		attributes: map[string]*attribute{},
		classes:    map[string]*class{},
		rules:      map[string]*rule{},
		syntaxes:   map[string]*syntax{},
	}
	s.syntaxRows = syntaxTable(s)
	for _, row := range s.syntaxRows {
		s.syntaxes[row.oid] = row
	}
	s.ruleRows = ruleTable(s)
	for _, row := range s.ruleRows {
		s.rules[strings.ToLower(row.name)], s.rules[row.oid] = row, row
	}
	for _, row := range attributeRows {
		s.compileAttribute(row)
	}
	for _, row := range classRows {
		s.compileClass(row)
	}
	return s
}

func (s *schema) compileAttribute(row attributeRow) {
	names := strings.Fields(row.names)
	a := &attribute{attributeRow: row, name: names[0]}
	if row.superior != "" {
		superior := mustFind(s.attributes, row.superior)
		a.equality, a.ordering, a.substrings = superior.equality, superior.ordering, superior.substrings
		a.syntax = superior.syntax
		superior.subtypes = append(superior.subtypes, a)
	} else {
		a.equality, a.ordering, a.substrings = s.rule(row.equality), s.rule(row.ordering), s.rule(row.substrings)
		a.syntax = mustFind(s.syntaxes, row.syntax)
	}
	a.subtypes = []*attribute{a}
	s.all = append(s.all, a)
	for _, name := range append(names, row.oid) {
		// The spelling of the table is found without folding: it is what entries hold.
		s.attributes[strings.ToLower(name)], s.attributes[name] = a, a
	}
	if a.is(link) {
		s.links = append(s.links, a)
	}
	if a.is(parted) {
		s.parted = append(s.parted, a)
	}
	if a.is(computed) {
		s.computed = append(s.computed, a)
	}
	if a.is(unique) {
		s.uniques = append(s.uniques, a)
	}
}

func (s *schema) compileClass(row classRow) {
	c := &class{classRow: row}
	if row.superior != "" {
		c.superior = mustFind(s.classes, row.superior)
	}
	for _, name := range strings.Fields(row.must) {
		c.must = append(c.must, mustFind(s.attributes, name))
	}
	for _, name := range strings.Fields(row.may) {
		c.may = append(c.may, mustFind(s.attributes, name))
	}
	if slices.ContainsFunc(c.may, func(a *attribute) bool { return a.is(link) }) {
		s.linkClasses = append(s.linkClasses, c.name)
	}
	s.classList = append(s.classList, c)
	s.classes[strings.ToLower(row.name)], s.classes[row.name], s.classes[row.oid] = c, c, c
}

func (s *schema) rule(name string) *rule {
	if name == "" {
		return nil
	}
	return mustFind(s.rules, name)
}

func mustFind[T any](table map[string]*T, name string) *T {
	found := table[strings.ToLower(name)]
	if found == nil {
		panic(fmt.Sprintf("embedded: the schema table names %q, which is not in it", name))
	}
	return found
}

// attribute finds an attribute by name or object identifier; nil if there is none.
func (s *schema) attribute(name string) *attribute {
	if a := s.attributes[name]; a != nil {
		return a
	}
	return s.attributes[strings.ToLower(name)]
}

// class finds an object class by name or object identifier; nil if there is none.
func (s *schema) class(name string) *class {
	if c := s.classes[name]; c != nil {
		return c
	}
	return s.classes[strings.ToLower(name)]
}

// lookup is the match.Lookup of the schema.
func (s *schema) lookup(name string) (string, match.Normalizer, bool) {
	a := s.attribute(name)
	if a == nil || a.equality == nil {
		return "", nil, false
	}
	return a.name, a.equality.normalize, true
}

// parseDN reads a name with the rules of the schema.
func (s *schema) parseDN(text string) (*match.DN, bool) { return match.ParseDN(text, s.lookup) }

// normalizeDN is distinguishedNameMatch.
func (s *schema) normalizeDN(value string) (string, bool) {
	dn, ok := s.parseDN(value)
	if !ok {
		return "", false
	}
	return dn.Key(), true
}

// normalizeOID is objectIdentifierMatch. A name that the schema does not know fits no syntax here, because RFC 4517,
// section 4.2.26 has its comparison undefined.
func (s *schema) normalizeOID(value string) (string, bool) {
	if c := s.classes[value]; c != nil { // spelt as entries spell it
		return c.oid, true
	}
	normalized, ok := match.ObjectIdentifier(value)
	if !ok {
		return "", false
	}
	if c := s.classes[normalized]; c != nil {
		return c.oid, true
	}
	if a := s.attributes[normalized]; a != nil {
		return a.oid, true
	}
	return normalized, normalized[0] >= '0' && normalized[0] <= '9'
}

// text makes a rule's Normalizer of a function that takes every value.
func text(normalize func(string) string) match.Normalizer {
	return func(value string) (string, bool) { return normalize(value), true }
}

// ruleTable returns the matching rules, with the object identifiers of RFC 4517 and RFC 4530.
func ruleTable(s *schema) []*rule {
	caseIgnore, caseExact := text(match.CaseIgnore), text(match.CaseExact)
	folded, exact := match.Substrings{}, match.Substrings{Exact: true}
	return []*rule{
		{oid: "2.5.13.0", name: "objectIdentifierMatch", syntax: syntaxOID, normalize: s.normalizeOID},
		{oid: "2.5.13.1", name: "distinguishedNameMatch", syntax: syntaxDN, normalize: s.normalizeDN},
		{oid: "2.5.13.2", name: "caseIgnoreMatch", syntax: syntaxDirectoryString, normalize: caseIgnore},
		{oid: "2.5.13.3", name: "caseIgnoreOrderingMatch", syntax: syntaxDirectoryString, kind: orderingRule, normalize: caseIgnore},
		{oid: "2.5.13.4", name: "caseIgnoreSubstringsMatch", syntax: syntaxSubstrings, kind: substringsRule, substrings: folded},
		{oid: "2.5.13.5", name: "caseExactMatch", syntax: syntaxDirectoryString, normalize: caseExact},
		{oid: "2.5.13.6", name: "caseExactOrderingMatch", syntax: syntaxDirectoryString, kind: orderingRule, normalize: caseExact},
		{oid: "2.5.13.7", name: "caseExactSubstringsMatch", syntax: syntaxSubstrings, kind: substringsRule, substrings: exact},
		{oid: "2.5.13.8", name: "numericStringMatch", syntax: syntaxNumericString, normalize: match.NumericString},
		{oid: "2.5.13.11", name: "caseIgnoreListMatch", syntax: syntaxPostalAddress, normalize: caseIgnore},
		{oid: "2.5.13.13", name: "booleanMatch", syntax: syntaxBoolean, normalize: match.Boolean},
		{oid: "2.5.13.14", name: "integerMatch", syntax: syntaxInteger, normalize: match.Integer},
		{oid: "2.5.13.17", name: "octetStringMatch", syntax: syntaxOctetString, normalize: match.OctetString},
		{oid: "2.5.13.18", name: "octetStringOrderingMatch", syntax: syntaxOctetString, kind: orderingRule, normalize: match.OctetString},
		{oid: "2.5.13.20", name: "telephoneNumberMatch", syntax: syntaxTelephone, normalize: match.TelephoneNumber},
		{oid: "2.5.13.27", name: "generalizedTimeMatch", syntax: syntaxGeneralizedTime, normalize: match.GeneralizedTime},
		{oid: "2.5.13.28", name: "generalizedTimeOrderingMatch", syntax: syntaxGeneralizedTime, kind: orderingRule, normalize: match.GeneralizedTime},
		{oid: "2.5.13.30", name: "objectIdentifierFirstComponentMatch", syntax: syntaxOID, normalize: s.normalizeOID},
		{oid: "1.3.6.1.4.1.1466.109.114.1", name: "caseExactIA5Match", syntax: syntaxIA5String, normalize: match.CaseExactIA5},
		{oid: "1.3.6.1.4.1.1466.109.114.2", name: "caseIgnoreIA5Match", syntax: syntaxIA5String, normalize: match.CaseIgnoreIA5},
		{oid: "1.3.6.1.4.1.1466.109.114.3", name: "caseIgnoreIA5SubstringsMatch", syntax: syntaxSubstrings, kind: substringsRule, substrings: folded},
		{oid: "1.3.6.1.1.16.2", name: "uuidMatch", syntax: syntaxUUID, normalize: match.UUID},
		{oid: "1.3.6.1.1.16.3", name: "uuidOrderingMatch", syntax: syntaxUUID, kind: orderingRule, normalize: match.UUID},
	}
}

// syntaxTable returns the syntaxes with their descriptions from RFC 4517, section 3.3 and RFC 4530, section 2.1.
// Syntaxes with rich contents that no rule here looks into (photos, certificates, addresses) take any value.
func syntaxTable(s *schema) []*syntax {
	anything := func(string) bool { return true }
	fits := func(normalize match.Normalizer) func(string) bool {
		return func(value string) bool {
			_, ok := normalize(value)
			return ok
		}
	}
	return []*syntax{
		{syntaxAttributeType, "Attribute Type Description", isDirectoryString},
		{syntaxBitString, "Bit String", anything},
		{syntaxBoolean, "Boolean", fits(match.Boolean)},
		{syntaxCertificate, "Certificate", anything},
		{syntaxDN, "DN", fits(s.normalizeDN)},
		{syntaxDeliveryMethod, "Delivery Method", isPrintableString},
		{syntaxDirectoryString, "Directory String", isDirectoryString},
		{syntaxFacsimileNumber, "Facsimile Telephone Number", isPrintableString},
		{syntaxGeneralizedTime, "Generalized Time", fits(match.GeneralizedTime)},
		{syntaxIA5String, "IA5 String", fits(match.CaseExactIA5)},
		{syntaxInteger, "INTEGER", fits(match.Integer)},
		{syntaxJPEG, "JPEG", anything},
		{syntaxMatchingRule, "Matching Rule Description", isDirectoryString},
		{syntaxNumericString, "Numeric String", isNumericString},
		{syntaxObjectClass, "Object Class Description", isDirectoryString},
		{syntaxOID, "OID", fits(match.ObjectIdentifier)},
		{syntaxOctetString, "Octet String", anything},
		{syntaxPostalAddress, "Postal Address", isDirectoryString},
		{syntaxPrintableString, "Printable String", isPrintableString},
		{syntaxTelephone, "Telephone Number", isPrintableString},
		{syntaxLDAPSyntax, "LDAP Syntax Description", isDirectoryString},
		{syntaxSubstrings, "Substring Assertion", isDirectoryString},
		{syntaxUUID, "UUID", fits(match.UUID)},
	}
}

// isDirectoryString is RFC 4517, section 3.3.6: UTF-8 and at least one character. NUL is a character of UTF-8.
func isDirectoryString(value string) bool { return value != "" && utf8.ValidString(value) }

// isPrintableString is RFC 4517, section 3.3.29.
func isPrintableString(value string) bool {
	for i := range len(value) {
		c := value[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte(` '()+,-.=/:?`, c) < 0 {
			return false
		}
	}
	return value != ""
}

// isNumericString is RFC 4517, section 3.3.23.
func isNumericString(value string) bool {
	_, ok := match.NumericString(value)
	return ok && value != ""
}
