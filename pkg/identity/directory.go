package identity

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"

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
}

// Directory is an education.Directory.
type Directory struct {
	ops   Operations
	bases map[*education.EntitySet]string
	rules education.Rules
}

var _ education.Directory = (*Directory)(nil)

// New returns a Directory. It fails if a base is not a DN.
func New(config Config) (*Directory, error) {
	d := &Directory{ops: config.Operations, rules: config.Rules, bases: map[*education.EntitySet]string{
		education.Users: config.UserBase, education.Classes: config.ClassBase, education.Schools: config.SchoolBase,
	}}
	for set, base := range d.bases {
		if dn, ok := parseDN(base); !ok || len(dn.RDNs) == 0 {
			return nil, fmt.Errorf("identity: the base of %s is not a DN", set.Name)
		}
	}
	return d, nil
}

// List implements education.Directory.
func (d *Directory) List(ctx context.Context, set *education.EntitySet, query *odata.Query) iter.Seq2[*education.Entity, error] {
	return d.entities(ctx, set, d.filterOf(set, query))
}

// Get implements education.Directory.
func (d *Directory) Get(ctx context.Context, set *education.EntitySet, key education.Key) (*education.Entity, error) {
	found, err := d.find(ctx, set, key, nil)
	if err != nil {
		return nil, err
	}
	if found.fault != nil {
		return nil, odata.Errorf(odata.GeneralException, set.Name, "the %s cannot be read from the directory", set.Singular).Because(found.fault)
	}
	return found.entity, nil
}

// ListRelated implements education.Directory.
func (d *Directory) ListRelated(ctx context.Context, nav *education.Navigation, owner education.Key, query *odata.Query) iter.Seq2[*education.Entity, error] {
	return func(yield func(*education.Entity, error) bool) {
		var links []string
		if nav.OwnerHolds {
			links = nav.Attributes
		}
		found, err := d.find(ctx, nav.Owner, owner, links)
		if err != nil {
			yield(nil, err)
			return
		}
		for entity, err := range d.related(ctx, nav, found, query) {
			if !yield(entity, err) {
				return
			}
		}
	}
}

// related yields the targets of a navigation property of an entry that has been found.
func (d *Directory) related(ctx context.Context, nav *education.Navigation, owner *record, query *odata.Query) iter.Seq2[*education.Entity, error] {
	filter := d.filterOf(nav.Target, query)
	if nav.OwnerHolds {
		return d.linked(ctx, nav, owner.entry.Values(nav.Attributes[0]), filter)
	}
	value := owner.entity.ID()
	if nav.ByDN {
		value = owner.entry.DN
	}
	var holders []*wire.Filter
	for _, attribute := range nav.Attributes {
		holders = append(holders, wire.Equal(attribute, value))
	}
	return d.entities(ctx, nav.Target, wire.And(filter, anyOf(holders)))
}

// linked yields the entities of a set that links refer to, by id or by DN. Links that lead nowhere are left out: the
// entry may have been deleted since the link was read.
func (d *Directory) linked(ctx context.Context, nav *education.Navigation, links []string, filter *wire.Filter) iter.Seq2[*education.Entity, error] {
	return func(yield func(*education.Entity, error) bool) {
		for chunk := range chunks(links) {
			targets := linkFilters(nav, chunk)
			if len(targets) == 0 {
				continue
			}
			keep := acceptLinks(nav, chunk)
			for found, err := range d.search(ctx, nav.Target, wire.And(filter, anyOf(targets)), nil) {
				if err == nil && !keep(found.entry) {
					continue
				}
				if err != nil {
					yield(nil, err)
					return
				}
				if !yield(found.entity, nil) {
					return
				}
			}
		}
	}
}

// entities yields the entities of a set whose entries match the filter.
func (d *Directory) entities(ctx context.Context, set *education.EntitySet, filter *wire.Filter) iter.Seq2[*education.Entity, error] {
	return func(yield func(*education.Entity, error) bool) {
		for found, err := range d.search(ctx, set, filter, nil) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(found.entity, nil) {
				return
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
	fault error
}

// errStop ends a search whose consumer has had enough.
var errStop = errors.New("stop")

// search yields the entries of a set that match the filter, with the attributes of the set's table and the extra ones.
// An entry that cannot be read is logged and left out: one bad entry must not break every list.
func (d *Directory) search(ctx context.Context, set *education.EntitySet, filter *wire.Filter, extra []string) iter.Seq2[*record, error] {
	return func(yield func(*record, error) bool) {
		for found, err := range d.searchAll(ctx, set, filter, extra) {
			if err == nil && found.fault != nil {
				slog.WarnContext(ctx, "entry left out of a list", "dn", found.entry.DN, "reason", found.fault)
				continue
			}
			if !yield(found, err) {
				return
			}
		}
	}
}

// searchAll is search with the entries that cannot be read.
func (d *Directory) searchAll(ctx context.Context, set *education.EntitySet, filter *wire.Filter, extra []string) iter.Seq2[*record, error] {
	return func(yield func(*record, error) bool) {
		err := d.ops.Search(ctx, d.searchRequest(set, filter, extra), func(entry *wire.Entry) error {
			if !yield(d.record(set, entry), nil) {
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
	entity, err := d.decode(set, entry)
	return &record{entry: entry, entity: entity, fault: err}
}

// searchFailed is translate for a search below a set's base. That the base itself does not exist means that the
// directory is not set up, or lost; it must look like neither an empty set nor an entity that has gone.
func searchFailed(set *education.EntitySet, err error) error {
	if hasCode(err, wire.ResultNoSuchObject) {
		return odata.Errorf(odata.GeneralException, set.Name, "the directory has no place for %s", set.Name).Because(err)
	}
	return translate(err)
}

// searchRequest is the one place that knows base, scope and object class of a set.
func (d *Directory) searchRequest(set *education.EntitySet, filter *wire.Filter, extra []string) *wire.SearchRequest {
	return &wire.SearchRequest{
		Base:       d.bases[set],
		Scope:      wire.ScopeSubtree,
		Filter:     wire.And(wire.Equal("objectClass", set.ObjectClass), filter),
		Attributes: append(attributesOf(set), extra...),
	}
}

// maxAmbiguous is how many of the entities that share a key are named in the error.
const maxAmbiguous = 3

// find returns the one entry of a set that has the key.
func (d *Directory) find(ctx context.Context, set *education.EntitySet, key education.Key, extra []string) (*record, error) {
	request := d.searchRequest(set, d.keyFilter(set, key), extra)
	request.SizeLimit = maxAmbiguous
	var entries []*wire.Entry
	err := d.ops.Search(ctx, request, func(entry *wire.Entry) error {
		entries = append(entries, entry)
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
		return d.record(set, entries[0]), nil
	}
	return nil, ambiguous(set, entries)
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
