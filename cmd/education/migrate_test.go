package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/migrate"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// command runs a command and returns its exit status and output.
func command(t *testing.T, environment []string, arguments ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out bytes.Buffer
	var faults sharedBuffer
	status = run(t.Context(), arguments, environment, &out, &faults)
	return status, out.String(), faults.String()
}

// sharedBuffer is a buffer that several write to at the same time, as they may to a file: a command and its log.
type sharedBuffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (b *sharedBuffer) Write(text []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.Write(text)
}

func (b *sharedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.String()
}

// wantSaid checks an exit status and that texts are in an output.
func wantSaid(t *testing.T, what string, status, want int, output string, texts ...string) {
	t.Helper()
	if status != want {
		t.Errorf("%s: exit status %d, want %d:\n%s", what, status, want, output)
	}
	for _, text := range texts {
		if !strings.Contains(output, text) {
			t.Errorf("%s does not say %q:\n%s", what, text, output)
		}
	}
}

// provisioned returns the data folder of a service that has a school and two users, and has ended.
func provisioned(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	s := start(t, folder)
	for path, body := range map[string]string{
		"schools": `{"displayName":"North","schoolNumber":"0042"}`,
		"users":   `{"displayName":"Max","onPremisesSamAccountName":"max","passwordProfile":{"password":"open sesame"}}`,
		"classes": `{"displayName":"5a","classification":"class"}`,
	} {
		if status, answer := s.do(t, http.MethodPost, "/graph/v1.0/education/"+path, body); status != http.StatusCreated {
			t.Fatalf("POST %s: %d %s", path, status, answer)
		}
	}
	if status, log := s.stop(); status != 0 {
		t.Fatalf("the service ended with %d: %s", status, log)
	}
	return folder
}

func TestMigrateInPlace(t *testing.T) {
	t.Parallel()
	folder := provisioned(t)
	environment := []string{"EDUCATION_DATA_DIR=" + folder}
	status, stdout, _ := command(t, environment, "migrate")
	wantSaid(t, "nothing to do", status, 0, stdout, "This is a dry run", "users: 1; 1 up to date")

	addForeign(t, folder, "uid=tina,ou=users,dc=opencloud,dc=eu", "0e2f1bd5-9a2d-4a3b-a6c1-000000000001")
	status, stdout, _ = command(t, environment, "migrate")
	wantSaid(t, "a dry run", status, 0, stdout, "users: 2; 1 up to date, 1 to get unique keys", "Nothing was written. Repeat with --apply.")
	status, stdout, _ = command(t, environment, "migrate", "--apply")
	wantSaid(t, "an entry of OpenCloud's", status, 0, stdout, "1 got unique keys", "Everything was read again and is as it should be.")

	addForeign(t, folder, "cn=second,ou=users,dc=opencloud,dc=eu", "0e2f1bd5-9a2d-4a3b-a6c1-000000000002")
	status, stdout, stderr := command(t, environment, "migrate", "--apply")
	wantSaid(t, "a duplicate", status, 3, stdout+stderr, "2 entries claim the unique key user/username/-/tina", "some findings need a decision")
	status, stdout, _ = command(t, environment, "migrate", "--json")
	var document struct {
		Complete, Applied bool
		Attention         int
		Findings          map[string]int
		Details           []struct{ Kind, Text string }
	}
	if err := json.Unmarshal([]byte(stdout), &document); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if status != 3 || !document.Complete || document.Applied || document.Attention != 1 || document.Findings["duplicate"] != 1 ||
		len(document.Details) != 1 || document.Details[0].Kind != "duplicate" {
		t.Errorf("exit status %d and the document %s", status, stdout)
	}
}

