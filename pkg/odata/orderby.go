package odata

import (
	"cmp"
	"slices"
	"strings"
)

// MaxOrderBy is the largest number of keys of an $orderby.
const MaxOrderBy = 8

// Order is one key of an $orderby.
type Order struct {
	Property   string
	Descending bool
}

// parseOrderBy parses a list of properties, each followed by asc, desc or nothing (OData URL conventions, 5.1.4).
func parseOrderBy(text string, resource Resource) ([]Order, error) {
	items := strings.Split(text, ",")
	if len(items) > MaxOrderBy {
		return nil, Errorf(InvalidRequest, OptionOrderBy, "$orderby has more than %d keys", MaxOrderBy)
	}
	orders := make([]Order, 0, len(items))
	for _, item := range items {
		order, err := parseOrder(item, resource)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(orders, func(other Order) bool { return other.Property == order.Property }) {
			return nil, Errorf(InvalidRequest, order.Property, "$orderby names %s twice", order.Property)
		}
		orders = append(orders, order)
	}
	return orders, nil
}

func parseOrder(item string, resource Resource) (Order, error) {
	if strings.Contains(item, "(") {
		return Order{}, Errorf(NotSupported, OptionOrderBy, "functions are not supported in $orderby")
	}
	words := words(item)
	malformed := Errorf(InvalidRequest, OptionOrderBy, "$orderby is a list of properties, each followed by asc, desc or nothing")
	if len(words) == 0 || len(words) > 2 {
		return Order{}, malformed
	}
	field, err := property(words[0], OptionOrderBy, resource)
	if err != nil {
		return Order{}, err
	}
	if !field.Sortable {
		return Order{}, Errorf(NotSupported, field.Name, "sorting by %s is not supported", field.Name)
	}
	order := Order{Property: field.Name}
	if len(words) == 2 {
		order.Descending = strings.EqualFold(words[1], "desc")
		if !order.Descending && !strings.EqualFold(words[1], "asc") {
			return Order{}, malformed
		}
	}
	return order, nil
}

// words cuts text at the characters that separate words in an option.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(separators, r) })
}

// property finds a property that an option names.
func property(name, option string, resource Resource) (Field, error) {
	if field, ok := resource.field(name); ok {
		return field, nil
	}
	shown := printable(name)
	if _, navigation, ok := resource.navigation(name); ok {
		return Field{}, Errorf(NotSupported, navigation, "the navigation property %s is not supported in %s", navigation, option)
	}
	return Field{}, Errorf(InvalidRequest, cmp.Or(shown, option), "unknown property %q in %s", shown, option)
}
