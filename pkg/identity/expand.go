package identity

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// expandBatch is how many entities are expanded together. Each navigation property of a batch takes one search for each
// chunkSize links, not one for each entity.
const expandBatch = 200

// linkAttributes are the attributes of the entities themselves that their expansion looks at.
func (q *question) linkAttributes() []string {
	var attributes []string
	for _, expand := range q.query.Expand {
		if nav := education.NavigationOf(q.set, expand.Navigation); nav.OwnerHolds {
			attributes = append(attributes, nav.Attributes...)
		}
	}
	return attributes
}

// expanded yields the entities of records, with the navigation properties that the query expands.
func (q *question) expanded(ctx context.Context, records iter.Seq2[*record, error]) iter.Seq2[*education.Entity, error] {
	size := expandBatch
	if len(q.query.Expand) == 0 {
		size = 1
	}
	return func(yield func(*education.Entity, error) bool) {
		for batch, err := range batches(records, size) {
			if err == nil {
				err = q.expand(ctx, batch)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, owner := range batch {
				if !yield(q.shown(owner.entity), nil) {
					return
				}
			}
		}
	}
}

// shown returns an entity without the values that were read for something else than to be shown.
func (q *question) shown(entity *education.Entity) *education.Entity {
	if q.query.Select == nil {
		return entity
	}
	for _, property := range q.set.Properties {
		if property != q.set.ID && !slices.Contains(q.query.Select, property.Name) {
			entity.SetValue(property, nil)
		}
	}
	return entity
}

// batches yields the values of a sequence in slices. What came before an error is yielded before it.
func batches(records iter.Seq2[*record, error], size int) iter.Seq2[[]*record, error] {
	return func(yield func([]*record, error) bool) {
		var batch []*record
		for found, err := range records {
			if err != nil {
				if len(batch) == 0 || yield(batch, nil) {
					yield(nil, err)
				}
				return
			}
			if batch = append(batch, found); len(batch) == size {
				if !yield(batch, nil) {
					return
				}
				batch = nil
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

// expand gives entities the targets of the navigation properties that the query expands.
func (q *question) expand(ctx context.Context, owners []*record) error {
	for _, expand := range q.query.Expand {
		nav := education.NavigationOf(q.set, expand.Navigation)
		if err := q.directory.expand(ctx, nav, owners, expand.Query); err != nil {
			return err
		}
	}
	return nil
}

func (d *Directory) expand(ctx context.Context, nav *education.Navigation, owners []*record, query *odata.Query) error {
	selected, err := d.condition(ctx, nav.Target, query.Filter)
	if err != nil {
		return err
	}
	q := &question{directory: d, set: nav.Target, query: query, selected: selected, entries: d.relatedToAll(ctx, nav, owners)}
	targets := newLinkIndex(nav)
	attributes := unique(slices.Concat(q.attributes(), q.placeAttributes(), targets.attributes()))
	for target, err := range d.records(ctx, q.set, q.matching(attributes)) {
		if err != nil {
			return err
		}
		targets.add(target)
	}
	for _, owner := range owners {
		owner.entity.SetRelated(nav, q.arrange(targets.of(owner)))
	}
	return nil
}

// relatedToAll is the source of the targets of a navigation property of any of the owners.
func (d *Directory) relatedToAll(ctx context.Context, nav *education.Navigation, owners []*record) source {
	if nav.OwnerHolds {
		var links []string
		for _, owner := range owners {
			links = append(links, owner.entry.Values(nav.Attributes[0])...)
		}
		return d.linked(ctx, nav, unique(links))
	}
	holds := anyOf(holderFilters(nav, owners))
	return func(filter *wire.Filter, attributes []string) iter.Seq2[*wire.Entry, error] {
		return d.searchEntries(ctx, nav.Target, wire.And(filter, holds), attributes)
	}
}

// arrange returns the entities of records in the order and number that a nested query asks for.
func (q *question) arrange(targets []*record) []*education.Entity {
	if ordered(q.query) {
		slices.SortFunc(targets, func(a, b *record) int { return q.compare(q.place(a.entry), q.place(b.entry)) })
	}
	targets = targets[min(q.query.Skip, len(targets)):]
	if q.query.Top != nil {
		targets = targets[:min(*q.query.Top, len(targets))]
	}
	entities := make([]*education.Entity, len(targets))
	for i, target := range targets {
		entities[i] = q.shown(target.entity)
	}
	return entities
}

// linkIndex finds the targets of an owner among those of many.
type linkIndex struct {
	nav     *education.Navigation
	fold    func(string) string
	targets map[string][]*record
}

func newLinkIndex(nav *education.Navigation) *linkIndex {
	index := &linkIndex{nav: nav, fold: strings.ToLower, targets: make(map[string][]*record)}
	if nav.ByDN {
		index.fold = foldDN
	}
	return index
}

// attributes are those of a target that add looks at.
func (x *linkIndex) attributes() []string {
	if x.nav.OwnerHolds {
		return nil
	}
	return x.nav.Attributes
}

// add enters a target under its own name, if owners hold the links, or else under the names of the owners it links to.
func (x *linkIndex) add(target *record) {
	if x.nav.OwnerHolds {
		name := x.fold(linkValue(x.nav, target.entry))
		x.targets[name] = []*record{target}
		return
	}
	seen := make(map[string]bool)
	for _, attribute := range x.nav.Attributes {
		for _, value := range target.entry.Values(attribute) {
			if name := x.fold(value); !seen[name] {
				seen[name] = true
				x.targets[name] = append(x.targets[name], target)
			}
		}
	}
}

// of returns the targets of an owner.
func (x *linkIndex) of(owner *record) []*record {
	if !x.nav.OwnerHolds {
		name := owner.entity.ID()
		if x.nav.ByDN {
			name = owner.entry.DN
		}
		return slices.Clone(x.targets[x.fold(name)])
	}
	var found []*record
	for _, link := range owner.entry.Values(x.nav.Attributes[0]) {
		found = append(found, x.targets[x.fold(link)]...)
	}
	return found
}
