package odata

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const testID = "7e1c3a52-0f3d-4a55-9f4b-3f6a1c2d4e5f"

// TestFilterLiterals holds what the literals of comparisons with eq are.
func TestFilterLiterals(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 31, 22, 0, 0, 0, time.UTC)
	tests := []struct {
		name, filter, property string
		want                   any
	}{
		{"string", "externalId eq '4711'", "externalId", "4711"},
		{"property in another case", "EXTERNALID eq '4711'", "externalId", "4711"},
		{"property in lower case", "displayname eq 'x'", "displayName", "x"},
		{"operator in another case", "externalId EQ '4711'", "externalId", "4711"},
		{"many spaces", "  externalId   eq   '4711'  ", "externalId", "4711"},
		{"tabs and line breaks", "externalId\teq\r\n'4711'\n", "externalId", "4711"},
		{"parentheses", "((externalId eq '4711'))", "externalId", "4711"},
		{"parentheses round the operands", "(externalId) eq ('4711')", "externalId", "4711"},
		{"reversed", "'4711' eq externalId", "externalId", "4711"},
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
		{"string that looks like godata's operand", "externalId eq 'operand'", "externalId", "operand"},
		{"string that looks like an operator", "externalId eq 'eq'", "externalId", "eq"},
		{"string that looks like a parenthesis", "externalId eq '('", "externalId", "("},
		{"string that looks like a point", "externalId eq 'SRID=0;Point(1 2)'", "externalId", "SRID=0;Point(1 2)"},
		{"string that looks like a UUID", "externalId eq '" + testID + "'", "externalId", testID},
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
		{"null in another case", "externalId eq NULL", "externalId", nil},
		{"null reversed", "null eq externalId", "externalId", nil},
		{"boolean null", "accountEnabled eq null", "accountEnabled", nil},
		{"true", "accountEnabled eq true", "accountEnabled", true},
		{"true as PowerShell has it", "accountEnabled eq True", "accountEnabled", true},
		{"false", "accountEnabled eq false", "accountEnabled", false},
		{"boolean property alone", "accountEnabled", "accountEnabled", true},
		{"boolean property alone in parentheses", " ( ACCOUNTENABLED ) ", "accountEnabled", true},
		{"UUID", "id eq " + testID, "id", testID},
		{"UUID that begins with a letter", "id eq f" + testID[1:], "id", "f" + testID[1:]},
		{"UUID reversed", testID + " eq id", "id", testID},
		{"UUID in quotes", "id eq '" + testID + "'", "id", testID},
		{"UUID in upper case", "id eq " + strings.ToUpper(testID), "id", strings.ToUpper(testID)},
		{"id that is no UUID", "id eq 'x'", "id", "x"},
		{"date", "terminationDate eq 2026-12-31T22:00:00Z", "terminationDate", at},
		{"date in lower case", "terminationDate eq 2026-12-31t22:00:00z", "terminationDate", at},
		{"date with an offset", "terminationDate eq 2027-01-01T00:00:00+02:00", "terminationDate", at},
		{"date with an offset whose plus was not encoded", "terminationDate eq 2027-01-01T00:00:00 02:00", "terminationDate", at},
		{"the same in parentheses", "(terminationDate eq 2027-01-01T00:00 02:00)", "terminationDate", at},
		{"date with a negative offset", "terminationDate eq 2026-12-31T20:00:00-02:00", "terminationDate", at},
		{"date without seconds", "terminationDate eq 2026-12-31T22:00Z", "terminationDate", at},
		{"date with a fraction", "terminationDate eq 2026-12-31T22:00:00.5Z", "terminationDate", at.Add(time.Second / 2)},
		{"date null", "terminationDate eq null", "terminationDate", nil},
		{"property named as a function", "date eq 'x'", "date", "x"},
		{"property named as an operator", "in eq 'x'", "in", "x"},
		{"property that begins with null", "nullable eq 'x'", "nullable", "x"},
		{"property that begins with true", "trueName eq 'x'", "trueName", "x"},
		{"property that begins with false", "falsePositive", "falsePositive", true},
		{"property that begins with any", "anything eq 'x'", "anything", "x"},
		{"property that looks like a geo function", "geo_length eq 'x'", "geo_length", "x"},
		{"property with an umlaut", "größe eq 'x'", "größe", "x"},
		{"property with an umlaut in upper case", "GRÖßE eq 'x'", "größe", "x"},
		{"property that begins with an underscore", "_hidden eq 'x'", "_hidden", "x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseFilter(test.filter, everything)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Filter(&Compare{test.property, Eq, test.want}), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Short names for the nodes of the tests' filters.
func and(operands ...Filter) Filter { return &And{operands} }
func or(operands ...Filter) Filter  { return &Or{operands} }
func not(operand Filter) Filter     { return &Not{operand} }
func is(property string, value any) Filter {
	return &Compare{property, Eq, value}
}

// TestFilterStructure holds how operators, functions and lambdas bind.
func TestFilterStructure(t *testing.T) {
	t.Parallel()
	a, b, c := is("externalId", "a"), is("displayName", "b"), is("accountEnabled", true)
	tests := []struct {
		name, filter string
		want         Filter
	}{
		{"ne", "externalId ne 'a'", &Compare{"externalId", Ne, "a"}},
		{"gt", "displayName gt 'a'", &Compare{"displayName", Gt, "a"}},
		{"ge", "displayName ge 'a'", &Compare{"displayName", Ge, "a"}},
		{"lt", "displayName lt 'a'", &Compare{"displayName", Lt, "a"}},
		{"le", "displayName Le 'a'", &Compare{"displayName", Le, "a"}},
		{"gt reversed", "'a' gt displayName", &Compare{"displayName", Lt, "a"}},
		{"ge reversed", "'a' ge displayName", &Compare{"displayName", Le, "a"}},
		{"lt reversed", "'a' lt displayName", &Compare{"displayName", Gt, "a"}},
		{"le reversed", "'a' le displayName", &Compare{"displayName", Ge, "a"}},
		{"ne reversed", "null ne displayName", &Compare{"displayName", Ne, nil}},
		{"and", "externalId eq 'a' and displayName eq 'b'", and(a, b)},
		{"and in another case", "externalId eq 'a' AND displayName eq 'b'", and(a, b)},
		{"and of three", "externalId eq 'a' and displayName eq 'b' and accountEnabled", and(a, b, c)},
		{"and of three, grouped right", "externalId eq 'a' and (displayName eq 'b' and accountEnabled)", and(a, b, c)},
		{"or", "externalId eq 'a' or displayName eq 'b'", or(a, b)},
		{"and before or", "externalId eq 'a' or displayName eq 'b' and accountEnabled", or(a, and(b, c))},
		{"and before or, left", "externalId eq 'a' and displayName eq 'b' or accountEnabled", or(and(a, b), c)},
		{"parentheses", "(externalId eq 'a' or displayName eq 'b') and accountEnabled", and(or(a, b), c)},
		{"parentheses without spaces", "(externalId eq 'a')or(displayName eq 'b')", or(a, b)},
		{"not", "not (externalId eq 'a')", not(a)},
		{"not without a space", "NOT(externalId eq 'a')", not(a)},
		{"not before and", "not accountEnabled and externalId eq 'a'", and(not(c), a)},
		{"not before or, right", "externalId eq 'a' or not accountEnabled", or(a, not(c))},
		{"not twice", "not not accountEnabled", not(not(c))},
		{"not of in", "not externalId in ('a')", not(a)},
		{"booleans", "accountEnabled and falsePositive", and(c, is("falsePositive", true))},
		{"in", "externalId in ('a','b')", or(a, is("externalId", "b"))},
		{"in of one", "externalId in('a')", a},
		{"in of a property named in", "in in ('in')", is("in", "in")},
		{"in with spaces, nulls and parentheses", "externalId IN ( 'a' , null,('(') )", or(a, is("externalId", nil), is("externalId", "("))},
		{"in of UUIDs", "id in (" + testID + ",'" + testID + "')", or(is("id", testID), is("id", testID))},
		{"in within or", "displayName eq 'b' or externalId in ('a','b') or accountEnabled", or(b, a, is("externalId", "b"), c)},
		{"in within and", "displayName eq 'b' and externalId in ('a','b')", and(b, or(a, is("externalId", "b")))},
		{"startswith", "startswith(externalId,'a')", &Match{"externalId", StartsWith, "a"}},
		{"startswith as .NET writes it", "startsWith( EXTERNALID , 'a' )", &Match{"externalId", StartsWith, "a"}},
		{"endswith", "endswith(displayName,'''')", &Match{"displayName", EndsWith, "'"}},
		{"contains", "contains(displayName,'')", &Match{"displayName", Contains, ""}},
		{"function of a keyword", "contains(date,'x')", &Match{"date", Contains, "x"}},
		{"functions combined", "startswith(displayName,'a') and not contains(displayName,'P1D')", and(
			&Match{"displayName", StartsWith, "a"}, not(&Match{"displayName", Contains, "P1D"}))},
		{"any", "schools/any(s:s/externalId eq 'a')", &Any{"schools", a}},
		{"any in another case", "SCHOOLS/Any( S : s/EXTERNALID eq 'a' )", &Any{"schools", a}},
		{"any of anything", "schools/any()", &Any{"schools", nil}},
		{"any of anything, negated", "not schools/any( )", not(&Any{"schools", nil})},
		{"any of a boolean", "schools/any(s:s/closed)", &Any{"schools", is("closed", true)}},
		{"any of a combination", "accountEnabled and schools/any(x:(x/closed or startswith(x/externalId,'b')) and x/id in ('c','d'))", and(c, &Any{
			"schools", and(or(is("closed", true), &Match{"externalId", StartsWith, "b"}), or(is("id", "c"), is("id", "d"))),
		})},
		{"any with a variable named as an operator", "schools/any(eq:eq/closed eq true)", &Any{"schools", is("closed", true)}},
		{"any with a variable named as a property", "schools/any(id:id/id eq 'a')", &Any{"schools", is("id", "a")}},
		{"any within any", "members/any(m:m/schools/any(s:s/externalId eq 'a') and m/accountEnabled)", &Any{"members", and(&Any{"schools", a}, c)}},
		{"the same variable side by side", "schools/any(s:s/closed) or members/any(s:s/accountEnabled)", or(
			&Any{"schools", is("closed", true)}, &Any{"members", c})},
		{"count", "schools/$count eq 0", &Count{"schools", Eq, 0}},
		{"count in another case", "Schools/$Count GE 1", &Count{"schools", Ge, 1}},
		{"count reversed", "2 lt schools/$count", &Count{"schools", Gt, 2}},
		{"count in", "schools/$count in (0,2)", or(&Count{"schools", Eq, 0}, &Count{"schools", Eq, 2})},
		{"count combined", "not (schools/$count ne 0) and accountEnabled", and(not(&Count{"schools", Ne, 0}), c)},
		{"count within any", "members/any(m:m/schools/$count gt 1)", &Any{"members", &Count{"schools", Gt, 1}}},
		{"largest count", "schools/$count lt 2147483647", &Count{"schools", Lt, MaxNumber}},
		{"date between", "terminationDate ge 2026-01-01T00:00:00 02:00 and terminationDate lt 2027-01-01T00:00:00Z", and(
			&Compare{"terminationDate", Ge, time.Date(2025, 12, 31, 22, 0, 0, 0, time.UTC)},
			&Compare{"terminationDate", Lt, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseFilter(test.filter, everything)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			again, err := parseFilter(got.String(), everything)
			if diff := cmp.Diff(got, again); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", got, err, diff)
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
		{"no operator", "externalId", InvalidRequest, "externalId"},
		{"no value", "externalId eq", InvalidRequest, filter},
		{"no property", "eq 'x'", InvalidRequest, filter},
		{"operator alone", "eq", InvalidRequest, "eq"},
		{"literal alone", "'x'", InvalidRequest, filter},
		{"true alone", "true", InvalidRequest, filter},
		{"numbers combined", "1 and 2", InvalidRequest, filter},
		{"no space before the string", "externalId eq'x'", InvalidRequest, filter},
		{"no space behind the string", "'x'eq externalId", InvalidRequest, filter},
		{"no space behind the number", "schools/$count eq 1and accountEnabled", InvalidRequest, filter},
		{"open string", "externalId eq 'x", InvalidRequest, filter},
		{"quote not doubled", "displayName eq 'O'Brien'", InvalidRequest, filter},
		{"one quote", "'", InvalidRequest, filter},
		{"double quotes", `externalId eq "x"`, InvalidRequest, filter},
		{"open parenthesis", "(externalId eq 'x'", InvalidRequest, filter},
		{"closed parenthesis", "externalId eq 'x')", InvalidRequest, filter},
		{"two strings", "externalId eq 'x' 'y'", InvalidRequest, filter},
		{"two operators", "externalId eq eq 'x'", InvalidRequest, filter},
		{"two operands", "externalId displayName eq 'x'", InvalidRequest, filter},
		{"operator first", "and accountEnabled", InvalidRequest, filter},
		{"operator last", "accountEnabled and", InvalidRequest, filter},
		{"not behind its operand", "accountEnabled not and accountEnabled", InvalidRequest, filter},
		{"not instead of ne", "externalId not eq 'x'", InvalidRequest, filter},
		{"not last", "not", InvalidRequest, filter},
		{"not of a string", "not externalId", InvalidRequest, "externalId"},
		{"not that binds too tight", "not externalId eq 'x'", InvalidRequest, filter},
		{"not that binds too tight to a boolean", "not accountEnabled eq false", InvalidRequest, filter},
		{"text after the string", "externalId eq 'x' y", InvalidRequest, filter},
		{"semicolon after the string", "externalId eq 'x';", InvalidRequest, filter},
		{"comma after the string", "externalId eq 'x',", InvalidRequest, filter},
		{"equals sign", "externalId = 'x'", InvalidRequest, filter},
		{"invalid UTF-8", "externalId eq \xff", InvalidRequest, filter},
		{"property as a function", "externalId() eq 'x'", InvalidRequest, "externalId"},
		{"property as a function with a space", "externalId ( ) eq 'x'", InvalidRequest, "externalId"},
		{"property as a function with an argument", "externalId('x') eq 'x'", InvalidRequest, "externalId"},
		{"empty parentheses", "()", InvalidRequest, filter},
		{"unknown word that begins with null", "nullify eq 'x'", InvalidRequest, "nullify"},
		{"typed duration", "externalId eq duration'P1D'", InvalidRequest, filter},
		{"typed GUID", "id eq guid'" + testID + "'", InvalidRequest, filter},
		{"typed date", "terminationDate eq datetime'2026-12-31T22:00:00'", InvalidRequest, filter},
		{"enumeration", "externalId eq microsoft.graph.educationUserRole'student'", InvalidRequest, filter},
		{"typed geography", "externalId eq geography'SRID=0;Point(1 2)'", InvalidRequest, filter},
		{"geo function with nothing after it", "geo_distance ", InvalidRequest, "geo_distance"},
		{"geo function with another letter", "geoxlength ", InvalidRequest, "geoxlength"},
		{"geo function with a dash", "geo-intersects ", InvalidRequest, "geo-intersects"},
		{"geo function open", "geoxlength(", InvalidRequest, "geoxlength"},
		{"geo function right", "externalId eq geo_distance ", InvalidRequest, "externalId"},
		{"geo function in a conjunction", "externalId eq 'x' and geo_distance ", InvalidRequest, "geo_distance"},
		{"geo function in earnest", "geo.length(externalId) gt 1", NotSupported, "geo.length"},
		{"unknown property", "nonsense eq 'x'", InvalidRequest, "nonsense"},
		{"unknown property alone", "nonsense", InvalidRequest, "nonsense"},
		{"unknown property with a dot", "a.b eq 'x'", InvalidRequest, "a.b"},
		{"unknown property with a dash", "external-id eq 'x'", InvalidRequest, "external-id"},
		{"long unknown property", strings.Repeat("a", 900) + " eq 'x'", InvalidRequest, strings.Repeat("a", maxShown) + "…"},
		{"escaped space in a property", "external_x0020_Id eq 'x'", InvalidRequest, "external_x0020_Id"},
		{"infinity", "externalId eq INF", InvalidRequest, "externalId"},
		{"property without operators", "note eq 'x'", NotSupported, "note"},
		{"property without this operator", "externalId gt 'x'", NotSupported, "externalId"},
		{"property without eq in a list", "note in ('x')", NotSupported, "note"},
		{"property without functions", "startswith(note,'x')", NotSupported, "note"},
		{"property without this function", "endswith(externalId,'x')", NotSupported, "externalId"},
		{"complex property", "identities eq 'x'", NotSupported, "identities"},
		{"complex property is null", "identities eq null", NotSupported, "identities"},
		{"null is not ordered", "terminationDate gt null", InvalidRequest, "terminationDate"},
		{"two literals", "1 eq 1", NotSupported, filter},
		{"two properties", "externalId eq displayName", NotSupported, "externalId"},
		{"property and count", "schools/$count eq displayName", NotSupported, "schools/$count"},
		{"two comparisons", "externalId eq 'x' eq 'y'", NotSupported, filter},
		{"comparison with a comparison", "accountEnabled eq (externalId eq 'x')", NotSupported, filter},
		{"comparison with a function", "startswith(externalId,'x') eq true", NotSupported, filter},
		{"parameter", "externalId eq @p", InvalidRequest, "externalId"},
		{"parameter left", "@p eq 'x'", NotSupported, "@p"},
		{"path", "student/externalId eq 'x'", InvalidRequest, "student/externalId"},
		{"path alone", "a/allowed", InvalidRequest, "a/allowed"},
		{"path that begins with any", "a/anything", InvalidRequest, "a/anything"},
		{"path of a navigation property", "schools/id eq 'x'", InvalidRequest, "schools/id"},
		{"path of a property", "displayName/x eq 'x'", InvalidRequest, "displayName/x"},
		{"path with nothing in it", "/ eq 'x'", InvalidRequest, "/"},
		{"path from it", "$it/externalId eq 'x'", NotSupported, "$it/externalId"},
		{"path right", "externalId eq $root/x", InvalidRequest, "externalId"},
		{"cast", "microsoft.graph.user/mail eq 'x'", InvalidRequest, "microsoft.graph.user/mail"},
		{"function left", "tolower(externalId) eq 'x'", NotSupported, "tolower"},
		{"function right", "externalId eq tolower('X')", NotSupported, "tolower"},
		{"function in another case", "Length(externalId) eq 1", NotSupported, "Length"},
		{"date function", "date(terminationDate) eq 2026-12-31", NotSupported, "date"},
		{"case function", "case(accountEnabled:1)", NotSupported, "case"},
		{"unknown function", "foo(externalId,'b') eq true", InvalidRequest, "foo"},
		{"unknown function behind a path", "schools/foo(s:s/closed)", InvalidRequest, "schools/foo"},
		{"function without arguments", "startswith()", InvalidRequest, filter},
		{"function with one argument", "startswith(externalId)", InvalidRequest, filter},
		{"function with three arguments", "startswith(externalId,'x','y')", InvalidRequest, filter},
		{"function with an empty argument", "startswith(externalId,)", InvalidRequest, filter},
		{"function with a colon", "startswith(externalId:'x')", InvalidRequest, filter},
		{"function with exchanged arguments", "startswith('x',externalId)", NotSupported, filter},
		{"function of a number", "startswith(externalId,1)", InvalidRequest, "externalId"},
		{"function of null", "startswith(externalId,null)", InvalidRequest, "externalId"},
		{"function of two properties", "startswith(externalId,displayName)", NotSupported, filter},
		{"function of a comparison", "startswith(externalId eq 'x','y')", NotSupported, filter},
		{"function of a count", "startswith(schools/$count,'y')", NotSupported, "schools/$count"},
		{"function of an unknown property", "startswith(nonsense,'y')", InvalidRequest, "nonsense"},
		{"function without parentheses", "startswith externalId", InvalidRequest, filter},
		{"arithmetic", "externalId add 1 eq 2", NotSupported, filter},
		{"negation", "-externalId eq 1", NotSupported, filter},
		{"negation of a group", "-(externalId) eq 1", NotSupported, filter},
		{"has", "externalId has 'x'", NotSupported, filter},
		{"unknown operator", "externalId like 'x'", InvalidRequest, filter},
		{"in without a list", "externalId in 'x'", InvalidRequest, filter},
		{"in of a property", "externalId in displayName", InvalidRequest, filter},
		{"in of nothing", "externalId in ()", InvalidRequest, filter},
		{"in with a missing item", "externalId in ('x',)", InvalidRequest, filter},
		{"in with a colon", "externalId in ('x':'y')", InvalidRequest, filter},
		{"in of lists", "externalId in (('x','y'),'z')", InvalidRequest, filter},
		{"in of a property in a list", "externalId in (displayName)", InvalidRequest, "externalId"},
		{"in of a number", "externalId in ('x',1)", InvalidRequest, "externalId"},
		{"in of an unknown property", "nonsense in ('x')", InvalidRequest, "nonsense"},
		{"literal in", "'x' in ('x')", NotSupported, filter},
		{"list right", "externalId eq ('x','y')", InvalidRequest, filter},
		{"list left", "(externalId,displayName) eq 'x'", InvalidRequest, filter},
		{"all", "schools/all(s:s/closed)", NotSupported, "schools/all"},
		{"any of nothing", "any(s:s/closed)", InvalidRequest, "any"},
		{"any of an unknown property", "nonsense/any(x:x/id eq 'y')", InvalidRequest, "nonsense"},
		{"any of a property", "identities/any(x:x eq 'y')", NotSupported, "identities"},
		{"any of two properties", "schools/members/any(x:x/id eq 'y')", InvalidRequest, "schools/members"},
		{"any compared", "schools/any(s:s/closed) eq true", NotSupported, filter},
		{"any right", "externalId eq schools/any()", NotSupported, filter},
		{"any with a comma", "schools/any(s,s/closed)", InvalidRequest, filter},
		{"any without a body", "schools/any(s:)", InvalidRequest, filter},
		{"any without a variable", "schools/any(:s/closed)", InvalidRequest, filter},
		{"any of literals", "schools/any(1:2)", InvalidRequest, filter},
		{"any with a string for a variable", "schools/any('x':s/closed)", InvalidRequest, filter},
		{"any with a path for a variable", "schools/any(s/x:s/closed)", InvalidRequest, filter},
		{"any with two arguments", "schools/any(s:s/closed,s/closed)", InvalidRequest, filter},
		{"any open", "schools/any(s:s/closed", InvalidRequest, filter},
		{"any of the variable", "schools/any(s:s eq 'x')", InvalidRequest, "s"},
		{"any of another variable", "schools/any(s:x/closed)", InvalidRequest, "x/closed"},
		{"any of an outer property", "schools/any(s:displayName eq 'x')", InvalidRequest, "displayName"},
		{"any of an unknown property of the target", "schools/any(s:s/displayName eq 'x')", InvalidRequest, "s/displayName"},
		{"any with a variable of an outer any", "members/any(m:m/schools/any(s:m/id eq 'x'))", NotSupported, "m/id"},
		{"any with the variable of an outer any", "members/any(m:m/schools/any(M:m/id eq 'x'))", InvalidRequest, "M"},
		{"any's variable outside", "schools/any(s:s/closed) and s/closed", InvalidRequest, "s/closed"},
		{"navigation property alone", "schools", InvalidRequest, "schools"},
		{"navigation property compared", "schools eq null", InvalidRequest, "schools"},
		{"count alone", "schools/$count", InvalidRequest, "schools/$count"},
		{"count of an unknown property", "nonsense/$count eq 0", InvalidRequest, "nonsense/$count"},
		{"count of a property", "identities/$count eq 0", NotSupported, "identities/$count"},
		{"count of nothing", "$count eq 0", NotSupported, "$count"},
		{"count and a string", "schools/$count eq '0'", InvalidRequest, "schools/$count"},
		{"count and null", "schools/$count eq null", InvalidRequest, "schools/$count"},
		{"count and a word", "schools/$count eq none", InvalidRequest, "schools/$count"},
		{"count and a fraction", "schools/$count eq 0.5", InvalidRequest, "schools/$count"},
		{"count and a negative number", "schools/$count gt -1", InvalidRequest, "schools/$count"},
		{"count and a signed number", "schools/$count eq +1", InvalidRequest, "schools/$count"},
		{"count and an exponent", "schools/$count eq 1e3", InvalidRequest, "schools/$count"},
		{"count and a large number", "schools/$count eq 2147483648", InvalidRequest, "schools/$count"},
		{"count with options", "schools/$count($filter=closed) eq 0", NotSupported, "schools/$count"},
		{"number for a string", "externalId eq 4711", InvalidRequest, "externalId"},
		{"negative number for a string", "externalId eq -1", InvalidRequest, "externalId"},
		{"fraction for a string", "externalId eq .5", InvalidRequest, "externalId"},
		{"exponent for a string", "externalId eq 1e5", InvalidRequest, "externalId"},
		{"word for a string", "externalId eq max", InvalidRequest, "externalId"},
		{"UUID for a string", "externalId eq " + testID, InvalidRequest, "externalId"},
		{"string for a boolean", "accountEnabled eq 'true'", InvalidRequest, "accountEnabled"},
		{"number for a boolean", "accountEnabled eq 1", InvalidRequest, "accountEnabled"},
		{"number for a UUID", "id eq 1", InvalidRequest, "id"},
		{"UUID that is too long", "id eq " + testID + "0", InvalidRequest, "id"},
		{"string for a date", "terminationDate eq '2026-12-31T22:00:00Z'", InvalidRequest, "terminationDate"},
		{"day for a date", "terminationDate eq 2026-12-31", InvalidRequest, "terminationDate"},
		{"time for a date", "terminationDate eq 22:00:00", InvalidRequest, "terminationDate"},
		{"date without an offset", "terminationDate eq 2026-12-31T22:00:00", InvalidRequest, "terminationDate"},
		{"month 99", "terminationDate eq 2026-99-99T00:00:00Z", InvalidRequest, "terminationDate"},
		{"30th of February", "terminationDate eq 2026-02-30T00:00:00Z", InvalidRequest, "terminationDate"},
		{"hour 25", "terminationDate eq 2026-12-31T25:61:00Z", InvalidRequest, "terminationDate"},
		{"hour of one digit", "terminationDate eq 2026-12-31T1:00:00Z", InvalidRequest, "terminationDate"},
		{"offset of 24 hours", "terminationDate eq 2026-12-31T22:00:00+24:00", InvalidRequest, "terminationDate"},
		{"any letter for the fraction's dot", "terminationDate eq 2026-12-31T22:00:00x5Z", InvalidRequest, "terminationDate"},
		{"comma for the fraction's dot", "terminationDate eq 2026-12-31T22:00:00,5Z", InvalidRequest, filter},
		{"year zero", "terminationDate eq 0000-12-31T22:00:00Z", InvalidRequest, "terminationDate"},
		{"offset into year zero", "terminationDate eq 0001-01-01T00:00:00+01:00", InvalidRequest, "terminationDate"},
		{"offset into year 10000", "terminationDate eq 9999-12-31T23:00:00-01:00", InvalidRequest, "terminationDate"},
		{"two offsets", "terminationDate eq 2026-12-31T22:00:00 02:00 02:00", InvalidRequest, filter},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseFilter(test.filter, everything)
			checkError(t, err, test.code, test.target)
		})
	}
}

// TestFilterOfNothing holds that a resource without properties has no filters.
func TestFilterOfNothing(t *testing.T) {
	t.Parallel()
	for filter, target := range map[string]string{
		"id eq 'x'": "id", "schools/any()": "schools", "schools/$count eq 0": "schools/$count", "a/b": "a/b",
	} {
		_, err := parseFilter(filter, Resource{})
		checkError(t, err, InvalidRequest, target)
	}
}

// TestFilterLimits holds that each limit permits what it says and nothing more.
func TestFilterLimits(t *testing.T) {
	t.Parallel()
	list := func(n int) string { return "displayName in ('x'" + strings.Repeat(",'x'", n-1) + ")" }
	chain := func(n int) string { return "accountEnabled" + strings.Repeat(" and accountEnabled", n-1) }
	nested := func(front, back string) func(int) string {
		return func(n int) string { return strings.Repeat(front, n) + "accountEnabled" + strings.Repeat(back, n) }
	}
	anys := func(n int) string {
		var b strings.Builder
		variable := ""
		for i := range n {
			fmt.Fprintf(&b, "%smembers/any(m%d:", variable, i)
			variable = fmt.Sprintf("m%d/", i)
		}
		return b.String() + variable + "accountEnabled" + strings.Repeat(")", n)
	}
	tests := []struct {
		name  string
		limit int
		write func(int) string
	}{
		{"items of a list", MaxListItems, list},
		{"nodes", MaxFilterNodes - 1, chain},
		{"nodes of comparisons", MaxFilterNodes - 1, func(n int) string {
			return strings.Repeat("'a' lt date and ", n-1) + "date eq ''"
		}},
		{"nodes in lists", MaxFilterNodes - 103, func(n int) string { return list(MaxListItems) + " and " + list(n) }},
		{"parentheses", MaxFilterDepth, nested("(", ")")},
		{"negations", MaxFilterDepth - 1, nested("not ", "")},
		{"negations with parentheses", MaxFilterDepth - 1, nested("not (", ")")},
		{"lambdas", MaxFilterDepth - 1, anys},
		{"alternations", MaxFilterDepth/2 - 1, nested("accountEnabled or (falsePositive and (", "))")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			filter, err := parseFilter(test.write(test.limit), everything)
			if err != nil {
				t.Fatal(err)
			}
			// go-cmp 0.7.0 takes time that is exponential in the depth of nested slices.
			if again, err := parseFilter(filter.String(), everything); err != nil || !reflect.DeepEqual(again, filter) {
				t.Errorf("%s became %v (%v)", filter, again, err)
			}
			_, err = parseFilter(test.write(test.limit+1), everything)
			checkError(t, err, InvalidRequest, OptionFilter)
		})
	}
}

// TestFilterErrorsHoldNoValues holds that what a filter compares with, which may be personal, is not repeated.
func TestFilterErrorsHoldNoValues(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{
		"externalId eq 'canary' 'canary'", "accountEnabled eq 'canary'", "terminationDate eq canary", "externalId gt 'canary'",
		"externalId eq 'canary", "(externalId eq 'canary'", "id eq canary", "'canary' eq externalI", "displayName eq canary'canary'",
		"note in ('canary')", "externalId in (canary)", "endswith(externalId,'canary')", "externalId eq canary'", "schools/$count eq canary",
	} {
		if _, err := parseFilter(filter, everything); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", filter, err)
		}
	}
}

// drawFilter draws a filter that a parse could have given, over the fields and navigation properties of a resource.
func drawFilter(t *rapid.T, fields []Field, depth int) Filter {
	kinds := []string{"compare", "match", "count", "any", "not", "and", "or"}
	if depth == 0 {
		kinds = kinds[:3]
	}
	switch rapid.SampledFrom(kinds).Draw(t, "node") {
	case "match":
		field := rapid.SampledFrom(slices.DeleteFunc(slices.Clone(fields), func(field Field) bool { return len(field.Functions) == 0 })).Draw(t, "field")
		return &Match{field.Name, rapid.SampledFrom(field.Functions).Draw(t, "function"), rapid.String().Draw(t, "text")}
	case "count":
		navigation := rapid.SampledFrom([]string{"schools", "members"}).Draw(t, "navigation")
		return &Count{navigation, rapid.SampledFrom(comparisons).Draw(t, "operator"), rapid.IntRange(0, MaxNumber).Draw(t, "count")}
	case "any":
		if rapid.Bool().Draw(t, "school") {
			return &Any{"schools", drawBody(t, schoolFields, depth-1)}
		}
		return &Any{"members", drawBody(t, userFields, depth-1)}
	case "not":
		return &Not{drawFilter(t, fields, depth-1)}
	case "and":
		return &And{drawOperands(t, fields, depth-1, func(operand Filter) bool { _, same := operand.(*And); return !same })}
	case "or":
		return &Or{drawOperands(t, fields, depth-1, func(operand Filter) bool { _, same := operand.(*Or); return !same })}
	default:
		return drawCompare(t, fields)
	}
}

func drawBody(t *rapid.T, fields []Field, depth int) Filter {
	if rapid.IntRange(0, 4).Draw(t, "empty") == 0 {
		return nil
	}
	return drawFilter(t, fields, depth)
}

func drawOperands(t *rapid.T, fields []Field, depth int, accept func(Filter) bool) []Filter {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Filter { return drawFilter(t, fields, depth) }).Filter(accept), 2, 4).Draw(t, "operands")
}

