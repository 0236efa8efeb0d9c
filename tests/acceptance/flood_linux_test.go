package acceptance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// Variables that make this test program something else than a test: one of the processes that BenchmarkFlood needs beside the
// service, which must not share a scheduler with what is measured.
const (
	// floodVariable holds an address, a method, a path and a token, separated by blanks: the program floods the service. With
	// PATCH it changes a user's name.
	floodVariable = "EDUCATION_TEST_FLOOD"
	// plainVariable, if set, makes the program a web server that does nothing.
	plainVariable = "EDUCATION_TEST_PLAIN"
)

// floodConnections is how many connections a flood has.
const floodConnections = 2000

// otherProcess runs what the variables ask for, and reports whether they ask for anything.
func otherProcess() bool {
	switch {
	case os.Getenv(floodVariable) != "":
		flood(strings.Fields(os.Getenv(floodVariable)))
	case os.Getenv(plainVariable) != "":
		servePlain()
	default:
		return false
	}
	return true
}

// flood sends requests over many connections, each as soon as the one before is answered, and pays no heed to Retry-After. It
// prints how many answers of each status it has had when its standard input ends.
func flood(target []string) {
	body := ""
	if target[1] == http.MethodPatch {
		body = `{"givenName":"Max"}`
	}
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		target[1], target[2], target[0], target[3], len(body), body)
	var answers sync.Map // status to *atomic.Int64
	for range floodConnections {
		go func() {
			for {
				floodConnection(target[0], request, &answers)
				time.Sleep(100 * time.Millisecond)
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	answers.Range(func(status, count any) bool {
		fmt.Printf("%d %d\n", status, count.(*atomic.Int64).Load())
		return true
	})
}

// floodConnection sends requests over one connection until it ends.
func floodConnection(address, request string, answers *sync.Map) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = connection.Close() }()
	reader := bufio.NewReader(connection)
	for {
		if _, err := io.WriteString(connection, request); err != nil {
			return
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		count, _ := answers.LoadOrStore(response.StatusCode, new(atomic.Int64))
		count.(*atomic.Int64).Add(1)
	}
}

// servePlain serves until its standard input ends, and prints where.
func servePlain() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return
	}
	fmt.Println(listener.Addr())
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { //nolint:gosec // A server of the test alone.
			_, _ = io.WriteString(w, `{"status":"ok"}`)
		}))
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// beside runs this program as another process, by means of the wrapper if there is one. end ends it and returns what it prints
// from then on.
func beside(t testing.TB, variable, value string, wrapper ...string) (stdout *bufio.Reader, end func() string) {
	t.Helper()
	words := append(wrapper, os.Args[0])
	command := exec.Command(words[0], words[1:]...)
	command.Env = append(os.Environ(), variable+"="+value, "GOMAXPROCS=1")
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stdout = bufio.NewReader(pipe)
	end = sync.OnceValue(func() string {
		_ = stdin.Close()
		printed, _ := io.ReadAll(stdout)
		_ = command.Wait()
		return string(printed)
	})
	t.Cleanup(func() { end() })
	return stdout, end
}

// latencies sends a request every few milliseconds, each when the one before is answered, and returns how long the answers
// took. Every answer must be 200.
func latencies(t testing.TB, address, path, token string, samples int) []time.Duration {
	t.Helper()
	socket := dialBlocking(t, address)
	defer func() { _ = syscall.Close(int(socket)) }()
	reader := bufio.NewReader(socket)
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, address, token)
	took := make([]time.Duration, samples)
	for i := range took {
		time.Sleep(5 * time.Millisecond)
		begin := time.Now()
		_, err := io.WriteString(socket, request)
		response, err2 := http.ReadResponse(reader, nil)
		if err := firstError(err, err2); err != nil {
			t.Error(err)
			return took
		}
		body, err := io.ReadAll(response.Body)
		took[i] = time.Since(begin)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s (%v)", path, response.StatusCode, body, err)
			return took
		}
	}
	return took
}

// blocking is a connection whose calls wait in the kernel; the runtime, which would have another thread wait, does not know it.
type blocking int

func (b blocking) Read(p []byte) (int, error) {
	n, err := syscall.Read(int(b), p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(0, n), err
}

func (b blocking) Write(p []byte) (int, error) { return syscall.Write(int(b), p) }

// dialBlocking connects to an IPv4 address.
func dialBlocking(t testing.TB, address string) blocking {
	t.Helper()
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Connect(socket, &syscall.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())})
	}
	if err != nil {
		t.Fatal(err)
	}
	return blocking(socket)
}

// precede has the calling goroutine, and the thread that ends with it, run before all that are not as urgent (sched(7),
// SCHED_FIFO), and reports whether it may.
func precede() bool {
	runtime.LockOSThread()
	const fifo = 1
	priority := int32(1)
	_, _, errno := syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, 0, fifo, uintptr(unsafe.Pointer(&priority)))
	return errno == 0
}

