package embedded

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

func TestAddressOf(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, address, want string }{
		{"IPv4", "192.0.2.7:3890", "192.0.2.7"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.7]:3890", "192.0.2.7"},
		{"IPv6", "[2001:db8:1:2:3:4:5:6]:3890", "2001:db8:1:2::/64"},
		{"IPv6 with a zone", "[fe80::1%eth0]:3890", "fe80::/64"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := addressOf(textAddr(test.address)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got := addressOf(&net.UnixAddr{Name: "pipe"}); got != "pipe" {
		t.Errorf("a socket without an IP address: got %q", got)
	}
}

// textAddr is an address as its text.
type textAddr string

func (textAddr) Network() string  { return "tcp" }
func (a textAddr) String() string { return string(a) }

func TestSharesOfAddresses(t *testing.T) {
	t.Parallel()
	var s shares
	ctx, cancel := context.WithCancel(context.Background())
	leaves := make([]func(), hashesPerAddress)
	for i := range leaves {
		leave, err := s.enter(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		leaves[i] = leave
	}
	other, err := s.enter(ctx, "b")
	if err != nil {
		t.Fatalf("another address waits: %v", err)
	}
	other()
	short, stop := context.WithTimeout(ctx, 20*time.Millisecond)
	defer stop()
	if _, err := s.enter(short, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more of the same address: %v", err)
	}
	leaves[0]()
	if leaves[0], err = s.enter(ctx, "a"); err != nil {
		t.Errorf("after one has left: %v", err)
	}
	for _, leave := range leaves {
		leave()
	}
	cancel()
	if len(s.places) != 0 {
		t.Errorf("%d addresses are remembered", len(s.places))
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	var warnings throttle
	var got []int
	now := time.Now()
	for _, after := range []time.Duration{0, 1, warningInterval - 1, warningInterval, warningInterval + 1, 3 * warningInterval} {
		warnings.warn(now.Add(after), func(suppressed int) { got = append(got, suppressed) })
	}
	if want := []int{0, 2, 1}; len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("suppressed: got %v, want %v", got, want)
	}
}

func TestLoggable(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"DN", "uid=max,dc=x", "uid=max,dc=x"},
		{"control characters", "uid=a\n\x1b[2J\x7f", "uid=a\uFFFD\uFFFD[2J\uFFFD"},
		{"no text", "\xff\xfe", "\uFFFD\uFFFD"},
		{"long", strings.Repeat("x", 60_000), strings.Repeat("x", 256) + "…"},
		{"cut within a character", strings.Repeat("x", 255) + "ü", strings.Repeat("x", 255) + "…"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := loggable(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestAccountsDoNotWait binds while all places of the client's address are taken.
func TestAccountsDoNotWait(t *testing.T) {
	t.Parallel()
	store := openTest(t)
	const readerDN, password = "cn=reader,dc=opencloud,dc=eu", "secret"
	if err := ensureAccount(t.Context(), store, readerDN, password, "Reads."); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, store, userRequest(1, attr("userPassword", HashSSHA512(password))))
	server := NewServer(store, ServerConfig{Accounts: Accounts{ReaderDN: readerDN}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Shutdown(context.Background()) }()
	var leaves []func()
	for range hashesPerAddress {
		leave, err := server.hashing.enter(t.Context(), "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	bind := func(dn string) (answered <-chan wire.ResultCode) {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		request := &wire.BindRequest{Version: 3, Name: dn, Password: password}
		if _, err := conn.Write(wire.AppendRequest(nil, 1, request)); err != nil {
			t.Fatal(err)
		}
		code := make(chan wire.ResultCode, 1)
		go func() {
			defer close(code)
			m, err := wire.ReadMessage(bufio.NewReader(conn), wire.MaxMessageSize)
			if err != nil {
				return
			}
			if response, err := m.Response(); err == nil {
				code <- response.Code
			}
		}()
		return code
	}
	user := bind(userDN(1))
	if code, answered := <-bind(readerDN); !answered || code != wire.ResultSuccess {
		t.Errorf("reader: %v %v", code, answered)
	}
	select {
	case code := <-user:
		t.Errorf("a user was answered with %v although all places are taken", code)
	case <-time.After(50 * time.Millisecond):
	}
	for _, leave := range leaves {
		leave()
	}
	if code, answered := <-user; !answered || code != wire.ResultSuccess {
		t.Errorf("user: %v %v", code, answered)
	}
}
