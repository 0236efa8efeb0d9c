package main

import (
	"bytes"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/middleware"
)

func TestLimitsOfPool(t *testing.T) {
	t.Parallel()
	remote := func(more map[string]string) map[string]string {
		more["EDUCATION_LDAP_URI"], more["EDUCATION_LDAP_BIND_DN"], more["EDUCATION_LDAP_BIND_PASSWORD"] = "ldap://127.0.0.1", "cn=a", "p"
		return more
	}
	tests := []struct {
		name        string
		environment map[string]string
		want        int
	}{
		{"in the process", map[string]string{}, 16},
		{"in the process, with a setting for servers", map[string]string{"EDUCATION_LDAP_POOL_SIZE": "4"}, 16},
		{"half of the pool", remote(map[string]string{}), 8},
		{"half of a small pool", remote(map[string]string{"EDUCATION_LDAP_POOL_SIZE": "1"}), 1},
		{"less than half of the pool", remote(map[string]string{"EDUCATION_LIMIT_CONCURRENCY": "3"}), 3},
		{"off", remote(map[string]string{"EDUCATION_LIMIT_CONCURRENCY": "0"}), 0},
	}
	for _, test := range tests {
		s, err := load(test.environment)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.limits(nil).Concurrency; got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

// slow is an authenticator whose judgement costs something.
type slow struct{ access.Single }

func TestExempt(t *testing.T) {
	t.Parallel()
	strong, signed := strings.Repeat("01234567", 5), strings.Repeat("abcdefgh", 5)
	exempt := exempt([]access.Authenticator{
		access.Single{Token: access.DigestOf("changeme")},
		access.Single{Token: access.DigestOf(strong)},
		slow{access.Single{Token: access.DigestOf(signed)}},
	})
	for token, want := range map[string]bool{strong: true, "changeme": false, signed: false, strong + "x": false, "": false} {
		if got := exempt(t.Context(), token); got != want {
			t.Errorf("%q: got %t", token, got)
		}
	}
}

// TestStreams has one HTTP/2 client ask for more at a time than one connection may. It opens others for the rest.
func TestStreams(t *testing.T) {
	t.Parallel()
	var mutex sync.Mutex
	running, most := map[string]int{}, 0
	full, once := make(chan struct{}), sync.Once{}
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			return
		}
		note := func(change int) int {
			mutex.Lock()
			defer mutex.Unlock()
			running[r.RemoteAddr] += change
			most = max(most, running[r.RemoteAddr])
			return running[r.RemoteAddr]
		}
		if note(1) == maxStreams {
			once.Do(func() { close(full) })
		}
		select {
		case <-full:
		case <-time.After(10 * time.Second): // The count below tells.
		}
		note(-1)
	})
	connections := middleware.NewConnections(0, nil, metricnoop.NewMeterProvider())
	server := httptest.NewUnstartedServer(nil)
	server.Config = httpServer(handler, connections, slog.New(slog.DiscardHandler))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client := server.Client()
	get := func(path string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Error(err)
			return
		}
		response, err := client.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.ProtoMajor != 2 {
			t.Errorf("got %s", response.Proto)
		}
	}
	get("/first") // Later ones find its connection.
	var all sync.WaitGroup
	for range 2 * maxStreams {
		all.Go(func() { get("/") })
	}
	all.Wait()
	if most != maxStreams {
		t.Errorf("%d requests at a time on one of %d connections", most, len(running))
	}
}

func TestConnectionsWithin(t *testing.T) {
	t.Parallel()
	for files, want := range map[uint64]int{0: 1, 256: 128, 1024: 512, 4096: 3584, 1 << 20: 1<<20 - otherFiles, math.MaxUint64: math.MaxInt32} {
		if got := connectionsWithin(files); got != want {
			t.Errorf("%d files: got %d connections, want %d", files, got, want)
		}
	}
}

// TestConnectionsArePossible shows that a start with more connections than there can be says so, and goes on with those.
func TestConnectionsArePossible(t *testing.T) {
	t.Parallel()
	files, known := openFiles()
	if !known {
		t.Skip("it is not known here how many files may be open")
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for _, wanted := range []uint16{0, 1, math.MaxUint16} {
		want := min(int(wanted), connectionsWithin(files))
		if got := (&settings{LimitConnections: wanted}).connections(logger); got != want {
			t.Errorf("%d connections: got %d, want %d", wanted, got, want)
		}
	}
	if warned := strings.Contains(log.String(), "files.few"); warned != (connectionsWithin(files) < math.MaxUint16) {
		t.Errorf("with %d files the log is %q", files, log.String())
	}
}
