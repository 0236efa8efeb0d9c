package embedded

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/pkg/identity/match"
)

// TestSchemaTable holds what the rest of the package takes for granted of the table.
func TestSchemaTable(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	unseen := func(name, of string) {
		if other, taken := seen[strings.ToLower(name)]; taken {
			t.Errorf("%s is declared by %s and by %s", name, other, of)
		}
		seen[strings.ToLower(name)] = of
	}
	for _, a := range directory.all {
		for _, name := range append(strings.Fields(a.names), a.oid) {
			if _, ok := match.ObjectIdentifier(name); !ok {
				t.Errorf("%s is no name or object identifier", name)
			}
			unseen(name, a.name)
		}
		checkAttributeRow(t, a)
	}
	for _, c := range directory.classList {
		unseen(c.name, c.name)
		unseen(c.oid, c.name)
		for _, a := range c.must {
			// Members are not part of an entry's record, so nothing would notice that one is missing.
			if a.is(link) {
				t.Errorf("class %s demands %s", c.name, a.name)
			}
		}
	}
}

func checkAttributeRow(t *testing.T, a *attribute) {
	t.Helper()
	if a.is(link) && (a.equality.name != "distinguishedNameMatch" || a.is(single) || len(a.subtypes) > 1) {
		t.Errorf("%s cannot be kept as links", a.name)
	}
	if a.is(unique) && !a.indexed() {
		t.Errorf("%s is unique and has no index", a.name)
	}
	if a.is(computed) && !a.is(operational) {
		t.Errorf("%s is computed and could be written", a.name)
	}
	if a.ordering != nil {
		// Ranges are read from the equality index.
		for _, value := range []string{"Ä b", "20260101000000Z", testID(1)} {
			equality, okEquality := a.equality.normalize(value)
			ordering, okOrdering := a.ordering.normalize(value)
			if okEquality && okOrdering && equality != ordering {
				t.Errorf("%s: equality and ordering normalise %q to %q and %q", a.name, value, equality, ordering)
			}
		}
	}
}

func TestSchemaFindsEveryName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"cn": "cn", "COMMONNAME": "cn", "2.5.4.3": "cn", "surname": "sn", "opencloudeducationexternalid": "openCloudEducationExternalId",
		"2.25.203626552249717368959401315789241744051.1.1": "educationUniqueKey", "rfc822mailbox": "mail",
	} {
		if a := directory.attribute(name); a == nil || a.name != want {
			t.Errorf("attribute %s: got %v, want %s", name, a, want)
		}
	}
	for name, want := range map[string]string{
		"INETORGPERSON": "inetOrgPerson", "2.5.6.9": "groupOfNames", "educationobject": "educationObject",
		"1.3.6.1.4.1.63016.1.2.5": "openCloudEducationSchool",
	} {
		if c := directory.class(name); c == nil || c.name != want {
			t.Errorf("class %s: got %v, want %s", name, c, want)
		}
	}
	for _, name := range []string{"", "cn;lang-de", "nothing", "2.5.4"} {
		if directory.attribute(name) != nil || directory.class(name) != nil {
			t.Errorf("%q was found", name)
		}
	}
}

