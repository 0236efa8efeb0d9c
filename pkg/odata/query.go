package odata

import (
	"maps"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The system query options of OData 4.0 (URL conventions, section 5.1) that a resource may support.
const (
	OptionFilter    = "$filter"
	OptionSelect    = "$select"
	OptionOrderBy   = "$orderby"
	OptionTop       = "$top"
	OptionSkip      = "$skip"
	OptionCount     = "$count"
	OptionSearch    = "$search"
	OptionExpand    = "$expand"
	OptionFormat    = "$format"
	OptionSkipToken = "$skiptoken"
	// OptionID carries the entity of a DELETE …/$ref. OData spells it $id, Graph's SDKs @id.
	OptionID      = "$id"
	optionGraphID = "@id"
)

// systemOptions are the options that OData defines. A resource that does not answer one of them refuses it by name.
var systemOptions = []string{
	OptionFilter, OptionID, "$apply", "$compute", OptionCount, "$deltatoken", OptionExpand, OptionFormat, "$index",
	"$levels", OptionOrderBy, "$schemaversion", OptionSearch, OptionSelect, OptionSkip, OptionSkipToken, OptionTop,
}

// The largest lengths of an option's value in bytes, after percent-decoding.
const (
	// MaxOptionLength is for every option without a limit of its own.
	MaxOptionLength = 1 << 10
	MaxFilterLength = 4 << 10
	// MaxCursorLength has room for a cursor that holds several properties of an entity.
	MaxCursorLength = 8 << 10
)

// MaxNumber is the largest value of $top and $skip, and the largest number of entities that a $filter compares with.
const MaxNumber = 1<<31 - 1

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

// Field is what a query may know of a property.
type Field struct {
	// Name is the property's name in its own spelling.
	Name string
	Kind Kind
	// Operators are the comparison operators that the property supports. Eq stands for in as well.
	Operators []Operator
	// Functions are the functions of $filter that the property supports.
	Functions []Function
	// Sortable properties may stand in $orderby, Searchable ones in $search.
	Sortable   bool
	Searchable bool
}

// Resource says what a request's resource answers.
type Resource struct {
	// Options are the system query options that the resource supports. Those of a navigation property's target are the
	// ones that may be nested in $expand.
	Options []string
	// Field finds a property by its name in any case. It may be nil when no option names properties.
	Field func(name string) (Field, bool)
	// Navigation finds a navigation property by its name in any case and returns the resource of its target and its
	// name in its own spelling. It may be nil when there are none.
	Navigation func(name string) (target Resource, canonicalName string, ok bool)
}

func (resource Resource) field(name string) (Field, bool) {
	if resource.Field == nil {
		return Field{}, false
	}
	return resource.Field(name)
}

func (resource Resource) navigation(name string) (Resource, string, bool) {
	if resource.Navigation == nil {
		return Resource{}, "", false
	}
	return resource.Navigation(name)
}

// Query is a checked set of query options. Every name in it exists, in its own spelling.
type Query struct {
	// Filter is nil when the request has none.
	Filter Filter
	// ID is the text of the $id option, or empty.
	ID string
	// Select names the wanted properties, each once; nil means all.
	Select  []string
	OrderBy []Order
	// Top is nil when the request has no limit. Zero is a limit like any other.
	Top  *int
	Skip int
	// Count asks for the number of all entities beside the page.
	Count bool
	// Search is nil when the request has none.
	Search Search
	Expand []Expand
	// Cursor is the text of $skiptoken, not checked in any way, or empty.
	Cursor string
	// Metadata is what $format says about control information, or empty if it says nothing.
	Metadata Metadata
}

// Metadata says how much control information a response holds (OData JSON format 4.0, section 3.1).
type Metadata string

// The amounts of control information.
const (
	// MetadataNone is what no client can do without: the number of entities and the link to the next page.
	MetadataNone Metadata = "none"
	// MetadataMinimal is what a client cannot work out from the model.
	MetadataMinimal Metadata = "minimal"
	// MetadataFull is all there is.
	MetadataFull Metadata = "full"
)

// ParseMetadata reads the value of the parameter odata.metadata.
func ParseMetadata(text string) (Metadata, bool) {
	switch level := Metadata(strings.ToLower(text)); level {
	case MetadataNone, MetadataMinimal, MetadataFull:
		return level, true
	default:
		return "", false
	}
}

// ParseQuery parses the query part of a URL. No option is ignored: an unknown, doubled, empty or malformed one is
// InvalidRequest, a known one that the resource does not answer is NotSupported, both with the option, or the name in
// it that is at fault, as target. An option without its dollar sign is refused rather than taken for a custom one,
// because a shell that expands "$filter" to nothing would otherwise turn a question about one user into a list of all.
func ParseQuery(raw string, resource Resource) (*Query, error) {
	// OData separates nested options by semicolons, which clients do not encode and url.ParseQuery refuses.
	values, err := url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B"))
	if err != nil {
		return nil, Errorf(InvalidRequest, "", "the query part of the URL is malformed; percent-encode reserved characters")
	}
	var options []option
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			options = append(options, option{name, value})
		}
	}
	return parseOptions(options, resource)
}

