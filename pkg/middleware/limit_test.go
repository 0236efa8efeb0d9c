package middleware

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/opencloud-eu/education/pkg/access"
)

// limited is the whole chain with limits in front of a handler.
func limited(limits Limits, credentials Credentials, handle http.HandlerFunc, change func(*Options)) http.Handler {
	options := Options{
		Logger: slog.New(slog.DiscardHandler), Tracers: tracenoop.NewTracerProvider(), Meters: metricnoop.NewMeterProvider(),
		Patience: time.Minute, Credentials: credentials, Limits: limits,
	}
	if change != nil {
		change(&options)
	}
	router := chi.NewRouter()
	router.Use(Chain(options)...)
	router.HandleFunc("/", handle)
	return router
}

// namedToken is the authenticator of one token that stands for a credential of the same name.
type namedToken string

func (n namedToken) Authenticate(_ context.Context, token string) (*access.Grant, error) {
	if token != string(n) {
		return nil, access.ErrUnknown
	}
	return &access.Grant{Name: token, Verbs: access.AllVerbs, AllSchools: true}, nil
}

// from sends a request with a token from an address and returns the status and the Retry-After of the answer. The status is 0 if
// the request ends without one, because its test has.
func from(t testing.TB, handler http.Handler, address, token string) (status int, retryAfter string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(t.Context())
	r.RemoteAddr = address + ":4711"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	defer func() {
		if failure := recover(); failure != nil && failure != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so.
			panic(failure)
		}
	}()
	handler.ServeHTTP(w, r)
	return w.Code, w.Header().Get("Retry-After")
}

func ok(http.ResponseWriter, *http.Request) {}

// TestLimitKeepsCredentialsApart has one credential at its limits, and another one that does not notice.
func TestLimitKeepsCredentialsApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := &access.Gate{Authenticators: []access.Authenticator{namedToken("a"), namedToken("b")}}
		handler := limited(Limits{Rate: 200, Concurrency: 4, Running: 8}, gate, ok, nil)
		statuses := map[int]int{}
		var mutex sync.Mutex
		for i := range 200 + maxWaiting + 50 {
			if i == 200 {
				synctest.Wait() // The tokens of the first second are taken: it is the rate that the others wait for.
			}
			go func() {
				status, retryAfter := from(t, handler, "192.0.2.1", "a")
				mutex.Lock()
				defer mutex.Unlock()
				statuses[status]++
				if status == http.StatusTooManyRequests && retryAfter != "6" {
					t.Errorf("Retry-After: got %q, want 6: the queue takes 5 s", retryAfter)
				}
			}()
		}
		synctest.Wait()
		if status, _ := from(t, handler, "192.0.2.1", "b"); status != http.StatusOK {
			t.Errorf("b: got %d", status)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff(map[int]int{http.StatusOK: 200 + maxWaiting, http.StatusTooManyRequests: 50}, statuses); diff != "" {
			t.Errorf("statuses of a (-want +got):\n%s", diff)
		}
	})
}

// TestLimitSaturated has the whole service busy: who comes then hears 503 after a while.
func TestLimitSaturated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := &access.Gate{Authenticators: []access.Authenticator{namedToken("a"), namedToken("b")}}
		release := make(chan struct{})
		handler := limited(Limits{Running: 1}, gate, func(http.ResponseWriter, *http.Request) { <-release }, nil)
		go from(t, handler, "192.0.2.1", "a")
		synctest.Wait()
		begin := time.Now()
		status, retryAfter := from(t, handler, "192.0.2.1", "b")
		wait, err := strconv.Atoi(retryAfter)
		if status != http.StatusServiceUnavailable || err != nil || wait < 1 || wait > 30 || time.Since(begin) != maxWait {
			t.Errorf("got %d with Retry-After %q after %v", status, retryAfter, time.Since(begin))
		}
		close(release)
		synctest.Wait()
		if status, _ := from(t, handler, "192.0.2.1", "b"); status != http.StatusOK {
			t.Errorf("after the end of the other request: got %d", status)
		}
	})
}

// TestLimitAfterPanic shows that a request which ends in a panic gives its place back.
func TestLimitAfterPanic(t *testing.T) {
	t.Parallel()
	runs := 0
	handler := limited(Limits{Concurrency: 1, Running: 1}, tokens(token), func(http.ResponseWriter, *http.Request) {
		runs++
		panic(http.ErrAbortHandler)
	}, nil)
	for range 3 {
		if status := statusOf(handler, request(http.MethodGet, "/")); status != 0 {
			t.Errorf("got %d", status)
		}
	}
	if runs != 3 {
		t.Errorf("%d of 3 requests ran", runs)
	}
}

