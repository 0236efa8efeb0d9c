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
