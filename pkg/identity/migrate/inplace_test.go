package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/migrate"
)

// The ids of the entries of foreign.
const (
	northID = "0e2f1bd5-9a2d-4a3b-a6c1-000000000001"
	southID = "0e2f1bd5-9a2d-4a3b-a6c1-000000000002"
	maxID   = "0e2f1bd5-9a2d-4a3b-a6c1-000000000011"
	tinaID  = "0e2f1bd5-9a2d-4a3b-a6c1-000000000012"
	fullID  = "0e2f1bd5-9a2d-4a3b-a6c1-000000000021"
	emptyID = "0e2f1bd5-9a2d-4a3b-a6c1-000000000022"
	noID    = "0e2f1bd5-9a2d-4a3b-a6c1-0000000000ff"
)

// foreign are entries as OpenCloud's graph service writes them: named by ou, uid and externalId, without unique keys and
// the class that permits them, the empty DN as the only member of a class without members.
func foreign(bases ldapserver.Bases) [][]string {
	user := func(name, id string, more ...string) []string {
		return append([]string{
			"uid=" + name + "," + bases.UserBase,
			"objectClass: top", "objectClass: person", "objectClass: organizationalPerson", "objectClass: inetOrgPerson",
			"objectClass: openCloudUser", "objectClass: openCloudEducationUser",
			"uid: " + name, "cn: " + name, "sn: " + name, "displayName: " + name, "openCloudUUID: " + id, "openCloudUserType: Member",
		}, more...)
	}
	school := func(name, id string, more ...string) []string {
		return append([]string{
			"ou=" + name + "," + bases.SchoolBase,
			"objectClass: top", "objectClass: organizationalUnit", "objectClass: openCloudEducationSchool", "ou: " + name, "openCloudUUID: " + id,
		}, more...)
	}
	class := func(name, id string, more ...string) []string {
		return append([]string{
			"openCloudEducationExternalId=" + name + "," + bases.ClassBase,
			"objectClass: top", "objectClass: groupOfNames", "objectClass: openCloudEducationClass",
			"cn: Class " + name, "openCloudEducationExternalId: " + name, "openCloudUUID: " + id, "openCloudEducationClassType: course",
		}, more...)
	}
	return [][]string{
		school("North", northID, "openCloudEducationSchoolNumber: 0042"),
		school("South", southID),
		user("max", maxID, "openCloudMemberOfSchool: "+northID, "openCloudEducationExternalId: 4711", "openCloudExternalIdentity:  $ https://idp $ max"),
		user("tina", tinaID, "openCloudMemberOfSchool: "+southID, "openCloudEducationExternalId: 4711"),
		class("5a", fullID, "openCloudMemberOfSchool: "+northID, "member: uid=max,"+bases.UserBase, "openCloudEducationTeacherMember: uid=tina,"+bases.UserBase),
		class("5b", emptyID, "member: "),
	}
}

// broken are further entries, each of which has something wrong with it.
func broken(bases ldapserver.Bases) [][]string {
	id := func(n string) string { return "openCloudUUID: 0e2f1bd5-9a2d-4a3b-a6c1-0000000001" + n }
	person := func(name string, more ...string) []string {
		return append([]string{
			"uid=" + name + "," + bases.UserBase, "objectClass: inetOrgPerson", "objectClass: openCloudEducationUser",
			"uid: " + name, "cn: x", "sn: x", "displayName: x",
		}, more...)
	}
	return [][]string{
		// Two schools with one number, two users with one externalId in one school.
		{
			"ou=Twin," + bases.SchoolBase, "objectClass: organizationalUnit", "objectClass: openCloudEducationSchool", "ou: Twin", id("00"),
			"openCloudEducationSchoolNumber: 0042",
		},
		person("double", id("01"), "openCloudMemberOfSchool: "+northID, "openCloudEducationExternalId: 4711"),
		person("noid"),
		person("sameid", "openCloudUUID: "+maxID),
		person("identity", id("02"), "openCloudExternalIdentity: no separators"),
		person("mails", id("03"), "mail: a@example.org", "mail: b@example.org"),
		person("lostschool", id("04"), "openCloudMemberOfSchool: "+noID, "openCloudMemberOfSchool: "+southID, "openCloudEducationExternalId: 9"),
		{
			"openCloudEducationExternalId=lost," + bases.ClassBase, "objectClass: groupOfNames", "objectClass: openCloudEducationClass",
			"cn: lost", "openCloudEducationExternalId: lost", id("05"), "member: uid=gone," + bases.UserBase,
			"openCloudEducationTeacherMember: uid=gone," + bases.UserBase, "openCloudEducationTeacherMember: cn=elsewhere,dc=example,dc=org",
		},
	}
}

