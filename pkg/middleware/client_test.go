package middleware

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fe80::/10")}
	tests := []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"nobody between", "198.51.100.1:1234", nil, "198.51.100.1"},
		{"a stranger's word", "198.51.100.1:1234", []string{"203.0.113.1"}, "198.51.100.1"},
		{"a proxy's word", "192.0.2.1:1234", []string{"203.0.113.1"}, "203.0.113.1"},
		{"what the client has told the proxy", "192.0.2.1:1234", []string{"10.0.0.1, 203.0.113.1"}, "203.0.113.1"},
		{"two proxies", "192.0.2.1:1234", []string{"10.0.0.1", "203.0.113.1, 192.0.2.2"}, "203.0.113.1"},
		{"proxies alone", "192.0.2.1:1234", []string{"192.0.2.3, 192.0.2.2"}, "192.0.2.3"},
		{"a proxy that says nothing", "192.0.2.1:1234", nil, "192.0.2.1"},
		{"a name", "192.0.2.1:1234", []string{"203.0.113.1, unknown"}, "192.0.2.1"},
		{"a port", "192.0.2.1:1234", []string{"203.0.113.1:77"}, "203.0.113.1"},
		{"IPv6", "[fe80::1%eth0]:1234", []string{"[2001:db8::1]:77"}, "2001:db8::1"},
		{"IPv6 in brackets", "[fe80::1]:1234", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:1234", []string{"::ffff:203.0.113.1"}, "203.0.113.1"},
		{"a socket in the file system", "@", []string{"203.0.113.1"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = test.remote, test.forwarded
			if got := clientAddress(r, trusted); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
