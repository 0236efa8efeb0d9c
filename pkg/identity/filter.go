package identity

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// everything matches every entry. It is not And without operands (RFC 4526), which not every server knows.
var everything = wire.Present("objectClass")

// keyFilter renders a key.
func (d *Directory) keyFilter(set *education.EntitySet, key education.Key) *wire.Filter {
	filter, _ := d.compare(set, key.Property, odata.Eq, key.Value).filter(true)
	return filter
}

// anyOf is Or without the operator around a single operand.
func anyOf(filters []*wire.Filter) *wire.Filter {
	if len(filters) == 1 {
		return filters[0]
	}
	return wire.Or(filters...)
}

// allFilters returns the filter of the entries that match all of the given filters. Nil asks for nothing.
func allFilters(filters ...*wire.Filter) *wire.Filter {
	filters = slices.DeleteFunc(filters, func(filter *wire.Filter) bool { return filter == nil })
	switch len(filters) {
	case 0:
		return nil
	case 1:
		return filters[0]
	}
	return wire.And(filters...)
}

// chunkSize is how many entries are asked for in one filter. OpenLDAP answers 500 in 0.02 s.
const chunkSize = 500

// chunks cuts values into pieces that fit one filter.
func chunks(values []string) iter.Seq[[]string] { return slices.Chunk(values, chunkSize) }

// linkFilters renders the entries that links refer to. A link by DN is asked for by the attributes of its RDN, because
// no filter of RFC 4511 finds an entry by its DN; acceptLinks sorts out what else has these attributes.
func linkFilters(nav *education.Navigation, links []string) []*wire.Filter {
	var filters []*wire.Filter
	for _, link := range links {
		if !nav.ByDN {
			filters = append(filters, wire.Equal(nav.Target.ID.Attribute, link))
		} else if filter := nameFilter(link); filter != nil {
			filters = append(filters, filter)
		}
	}
	return filters
}

// acceptLinks returns a test whether an entry is one that the links refer to.
func acceptLinks(nav *education.Navigation, links []string) func(*wire.Entry) bool {
	if !nav.ByDN {
		return func(*wire.Entry) bool { return true }
	}
	wanted := make(map[string]bool, len(links))
	for _, link := range links {
		wanted[foldDN(link)] = true
	}
	return func(entry *wire.Entry) bool { return wanted[foldDN(entry.DN)] }
}

// generalizedTime is the form in which OpenCloud writes times (RFC 4517, section 3.3.13). Values in the directory are
// whole seconds; a fraction appears in a filter alone, where it matches nothing.
const generalizedTime = "20060102150405.999999999Z"

// encodeValue returns the attribute values of a property's value.
func encodeValue(value any) []string {
	switch value := value.(type) {
	case nil:
		return nil
	case string:
		return []string{value}
	case bool:
		return []string{strings.ToUpper(fmt.Sprint(value))}
	case time.Time:
		return []string{value.UTC().Format(generalizedTime)}
	case []education.Identity:
		values := make([]string, len(value))
		for i, identity := range value {
			values[i] = identity.String()
		}
		return values
	default:
		panic(fmt.Sprintf("identity: value of type %T", value))
	}
}
