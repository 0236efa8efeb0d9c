package identity

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// An entry that another program has made, such as OpenCloud's graph service, has unique values and no unique keys. The
// directory does not see that another entry takes such a value, so whoever writes one looks for these entries first.
// Where there are none that is a search for nothing with every new entity; see docs/decisions/0014.

// keyless is what is known of entries without unique keys.
type keyless struct {
	mutex sync.Mutex
	sets  map[*education.EntitySet]*absence
}

// absence says that a set has no entry without unique keys.
type absence struct {
	// until is when that is too old to be relied on.
	until time.Time
	// ended says that there were none, and then some: somebody makes them while this service runs.
	ended bool
}

// absent reports whether a set is known to have no entry without unique keys.
func (k *keyless) absent(set *education.EntitySet, now time.Time) bool {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	known := k.sets[set]
	return known != nil && !known.ended && now.Before(known.until)
}

// note keeps the result of a look at a set, and reports whether it is the first to show that somebody makes such entries.
func (k *keyless) note(set *education.EntitySet, found bool, until time.Time) (first bool) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.sets == nil {
		k.sets = make(map[*education.EntitySet]*absence)
	}
	known := k.sets[set]
	switch {
	case known == nil && found:
		return false // They may have been there all along, and go when keys are added to them.
	case known == nil:
		k.sets[set] = &absence{until: until}
	case found:
		first = !known.ended
		known.ended = true
	default:
		known.until = until
	}
	return first
}

// LookForKeyless looks whether there are entries that have unique values and no unique keys. Where there are none, no
// writer looks for them any more for as long as validFor, so it is to be called again before that has passed. Without a
// call every writer looks. Entries that appear after a look that has found none end that for good: whoever has made them
// makes more.
func (d *Directory) LookForKeyless(ctx context.Context, validFor time.Duration) error {
	if d.isPlain() {
		return nil
	}
	for _, set := range education.EntitySets {
		until := time.Now().Add(validFor)
		found, err := d.hasKeyless(ctx, set)
		if err != nil {
			return err
		}
		d.noteKeyless(ctx, set, found, until)
	}
	return nil
}

func (d *Directory) noteKeyless(ctx context.Context, set *education.EntitySet, found bool, until time.Time) {
	if d.keyless.note(set, found, until) {
		slog.WarnContext(ctx, "another program makes entries without unique keys; from now on every write looks for them first", "set", set.Name)
	}
}

// hasKeyless reports whether a set has an entry with a unique value and without unique keys.
func (d *Directory) hasKeyless(ctx context.Context, set *education.EntitySet) (found bool, err error) {
	var values []*wire.Filter
	for _, property := range set.Properties {
		if property.Unique != education.NotUnique {
			values = append(values, wire.Present(property.Attribute))
		}
	}
	request := d.searchRequest(ctx, set, wire.And(anyOf(values), withoutKeys), nil)
	request.Attributes, request.SizeLimit = []string{wire.NoAttributes}, 1
	err = d.ops.Search(ctx, request, func(*wire.Entry) error {
		found = true
		return nil
	})
	if found {
		// That there are more is no error.
		return true, nil
	}
	if err != nil {
		return false, searchFailed(set, err)
	}
	return false, nil
}

// withoutKeys matches entries that have no unique keys.
var withoutKeys = wire.Not(wire.Present(attributeUniqueKey))

// checkKeyless refuses values that an entry without unique keys has, unless it is known that there are no such entries.
// In a plain directory no entry has keys.
func (d *Directory) checkKeyless(ctx context.Context, entity *education.Entity, keys []uniqueKey) error {
	if !d.isPlain() && d.keyless.absent(entity.Set, time.Now()) {
		return nil
	}
	return d.takenWithoutKey(ctx, entity, keys)
}

// takenWithoutKey finds an entry without unique keys, or any entry of a plain directory, that has one of the values
// that an entity's keys stand for. It returns nil if there is none.
func (d *Directory) takenWithoutKey(ctx context.Context, entity *education.Entity, keys []uniqueKey) error {
	var filters []*wire.Filter
	for _, key := range keys {
		if key.property != nil {
			same, _ := d.compare(entity.Set, key.property, odata.Eq, entity.Text(key.property.Name)).filter(true)
			filters = append(filters, same)
		}
	}
	if len(filters) == 0 {
		return nil
	}
	filter := anyOf(filters)
	if !d.isPlain() {
		filter = wire.And(filter, withoutKeys)
	}
	// Also an entry that cannot be read has its values, and one of another tenant.
	for other, err := range d.searchAll(access.AsProcess(ctx), entity.Set, filter, []string{attributeMemberOfSchool}) {
		if err != nil {
			return err
		}
		if strings.EqualFold(other.entity.ID(), entity.ID()) {
			continue
		}
		if property := d.sharedKey(other, keys); property != nil {
			return alreadyTaken(entity.Set, property)
		}
	}
	return nil
}

// sharedKey returns the property of a key that an entry would have as well if it had any, for each of its values.
func (d *Directory) sharedKey(other *record, keys []uniqueKey) *education.Property {
	schools := other.entry.Values(attributeMemberOfSchool)
	for _, property := range other.entity.Set.Properties {
		for _, value := range other.entry.Values(property.Attribute) {
			alone := education.NewEntity(other.entity.Set)
			alone.SetValue(property, value)
			for _, theirs := range d.keysOf(alone, schools) {
				if slices.ContainsFunc(keys, func(key uniqueKey) bool { return key.text == theirs.text }) {
					return property
				}
			}
		}
	}
	return nil
}
