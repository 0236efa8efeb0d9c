package middleware

import (
	"net/http"
	"net/netip"

	"go.opentelemetry.io/otel/trace"

	"github.com/opencloud-eu/education/pkg/audit"
)

// Audit lets a trail follow each request. A nil trail follows none.
//
// It stands outside of Recover and authenticate: what they answer is recorded, too, and a credential that authenticate finds
// is known here by the response that both observe.
func Audit(trail *audit.Trail, proxies []netip.Prefix) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if trail == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen := observe(w)
			about := audit.Request{Method: r.Method, Path: r.URL.EscapedPath(), Remote: clientAddress(r, proxies)}
			if span := trace.SpanContextFromContext(r.Context()); span.IsValid() {
				about.TraceID = span.TraceID().String()
			}
			ctx, recording := trail.Follow(r.Context(), about)
			aborted := true
			defer func() {
				recording.End(audit.Answer{Status: seen.status, Aborted: aborted, Credential: seen.credential})
			}()
			next.ServeHTTP(seen, r.WithContext(ctx))
			aborted = false
		})
	}
}