func drawCompare(t *rapid.T, fields []Field) Filter {
	field := rapid.SampledFrom(slices.DeleteFunc(slices.Clone(fields), func(field Field) bool { return len(field.Operators) == 0 })).Draw(t, "field")
	compare := &Compare{field.Name, rapid.SampledFrom(field.Operators).Draw(t, "operator"), nil}
	if (compare.Operator == Eq || compare.Operator == Ne) && rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		return compare
	}
	switch field.Kind {
	case KindBoolean:
		compare.Value = rapid.Bool().Draw(t, "value")
	case KindDateTimeOffset:
		first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
		compare.Value = time.Unix(rapid.Int64Range(first, last).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "fraction")).UTC()
	default:
		compare.Value = rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"'", "''", "P1D", "x'", "null", "a') or (b", testID})).Draw(t, "value")
	}
	return compare
}

// TestFilterString holds that the text of a filter says what the filter says.
func TestFilterString(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		filter := drawFilter(t, userFields, 4)
		if nodes, _ := measure(filter); nodes > MaxFilterNodes {
			t.Skip("too large")
		}
		again, err := parseFilter(filter.String(), everything)
		if err != nil {
			t.Fatalf("%s: %v", filter, err)
		}
		if !reflect.DeepEqual(again, filter) {
			t.Fatalf("%s became %s", filter, again)
		}
		if again.String() != filter.String() {
			t.Fatalf("%s has the text %s", filter, again)
		}
	})
}

