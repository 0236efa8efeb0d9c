package oidc

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPaths(t *testing.T) {
	t.Parallel()
	const text = `{"a": {"b": "c", "b.c": ["d", ["e"], {"x": "f"}], "*": "star"}, "l": [{"id": 1}, {"id": 2}, 3, {}],
		"o": {"y": {"id": "Y"}, "x": {"id": "X"}}, "": "nameless", "\\": "slash", "n": null}`
	var claims map[string]any
	if err := json.Unmarshal([]byte(text), &claims); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		want    []any
		present bool
	}{
		"a.b":      {[]any{"c"}, true},
		`a.b\.c`:   {[]any{"d", "e", map[string]any{"x": "f"}}, true},
		`a.b\.c.x`: {[]any{"f"}, true},
		`a.\*`:     {[]any{"star"}, true},
		"a.b.c":    {nil, true},
		"a.z":      {nil, true},
		"l.id":     {[]any{1.0, 2.0}, true},
		"o.*.id":   {[]any{"X", "Y"}, true},
		"o.*":      {[]any{map[string]any{"id": "X"}, map[string]any{"id": "Y"}}, true},
		`\\`:       {[]any{"slash"}, true},
		"n":        {[]any{nil}, true},
		"z.a":      {nil, false},
		"A.b":      {nil, false},
	}
	for text, test := range tests {
		p, err := parsePath(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, present := p.find(claims)
		if diff := cmp.Diff(test.want, got); diff != "" || present != test.present {
			t.Errorf("%s: present %t, want %t (-want +got):\n%s", text, present, test.present, diff)
		}
	}
	for _, text := range []string{"", ".", "a.", ".a", "a..b", `a\`, `\a`, "*", "*.a", "a.*b", "a.b*", "a.**"} {
		if p, err := parsePath(text); err == nil {
			t.Errorf("%q is taken for %+v", text, p)
		}
	}
}

func TestTextOf(t *testing.T) {
	t.Parallel()
	for value, want := range map[any]bool{
		"": true, "x": true, json.Number("0"): true, json.Number("-12"): true, json.Number("123456789012345678901"): true,
		json.Number("-0"): false, json.Number("1.0"): false, json.Number("1e3"): false, true: false, nil: false,
	} {
		if text, ok := textOf(value); ok != want {
			t.Errorf("textOf(%v) = %q, %t", value, text, ok)
		}
	}
}
