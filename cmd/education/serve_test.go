package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// service is a running `education serve`, as its log describes it.
type service struct {
	HTTP      string `json:"http"`
	LDAP      string `json:"ldap"`
	LDAPS     string `json:"ldaps"`
	TokenFile string `json:"token_file"`
	API       string `json:"api"`

	token string
	// stop ends the service and returns its exit status and what it logged after it listened.
	stop func() (status int, log string)
}

// start runs the serve command on free ports and returns when it listens. A variable given here comes after those that
// every service of the tests has, and counts.
func start(t *testing.T, folder string, environment ...string) *service {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, stderr := io.Pipe()
	s := &service{}
	status := make(chan int, 1)
	go func() {
		defer stderr.Close()
		status <- run(ctx, nil, append([]string{
			"EDUCATION_DATA_DIR=" + folder, "EDUCATION_HTTP_ADDR=127.0.0.1:0", "EDUCATION_LDAP_LISTEN=127.0.0.1:0",
		}, environment...), io.Discard, stderr)
	}()
	log := make(chan string, 1)
	s.stop = sync.OnceValues(func() (int, string) {
		cancel()
		return <-status, <-log
	})

	lines := bufio.NewReader(reader)
	first, err := lines.ReadString('\n')
	for err == nil && (strings.Contains(first, `"msg":"the rules for unique values`) || strings.Contains(first, `"msg":"THE TOKEN IS WEAK`)) {
		first, err = lines.ReadString('\n') // What a start may have to say before it listens.
	}
	if err := json.Unmarshal([]byte(first), s); err != nil || !strings.Contains(first, `"msg":"listening"`) {
		cancel()
		rest, _ := io.ReadAll(lines)
		t.Fatalf("the first log line does not say where the service listens: %s%s", first, rest)
	}
	go func() {
		rest, _ := io.ReadAll(lines)
		log <- string(rest)
	}()
	t.Cleanup(func() { s.stop() })
	if s.TokenFile != "" {
		token, err := readSecret(s.TokenFile)
		if err != nil {
			t.Fatal(err)
		}
		s.token = token
	}
	return s
}

// do sends a request to the service and returns the answer's status and body.
func (s *service) do(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	status, _, content := s.exchange(t, method, path, body, nil)
	return status, content
}

// exchange is do with further headers, which also returns those of the answer.
func (s *service) exchange(t *testing.T, method, path, body string, header http.Header) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.HTTP+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	request.Header.Set("Content-Type", "application/json")
	maps.Copy(request.Header, header)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(content)
}

func TestServeAnswers(t *testing.T) {
	t.Parallel()
	known := start(t, t.TempDir())
	stranger := *known
	stranger.token = ""
	tests := []struct {
		name         string
		service      *service
		method, path string
		want         int
	}{
		{"API", known, "GET", "/graph/v1.0/education/users", 200},
		{"API without the prefix", known, "GET", "/v1.0/education/users", 200},
		{"service document", known, "GET", "/graph/v1.0/", 200},
		{"service document without the prefix", known, "GET", "/v1.0", 200},
		{"metadata", known, "GET", "/graph/v1.0/$metadata?$format=json", 200},
		{"metadata without the prefix", known, "GET", "/v1.0/$metadata?$format=json", 200},
		{"metadata without a token", &stranger, "GET", "/graph/v1.0/$metadata", 401},
		{"unknown path", known, "GET", "/graph/v1.0/me", 404},
		{"unknown path below the API", known, "GET", "/graph/v1.0/education/me", 404},
		{"unknown method", known, "BREW", "/graph/v1.0/education/users", 405},
		{"API without a token", &stranger, "GET", "/graph/v1.0/education/users", 401},
		{"unknown path without a token", &stranger, "GET", "/graph/v1.0/me", 401},
		{"alive without a token", &stranger, "GET", "/healthz", 200},
		{"ready without a token", &stranger, "GET", "/readyz", 200},
		{"probe with another method", &stranger, "POST", "/readyz", 405},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, body := test.service.do(t, test.method, test.path, "")
			if got != test.want {
				t.Errorf("status: got %d, want %d", got, test.want)
			}
			if !json.Valid([]byte(body)) {
				t.Errorf("the body is no JSON: %q", body)
			}
		})
	}
	if _, log := known.stop(); !strings.Contains(log, `"route":"/graph/v1.0/education/users"`) {
		t.Errorf("the log lacks a request:\n%s", log)
	} else if strings.Contains(log, "/readyz") || strings.Contains(log, known.token) {
		t.Errorf("the log holds probes or the token:\n%s", log)
	}
}

