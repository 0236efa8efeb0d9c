package middleware

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/odata"
)

const token = "s3cret-token"

// service is a router with the whole chain, as the process runs it, and a few routes that behave in known ways.
func service(change func(*Options)) http.Handler {
	options := Options{
		Logger: slog.New(slog.DiscardHandler), Tracers: tracenoop.NewTracerProvider(), Meters: metricnoop.NewMeterProvider(),
		Patience: time.Minute, Credentials: tokens(token),
	}
	if change != nil {
		change(&options)
	}
	router := chi.NewRouter()
	router.Use(Chain(options)...)
	router.NotFound(NotFound)
	router.MethodNotAllowed(MethodNotAllowed(router))
	users := chi.NewRouter()
	users.Get("/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(chi.URLParam(r, "id")))
	})
	users.Delete("/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	router.Mount("/users", users)
	router.Get("/origin", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(odata.OriginOf(r.Context())))
	})
	router.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("a filter value") })
	router.Get("/panic/runtime", func(_ http.ResponseWriter, r *http.Request) { _ = []int{}[len(r.Method)] })
	router.Get("/panic/late", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"value":[`))
		panic(errors.New("a filter value"))
	})
	router.Post("/panic/write", func(http.ResponseWriter, *http.Request) { panic("a value of a body") })
	router.Post("/panic/write/late", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		panic(http.ErrAbortHandler)
	})
	router.Get("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	return router
}

// tokens returns the gate that lets in each of some tokens.
func tokens(tokens ...string) *access.Gate {
	gate := &access.Gate{}
	for _, token := range tokens {
		gate.Authenticators = append(gate.Authenticators, access.Single{Token: access.DigestOf(token)})
	}
	return gate
}

func request(method, target string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// answer is what the tests compare of a response.
type answer struct {
	Status int
	Code   string
	Allow  []string
}

func ask(t *testing.T, handler http.Handler, r *http.Request) (answer, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	got := answer{Status: w.Code, Allow: w.Header().Values("Allow")}
	if w.Code >= http.StatusBadRequest {
		var body struct {
			Error struct {
				Code       string `json:"code"`
				InnerError struct {
					RequestID string `json:"request-id"`
				} `json:"innerError"`
			} `json:"error"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("the body is no error document: %v: %q", err, w.Body.String())
		}
		if body.Error.InnerError.RequestID != w.Header().Get("X-Request-Id") {
			t.Errorf("request-id in the body is %q, in the header %q",
				body.Error.InnerError.RequestID, w.Header().Get("X-Request-Id"))
		}
		got.Code = body.Error.Code
	}
	return got, w.Header()
}

func TestChainAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method string
		target string
		header []string
		want   answer
	}{
		{name: "known path", method: "GET", target: "/users/1", want: answer{Status: 200}},
		{name: "unknown path", method: "GET", target: "/nothing", want: answer{Status: 404, Code: "itemNotFound"}},
		{name: "unknown path below a mount", method: "GET", target: "/users/1/2", want: answer{Status: 404, Code: "itemNotFound"}},
		{
			name: "method a path does not have", method: "PUT", target: "/users/1",
			want: answer{Status: 405, Code: "notAllowed", Allow: []string{"GET", "DELETE"}},
		},
		{
			name: "method nobody has", method: "BREW", target: "/users/1",
			want: answer{Status: 405, Code: "notAllowed", Allow: []string{"GET", "DELETE"}},
		},
		{
			name: "unknown path without a token", method: "GET", target: "/nothing", header: []string{"Authorization", ""},
			want: answer{Status: 401, Code: "InvalidAuthenticationToken"},
		},
		{
			name: "unknown method without a token", method: "BREW", target: "/users/1", header: []string{"Authorization", ""},
			want: answer{Status: 401, Code: "InvalidAuthenticationToken"},
		},
		{name: "panic", method: "GET", target: "/panic", want: answer{Status: 500, Code: "generalException"}},
		{name: "runtime panic", method: "GET", target: "/panic/runtime", want: answer{Status: 500, Code: "generalException"}},
	}
	handler := service(nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, header := ask(t, handler, request(test.method, test.target, test.header...))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if got, want := header.Get("X-Content-Type-Options"), "nosniff"; got != want {
				t.Errorf("X-Content-Type-Options: got %q, want %q", got, want)
			}
			if got, want := header.Get("Cache-Control"), "no-store"; got != want {
				t.Errorf("Cache-Control: got %q, want %q", got, want)
			}
		})
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		values []string
		want   int
	}{
		{"the token", []string{"Bearer " + token}, 200},
		{"the other token", []string{"Bearer next"}, 200},
		{"scheme in lower case", []string{"bearer " + token}, 200},
		{"scheme in upper case", []string{"BEARER " + token}, 200},
		{"several blanks", []string{"Bearer   " + token}, 200},
		{"no header", nil, 401},
		{"empty header", []string{""}, 401},
		{"no token", []string{"Bearer "}, 401},
		{"scheme alone", []string{"Bearer"}, 401},
		{"other scheme", []string{"Basic " + token}, 401},
		{"token without a scheme", []string{token}, 401},
		{"prefix of the token", []string{"Bearer " + token[:4]}, 401},
		{"token and more", []string{"Bearer " + token + " x"}, 401},
		{"token in another case", []string{"Bearer " + strings.ToUpper(token)}, 401},
		{"two headers", []string{"Bearer " + token, "Bearer " + token}, 401},
		{"two headers, one wrong", []string{"Bearer " + token, "Bearer x"}, 401},
	}
	handler := service(func(o *Options) { o.Credentials = tokens(token, "next") })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/users/1", nil)
			r.Header["Authorization"] = test.values
			got, header := ask(t, handler, r)
			if got.Status != test.want {
				t.Errorf("status: got %d, want %d", got.Status, test.want)
			}
			if challenged := header.Get("WWW-Authenticate") != ""; challenged != (test.want == 401) {
				t.Errorf("WWW-Authenticate: got %q at status %d", header.Get("WWW-Authenticate"), got.Status)
			}
		})
	}
}

func TestAuthenticateWithoutTokens(t *testing.T) {
	t.Parallel()
	handler := service(func(o *Options) { o.Credentials = tokens() })
	got, _ := ask(t, handler, request("GET", "/users/1"))
	if got.Status != http.StatusUnauthorized {
		t.Errorf("status without accepted tokens: got %d, want 401", got.Status)
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxRequestID)
	const ours = "(ours)"
	tests := []struct {
		name           string
		sent           []string
		server, client string
	}{
		{"none", nil, ours, ours},
		{"X-Request-Id", []string{"X-Request-Id", "abc 1"}, "abc 1", "abc 1"},
		{"request-id", []string{"request-id", "abc"}, "abc", "abc"},
		{"X-Request-Id before request-id", []string{"request-id", "b", "X-Request-Id", "a"}, "a", "a"},
		{"unusable X-Request-Id before request-id", []string{"request-id", "b", "X-Request-Id", "ä"}, "b", "b"},
		{"client-request-id", []string{"client-request-id", "c"}, ours, "c"},
		{"both", []string{"X-Request-Id", "a", "client-request-id", "c"}, "a", "c"},
		{"longest", []string{"X-Request-Id", long, "client-request-id", long}, long, long},
		{"too long", []string{"X-Request-Id", long + "x", "client-request-id", long + "x"}, ours, ours},
		{"not ASCII", []string{"X-Request-Id", "ä", "client-request-id", "ä"}, ours, ours},
		{"control character", []string{"X-Request-Id", "a\tb", "client-request-id", "a\x7fb"}, ours, ours},
	}
	handler := service(nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, header := ask(t, handler, request("GET", "/users/1", test.sent...))
			server := header.Get("X-Request-Id")
			if test.server != ours && server != test.server {
				t.Errorf("X-Request-Id: got %q, want %q", server, test.server)
			}
			if test.server == ours && (len(server) != 36 || server[14] != '4') {
				t.Errorf("X-Request-Id: got %q, want a new UUID", server)
			}
			if got := header.Get("request-id"); got != server {
				t.Errorf("request-id: got %q, want %q", got, server)
			}
			want := test.client
			if want == ours {
				want = server
			}
			if got := header.Get("client-request-id"); got != want {
				t.Errorf("client-request-id: got %q, want %q", got, want)
			}
		})
	}
}

