package identity

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Config says where the entries are.
type Config struct {
	Operations Operations
	// UserBase, ClassBase and SchoolBase are the DNs below which the entries of each set are found and made.
	UserBase   string
	ClassBase  string
	SchoolBase string
	Rules      education.Rules
	// LooseMatching says that the directory prepares texts for comparison in another way than RFC 4518 asks, as LDAP servers
	// do. It is then asked for what may match, and what does is decided here.
	LooseMatching bool
	// LooseLinks says that the directory takes links to entries that do not exist. Links are then looked at again when they
	// have been made.
	LooseLinks bool
	// Plain, unless nil, reports whether the directory is one as OpenCloud sets it up, with nothing of this service's:
	// its schema has no place for unique keys, and nobody takes an entry that is deleted or renamed out of the classes
	// that name it. It may change its mind, when a server has been set up anew.
	Plain func() bool
}

// Directory is an education.Directory.
type Directory struct {
	ops     Operations
	bases   map[*education.EntitySet]string
	rules   education.Rules
	isPlain func() bool
	// loosely is Config.LooseMatching.
	loosely bool
	// looseLinks is Config.LooseLinks.
	looseLinks bool
	// lists are the orders of walks that are under way.
	lists orderedLists
	// keyless is what is known of entries without unique keys.
	keyless keyless
	// reserved are the unique keys that are about to be written to a plain directory.
	reserved  reservations
	conflicts *conflicts
	// demandsMember says that the directory has refused a class without members.
	demandsMember atomic.Bool
	malformed     *malformedEntries
}

var _ education.Directory = (*Directory)(nil)

// New returns a Directory. It fails if a base is not a DN.
func New(config Config) (*Directory, error) {
	d := &Directory{
		ops: witnessed{config.Operations}, rules: config.Rules, isPlain: config.Plain, loosely: config.LooseMatching, looseLinks: config.LooseLinks,
		bases: map[*education.EntitySet]string{
			education.Users: config.UserBase, education.Classes: config.ClassBase, education.Schools: config.SchoolBase,
		},
	}
	if d.isPlain == nil {
		d.isPlain = func() bool { return false }
	}
	for set, base := range d.bases {
		if dn, ok := parseDN(base); !ok || len(dn.RDNs) == 0 {
			return nil, fmt.Errorf("identity: the base of %s is not a DN", set.Name)
		}
	}
	var err error
	if d.conflicts, err = newConflicts(); err != nil {
		return nil, err
	}
	d.malformed, err = newMalformedEntries()
	return d, err
}

// List implements education.Directory.
func (d *Directory) List(ctx context.Context, set *education.EntitySet, query *odata.Query) (*education.Answer, error) {
	return d.answer(ctx, set, "", d.all(ctx, set), query)
}

// Get implements education.Directory.
func (d *Directory) Get(ctx context.Context, set *education.EntitySet, key education.Key, query *odata.Query) (*education.Entity, error) {
	if query == nil {
		query = &odata.Query{}
	}
	q := &question{directory: d, set: set, query: query}
	found, err := d.find(ctx, set, key, q.linkAttributes())
	if err != nil {
		return nil, err
	}
	if found.fault != nil {
		d.malformed.report(ctx, set, found.entry, found.fault)
		return nil, found.fault.shown(set)
	}
	if err := q.expand(ctx, []*record{found}); err != nil {
		return nil, err
	}
	return found.entity, nil
}

// ListRelated implements education.Directory.
func (d *Directory) ListRelated(ctx context.Context, nav *education.Navigation, owner education.Key, query *odata.Query) (*education.Answer, error) {
	var links []string
	if nav.OwnerHolds {
		links = nav.Attributes
	}
	found, err := d.find(ctx, nav.Owner, owner, links)
	if err != nil {
		return nil, err
	}
	scope := nav.Owner.Name + "/" + found.entity.ID() + "/" + nav.Name
	return d.answer(ctx, nav.Target, scope, d.related(ctx, nav, found), query)
}

