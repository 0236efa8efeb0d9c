package identity

import (
	"context"
	"slices"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// follow makes the entries that link to a DN link to another one, or to none if that is empty. In a plain directory
// nobody else does; everywhere else links follow by themselves.
func (d *Directory) follow(ctx context.Context, set *education.EntitySet, oldDN, newDN string) error {
	if !d.isPlain() {
		return nil
	}
	for _, nav := range education.Navigations {
		if !nav.ByDN || !nav.OwnerHolds || nav.Target != set {
			continue
		}
		if err := d.followBy(ctx, nav, oldDN, newDN); err != nil {
			return err
		}
	}
	return nil
}

// followBy is follow for one navigation property.
func (d *Directory) followBy(ctx context.Context, nav *education.Navigation, oldDN, newDN string) error {
	attribute := nav.Attributes[0]
	var holders []string
	for entry, err := range d.searchEntries(ctx, nav.Owner, wire.Equal(attribute, oldDN), []string{wire.NoAttributes}) {
		if err != nil {
			return err
		}
		holders = append(holders, entry.DN)
	}
	for _, holder := range holders {
		changes := []wire.Change{{Operation: wire.ChangeDelete, Attribute: wire.Attribute{Type: attribute, Values: []string{oldDN}}}}
		if newDN != "" {
			changes = slices.Insert(changes, 0, wire.Change{
				Operation: wire.ChangeAdd, Attribute: wire.Attribute{Type: attribute, Values: []string{newDN}},
			})
		}
		_, err := d.modifyMembers(ctx, &wire.ModifyRequest{DN: holder, Changes: changes})
		// The link, or the class itself, has gone meanwhile, or the new link has been made by somebody else.
		if err != nil && !hasCode(err, wire.ResultNoSuchAttribute, wire.ResultNoSuchObject, wire.ResultAttributeOrValueExists) {
			return translate(err)
		}
	}
	return nil
}
