package middleware

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress returns the IP address of a request's client as text, which is empty if it has none.
func clientAddress(r *http.Request, trusted []netip.Prefix) string {
	address, ok := clientOf(r, trusted)
	if !ok {
		return ""
	}
	return address.String()
}

// siteBits is the length of the IPv6 network that stands for one client: a site chooses its addresses from one of 48 to 64 bits
// (RFC 6177, section 2), a home most often from one of 56.
const siteBits = 56

// clientNetwork returns what stands for the address of a request's client: the IP address or, for IPv6, the site's network. It is
// the invalid prefix if the client has none.
func clientNetwork(r *http.Request, trusted []netip.Prefix) netip.Prefix {
	address, _ := clientOf(r, trusted)
	return networkOf(address)
}

// networkOf returns the network that one client has for itself.
func networkOf(address netip.Addr) netip.Prefix {
	bits := siteBits
	if address.Is4() {
		bits = address.BitLen()
	}
	network, _ := address.Prefix(bits) // No address has fewer bits.
	return network
}

// clientOf returns the IP address of a request's client as far as it is known: the peer of the connection or, if that is
// a trusted proxy, whom its X-Forwarded-For names, and so on from proxy to proxy. What stands before the first address that
// is not trusted may be the client's own invention. It is false if the peer has no IP address.
func clientOf(r *http.Request, trusted []netip.Prefix) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
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
	return address, true
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
