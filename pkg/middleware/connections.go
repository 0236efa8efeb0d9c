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
// place of that which has had no request with a valid token for longest; if all have one, the new one is closed. So those who
// open connections keep nobody out, whether they leave them or keep them busy.
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
	// idle holds the *connection without a request that has a valid token, those that have had none for longest first.
	idle list.List
	// networks are the connections of each address.
	networks map[netip.Prefix]int
}

// connection is one that is open.
type connection struct {
	net.Conn
	// of is nil if there is no bound.
	of *Connections
	// network is the invalid prefix for a trusted proxy.
	network netip.Prefix
	// requests is how many requests with a valid token it has.
	requests int
	// place is that among the idle ones, nil while the connection has such a request.
	place *list.Element
}

// NewConnections returns a bound on the number of connections, or with the limit 0 one that only counts them.
func NewConnections(limit int, trusted []netip.Prefix, meters metric.MeterProvider) *Connections {
	// A meter that has an error returns an instrument that does nothing; the name is constant, so there is none.
	refused, _ := meters.Meter("github.com/opencloud-eu/education/pkg/middleware").Int64Counter("education.http.connections.closed",
		metric.WithDescription("Connections closed to stay within their number, by whether they were new or idle."),
		metric.WithUnit("{connection}"))
	return &Connections{
		limit: limit, trusted: trusted, refused: refused, open: map[net.Conn]*connection{}, networks: map[netip.Prefix]int{},
	}
}

// Open returns how many connections are open.
func (c *Connections) Open() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return len(c.open)
}

// Listener returns a listener that accepts the connections of another within the bound. The server must call Context
// and State as the ConnContext and ConnState of http.Server. Connections must be wrapped in TLS outside of it.
func (c *Connections) Listener(inner net.Listener) net.Listener { return listener{inner, c} }

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
	added := &connection{Conn: accepted, of: c, network: c.networkOf(accepted)}
	full := c.limit > 0 && len(c.open) >= c.limit
	hasShare := c.limit > 0 && added.network.IsValid() && c.networks[added.network] >= max(1, c.limit/2)
	if (full || hasShare) && !c.closeIdle(added.network, hasShare) {
		c.count("new")
		return false
	}
	added.place = c.idle.PushBack(added)
	c.open[accepted] = added
	c.networks[added.network]++
	return true
}

// networkOf returns the network of a connection's client, or the invalid prefix if that is a trusted proxy.
func (c *Connections) networkOf(of net.Conn) netip.Prefix {
	peer, err := netip.ParseAddrPort(of.RemoteAddr().String())
	if err != nil || isWithin(plain(peer.Addr()), c.trusted) {
		return netip.Prefix{}
	}
	return networkOf(plain(peer.Addr()))
}

// closeIdle closes the connection that has had no request with a valid token for longest, among those of a network if only its
// own will do, and reports whether there was one.
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

// connectionKey is the key of a request's *connection in its context.
type connectionKey struct{}

// Context puts a connection into the contexts of its requests, as a server's ConnContext.
func (c *Connections) Context(ctx context.Context, of net.Conn) context.Context {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	known := c.open[unencrypted(of)]
	if known == nil {
		known = &connection{Conn: unencrypted(of), network: c.networkOf(of)}
	}
	return context.WithValue(ctx, connectionKey{}, known)
}

// occupy notes that a request with a valid token begins on the connection of its context, and returns what notes its end.
func occupy(ctx context.Context) (end func()) {
	used, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok || used.of == nil {
		return func() {}
	}
	c := used.of
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if used.requests++; used.place != nil {
		c.idle.Remove(used.place)
		used.place = nil
	}
	return func() {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		if used.requests--; used.requests == 0 && c.open[used.Conn] == used {
			used.place = c.idle.PushBack(used)
		}
	}
}

// State notes the end of a connection, as a server's ConnState.
func (c *Connections) State(changed net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if known := c.open[unencrypted(changed)]; known != nil {
		c.remove(known)
	}
}

// unencrypted returns the connection under one with TLS.
func unencrypted(of net.Conn) net.Conn {
	if encrypted, ok := of.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		return encrypted.NetConn()
	}
	return of
}

// remove forgets a connection.
func (c *Connections) remove(gone *connection) {
	if gone.place != nil {
		c.idle.Remove(gone.place)
		gone.place = nil
	}
	delete(c.open, gone.Conn)
	if c.networks[gone.network]--; c.networks[gone.network] == 0 {
		delete(c.networks, gone.network)
	}
}

func (c *Connections) count(which string) {
	c.refused.Add(context.Background(), 1, metric.WithAttributes(attribute.String("state", which)))
}
