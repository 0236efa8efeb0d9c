package middleware

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"

	"github.com/opencloud-eu/education/pkg/odata"
)

// Recover answers a request whose handler panics with a 500, and logs the panic with its stack. If part of the
// response has been sent, the connection is ended instead, so that a client never takes half a document for a whole
// one. http.ErrAbortHandler, which asks for just that, is passed on.
func Recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := observe(w)
		defer func() {
			//nolint:errorlint // net/http compares the recovered value itself.
			if value := recover(); value == http.ErrAbortHandler {
				panic(value)
			} else if value != nil {
				answerPanic(seen, r, value)
			}
		}()
		next.ServeHTTP(seen, r)
	})
}

// answerPanic logs a panic and answers 500, if it can.
func answerPanic(w *response, r *http.Request, value any) {
	cause := fmt.Errorf("panic: %s\n%s", describe(value), debug.Stack())
	slog.ErrorContext(r.Context(), "request failed", "request-id", odata.RequestIDsOf(r.Context()).Server, "cause", cause)
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	failure := odata.Errorf(odata.GeneralException, "", "internal error")
	failure.Expected = true // It is in the log already.
	odata.WriteError(w, r, failure)
}

// describe returns the text of a panic of the Go runtime, and the type of any other value: a value that a package
// chose may hold a piece of the request. The stack says where it was raised.
func describe(value any) string {
	if err, ok := value.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a value of type %T", value)
}
