package middleware

import "net/http"

// Headers sets what every response says to browsers and caches on its way: personal data is not stored (RFC 9111,
// section 5.2.2.5), and a body is what its Content-Type says.
func Headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// ODataVersion names the version of OData that the API speaks, as every response of an OData service does (OData
// protocol, section 8.1.5). OpenCloud's graph service does not, so neither does one that is compatible with it.
func ODataVersion(compatible bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if compatible {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("OData-Version", "4.0")
			next.ServeHTTP(w, r)
		})
	}
}
