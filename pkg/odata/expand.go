package odata

import (
	"cmp"
	"slices"
	"strings"
)

// MaxExpand is the largest number of navigation properties in an $expand. One level is expanded: an $expand within
// an $expand is NotSupported.
const MaxExpand = 8

// nestedOptions are the options that may stand within $expand (OData URL conventions, section 5.1.2), if the target
// supports them.
var nestedOptions = []string{
	OptionFilter, OptionSelect, OptionOrderBy, OptionTop, OptionSkip, OptionCount, OptionSearch,
}

// Expand asks for the targets of a navigation property within each entity. Query has the nested options; it is never
// nil.
type Expand struct {
	Navigation string
	Query      *Query
}

// parseExpand parses a list of navigation properties, each with options in parentheses that are separated by
// semicolons. godata 1.0.11 panics on some of them and loses the text of others, so it has no part in this.
func parseExpand(text string, resource Resource) ([]Expand, error) {
	items, ok := splitOutside(text, ',')
	if !ok {
		return nil, malformedExpand()
	}
	if len(items) > MaxExpand {
		return nil, Errorf(InvalidRequest, OptionExpand, "$expand has more than %d navigation properties", MaxExpand)
	}
	expands := make([]Expand, 0, len(items))
	for _, item := range items {
		expand, err := parseExpandItem(item, resource)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(expands, func(other Expand) bool { return other.Navigation == expand.Navigation }) {
			return nil, Errorf(InvalidRequest, expand.Navigation, "$expand names %s twice", expand.Navigation)
		}
		expands = append(expands, expand)
	}
	return expands, nil
}

func malformedExpand() error {
	return Errorf(InvalidRequest, OptionExpand,
		"$expand is a list of navigation properties, each with options in parentheses or without, such as schools($select=id;$top=5)")
}

func parseExpandItem(item string, resource Resource) (Expand, error) {
	name, nested, hasOptions := strings.Cut(strings.Trim(item, separators), "(")
	name = strings.TrimRight(name, separators)
	shown := printable(name)
	_, last, isPath := strings.Cut(strings.ToLower(name), "/")
	switch {
	case name == "":
		return Expand{}, malformedExpand()
	case name == "*", isPath && (last == "$ref" || last == OptionCount):
		return Expand{}, Errorf(NotSupported, shown, "%q is not supported in $expand", shown)
	}
	target, navigation, ok := resource.navigation(name)
	if !ok {
		return Expand{}, Errorf(InvalidRequest, cmp.Or(shown, OptionExpand), "unknown navigation property %q in $expand", shown)
	}
	if !hasOptions {
		return Expand{navigation, &Query{}}, nil
	}
	nested, ok = strings.CutSuffix(nested, ")")
	if !ok {
		return Expand{}, malformedExpand()
	}
	query, err := parseNested(nested, target)
	return Expand{navigation, query}, err
}

// parseNested parses the options in the parentheses behind a navigation property.
func parseNested(text string, target Resource) (*Query, error) {
	parts, ok := splitOutside(text, ';')
	if !ok {
		return nil, malformedExpand()
	}
	options := make([]option, 0, len(parts))
	for _, part := range parts {
		name, value, ok := strings.Cut(part, "=")
		name = strings.Trim(name, separators)
		if !ok || printable(name) == "" {
			return nil, malformedExpand()
		}
		options = append(options, option{name, strings.Trim(value, separators)})
	}
	target.Options = slices.DeleteFunc(slices.Clone(target.Options), func(option string) bool {
		return !slices.Contains(nestedOptions, option)
	})
	return parseOptions(options, target)
}

// splitOutside cuts text at each separator that stands outside parentheses and quotes: single ones of $filter, in which
// a quote is doubled, and double ones of $search, in which it is escaped by a backslash. It reports whether quotes and
// parentheses are paired.
func splitOutside(text string, separator byte) ([]string, bool) {
	var parts []string
	var quote byte
	depth, start := 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == '\\' && quote == '"' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return nil, false
			}
		case c == separator && depth == 0:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:]), quote == 0 && depth == 0
}
