package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/internal/loopback"
	"github.com/opencloud-eu/education/pkg/identity/doctor"
)

// serviceVariable, if set, makes this test program the service in a process of its own.
const serviceVariable = "EDUCATION_TEST_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(serviceVariable) != "" {
		main()
	}
	setDefault = func(*slog.Logger) {}
	ldapserver.Main(m)
}

// examine runs education doctor and returns its exit status and what it prints.
func examine(t *testing.T, environment []string, flags ...string) (status int, stdout, stderr string) {
	t.Helper()
	return examineUntil(t.Context(), t, environment, flags...)
}

// examineUntil is examine that is interrupted when ctx ends.
func examineUntil(ctx context.Context, t *testing.T, environment []string, flags ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	environment = append([]string{"EDUCATION_DATA_DIR=" + t.TempDir()}, environment...)
	status = run(ctx, append([]string{"doctor"}, flags...), environment, &out, &err)
	return status, out.String(), err.String()
}

// parse reads the JSON of an examination.
func parse(t *testing.T, text string) (worst string, severities map[string]string) {
	t.Helper()
	var examination struct {
		Worst    string
		Findings []struct{ ID, Severity, Server, Matter, Cost, Remedy string }
	}
	if err := json.Unmarshal([]byte(text), &examination); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	severities = map[string]string{}
	for _, finding := range examination.Findings {
		severities[finding.ID] = finding.Severity
	}
	return examination.Worst, severities
}

// settingsFor returns the environment of a service that uses a server.
func settingsFor(server *ldapserver.Server, more ...string) []string {
	return append([]string{
		"EDUCATION_LDAP_URI=" + server.URI, "EDUCATION_LDAP_BIND_DN=" + server.BindDN, "EDUCATION_LDAP_BIND_PASSWORD=" + server.Password,
	}, more...)
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	server := ldapserver.OpenLDAP(t, ldapserver.PlainSchema())
	status, text, stderr := examine(t, settingsFor(server))
	if status != statusWarnings || stderr != "" {
		t.Errorf("OpenCloud's schema alone: status %d, %q", status, stderr)
	}
	for _, want := range []string{
		server.URI + "\n  ok       server.reachable     The server can be reached.\n",
		"\n  warning  schema.uniquekeys    The schema lacks educationUniqueKey and educationPlaceholder in the class educationObject.\n",
		"\n                                Load deploy/openldap/schema/education.ldif,",
		"\nerrors: 0, warnings: 2, notes: 3, in order: ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not print %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, server.Password) {
		t.Error("it prints the password")
	}

	status, text, _ = examine(t, settingsFor(server), "--json", "--read-only")
	worst, severities := parse(t, text)
	if status != statusWarnings || worst != "warning" || severities["schema.uniquekeys"] != "warning" || severities["paging"] != "ok" {
		t.Errorf("status %d, worst %q: %v", status, worst, severities)
	}
	if _, written := severities["references"]; written {
		t.Error("an examination that shall not write answers what takes writing")
	}
}

func TestDoctorErrors(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	status, text, _ := examine(t, settingsFor(server, "EDUCATION_LDAP_BIND_PASSWORD=wrong"), "--json")
	if worst, severities := parse(t, text); status != statusErrors || worst != "error" || severities["server.account"] != "error" {
		t.Errorf("a wrong password: status %d, %v", status, severities)
	}
	status, text, stderr := examine(t, []string{"EDUCATION_LDAP_URI=nonsense"})
	if status != statusErrors || text != "" || !strings.Contains(stderr, "EDUCATION_LDAP_URI") {
		t.Errorf("wrong settings: status %d, %q, %q", status, text, stderr)
	}
}

