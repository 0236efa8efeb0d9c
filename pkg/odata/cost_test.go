package odata

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// maxQuery is the length of the longest queries whose cost is held, in bytes. It is more than any option may have.
const maxQuery = 16 << 10

// TestQueryIsCheap holds that no query takes long, neither at the length that its option may have, nor beyond it. Many
// of these cost godata 1.0.11 the square of their length.
func TestQueryIsCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("times mean nothing under the race detector, which the short tests run with; the full run measures them")
	}
	texts := map[string][][3]string{
		OptionFilter: {
			{"externalId in (", "1,", "1)"},
			{"externalId in (", "'',", "'')"},
			{"", "externalId in ('x') or ", "externalId in ('x')"},
			{"externalId eq", " ", "'x'"},
			{"externalId eq", "\t", "'x'"},
			{"", "(", ""},
			{"", "(", "externalId eq 'x'" + strings.Repeat(")", 1800)},
			{"", "((((((((((id)))))))))) or ", "id"},
			{"accountEnabled", " or accountEnabled", ""},
			{"accountEnabled", " and not accountEnabled", ""},
			{"", "(accountEnabled)or", "(accountEnabled)"},
			{"", "not ", "accountEnabled"},
			{"", "a/", "a eq 1"},
			{"", "members/any(m:", ""},
			{"", "members/any()or ", "accountEnabled"},
			{"", "f(", ""},
			{"", "startswith(", ""},
			{"startswith(", "a,", "a)"},
			{"", "1-", "1"},
			{"", "-", "1"},
			{"id eq ", "1", ""},
			{"", "geo_length ", ""},
			{"externalId eq '", "''", "'"},
			{"externalId eq ", "'", ""},
			{"", "a", " eq 1"},
			{"", "ß", " eq 1"},
			{"", "id eq ", "1"},
			{"terminationDate eq ", "2026-12-31T22:00:00 ", "02:00"},
			{"", "\x00", ""},
		},
		OptionExpand: {
			{"", "(", ""},
			{"", "schools,", "schools"},
			{"schools(", "$top=1;", "$top=1)"},
			{"members($filter=", "(", ")"},
			{"members($search=", `"a" `, ")"},
			{"", "'", ""},
			{"", `"\`, ""},
			{"schools(", "$expand=schools(", ""},
			{"members($filter=accountEnabled", " or accountEnabled", ")"},
		},
		OptionSearch:    {{"", "a ", "a"}, {"", "(", ""}, {"", "NOT ", "a"}, {"", "a OR ", "a"}, {`"`, `\"`, `"`}, {"", `"`, ""}, {"", "displayName:", "a"}},
		OptionSelect:    {{"", "id,", "id"}, {"", ",", ""}, {"", "*,", "*"}},
		OptionOrderBy:   {{"", "id,", "id"}, {"", "id ", "id"}, {"", "(", ""}},
		OptionTop:       {{"", "9", ""}},
		OptionSkipToken: {{"", "x", ""}},
		OptionID:        {{"", "x", ""}},
	}
	for option, texts := range texts {
		for _, text := range texts {
			for _, length := range []int{MaxOptionLength, MaxFilterLength, maxQuery} {
				count := max(0, length-len(text[0])-len(text[2])) / len(text[1])
				value := text[0] + strings.Repeat(text[1], count) + text[2]
				checkCost(t, fmt.Sprintf("%s of %d bytes %.20q", option, len(value), value), option+"="+url.QueryEscape(value))
			}
		}
	}
	for _, part := range []string{"&", "=&", "a&", "$top=1&", "%24filter=%27&", "%zz", ";", "$filter;"} {
		checkCost(t, "repeated "+part, strings.Repeat(part, maxQuery/len(part)))
	}
	var many strings.Builder
	for i := 0; many.Len() < maxQuery; i++ {
		fmt.Fprintf(&many, "%x&", i)
	}
	checkCost(t, "many names", many.String())
}

// checkCost checks how long it takes to parse a query.
func checkCost(t *testing.T, name, raw string) {
	t.Helper()
	checkTime(t, name, maxParse, func() { _, _ = ParseQuery(raw, everything) })
}

func BenchmarkFilter(b *testing.B) {
	for name, text := range map[string]string{
		"comparison": "displayName eq 'Bob'",
		"clauses":    "displayName eq 'Bob' and startswith(externalId,'5') or not (accountEnabled and schools/any(s:s/externalId eq '4711'))",
		"largest":    "displayName in ('x'" + strings.Repeat(",'x'", MaxListItems-1) + ")" + strings.Repeat(" and accountEnabled", 98),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := parseFilter(text, everything); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
