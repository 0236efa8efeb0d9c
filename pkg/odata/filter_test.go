package odata

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFilter(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 31, 22, 0, 0, 0, time.UTC)
	const id = "7e1c3a52-0f3d-4a55-9f4b-3f6a1c2d4e5f"
	tests := []struct {
		name, filter, property string
		want                   any
	}{
		{"string", "externalId eq '4711'", "externalId", "4711"},
		{"property in another case", "EXTERNALID eq '4711'", "externalId", "4711"},
		{"property in lower case", "displayname eq 'x'", "displayName", "x"},
		{"operator in another case", "externalId EQ '4711'", "externalId", "4711"},
		{"many spaces", "  externalId   eq   '4711'  ", "externalId", "4711"},
		{"parentheses", "((externalId eq '4711'))", "externalId", "4711"},
		{"parentheses round the operands", "(externalId) eq ('4711')", "externalId", "4711"},
		{"empty string", "externalId eq ''", "externalId", ""},
		{"string of one quote", "externalId eq ''''", "externalId", "'"},
		{"string of two quotes", "externalId eq ''''''", "externalId", "''"},
		{"quote at the front", "externalId eq '''x'", "externalId", "'x"},
		{"quote at the end", "externalId eq 'x'''", "externalId", "x'"},
		{"quote inside", "displayName eq 'O''Brien & Söhne'", "displayName", "O'Brien & Söhne"},
		{"day that looks like a duration", "externalId eq 'P1D'", "externalId", "P1D"},
		{"year that looks like a duration", "externalId eq 'P1Y'", "externalId", "P1Y"},
		{"minutes that look like a duration", "externalId eq 'PT5M'", "externalId", "PT5M"},
		{"string that looks like a filter", "externalId eq 'x'' or externalId eq ''y'", "externalId", "x' or externalId eq 'y"},
		{"string that looks like a place in the list of strings", "externalId eq '0'", "externalId", "0"},
		{"string that looks like a point", "externalId eq 'SRID=0;Point(1 2)'", "externalId", "SRID=0;Point(1 2)"},
		{"string that looks like a UUID", "externalId eq '" + id + "'", "externalId", id},
		{"string of other literals' names", "displayName eq 'null'", "displayName", "null"},
		{"wildcards and escapes of LDAP", `externalId eq '*)(uid=\2a'`, "externalId", `*)(uid=\2a`},
		{"empty parentheses in a string", "externalId eq 'a()'", "externalId", "a()"},
		{"underscore escape in a string", "externalId eq '_x0020_'", "externalId", "_x0020_"},
		{"tab and line break in a string", "externalId eq 'a\tb\nc'", "externalId", "a\tb\nc"},
		{"blanks in a string", "externalId eq '  x  '", "externalId", "  x  "},
		{"emoji", "displayName eq '🏫 漢字 ß'", "displayName", "🏫 漢字 ß"},
		{"offset's space in a string", "externalId eq 'T10:00 02:00'", "externalId", "T10:00 02:00"},
		{"longest string", "externalId eq '" + strings.Repeat("x", 4000) + "'", "externalId", strings.Repeat("x", 4000)},
		{"null", "externalId eq null", "externalId", nil},
		{"boolean null", "accountEnabled eq null", "accountEnabled", nil},
		{"true", "accountEnabled eq true", "accountEnabled", true},
		{"false", "accountEnabled eq false", "accountEnabled", false},
		{"UUID", "id eq " + id, "id", id},
		{"UUID in quotes", "id eq '" + id + "'", "id", id},
		{"UUID in upper case", "id eq " + strings.ToUpper(id), "id", strings.ToUpper(id)},
		{"id that is no UUID", "id eq 'x'", "id", "x"},
		{"date", "terminationDate eq 2026-12-31T22:00:00Z", "terminationDate", at},
		{"date with an offset", "terminationDate eq 2027-01-01T00:00:00+02:00", "terminationDate", at},
		{"date with an offset whose plus was not encoded", "terminationDate eq 2027-01-01T00:00:00 02:00", "terminationDate", at},
		{"date without seconds", "terminationDate eq 2026-12-31T22:00Z", "terminationDate", at},
		{"date with a fraction", "terminationDate eq 2026-12-31T22:00:00.5Z", "terminationDate", at.Add(time.Second / 2)},
		{"date null", "terminationDate eq null", "terminationDate", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseFilter(test.filter, fieldOf)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Filter(&Compare{test.property, Eq, test.want}), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFilterRefuses(t *testing.T) {
	t.Parallel()
	const filter = OptionFilter
	tests := []struct {
		name, filter string
		code         Code
		target       string
	}{
		{"no operator", "externalId", InvalidRequest, filter},
		{"boolean property alone", "accountEnabled", InvalidRequest, filter},
		{"no value", "externalId eq", InvalidRequest, filter},
		{"no property", "eq 'x'", InvalidRequest, filter},
		{"operator alone", "eq", InvalidRequest, filter},
		{"literal alone", "'x'", InvalidRequest, filter},
		{"no space", "externalId eq'x'", InvalidRequest, filter},
		{"tab between the words", "externalId\teq\t'x'", InvalidRequest, filter},
		{"open string", "externalId eq 'x", InvalidRequest, filter},
		{"quote not doubled", "displayName eq 'O'Brien'", InvalidRequest, filter},
		{"one quote", "'", InvalidRequest, filter},
		{"open parenthesis", "(externalId eq 'x'", InvalidRequest, filter},
		{"closed parenthesis", "externalId eq 'x')", InvalidRequest, filter},
		{"two strings", "externalId eq 'x' 'y'", InvalidRequest, filter},
		{"text after the string", "externalId eq 'x' y", InvalidRequest, filter},
		{"semicolon after the string", "externalId eq 'x';", InvalidRequest, filter},
		{"property as a function", "externalId() eq 'x'", InvalidRequest, filter},
		{"property as a function with a space", "externalId( ) eq 'x'", InvalidRequest, filter},
		{"empty parentheses", "()", InvalidRequest, filter},
		{"word that begins with null", "nullable eq 'x'", InvalidRequest, filter},
		{"word that begins with true", "trueName eq 'x'", InvalidRequest, filter},
		{"property named as a function", "date eq 'x'", InvalidRequest, filter},
		{"typed duration", "externalId eq duration'P1D'", InvalidRequest, filter},
		{"typed GUID", "id eq guid'7e1c3a52-0f3d-4a55-9f4b-3f6a1c2d4e5f'", InvalidRequest, filter},
		{"typed geography", "externalId eq geography'SRID=0;Point(1 2)'", InvalidRequest, filter},
		{"geo function with nothing after it", "geo_distance ", InvalidRequest, filter},
		{"geo function with another letter", "geoxlength ", InvalidRequest, filter},
		{"geo function with a dash", "geo-intersects ", InvalidRequest, filter},
		{"geo function open", "geoxlength(", InvalidRequest, filter},
		{"geo function right", "externalId eq geo_length ", InvalidRequest, "externalId"},
		{"geo function left", "geo_length eq 'x'", NotSupported, filter},
		{"geo function in a conjunction", "externalId eq 'x' and geo_length ", NotSupported, filter},
		{"unknown property", "nonsense eq 'x'", InvalidRequest, "nonsense"},
		{"unknown property with a dot", "a.b eq 'x'", InvalidRequest, "a.b"},
		{"long unknown property", strings.Repeat("a", 500) + " eq 'x'", InvalidRequest, strings.Repeat("a", maxShown) + "…"},
		{"escaped space in a property", "external_x0020_Id eq 'x'", InvalidRequest, "external Id"},
		{"property without operators", "note eq 'x'", NotSupported, "note"},
		{"complex property", "identities eq 'x'", NotSupported, "identities"},
		{"complex property is null", "identities eq null", NotSupported, "identities"},
		{"reversed", "'x' eq externalId", NotSupported, filter},
		{"null left", "null eq externalId", NotSupported, filter},
		{"two literals", "1 eq 1", NotSupported, filter},
		{"two properties", "externalId eq displayName", InvalidRequest, "externalId"},
		{"two comparisons", "externalId eq 'x' eq 'y'", NotSupported, filter},
		{"parameter", "externalId eq @p", InvalidRequest, "externalId"},
		{"path", "student/externalId eq 'x'", NotSupported, filter},
		{"path from it", "$it/externalId eq 'x'", NotSupported, filter},
		{"path right", "externalId eq $root/x", NotSupported, "externalId"},
		{"function left", "tolower(externalId) eq 'x'", NotSupported, filter},
		{"function right", "externalId eq tolower('X')", NotSupported, "externalId"},
		{"lambda", "identities/any(x:x eq 'y')", NotSupported, filter},
		{"lambda right", "externalId eq identities/any(x:x eq 'y')", NotSupported, "externalId"},
		{"list", "externalId eq ('x','y')", NotSupported, "externalId"},
		{"list left", "(externalId,displayName) eq 'x'", NotSupported, filter},
		{"number for a string", "externalId eq 4711", InvalidRequest, "externalId"},
		{"negative number for a string", "externalId eq -1", InvalidRequest, "externalId"},
		{"word for a string", "externalId eq max", InvalidRequest, "externalId"},
		{"NULL in upper case", "externalId eq NULL", InvalidRequest, "externalId"},
		{"UUID for a string", "externalId eq 7e1c3a52-0f3d-4a55-9f4b-3f6a1c2d4e5f", InvalidRequest, "externalId"},
		{"string for a boolean", "accountEnabled eq 'true'", InvalidRequest, "accountEnabled"},
		{"number for a boolean", "accountEnabled eq 1", InvalidRequest, "accountEnabled"},
		{"number for a UUID", "id eq 1", InvalidRequest, "id"},
		{"string for a date", "terminationDate eq '2026-12-31T22:00:00Z'", InvalidRequest, "terminationDate"},
		{"day for a date", "terminationDate eq 2026-12-31", InvalidRequest, "terminationDate"},
		{"month 99", "terminationDate eq 2026-99-99T00:00:00Z", InvalidRequest, "terminationDate"},
		{"hour 25", "terminationDate eq 2026-12-31T25:61:00Z", InvalidRequest, "terminationDate"},
		{"any letter for the fraction's dot", "terminationDate eq 2026-12-31T22:00:00x5Z", InvalidRequest, "terminationDate"},
		{"ne", "externalId ne 'x'", NotSupported, filter},
		{"gt", "externalId gt 'x'", NotSupported, filter},
		{"in", "externalId in ('x')", NotSupported, filter},
		{"in with a literal", "externalId in 'x'", NotSupported, filter},
		{"and", "externalId eq 'x' and displayName eq 'y'", NotSupported, filter},
		{"and without a space", "externalId eq 'x'and displayName eq 'y'", NotSupported, filter},
		{"or", "externalId eq 'x' or true", NotSupported, filter},
		{"not", "not (externalId eq 'x')", NotSupported, filter},
		{"not without parentheses", "not externalId eq 'x'", NotSupported, filter},
		{"startswith", "startswith(externalId,'x')", NotSupported, filter},
		{"contains", "contains(externalId,'x')", NotSupported, filter},
		{"arithmetic", "externalId add 1 eq 2", NotSupported, filter},
		{"too long beside the strings", strings.Repeat(" ", MaxFilterSyntax) + "externalId eq 'x'", InvalidRequest, filter},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseFilter(test.filter, fieldOf)
			checkError(t, err, test.code, test.target)
		})
	}
}

