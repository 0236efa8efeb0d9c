package acceptance

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/internal/ldapserver"
)

// operations are the LDAP operations of a request. Those that begin and end connections are not among them.
type operations struct {
	searches, adds, modifies, renames, deletes int
}

func (o operations) String() string {
	var parts []string
	for _, part := range []struct {
		number     int
		one, other string
	}{
		{o.searches, "search", "searches"},
		{o.adds, "add", "adds"},
		{o.modifies, "modify", "modifies"},
		{o.renames, "rename", "renames"},
		{o.deletes, "delete", "deletes"},
	} {
		switch part.number {
		case 0:
		case 1:
			parts = append(parts, "1 "+part.one)
		default:
			parts = append(parts, fmt.Sprint(part.number, " ", part.other))
		}
	}
	return strings.Join(parts, ", ")
}

// cost is a row of the table: what a request costs in LDAP operations.
type cost struct {
	name string
	// opencloud is what it costs OpenCloud's graph service, as it was counted there; "–" where that has no such request.
	opencloud string
	want      operations
	// note says what the number depends on. It may be empty.
	note string
	// prepare makes what the request needs and returns it.
	prepare func(w ledger) request
}

// request is what is counted.
type request struct {
	method, path string
	body         any
	options      []option
}

// ledger is a service in front of an OpenLDAP server whose log is read.
type ledger struct {
	world
	directory *ldapserver.Server
}

// ldapPageSize is how many entries the service asks an LDAP server for at a time, and links of a filter resolves at a time.
const ldapPageSize = 500

// manyUsers is the size of the school and the class that have many.
const manyUsers = ldapPageSize + 100

// costs are all rows.
func costs() []cost {
	return slices.Concat(readCosts(), createCosts(), changeCosts(), linkCosts(), deleteCosts())
}

func readCosts() []cost {
	get := func(path string) request { return request{method: http.MethodGet, path: path} }
	return []cost{
		{"list schools", "1 search", operations{searches: 1}, "1 for each 500 entities", func(ledger) request { return get("/schools") }},
		{"GET a user by id", "1 search", operations{searches: 1}, "", func(w ledger) request { return get("/users/" + w.user()) }},
		{"GET a user by username", "1 search", operations{searches: 1}, "", func(w ledger) request {
			name := fresh("named")
			w.user(entity{"onPremisesSamAccountName": name})
			return get("/users/" + name)
		}},
		{"GET a user by externalId", "–", operations{searches: 1}, "", func(w ledger) request {
			id := fresh("external")
			w.user(entity{"externalId": id})
			return get("/users(externalId='" + id + "')")
		}},
		{"GET a school by number", "1 search", operations{searches: 1}, "", func(w ledger) request {
			number := fresh("n")
			w.school(entity{"schoolNumber": number})
			return get("/schools/" + number)
		}},
		{"GET a class", "1 search", operations{searches: 1}, "", func(w ledger) request { return get("/classes/" + w.class()) }},
		{"list the users of a school", "2 searches", operations{searches: 2}, "1, and 1 for each 500 users", func(w ledger) request {
			school := w.school()
			w.link("/schools/"+school+"/users", "/users/"+w.user())
			return get("/schools/" + school + "/users")
		}},
		{
			fmt.Sprintf("list the %d members of a class", manyUsers), "1 + k searches",
			operations{searches: 3},
			"1, and 1 for each 500 members; OpenCloud needs k + 1 for k members",
			func(w ledger) request { return get("/classes/" + w.classOf(manyUsers) + "/members") },
		},
		{"GET a class with its members ($expand)", "–", operations{searches: 2}, "", func(w ledger) request {
			class := w.class()
			w.link("/classes/"+class+"/members", "/users/"+w.user())
			return get("/classes/" + class + "?$expand=members")
		}},
		{"list the classes of a user", "–", operations{searches: 2}, "", func(w ledger) request { return get("/users/" + w.user() + "/classes") }},
		{"list users of a school by filter", "–", operations{searches: 2}, "", func(w ledger) request {
			id := fresh("tenant")
			w.school(entity{"externalId": id})
			return get("/users" + filtered("schools/any(s:s/externalId eq '"+id+"')"))
		}},
	}
}

