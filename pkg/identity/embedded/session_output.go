package embedded

import (
	"net"
	"sync"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

const (
	// flushSize is how many octets are collected before they are written.
	flushSize = 32 << 10
	// keepSize is the largest buffer that a session keeps between operations.
	keepSize = 2 * flushSize
)

// output collects what the operations of a session answer, and writes it in large parts. While one operation writes,
// others collect; the next to flush writes for all of them.
type output struct {
	timeout time.Duration
	conn    net.Conn

	mu     sync.Mutex
	buffer []byte
	err    error // of the first write that failed; nothing is written after it

	writing sync.Mutex
	spare   []byte // what the next buffer is made of
}

// entry adds an entry of a search's answer. It blocks while the client does not read.
func (o *output) entry(id int, entry *wire.Entry) error {
	o.mu.Lock()
	if err := o.err; err != nil {
		o.mu.Unlock()
		return err
	}
	o.buffer = wire.AppendEntry(o.buffer, id, entry)
	full := len(o.buffer) >= flushSize
	o.mu.Unlock()
	if full {
		return o.flush()
	}
	return nil
}

// response adds what ends an operation, and writes all that was collected. A write that fails is found by the session's
// next read, because it closes the connection.
func (o *output) response(id int, response *wire.Response, controls []wire.Control) {
	o.mu.Lock()
	o.buffer = wire.AppendResponse(o.buffer, id, response, controls...)
	o.mu.Unlock()
	_ = o.flush()
}

// notice writes a Notice of Disconnection (RFC 4511, section 4.4.1).
func (o *output) notice(code wire.ResultCode, message string) {
	o.mu.Lock()
	o.buffer = wire.AppendNoticeOfDisconnection(o.buffer, code, message)
	o.mu.Unlock()
	_ = o.flush()
}

// flush writes what was collected.
func (o *output) flush() error {
	o.writing.Lock()
	defer o.writing.Unlock()
	o.mu.Lock()
	pending, err := o.buffer, o.err
	o.buffer, o.spare = o.spare[:0], nil
	o.mu.Unlock()
	if err == nil && len(pending) > 0 {
		_ = o.conn.SetWriteDeadline(time.Now().Add(o.timeout))
		if _, err = o.conn.Write(pending); err != nil {
			o.fail(err)
		}
	}
	if cap(pending) <= keepSize {
		o.spare = pending
	}
	return err
}

// failed returns the error of the first write that failed.
func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// fail ends the connection after a write that failed: a part of a message may have gone out.
func (o *output) fail(err error) {
	o.mu.Lock()
	o.err = err
	o.mu.Unlock()
	_ = o.conn.Close()
}
