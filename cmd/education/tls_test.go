package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// trusting returns the configuration of a client that trusts the certificate in a file, and may show one.
func trusting(t *testing.T, path string, shown ...tls.Certificate) *tls.Config {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(content)
	return &tls.Config{RootCAs: roots, Certificates: shown}
}

// secureClient returns a client that speaks HTTP/2 where the server does.
func secureClient(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// get calls a path over HTTPS with the service's token, if it has one.
func (s *service) get(t *testing.T, client *http.Client, path string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.HTTP+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	response, err := client.Do(request)
	if err == nil {
		response.Body.Close()
	}
	return response, err
}

// TestHTTPS serves with a certificate, replaces it, and goes on with the connection that was there.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	certificate, key := certificateFiles(t)
	s := start(t, t.TempDir(), "EDUCATION_HTTP_TLS_CERT_FILE="+certificate, "EDUCATION_HTTP_TLS_KEY_FILE="+key)
	if !strings.HasPrefix(s.API, "https://") {
		t.Errorf("the log gives the URL %s", s.API)
	}
	old := secureClient(t, trusting(t, certificate))
	response, err := s.get(t, old, "/graph/v1.0/education/users")
	if err != nil || response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		t.Fatalf("got %v, %v, want 200 over HTTP/2", response, err)
	}
	if got := response.Header.Get("Strict-Transport-Security"); got == "" {
		t.Error("the answer has no Strict-Transport-Security")
	}
	plain, err := http.Get("http://" + s.HTTP + "/healthz")
	if err != nil || plain.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS: got %v, %v, want 400", plain, err)
	} else {
		plain.Body.Close()
	}

	next, nextKey := certificateFiles(t)
	for from, to := range map[string]string{next: certificate, nextKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		response, err := s.get(t, secureClient(t, trusting(t, certificate)), "/healthz")
		if err == nil && response.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the new certificate is not shown: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	// Only the connection that is there can serve this client, which does not trust the new certificate.
	if response, err := s.get(t, old, "/healthz"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("the connection from before: %v, %v", response, err)
	}
	if _, log := s.stop(); strings.Count(log, `"msg":"a certificate is in use","certificate":"http"`) != 2 || !strings.Contains(log, `"not_after"`) {
		t.Errorf("the log does not tell of two certificates:\n%s", log)
	}
}

// TestClientCertificates holds that nobody without a certificate is let in, not even to a probe, and that one takes the
// place of no token.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	certificate, key := certificateFiles(t)
	clients, clientKey := certificateFiles(t)
	s := start(t, t.TempDir(), "EDUCATION_HTTP_TLS_CERT_FILE="+certificate, "EDUCATION_HTTP_TLS_KEY_FILE="+key,
		"EDUCATION_HTTP_TLS_CLIENT_CA_FILE="+clients)
	pair, err := tls.LoadX509KeyPair(clients, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	known, stranger := secureClient(t, trusting(t, certificate, pair)), secureClient(t, trusting(t, certificate))
	for _, path := range []string{"/healthz", "/graph/v1.0/education/users"} {
		if response, err := s.get(t, known, path); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s with a certificate: got %v, %v", path, response, err)
		}
		if response, err := s.get(t, stranger, path); err == nil {
			t.Errorf("%s without a certificate: got %d", path, response.StatusCode)
		}
	}
	s.token = ""
	if response, err := s.get(t, known, "/graph/v1.0/education/users"); err != nil || response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token: got %v, %v, want 401", response, err)
	}
}

// TestNoProfiler holds that what net/http/pprof would serve is not there.
func TestNoProfiler(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/metrics"} {
		if status, body := s.do(t, http.MethodGet, path, ""); status != http.StatusNotFound {
			t.Errorf("%s: got %d %s", path, status, body)
		}
	}
	if handler, pattern := http.DefaultServeMux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/debug/pprof/heap"}}); pattern != "" {
		t.Errorf("a package that is linked in registers %q: %T", pattern, handler)
	}
}
