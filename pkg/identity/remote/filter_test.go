package remote

import (
	"testing"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

func TestPlainFilters(t *testing.T) {
	t.Parallel()
	x, y := wire.Equal("x", "1"), wire.Equal("y", "2")
	tests := []struct {
		filter *wire.Filter
		want   string
	}{
		{x, "(x=1)"},
		{wire.And(x, y), "(&(x=1)(y=2))"},
		{wire.And(), "(objectClass=*)"},
		{wire.Or(), "(!(objectClass=*))"},
		{wire.Not(wire.And()), "(!(objectClass=*))"},
		{wire.Not(wire.Or()), "(objectClass=*)"},
		{wire.Not(x), "(!(x=1))"},
		{wire.And(x, wire.And(), y), "(&(x=1)(y=2))"},
		{wire.And(x, wire.And()), "(x=1)"},
		{wire.And(wire.And(), wire.And()), "(objectClass=*)"},
		{wire.And(x, wire.Or()), "(!(objectClass=*))"},
		{wire.Or(x, wire.Or()), "(x=1)"},
		{wire.Or(wire.Or(), wire.Or()), "(!(objectClass=*))"},
		{wire.Or(x, wire.And()), "(objectClass=*)"},
		{wire.And(x, wire.Not(wire.Or(y, wire.Not(wire.Or())))), "(!(objectClass=*))"},
		{wire.Or(wire.Not(wire.Or(x, y)), x), "(|(&(!(x=1))(!(y=2)))(x=1))"},
		{wire.Not(wire.And(x, wire.Not(wire.Or(x, y)))), "(|(!(x=1))(|(x=1)(y=2)))"},
		{wire.Not(wire.Not(x)), "(x=1)"},
		{wire.Not(wire.Present("OBJECTCLASS")), "(!(objectClass=*))"},
		{wire.And(x, wire.Not(wire.And(y, wire.Not(wire.Or())))), "(&(x=1)(!(y=2)))"},
	}
	for _, test := range tests {
		before := test.filter.String()
		if got := plainly(test.filter).String(); got != test.want {
			t.Errorf("%s: got %s, want %s", before, got, test.want)
		}
		if test.filter.String() != before {
			t.Errorf("%s was changed", before)
		}
	}
}