// option is a query option as the client spells it.
type option struct{ name, value string }

func parseOptions(options []option, resource Resource) (*Query, error) {
	query := &Query{}
	given := make(map[string]bool)
	for _, option := range options {
		name, err := resource.option(option.name)
		if err != nil {
			return nil, err
		}
		if given[name] {
			return nil, Errorf(InvalidRequest, name, "the query option %s is given more than once", name)
		}
		given[name] = true
		if err := checkValue(name, option.value); err != nil {
			return nil, err
		}
		if err := query.set(name, option.value, resource); err != nil {
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

// checkValue checks what holds for the value of any option.
func checkValue(name, value string) error {
	limit := MaxOptionLength
	switch name {
	case OptionFilter:
		limit = MaxFilterLength
	case OptionID:
		limit = MaxReferenceLength
	case OptionSkipToken:
		limit = MaxCursorLength
	}
	switch {
	case len(value) > limit:
		return Errorf(InvalidRequest, name, "%s is longer than %d bytes", name, limit)
	case strings.TrimSpace(value) == "":
		return Errorf(InvalidRequest, name, "%s is empty; leave it out to ask for everything", name)
	case !validText(value):
		return Errorf(InvalidRequest, name, "%s must be UTF-8 without control characters", name)
	}
	return nil
}

// set parses the value of one option.
func (q *Query) set(name, value string, resource Resource) (err error) {
	switch name {
	case OptionFilter:
		q.Filter, err = parseFilter(value, resource)
	case OptionSelect:
		q.Select, err = parseSelect(value, resource)
	case OptionOrderBy:
		q.OrderBy, err = parseOrderBy(value, resource)
	case OptionTop:
		var top int
		top, err = parseNumber(name, value)
		q.Top = &top
	case OptionSkip:
		q.Skip, err = parseNumber(name, value)
	case OptionCount:
		q.Count, err = parseCount(value)
	case OptionSearch:
		q.Search, err = parseSearch(value, resource)
	case OptionExpand:
		q.Expand, err = parseExpand(value, resource)
	case OptionFormat:
		q.Metadata, err = parseFormat(value)
	case OptionSkipToken:
		q.Cursor = value
	case OptionID:
		q.ID = value
	default:
		err = Errorf(NotSupported, name, "the query option %s is not supported here", name)
	}
	return err
}

// parseNumber parses the digits of $top and $skip.
func parseNumber(name, value string) (int, error) {
	number, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0, Errorf(InvalidRequest, name, "%s must be a whole number from 0 to %d", name, MaxNumber)
	}
	return int(number), nil
}

func parseCount(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, Errorf(InvalidRequest, OptionCount, "$count must be true or false")
}

// parseFormat accepts the names of the one format there is (OData protocol, section 11.2.11), with the amount of control
// information and the one character set that JSON has (RFC 8259, section 8.1).
func parseFormat(value string) (Metadata, error) {
	name, parameters, err := mime.ParseMediaType(value)
	if err == nil && (name == "json" || name == "application/json") {
		if level, ok := metadataOf(parameters); ok {
			return level, nil
		}
	}
	return "", Errorf(InvalidRequest, OptionFormat, "$format must be json, perhaps with odata.metadata=none, minimal or full, and with charset=utf-8: application/json;odata.metadata=full")
}

// metadataOf reads the parameters of JSON. Without odata.metadata the amount is empty. A parameter that means something
// else is not ok.
func metadataOf(parameters map[string]string) (level Metadata, ok bool) {
	for name, text := range parameters {
		switch name {
		case "charset":
			ok = strings.EqualFold(text, "utf-8")
		case "odata.metadata":
			level, ok = ParseMetadata(text)
		default:
			ok = false
		}
		if !ok {
			return "", false
		}
	}
	return level, true
}
