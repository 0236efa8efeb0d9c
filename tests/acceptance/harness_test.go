package acceptance

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencloud-eu/education/internal/ldapserver"
)

// How long the service may take to start and to stop before a test gives up on it. They are generous because a test
// machine may be busy; the service itself takes a few milliseconds.
const (
	startPatience = 20 * time.Second
	stopPatience  = 30 * time.Second
	// serverPatience is how long an LDAP server is left to finish what a service that was killed had asked of it.
	serverPatience = time.Second
)

// binary is the path of the service, built once by TestMain with the buildFlags.
var (
	binary     string
	buildFlags []string
)

func TestMain(m *testing.M) {
	if otherProcess() {
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	flag.Parse()
	folder, err := os.MkdirTemp("", "education-acceptance-")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	defer ldapserver.EndShared()
	binary = filepath.Join(folder, "education")
	build := exec.Command("go", slices.Concat([]string{"build"}, buildFlags, []string{"-o", binary, "../../cmd/education"})...)
	if output, err := build.CombinedOutput(); err != nil {
		return failed(fmt.Errorf("the service does not build: %w\n%s", err, output))
	}
	if status := m.Run(); status != 0 || !wholeSuite() {
		return status
	}
	if unused := document().unused(); len(unused) > 0 {
		return failed(fmt.Errorf("operations of api/openapi.yaml that no test has used with success: %s",
			strings.Join(unused, ", ")))
	}
	return 0
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "FAIL:", err)
	return 1
}

// wholeSuite reports whether no flag has left out a test.
func wholeSuite() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return !testing.Short()
}

// server is a running service with a data folder of its own. Its methods are safe for concurrent use, except for
// those that start and stop it.
type server struct {
	// http and ldap are the addresses of its listeners. They are other ones after each start.
	http, ldap string
	// root is the path of the API without /v1.0, as EDUCATION_HTTP_ROOT has it.
	root    string
	dataDir string
	// token opens the API.
	token string
	// compatible says that the service runs with EDUCATION_COMPATIBILITY=opencloud.
	compatible bool
	// backend is the directory that the service keeps its entities in, nil for the one in the process.
	backend *backend
	// troubled says that the directory fails on purpose: answers of 503 and 504 are right then, and so are errors in the log.
	troubled bool

	env    []string
	client *http.Client
	log    *logBuffer
	// command is the process, nil while there is none; ended receives what became of it.
	command *exec.Cmd
	ended   chan error

	mutex sync.Mutex
	// secrets are texts that must appear neither in the log nor in a response.
	secrets []string
	// unlogged are texts that must not appear in the log.
	unlogged []string
	// collected is the name under which the service's spans and metrics are kept.
	collected string
}

// canary is part of every password that a test sets, so that one can be found wherever it should not be.
const canary = "canary-6f1d0c5e"

// start runs the service with default settings, listeners on free ports and an empty directory, and stops it when the
// test ends. env holds further settings, as NAME=value.
func start(t testing.TB, env ...string) *server {
	t.Helper()
	return startOn(t, newBackend(t), env...)
}

// startOn is start with a directory of one's own, nil for the one in the process.
func startOn(t testing.TB, directory *backend, env ...string) *server {
	t.Helper()
	s := &server{
		backend: directory,
		dataDir: filepath.Join(t.TempDir(), "data"),
		root:    "/graph",
		log:     &logBuffer{},
		client:  &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: crowdClients}},
		secrets: []string{canary},
	}
	var observed []string
	s.collected, observed = telemetry().register()
	if _, measured := t.(*testing.B); measured {
		observed = nil
	}
	s.env = append(append(observed,
		"PATH="+os.Getenv("PATH"),
		"EDUCATION_HTTP_ADDR=127.0.0.1:0",
		"EDUCATION_LDAP_LISTEN=127.0.0.1:0",
		"EDUCATION_DATA_DIR="+s.dataDir,
		"EDUCATION_LOG_FORMAT=json",
	), env...)
	if directory != nil {
		s.env = slices.Concat(withoutSetting(s.env, "EDUCATION_LDAP_LISTEN"), directory.env)
		for _, password := range directory.passwords {
			s.conceal(password)
		}
	}
	s.compatible = slices.Contains(env, "EDUCATION_COMPATIBILITY=opencloud")
	for _, setting := range env {
		if root, ok := strings.CutPrefix(setting, "EDUCATION_HTTP_ROOT="); ok {
			s.root = strings.TrimSuffix(root, "/")
		}
	}
	t.Cleanup(func() { s.finish(t) })
	s.startAgain(t)
	return s
}