// TestDoctorInterrupted interrupts an examination of a server that never answers. What was found until then is printed, and
// nothing is said of what was still being asked.
func TestDoctorInterrupted(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", loopback.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	uri := "EDUCATION_LDAP_URI=ldap://" + silent.Addr().String()
	account := []string{"EDUCATION_LDAP_BIND_DN=cn=education,dc=opencloud,dc=eu", "EDUCATION_LDAP_BIND_PASSWORD=secret"}
	for _, test := range []struct {
		name  string
		until time.Duration
		want  string
	}{
		{"at its begin", 0, `"findings": []`},
		{"while the account is let in", 300 * time.Millisecond, `"id": "server.reachable"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), test.until)
			defer cancel()
			status, text, stderr := examineUntil(ctx, t, append(account, uri), "--json")
			worst, severities := parse(t, text)
			if status != statusErrors || worst != "ok" || !strings.Contains(text, test.want) || !strings.Contains(stderr, "interrupted") {
				t.Errorf("status %d, %q: %s", status, stderr, text)
			}
			if delete(severities, "server.reachable"); len(severities) > 0 {
				t.Errorf("there are findings of what was still being asked: %v", severities)
			}
		})
	}
}

// TestDoctorEmbedded holds that there is nothing to examine without a server.
func TestDoctorEmbedded(t *testing.T) {
	t.Parallel()
	status, text, _ := examine(t, nil)
	if status != statusFine || !strings.Contains(text, "education check") {
		t.Errorf("status %d: %s", status, text)
	}
	status, text, _ = examine(t, nil, "--json")
	if worst, severities := parse(t, text); status != statusFine || worst != "ok" || severities["server.embedded"] != "ok" {
		t.Errorf("status %d: %s", status, text)
	}
}

// TestDoctorOnListener examines the LDAP listener of another service, which is a server like any other.
func TestDoctorOnListener(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	holder := start(t, folder)
	status, text, _ := examine(t, onServer(t, holder.LDAP, folder), "--json")
	_, severities := parse(t, text)
	// Its administrator, whom another service binds as, may do everything.
	if status != statusWarnings || severities["access.outside"] != "warning" {
		t.Errorf("status %d: %s", status, text)
	}
	for _, id := range []string{"access.write", "unique", "unique.serialized", "references", "password", "assertion", "postread", "clock", "indexes.keys"} {
		if severities[id] != "ok" {
			t.Errorf("%s: %q", id, severities[id])
		}
	}
	status, users := holder.do(t, "GET", "/graph/v1.0/education/users", "")
	if status != http.StatusOK || strings.Contains(users, "education-doctor") {
		t.Errorf("users after an examination: %d %s", status, users)
	}
}

// journal keeps what a service logs, for a test to look at meanwhile.
type journal struct {
	mutex sync.Mutex
	text  strings.Builder
}

func (j *journal) Write(line []byte) (int, error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.String()
}

// TestFindingsAtStart holds that the service says at its start what a glance shows.
func TestFindingsAtStart(t *testing.T) {
	t.Parallel()
	server := ldapserver.OpenLDAP(t, ldapserver.PlainSchema())
	wantFindingAtStart(t, settingsFor(server), "schema.uniquekeys")

	// An account that may read and not write says so before the first request does.
	server = ldapserver.OpenLDAP(t)
	add := ldap.NewAddRequest("ou=North,"+server.SchoolBase, nil)
	add.Attribute("objectClass", []string{"organizationalUnit", "openCloudEducationSchool"})
	add.Attribute("openCloudUUID", []string{"0e2f1bd5-9a2d-4a3b-a6c1-000000000001"})
	if err := server.Connect(t, server.Service()).Add(add); err != nil {
		t.Fatal(err)
	}
	reader := settingsFor(server, "EDUCATION_LDAP_BIND_DN="+server.Reader.DN, "EDUCATION_LDAP_BIND_PASSWORD="+server.Reader.Password)
	wantFindingAtStart(t, reader, "access.write")
}

// wantFindingAtStart starts a service and expects its log to have one finding and no other.
func wantFindingAtStart(t *testing.T, environment []string, id string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log := &journal{}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, nil, append(environment, "EDUCATION_HTTP_ADDR=127.0.0.1:0", "EDUCATION_DATA_DIR="+t.TempDir()), io.Discard, log)
	}()
	finding := `"finding":"` + id + `"`
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), finding) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if status := <-ended; status != 0 {
		t.Errorf("the service ends with status %d", status)
	}
	if strings.Count(log.String(), `"finding":`) != 1 || !strings.Contains(log.String(), finding) {
		t.Errorf("not %s alone at the start:\n%s", id, log)
	}
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	for worst, want := range map[doctor.Severity]int{doctor.OK: 0, doctor.Note: 0, doctor.Warning: 1, doctor.Error: 2} {
		if got := exitStatus(worst); got != want {
			t.Errorf("the worst finding %v ends with status %d, want %d", worst, got, want)
		}
	}
}
