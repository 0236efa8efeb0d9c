package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Session is one connection to one server, for those who want to know what that server itself says: nothing is
// repeated, adapted, put into pages or sent to another server. One operation runs on it at a time.
type Session struct {
	server *server
	conn   *conn
}

// Dial connects to the server with the given URI, in the way that the configuration says, TLS included. The session is
// anonymous. An error says nothing about the data.
func Dial(ctx context.Context, config Config, uri string) (*Session, error) {
	config = config.withDefaults()
	at, err := parseEndpoint(uri)
	if err != nil {
		return nil, err
	}
	secure, err := config.tlsConfig()
	if err != nil {
		return nil, err
	}
	s := &server{endpoint: at, config: &config, tls: secure}
	c, err := s.reach(ctx)
	if err != nil {
		return nil, err
	}
	return &Session{server: s, conn: c}, nil
}

// Authenticate makes the session one of the service's account. IsRefused tells whether an error is the server's refusal.
func (s *Session) Authenticate(ctx context.Context) error { return s.server.bind(ctx, s.conn) }

// IsRefused reports whether an error says that a server does not accept the service's account.
func IsRefused(err error) bool {
	var refused *refusedError
	return errors.As(err, &refused)
}

// Bind makes the session one of another account, by its password. It carries the server's result code.
func (s *Session) Bind(ctx context.Context, dn, password string) error {
	const version = 3
	_, err := s.Do(ctx, &wire.BindRequest{Version: version, Name: dn, Method: wire.AuthSimple, Password: password})
	return err
}

// Do carries out an operation that has one response, and returns the response's controls. The error is the result that
// the server gave, or says that there is none.
func (s *Session) Do(ctx context.Context, request wire.Request, controls ...wire.Control) ([]wire.Control, error) {
	response, answered, err := s.conn.call(ctx, s.server.config.Timeout, request, controls...)
	if err != nil {
		return nil, err
	}
	return answered, response.Err()
}

// Search yields the entries that the server returns, and returns the controls of its last message. An error of yield ends
// the search, and the session with it.
func (s *Session) Search(ctx context.Context, request *wire.SearchRequest, yield func(*wire.Entry) error, controls ...wire.Control) ([]wire.Control, error) {
	x := s.conn.begin(ctx, s.server.config.Timeout)
	defer x.end()
	if err := x.send(request, controls...); err != nil {
		return nil, err
	}
	response, answered, err := x.entries(yield)
	if err != nil {
		return nil, err
	}
	return answered, response.Err()
}

// Features returns what the server says it can do.
func (s *Session) Features(ctx context.Context) (Features, error) {
	features, err := s.conn.readFeatures(ctx, s.server.config)
	if err != nil {
		return Features{}, err
	}
	return *features, nil
}

// TLS returns the state of the session's TLS, or nil if it has none.
func (s *Session) TLS() *tls.ConnectionState {
	secured, ok := s.conn.net.(*tls.Conn)
	if !ok {
		return nil
	}
	state := secured.ConnectionState()
	return &state
}

// IsLocal reports whether the session never leaves this machine.
func (s *Session) IsLocal() bool { return isLocal(s.conn.raw.RemoteAddr()) }

// Broken reports whether the session has ended: by the server, by a time-out, or by a context.
func (s *Session) Broken() bool { return s.conn.broken }

// Close ends the session.
func (s *Session) Close() { s.conn.close() }

// isLocal reports whether an address is one of this machine alone: a Unix socket or the loopback interface.
func isLocal(address net.Addr) bool {
	switch address := address.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return address.IP.IsLoopback()
	default:
		return false
	}
}
