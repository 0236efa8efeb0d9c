package identity

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// AddRef implements education.Directory.
func (d *Directory) AddRef(ctx context.Context, nav *education.Navigation, owner, target education.Key) error {
	_, err := attempts(ctx, func() (struct{}, error) {
		from, to, err := d.ends(ctx, nav, owner, target)
		if err == nil {
			err = d.rules.CheckOpen(from.entity)
		}
		if err != nil {
			return struct{}{}, err
		}
		holder, value := held(nav, from, to)
		if err := d.mayChange(ctx, holder); err != nil {
			return struct{}{}, err
		}
		if value == "" {
			// The school has been found by another key.
			return struct{}{}, (&malformed{education.Schools.ID, "is missing"}).shown(education.Schools)
		}
		if err = d.addLink(ctx, nav, holder, value); err == nil {
			err = d.settleRef(ctx, nav, from, to)
		}
		return struct{}{}, err
	})
	return err
}

// RemoveRef implements education.Directory.
func (d *Directory) RemoveRef(ctx context.Context, nav *education.Navigation, owner, target education.Key) error {
	_, err := attempts(ctx, func() (struct{}, error) {
		from, to, err := d.ends(ctx, nav, owner, target)
		if err != nil {
			return struct{}{}, err
		}
		holder, value := held(nav, from, to)
		if err := d.mayChange(ctx, holder); err != nil {
			return struct{}{}, err
		}
		removed, err := d.removeLink(ctx, nav, holder, value)
		if err == nil && !removed && (!nav.SilentRemoval || !d.rules.Compatible) {
			err = odata.Errorf(odata.ItemNotFound, nav.Name, "the %s is not among the %s of the %s", nav.Target.Singular, nav.Name, nav.Owner.Singular)
		}
		return struct{}{}, err
	})
	return err
}

// ends finds both entries of a link, side by side. Of two errors the owner's counts. Schools and keys are read with the
// entries, but not members: a class may have many thousands.
func (d *Directory) ends(ctx context.Context, nav *education.Navigation, owner, target education.Key) (from, to *record, err error) {
	extra := []string{"objectClass", attributeUniqueKey, attributeMemberOfSchool}
	var missing error
	var search sync.WaitGroup
	search.Go(func() { to, missing = d.find(ctx, nav.Target, target, extra) })
	from, err = d.find(ctx, nav.Owner, owner, extra)
	search.Wait()
	return from, to, cmp.Or(err, missing)
}

// held returns the entry that holds the link between two, and the value that it holds.
func held(nav *education.Navigation, owner, target *record) (holder *record, value string) {
	if nav.OwnerHolds {
		return owner, linkValue(nav, target.entry)
	}
	return target, linkValue(nav, owner.entry)
}

// addLink adds a link to the entry that holds it.
func (d *Directory) addLink(ctx context.Context, nav *education.Navigation, holder *record, value string) error {
	p := &plan{record: holder, next: holder.entity}
	if nav.ByDN {
		p.add(nav.Attributes[0], []string{value})
	} else {
		schools := holder.entry.Values(attributeMemberOfSchool)
		if containsFold(schools, value) {
			return nil
		}
		if d.oneSchool(holder.entity.Set) && len(schools) > 0 {
			if err := d.leaveGone(ctx, nav, p, schools); err != nil {
				return err
			}
			schools = nil
		}
		p.add(attributeMemberOfSchool, []string{value})
		p.guarded = true
		p.setKeys(d.keysOf(holder.entity, append(slices.Clone(schools), value)), func(*education.Property) bool { return true })
	}
	_, err := d.modifyLink(ctx, nav, p)
	switch {
	case err == nil, nav.ByDN && hasCode(err, wire.ResultAttributeOrValueExists):
		return nil
	}
	return d.whyNotChanged(ctx, p, err)
}

// leaveGone plans to take an entity, which may be in one school only, out of schools that have gone. One that has not is in the
// way of the one that nav is to link it to.
func (d *Directory) leaveGone(ctx context.Context, nav *education.Navigation, p *plan, schools []string) error {
	set := p.next.Set
	var gone []string
	if d.looseLinks {
		var err error
		if gone, err = d.gone(access.AsProcess(ctx), membershipOf(set), schools); err != nil {
			return err
		}
	}
	if len(gone) < len(schools) {
		return odata.Errorf(odata.Conflict, nav.Name,
			"the %s is in another school; remove it there first, or move it with schools@odata.bind in a PATCH", set.Singular)
	}
	for _, school := range gone {
		p.remove(attributeMemberOfSchool, school)
	}
	return nil
}