// addForeign adds a user tina to the directory of a service that does not run, as OpenCloud's graph service does.
func addForeign(t *testing.T, folder, dn, id string) {
	t.Helper()
	store, err := embedded.Open(embedded.Config{Path: filepath.Join(folder, "directory.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	request := &wire.AddRequest{DN: dn, Attributes: []wire.Attribute{
		{Type: "objectClass", Values: []string{"inetOrgPerson", education.Users.ObjectClass}},
		{Type: "openCloudUUID", Values: []string{id}},
	}}
	for _, attribute := range []string{"uid", "cn", "sn", "displayName"} {
		request.Attributes = append(request.Attributes, wire.Attribute{Type: attribute, Values: []string{"tina"}})
	}
	if _, err := store.Add(t.Context(), request); err != nil {
		t.Fatal(err)
	}
}

// TestMigrateToFile moves to a directory of another service, in a file.
func TestMigrateToFile(t *testing.T) {
	t.Parallel()
	folder, other := provisioned(t), filepath.Join(t.TempDir(), "data")
	settings := filepath.Join(t.TempDir(), "other.env")
	text := "# the new one\n\nEDUCATION_DATA_DIR=" + other + "\nEDUCATION_LDAP_USER_BASE_DN=ou=people,o=land\n" +
		"EDUCATION_LDAP_CLASS_BASE_DN=ou=classes,o=land\nEDUCATION_LDAP_SCHOOL_BASE_DN=ou=schools,o=land\n"
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := []string{"EDUCATION_DATA_DIR=" + folder}
	arguments := []string{"migrate", "--from", "embedded", "--to", "embedded", "--other", settings}
	status, stdout, _ := command(t, environment, arguments...)
	wantSaid(t, "a dry run", status, 0, stdout, "users: 1; 1 to be added")
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Errorf("the dry run has made %s: %v", other, err)
	}
	arguments = append(arguments, "--apply")
	status, stdout, _ = command(t, environment, arguments...)
	wantSaid(t, "the move", status, 0, stdout, "schools: 1; 1 added", "users: 1; 1 added", "classes: 1; 1 added", "Everything was read again")
	status, stdout, _ = command(t, environment, arguments[:len(arguments)-1]...)
	wantSaid(t, "a dry run afterwards", status, 0, stdout, "users: 1; 1 equal in the target")

	s := start(t, other, "EDUCATION_LDAP_USER_BASE_DN=ou=people,o=land",
		"EDUCATION_LDAP_CLASS_BASE_DN=ou=classes,o=land", "EDUCATION_LDAP_SCHOOL_BASE_DN=ou=schools,o=land")
	if status, answer := s.do(t, http.MethodGet, "/graph/v1.0/education/users/max", ""); status != http.StatusOK {
		t.Errorf("the new service: %d %s", status, answer)
	}
	status, _, stderr := command(t, environment, arguments...)
	wantSaid(t, "a directory in use", status, 1, stderr, "in use by another process; stop the service that has it open first")
}

// TestMigrateToServer grows out of the directory in the process into OpenLDAP, and back.
func TestMigrateToServer(t *testing.T) {
	t.Parallel()
	server := ldapserver.OpenLDAP(t)
	folder := provisioned(t)
	environment := []string{"EDUCATION_DATA_DIR=" + folder, "EDUCATION_LDAP_BIND_DN=" + server.BindDN, "EDUCATION_LDAP_BIND_PASSWORD=" + server.Password}
	status, stdout, _ := command(t, environment, "migrate", "--from", "embedded", "--to", server.URI)
	wantSaid(t, "a dry run", status, 0, stdout, "users: 1; 1 to be added")
	status, stdout, stderr := command(t, environment, "migrate", "--to", server.URI, "--apply")
	wantSaid(t, "the move", status, 0, stdout+stderr, "users: 1; 1 added", "writing users: 1 of 1")

	// Now the environment names the server, and the way back needs a user who may read passwords.
	environment = append(environment, "EDUCATION_LDAP_URI="+server.URI, "EDUCATION_DATA_DIR="+t.TempDir())
	status, stdout, _ = command(t, environment, "migrate", "--to", "embedded", "--apply")
	wantSaid(t, "the way back", status, 3, stdout, "users: 1; 1 added", "No password of a user can be read")
	status, stdout, _ = command(t, environment, "migrate", "--from", "embedded", "--apply")
	wantSaid(t, "there again", status, 0, stdout, "users: 1; 1 were equal in the target")
	status, _, stderr = command(t, append(environment, "EDUCATION_LDAP_BIND_PASSWORD=wrong"), "migrate")
	wantSaid(t, "a wrong password", status, 1, stderr, "refuses the service's account")
}

