package middleware

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// bounded serves with a bound on its connections. The answer to a request for /wait and /guess ends after the test; one for /guess
// has no valid token.
func bounded(t *testing.T, limit int, encrypted bool, trusted ...netip.Prefix) (connections *Connections, address string) {
	t.Helper()
	connections = NewConnections(limit, trusted, metricnoop.NewMeterProvider())
	done := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/guess" {
			defer occupy(r.Context())()
		}
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-done
		}
	}))
	server.Listener = connections.Listener(server.Listener)
	server.Config.ConnState, server.Config.ConnContext = connections.State, connections.Context
	if encrypted {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() { close(done); server.Close() })
	return connections, server.Listener.Addr().String()
}

// client is a connection from an address of its own, all of which are this machine's on Linux.
type client struct {
	net.Conn
	reader *bufio.Reader
}

func dial(t *testing.T, address, from string) *client {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	connection, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Skip("this machine has no address ", from, ": ", err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{connection, bufio.NewReader(connection)}
}

// ask reports whether a request is answered.
func (c *client) ask(path string) bool {
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	line, err := c.reader.ReadString('\n')
	if err != nil || !strings.Contains(line, " 200 ") {
		return false
	}
	for line != "\r\n" && err == nil {
		line, err = c.reader.ReadString('\n')
	}
	return err == nil
}

// awaitOpen waits until the number of open connections is the given one.
func (c *Connections) awaitOpen(t *testing.T, want int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		got := c.Open()
		c.mutex.Lock()
		networks := len(c.networks)
		c.mutex.Unlock()
		if got == want && (want > 0 || networks == 0) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open, want %d", got, want)
		}
	}
}

func TestConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	connections, address := bounded(t, 4, false)
	idle := dial(t, address, "127.0.0.1") // Not even a header, as slow clients do.
	connections.awaitOpen(t, 1)
	used := dial(t, address, "127.0.0.1")
	if !used.ask("/") {
		t.Fatal("the second connection is not answered")
	}
	third := dial(t, address, "127.0.0.2")
	if !third.ask("/wait") {
		t.Fatal("the third connection is not answered")
	}
	if fourth := dial(t, address, "127.0.0.3"); !fourth.ask("/wait") {
		t.Fatal("the fourth connection is not answered")
	}
	if fifth := dial(t, address, "127.0.0.4"); !fifth.ask("/wait") {
		t.Error("no room was made for a fifth connection")
	}
	if _, err := idle.reader.ReadByte(); err != io.EOF { //nolint:errorlint // Read returns io.EOF itself.
		t.Errorf("the connection that was idle for longest: got %v, want its end", err)
	}
	if !used.ask("/wait") {
		t.Error("the other idle connection is closed, too")
	}
	if sixth := dial(t, address, "127.0.0.5"); sixth.ask("/") {
		t.Error("a connection is answered although all are busy")
	}
}

// TestConnectionsWithoutToken shows that a connection is not kept by requests that have no valid token.
func TestConnectionsWithoutToken(t *testing.T) {
	t.Parallel()
	connections, address := bounded(t, 2, false)
	guessing := dial(t, address, "127.0.0.1")
	if !guessing.ask("/guess") {
		t.Fatal("no answer")
	}
	begun := dial(t, address, "127.0.0.2")
	_, _ = io.WriteString(begun, "GET /")
	connections.awaitOpen(t, 2)
	for i, gone := range []*client{guessing, begun} {
		if next := dial(t, address, fmt.Sprint("127.0.0.", 3+i)); !next.ask("/wait") {
			t.Error("no room is made for another connection")
		}
		if _, err := io.Copy(io.Discard, gone); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("connection %d: %v, want its end", i, err)
		}
	}
}

// TestConnectionsOfOneAddress shows that an address has no more than half, and loses its own connections first.
func TestConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	_, address := bounded(t, 4, false)
	other := dial(t, address, "127.0.0.2")
	if !other.ask("/") {
		t.Fatal("the other's connection is not answered")
	}
	var greedy []*client
	for i := range 5 {
		greedy = append(greedy, dial(t, address, "127.0.0.1"))
		if !greedy[i].ask("/") {
			t.Fatalf("connection %d is not answered", i)
		}
	}
	if !other.ask("/") {
		t.Error("the other's connection is closed")
	}
	for i, want := range []bool{false, false, false, true, true} {
		if got := greedy[i].ask("/wait"); got != want {
			t.Errorf("connection %d is answered: %t", i, got)
		}
	}
	if another := dial(t, address, "127.0.0.1"); another.ask("/") {
		t.Error("an address has more than its share of busy connections")
	}
}

func TestConnectionsOfProxies(t *testing.T) {
	t.Parallel()
	_, address := bounded(t, 4, false, netip.MustParsePrefix("127.0.0.1/32"))
	for i := range 4 {
		if c := dial(t, address, "127.0.0.1"); !c.ask("/wait") {
			t.Errorf("connection %d of the proxy is not answered", i)
		}
	}
}

func TestConnectionsOverTLS(t *testing.T) {
	t.Parallel()
	connections, address := bounded(t, 2, true)
	first := dial(t, address, "127.0.0.1")
	connections.awaitOpen(t, 1)
	second := dial(t, address, "127.0.0.2")
	connections.awaitOpen(t, 2)
	dial(t, address, "127.0.0.3")
	if _, err := first.reader.ReadByte(); err == nil {
		t.Error("no room was made for a third connection")
	}
	second.Close()
	connections.awaitOpen(t, 1)
}

func TestConnectionsAreForgotten(t *testing.T) {
	t.Parallel()
	connections, address := bounded(t, 100, false)
	for range 50 {
		c := dial(t, address, "127.0.0.1")
		if !c.ask("/") {
			t.Fatal("no answer")
		}
		c.Close()
	}
	connections.awaitOpen(t, 0)
}

// TestConnectionsOff holds that connections without a bound are counted, and that none gives way.
func TestConnectionsOff(t *testing.T) {
	t.Parallel()
	connections, address := bounded(t, 0, false)
	var clients []*client
	for range 20 {
		clients = append(clients, dial(t, address, "127.0.0.1"))
	}
	connections.awaitOpen(t, len(clients))
	for _, c := range clients {
		if !c.ask("/") {
			t.Fatal("no answer")
		}
		_ = c.Close()
	}
	connections.awaitOpen(t, 0)
}
