package middleware

import (
	"net/http"

	"github.com/opencloud-eu/education/pkg/access"
)

// response is a ResponseWriter that remembers what was sent.
type response struct {
	http.ResponseWriter
	// status is the final status, 0 as long as nothing has been sent.
	status int
	// bytes is the length of the body so far.
	bytes int64
	// credential is the request's, nil as long as it has none.
	credential *access.Credential
}

// observe returns w itself if it is a *response already, so that neighbouring middleware shares one.
func observe(w http.ResponseWriter) *response {
	if seen, ok := w.(*response); ok {
		return seen
	}
	return &response{ResponseWriter: w}
}

// WriteHeader notes the first status that is not an interim one (RFC 9110, section 15.2).
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(content []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(content)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the writer underneath.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
