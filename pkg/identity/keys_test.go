package identity

import (
	"slices"
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
)

func wantStrings(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKeysOf(t *testing.T) {
	t.Parallel()
	const id = "0e2f1bd5-9a2d-4a3b-a6c1-000000000001"
	one := education.Rules{}
	many := education.Rules{SchoolsPerUser: education.ManySchools}
	tests := []struct {
		name    string
		set     *education.EntitySet
		rules   education.Rules
		values  map[string]any
		schools []string
		want    []string
	}{
		{"user", education.Users, one, map[string]any{"onPremisesSamAccountName": "Max", "externalId": "4711"}, nil, []string{
			"user/username/-/max", "user/externalId/-/4711",
		}},
		{"user in a school", education.Users, one, map[string]any{"onPremisesSamAccountName": "max", "externalId": " A  B/C "}, []string{"S1"}, []string{
			"user/username/-/max", "user/externalId/s1/a b/c",
		}},
		{"user in two schools", education.Users, many, map[string]any{"externalId": "Straße"}, []string{"s1", "s2"}, []string{
			"user/externalId/s1/strasse", "user/externalId/s2/strasse",
		}},
		{
			"user, externalIds everywhere", education.Users,
			education.Rules{ExternalIDScope: education.ScopeGlobal},
			map[string]any{"externalId": "4711"},
			[]string{"s1"},
			[]string{"user/externalId/-/4711"},
		},
		{"class in two schools", education.Classes, one, map[string]any{"externalId": "5a"}, []string{"s1", "s2"}, []string{
			"class/externalId/s1/5a", "class/externalId/s2/5a",
		}},
		{
			"class in compatibility mode", education.Classes,
			education.Rules{Compatible: true},
			map[string]any{"externalId": "5a"},
			[]string{"s1"},
			[]string{"class/externalId/-/5a"},
		},
		{"school", education.Schools, one, map[string]any{"displayName": "Große Schule", "schoolNumber": "0042", "externalId": "x"}, nil, []string{
			"school/displayName/-/grosse schule", "school/number/-/0042", "school/externalId/-/x",
		}},
		{"nothing unique", education.Classes, one, map[string]any{"displayName": "5a"}, nil, []string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			entity := education.NewEntity(test.set)
			entity.SetValue(test.set.ID, id)
			for name, value := range test.values {
				entity.SetValue(test.set.Property(name), value)
			}
			wantStrings(t, keyTexts(newDirectory(t, nil, test.rules).keysOf(entity, test.schools)), test.want)
		})
	}
}

func TestNewRefusesABaseThatIsNoDN(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "users", "ou=users,"} {
		if _, err := New(Config{UserBase: base, ClassBase: classBase, SchoolBase: schoolBase}); err == nil {
			t.Errorf("%q: no error", base)
		}
	}
}
