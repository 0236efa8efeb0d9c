package embedded

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

const (
	// readBuffer is the size of a session's read buffer in octets. Larger requests are read in parts.
	readBuffer = 4 << 10
	// maxConcurrent bounds the operations of one session that run at the same time. When so many run, the next request
	// waits unread.
	maxConcurrent = 16
)

// session is one client's connection. One goroutine reads its requests; operations run in it or beside it.
type session struct {
	server *Server
	// address is what stands for the client's address.
	address string
	reader  *bufio.Reader
	out     output
	// ctx ends with the session.
	ctx    context.Context
	cancel context.CancelFunc
	// identity changes only while no operation runs.
	identity identity
	// anonymousSince is when the session came to be anonymous the last time.
	anonymousSince time.Time

	slots   chan struct{}
	running sync.WaitGroup

	mu        sync.Mutex
	conn      net.Conn
	draining  bool
	exchanges map[int]*exchange
}

func newSession(server *Server, conn net.Conn) *session {
	ctx, cancel := context.WithCancel(server.ctx)
	return &session{
		server:         server,
		address:        addressOf(conn.RemoteAddr()),
		conn:           conn,
		reader:         bufio.NewReaderSize(conn, readBuffer),
		out:            output{conn: conn, timeout: server.config.WriteTimeout},
		ctx:            ctx,
		cancel:         cancel,
		anonymousSince: time.Now(),
		slots:          make(chan struct{}, maxConcurrent),
		exchanges:      map[int]*exchange{},
	}
}

// errDraining says that the server is shutting down and the session reads no more requests. Joined with
// os.ErrDeadlineExceeded, it says that the session was waiting for one.
var errDraining = errors.New("the server is shutting down")

// serve answers requests until the session ends.
func (s *session) serve() {
	defer s.close()
	defer func() {
		if reason := recover(); reason != nil {
			s.server.logPanic(reason)
		}
	}()
	for {
		m, err := s.read()
		if err == nil {
			err = s.accept(&m)
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

// close ends the connection and waits for what still runs on it. Searches are cancelled; changes that have begun are
// finished.
func (s *session) close() {
	s.cancel()
	s.abort()
	s.running.Wait()
}

// abort closes the connection.
func (s *session) abort() {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	_ = conn.Close()
}

// drain makes the session end as soon as its running operations are finished.
func (s *session) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	_ = s.conn.SetReadDeadline(time.Now())
}

func (s *session) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// setReadDeadline sets the time until which the next octets must arrive, unless the session is draining.
func (s *session) setReadDeadline(deadline time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining {
		_ = s.conn.SetReadDeadline(deadline)
	}
}

// read reads the next request.
func (s *session) read() (wire.Message, error) {
	if err := s.await(); err != nil {
		return wire.Message{}, err
	}
	s.setReadDeadline(time.Now().Add(s.server.config.ReadTimeout))
	m, err := wire.ReadMessage(s.reader, s.server.config.maxMessage(s.identity.role))
	if s.isDraining() {
		return wire.Message{}, errDraining
	}
	return m, err
}

// maxMessage returns the largest request of a role. A request is decoded before it is known whether it is permitted, so
// those who may do little may not send much.
func (c *ServerConfig) maxMessage(of role) int {
	switch of {
	case administrator:
		return c.MaxMessage
	case reader:
		return c.MaxReaderMessage
	default:
		return c.MaxUserMessage
	}
}

// await waits for the first octet of a request. A session with operations running is not idle.
func (s *session) await() error {
	for {
		if s.isDraining() {
			return errDraining
		}
		deadline := time.Now().Add(s.server.config.IdleTimeout)
		if s.identity.role == anonymous {
			deadline = s.anonymousSince.Add(s.server.config.BindTimeout)
		}
		s.setReadDeadline(deadline)
		_, err := s.reader.Peek(1)
		switch {
		case err == nil:
			return nil
		case s.isDraining():
			return errors.Join(errDraining, err)
		case errors.Is(err, os.ErrDeadlineExceeded) && s.identity.role != anonymous && s.busy():
		default:
			return err
		}
	}
}

// busy says whether an operation is running.
func (s *session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.exchanges) > 0
}

// errUnbind says that the client has ended the session.
var errUnbind = errors.New("the client has ended the session")

// end tells the client why the session ends, if the client does not know.
func (s *session) end(err error) {
	switch {
	case errors.Is(err, errDraining):
		s.running.Wait()
		s.out.notice(wire.ResultUnavailable, "the server is shutting down")
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			s.linger()
		}
	case errors.Is(err, wire.ErrMalformed):
		s.server.warnings.malformed.warn(time.Now(), func(suppressed int) {
			s.server.config.Logger.Warn("an LDAP client sent a message that cannot be decoded",
				"error", err, "address", s.address, "suppressed", suppressed)
		})
		s.out.notice(wire.ResultProtocolError, err.Error())
		s.linger()
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.out.notice(wire.ResultUnavailable, "the session was idle for too long")
	}
}