// TestInPlace brings a tree of OpenCloud's own on OpenLDAP up to date.
func TestInPlace(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	bases := server.Subtree(t)
	d := newServer(t, server, bases, server.Service())
	connection := server.Connect(t, server.Service())
	load(t, connection, foreign(bases))
	want, before := d.snapshot(t), d.state(t)

	summary, findings := inPlace(t, d, migrate.Options{})
	wantFindings(t, findings, map[migrate.Kind]int{})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Keyed: 6})
	wantSame(t, "the tree after a dry run", d.state(t), before)

	summary, findings = inPlace(t, d, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Keyed: 6})
	if !summary.Verified {
		t.Error("the result was not verified")
	}
	wantSame(t, "what the directory shows", d.snapshot(t), want)
	after := d.state(t)
	for name := range before {
		if _, there := after[name]; !there {
			t.Errorf("%s has another name now", name)
		}
	}
	for name, key := range map[string]string{
		"ou=North,ou=tenants":                       "school/number/-/0042",
		"uid=max,ou=users":                          "user/externalId/" + northID + "/4711",
		"uid=tina,ou=users":                         "user/username/-/tina",
		"openCloudEducationExternalId=5a,ou=groups": "class/externalId/" + northID + "/5a",
		"openCloudEducationExternalId=5b,ou=groups": "class/externalId/-/5b",
	} {
		if !strings.Contains(after[name], "educationUniqueKey: "+key+"\n") || strings.Count(after[name], "/revision/") != 1 {
			t.Errorf("%s lacks the key %s or a revision:\n%s", name, key, after[name])
		}
	}

	summary, _ = inPlace(t, d, migrate.Options{Apply: true})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Current: 6})
	wantSame(t, "the tree after a repetition", d.state(t), after)

	// The server itself refuses what is taken now.
	rival := ldap.NewAddRequest("uid=rival,"+bases.UserBase, nil)
	rival.Attribute("objectClass", []string{"inetOrgPerson", "openCloudEducationUser", "educationObject"})
	for name, value := range map[string]string{"cn": "x", "sn": "x", "uid": "rival", "educationUniqueKey": "user/username/-/max"} {
		rival.Attribute(name, []string{value})
	}
	if err := connection.Add(rival); !ldap.IsErrorWithCode(err, ldap.LDAPResultConstraintViolation) {
		t.Errorf("a second holder of a key: %v, want constraintViolation", err)
	}
}

// TestInPlaceWithFaults has entries with something wrong among the good ones. They are named and left alone, and hinder
// nobody.
func TestInPlaceWithFaults(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	bases := server.Subtree(t)
	d := newServer(t, server, bases, server.Service())
	load(t, server.Connect(t, server.Admin), append(foreign(bases), broken(bases)...), ldap.NewControlString(relaxRules, true, ""))
	before := d.state(t)
	found := map[migrate.Kind]int{migrate.Duplicate: 2, migrate.Malformed: 5, migrate.LostLink: 3}
	texts := []string{
		"2 entries claim the unique key school/number/-/0042: " + northID + " (ou=North," + bases.SchoolBase + "), which ",
		"uid=noid," + bases.UserBase + "): openCloudUUID is missing",
		"uid=max," + bases.UserBase + "): its id is also that of uid=sameid," + bases.UserBase,
		"openCloudExternalIdentity is not of the form",
		"mail has 2 values",
		"one of its schools does not exist: " + noID,
		"one of its teachers does not exist: uid=gone," + bases.UserBase,
	}
	_, findings := inPlace(t, d, migrate.Options{})
	wantFindings(t, findings, found, texts...)
	wantSame(t, "the tree after a dry run", d.state(t), before)

	summary, findings := inPlace(t, d, migrate.Options{Apply: true})
	wantFindings(t, findings, found, texts...)
	// The two users with one id, and the one without, are left.
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Keyed: 14 - 3, migrate.Left: 3})
	after := d.state(t)
	for _, name := range []string{"uid=max,ou=users", "uid=sameid,ou=users", "uid=noid,ou=users"} {
		if after[name] != before[name] {
			t.Errorf("%s was changed:\n%s", name, after[name])
		}
	}
	// Of the two schools the older one has the number's key, and of the two users 4711 the one that can be found by its id.
	for name, keys := range map[string][2]string{
		"ou=North,ou=tenants":                         {"school/number/-/0042", "user/"},
		"ou=Twin,ou=tenants":                          {"school/displayName/-/twin", "school/number/"},
		"uid=double,ou=users":                         {"user/externalId/" + northID + "/4711", "school/"},
		"uid=mails,ou=users":                          {"user/username/-/mails", "user/externalId/"},
		"openCloudEducationExternalId=lost,ou=groups": {"class/externalId/-/lost", "user/"},
	} {
		if !strings.Contains(after[name], "educationUniqueKey: "+keys[0]+"\n") || strings.Contains(after[name], "educationUniqueKey: "+keys[1]) {
			t.Errorf("%s must have the key %s and none that begins with %s:\n%s", name, keys[0], keys[1], after[name])
		}
	}
	if _, err := d.Directory.Create(t.Context(), education.Schools, change(t, education.Schools, education.CreateEntity,
		map[string]any{"displayName": "Third", "schoolNumber": "0042"})); err == nil {
		t.Error("a third school has got the number")
	}
	inPlace(t, d, migrate.Options{Apply: true})
	wantSame(t, "the tree after a repetition", d.state(t), after)

	_, findings = inPlace(t, d, migrate.Options{Apply: true, RemoveLost: true})
	wantFindings(t, findings, found, texts...)
	_, findings = inPlace(t, d, migrate.Options{Apply: true, RemoveLost: true})
	delete(found, migrate.LostLink)
	wantFindings(t, findings, found)
	cleaned := d.state(t)
	if class := cleaned["openCloudEducationExternalId=lost,ou=groups"]; strings.Contains(class, "uid=gone") || !strings.Contains(class, "cn=elsewhere") {
		t.Errorf("the class has lost another link than those that lead nowhere:\n%s", class)
	}
	if user := cleaned["uid=lostschool,ou=users"]; strings.Contains(user, noID) || !strings.Contains(user, "user/externalId/"+southID+"/9") {
		t.Errorf("the user is not in one school:\n%s", user)
	}
}

