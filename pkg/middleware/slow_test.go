package middleware

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/opencloud-eu/education/pkg/access"
)

// tenants are the tokens of the tests of slow clients.
var tenants = &access.Gate{Authenticators: []access.Authenticator{namedToken(token), namedToken("b")}}

// sending is a request with a body whose length is not known.
func sending(body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// slowClient is the writer, and the body, of a client that takes and sends nothing until it is told to.
type slowClient struct {
	*httptest.ResponseRecorder
	goOn chan struct{}
	once sync.Once
	// ended is closed when a deadline has passed.
	ended chan struct{}
}

func newSlowClient() *slowClient {
	return &slowClient{ResponseRecorder: httptest.NewRecorder(), goOn: make(chan struct{}), ended: make(chan struct{})}
}

func (c *slowClient) wait() error {
	select {
	case <-c.goOn:
		return nil
	case <-c.ended:
		return os.ErrDeadlineExceeded
	}
}

func (c *slowClient) Write(content []byte) (int, error) {
	if err := c.wait(); err != nil {
		return 0, err
	}
	return c.ResponseRecorder.Write(content)
}

func (c *slowClient) Read([]byte) (int, error) {
	if err := c.wait(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// setDeadline ends what waits if the deadline has passed.
func (c *slowClient) setDeadline(deadline time.Time) error {
	if !deadline.After(time.Now()) {
		c.once.Do(func() { close(c.ended) })
	}
	return nil
}

func (c *slowClient) SetReadDeadline(deadline time.Time) error  { return c.setDeadline(deadline) }
func (c *slowClient) SetWriteDeadline(deadline time.Time) error { return c.setDeadline(deadline) }

// serve has the client send a request, and returns what its outcome is put into: the status, or -1 if the answer breaks off.
func (c *slowClient) serve(handler http.Handler, r *http.Request) <-chan int {
	outcome := make(chan int, 1)
	go func() {
		status := -1
		defer func() {
			if failure := recover(); failure != nil && failure != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so.
				panic(failure)
			}
			outcome <- status
		}()
		handler.ServeHTTP(c, r)
		status = c.Code
	}()
	return outcome
}

// echo answers with the body of the request, in two parts.
func echo(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, part := range [][]byte{[]byte("got "), content} {
		if _, err := w.Write(part); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// TestSlowBodies shows that a client which takes its time to send a body keeps no place from others, and is answered when it has
// sent it.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := limited(Limits{Running: 1, Concurrency: 1, Body: 1 << 20}, tenants, echo, nil)
		slow := newSlowClient()
		outcome := slow.serve(handler, sending(io.MultiReader(strings.NewReader("begun"), slow)))
		time.Sleep(30 * time.Second)
		for _, token := range []string{token, "b"} {
			if status, _ := from(t, handler, "192.0.2.1", token); status != http.StatusOK {
				t.Errorf("%s: got %d", token, status)
			}
		}
		close(slow.goOn)
		if status := <-outcome; status != http.StatusOK || slow.Body.String() != "got begun" {
			t.Errorf("the slow client gets %d %q", status, slow.Body)
		}
	})
}

// TestBodiesAreWhole shows that a handler gets the body that was sent: one that is longer than what is read before, and one that
// breaks off.
func TestBodiesAreWhole(t *testing.T) {
	t.Parallel()
	handler := limited(Limits{Body: 10}, tenants, echo, nil)
	for _, body := range []string{"", "short", "ten bytes.", "more than ten bytes"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, sending(strings.NewReader(body)))
		if w.Body.String() != "got "+body {
			t.Errorf("%q: %q", body, w.Body)
		}
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, sending(io.MultiReader(strings.NewReader("short"), failed{io.ErrUnexpectedEOF})))
	if w.Code != http.StatusBadRequest {
		t.Errorf("a body that breaks off: got %d %q", w.Code, w.Body)
	}
}

