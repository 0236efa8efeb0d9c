package education

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/odata"
)

func TestKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		set      *EntitySet
		key      odata.Key
		property string // empty if the key is refused
	}{
		{"id", Users, odata.Key{Value: someID}, "id"},
		{"id in upper case", Classes, odata.Key{Value: strings.ToUpper(someID)}, "id"},
		{"username", Users, odata.Key{Value: "max"}, "onPremisesSamAccountName"},
		{"almost an id", Users, odata.Key{Value: someID + "0"}, "onPremisesSamAccountName"},
		{"id with a blank", Users, odata.Key{Value: someID + " "}, "onPremisesSamAccountName"},
		{"id with a line break", Users, odata.Key{Value: someID + "\n"}, "onPremisesSamAccountName"},
		{"id in braces", Users, odata.Key{Value: "{" + someID + "}"}, "onPremisesSamAccountName"},
		{"number", Schools, odata.Key{Value: "0042"}, "schoolNumber"},
		{"class's externalId", Classes, odata.Key{Value: "5a"}, "externalId"},
		{"user's externalId", Users, odata.Key{Name: "externalId", Value: "4711"}, "externalId"},
		{"name in another case", Users, odata.Key{Name: "EXTERNALID", Value: "4711"}, "externalId"},
		{"username by name", Users, odata.Key{Name: "onPremisesSAMAccountName", Value: "max"}, "onPremisesSamAccountName"},
		{"username by name, shaped like an id", Users, odata.Key{Name: "onPremisesSamAccountName", Value: someID}, "onPremisesSamAccountName"},
		{"school's externalId", Schools, odata.Key{Name: "externalId", Value: "x"}, "externalId"},
		{"school's number by name", Schools, odata.Key{Name: "schoolNumber", Value: "0042"}, "schoolNumber"},
		{"school's name", Schools, odata.Key{Name: "displayName", Value: "A"}, "displayName"},
		{"id by name", Schools, odata.Key{Name: "id", Value: someID}, "id"},
		{"mail", Users, odata.Key{Name: "mail", Value: "max@example.org"}, ""},
		{"user's name", Users, odata.Key{Name: "displayName", Value: "Max"}, ""},
		{"password", Users, odata.Key{Name: "passwordProfile", Value: "x"}, ""},
		{"unknown", Users, odata.Key{Name: "foo", Value: "x"}, ""},
		{"unknown and long", Users, odata.Key{Name: strings.Repeat("x", 1<<10), Value: "x"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := test.set.Key(test.key)
			if test.property == "" {
				checkFault(t, err, odata.InvalidRequest, odata.Printable(test.key.Name))
				return
			}
			if err != nil || got.Property != test.set.Property(test.property) || got.Value != test.key.Value {
				t.Errorf("got %+v, %v, want %s", got, err, test.property)
			}
		})
	}
}

func TestParseReference(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://graph.microsoft.com/v1.0/groups/" + someID: "id", "/classes/5a": "externalId", "/directoryObjects/5a": "externalId",
		"/users/5a": "", "classes(mail='x')": "", "/classes/": "",
	} {
		key, err := ParseReference(Classes, text)
		switch {
		case want == "" && !odata.Is(err, odata.InvalidRequest), want != "" && (err != nil || key.Property.Name != want):
			t.Errorf("%s: got %+v, %v", text, key, err)
		}
	}
}

func TestCheckDeletion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		date any
		want bool
	}{
		{"no date", nil, false},
		{"in the future", now.Add(time.Second), false},
		{"now", now, true},
		{"in the past", now.Add(-time.Second), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			school := NewEntity(Schools)
			school.SetValue(Schools.Property(terminationDate), test.date)
			err := contract.CheckDeletion(school)
			if test.want {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if fault := checkFault(t, err, odata.NotAllowed, terminationDate); len(fault.Allow) == 0 {
				t.Error("a 405 must say what is allowed")
			}
		})
	}
	if err := contract.CheckDeletion(NewEntity(Users)); err != nil {
		t.Errorf("a user may always be deleted: %v", err)
	}
}

func TestUniqueScope(t *testing.T) {
	t.Parallel()
	global := contract
	global.ExternalIDScope = ScopeGlobal
	tests := []struct {
		name  string
		rules Rules
		set   *EntitySet
		of    string
		want  Scope
	}{
		{"user's externalId", contract, Users, "externalId", PerSchool},
		{"user's externalId, global", global, Users, "externalId", Everywhere},
		{"user's externalId, compatible", compatible, Users, "externalId", PerSchool},
		{"class's externalId", contract, Classes, "externalId", PerSchool},
		{"class's externalId, global", global, Classes, "externalId", Everywhere},
		{"class's externalId, compatible", compatible, Classes, "externalId", Everywhere},
		{"school's externalId", contract, Schools, "externalId", Everywhere},
		{"username", contract, Users, username, Everywhere},
		{"mail", global, Users, "mail", NotUnique},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.rules.UniqueScope(test.set, test.set.Property(test.of)); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestIdentityText(t *testing.T) {
	t.Parallel()
	for _, identity := range []Identity{{"federated", "https://idp", "1"}, {"", "a", "b"}, {"x", "$", "$"}, {"", " a ", " b "}} {
		if got, ok := ParseIdentity(identity.String()); !ok || got != identity {
			t.Errorf("%q became %+v", identity.String(), got)
		}
	}
	// Values that others wrote: a separator in the last part is kept, a missing one is an error.
	if got, ok := ParseIdentity(" $ a $ b $ c"); !ok || got != (Identity{"", "a", "b $ c"}) {
		t.Errorf("got %+v, %v", got, ok)
	}
	for _, text := range []string{"", "a", "a $ b", "a$b$c"} {
		if got, ok := ParseIdentity(text); ok {
			t.Errorf("%q became %+v", text, got)
		}
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("", 2*60*60)
	tests := []struct {
		name string
		a, b any
		want bool
	}{
		{"texts", "a", "a", true},
		{"texts in different case", "a", "A", false},
		{"absent", nil, nil, true},
		{"absent and empty", nil, "", false},
		{"text and boolean", "true", true, false},
		{"times in different zones", now, now.In(berlin), true},
		{"times", now, now.Add(time.Second), false},
		{"time and absent", now, nil, false},
		{"identities", []Identity{{"", "a", "b"}}, []Identity{{"", "a", "b"}}, true},
		{"identities in another order", []Identity{{"", "a", "b"}, {"", "c", "d"}}, []Identity{{"", "c", "d"}, {"", "a", "b"}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Equal(test.a, test.b); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestEntity(t *testing.T) {
	t.Parallel()
	user := NewEntity(Users)
	enabled := Users.Property("accountEnabled")
	user.SetValue(Users.ID, someID)
	user.SetValue(enabled, true)
	if got := []any{user.ID(), user.Value(enabled), user.Text("accountEnabled"), user.Text("mail")}; !cmp.Equal(got, []any{someID, true, "", ""}) {
		t.Errorf("got %v", got)
	}
	user.SetValue(enabled, nil)
	if user.Value(enabled) != nil {
		t.Error("nil does not remove a value")
	}
}
