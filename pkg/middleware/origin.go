package middleware

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"github.com/opencloud-eu/education/pkg/odata"
)

// Origin tells the API under which URL the client sees the service, for the absolute URLs in its responses.
//
// A public origin, as odata.WithOrigin takes it, counts for every request. Without one, the X-Forwarded-Proto,
// X-Forwarded-Host and X-Forwarded-Prefix headers of a trusted proxy count; whoever else sends them is not believed,
// because a link that leads the client elsewhere takes its token there. A header that is missing or unusable leaves its
// part as the connection shows it.
func Origin(public string, trusted []netip.Prefix) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			origin := public
			if origin == "" && isTrusted(r.RemoteAddr, trusted) {
				origin = forwardedOrigin(r)
			}
			if origin != "" {
				r = r.WithContext(odata.WithOrigin(r.Context(), origin))
			}
			next.ServeHTTP(w, r)
		})
	}
}

// isTrusted reports whether the peer of a connection is in one of the networks.
func isTrusted(remote string, trusted []netip.Prefix) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	return isWithin(plain(peer.Addr()), trusted)
}

var (
	// forwardedHost is a host as RFC 3986, section 3.2, has it, without percent-encoding.
	forwardedHost = regexp.MustCompile(`^([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)
	// forwardedPrefix is a path whose segments need no percent-encoding.
	forwardedPrefix = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)
)

// forwardedOrigin returns the origin that a trusted proxy's headers tell.
func forwardedOrigin(r *http.Request) string {
	scheme := strings.ToLower(forwarded(r.Header, "X-Forwarded-Proto"))
	if scheme != "http" && scheme != "https" {
		scheme = "http"
		if r.TLS != nil {
			scheme = "https"
		}
	}
	host := forwarded(r.Header, "X-Forwarded-Host")
	if !forwardedHost.MatchString(host) {
		host = r.Host
	}
	prefix := strings.TrimRight(forwarded(r.Header, "X-Forwarded-Prefix"), "/")
	if !forwardedPrefix.MatchString(prefix) {
		prefix = ""
	}
	return scheme + "://" + host + prefix
}

// forwarded returns the last value of a list header: that is what the trusted proxy itself has said, while those
// before it may come from the client.
func forwarded(header http.Header, name string) string {
	values := strings.Split(strings.Join(header.Values(name), ","), ",")
	return strings.TrimSpace(values[len(values)-1])
}