// TestMigrateInterrupted holds that somebody who has pressed Ctrl-C is told what that means.
func TestMigrateInterrupted(t *testing.T) {
	t.Parallel()
	environment := []string{"EDUCATION_DATA_DIR=" + provisioned(t)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	status := run(ctx, []string{"migrate", "--apply"}, environment, io.Discard, &stderr)
	wantSaid(t, "an interrupted command", status, 1, stderr.String(), "interrupted; what was written stays")
}

func TestProgressDisplay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		terminal bool
		want     string
	}{
		{"bar", true, "writing users  50% "},
		{"lines", false, "writing users: 2 of 2\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			d := newProgressDisplay(&out)
			d.terminal = test.terminal
			d.Begin("writing users", 2)
			d.Step()
			d.clear()
			d.Step()
			d.End()
			if !strings.Contains(out.String(), test.want) {
				t.Errorf("got %q, want %q in it", out.String(), test.want)
			}
		})
	}
}

// TestMigrationBrokenOff holds what is told of a run that came to one set and not to the next.
func TestMigrationBrokenOff(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	summary := &migrate.Summary{Applied: true, Sets: []migrate.SetSummary{
		{Set: "users", Entities: 300, Outcomes: map[migrate.Outcome]int{migrate.Equal: 2, migrate.Added: 23}}, {Set: "classes", Entities: 1},
	}}
	if err := newMigrationOutput(&out, io.Discard, false, true).finish(summary, false); err != nil {
		t.Fatal(err)
	}
	if want := "users: 300; 2 were equal in the target, 23 added\nclasses: 1\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestMigrateArguments(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	remote := []string{"EDUCATION_LDAP_URI=ldap://127.0.0.1:1", "EDUCATION_LDAP_BIND_DN=cn=x", "EDUCATION_LDAP_BIND_PASSWORD=x"}
	malformed := filepath.Join(folder, "malformed")
	if err := os.WriteFile(malformed, []byte("EDUCATION_DATA_DIR=x\nno setting\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name        string
		environment []string
		arguments   []string
		status      int
		want        string
	}{
		{"no directory", nil, nil, 1, "there is no directory"},
		{"no URI", nil, []string{"--to", "ldap.example.org"}, 2, "--to must be 'embedded' or the URI of an LDAP server"},
		{"to where it is", nil, []string{"--to", "embedded"}, 2, "--other must name a file"},
		{"from where it is", remote, []string{"--from", "ldap://127.0.0.1:1"}, 2, "--from or --to must name the other directory"},
		{"neither is the environment's", nil, []string{"--from", "ldap://a", "--to", "ldap://b"}, 2, "must be the directory that the environment names, which is embedded"},
		{"two servers and one account", remote, []string{"--to", "ldap://127.0.0.1:2"}, 2, "--other must name a file"},
		{"no account", nil, []string{"--to", "ldap://127.0.0.1:1"}, 2, "settings of the other directory"},
		{"no such file", nil, []string{"--to", "ldap://127.0.0.1:1", "--other", filepath.Join(folder, "none")}, 2, "--other: open"},
		{"a malformed file", nil, []string{"--to", "ldap://127.0.0.1:1", "--other", malformed}, 2, "line 2, must be of the form NAME=value"},
		{"no server", remote, nil, 1, "ldap://127.0.0.1:1: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			environment := append([]string{"EDUCATION_DATA_DIR=" + filepath.Join(folder, "data")}, test.environment...)
			status, _, stderr := command(t, environment, append([]string{"migrate"}, test.arguments...)...)
			wantSaid(t, test.name, status, test.status, stderr, test.want)
		})
	}
	if status := run(t.Context(), []string{"migrate", "--nonsense"}, nil, io.Discard, io.Discard); status != 2 {
		t.Errorf("an unknown flag: exit status %d, want 2", status)
	}
}
