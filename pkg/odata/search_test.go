package odata

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSearch(t *testing.T) {
	t.Parallel()
	term := func(text string) Search { return &SearchTerm{"", text} }
	name := func(text string) Search { return &SearchTerm{"displayName", text} }
	all := func(operands ...Search) Search { return &SearchAnd{operands} }
	some := func(operands ...Search) Search { return &SearchOr{operands} }
	none := func(operand Search) Search { return &SearchNot{operand} }
	a, b, c := term("a"), term("b"), term("c")
	tests := []struct {
		name, text string
		want       Search
	}{
		{"property", `"displayName:max"`, name("max")},
		{"property in another case", `"DISPLAYNAME:max"`, name("max")},
		{"property with spaces", `"displayName: max mustermann "`, name("max mustermann")},
		{"blanks before the property", `" displayName:max"`, name("max")},
		{"property with colons", `"displayName:a:b"`, name("a:b")},
		{"property without quotes", `displayName:max`, name("max")},
		{"escaped quotes", `"displayName:a\"b\\c"`, name(`a"b\c`)},
		{"word", "max", term("max")},
		{"word that is not ASCII", "Müller-Lüdenscheidt", term("Müller-Lüdenscheidt")},
		{"word of another script", "漢字", term("漢字")},
		{"word with an apostrophe", "O'Brien", term("O'Brien")},
		{"word with a backslash", `a\b`, term(`a\b`)},
		{"phrase", `"max mustermann"`, term("max mustermann")},
		{"time", `"12:30"`, term("12:30")},
		{"word with a colon first", `:max`, term(":max")},
		{"phrase with a colon", `"a b:c"`, term("a b:c")},
		{"operator as a phrase", `"AND"`, term("AND")},
		{"parenthesis as a phrase", `"("`, term("(")},
		{"and", "a AND b", all(a, b)},
		{"and left out", "a b", all(a, b)},
		{"and left out between quotes", `"a""b"`, all(a, b)},
		{"and left out before parentheses", "a(b)", all(a, b)},
		{"lower case is no operator", "a and b", all(a, term("and"), b)},
		{"tabs and line breaks", "a\tAND\r\nb", all(a, b)},
		{"or", "a OR b", some(a, b)},
		{"not", "NOT a", none(a)},
		{"not twice", "NOT NOT a", none(none(a))},
		{"not before and", "NOT a b", all(none(a), b)},
		{"and before or", "a OR b AND c", some(a, all(b, c))},
		{"and left out before or", "a b OR c", some(all(a, b), c)},
		{"parentheses", "(a OR b) c", all(some(a, b), c)},
		{"not of parentheses", "NOT (a OR b)", none(some(a, b))},
		{"nested the same way", "a AND (b AND c)", all(a, b, c)},
		{"nested the same way, or", "(a OR b) OR c", some(a, b, c)},
		{"words that begin with operators", "ANDREW ORANGE NOTES", all(term("ANDREW"), term("ORANGE"), term("NOTES"))},
		{"Graph's example", `"displayName:wa" OR ("externalId:x" AND "displayName:admin")`, some(
			name("wa"), all(&SearchTerm{"externalId", "x"}, name("admin")))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseSearch(test.text, everything)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			again, err := parseSearch(got.String(), everything)
			if diff := cmp.Diff(got, again); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", got, err, diff)
			}
		})
	}
}

