package embedded_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/goleak"

	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// rawConn is a connection on which a test says what it likes.
type rawConn struct {
	net.Conn
	reader *bufio.Reader
}

func (f *front) dialRaw(t testing.TB) *rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &rawConn{conn, bufio.NewReader(conn)}
}

func (f *front) dialRawAdmin(t testing.TB) *rawConn {
	t.Helper()
	raw := f.dialRaw(t)
	raw.bind(t, f.accounts.AdminDN, f.admin)
	return raw
}

func (c *rawConn) write(t testing.TB, data []byte) {
	t.Helper()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
}

func (c *rawConn) send(t testing.TB, id int, request wire.Request, controls ...wire.Control) {
	t.Helper()
	c.write(t, wire.AppendRequest(nil, id, request, controls...))
}

func (c *rawConn) bind(t testing.TB, dn, password string) {
	t.Helper()
	c.send(t, 1, &wire.BindRequest{Version: 3, Name: dn, Password: password})
	if response := c.response(t, 1); response.Code != wire.ResultSuccess {
		t.Fatalf("bind: %+v", response)
	}
}

func (c *rawConn) next(t testing.TB) wire.Message {
	t.Helper()
	m, err := wire.ReadMessage(c.reader, wire.MaxMessageSize)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return m
}

// response reads the response to a request without entries.
func (c *rawConn) response(t testing.TB, id int) *wire.Response {
	t.Helper()
	_, response := c.answer(t, id)
	return response
}

// answer reads the entries and the response to a request.
func (c *rawConn) answer(t testing.TB, id int) ([]*wire.Entry, *wire.Response) {
	t.Helper()
	entries, m := c.answerMessage(t, id)
	response, err := m.Response()
	if err != nil {
		t.Fatal(err)
	}
	return entries, response
}

// answerMessage reads the entries that answer a request and the message that ends it.
func (c *rawConn) answerMessage(t testing.TB, id int) ([]*wire.Entry, wire.Message) {
	t.Helper()
	var entries []*wire.Entry
	for {
		m := c.next(t)
		if m.ID != id {
			t.Fatalf("answer to message %d, want one to %d", m.ID, id)
		}
		if m.Tag != wire.TagSearchEntry {
			return entries, m
		}
		entry, err := m.Entry()
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry)
	}
}

// wantEnd expects a Notice of Disconnection with the code, and then the end of the connection.
func (c *rawConn) wantEnd(t testing.TB, code wire.ResultCode) {
	t.Helper()
	m := c.next(t)
	response, err := m.Response()
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != 0 || response.Name == nil || *response.Name != wire.NoticeOfDisconnection || response.Code != code {
		t.Errorf("got message %d with %+v, want a Notice of Disconnection with result %d", m.ID, response, code)
	}
	if _, err := c.reader.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the notice: got %v, want the end", err)
	}
}

func TestMalformedMessages(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 1)
	witness := f.asAdmin(t)
	for name, data := range map[string]string{
		"no LDAP":            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"indefinite length":  "\x30\x80\x02\x01\x01\x42\x00\x00\x00",
		"claims 1 GiB":       "\x30\x84\x40\x00\x00\x00\x02\x01\x01\x63",
		"claims 17 MiB":      "\x30\x83\xff\xff\xff\x02\x01\x01\x63",
		"inner claims 1 GiB": "\x30\x0e\x02\x01\x01\x60\x09\x02\x01\x03\x04\x84\x40\x00\x00\x00",
		"message id 0":       "\x30\x05\x02\x01\x00\x50\x00",
		"a response":         "\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00",
		"unknown operation":  "\x30\x05\x02\x01\x01\x7e\x00",
	} {
		raw := f.dialRaw(t)
		raw.write(t, []byte(data))
		t.Run(name, func(t *testing.T) { raw.wantEnd(t, wire.ResultProtocolError) })
	}
	if got := find(t, witness, usersDN, "(uid=user1)"); len(got) != 1 {
		t.Errorf("another session suffers: found %v", got)
	}
}

