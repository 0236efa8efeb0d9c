package identity

import (
	"context"

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

// settleLinks takes links back whose targets have gone. The entry that holds them is given by its DN, and its id.
func (d *Directory) settleLinks(ctx context.Context, nav *education.Navigation, dn, id string, links []string) error {
	if !d.looseLinks || len(links) == 0 {
		return nil
	}
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
			return d.removeLink(ctx, education.NavigationOf(set, education.Schools.Name).Inverse(), found, school)
		})
		if err != nil && !odata.Is(err, odata.ItemNotFound) {
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
