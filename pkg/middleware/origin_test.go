package middleware

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/opencloud-eu/education/pkg/odata"
)

func TestOrigin(t *testing.T) {
	t.Parallel()
	const inner, outsider = "192.0.2.1:1234", "198.51.100.1:1234"
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fe80::/10")}
	tests := []struct {
		name   string
		public string
		remote string
		tls    bool
		header http.Header
		want   string
	}{
		{name: "nobody between", remote: outsider, want: ""},
		{name: "a public origin", public: "https://a.example/p", remote: outsider, want: "https://a.example/p"},
		{
			name: "a public origin counts before the headers", public: "https://a.example", remote: inner,
			header: http.Header{"X-Forwarded-Host": {"b.example"}}, want: "https://a.example",
		},
		{
			name: "headers of a stranger", remote: outsider,
			header: http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Prefix": {"/x"}}, want: "",
		},
		{
			name: "all headers", remote: inner,
			header: http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"a.example:8443"}, "X-Forwarded-Prefix": {"/p/q/"}},
			want:   "https://a.example:8443/p/q",
		},
		{name: "scheme alone", remote: inner, header: http.Header{"X-Forwarded-Proto": {"HTTPS"}}, want: "https://inside.example"},
		{name: "host alone", remote: inner, header: http.Header{"X-Forwarded-Host": {"a.example"}}, want: "http://a.example"},
		{name: "host alone over TLS", remote: inner, tls: true, header: http.Header{"X-Forwarded-Host": {"a.example"}}, want: "https://a.example"},
		{name: "IPv6", remote: inner, header: http.Header{"X-Forwarded-Host": {"[2001:db8::1]:443"}}, want: "http://[2001:db8::1]:443"},
		{name: "a proxy without headers", remote: inner, want: "http://inside.example"},
		{
			name: "the proxy's own word is the last of a list", remote: inner,
			header: http.Header{"X-Forwarded-Proto": {"http, https"}, "X-Forwarded-Host": {"evil.example", "b.example , a.example"}},
			want:   "https://a.example",
		},
		{
			name: "unusable values", remote: inner,
			header: http.Header{
				"X-Forwarded-Proto": {"javascript"}, "X-Forwarded-Host": {"a.example/x?y"}, "X-Forwarded-Prefix": {"//evil.example"},
			},
			want: "http://inside.example",
		},
		{name: "a user in the host", remote: inner, header: http.Header{"X-Forwarded-Host": {"a@evil.example"}}, want: "http://inside.example"},
		{name: "a relative prefix", remote: inner, header: http.Header{"X-Forwarded-Prefix": {"p"}}, want: "http://inside.example"},
		{
			name: "IPv4 in IPv6", remote: "[::ffff:192.0.2.1]:1", header: http.Header{"X-Forwarded-Proto": {"https"}},
			want: "https://inside.example",
		},
		{name: "zone", remote: "[fe80::1%eth0]:1", header: http.Header{"X-Forwarded-Proto": {"https"}}, want: "https://inside.example"},
		{name: "no address", remote: "@", header: http.Header{"X-Forwarded-Proto": {"https"}}, want: ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := "the handler was not called"
			handler := Origin(test.public, trusted)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = odata.OriginOf(r.Context())
			}))
			r := httptest.NewRequest(http.MethodGet, "http://inside.example/", nil)
			r.RemoteAddr = test.remote
			for name, values := range test.header {
				r.Header[name] = values
			}
			if test.tls {
				r.TLS = &tls.ConnectionState{}
			}
			handler.ServeHTTP(httptest.NewRecorder(), r)
			if got != test.want {
				t.Errorf("origin: got %q, want %q", got, test.want)
			}
		})
	}
}

// TestODataVersion holds that every answer of the chain names the version, those without a handler too, unless the
// service answers as OpenCloud's graph service does.
func TestODataVersion(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"contract":      {nil, "4.0"},
		"compatibility": {func(o *Options) { o.Compatible = true }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := service(test.change)
			for _, r := range []*http.Request{
				request("GET", "/users/1"), request("DELETE", "/users/1"), request("GET", "/nothing"), request("PUT", "/users/1"),
				request("GET", "/panic"), request("GET", "/users/1", "Authorization", ""),
			} {
				if _, header := ask(t, handler, r); header.Get("OData-Version") != test.want {
					t.Errorf("OData-Version of %s %s: got %q, want %q", r.Method, r.URL, header.Get("OData-Version"), test.want)
				}
			}
		})
	}
}

// TestChainTellsTheOrigin holds that the options reach the API.
func TestChainTellsTheOrigin(t *testing.T) {
	t.Parallel()
	handler := service(func(o *Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} })
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request("GET", "/origin", "X-Forwarded-Proto", "https"))
	if got, want := recorder.Body.String(), "https://example.com"; got != want {
		t.Errorf("origin: got %q, want %q", got, want)
	}
}