func TestLimitsOff(t *testing.T) {
	t.Parallel()
	handler := limited(Limits{}, tokens(token), ok, nil)
	for _, token := range []string{token, "wrong"} {
		want := map[string]int{"wrong": http.StatusUnauthorized}[token]
		for range 300 {
			if status, _ := from(t, handler, "192.0.2.1", token); status != max(want, http.StatusOK) {
				t.Fatalf("%s: got %d", token, status)
			}
		}
	}
}

func TestLimitFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const (
			attacker, other    = "192.0.2.1", "192.0.2.2"
			root, warm, unseen = "root", "warm", "unseen"
		)
		gate := &access.Gate{Authenticators: []access.Authenticator{
			access.Single{Token: access.DigestOf(root)}, namedToken(warm), namedToken(unseen),
		}}
		handler := limited(Limits{
			Failures: 10, Exempt: func(_ context.Context, token string) bool { return token == root },
		}, gate, ok, nil)
		check := func(what, address, token string, want int, wantRetry string) {
			t.Helper()
			if status, retry := from(t, handler, address, token); status != want || retry != wantRetry {
				t.Errorf("%s: got %d, Retry-After %q, want %d, %q", what, status, retry, want, wantRetry)
			}
		}
		check("before", attacker, warm, 200, "")
		for range failureBurst * 10 {
			check("a guess", attacker, "guess", 401, "")
		}
		check("one guess too many", attacker, "guess", 429, "1")
		check("no token", attacker, "", 429, "1")
		check("a good guess", attacker, unseen, 429, "1")
		check("a token that was good from there", attacker, warm, 200, "")
		check("a token that is exempt, for the first time", attacker, root, 200, "")
		check("another address", other, unseen, 200, "")
		check("a guess from another address", other, "guess", 401, "")
		time.Sleep(time.Second)
		for range 10 {
			check("a guess a second later", attacker, "guess", 401, "")
		}
		check("one more", attacker, "guess", 429, "1")
		time.Sleep(time.Second)
		check("the next second", attacker, unseen, 200, "")
	})
}

// TestLimitFailuresAtOnce shows that an address gets no further by sending many tokens at a time, and that a token which has not been
// seen waits for those to be judged instead of being refused.
func TestLimitFailuresAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := slowGate{&access.Gate{Authenticators: []access.Authenticator{namedToken("a")}}}
		handler := limited(Limits{Failures: 10}, gate, ok, nil)
		statuses := map[int]int{}
		var mutex sync.Mutex
		send := func(token string) {
			status, _ := from(t, handler, "192.0.2.1", token)
			mutex.Lock()
			defer mutex.Unlock()
			statuses[status]++
		}
		for range 30 {
			go send("a")
		}
		synctest.Wait() // Those that wait are judged first.
		for range 500 {
			go send("guess")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		// While the last of the burst are judged, as many more may be; and what a minute permits.
		most := failureBurst*10 + 10 + int(failureBurst*10*slowGateTakes.Seconds())
		if got := statuses[401]; got < failureBurst*10 || got > most || statuses[200] != 30 || statuses[429] != 500-got {
			t.Errorf("got %v, want 100 to %d times 401, 30 times 200, and 429", statuses, most)
		}
	})
}

// slowGateTakes is how long a slowGate judges a token.
const slowGateTakes = 100 * time.Millisecond

type slowGate struct{ Credentials }

func (g slowGate) Credential(ctx context.Context, token string) (*access.Credential, error) {
	time.Sleep(slowGateTakes)
	return g.Credentials.Credential(ctx, token)
}

// TestLimitFailuresAfterPanics shows that a judgement which panics keeps nobody else's from being made.
func TestLimitFailuresAfterPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := &access.Gate{Authenticators: []access.Authenticator{namedToken("a"), brokenAuthenticator{}}}
		handler := limited(Limits{Failures: 2}, gate, ok, nil)
		for range 5 {
			if status, _ := from(t, handler, "192.0.2.1", "guess"); status != http.StatusInternalServerError {
				t.Errorf("got %d", status)
			}
		}
		if status, _ := from(t, handler, "192.0.2.1", "a"); status != http.StatusOK {
			t.Errorf("a good token: got %d", status)
		}
	})
}

type brokenAuthenticator struct{}

func (brokenAuthenticator) Authenticate(context.Context, string) (*access.Grant, error) {
	panic("broken")
}