func TestClaimsOfManyClientsAllocateNothing(t *testing.T) {
	f := newFront(t, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		raw := f.dialRaw(t)
		raw.write(t, []byte("\x30\x84\x40\x00\x00\x00\x02\x01\x01\x63"))
		raw.wantEnd(t, wire.ResultProtocolError)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
		t.Errorf("100 packets that claim 1 GiB each had %d octets allocated", got)
	}
}

func TestMessageLimits(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(c *embedded.ServerConfig) {
		c.MaxUserMessage, c.MaxReaderMessage, c.MaxMessage = 1000, 3000, 5000
	})
	f.addUsers(t, 1)
	tests := []struct {
		name         string
		dn, password string
		limit        int
	}{
		{"anonymous", "", "", 1000},
		{"user", userDN(1), "secret1", 1000},
		{"reader", f.accounts.ReaderDN, f.reader, 3000},
		{"administrator", f.accounts.AdminDN, f.admin, 5000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			raw := f.dialRaw(t)
			if test.dn != "" {
				raw.bind(t, test.dn, test.password)
			}
			request := &wire.CompareRequest{DN: contextDN, Attribute: "dc", Value: strings.Repeat("x", test.limit-100)}
			raw.send(t, 2, request)
			raw.response(t, 2)
			request.Value += strings.Repeat("x", 100)
			raw.send(t, 3, request)
			raw.wantEnd(t, wire.ResultProtocolError)
		})
	}
}

func TestRefusedRequestsKeepTheSession(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	raw := f.dialRawAdmin(t)
	deep := wire.Present("cn")
	for range wire.MaxFilterDepth {
		deep = wire.Not(deep)
	}
	raw.send(t, 2, &wire.SearchRequest{Base: contextDN, Scope: wire.ScopeSubtree, Filter: deep})
	if _, response := raw.answer(t, 2); response.Code != wire.ResultAdminLimitExceeded || response.Tag != wire.TagSearchDone {
		t.Errorf("filter that nests too deep: got %+v", response)
	}
	raw.send(t, 3, &wire.SearchRequest{Scope: 3, Filter: wire.And()})
	if _, response := raw.answer(t, 3); response.Code != wire.ResultProtocolError {
		t.Errorf("unknown scope: got %+v", response)
	}
	raw.send(t, 4, &wire.ExtendedRequest{Name: wire.OperationPasswordModify, Value: new(string)})
	if response := raw.response(t, 4); response.Code != wire.ResultProtocolError {
		t.Errorf("password modify with an empty value: got %+v", response)
	}
	raw.send(t, 5, &wire.UnbindRequest{})
	if _, err := raw.reader.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after unbind: got %v, want the end without a word", err)
	}
}

// Hundreds of requests in one write are all answered, with ids beyond one octet.
func TestPipelining(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 3)
	raw := f.dialRawAdmin(t)
	const last = 700
	var requests []byte
	for id := 2; id <= last; id++ {
		var request wire.Request
		switch id % 3 {
		case 0:
			request = &wire.ExtendedRequest{Name: wire.OperationWhoAmI}
		case 1:
			request = &wire.SearchRequest{Base: usersDN, Scope: wire.ScopeOneLevel, Filter: wire.Equal("uid", "user2")}
		default:
			request = &wire.CompareRequest{DN: userDN(1), Attribute: "uid", Value: "user1"}
		}
		requests = wire.AppendRequest(requests, id, request)
	}
	raw.write(t, requests)
	entries, answers := 0, map[int]wire.ResultCode{}
	for len(answers) < last-1 {
		m := raw.next(t)
		if m.Tag == wire.TagSearchEntry {
			entries++
			continue
		}
		response, err := m.Response()
		if err != nil {
			t.Fatal(err)
		}
		answers[m.ID] = response.Code
	}
	for id := 2; id <= last; id++ {
		want := wire.ResultSuccess
		if id%3 == 2 {
			want = wire.ResultCompareTrue
		}
		if answers[id] != want {
			t.Errorf("answer %d: got result %d, want %d", id, answers[id], want)
		}
	}
	if want := last / 3; entries != want {
		t.Errorf("got %d entries, want %d", entries, want)
	}
}

