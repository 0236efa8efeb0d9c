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
	// maxSlowAnswers is how many such requests there may be. They keep what they have of the directory, so this is below the
	// number of long lists that pkg/identity/remote can read at a time.
	maxSlowAnswers = 48
)

// answerWriter takes the place from its request while the client does not take what is written, so that clients which read
// slowly keep nobody else's requests from running. Its writes are those of one goroutine.
type answerWriter struct {
	http.ResponseWriter
	ctx      context.Context
	admitted *waiter
	slow     *shares
	party    string
	// timer fires when a write takes too long.
	timer *time.Timer

	mutex   sync.Mutex
	writing bool
	// share is what the request holds of slow while it waits for its client.
	share *share
}

// Write writes, and waits until the request may go on. Beside the errors of the writer underneath, which has one when the request
// has lost its share, there is that of the request's context.
func (w *answerWriter) Write(content []byte) (int, error) {
	w.begin()
	n, err := w.ResponseWriter.Write(content)
	if resumed := w.end(); err == nil {
		err = resumed
	}
	return n, err
}

// Unwrap lets http.ResponseController reach the writer underneath.
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
	if !w.writing || w.share != nil {
		return
	}
	w.admitted.pause()
	connection := http.NewResponseController(w.ResponseWriter)
	w.share = w.slow.hold(w.party, 1, func() {
		_ = connection.SetWriteDeadline(time.Now()) // Ends the write; without a connection none takes long.
	})
}

// end notes that the write has ended. If the request has lost its place meanwhile, it waits for another.
func (w *answerWriter) end() error {
	w.mutex.Lock()
	w.timer.Stop()
	w.writing = false
	held := w.share
	w.share = nil
	w.mutex.Unlock()
	if held == nil {
		return nil
	}
	held.release()
	return w.admitted.resume(w.ctx)
}