func TestServeKeepsEverything(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	first := start(t, folder)
	if status, body := first.do(t, "POST", "/graph/v1.0/education/schools", `{"displayName":"A","externalId":"a"}`); status != 201 {
		t.Fatalf("POST schools: %d %s", status, body)
	}
	if status, _ := first.stop(); status != 0 {
		t.Errorf("exit status: got %d, want 0", status)
	}
	second := start(t, folder)
	if second.token != first.token {
		t.Error("the token is another one after a restart")
	}
	if status, body := second.do(t, "GET", "/graph/v1.0/education/schools(externalId='a')", ""); status != 200 {
		t.Errorf("GET after a restart: %d %s", status, body)
	}
	about, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := about.Mode().Perm(), os.FileMode(0o700); got != want {
		t.Errorf("mode of the data folder: got %v, want %v", got, want)
	}
}

// TestServeKeepsToItsLog holds that a service which tests start does not become the log of everything else in the process:
// its first lines would not be its own then.
func TestServeKeepsToItsLog(t *testing.T) {
	t.Parallel()
	before := slog.Default()
	start(t, t.TempDir())
	if slog.Default() != before {
		t.Error("the service's log is that of the process")
	}
}

// TestServePages walks through a list in pages, over a restart and behind a proxy.
func TestServePages(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	const proxied = "https://school.example/graph/v1.0/education"
	header := http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"school.example"}}
	s := start(t, folder, "EDUCATION_MAX_PAGE_SIZE=2", "EDUCATION_TRUSTED_PROXIES=127.0.0.1")
	for _, number := range []string{"1", "2", "3"} {
		body := fmt.Sprintf(`{"displayName":"School %[1]s","schoolNumber":%[1]q}`, number)
		status, answered, content := s.exchange(t, "POST", "/graph/v1.0/education/schools", body, header)
		if location := answered.Get("Location"); status != 201 || !strings.HasPrefix(location, proxied+"/schools/") {
			t.Fatalf("POST schools: %d %s, Location %q", status, content, location)
		}
	}
	type page struct {
		Value    []struct{ SchoolNumber string }
		Context  string `json:"@odata.context"`
		NextLink string `json:"@odata.nextLink"`
	}
	ask := func(path string) (got page) {
		status, answered, content := s.exchange(t, "GET", path, "", header)
		if err := json.Unmarshal([]byte(content), &got); err != nil || status != 200 {
			t.Fatalf("GET %s: %d %s", path, status, content)
		}
		if version := answered.Get("OData-Version"); version != "4.0" {
			t.Errorf("OData-Version: got %q, want 4.0", version)
		}
		return got
	}
	first := ask("/graph/v1.0/education/schools?$orderby=schoolNumber")
	next, ok := strings.CutPrefix(first.NextLink, proxied)
	if !ok || len(first.Value) != 2 || !strings.HasPrefix(first.Context, "https://school.example/graph/v1.0/$metadata#") {
		t.Fatalf("first page: %+v", first)
	}
	s.stop()
	s = start(t, folder, "EDUCATION_PUBLIC_URL=http://other.example/p/")
	last := ask("/graph/v1.0/education" + next)
	if len(last.Value) != 1 || last.Value[0].SchoolNumber != "3" || last.NextLink != "" ||
		!strings.HasPrefix(last.Context, "http://other.example/p/graph/v1.0/$metadata#") {
		t.Errorf("last page: %+v", last)
	}
}