func TestFilterStringPanics(t *testing.T) {
	t.Parallel()
	type foreign struct{ Filter }
	for _, filter := range []Filter{not(foreign{}), is("id", 1)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T has a text", filter)
				}
			}()
			_ = filter.String()
		}()
	}
}

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"externalId eq '4711'", "externalId eq ''''", "externalId eq 'P1D'", "(((id eq null)))", "accountEnabled eq true", "geo_distance ",
		"terminationDate eq 2027-01-01T00:00:00 02:00", "accountEnabled and geo_length ", "externalId() eq 'x'", "externalId in ('a',1)",
		"id eq " + testID, "'x' eq externalId", "externalId eq duration'P1D'", "externalId eq 'a''b' ", "\xff eq ''", "geoxlength(",
		"not accountEnabled and externalId in ('a','b')", "schools/any(s:s/closed or s/id eq 'x')", "schools/any(p,p eq 1)", "schools/any()",
		"members/any(m:m/schools/any(s:s/externalId eq '5a') and m/accountEnabled)", "schools/$count ge 2 or 0 eq members/$count",
		"startswith(displayName,'x') and contains(date,'')", "nullable eq 'x'", "external_x0020_Id eq 'x'", "student/externalId eq 'x'",
		"a eq b eq c", "externalId eq (1,2)", "(a,b) eq (1,2)", "1 and 2", "externalId in 'x'", "externalId eq 1and b eq 2",
		"terminationDate lt 2021-99-99T25:61:00x5Z", "not not not accountEnabled", "a/allowed", "-a eq 1e5", "größe eq 'x'", "tolower(a) eq 'x'",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > MaxFilterLength {
			return // ParseQuery refuses it.
		}
		checkTime(t, "parse", maxParse, func() { _, _ = parseFilter(text, everything) })
		if _, err := parseFilter(text+canary, everything); err != nil && strings.Contains(fmt.Sprint(err), canary[1:6]) && !strings.Contains(text, canary[1:6]) {
			t.Fatalf("%q: the error repeats a value: %v", text, err)
		}
		filter, err := parseFilter(text, everything)
		if err != nil {
			checkFault(t, err)
			return
		}
		checkFilter(t, filter, userFields)
		if nodes, depth := measure(filter); nodes > MaxFilterNodes || depth > MaxFilterDepth {
			t.Fatalf("%q became %d nodes in %d levels", text, nodes, depth)
		}
		again, err := parseFilter(filter.String(), everything)
		if err != nil || !reflect.DeepEqual(again, filter) {
			t.Fatalf("%q became %s, which became %v (%v)", text, filter, again, err)
		}
	})
}

