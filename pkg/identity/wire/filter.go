package wire

import (
	"fmt"
	"strings"
)

// FilterKind is the kind of a node of a search filter. Its values are the context tags of RFC 4511, section 4.5.1.7.
type FilterKind uint8

// The kinds of RFC 4511, section 4.5.1.7.
const (
	FilterAnd            FilterKind = 0
	FilterOr             FilterKind = 1
	FilterNot            FilterKind = 2
	FilterEqual          FilterKind = 3
	FilterSubstrings     FilterKind = 4
	FilterGreaterOrEqual FilterKind = 5
	FilterLessOrEqual    FilterKind = 6
	FilterPresent        FilterKind = 7
	FilterApprox         FilterKind = 8
	FilterExtensible     FilterKind = 9
)

// Filter is a node of a search filter. Which fields count depends on Kind.
type Filter struct {
	Kind FilterKind
	// Children are the operands of And, Or and Not (exactly one).
	Children []*Filter
	// Attribute is the attribute description of every other kind; empty in an extensible match means "any".
	Attribute string
	// Value is the assertion value of Equal, GreaterOrEqual, LessOrEqual, Approx and Extensible. It is raw, not
	// escaped: escaping belongs to the text form alone.
	Value string
	// Initial, Any and Final are the parts of a Substrings filter; an empty Initial or Final is absent.
	Initial string
	Any     []string
	Final   string
	// Rule is the matching rule of an extensible match, or empty.
	Rule string
	// DNAttributes says that an extensible match looks at the attributes of the entry's DN too.
	DNAttributes bool
}

// And matches the entries that every operand matches; without operands it matches all (RFC 4526).
func And(children ...*Filter) *Filter { return &Filter{Kind: FilterAnd, Children: children} }

// Or matches the entries that an operand matches; without operands it matches none (RFC 4526).
func Or(children ...*Filter) *Filter { return &Filter{Kind: FilterOr, Children: children} }

// Not matches the entries for which its operand is false; undefined stays undefined (RFC 4511, section 4.5.1.7).
func Not(child *Filter) *Filter { return &Filter{Kind: FilterNot, Children: []*Filter{child}} }

// Equal matches the entries that have the value, compared by the attribute's equality rule.
func Equal(attribute, value string) *Filter {
	return &Filter{Kind: FilterEqual, Attribute: attribute, Value: value}
}

// Present matches the entries that have the attribute.
func Present(attribute string) *Filter { return &Filter{Kind: FilterPresent, Attribute: attribute} }

// String returns the filter in the text form of RFC 4515, with every value escaped.
func (f *Filter) String() string {
	var b strings.Builder
	f.write(&b)
	return b.String()
}

func (f *Filter) write(b *strings.Builder) {
	b.WriteByte('(')
	switch f.Kind {
	case FilterAnd, FilterOr, FilterNot:
		b.WriteByte("&|!"[f.Kind])
		for _, child := range f.Children {
			child.write(b)
		}
	case FilterPresent:
		b.WriteString(f.Attribute)
		b.WriteString("=*")
	case FilterSubstrings:
		b.WriteString(f.Attribute)
		b.WriteByte('=')
		escapeValue(b, f.Initial)
		b.WriteByte('*')
		for _, part := range f.Any {
			escapeValue(b, part)
			b.WriteByte('*')
		}
		escapeValue(b, f.Final)
	case FilterExtensible:
		b.WriteString(f.Attribute)
		if f.DNAttributes {
			b.WriteString(":dn")
		}
		if f.Rule != "" {
			b.WriteByte(':')
			b.WriteString(f.Rule)
		}
		b.WriteString(":=")
		escapeValue(b, f.Value)
	case FilterEqual, FilterGreaterOrEqual, FilterLessOrEqual, FilterApprox:
		b.WriteString(f.Attribute)
		b.WriteString(map[FilterKind]string{
			FilterEqual: "=", FilterGreaterOrEqual: ">=", FilterLessOrEqual: "<=", FilterApprox: "~=",
		}[f.Kind])
		escapeValue(b, f.Value)
	default:
		panic(fmt.Sprintf("wire: filter of unknown kind %d", f.Kind))
	}
	b.WriteByte(')')
}

// escapeValue writes a value as RFC 4515, section 3 asks: the five special characters and every byte outside
// printable ASCII become a backslash and two hexadecimal digits.
func escapeValue(b *strings.Builder, value string) {
	const hex = "0123456789abcdef"
	for i := range len(value) {
		c := value[i]
		if c < 0x20 || c > 0x7e || strings.IndexByte(`()*\`, c) >= 0 {
			b.WriteByte('\\')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&0xf])
			continue
		}
		b.WriteByte(c)
	}
}