func createCosts() []cost {
	post := func(path string, body any) request { return request{method: http.MethodPost, path: path, body: body} }
	return []cost{
		{"POST a school", "2 searches, 1 add", operations{adds: 1}, "", func(ledger) request {
			return post("/schools", with(aSchool(), entity{"schoolNumber": fresh("n"), "externalId": fresh("e")}))
		}},
		{
			"POST a school with an id of one's own", "–",
			operations{searches: 5, adds: 1},
			"2 for who may be left from a school that had the id, then 3 side by side: it must be nobody's",
			func(ledger) request { return post("/schools", with(aSchool(), entity{"id": freshID()})) },
		},
		{"POST a user", "1 search, 1 add", operations{adds: 1}, "", func(ledger) request {
			return post("/users", with(aUser(), entity{"externalId": fresh("e"), "mail": "a@example.org"}))
		}},
		{"POST a user into a school", "3 searches, 1 add, 1 modify", operations{searches: 1, adds: 1}, "OpenCloud: POST, then $ref", func(w ledger) request {
			return post("/schools/"+w.school()+"/users", with(aUser(), entity{"externalId": fresh("e")}))
		}},
		{
			"POST a class", "1 search, 1 add",
			operations{searches: 1, adds: 1},
			"its externalId must be free in every school",
			func(ledger) request { return post("/classes", with(aClass(), entity{"externalId": fresh("e")})) },
		},
		{"POST a class without an externalId", "–", operations{adds: 1}, "", func(ledger) request { return post("/classes", aClass()) }},
		{
			"POST a class into a school, with 20 members and a teacher", "–",
			operations{searches: 5, adds: 1},
			"1 for each navigation property that is linked; 2 after the add: nobody linked has been deleted meanwhile",
			func(w ledger) request {
				return post("/schools/"+w.school()+"/classes", with(aClass(), entity{
					"externalId": fresh("e"), "members@odata.bind": w.users(20), "teachers@odata.bind": w.users(1),
				}))
			},
		},
	}
}

func changeCosts() []cost {
	patch := func(path string, body entity, options ...option) request {
		return request{http.MethodPatch, path, body, options}
	}
	change := operations{searches: 1, modifies: 1}
	return []cost{
		{"PATCH a school: name", "2 searches, 1 rename", change, "", func(w ledger) request { return patch("/schools/"+w.school(), aSchool()) }},
		{"PATCH a school: number", "3 searches, 1 modify", change, "", func(w ledger) request {
			return patch("/schools/"+w.school(), entity{"schoolNumber": fresh("n")})
		}},
		{"PATCH a school: termination date", "2 searches, 1 modify", change, "", func(w ledger) request {
			return patch("/schools/"+w.school(), entity{"terminationDate": date(time.Hour)})
		}},
		{"PATCH a user: attributes", "2 searches, 1 modify", change, "", func(w ledger) request {
			return patch("/users/"+w.user(), entity{"givenName": "Max", "surname": "Muster", "mail": "max@example.org"})
		}},
		{"PATCH a user: nothing new", "2 searches", operations{searches: 1}, "", func(w ledger) request {
			return patch("/users/"+w.user(entity{"givenName": "Max"}), entity{"givenName": "Max"})
		}},
		{"PATCH a user: password", "2 searches, 1 password modify", change, "", func(w ledger) request {
			return patch("/users/"+w.user(), entity{"passwordProfile": entity{"password": canary + "-0"}})
		}},
		{"PATCH a user: disabled", "3 searches, 1 modify", change, "", func(w ledger) request {
			return patch("/users/"+w.user(), entity{"accountEnabled": false})
		}},
		{"PATCH a user: username and externalId", "5 searches, 1 rename, 1 modify for each class", change, "", func(w ledger) request {
			return patch("/users/"+w.user(), entity{"onPremisesSamAccountName": fresh("renamed"), "externalId": fresh("e")})
		}},
		{"PATCH a user into another school", "–", operations{searches: 2, modifies: 1}, "", func(w ledger) request {
			user := w.user(entity{"schools@odata.bind": []string{"/schools/" + w.school()}})
			return patch("/users/"+user, entity{"schools@odata.bind": []string{"/schools/" + w.school()}})
		}},
		{
			"PATCH a user under If-Match", "–",
			operations{searches: 3, modifies: 1},
			"slapo-unique does not let OpenLDAP check the condition in the write (2.5), so it is looked at just before",
			func(w ledger) request {
				user := w.user()
				return patch("/users/"+user, entity{"givenName": "Max"}, header("If-Match", w.get("/users/"+user).header.Get("ETag")))
			},
		},
		{"PATCH a class: name and externalId", "2 searches, 1 modify", change, "", func(w ledger) request {
			return patch("/classes/"+w.class(), entity{"displayName": "5b", "externalId": fresh("e")})
		}},
		{"PATCH a class: 20 members", "23 searches, 1 modify", operations{searches: 3, modifies: 1}, lookBehind, func(w ledger) request {
			return patch("/classes/"+w.class(), entity{"members@odata.bind": w.users(20)})
		}},
	}
}

