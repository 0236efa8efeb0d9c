package embedded

import (
	"encoding/hex"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// truth is a value of three-valued logic (RFC 4511, section 4.5.1.7). And is the least of its operands, or the
// greatest, not the opposite.
type truth int8

const (
	isFalse   truth = -1
	undefined truth = 0
	isTrue    truth = 1
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// conditionKind is the kind of a condition.
type conditionKind uint8

const (
	whenNever conditionKind = iota // undefined for every entry
	whenAll
	whenAny
	whenNot
	whenPresent
	whenEqual
	whenAtLeast
	whenAtMost
	whenParts
	whenBefore // of an extensible match with an ordering rule
)

// condition is a filter with its attributes found and its values prepared.
type condition struct {
	kind  conditionKind
	parts []*condition
	// attributes are those that the filter names and their subtypes.
	attributes []*attribute
	// rule compares values; it is the attribute's own unless an extensible match names another.
	rule *rule
	// value is the normalised assertion value.
	value string
	// initial, any and final are the prepared parts of a substring assertion; a part that is empty is absent.
	initial string
	any     []string
	final   string
	// inName says that the values of the entry's DN count too; anyAttribute that they do whatever their attribute.
	inName       bool
	anyAttribute bool
}

// maxFilterDepth bounds the nesting of filters, so that none exhausts the stack.
const maxFilterDepth = 64

// compile prepares a filter. What the schema does not know, and values that do not fit, become conditions that are
// never true.
func compile(f *wire.Filter, depth int) (*condition, error) {
	if f == nil || depth > maxFilterDepth {
		return nil, wire.Errorf(wire.ResultProtocolError, "the filter is missing or nested too deeply")
	}
	switch f.Kind {
	case wire.FilterAnd, wire.FilterOr, wire.FilterNot:
		return compileParts(f, depth)
	case wire.FilterExtensible:
		return compileExtensible(f), nil
	case wire.FilterPresent, wire.FilterEqual, wire.FilterApprox, wire.FilterGreaterOrEqual, wire.FilterLessOrEqual, wire.FilterSubstrings:
		a := directory.attribute(f.Attribute)
		if a == nil {
			return &condition{kind: whenNever}, nil
		}
		return compileAssertion(f, a), nil
	}
	return nil, wire.Errorf(wire.ResultProtocolError, "the filter has a part of an unknown kind")
}

func compileParts(f *wire.Filter, depth int) (*condition, error) {
	if f.Kind == wire.FilterNot && len(f.Children) != 1 {
		return nil, wire.Errorf(wire.ResultProtocolError, "a not in the filter has not exactly one operand")
	}
	kinds := map[wire.FilterKind]conditionKind{wire.FilterAnd: whenAll, wire.FilterOr: whenAny, wire.FilterNot: whenNot}
	c := &condition{kind: kinds[f.Kind], parts: make([]*condition, len(f.Children))}
	for i, child := range f.Children {
		part, err := compile(child, depth+1)
		if err != nil {
			return nil, err
		}
		c.parts[i] = part
	}
	return c, nil
}

func compileAssertion(f *wire.Filter, a *attribute) *condition {
	c := &condition{attributes: a.subtypes}
	switch f.Kind {
	case wire.FilterPresent:
		c.kind = whenPresent
		return c
	case wire.FilterSubstrings:
		c.kind, c.rule = whenParts, a.substrings
		return c.withParts(f.Initial, f.Any, f.Final)
	case wire.FilterGreaterOrEqual:
		c.kind, c.rule = whenAtLeast, a.ordering
	case wire.FilterLessOrEqual:
		c.kind, c.rule = whenAtMost, a.ordering
	default: // approximate is equal, as RFC 4511, section 4.5.1.7.6 allows
		c.kind, c.rule = whenEqual, a.equality
	}
	return c.withValue(f.Value)
}

// withValue gives the condition its assertion value.
func (c *condition) withValue(value string) *condition {
	if c.rule == nil {
		return &condition{kind: whenNever}
	}
	normalized, ok := c.rule.normalize(value)
	if !ok {
		return &condition{kind: whenNever}
	}
	c.value = normalized
	return c
}

// withParts gives the condition the parts of its substring assertion, of which there must be one.
func (c *condition) withParts(initial string, between []string, final string) *condition {
	if c.rule == nil || initial == "" && len(between) == 0 && final == "" {
		return &condition{kind: whenNever}
	}
	if initial != "" {
		c.initial = c.rule.substrings.Initial(initial)
	}
	for _, part := range between {
		c.any = append(c.any, c.rule.substrings.Any(part))
	}
	if final != "" {
		c.final = c.rule.substrings.Final(final)
	}
	return c
}

// indexPrefix turns a prepared initial part into what normalised values that it matches begin with: without the
// blanks at its ends, and with single ones between words.
func indexPrefix(initial string) string {
	return strings.ReplaceAll(strings.Trim(initial, " "), "  ", " ")
}

// compileExtensible prepares an extensible match (RFC 4511, section 4.5.1.7.7).
func compileExtensible(f *wire.Filter) *condition {
	c := &condition{kind: whenEqual, inName: f.DNAttributes}
	if f.Rule != "" {
		if c.rule = directory.rules[strings.ToLower(f.Rule)]; c.rule == nil {
			return &condition{kind: whenNever}
		}
	}
	if f.Attribute == "" {
		c.anyAttribute = true
		c.attributes = attributesWith(c.rule)
	} else {
		a := directory.attribute(f.Attribute)
		switch {
		case a == nil:
			return &condition{kind: whenNever}
		case c.rule == nil:
			c.rule = a.equality
		case !c.rule.appliesTo(a):
			return &condition{kind: whenNever}
		}
		c.attributes = a.subtypes
	}
	if c.rule == nil {
		return &condition{kind: whenNever}
	}
	switch c.rule.kind {
	case substringsRule:
		c.kind = whenParts
		return c.withParts(splitSubstrings(f.Value))
	case orderingRule:
		c.kind = whenBefore
	}
	return c.withValue(f.Value)
}

// attributesWith returns the attributes that have a rule.
func attributesWith(r *rule) []*attribute {
	var found []*attribute
	for _, a := range directory.all {
		if r != nil && r.belongsTo(a) {
			found = append(found, a)
		}
	}
	return found
}

func (r *rule) belongsTo(a *attribute) bool {
	return a.equality == r || a.ordering == r || a.substrings == r
}

// appliesTo says whether the rule may compare values of an attribute: it is one of its rules, or a rule for text and
// the attribute holds text.
func (r *rule) appliesTo(a *attribute) bool {
	if r.belongsTo(a) {
		return true
	}
	switch a.syntax.oid {
	case syntaxDirectoryString, syntaxIA5String, syntaxPrintableString, syntaxTelephone, syntaxNumericString:
		return strings.HasPrefix(r.name, "caseIgnore") || strings.HasPrefix(r.name, "caseExact")
	}
	return false
}

// splitSubstrings takes a substring assertion in its text form apart (RFC 4517, section 3.3.30): parts with asterisks
// between them, in which \2A is an asterisk and \5C a backslash.
func splitSubstrings(value string) (initial string, between []string, final string) {
	parts := strings.Split(value, "*")
	if len(parts) < 2 {
		return "", nil, ""
	}
	for i, part := range parts {
		part = unescapeSubstring(part)
		switch {
		case part == "":
		case i == 0:
			initial = part
		case i == len(parts)-1:
			final = part
		default:
			between = append(between, part)
		}
	}
	return initial, between, final
}

func unescapeSubstring(part string) string {
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		if part[i] == '\\' && i+2 < len(part) {
			if c, err := hex.DecodeString(part[i+1 : i+3]); err == nil {
				b.WriteByte(c[0])
				i += 2
				continue
			}
		}
		b.WriteByte(part[i])
	}
	return b.String()
}

// of says whether the condition holds for an entry.
func (c *condition) of(tx *bolt.Tx, entry *record) truth {
	switch c.kind {
	case whenNever:
		return undefined
	case whenAll:
		result := isTrue
		for _, part := range c.parts {
			if result = min(result, part.of(tx, entry)); result == isFalse {
				break
			}
		}
		return result
	case whenAny:
		result := isFalse
		for _, part := range c.parts {
			if result = max(result, part.of(tx, entry)); result == isTrue {
				break
			}
		}
		return result
	case whenNot:
		return -c.parts[0].of(tx, entry)
	}
	for _, a := range c.attributes {
		if c.ofAttribute(tx, entry, a) {
			return isTrue
		}
	}
	return truthOf(c.inName && c.ofName(entry))
}

// ofAttribute says whether the condition holds for a value of one attribute.
func (c *condition) ofAttribute(tx *bolt.Tx, entry *record, a *attribute) bool {
	switch {
	case a.is(link):
		return c.ofLinks(tx, entry, a)
	case a.is(computed):
		value, has := computedValue(tx, entry, a)
		return has && (c.kind == whenPresent || c.ofValue(value))
	}
	values := entry.values(a.name)
	if c.kind == whenPresent {
		return len(values) > 0
	}
	for _, value := range values {
		if c.ofValue(value) {
			return true
		}
	}
	return false
}

// ofLinks says whether the condition holds for a link. Links have no rule but distinguishedNameMatch.
func (c *condition) ofLinks(tx *bolt.Tx, entry *record, a *attribute) bool {
	if c.kind == whenPresent {
		return hasPrefix(tx.Bucket(bucketLinks), linkPrefix(entry.id, a))
	}
	target, exists := linkTarget(tx, c.value)
	return exists && c.kind == whenEqual && contains(tx.Bucket(bucketLinks), linkKey(entry.id, a, target))
}

// ofValue says whether the condition holds for a value.
func (c *condition) ofValue(value string) bool {
	if c.kind == whenParts {
		return c.matchesParts(c.rule.substrings.Value(value))
	}
	normalized, ok := c.rule.normalize(value)
	if !ok {
		return false
	}
	switch c.kind {
	case whenEqual:
		return normalized == c.value
	case whenAtLeast:
		return normalized >= c.value
	case whenAtMost:
		return normalized <= c.value
	case whenBefore:
		return normalized < c.value
	}
	return false
}

// matchesParts says whether the parts occur in a prepared value in their order without overlap.
func (c *condition) matchesParts(value string) bool {
	rest, ok := strings.CutPrefix(value, c.initial)
	if !ok {
		return false
	}
	for _, part := range c.any {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, c.final)
}

// ofName says whether the condition holds for a value in the DN of the entry.
func (c *condition) ofName(entry *record) bool {
	name, ok := match.ParseDN(entry.dn, directory.lookup)
	if !ok {
		return false
	}
	for _, rdn := range name.RDNs {
		for _, value := range rdn.Values {
			a := directory.attribute(value.Attribute)
			if (c.anyAttribute && a != nil && c.rule.appliesTo(a) || c.names(a)) && c.ofValue(value.Value) {
				return true
			}
		}
	}
	return false
}

func (c *condition) names(a *attribute) bool {
	for _, own := range c.attributes {
		if own == a {
			return true
		}
	}
	return false
}
