package remote

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencloud-eu/education/internal/loopback"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// fakeServer is an LDAP server with a few entries, which a test has misbehave.
type fakeServer struct {
	t        testing.TB
	uri      string
	password string
	// controls and vendor stand in the root DSE.
	controls []string
	vendor   string

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	// accepted counts connections, requests the operations by tag.
	accepted int
	requests map[wire.Tag]int
	entries  map[string]*wire.Entry
	// misbehave, unless nil, is asked before each operation that is neither a bind nor about the root DSE. If it returns
	// true, the operation is dealt with.
	misbehave func(s *fakeSession, message wire.Message, request wire.Request) bool
	// thawed, unless nil, is closed when the server goes on that has stopped as a machine does: it accepts connections, and
	// answers nothing.
	thawed  chan struct{}
	running sync.WaitGroup
}

// fakeSession is a connection of a fakeServer.
type fakeSession struct {
	server *fakeServer
	conn   net.Conn
}

const (
	fakeBase = "ou=users,o=fake"
	fakeDN   = "cn=service,o=fake"
)

// newFake returns a server that listens until the test ends.
func newFake(t testing.TB) *fakeServer {
	t.Helper()
	f := &fakeServer{
		t: t, password: "secret", conns: map[net.Conn]bool{}, requests: map[wire.Tag]int{},
		controls: []string{wire.ControlPagedResults, wire.ControlPostRead, wire.ControlAssertion},
		entries:  map[string]*wire.Entry{},
	}
	f.put(fakeBase, "objectClass", "organizationalUnit")
	f.listen(loopback.Address(t))
	t.Cleanup(f.stop)
	return f
}

func (f *fakeServer) listen(address string) {
	f.t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listener, f.uri = listener, "ldap://"+listener.Addr().String()
	f.running.Go(func() { f.serve(listener) })
}

// freeze stops the server as a machine that hangs does, until it thaws.
func (f *fakeServer) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.thawed = make(chan struct{})
}

// thaw has it go on, with what has been sent to it meanwhile.
func (f *fakeServer) thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.thawed != nil {
		close(f.thawed)
		f.thawed = nil
	}
}

// stop closes the listener and all connections, as the end of a process does.
func (f *fakeServer) stop() {
	f.thaw()
	f.mu.Lock()
	_ = f.listener.Close()
	for conn := range f.conns {
		_ = conn.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
}

// restart listens again at the same address.
func (f *fakeServer) restart() { f.listen(strings.TrimPrefix(f.uri, "ldap://")) }

// closeIdle closes all connections from the server's side.
func (f *fakeServer) closeIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.conns {
		_ = conn.Close()
	}
}

func (f *fakeServer) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.accepted++
		f.conns[conn] = true
		f.mu.Unlock()
		f.running.Go(func() {
			(&fakeSession{f, conn}).serve()
			_ = conn.Close()
			f.mu.Lock()
			delete(f.conns, conn)
			f.mu.Unlock()
		})
	}
}

func (s *fakeSession) serve() {
	reader := bufio.NewReader(s.conn)
	for {
		message, err := wire.ReadMessage(reader, wire.MaxMessageSize)
		if err != nil {
			return
		}
		request, err := message.Request()
		if err != nil || message.Tag == wire.TagUnbindRequest {
			return
		}
		s.server.mu.Lock()
		s.server.requests[message.Tag]++
		misbehave, thawed := s.server.misbehave, s.server.thawed
		s.server.mu.Unlock()
		if thawed != nil {
			<-thawed
		}
		search, _ := request.(*wire.SearchRequest)
		isOurs := message.Tag == wire.TagBindRequest || search != nil && search.Base == ""
		if !isOurs && misbehave != nil && misbehave(s, message, request) {
			continue
		}
		s.answer(message, request)
	}
}

// answer carries an operation out and answers it.
func (s *fakeSession) answer(message wire.Message, request wire.Request) {
	if search, ok := request.(*wire.SearchRequest); ok {
		for _, entry := range s.server.search(search) {
			s.send(wire.AppendEntry(nil, message.ID, entry))
		}
	}
	tag, _ := message.Tag.Response()
	s.send(wire.AppendResponse(nil, message.ID, wire.NewResponse(tag, s.server.carryOut(request))))
}

func (s *fakeSession) send(octets []byte) { _, _ = s.conn.Write(octets) }