// source yields the entries, among those that an answer is about, that match a filter, with the given attributes.
type source func(filter *wire.Filter, attributes []string) iter.Seq2[*wire.Entry, error]

// all is the source of all entries of a set.
func (d *Directory) all(ctx context.Context, set *education.EntitySet) source {
	return func(filter *wire.Filter, attributes []string) iter.Seq2[*wire.Entry, error] {
		return d.searchEntries(ctx, set, filter, attributes)
	}
}

// related is the source of the targets of a navigation property of an entry.
func (d *Directory) related(ctx context.Context, nav *education.Navigation, owner *record) source {
	if nav.OwnerHolds {
		return d.linked(ctx, nav, owner.entry.Values(nav.Attributes[0]))
	}
	holds := anyOf(holderFilters(nav, []*record{owner}))
	return func(filter *wire.Filter, attributes []string) iter.Seq2[*wire.Entry, error] {
		return d.searchEntries(ctx, nav.Target, wire.And(filter, holds), attributes)
	}
}

// holderFilters renders the targets that hold links to one of the owners.
func holderFilters(nav *education.Navigation, owners []*record) []*wire.Filter {
	var filters []*wire.Filter
	for _, owner := range owners {
		value := owner.entity.ID()
		if nav.ByDN {
			value = owner.entry.DN
		}
		for _, attribute := range nav.Attributes {
			filters = append(filters, wire.Equal(attribute, value))
		}
	}
	return filters
}

// linked is the source of the entries that links refer to, by id or by DN. Links that lead nowhere are left out: the
// entry may have been deleted since the link was read.
func (d *Directory) linked(ctx context.Context, nav *education.Navigation, links []string) source {
	return func(filter *wire.Filter, attributes []string) iter.Seq2[*wire.Entry, error] {
		return func(yield func(*wire.Entry, error) bool) {
			for chunk := range chunks(links) {
				targets := linkFilters(nav, chunk)
				if len(targets) == 0 {
					continue
				}
				keep := acceptLinks(nav, chunk)
				for entry, err := range d.searchEntries(ctx, nav.Target, wire.And(filter, anyOf(targets)), attributes) {
					if err == nil && !keep(entry) {
						continue
					}
					if !yield(entry, err) || err != nil {
						return
					}
				}
			}
		}
	}
}

// record is an entry together with the entity that it holds.
type record struct {
	entry  *wire.Entry
	entity *education.Entity
	// fault says that values of the entry cannot be read; the entity lacks them. Such an entity is not shown, but it
	// can be repaired, taken out of its school and deleted.
	fault *malformed
}

// errStop ends a search whose consumer has had enough.
var errStop = errors.New("stop")

// records decodes entries. One that cannot be read is logged and left out: one bad entry must not break every list.
func (d *Directory) records(ctx context.Context, set *education.EntitySet, entries iter.Seq2[*wire.Entry, error]) iter.Seq2[*record, error] {
	return func(yield func(*record, error) bool) {
		for entry, err := range entries {
			if err != nil {
				yield(nil, err)
				return
			}
			found := d.record(set, entry)
			if found.fault != nil {
				d.malformed.report(ctx, set, entry, found.fault)
				continue
			}
			if !yield(found, nil) {
				return
			}
		}
	}
}

// searchAll yields the entities of a set whose entries match the filter, also those that cannot be read, with the
// attributes of the set's table and the extra ones.
func (d *Directory) searchAll(ctx context.Context, set *education.EntitySet, filter *wire.Filter, extra []string) iter.Seq2[*record, error] {
	return func(yield func(*record, error) bool) {
		for entry, err := range d.searchEntries(ctx, set, filter, append(attributesOf(set), extra...)) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(d.record(set, entry), nil) {
				return
			}
		}
	}
}

