package middleware

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Connections bounds how many connections a server has open. When there are as many as there may be, a new one takes the
// place of that which has had no request for longest; if all are busy, the new one is closed. So those who open connections
// and leave them keep nobody out.
//
// One address may have half of them: clients behind it lose their own idle connections before those of others. That does not
// count for the trusted proxies, from which everybody's requests may come.
type Connections struct {
	limit   int
	trusted []netip.Prefix
	// refused counts connections that were closed because of the limit.
	refused metric.Int64Counter

	mutex sync.Mutex
	open  map[net.Conn]*connection
	// idle holds the *connection without a request, those that have had none for longest first.
	idle list.List
	// networks are the connections of each address.
	networks map[netip.Prefix]int
}

// connection is one that is open.
type connection struct {
	net.Conn
	network netip.Prefix
	// place is that among the idle ones, nil while the connection has a request.
	place *list.Element
}

// NewConnections returns a bound on the number of connections, or none if the limit is 0.
func NewConnections(limit int, trusted []netip.Prefix, meters metric.MeterProvider) *Connections {
	// A meter that has an error returns an instrument that does nothing; the name is constant, so there is none.
	refused, _ := meters.Meter("github.com/opencloud-eu/education/pkg/middleware").Int64Counter("education.http.connections.closed",
		metric.WithDescription("Connections closed to stay within their number, by whether they were new or idle."),
		metric.WithUnit("{connection}"))
	return &Connections{
		limit: limit, trusted: trusted, refused: refused, open: map[net.Conn]*connection{}, networks: map[netip.Prefix]int{},
	}
}

// Listener returns a listener that accepts the connections of another within the bound. The server must call State as its
// http.Server.ConnState. Connections must be wrapped in TLS outside of it.
func (c *Connections) Listener(inner net.Listener) net.Listener {
	if c.limit == 0 {
		return inner
	}
	return listener{inner, c}
}

type listener struct {
	net.Listener
	connections *Connections
}

// Accept returns the next connection for which there is room.
func (l listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.connections.add(accepted) {
			return accepted, nil
		}
		_ = accepted.Close() // Its client sees that it is closed; what else there is to say costs too much.
	}
}

// add notes a new connection, and reports whether there is room for it.
func (c *Connections) add(accepted net.Conn) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	added := &connection{Conn: accepted}
	if peer, err := netip.ParseAddrPort(accepted.RemoteAddr().String()); err == nil && !isWithin(plain(peer.Addr()), c.trusted) {
		added.network = networkOf(plain(peer.Addr()))
	}
	full := len(c.open) >= c.limit
	hasShare := added.network.IsValid() && c.networks[added.network] >= max(1, c.limit/2)
	if (full || hasShare) && !c.closeIdle(added.network, hasShare) {
		c.count("new")
		return false
	}
	added.place = c.idle.PushBack(added)
	c.open[accepted] = added
	c.networks[added.network]++
	return true
}

// closeIdle closes the connection that has had no request for longest, among those of a network if only its own will do, and
// reports whether there was one.
func (c *Connections) closeIdle(network netip.Prefix, own bool) bool {
	for place := c.idle.Front(); place != nil; place = place.Next() {
		oldest := place.Value.(*connection)
		if own && oldest.network != network {
			continue
		}
		c.remove(oldest)
		_ = oldest.Close() // The server notices, and ends what it does with it.
		c.count("idle")
		return true
	}
	return false
}

// State notes what a server does with a connection, as its ConnState.
func (c *Connections) State(changed net.Conn, state http.ConnState) {
	if encrypted, ok := changed.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		changed = encrypted.NetConn()
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	known := c.open[changed]
	if known == nil {
		return
	}
	switch state {
	case http.StateActive:
		if known.place != nil {
			c.idle.Remove(known.place)
			known.place = nil
		}
	case http.StateIdle:
		if known.place == nil {
			known.place = c.idle.PushBack(known)
		}
	case http.StateClosed, http.StateHijacked:
		c.remove(known)
	case http.StateNew: // As add has noted it.
	}
}

// remove forgets a connection.
func (c *Connections) remove(gone *connection) {
	if gone.place != nil {
		c.idle.Remove(gone.place)
	}
	delete(c.open, gone.Conn)
	if c.networks[gone.network]--; c.networks[gone.network] == 0 {
		delete(c.networks, gone.network)
	}
}

func (c *Connections) count(which string) {
	c.refused.Add(context.Background(), 1, metric.WithAttributes(attribute.String("state", which)))
}
