package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	good := check{"directory", func(context.Context) error { return nil }}
	bad := check{"other", func(context.Context) error { return errors.New("disk /dev/sda1 is full") }}
	tests := []struct {
		name   string
		path   string
		checks []check
		status int
		body   string
	}{
		{"alive", "/healthz", []check{good}, 200, `{"status":"ok"}` + "\n"},
		{"alive whatever the checks say", "/healthz", []check{bad}, 200, `{"status":"ok"}` + "\n"},
		{"ready", "/readyz", []check{good}, 200, `{"status":"ok","checks":{"directory":"ok"}}` + "\n"},
		{
			"not ready", "/readyz",
			[]check{good, bad},
			503, `{"status":"failed","checks":{"directory":"ok","other":"failed"}}` + "\n",
		},
		{"another path", "/", []check{bad}, 418, ""},
	}
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			health{test.checks, slog.New(slog.DiscardHandler), next}.ServeHTTP(w, httptest.NewRequest(http.MethodGet, test.path, nil))
			if w.Code != test.status {
				t.Errorf("status: got %d, want %d", w.Code, test.status)
			}
			if diff := cmp.Diff(test.body, w.Body.String()); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}
