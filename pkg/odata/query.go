package odata

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// The system query options of OData 4.0 (URL conventions, section 5.1) and 4.01.
const (
	OptionFilter = "$filter"
	// OptionID carries the entity of a DELETE …/$ref. OData spells it $id, Graph's SDKs @id.
	OptionID      = "$id"
	optionGraphID = "@id"
)

// systemOptions are the options that OData defines. A resource that does not answer one of them refuses it by name.
var systemOptions = []string{
	OptionFilter, OptionID, "$apply", "$compute", "$count", "$deltatoken", "$expand", "$format", "$index",
	"$levels", "$orderby", "$schemaversion", "$search", "$select", "$skip", "$skiptoken", "$top",
}

// MaxOptionLength is the largest length of a query option's value in bytes. It has room for a comparison with the longest
// text that a property may hold, 512 characters of four bytes each.
const MaxOptionLength = 4 << 10

// Kind is the kind of a property's literals in a query option.
type Kind int

// The kinds of literals (OData ABNF, primitiveLiteral).
const (
	KindString Kind = iota
	KindBoolean
	KindDateTimeOffset
	KindGUID
	// KindComplex has no literals, so it cannot be compared.
	KindComplex
)

// Operator is an operator of $filter.
type Operator string

// Eq is equality (OData URL conventions, section 5.1.1.1.1).
const Eq Operator = "eq"

// Field is what a query may know of a property.
type Field struct {
	// Name is the property's name in its own spelling.
	Name string
	Kind Kind
	// Operators are the comparison operators that the property supports.
	Operators []Operator
}

// Resource says what a request's resource answers.
type Resource struct {
	// Options are the system query options that the resource supports.
	Options []string
	// Field finds a property by its name in any case. It may be nil when no option names properties.
	Field func(name string) (Field, bool)
}

// Query is a checked set of query options.
type Query struct {
	// Filter is nil when the request has none.
	Filter Filter
	// ID is the text of the $id option, or empty.
	ID string
}

// ParseQuery parses the query part of a URL. No option is ignored: an unknown, doubled, empty or malformed one is
// InvalidRequest, a known one that the resource does not answer is NotSupported, both with the option as target. An
// option without its dollar sign is refused rather than taken for a custom one, because a shell that expands "$filter"
// to nothing would otherwise turn a question about one user into a list of all.
func ParseQuery(raw string, resource Resource) (*Query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, Errorf(InvalidRequest, "", "the query part of the URL is malformed; percent-encode reserved characters")
	}
	query := &Query{}
	given := make(map[string]bool, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		option, err := resource.option(name)
		if err != nil {
			return nil, err
		}
		if given[option] || len(values[name]) > 1 {
			return nil, Errorf(InvalidRequest, option, "the query option %s is given more than once", option)
		}
		given[option] = true
		if err := query.set(option, values[name][0], resource); err != nil {
			return nil, err
		}
	}
	return query, nil
}

// option returns the canonical name of a query option that the resource supports. Graph compares option names without
// case.
func (resource Resource) option(name string) (string, error) {
	lower := strings.ToLower(name)
	if lower == optionGraphID {
		lower = OptionID
	}
	for _, supported := range resource.Options {
		if lower == supported {
			return supported, nil
		}
	}
	shown := printable(name)
	for _, known := range systemOptions {
		switch {
		case lower == known:
			return "", Errorf(NotSupported, known, "the query option %s is not supported here", known)
		case "$"+lower == known:
			return "", Errorf(InvalidRequest, shown, "unknown query option %q; the option is spelt %s", shown, known)
		}
	}
	if shown == "" {
		return "", Errorf(InvalidRequest, "",
			"a query option without a name; in a shell, write the URL in single quotes so that $filter is not expanded")
	}
	return "", Errorf(InvalidRequest, shown, "unknown query option %q", shown)
}

func (q *Query) set(option, value string, resource Resource) (err error) {
	switch {
	case len(value) > MaxOptionLength:
		return Errorf(InvalidRequest, option, "%s is longer than %d bytes", option, MaxOptionLength)
	case strings.TrimSpace(value) == "":
		return Errorf(InvalidRequest, option, "%s is empty; leave it out to ask for everything", option)
	case !validText(value):
		return Errorf(InvalidRequest, option, "%s must be UTF-8 without control characters", option)
	}
	switch option {
	case OptionFilter:
		q.Filter, err = parseFilter(value, resource.Field)
	case OptionID:
		q.ID = value
	}
	return err
}