func TestSyntaxes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		attribute string
		good, bad []string
	}{
		{"displayName", []string{"a", " ", "Ü\x00", strings.Repeat("ü", 10_000), "\U0001F393"}, []string{"", "\xff", "a\xc3"}},
		{"mail", []string{"", "a@b.de"}, []string{"ä@b.de", "\xff"}},
		{"openCloudUUID", []string{testID(1), strings.ToUpper(testID(10))}, []string{"", "1", "{" + testID(1) + "}"}},
		{"openCloudUserEnabled", []string{"TRUE", "FALSE"}, []string{"", "yes", "1"}},
		{"openCloudLastSignInTimestamp", []string{"20261122041722Z", "2026112204+01"}, []string{"", "2026-11-22T04:17:22Z", "20261122041722"}},
		{"telephoneNumber", []string{"+49 30 1234-5"}, []string{"", "0049/ü", "a\x00"}},
		{"x121Address", []string{"1 2"}, []string{"", "a"}},
		{"seeAlso", []string{"", "cn=a"}, []string{"a", "cn=a,", "openCloudUUID=x"}},
		{"userPassword", []string{"", "\x00\xff"}, nil},
		{"objectClass", []string{"person", "2.5.6.6"}, []string{"", "a b", "2.5."}},
	}
	for _, test := range tests {
		t.Run(test.attribute, func(t *testing.T) {
			t.Parallel()
			syntax := directory.attribute(test.attribute).syntax
			for _, value := range test.good {
				if !syntax.valid(value) {
					t.Errorf("%q is refused", value)
				}
			}
			for _, value := range test.bad {
				if syntax.valid(value) {
					t.Errorf("%q is accepted", value)
				}
			}
		})
	}
}

func TestSubschema(t *testing.T) {
	t.Parallel()
	entry := openTest(t).Subschema()
	if entry.DN != "cn=Subschema" || entry.Value("cn") != "Subschema" {
		t.Errorf("subschema is %q", entry.DN)
	}
	for name, want := range map[string]string{
		"ldapSyntaxes":  "( 1.3.6.1.1.16.1 DESC 'UUID' )",
		"matchingRules": "( 2.5.13.2 NAME 'caseIgnoreMatch' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )",
		"attributeTypes": "( 1.3.6.1.4.1.63016.1.1.1 NAME 'openCloudUUID' EQUALITY uuidMatch ORDERING uuidOrderingMatch " +
			"SYNTAX 1.3.6.1.1.16.1 SINGLE-VALUE )",
		"objectClasses": "( 2.25.203626552249717368959401315789241744051.2.1 NAME 'educationObject' SUP top AUXILIARY " +
			"MAY ( educationUniqueKey $ educationPlaceholder ) )",
	} {
		if values := entry.Values(name); !strings.Contains(strings.Join(values, "\n"), want) {
			t.Errorf("%s has no line %s:\n%s", name, want, strings.Join(values, "\n"))
		}
	}
	for _, line := range []string{
		"( 2.5.4.3 NAME ( 'cn' 'commonName' ) SUP name )",
		"( 2.5.18.1 NAME 'createTimestamp' EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch " +
			"SYNTAX 1.3.6.1.4.1.1466.115.121.1.24 SINGLE-VALUE NO-USER-MODIFICATION USAGE directoryOperation )",
	} {
		if !strings.Contains(strings.Join(entry.Values("attributeTypes"), "\n"), line) {
			t.Errorf("attributeTypes has no line %s", line)
		}
	}
}

// TestNamesAgreeWithAnotherParser holds that names are read as go-ldap reads them.
func TestNamesAgreeWithAnotherParser(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"cn=a,ou=b", `cn=a\,b+sn=c\2b,ou= d `, `cn=\20a\20`, "cn=#040161", `cn=\C3\9c`, "ou=Jürgen + cn=\U0001F393", `cn=a\"b`,
	} {
		theirs, err := ldap.ParseDN(text)
		ours, ok := directory.parseDN(text)
		if err != nil || !ok {
			t.Errorf("%s: go-ldap says %v, ours %v", text, err, ok)
			continue
		}
		if got, want := fmt.Sprint(valuesOf(ours)), fmt.Sprint(valuesOfTheirs(theirs)); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func valuesOf(dn *match.DN) (values []string) {
	for _, rdn := range dn.RDNs {
		for _, value := range rdn.Values {
			values = append(values, value.Attribute+"="+value.Value)
		}
	}
	return values
}

func valuesOfTheirs(dn *ldap.DN) (values []string) {
	for _, rdn := range dn.RDNs {
		for _, value := range rdn.Attributes {
			values = append(values, value.Type+"="+value.Value)
		}
	}
	return values
}
