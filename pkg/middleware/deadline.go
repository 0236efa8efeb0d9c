package middleware

import (
	"net/http"
	"time"
)

// WriteDeadline ends a connection whose client takes no bytes for the given time. It takes the place of
// http.Server.WriteTimeout, which bounds the whole response: a list is written as it is read and takes as long as it
// is, so the bound is on each piece of it.
func WriteDeadline(patience time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&deadlineWriter{w, http.NewResponseController(w), patience}, r)
		})
	}
}

// deadlineWriter moves the deadline before everything that may lead to a write, so that the deadline of an earlier
// request on the same connection never counts.
type deadlineWriter struct {
	http.ResponseWriter
	controller *http.ResponseController
	patience   time.Duration
}

func (w *deadlineWriter) WriteHeader(status int) {
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

func (w *deadlineWriter) Write(content []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(content)
}

func (w *deadlineWriter) extend() {
	// A writer without deadlines, such as one in a test, has no client to wait for.
	_ = w.controller.SetWriteDeadline(time.Now().Add(w.patience))
}

// Unwrap lets http.ResponseController reach the writer underneath.
func (w *deadlineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