// TestLimitFailuresUndecided shows that tokens which cannot be judged count as guesses, and those that were valid before do not.
func TestLimitFailuresUndecided(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := &access.Gate{Authenticators: []access.Authenticator{namedToken("a")}}
		handler := limited(Limits{Failures: 1}, gate, ok, nil)
		from(t, handler, "192.0.2.1", "a")
		gate.Authenticators = []access.Authenticator{downIssuer{}}
		for token, want := range map[string]map[int]int{"a": {503: 30}, "new": {503: 10, 429: 20}} {
			statuses := map[int]int{}
			for range 30 {
				status, _ := from(t, handler, "192.0.2.1", token)
				statuses[status]++
			}
			if diff := cmp.Diff(want, statuses); diff != "" {
				t.Errorf("%s (-want +got):\n%s", token, diff)
			}
		}
	})
}

// TestLimitFailuresWithoutDirectory shows that a token which is valid is no guess while the directory does not say which of its schools
// there are.
func TestLimitFailuresWithoutDirectory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := &access.Gate{Authenticators: []access.Authenticator{boundToken("a")}, Schools: downDirectory{}}
		handler := limited(Limits{Failures: 1}, gate, ok, nil)
		for range 200 {
			if status, _ := from(t, handler, "192.0.2.1", "a"); status != http.StatusServiceUnavailable {
				t.Fatalf("got %d", status)
			}
		}
	})
}

// boundToken is the authenticator of one token for a school.
type boundToken string

func (b boundToken) Authenticate(_ context.Context, token string) (*access.Grant, error) {
	if token != string(b) {
		return nil, access.ErrUnknown
	}
	return &access.Grant{Name: token, Verbs: access.AllVerbs, Schools: []access.School{{ID: "0198aaaa-bbbb-7ccc-8ddd-eeeeffff0000"}}}, nil
}

// downDirectory cannot tell of any school.
type downDirectory struct{}

func (downDirectory) SchoolID(context.Context, string) (string, error) { return "", errors.New("down") }

func (downDirectory) ExistingSchools(context.Context, []string) ([]string, error) {
	return nil, errors.New("down")
}

// downIssuer cannot tell of any token.
type downIssuer struct{}

func (downIssuer) Authenticate(context.Context, string) (*access.Grant, error) {
	return nil, errors.New("the keys cannot be had")
}

// TestLimitFailuresOfExpiredToken shows that a token which was good and is so no longer counts as a guess.
func TestLimitFailuresOfExpiredToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := &access.Gate{Authenticators: []access.Authenticator{namedToken("a")}}
		handler := limited(Limits{Failures: 1}, gate, ok, nil)
		statuses := map[int]int{}
		for i := range 20 {
			if i == 1 {
				gate.Authenticators = nil
			}
			status, _ := from(t, handler, "192.0.2.1", "a")
			statuses[status]++
		}
		if diff := cmp.Diff(map[int]int{200: 1, 401: 10, 429: 9}, statuses); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
}

// TestRefusalsTakeTheirTime shows that a flood is answered no faster than its connections permit.
func TestRefusalsTakeTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := limited(Limits{Failures: 1}, tokens(token), ok, nil)
		for range 10 {
			from(t, handler, "192.0.2.1", "guess")
		}
		begin := time.Now()
		for range quickRefusals {
			from(t, handler, "192.0.2.1", "guess")
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("the first refusals take %v", took)
		}
		from(t, handler, "192.0.2.1", "guess")
		if took := time.Since(begin); took < refusalPause/2 || took >= refusalPause*3/2 {
			t.Errorf("the next one takes %v", took)
		}
	})
}

// TestRefusalsOfOneConnection shows that a connection which has many requests at a time, as one of HTTP/2 can, is closed instead of
// having them all wait.
func TestRefusalsOfOneConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := limited(Limits{Failures: 1}, tokens(token), ok, nil)
		for range failureBurst + quickRefusals {
			from(t, handler, "192.0.2.1", "guess")
		}
		begin := time.Now()
		var mutex sync.Mutex
		var atOnce, closed int
		var all sync.WaitGroup
		for range maxPauses + 50 {
			all.Go(func() {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
				mutex.Lock()
				defer mutex.Unlock()
				if w.Code != http.StatusTooManyRequests {
					t.Errorf("got %d", w.Code)
				}
				if time.Since(begin) == 0 {
					atOnce++
				}
				if w.Header().Get("Connection") == "close" {
					closed++
				}
			})
		}
		all.Wait()
		if atOnce != 50 || closed != 50 {
			t.Errorf("%d answers came at once, %d closed the connection, want 50 each", atOnce, closed)
		}
		from(t, handler, "192.0.2.1", "guess") // All pauses are over: this one has one, and leaves nothing.
	})
}

