package odata

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSelect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []string
	}{
		{"one", "id", []string{"id"}},
		{"several", "id,displayName", []string{"id", "displayName"}},
		{"spaces and another case", " ID ,\tdisplayname\n", []string{"id", "displayName"}},
		{"twice", "id,displayName,Id", []string{"id", "displayName"}},
		{"keywords", "date,in,größe,_hidden", []string{"date", "in", "größe", "_hidden"}},
		{"complex", "identities", []string{"identities"}},
		{"all", "*", nil},
		{"all and one", "id, *", nil},
		{"as many as may be", strings.Repeat("id,", MaxSelect-1) + "note", []string{"id", "note"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseSelect(test.text, everything)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestSelectRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		code       Code
		target     string
	}{
		{"unknown", "id,nonsense", InvalidRequest, "nonsense"},
		{"unknown beside all", "*,nonsense", InvalidRequest, "nonsense"},
		{"path", "student/externalId", InvalidRequest, "student/externalId"},
		{"two words", "id displayName", InvalidRequest, "id displayName"},
		{"function", "id(x)", InvalidRequest, "id(x)"},
		{"quotes", "'id'", InvalidRequest, "'id'"},
		{"navigation property", "schools", NotSupported, "schools"},
		{"empty name", "id,,note", InvalidRequest, OptionSelect},
		{"comma at the end", "id,", InvalidRequest, OptionSelect},
		{"comma alone", ",", InvalidRequest, OptionSelect},
		{"unprintable", "\u200b", InvalidRequest, OptionSelect},
		{"too many", strings.Repeat("id,", MaxSelect) + "note", InvalidRequest, OptionSelect},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseSelect(test.text, everything)
			checkError(t, err, test.code, test.target)
		})
	}
}

func FuzzSelect(f *testing.F) {
	for _, seed := range []string{"id", "id,displayName", "*", "id,*", ",", "schools", "student/externalId", "_x0020_", "größe , ID", "id\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > MaxOptionLength {
			return // ParseQuery refuses it.
		}
		checkTime(t, "parse", maxParse, func() { _, _ = parseSelect(text, everything) })
		names, err := parseSelect(text, everything)
		if err != nil {
			checkFault(t, err)
			return
		}
		if names == nil {
			if !strings.Contains(text, "*") {
				t.Fatalf("%q became everything", text)
			}
			return
		}
		again, err := parseSelect(strings.Join(names, ","), everything)
		if err != nil || !cmp.Equal(again, names) {
			t.Fatalf("%q became %v, which became %v (%v)", text, names, again, err)
		}
		for i, name := range names {
			if field, _ := everything.Field(name); field.Name != name || slices.Contains(names[:i], name) {
				t.Fatalf("%q became %v", text, names)
			}
		}
	})
}
