package middleware

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientNetwork returns what stands for the address of a request's client: the IP address or, for IPv6, the network of 64 bits
// that a client may choose its addresses from (RFC 4291, section 2.5.4). Behind trusted proxies that is the last address in
// X-Forwarded-For that is not one of theirs; what comes before it may be the client's invention. It is the invalid prefix if
// the peer has no address.
func clientNetwork(r *http.Request, trusted []netip.Prefix) netip.Prefix {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	client := plainAddress(peer.Addr())
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(chain) - 1; i >= 0 && contains(trusted, client); i-- {
		before, ok := forwardedAddress(strings.TrimSpace(chain[i]))
		if !ok {
			break
		}
		client = before
	}
	return networkOf(client)
}

// forwardedAddress reads an element of X-Forwarded-For, which some proxies send with a port.
func forwardedAddress(text string) (netip.Addr, bool) {
	if address, err := netip.ParseAddr(text); err == nil {
		return plainAddress(address), true
	}
	address, err := netip.ParseAddrPort(text)
	return plainAddress(address.Addr()), err == nil
}

// plainAddress returns an address as networks have it: a socket for both versions of IP shows IPv4 addresses inside IPv6
// ones, and no network has a zone.
func plainAddress(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// networkOf returns the network that one client has for itself.
func networkOf(address netip.Addr) netip.Prefix {
	bits := 64
	if address.Is4() {
		bits = address.BitLen()
	}
	network, _ := address.Prefix(bits) // No address has fewer bits.
	return network
}

// contains reports whether an address is in one of the networks.
func contains(networks []netip.Prefix, address netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}
