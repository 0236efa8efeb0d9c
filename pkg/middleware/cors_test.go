package middleware

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCORS(t *testing.T) {
	t.Parallel()
	const portal = "https://portal.example"
	preflight := func(origin, method, headers string) *http.Request {
		r := httptest.NewRequest(http.MethodOptions, "/users/1", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", method)
		if headers != "" {
			r.Header.Set("Access-Control-Request-Headers", headers)
		}
		return r
	}
	get := func(origin ...string) *http.Request {
		r := request(http.MethodGet, "/users/1")
		for _, origin := range origin {
			r.Header.Add("Origin", origin)
		}
		return r
	}
	tokenless := get(portal)
	tokenless.Header.Del("Authorization")
	bare := request(http.MethodOptions, "/users/1", "Origin", portal, "Authorization", "")
	tests := []struct {
		name    string
		request *http.Request
		status  int
		// allowed is the origin that the answer lets read it.
		allowed string
	}{
		{"preflight", preflight(portal, "PATCH", "authorization,content-type,if-match"), 204, portal},
		{"preflight of the second origin", preflight("http://localhost:3000", "GET", "authorization"), 204, "http://localhost:3000"},
		{"preflight for a method there is not", preflight(portal, "PUT", "authorization"), 204, ""},
		{"preflight for a header that is none of ours", preflight(portal, "GET", "x-other"), 204, ""},
		{"preflight of a stranger", preflight("https://stranger.example", "GET", "authorization"), 401, ""},
		{"preflight in capitals", preflight("https://PORTAL.example", "GET", "authorization"), 401, ""},
		{"preflight with another scheme", preflight("http://portal.example", "GET", "authorization"), 401, ""},
		{"preflight with another port", preflight(portal+":8443", "GET", "authorization"), 401, ""},
		{"preflight of a longer name", preflight(portal+".stranger.example", "GET", "authorization"), 401, ""},
		{"preflight of a name below", preflight("https://a.portal.example", "GET", "authorization"), 401, ""},
		{"preflight of no origin", preflight("null", "GET", "authorization"), 401, ""},
		{"preflight with a pattern", preflight("*", "GET", "authorization"), 401, ""},
		{"OPTIONS that is no preflight", bare, 401, portal},
		{"request", get(portal), 200, portal},
		{"request without a token", tokenless, 401, portal},
		{"request of a stranger", get("https://stranger.example"), 200, ""},
		{"request of two origins", get(portal, "https://stranger.example"), 200, ""},
		{"request without an origin", get(), 200, ""},
	}
	handler := service(func(o *Options) { o.ForeignOrigins = []string{portal, "http://localhost:3000"} })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, test.request)
			header := w.Header()
			if got := strings.Join(header.Values("Access-Control-Allow-Origin"), " "); w.Code != test.status || got != test.allowed {
				t.Errorf("got %d for %q, want %d for %q", w.Code, got, test.status, test.allowed)
			}
			if !strings.Contains(strings.Join(header.Values("Vary"), ", "), "Origin") {
				t.Errorf("got Vary: %q, which does not name Origin", header.Values("Vary"))
			}
			if got, there := header["Access-Control-Allow-Credentials"]; there {
				t.Errorf("got Access-Control-Allow-Credentials: %q", got)
			}
		})
	}
}

// TestNoCORS holds that nothing speaks of CORS unless it is configured.
func TestNoCORS(t *testing.T) {
	t.Parallel()
	r := request(http.MethodGet, "/users/1", "Origin", "https://portal.example")
	w := httptest.NewRecorder()
	service(nil).ServeHTTP(w, r)
	for name := range w.Header() {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			t.Errorf("got %s: %q", name, w.Header().Values(name))
		}
	}
}