// searchEntries yields the entries of a set that match the filter, with the given attributes.
func (d *Directory) searchEntries(ctx context.Context, set *education.EntitySet, filter *wire.Filter, attributes []string) iter.Seq2[*wire.Entry, error] {
	return func(yield func(*wire.Entry, error) bool) {
		request := d.searchRequest(ctx, set, filter, nil)
		request.Attributes = attributes
		err := d.ops.Search(ctx, request, func(entry *wire.Entry) error {
			if !yield(entry, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, searchFailed(set, err))
		}
	}
}

func (d *Directory) record(set *education.EntitySet, entry *wire.Entry) *record {
	entity, fault := d.decode(set, entry)
	return &record{entry: entry, entity: entity, fault: fault}
}

// searchFailed is translate for a search below a set's base. That the base itself does not exist means that the
// directory is not set up, or lost; it must look like neither an empty set nor an entity that has gone.
func searchFailed(set *education.EntitySet, err error) error {
	if hasCode(err, wire.ResultNoSuchObject) {
		return odata.Errorf(odata.GeneralException, set.Name, "the directory has no place for %s", set.Name).Because(err)
	}
	return translate(err)
}

// searchRequest is the one place that knows base, scope and object class of a set, and the schools that a context is confined
// to.
func (d *Directory) searchRequest(ctx context.Context, set *education.EntitySet, filter *wire.Filter, extra []string) *wire.SearchRequest {
	return &wire.SearchRequest{
		Base:       d.bases[set],
		Scope:      wire.ScopeSubtree,
		Filter:     allFilters(wire.Equal("objectClass", set.ObjectClass), filter, visible(ctx, set)),
		Attributes: append(attributesOf(set), extra...),
	}
}

// maxAmbiguous is how many of the entities that share a key are named in the error.
const maxAmbiguous = 3

// find returns the one entry of a set that has the key, in one of the versions that the key means.
func (d *Directory) find(ctx context.Context, set *education.EntitySet, key education.Key, extra []string) (*record, error) {
	request := d.searchRequest(ctx, set, d.keyFilter(set, key), extra)
	request.SizeLimit = maxAmbiguous
	wanted := d.compare(set, key.Property, odata.Eq, key.Value)
	var entries []*wire.Entry
	err := d.ops.Search(ctx, request, func(entry *wire.Entry) error {
		if holdsByAny(wanted, key.Property, entry) {
			entries = append(entries, entry)
		}
		return nil
	})
	// Beyond the limit the key is ambiguous. With fewer entries than two the limit was the directory's own.
	ambiguousKey := hasCode(err, wire.ResultSizeLimitExceeded) && len(entries) > 1
	if err != nil && !ambiguousKey {
		return nil, searchFailed(set, err)
	}
	switch len(entries) {
	case 0:
		return nil, odata.Errorf(odata.ItemNotFound, set.Name, "no such %s", set.Singular)
	case 1:
		found := d.record(set, entries[0])
		education.WitnessOf(ctx).Found(key, found.entity)
		return found, key.Means(found.entity)
	}
	d.conflicts.notice(entries)
	return nil, ambiguous(set, entries)
}

// holdsByAny reports whether a condition on a property holds for any of the values that an entry has for it. More than
// one are a fault, which is to be shown and not to look like an entity that is not there.
func holdsByAny(wanted condition, property *education.Property, entry *wire.Entry) bool {
	return slices.ContainsFunc(entry.Values(property.Attribute), func(value string) bool {
		alone := &wire.Entry{Attributes: []wire.Attribute{{Type: property.Attribute, Values: []string{value}}}}
		return wanted.holds(alone) == isTrue
	})
}

// ambiguous is the error for a key that several entries have, with their ids.
func ambiguous(set *education.EntitySet, entries []*wire.Entry) error {
	fault := odata.Errorf(odata.TooManyResults, set.Name, "the key matches more than one %s; use an id instead", set.Singular)
	for _, entry := range entries {
		id := entry.Value(set.ID.Attribute)
		fault.Details = append(fault.Details, odata.Detail{Code: fault.Code.Name, Message: "a " + set.Singular + " with this key", Target: id})
	}
	return fault
}
