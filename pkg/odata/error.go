package odata

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Code is the name of an error on the wire together with its HTTP status, so that no caller picks a status by hand.
type Code struct {
	Name   string
	Status int
}

// The codes this service answers with. Names are libre-graph's, because OpenCloud's clients match on them; where one
// name stands for two situations, the situations have different statuses.
var (
	InvalidRequest       = Code{"invalidRequest", http.StatusBadRequest}
	InvalidToken         = Code{"InvalidAuthenticationToken", http.StatusUnauthorized}
	AccessDenied         = Code{"accessDenied", http.StatusForbidden}
	ItemNotFound         = Code{"itemNotFound", http.StatusNotFound}
	NotAllowed           = Code{"notAllowed", http.StatusMethodNotAllowed}
	NameAlreadyExists    = Code{"nameAlreadyExists", http.StatusConflict}
	Conflict             = Code{"notAllowed", http.StatusConflict}
	TooManyResults       = Code{"tooManyResults", http.StatusConflict}
	ResourceModified     = Code{"resourceModified", http.StatusPreconditionFailed}
	RequestTooLarge      = Code{"invalidRequest", http.StatusRequestEntityTooLarge}
	UnsupportedMediaType = Code{"invalidRequest", http.StatusUnsupportedMediaType}
	ActivityLimitReached = Code{"activityLimitReached", http.StatusTooManyRequests}
	GeneralException     = Code{"generalException", http.StatusInternalServerError}
	NotSupported         = Code{"notSupported", http.StatusNotImplemented}
	ServiceNotAvailable  = Code{"serviceNotAvailable", http.StatusServiceUnavailable}
	GatewayTimeout       = Code{"serviceNotAvailable", http.StatusGatewayTimeout}
)

// What a 429, 503 or 504 tells its client to wait: RetryAfter unless the error knows better, and never more than
// MaxRetryAfter. It is a whole number of seconds, rounded up, because clients fail on fractions, and short because the wait
// counts against the client's own time-out (Graph SDKs: 100 s in all).
const (
	RetryAfter    = 5 * time.Second
	MaxRetryAfter = 30 * time.Second
)

// Detail names one of several faults of a request, or an entity that a conflict is about.
type Detail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Target  string `json:"target,omitempty"`
}

// Error is the one error that reaches a client. Message is a sentence that says what to do; Target names the
// property, option or segment at fault. The cause is for the log alone.
type Error struct {
	Code    Code
	Target  string
	Message string
	Details []Detail
	// Allow lists the methods of a 405, as RFC 9110, section 15.5.6 demands.
	Allow []string
	// RetryAfter is how long the client of a 429, 503 or 504 shall wait, or 0 for the usual time.
	RetryAfter time.Duration
	// Expected says that a 5xx is no failure but the service at its limits. There may be thousands a second, and the access
	// log has them, so WriteError logs none.
	Expected bool
	cause    error
}

// Errorf returns an Error with a message made as fmt.Sprintf does.
func Errorf(code Code, target, format string, args ...any) *Error {
	return &Error{Code: code, Target: target, Message: fmt.Sprintf(format, args...)}
}

// Because attaches the error behind e, for the log, and returns e.
func (e *Error) Because(cause error) *Error {
	e.cause = cause
	return e
}

func (e *Error) Error() string {
	text := e.Code.Name + ": " + e.Message
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether err carries an Error with the given code.
func Is(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

type requestKey struct{}

// RequestIDs identify a request: Server is ours, Client is the one the client sent, or empty.
type RequestIDs struct {
	Server string
	Client string
}

// WithRequestIDs returns a context that carries the ids, for WriteError and for log lines.
func WithRequestIDs(ctx context.Context, ids RequestIDs) context.Context {
	return context.WithValue(ctx, requestKey{}, ids)
}

// RequestIDsOf returns the ids that ctx carries.
func RequestIDsOf(ctx context.Context) RequestIDs {
	ids, _ := ctx.Value(requestKey{}).(RequestIDs)
	return ids
}

type codeKey struct{}

// WithCode returns a context in which WriteError leaves the code of its error, for whoever records what has become of the
// request. It stays the zero Code as long as there is none.
func WithCode(ctx context.Context) (context.Context, *Code) {
	code := &Code{}
	return context.WithValue(ctx, codeKey{}, code), code
}

// innerError is Graph's tracing part of an error. A request without an id of its own gets ours under both names, as on
// Graph itself. Graph SDKs read it as "innerError", libre-graph's clients as
// "innererror", so it is sent under both names.
type innerError struct {
	Date            string `json:"date"`
	RequestID       string `json:"request-id"`
	ClientRequestID string `json:"client-request-id"`
}

type errorBody struct {
	Code       string      `json:"code"`
	Message    string      `json:"message"`
	Target     string      `json:"target,omitempty"`
	Details    []Detail    `json:"details,omitempty"`
	InnerError *innerError `json:"innerError"`
	Innererror *innerError `json:"innererror"`
}

// WriteError renders err. An error that is not an *Error becomes a 500 without its text: what a library or a server
// says may hold names, addresses and filters. A 5xx is logged here, once, with its cause. For a client that has gone
// nothing is written, and the connection is ended by a panic with http.ErrAbortHandler: net/http would answer 200 for a
// handler that has written nothing, and a client may be there although its request's context has ended.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = Errorf(GeneralException, "", "internal error").Because(err)
	}
	if noted, ok := r.Context().Value(codeKey{}).(*Code); ok {
		*noted = e.Code
	}
	// To net/http a body that does not come in time looks as if the client had gone. It is there, and is to hear what was wrong.
	if errors.Is(r.Context().Err(), context.Canceled) && !errors.Is(err, os.ErrDeadlineExceeded) {
		panic(http.ErrAbortHandler)
	}
	ids := RequestIDsOf(r.Context())
	if e.Code.Status >= http.StatusInternalServerError && e.Code != NotSupported && !e.Expected {
		slog.ErrorContext(r.Context(), "request failed", "code", e.Code.Name, "status", e.Code.Status,
			"request-id", ids.Server, "cause", errors.Unwrap(e))
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	switch e.Code {
	case ActivityLimitReached, ServiceNotAvailable, GatewayTimeout:
		header.Set("Retry-After", retryAfter(e.RetryAfter))
	case NotAllowed:
		for _, method := range e.Allow {
			header.Add("Allow", method)
		}
		if len(e.Allow) == 0 {
			header.Set("Allow", "")
		}
	}
	w.WriteHeader(e.Code.Status)
	inner := &innerError{
		Date: time.Now().UTC().Format(time.RFC3339), RequestID: ids.Server, ClientRequestID: cmp.Or(ids.Client, ids.Server),
	}
	body := struct {
		Error errorBody `json:"error"`
	}{errorBody{e.Code.Name, e.Message, e.Target, e.Details, inner, inner}}
	// The status is sent; a client that stops reading now gets what it asked for.
	_ = json.NewEncoder(w).Encode(body)
}

// retryAfter returns a time as the header's whole seconds, of which there is at least one.
func retryAfter(wait time.Duration) string {
	wait = min(cmp.Or(wait, RetryAfter), MaxRetryAfter)
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}
