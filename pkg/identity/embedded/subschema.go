package embedded

import (
	"fmt"
	"strings"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Subschema returns the subschema entry with the descriptions of RFC 4512, section 4.1. The entry is generated from
// the schema and not part of any naming context.
func (s *Store) Subschema() *wire.Entry {
	entry := &wire.Entry{DN: subschemaDN, Attributes: []wire.Attribute{
		{Type: attributeObjectClass, Values: []string{"top", "subentry", "subschema"}},
		{Type: "cn", Values: []string{"Subschema"}},
	}}
	add := func(name string, values []string) {
		entry.Attributes = append(entry.Attributes, wire.Attribute{Type: name, Values: values})
	}
	add("ldapSyntaxes", describe(directory.syntaxRows, (*syntax).description4512))
	add("matchingRules", describe(directory.ruleRows, (*rule).description4512))
	add("attributeTypes", describe(directory.all, (*attribute).description4512))
	add("objectClasses", describe(directory.classList, (*class).description4512))
	return entry
}

func describe[T any](rows []T, description func(T) string) []string {
	descriptions := make([]string, len(rows))
	for i, row := range rows {
		descriptions[i] = description(row)
	}
	return descriptions
}

// description4512 returns the description of RFC 4512, section 4.1.5.
func (s *syntax) description4512() string {
	return fmt.Sprintf("( %s DESC '%s' )", s.oid, s.description)
}

// description4512 returns the description of RFC 4512, section 4.1.3.
func (r *rule) description4512() string {
	return fmt.Sprintf("( %s NAME '%s' SYNTAX %s )", r.oid, r.name, r.syntax)
}

// description4512 returns the description of RFC 4512, section 4.1.2.
func (a *attribute) description4512() string {
	var b strings.Builder
	fmt.Fprintf(&b, "( %s NAME %s", a.oid, quotedNames(strings.Fields(a.names)))
	for _, part := range []struct{ keyword, value string }{
		{"SUP", a.superior},
		{"EQUALITY", a.attributeRow.equality},
		{"ORDERING", a.attributeRow.ordering},
		{"SUBSTR", a.attributeRow.substrings},
		{"SYNTAX", a.attributeRow.syntax},
	} {
		if part.value != "" {
			fmt.Fprintf(&b, " %s %s", part.keyword, part.value)
		}
	}
	if a.is(single) {
		b.WriteString(" SINGLE-VALUE")
	}
	if a.is(operational) {
		b.WriteString(" NO-USER-MODIFICATION USAGE directoryOperation")
	}
	b.WriteString(" )")
	return b.String()
}

// description4512 returns the description of RFC 4512, section 4.1.1.
func (c *class) description4512() string {
	var b strings.Builder
	fmt.Fprintf(&b, "( %s NAME '%s'", c.oid, c.name)
	if c.superior != nil {
		fmt.Fprintf(&b, " SUP %s", c.superior.name)
	}
	b.WriteString([]string{abstract: " ABSTRACT", structural: " STRUCTURAL", auxiliary: " AUXILIARY"}[c.kind])
	for _, part := range []struct {
		keyword    string
		attributes []*attribute
	}{{"MUST", c.must}, {"MAY", c.may}} {
		if len(part.attributes) > 0 {
			names := describe(part.attributes, func(a *attribute) string { return a.name })
			fmt.Fprintf(&b, " %s ( %s )", part.keyword, strings.Join(names, " $ "))
		}
	}
	b.WriteString(" )")
	return b.String()
}

func quotedNames(names []string) string {
	if len(names) == 1 {
		return "'" + names[0] + "'"
	}
	return "( '" + strings.Join(names, "' '") + "' )"
}
