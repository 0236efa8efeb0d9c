package migrate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/migrate"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

func TestMain(m *testing.M) { ldapserver.Main(m) }

// tree is a directory of a test: its operations, where its entries are, and what is moved from and to.
type tree struct {
	operations identity.Operations
	bases      ldapserver.Bases
	migrate.Side
}

// with returns the tree with other operations in front of its own.
func (d *tree) with(t *testing.T, operations identity.Operations, rules education.Rules) *tree {
	t.Helper()
	changed := *d
	changed.operations = operations
	var err error
	changed.Directory, err = identity.New(identity.Config{
		Operations: operations, UserBase: d.bases.UserBase, ClassBase: d.bases.ClassBase, SchoolBase: d.bases.SchoolBase, Rules: rules,
		Plain: func() bool { return d.Plain },
	})
	if err != nil {
		t.Fatal(err)
	}
	return &changed
}

// newEmbedded returns an empty directory in a file, below a suffix.
func newEmbedded(t *testing.T, suffix string) *tree {
	t.Helper()
	bases := ldapserver.Bases{Suffix: suffix, UserBase: "ou=users," + suffix, ClassBase: "ou=groups," + suffix, SchoolBase: "ou=tenants," + suffix}
	store, err := embedded.Open(embedded.Config{
		Path: filepath.Join(t.TempDir(), "directory.db"), Containers: []string{bases.UserBase, bases.ClassBase, bases.SchoolBase},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &tree{bases: bases, Side: migrate.Side{Name: "the directory below " + suffix, Embedded: true, Verify: store.VerifyPassword}}
	return d.with(t, store, education.Rules{})
}

// newServer returns a tree of a server, used with one of its accounts.
func newServer(t *testing.T, server *ldapserver.Server, bases ldapserver.Bases, account ldapserver.Account) *tree {
	t.Helper()
	client, err := remote.Open(remote.Config{
		URIs: []string{server.URI}, BindDN: account.DN, Password: func() (string, error) { return account.Password, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	features, err := client.Features(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := &tree{bases: bases, Side: migrate.Side{
		Name: server.URI, Plain: !features.UniqueKeys, OldSchema: !features.ExternalIDs, Verify: client.Authenticate,
	}}
	return d.with(t, client, education.Rules{})
}

// move moves and returns the summary with the findings.
func move(t *testing.T, from, to *tree, options migrate.Options) (*migrate.Summary, []migrate.Finding) {
	t.Helper()
	var findings []migrate.Finding
	options.Report = func(f migrate.Finding) { findings = append(findings, f) }
	summary, err := migrate.Move(t.Context(), from.Side, to.Side, options)
	if err != nil {
		t.Fatal(err)
	}
	return summary, findings
}

// inPlace brings a tree up to date and returns the summary with the findings.
func inPlace(t *testing.T, d *tree, options migrate.Options) (*migrate.Summary, []migrate.Finding) {
	t.Helper()
	var findings []migrate.Finding
	options.Report = func(f migrate.Finding) { findings = append(findings, f) }
	summary, err := migrate.InPlace(t.Context(), d.Side, options)
	if err != nil {
		t.Fatal(err)
	}
	return summary, findings
}

// wantOutcomes checks how many entities of all sets had which outcome.
func wantOutcomes(t *testing.T, summary *migrate.Summary, want map[migrate.Outcome]int) {
	t.Helper()
	got := make(map[migrate.Outcome]int)
	for _, set := range summary.Sets {
		for outcome, count := range set.Outcomes {
			got[outcome] += count
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// wantFindings checks the findings' kinds, and that each of the wanted texts is in one of them.
func wantFindings(t *testing.T, findings []migrate.Finding, want map[migrate.Kind]int, texts ...string) {
	t.Helper()
	got := make(map[migrate.Kind]int)
	var all []string
	for _, f := range findings {
		got[f.Kind]++
		all = append(all, string(f.Kind)+": "+f.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s\n%s", diff, strings.Join(all, "\n"))
	}
	for _, text := range texts {
		if !strings.Contains(strings.Join(all, "\n"), text) {
			t.Errorf("no finding says %q:\n%s", text, strings.Join(all, "\n"))
		}
	}
}

// create makes an entity from a body and returns its id.
func (d *tree) create(t *testing.T, set *education.EntitySet, body map[string]any) string {
	t.Helper()
	entity, err := d.Directory.Create(t.Context(), set, change(t, set, education.CreateEntity, body))
	if err != nil {
		t.Fatalf("create %v: %v", body, err)
	}
	return entity.ID()
}

func (d *tree) update(t *testing.T, set *education.EntitySet, id string, body map[string]any) {
	t.Helper()
	key := education.Key{Property: set.ID, Value: id}
	if _, err := d.Directory.Update(t.Context(), set, key, change(t, set, education.UpdateEntity, body)); err != nil {
		t.Fatalf("update %s: %v", id, err)
	}
}

func change(t *testing.T, set *education.EntitySet, operation education.Operation, body map[string]any) *education.Change {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := education.DecodeChange(set, operation, text, education.Rules{UsernameMatch: education.UsernameMatchNone})
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// password is that of the users of populate who have one.
const password = "Pa$$wort mit Umlaut: ü"

// populate fills a directory with schools, users and classes that have, together, every property and every link, and with
// texts that have to be escaped somewhere. It returns the ids of the users with a password whose accounts are not disabled.
func (d *tree) populate(t *testing.T, users int) []string {
	t.Helper()
	var schools, people, signers []string
	for n := range 3 {
		schools = append(schools, d.create(t, education.Schools, map[string]any{
			"displayName": fmt.Sprintf("School #%d, \"Süd\"", n), "externalId": fmt.Sprintf("ext=%d", n), "schoolNumber": fmt.Sprintf("00%d", n),
		}))
	}
	d.update(t, education.Schools, schools[2], map[string]any{"terminationDate": "2999-12-31T00:00:00Z", "externalId": nil})
	for n := range users {
		body := map[string]any{
			"displayName": fmt.Sprintf("User %d", n), "onPremisesSamAccountName": fmt.Sprintf("user+%d,", n), "externalId": fmt.Sprintf("x%d", n/4),
		}
		if n%4 < 3 {
			body["schools@odata.bind"] = []string{"/schools/" + schools[n%4]}
		}
		if n%2 == 0 {
			maps.Copy(body, map[string]any{
				"surname": "Müller; <Sr.>", "givenName": " given ", "mail": fmt.Sprintf("u%d@example.org", n), "primaryRole": "student", "userType": "Guest",
				"accountEnabled": n%4 == 0, "identities": []map[string]string{{"issuer": "https://idp", "issuerAssignedId": fmt.Sprint(n)}, {"issuer": "i", "issuerAssignedId": "2"}},
			})
		}
		if n%10 == 0 {
			body["passwordProfile"] = map[string]any{"password": password}
		}
		id := d.create(t, education.Users, body)
		people = append(people, id)
		if n%20 == 0 {
			signers = append(signers, id)
		}
		if n%7 == 0 {
			d.update(t, education.Users, id, map[string]any{"onPremisesSamAccountName": fmt.Sprintf("renamed %d", n)})
			d.signIn(t, id)
		}
	}
	for n := range 8 {
		body := map[string]any{"displayName": fmt.Sprintf("Class %d", n), "classification": "course"}
		if n%2 == 0 {
			body["externalId"], body["description"] = fmt.Sprintf("c%d", n), "several\nlines"
			body["schools@odata.bind"] = []string{"/schools/" + schools[n%3]}
			var members []string
			for _, id := range people[n : n+len(people)/2] {
				members = append(members, "/users/"+id)
			}
			body["members@odata.bind"], body["teachers@odata.bind"] = members, members[:n%3]
		}
		d.create(t, education.Classes, body)
	}
	return signers
}

// signIn notes, as OpenCloud does, that a user has signed in.
func (d *tree) signIn(t *testing.T, id string) {
	t.Helper()
	dn := d.Directory.NameOf(education.Users, id)
	_, err := d.operations.Modify(t.Context(), &wire.ModifyRequest{DN: dn, Changes: []wire.Change{{
		Operation: wire.ChangeReplace, Attribute: wire.Attribute{Type: "openCloudLastSignInTimestamp", Values: []string{"20260102030405Z"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// times are the properties that another directory has its own values of.
var times = []string{"createdDateTime", "lastModifiedDateTime"}

// snapshot returns all that a directory shows of its entities, by their ids: each property and each link.
func (d *tree) snapshot(t *testing.T) map[string]string {
	t.Helper()
	shown := make(map[string]string)
	for _, set := range education.EntitySets {
		answer, err := d.Directory.List(t.Context(), set, nil)
		if err != nil {
			t.Fatal(err)
		}
		for entity, err := range answer.Entities {
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, property := range set.Properties {
				if value := entity.Value(property); value != nil && !slices.Contains(times, property.Name) {
					lines = append(lines, fmt.Sprintf("%s: %v", property.Name, value))
				}
			}
			for _, nav := range education.Navigations {
				if nav.Owner == set {
					lines = append(lines, nav.Name+": "+strings.Join(d.related(t, nav, entity.ID()), " "))
				}
			}
			shown[entity.ID()] = strings.Join(lines, "\n")
		}
	}
	return shown
}

func (d *tree) related(t *testing.T, nav *education.Navigation, id string) []string {
	t.Helper()
	answer, err := d.Directory.ListRelated(t.Context(), nav, education.Key{Property: nav.Owner.ID, Value: id}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for entity, err := range answer.Entities {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, entity.ID())
	}
	slices.Sort(ids)
	return ids
}

// dump returns every entry below the suffix, with all that the account may read, stamps included, by the DN without the
// suffix.
func (d *tree) dump(t *testing.T, operational ...string) map[string]string {
	t.Helper()
	entries := make(map[string]string)
	strip := func(text string) string { return strings.TrimSuffix(text, ","+d.bases.Suffix) }
	err := d.operations.Search(t.Context(), &wire.SearchRequest{
		Base: d.bases.Suffix, Scope: wire.ScopeSubtree, Filter: wire.Present("objectClass"), Attributes: append([]string{"*"}, operational...),
	}, func(entry *wire.Entry) error {
		var lines []string
		for _, attribute := range entry.Attributes {
			for _, value := range attribute.Values {
				lines = append(lines, attribute.Type+": "+strip(value))
			}
		}
		slices.Sort(lines)
		entries[strip(entry.DN)] = strings.Join(lines, "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// state is a dump with the stamps that every change of an entry changes.
func (d *tree) state(t *testing.T) map[string]string {
	t.Helper()
	return d.dump(t, "entryCSN", "modifyTimestamp")
}

// wantSame compares snapshots or dumps.
func wantSame(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// wantSignIn checks that users can sign in with password, and with no other one.
func (d *tree) wantSignIn(t *testing.T, ids []string) {
	t.Helper()
	for _, id := range ids {
		dn := d.Directory.NameOf(education.Users, id)
		for text, want := range map[string]bool{password: true, password + "x": false} {
			if got, err := d.Verify(t.Context(), dn, text); got != want || err != nil {
				t.Errorf("%s: the password %q is accepted: %t, %v, want %t", dn, text, got, err, want)
			}
		}
	}
}

// relaxRules is the Relax Rules control (draft-zeilenga-ldap-relax), by the number that OpenLDAP gives it. With it an
// administrator can write values twice that the overlay keeps unique (slapo-unique(5)), as on a server that has not had the
// overlay from the beginning.
const relaxRules = "1.3.6.1.4.1.4203.666.5.12"

// load adds entries that are written as "attribute: value" lines, each below its DN.
func load(t *testing.T, connection *ldap.Conn, entries [][]string, controls ...ldap.Control) {
	t.Helper()
	for _, lines := range entries {
		request := ldap.NewAddRequest(lines[0], controls)
		for name, values := range attributesOf(lines[1:]) {
			request.Attribute(name, values)
		}
		if err := connection.Add(request); err != nil {
			t.Fatalf("add %s: %v", lines[0], err)
		}
	}
}

func attributesOf(lines []string) map[string][]string {
	values := make(map[string][]string)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		values[name] = append(values[name], value)
	}
	return values
}

// load is load for a directory without a server.
func (d *tree) load(t *testing.T, entries [][]string) {
	t.Helper()
	for _, lines := range entries {
		request := &wire.AddRequest{DN: lines[0]}
		for name, values := range attributesOf(lines[1:]) {
			request.Attributes = append(request.Attributes, wire.Attribute{Type: name, Values: values})
		}
		if _, err := d.operations.Add(t.Context(), request); err != nil {
			t.Fatalf("add %s: %v", lines[0], err)
		}
	}
}

// tripping are operations that end a context at one of their writes: before it, while it is under way, or after it.
type tripping struct {
	identity.Operations
	left   chan struct{} // holds as many as there may be writes
	cancel context.CancelFunc
}

func (o *tripping) trip() {
	select {
	case <-o.left:
	default:
		o.cancel()
	}
}

// Add implements identity.Operations.
func (o *tripping) Add(ctx context.Context, request *wire.AddRequest) (*wire.Entry, error) {
	o.trip()
	return o.Operations.Add(ctx, request)
}

// Modify implements identity.Operations.
func (o *tripping) Modify(ctx context.Context, request *wire.ModifyRequest) (*wire.Entry, error) {
	o.trip()
	return o.Operations.Modify(ctx, request)
}