// A bind waits for the requests before it, and the requests behind it wait for the bind.
func TestBindInAPipeline(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	raw := f.dialRaw(t)
	search := &wire.SearchRequest{Base: contextDN, Scope: wire.ScopeSubtree, Filter: wire.Equal("cn", "admin")}
	var requests []byte
	id := 0
	add := func(request wire.Request) {
		id++
		requests = wire.AppendRequest(requests, id, request)
	}
	want := map[int]wire.ResultCode{}
	for range 20 {
		add(&wire.BindRequest{Version: 3})
		for range 5 {
			add(search)
			want[id] = wire.ResultInsufficientAccessRights
		}
		add(&wire.BindRequest{Version: 3, Name: f.accounts.AdminDN, Password: f.admin})
		for range 5 {
			add(search)
		}
	}
	raw.write(t, requests)
	for answered := 0; answered < id; {
		m := raw.next(t)
		if m.Tag == wire.TagSearchEntry {
			continue
		}
		answered++
		if response, err := m.Response(); err != nil || response.Code != want[m.ID] {
			t.Fatalf("answer %d: got %+v, %v, want result %d", m.ID, response, err, want[m.ID])
		}
	}
}

func TestConcurrentSessions(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 20)
	var group sync.WaitGroup
	for n := 1; n <= 10; n++ {
		conn := f.asAdmin(t)
		group.Go(func() {
			for i := range 30 {
				modify := ldap.NewModifyRequest(userDN(n), nil)
				modify.Replace("description", []string{fmt.Sprint(i)})
				wantCode(t, "modify", conn.Modify(modify), ldap.LDAPResultSuccess)
				if got := find(t, conn, usersDN, fmt.Sprintf("(description=%d)", i)); len(got) == 0 {
					t.Errorf("session %d does not find what it wrote", n)
				}
			}
		})
	}
	group.Wait()
}

// stalledReader asks for more than sockets buffer and reads no more than the first entry.
func stalledReader(t *testing.T, f *front) *rawConn {
	t.Helper()
	f.add(t, "cn=large,"+contextDN, map[string][]string{
		"objectClass": {"organizationalRole"}, "description": {strings.Repeat("x", 1<<20)},
	})
	raw := f.dialRawAdmin(t)
	var requests []byte
	for id := 2; id < 40; id++ {
		requests = wire.AppendRequest(requests, id, &wire.SearchRequest{
			Base: contextDN, Scope: wire.ScopeSubtree, Filter: wire.Equal("cn", "large"),
		})
	}
	raw.write(t, requests)
	raw.next(t)
	return raw
}

func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(c *embedded.ServerConfig) { c.WriteTimeout = 200 * time.Millisecond })
	raw := stalledReader(t, f)
	time.Sleep(time.Second)
	if _, err := io.Copy(io.Discard, raw.reader); errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the connection is still open: %v", err)
	}
	f.asAdmin(t)
}

