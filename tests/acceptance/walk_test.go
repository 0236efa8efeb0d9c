package acceptance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pageSize is how many users a page of a walk has.
const pageSize = 100

// walks are the kinds of walks that are made under writes, by name.
var walks = map[string]struct {
	options []string
	// selects says whether user i of a crowd is in the list.
	selects func(i int) bool
}{
	"by id":            {nil, func(int) bool { return true }},
	"by name":          {[]string{"$orderby", "displayName"}, func(int) bool { return true }},
	"of those in role": {[]string{"$filter", "primaryRole eq 'teacher'"}, isTeacher},
}

// TestWalk walks through 2,000 users in pages while others write. BenchmarkWalk does so with 20,000.
func TestWalk(t *testing.T) {
	t.Parallel()
	s := start(t)
	town := newTown(t, s, 2000)
	town.open(t)
	for name, kind := range walks {
		town.walk(t, name, asking(append([]string{"$top", fmt.Sprint(pageSize)}, kind.options...)...), kind.selects)
	}
	town.close(t)
}

// latePage is the page that page 2 is compared with, unless a walk ends before.
const latePage = 200

// BenchmarkWalk walks through 20,000 users in pages of 100 while others write, and reports what page 2 and a late page
// cost while they go on: the medians over requests for the one and the other in turn. The late one may cost no more than
// twice as much. The time of a walk is mostly that of the writes that are waited for between its pages.
func BenchmarkWalk(b *testing.B) {
	s := start(b)
	town := newTown(b, s, 20_000)
	for name, kind := range walks {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			town.open(b)
			var links []string
			for b.Loop() {
				links = town.walk(b, name, asking(append([]string{"$top", fmt.Sprint(pageSize)}, kind.options...)...), kind.selects)
			}
			// The last page may be short.
			number := min(latePage, len(links)-1)
			early, late := town.compare(b, links[0], links[number-2])
			town.close(b)
			if late > 2*early {
				b.Errorf("page 2 takes %v, page %d %v", early, number, late)
			}
			b.ReportMetric(float64(number), "late-page")
			b.ReportMetric(float64(early.Microseconds())/1000, "page-2-ms")
			b.ReportMetric(float64(late.Microseconds())/1000, "late-page-ms")
		})
	}
}

// town is a service with users of whom some stay, whatever is written about them, and writers who write all the time.
type town struct {
	server *server
	crowd  crowd
	// staying is how many of the crowd's users stay. The others are deleted one by one.
	staying int
	stop    chan struct{}
	writers sync.WaitGroup
	// written counts what the writers have done, by kind.
	written [4]atomic.Int64
	next    atomic.Int64
	// doomed are users who will be deleted: those of the crowd who do not stay, then those whom the writers create.
	doomed chan string
}

// The kinds of writes. A renaming changes what walks are ordered by.
const (
	creation = iota
	renaming
	moving
	deletion
)

// writers is how many writers there are.
const writers = 4

// newTown fills a service with users who stay, and a twentieth of their number who do not.
func newTown(t testing.TB, s *server, staying int) *town {
	t.Helper()
	passing := staying / 20
	town := &town{server: s, crowd: s.fill(t, 10, staying+passing), staying: staying, doomed: make(chan string, staying+passing)}
	for _, id := range town.crowd.users[staying:] {
		town.doomed <- id
	}
	town.next.Store(int64(staying + passing))
	return town
}

// open sends the writers off, close ends them.
func (w *town) open(t testing.TB) {
	w.stop = make(chan struct{})
	for writer := range writers {
		w.writers.Go(func() { w.write(t, writer) })
	}
}

func (w *town) close(t testing.TB) {
	close(w.stop)
	w.writers.Wait()
	t.Logf("the writers have created, renamed, moved and deleted %d, %d, %d and %d users",
		w.written[creation].Load(), w.written[renaming].Load(), w.written[moving].Load(), w.written[deletion].Load())
}

