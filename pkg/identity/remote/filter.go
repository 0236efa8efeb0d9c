package remote

import (
	"strings"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// The filters that match every entry and none. RFC 4526 has shorter ones, And and Or without operands, which 389-DS
// refuses as "Bad search filter".
var (
	everything = wire.Present("objectClass")
	nothing    = wire.Not(everything)
)

// plainly returns a filter that means the same, in a form that servers understand: every And and Or has operands, and a Not
// stands before single conditions alone, as De Morgan's laws, which hold for three values too, allow. 389-DS finds nothing
// for (|(!(|(a=1)(a=2)))(b=3)), whatever there is (2.3.1, with an index for a).
func plainly(filter *wire.Filter) *wire.Filter { return rewritten(filter, false) }

// rewritten is plainly for a filter, or for its negation.
func rewritten(filter *wire.Filter, negated bool) *wire.Filter {
	switch {
	case filter.Kind == wire.FilterNot:
		return rewritten(filter.Children[0], !negated)
	case filter.Kind == wire.FilterAnd || filter.Kind == wire.FilterOr:
		return combined(filter, negated)
	case filter.Kind == wire.FilterPresent && strings.EqualFold(filter.Attribute, everything.Attribute):
		filter = everything
	}
	switch {
	case !negated:
		return filter
	case filter == everything:
		return nothing
	default:
		return wire.Not(filter)
	}
}

// combined is rewritten for And and Or.
func combined(filter *wire.Filter, negated bool) *wire.Filter {
	// An operand that decides the whole, and one that means nothing beside others.
	kind, decides, idle := wire.FilterAnd, nothing, everything
	if (filter.Kind == wire.FilterOr) != negated {
		kind, decides, idle = wire.FilterOr, everything, nothing
	}
	operands := make([]*wire.Filter, 0, len(filter.Children))
	for _, child := range filter.Children {
		switch operand := rewritten(child, negated); operand {
		case decides:
			return decides
		case idle:
		default:
			operands = append(operands, operand)
		}
	}
	switch len(operands) {
	case 0:
		return idle
	case 1:
		return operands[0]
	default:
		return &wire.Filter{Kind: kind, Children: operands}
	}
}