func TestEscapedPath(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, target, want string }{
		{"slash in a key", "/users/a%2Fb", "a%2Fb"},
		{"percent sign", "/users/100%25", "100%25"},
		{"percent sign that looks like an escape", "/users/%2541", "%2541"},
		{"plus", "/users/a+b", "a+b"},
		{"umlaut", "/users/%C3%A4", "%C3%A4"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			service(nil).ServeHTTP(w, request("GET", test.target))
			if got := w.Body.String(); got != test.want {
				t.Errorf("parameter: got %q, want %q", got, test.want)
			}
		})
	}
}

// lines returns the log lines in a buffer as maps, without the fields that change from run to run.
func lines(t *testing.T, log *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	decoder := json.NewDecoder(log)
	for decoder.More() {
		var line map[string]any
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"time", "duration-ms"} {
			if _, ok := line[field]; !ok {
				t.Errorf("a log line without %s: %v", field, line)
			}
			delete(line, field)
		}
		all = append(all, line)
	}
	return all
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	handler := service(func(o *Options) { o.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	send := func(r *http.Request) {
		r.Header.Set("X-Request-Id", "id")
		defer func() { _ = recover() }()
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	send(request("GET", "/users/max?$filter=mail+eq+'max@example.org'", "client-request-id", "c"))
	send(request("DELETE", "/users/max"))
	send(request("GET", "/nothing/max"))
	send(request("GET", "/users/max", "Authorization", "Bearer wrong"))
	send(request("GET", "/abort"))
	line := func(method, route string, status, bytes float64, more ...any) map[string]any {
		want := map[string]any{
			"level": "INFO", "msg": "request", "method": method, "route": route, "status": status, "bytes": bytes,
			"request-id": "id",
		}
		for i := 0; i < len(more); i += 2 {
			want[more[i].(string)] = more[i+1]
		}
		return want
	}
	text := log.String()
	got := lines(t, &log)
	want := []map[string]any{
		line("GET", "/users/{id}", 200, 3, "client-request-id", "c", "credential", "administrator"),
		line("DELETE", "/users/{id}", 204, 0, "credential", "administrator"),
		line("GET", "", 404, got[2]["bytes"].(float64), "credential", "administrator"),
		line("GET", "", 401, got[3]["bytes"].(float64)),
		line("GET", "/abort", 0, 0, "aborted", true, "credential", "administrator"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	for _, secret := range []string{"max", token, "wrong", "filter"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// TestRecover is not parallel: it reads the process's default logger, which odata.WriteError writes to.
func TestRecover(t *testing.T) { //nolint:paralleltest // See above.
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	defer slog.SetDefault(before)
	handler := service(nil)
	tests := []struct {
		name, path string
		status     int // 0: the connection ends
		logged     string
	}{
		{"before the response", "/panic", 500, "a value of type string"},
		{"of the runtime", "/panic/runtime", 500, "index out of range"},
		{"within the response", "/panic/late", 0, "a value of type *errors.errorString"},
		{"asked for", "/abort", 0, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log.Reset()
			if got := statusOf(handler, request("GET", test.path)); got != test.status {
				t.Errorf("status: got %d, want %d", got, test.status)
			}
			text := log.String()
			if strings.Contains(text, "a filter value") {
				t.Errorf("the log holds the panic's value: %s", text)
			}
			if got, want := strings.Count(text, "request failed"), min(1, len(test.logged)); got != want {
				t.Errorf("lines: got %d, want %d: %s", got, want, text)
			}
			if !strings.Contains(text, test.logged) || test.logged != "" && !strings.Contains(text, "middleware_test.go") {
				t.Errorf("the log lacks %q or the stack: %s", test.logged, text)
			}
		})
	}
}

// statusOf returns the status of the response, or 0 if the handler asks for the connection's end.
func statusOf(handler http.Handler, r *http.Request) (status int) {
	w := httptest.NewRecorder()
	defer func() {
		if recover() == http.ErrAbortHandler { //nolint:errorlint // A recovered value, as net/http compares it.
			status = 0
		}
	}()
	handler.ServeHTTP(w, r)
	return w.Code
}

func TestWriteDeadline(t *testing.T) {
	t.Parallel()
	done := make(chan error, 1)
	stream := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<16)
		for {
			if _, err := w.Write(piece); err != nil {
				done <- err
				return
			}
		}
	})
	server := httptest.NewServer(WriteDeadline(50 * time.Millisecond)(stream))
	defer server.Close()
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := connection.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
			t.Errorf("a client that reads nothing: got %v, want a time-out", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a client that reads nothing holds the handler")
	}
}

func TestTelemetry(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	reader := sdkmetric.NewManualReader()
	handler := service(func(o *Options) {
		o.Tracers = sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
		o.Meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	})
	const parent = "4bf92f3577b34da6a3ce929d0e0e4736"
	ask(t, handler, request("GET", "/users/max?$filter=secret", "traceparent", "00-"+parent+"-00f067aa0ba902b7-01"))
	ask(t, handler, request("GET", "/nothing/max"))
	ask(t, handler, request("GET", "/panic"))

	type span struct {
		Name, Route, Path string
		Failed            bool
	}
	var got []span
	for _, stub := range spans.GetSpans() {
		set := attribute.NewSet(stub.Attributes...)
		route, _ := set.Value("http.route")
		path, _ := set.Value("url.path")
		got = append(got, span{stub.Name, route.AsString(), path.AsString(), stub.Status.Code == codes.Error})
		if text := set.Encoded(attribute.DefaultEncoder()); strings.Contains(text, "max") || strings.Contains(text, "secret") {
			t.Errorf("span %q holds a part of the request's target: %s", stub.Name, text)
		}
	}
	want := []span{
		{"GET /users/{id}", "/users/{id}", "/users/{id}", false},
		{"GET", "", "", false},
		{"GET /panic", "/panic", "/panic", true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if id := spans.GetSpans()[0].SpanContext.TraceID().String(); id != parent {
		t.Errorf("trace: got %s, want the client's %s", id, parent)
	}
	if diff := cmp.Diff(map[string]uint64{"/users/{id}": 1, "": 1, "/panic": 1}, requestsByRoute(t, reader)); diff != "" {
		t.Errorf("requests by route (-want +got):\n%s", diff)
	}
}

func requestsByRoute(t *testing.T, reader sdkmetric.Reader) map[string]uint64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, scope := range all.ScopeMetrics {
		for _, metric := range scope.Metrics {
			durations, ok := metric.Data.(metricdata.Histogram[float64])
			if !ok || metric.Name != "http.server.request.duration" {
				continue
			}
			for _, point := range durations.DataPoints {
				route, _ := point.Attributes.Value("http.route")
				counts[route.AsString()] += point.Count
			}
		}
	}
	return counts
}

func TestTraceIDInLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	handler := service(func(o *Options) {
		o.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		o.Tracers = sdktrace.NewTracerProvider()
	})
	ask(t, handler, request("GET", "/users/1"))
	if id, _ := lines(t, &log)[0]["trace-id"].(string); len(id) != 32 {
		t.Errorf("trace-id in the log line: got %q", id)
	}
}

func TestMethodNotAllowedNamesMethods(t *testing.T) {
	t.Parallel()
	router := chi.NewRouter()
	router.MethodNotAllowed(MethodNotAllowed(router))
	router.Post("/a", func(http.ResponseWriter, *http.Request) {})
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/a", nil))
	if diff := cmp.Diff([]string{"POST"}, w.Header().Values("Allow")); diff != "" || w.Code != odata.NotAllowed.Status {
		t.Errorf("status %d, Allow (-want +got):\n%s", w.Code, diff)
	}
}
