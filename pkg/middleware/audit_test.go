package middleware

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/opencloud-eu/education/pkg/audit"
	"github.com/opencloud-eu/education/pkg/education"
)

// auditLines is a store of a trail.
type auditLines struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *auditLines) Append(line []byte) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, err := l.text.Write(line)
	return err
}

func (l *auditLines) Sync() error { return nil }

// TestAudit holds what the trail learns about requests from the chain around it: refusals by what is inside of it, what a
// panic is answered with, ids, trace, credential and address.
func TestAudit(t *testing.T) {
	t.Parallel()
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	base := map[string]any{
		"requestId": "r1", "clientRequestId": "c1", "traceId": traceID, "remote": "203.0.113.1",
		"credential": "administrator", "tenants": []any{"all"},
	}
	tests := map[string]struct {
		request *http.Request
		// want has the members that are not those of base; nil is no line.
		want map[string]any
	}{
		"a read":                {request("GET", "/users/1"), nil},
		"a read that panics":    {request("GET", "/panic"), nil},
		"a read that is cut":    {request("GET", "/panic/late"), nil},
		"no token":              {request("GET", "/users/1", "Authorization", ""), map[string]any{"verb": "read", "outcome": "refused", "status": 401., "code": "InvalidAuthenticationToken", "credential": nil, "tenants": nil}},
		"a wrong token":         {request("DELETE", "/users/1", "Authorization", "Bearer canary"), map[string]any{"verb": "delete", "outcome": "refused", "status": 401., "code": "InvalidAuthenticationToken", "credential": nil, "tenants": nil}},
		"an unknown path":       {request("POST", "/nothing"), map[string]any{"verb": "create", "outcome": "refused", "status": 404., "code": "itemNotFound"}},
		"a method without path": {request("PUT", "/users/1"), map[string]any{"verb": "update", "outcome": "refused", "status": 405., "code": "notAllowed"}},
		"a write that panics":   {request("POST", "/panic/write"), map[string]any{"verb": "create", "outcome": "failed", "status": 500., "code": "generalException"}},
		"a write that is cut":   {request("POST", "/panic/write/late"), map[string]any{"verb": "create", "outcome": "failed", "status": 500., "aborted": true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &auditLines{}
			handler := service(func(o *Options) {
				o.Tracers = sdktrace.NewTracerProvider()
				o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
				o.Trail = audit.New(audit.Config{
					Store: store, Logger: slog.New(slog.DiscardHandler),
					AddressOf: func(string) education.Address { return education.Address{} },
				})
			})
			r := test.request
			r.Header.Set("X-Request-Id", "r1")
			r.Header.Set("Client-Request-Id", "c1")
			r.Header.Set("Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01")
			r.Header.Set("X-Forwarded-For", "203.0.113.1")
			func() {
				defer func() { _ = recover() }()
				handler.ServeHTTP(httptest.NewRecorder(), r)
			}()
			checkLine(t, store.text.Bytes(), base, test.want)
		})
	}
}

// checkLine compares the only line of a record with the members of base and those of want over them; there must be none if
// want is nil.
func checkLine(t *testing.T, text []byte, base, want map[string]any) {
	t.Helper()
	if want == nil {
		if len(text) > 0 {
			t.Errorf("there is a line: %s", text)
		}
		return
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("there is not one line: %q", text)
	}
	if _, ok := got["durationMs"].(float64); !ok {
		t.Errorf("there is no duration: %s", text)
	}
	delete(got, "durationMs")
	delete(got, "time")
	line := map[string]any{}
	for _, members := range []map[string]any{base, want} {
		for name, value := range members {
			if line[name] = value; value == nil {
				delete(line, name)
			}
		}
	}
	if diff := cmp.Diff(line, got); diff != "" {
		t.Errorf("the line (-want +got):\n%s", diff)
	}
}
