package embedded

import (
	"context"
	"runtime"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Bounds of one read transaction: how many entries it looks at, and about how many bytes of them it keeps.
const (
	maxBatchEntries = 512
	maxBatchBytes   = 1 << 20
)

// Search yields the entries that match, in the order in which they were created.
//
// The entries are read in batches, each in a short transaction, and no transaction is open while yield runs, so a slow
// reader holds up nobody. An entry that exists and matches throughout is yielded exactly once; one that is changed or
// deleted meanwhile may be yielded as it was.
//
// An error of yield ends the search and is returned. Results: ResultNoSuchObject if the base is missing,
// ResultSizeLimitExceeded and ResultTimeLimitExceeded after the entries that the limits allow. Text of the base, or of
// a value in it, that fits no syntax is ResultInvalidDNSyntax. The end of the context is the context's error.
//
// userPassword is returned as any other attribute: who may see it is decided by the caller.
func (s *Store) Search(ctx context.Context, request *wire.SearchRequest, yield func(*wire.Entry) error) error {
	q, err := newQuery(request)
	if err != nil {
		return err
	}
	left := -1
	if request.SizeLimit > 0 {
		left = request.SizeLimit
	}
	for {
		batch, err := s.read(ctx, q, left)
		if err != nil {
			return err
		}
		if err := yieldAll(ctx, batch, yield); err != nil {
			return err
		}
		if left >= 0 {
			left -= len(batch)
		}
		switch {
		case q.more:
			return wire.Errorf(wire.ResultSizeLimitExceeded, "more entries match than the size limit allows")
		case q.late:
			return wire.Errorf(wire.ResultTimeLimitExceeded, "the search took longer than its time limit")
		case q.done:
			return nil
		}
	}
}

// SearchPage is Search for one page: at most limit entries, beginning behind the entry whose id is after (0 for the
// first page). next is the after of the following page; more is false when there is none. Ids ascend in the order of
// creation and are never given twice, so a page needs no memory of the one before, and whoever keeps next may go on
// after a restart. The request's SizeLimit is not looked at, because only the caller knows what earlier pages held.
func (s *Store) SearchPage(ctx context.Context, request *wire.SearchRequest, after uint64, limit int, yield func(*wire.Entry) error) (next uint64, more bool, err error) {
	q, err := newQuery(request)
	if err != nil {
		return after, false, err
	}
	q.after = after
	next = after
	for {
		batch, err := s.read(ctx, q, limit)
		if err != nil {
			return next, false, err
		}
		if err := yieldAll(ctx, batch, yield); err != nil {
			return next, false, err
		}
		if len(batch) > 0 {
			next = q.last
		}
		limit -= len(batch)
		switch {
		case q.late:
			return next, true, wire.Errorf(wire.ResultTimeLimitExceeded, "the search took longer than its time limit")
		case q.more, q.done:
			return next, q.more, nil
		}
	}
}

// entriesBetweenYields is how many entries a search hands on before it lets others run, about half a millisecond.
const entriesBetweenYields = 32

// yieldAll hands entries on. A search never waits for anything, and a few of them keep all processors busy; whoever comes then is
// queued where the scheduler looks after 61 turns, of 10 ms each if nobody gives way. So they do.
func yieldAll(ctx context.Context, entries []*wire.Entry, yield func(*wire.Entry) error) error {
	for i, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i%entriesBetweenYields == entriesBetweenYields-1 {
			runtime.Gosched()
		}
		if err := yield(entry); err != nil {
			return err
		}
	}
	return nil
}

// query is a search on its way through the file.
type query struct {
	request   *wire.SearchRequest
	baseKey   string
	condition *condition
	selection *selection
	deadline  time.Time // zero is none

	// These are set in the first transaction.
	baseID uint64
	source source

	// after is the last id that was looked at, last that of the last entry found.
	after uint64
	last  uint64
	// done says that nothing is left, more that an entry beyond the limit matches, late that the time is over.
	done, more, late bool
	ids              []uint64
}

func newQuery(request *wire.SearchRequest) (*query, error) {
	base, err := parseName(request.Base)
	if err != nil {
		return nil, err
	}
	condition, err := compile(request.Filter, 0)
	if err != nil {
		return nil, err
	}
	q := &query{
		request:   request,
		baseKey:   base.Key(),
		condition: condition,
		selection: newSelection(request.Attributes, request.TypesOnly),
	}
	if request.TimeLimit > 0 {
		q.deadline = time.Now().Add(time.Duration(request.TimeLimit) * time.Second)
	}
	return q, nil
}

// read returns the next entries that match, at most limit of them; a negative limit is none.
func (s *Store) read(ctx context.Context, q *query, limit int) ([]*wire.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var batch []*wire.Entry
	err := s.view(func(tx *bolt.Tx) error {
		if q.source == nil {
			if err := q.plan(tx); err != nil {
				return err
			}
		}
		q.ids = q.source.next(tx, q.after, maxBatchEntries, q.ids[:0])
		q.done = len(q.ids) < maxBatchEntries
		var err error
		batch, err = q.collect(tx, limit)
		return err
	})
	return batch, err
}

