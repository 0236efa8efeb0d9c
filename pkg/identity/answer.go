package identity

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// answer answers a query about the entries of a source. scope names the source among those of the same set.
func (d *Directory) answer(ctx context.Context, set *education.EntitySet, scope string, entries source, query *odata.Query) (*education.Answer, error) {
	if query == nil {
		query = &odata.Query{}
	}
	selected, err := d.condition(ctx, set, query.Filter)
	if err != nil {
		return nil, err
	}
	if query.Search != nil {
		selected = allOf{selected, d.searchCondition(set, query.Search)}
	}
	party := tenants(ctx)
	q := &question{directory: d, set: set, scope: scope + party, party: party, entries: entries, query: query, selected: selected}
	if ordered(query) {
		return q.page(ctx)
	}
	return &education.Answer{Entities: q.expanded(ctx, d.records(ctx, set, q.matching(q.attributes())))}, nil
}

// ordered reports whether a query has to know the order of its entities.
func ordered(query *odata.Query) bool {
	return len(query.OrderBy) > 0 || query.Top != nil || query.Skip > 0 || query.Count || query.Cursor != ""
}

// question is a query on its way through the directory.
type question struct {
	directory *Directory
	set       *education.EntitySet
	scope     string
	// party is whose lists that of the query's walk counts among.
	party    string
	entries  source
	query    *odata.Query
	selected condition
}

// matching yields the entries that the query selects, with the given attributes. What the directory could not be asked
// is looked at in each entry here.
func (q *question) matching(attributes []string) iter.Seq2[*wire.Entry, error] {
	return q.matchingAmong(q.entries, attributes)
}