// TestRefusalsOverHTTP2 shows that a client which does not listen loses its connection, and that others keep theirs.
func TestRefusalsOverHTTP2(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(limited(Limits{Failures: 1}, tokens(token), ok, nil))
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	send := func(client *http.Client, token string) int {
		r, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(r)
		if err != nil { // The connection has ended under it.
			return 0
		}
		_ = response.Body.Close()
		if response.ProtoMajor != 2 {
			t.Errorf("got %s", response.Proto)
		}
		return response.StatusCode
	}
	good := &http.Client{Transport: server.Client().Transport.(*http.Transport).Clone()}
	if status := send(good, token); status != http.StatusOK {
		t.Errorf("before: got %d", status)
	}
	// However slow the machine, a client that never stops gets there.
	var all sync.WaitGroup
	deadline := time.Now().Add(30 * time.Second)
	for range 50 {
		all.Go(func() {
			for connections.Load() < 3 && time.Now().Before(deadline) {
				if status := send(server.Client(), "guess"); status == http.StatusOK {
					t.Error("a guess is answered 200")
				}
			}
		})
	}
	all.Wait()
	if got := connections.Load(); got < 3 {
		t.Errorf("endless guesses have taken %d connections", got-1)
	}
	before := connections.Load()
	if status := send(good, token); status != http.StatusOK || connections.Load() != before {
		t.Errorf("afterwards: got %d over %d new connections", status, connections.Load()-before)
	}
}

// TestPaced shows that requests which need no token take their time when one address sends too many, and that another address does
// not notice.
func TestPaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		preflights := limited(Limits{}, tokens(token), ok, func(o *Options) { o.ForeignOrigins = []string{"https://app.example"} })
		for name, handler := range map[string]http.Handler{
			"probes": Paced(nil)(http.HandlerFunc(ok)), "preflights": preflights,
		} {
			send := func(address string) time.Duration {
				begin := time.Now()
				r := httptest.NewRequest(http.MethodOptions, "/", nil)
				r.RemoteAddr = address + ":4711"
				r.Header.Set("Origin", "https://app.example")
				r.Header.Set("Access-Control-Request-Method", http.MethodGet)
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != http.StatusOK && w.Code != http.StatusNoContent {
					t.Errorf("%s: got %d", name, w.Code)
				}
				return time.Since(begin)
			}
			for range quickProbes {
				if took := send("192.0.2.1"); took != 0 {
					t.Fatalf("%s: one of the first takes %v", name, took)
				}
			}
			if took := send("192.0.2.1"); took < refusalPause/2 {
				t.Errorf("%s: one too many takes %v", name, took)
			}
			if took := send("192.0.2.2"); took != 0 {
				t.Errorf("%s: one from another address takes %v", name, took)
			}
		}
	})
}

func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	synctest.Test(t, func(t *testing.T) {
		meters := func(o *Options) { o.Meters = provider }
		block := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		fill := func(limits Limits, count int) {
			handler := limited(limits, tokens(token), block, meters)
			for range count {
				go from(t, handler, "192.0.2.1", token)
			}
			synctest.Wait()
		}
		fill(Limits{Rate: 1}, 1+maxWaiting+1)
		fill(Limits{Concurrency: 1}, 1+maxWaiting+2)
		fill(Limits{Running: 1}, 1+maxWaiting+3)
		handler := limited(Limits{Concurrency: 1, Body: 1 << 20, Arrivals: 1 << 20}, tokens(token), block, meters)
		for range 2 {
			go statusOf(handler, sending(bytes.NewReader(make([]byte, 1<<19))).WithContext(t.Context()))
			synctest.Wait()
		}
		for range 5 {
			statusOf(handler, sending(bytes.NewReader(make([]byte, 1<<19))))
		}
		guesses := limited(Limits{Failures: 1}, tokens(token), block, meters)
		for range failureBurst + 4 {
			from(t, guesses, "192.0.2.1", "guess")
		}
	})
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, metric := range scope.Metrics {
			if sum, ok := metric.Data.(metricdata.Sum[int64]); ok && metric.Name == "education.http.refusals" {
				for _, point := range sum.DataPoints {
					limit, _ := point.Attributes.Value("limit")
					got[limit.AsString()] += point.Value
				}
			}
		}
	}
	if diff := cmp.Diff(map[string]int64{"rate": 1, "concurrency": 2, "running": 3, "failures": 4, "arrivals": 5}, got); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
}

