package middleware

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/otel/trace"

	"github.com/opencloud-eu/education/pkg/odata"
)

// AccessLog logs one line for each request, at info, after its handler has returned. The route is the pattern that
// matched, empty if none did. A line with aborted=true is for an answer that broke off; with status 0 for one that did so before
// it began, most often because its client had gone.
func AccessLog(logger *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begin := time.Now()
			seen := observe(w)
			returned := false
			defer func() { logger.LogAttrs(r.Context(), slog.LevelInfo, "request", line(r, seen, begin, returned)...) }()
			next.ServeHTTP(seen, r)
			returned = true
		})
	}
}

// line returns the attributes of a request's log line.
func line(r *http.Request, w *response, begin time.Time, returned bool) []slog.Attr {
	ids := odata.RequestIDsOf(r.Context())
	attributes := []slog.Attr{
		slog.String("method", r.Method),
		slog.String("route", route(r)),
		slog.Int("status", w.status),
		slog.Int64("bytes", w.bytes),
		slog.Float64("duration-ms", float64(time.Since(begin).Microseconds())/1000),
		slog.String("request-id", ids.Server),
	}
	if w.credential != nil {
		attributes = append(attributes, slog.String("credential", w.credential.Name))
	}
	if ids.Client != "" {
		attributes = append(attributes, slog.String("client-request-id", ids.Client))
	}
	if span := trace.SpanContextFromContext(r.Context()); span.IsValid() {
		attributes = append(attributes, slog.String("trace-id", span.TraceID().String()))
	}
	if !returned {
		attributes = append(attributes, slog.Bool("aborted", true))
	}
	return attributes
}

// route returns the pattern that the request's path has matched. It is complete once the router has returned.
func route(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePattern() }
