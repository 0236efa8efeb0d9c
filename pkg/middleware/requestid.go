package middleware

import (
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/opencloud-eu/education/pkg/odata"
)

// maxRequestID is the largest length in bytes of an id that a client may choose. Longer ones would make every log
// line as long as the client likes.
const maxRequestID = 128

// RequestIDs gives each request its ids: they stand in its context for odata.WriteError and for log lines, and in the
// headers of its response.
//
// The server's id is the client's X-Request-Id (a proxy's habit) or request-id (Graph's) if it is usable, and a new
// UUID otherwise. The client's own id comes from client-request-id. An id is usable if it is at most 128 printable
// ASCII characters long; any other is treated as if it had not been sent.
func RequestIDs(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids := odata.RequestIDs{
			Server: usableID(r.Header, "X-Request-Id", "Request-Id"),
			Client: usableID(r.Header, "Client-Request-Id"),
		}
		if ids.Server == "" {
			ids.Server = newID()
		}
		header := w.Header()
		header.Set("X-Request-Id", ids.Server)
		header.Set("Request-Id", ids.Server)
		header.Set("Client-Request-Id", ids.Server)
		if ids.Client != "" {
			header.Set("Client-Request-Id", ids.Client)
		}
		next.ServeHTTP(w, r.WithContext(odata.WithRequestIDs(r.Context(), ids)))
	})
}

// usableID returns the first usable id among the named headers, or the empty string.
func usableID(header http.Header, names ...string) string {
	for _, name := range names {
		if id := header.Get(name); id != "" && len(id) <= maxRequestID && printableASCII(id) {
			return id
		}
	}
	return ""
}

func printableASCII(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// newID returns a random UUID (RFC 9562, section 5.4), because Graph's clients take a request-id for one.
func newID() string {
	var id [16]byte
	// rand.Read never fails: it ends the process if the system has no randomness.
	_, _ = rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}