// Notes of several rows.
const (
	sideBySide = "2 searches side by side"
	lookBehind = "1 search after the write: the user has not been deleted meanwhile"
)

func linkCosts() []cost {
	add := func(navigation, to string) request {
		return request{method: http.MethodPost, path: navigation + "/$ref", body: ref(to)}
	}
	remove := func(navigation, id string) request {
		return request{method: http.MethodDelete, path: navigation + "/" + id + "/$ref"}
	}
	change := operations{searches: 2, modifies: 1}
	watched := operations{searches: 3, modifies: 1}
	var rows []cost
	for _, nav := range []struct {
		one, of string
		set     string
		make    func(w ledger) string
		owner   func(w ledger) string
		added   operations
		note    string
	}{
		{"a user", "a school", "users", func(w ledger) string { return w.user() }, func(w ledger) string { return "/schools/" + w.school() + "/users" }, change, sideBySide},
		{"a class", "a school", "classes", func(w ledger) string { return w.class() }, func(w ledger) string { return "/schools/" + w.school() + "/classes" }, change, sideBySide},
		{"a member", "a class", "users", func(w ledger) string { return w.user() }, func(w ledger) string { return "/classes/" + w.classOf(1) + "/members" }, watched, sideBySide + "; " + lookBehind},
		{"a teacher", "a class", "users", func(w ledger) string { return w.user() }, func(w ledger) string { return "/classes/" + w.class() + "/teachers" }, watched, sideBySide + "; " + lookBehind},
	} {
		rows = append(rows, cost{"add " + nav.one + " to " + nav.of, "2 searches, 1 modify", nav.added, nav.note, func(w ledger) request {
			return add(nav.owner(w), "/"+nav.set+"/"+nav.make(w))
		}}, cost{"remove " + nav.one + " from " + nav.of, "2 searches, 1 modify", change, sideBySide, func(w ledger) request {
			navigation, id := nav.owner(w), nav.make(w)
			w.link(navigation, "/"+nav.set+"/"+id)
			return remove(navigation, id)
		}})
	}
	return append(rows, cost{"add a user who is in the school", "2 searches", operations{searches: 2}, "", func(w ledger) request {
		navigation, user := "/schools/"+w.school()+"/users", w.user()
		w.link(navigation, "/users/"+user)
		return add(navigation, "/users/"+user)
	}})
}

func deleteCosts() []cost {
	remove := func(path string) request { return request{method: http.MethodDelete, path: path} }
	return []cost{
		{
			"DELETE a user who is in 3 classes", "2 searches, 1 delete",
			operations{searches: 1, deletes: 1},
			"the server takes the user out of the classes (slapo-refint)",
			func(w ledger) request {
				user := w.user()
				for range 3 {
					w.link("/classes/"+w.classOf(1)+"/members", "/users/"+user)
				}
				return remove("/users/" + user)
			},
		},
		{"DELETE a class", "1 search, 1 delete", operations{searches: 1, deletes: 1}, "", func(w ledger) request { return remove("/classes/" + w.class()) }},
		{
			fmt.Sprintf("DELETE a school with %d users", manyUsers), "4 + 2N searches, N modifies, 1 delete",
			operations{searches: 6, modifies: manyUsers, deletes: 1},
			"1, 1 for each 500 users and each 500 classes, 2 after the delete: nobody has joined meanwhile; 16 modifies at a time",
			func(w ledger) request {
				school := w.school()
				w.fill(manyUsers, school)
				w.terminate(school)
				return remove("/schools/" + school)
			},
		},
	}
}

// plainCosts are the rows that cost more on a server with OpenCloud's schema alone.
func plainCosts() []cost {
	return []cost{
		{"POST a user, OpenCloud's schema alone", "1 search, 1 add", operations{searches: 1, adds: 1}, "nobody else keeps usernames unique", func(ledger) request {
			return request{method: http.MethodPost, path: "/users", body: aUser()}
		}},
		{
			"DELETE a user who is in 3 classes, OpenCloud's schema alone", "2 searches, 1 delete",
			operations{searches: 2, modifies: 3, deletes: 1},
			"OpenCloud leaves the user in the classes",
			func(w ledger) request {
				user := w.user()
				for range 3 {
					class := w.classOf(1)
					w.link("/classes/"+class+"/members", "/users/"+user)
				}
				return request{method: http.MethodDelete, path: "/users/" + user}
			},
		},
	}
}