func TestSearchRefuses(t *testing.T) {
	t.Parallel()
	const search = OptionSearch
	tests := []struct {
		name, text string
		code       Code
		target     string
	}{
		{"unknown property", `"nonsense:max"`, InvalidRequest, "nonsense"},
		{"property path", `"student/externalId:max"`, InvalidRequest, "student/externalId"},
		{"property that is not searchable", `"id:max"`, NotSupported, "id"},
		{"navigation property", `"schools:max"`, NotSupported, "schools"},
		{"property without text", `"displayName:"`, InvalidRequest, search},
		{"property with blank text", `"displayName: "`, InvalidRequest, search},
		{"empty phrase", `""`, InvalidRequest, search},
		{"blank phrase", `" "`, InvalidRequest, search},
		{"empty phrase behind a word", `a ""`, InvalidRequest, search},
		{"open phrase", `"max`, InvalidRequest, search},
		{"open phrase behind a word", `max "`, InvalidRequest, search},
		{"escaped end", `"max\"`, InvalidRequest, search},
		{"backslash at the end", `"max\`, InvalidRequest, search},
		{"other escape", `"a\nb"`, InvalidRequest, search},
		{"operator alone", "AND", InvalidRequest, search},
		{"operator first", "OR a", InvalidRequest, search},
		{"operator last", "a AND", InvalidRequest, search},
		{"not last", "a NOT", InvalidRequest, search},
		{"two operators", "a AND OR b", InvalidRequest, search},
		{"empty parentheses", "()", InvalidRequest, search},
		{"empty parentheses behind a word", "a ()", InvalidRequest, search},
		{"open parenthesis", "(a", InvalidRequest, search},
		{"closed parenthesis", "a)", InvalidRequest, search},
		{"closed parenthesis first", ")a(", InvalidRequest, search},
		{"open phrase in parentheses", `(a "b)`, InvalidRequest, search},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseSearch(test.text, everything)
			checkError(t, err, test.code, test.target)
		})
	}
}

// TestSearchLimits holds that each limit permits what it says and nothing more.
func TestSearchLimits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		limit int
		write func(int) string
	}{
		{"terms", MaxSearchTerms, func(n int) string { return strings.Repeat("a ", n) }},
		{"parentheses", MaxSearchDepth, func(n int) string { return strings.Repeat("(", n) + "a" + strings.Repeat(")", n) }},
		{"negations", MaxSearchDepth, func(n int) string { return strings.Repeat("NOT ", n) + "a" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseSearch(test.write(test.limit), everything)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := parseSearch(got.String(), everything); err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("%s became %v (%v)", got, again, err)
			}
			_, err = parseSearch(test.write(test.limit+1), everything)
			checkError(t, err, InvalidRequest, OptionSearch)
		})
	}
}

// TestSearchText holds that any text can be searched for.
func TestSearchText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Trim(rapid.String().Draw(t, "text"), separators)
		if text == "" {
			t.Skip("empty")
		}
		term := Search(&SearchTerm{"displayName", text})
		got, err := parseSearch(term.String(), everything)
		if diff := cmp.Diff(term, got); err != nil || diff != "" {
			t.Fatalf("%s: %v\n%s", term, err, diff)
		}
	})
}

func FuzzSearch(f *testing.F) {
	for _, seed := range []string{
		`"displayName:max"`, "max mustermann", `"a\"b\\c"`, "a AND b OR NOT c", "ANDREW ORANGE NOTES", "foo ANDREW", "()", `""`, "(a OR (b))",
		"NOT NOT a", `a"b"`, "12:30", `"displayName:`, "Müller", "a)", ":a", "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > MaxOptionLength {
			return // ParseQuery refuses it.
		}
		checkTime(t, "parse", maxParse, func() { _, _ = parseSearch(text, everything) })
		search, err := parseSearch(text, everything)
		if err != nil {
			checkFault(t, err)
			return
		}
		if terms := checkSearch(t, search); terms > MaxSearchTerms {
			t.Fatalf("%q became %d terms", text, terms)
		}
		again, err := parseSearch(search.String(), everything)
		if err != nil || !reflect.DeepEqual(again, search) {
			t.Fatalf("%q became %s, which became %v (%v)", text, search, again, err)
		}
	})
}

// checkSearch checks what a search promises its consumer, and returns the number of its terms.
func checkSearch(t *testing.T, search Search) (terms int) {
	t.Helper()
	var operands []Search
	switch search := search.(type) {
	case *SearchTerm:
		field, _ := everything.Field(search.Property)
		if search.Text == "" || search.Property != "" && (field.Name != search.Property || !field.Searchable) {
			t.Fatalf("got an unchecked term: %+v", search)
		}
		return 1
	case *SearchNot:
		return checkSearch(t, search.Operand)
	case *SearchAnd:
		operands = search.Operands
	case *SearchOr:
		operands = search.Operands
	default:
		t.Fatalf("got a %T", search)
	}
	if len(operands) < 2 {
		t.Fatalf("got %d operands", len(operands))
	}
	for _, operand := range operands {
		terms += checkSearch(t, operand)
	}
	return terms
}