// write creates, renames, moves and deletes users in turn until the town is closed. No two writers rename or move the
// same user.
func (w *town) write(t testing.TB, writer int) {
	for round := 0; ; round++ {
		// Prime to the number of users, so that all have their turn.
		user := w.crowd.users[(round*7919*writers+writer)%w.staying]
		school := "/schools/" + w.crowd.schools[(round*7+writer)%len(w.crowd.schools)]
		number := int(w.next.Add(1))
		for kind, send := range []func() (int, []byte, error){
			creation: func() (int, []byte, error) { return w.server.raw(http.MethodPost, school+"/users", crowdUser(number)) },
			renaming: func() (int, []byte, error) {
				return w.server.raw(http.MethodPatch, "/users/"+user, `{"displayName":"`+crowdName(number*31)+`"}`)
			},
			moving: func() (int, []byte, error) {
				return w.server.raw(http.MethodPatch, "/users/"+user, `{"schools@odata.bind":["`+school+`"]}`)
			},
			deletion: func() (int, []byte, error) { return w.server.raw(http.MethodDelete, "/users/"+<-w.doomed, "") },
		} {
			select {
			case <-w.stop:
				return
			default:
			}
			status, body, err := send()
			if want := [...]int{creation: 201, renaming: 200, moving: 200, deletion: 204}[kind]; err != nil || status != want {
				t.Errorf("write of kind %d: %d %s (%v)", kind, status, body, err)
				return
			}
			if kind == creation {
				var made struct{ ID string }
				if err := json.Unmarshal(body, &made); err != nil {
					t.Error(err)
					return
				}
				w.doomed <- made.ID
			}
			w.written[kind].Add(1)
		}
	}
}

// walk follows the links of a list to its end, and lets the writers write between any two pages. It expects each user who
// stays and is selected on exactly one page, nobody on two, and that the writers have done something of everything
// meanwhile. It returns the links to the pages from page 2 on, and at last an empty one.
func (w *town) walk(t testing.TB, name, query string, selects func(i int) bool) (links []string) {
	t.Helper()
	before := w.progress()
	times := map[string]int{}
	for link := "/users" + query; ; {
		var ids []string
		if ids, link = w.page(t, link); len(ids) > pageSize {
			t.Errorf("%s: page %d has %d users", name, len(links)+1, len(ids))
		}
		for _, id := range ids {
			times[id]++
		}
		if links = append(links, link); link == "" {
			break
		}
		w.wait(t, 2*writers)
	}
	for id, count := range times {
		if count > 1 {
			t.Errorf("%s: the user %s is there %d times", name, id, count)
		}
	}
	for i, id := range w.crowd.users[:w.staying] {
		if got := times[id] > 0; got != selects(i) {
			t.Errorf("%s: user %d is there: %t", name, i, got)
		}
	}
	for kind, after := range w.progress() {
		if after-before[kind] < 1 {
			t.Errorf("%s: no write of kind %d was made during the walk, which shows nothing then", name, kind)
		}
	}
	return links
}

// wait waits until the writers have made some more writes.
func (w *town) wait(t testing.TB, more int64) {
	t.Helper()
	sum := func() (sum int64) {
		for _, count := range w.progress() {
			sum += count
		}
		return sum
	}
	for end := sum() + more; sum() < end; time.Sleep(time.Millisecond) {
		if t.Failed() {
			t.FailNow()
		}
	}
}

func (w *town) progress() (written [4]int64) {
	for kind := range written {
		written[kind] = w.written[kind].Load()
	}
	return written
}

// page reads a page, and returns the ids of its users and the link to the next one.
func (w *town) page(t testing.TB, link string) (ids []string, next string) {
	t.Helper()
	status, body, err := w.server.raw(http.MethodGet, link, "")
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s (%v)", link, status, body, err)
	}
	var list struct {
		Value []struct{ ID string }
		Next  string `json:"@odata.nextLink"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatalf("%s: %v", link, err)
	}
	for _, user := range list.Value {
		ids = append(ids, user.ID)
	}
	return ids, list.Next
}

// compare returns the medians of what two pages take.
func (w *town) compare(t testing.TB, first, second string) (early, late time.Duration) {
	t.Helper()
	const samples = 101
	var took [2][]time.Duration
	for range samples {
		for i, link := range []string{first, second} {
			start := time.Now()
			w.page(t, link)
			took[i] = append(took[i], time.Since(start))
		}
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	return took[0][samples/2], took[1][samples/2]
}
