package embedded

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// ServerConfig says how a Server treats its clients. The zero value of every limit means its default.
type ServerConfig struct {
	// TLS is used by StartTLS. Nil means that StartTLS is not offered. A listener that speaks TLS from the first
	// octet (ldaps) is made by the caller with tls.NewListener.
	TLS *tls.Config
	// Accounts are the entries with more rights than others.
	Accounts Accounts
	// Logger gets refused binds and faults of the server; each operation too, at debug level. Passwords, filter values
	// and attribute values are never among it. Nil discards it.
	Logger *slog.Logger

	// MaxMessage is the largest request of the administrator in octets; default wire.MaxMessageSize.
	MaxMessage int
	// MaxReaderMessage is that of the reader; default 1 MiB.
	MaxReaderMessage int
	// MaxUserMessage is that of every other entry, and of clients that have not bound; default 64 KiB.
	MaxUserMessage int
	// MaxConnections is the number of clients at a time; default 1000. One more is disconnected at once. A single
	// address may have half of them, so that one cannot keep out all others.
	MaxConnections int
	// BindTimeout is how long a session may stay anonymous; default 30 seconds.
	BindTimeout time.Duration
	// IdleTimeout is how long a bound session may wait before its next request; default 15 minutes.
	IdleTimeout time.Duration
	// ReadTimeout is how long a request may take from its first octet to its last; default 1 minute.
	ReadTimeout time.Duration
	// WriteTimeout is how long a client may take to accept a part of an answer (32 KiB); default 30 seconds.
	WriteTimeout time.Duration
	// SizeLimit is the largest number of entries that one search, or one page of it, returns. The default is no
	// limit, because only accounts that the operator made can list anything.
	SizeLimit int
	// TimeLimit is how long a search may take; default 2 minutes.
	TimeLimit time.Duration
}

// withDefaults returns the configuration with its zero values replaced.
func (c ServerConfig) withDefaults() ServerConfig {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&c.MaxMessage, wire.MaxMessageSize)
	setDefault(&c.MaxReaderMessage, 1<<20)
	setDefault(&c.MaxUserMessage, 64<<10)
	setDefault(&c.MaxConnections, 1000)
	setDefault(&c.BindTimeout, 30*time.Second)
	setDefault(&c.IdleTimeout, 15*time.Minute)
	setDefault(&c.ReadTimeout, time.Minute)
	setDefault(&c.WriteTimeout, 30*time.Second)
	setDefault(&c.TimeLimit, 2*time.Minute)
	return c
}

// perAddress returns how many connections one address may have.
func (c *ServerConfig) perAddress() int { return max(1, c.MaxConnections/2) }

func setDefault[T int | time.Duration](setting *T, value T) {
	if *setting == 0 {
		*setting = value
	}
}

// Server answers LDAP requests (RFC 4511) from a Store.
type Server struct {
	store  *Store
	config ServerConfig
	access access
	// ctx ends when running operations must not go on.
	ctx    context.Context
	cancel context.CancelFunc

	// hashing are the places of addresses among those who wait for a password to be checked.
	hashing shares
	// warnings are those that clients can cause, by kind.
	warnings struct{ malformed, refusedBind, handshake, full throttle }

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	addresses map[string]int // number of sessions
	running   sync.WaitGroup // one for each session
}

// NewServer returns a server for the store. It starts nothing; the store stays the caller's to close, after Shutdown.
func NewServer(store *Store, config ServerConfig) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		store:     store,
		config:    config.withDefaults(),
		access:    newAccess(config.Accounts),
		ctx:       ctx,
		cancel:    cancel,
		listeners: map[net.Listener]struct{}{},
		sessions:  map[*session]struct{}{},
		addresses: map[string]int{},
	}
}

// acceptPause is how long Serve waits when the process has no file descriptor left for another client.
const acceptPause = 50 * time.Millisecond

// Serve accepts clients from the listener until Shutdown, and then returns nil, or until the listener fails for good,
// and then returns its error. It closes the listener. It may be called for several listeners at the same time.
func (s *Server) Serve(listener net.Listener) error {
	defer func() { _ = listener.Close() }()
	if !s.addListener(listener) {
		return nil
	}
	defer s.removeListener(listener)
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			s.start(conn)
		case s.isClosing():
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ECONNABORTED):
			s.config.Logger.Warn("an LDAP client could not be accepted", "error", err)
			time.Sleep(acceptPause)
		default:
			return err
		}
	}
}

func (s *Server) addListener(listener net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[listener] = struct{}{}
	return true
}

func (s *Server) removeListener(listener net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, listener)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// start serves a connection in the background, or closes it if there is no room for it.
func (s *Server) start(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		_ = conn.Close()
		return
	}
	session := newSession(s, conn)
	full, fullAddress := len(s.sessions) >= s.config.MaxConnections, s.addresses[session.address] >= s.config.perAddress()
	if full || fullAddress {
		session.cancel()
		_ = conn.Close()
		s.warnings.full.warn(time.Now(), func(suppressed int) {
			s.config.Logger.Warn("LDAP clients are refused: too many connections",
				"limit", s.config.MaxConnections, "one_address", !full, "suppressed", suppressed)
		})
		return
	}
	s.sessions[session] = struct{}{}
	s.addresses[session.address]++
	s.running.Go(func() {
		defer s.forget(session)
		session.serve()
	})
}

func (s *Server) forget(session *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, session)
	if s.addresses[session.address]--; s.addresses[session.address] == 0 {
		delete(s.addresses, session.address)
	}
}

// Shutdown stops accepting clients, lets the operations finish that have begun, and tells every client with a Notice of
// Disconnection (RFC 4511, section 4.4.1) before it closes the connection; idle clients at once. If ctx ends
// first, Shutdown closes what is left and returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for listener := range s.listeners {
		_ = listener.Close()
	}
	for session := range s.sessions {
		session.drain()
	}
	s.mu.Unlock()

	finished := make(chan struct{})
	go func() {
		s.running.Wait()
		s.cancel()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	for session := range s.sessions {
		session.abort()
	}
	s.mu.Unlock()
	return ctx.Err()
}

// logPanic reports a fault of the program that was caught so that it harms one request or one connection and no other.
func (s *Server) logPanic(reason any) {
	s.config.Logger.Error("an LDAP request made the server panic", "reason", reason, "stack", string(debug.Stack()))
}
