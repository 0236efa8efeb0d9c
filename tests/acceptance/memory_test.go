package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkMemory lists 100,000 users, who are in 100 schools, and reports what that adds to the memory of the service, a
// process of its own, and how long the first byte of an answer takes. Each kind of list begins with a new process that
// has answered requests for one user until it has given back the memory that its start took. Its memory then is what
// the highest values of all lists are compared with.
//
//   - base-anon-MiB, base-rss-MiB: RssAnon, the memory that is the process's own, and VmRSS, before the lists.
//   - anon-MiB: how far RssAnon grows.
//   - rss-MiB: how far VmRSS grows, which holds the pages of the directory's file, too. They are the kernel's cache, and
//     most are there before the lists, because the service looks at the whole file when it starts.
//   - first-byte-ms: the longest that the first byte of a list took; of a walk, the first byte of a page.
func BenchmarkMemory(b *testing.B) {
	if _, err := os.Stat("/proc/self/clear_refs"); err != nil {
		b.Skip("the memory of a process is read from Linux's /proc")
	}
	s := start(b)
	crowd := s.fill(b, 100, 100_000)
	for _, list := range []struct{ name, path string }{
		{"list", "/users"},
		{"orderby", "/users?$orderby=displayName"},
		{"walk", "/users?$top=1000"},
		{"ordered-walk", "/users?$orderby=displayName&$top=1000"},
		{"expand", "/users?$expand=schools"},
	} {
		b.Run(list.name, func(b *testing.B) {
			s.restart(b)
			base := s.settle(b, "/users/"+crowd.users[0])
			m := meter{server: s, path: list.path, users: len(crowd.users)}
			for b.Loop() {
				m.measure(b)
			}
			b.ReportMetric(mebibytes(base.anon), "base-anon-MiB")
			b.ReportMetric(mebibytes(base.rss), "base-rss-MiB")
			b.ReportMetric(mebibytes(m.peak.anon-base.anon), "anon-MiB")
			b.ReportMetric(mebibytes(m.peak.rss-base.rss), "rss-MiB")
			b.ReportMetric(float64(m.firstByte.Microseconds())/1000, "first-byte-ms")
		})
	}
}

// memory is the resident memory of a process in KiB: its own, and all of it.
type memory struct{ anon, rss int }

func mebibytes(kibibytes int) float64 { return float64(kibibytes) / 1024 }

// meter measures lists.
type meter struct {
	server *server
	path   string
	// users is how many users a list has.
	users int
	// peak is the highest memory, firstByte the longest that a first byte has taken, over all lists.
	peak      memory
	firstByte time.Duration
}

// measure makes a list, following its links.
func (m *meter) measure(b *testing.B) {
	b.Helper()
	// 5 makes the highest VmRSS so far the present one (proc_pid_clear_refs(5)).
	if err := os.WriteFile(m.server.proc("clear_refs"), []byte("5"), 0o600); err != nil {
		b.Fatal(err)
	}
	listed, peak := make(chan struct{}), make(chan int)
	go func() { peak <- m.server.peakAnon(b, listed) }()
	users := 0
	for link := m.path; link != ""; {
		var found int
		found, link = m.list(b, link)
		users += found
	}
	close(listed)
	m.peak.anon = max(m.peak.anon, <-peak)
	m.peak.rss = max(m.peak.rss, m.server.memory(b, "VmHWM").rss)
	if users != m.users {
		b.Fatalf("%s: got %d users", m.path, users)
	}
}

// list reads one answer and returns the number of users in it and the link to the next page. It keeps no more of it than
// the end.
func (m *meter) list(b *testing.B, path string) (users int, next string) {
	b.Helper()
	request, err := m.server.request(http.MethodGet, path, "")
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	response, err := m.server.client.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var tail []byte
	const name = `"onPremisesSamAccountName":`
	buffer := make([]byte, 64<<10)
	for read := 0; err == nil; read++ {
		var n int
		if n, err = response.Body.Read(buffer); read == 0 {
			m.firstByte = max(m.firstByte, time.Since(start))
		}
		// A name that lies in two chunks is counted with the second one.
		kept := min(len(tail), len(name)-1)
		chunk := append(tail[len(tail)-kept:], buffer[:n]...)
		users += bytes.Count(chunk, []byte(name))
		tail = append(tail, buffer[:n]...)
		tail = tail[max(0, len(tail)-(1<<10)):]
	}
	if err != io.EOF || response.StatusCode != http.StatusOK { //nolint:errorlint // Read returns io.EOF itself.
		b.Fatalf("%s: got status %d (%v)", path, response.StatusCode, err)
	}
	return users, nextLink(b, tail)
}

// nextLink returns the link to the next page from the end of a list, or the empty string.
func nextLink(t testing.TB, end []byte) string {
	t.Helper()
	_, link, found := bytes.Cut(end, []byte(`"@odata.nextLink":`))
	if !found {
		return ""
	}
	var next string
	if err := json.Unmarshal(bytes.TrimSuffix(bytes.TrimSpace(link), []byte("}")), &next); err != nil {
		t.Fatalf("%s: %v", link, err)
	}
	return next
}

// proc is a file about the process.
func (s *server) proc(name string) string {
	return fmt.Sprintf("/proc/%d/%s", s.command.Process.Pid, name)
}

// settle asks for one entity until the process's own memory does not fall any more, and returns what is left. What the
// start took is given back after the next garbage collection, and slowly; requests bring that about.
func (s *server) settle(t testing.TB, path string) memory {
	t.Helper()
	least := s.memory(t, "VmRSS")
	for rounds := 0; rounds < 10; rounds++ {
		for range 500 {
			if status, body, err := s.raw(http.MethodGet, path, ""); err != nil || status != http.StatusOK {
				t.Fatalf("%s: %d %s (%v)", path, status, body, err)
			}
		}
		time.Sleep(100 * time.Millisecond)
		const much = 256 // KiB
		if now := s.memory(t, "VmRSS"); now.anon < least.anon-much {
			least, rounds = now, 0
		}
	}
	return least
}

// memory reads the process's own memory and all of it, which is that of the line with the given name: VmRSS now, VmHWM
// at its highest.
func (s *server) memory(t testing.TB, name string) memory {
	t.Helper()
	status, err := os.ReadFile(s.proc("status"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) int {
		_, rest, _ := strings.Cut(string(status), "\n"+name+":")
		line, _, _ := strings.Cut(rest, " kB\n")
		number, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, status)
		}
		return number
	}
	return memory{read("RssAnon"), read(name)}
}

// peakAnon looks at RssAnon until a list has been made, and returns the highest value.
func (s *server) peakAnon(t testing.TB, listed <-chan struct{}) int {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	peak := 0
	for {
		peak = max(peak, s.memory(t, "VmRSS").anon)
		select {
		case <-listed:
			return peak
		case <-tick.C:
		}
	}
}