// removeLink removes a link from the entry that holds it and reports whether there was one.
func (d *Directory) removeLink(ctx context.Context, nav *education.Navigation, holder *record, value string) (bool, error) {
	p := &plan{record: holder, next: holder.entity}
	p.remove(nav.Attributes[0], value)
	if !nav.ByDN {
		schools := holder.entry.Values(attributeMemberOfSchool)
		if !containsFold(schools, value) {
			return false, nil
		}
		if err := mayLeave(ctx, holder); err != nil {
			return false, err
		}
		// Two schools may each have had a user 4711; outside of any school only one of them can hold the key for it.
		// Leaving a school is never refused for that, so all new keys are optional.
		rest := slices.DeleteFunc(slices.Clone(schools), func(id string) bool { return strings.EqualFold(id, value) })
		p.guarded = true
		p.setKeys(d.keysOf(p.next, rest), func(*education.Property) bool { return false })
	}
	_, err := d.modifyLink(ctx, nav, p)
	switch {
	case err == nil:
		return true, nil
	case nav.ByDN && hasCode(err, wire.ResultNoSuchAttribute):
		return false, nil
	}
	return false, d.whyNotChanged(ctx, p, err)
}

// modifyLink makes the Modify of a plan that changes a link. A link by DN does not touch the keys.
func (d *Directory) modifyLink(ctx context.Context, nav *education.Navigation, p *plan) (*wire.Entry, error) {
	if nav.ByDN {
		return d.modifyMembers(ctx, &wire.ModifyRequest{
			DN: p.record.entry.DN, Changes: p.changes, Assertion: d.stillOwn(ctx, p.record),
		})
	}
	return d.modify(ctx, p, p.record.entry.DN, nil)
}

func (p *plan) remove(attribute, value string) {
	p.changes = append(p.changes, wire.Change{
		Operation: wire.ChangeDelete, Attribute: wire.Attribute{Type: attribute, Values: []string{value}},
	})
}

func containsFold(values []string, value string) bool {
	return slices.ContainsFunc(values, func(other string) bool { return strings.EqualFold(other, value) })
}

// Delete implements education.Directory.
func (d *Directory) Delete(ctx context.Context, set *education.EntitySet, key education.Key) error {
	if err := mayWrite(ctx, set); err != nil {
		return err
	}
	if set == education.Schools {
		return d.deleteSchool(ctx, key)
	}
	_, err := attempts(ctx, func() (struct{}, error) {
		found, err := d.findToDelete(ctx, set, key)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, d.deleteEntry(ctx, found, key)
	})
	return err
}

// findToDelete returns an entry that may be deleted.
func (d *Directory) findToDelete(ctx context.Context, set *education.EntitySet, key education.Key) (*record, error) {
	found, err := d.find(ctx, set, key, []string{attributeMemberOfSchool})
	if err == nil {
		err = d.mayChange(ctx, found)
	}
	if err == nil {
		err = d.rules.CheckDeletion(found.entity)
	}
	return found, err
}

// deleteSchool takes everybody out of a school and deletes it.
func (d *Directory) deleteSchool(ctx context.Context, key education.Key) error {
	wanted := key
	if key.Versions != nil {
		id, err := d.claim(ctx, key)
		if err != nil {
			return d.finishDeletion(ctx, wanted, err)
		}
		key = education.Key{Property: education.Schools.ID, Value: id}
	}
	id, err := attempts(ctx, func() (string, error) {
		found, err := d.findToDelete(ctx, education.Schools, key)
		if err != nil {
			return "", err
		}
		id := found.entry.Value(attributeID)
		if err := d.detachAll(ctx, id); err != nil {
			return "", err
		}
		return id, d.deleteEntry(ctx, found, key)
	})
	switch {
	case err != nil:
		return d.finishDeletion(ctx, wanted, err)
	case !d.looseLinks:
		return nil
	}
	// Those who were put into the school while it was deleted.
	if err := d.detachLate(ctx, id); err != nil {
		return madeBut(education.Schools, "somebody may have been put into the school meanwhile, whom the same request by id takes out", err)
	}
	return nil
}

