package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/opencloud-eu/education/pkg/middleware"
	"github.com/opencloud-eu/education/pkg/odata"
)

// readyTimeout bounds the checks of /readyz. A probe's own time-out is often one second (Kubernetes' default).
const readyTimeout = 900 * time.Millisecond

// check is one condition of being ready, which it proves by doing something or reports why not.
type check struct {
	name  string
	prove func(context.Context) error
}

// health answers the probes of whoever runs the service: /healthz says that the process answers, /readyz that it can
// do its work. It needs no token and tells no more than that; why a check fails stands in the log. Every other path
// goes to next.
type health struct {
	checks []check
	logger *slog.Logger
	next   http.Handler
}

func (h health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer http.HandlerFunc
	switch r.URL.Path {
	case "/healthz":
		answer = h.alive
	case "/readyz":
		answer = h.ready
	default:
		h.next.ServeHTTP(w, r)
		return
	}
	middleware.RequestIDs(middleware.Headers(readOnly(answer))).ServeHTTP(w, r)
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

func (h health) alive(w http.ResponseWriter, _ *http.Request) {
	writeHealth(w, http.StatusOK, healthBody{Status: "ok"})
}

func (h health) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	status, body := http.StatusOK, healthBody{Status: "ok", Checks: map[string]string{}}
	for _, check := range h.checks {
		body.Checks[check.name] = "ok"
		if err := check.prove(ctx); err != nil {
			h.logger.WarnContext(ctx, "not ready", "check", check.name, "cause", err)
			status, body.Status, body.Checks[check.name] = http.StatusServiceUnavailable, "failed", "failed"
		}
	}
	writeHealth(w, status, body)
}

func writeHealth(w http.ResponseWriter, status int, body healthBody) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The status is sent; a probe that stops reading now has what it asked for.
	_ = json.NewEncoder(w).Encode(body)
}
