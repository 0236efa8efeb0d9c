package middleware

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Bounds of the requests whose clients do not take their answers.
const (
	// clientPause is how long a write may take until its request counts as one that waits for its client. What a client takes at
	// once goes into the buffers of the connection.
	clientPause = 100 * time.Millisecond
	// maxSlowAnswers is how many such requests there may be. They keep what they have of the directory: pkg/identity/remote can
	// read as many long lists at a time beside those that run.
	maxSlowAnswers = 48
)

// answerWriter takes the place from its request while the client does not take what is written, so that clients which read
// slowly keep nobody else's requests from running. Its writes are those of one goroutine.
type answerWriter struct {
	http.ResponseWriter
	request *http.Request
	// admitted is nil if the request has no place.
	admitted *waiter
	slow     *shares
	party    string
	// timer fires when a write takes too long.
	timer *time.Timer

	mutex   sync.Mutex
	writing bool
	// stalled is nil as long as the client takes what is written.
	stalled *stall
	// failed is why the request may not go on. It has no place any more.
	failed error
}

// stall is a write that takes too long, and what follows until the request goes on.
type stall struct {
	// Context ends when the request's does, and when the request has lost its share.
	context.Context
	cancel context.CancelCauseFunc
	share  *share
}

// Write writes, and waits until the request may go on. Beside the errors of the writer underneath, which has one when the request
// has lost its share, there are that loss and the end of the request's context.
func (w *answerWriter) Write(content []byte) (int, error) {
	if w.failed != nil {
		return 0, w.failed
	}
	w.begin()
	n, err := w.ResponseWriter.Write(content)
	if w.failed = w.end(); err == nil {
		err = w.failed
	}
	return n, err
}

// Unwrap lets http.ResponseController reach the writer underneath. What it flushes there keeps its place: nothing of the API does.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *answerWriter) begin() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.writing = true
	if w.timer == nil {
		w.timer = time.AfterFunc(clientPause, w.stall)
	} else {
		w.timer.Reset(clientPause)
	}
}

// stall takes the place from the request, unless the write has ended just now.
func (w *answerWriter) stall() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if !w.writing || w.stalled != nil {
		return
	}
	if w.admitted != nil {
		w.admitted.pause()
	}
	stalled := &stall{}
	stalled.Context, stalled.cancel = context.WithCancelCause(w.request.Context())
	w.stalled = stalled
	stalled.share = w.slow.hold(w.party, 1, func() {
		stalled.cancel(errLost)
		w.cut()
	})
}

// cut ends the write. A deadline ends one that HTTP/2's flow control holds up, or that of a connection of HTTP/1. What a client
// of HTTP/2 does to the connection holds up whatever is sent over it, the end of a stream as well. A proxy's connection, which
// has requests of others, stays; it ends if the proxy takes nothing of it for long (http.HTTP2Config.WriteByteTimeout).
func (w *answerWriter) cut() {
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now()) // Without a connection no write takes long.
	used, ok := w.request.Context().Value(connectionKey{}).(*connection)
	if ok && w.request.ProtoMajor > 1 && used.network.IsValid() {
		_ = used.Close()
	}
}

// end notes that the write has ended. If the request has lost its place meanwhile, it waits for another.
func (w *answerWriter) end() error {
	w.mutex.Lock()
	w.timer.Stop()
	w.writing = false
	stalled := w.stalled
	w.stalled = nil
	w.mutex.Unlock()
	if stalled == nil {
		return nil
	}
	defer stalled.cancel(nil)
	defer stalled.share.release()
	if w.admitted != nil && w.admitted.resume(stalled) == nil {
		return nil
	}
	return context.Cause(stalled)
}
