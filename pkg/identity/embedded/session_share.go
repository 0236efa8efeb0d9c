package embedded

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// hashesPerAddress is how many passwords from one address may wait for the processor at a time. A check of a password
// takes it for some 20 milliseconds, and those that wait are served in the order of their arrival, so a sign-in waits
// for few others from each other address, however many there are. Those from the same address wait for each other.
// It must not be small, because all who sign in to OpenCloud come from OpenCloud's address.
const hashesPerAddress = 8

// addressOf returns what stands for a client's address: the IP address or, for IPv6, the network of 64 bits that a client
// may choose its addresses from (RFC 4291, section 2.5.4).
func addressOf(remote net.Addr) string {
	port, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return remote.String()
	}
	ip := port.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	network, _ := ip.WithZone("").Prefix(64) // 64 bits are no more than an address has
	return network.String()
}

// shares are the places that each address has in a queue that all share. Its zero value is ready.
type shares struct {
	mu     sync.Mutex
	places map[string]*share
}

// share is the places of one address. It lives as long as somebody holds or awaits one.
type share struct {
	taken chan struct{}
	users int
}

// enter waits for one of the address's places; waiting ends with the context. The place is given back by leave.
func (s *shares) enter(ctx context.Context, address string) (leave func(), err error) {
	s.mu.Lock()
	own := s.places[address]
	if own == nil {
		if s.places == nil {
			s.places = map[string]*share{}
		}
		own = &share{taken: make(chan struct{}, hashesPerAddress)}
		s.places[address] = own
	}
	own.users++
	s.mu.Unlock()
	forget := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(s.places, address)
		}
	}
	select {
	case own.taken <- struct{}{}:
		return func() { <-own.taken; forget() }, nil
	case <-ctx.Done():
		forget()
		return nil, ctx.Err()
	}
}
