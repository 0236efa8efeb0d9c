package odata

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// everything is a resource that answers every option and has a property of each kind.
var everything = Resource{
	Options: []string{
		OptionFilter, OptionSelect, OptionOrderBy, OptionTop, OptionSkip, OptionCount, OptionSearch, OptionExpand, OptionFormat,
		OptionSkipToken, OptionID,
	},
	Field: fieldOf(userFields),
}

// school is the target of the navigation property schools. In $expand, it answers two options.
var school = Resource{Options: []string{OptionSelect, OptionTop, OptionSkipToken}, Field: fieldOf(schoolFields)}

var (
	comparisons = []Operator{Eq, Ne, Gt, Ge, Lt, Le}
	functions   = []Function{StartsWith, EndsWith, Contains}
)

// Some names are keywords of OData or begin with one.
var userFields = []Field{
	{Name: "id", Kind: KindGUID, Operators: []Operator{Eq, Ne}, Sortable: true},
	{Name: "displayName", Kind: KindString, Operators: comparisons, Functions: functions, Sortable: true, Searchable: true},
	{Name: "externalId", Kind: KindString, Operators: []Operator{Eq, Ne}, Functions: []Function{StartsWith}, Sortable: true, Searchable: true},
	{Name: "accountEnabled", Kind: KindBoolean, Operators: []Operator{Eq, Ne}},
	{Name: "terminationDate", Kind: KindDateTimeOffset, Operators: comparisons, Sortable: true},
	{Name: "identities", Kind: KindComplex},
	{Name: "note", Kind: KindString},
	{Name: "date", Kind: KindString, Operators: comparisons, Functions: functions},
	{Name: "nullable", Kind: KindString, Operators: comparisons},
	{Name: "trueName", Kind: KindString, Operators: comparisons},
	{Name: "falsePositive", Kind: KindBoolean, Operators: comparisons},
	{Name: "anything", Kind: KindString, Operators: comparisons},
	{Name: "in", Kind: KindString, Operators: comparisons},
	{Name: "geo_length", Kind: KindString, Operators: comparisons},
	{Name: "größe", Kind: KindString, Operators: comparisons, Functions: functions},
	{Name: "_hidden", Kind: KindString, Operators: comparisons},
}

var schoolFields = []Field{
	{Name: "id", Kind: KindGUID, Operators: []Operator{Eq}},
	{Name: "externalId", Kind: KindString, Operators: comparisons, Functions: functions},
	{Name: "closed", Kind: KindBoolean, Operators: []Operator{Eq, Ne}},
}

func fieldOf(fields []Field) func(string) (Field, bool) {
	return func(name string) (Field, bool) {
		for _, field := range fields {
			if strings.EqualFold(field.Name, name) {
				return field, true
			}
		}
		return Field{}, false
	}
}

// navigate finds the navigation properties, the same for each resource.
func navigate(name string) (Resource, string, bool) {
	switch strings.ToLower(name) {
	case "schools":
		return school, "schools", true
	case "members":
		return everything, "members", true
	}
	return Resource{}, "", false
}

func init() {
	// navigate refers to both, so that their declarations cannot refer to it.
	everything.Navigation, school.Navigation = navigate, navigate
}

// maxMessage is more than any message with its bounded quotations needs, in bytes.
const maxMessage = 700

// checkError checks the code and target of an error, and that nothing in it is long or unprintable.
func checkError(t *testing.T, err error, code Code, target string) {
	t.Helper()
	var got *Error
	if !errors.As(err, &got) {
		t.Fatalf("got error %v, want an *Error", err)
	}
	if got.Code != code || got.Target != target {
		t.Errorf("got %v with target %q, want %v with target %q (%v)", got.Code, got.Target, code, target, err)
	}
	checkBounded(t, got)
}

// checkBounded checks that an error repeats no more of its input than is good for anybody.
func checkBounded(t *testing.T, err *Error) {
	t.Helper()
	for _, text := range []string{err.Message, err.Target} {
		if len(text) > maxMessage || !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\n\r\x1b") {
			t.Errorf("an error says %.100q…, %d bytes", text, len(text))
		}
	}
}