// What an abandoned search has not sent yet is not sent, its end included, and the session goes on.
func TestAbandon(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	raw := stalledReader(t, f)
	for id := 2; id < 40; id++ {
		raw.send(t, id+100, &wire.AbandonRequest{ID: id})
	}
	raw.send(t, 200, &wire.ExtendedRequest{Name: wire.OperationWhoAmI})
	answered := 0
	for {
		m := raw.next(t)
		if m.ID == 200 {
			break
		}
		if m.Tag == wire.TagSearchDone {
			answered++
		}
	}
	if answered == 38 {
		t.Error("no search was abandoned")
	}
	raw.send(t, 201, &wire.AbandonRequest{ID: 4711})
	raw.send(t, 202, &wire.ExtendedRequest{Name: wire.OperationWhoAmI})
	for m := raw.next(t); m.ID != 202; m = raw.next(t) {
		if m.ID == 201 {
			t.Error("an abandon request is answered")
		}
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(c *embedded.ServerConfig) {
		c.BindTimeout, c.IdleTimeout, c.ReadTimeout = time.Second, 3*time.Second, 200*time.Millisecond
	})
	t.Run("silent before bind", func(t *testing.T) {
		t.Parallel()
		f.dialRaw(t).wantEnd(t, wire.ResultUnavailable)
	})
	t.Run("busy before bind", func(t *testing.T) {
		t.Parallel()
		raw := f.dialRaw(t)
		begin := time.Now()
		for id := 1; ; id++ {
			if _, err := raw.Write(wire.AppendRequest(nil, id, &wire.ExtendedRequest{Name: wire.OperationWhoAmI})); err != nil {
				break
			}
			if m, err := wire.ReadMessage(raw.reader, wire.MaxMessageSize); err != nil || m.ID == 0 {
				break
			}
			if time.Since(begin) > 10*time.Second {
				t.Fatal("an anonymous session lives for ever")
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	t.Run("idle after bind", func(t *testing.T) {
		t.Parallel()
		begin := time.Now()
		raw := f.dialRawAdmin(t)
		raw.wantEnd(t, wire.ResultUnavailable)
		if got := time.Since(begin); got < 3*time.Second {
			t.Errorf("ended after %s", got)
		}
	})
	t.Run("half a message", func(t *testing.T) {
		t.Parallel()
		raw := f.dialRawAdmin(t)
		begin := time.Now()
		raw.write(t, []byte("\x30\x20\x02\x01"))
		raw.wantEnd(t, wire.ResultUnavailable)
		if got := time.Since(begin); got > 2500*time.Millisecond {
			t.Errorf("ended after %s", got)
		}
	})
}

func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(c *embedded.ServerConfig) { c.MaxConnections = 4 })
	first, second := f.asAdmin(t), f.asReader(t)
	if _, err := f.dialRaw(t).reader.ReadByte(); err == nil {
		t.Error("a third client is served")
	}
	wantCode(t, "first", first.Bind(f.accounts.AdminDN, f.admin), ldap.LDAPResultSuccess)
	if err := second.Unbind(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		conn, err := ldap.DialURL("ldap://" + f.address)
		if err == nil {
			err = conn.Bind(f.accounts.AdminDN, f.admin)
			_ = conn.Close()
		}
		if err == nil {
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("no client is served after one has gone: %v", err)
		}
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 1)
	idle, busy := f.dialRawAdmin(t), f.dialRawAdmin(t)
	var requests []byte
	for id := 2; id < 300; id++ {
		requests = wire.AppendRequest(requests, id, &wire.ModifyRequest{DN: userDN(1), Changes: []wire.Change{{
			Operation: wire.ChangeReplace, Attribute: wire.Attribute{Type: "description", Values: []string{fmt.Sprint(id)}},
		}}})
	}
	busy.write(t, requests)
	busy.next(t)
	if err := f.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	idle.wantEnd(t, wire.ResultUnavailable)
	for {
		m := busy.next(t)
		response, err := m.Response()
		if err != nil {
			t.Fatal(err)
		}
		if m.ID == 0 {
			break
		}
		if response.Code != wire.ResultSuccess {
			t.Errorf("an operation that had begun failed: %+v", response)
		}
	}
	if conn, err := net.Dial("tcp", f.address); err == nil {
		_ = conn.Close()
		t.Error("the server still accepts clients")
	}
}

func TestShutdownDoesNotWaitForever(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	stalledReader(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := f.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that the context has ended", err)
	}
	if got := time.Since(begin); got > 5*time.Second {
		t.Errorf("Shutdown took %s", got)
	}
}

// pipeListener hands out one end of each pipe that a test makes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// dial returns the client's end of a new pipe.
func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

func TestNothingIsLeftBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	store := openStore(t, t.TempDir())
	config := serverTLS(t)
	server := embedded.NewServer(store, embedded.ServerConfig{TLS: config})
	pipes := newPipeListener()
	served := make(chan error, 1)
	go func() { served <- server.Serve(pipes) }()
	for range 5 {
		conn := pipes.dial()
		client := &rawConn{conn, bufio.NewReader(conn)}
		client.send(t, 1, &wire.ExtendedRequest{Name: wire.OperationStartTLS})
		if response := client.response(t, 1); response.Code != wire.ResultSuccess {
			t.Fatalf("StartTLS: %+v", response)
		}
		secure := tls.Client(conn, clientTLS(t, config))
		go func() { _, _ = io.Copy(io.Discard, secure) }()
	}
	for range 5 {
		go func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }(pipes.dial())
	}
	if err := errors.Join(server.Shutdown(t.Context()), <-served, store.Close()); err != nil {
		t.Error(err)
	}
}

