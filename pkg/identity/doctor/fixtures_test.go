package doctor_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/identity/doctor"
	"github.com/opencloud-eu/education/pkg/identity/remote"
)

// The entries of the configuration that tests change.
const (
	database = "olcDatabase={1}mdb,cn=config"
	frontend = "olcDatabase={-1}frontend,cn=config"
	unique   = "olcOverlay={0}unique," + database
	refint   = "olcOverlay={1}refint," + database
)

// startServer starts a server, and a session of its administrator.
func startServer(t *testing.T, options ...ldapserver.Option) (*ldapserver.Server, *ldap.Conn) {
	t.Helper()
	server := ldapserver.OpenLDAP(t, options...)
	return server, server.Connect(t, server.Admin)
}

// configOf returns how the doctor examines servers, the first of which says where the entries are.
func configOf(servers ...*ldapserver.Server) doctor.Config {
	first := servers[0]
	config := doctor.Config{
		Remote:   remote.Config{BindDN: first.BindDN, Password: func() (string, error) { return first.Password, nil }},
		UserBase: first.UserBase, ClassBase: first.ClassBase, SchoolBase: first.SchoolBase, Depth: doctor.Writing,
	}
	for _, server := range servers {
		config.Remote.URIs = append(config.Remote.URIs, server.URI)
	}
	return config
}

// replace gives an attribute of an entry other values; without any it goes.
func replace(t *testing.T, admin *ldap.Conn, dn, attribute string, values ...string) {
	t.Helper()
	request := ldap.NewModifyRequest(dn, nil)
	request.Replace(attribute, values)
	if err := admin.Modify(request); err != nil {
		t.Fatalf("replace %s of %s: %v", attribute, dn, err)
	}
}

func remove(t *testing.T, admin *ldap.Conn, dn string) {
	t.Helper()
	if err := admin.Del(ldap.NewDelRequest(dn, nil)); err != nil {
		t.Fatalf("delete %s: %v", dn, err)
	}
}

func add(t *testing.T, admin *ldap.Conn, dn string, attributes map[string][]string) {
	t.Helper()
	request := ldap.NewAddRequest(dn, nil)
	for name, values := range attributes {
		request.Attribute(name, values)
	}
	if err := admin.Add(request); err != nil {
		t.Fatalf("add %s: %v", dn, err)
	}
}

// skipInShortMode leaves out what is about servers, and has the doctor run nothing side by side that TestOpenLDAP does not.
func skipInShortMode(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a long case")
	}
}

// populate adds a school, a user of it and a class with that user, as the service and OpenCloud both can read them.
func populate(t *testing.T, admin *ldap.Conn, bases ldapserver.Bases) {
	t.Helper()
	const school, user = "11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"
	add(t, admin, "ou=Hermann School,"+bases.SchoolBase, map[string][]string{
		"objectClass": {"organizationalUnit", "openCloudObject", "openCloudEducationSchool"}, "openCloudUUID": {school},
	})
	add(t, admin, "uid=max,"+bases.UserBase, map[string][]string{
		"objectClass": {"inetOrgPerson", "openCloudObject", "openCloudUser", "openCloudEducationUser"}, "openCloudUUID": {user},
		"cn": {"max"}, "sn": {"Muster"}, "openCloudMemberOfSchool": {school}, "userPassword": {"a secret"},
	})
	add(t, admin, "cn=5a,"+bases.ClassBase, map[string][]string{
		"objectClass":   {"groupOfNames", "openCloudObject", "openCloudEducationClass"},
		"openCloudUUID": {"11111111-0000-4000-8000-000000000003"}, "member": {"uid=max," + bases.UserBase},
		"openCloudEducationClassType": {"class"}, "openCloudMemberOfSchool": {school},
	})
}

// dump returns all entries of a tree with all attributes, as lines. What a provider says of how far it is changes with
// every write and is left out.
func dump(t *testing.T, admin *ldap.Conn, base string) []string {
	t.Helper()
	result, err := admin.Search(ldap.NewSearchRequest(
		base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"*", "+"}, nil))
	if err != nil {
		t.Fatalf("dump %s: %v", base, err)
	}
	var lines []string
	for _, entry := range result.Entries {
		for _, attribute := range entry.Attributes {
			if !strings.EqualFold(attribute.Name, "contextCSN") {
				lines = append(lines, entry.DN+" "+attribute.Name+": "+strings.Join(slices.Sorted(slices.Values(attribute.Values)), " | "))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// unchanged holds, at the end of what follows, that a tree is as it is now.
func unchanged(t *testing.T, admin *ldap.Conn, base string) (check func()) {
	t.Helper()
	before := dump(t, admin, base)
	return func() {
		t.Helper()
		if diff := cmp.Diff(before, dump(t, admin, base)); diff != "" {
			t.Errorf("the directory is not as it was before (-before +after):\n%s", diff)
		}
	}
}

// examine examines, and holds that every finding is as wanted: those that are not named are in order. What is measured may go
// wrong on a machine with ten times as much to do as it has processors; it does not go wrong time and again.
func examine(t *testing.T, config doctor.Config, want map[string]doctor.Severity) []doctor.Finding {
	t.Helper()
	const most = 3
	var findings []doctor.Finding
	var got map[string]doctor.Severity
	for range most {
		var err error
		if findings, err = doctor.Examine(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		got = map[string]doctor.Severity{}
		for _, finding := range findings {
			if finding.Severity != doctor.OK {
				got[finding.ID] = max(got[finding.ID], finding.Severity)
			}
		}
		measured := maps.Clone(got)
		maps.DeleteFunc(measured, func(id string, _ doctor.Severity) bool { return !strings.HasPrefix(id, "indexes.") })
		if maps.Equal(got, want) || len(measured) == 0 {
			break
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("findings that are not in order: %v, want %v", got, want)
		for _, finding := range findings {
			t.Logf("%v %s: %s", finding.Severity, finding.ID, finding.Matter)
		}
	}
	checkSentences(t, findings)
	return findings
}

// checkSentences holds that findings are sentences, and that those that are not in order say everything.
func checkSentences(t *testing.T, findings []doctor.Finding) {
	t.Helper()
	for _, finding := range findings {
		for name, text := range map[string]string{"matter": finding.Matter, "cost": finding.Cost, "remedy": finding.Remedy} {
			switch {
			case text == "" && finding.Severity != doctor.OK && !(finding.Severity == doctor.Note && name != "matter"):
				t.Errorf("%s has no %s", finding.ID, name)
			case text == "":
			case !strings.HasSuffix(text, ".") || text[:1] != strings.ToUpper(text[:1]):
				t.Errorf("the %s of %s is no sentence: %q", name, finding.ID, text)
			case strings.Contains(text, "%!"):
				t.Errorf("the %s of %s is badly formatted: %q", name, finding.ID, text)
			}
		}
	}
}

// matterOf returns what the finding with an id says.
func matterOf(findings []doctor.Finding, id string) string {
	for _, finding := range findings {
		if finding.ID == id {
			return finding.Matter
		}
	}
	return ""
}
