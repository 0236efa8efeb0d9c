package strictjson

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// rule is what the tests read.
type rule struct {
	Name string              `json:"name"`
	Of   map[string][]string `json:"of"`
	Sub  []rule              `json:"sub"`

	Count   int        `json:"count"`
	Address netip.Addr `json:"address"`
}

var format = Format{Names: []string{"name", "of", "sub", "count", "address", "elsewhere"}, Free: []string{"of"}, Depth: 5}

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
	}{
		{"all", `[{"name": "a", "of": {"Name": ["x"], "name": []}, "sub": [{"name": "b"}]}]`, ""},
		{"one name in two objects", `[{"name": "a"}, {"name": "b"}]`, ""},
		{"nothing", ``, "line 1, column 1: the text ends too soon"},
		{"half", `[{"name": "a"`, "line 1, column 14: the text ends too soon"},
		{"no end of a name", `[{"name`, "ends too soon"},
		{"no JSON", `[{name: 1}]`, "line 1, column 3: invalid character 'n'"},
		{"a comma too many", "[{\"name\": \"ä\",\n\t}]", "line 2, column 2: invalid character '}'"},
		{"no comma", "[{\"name\": \"ä\" \"of\": {}}]", "line 1, column 15: invalid character '\"'"},
		{"no object", "\n[\n  []]", "line 3, column 3: there must be an object, not an array"},
		{"no array", `{"name": "a"}`, "line 1, column 1: there must be an array, not an object"},
		{"no string", "[{\"name\": \"a\",\r\n  \"sub\": [{\"name\":\t12}]}]", "line 2, column 20: there must be a string, not a number"},
		{"no string in an array", `[{"of": {"x": ["ä", true]}}]`, "line 1, column 21: there must be a string, not true or false"},
		{"no whole number", `[{"count": 1.5}]`, "line 1, column 12: there must be a whole number, not 1.5"},
		{"an address that is no string", `[{"address": {}}]`, "line 1, column 14: there must be a string, not an object"},
		{"a byte order mark", "\uFEFF[]", ""},
		{"two byte order marks", "\uFEFF\uFEFF[]", "line 1, column 1: invalid character"},
		{"more behind it", `[][]`, "line 1, column 3: there is something behind the end"},
		{"an unknown name", `[{"title": "a"}]`, `line 1, column 3: "title" is not known`},
		{"an unknown name further down", "[{\"sub\":\n[{\"title\": \"a\"}]}]", `line 2, column 3: "title" is not known`},
		{"another case", `[{"name": "a", "Name": "b"}]`, `"Name" is not known`},
		{"a letter that folds to an ASCII one", "[{\"\u017fub\": []}]", "is not known"}, // ſ, which strings.EqualFold takes for s.
		{"a name in the wrong place", `[{"elsewhere": 1}]`, "elsewhere"},
		{"twice", `[{"name": "a", "name": "a"}]`, `"name" is there twice`},
		{"twice, once escaped", `[{"name": "a", "n\u0061me": "b"}]`, `line 1, column 16: "name" is there twice`},
		{"twice further down", `[{"sub": [{"name": "a", "name": "b"}]}]`, `"name" is there twice`},
		{"twice where names are free", `[{"of": {"x": ["a"], "x": ["b"]}}]`, `"x" is there twice`},
		{"a null", `[{"name": null}]`, "line 1, column 11: there is a null"},
		{"a null in an array", `[null]`, "null"},
		{"too deep", strings.Repeat("[", 1<<20), "line 1, column 6: there are more brackets"},
		{"no UTF-8", "[{\"name\": \"\xff\"}]", "UTF-8"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []rule
			err := format.Decode([]byte(test.text), &got)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v; want an error with %q", got, err, test.want)
			}
		})
	}
}

func TestDecodedValue(t *testing.T) {
	t.Parallel()
	var got []rule
	err := format.Decode([]byte(`[{"name": "a", "of": {"Name": ["x"]}}]`), &got)
	want := []rule{{Name: "a", Of: map[string][]string{"Name": {"x"}}}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}
