package strictjson

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rule is what the tests read.
type rule struct {
	Name string              `json:"name"`
	Of   map[string][]string `json:"of"`
	Sub  []rule              `json:"sub"`
}

var format = Format{Names: []string{"name", "of", "sub", "elsewhere"}, Free: []string{"of"}, Depth: 5}

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
	}{
		{"all", `[{"name": "a", "of": {"Name": ["x"], "name": []}, "sub": [{"name": "b"}]}]`, ""},
		{"one name in two objects", `[{"name": "a"}, {"name": "b"}]`, ""},
		{"nothing", ``, "unexpected EOF"},
		{"half", `[{"name": "a"`, "unexpected EOF"},
		{"no end of a name", `[{"name`, "unexpected EOF"},
		{"no JSON", `[{name: 1}]`, "invalid character"},
		{"another type", `{"name": "a"}`, "cannot unmarshal"},
		{"more behind it", `[][]`, "behind the end"},
		{"an unknown name", `[{"title": "a"}]`, `"title" is not known`},
		{"an unknown name further down", `[{"sub": [{"title": "a"}]}]`, `"title" is not known`},
		{"another case", `[{"name": "a", "Name": "b"}]`, `"Name" is not known`},
		{"a letter that folds to an ASCII one", "[{\"\u017fub\": []}]", "is not known"}, // ſ, which strings.EqualFold takes for s.
		{"a name in the wrong place", `[{"elsewhere": 1}]`, "elsewhere"},
		{"twice", `[{"name": "a", "name": "a"}]`, `"name" is there twice`},
		{"twice, once escaped", `[{"name": "a", "n\u0061me": "b"}]`, `"name" is there twice`},
		{"twice further down", `[{"sub": [{"name": "a", "name": "b"}]}]`, `"name" is there twice`},
		{"twice where names are free", `[{"of": {"x": ["a"], "x": ["b"]}}]`, `"x" is there twice`},
		{"a null", `[{"name": null}]`, "null"},
		{"a null in an array", `[null]`, "null"},
		{"too deep", strings.Repeat("[", 1<<20), "brackets"},
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
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}
