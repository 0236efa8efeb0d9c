package identity

import (
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// compiled returns the text of a filter, which must be one to another implementation too.
func compiled(t *testing.T, filter *wire.Filter) string {
	t.Helper()
	text := filter.String()
	if _, err := ldap.CompileFilter(text); err != nil {
		t.Errorf("%s does not compile: %v", text, err)
	}
	return text
}

func TestEqualFilters(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.FixedZone("", 2*3600))
	tests := []struct {
		name       string
		set        *education.EntitySet
		property   string
		value      any
		compatible bool
		want       string
	}{
		{"string", education.Users, "displayName", "Max", false, `(displayName=Max)`},
		{"special characters", education.Users, "displayName", `*)(uid=*\`, false, `(displayName=\2a\29\28uid=\2a\5c)`},
		{"NUL and no UTF-8", education.Users, "displayName", "\x00\xff", false, `(displayName=\00\ff)`},
		{"umlaut", education.Users, "displayName", "ü", false, `(displayName=\c3\bc)`},
		{"blanks", education.Users, "displayName", " x ", false, `(displayName= x )`},
		{"empty", education.Users, "displayName", "", false, `(|)`},
		{"id", education.Classes, "id", "0E2F1BD5-9a2d-4a3b-a6c1-000000000001", false, `(openCloudUUID=0E2F1BD5-9a2d-4a3b-a6c1-000000000001)`},
		{"true", education.Users, "accountEnabled", true, false, `(openCloudUserEnabled=TRUE)`},
		{"false", education.Users, "accountEnabled", false, false, `(openCloudUserEnabled=FALSE)`},
		{"date", education.Schools, "terminationDate", at, false, `(openCloudEducationSchoolTerminationTimestamp=20260701100000Z)`},
		{"fraction", education.Schools, "createdDateTime", at.Add(time.Millisecond), false, `(createTimestamp=20260701100000.001Z)`},
		{"null", education.Users, "displayName", nil, false, `(!(displayName=*))`},
		{"null or empty", education.Users, "mail", nil, false, `(!(&(mail=*)(!(mail=))))`},
		{"stand-in", education.Users, "surname", "Max", false, `(&(sn=Max)(!(educationPlaceholder=sn)))`},
		{"no stand-in", education.Users, "surname", nil, false, `(!(&(sn=*)(!(educationPlaceholder=sn))))`},
		{"stand-in shown", education.Users, "surname", "Max", true, `(sn=Max)`},
		{"stand-in shown, null", education.Users, "surname", nil, true, `(!(sn=*))`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDirectory(t, nil, education.Rules{Compatible: test.compatible})
			filter, exact := d.compare(test.set, test.set.Property(test.property), odata.Eq, test.value).filter(true)
			if !exact {
				t.Error("the directory cannot be asked for exactly that")
			}
			if got := compiled(t, filter); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestLinkFilters(t *testing.T) {
	t.Parallel()
	members, schools := education.NavigationOf(education.Classes, "members"), education.NavigationOf(education.Users, "schools")
	tests := []struct {
		name  string
		nav   *education.Navigation
		links []string
		want  []string
	}{
		{"ids", schools, []string{"a", "*"}, []string{`(openCloudUUID=a)`, `(openCloudUUID=\2a)`}},
		{"named by id", members, []string{"openCloudUUID=1," + userBase}, []string{`(openCloudUUID=1)`}},
		{"named by OpenCloud", members, []string{`uid=a\2cb\+\20,` + userBase}, []string{`(uid=a,b+ )`}},
		{"two attributes", members, []string{"uid=max+cn=Max *," + userBase}, []string{`(&(uid=max)(cn=Max \2a))`}},
		{"empty, as OpenCloud writes it", members, []string{""}, nil},
		{"no DN", members, []string{"max"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, filter := range linkFilters(test.nav, test.links) {
				got = append(got, compiled(t, filter))
			}
			wantStrings(t, got, test.want)
		})
	}
}

func TestFoldDN(t *testing.T) {
	t.Parallel()
	same := []string{"uid=Straße," + userBase, "UID=strasse, ou=Users,DC=opencloud,dc=eu", `uid=\53tra\c3\9fe,` + userBase}
	for _, dn := range same[1:] {
		if foldDN(dn) != foldDN(same[0]) {
			t.Errorf("%s is not the same as %s", dn, same[0])
		}
	}
	for _, dn := range []string{"uid=strase," + userBase, "cn=strasse," + userBase, `uid=strasse\,` + userBase, userBase, "", "max"} {
		if foldDN(dn) == foldDN(same[0]) {
			t.Errorf("%s is the same as %s", dn, same[0])
		}
	}
}
