package odata

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Filter is a checked $filter: every property in it exists and supports its operator or function, every value has the
// property's kind. A consumer may therefore panic on a node it does not know. It is one of *And, *Or, *Not, *Compare,
// *Match, *Any and *Count.
type Filter interface {
	// String returns the filter as the text of a $filter option, the same for filters that are equal. For a filter that
	// was parsed, parsing the text gives an equal one; the text of a list with in is longer than the list, though, and may
	// exceed MaxFilterLength.
	String() string
	filter()
}

// And holds for what all of its operands hold for. It has at least two, none of which is an And.
type And struct{ Operands []Filter }

// Or holds for what any of its operands holds for. It has at least two, none of which is an Or. A list of the operator
// in is an Or of comparisons with eq.
type Or struct{ Operands []Filter }

// Not negates its operand. OData's logic has three values: the negation of null is null, which selects nothing (URL
// conventions, section 5.1.1.1.10).
type Not struct{ Operand Filter }

// Compare compares a property with a literal. Value is a string (KindString, KindGUID), a bool, a time.Time in UTC, or
// nil for the literal null, which equals the absent value and occurs with Eq and Ne alone. A Boolean property that
// stands alone is compared with true.
type Compare struct {
	Property string
	Operator Operator
	Value    any
}

// Match applies a function to a property.
type Match struct {
	Property string
	Function Function
	Value    string
}

// Any holds for an entity if Filter holds for any target of a navigation property. Filter is one over the target's
// properties, or nil if it is enough that there is a target.
type Any struct {
	Navigation string
	Filter     Filter
}

// Count compares the number of targets of a navigation property with Value, which is not negative.
type Count struct {
	Navigation string
	Operator   Operator
	Value      int
}

func (*And) filter()     {}
func (*Or) filter()      {}
func (*Not) filter()     {}
func (*Compare) filter() {}
func (*Match) filter()   {}
func (*Any) filter()     {}
func (*Count) filter()   {}

func (f *And) String() string     { return filterText(f) }
func (f *Or) String() string      { return filterText(f) }
func (f *Not) String() string     { return filterText(f) }
func (f *Compare) String() string { return filterText(f) }
func (f *Match) String() string   { return filterText(f) }
func (f *Any) String() string     { return filterText(f) }
func (f *Count) String() string   { return filterText(f) }

// Operator is a comparison operator of $filter.
type Operator string

// The comparison operators (OData URL conventions, section 5.1.1.1).
const (
	Eq Operator = "eq"
	Ne Operator = "ne"
	Gt Operator = "gt"
	Ge Operator = "ge"
	Lt Operator = "lt"
	Le Operator = "le"
)

// mirrored returns the operator that says the same with its operands exchanged.
func (o Operator) mirrored() Operator {
	switch o {
	case Gt:
		return Lt
	case Ge:
		return Le
	case Lt:
		return Gt
	case Le:
		return Ge
	default:
		return o
	}
}

// Function is a function of $filter that takes a property and a string.
type Function string

// The functions (OData URL conventions, section 5.1.1.4).
const (
	StartsWith Function = "startswith"
	EndsWith   Function = "endswith"
	Contains   Function = "contains"
)

// filterText renders a filter.
func filterText(f Filter) string {
	w := filterWriter{}
	w.write(f)
	return w.text.String()
}

// filterWriter renders a filter whose properties belong to the target of the innermost of several lambda operators.
type filterWriter struct {
	text    strings.Builder
	lambdas int
}

func (w *filterWriter) write(f Filter) {
	switch f := f.(type) {
	case *And:
		w.writeAll(f.Operands, " and ")
	case *Or:
		w.writeAll(f.Operands, " or ")
	case *Not:
		w.text.WriteString("not (")
		w.write(f.Operand)
		w.text.WriteByte(')')
	case *Compare:
		fmt.Fprintf(&w.text, "%s %s %s", w.path(f.Property), f.Operator, literalText(f.Value))
	case *Match:
		fmt.Fprintf(&w.text, "%s(%s,%s)", f.Function, w.path(f.Property), literalText(f.Value))
	case *Count:
		fmt.Fprintf(&w.text, "%s/$count %s %d", w.path(f.Navigation), f.Operator, f.Value)
	case *Any:
		w.writeAny(f)
	default:
		panic(fmt.Sprintf("odata: filter node %T", f))
	}
}

func (w *filterWriter) writeAll(operands []Filter, operator string) {
	for i, operand := range operands {
		if i > 0 {
			w.text.WriteString(operator)
		}
		switch operand.(type) {
		case *And, *Or:
			w.text.WriteByte('(')
			w.write(operand)
			w.text.WriteByte(')')
		default:
			w.write(operand)
		}
	}
}

func (w *filterWriter) writeAny(f *Any) {
	w.text.WriteString(w.path(f.Navigation) + "/any(")
	if f.Filter != nil {
		w.lambdas++
		w.text.WriteString(w.variable() + ":")
		w.write(f.Filter)
		w.lambdas--
	}
	w.text.WriteByte(')')
}

// variable names the variable of the innermost lambda operator.
func (w *filterWriter) variable() string { return "x" + strconv.Itoa(w.lambdas) }

func (w *filterWriter) path(name string) string {
	if w.lambdas == 0 {
		return name
	}
	return w.variable() + "/" + name
}

// literalText renders a value of Compare and Match as a literal (OData ABNF, primitiveLiteral).
func literalText(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(value)
	case time.Time:
		return value.UTC().Format(time.RFC3339Nano)
	case string:
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	default:
		panic(fmt.Sprintf("odata: value of type %T", value))
	}
}
