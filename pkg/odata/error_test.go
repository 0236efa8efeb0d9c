package odata

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// document is an error as a client reads it.
type document struct {
	Error map[string]json.RawMessage `json:"error"`
}

func (d document) text(t *testing.T, name string) string {
	t.Helper()
	var text string
	if raw, ok := d.Error[name]; ok {
		if err := json.Unmarshal(raw, &text); err != nil {
			t.Fatal(err)
		}
	}
	return text
}

// render returns what WriteError makes of an error.
func render(t *testing.T, ctx context.Context, err error) (*httptest.ResponseRecorder, document) {
	t.Helper()
	recorder := httptest.NewRecorder()
	WriteError(recorder, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody), err)
	var got document
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v in %q", err, recorder.Body)
	}
	return recorder, got
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	foreign := errors.New(`LDAP Result Code 50 "ldaps://10.0.0.1": (uid=canary)`)
	tests := []struct {
		name   string
		err    error
		status int
		want   [3]string // code, message, target
		header map[string]string
	}{
		{
			"bad request", Errorf(InvalidRequest, "mail", "mail must be %s", "one"), 400,
			[3]string{"invalidRequest", "mail must be one", "mail"},
			nil,
		},
		{"wrapped", fmt.Errorf("outer: %w", Errorf(ItemNotFound, "users", "no such user")), 404, [3]string{"itemNotFound", "no such user", "users"}, nil},
		{
			"unauthorised", Errorf(InvalidToken, "", "invalid or missing token"), 401,
			[3]string{"InvalidAuthenticationToken", "invalid or missing token", ""},
			nil,
		},
		{
			"method", &Error{Code: NotAllowed, Message: "no", Allow: []string{"GET", "PATCH"}}, 405,
			[3]string{"notAllowed", "no", ""},
			map[string]string{"Allow": "GET, PATCH"},
		},
		{"no method at all", Errorf(NotAllowed, "", "no"), 405, [3]string{"notAllowed", "no", ""}, map[string]string{"Allow": ""}},
		{"conflict", Errorf(Conflict, "schools", "one only"), 409, [3]string{"notAllowed", "one only", "schools"}, nil},
		{"not supported", Errorf(NotSupported, "$top", "no"), 501, [3]string{"notSupported", "no", "$top"}, nil},
		{
			"unavailable", Errorf(ServiceNotAvailable, "", "later").Because(foreign), 503,
			[3]string{"serviceNotAvailable", "later", ""},
			map[string]string{"Retry-After": "5"},
		},
		{
			"timeout", Errorf(GatewayTimeout, "", "later").Because(foreign), 504,
			[3]string{"serviceNotAvailable", "later", ""},
			map[string]string{"Retry-After": "5"},
		},
		{
			"too many", &Error{Code: ActivityLimitReached, Message: "later", RetryAfter: 1001 * time.Millisecond}, 429,
			[3]string{"activityLimitReached", "later", ""},
			map[string]string{"Retry-After": "2"},
		},
		{
			"in a moment", &Error{Code: ActivityLimitReached, Message: "later", RetryAfter: time.Nanosecond}, 429,
			[3]string{"activityLimitReached", "later", ""},
			map[string]string{"Retry-After": "1"},
		},
		{
			"busy for long", &Error{Code: ServiceNotAvailable, Message: "later", RetryAfter: time.Hour}, 503,
			[3]string{"serviceNotAvailable", "later", ""},
			map[string]string{"Retry-After": "30"},
		},
		{"foreign", foreign, 500, [3]string{"generalException", "internal error", ""}, nil},
		{"foreign, wrapped", fmt.Errorf("canary: %w", foreign), 500, [3]string{"generalException", "internal error", ""}, nil},
		{"deadline", context.DeadlineExceeded, 500, [3]string{"generalException", "internal error", ""}, nil},
		{
			"client error with a cause", Errorf(InvalidRequest, "", "no").Because(foreign), 400,
			[3]string{"invalidRequest", "no", ""},
			nil,
		},
		{"markup", Errorf(InvalidRequest, "", "<script>"), 400, [3]string{"invalidRequest", "<script>", ""}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			recorder, got := render(t, t.Context(), test.err)
			if recorder.Code != test.status {
				t.Errorf("got status %d, want %d", recorder.Code, test.status)
			}
			if shown := [3]string{got.text(t, "code"), got.text(t, "message"), got.text(t, "target")}; shown != test.want {
				t.Errorf("got %q, want %q", shown, test.want)
			}
			header := map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"}
			for name, value := range test.header {
				header[name] = value
			}
			shown := map[string]string{}
			for name, values := range recorder.Header() {
				shown[name] = strings.Join(values, ", ")
			}
			if diff := cmp.Diff(header, shown); diff != "" {
				t.Error(diff)
			}
			for _, secret := range []string{"canary", "10.0.0.1", "LDAP", "<"} {
				if strings.Contains(recorder.Body.String(), secret) {
					t.Errorf("the response holds %q: %s", secret, recorder.Body)
				}
			}
		})
	}
}