func TestServeCompatibly(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "EDUCATION_COMPATIBILITY=opencloud")
	_, answered, _ := s.exchange(t, "GET", "/graph/v1.0/education/users", "", nil)
	if version := answered.Values("OData-Version"); version != nil {
		t.Errorf("OData-Version: got %q, want none", version)
	}
}

func TestServeWithTokenOfOpenCloud(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := start(t, folder, "GRAPH_HTTP_API_TOKEN=changeme")
	s.token = "changeme"
	if status, _ := s.do(t, "GET", "/graph/v1.0/education/users", ""); status != 200 {
		t.Errorf("status: got %d, want 200", status)
	}
	if _, err := os.Stat(filepath.Join(folder, "token")); err == nil {
		t.Error("a token is made although one is set")
	}
}

// TestStopFinishesRequests stops the service while it waits for the second half of a request's body.
func TestStopFinishesRequests(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	connection, err := net.Dial("tcp", s.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	const body = `{"displayName":"slow"}`
	fmt.Fprintf(connection, "POST /v1.0/education/schools HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", s.token, len(body), body[:5])
	// It says so when it reads the body. A request of which it has read nothing yet is not finished.
	answers := bufio.NewReader(connection)
	response, err := http.ReadResponse(answers, nil)
	if err != nil || response.StatusCode != http.StatusContinue {
		t.Fatalf("got %v, %v, want 100 Continue", response, err)
	}
	go s.stop()
	waitFor(t, "the listener to close", func() bool {
		probe, err := net.Dial("tcp", s.HTTP)
		if err == nil {
			probe.Close()
		}
		return err != nil
	})
	fmt.Fprint(connection, body[5:])
	response, err = http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatalf("the request was cut off: %v", err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Errorf("status: got %d, want 201", response.StatusCode)
	}
	if status, log := s.stop(); status != 0 {
		t.Errorf("exit status: got %d, want 0; log:\n%s", status, log)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestStopLeavesNothing is not parallel: it counts goroutines.
func TestStopLeavesNothing(t *testing.T) { //nolint:paralleltest // See above.
	before := goleak.IgnoreCurrent()
	s := start(t, t.TempDir())
	s.do(t, "GET", "/v1.0/education/users", "")
	if status, _ := s.stop(); status != 0 {
		t.Errorf("exit status: got %d, want 0", status)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

func TestServeRefusesToStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	emptied := t.TempDir()
	if err := os.WriteFile(filepath.Join(emptied, "directory.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name        string
		environment []string
		want        string
	}{
		{"directory is empty", []string{"EDUCATION_DATA_DIR=" + emptied}, "directory.db is empty"},
		{"address in use", []string{"EDUCATION_HTTP_ADDR=" + taken.Addr().String()}, "EDUCATION_HTTP_ADDR"},
		{"LDAP address in use", []string{"EDUCATION_LDAP_LISTEN=" + taken.Addr().String()}, "EDUCATION_LDAP_LISTEN"},
		{"LDAP server", []string{"EDUCATION_LDAP_URI=elsewhere"}, "EDUCATION_LDAP_URI must be a list of LDAP servers"},
		{"data folder is a file", []string{"EDUCATION_DATA_DIR=" + file}, file},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// A service that starts after all is stopped again.
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			var stderr bytes.Buffer
			status := run(ctx, []string{"serve"}, append([]string{
				"EDUCATION_DATA_DIR=" + t.TempDir(), "EDUCATION_HTTP_ADDR=127.0.0.1:0", "EDUCATION_LDAP_LISTEN=127.0.0.1:0",
			}, test.environment...), io.Discard, &stderr)
			if status != 1 || !strings.Contains(stderr.String(), test.want) {
				t.Errorf("got status %d and %q, want 1 and %q", status, stderr.String(), test.want)
			}
		})
	}
}

func TestLDAPListenerOff(t *testing.T) {
	t.Parallel()
	if s := start(t, t.TempDir(), "EDUCATION_LDAP_LISTEN="); s.LDAP != "" {
		t.Errorf("LDAP is served at %q", s.LDAP)
	}
}

func TestLDAPS(t *testing.T) {
	t.Parallel()
	certificate, key := certificateFiles(t)
	s := start(t, t.TempDir(), "EDUCATION_LDAPS_LISTEN=127.0.0.1:0",
		"EDUCATION_LDAP_TLS_CERT_FILE="+certificate, "EDUCATION_LDAP_TLS_KEY_FILE="+key)
	roots := x509.NewCertPool()
	content, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(content)
	connection, err := tls.Dial("tcp", s.LDAPS, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatalf("ldaps at %q: %v", s.LDAPS, err)
	}
	connection.Close()
}

// certificateFiles writes a certificate for 127.0.0.1 and its key, and returns the paths.
func certificateFiles(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("certificate.pem", "CERTIFICATE", public), write("key.pem", "PRIVATE KEY", secret)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	check := func() (int, string) {
		var output bytes.Buffer
		status := run(t.Context(), []string{"check"}, []string{"EDUCATION_DATA_DIR=" + folder}, &output, &output)
		return status, output.String()
	}
	if status, output := check(); status != 1 || !strings.Contains(output, "no directory to check") {
		t.Errorf("without a directory: %d %q", status, output)
	}
	s := start(t, folder)
	s.do(t, "POST", "/v1.0/education/schools", `{"displayName":"A"}`)
	if status, output := check(); status != 1 || !strings.Contains(output, "in use by another process") {
		t.Errorf("while a server runs: %d %q", status, output)
	}
	s.stop()
	if status, output := check(); status != 0 || !strings.Contains(output, "no faults") {
		t.Errorf("after it has stopped: %d %q", status, output)
	}
	path := filepath.Join(folder, "directory.db")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		size int
		want string
	}{"truncated": {8192, "is damaged"}, "emptied": {0, "is empty"}} {
		if err := os.WriteFile(path, content[:test.size], 0o600); err != nil {
			t.Fatal(err)
		}
		status, output := check()
		if status != 1 || !strings.Contains(output, test.want) {
			t.Errorf("%s: %d %q, want 1 and %q", name, status, output, test.want)
		}
		if about, err := os.Stat(path); err != nil || about.Size() != int64(test.size) {
			t.Errorf("%s: the check wrote to the file", name)
		}
	}
}

// need ends a test whose program is not installed: as skipped, or as failed if EDUCATION_TEST_REQUIRE, a list with
// commas, names the Debian package that the program comes with.
func need(t *testing.T, packageName, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if isRequired(os.Getenv("EDUCATION_TEST_REQUIRE"), packageName) {
		t.Fatalf("%s is not installed (Debian's package %s), and EDUCATION_TEST_REQUIRE asks for it", program, packageName)
	}
	t.Skipf("%s is not installed; it comes with Debian's package %s", program, packageName)
}

// isRequired says whether a list with commas names a package.
func isRequired(list, packageName string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(name string) bool {
		return strings.TrimSpace(name) == packageName
	})
}

func TestIsRequired(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, list, packageName string
		want                    bool
	}{
		{"nothing", "", "curl", false},
		{"another", "ldap-utils", "curl", false},
		{"itself", "ldap-utils, curl ,make", "curl", true},
		{"a part of a name", "ldap-utils", "ldap", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := isRequired(test.list, test.packageName); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestPastedCurlLineWorks(t *testing.T) {
	t.Parallel()
	need(t, "dash", "sh")
	need(t, "curl", "curl")
	s := start(t, filepath.Join(t.TempDir(), "a folder"))
	line := startMessage{http: s.HTTP, apiPath: "/graph/v1.0/education", token: credential{file: s.TokenFile}}.curl()
	output, err := exec.CommandContext(t.Context(), "sh", "-c", line).Output()
	if err != nil || !strings.Contains(string(output), `"value":[]`) {
		t.Errorf("%s: %v\n%s", line, err, output)
	}
}
