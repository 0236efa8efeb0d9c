package remote

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// readBuffer is the size of a connection's read buffer in octets.
const readBuffer = 32 << 10

// conn is a connection to a server. One operation runs on it at a time.
type conn struct {
	// raw is the connection to the server itself, net what is spoken through: raw, or TLS on it.
	raw, net net.Conn
	reader   *bufio.Reader
	buffer   []byte
	lastID   int
	made     time.Time
	used     time.Time
	// sent says that the last request has left whole, so that the server may carry it out.
	sent bool
	// broken says that the connection cannot be used again.
	broken bool
}

// A linkError says that a connection broke, could not be made, or gave no answer in time. It never carries an LDAP
// result.
type linkError struct {
	step  string
	cause error
}

func (e *linkError) Error() string { return fmt.Sprintf("LDAP %s: %v", e.step, e.cause) }

// Is reports a time-out of this package as the end of a deadline, which it is to whoever waits.
func (e *linkError) Is(target error) bool {
	var timeout net.Error
	return target == context.DeadlineExceeded && errors.As(e.cause, &timeout) && timeout.Timeout()
}

// errProtocol is the cause of a linkError for a server that does not keep to the protocol.
var errProtocol = errors.New("the server answers something else than was asked")

// keepAlive finds out within half a minute that the machine at the other end has gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// undated is a context that ends with another one and does not tell when. At a deadline that it knows, package net gives up
// by itself, a moment before the context has ended: the server would be to blame for the end of its caller's time.
type undated struct{ context.Context }

func (undated) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// dial connects to a server, with TLS if the endpoint asks for it.
func dial(ctx context.Context, at endpoint, config *tls.Config, timeout time.Duration) (*conn, error) {
	ctx, cancel := context.WithTimeout(undated{ctx}, timeout)
	defer cancel()
	raw, err := (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext(ctx, at.network, at.address)
	if err != nil {
		return nil, &linkError{"dial", err}
	}
	c := &conn{raw: raw, made: time.Now(), used: time.Now()}
	c.speakThrough(raw)
	if at.tls {
		if err := c.secure(ctx, at.host, config); err != nil {
			_ = raw.Close()
			return nil, err
		}
	}
	return c, nil
}

func (c *conn) speakThrough(through net.Conn) {
	c.net, c.reader = through, bufio.NewReaderSize(through, readBuffer)
}

// secure makes the TLS handshake.
func (c *conn) secure(ctx context.Context, host string, config *tls.Config) error {
	config = config.Clone()
	config.ServerName = host
	secured := tls.Client(c.raw, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return &linkError{"TLS handshake", err}
	}
	c.speakThrough(secured)
	return nil
}

// startTLS asks for TLS and makes the handshake (RFC 4511, section 4.14).
func (c *conn) startTLS(ctx context.Context, host string, config *tls.Config, timeout time.Duration) error {
	response, _, err := c.call(ctx, timeout, &wire.ExtendedRequest{Name: wire.OperationStartTLS})
	if err == nil {
		err = response.Err()
	}
	if err == nil && c.reader.Buffered() > 0 {
		// What was sent before the handshake could be from anybody.
		err = errProtocol
	}
	if err != nil {
		return &linkError{"StartTLS", errors.New(err.Error())}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.secure(ctx, host, config)
}

// An exchange is a request under way on a connection.
type exchange struct {
	conn  *conn
	ctx   context.Context
	limit time.Duration
	stop  func() bool
}

// begin starts an exchange that ends with ctx, and in which neither sending the request nor waiting for a message takes
// longer than the limit.
func (c *conn) begin(ctx context.Context, limit time.Duration) *exchange {
	stop := context.AfterFunc(ctx, func() { _ = c.net.SetDeadline(time.Unix(1, 0)) })
	return &exchange{conn: c, ctx: ctx, limit: limit, stop: stop}
}

// end ends the exchange.
func (x *exchange) end() {
	if !x.stop() {
		// The deadline in the past is set or will be at any moment.
		x.conn.broken = true
	}
	x.conn.used = time.Now()
}

// extend gives the next step its time. The context is looked at after that, because its end may have come in between.
func (x *exchange) extend() error {
	_ = x.conn.net.SetDeadline(time.Now().Add(x.limit))
	return x.ctx.Err()
}

// fail notes that the connection is broken and returns the error to report: the context's own if that has ended.
func (x *exchange) fail(step string, err error) error {
	x.conn.broken = true
	if ended := x.ctx.Err(); ended != nil {
		return ended
	}
	return &linkError{step, err}
}

// send sends a request.
func (x *exchange) send(request wire.Request, controls ...wire.Control) error {
	c := x.conn
	c.sent = false
	if err := x.extend(); err != nil {
		return err
	}
	c.lastID++
	c.buffer = wire.AppendRequest(c.buffer[:0], c.lastID, request, controls...)
	_, err := c.net.Write(c.buffer)
	if cap(c.buffer) > readBuffer {
		c.buffer = nil
	}
	if err != nil {
		// A part of a message is none: a server does nothing before it has all of it, and over TLS cannot even read it.
		return x.fail("request", err)
	}
	c.sent = true
	return nil
}

// receive returns the next message that answers the request.
func (x *exchange) receive() (wire.Message, error) {
	if err := x.extend(); err != nil {
		return wire.Message{}, x.fail("answer", err)
	}
	message, err := wire.ReadMessage(x.conn.reader, wire.MaxMessageSize)
	switch {
	case err != nil:
		return wire.Message{}, x.fail("answer", err)
	case message.ID == 0:
		return wire.Message{}, x.fail("answer", disconnection(&message))
	case message.ID != x.conn.lastID:
		return wire.Message{}, x.fail("answer", errProtocol)
	}
	return message, nil
}

// disconnection is the cause of a linkError for a server that ends the session (RFC 4511, section 4.4.1).
func disconnection(message *wire.Message) error {
	response, err := message.Response()
	if err != nil {
		return errProtocol
	}
	return fmt.Errorf("the server ends the session with result %d", int(response.Code))
}

// call sends a request and returns the response that ends it. An error is no LDAP result; that is in the response.
func (c *conn) call(ctx context.Context, limit time.Duration, request wire.Request, controls ...wire.Control) (*wire.Response, []wire.Control, error) {
	x := c.begin(ctx, limit)
	defer x.end()
	if err := x.send(request, controls...); err != nil {
		return nil, nil, err
	}
	message, err := x.receive()
	if err != nil {
		return nil, nil, err
	}
	response, err := message.Response()
	if err != nil {
		return nil, nil, x.fail("answer", err)
	}
	return response, message.Controls, nil
}

// unbindTimeout bounds the farewell of a connection.
const unbindTimeout = time.Second

// close ends the session, and politely if it is intact.
func (c *conn) close() {
	if !c.broken {
		_ = c.net.SetDeadline(time.Now().Add(unbindTimeout))
		_, _ = c.net.Write(wire.AppendRequest(nil, c.lastID+1, &wire.UnbindRequest{}))
		_ = c.net.Close()
	}
	_ = c.raw.Close()
}
