package api

import (
	"net/http"
	"slices"
	"testing"
)

// TestElements holds where the elements of a list in a header field begin and end.
func TestElements(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		lines []string
		want  []string
	}{
		{"no field", nil, nil},
		{"one", []string{"a"}, []string{"a"}},
		{"several", []string{"a,b , c"}, []string{"a", "b", "c"}},
		{"several lines", []string{"a, b", "c"}, []string{"a", "b", "c"}},
		{"empty ones", []string{"", ", a,,\tb ,"}, []string{"a", "b"}},
		{"a comma in quotes", []string{`a="x, y", b`}, []string{`a="x, y"`, "b"}},
		{"a quotation mark in quotes", []string{`a="x\", y", b`}, []string{`a="x\", y"`, "b"}},
		{"a backslash in quotes", []string{`a="x\\", y="b"`}, []string{`a="x\\"`, `y="b"`}},
		{"a backslash outside of them", []string{`a\, b`}, []string{`a\`, "b"}},
		{"a quotation without an end", []string{`a="x, b`, "c"}, []string{`a="x, b`, "c"}},
		{"a backslash at the end", []string{`a="x\`, "c"}, []string{`a="x\`, "c"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{Header: http.Header{"Prefer": test.lines}}
			if got := slices.Collect(elements(r, "Prefer")); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestPreference holds what a request prefers, whatever stands in the quotes of other preferences.
func TestPreference(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, field, want string
		found             bool
	}{
		{"none", "respond-async", "", false},
		{"a token", "respond-async, Return=minimal", "minimal", true},
		{"in quotes", `return = "minimal"`, "minimal", true},
		{"escaped in quotes", `return="mini\mal"`, "minimal", true},
		{"without a value", "return", "", true},
		{"with parameters", "return=minimal; foo=bar", "minimal", true},
		{"a semicolon in quotes", `return="a;b";foo`, "a;b", true},
		{"the first one counts", "return=minimal, return=representation", "minimal", true},
		{"another's value", `foo="bar, return=minimal"`, "", false},
		{"another's value, and itself", `foo="bar, return=minimal", return=representation`, "representation", true},
		{"another's parameter", `foo; bar="x, return=minimal"`, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{Header: http.Header{"Prefer": {test.field}}}
			if got, found := preference(r, preferReturn); got != test.want || found != test.found {
				t.Errorf("got %q, %v, want %q, %v", got, found, test.want, test.found)
			}
		})
	}
}