// TestSlowBodiesAreBounded shows that the party with most bodies on their way loses its last one, and hears why.
func TestSlowBodiesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const each, more, arrivals = 10 << 10, 3, 1 << 20
		const room = (arrivals - arrivalSize) / (each - 1 + arrivalSize)
		handler := limited(Limits{Body: each, Arrivals: arrivals}, tenants, echo, nil)
		of := sending(nil)
		of.Header.Set("Authorization", "Bearer b")
		other := newSlowClient()
		of.Body = io.NopCloser(other)
		others := other.serve(handler, of)
		synctest.Wait()

		var clients []*slowClient
		var outcomes []<-chan int
		for range room + more {
			slow := newSlowClient()
			clients = append(clients, slow)
			outcomes = append(outcomes, slow.serve(handler, sending(io.MultiReader(bytes.NewReader(make([]byte, each-1)), slow))))
			synctest.Wait()
		}
		statuses := map[int]int{}
		for i, outcome := range outcomes {
			if i < room {
				close(clients[i].goOn)
			}
			status := <-outcome
			statuses[status]++
			if i >= room != (status == http.StatusTooManyRequests) {
				t.Errorf("client %d: got %d", i, status)
			}
		}
		close(other.goOn)
		if status := <-others; status != http.StatusOK {
			t.Errorf("the other: got %d", status)
		}
		if diff := cmp.Diff(map[int]int{200: room, 429: more}, statuses); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
}

// TestLargeBodiesWhileWaiting shows that requests which have arrived and wait count, too.
func TestLargeBodiesWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		const each, arrivals = 10 << 10, 1 << 20
		const room = arrivals / (each + arrivalSize)
		handler := limited(Limits{Concurrency: 1, Body: each, Arrivals: arrivals}, tenants, func(http.ResponseWriter, *http.Request) { <-release }, nil)
		var all sync.WaitGroup
		var mutex sync.Mutex
		statuses := map[int]int{}
		for range 1 + 100 {
			all.Go(func() {
				status := statusOf(handler, sending(bytes.NewReader(make([]byte, each))))
				mutex.Lock()
				defer mutex.Unlock()
				statuses[status]++
			})
			synctest.Wait()
		}
		close(release)
		all.Wait()
		if diff := cmp.Diff(map[int]int{200: 1 + room, 429: 100 - room}, statuses); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
}

// TestSlowAnswers shows that a client which does not take its answer keeps no place from others, and gets all of it when it
// does.
func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := limited(Limits{Running: 1, Concurrency: 1, Body: 1 << 20}, tenants, echo, nil)
		slow := newSlowClient()
		outcome := slow.serve(handler, sending(strings.NewReader("all of it")))
		synctest.Wait()
		begin := time.Now()
		for _, token := range []string{token, "b"} {
			if status, _ := from(t, handler, "192.0.2.1", token); status != http.StatusOK {
				t.Errorf("%s: got %d", token, status)
			}
		}
		if took := time.Since(begin); took != clientPause {
			t.Errorf("others wait for %v", took)
		}
		close(slow.goOn)
		if status := <-outcome; status != http.StatusOK || slow.Body.String() != "got all of it" {
			t.Errorf("the slow client gets %d %q", status, slow.Body)
		}
	})
}

// TestSlowAnswersAreBounded shows that the party with most answers that are not taken loses its last one.
func TestSlowAnswersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := limited(Limits{Body: 1 << 20}, tenants, echo, nil)
		const more = 4
		var clients []*slowClient
		var outcomes []<-chan int
		for i := range 1 + maxSlowAnswers + more {
			r := sending(strings.NewReader("x"))
			if i == 0 {
				r.Header.Set("Authorization", "Bearer b")
			}
			slow := newSlowClient()
			clients = append(clients, slow)
			outcomes = append(outcomes, slow.serve(handler, r))
			time.Sleep(2 * clientPause)
		}
		for i, outcome := range outcomes {
			if i < maxSlowAnswers {
				close(clients[i].goOn)
			}
			want := http.StatusOK
			if i >= maxSlowAnswers {
				want = -1
			}
			if got := <-outcome; got != want {
				t.Errorf("client %d: got %d, want %d", i, got, want)
			}
		}
	})
}