// carryOut makes a change and returns its result.
func (f *fakeServer) carryOut(request wire.Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch request := request.(type) {
	case *wire.BindRequest:
		if request.Password != f.password {
			return wire.Errorf(wire.ResultInvalidCredentials, "")
		}
	case *wire.SearchRequest:
		if request.Base != "" && request.Scope == wire.ScopeBase && f.entries[request.Base] == nil {
			return wire.Errorf(wire.ResultNoSuchObject, "")
		}
	case *wire.AddRequest:
		if f.entries[request.DN] != nil {
			return wire.Errorf(wire.ResultEntryAlreadyExists, "")
		}
		f.entries[request.DN] = &wire.Entry{DN: request.DN, Attributes: request.Attributes}
	case *wire.DeleteRequest:
		delete(f.entries, request.DN)
	case *wire.ModifyDNRequest:
		dn, _ := newDN(request)
		f.entries[dn] = &wire.Entry{DN: dn, Attributes: f.entries[request.DN].Attributes}
		delete(f.entries, request.DN)
	case *wire.ModifyRequest:
		f.modify(f.entries[request.DN], request.Changes)
	}
	return nil
}

func (f *fakeServer) modify(entry *wire.Entry, changes []wire.Change) {
	for _, change := range changes {
		values := slices.Clone(entry.Values(change.Attribute.Type))
		switch change.Operation {
		case wire.ChangeAdd:
			values = append(values, change.Attribute.Values...)
		case wire.ChangeDelete:
			if values = without(values, change.Attribute.Values); len(change.Attribute.Values) == 0 {
				values = nil
			}
		case wire.ChangeReplace:
			values = change.Attribute.Values
		}
		entry.Attributes = slices.DeleteFunc(slices.Clone(entry.Attributes), func(attribute wire.Attribute) bool {
			return attribute.Type == change.Attribute.Type
		})
		if len(values) > 0 {
			entry.Attributes = append(entry.Attributes, wire.Attribute{Type: change.Attribute.Type, Values: values})
		}
	}
}

// search returns the entries at or below a base. Of filters it knows equality and presence.
func (f *fakeServer) search(request *wire.SearchRequest) []*wire.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	if request.Base == "" {
		return []*wire.Entry{{Attributes: []wire.Attribute{
			{Type: "supportedControl", Values: f.controls},
			{Type: "vendorName", Values: []string{f.vendor}},
			{Type: "namingContexts", Values: []string{"o=fake"}},
		}}}
	}
	var found []*wire.Entry
	for dn, entry := range f.entries {
		if (dn == request.Base || request.Scope == wire.ScopeSubtree && within(dn, request.Base)) && matches(entry, request.Filter) {
			found = append(found, entry)
		}
	}
	return found
}

func matches(entry *wire.Entry, filter *wire.Filter) bool {
	if filter.Kind == wire.FilterEqual {
		return slices.ContainsFunc(entry.Values(filter.Attribute), func(value string) bool {
			return match.CaseIgnore(value) == match.CaseIgnore(filter.Value)
		})
	}
	return true
}

// put makes an entry, of one value for each attribute.
func (f *fakeServer) put(dn string, attributes ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entry := &wire.Entry{DN: dn}
	for pair := range slices.Chunk(attributes, 2) {
		entry.Attributes = append(entry.Attributes, wire.Attribute{Type: pair[0], Values: pair[1:]})
	}
	f.entries[dn] = entry
}

func (f *fakeServer) entry(dn string) *wire.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entries[dn]
}

// set has the server misbehave, or no longer.
func (f *fakeServer) set(misbehave func(s *fakeSession, message wire.Message, request wire.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.misbehave = misbehave
}

// count returns how many requests of a kind there were.
func (f *fakeServer) count(tag wire.Tag) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[tag]
}

// silent does not answer.
func silent(*fakeSession, wire.Message, wire.Request) bool { return true }

// once misbehaves at the first request of a kind, and no more.
func once(tag wire.Tag, misbehave func(s *fakeSession, message wire.Message, request wire.Request) bool) func(*fakeSession, wire.Message, wire.Request) bool {
	var mu sync.Mutex
	done := false
	return func(s *fakeSession, message wire.Message, request wire.Request) bool {
		mu.Lock()
		first := message.Tag == tag && !done
		done = done || first
		mu.Unlock()
		return first && misbehave(s, message, request)
	}
}