// finish ends a service at the end of its test and looks into its log.
func (s *server) finish(t testing.TB) {
	if s.command != nil {
		s.stop(t)
	}
	s.client.CloseIdleConnections()
	s.checkLog(t)
	s.checkTelemetry(t)
	if t.Failed() {
		t.Logf("the log of the service:\n%s", s.log.tail(15))
	}
}

// startAgain runs the service, which does not run, on its data folder and waits until it listens.
func (s *server) startAgain(t testing.TB) {
	t.Helper()
	listening := s.log.expectListening()
	command := exec.Command(binary)
	command.Env, command.Dir = s.env, t.TempDir()
	command.Stdout, command.Stderr = s.log, s.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.command, s.ended = command, make(chan error, 1)
	go func() { s.ended <- command.Wait() }()
	select {
	case line := <-listening:
		s.http, s.ldap = line.HTTP, line.LDAP
		if s.backend != nil {
			s.ldap = s.backend.address
		}
		s.readSecrets(t, line.TokenFile)
		s.checkCommandLine(t)
	case err := <-s.ended:
		s.command = nil
		t.Fatalf("the service ended before it listened: %v\n%s", err, s.log.tail(20))
	case <-time.After(startPatience):
		t.Fatalf("the service does not listen\n%s", s.log.tail(20))
	}
}

// readSecrets reads the token and the passwords of the LDAP accounts.
func (s *server) readSecrets(t testing.TB, tokenFile string) {
	t.Helper()
	for _, setting := range s.env {
		name, value, _ := strings.Cut(setting, "=")
		if name == "EDUCATION_TOKEN" || name == "GRAPH_HTTP_API_TOKEN" {
			s.token = value
		}
	}
	if tokenFile != "" {
		s.token = readSecret(t, tokenFile)
	}
	if s.token == "" {
		t.Fatal("the service has not said where its token is")
	}
	s.conceal(s.token)
	for _, account := range []string{"admin", "reader"} {
		s.conceal(s.ldapPassword(t, account))
	}
}

// ldapPassword returns the password of one of two accounts of the directory, admin and reader.
func (s *server) ldapPassword(t testing.TB, account string) string {
	t.Helper()
	if s.backend != nil {
		return s.backend.passwords[account]
	}
	return readSecret(t, filepath.Join(s.dataDir, "ldap-"+account+".password"))
}

// readSecret reads a secret from a file, which nobody but its owner may read.
func readSecret(t testing.TB, path string) string {
	t.Helper()
	about, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := about.Mode().Perm(); mode != 0o600 {
		t.Errorf("%s has mode %o, want 600", filepath.Base(path), mode)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// conceal notes a text that must appear neither in the log nor in a response.
func (s *server) conceal(secret string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !slices.Contains(s.secrets, secret) {
		s.secrets = append(s.secrets, secret)
	}
}

// keepUnlogged notes a text that must not appear in the log.
func (s *server) keepUnlogged(text string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.unlogged = append(s.unlogged, text)
}

// leaked returns the first secret that a text holds, or the empty string.
func (s *server) leaked(text []byte) string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, secret := range s.secrets {
		if bytes.Contains(text, []byte(secret)) {
			return secret
		}
	}
	return ""
}

// stop ends the service as an operator does, with SIGTERM, and expects it to end without a complaint.
func (s *server) stop(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	s.waitForEnd(t)
}

// signal sends the service a signal.
func (s *server) signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		t.Errorf("sending %s: %v", signal, err)
	}
}

