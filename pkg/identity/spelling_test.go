package identity

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/odata"
)

func TestSpellings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		at   edges
		want []string
	}{
		{"", whole, []string{""}},
		{"max", whole, []string{"max"}},
		{"schule", whole, []string{"schule"}},
		{"strasse", whole, []string{"strasse", "straße"}},
		{"sss", whole, []string{"sss", "sß", "ßs"}},
		{"σοφός", whole, []string{"σοφόσ", "σοφός", "ςοφόσ", "ςοφός"}},
		{"İzmir is", whole, []string{"i\u0307zmir is", "İzmir is"}},
		{"s", edges{start: true}, []string{"s", "ß"}},
		{"gros", edges{end: true}, []string{"gros", "groß"}},
		{"hi", edges{end: true}, []string{"hi", "hİ"}},
		{"s s", edges{start: true, end: true}, []string{"s s", "s ß", "ß s", "ß ß"}},
		{"gros", edges{start: true}, []string{"gros"}},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			got := spellings(match.CaseIgnore(test.text), test.at)
			if test.text == "" {
				got = spellings("", test.at)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, text := range got {
				if test.at == whole && match.CaseIgnore(text) != match.CaseIgnore(test.text) {
					t.Errorf("%q is another text", text)
				}
			}
		})
	}
	if got := len(spellings("ssssssssssssssssssss", whole)); got > maxSpellings {
		t.Errorf("%d spellings, want at most %d", got, maxSpellings)
	}
}

// TestLooseFilters holds what a directory with matching rules of its own is asked for.
func TestLooseFilters(t *testing.T) {
	t.Parallel()
	compare := func(operator odata.Operator, value any) odata.Filter {
		return &odata.Compare{Property: "displayName", Operator: operator, Value: value}
	}
	created := func(operator odata.Operator) odata.Filter {
		at := time.Date(2026, 7, 1, 10, 0, 0, 1000, time.UTC)
		return &odata.Compare{Property: "createdDateTime", Operator: operator, Value: at}
	}
	part := func(function odata.Function, value string) odata.Filter {
		return &odata.Match{Property: "displayName", Function: function, Value: value}
	}
	tests := []struct {
		name   string
		filter odata.Filter
		want   string
		exact  bool
	}{
		{"eq", compare(odata.Eq, " Max  "), `(displayName=max)`, false},
		{"eq with two spellings", compare(odata.Eq, "STRASSE"), `(|(displayName=strasse)(displayName=stra\c3\9fe))`, false},
		{"eq as it is stored", compare(odata.Eq, "Straße"), `(|(displayName=strasse)(displayName=stra\c3\9fe)(displayName=Stra\c3\9fe))`, false},
		{"eq with characters that nobody sees", compare(odata.Eq, "a\u00adb"), `(|(displayName=ab)(displayName=a\c2\adb))`, false},
		{"ne", compare(odata.Ne, "Max"), `(objectClass=*)`, false},
		{"eq null", compare(odata.Eq, nil), `(!(displayName=*))`, true},
		{"contains", part(odata.Contains, " Max "), `(displayName=*max*)`, false},
		{"contains a blank", part(odata.Contains, " "), `(displayName=*)`, false},
		{"startswith", part(odata.StartsWith, "s"), `(|(displayName=s*)(displayName=\c3\9f*))`, false},
		{"endswith", part(odata.EndsWith, "s"), `(|(displayName=*s)(displayName=*\c3\9f))`, false},
		{"not contains", &odata.Not{Operand: part(odata.Contains, "x")}, `(displayName=*)`, false},
		{"lt a fraction", created(odata.Lt), `(createTimestamp<=20260701100000Z)`, true},
		{"le a fraction", created(odata.Le), `(createTimestamp<=20260701100000Z)`, true},
		{"gt a fraction", created(odata.Gt), `(&(createTimestamp>=20260701100000Z)(!(createTimestamp=20260701100000Z)))`, true},
		{"ge a fraction", created(odata.Ge), `(&(createTimestamp>=20260701100000Z)(!(createTimestamp=20260701100000Z)))`, true},
		{"id", &odata.Compare{Property: "id", Operator: odata.Eq, Value: "6f0b9f1c-52a5-4a19-9ad1-4d2b8f4f7a10"}, `(openCloudUUID=6f0b9f1c-52a5-4a19-9ad1-4d2b8f4f7a10)`, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDirectory(t, nil, education.Rules{})
			d.loosely = true
			condition, err := d.condition(t.Context(), education.Users, test.filter)
			if err != nil {
				t.Fatal(err)
			}
			filter, exact := condition.filter(true)
			if got := compiled(t, filter); got != test.want || exact != test.exact {
				t.Errorf("got %s, exact %v, want %s, exact %v", got, exact, test.want, test.exact)
			}
		})
	}
}