// TestFilterErrorsHoldNoValues holds that what a filter compares with, which may be personal, is not repeated.
func TestFilterErrorsHoldNoValues(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{
		"externalId eq 'canary' 'canary'", "accountEnabled eq 'canary'", "terminationDate eq canary", "externalId ne 'canary'",
		"externalId eq 'canary", "(externalId eq 'canary'", "id eq canary", "'canary' eq externalId",
	} {
		if _, err := parseFilter(filter, fieldOf); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", filter, err)
		}
	}
}

// TestFilterIsCheap holds that no filter of the permitted length takes long. Each of these takes godata far longer when
// it is given as many bytes as an option may have.
func TestFilterIsCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("times mean nothing under the race detector, which the short tests run with; the full run measures them")
	}
	// cost is the best of some runs, since the others may be slowed down by another process.
	cost := func(filter string, enough time.Duration) time.Duration {
		best := time.Hour
		for tries := 0; best > enough && tries < 30; tries++ {
			start := time.Now()
			_, _ = parseFilter(filter, fieldOf)
			best = min(best, time.Since(start))
		}
		return best
	}
	// Under the race detector everything takes ten times as long.
	limit := max(10*time.Millisecond, 300*cost("externalId eq 'x'", 0))
	fill := func(front, middle, back string) string {
		return front + strings.Repeat(middle, (MaxOptionLength-len(front)-len(back))/len(middle)) + back
	}
	short := func(front, middle, back string) string {
		return front + strings.Repeat(middle, (MaxFilterSyntax-len(front)-len(back))/len(middle)) + back
	}
	for _, make := range []func(front, middle, back string) string{fill, short} {
		for name, filter := range map[string]string{
			"list of numbers":    make("externalId in (", "1,", "1)"),
			"list of strings":    make("externalId in (", "'',", "'')"),
			"spaces":             make("externalId eq", " ", "'x'"),
			"parentheses":        make("", "(", ""),
			"paired parentheses": make("", "(", "externalId eq 'x'))))"),
			"disjunction":        make("a eq 1", " or a eq 1", ""),
			"negations":          make("", "not ", "a"),
			"path":               make("", "a/", "a eq 1"),
			"calls":              make("", "f(", ""),
			"minus signs":        make("", "1-", "1"),
			"digits":             make("id eq ", "1", ""),
			"geo functions":      make("", "geo_length ", ""),
			"quotes":             make("externalId eq '", "''", "'"),
			"letters":            make("", "a", " eq 1"),
			"dates":              make("terminationDate eq ", "2026-12-31T22:00:00 ", "02:00"),
		} {
			if got := cost(filter, limit); got > limit {
				t.Errorf("%s, %d bytes: %v, want at most %v", name, len(filter), got, limit)
			}
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"externalId eq '4711'", "externalId eq ''''", "externalId eq 'P1D'", "(((id eq null)))", "accountEnabled eq true", "geo_distance ",
		"terminationDate eq 2027-01-01T00:00:00 02:00", "a eq 1 and geo_length ", "externalId() eq 'x'", "x in ('a',1)", "a/any(p:p eq 1)",
		"id eq 7e1c3a52-0f3d-4a55-9f4b-3f6a1c2d4e5f", "'x' eq externalId", "externalId eq duration'P1D'", "externalId eq 'a''b' ", "\xff eq ''",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > MaxOptionLength {
			return // ParseQuery refuses it.
		}
		filter, err := parseFilter(text, fieldOf)
		if err != nil {
			var fault *Error
			if !errors.As(err, &fault) || fault.Code != InvalidRequest && fault.Code != NotSupported {
				t.Fatalf("got %v", err)
			}
			checkBounded(t, fault)
			return
		}
		compare, ok := filter.(*Compare)
		if !ok {
			t.Fatalf("got a %T", filter)
		}
		if field, known := fieldOf(compare.Property); !known || field.Name != compare.Property || !supports(field, compare.Operator) {
			t.Fatalf("got an unchecked property: %+v", compare)
		}
		if value, ok := compare.Value.(string); ok {
			again, err := parseFilter(compare.Property+" eq '"+strings.ReplaceAll(value, "'", "''")+"'", fieldOf)
			if err != nil || !cmp.Equal(again, filter) {
				t.Fatalf("%q became %+v, which became %+v (%v)", text, filter, again, err)
			}
		}
	})
}
