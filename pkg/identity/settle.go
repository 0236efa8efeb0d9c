package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Where the directory takes links to entries that do not exist, an entry can be deleted between the moment when a link to it
// was worked out and the one when it is written. Whoever writes a link therefore looks, when it is written, whether its
// target is still there, and takes the link back if not; whoever deletes a school looks for links to it when it is deleted.
// One of the two sees the other. A link to somebody who is then deleted, and one to somebody who has just been deleted, end
// in the same way, so neither is an error. Members and teachers are taken out of their classes by the directory, when they
// are deleted.

// settleLinks takes links back whose targets have gone. The entry that holds them is given by its DN, and its id. They have
// been written, so that an error says so.
func (d *Directory) settleLinks(ctx context.Context, nav *education.Navigation, dn, id string, links []string) error {
	if !d.looseLinks || len(links) == 0 {
		return nil
	}
	if err := d.takeBack(ctx, nav, dn, id, links); err != nil {
		return madeBut(nav.Owner, fmt.Sprintf("some of the %s that it links to may have been deleted meanwhile", nav.Target.Name), err)
	}
	return nil
}

// madeBut is the error of a change that has been made, when what was to be done after it has failed. It must look neither like
// a write that failed nor like one that asks for another attempt. The end of the request's own context passes.
func madeBut(set *education.EntitySet, what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return odata.Errorf(odata.GatewayTimeout, set.Name, "the change has been made, but %s; look again", what).Because(err)
}

// takeBack is settleLinks with the errors of its operations.
func (d *Directory) takeBack(ctx context.Context, nav *education.Navigation, dn, id string, links []string) error {
	ctx = access.AsProcess(ctx)
	gone, err := d.gone(ctx, nav, links)
	if err != nil || len(gone) == 0 {
		return err
	}
	if !nav.ByDN {
		return d.leaveEach(ctx, nav.Owner, id, gone)
	}
	_, err = d.modifyMembers(ctx, &wire.ModifyRequest{DN: dn, Changes: []wire.Change{{
		Operation: wire.ChangeDelete, Attribute: wire.Attribute{Type: nav.Attributes[0], Values: gone},
	}}})
	if hasCode(err, wire.ResultNoSuchAttribute, wire.ResultNoSuchObject) {
		return nil // Somebody else has taken them out.
	}
	return translate(err)
}

// settleAll is settleLinks for the links of an entry that has been written.
func (d *Directory) settleAll(ctx context.Context, dn, id string, links []*resolvedLink) error {
	for _, link := range links {
		if err := d.settleLinks(ctx, link.nav, dn, id, link.loose); err != nil {
			return err
		}
	}
	return nil
}

// gone returns the links that lead nowhere.
func (d *Directory) gone(ctx context.Context, nav *education.Navigation, links []string) ([]string, error) {
	var there []string
	none := []string{nav.Target.ID.Attribute}
	for entry, err := range d.linked(ctx, nav, links)(everything, none) {
		if err != nil {
			return nil, err
		}
		there = append(there, linkValue(nav, entry))
	}
	return withoutFolded(links, there), nil
}

// leaveEach takes an entity out of schools that have gone.
func (d *Directory) leaveEach(ctx context.Context, set *education.EntitySet, id string, schools []string) error {
	for _, school := range schools {
		_, err := attempts(ctx, func() (bool, error) {
			extra := []string{"objectClass", attributeUniqueKey, attributeMemberOfSchool}
			found, err := d.find(ctx, set, education.Key{Property: set.ID, Value: id}, extra)
			if err != nil {
				return false, err
			}
			return d.removeLink(ctx, membershipOf(set).Inverse(), found, school)
		})
		if err != nil && !odata.Is(err, odata.ItemNotFound) {
			return err
		}
	}
	return nil
}

// What breaks off between the two leaves users and classes with the id of a school that is not there. They are in no school: it
// is not shown, and keeps nobody out of another one (leaveGone). The repetition of the deletion takes them out, and so does
// whoever gives a new school that id, before it can have anybody.

// detachLate takes those out of a school who were put into it while it was deleted.
func (d *Directory) detachLate(ctx context.Context, school string) error {
	_, err := attempts(ctx, func() (struct{}, error) { return struct{}{}, d.detachAll(ctx, school) })
	return err
}

// finishDeletion takes everybody out of a school that is asked to be deleted by its id, and that is not there any more. It
// returns the error of the deletion, which stays what it is, or its own.
func (d *Directory) finishDeletion(ctx context.Context, key education.Key, err error) error {
	if !d.looseLinks || key.Property != education.Schools.ID || !odata.Is(err, odata.ItemNotFound) {
		return err
	}
	return cmp.Or(d.detachLate(ctx, strings.ToLower(key.Value)), err)
}

// takeID makes sure that the id which a client has chosen for a new entity is nobody's: no entity has it, and nobody is in a
// school of that id. Who is there is looked up before it is known that there is no such school, so that nobody is taken out
// of one that somebody else makes at the same moment.
func (d *Directory) takeID(ctx context.Context, entity *education.Entity) error {
	if entity.Set != education.Schools || !d.looseLinks {
		return d.checkID(ctx, entity)
	}
	left := make(map[*education.Navigation][]*record)
	for _, nav := range education.Navigations {
		if nav.Owner != education.Schools {
			continue
		}
		holders, err := d.holdersOf(ctx, nav, entity.ID())
		if err != nil {
			return err
		}
		left[nav] = holders
	}
	if err := d.checkID(ctx, entity); err != nil {
		return err
	}
	for nav, holders := range left {
		if err := d.detachEach(ctx, nav, holders, entity.ID()); err != nil {
			return err
		}
	}
	return nil
}

// settleRef is settleLinks for a link between two entries that were read before it was made.
func (d *Directory) settleRef(ctx context.Context, nav *education.Navigation, owner, target *record) error {
	if !nav.OwnerHolds {
		nav, owner, target = nav.Inverse(), target, owner
	}
	if !education.MayEnd(target.entity) {
		return nil
	}
	return d.settleLinks(ctx, nav, owner.entry.DN, owner.entity.ID(), []string{linkValue(nav, target.entry)})
}
