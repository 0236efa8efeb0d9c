package middleware

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress returns the IP address of a request's client as far as it is known: the peer of the connection or, if that is
// a trusted proxy, whom its X-Forwarded-For names, and so on from proxy to proxy. What stands before the first address that
// is not trusted may be the client's own invention. The text is empty if the peer has no IP address.
func clientAddress(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	address := plain(peer.Addr())
	named := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(named) - 1; i >= 0 && isWithin(address, trusted); i-- {
		next, ok := parseClient(strings.TrimSpace(named[i]))
		if !ok {
			break
		}
		address = next
	}
	return address.String()
}

// parseClient reads an address of X-Forwarded-For. Some proxies add the port.
func parseClient(text string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return plain(withPort.Addr()), true
	}
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return plain(address), err == nil
}

// plain returns an address as networks have it: a socket for both versions of IP shows IPv4 addresses inside IPv6 ones, and
// no network has a zone.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// isWithin reports whether an address is in one of the networks.
func isWithin(address netip.Addr, networks []netip.Prefix) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}
