package identity

import (
	"context"
	"slices"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// follow makes the entries that link to a DN link to another one, or to none if that is empty. In a plain directory
// nobody else does. Elsewhere links follow by themselves, but not at once: slapo-refint works behind the answer, and what it
// has not done when slapd is killed stays undone. That does no harm to a name that nobody gets again, an id. Of a name of
// OpenCloud's, the next one to get it would be in the classes of the last, and who is renamed would be in none meanwhile.
func (d *Directory) follow(ctx context.Context, set *education.EntitySet, oldDN, newDN string) error {
	if !d.isPlain() && (!d.looseLinks || isIDName(oldDN)) {
		return nil
	}
	ctx = access.AsProcess(ctx) // The classes of other tenants name the entry, too.
	links := make(map[*education.EntitySet][]string)
	for _, nav := range education.Navigations {
		if nav.ByDN && nav.OwnerHolds && nav.Target == set {
			links[nav.Owner] = append(links[nav.Owner], nav.Attributes[0])
		}
	}
	for owners, attributes := range links {
		if err := d.followIn(ctx, owners, attributes, oldDN, newDN); err != nil {
			return err
		}
	}
	return nil
}

// followIn is follow for the links that entries of one set hold, in any of the attributes. They are found by one search,
// which returns all of the attributes but the first: a class may have many thousands of members and has few teachers.
func (d *Directory) followIn(ctx context.Context, owners *education.EntitySet, attributes []string, oldDN, newDN string) error {
	var linked []*wire.Filter
	for _, attribute := range attributes {
		linked = append(linked, wire.Equal(attribute, oldDN))
	}
	var holders []*wire.Entry
	for entry, err := range d.searchEntries(ctx, owners, anyOf(linked), append([]string{wire.NoAttributes}, attributes[1:]...)) {
		if err != nil {
			return err
		}
		holders = append(holders, entry)
	}
	for _, holder := range holders {
		if err := d.followOne(ctx, holder, attributes, oldDN, newDN); err != nil {
			return err
		}
	}
	return nil
}

// followOne is follow for the links of one entry. It has a link in those of the attributes that show it, and perhaps in the
// first one, which was not read.
func (d *Directory) followOne(ctx context.Context, holder *wire.Entry, attributes []string, oldDN, newDN string) error {
	holding := slices.DeleteFunc(slices.Clone(attributes), func(attribute string) bool {
		return attribute != attributes[0] &&
			!slices.ContainsFunc(holder.Values(attribute), func(value string) bool { return foldDN(value) == foldDN(oldDN) })
	})
	_, err := d.modifyMembers(ctx, relink(holder.DN, holding, oldDN, newDN))
	if len(holding) == 1 || !isRelinked(err) {
		return relinked(err)
	}
	for _, attribute := range holding {
		if _, err := d.modifyMembers(ctx, relink(holder.DN, []string{attribute}, oldDN, newDN)); relinked(err) != nil {
			return relinked(err)
		}
	}
	return nil
}

// isRelinked reports whether a link could not be changed because the old one has gone, or the new one has been made by
// somebody else.
func isRelinked(err error) bool {
	return hasCode(err, wire.ResultNoSuchAttribute, wire.ResultAttributeOrValueExists)
}

// relinked is translate for a change of links that somebody else may have made meanwhile, or whose holder has gone.
func relinked(err error) error {
	if isRelinked(err) || hasCode(err, wire.ResultNoSuchObject) {
		return nil
	}
	return translate(err)
}

// relink returns the Modify that puts one link, or none, in the place of another in each of the attributes.
func relink(dn string, attributes []string, oldDN, newDN string) *wire.ModifyRequest {
	request := &wire.ModifyRequest{DN: dn}
	for _, attribute := range attributes {
		if newDN != "" {
			request.Changes = append(request.Changes, wire.Change{
				Operation: wire.ChangeAdd, Attribute: wire.Attribute{Type: attribute, Values: []string{newDN}},
			})
		}
		request.Changes = append(request.Changes, wire.Change{
			Operation: wire.ChangeDelete, Attribute: wire.Attribute{Type: attribute, Values: []string{oldDN}},
		})
	}
	return request
}
