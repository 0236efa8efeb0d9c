package odata

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseQuery(t *testing.T) {
	t.Parallel()
	isMax := &Compare{Property: "externalId", Operator: Eq, Value: "max"}
	number := func(n int) *int { return &n }
	tests := []struct {
		name string
		raw  string
		want *Query
	}{
		{"nothing", "", &Query{}},
		{"only separators", "&&", &Query{}},
		{"filter", "$filter=externalId%20eq%20'max'", &Query{Filter: isMax}},
		{"escaped dollar", "%24filter=externalId%20eq%20%27max%27", &Query{Filter: isMax}},
		{"option in another case", "$Filter=externalId%20eq%20'max'", &Query{Filter: isMax}},
		{"plus for a space", "$filter=externalId+eq+'max'", &Query{Filter: isMax}},
		{"escaped plus", "$filter=externalId+eq+'a%2Bb'", &Query{Filter: &Compare{"externalId", Eq, "a+b"}}},
		{"ampersand and hash in a string", "$filter=externalId+eq+'a%26b%23c'", &Query{Filter: &Compare{"externalId", Eq, "a&b#c"}}},
		{"OData's id", "$id=https://host/users/4711", &Query{ID: "https://host/users/4711"}},
		{"Graph's id", "@id=users/4711", &Query{ID: "users/4711"}},
		{"Graph's id, escaped, in another case", "%40ID=users/4711", &Query{ID: "users/4711"}},
		{"both options", "$id=users/4711&$filter=externalId+eq+'max'", &Query{Filter: isMax, ID: "users/4711"}},
		{"longest id", "$id=" + strings.Repeat("x", MaxReferenceLength), &Query{ID: strings.Repeat("x", MaxReferenceLength)}},
		{"longest cursor", "$skiptoken=" + strings.Repeat("x", MaxCursorLength), &Query{Cursor: strings.Repeat("x", MaxCursorLength)}},
		{"semicolon", "$filter=externalId eq 'a;b'", &Query{Filter: is("externalId", "a;b")}},
		{"plus of an offset", "$filter=terminationDate+eq+2027-01-01T00:00:00+02:00", &Query{
			Filter: is("terminationDate", time.Date(2026, 12, 31, 22, 0, 0, 0, time.UTC)),
		}},
		{"top", "$top=5", &Query{Top: number(5)}},
		{"top of nothing", "$top=0", &Query{Top: number(0)}},
		{"top with zeros", "$top=007", &Query{Top: number(7)}},
		{"largest top", "$top=2147483647", &Query{Top: number(MaxNumber)}},
		{"skip", "$skip=2147483647", &Query{Skip: MaxNumber}},
		{"skip of nothing", "$skip=0", &Query{}},
		{"count", "$count=true", &Query{Count: true}},
		{"count in another case", "$Count=FALSE", &Query{}},
		{"cursor as JavaScript's SDK spells it", "$skipToken=a%2Bb%3D", &Query{Cursor: "a+b="}},
		{"format", "$format=json", &Query{}},
		{"format as a media type", "$format=Application/JSON", &Query{}},
		{"select, orderby, search and expand", "$select=id&$orderBy=id desc&$search=max&$expand=schools($select=id;$top=1)", &Query{
			Select: []string{"id"}, OrderBy: []Order{{"id", true}}, Search: &SearchTerm{"", "max"},
			Expand: []Expand{{"schools", &Query{Select: []string{"id"}, Top: number(1)}}},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseQuery(test.raw, everything)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseQueryRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<17)
	cut := strings.Repeat("x", maxShown) + "…"
	tests := []struct {
		name   string
		raw    string
		code   Code
		target string
	}{
		{"unknown", "foo=1", InvalidRequest, "foo"},
		{"unknown without a value", "foo", InvalidRequest, "foo"},
		{"unknown with a dollar", "$foo=1", InvalidRequest, "$foo"},
		{"unknown beside a known one", "$filter=externalId+eq+'max'&foo=1", InvalidRequest, "foo"},
		{"first of several, whatever their order", "zoo=1&bar=1&foo=1", InvalidRequest, "bar"},
		{"custom with an at sign", "@p1='x'", InvalidRequest, "@p1"},
		{"without a dollar", "filter=externalId+eq+'max'", InvalidRequest, "filter"},
		{"without a dollar, unsupported", "Top=1", InvalidRequest, "Top"},
		{"expanded to nothing by a shell", "=x", InvalidRequest, ""},
		{"equals sign alone", "=", InvalidRequest, ""},
		{"twice", "$filter=externalId+eq+'a'&$filter=externalId+eq+'b'", InvalidRequest, "$filter"},
		{"twice the same", "$filter=externalId+eq+'a'&$filter=externalId+eq+'a'", InvalidRequest, "$filter"},
		{"twice in different case", "$filter=externalId+eq+'a'&$FILTER=externalId+eq+'b'", InvalidRequest, "$filter"},
		{"twice, once escaped", "$filter=externalId+eq+'a'&%24filter=externalId+eq+'b'", InvalidRequest, "$filter"},
		{"both spellings of the id", "$id=users/1&@id=users/2", InvalidRequest, "$id"},
		{"empty filter", "$filter=", InvalidRequest, "$filter"},
		{"filter without a value", "$filter", InvalidRequest, "$filter"},
		{"filter of blanks", "$filter=%20%09", InvalidRequest, "$filter"},
		{"empty id", "@id=", InvalidRequest, "$id"},
		{"malformed escape", "$filter=externalId eq '%zz'", InvalidRequest, ""},
		{"truncated escape", "$filter=externalId eq '%2", InvalidRequest, ""},
		{"malformed escape in a name", "%2=1", InvalidRequest, ""},
		{"too long", "$id=" + long, InvalidRequest, "$id"},
		{"one byte too long", "$id=" + strings.Repeat("x", MaxReferenceLength+1), InvalidRequest, "$id"},
		{"cursor too long", "$skiptoken=" + strings.Repeat("x", MaxCursorLength+1), InvalidRequest, "$skiptoken"},
		{"filter too long", "$filter=externalId+eq+'" + strings.Repeat("x", MaxFilterLength-15) + "'", InvalidRequest, "$filter"},
		{"search too long", "$search=" + strings.Repeat("x", MaxOptionLength+1), InvalidRequest, "$search"},
		{"select too long", "$select=" + strings.Repeat("x", MaxOptionLength+1), InvalidRequest, "$select"},
		{"orderby too long", "$orderby=" + strings.Repeat("x", MaxOptionLength+1), InvalidRequest, "$orderby"},
		{"expand too long", "$expand=" + strings.Repeat("x", MaxOptionLength+1), InvalidRequest, "$expand"},
		{"name too long", long + "=1", InvalidRequest, cut},
		{"NUL", "$filter=externalId+eq+'a%00b'", InvalidRequest, "$filter"},
		{"escape character", "$id=users/%1B", InvalidRequest, "$id"},
		{"DEL", "$id=users/%7F", InvalidRequest, "$id"},
		{"invalid UTF-8", "$filter=externalId+eq+'%FF'", InvalidRequest, "$filter"},
		{"surrogate in UTF-8", "$filter=externalId+eq+'%ED%A0%80'", InvalidRequest, "$filter"},
		{"invalid UTF-8 in a name", "f%FFoo=1", InvalidRequest, "foo"},
		{"control characters in a name", "f%00%0Aoo=1", InvalidRequest, "foo"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			query, err := ParseQuery(test.raw, everything)
			if query != nil {
				t.Errorf("got a query beside the error: %+v", query)
			}
			checkError(t, err, test.code, test.target)
		})
	}
}

// TestParseQueryNumbers holds what is no number, no Boolean value and no format. What godata 1.0.11 accepts is among it.
func TestParseQueryNumbers(t *testing.T) {
	t.Parallel()
	values := map[string][]string{
		OptionTop:    {"-1", "+5", "%2B5", "1e3", "1.0", "0x10", "1_000", "five", "'5'", "%205", "5%20", "2147483648", "٣", strings.Repeat("9", 100)},
		OptionSkip:   {"-1", "+5", "%2B5", "1e3", "2147483648"},
		OptionCount:  {"1", "0", "t", "yes", "'true'", "null", "%20true"},
		OptionFormat: {"xml", "atom", "application/xml", "application/json;odata.metadata=all", "application/json;odata.metadata", "json;charset=utf-16", "json;charset=utf-8;odata.metadata=all", "json;odata.metadata=full;odata.metadata=none", "json;x=y", "text/json", "*"},
	}
	for option, values := range values {
		for _, value := range append(values, "", "%20") {
			_, err := ParseQuery(option+"="+value, everything)
			checkError(t, err, InvalidRequest, option)
		}
	}
}

func TestParseFormat(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]Metadata{
		"json": "", "JSON": "", "application/json": "",
		"application/json;odata.metadata=full": MetadataFull, "json; odata.metadata=NONE": MetadataNone,
		"Application/Json;OData.Metadata=minimal": MetadataMinimal,
		"application/json;charset=utf-8":          "", "json; charset=%22UTF-8%22": "",
		"application/json;charset=utf-8;odata.metadata=full":  MetadataFull,
		"application/json;odata.metadata=none; charset=utf-8": MetadataNone,
	} {
		query, err := ParseQuery(OptionFormat+"="+value, everything)
		if err != nil || query.Metadata != want {
			t.Errorf("%s: got %+v, %v, want %q", value, query, err, want)
		}
	}
}