// lingerTime is how long a session that is over waits for its client to hang up.
const lingerTime = time.Second

// linger reads, and forgets, what the client may still be sending. A TCP connection that is closed with octets unread is
// reset, and a reset takes from the client what it has not read yet: the last answers and the notice.
func (s *session) linger() {
	conn, ok := s.conn.(interface{ CloseWrite() error })
	if !ok || conn.CloseWrite() != nil {
		return
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, s.conn)
}

// accept sees to one request. An error ends the session.
func (s *session) accept(m *wire.Message) error {
	if m.ID == 0 || !m.Tag.IsRequest() {
		// RFC 4511, section 4.1.1: an operation that is no request is answered with a Notice of Disconnection.
		return wire.ErrMalformed
	}
	request, err := m.Request()
	if errors.Is(err, wire.ErrMalformed) {
		return err
	}
	responseTag, _ := m.Tag.Response()
	op := &exchange{
		session: s, identity: s.identity, id: m.ID, responseTag: responseTag, controls: m.Controls, request: request,
		ctx: s.ctx, refusal: err,
	}
	switch request := request.(type) {
	case *wire.UnbindRequest:
		return errUnbind
	case *wire.AbandonRequest:
		s.abandon(request.ID)
		return nil
	case *wire.BindRequest:
		// RFC 4511, section 4.2.1: a bind waits until all other operations are finished, and none begins before
		// it is.
		s.running.Wait()
		op.run()
	case *wire.ExtendedRequest:
		if request.Name == wire.OperationStartTLS {
			return s.startTLS(op)
		}
		s.dispatch(op)
	default:
		s.dispatch(op)
	}
	return nil
}

// dispatch runs an operation: in the reading goroutine if it is short and alone, which saves the way to another one and
// back, otherwise beside it. A search that may be long always runs beside it, so that the client can abandon it.
func (s *session) dispatch(op *exchange) {
	if s.reader.Buffered() == 0 && !op.mayTakeLong() && !s.busy() {
		op.run()
		return
	}
	s.slots <- struct{}{}
	s.add(op)
	s.running.Go(func() {
		defer func() {
			s.remove(op)
			<-s.slots
		}()
		op.run()
	})
}

func (s *session) add(op *exchange) {
	op.ctx, op.cancel = context.WithCancel(op.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exchanges[op.id] = op
}

func (s *session) remove(op *exchange) {
	op.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exchanges[op.id] == op { // A client that uses an id twice may have replaced it.
		delete(s.exchanges, op.id)
	}
}

// abandon stops the operation with the message id, if it is running and can be stopped (RFC 4511, section 4.11).
func (s *session) abandon(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op := s.exchanges[id]; op != nil {
		op.abandoned.Store(true)
		op.cancel()
	}
}

// errHandshake says that TLS could not begin. The client has been told by TLS itself.
var errHandshake = errors.New("the TLS handshake failed")

// startTLS answers a StartTLS request and, after a success, goes on with TLS on the connection (RFC 4511, section 4.14).
func (s *session) startTLS(op *exchange) error {
	op.refusal = s.mayStartTLS(op)
	op.run()
	if op.refusal != nil {
		return nil
	}
	secure := tls.Server(s.conn, s.server.config.TLS)
	s.setReadDeadline(time.Now().Add(s.server.config.ReadTimeout))
	if err := secure.HandshakeContext(s.ctx); err != nil {
		s.server.warnings.handshake.warn(time.Now(), func(suppressed int) {
			s.server.config.Logger.Warn("an LDAP client's TLS handshake failed",
				"error", err, "address", s.address, "suppressed", suppressed)
		})
		return errHandshake
	}
	s.mu.Lock()
	s.conn = secure
	s.mu.Unlock()
	s.out.conn = secure
	s.reader.Reset(secure)
	return nil
}

// mayStartTLS returns why TLS cannot begin now, or nil.
func (s *session) mayStartTLS(op *exchange) error {
	_, secure := s.conn.(*tls.Conn)
	switch {
	case op.refusal != nil:
		return op.refusal
	case s.server.config.TLS == nil:
		return wire.Errorf(wire.ResultProtocolError, "StartTLS is not configured")
	case secure:
		return wire.Errorf(wire.ResultOperationsError, "TLS is already in use")
	case s.busy():
		return wire.Errorf(wire.ResultOperationsError, "operations are outstanding")
	case s.reader.Buffered() > 0:
		// Octets that came before TLS must not be taken for octets that came through it.
		return wire.Errorf(wire.ResultOperationsError, "requests follow StartTLS before its answer")
	default:
		return op.checkControls()
	}
}