// TestInPlaceBrokenOff breaks the work off at some write, again and again. Each time the summary counts what was written and
// not what was going to be: whoever reads it must not take the rest for done.
func TestInPlaceBrokenOff(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	bases := server.Subtree(t)
	d := newServer(t, server, bases, server.Service())
	connection := server.Connect(t, server.Service())
	load(t, connection, foreign(bases))
	const more = 40
	for i := range more {
		name := fmt.Sprintf("more-%d", i)
		load(t, connection, [][]string{{
			"uid=" + name + "," + bases.UserBase, "objectClass: inetOrgPerson", "objectClass: openCloudEducationUser",
			"uid: " + name, "cn: x", "sn: x", "displayName: x", "openCloudUUID: " + uuid.NewString(),
		}})
	}
	all, keyed, breaks := len(foreign(bases))+more, 0, 0
	for broken := true; broken; {
		summary, err := breakOffInPlace(t, d, 3)
		if broken = err != nil; broken {
			breaks++
		}
		counted, really := 0, d.keyedAtRest(t)
		for _, set := range summary.Sets {
			counted += set.Outcomes[migrate.Keyed]
		}
		// A write that was cancelled under way may have been made all the same, and is counted as none.
		if counted > really-keyed || !broken && counted != really-keyed || summary.Verified == broken {
			t.Fatalf("%d entries got keys and %d are said to have, verified: %v, broken off: %v", really-keyed, counted, summary.Verified, broken)
		}
		keyed = really
	}
	if breaks == 0 || keyed != all {
		t.Errorf("broken off %d times, and %d of %d entries have keys", breaks, keyed, all)
	}
}

// keyedAtRest returns how many entries have unique keys when the server has finished what it was asked for: a write whose
// client has gone may still be under way.
func (d *tree) keyedAtRest(t *testing.T) int {
	t.Helper()
	const rest = 200 * time.Millisecond
	for before := -1; ; time.Sleep(rest) {
		keyed := 0
		for _, text := range d.state(t) {
			if strings.Contains(text, "educationUniqueKey: ") {
				keyed++
			}
		}
		if keyed == before {
			return keyed
		}
		before = keyed
	}
}

// breakOffInPlace brings a tree up to date and breaks off after so many writes.
func breakOffInPlace(t *testing.T, d *tree, writes int) (*migrate.Summary, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	trip := &tripping{Operations: d.operations, left: make(chan struct{}, writes), cancel: cancel}
	for range writes {
		trip.left <- struct{}{}
	}
	summary, err := migrate.InPlace(ctx, d.with(t, trip, education.Rules{}).Side, migrate.Options{Apply: true})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want an end by the context", err)
	}
	return summary, err
}

// oldClasses are two object classes of OpenCloud's schema before version 5.2.0.
var oldClasses = map[string]string{
	"openCloudEducationUser": "( openCloudClass:3 NAME 'openCloudEducationUser' SUP openCloudUser AUXILIARY MAY ( userClass $ openCloudMemberOfSchool ) )",
	"openCloudEducationSchool": "( openCloudClass:5 NAME 'openCloudEducationSchool' SUP openCloudObject AUXILIARY" +
		" MAY ( openCloudEducationSchoolNumber $ openCloudEducationSchoolTerminationTimestamp ) )",
}

