package identity

import (
	"slices"
	"strings"
	"unicode"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// truth is a value of OData's three-valued logic (URL conventions, section 5.1.1.1). It is the same as LDAP's; only what
// an absent value is compared to differs.
type truth int

const (
	isFalse truth = iota
	isUnknown
	isTrue
)

func truthOf(condition bool) truth {
	if condition {
		return isTrue
	}
	return isFalse
}

// condition is a $filter in terms of attributes. It says both what can be asked of the directory and what has to be
// looked at in the entries that come back, because LDAP knows no order of strings and no substrings of most of
// OpenCloud's attributes.
type condition interface {
	// filter returns a filter that matches every entry for which the condition has the wanted value, true or false.
	// With exact it matches no others.
	filter(want bool) (filter *wire.Filter, exact bool)
	// holds evaluates the condition on an entry that has the attributes.
	holds(entry *wire.Entry) truth
	// attributes are the attributes that holds looks at.
	attributes() []string
}

// allOf is true if all operands are, false if one is.
type allOf []condition

func (c allOf) filter(want bool) (*wire.Filter, bool) {
	if want {
		return combine(wire.And, c, want)
	}
	return combine(wire.Or, c, want)
}

func (c allOf) holds(entry *wire.Entry) truth {
	result := isTrue
	for _, operand := range c {
		result = min(result, operand.holds(entry))
	}
	return result
}

func (c allOf) attributes() []string { return attributesOfAll(c) }

// oneOf is true if one operand is, false if all are.
type oneOf []condition

func (c oneOf) filter(want bool) (*wire.Filter, bool) {
	if want {
		return combine(wire.Or, c, want)
	}
	return combine(wire.And, c, want)
}

func (c oneOf) holds(entry *wire.Entry) truth {
	result := isFalse
	for _, operand := range c {
		result = max(result, operand.holds(entry))
	}
	return result
}

func (c oneOf) attributes() []string { return attributesOfAll(c) }

func combine(operator func(...*wire.Filter) *wire.Filter, operands []condition, want bool) (*wire.Filter, bool) {
	filters, exact := make([]*wire.Filter, len(operands)), true
	for i, operand := range operands {
		var operandExact bool
		filters[i], operandExact = operand.filter(want)
		exact = exact && operandExact
	}
	if len(filters) == 1 {
		return filters[0], exact
	}
	return operator(filters...), exact
}

func attributesOfAll(operands []condition) []string {
	var names []string
	for _, operand := range operands {
		names = append(names, operand.attributes()...)
	}
	return names
}

// negation is true if its operand is false. Negations are pushed down to the leaves, so no filter has a "not" around
// something that may be unknown.
type negation struct{ operand condition }

func (c negation) filter(want bool) (*wire.Filter, bool) { return c.operand.filter(!want) }
func (c negation) holds(entry *wire.Entry) truth         { return isTrue - c.operand.holds(entry) }
func (c negation) attributes() []string                  { return c.operand.attributes() }

// constant is true or false for every entry.
type constant bool

func (c constant) filter(want bool) (*wire.Filter, bool) {
	if bool(c) == want {
		return everything, true
	}
	return wire.Or(), true
}

func (c constant) holds(*wire.Entry) truth { return truthOf(bool(c)) }
func (constant) attributes() []string      { return nil }

// propertyCondition is what all conditions on one property share.
type propertyCondition struct {
	property *education.Property
	// standIn names the attribute if it may hold a stand-in that is no value of the property, or is empty; plain says that
	// the stand-in is a blank rather than one that is noted.
	standIn string
	// loosely says that the directory compares texts in a way of its own: see Config.LooseMatching.
	loosely bool
	plain   bool
}

func (c propertyCondition) attributes() []string {
	if c.standIn != "" && !c.plain {
		return []string{c.property.Attribute, attributePlaceholder}
	}
	return []string{c.property.Attribute}
}

// present matches the entries in which the property has a value.
func (c propertyCondition) present() *wire.Filter {
	present := wire.Present(c.property.Attribute)
	if isASCII(c.property) {
		// OpenCloud's graph service writes an empty mail for a user without one. That is no value here (see decodeValue), and
		// among the syntaxes of all texts only IA5String has it (RFC 4517, section 3.3.15).
		present = wire.And(present, wire.Not(wire.Equal(c.property.Attribute, "")))
	}
	return c.with(present)
}

// with narrows a filter to the entries in which the property has a value of its own.
func (c propertyCondition) with(filter *wire.Filter) *wire.Filter {
	switch {
	case c.standIn == "":
		return filter
	case c.plain:
		return wire.And(filter, wire.Not(wire.Equal(c.standIn, blank)))
	default:
		return wire.And(filter, wire.Not(wire.Equal(attributePlaceholder, c.standIn)))
	}
}

// value returns the property's value in an entry, or false if it has none.
func (c propertyCondition) value(entry *wire.Entry) (string, bool) {
	values := entry.Values(c.property.Attribute)
	if len(values) == 0 || values[0] == "" {
		return "", false
	}
	if c.standIn != "" && (strings.TrimSpace(values[0]) == "" || containsFold(entry.Values(attributePlaceholder), c.standIn)) {
		return "", false
	}
	return values[0], true
}

// unless is the opposite of a filter for a condition that is false where the filter does not match.
func unless(filter *wire.Filter, want bool) *wire.Filter {
	if want {
		return filter
	}
	return wire.Not(filter)
}

// isNull is property eq null.
type isNull struct{ propertyCondition }

func (c isNull) filter(want bool) (*wire.Filter, bool) { return unless(c.present(), !want), true }

func (c isNull) holds(entry *wire.Entry) truth {
	_, ok := c.value(entry)
	return truthOf(!ok)
}

// isEqual is property eq value. It is false, not unknown, where the property has no value (OData URL conventions,
// section 5.1.1.1.1).
type isEqual struct {
	propertyCondition
	text string
}

func (c isEqual) filter(want bool) (*wire.Filter, bool) {
	switch {
	case !c.possible():
		return constant(false).filter(want)
	case c.loosely && want && c.property.Type == education.String:
		return c.with(anySpelling(c.text, whole, func(text string) *wire.Filter { return wire.Equal(c.property.Attribute, text) })), false
	case c.loosely && c.property.Type == education.String:
		return everything, false
	}
	return unless(c.with(wire.Equal(c.property.Attribute, c.text)), want), true
}

func (c isEqual) holds(entry *wire.Entry) truth {
	value, ok := c.value(entry)
	return truthOf(ok && c.possible() && comparable(c.property, value) == comparable(c.property, c.text))
}

// possible reports whether the property of any entry can have the value. The empty string is not one: see decodeValue.
func (c isEqual) possible() bool { return c.text != "" && fits(c.property, c.text) }

// fits reports whether a text can be in a value of the property. To the directory a comparison with any other text is
// undefined, to OData it is false.
func fits(property *education.Property, text string) bool {
	switch {
	case property.Type == education.UUID:
		return education.IsID(text)
	case isASCII(property):
		return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
	}
	return true
}

// isASCII reports whether the property's values are of the syntax IA5String.
func isASCII(property *education.Property) bool {
	return slices.Contains(strings.Split(property.Check, ","), "ascii")
}

// comparable returns a form of a value in which values are equal and ordered as the attribute's matching rules have it.
// It is never empty.
func comparable(property *education.Property, value string) string {
	switch property.Type {
	case education.DateTime:
		if at, ok := match.ParseGeneralizedTime(value); ok {
			return at.UTC().Format("20060102150405.000000000")
		}
	case education.Boolean, education.UUID:
		return strings.ToLower(value)
	}
	return match.CaseIgnore(value)
}

// isOrdered is property gt value, or one of its kin. It is false where the property has no value.
type isOrdered struct {
	propertyCondition
	operator odata.Operator
	text     string
}

func (c isOrdered) filter(want bool) (*wire.Filter, bool) {
	if !c.property.Ordered() {
		if want {
			return c.present(), false
		}
		return everything, false
	}
	kind := wire.FilterGreaterOrEqual
	if c.operator == odata.Le || c.operator == odata.Lt {
		kind = wire.FilterLessOrEqual
	}
	text, without := c.text, c.operator == odata.Gt || c.operator == odata.Lt
	if second, _, fraction := strings.Cut(c.text, "."); fraction && c.loosely {
		// 389-DS compares times as texts, to which a fraction of a second comes before the second. Values in a directory
		// are whole seconds: see generalizedTime.
		text, without = second+"Z", kind == wire.FilterGreaterOrEqual
	}
	filter := &wire.Filter{Kind: kind, Attribute: c.property.Attribute, Value: text}
	if without {
		filter = wire.And(filter, wire.Not(wire.Equal(c.property.Attribute, text)))
	}
	return unless(c.with(filter), want), true
}

func (c isOrdered) holds(entry *wire.Entry) truth {
	value, ok := c.value(entry)
	if !ok {
		return isFalse
	}
	order := strings.Compare(comparable(c.property, value), comparable(c.property, c.text))
	switch c.operator {
	case odata.Gt:
		return truthOf(order > 0)
	case odata.Ge:
		return truthOf(order >= 0)
	case odata.Lt:
		return truthOf(order < 0)
	default:
		return truthOf(order <= 0)
	}
}

// hasPart is contains, startswith or endswith.
type hasPart struct {
	propertyCondition
	function odata.Function
	text     string
	// absent is what it is where the property has no value: unknown in $filter, in which a function of null is null, and
	// false in $search, which knows two values.
	absent truth
}

func (c hasPart) filter(want bool) (*wire.Filter, bool) {
	switch {
	case c.text == "":
		// Every value has the empty part; LDAP has no assertion for it.
		return c.among(c.present(), want), true
	case !fits(c.property, c.text):
		return c.among(wire.Or(), want), true
	case c.property.Substrings && !c.loosely:
		return c.among(c.with(c.part(c.text)), want), true
	case c.property.Substrings && want:
		return c.with(anySpelling(c.text, c.edges(), c.part)), false
	case want || c.absent == isUnknown:
		return c.present(), false
	default:
		return everything, false
	}
}

// part returns the filter for a part of a value. Blanks alone are no part that directories agree on.
func (c hasPart) part(text string) *wire.Filter {
	filter := &wire.Filter{Kind: wire.FilterSubstrings, Attribute: c.property.Attribute}
	switch {
	case strings.TrimSpace(text) == "" && c.loosely:
		return wire.Present(c.property.Attribute)
	case c.function == odata.StartsWith:
		filter.Initial = text
	case c.function == odata.EndsWith:
		filter.Final = text
	default:
		filter.Any = []string{text}
	}
	return filter
}

// edges returns where the part may end within a letter.
func (c hasPart) edges() edges {
	return edges{start: c.function != odata.StartsWith, end: c.function != odata.EndsWith}
}

// among returns the filter itself, or what is left without it of the entries for which the condition is known.
func (c hasPart) among(filter *wire.Filter, want bool) *wire.Filter {
	switch {
	case want:
		return filter
	case c.absent == isUnknown:
		return wire.And(c.present(), wire.Not(filter))
	default:
		return wire.Not(filter)
	}
}

func (c hasPart) holds(entry *wire.Entry) truth {
	value, ok := c.value(entry)
	if !ok {
		return c.absent
	}
	var rule match.Substrings
	prepared := rule.Value(value)
	switch {
	case c.text == "":
		return isTrue
	case !fits(c.property, c.text):
		return isFalse
	case c.function == odata.StartsWith:
		return truthOf(strings.HasPrefix(prepared, rule.Initial(c.text)))
	case c.function == odata.EndsWith:
		return truthOf(strings.HasSuffix(prepared, rule.Final(c.text)))
	default:
		return truthOf(strings.Contains(prepared, rule.Any(c.text)))
	}
}

// isLinked is true for an entry in which one of the attributes has one of the wanted values, or any value at all if
// wanted is nil. The empty value, which OpenCloud's graph service writes into a class without members, is no link.
type isLinked struct {
	names  []string
	wanted []string
	fold   func(string) string
	index  map[string]bool
}

// maxLinkValues is how many values of a link are asked for in one filter. A filter of more would be longer to evaluate
// than the entries are to look at.
const maxLinkValues = 1000

func linkedTo(names, wanted []string, fold func(string) string) *isLinked {
	c := &isLinked{names: names, wanted: wanted, fold: fold, index: make(map[string]bool, len(wanted))}
	for _, value := range wanted {
		c.index[fold(value)] = true
	}
	return c
}

func (c *isLinked) filter(want bool) (*wire.Filter, bool) {
	var filters []*wire.Filter
	for _, name := range c.names {
		if c.wanted == nil || len(c.wanted) > maxLinkValues {
			filters = append(filters, wire.Present(name))
			continue
		}
		for _, value := range c.wanted {
			filters = append(filters, wire.Equal(name, value))
		}
	}
	switch {
	case c.wanted != nil && len(c.wanted) <= maxLinkValues:
		return unless(anyOf(filters), want), true
	case want:
		return anyOf(filters), false
	default:
		return everything, false
	}
}

func (c *isLinked) holds(entry *wire.Entry) truth {
	for _, name := range c.names {
		for _, value := range entry.Values(name) {
			if value != "" && (c.wanted == nil || c.index[c.fold(value)]) {
				return isTrue
			}
		}
	}
	return isFalse
}

func (c *isLinked) attributes() []string { return c.names }

// isNamed is true for the entries with one of the given DNs.
type isNamed struct {
	dns   []string
	index map[string]bool
}

func namedBy(dns []string) *isNamed {
	c := &isNamed{dns: dns, index: make(map[string]bool, len(dns))}
	for _, dn := range dns {
		c.index[foldDN(dn)] = true
	}
	return c
}

// filter asks for the attributes of the RDNs, which other entries may have as well.
func (c *isNamed) filter(want bool) (*wire.Filter, bool) {
	if !want || len(c.dns) > maxLinkValues {
		return everything, false
	}
	filters := make([]*wire.Filter, 0, len(c.dns))
	for _, dn := range c.dns {
		if filter := nameFilter(dn); filter != nil {
			filters = append(filters, filter)
		}
	}
	return anyOf(filters), false
}

func (c *isNamed) holds(entry *wire.Entry) truth { return truthOf(c.index[foldDN(entry.DN)]) }
func (c *isNamed) attributes() []string          { return nil }

// compare returns the condition of a comparison. The value null occurs with eq and ne alone.
func (d *Directory) compare(set *education.EntitySet, property *education.Property, operator odata.Operator, value any) condition {
	on := d.on(set, property)
	if operator == odata.Ne {
		return negation{d.compare(set, property, odata.Eq, value)}
	}
	if value == nil {
		return isNull{on}
	}
	text := encodeValue(value)[0]
	if operator == odata.Eq {
		return isEqual{on, text}
	}
	return isOrdered{on, operator, text}
}
