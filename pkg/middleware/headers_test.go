package middleware

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHeaders holds that every answer has the headers for browsers, whatever it is.
func TestHeaders(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
	}
	for _, compatible := range []bool{false, true} {
		handler := service(func(o *Options) { o.Compatible = compatible })
		for target, header := range map[string][]string{
			"/users/1": nil, "/nothing": nil, "/panic": nil, "/origin": {"Authorization", ""},
		} {
			for _, secure := range []bool{false, true} {
				r := request(http.MethodGet, target, header...)
				r.TLS, want["Strict-Transport-Security"] = nil, ""
				if secure {
					r.TLS, want["Strict-Transport-Security"] = &tls.ConnectionState{}, "max-age=31536000"
				}
				_, got := ask(t, handler, r)
				values := map[string]string{}
				for name := range want {
					values[name] = strings.Join(got.Values(name), ", ")
				}
				if diff := cmp.Diff(want, values); diff != "" {
					t.Errorf("%s, compatible=%t, TLS=%t: headers (-want +got):\n%s", target, compatible, secure, diff)
				}
			}
		}
	}
}