// BenchmarkFlood has tenant A flood the service over 2,000 connections, and measures what tenant B, with one connection and one
// request every few milliseconds, feels of it. The client, the flood and the service share the machine, so the same is measured
// of a web server that does nothing and that nobody floods, in turns with the service: what that one feels is the machine.
//
//   - alone-p99-ms, flooded-p99-ms, and ratio, which is the one through the other: B's requests.
//   - machine-ratio: the same ratio for the server that does nothing.
//   - health-p99-ms: /healthz during the flood.
//   - admitted-per-s, refused-per-s: answers to A.
//   - urgent: 1 if B's client goes before all other processes and the flood has what they leave, since neither runs on the
//     service's machine elsewhere. Without the right to that it is 0, and what B waits for its own turn is in the figures.
//   - cores: the processors that the service has had during the flood. Where others use this machine, too, it may be that it
//     wanted more.
//   - anon-MiB: how far the flood makes the service's own memory grow.
//
// A floods with four kinds of requests: for one user, for a list, with a token that is not valid, and with changes of one user.
func BenchmarkFlood(b *testing.B) {
	s := start(b)
	crowd := s.fill(b, 2, 500)
	tokens := [2]string{}
	for i, school := range crowd.schools {
		tokens[i] = s.makeToken(b, "create", "--name", fmt.Sprint("tenant", i), "--school", school, "--expires", "never")
		s.eventually(b, tokens[i], http.StatusOK)
	}
	stdout, _ := beside(b, plainVariable, "yes")
	plain, err := stdout.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	f := flooded{server: s, service: s.http, path: s.root + "/v1.0/education/users/" + crowd.users[1], token: tokens[1], plain: strings.TrimSpace(plain)}
	for _, kind := range []struct{ name, method, path, token string }{
		{"user", http.MethodGet, "/users/" + crowd.users[0], tokens[0]},
		{"list", http.MethodGet, "/users", tokens[0]},
		{"guess", http.MethodGet, "/users", "edu_guess"},
		{"change", http.MethodPatch, "/users/" + crowd.users[0], tokens[0]},
	} {
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				f.measure(b, strings.Join([]string{s.http, kind.method, s.root + "/v1.0/education" + kind.path, kind.token}, " "))
			}
		})
	}
}

// flooded is a service while it is flooded, and a plain web server beside it.
type flooded struct {
	server *server
	// service and plain are their addresses.
	service, plain string
	// path and token are those of B's requests.
	path, token string
}

// measure measures without and with a flood.
func (f *flooded) measure(b *testing.B, target string) {
	b.Helper()
	const samples = 1000
	urgent := 0.
	if precede() {
		urgent = 1
	}
	both := func() (service, plain time.Duration) {
		var all [2][]time.Duration
		for range samples / 50 {
			all[0] = append(all[0], latencies(b, f.service, f.path, f.token, 50)...)
			all[1] = append(all[1], latencies(b, f.plain, "/", f.token, 50)...)
		}
		slices.Sort(all[0])
		slices.Sort(all[1])
		return all[0][samples*99/100], all[1][samples*99/100]
	}
	alone, plainAlone := both()
	before, usedBefore := f.server.memory(b, "VmRSS"), f.server.processorTime(b)
	begin := time.Now()
	_, end := beside(b, floodVariable, target, "chrt", "--idle", "0")
	time.Sleep(2 * time.Second) // All connections are there then, and the first second's requests are through.
	during, plainDuring := both()
	health := latencies(b, f.service, "/healthz", "", 200)
	slices.Sort(health)
	after, used := f.server.memory(b, "VmRSS"), f.server.processorTime(b)-usedBefore
	answers, seconds := end(), time.Since(begin).Seconds()
	admitted, refused := countAnswers(b, answers)
	b.ReportMetric(urgent, "urgent")
	ratio := func(a, b time.Duration) float64 { return float64(a) / float64(b) }
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(milliseconds(alone), "alone-p99-ms")
	b.ReportMetric(milliseconds(during), "flooded-p99-ms")
	b.ReportMetric(ratio(during, alone), "ratio")
	b.ReportMetric(ratio(plainDuring, plainAlone), "machine-ratio")
	b.ReportMetric(milliseconds(health[len(health)*99/100]), "health-p99-ms")
	b.ReportMetric(admitted/seconds, "admitted-per-s")
	b.ReportMetric(refused/seconds, "refused-per-s")
	b.ReportMetric(used.Seconds()/seconds, "cores")
	b.ReportMetric(mebibytes(after.anon-before.anon), "anon-MiB")
}

// processorTime returns how long the service has had a processor (proc_pid_stat(5), fields 14 and 15, in hundredths of a
// second).
func (s *server) processorTime(t testing.TB) time.Duration {
	t.Helper()
	content, err := os.ReadFile(s.proc("stat"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), ") ")
	fields := strings.Fields(rest)
	user, err := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err := firstError(err, err2); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// countAnswers reads what a flood prints.
func countAnswers(t testing.TB, printed string) (admitted, refused float64) {
	t.Helper()
	for line := range strings.Lines(printed) {
		status, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		count, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch status {
		case "200":
			admitted += float64(count)
		case "401", "429", "503":
			refused += float64(count)
		default:
			t.Errorf("%d answers to the flood are %s", count, status)
		}
	}
	if admitted+refused == 0 {
		t.Fatal("the flood had no answer, so that nothing is shown")
	}
	return admitted, refused
}
