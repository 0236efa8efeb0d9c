package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Bounds of a pooled connection. Firewalls forget a connection that is silent for some minutes, and balancers would never
// be noticed by one that lives forever.
const (
	maxIdle = 4 * time.Minute
	maxLife = time.Hour
)

// server is one server and the connections to it.
type server struct {
	endpoint
	config *Config
	tls    *tls.Config
	pool   *puddle.Pool[*conn]
	// features are those that the last probe has found, nil before the first.
	features atomic.Pointer[Features]
	// refused says that the refusal of the account has been reported.
	refused atomic.Bool
}

func newServer(at endpoint, config *Config, secure *tls.Config) (*server, error) {
	s := &server{endpoint: at, config: config, tls: secure}
	var err error
	s.pool, err = puddle.NewPool(&puddle.Config[*conn]{
		Constructor: s.connect,
		Destructor:  (*conn).close,
		MaxSize:     int32(config.PoolSize), //nolint:gosec // a number of connections
	})
	return s, err
}

// A refusedError says that a server does not accept the service's account. It carries no LDAP result, which would look
// as if it were about an entry.
type refusedError struct {
	code    wire.ResultCode
	message string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("the LDAP server refuses the service's account with result %d: %s", int(e.code), e.message)
}

// connect makes a connection that is ready for use.
func (s *server) connect(ctx context.Context) (*conn, error) {
	c, err := s.reach(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.bind(ctx, c); err != nil {
		_ = c.raw.Close()
		return nil, err
	}
	return c, nil
}

// reach makes a connection that is as secure as it is to be, and anonymous. An error is the context's, or about the server.
func (s *server) reach(ctx context.Context) (*conn, error) {
	c, err := s.open(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return c, err
}

func (s *server) open(ctx context.Context) (*conn, error) {
	c, err := dial(ctx, s.endpoint, s.tls, s.config.DialTimeout)
	if err != nil {
		return nil, err
	}
	if s.config.StartTLS && !s.endpoint.tls && s.network != "unix" {
		if err := c.startTLS(ctx, s.host, s.tls, s.config.DialTimeout); err != nil {
			_ = c.raw.Close()
			return nil, err
		}
	}
	return c, nil
}

// ldapVersion is the version of the protocol (RFC 4511, section 4.2).
const ldapVersion = 3

// bind authenticates a connection (RFC 4511, section 4.2).
func (s *server) bind(ctx context.Context, c *conn) error {
	// Empty credentials ask for the identity that the connection has; without any, the server would ask back.
	self := ""
	request := &wire.BindRequest{Version: ldapVersion, Method: wire.AuthSASL, Mechanism: "EXTERNAL", Credentials: &self}
	if s.config.BindDN != "" {
		password, err := s.config.Password()
		switch {
		case err != nil:
			return &linkError{"bind", err}
		case password == "":
			// A bind without a password succeeds and stays anonymous (RFC 4513, section 5.1.2).
			return &refusedError{wire.ResultInappropriateAuthentication, "the password is empty"}
		}
		request = &wire.BindRequest{Version: ldapVersion, Name: s.config.BindDN, Method: wire.AuthSimple, Password: password}
	}
	response, _, err := c.call(ctx, s.config.BindTimeout, request)
	switch {
	case err != nil:
		return err
	case response.Code == wire.ResultBusy || response.Code == wire.ResultUnavailable:
		return &linkError{"bind", fmt.Errorf("the server answers result %d", int(response.Code))}
	case response.Code != wire.ResultSuccess:
		return &refusedError{response.Code, response.Message}
	}
	return nil
}

// probe finds out whether the server answers, and what it can do. That it refuses the account is reported once.
func (s *server) probe(ctx context.Context) error {
	c, err := s.connect(ctx)
	var refused *refusedError
	if errors.As(err, &refused) && !s.refused.Swap(true) {
		s.config.Logger.ErrorContext(ctx, "the LDAP account is refused: check its DN and its password", "uri", s.uri, "cause", err)
	}
	if err != nil {
		return err
	}
	defer c.close()
	s.refused.Store(false)
	features, err := c.readFeatures(ctx, s.config)
	if err != nil {
		// What a root DSE is refused with says nothing about an entry.
		return &linkError{"root DSE", errors.New(err.Error())}
	}
	s.features.Store(features)
	return nil
}

// errBusy is what an operation fails with that gets no connection.
var errBusy = errors.New("LDAP: all connections are in use")

// errLeft says that there has been another decision before the operation had a connection.
var errLeft = errors.New("LDAP: another server is used now")

// take takes a connection out of the pool, or makes one, unless left ends before. An error is errBusy, errLeft, the context's, or
// about the server.
func (s *server) take(ctx, left context.Context) (*lease, error) {
	waiting, cancel := context.WithTimeout(ctx, s.config.DialTimeout+s.config.BindTimeout+s.config.Timeout)
	defer cancel()
	defer context.AfterFunc(left, cancel)()
	for {
		resource, err := s.pool.Acquire(waiting)
		switch {
		case err == nil && left.Err() != nil:
			resource.ReleaseUnused()
			return nil, errLeft
		case err == nil:
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case left.Err() != nil:
			return nil, errLeft
		case waiting.Err() != nil:
			return nil, errBusy
		default:
			return nil, err
		}
		if c := resource.Value(); s.fresh(c) && quiet(c.raw) {
			return &lease{conn: c, server: s, resource: resource}, nil
		}
		resource.Destroy()
	}
}

func (s *server) fresh(c *conn) bool {
	return time.Since(c.used) < maxIdle && time.Since(c.made) < maxLife
}

// tidy closes the connections that have been idle for too long or have ended.
func (s *server) tidy() {
	for _, resource := range s.pool.AcquireAllIdle() {
		if c := resource.Value(); s.fresh(c) && quiet(c.raw) {
			resource.ReleaseUnused()
			continue
		}
		resource.Destroy()
	}
}

// lease is a connection that belongs to one operation.
type lease struct {
	conn   *conn
	server *server
	// resource is nil once the connection has left the pool.
	resource *puddle.Resource[*conn]
}

// keep takes the connection out of the pool for good, which may then make another one.
func (l *lease) keep() {
	if l.resource != nil {
		l.resource.Hijack()
		l.resource = nil
	}
}

// end gives the connection back, or closes it if it is broken or has left the pool.
func (l *lease) end() {
	switch {
	case l.resource == nil:
		l.conn.close()
	case l.conn.broken:
		l.resource.Destroy()
	default:
		l.resource.Release()
	}
}