// waitForEnd waits until the service, which has been told to stop, has ended, and expects exit status 0.
func (s *server) waitForEnd(t testing.TB) {
	t.Helper()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("the service ended with %v", err)
		}
	case <-time.After(stopPatience):
		t.Errorf("the service does not stop")
		_ = s.command.Process.Kill()
		<-s.ended
	}
	s.command = nil
}

// kill ends the service as a power failure does, with SIGKILL.
func (s *server) kill(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
	<-s.ended
	s.command = nil
	if s.backend != nil {
		time.Sleep(serverPatience)
	}
	s.client.CloseIdleConnections()
}

// restart stops the service and starts it again on the same data.
func (s *server) restart(t testing.TB) {
	t.Helper()
	s.stop(t)
	s.client.CloseIdleConnections()
	s.startAgain(t)
}

// checkLog expects a log in which every line is JSON, nothing is secret and nothing failed.
func (s *server) checkLog(t testing.TB) {
	t.Helper()
	lines := s.log.lines()
	if secret := s.leaked(bytes.Join(lines, []byte("\n"))); secret != "" {
		t.Errorf("the log holds a secret, %q…", secret[:min(len(secret), 6)])
	}
	for _, line := range lines {
		// Who is connected is no filter, even where a test has asked for a user by such a name.
		line = bytes.ReplaceAll(line, []byte(`"identity":"cn=admin,dc=opencloud,dc=eu"`), []byte(`"identity":""`))
		var entry struct {
			Level   string `json:"level"`
			Message string `json:"msg"`
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Errorf("the log holds a line that is not JSON: %s", line)
		}
		if entry.Level == "ERROR" && !s.troubled {
			t.Errorf("the log reports a failure: %s", line)
		}
		for _, text := range s.unlogged {
			if bytes.Contains(line, []byte(text)) {
				t.Errorf("the log holds the value of a filter, %q: %s", text, line)
			}
		}
	}
}

// connect opens a connection to the HTTP listener, for what net/http does not let a client do.
func (s *server) connect(t testing.TB) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", s.http)
	if err != nil {
		t.Fatal(err)
	}
	if err := connection.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// listeningLine is the log line by which the service says where it listens.
type listeningLine struct {
	Message   string `json:"msg"`
	HTTP      string `json:"http"`
	LDAP      string `json:"ldap"`
	TokenFile string `json:"token_file"`
	API       string `json:"api"`
}

// logBuffer keeps what a service writes, over all its starts.
type logBuffer struct {
	mutex sync.Mutex
	text  bytes.Buffer
	// partial is the beginning of a line that is not complete yet.
	partial []byte
	waiting chan<- listeningLine
}

// expectListening returns a channel for the next line that says where the service listens.
func (b *logBuffer) expectListening() <-chan listeningLine {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	lines := make(chan listeningLine, 1)
	b.waiting = lines
	return lines
}

func (b *logBuffer) Write(text []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.text.Write(text)
	b.partial = append(b.partial, text...)
	for {
		line, rest, complete := bytes.Cut(b.partial, []byte("\n"))
		if !complete {
			return len(text), nil
		}
		b.notice(line)
		b.partial = rest
	}
}

// notice hands on the line that somebody waits for.
func (b *logBuffer) notice(line []byte) {
	var said listeningLine
	if b.waiting != nil && json.Unmarshal(line, &said) == nil && said.Message == "listening" {
		b.waiting <- said
		b.waiting = nil
	}
}

// lines returns the lines so far, without empty ones.
func (b *logBuffer) lines() [][]byte {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	var lines [][]byte
	for line := range bytes.Lines(bytes.Clone(b.text.Bytes())) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

// tail returns the last lines as text.
func (b *logBuffer) tail(count int) []byte {
	lines := b.lines()
	return bytes.Join(lines[max(0, len(lines)-count):], []byte("\n"))
}