// checkFilter checks what a filter promises its consumer.
func checkFilter(t *testing.T, filter Filter, fields []Field) {
	t.Helper()
	switch filter := filter.(type) {
	case *And:
		checkOperands(t, filter.Operands, fields)
	case *Or:
		checkOperands(t, filter.Operands, fields)
	case *Not:
		checkFilter(t, filter.Operand, fields)
	case *Compare:
		field, _ := fieldOf(fields)(filter.Property)
		if field.Name != filter.Property || !slices.Contains(field.Operators, filter.Operator) {
			t.Fatalf("got an unchecked comparison: %+v", filter)
		}
	case *Match:
		field, _ := fieldOf(fields)(filter.Property)
		if field.Name != filter.Property || !slices.Contains(field.Functions, filter.Function) {
			t.Fatalf("got an unchecked function: %+v", filter)
		}
	case *Any:
		target := schoolFields
		if filter.Navigation == "members" {
			target = userFields
		}
		if filter.Filter != nil {
			checkFilter(t, filter.Filter, target)
		}
	case *Count:
		if filter.Value < 0 || !slices.Contains(comparisons, filter.Operator) {
			t.Fatalf("got an unchecked count: %+v", filter)
		}
	default:
		t.Fatalf("got a %T", filter)
	}
}

func checkOperands(t *testing.T, operands []Filter, fields []Field) {
	t.Helper()
	if len(operands) < 2 {
		t.Fatalf("got %d operands", len(operands))
	}
	for _, operand := range operands {
		checkFilter(t, operand, fields)
	}
}
