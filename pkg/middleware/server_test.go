package middleware

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// What net/http does around a handler cannot be seen with a recorder: it reads on for the end of the client, ends contexts, and
// answers 200 for a handler that has written nothing.

// talk is a connection of HTTP/1.1 to a server.
type talk struct {
	net.Conn
	reader *bufio.Reader
}

func talkTo(t *testing.T, server *httptest.Server) *talk {
	t.Helper()
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(time.Minute))
	return &talk{connection, bufio.NewReader(connection)}
}

// ask sends a request and returns the status and the body of the answer, or an error in their place.
func (c *talk) ask(method, token string, body []byte) (status int, text string) {
	_, _ = fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", method, token, len(body))
	_, _ = c.Write(body)
	return c.answer()
}

func (c *talk) answer() (status int, text string) {
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(content)
}

// TestLostWhileWaiting shows that a request which has arrived and is lost while it waits is answered 429, and that its connection can
// be used again.
func TestLostWhileWaiting(t *testing.T) {
	t.Parallel()
	const each = 20 << 10
	release := make(chan struct{})
	var ran atomic.Int64
	limits := Limits{Concurrency: 1, Body: 1 << 20, Arrivals: 5 * each}
	l := &limiter{admission: newAdmission(limits), arrivals: newArrivals(limits), refusals: newRefusals(metricnoop.NewMeterProvider())}
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			ran.Add(1)
			<-release
		}
		echo(w, r)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.serve(w, r, r.Header.Get("Authorization"), next)
	}))
	t.Cleanup(server.Close)
	body := bytes.Repeat([]byte("x"), each)
	lost := make(chan *talk, 3)
	var all sync.WaitGroup
	for i := range cap(lost) {
		for i > 0 && ran.Load() == 0 { // One runs; it holds nothing of the arrivals any more.
			time.Sleep(time.Millisecond)
		}
		all.Go(func() {
			c := talkTo(t, server)
			switch status, text := c.ask(http.MethodPatch, token, body); {
			case status == http.StatusTooManyRequests && strings.Contains(text, "activityLimitReached"):
				lost <- c
			case status != http.StatusOK || len(text) < each:
				t.Errorf("got %d with %d bytes", status, len(text))
			}
		})
	}
	waiting := func() int {
		l.admission.mutex.Lock()
		defer l.admission.mutex.Unlock()
		return l.admission.waiting
	}
	for waiting() < 2 {
		time.Sleep(time.Millisecond)
	}
	other := talkTo(t, server)
	for len(lost) == 0 {
		if status, _ := other.ask(http.MethodPost, "b", body); status != http.StatusOK {
			t.Fatalf("the other: got %d", status)
		}
	}
	close(release)
	if status, text := (<-lost).ask(http.MethodPost, token, body); status != http.StatusOK || len(text) < each {
		t.Errorf("the next request on the connection: got %d with %d bytes", status, len(text))
	}
	all.Wait()
	if ran.Load() != 2 {
		t.Errorf("%d of three ran, of which one was lost", ran.Load())
	}
}

// TestLostWhileSending shows that a request which is lost while it is sent is answered 429.
func TestLostWhileSending(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(limited(Limits{Body: 1 << 20, Arrivals: 2*arrivalSize + 100}, tenants, echo, nil))
	t.Cleanup(server.Close)
	var talks []*talk
	for range 3 {
		c := talkTo(t, server)
		_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 4\r\n\r\nab", token)
		talks = append(talks, c)
	}
	answered := make(chan int, 3)
	for _, c := range talks {
		go func() {
			status, _ := c.answer()
			answered <- status
		}()
	}
	if status := <-answered; status != http.StatusTooManyRequests {
		t.Errorf("the first answer is %d", status)
	}
	for _, c := range talks {
		_, _ = io.WriteString(c, "cd")
	}
	for range 2 {
		if status := <-answered; status != http.StatusOK {
			t.Errorf("another answer is %d", status)
		}
	}
}

// TestUnwantedBodies shows that a body which nobody reads delays no answer to a request without a valid token, and that a
// connection on which there was no body can be used again.
func TestUnwantedBodies(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(limited(Limits{}, tenants, echo, nil))
	t.Cleanup(server.Close)
	c := talkTo(t, server)
	if status, _ := c.ask(http.MethodGet, "guess", nil); status != http.StatusUnauthorized {
		t.Errorf("a guess: got %d", status)
	}
	if status, text := c.ask(http.MethodGet, token, nil); status != http.StatusOK {
		t.Errorf("after a guess: got %d %s", status, text)
	}
	begin := time.Now()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guess\r\nContent-Length: 4\r\n\r\nab")
	if status, _ := c.answer(); status != http.StatusUnauthorized || time.Since(begin) > 30*time.Second {
		t.Errorf("a guess whose body is withheld: got %d after %v", status, time.Since(begin))
	}
	if _, err := c.reader.ReadByte(); err != io.EOF { //nolint:errorlint // Read returns io.EOF itself.
		t.Errorf("then: got %v, want the end of the connection", err)
	}
}

// TestEndedContext shows that a request whose context has ended is never answered as if all was well.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	handler := limited(Limits{Failures: 1}, tenants, echo, nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		handler.ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(server.Close)
	for _, token := range []string{token, "guess", ""} {
		if status, text := talkTo(t, server).ask(http.MethodPost, token, []byte("x")); status == http.StatusOK && text == "" {
			t.Errorf("%q: got %d and nothing", token, status)
		}
	}
}

// deafConn is a connection whose client reads nothing any more when it is told so.
type deafConn struct {
	net.Conn
	deaf   atomic.Bool
	closed chan struct{}
	once   sync.Once
}

func (c *deafConn) Read(into []byte) (int, error) {
	if c.deaf.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Read(into)
}

func (c *deafConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestDeafClientsOfHTTP2 has clients that send many requests over a connection of HTTP/2 and read nothing of it. Requests end
// until there are no more slow answers than may be.
func TestDeafClientsOfHTTP2(t *testing.T) {
	t.Parallel()
	const clients, each = 3, maxSlowAnswers / 2
	var running, begun atomic.Int64
	server := httptest.NewUnstartedServer(limited(Limits{}, tenants, func(w http.ResponseWriter, _ *http.Request) {
		begun.Add(1)
		running.Add(1)
		defer running.Add(-1)
		for range 64 << 20 >> 16 {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
	}, nil))
	server.EnableHTTP2 = true
	server.Config.ConnContext = NewConnections(0, nil, metricnoop.NewMeterProvider()).Context
	server.StartTLS()
	t.Cleanup(server.Close)
	for range clients {
		transport := server.Client().Transport.(*http.Transport).Clone()
		var connection *deafConn
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			made, err := (&net.Dialer{}).DialContext(ctx, network, address)
			connection = &deafConn{Conn: made, closed: make(chan struct{})}
			return connection, err
		}
		send := func() {
			r, err := http.NewRequest(http.MethodGet, server.URL, nil)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer "+token)
			response, err := transport.RoundTrip(r)
			if err == nil {
				t.Cleanup(func() { _ = response.Body.Close() })
			}
		}
		send()
		connection.deaf.Store(true)
		for range each - 1 {
			go send()
		}
		t.Cleanup(func() { _ = connection.Close() })
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		took, got := time.Since(begin), running.Load()
		if begun.Load() > maxSlowAnswers && took > 10*clientPause && got <= maxSlowAnswers {
			return
		}
		if took > 30*time.Second {
			t.Fatalf("%d requests run of %d", got, begun.Load())
		}
	}
}
