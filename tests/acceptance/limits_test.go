package acceptance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestImportIsNotRefused has 16 connections of one token send as fast as they can: whatever the limits are, they wait.
func TestImportIsNotRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "EDUCATION_LIMIT_RATE=500")
	id := s.user(t)
	inParallel(1500, 16, func(int) {
		if status, body, err := s.raw(http.MethodGet, "/users/"+id, ""); err != nil || status != http.StatusOK {
			t.Errorf("got %d %s (%v)", status, body, err)
		}
	})
}

// TestRateLimit shows what a client with more connections than may wait is told, that health and another token do not notice,
// and that a client which comes back when it was told to is answered.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	// So many more that some find no room even if it takes seconds until all have come.
	const rate, waiting, more = 100, 1000, 400
	s := start(t, fmt.Sprint("EDUCATION_LIMIT_RATE=", rate))
	id, other := s.user(t), s.makeToken(t, "create", "--name", "other", "--all-schools", "--expires", "never")
	s.eventually(t, other, http.StatusOK)
	time.Sleep(time.Second) // The requests so far have their second.
	var mutex sync.Mutex
	statuses := map[int]int{}
	inParallel(rate+waiting+more, rate+waiting+more, func(i int) {
		if i == 0 {
			time.Sleep(time.Second)
			s.get(t, "/users/"+id, as(other)).want(http.StatusOK)
			s.get(t, "/healthz", under(""), header("Authorization")).want(http.StatusOK)
			return
		}
		got := s.get(t, "/users/"+id)
		for tries := 0; got.status == http.StatusTooManyRequests && tries < 3; tries++ {
			got.wantError(http.StatusTooManyRequests, "activityLimitReached")
			wait, err := strconv.Atoi(got.header.Get("Retry-After"))
			if err != nil || wait < 1 || wait > 30 {
				t.Errorf("got Retry-After: %q", got.header.Get("Retry-After"))
				return
			}
			mutex.Lock()
			statuses[got.status]++
			mutex.Unlock()
			time.Sleep(time.Duration(wait) * time.Second)
			got = s.get(t, "/users/"+id)
		}
		got.want(http.StatusOK)
	})
	if statuses[http.StatusTooManyRequests] == 0 {
		t.Error("nobody was refused, so that nothing is shown")
	}
}

// TestGuessing shows that an address cannot try tokens as fast as it likes, and that its valid tokens work all the same.
func TestGuessing(t *testing.T) {
	t.Parallel()
	s := start(t, "EDUCATION_LIMIT_FAILURES=1")
	statuses := map[int]int{}
	for i := range 30 {
		got := s.get(t, "/users", as(fmt.Sprint("guess", i)))
		statuses[got.status]++
		if got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") != "1" {
			t.Errorf("got Retry-After: %q", got.header.Get("Retry-After"))
		}
	}
	if statuses[http.StatusUnauthorized] < 10 || statuses[http.StatusTooManyRequests] == 0 || len(statuses) != 2 {
		t.Errorf("statuses of guesses: %v", statuses)
	}
	s.get(t, "/users").want(http.StatusOK)
}

// send sends text over a connection of its own and returns the status line of the answer.
func (s *server) send(t testing.TB, text string) string {
	t.Helper()
	connection := s.connect(t)
	go func() { _, _ = io.WriteString(connection, text) }()
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		t.Errorf("got %v", err)
	}
	return strings.TrimSpace(line)
}

// TestLargeRequests shows that what is too large is refused before it is read to its end.
func TestLargeRequests(t *testing.T) {
	t.Parallel()
	s := start(t)
	const large = 1 << 20
	head := "GET /graph/v1.0/education/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + s.token + "\r\n"
	for name, test := range map[string]struct{ text, want string }{
		"a header":           {head + "X: " + strings.Repeat("x", large) + "\r\n\r\n", "431"},
		"many headers":       {head + strings.Repeat("X: y\r\n", large/6) + "\r\n", "431"},
		"a URL":              {"GET /" + strings.Repeat("x", large) + " HTTP/1.1\r\nHost: x\r\n\r\n", "431"},
		"a body of 1 GiB":    {strings.Replace(head, "GET", "POST", 1) + "Content-Length: 1073741824\r\n\r\n" + strings.Repeat("x", 2*large), "413"},
		"a body without end": {strings.Replace(head, "GET", "POST", 1) + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+strings.Repeat("x", 1<<16)+"\r\n", 32), "413"},
	} {
		begin := time.Now()
		if got := s.send(t, test.text); !strings.HasPrefix(got, "HTTP/1.1 "+test.want) {
			t.Errorf("%s: got %q", name, got)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s is refused after %v", name, took)
		}
	}
}