// collect looks at the candidates of a batch and returns those that match.
func (q *query) collect(tx *bolt.Tx, limit int) ([]*wire.Entry, error) {
	var found []*wire.Entry
	size := 0
	entries := tx.Bucket(bucketEntries)
	for i, id := range q.ids {
		if i%64 == 0 && !q.deadline.IsZero() && time.Now().After(q.deadline) {
			q.late = true
			return found, nil
		}
		entry, err := q.matching(tx, id, entries.Get(idKey(id)))
		if err != nil {
			return nil, err
		}
		if entry == nil {
			q.after = id
			continue
		}
		if limit >= 0 && len(found) == limit {
			q.more = true
			return found, nil
		}
		answer := q.selection.entry(tx, entry)
		found = append(found, answer)
		q.after, q.last = id, id
		if size += sizeOf(answer); size > maxBatchBytes && i < len(q.ids)-1 {
			q.done = false
			return found, nil
		}
	}
	return found, nil
}

// matching returns the entry with an id if it lies in the scope of the search and matches, and nil otherwise.
func (q *query) matching(tx *bolt.Tx, id uint64, blob []byte) (*record, error) {
	if blob == nil {
		return nil, nil // deleted since the source was made
	}
	parent, key, _, err := decodeHead(blob)
	if err != nil {
		return nil, err
	}
	if !q.inScope(id, parent, key) {
		return nil, nil
	}
	entry, err := decodeRecord(id, blob)
	if err != nil {
		return nil, err
	}
	if q.condition.of(tx, entry) != isTrue {
		return nil, nil
	}
	return entry, nil
}

func (q *query) inScope(id, parent uint64, key string) bool {
	switch q.request.Scope {
	case wire.ScopeBase:
		return id == q.baseID
	case wire.ScopeOneLevel:
		return parent == q.baseID
	default:
		return strings.HasPrefix(key, q.baseKey)
	}
}

// plan finds the base and the source that leads to the matching entries with the least work. The empty base stands
// for what is above all naming contexts.
func (q *query) plan(tx *bolt.Tx) error {
	q.baseID = findID(tx, q.baseKey)
	if q.baseID == 0 && (q.baseKey != "" || q.request.Scope == wire.ScopeBase) {
		return noSuchObject(tx, q.baseKey)
	}
	switch q.request.Scope {
	case wire.ScopeBase:
		q.source = fixed{q.baseID}
		return nil
	case wire.ScopeOneLevel, wire.ScopeSubtree:
	default:
		return wire.Errorf(wire.ResultProtocolError, "unknown scope of a search")
	}
	scope := q.scopeSource()
	if indexed := q.condition.sourceOf(tx, nil); indexed != nil {
		q.source = cheapest(tx, []source{indexed, scope})
	} else {
		q.source = cheapest(tx, []source{everything{}, scope})
	}
	return nil
}

// scopeSource returns the source of all entries in the scope of the search.
func (q *query) scopeSource() source {
	if q.request.Scope == wire.ScopeOneLevel {
		return postings{bucketChildren, idKey(q.baseID)}
	}
	if q.baseKey == "" {
		return everything{}
	}
	return &span{bucket: bucketNames, from: []byte(q.baseKey), to: after([]byte(q.baseKey)), valued: true}
}

// sizeOf is about the memory that an answer takes.
func sizeOf(entry *wire.Entry) int {
	size := len(entry.DN)
	for _, a := range entry.Attributes {
		for _, value := range a.Values {
			size += len(value) + 16
		}
	}
	return size
}

// Compare says whether an entry has a value (RFC 4511, section 4.10). ResultNoSuchObject and ResultNoSuchAttribute
// say what is missing, ResultUndefinedAttributeType and ResultInvalidAttributeSyntax what is unknown or does not fit,
// ResultInappropriateMatching that values of the attribute cannot be compared.
func (s *Store) Compare(ctx context.Context, request *wire.CompareRequest) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	name, err := parseName(request.DN)
	if err != nil {
		return false, err
	}
	a, err := requestedAttribute(request.Attribute)
	if err != nil {
		return false, err
	}
	if a.equality == nil {
		return false, wire.Errorf(wire.ResultInappropriateMatching, "%s has no equality rule", a.name)
	}
	c := compileAssertion(wire.Equal(a.name, request.Value), a)
	if c.kind == whenNever {
		return false, wire.Errorf(wire.ResultInvalidAttributeSyntax, "the value does not fit the syntax of %s", a.name)
	}
	has := false
	err = s.view(func(tx *bolt.Tx) error {
		entry, err := findEntry(tx, name)
		if err != nil {
			return err
		}
		if (&condition{kind: whenPresent, attributes: a.subtypes}).of(tx, entry) != isTrue {
			return noSuchAttribute(a)
		}
		has = c.of(tx, entry) == isTrue
		return nil
	})
	return has, err
}