// TestParseQuerySupportsWhatItParses holds that an option that only the resource knows is refused.
func TestParseQuerySupportsWhatItParses(t *testing.T) {
	t.Parallel()
	_, err := ParseQuery("$apply=x", Resource{Options: []string{"$apply"}})
	checkError(t, err, NotSupported, "$apply")
}

// TestParseQuerySystemOptions holds that no option of OData is taken for another one or ignored.
func TestParseQuerySystemOptions(t *testing.T) {
	t.Parallel()
	for _, option := range systemOptions {
		for _, spelling := range []string{option, strings.ToUpper(option), url.QueryEscape(option)} {
			_, err := ParseQuery(spelling+"=1", Resource{})
			checkError(t, err, NotSupported, option)
		}
		bare := strings.TrimPrefix(option, "$")
		_, err := ParseQuery(bare+"=1", Resource{})
		checkError(t, err, InvalidRequest, bare)
		if !strings.Contains(fmt.Sprint(err), option) {
			t.Errorf("%q is not told about %q: %v", bare, option, err)
		}
	}
	_, err := ParseQuery("@id=users/1", Resource{Options: []string{OptionFilter}})
	checkError(t, err, NotSupported, OptionID)
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "&", "=", "=x", "$filter=externalId eq 'max'", "$filter=externalId+eq+'a%2Bb'&$top=1", "filter=x", "$filter=", "@id=users/1",
		"$id=users('1')&@id=2", "$FILTER=id eq null&$filter=id eq null", "%24filter=%zz", "a;b", "$skiptoken=x", "\x00=\xff", "$expand=)",
		"$top=0&$skip=1&$count=true&$format=json", "$select=*&$orderby=id desc&$search=\"displayName:max\"&$expand=schools($select=id;$top=1)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if len(raw) <= maxQuery {
			checkTime(t, "parse", maxParse, func() { _, _ = ParseQuery(raw, everything) })
		}
		query, err := ParseQuery(raw, everything)
		again, errAgain := ParseQuery(raw, everything)
		if fmt.Sprint(err) != fmt.Sprint(errAgain) || !reflect.DeepEqual(query, again) {
			t.Fatalf("two answers to %q: %v, %v and %v, %v", raw, query, err, again, errAgain)
		}
		if err != nil {
			checkBounded(t, err.(*Error)) //nolint:errorlint // every error of ParseQuery is one
			return
		}
		silent := regexp.MustCompile(`(?i)\$(skip|count|format|select)=`) // Their values may say what holds without them.
		if decoded, _ := url.QueryUnescape(raw); strings.Contains(raw, "=") && reflect.DeepEqual(query, &Query{}) && !silent.MatchString(decoded) {
			t.Errorf("%q was ignored", raw)
		}
		checkQuery(t, query)
	})
}
