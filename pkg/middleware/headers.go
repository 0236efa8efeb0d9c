package middleware

import "net/http"

// hsts tells browsers to come back with TLS alone, for a year (RFC 6797, section 6.1). Other names of the host's domain
// are not the service's to speak for.
const hsts = "max-age=31536000"

// Headers sets what every response says to browsers and caches on its way, as OWASP's REST Security Cheat Sheet has it
// for an API that no page is part of:
//
//   - personal data is not stored (RFC 9111, section 5.2.2.5), and a body is what its Content-Type says;
//   - a browser that shows a response loads, runs and frames nothing (Content Security Policy level 3, sections 6.1.3
//     and 6.4.2, which takes the place of X-Frame-Options), and names the path, in which people stand, to nobody;
//   - no page of another site can embed a response as if it was an image or a script (Fetch, section 3.7). CORS, where
//     it lets a page read responses, is another matter;
//   - who has come with TLS keeps to it. Over a connection without, browsers ignore that header (RFC 6797, section 8.1)
//     and a server must not send it (section 7.2); a proxy that speaks TLS has to add it.
func Headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		if r.TLS != nil {
			header.Set("Strict-Transport-Security", hsts)
		}
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
