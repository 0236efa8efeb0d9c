package middleware

import (
	"net/http"
	"slices"

	"github.com/rs/cors"
)

// What a page of a foreign origin may send and read beyond what Fetch lets every page (sections 2.2.2 and 3.3.7).
var (
	corsMethods = []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete}
	corsRequest = []string{
		"Authorization", "Content-Type", "Content-Encoding", "If-Match", "If-None-Match", "Prefer", "OData-Version", "OData-MaxVersion",
		"ConsistencyLevel", "client-request-id", "request-id", "X-Request-Id", "traceparent", "tracestate",
	}
	corsResponse = []string{
		"ETag", "Location", "OData-Version", "OData-EntityId", "Preference-Applied", "Retry-After", "WWW-Authenticate", "X-Request-Id",
		"request-id", "client-request-id",
	}
)

// corsMaxAge is for how many seconds a browser keeps the answer to a preflight request.
const corsMaxAge = 600

// CORS lets pages of the given origins call the API from a browser (Fetch, section 3.3). Origins are compared as they are
// written; there is no pattern, and none for all. A page presents a token that it has been given, like any other client:
// cookies and client certificates, which a browser would add by itself, are not asked for.
//
// A preflight request, which carries no token, is answered for these origins alone. To all others, and without any
// origin, the service looks as if there was no CORS.
func CORS(origins []string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if len(origins) == 0 {
			return next
		}
		shared := cors.New(cors.Options{
			AllowedOrigins: origins, AllowedMethods: corsMethods, AllowedHeaders: corsRequest, ExposedHeaders: corsResponse,
			MaxAge: corsMaxAge,
		}).Handler(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if values := r.Header.Values("Origin"); len(values) == 1 && slices.Contains(origins, values[0]) {
				shared.ServeHTTP(w, r)
				return
			}
			w.Header().Add("Vary", "Origin")
			next.ServeHTTP(w, r)
		})
	}
}
