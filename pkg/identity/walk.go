package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
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
	text, err := json.Marshal(w)
	if err != nil {
		panic(err) // Strings can always be encoded.
	}
	return base64.RawURLEncoding.EncodeToString(text)
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
	keptListTime   = 2 * time.Minute
	keptLists      = 64
	keptListPlaces = 2_000_000
)

// orderedLists keeps the places of walks that are under way. Losing a list costs its walk the time to make it again, and
// the certainty about what is renamed at that moment.
type orderedLists struct {
	mutex sync.Mutex
	// lists are in the order of their last use.
	lists []orderedList
}

type orderedList struct {
	walk   string
	places []place
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
	places := l.lists[i].places
	l.put(walk, places, now)
	return places, true
}

// keep keeps a list.
func (l *orderedLists) keep(walk string, places []place, now time.Time) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.put(walk, places, now)
}

// put makes a list the one used last, and lets go of those that are out of date or too many.
func (l *orderedLists) put(walk string, places []place, now time.Time) {
	l.lists = slices.DeleteFunc(l.lists, func(list orderedList) bool {
		return list.walk == walk || now.Sub(list.used) > keptListTime
	})
	total := len(places)
	first := len(l.lists)
	for first > 0 && len(l.lists)-first < keptLists-1 && total+len(l.lists[first-1].places) <= keptListPlaces {
		first--
		total += len(l.lists[first].places)
	}
	l.lists = append(slices.Delete(l.lists, 0, first), orderedList{walk, places, now})
}
