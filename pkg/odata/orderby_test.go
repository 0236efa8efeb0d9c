package odata

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrderBy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []Order
	}{
		{"one", "displayName", []Order{{"displayName", false}}},
		{"asc", "displayName asc", []Order{{"displayName", false}}},
		{"desc", "displayName desc", []Order{{"displayName", true}}},
		{"another case and tabs", "\tDISPLAYNAME\tDesc ", []Order{{"displayName", true}}},
		{"several", "displayName desc,id, externalId ASC", []Order{{"displayName", true}, {"id", false}, {"externalId", false}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseOrderBy(test.text, everything)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestOrderByRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		code       Code
		target     string
	}{
		{"unknown", "nonsense", InvalidRequest, "nonsense"},
		{"path", "student/externalId", InvalidRequest, "student/externalId"},
		{"navigation property", "schools", NotSupported, "schools"},
		{"not sortable", "accountEnabled", NotSupported, "accountEnabled"},
		{"twice", "id,ID desc", InvalidRequest, "id"},
		{"unknown direction", "id up", InvalidRequest, OptionOrderBy},
		{"three words", "id asc desc", InvalidRequest, OptionOrderBy},
		{"direction alone", "desc", InvalidRequest, "desc"},
		{"function", "tolower(displayName)", NotSupported, OptionOrderBy},
		{"function of two", "concat(displayName,id)", NotSupported, OptionOrderBy},
		{"empty key", "id,,externalId", InvalidRequest, OptionOrderBy},
		{"comma alone", ",", InvalidRequest, OptionOrderBy},
		{"no-break space", "id\u00a0desc", InvalidRequest, "iddesc"},
		{"unprintable", "\u200b", InvalidRequest, OptionOrderBy},
		{"too many", strings.Repeat("id,", MaxOrderBy) + "id", InvalidRequest, OptionOrderBy},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseOrderBy(test.text, everything)
			checkError(t, err, test.code, test.target)
		})
	}
}

// TestOrderByLimit holds that as many keys as the limit says are answered.
func TestOrderByLimit(t *testing.T) {
	t.Parallel()
	sortable := Resource{Field: func(name string) (Field, bool) { return Field{Name: name, Sortable: true}, true }}
	got, err := parseOrderBy("a,b,c,d,e,f,g,h", sortable)
	if err != nil || len(got) != MaxOrderBy {
		t.Errorf("got %v (%v)", got, err)
	}
}

func FuzzOrderBy(f *testing.F) {
	for _, seed := range []string{
		"displayName", "displayName desc,id", "concat(a,b)", "id asc desc", ",", "id,id", "student/externalId desc", "ID\tDESC\n,externalId", "\xff desc",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > MaxOptionLength {
			return // ParseQuery refuses it.
		}
		checkTime(t, "parse", maxParse, func() { _, _ = parseOrderBy(text, everything) })
		orders, err := parseOrderBy(text, everything)
		if err != nil {
			checkFault(t, err)
			return
		}
		for i, order := range orders {
			field, _ := everything.Field(order.Property)
			twice := slices.ContainsFunc(orders[:i], func(other Order) bool { return other.Property == order.Property })
			if field.Name != order.Property || !field.Sortable || twice {
				t.Fatalf("%q became %v", text, orders)
			}
		}
		again, err := parseOrderBy(orderText(orders), everything)
		if err != nil || !cmp.Equal(again, orders) {
			t.Fatalf("%q became %v, which became %v (%v)", text, orders, again, err)
		}
	})
}
