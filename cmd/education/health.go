package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/opencloud-eu/education/pkg/middleware"
	"github.com/opencloud-eu/education/pkg/odata"
)

// readyTimeout bounds the checks of /readyz. A probe's own time-out is often one second (Kubernetes' default).
const readyTimeout = 900 * time.Millisecond

// readyFor is how long it is taken for granted what the checks have shown: anybody may ask, and they ask the directory.
const readyFor = 250 * time.Millisecond

// check is one condition of being ready, which it proves by doing something or reports why not.
type check struct {
	name  string
	prove func(context.Context) error
}

// health answers the probes of whoever runs the service: /healthz says that the process answers, /readyz that it can
// do its work. It needs no token and tells no more than that; why a check fails stands in the log.
type health struct {
	checks []check
	logger *slog.Logger

	// proving is the proof under way, which all probes wait for that have come meanwhile. What follows is its own.
	proving singleflight.Group
	// proved is what the last proof has shown, and until when that is taken for granted.
	proved proof
	until  time.Time
}

// proof is an answer of /readyz.
type proof struct {
	status int
	body   healthBody
}

// handler returns the answers to probes, each within what one address may ask for, and next for everything else.
func (h *health) handler(trusted []netip.Prefix, next http.Handler) http.Handler {
	probe := func(answer http.HandlerFunc) http.Handler {
		return middleware.RequestIDs(middleware.Headers(middleware.Paced(trusted)(readOnly(answer))))
	}
	alive, ready := probe(h.alive), probe(h.ready)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz":
			alive.ServeHTTP(w, r)
		case "/readyz":
			ready.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// readOnly refuses every method but GET and HEAD.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			refused := odata.Errorf(odata.NotAllowed, "", "the method is not allowed for this path")
			refused.Allow = []string{http.MethodGet, http.MethodHead}
			odata.WriteError(w, r, refused)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// healthBody is the answer to a probe.
type healthBody struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks,omitempty"`
}

func (h *health) alive(w http.ResponseWriter, _ *http.Request) {
	writeHealth(w, http.StatusOK, healthBody{Status: "ok"})
}

func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	// Others wait for the same proof, so it does not end with this request.
	found, _, _ := h.proving.Do("", func() (any, error) { return h.prove(context.WithoutCancel(r.Context())), nil })
	proved := found.(proof)
	writeHealth(w, proved.status, proved.body)
}

// prove makes all checks and remembers what they have shown, or returns what it remembers.
func (h *health) prove(ctx context.Context) proof {
	if time.Now().Before(h.until) {
		return h.proved
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	found := proof{http.StatusOK, healthBody{Status: "ok", Checks: map[string]string{}}}
	for _, check := range h.checks {
		found.body.Checks[check.name] = "ok"
		if err := check.prove(ctx); err != nil {
			h.logger.WarnContext(ctx, "not ready", "check", check.name, "cause", err)
			found.status, found.body.Status, found.body.Checks[check.name] = http.StatusServiceUnavailable, "failed", "failed"
		}
	}
	h.proved, h.until = found, time.Now().Add(readyFor)
	return found
}

func writeHealth(w http.ResponseWriter, status int, body healthBody) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The status is sent; a probe that stops reading now has what it asked for.
	_ = json.NewEncoder(w).Encode(body)
}
