package remote

import "github.com/opencloud-eu/education/pkg/identity/wire"

// The filters that match every entry and none. RFC 4526 has shorter ones, And and Or without operands, which 389-DS
// refuses as "Bad search filter".
var (
	everything = wire.Present("objectClass")
	nothing    = wire.Not(everything)
)

// spelledOut returns a filter that means the same and in which every And and Or has operands. Filters without such are
// returned as they are.
func spelledOut(filter *wire.Filter) *wire.Filter {
	switch {
	case len(filter.Children) > 0:
	case filter.Kind == wire.FilterAnd:
		return everything
	case filter.Kind == wire.FilterOr:
		return nothing
	default:
		return filter
	}
	children := make([]*wire.Filter, 0, len(filter.Children))
	changed := false
	for _, child := range filter.Children {
		spelled := spelledOut(child)
		changed = changed || spelled != child
		switch {
		case filter.Kind == wire.FilterAnd && spelled == nothing, filter.Kind == wire.FilterOr && spelled == everything:
			return spelled
		case filter.Kind == wire.FilterAnd && spelled == everything, filter.Kind == wire.FilterOr && spelled == nothing:
			changed = true // It changes nothing beside others.
		default:
			children = append(children, spelled)
		}
	}
	switch {
	case !changed:
		return filter
	case filter.Kind == wire.FilterNot && children[0] == everything:
		return nothing
	case filter.Kind == wire.FilterNot && children[0] == nothing:
		return everything
	case len(children) == 0 && filter.Kind == wire.FilterAnd:
		return everything
	case len(children) == 0:
		return nothing
	case len(children) == 1 && filter.Kind != wire.FilterNot:
		return children[0]
	}
	return &wire.Filter{Kind: filter.Kind, Children: children}
}