// matchingAmong is matching for other entries than those that the query is about.
func (q *question) matchingAmong(entries source, attributes []string) iter.Seq2[*wire.Entry, error] {
	filter, exact := q.selected.filter(true)
	if exact {
		return entries(filter, attributes)
	}
	found := entries(filter, unique(slices.Concat(attributes, q.selected.attributes())))
	return func(yield func(*wire.Entry, error) bool) {
		for entry, err := range found {
			if err == nil && q.selected.holds(entry) != isTrue {
				continue
			}
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

// attributes are those that the query's properties are read from, the id's always, since everything else hangs on it,
// those that tell versions apart, and those that its expansion looks at.
func (q *question) attributes() []string {
	if q.query.Select == nil {
		return append(attributesOf(q.set), q.linkAttributes()...)
	}
	attributes := slices.Concat([]string{q.set.ID.Attribute}, versionAttributes, q.linkAttributes())
	for _, name := range q.query.Select {
		attributes = append(attributes, q.directory.on(q.set, q.set.Property(name)).attributes()...)
	}
	return unique(attributes)
}

// place is where an entity stands in an order: its sort keys and, since no two entities may stand at the same place,
// its id.
type place struct {
	// Keys are values in a form that sorts as text. An absent one is empty and comes first, as no present one is (Graph
	// guidelines, "null sorts lowest").
	Keys []string `json:"k,omitempty"`
	ID   string   `json:"i"`
}

// compare says which of two places comes first, as strings.Compare does.
func (q *question) compare(a, b place) int {
	for i, order := range q.query.OrderBy {
		result := strings.Compare(a.Keys[i], b.Keys[i])
		if order.Descending {
			result = -result
		}
		if result != 0 {
			return result
		}
	}
	return strings.Compare(a.ID, b.ID)
}

// place returns the place of an entry.
func (q *question) place(entry *wire.Entry) place {
	// The values share the memory of their entry, which must not stay for the sake of a place.
	p := place{ID: strings.Clone(strings.ToLower(entry.Value(q.set.ID.Attribute)))}
	for _, order := range q.query.OrderBy {
		property := q.set.Property(order.Property)
		key := ""
		if value, ok := q.directory.on(q.set, property).value(entry); ok {
			key = strings.Clone(cut(comparable(property, value), maxSortKey))
		}
		p.Keys = append(p.Keys, key)
	}
	return p
}

// maxSortKey is how much of a text counts for its order, in bytes of the form that is compared. Cursors hold sort keys, and
// those of an order by eight properties must fit into odata.MaxCursorLength.
const maxSortKey = 192

// cut returns the beginning of a text, whole characters of it, of at most limit bytes.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// placeAttributes are the attributes that place looks at.
func (q *question) placeAttributes() []string {
	attributes := []string{q.set.ID.Attribute}
	for _, order := range q.query.OrderBy {
		attributes = append(attributes, q.directory.on(q.set, q.set.Property(order.Property)).attributes()...)
	}
	return unique(attributes)
}

// places returns the places of all entities that the query selects, in order. One that cannot be read has a place, too:
// whether it can is seen on its page.
func (q *question) places() ([]place, error) {
	var places []place
	for entry, err := range q.matching(q.placeAttributes()) {
		if err != nil {
			return nil, err
		}
		if p := q.place(entry); p.ID != "" {
			places = append(places, p)
		}
	}
	slices.SortFunc(places, q.compare)
	return places, nil
}

// page answers a query that has an order. It finds the places of all selected entities first and then reads those of
// the page, so that the cost of a page does not depend on how many pages lie before it.
func (q *question) page(ctx context.Context) (*education.Answer, error) {
	w, rest, total, err := q.remaining()
	if err != nil {
		return nil, err
	}
	answer := &education.Answer{Total: total}
	if top := q.query.Top; top != nil && len(rest) > *top {
		if rest = rest[:*top]; len(rest) > 0 {
			answer.Next = w.cursor(rest[len(rest)-1])
		}
	}
	answer.Entities = q.expanded(ctx, q.at(ctx, rest))
	return answer, nil
}

// remaining returns the places on the page that is asked for and all that follow it, and the number of all places. The
// first page begins a walk.
func (q *question) remaining() (w walk, rest []place, total int, err error) {
	lists := &q.directory.lists
	if q.query.Cursor == "" {
		w = newWalk(q)
		if rest, err = q.places(); err != nil {
			return w, nil, 0, err
		}
		total = len(rest)
		if q.query.Top != nil && total > *q.query.Top {
			lists.keep(q.party, w.ID, rest, time.Now())
		}
		return w, rest[min(q.query.Skip, total):], total, nil
	}
	w, err = parseCursor(q)
	if err != nil {
		return w, nil, 0, err
	}
	all, ok := lists.find(w.ID, time.Now())
	if !ok {
		if all, err = q.places(); err != nil {
			return w, nil, 0, err
		}
		lists.keep(q.party, w.ID, all, time.Now())
	}
	start, found := slices.BinarySearchFunc(all, w.After, q.compare)
	if found {
		start++
	}
	return w, all[start:], len(all), nil
}

// at yields the records at the given places that the query still selects, in their order.
func (q *question) at(ctx context.Context, places []place) iter.Seq2[*record, error] {
	return func(yield func(*record, error) bool) {
		for chunk := range slices.Chunk(places, chunkSize) {
			found, err := q.byID(ctx, chunk)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, place := range chunk {
				if record := found[place.ID]; record != nil && !yield(record, nil) {
					return
				}
			}
		}
	}
}

// byID reads the entities at some places.
func (q *question) byID(ctx context.Context, places []place) (map[string]*record, error) {
	wanted := make([]*wire.Filter, len(places))
	for i, place := range places {
		wanted[i] = wire.Equal(q.set.ID.Attribute, place.ID)
	}
	entries := func(filter *wire.Filter, attributes []string) iter.Seq2[*wire.Entry, error] {
		return q.entries(wire.And(anyOf(wanted), filter), attributes)
	}
	found := make(map[string]*record, len(places))
	for record, err := range q.directory.records(ctx, q.set, q.matchingAmong(entries, q.attributes())) {
		if err != nil {
			return nil, err
		}
		found[strings.ToLower(record.entity.ID())] = record
	}
	return found, nil
}