// claim decides, by a write of its own, whether a school that is to be deleted is in a version that the key means, before
// anybody is taken out of it. It returns the school's id.
func (d *Directory) claim(ctx context.Context, key education.Key) (string, error) {
	return attempts(ctx, func() (string, error) {
		found, err := d.find(ctx, education.Schools, key, forUpdate(&education.Change{}))
		if err == nil {
			err = d.rules.CheckDeletion(found.entity)
		}
		if err != nil {
			return "", err
		}
		p := &plan{record: found, next: found.entity}
		p.setKeys(d.keysOf(found.entity, nil), func(*education.Property) bool { return false })
		p.keepTo(key)
		if _, err = d.modify(ctx, p, found.entry.DN, nil); err != nil {
			return "", d.whyNotChanged(ctx, p, err)
		}
		return found.entity.ID(), nil
	})
}

// deleteEntry deletes an entry in the version that was read, if the key means that one and no others.
func (d *Directory) deleteEntry(ctx context.Context, found *record, key education.Key) error {
	set := found.entity.Set
	if key.Versions == nil {
		if err := d.follow(ctx, set, found.entry.DN, ""); err != nil {
			return err
		}
	}
	request := &wire.DeleteRequest{DN: found.entry.DN, Assertion: d.stillOwn(ctx, found)}
	if key.Versions != nil {
		request.Assertion = allFilters(request.Assertion, unchanged(set, found.entry))
	}
	err := d.ops.Delete(ctx, request)
	if set == education.Schools && hasCode(err, wire.ResultUnwillingToPerform) || hasCode(err, wire.ResultAssertionFailed) {
		// Somebody was put into the school after the others were taken out, or the entry has changed.
		return errOutdated
	}
	if err == nil && key.Versions != nil {
		// Only now is it known that the entry was in the version that was meant.
		return d.follow(ctx, set, found.entry.DN, "")
	}
	return translate(err)
}

// detachWorkers is how many entities are taken out of a school at the same time. A directory that commits writes in
// groups does them for the price of a few.
const detachWorkers = 16

// detachAll takes all users and classes out of a school. Each is one write; whatever was done when it fails stays done,
// and a repetition does the rest.
func (d *Directory) detachAll(ctx context.Context, school string) error {
	for _, nav := range education.Navigations {
		if nav.Owner != education.Schools {
			continue
		}
		holders, err := d.holdersOf(ctx, nav, school)
		if err != nil {
			return err
		}
		if err := d.detachEach(ctx, nav, holders, school); err != nil {
			return err
		}
	}
	return nil
}

// holdersOf returns the entities that a navigation property of a school leads to.
func (d *Directory) holdersOf(ctx context.Context, nav *education.Navigation, school string) ([]*record, error) {
	extra := []string{"objectClass", attributeUniqueKey, attributeMemberOfSchool}
	var holders []*record
	for holder, err := range d.searchAll(ctx, nav.Target, wire.Equal(nav.Attributes[0], school), extra) {
		if err != nil {
			return nil, err
		}
		holders = append(holders, holder)
	}
	return holders, nil
}

// detachEach takes the given entities out of a school, several at a time, and returns the first error. An entity that
// somebody else changed meanwhile is left to the next attempt, which errOutdated asks for.
func (d *Directory) detachEach(ctx context.Context, nav *education.Navigation, holders []*record, school string) error {
	work := make(chan *record)
	var wait sync.WaitGroup
	var once sync.Once
	var failed error
	var outdated atomic.Bool
	stop := make(chan struct{})
	for range min(detachWorkers, len(holders)) {
		wait.Go(func() {
			for holder := range work {
				removed, err := d.removeLink(ctx, nav, holder, school)
				switch {
				case removed:
					education.WitnessOf(ctx).Detach()
				case worthAnother(err):
					outdated.Store(true)
				case err != nil:
					once.Do(func() { failed = err; close(stop) })
				}
			}
		})
	}
	for _, holder := range holders {
		select {
		case work <- holder:
			continue
		case <-stop:
		}
		break
	}
	close(work)
	wait.Wait()
	if failed == nil && outdated.Load() {
		return errOutdated
	}
	return failed
}