// TestOldSchema has a server with OpenCloud's schema from before version 5.2.0 and nothing of the service's, and then
// teaches it one after the other. Entries are brought up to date once there is a place for what they lack.
func TestOldSchema(t *testing.T) {
	t.Parallel()
	server := ldapserver.OpenLDAP(t, ldapserver.PlainSchema())
	connection := server.Connect(t, server.Admin)
	schema := schemaOf(t, connection)
	today := schema.GetAttributeValues("olcObjectClasses")
	replaceClasses(t, connection, schema.DN, func(text string) string {
		for name, old := range oldClasses {
			if strings.Contains(text, "'"+name+"'") {
				return text[:strings.Index(text, "}")+1] + old
			}
		}
		return text
	}, today)
	tree := func() *tree { return newServer(t, server, server.Bases, server.Service()) }

	old := tree()
	load(t, connection, [][]string{withoutExternalID(foreign(server.Bases)[2])})
	nameless := old.create(t, education.Users, map[string]any{"displayName": "No Surname", "onPremisesSamAccountName": "nameless"})
	before := old.state(t)
	lost := map[migrate.Kind]int{migrate.Schema: 2, migrate.LostLink: 1}
	_, findings := inPlace(t, old, migrate.Options{Apply: true})
	wantFindings(t, findings, lost, "before version 5.2.0", "education.ldif")
	wantSame(t, "the tree", old.state(t), before)
	source := newEmbedded(t, hereSuffix)
	if _, err := migrate.Move(t.Context(), source.Side, old.Side, migrate.Options{Apply: true}); err == nil {
		t.Error("a move to a server without the service's schema succeeds")
	}

	replaceClasses(t, connection, schema.DN, func(text string) string { return text }, today)
	addSchema(t, connection)
	taught := tree()
	summary, findings := inPlace(t, taught, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{migrate.LostLink: 1})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Keyed: 2, migrate.Noted: 1})
	entry := taught.dump(t)["openCloudUUID="+nameless+",ou=users"]
	for _, line := range []string{"sn: nameless", "educationPlaceholder: sn"} {
		if !slices.Contains(strings.Split(entry, "\n"), line) {
			t.Errorf("the user without a surname lacks %q:\n%s", line, entry)
		}
	}
	user, err := taught.Directory.Get(t.Context(), education.Users, education.Key{Property: education.Users.ID, Value: nameless}, nil)
	if err != nil || user.Text("surname") != "" {
		t.Errorf("got %v and the surname %q, want none", err, user.Text("surname"))
	}
}

// withoutExternalID takes the externalId out of an entry.
func withoutExternalID(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.HasPrefix(line, "openCloudEducationExternalId: ") })
}

// schemaOf returns the entry of OpenCloud's schema.
func schemaOf(t *testing.T, connection *ldap.Conn) *ldap.Entry {
	t.Helper()
	result, err := connection.Search(ldap.NewSearchRequest("cn=schema,cn=config", ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 0, 0, false,
		"(cn=*opencloud)", nil, nil))
	if err != nil || len(result.Entries) != 1 {
		t.Fatalf("the entry of OpenCloud's schema: %v", err)
	}
	return result.Entries[0]
}

func replaceClasses(t *testing.T, connection *ldap.Conn, dn string, change func(string) string, classes []string) {
	t.Helper()
	changed := make([]string, len(classes))
	for n, text := range classes {
		changed[n] = change(text)
	}
	request := ldap.NewModifyRequest(dn, nil)
	request.Replace("olcObjectClasses", changed)
	if err := connection.Modify(request); err != nil {
		t.Fatalf("change OpenCloud's schema: %v", err)
	}
}

// addSchema loads the service's own schema into a server that runs.
func addSchema(t *testing.T, connection *ldap.Conn) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "openldap", "schema", "education.ldif"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\n ", "")) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		lines = append(lines, strings.TrimPrefix(line, "dn: "))
	}
	load(t, connection, [][]string{lines})
}

// TestInPlaceEmbedded brings a tree like OpenCloud's in the directory in the process up to date, then moves it, whose entries
// get the names of this service.
func TestInPlaceEmbedded(t *testing.T) {
	t.Parallel()
	source, target := newEmbedded(t, hereSuffix), newEmbedded(t, thereSuffix)
	source.load(t, foreign(source.bases))
	want := source.snapshot(t)
	_, findings := move(t, source, target, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{})
	wantSame(t, "the target", target.snapshot(t), want)
	summary, findings := inPlace(t, source, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Keyed: 6})
	summary, _ = inPlace(t, target, migrate.Options{Apply: true})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Current: 6})
	summary, _ = move(t, source, target, migrate.Options{Apply: true})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Equal: 6})
	for name := range withoutTree(target.dump(t)) {
		if !strings.HasPrefix(name, "openCloudUUID=0e2f1bd5") {
			t.Errorf("an entry has the name %s", name)
		}
	}
}