// TestSlowClients has clients that send and take a byte now and then, more of each kind than requests may run, and expects them to be
// cut off within the times of the service, and others to be answered meanwhile.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes more than a minute until a slow body is given up")
	}
	s := start(t, "EDUCATION_LIMIT_CONCURRENCY=2", "EDUCATION_LIMIT_RUNNING=2")
	for range 40 {
		s.user(t)
	}
	auth := "Host: x\r\nAuthorization: Bearer " + s.token + "\r\n"
	const path = "/graph/v1.0/education/users"
	const lists = 2000 // Together larger than what sockets hold.
	tests := map[string]struct {
		// first is sent at once, then drip byte by byte, one a second.
		first, drip string
		reads       bool
		within      time.Duration
	}{
		"headers": {"GET " + path + " HTTP/1.1\r\n", "X: " + strings.Repeat("x", 100), true, 10 * time.Second},
		"a body":  {"POST " + path + " HTTP/1.1\r\n" + auth + "Content-Length: 100\r\n\r\n", "{" + strings.Repeat(" ", 98), true, 60 * time.Second},
		"answers": {strings.Repeat("GET "+path+" HTTP/1.1\r\n"+auth+"\r\n", lists), "", false, 60 * time.Second},
	}
	var slow sync.WaitGroup
	const each = 4
	for name, test := range tests {
		for range each {
			slow.Go(func() {
				if took := s.slow(t, test.first, test.drip, test.reads); took > test.within+15*time.Second {
					t.Errorf("slow %s: the connection ends after %v", name, took)
				}
			})
		}
	}
	ended := make(chan struct{})
	go func() { slow.Wait(); close(ended) }()
	for {
		s.get(t, "/users?$top=1").want(http.StatusOK)
		s.get(t, "/healthz", under(""), header("Authorization")).want(http.StatusOK)
		select {
		case <-ended:
			return
		case <-time.After(time.Second):
		}
	}
}

// slow sends text, and more of it a byte a second, until the service ends the connection, and returns how long that took. If it
// does not read, the end shows when it writes.
func (s *server) slow(t testing.TB, first, drip string, reads bool) time.Duration {
	connection, err := net.Dial("tcp", s.http)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(2 * time.Minute))
	begin := time.Now()
	if !reads {
		// A small window keeps the answers in the service. What does not fit into it is not taken until the service gives up.
		_ = connection.(*net.TCPConn).SetReadBuffer(4 << 10)
		for err == nil {
			_, err = io.WriteString(connection, first)
		}
		return time.Since(begin)
	}
	ended := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, connection); close(ended) }()
	_, _ = io.WriteString(connection, first)
	for i := range drip {
		select {
		case <-ended:
			return time.Since(begin)
		case <-time.After(time.Second):
			_, _ = io.WriteString(connection, drip[i:i+1])
		}
	}
	<-ended
	return time.Since(begin)
}

// TestIdleConnections opens 2,000 connections, half of which have begun a request, and expects others to be answered and the
// memory of the service to stay within bounds.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.get(t, "/users").want(http.StatusOK)
	before := s.memory(t, "VmRSS")
	for i := range 2000 {
		connection := s.connect(t)
		if i%2 == 0 {
			_, _ = io.WriteString(connection, "GET /graph/v1.0/education/users HTTP/1.1\r\nHost: x\r\n")
		}
	}
	s.get(t, "/users").want(http.StatusOK)
	s.get(t, "/healthz", under(""), header("Authorization")).want(http.StatusOK)
	const most = 100 // MiB
	if grown := mebibytes(s.memory(t, "VmRSS").anon - before.anon); grown > most {
		t.Errorf("the connections take %.0f MiB", grown)
	} else {
		t.Logf("the connections take %.1f MiB", grown)
	}
}

// TestConnectionLimit shows that idle connections give way to new ones when there are as many as there may be.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	s := start(t, "EDUCATION_LIMIT_CONNECTIONS=20")
	var idle []net.Conn
	for range 30 {
		idle = append(idle, s.connect(t))
	}
	for range 20 {
		connection := s.connect(t)
		if got := exchangeRaw(t, connection, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); got != "HTTP/1.1 200 OK" {
			t.Errorf("got %q", got)
		}
	}
	if n, err := idle[0].Read(make([]byte, 1)); err == nil {
		t.Errorf("the first connection gets %d bytes", n)
	}
}
