package identity

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// maxAttempts is how often a write is worked out anew when another writer has changed the entry in between. After the
// first few, each waits a random while up to maxPause, so that many writers of one entry do not stay in step.
const (
	maxAttempts   = 40
	hastyAttempts = 4
	maxPause      = 20 * time.Millisecond
)

// errOutdated ends an attempt that was made on outdated data. errRefused ends one that was refused either for that or for
// a reason of the directory's own; which of them it was, the next attempt shows.
var (
	errOutdated = odata.Errorf(odata.ServiceNotAvailable, "", "others keep changing the same entity; try again")
	errRefused  = odata.Errorf(odata.InvalidRequest, "", "the directory refuses one of the values")
)

// worthAnother reports whether an attempt ended with an error that asks for another one.
func worthAnother(err error) bool {
	return err == errOutdated || err == errRefused //nolint:errorlint // sentinels of this package
}

// attempts runs a write until it is not outdated.
func attempts[T any](ctx context.Context, write func() (T, error)) (T, error) {
	var result T
	err := error(errOutdated)
	for attempt := range maxAttempts {
		if result, err = write(); !worthAnother(err) {
			return result, err
		}
		if attempt >= hastyAttempts {
			time.Sleep(rand.N(maxPause))
		}
		if ctx.Err() != nil {
			return result, translate(ctx.Err())
		}
	}
	return result, err
}

// Create implements education.Directory.
func (d *Directory) Create(ctx context.Context, set *education.EntitySet, change *education.Change) (*education.Entity, error) {
	if err := mayWrite(ctx, set); err != nil {
		return nil, err
	}
	change, err := inTenant(ctx, change)
	if err != nil {
		return nil, err
	}
	hash, err := d.hash(ctx, change)
	if err != nil {
		return nil, err
	}
	return attempts(ctx, func() (*education.Entity, error) { return d.create(ctx, set, change, hash) })
}

func (d *Directory) create(ctx context.Context, set *education.EntitySet, change *education.Change, hash string) (*education.Entity, error) {
	n, err := d.newcomer(ctx, set, change)
	if err != nil {
		return nil, err
	}
	if d.isPlain() {
		defer d.reserved.take(n.keys)()
	}
	if err := d.admit(ctx, n); err != nil {
		return nil, err
	}
	request := d.addRequest(n, hash)
	education.WitnessOf(ctx).Found(education.Key{}, n.entity)
	entry, err := d.add(ctx, set, request)
	if hasCode(err, wire.ResultConstraintViolation, wire.ResultEntryAlreadyExists) {
		return nil, d.whyNotAdded(ctx, n.entity, n.keys)
	}
	if err != nil {
		return nil, translate(err)
	}
	dn := request.DN
	if entry != nil {
		dn = entry.DN // What lies between may have given the entry a name of its own.
	}
	if err := d.settleAll(ctx, dn, n.entity.ID(), n.links); err != nil {
		return nil, err
	}
	return d.written(ctx, set, dn, entry)
}

// newcomer is an entity that has no entry yet.
type newcomer struct {
	entity *education.Entity
	// chosen says that the client has chosen the id.
	chosen bool
	links  []*resolvedLink
	// schools are the ids among the links.
	schools []string
	keys    []uniqueKey
}

// newcomer works out the entity that a change describes, and what it links to.
func (d *Directory) newcomer(ctx context.Context, set *education.EntitySet, change *education.Change) (*newcomer, error) {
	entity, err := newEntity(set, change)
	if err != nil {
		return nil, err
	}
	n := &newcomer{entity: entity}
	_, n.chosen = change.Value(set.ID)
	for _, link := range change.Links {
		resolved, err := d.resolveLink(ctx, link)
		if err != nil {
			return nil, err
		}
		n.links = append(n.links, resolved)
		if link.Navigation.Attributes[0] == attributeMemberOfSchool {
			n.schools = resolved.values
		}
	}
	n.keys = d.keysOf(entity, n.schools)
	return n, nil
}

// admit refuses a newcomer for what the directory itself will not see when its entry is added.
func (d *Directory) admit(ctx context.Context, n *newcomer) error {
	if n.chosen {
		if err := d.takeID(ctx, n.entity); err != nil {
			return err
		}
	}
	if err := d.checkCreate(ctx, n.entity, n.schools); err != nil {
		return err
	}
	if outsideSchools(n.entity, n.schools) && !d.isPlain() {
		return nil // For the one unique value of a class outside any school, checkCreate has looked everywhere.
	}
	return d.checkKeyless(ctx, n.entity, n.keys)
}

// addRequest returns the Add that makes a newcomer's entry.
func (d *Directory) addRequest(n *newcomer, hash string) *wire.AddRequest {
	set := n.entity.Set
	attributes := d.newEntry(n.entity, hash)
	for _, link := range n.links {
		attributes = append(attributes, wire.Attribute{Type: link.nav.Attributes[0], Values: link.values})
	}
	if !d.isPlain() {
		attributes = append(attributes, wire.Attribute{Type: attributeUniqueKey, Values: append(keyTexts(n.keys), revisionNumbered(n.entity, 0))})
	}
	dn := rdn(set.ID.Attribute, n.entity.ID()) + "," + d.bases[set]
	return &wire.AddRequest{DN: dn, Attributes: attributes, PostRead: attributesOf(set)}
}