// hangUp breaks the connection instead of an answer.
func hangUp(s *fakeSession, _ wire.Message, _ wire.Request) bool {
	_ = s.conn.Close()
	return true
}

// answerWith answers with a result.
func answerWith(code wire.ResultCode) func(s *fakeSession, message wire.Message, request wire.Request) bool {
	return func(s *fakeSession, message wire.Message, _ wire.Request) bool {
		tag, _ := message.Tag.Response()
		s.send(wire.AppendResponse(nil, message.ID, &wire.Response{Tag: tag, Code: code, Referrals: []string{"ldap://other"}}))
		return true
	}
}

// Times that a busy machine must not exceed.
const (
	// patience bounds what comes in any case, and how long a test waits for it.
	patience = 30 * time.Second
	// impatient is the time-out of clients that ask for what never comes. What comes must be faster.
	impatient = time.Second
	// busyness is what the machine may add to a time.
	busyness = 10 * time.Second
)

// lockedLog is a log that goroutines write at the same time.
type lockedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// fakeConfig returns the configuration of a patient client of the servers, and what it logs.
func fakeConfig(servers ...*fakeServer) (Config, *lockedLog) {
	log := &lockedLog{}
	config := Config{
		BindDN: fakeDN, Password: func() (string, error) { return "secret", nil }, Bases: []string{fakeBase},
		PoolSize: 2, DialTimeout: patience, BindTimeout: patience, Timeout: patience,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
	for _, server := range servers {
		config.URIs = append(config.URIs, server.uri)
	}
	return config, log
}

// hasty is a timing for tests. On a busy machine, too, a server that is there must answer within headStart, and a writer
// write within failBackQuiet.
var hasty = timing{
	headStart: 2 * time.Second, firstPause: 5 * time.Millisecond, maxPause: 20 * time.Millisecond,
	refusedPause: 50 * time.Millisecond, failBackInterval: 10 * time.Millisecond, failBackAfter: 50 * time.Millisecond,
	failBackQuiet: time.Second,
}

// openFake returns a client that is closed at the end of the test.
func openFake(t testing.TB, config Config, timing timing) *Client {
	t.Helper()
	client, err := open(config, timing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// clientOfFakes returns a patient client of the servers, and what it logs.
func clientOfFakes(t testing.TB, servers ...*fakeServer) (*Client, *lockedLog) {
	t.Helper()
	config, log := fakeConfig(servers...)
	return openFake(t, config, hasty), log
}

// impatientClient returns a client of the servers that does not wait long for an answer.
func impatientClient(t testing.TB, servers ...*fakeServer) *Client {
	t.Helper()
	config, _ := fakeConfig(servers...)
	config.Timeout = impatient
	return openFake(t, config, hasty)
}

// list returns the DNs below the base.
func list(ctx context.Context, client *Client) ([]string, error) {
	var found []string
	err := client.Search(ctx, &wire.SearchRequest{Base: fakeBase, Scope: wire.ScopeSubtree, Filter: wire.Present("objectClass")},
		func(entry *wire.Entry) error {
			found = append(found, entry.DN)
			return nil
		})
	slices.Sort(found)
	return found, err
}

// wantList fails the test unless the client finds the base and n users, each once.
func wantList(t testing.TB, client *Client, n int) {
	t.Helper()
	found, err := list(context.Background(), client)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	if len(found) != n+1 || len(slices.Compact(found)) != n+1 {
		t.Fatalf("got %d entries, want %d", len(found), n+1)
	}
}

func userDN(n int) string { return fmt.Sprintf("uid=%d,%s", n, fakeBase) }

func (f *fakeServer) putUsers(n, size int) {
	for i := range n {
		f.put(userDN(i), "objectClass", "person", "description", strings.Repeat("x", size))
	}
}

// wantWithin fails the test if something takes longer than a limit on an idle machine.
func wantWithin(t testing.TB, limit time.Duration, start time.Time) {
	t.Helper()
	if took := time.Since(start); took > limit+busyness {
		t.Errorf("took %v, want about %v", took, limit)
	}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// isUnavailable reports whether an error says nothing about the data.
func isUnavailable(err error) bool {
	_, isResult := wire.CodeOf(err)
	return err != nil && !isResult
}

// stop ends a search of a test.
var errStop = errors.New("stop")