// TestWriteErrorInnerErrors holds that the tracing part is there for clients of libre-graph and for Graph's SDKs.
func TestWriteErrorInnerErrors(t *testing.T) {
	t.Parallel()
	ctx := WithRequestIDs(t.Context(), RequestIDs{Server: "server-1", Client: "client-1"})
	start := time.Now().UTC().Truncate(time.Second)
	_, got := render(t, ctx, Errorf(InvalidRequest, "", "no"))
	if string(got.Error["innererror"]) != string(got.Error["innerError"]) {
		t.Errorf("got %s and %s", got.Error["innererror"], got.Error["innerError"])
	}
	var inner map[string]string
	if err := json.Unmarshal(got.Error["innererror"], &inner); err != nil {
		t.Fatal(err)
	}
	date, err := time.Parse("2006-01-02T15:04:05Z", inner["date"])
	if err != nil || date.Before(start) || date.After(time.Now()) {
		t.Errorf("got date %q (%v)", inner["date"], err)
	}
	delete(inner, "date")
	if diff := cmp.Diff(map[string]string{"request-id": "server-1", "client-request-id": "client-1"}, inner); diff != "" {
		t.Error(diff)
	}
}

func TestWriteErrorDetails(t *testing.T) {
	t.Parallel()
	fault := Errorf(TooManyResults, "users", "two of them")
	fault.Details = []Detail{{Code: "tooManyResults", Message: "a user", Target: "1"}, {Code: "tooManyResults", Message: "a user"}}
	_, got := render(t, t.Context(), fault)
	want := `[{"code":"tooManyResults","message":"a user","target":"1"},{"code":"tooManyResults","message":"a user"}]`
	if string(got.Error["details"]) != want {
		t.Errorf("got %s, want %s", got.Error["details"], want)
	}
}

func TestWriteErrorCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	recorder := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
	if value := panicOf(func() { WriteError(recorder, r, Errorf(ServiceNotAvailable, "", "later")) }); value != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so.
		t.Errorf("got %v, want that the connection ends", value)
	}
	if recorder.Body.Len() > 0 || len(recorder.Header()) > 0 {
		t.Errorf("got %v %q, want nothing", recorder.Header(), recorder.Body)
	}
}

// panicOf returns what a function panics with, or nil.
func panicOf(do func()) (value any) {
	defer func() { value = recover() }()
	do()
	return nil
}

// TestWriteErrorOfASlowBody holds that a client whose body has not come in time is told so, although net/http has ended the request's
// context as if the client had gone.
func TestWriteErrorOfASlowBody(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	w := httptest.NewRecorder()
	WriteError(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/", http.NoBody), Errorf(InvalidRequest, "", "no").Because(late))
	if w.Code != http.StatusBadRequest || w.Body.Len() == 0 {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

// TestWriteErrorLeavesItsCode holds that the code is left for whoever asks, also where the client gets no answer.
func TestWriteErrorLeavesItsCode(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		want Code
	}{
		"an error":           {t.Context(), Errorf(NotSupported, "$top", "no"), NotSupported},
		"wrapped":            {t.Context(), fmt.Errorf("outer: %w", Errorf(ItemNotFound, "", "no")), ItemNotFound},
		"a foreign one":      {t.Context(), errors.New("canary"), GeneralException},
		"a client that left": {gone, Errorf(ServiceNotAvailable, "", "later"), ServiceNotAvailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, code := WithCode(test.ctx)
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
			if *code != (Code{}) {
				t.Errorf("before: got %v", *code)
			}
			panicOf(func() { WriteError(httptest.NewRecorder(), r, test.err) })
			if *code != test.want {
				t.Errorf("got %v, want %v", *code, test.want)
			}
		})
	}
}

// TestWriteErrorLogs holds that a fault of the service is logged once with its cause, and a client's never. It is not
// parallel, since it replaces the default logger.
func TestWriteErrorLogs(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	ctx := WithRequestIDs(t.Context(), RequestIDs{Server: "server-1"})
	for _, err := range []error{
		Errorf(InvalidRequest, "", "no").Because(errors.New("quiet")), Errorf(NotSupported, "", "no").Because(errors.New("quiet")),
		&Error{Code: ServiceNotAvailable, Message: "later", Expected: true}, Errorf(ServiceNotAvailable, "", "later").Because(errors.New("loud")),
	} {
		render(t, ctx, err)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "loud") || !strings.Contains(text, "server-1") {
		t.Errorf("the log holds %q", text)
	}
}

// TestCodes holds that each code's status is unique for its name, so that a client can tell two situations apart.
func TestCodes(t *testing.T) {
	t.Parallel()
	codes := []Code{
		InvalidRequest, InvalidToken, AccessDenied, ItemNotFound, NotAllowed, NameAlreadyExists, Conflict, TooManyResults, RequestTooLarge,
		UnsupportedMediaType, ActivityLimitReached, GeneralException, NotSupported, ServiceNotAvailable, GatewayTimeout,
	}
	seen := map[Code]bool{}
	for _, code := range codes {
		if seen[code] || code.Name == "" || http.StatusText(code.Status) == "" {
			t.Errorf("%+v is not unique or not complete", code)
		}
		seen[code] = true
	}
}

func TestIs(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("outer: %w", Errorf(NotAllowed, "", "no").Because(context.Canceled))
	if !Is(err, NotAllowed) || Is(err, Conflict) || Is(context.Canceled, NotAllowed) || Is(nil, NotAllowed) {
		t.Error("Is does not find the code")
	}
	if !errors.Is(err, context.Canceled) {
		t.Error("the cause cannot be found")
	}
}
