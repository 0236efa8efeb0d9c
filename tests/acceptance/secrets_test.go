package acceptance

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// Every service that a test starts logs at debug level and sends its spans and metrics to a collector in the test. When its
// test ends, everything that it has sent anywhere is searched for secrets, so that the whole suite is one test for them.

// collector takes the spans and metrics of services (OTLP over HTTP) and keeps them as they were sent.
type collector struct {
	mutex sync.Mutex
	sent  map[string]*bytes.Buffer
	next  int
	url   string
}

// maxCollected is how much is kept of one service, in bytes.
const maxCollected = 64 << 20

// telemetry is the collector of all services.
var telemetry = sync.OnceValue(func() *collector {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	c := &collector{sent: make(map[string]*bytes.Buffer), url: "http://" + listener.Addr().String()}
	go func() { _ = http.Serve(listener, c) }() //nolint:gosec // It ends with the process.
	return c
})

// register returns a name for a service, and the settings that make it send everything under that name.
func (c *collector) register() (name string, env []string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.next++
	name = strconv.Itoa(c.next)
	c.sent[name] = &bytes.Buffer{}
	return name, []string{
		"EDUCATION_LOG_LEVEL=debug", "OTEL_TRACES_EXPORTER=otlp", "OTEL_METRICS_EXPORTER=otlp",
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT=" + c.url + "/" + name,
	}
}

// ServeHTTP takes what a service sends to /name/v1/traces or /name/v1/metrics. Strings stand in protobuf as they are.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // The service was killed.
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if sent := c.sent[name]; sent != nil && sent.Len() < maxCollected {
		sent.Write(body)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// take returns what a service has sent, and forgets it.
func (c *collector) take(name string) []byte {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	defer delete(c.sent, name)
	if sent := c.sent[name]; sent != nil {
		return sent.Bytes()
	}
	return nil
}

// checkTelemetry searches the spans and metrics of a service for secrets, and for what clients have asked for in filters.
func (s *server) checkTelemetry(t testing.TB) {
	t.Helper()
	sent := telemetry().take(s.collected)
	if secret := s.leaked(sent); secret != "" {
		t.Errorf("a span or a metric holds a secret, %q…", secret[:min(len(secret), 6)])
	}
	for _, text := range s.unlogged {
		if bytes.Contains(sent, []byte(text)) {
			t.Errorf("a span or a metric holds the value of a filter, %q", text)
		}
	}
}

// checkCommandLine searches what every user of the machine sees of a process.
func (s *server) checkCommandLine(t testing.TB) {
	t.Helper()
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.command.Process.Pid))
	if err != nil {
		t.Log("without /proc there is no command line to look at:", err)
		return
	}
	if secret := s.leaked(line); secret != "" {
		t.Errorf("the command line holds a secret, %q…", secret[:min(len(secret), 6)])
	}
}

// TestTelemetryIsCollected shows that the search has something to search in: a span and a metric of a request.
func TestTelemetryIsCollected(t *testing.T) {
	t.Parallel()
	s := start(t)
	body := `{"onPremisesSamAccountName":"max","displayName":"Max","passwordProfile":{"password":"` + canary + `"}}`
	if got := s.post(t, "/users", body); got.status != http.StatusCreated {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	connection, err := ldap.DialURL("ldap://" + s.ldap)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", nil, nil)); err != nil {
		t.Error(err)
	}
	_ = connection.Close()
	s.stop(t)
	sent := telemetry().take(s.collected)
	for _, want := range []string{"http.server.request.duration", "/education/users", "service.name"} {
		if !bytes.Contains(sent, []byte(want)) {
			t.Errorf("nothing of %d bytes of telemetry is %q", len(sent), want)
		}
	}
	if s.backend != nil {
		return // The log of LDAP operations is the server's own.
	}
	for _, line := range s.log.lines() {
		if bytes.Contains(line, []byte(`"level":"DEBUG"`)) {
			return
		}
	}
	t.Error("the log has no line at debug level")
}

// TestNoProfiles shows that nobody reads the memory of the service through its listener.
func TestNoProfiles(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/metrics"} {
		for _, root := range []string{"", s.root, s.root + "/v1.0", s.root + "/v1.0/education"} {
			if got := s.get(t, path, under(root), outside); got.status != http.StatusNotFound {
				t.Errorf("%s%s: got %d %s", root, path, got.status, got.body)
			}
		}
	}
}
