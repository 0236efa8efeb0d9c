package identity

import (
	"context"
	"hash/maphash"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// No two entries have a unique key in common on one server. On two that replicate each other and both take writes, each can
// give one key to an entry of its own before it hears of the other's, and replication then brings both entries to both
// servers (slapo-unique lets replication pass). The rule for that is that the older entry keeps the key
// (docs/decisions/0013).

// attributeCreated is when an entry was made.
var attributeCreated = education.Users.Property("createdDateTime").Attribute

// conflicts counts unique keys that several entries had, and wakes whoever looks for them.
type conflicts struct {
	counter metric.Int64Counter
	// seen is sent to when a request has met a conflict.
	seen chan struct{}
}

func newConflicts() (*conflicts, error) {
	counter, err := otel.Meter("github.com/opencloud-eu/education/pkg/identity").Int64Counter("education.unique_key.conflicts",
		metric.WithDescription("Entities that have lost a unique key to an older one, by entity set."), metric.WithUnit("{entity}"))
	return &conflicts{counter: counter, seen: make(chan struct{}, 1)}, err
}

// notice wakes whoever looks for conflicts if entries have a unique key in common.
func (c *conflicts) notice(entries []*wire.Entry) {
	met := make(map[string]bool)
	for _, entry := range entries {
		for _, key := range entry.Values(attributeUniqueKey) {
			if met[key] {
				select {
				case c.seen <- struct{}{}:
				default:
				}
				return
			}
			met[key] = true
		}
	}
}

// WatchConflicts settles conflicts about unique keys until ctx ends: at once, then when a request has met one, and otherwise
// once in every interval.
func (d *Directory) WatchConflicts(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if _, err := d.SettleConflicts(ctx); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "the unique keys could not be checked for conflicts", "cause", err)
		}
		select {
		case <-ctx.Done():
		case <-d.conflicts.seen:
		case <-ticker.C:
		}
	}
}

// SettleConflicts finds unique keys that several entries have, and takes them away from all but the oldest: the first by
// createTimestamp, and of those made in the same second the one with the smallest id. An entity that loses a key is
// reported. It keeps everything else, so that the value can still be read, and asking for it is ambiguous until somebody
// changes or deletes one of the entities. The result is how many entities have lost keys. It may run in several processes at
// the same time, and be repeated after an error.
func (d *Directory) SettleConflicts(ctx context.Context) (int, error) {
	settled := 0
	if d.isPlain() {
		return settled, nil
	}
	for _, set := range education.EntitySets {
		shared, err := d.sharedKeys(ctx, set)
		if err != nil {
			return settled, err
		}
		for _, key := range shared {
			losers, err := d.settle(ctx, set, key)
			settled += losers
			if err != nil {
				return settled, err
			}
		}
	}
	return settled, nil
}

// sharedKeys returns the unique keys that more than one entry of a set seems to have.
func (d *Directory) sharedKeys(ctx context.Context, set *education.EntitySet) ([]string, error) {
	// Of each key a hash is kept, which is a fraction of its text. Two keys with one hash cost a search.
	seed := maphash.MakeSeed()
	met := make(map[uint64]struct{})
	var shared []string
	attributes := []string{attributeUniqueKey}
	for entry, err := range d.searchEntries(ctx, set, wire.Present(attributeUniqueKey), attributes) {
		if err != nil {
			return nil, err
		}
		for _, key := range entry.Values(attributeUniqueKey) {
			hash := maphash.String(seed, key)
			if _, known := met[hash]; known && !slices.Contains(shared, key) {
				shared = append(shared, strings.Clone(key))
			}
			met[hash] = struct{}{}
		}
	}
	return shared, nil
}

// settle takes a unique key away from all entries but the oldest, and returns how many have lost it.
func (d *Directory) settle(ctx context.Context, set *education.EntitySet, key string) (int, error) {
	var holders []*wire.Entry
	attributes := []string{attributeID, attributeUniqueKey, attributeCreated}
	for entry, err := range d.searchEntries(ctx, set, wire.Equal(attributeUniqueKey, key), attributes) {
		if err != nil {
			return 0, err
		}
		holders = append(holders, entry)
	}
	if len(holders) < 2 {
		return 0, nil
	}
	slices.SortFunc(holders, older)
	lost := 0
	for _, loser := range holders[1:] {
		taken, err := d.takeKey(ctx, set, loser, key)
		if err != nil {
			return lost, err
		}
		if taken {
			lost++
			d.conflicts.counter.Add(ctx, 1, metric.WithAttributes(attribute.String("set", set.Name)))
			slog.WarnContext(ctx, "two entities had the same unique value, and the older one keeps the right to it", "set", set.Name,
				"property", propertyOfKey(set, key), "keeps", holders[0].Value(attributeID), "loses", loser.Value(attributeID))
		}
	}
	return lost, nil
}

// older compares the entries that two servers made.
func older(a, b *wire.Entry) int {
	return ageOf(a).compare(ageOf(b))
}

// age is what says which of several entries is the oldest.
type age struct{ created, id string }

func ageOf(entry *wire.Entry) age {
	return age{created: entry.Value(attributeCreated), id: strings.ToLower(entry.Value(attributeID))}
}

// compare compares by time, and then by id.
func (a age) compare(b age) int {
	left, leftKnown := match.ParseGeneralizedTime(a.created)
	right, rightKnown := match.ParseGeneralizedTime(b.created)
	if leftKnown && rightKnown && !left.Equal(right) {
		return left.Compare(right)
	}
	return strings.Compare(a.id, b.id)
}

// takeKey takes a unique key away from an entry, unless somebody else is doing so. The revision makes sure that whoever is
// changing the entry works it out anew.
func (d *Directory) takeKey(ctx context.Context, set *education.EntitySet, entry *wire.Entry, key string) (bool, error) {
	have := entry.Values(attributeUniqueKey)
	want := without(have, []string{key})
	if revision := revisionOf(set, have); revision != "" {
		entity, err := d.decode(set, entry)
		if err != nil {
			return false, err
		}
		want = append(without(want, []string{revision}), nextRevision(entity, revision))
	}
	_, err := d.ops.Modify(ctx, &wire.ModifyRequest{DN: entry.DN, Changes: changeKeys(have, want)})
	if hasCode(err, wire.ResultNoSuchAttribute, wire.ResultNoSuchObject, wire.ResultAttributeOrValueExists) {
		return false, nil
	}
	return err == nil, translate(err)
}

// propertyOfKey names the property that a unique key protects.
func propertyOfKey(set *education.EntitySet, key string) string {
	for _, property := range set.Properties {
		if property.UniqueName != "" && strings.HasPrefix(key, set.Singular+"/"+property.UniqueName+"/") {
			return property.Name
		}
	}
	return ""
}
