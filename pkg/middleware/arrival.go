package middleware

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"sync"
	"time"
)

// arrivalSize is how many bytes a request takes beside its body: a goroutine, its stack and its buffers.
const arrivalSize = 16 << 10

// errLost says that a request has lost its share.
var errLost = errors.New("others need what the request held")

// arrivals takes requests in. One runs when it has arrived whole: a client that takes its time to send a body must not keep a
// place meanwhile that others wait for.
type arrivals struct {
	// body is how many bytes of a body are read before its request runs, 0 for none.
	body int64
	held *shares
}

func newArrivals(limits Limits) *arrivals {
	return &arrivals{body: limits.Body, held: newShares(cmp.Or(limits.Arrivals, math.MaxInt))}
}

// arrival is a request that arrives or has arrived, and waits.
type arrival struct {
	// Context ends when the request's does, and when the arrival is lost.
	context.Context
	cancel context.CancelCauseFunc
	// share is nil if the request has no body.
	share *share

	mutex sync.Mutex
	// reading says that the body is being read, cut that this was ended because the arrival was lost.
	reading, cut bool
}

// take reads the body of a request of a party, and lets the request have what it has read. The arrival must be released. If the
// body cannot be read, whoever reads it from the request gets the error.
func (a *arrivals) take(w http.ResponseWriter, r *http.Request, party string) *arrival {
	taken := &arrival{Context: r.Context(), cancel: func(error) {}}
	if a.body == 0 || r.ContentLength == 0 {
		return taken
	}
	taken.Context, taken.cancel = context.WithCancelCause(r.Context())
	taken.reading = true
	taken.share = a.held.hold(party, arrivalSize, func() { taken.lose(http.NewResponseController(w)) })
	var content bytes.Buffer
	_, err := content.ReadFrom(&counted{io.LimitReader(r.Body, a.body), taken.share})
	taken.mutex.Lock()
	defer taken.mutex.Unlock()
	taken.reading = false
	rest := io.Reader(r.Body)
	if err != nil {
		rest = failed{err}
	}
	r.Body = &body{io.MultiReader(&content, rest), r.Body}
	return taken
}

// lose ends the arrival. A deadline is set only for a body that is being read: net/http reads on afterwards, to see whether the
// client is there, and takes the end of that for the client's.
func (a *arrival) lose(connection *http.ResponseController) {
	a.cancel(errLost)
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.reading {
		a.cut = true
		_ = connection.SetReadDeadline(time.Now()) // Without a connection there is nothing to wait for.
	}
}

// isLost reports whether the request has lost its share.
func (a *arrival) isLost() bool { return context.Cause(a) == errLost } //nolint:errorlint // It is never wrapped.

// release gives back what the request holds because it has not begun.
func (a *arrival) release() {
	if a.share != nil {
		a.share.release()
		a.share = nil
	}
	a.cancel(nil)
}

// counted adds what is read to a share.
type counted struct {
	io.Reader
	share *share
}

func (c *counted) Read(into []byte) (int, error) {
	n, err := c.Reader.Read(into)
	c.share.grow(n)
	return n, err
}

// failed is a body that cannot be read.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// body is one of which a part has been read before.
type body struct {
	io.Reader
	io.Closer
}
