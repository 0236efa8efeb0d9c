package ldapserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIsRequired(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, list, packageName string
		want                    bool
	}{
		{"nothing", "", "slapd", false},
		{"another", "ldap-utils", "slapd", false},
		{"itself", "ldap-utils, slapd ,make", "slapd", true},
		{"a part of a name", "slapd-contrib", "slapd", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := isRequired(test.list, test.packageName); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestParseLDIF(t *testing.T) {
	t.Parallel()
	const text = `# A comment
  that goes on.
dn: cn=a,
  dc=b
objectClass: top
description:: w7w=
description: x:y
  z
# Between the lines.
cn: a

include: file:///etc/ldap/schema/core.ldif

dn: cn=c
olcRefintNothing:
`
	records, err := parseLDIF(text)
	if err != nil || len(records) != 2 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	got := map[string][]string{}
	for _, record := range records {
		for _, attribute := range record.attributes {
			got[record.dn+" "+attribute.Type] = attribute.Vals
		}
	}
	want := map[string][]string{
		"cn=a, dc=b objectClass": {"top"}, "cn=a, dc=b description": {"ü", "x:y z"}, "cn=a, dc=b cn": {"a"}, "cn=c olcRefintNothing": {""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, broken := range []string{"dn: cn=a\nno colon", "dn: cn=a\ncn:: ?"} {
		if _, err := parseLDIF(broken); err == nil {
			t.Errorf("%q is an LDIF file", broken)
		}
	}
}