func TestClientNetwork(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tests := []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"a client", "192.0.2.1:1", nil, "192.0.2.1/32"},
		{"a client with inventions", "192.0.2.1:1", []string{"198.51.100.1"}, "192.0.2.1/32"},
		{"IPv4 inside IPv6", "[::ffff:192.0.2.1]:1", nil, "192.0.2.1/32"},
		{"IPv6", "[2001:db8:1:2:3::4]:1", nil, "2001:db8:1::/56"},
		{"IPv6 with a zone", "[fe80::1%eth0]:1", nil, "fe80::/56"},
		{"a proxy", "10.0.0.1:1", []string{"192.0.2.1"}, "192.0.2.1/32"},
		{"a proxy over IPv6", "[fd00::1]:1", []string{"2001:db8::5"}, "2001:db8::/56"},
		{"a proxy that says nothing", "10.0.0.1:1", nil, "10.0.0.1/32"},
		{"a proxy after inventions", "10.0.0.1:1", []string{"198.51.100.1, 192.0.2.1"}, "192.0.2.1/32"},
		{"two proxies", "10.0.0.1:1", []string{"198.51.100.1, 192.0.2.1", "10.0.0.2"}, "192.0.2.1/32"},
		{"a proxy that names ports", "10.0.0.1:1", []string{"192.0.2.1:5555"}, "192.0.2.1/32"},
		{"nonsense behind a proxy", "10.0.0.1:1", []string{"192.0.2.1, unknown"}, "10.0.0.1/32"},
		{"proxies alone", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3/32"},
	}
	for _, test := range tests {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = test.peer, test.forwarded
		if got := clientNetwork(r, trusted).String(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestRecent(t *testing.T) {
	t.Parallel()
	m := recent[int, string]{size: 2}
	for i := range 5 {
		m.put(i, strconv.Itoa(i))
		m.get(0) // What is asked for stays.
	}
	var kept []int
	for i := range 5 {
		if value, ok := m.get(i); ok && value == strconv.Itoa(i) {
			kept = append(kept, i)
		}
	}
	if !slices.Contains(kept, 0) || !slices.Contains(kept, 4) || len(m.younger)+len(m.elder) > 2*m.size {
		t.Errorf("kept %v in %d places", kept, len(m.younger)+len(m.elder))
	}
	m.drop(0)
	if _, ok := m.get(0); ok {
		t.Error("what was dropped is there")
	}
}

// TestPartyOf holds that limits are a tenant's, and not those of whatever its tokens are called.
func TestPartyOf(t *testing.T) {
	t.Parallel()
	north := &access.Credential{Name: "a", Schools: []string{"1"}}
	tests := []struct {
		name  string
		other *access.Credential
		same  bool
	}{
		{"another token of the tenant", &access.Credential{Name: "b", Schools: []string{"1"}}, true},
		{"another tenant's by the same client", &access.Credential{Name: "a", Schools: []string{"2"}}, false},
		{"one for more", &access.Credential{Name: "a", Schools: []string{"1", "2"}}, false},
		{"one for all", &access.Credential{Name: "a", AllSchools: true}, false},
		{"one for schools that do not exist", &access.Credential{Name: "a"}, false},
	}
	if partyOf(&access.Credential{Name: "a"}) != partyOf(&access.Credential{Name: "b"}) {
		t.Error("tokens for schools that do not exist have as many parts as names")
	}
	for _, test := range tests {
		if same := partyOf(north) == partyOf(test.other); same != test.same {
			t.Errorf("%s: shares limits: %t", test.name, same)
		}
	}
}

// TestGoneWhileWaiting holds that a request whose client goes while it waits is not answered, least of all with success.
func TestGoneWhileWaiting(t *testing.T) {
	t.Parallel()
	running, done := make(chan struct{}), make(chan struct{})
	handler := limit(Limits{Concurrency: 1}, newRefusals(metricnoop.NewMeterProvider()))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(running)
		<-done
	}))
	credential := &access.Credential{Name: "a", AllSchools: true}
	send := func(ctx context.Context) (w *httptest.ResponseRecorder, failure any) {
		w = httptest.NewRecorder()
		defer func() { failure = recover() }()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, "/", nil).WithContext(access.With(ctx, credential)))
		return w, nil
	}
	var first sync.WaitGroup
	first.Go(func() { send(t.Context()) })
	<-running
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, failure := send(ctx); failure != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so.
		t.Errorf("got %v, want that the connection ends", failure)
	}
	close(done)
	first.Wait()
}
