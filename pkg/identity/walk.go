package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencloud-eu/education/pkg/odata"
)

// walk is what the pages of an answer have in common, and how far they have come. The pages are cut from one list of
// places as long as the directory keeps it, so that an entity that is renamed meanwhile is neither missed nor met twice.
type walk struct {
	// ID names the walk's list.
	ID string `json:"w"`
	// Query is a hash of the query. Places of another one mean nothing here.
	Query string `json:"q"`
	// After is the last place of the pages so far.
	After place `json:"a"`
}

func newWalk(q *question) walk { return walk{ID: rand.Text(), Query: q.hash()} }

// cursor returns the walk, as far as the given place, as text for Query.Cursor.
func (w walk) cursor(after place) string {
	w.After = after
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // It would take six bytes for one.
	if err := encoder.Encode(w); err != nil {
		panic(err) // Strings can always be encoded.
	}
	return base64.RawURLEncoding.EncodeToString(text.Bytes())
}

// parseCursor is the reverse of cursor. The caller has made sure that the text comes from this service; one of another
// query is refused all the same.
func parseCursor(q *question) (walk, error) {
	var w walk
	text, err := base64.RawURLEncoding.DecodeString(q.query.Cursor)
	if err == nil {
		err = json.Unmarshal(text, &w)
	}
	if err != nil || w.Query != q.hash() || len(w.After.Keys) != len(q.query.OrderBy) {
		return w, odata.Errorf(odata.InvalidRequest, odata.OptionSkipToken, "the link to this page is not one of this query; begin again with the first page")
	}
	return w, nil
}

// hash tells queries apart whose entities or order differ.
func (q *question) hash() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\x00%s\x00", q.set.Name, q.scope)
	if q.query.Filter != nil {
		b.WriteString(q.query.Filter.String())
	}
	b.WriteByte(0)
	if q.query.Search != nil {
		b.WriteString(q.query.Search.String())
	}
	for _, order := range q.query.OrderBy {
		fmt.Fprintf(&b, "\x00%s %t", order.Property, order.Descending)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// Limits of the lists that are kept between the pages of walks.
const (
	// keptListTime is how long a list is kept after its last use.
	keptListTime = 2 * time.Minute
	// keptLists is how many there may be altogether: enough for a walk of each of some hundred tenants at the same time, and
	// few enough to be looked through at each page.
	keptLists = 256
	// keptListBytes is about the memory that all lists together take.
	keptListBytes = 64 << 20
)

// orderedLists keeps the places of walks that are under way. Losing a list costs its walk the time to make it again, and
// the certainty about what is renamed at that moment. So whoever has most lists loses the first one: a tenant with few
// walks keeps theirs, however many others begin.
type orderedLists struct {
	mutex sync.Mutex
	// lists are in the order of their last use.
	lists []orderedList
	// sweeper lets go of lists that nobody asks for any more; nil while there are none.
	sweeper *time.Timer
}

type orderedList struct {
	walk string
	// party is who walks, by what the credential is confined to. All that are not confined are one party.
	party  string
	places []place
	size   int
	used   time.Time
}

// find returns the list of a walk that is under way.
func (l *orderedLists) find(walk string, now time.Time) ([]place, bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	i := slices.IndexFunc(l.lists, func(list orderedList) bool { return list.walk == walk })
	if i < 0 || now.Sub(l.lists[i].used) > keptListTime {
		return nil, false
	}
	list := l.lists[i]
	list.used = now
	l.put(list)
	return list.places, true
}

// keep keeps the list of a party's walk, unless it is larger than all together may be.
func (l *orderedLists) keep(party, walk string, places []place, now time.Time) {
	list := orderedList{walk: walk, party: party, places: places, size: sizeOf(places), used: now}
	if list.size > keptListBytes {
		return
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.put(list)
	l.shrink()
	if l.sweeper == nil {
		l.sweeper = time.AfterFunc(keptListTime, l.sweep)
	}
}

// sizeOf is about the memory that places take.
func sizeOf(places []place) int {
	const header = 16 // of a string
	size := 0
	for _, place := range places {
		size += 4*header + len(place.ID)
		for _, key := range place.Keys {
			size += header + len(key)
		}
	}
	return size
}

// put makes a list the one used last, and lets go of those that are out of date.
func (l *orderedLists) put(list orderedList) {
	l.expire(list.used)
	l.lists = slices.DeleteFunc(l.lists, func(other orderedList) bool { return other.walk == list.walk })
	l.lists = append(l.lists, list)
}

// shrink lets go of lists while there are too many, and then while they are too large together.
func (l *orderedLists) shrink() {
	l.evict(keptLists, func(orderedList) int { return 1 })
	l.evict(keptListBytes, func(list orderedList) int { return list.size })
}

// evict lets go of lists until all together weigh no more than a limit: each time of the one that was used longest ago
// among those of the party whose lists weigh most, or of the parties if there are several.
func (l *orderedLists) evict(limit int, weight func(orderedList) int) {
	total, weights := 0, map[string]int{}
	for _, list := range l.lists {
		total += weight(list)
	}
	if total <= limit {
		return
	}
	for _, list := range l.lists {
		weights[list.party] += weight(list)
	}
	for total > limit {
		most := slices.Max(slices.Collect(maps.Values(weights)))
		i := slices.IndexFunc(l.lists, func(list orderedList) bool { return weights[list.party] == most })
		total -= weight(l.lists[i])
		weights[l.lists[i].party] -= weight(l.lists[i])
		l.lists = slices.Delete(l.lists, i, i+1)
	}
}

// expire lets go of the lists that are out of date.
func (l *orderedLists) expire(now time.Time) {
	l.lists = slices.DeleteFunc(l.lists, func(list orderedList) bool { return now.Sub(list.used) > keptListTime })
}

// sweep lets go of the lists that are out of date, and comes again while there are others.
func (l *orderedLists) sweep() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.expire(time.Now())
	l.sweeper = nil
	if len(l.lists) > 0 {
		l.sweeper = time.AfterFunc(keptListTime, l.sweep)
	}
}