// FuzzSession sends octets as a bound client's requests. Whatever they are, the session answers or ends, and the next
// one works.
func FuzzSession(f *testing.F) {
	folder := f.TempDir()
	store := openStore(f, folder)
	accounts, err := embedded.EnsureAccounts(f.Context(), store, folder, contextDN)
	if err != nil {
		f.Fatal(err)
	}
	password := readPassword(f, folder, embedded.AdminPasswordFile)
	// Octets that swallow the unbind behind them leave the session waiting, so it must not wait for long.
	server := embedded.NewServer(store, embedded.ServerConfig{
		Accounts: accounts, ReadTimeout: 5 * time.Millisecond, IdleTimeout: 5 * time.Millisecond,
	})
	pipes := newPipeListener()
	go func() { _ = server.Serve(pipes) }()
	f.Cleanup(func() {
		if err := errors.Join(server.Shutdown(context.Background()), store.Close()); err != nil {
			f.Error(err)
		}
	})
	for _, request := range []wire.Request{
		&wire.SearchRequest{Base: contextDN, Scope: wire.ScopeSubtree, Filter: wire.Or(wire.Present("cn"), wire.Equal("dc", "x"))},
		&wire.SearchRequest{Filter: wire.Present("objectClass"), Attributes: []string{"+", "*"}},
		&wire.AddRequest{DN: "cn=a," + contextDN, Attributes: []wire.Attribute{{Type: "objectClass", Values: []string{"organizationalRole"}}}},
		&wire.ModifyRequest{DN: "cn=a," + contextDN, Changes: []wire.Change{{Attribute: wire.Attribute{Type: "description", Values: []string{"x"}}}}},
		&wire.ModifyDNRequest{DN: "cn=a," + contextDN, NewRDN: "cn=b", DeleteOldRDN: true},
		&wire.CompareRequest{DN: contextDN, Attribute: "dc", Value: "opencloud"},
		&wire.DeleteRequest{DN: "cn=b," + contextDN},
		&wire.ExtendedRequest{Name: wire.OperationWhoAmI},
		&wire.AbandonRequest{ID: 2},
		// An empty password is refused before it is hashed, which would take all of the fuzzer's time.
		(&wire.PasswordModifyRequest{NewPassword: new(string)}).Extended(),
	} {
		f.Add(wire.AppendRequest(nil, 2, request, wire.PagedResults{Size: 2}.Control(false)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 {
			t.Skip("the session refuses it by its length alone, which another test holds")
		}
		conn := pipes.dial()
		defer func() { _ = conn.Close() }()
		requests := wire.AppendRequest(nil, 1, &wire.BindRequest{Version: 3, Name: accounts.AdminDN, Password: password})
		requests = append(requests, data...)
		go func() {
			_, _ = conn.Write(requests)
			_, _ = conn.Write(wire.AppendRequest(nil, 77, &wire.UnbindRequest{}))
		}()
		reader := bufio.NewReader(conn)
		for {
			m, err := wire.ReadMessage(reader, wire.MaxMessageSize)
			if err != nil {
				if errors.Is(err, wire.ErrMalformed) {
					t.Errorf("the answer is malformed: %v", err)
				}
				return
			}
			if m.Tag == wire.TagSearchEntry {
				continue
			}
			response, err := m.Response()
			if err != nil {
				t.Errorf("the answer to message %d cannot be decoded: %v", m.ID, err)
			} else if response.Message == "internal error" {
				t.Errorf("the request of message %d made the server panic", m.ID)
			}
		}
	})
}

// TestOneAddressLeavesRoom connects from another address of the loopback network when the first has what it may have.
func TestOneAddressLeavesRoom(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(c *embedded.ServerConfig) { c.MaxConnections = 4 })
	f.asAdmin(t)
	f.asAdmin(t)
	if _, err := f.dialRaw(t).reader.ReadByte(); err == nil {
		t.Error("a third connection of an address is served")
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := ldap.DialURL("ldap://"+f.address, ldap.DialWithDialer(&dialer))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wantCode(t, "another address", conn.Bind(f.accounts.AdminDN, f.admin), ldap.LDAPResultSuccess)
}

// TestFloodsAreLoggedBriefly refuses many binds with a long name and sends many packets that are none.
func TestFloodsAreLoggedBriefly(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	conn := f.dial(t, "", "")
	name := "cn=reader,cn=" + strings.Repeat("x", 20_000) + "," + contextDN
	for range 20 {
		wantCode(t, "bind", conn.Bind(name, "wrong"), ldap.LDAPResultInvalidCredentials)
		raw := f.dialRaw(t)
		raw.write(t, []byte("GET / HTTP/1.1\r\n\r\n"))
		raw.wantEnd(t, wire.ResultProtocolError)
	}
	log := f.log.String()
	if got := strings.Count(log, "cannot be decoded"); got < 1 || got > 15 {
		t.Errorf("%d warnings of malformed packets", got)
	}
	if got := strings.Count(log, "bind was refused"); got < 1 || got > 15 {
		t.Errorf("%d warnings of refused binds", got)
	}
	if !strings.Contains(log, "xxx…") || strings.Contains(log, strings.Repeat("x", 300)) {
		t.Error("a long name is not cut in the log")
	}
}

// TestSessionsOfUsersEnd changes a user behind the back of a session that is bound as that user.
func TestSessionsOfUsersEnd(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 5)
	admin := f.asAdmin(t)
	modify := func(dn, attribute, value string) error {
		request := ldap.NewModifyRequest(dn, nil)
		request.Replace(attribute, []string{value})
		return admin.Modify(request)
	}
	tests := []struct {
		name   string
		change func(dn string) error
		want   uint16
	}{
		{"mail", func(dn string) error { return modify(dn, "mail", "new@example.org") }, ldap.LDAPResultSuccess},
		{"disabled", func(dn string) error { return modify(dn, "openCloudUserEnabled", "FALSE") }, ldap.LDAPResultInsufficientAccessRights},
		{"password", func(dn string) error { return modify(dn, "userPassword", "another") }, ldap.LDAPResultInsufficientAccessRights},
		{"renamed", func(dn string) error {
			return admin.ModifyDN(ldap.NewModifyDNRequest(dn, "uid=renamed", false, ""))
		}, ldap.LDAPResultInsufficientAccessRights},
		{"deleted", func(dn string) error { return admin.Del(ldap.NewDelRequest(dn, nil)) }, ldap.LDAPResultInsufficientAccessRights},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn := f.asUser(t, i+1)
			if _, err := read(t, conn, userDN(i+1)); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := test.change(userDN(i + 1)); err != nil {
				t.Fatal(err)
			}
			_, err := read(t, conn, userDN(i+1))
			wantCode(t, "search", err, test.want)
			who, err := conn.WhoAmI(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := who.AuthzID != ""; got != (test.want == ldap.LDAPResultSuccess) {
				t.Errorf("authorization identity: %q", who.AuthzID)
			}
		})
	}
}