// TestSlowAnswerOfGoneClient shows that a request whose client goes while it waits to go on ends.
func TestSlowAnswerOfGoneClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		handler := limited(Limits{Running: 1}, tenants, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				<-release
				return
			}
			echo(w, r)
		}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		slow := newSlowClient()
		outcome := slow.serve(handler, sending(strings.NewReader("x")).WithContext(ctx))
		time.Sleep(2 * clientPause)
		go from(t, handler, "192.0.2.1", "b")
		synctest.Wait()
		close(slow.goOn)
		synctest.Wait()
		cancel()
		if got := <-outcome; got != -1 {
			t.Errorf("got %d", got)
		}
		close(release)
		synctest.Wait()
		if status, _ := from(t, handler, "192.0.2.1", token); status != http.StatusOK {
			t.Errorf("afterwards: got %d", status)
		}
	})
}

// TestSlowAnswerIsNotRetried shows that a request which may not go on writes nothing any more, and that its place is given back once.
func TestSlowAnswerIsNotRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var errs []error
		l := &limiter{admission: newAdmission(Limits{Running: 1}), arrivals: newArrivals(Limits{}), refusals: newRefusals(metricnoop.NewMeterProvider())}
		ctx, cancel := context.WithCancel(t.Context())
		slow := newSlowClient()
		go l.serve(slow, sending(nil).WithContext(ctx), "a", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				_, err := w.Write([]byte("x"))
				errs = append(errs, err)
			}
		}))
		time.Sleep(2 * clientPause)
		go l.serve(httptest.NewRecorder(), sending(nil), "b", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		synctest.Wait()
		close(slow.goOn)
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(release)
		synctest.Wait()
		if len(errs) != 3 || errs[0] == nil || errs[1] == nil || errs[2] == nil {
			t.Errorf("the writes end with %v", errs)
		}
		if a := l.admission; a.running != 0 || a.parties["a"].paused != 0 || l.refusals.slow.total != 0 {
			t.Errorf("at the end: %d running, %d paused, %d slow", a.running, a.parties["a"].paused, l.refusals.slow.total)
		}
	})
}

// TestSlowConnections does the same with a server: of two connections, one withholds a body and the other does not take an answer.
func TestSlowConnections(t *testing.T) {
	t.Parallel()
	const size = 32 << 20 // More than sockets hold.
	begun := make(chan struct{})
	handler := limited(Limits{Running: 1, Concurrency: 1, Body: 1 << 20}, tenants, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "large" {
			close(begun)
			for range size >> 16 {
				_, _ = w.Write(make([]byte, 1<<16))
			}
			return
		}
		echo(w, r)
	}, nil)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	begin := func(text string) (net.Conn, *bufio.Reader) {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		_ = connection.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(connection, text)
		return connection, bufio.NewReader(connection)
	}
	head := " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n"
	sender, sent := begin("POST /" + head + "Content-Length: 4\r\n\r\nab")
	_, taken := begin("GET /?large" + head + "\r\n")
	<-begun
	for range 3 {
		r, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer b")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("another client: got %s", response.Status)
		}
	}
	_, _ = io.WriteString(sender, "cd")
	for what, test := range map[string]struct {
		from *bufio.Reader
		want int64
	}{"the body": {sent, int64(len("got abcd"))}, "the answer": {taken, size}} {
		response, err := http.ReadResponse(test.from, nil)
		if err != nil {
			t.Fatal(what, err)
		}
		got, err := io.Copy(io.Discard, response.Body)
		if err := fmt.Sprint(err, response.Body.Close()); got != test.want || err != "<nil> <nil>" {
			t.Errorf("%s: got %d bytes of %d: %s", what, got, test.want, err)
		}
	}
}
