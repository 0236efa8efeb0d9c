package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
			probes := &health{checks: test.checks, logger: slog.New(slog.DiscardHandler)}
			probes.handler(nil, next).ServeHTTP(w, httptest.NewRequest(http.MethodGet, test.path, nil))
			if w.Code != test.status {
				t.Errorf("status: got %d, want %d", w.Code, test.status)
			}
			if diff := cmp.Diff(test.body, w.Body.String()); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadinessIsProvedOnce shows that probes, which anybody may send, ask the directory no more often than the answer is good for.
func TestReadinessIsProvedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		proofs := 0
		slow := check{"directory", func(context.Context) error {
			time.Sleep(readyTimeout / 2)
			if proofs++; proofs == 2 {
				return errors.New("down")
			}
			return nil
		}}
		handler := (&health{checks: []check{slow}, logger: slog.New(slog.DiscardHandler)}).handler(nil, http.NotFoundHandler())
		for _, want := range []int{http.StatusOK, http.StatusServiceUnavailable, http.StatusOK} {
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
					if w.Code != want {
						t.Errorf("got %d, want %d", w.Code, want)
					}
				})
				time.Sleep(readyTimeout / 20)
			}
			all.Wait()
			time.Sleep(readyFor)
		}
		if proofs != 3 {
			t.Errorf("%d proofs", proofs)
		}
	})
}
