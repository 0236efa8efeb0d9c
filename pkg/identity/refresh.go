package identity

import (
	"context"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// RefreshKeys gives every entity the unique keys that the rules ask for. It is called when the rules have changed since
// the keys were written: a key protects a value within the scope that it names and no other. Where two entities claim
// one key now, the later one stays without it and the log says so. It returns how many entities it changed; it can be
// repeated after an error.
func (d *Directory) RefreshKeys(ctx context.Context) (int, error) {
	changed := 0
	if d.isPlain() {
		return changed, nil
	}
	for _, set := range education.EntitySets {
		var ids []string
		for found, err := range d.searchAll(ctx, set, everything, nil) {
			if err != nil {
				return changed, err
			}
			ids = append(ids, found.entity.ID())
		}
		for _, id := range ids {
			refreshed, err := d.refresh(ctx, set, education.Key{Property: set.ID, Value: id})
			if err != nil && !odata.Is(err, odata.ItemNotFound) {
				return changed, err
			}
			if refreshed {
				changed++
			}
		}
	}
	return changed, nil
}

// refresh gives one entity its keys and reports whether it had others.
func (d *Directory) refresh(ctx context.Context, set *education.EntitySet, key education.Key) (bool, error) {
	return attempts(ctx, func() (bool, error) {
		found, err := d.find(ctx, set, key, forUpdate(&education.Change{}))
		if err != nil {
			return false, err
		}
		p := &plan{record: found, next: found.entity}
		p.setKeys(d.keysOf(found.entity, found.entry.Values(attributeMemberOfSchool)), func(*education.Property) bool { return false })
		have := found.entry.Values(attributeUniqueKey)
		if want := keyTexts(p.keys); len(without(want, have)) == 0 && len(have) == len(want)+min(1, len(revisionOf(set, have))) {
			return false, nil
		}
		if _, err = d.modify(ctx, p, found.entry.DN, nil); err != nil {
			return false, d.whyNotChanged(ctx, p, err)
		}
		return true, nil
	})
}