// TestOperationsPerRequest counts the LDAP operations of each request in the server's own log.
func TestOperationsPerRequest(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]struct {
		rows    []cost
		options []ldapserver.Option
	}{
		"deploy":      {costs(), nil},
		"plainSchema": {plainCosts(), []ldapserver.Option{ldapserver.PlainSchema()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openLedger(t, part.options...)
			for _, row := range part.rows {
				t.Run(row.name, func(t *testing.T) {
					w := w
					w.T = t
					asked := row.prepare(w)
					got := w.count(func() {
						if answer := w.server.call(t, asked.method, asked.path, asked.body, asked.options...); answer.status >= http.StatusMultipleChoices {
							t.Fatalf("%s: got %d\n%s", answer.what, answer.status, answer.body)
						}
					})
					t.Logf("%-60s %-30s OpenCloud: %s", row.name, got, row.opencloud)
					if got != row.want {
						t.Errorf("got %v, want %v", got, row.want)
					}
				})
			}
		})
	}
}

// TestEntryOfAMomentAgo has another program make a user and a school after the service has seen that nobody does. The names
// are taken at once, although the service does not look for them.
func TestEntryOfAMomentAgo(t *testing.T) {
	t.Parallel()
	w := openLedger(t)
	connection := w.directory.Connect(w, w.directory.Service())
	found, err := connection.Search(ldap.NewSearchRequest(w.fill(1, "")[0], ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false,
		"(objectClass=*)", []string{"uid"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	taken := strings.ToUpper(found.Entries[0].GetAttributeValue("uid"))
	w.post("/users", with(aUser(), entity{"onPremisesSamAccountName": taken})).
		wantError(http.StatusConflict, "nameAlreadyExists").wantTarget("onPremisesSamAccountName")
	w.patch("/users/"+w.user(), entity{"onPremisesSamAccountName": taken}).
		wantError(http.StatusConflict, "nameAlreadyExists").wantTarget("onPremisesSamAccountName")
	add := ldap.NewAddRequest("ou=Other,"+w.directory.SchoolBase, nil)
	add.Attribute("objectClass", []string{"organizationalUnit", "openCloudEducationSchool"})
	add.Attribute("openCloudUUID", []string{freshID()})
	if err := connection.Add(add); err != nil {
		t.Fatal(err)
	}
	w.post("/schools", entity{"displayName": "other"}).wantError(http.StatusConflict, "nameAlreadyExists").wantTarget("displayName")
}

// openLedger starts an OpenLDAP server and a service in front of it, and waits until that has looked around.
func openLedger(t *testing.T, options ...ldapserver.Option) ledger {
	t.Helper()
	directory := ldapserver.OpenLDAP(t, options...)
	s := startOn(t, onServer(t, directory))
	w := ledger{world{T: t, server: s}, directory}
	// The service learns with the first request what the server can do. The first class without members is refused by the
	// server, and the service remembers how it wants them.
	w.get("/classes").want(http.StatusOK)
	w.class()
	if len(options) == 0 {
		w.awaitLooks()
	} else {
		w.awaitFindings()
	}
	return w
}

// awaitFindings waits until the service has examined a server that lacks something, of which it then tells.
func (w ledger) awaitFindings() {
	w.Helper()
	w.await("tell what the server lacks", func() bool {
		return bytes.Contains(bytes.Join(w.server.log.lines(), nil), []byte(`"finding":`))
	})
}

// awaitLooks waits until the service has looked, in each set, for entries that others have made and for unique keys that
// two entries have.
func (w ledger) awaitLooks() {
	w.Helper()
	const sets, looks = 3, 2
	w.await("look for entries without keys and with the same", func() bool {
		return strings.Count(w.directory.Log(w), "(educationUniqueKey=*)") >= sets*looks
	})
}

// await waits until the service has done what it does by itself after its start.
func (w ledger) await(what string, done func() bool) {
	w.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			w.Fatalf("the service does not %s:\n%s", what, w.directory.Log(w))
		}
		time.Sleep(20 * time.Millisecond)
	}
	// The last of them must have been answered as well.
	time.Sleep(200 * time.Millisecond)
}

// logLine is a line of slapd's log that begins an operation, with what it is about.
var logLine = regexp.MustCompile(`conn=\d+ op=\d+ (SRCH base|ADD dn|MOD dn|MODRDN dn|DEL dn)="([^"]*)"`)

// count returns the operations on the tree that a call makes. slapd writes the line that begins an operation before it
// answers.
func (w ledger) count(call func()) operations {
	w.Helper()
	before := len(w.directory.Log(w))
	call()
	var got operations
	for _, match := range logLine.FindAllStringSubmatch(w.directory.Log(w)[before:], -1) {
		if !strings.HasSuffix(match[2], w.directory.Suffix) {
			continue // The server's own entries, which tell whether it is well.
		}
		switch match[1] {
		case "SRCH base":
			got.searches++
		case "ADD dn":
			got.adds++
		case "MOD dn":
			got.modifies++
		case "MODRDN dn":
			got.renames++
		case "DEL dn":
			got.deletes++
		}
	}
	return got
}

// users makes users and returns references to them.
func (w ledger) users(number int) []string {
	w.Helper()
	references := make([]string, number)
	for i := range references {
		references[i] = "/users/" + w.user()
	}
	return references
}

// classOf makes a class with so many members.
func (w ledger) classOf(members int) string {
	w.Helper()
	class := w.class()
	dns := w.fill(members, "")
	add := ldap.NewModifyRequest("openCloudUUID="+class+","+w.directory.ClassBase, nil)
	add.Add("member", dns)
	if err := w.directory.Connect(w, w.directory.Service()).Modify(add); err != nil {
		w.Fatal(err)
	}
	return class
}

// fill makes users in the directory, in a school unless that is empty, and returns their DNs.
func (w ledger) fill(number int, school string) []string {
	w.Helper()
	connection := w.directory.Connect(w, w.directory.Service())
	dns := make([]string, number)
	for i := range dns {
		id, name := freshID(), fresh("filled")
		dns[i] = "openCloudUUID=" + id + "," + w.directory.UserBase
		add := ldap.NewAddRequest(dns[i], nil)
		add.Attribute("objectClass", []string{"inetOrgPerson", "openCloudUser", "openCloudEducationUser"})
		for _, attribute := range []string{"uid", "cn", "sn", "displayName"} {
			add.Attribute(attribute, []string{name})
		}
		add.Attribute("openCloudUUID", []string{id})
		if school != "" {
			add.Attribute("openCloudMemberOfSchool", []string{school})
		}
		if err := connection.Add(add); err != nil {
			w.Fatal(err)
		}
	}
	return dns
}

// freshID returns an id that nothing else has.
func freshID() string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", sequence.Add(1)) }

// operationsPath is the table for people.
const operationsPath = "../../docs/operations-per-request.md"

// TestOperationsDocument keeps docs/operations-per-request.md equal to the rows. Run it with -update after a change of them.
func TestOperationsDocument(t *testing.T) {
	t.Parallel()
	want := operationsDocument()
	if *update {
		if err := os.WriteFile(operationsPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(operationsPath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/operations-per-request.md is outdated; run this test with -update (-want +got):\n%s", diff)
	}
}

// operationsDocument returns the text of docs/operations-per-request.md.
func operationsDocument() string {
	var b strings.Builder
	b.WriteString(operationsHead)
	for _, row := range slices.Concat(costs(), plainCosts()) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(row.name), row.want, row.opencloud, row.note)
	}
	return b.String()
}

const operationsHead = `# LDAP operations of each request

What a request that succeeds costs on an LDAP server, counted in the log of OpenLDAP 2.5 as ` + "`deploy/openldap`" + ` sets it up,
beside what OpenCloud's graph service needs for the same. ` + "`tests/acceptance`" + ` counts every line and writes this table.

No write reads back what it has written: the server returns it with the write (post-read control, RFC 4527). A server that
cannot do that costs one search more with each. Where other programs make entries in the same directory, each new
unique value costs one search more ([decision 14](decisions/0014-entries-without-unique-keys.md)); the service finds that
out, or is told by ` + "`EDUCATION_LDAP_OTHER_WRITERS`" + `. A refused write takes further searches, to say why.

An entry that OpenCloud has named (` + "`uid=…`, `ou=…`" + `) costs more where its name is concerned. A new value of it is looked up
first and then is a rename: 1 search and 1 rename more. And where such a user is renamed or deleted, 1 search and 1 modify for
each class put that right in its classes, which ` + "`slapo-refint`" + ` would do a moment later.

| request | education | OpenCloud's graph service | |
|---|---|---|---|
`
