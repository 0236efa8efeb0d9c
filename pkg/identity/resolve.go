package identity

import (
	"context"
	"fmt"
	"strings"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// condition turns a checked $filter into conditions on attributes. A lambda over a navigation property takes one search
// for the entities that it is about; everything else takes none.
func (d *Directory) condition(ctx context.Context, set *education.EntitySet, filter odata.Filter) (condition, error) {
	switch node := filter.(type) {
	case nil:
		return constant(true), nil
	case *odata.And:
		operands, err := d.conditions(ctx, set, node.Operands)
		return allOf(operands), err
	case *odata.Or:
		operands, err := d.conditions(ctx, set, node.Operands)
		return oneOf(operands), err
	case *odata.Not:
		operand, err := d.condition(ctx, set, node.Operand)
		return negation{operand}, err
	case *odata.Compare:
		return d.compare(set, set.Property(node.Property), node.Operator, node.Value), nil
	case *odata.Match:
		property := set.Property(node.Property)
		return hasPart{d.on(set, property), node.Function, node.Value, isUnknown}, nil
	case *odata.Any:
		return d.any(ctx, education.NavigationOf(set, node.Navigation), node.Filter)
	case *odata.Count:
		return d.countCondition(ctx, education.NavigationOf(set, node.Navigation), node)
	default:
		panic(fmt.Sprintf("identity: filter node %T", node))
	}
}

func (d *Directory) conditions(ctx context.Context, set *education.EntitySet, filters []odata.Filter) ([]condition, error) {
	conditions := make([]condition, len(filters))
	for i, filter := range filters {
		var err error
		if conditions[i], err = d.condition(ctx, set, filter); err != nil {
			return nil, err
		}
	}
	return conditions, nil
}

// on returns what all conditions on a property share.
func (d *Directory) on(set *education.EntitySet, property *education.Property) propertyCondition {
	on := propertyCondition{property: property, loosely: d.loosely}
	if standIn := standInOf(set, property); standIn != nil && !d.rules.Compatible {
		on.standIn, on.plain = standIn.Attribute, d.isPlain()
	}
	return on
}

// countCondition reads nav/$count compared with a number as a question about any link at all. LDAP cannot be asked for
// numbers of links, so a comparison that tells one link from more is refused.
func (d *Directory) countCondition(ctx context.Context, nav *education.Navigation, node *odata.Count) (condition, error) {
	none, some := compareNumbers(0, node.Operator, node.Value), compareNumbers(1, node.Operator, node.Value)
	// Beyond one link, a comparison changes its result at the number or behind it.
	for _, more := range []int{node.Value, node.Value + 1} {
		if more > 1 && compareNumbers(more, node.Operator, node.Value) != some {
			name := nav.Name + "/" + odata.OptionCount
			return nil, odata.Errorf(odata.NotSupported, name, "%s is supported in $filter to tell none from any: compare with 0", name)
		}
	}
	if none == some {
		return constant(none), nil
	}
	linked, err := d.any(ctx, nav, nil)
	if none {
		return negation{linked}, err
	}
	return linked, err
}

func compareNumbers(left int, operator odata.Operator, right int) bool {
	switch operator {
	case odata.Eq:
		return left == right
	case odata.Ne:
		return left != right
	case odata.Gt:
		return left > right
	case odata.Ge:
		return left >= right
	case odata.Lt:
		return left < right
	default:
		return left <= right
	}
}

// any returns the condition that an entity has a link, by a navigation property, to an entity that the filter selects;
// a nil filter selects all.
func (d *Directory) any(ctx context.Context, nav *education.Navigation, filter odata.Filter) (condition, error) {
	if nav.OwnerHolds {
		return d.anyHeld(ctx, nav, filter)
	}
	return d.anyHolding(ctx, nav, filter)
}

// anyHeld is any for links that the entity itself holds: its attribute has the id or the DN of a selected target.
func (d *Directory) anyHeld(ctx context.Context, nav *education.Navigation, filter odata.Filter) (condition, error) {
	fold := strings.ToLower
	if nav.ByDN {
		fold = foldDN
	}
	// Links to what a context does not see are none to it, so it has to be looked at what they lead to.
	_, confined := access.Confined(ctx)
	if filter == nil && !confined {
		return linkedTo(nav.Attributes, nil, fold), nil
	}
	if id, ok := isID(nav.Target, filter); ok && !nav.ByDN && !confined {
		return linkedTo(nav.Attributes, []string{id}, fold), nil
	}
	var wanted []string
	err := d.selected(ctx, nav.Target, filter, nil, func(entry *wire.Entry) { wanted = append(wanted, linkValue(nav, entry)) })
	if len(wanted) == 0 {
		return constant(false), err
	}
	return linkedTo(nav.Attributes, wanted, fold), err
}

// anyHolding is any for links that the targets hold: the entity's id or DN is in an attribute of a selected target.
func (d *Directory) anyHolding(ctx context.Context, nav *education.Navigation, filter odata.Filter) (condition, error) {
	var wanted []string
	err := d.selected(ctx, nav.Target, filter, nav.Attributes, func(entry *wire.Entry) {
		for _, attribute := range nav.Attributes {
			wanted = append(wanted, entry.Values(attribute)...)
		}
	})
	wanted = unique(wanted)
	if len(wanted) == 0 {
		return constant(false), err
	}
	if nav.ByDN {
		return namedBy(wanted), err
	}
	return linkedTo([]string{nav.Owner.ID.Attribute}, wanted, strings.ToLower), err
}

// isID reports whether a filter is id eq '…', which needs no search to resolve.
func isID(set *education.EntitySet, filter odata.Filter) (string, bool) {
	compare, ok := filter.(*odata.Compare)
	if !ok || compare.Property != set.ID.Name || compare.Operator != odata.Eq {
		return "", false
	}
	id, ok := compare.Value.(string)
	return id, ok && education.IsID(id)
}

// selected visits the entries of a set that a filter selects and that have one of the attributes, if any are named.
func (d *Directory) selected(ctx context.Context, set *education.EntitySet, filter odata.Filter, having []string, visit func(*wire.Entry)) error {
	wanted, err := d.condition(ctx, set, filter)
	if err != nil {
		return err
	}
	asked, exact := wanted.filter(true)
	if len(having) > 0 {
		present := make([]*wire.Filter, len(having))
		for i, attribute := range having {
			present[i] = wire.Present(attribute)
		}
		asked = wire.And(asked, anyOf(present))
	}
	request := d.searchRequest(ctx, set, asked, nil)
	request.Attributes = append(append([]string{set.ID.Attribute}, wanted.attributes()...), having...)
	return searchFailed(set, d.ops.Search(ctx, request, func(entry *wire.Entry) error {
		if exact || wanted.holds(entry) == isTrue {
			visit(entry)
		}
		return nil
	}))
}

// nameFilter renders the attributes of a DN's RDN, or returns nil for the empty DN, which OpenCloud's graph service
// writes into a class without members.
func nameFilter(dn string) *wire.Filter {
	parsed, ok := parseDN(dn)
	if !ok || len(parsed.RDNs) == 0 {
		return nil
	}
	parts := make([]*wire.Filter, 0, 1)
	for _, part := range parsed.RDNs[0].Values {
		parts = append(parts, wire.Equal(part.Attribute, part.Value))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return wire.And(parts...)
}

// searchCondition turns a checked $search into conditions. A term is looked for in one property or in all searchable ones,
// anywhere in displayName and description and at the start of everything else, as Graph does.
func (d *Directory) searchCondition(set *education.EntitySet, search odata.Search) condition {
	switch node := search.(type) {
	case *odata.SearchTerm:
		var properties oneOf
		for _, property := range set.Properties {
			if property.Searchable && (node.Property == "" || node.Property == property.Name) {
				function := odata.StartsWith
				if property.Prose {
					function = odata.Contains
				}
				properties = append(properties, hasPart{d.on(set, property), function, node.Text, isFalse})
			}
		}
		return properties
	case *odata.SearchAnd:
		return allOf(d.searchConditions(set, node.Operands))
	case *odata.SearchOr:
		return oneOf(d.searchConditions(set, node.Operands))
	case *odata.SearchNot:
		return negation{d.searchCondition(set, node.Operand)}
	default:
		panic(fmt.Sprintf("identity: search node %T", node))
	}
}

func (d *Directory) searchConditions(set *education.EntitySet, searches []odata.Search) []condition {
	conditions := make([]condition, len(searches))
	for i, search := range searches {
		conditions[i] = d.searchCondition(set, search)
	}
	return conditions
}