// newEntity returns the entity that a change describes, with the id it asks for or a new one. A version 7 UUID grows
// with time, which keeps a directory's indexes together.
func newEntity(set *education.EntitySet, change *education.Change) (*education.Entity, error) {
	entity := education.NewEntity(set)
	for _, property := range set.Properties {
		value, given := change.Value(property)
		if !given || property.Access == education.WriteOnly {
			continue
		}
		if err := checkDistinct(property, value); err != nil {
			return nil, err
		}
		entity.SetValue(property, value)
	}
	if entity.ID() == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, odata.Errorf(odata.GeneralException, "", "internal error").Because(err)
		}
		entity.SetValue(set.ID, id.String())
	}
	entity.SetValue(set.ID, strings.ToLower(entity.ID()))
	return entity, nil
}

// hash returns the password hash for a change that sets a password, and otherwise the empty string.
func (d *Directory) hash(ctx context.Context, change *education.Change) (string, error) {
	for _, property := range change.Set.Properties {
		value, _ := change.Value(property)
		if password, ok := value.(education.Password); ok {
			hash, err := d.ops.HashPassword(ctx, string(password))
			return hash, translate(err)
		}
	}
	return "", nil
}

// checkCreate looks at what unique keys cannot say. A class that is made outside any school must not have an externalId
// that a class of a school has: a nightly script that makes classes and takes 409 for "there already" would otherwise
// breed a second one the day somebody puts the first into a school.
func (d *Directory) checkCreate(ctx context.Context, entity *education.Entity, schools []string) error {
	if d.oneSchool(entity.Set) && len(schools) > 1 {
		return oneSchoolOnly(entity.Set)
	}
	property := entity.Set.HumanKey
	externalID := entity.Text(property.Name)
	if !outsideSchools(entity, schools) || externalID == "" {
		return nil
	}
	_, err := d.find(access.AsProcess(ctx), entity.Set, education.Key{Property: property, Value: externalID}, nil)
	switch {
	case odata.Is(err, odata.ItemNotFound):
		return nil
	case err == nil, odata.Is(err, odata.TooManyResults):
		return alreadyTaken(entity.Set, property)
	}
	return err
}

// outsideSchools reports whether an entity is a class outside any school.
func outsideSchools(entity *education.Entity, schools []string) bool {
	return entity.Set == education.Classes && len(schools) == 0
}

// whyNotAdded finds out why the directory refused a new entry: a unique key or the id is taken, or an entity it links
// to has gone since it was looked up, which the next attempt will find.
func (d *Directory) whyNotAdded(ctx context.Context, entity *education.Entity, keys []uniqueKey) error {
	if fault := d.taken(ctx, entity.Set, keys, ""); fault != nil {
		return fault
	}
	if fault := d.takenWithoutKey(ctx, entity, keys); fault != nil {
		return fault
	}
	if fault := d.checkID(ctx, entity); fault != nil {
		return fault
	}
	return errRefused
}

// checkID refuses an id that an entity of any set has. No two entries of one set are named by the same id; that it is
// unique among all sets, not every directory sees to.
func (d *Directory) checkID(ctx context.Context, entity *education.Entity) error {
	ctx = access.AsProcess(ctx)
	errs := make([]error, len(education.EntitySets))
	var searches sync.WaitGroup
	for i, set := range education.EntitySets {
		searches.Go(func() { _, errs[i] = d.find(ctx, set, education.Key{Property: set.ID, Value: entity.ID()}, nil) })
	}
	searches.Wait()
	for _, err := range errs {
		if err == nil {
			return alreadyTaken(entity.Set, entity.Set.ID)
		}
		if !odata.Is(err, odata.ItemNotFound) {
			return err
		}
	}
	return nil
}

// written returns the entity as it is after a write: from the write's own answer if the directory gave one, since a
// second look may reach another server, and otherwise by reading the entry. That it cannot be read, because the directory
// is not there any more, has failed over to a server that does not have the entry yet, or because somebody has deleted
// it, must look like neither a write that failed nor an entity that never was.
func (d *Directory) written(ctx context.Context, set *education.EntitySet, dn string, entry *wire.Entry) (*education.Entity, error) {
	if entry == nil {
		err := d.ops.Search(ctx, &wire.SearchRequest{
			Base: dn, Scope: wire.ScopeBase, Filter: everything, Attributes: attributesOf(set),
		}, func(read *wire.Entry) error {
			entry = read
			return nil
		})
		if err != nil || entry == nil {
			return nil, madeBut(set, fmt.Sprintf("the %s could not be read afterwards", set.Singular), err)
		}
	}
	entity, fault := d.decode(set, entry)
	if fault != nil {
		d.malformed.report(ctx, set, entry, fault)
	}
	return entity, nil
}

// unique returns the values without repetitions, in their order.
func unique(values []string) []string {
	seen := make(map[string]bool, len(values))
	kept := values[:0]
	for _, value := range values {
		if !seen[value] {
			seen[value] = true
			kept = append(kept, value)
		}
	}
	return kept
}
