package acceptance

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readmeSection returns the text of a section of the README, without its heading.
func readmeSection(t *testing.T, heading string) string {
	t.Helper()
	content, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(content), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("the README has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// readmeScript returns the first block of shell commands of a section.
func readmeScript(t *testing.T, heading string) string {
	t.Helper()
	_, script, found := strings.Cut(readmeSection(t, heading), "\n```sh\n")
	script, _, closed := strings.Cut(script, "\n```")
	if !found || !closed {
		t.Fatalf("the section %q of the README has no shell commands", heading)
	}
	return script + "\n"
}

// TestREADMESession runs the session of the README exactly as it is printed.
func TestREADMESession(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	require(t, "ldap-utils", "ldapsearch")
	require(t, "curl", "curl")
	require(t, "bash", "bash")
	s := start(t)
	script := filepath.Join(t.TempDir(), "session.sh")
	if err := os.WriteFile(script, []byte(readmeScript(t, "Try it")), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("bash", "-e", script)
	// The session is written for the folder and the ports of "make run".
	command.Dir = filepath.Dir(s.dataDir)
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"BASE=http://" + s.http + "/graph/v1.0/education", "LDAP=ldap://" + s.ldap,
	}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	text := string(output)
	for _, want := range []string{
		`"schoolNumber":"0042"`, `"onPremisesSamAccountName":"max"`, `"accountEnabled":false`, "openCloudUserEnabled: FALSE", "uid: max",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the session does not print %s:\n%s", want, text)
		}
	}
	if secret := s.leaked(output); secret != "" {
		t.Error("the session prints a secret")
	}
	s.get(t, "/users/max").wantError(http.StatusNotFound, "itemNotFound")
	users := s.get(t, "/schools(externalId='hermann')/users").list()
	if len(users) != 1 || users[0].text("onPremisesSamAccountName") != "tina" {
		t.Errorf("the school has the users %v, want tina alone", users)
	}
	if got := s.get(t, "/classes/5a/members").list(); len(got) != 0 {
		t.Errorf("the class has the members %v, want none", got)
	}
	if got := s.get(t, "/classes/5a/teachers").ids(); !slices.Equal(got, []string{users[0].text("id")}) {
		t.Errorf("the class has the teachers %v, want tina", got)
	}
}

// TestREADMESettings expects that the README and "education config" name the same settings with the same defaults.
func TestREADMESettings(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	documented := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `(EDUCATION_[A-Z_]+)` \\| *(?:`([^`]*)`)? *\\|")
	for _, match := range row.FindAllStringSubmatch(readmeSection(t, "Settings"), -1) {
		documented[match[1]] = match[2]
	}
	// What depends on another setting, and is said so.
	documented["EDUCATION_SCHOOLS_PER_USER"] = "one"
	command := exec.Command(binary, "config")
	command.Env = []string{}
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for line := range strings.Lines(string(output)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		known[name] = value
	}
	if diff := cmp.Diff(documented, known); diff != "" {
		t.Errorf("the README (-) and education config (+) differ:\n%s", diff)
	}
}

// TestREADMEFiles expects that every file that the README links to is there.
func TestREADMEFiles(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	content, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(string(content), -1) {
		if path := match[1]; !strings.Contains(path, "://") {
			if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
				t.Errorf("the README links to %s: %v", path, err)
			}
		}
	}
}

// TestStartsAtOnce expects that the service answers within a second of its start, with a new directory and with an
// existing one.
func TestStartsAtOnce(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	s := start(t)
	for range 3 { // The machine may be busy; a service that is slow is slow each time.
		s.stop(t)
		begin := time.Now()
		s.startAgain(t)
		response, err := http.Get("http://" + s.http + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		took := time.Since(begin)
		if t.Logf("the service answers after %v", took); took < time.Second {
			return
		}
	}
	t.Error("the service does not answer within a second")
}

// errStays says that a process does not stop.
var errStays = errors.New("it does not stop")

// TestMakeRun runs the service as the README says, only that its folder and its ports are others.
func TestMakeRun(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	require(t, "make", "make")
	folder := t.TempDir()
	log := &logBuffer{}
	listening := log.expectListening()
	command := exec.Command("make", "--no-print-directory", "run")
	command.Dir = "../.."
	command.Env = append(os.Environ(),
		"EDUCATION_HTTP_ADDR=127.0.0.1:0", "EDUCATION_LDAP_LISTEN=127.0.0.1:0", "EDUCATION_LOG_FORMAT=json",
		"EDUCATION_DATA_DIR="+filepath.Join(folder, "data"))
	command.Stdout, command.Stderr = log, log
	// Ctrl-C reaches every process of a terminal, so they share a group here too.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	end := func(signal syscall.Signal) error {
		_ = syscall.Kill(-command.Process.Pid, signal)
		select {
		case err := <-ended:
			return err
		case <-time.After(stopPatience):
			_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
			return errStays
		}
	}
	select {
	case line := <-listening:
		if _, err := os.Stat(filepath.Join(folder, "data", "directory.db")); err != nil {
			t.Error(err)
		}
		response, err := http.Get("http://" + line.HTTP + "/readyz")
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("the service is not ready: %v %v", response, err)
		}
		if err == nil {
			_ = response.Body.Close()
		}
		// make and go end with the signal; what counts is that the service has come to its own end.
		if err := end(syscall.SIGINT); errors.Is(err, errStays) || !bytes.Contains(log.tail(20), []byte(`"msg":"stopping"`)) {
			t.Errorf("after Ctrl-C: %v\n%s", err, log.tail(20))
		}
		check := exec.Command(binary, "check")
		check.Env = []string{"EDUCATION_DATA_DIR=" + filepath.Join(folder, "data")}
		if output, err := check.CombinedOutput(); err != nil {
			t.Errorf("education check: %v\n%s", err, output)
		}
	case err := <-ended:
		t.Fatalf("make run has ended: %v\n%s", err, log.tail(20))
	case <-time.After(2 * time.Minute): // It compiles the service first.
		t.Errorf("the service does not listen\n%s", log.tail(20))
		_ = end(syscall.SIGKILL)
	}
}
