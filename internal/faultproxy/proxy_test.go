package faultproxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// fakeServer answers every request: a search with two entries first, everything else with success.
type fakeServer struct {
	address string
	// carriedOut counts requests.
	carriedOut atomic.Int64
}

func newFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	listener, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{address: listener.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(connection) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return s
}

func (s *fakeServer) serve(connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for {
		message, err := wire.ReadMessage(reader, wire.MaxMessageSize)
		if err != nil {
			return
		}
		s.carriedOut.Add(1)
		var answer []byte
		if message.Tag == wire.TagSearchRequest {
			for range 2 {
				answer = wire.AppendEntry(answer, message.ID, &wire.Entry{DN: "cn=entry"})
			}
		}
		ends, _ := message.Tag.Response()
		answer = wire.AppendResponse(answer, message.ID, &wire.Response{Tag: ends})
		if _, err := connection.Write(answer); err != nil {
			return
		}
	}
}

// testClient is a connection to a proxy.
type testClient struct {
	net.Conn
	reader *bufio.Reader
	lastID int
}

func connect(t *testing.T, p *Proxy) *testClient {
	t.Helper()
	connection, err := net.DialTimeout("tcp", p.Address, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return &testClient{Conn: connection, reader: bufio.NewReader(connection)}
}

// ask sends a request and returns the tags of what comes back within a while, up to the end of the operation.
func (c *testClient) ask(request wire.Request, patience time.Duration) (tags []wire.Tag, err error) {
	c.lastID++
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := c.Write(wire.AppendRequest(nil, c.lastID, request)); err != nil {
		return nil, err
	}
	for {
		message, err := wire.ReadMessage(c.reader, wire.MaxMessageSize)
		if err != nil {
			return tags, err
		}
		if tags = append(tags, message.Tag); message.Tag != wire.TagSearchEntry {
			return tags, nil
		}
	}
}

var (
	aDelete = &wire.DeleteRequest{DN: "cn=entry"}
	aSearch = &wire.SearchRequest{Base: "cn=entry", Filter: wire.Present("objectClass"), Attributes: []string{strings.Repeat("a", 300)}}
)

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func isEnd(err error) bool     { return errors.Is(err, io.EOF) }
func isAborted(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
func isNil(err error) bool     { return err == nil }

func TestFates(t *testing.T) {
	t.Parallel()
	const short, long = 200 * time.Millisecond, 10 * time.Second
	tests := []struct {
		name     string
		fault    Fault
		request  wire.Request
		patience time.Duration
		// answers is the number of messages that arrive, ends what the answer ends with, and carriedOut whether the server
		// got the request.
		answers    int
		ends       func(error) bool
		carriedOut bool
	}{
		{"nothing happens", nil, aSearch, long, 3, isNil, true},
		{"a fault of another operation", Reply(wire.TagAddRequest, Cut), aDelete, long, 1, isNil, true},
		{"a reply is cut off", Reply(wire.TagDeleteRequest, Cut), aDelete, long, 0, isEnd, true},
		{"a reply becomes a reset", Reply(wire.TagDeleteRequest, Reset), aDelete, long, 0, isAborted, true},
		{"a reply is lost", Reply(AnyRequest, Lose), aDelete, short, 0, isTimeout, true},
		{"a request is cut off", Request(wire.TagDeleteRequest, Cut), aDelete, long, 0, isEnd, false},
		{"a request is lost", Request(AnyRequest, Lose), aDelete, short, 0, isTimeout, false},
		{"a list breaks off", Entry(1, Cut), aSearch, long, 1, isEnd, true},
		{"the end of a list breaks off", Reply(wire.TagSearchRequest, Cut), aSearch, long, 2, isEnd, true},
		{"everything is lost", All(Lose), aDelete, short, 0, isTimeout, false},
		{"late", All(Late(20 * time.Millisecond)), aDelete, long, 1, isNil, true},
		{"too late", Reply(AnyRequest, Late(long)), aDelete, short, 0, isTimeout, true},
		{"trickling", All(Trickle(time.Millisecond)), aDelete, long, 1, isNil, true},
		{"trickling too slowly", All(Trickle(time.Second)), aDelete, short, 0, isTimeout, false},
		{"a fault that is over", Times(0, All(Cut)), aDelete, long, 1, isNil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := newFakeServer(t)
			proxy := New(t, server.address)
			proxy.Set(test.fault)
			tags, err := connect(t, proxy).ask(test.request, test.patience)
			if len(tags) != test.answers || !test.ends(err) {
				t.Errorf("got %d messages and %v", len(tags), err)
			}
			if got := server.carriedOut.Load() > 0; got != test.carriedOut {
				t.Errorf("the server got the request: %v", got)
			}
		})
	}
}

// TestInstead holds that a client gets other octets in the place of a message, and all others as they are.
func TestInstead(t *testing.T) {
	t.Parallel()
	proxy := New(t, newFakeServer(t).address)
	proxy.Set(Entry(1, Instead(wire.AppendResponse(nil, 1, &wire.Response{Tag: wire.TagSearchDone}))))
	tags, err := connect(t, proxy).ask(aSearch, 10*time.Second)
	if want := []wire.Tag{wire.TagSearchEntry, wire.TagSearchDone}; err != nil || !slices.Equal(tags, want) {
		t.Errorf("got %v and %v, want %v", tags, err, want)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	server := newFakeServer(t)
	proxy := New(t, server.address)
	proxy.Set(Times(2, Reply(wire.TagDeleteRequest, Cut)))
	for i, broken := range []bool{true, true, false} {
		_, err := connect(t, proxy).ask(aDelete, 10*time.Second)
		if broken != (err != nil) {
			t.Errorf("request %d: %v", i+1, err)
		}
	}
	if _, all := proxy.Connections(); all != 3 {
		t.Errorf("%d connections, want 3", all)
	}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	server := newFakeServer(t)
	proxy := New(t, server.address)
	before := connect(t, proxy)
	if _, err := before.ask(aDelete, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse()
	if _, err := before.ask(aDelete, 10*time.Second); err == nil {
		t.Error("a connection outlives its server")
	}
	if _, err := net.DialTimeout("tcp", proxy.Address, time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect: %v, want a refusal", err)
	}
	proxy.Accept(t)
	if _, err := connect(t, proxy).ask(aDelete, 10*time.Second); err != nil {
		t.Errorf("after the return of the server: %v", err)
	}
}

// TestNothingIsLeft holds that a proxy leaves no goroutine behind, whatever is under way when it ends. It does not run beside
// others, whose goroutines would count.
func TestNothingIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("proxy", func(t *testing.T) {
		proxy := New(t, newFakeServer(t).address)
		proxy.Set(All(Late(time.Hour)))
		if _, err := connect(t, proxy).ask(aDelete, 50*time.Millisecond); !isTimeout(err) {
			t.Errorf("got %v", err)
		}
	})
	goleak.VerifyNone(t, before)
}
