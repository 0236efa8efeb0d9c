package faultproxy

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/opencloud-eu/education/internal/loopback"
)

// Proxy relays connections to one server. Its methods may be called at the same time.
type Proxy struct {
	// Address is where clients connect.
	Address string
	target  string

	mu       sync.Mutex
	fault    Fault
	listener net.Listener
	links    map[*link]struct{}
	accepted int
	running  sync.WaitGroup
}

// New starts a relay to the server at a TCP address. It ends with the test.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{target: target, links: make(map[*link]struct{})}
	listener, err := listen(loopback.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	p.Address = listener.Addr().String()
	p.serve(listener)
	t.Cleanup(p.end)
	return p
}

func listen(address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
}

// serve accepts connections until the listener is closed.
func (p *Proxy) serve(listener net.Listener) {
	p.mu.Lock()
	p.listener = listener
	p.mu.Unlock()
	p.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.relay(client) })
		}
	})
}

// relay connects a client to the server until one of them has enough.
func (p *Proxy) relay(client net.Conn) {
	server, err := (&net.Dialer{Timeout: dialTimeout}).Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	l := newLink(p, client, server)
	p.mu.Lock()
	if p.listener == nil {
		// The server has been taken off the network meanwhile.
		p.mu.Unlock()
		l.end(isReset)
		return
	}
	p.accepted++
	p.links[l] = struct{}{}
	p.mu.Unlock()
	l.run()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// dialTimeout bounds reaching the server, which is on the same machine.
const dialTimeout = 5 * time.Second

// Set makes a fault the one that is in force from now on. Nil lets everything pass.
func (p *Proxy) Set(fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// fate returns what becomes of a message.
func (p *Proxy) fate(m *Message) Fate {
	p.mu.Lock()
	fault := p.fault
	p.mu.Unlock()
	if fault == nil {
		return Pass
	}
	return fault(m)
}

// Connections returns the number of connections that are open now, and of all that there have been.
func (p *Proxy) Connections() (open, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links), p.accepted
}

// Sever resets all connections.
func (p *Proxy) Sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.end(isReset)
	}
}

// Refuse takes the server off the network: open connections are reset and new ones are refused, until Accept.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.Sever()
}

// Accept ends what Refuse began, at the same address.
func (p *Proxy) Accept(t testing.TB) {
	t.Helper()
	listener, err := listen(p.Address)
	if err != nil {
		t.Fatalf("listen again: %v", err)
	}
	p.serve(listener)
}

// end ends all connections, and waits until nothing of them is left.
func (p *Proxy) end() {
	p.Refuse()
	p.running.Wait()
}
