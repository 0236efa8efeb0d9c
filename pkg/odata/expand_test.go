package odata

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	one := 1
	tests := []struct {
		name, text string
		want       []Expand
	}{
		{"one", "schools", []Expand{{"schools", &Query{}}}},
		{"several", " Schools ,\tMEMBERS ", []Expand{{"schools", &Query{}}, {"members", &Query{}}}},
		{"nested select", "schools($select=id,externalId)", []Expand{{"schools", &Query{Select: []string{"id", "externalId"}}}}},
		{"several nested options", "schools( $Select = ID ; $top = 1 ),members", []Expand{
			{"schools", &Query{Select: []string{"id"}, Top: &one}}, {"members", &Query{}},
		}},
		{"space before the parenthesis", "schools ($top=1)", []Expand{{"schools", &Query{Top: &one}}}},
		{"nested filter", "members($filter=displayName eq 'a)b;c,d''e\"f')", []Expand{{"members", &Query{Filter: is("displayName", `a)b;c,d'e"f`)}}}},
		{"nested filter with parentheses", "members($filter=externalId in ('a','b') and (accountEnabled);$count=true)", []Expand{
			{"members", &Query{Filter: and(or(is("externalId", "a"), is("externalId", "b")), is("accountEnabled", true)), Count: true}},
		}},
		{"nested filter of a UUID and a path", "members($filter=id eq " + testID + " or schools/$count eq 1)", []Expand{
			{"members", &Query{Filter: or(is("id", testID), &Count{"schools", Eq, 1})}},
		}},
		{"nested search", `members($search="displayName:O'Brien)\";" AND Söhne;$skip=2)`, []Expand{{"members", &Query{
			Search: &SearchAnd{[]Search{&SearchTerm{"displayName", `O'Brien)";`}, &SearchTerm{"", "Söhne"}}}, Skip: 2,
		}}}},
		{"nested orderby", "members($orderby=displayName desc,id)", []Expand{{"members", &Query{OrderBy: []Order{{"displayName", true}, {"id", false}}}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseExpand(test.text, everything)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestExpandRefuses(t *testing.T) {
	t.Parallel()
	const expand = OptionExpand
	tests := []struct {
		name, text string
		code       Code
		target     string
	}{
		{"unknown", "nonsense", InvalidRequest, "nonsense"},
		{"property", "displayName", InvalidRequest, "displayName"},
		{"path", "schools/members", InvalidRequest, "schools/members"},
		{"twice", "schools,Schools($top=1)", InvalidRequest, "schools"},
		{"everything", "*", NotSupported, "*"},
		{"references", "schools/$ref", NotSupported, "schools/$ref"},
		{"count", "schools/$count", NotSupported, "schools/$count"},
		{"within expand", "schools($expand=members)", NotSupported, expand},
		{"within expand, of a resource that has it", "members($expand=schools)", NotSupported, expand},
		{"levels", "members($levels=max)", NotSupported, "$levels"},
		{"cursor", "schools($skiptoken=x)", NotSupported, OptionSkipToken},
		{"option that the target does not answer", "schools($filter=closed)", NotSupported, OptionFilter},
		{"unknown option", "schools($foo=1)", InvalidRequest, "$foo"},
		{"option without its dollar", "schools(select=id)", InvalidRequest, "select"},
		{"option twice", "schools($top=1;$top=2)", InvalidRequest, OptionTop},
		{"options separated by an ampersand", "schools($top=1&$select=id)", InvalidRequest, OptionTop},
		{"option without a name", "schools(=id)", InvalidRequest, expand},
		{"option with an unprintable name", "schools(\u200b=id)", InvalidRequest, expand},
		{"empty value", "schools($select=)", InvalidRequest, OptionSelect},
		{"bad number", "schools($top=-1)", InvalidRequest, OptionTop},
		{"unknown property", "schools($select=displayName)", InvalidRequest, "displayName"},
		{"bad filter", "members($filter=displayName eq)", InvalidRequest, OptionFilter},
		{"no value", "schools($top)", InvalidRequest, expand},
		{"no options", "schools()", InvalidRequest, expand},
		{"empty option", "schools($top=1;)", InvalidRequest, expand},
		{"semicolon alone", "schools(;)", InvalidRequest, expand},
		{"closing parenthesis", ")", InvalidRequest, expand},
		{"closing parenthesis behind a name", "schools)", InvalidRequest, expand},
		{"parentheses exchanged", "schools)(", InvalidRequest, expand},
		{"parentheses alone", "()", InvalidRequest, expand},
		{"name in parentheses", "(schools)", InvalidRequest, expand},
		{"parenthesis open", "schools($top=1", InvalidRequest, expand},
		{"parenthesis too many", "schools($top=1))", InvalidRequest, expand},
		{"parentheses twice", "schools($top=1)($select=id)", InvalidRequest, expand},
		{"text behind the parentheses", "schools($top=1)x", InvalidRequest, expand},
		{"string open", "members($filter=displayName eq 'a)", InvalidRequest, expand},
		{"search open", `members($search="a\")`, InvalidRequest, expand},
		{"backslash last", `members($search="\`, InvalidRequest, expand},
		{"equals sign", "schools=members", InvalidRequest, "schools=members"},
		{"semicolon", "schools;members", InvalidRequest, "schools;members"},
		{"two words", "schools members", InvalidRequest, "schools members"},
		{"option without its owner", "$select=id", InvalidRequest, "$select=id"},
		{"empty name", "schools,,members", InvalidRequest, expand},
		{"comma alone", ",", InvalidRequest, expand},
		{"unprintable", "\u200b", InvalidRequest, expand},
		{"too many", strings.Repeat("schools,", MaxExpand) + "schools", InvalidRequest, expand},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseExpand(test.text, everything)
			checkError(t, err, test.code, test.target)
		})
	}
}

// TestExpandLimit holds that as many navigation properties as the limit says are answered.
func TestExpandLimit(t *testing.T) {
	t.Parallel()
	any := Resource{Navigation: func(name string) (Resource, string, bool) { return Resource{}, name, true }}
	got, err := parseExpand("a,b,c,d,e,f,g,h", any)
	if err != nil || len(got) != MaxExpand {
		t.Errorf("got %v (%v)", got, err)
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{
		"schools", "schools,members", "schools($select=id;$top=1)", "members($filter=displayName eq 'a)b')", `members($search="a\"b")`,
		")", "a)", "a)(", "()", "(a)", "classes()", "a(;)", "a=b", "a;b", "a b", "$select=id", "schools/$ref", "*", "schools($levels=max)",
		"schools($expand=members($expand=schools))", "members($orderby=id desc;$count=true;$skip=1)", "schools('", `schools("\`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > MaxOptionLength {
			return // ParseQuery refuses it.
		}
		checkTime(t, "parse", maxParse, func() { _, _ = parseExpand(text, everything) })
		expands, err := parseExpand(text, everything)
		if err != nil {
			checkFault(t, err)
			return
		}
		for i, expand := range expands {
			target, name, ok := navigate(expand.Navigation)
			if !ok || name != expand.Navigation || expand.Query == nil || expand.Query.Expand != nil || expand.Query.Cursor != "" {
				t.Fatalf("%q became %+v", text, expands)
			}
			if slices.ContainsFunc(expands[:i], func(other Expand) bool { return other.Navigation == name }) {
				t.Fatalf("%q became %+v", text, expands)
			}
			if name == "schools" && (expand.Query.Filter != nil || slices.Contains(target.Options, OptionFilter)) {
				t.Fatalf("%q has an option that schools do not answer: %+v", text, expand.Query)
			}
		}
		checkQuery(t, &Query{Expand: expands})
	})
}
