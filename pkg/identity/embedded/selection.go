package embedded

import (
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// subschemaDN names the subschema entry, which is not kept in the file.
const subschemaDN = "cn=Subschema"

// selection says which attributes of an entry an answer carries (RFC 4511, section 4.5.1.8).
type selection struct {
	user        bool // all user attributes
	operational bool // all operational attributes
	named       map[*attribute]bool
	typesOnly   bool
	// links and computed are the attributes that are wanted and not part of a record.
	links    []*attribute
	computed []*attribute
}

// newSelection returns the selection for the attributes that a request names. Unknown names are passed over. A name
// stands for its subtypes too.
func newSelection(names []string, typesOnly bool) *selection {
	s := &selection{user: len(names) == 0, typesOnly: typesOnly}
	if len(names) > 0 {
		s.named = make(map[*attribute]bool, len(names))
	}
	for _, name := range names {
		switch name {
		case wire.AllUserAttributes:
			s.user = true
		case wire.AllOperationalAttributes:
			s.operational = true
		case wire.NoAttributes:
		default:
			if a := directory.attribute(strings.TrimSpace(name)); a != nil {
				for _, subtype := range a.subtypes {
					s.named[subtype] = true
				}
			}
		}
	}
	for _, a := range directory.links {
		if s.wants(a) {
			s.links = append(s.links, a)
		}
	}
	for _, a := range directory.computed {
		if s.wants(a) {
			s.computed = append(s.computed, a)
		}
	}
	return s
}

func (s *selection) wants(a *attribute) bool {
	if a.is(operational) && s.operational || !a.is(operational) && s.user {
		return true
	}
	return s.named[a]
}

// entry returns the part of an entry that is selected. It takes the record over.
func (s *selection) entry(tx *bolt.Tx, r *record) *wire.Entry {
	mayHoldLinks := r.mayHoldLinks() // before the object classes may be gone
	result := &wire.Entry{DN: r.dn, Attributes: slices.DeleteFunc(r.attributes, func(have wire.Attribute) bool {
		return !s.wants(directory.attribute(have.Type))
	})}
	if mayHoldLinks {
		for _, a := range s.links {
			if values := linkValues(tx, r.id, a, s.typesOnly); len(values) > 0 {
				result.Attributes = append(result.Attributes, wire.Attribute{Type: a.name, Values: values})
			}
		}
	}
	for _, a := range s.computed {
		if value, has := computedValue(tx, r, a); has {
			result.Attributes = append(result.Attributes, wire.Attribute{Type: a.name, Values: []string{value}})
		}
	}
	if s.typesOnly {
		for i := range result.Attributes {
			result.Attributes[i].Values = nil
		}
	}
	return result
}

// linkValues returns the DNs that an entry links to; one is enough if only their presence counts.
func linkValues(tx *bolt.Tx, holder uint64, a *attribute, presence bool) []string {
	if presence {
		if hasPrefix(tx.Bucket(bucketLinks), linkPrefix(holder, a)) {
			return []string{""}
		}
		return nil
	}
	targets := linkTargets(tx, holder, a)
	values := make([]string, 0, len(targets))
	for _, target := range targets {
		if dn, ok := nameOf(tx, target); ok {
			values = append(values, dn)
		}
	}
	return values
}

// computedValue returns the value of an attribute that is not kept but found out.
func computedValue(tx *bolt.Tx, r *record, a *attribute) (string, bool) {
	switch a.name {
	case attributeEntryDN:
		return r.dn, true
	case attributeSubschemaSubentry:
		return subschemaDN, true
	case attributeHasSubordinates:
		if hasChildren(tx, r.id) {
			return "TRUE", true
		}
		return "FALSE", true
	}
	return "", false
}
