package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// A credential that is bound to schools sees these, their users and their classes. Every search for entries asks the directory
// for nothing else, so that what is foreign and what does not exist cannot be told apart by anything that is built on a
// search; see docs/decisions/0017. What must be known of all schools, such as whether a username is free, is looked up with
// access.AsProcess.

// visible returns the filter of the entries of a set that a context is confined to, or nil if it is not.
func visible(ctx context.Context, set *education.EntitySet) *wire.Filter {
	schools, confined := access.Confined(ctx)
	if !confined {
		return nil
	}
	attribute := attributeMemberOfSchool
	if set == education.Schools {
		attribute = attributeID
	}
	filters := make([]*wire.Filter, len(schools))
	for i, school := range schools {
		filters[i] = wire.Equal(attribute, school)
	}
	return anyOf(filters)
}

// tenants names what a context is confined to, in a text that is empty if it is not.
func tenants(ctx context.Context) string {
	schools, confined := access.Confined(ctx)
	if !confined {
		return ""
	}
	return "tenants:" + strings.Join(schools, ",")
}

// SchoolID implements access.Schools. A directory prepares texts before it compares them (RFC 4518, section 2): it takes out what
// nobody sees and makes plain letters of wide ones. To an issuer those are other texts, and other tenants, so that the school
// must have the externalId as it is asked for. Case alone does not count, as it does not for the unique keys of schools.
func (d *Directory) SchoolID(ctx context.Context, externalID string) (string, error) {
	key := education.Key{Property: education.Schools.Property("externalId"), Value: externalID}
	found, err := d.find(access.AsProcess(ctx), education.Schools, key, nil)
	switch {
	case odata.Is(err, odata.ItemNotFound), odata.Is(err, odata.TooManyResults):
		return "", nil
	case err != nil:
		return "", err
	case !slices.ContainsFunc(found.entry.Values(key.Property.Attribute), func(value string) bool { return sameButCase(value, externalID) }):
		return "", nil
	}
	return found.entity.ID(), nil
}

// sameButCase reports whether two texts are the same but for capital and small letters. Letters that have another one for one of the
// two alone are different, such as a long s, which strings.EqualFold takes for an s.
func sameButCase(one, other string) bool {
	//lint:ignore SA6005 strings.EqualFold is not the same.
	return strings.ToLower(one) == strings.ToLower(other) && strings.ToUpper(one) == strings.ToUpper(other)
}

// ExistingSchools implements access.Schools.
func (d *Directory) ExistingSchools(ctx context.Context, ids []string) ([]string, error) {
	gone, err := d.gone(access.AsProcess(ctx), membershipOf(education.Users), ids)
	if err != nil {
		return nil, err
	}
	return withoutFolded(ids, gone), nil
}

// membershipOf returns the navigation property from a set to the schools that its entities are in.
func membershipOf(set *education.EntitySet) *education.Navigation {
	return education.NavigationOf(set, education.Schools.Name)
}

// mayWrite refuses changes of schools to a credential that is bound to some.
func mayWrite(ctx context.Context, set *education.EntitySet) error {
	if _, confined := access.Confined(ctx); confined && set == education.Schools {
		return odata.Errorf(odata.AccessDenied, set.Name, "the token does not permit to change %s", set.Name)
	}
	return nil
}

// mayChange refuses changes of an entity that is in other schools as well. Their administrators see it, too, and it is the
// business of one who may act for all of them. Schools that have gone, whose ids an entity may still have, are nobody's.
func (d *Directory) mayChange(ctx context.Context, found *record) error {
	schools, confined := access.Confined(ctx)
	if !confined {
		return nil
	}
	set := found.entity.Set
	others := withoutFolded(found.entry.Values(attributeMemberOfSchool), schools)
	if len(others) > 0 && d.looseLinks {
		gone, err := d.gone(access.AsProcess(ctx), membershipOf(set), others)
		if err != nil {
			return err
		}
		others = withoutFolded(others, gone)
	}
	if len(others) > 0 {
		return odata.Errorf(odata.AccessDenied, set.Name, "the token does not permit to change this %s", set.Singular)
	}
	return nil
}

// mayLeave refuses to take an entity out of the last of the credential's schools: it would be out of its reach.
func mayLeave(ctx context.Context, holder *record) error {
	schools, confined := access.Confined(ctx)
	if !confined {
		return nil
	}
	in := holder.entry.Values(attributeMemberOfSchool)
	if len(in)-len(withoutFolded(in, schools)) < 2 {
		return odata.Errorf(odata.AccessDenied, holder.entity.Set.Name,
			"the token does not permit to take the %s out of its school; delete it, or ask an administrator", holder.entity.Set.Singular)
	}
	return nil
}

// stillOwn returns the condition under which a confined credential writes without a look at the entity's unique keys, or nil if
// it is not confined: the entity is still in its schools, and has not been put into one of somebody else's since it was read,
// which gives it another revision.
func (d *Directory) stillOwn(ctx context.Context, found *record) *wire.Filter {
	own := visible(ctx, found.entity.Set)
	if own == nil {
		return nil
	}
	revision := revisionOf(found.entity.Set, found.entry.Values(attributeUniqueKey))
	if d.isPlain() || revision == "" {
		return allFilters(own, unchanged(found.entity.Set, found.entry))
	}
	return allFilters(own, wire.Equal(attributeUniqueKey, revision))
}

// inTenant puts a new entity that its change puts into no school into the one that the credential is bound to.
func inTenant(ctx context.Context, change *education.Change) (*education.Change, error) {
	schools, confined := access.Confined(ctx)
	nav := membershipOf(change.Set)
	linked := slices.ContainsFunc(change.Links, func(link education.Link) bool { return link.Navigation == nav && len(link.Keys) > 0 })
	switch {
	case !confined || linked:
		return change, nil
	case len(schools) == 0:
		return nil, odata.Errorf(odata.AccessDenied, change.Set.Name, "the token does not permit to create %s", change.Set.Name)
	case len(schools) > 1:
		return nil, odata.Errorf(odata.InvalidRequest, nav.Name,
			"the token is for several schools: name one with %s@odata.bind, or POST to /schools/{id}/%s", nav.Name, change.Set.Name)
	}
	placed := *change
	placed.Links = slices.DeleteFunc(slices.Clone(change.Links), func(link education.Link) bool { return link.Navigation == nav })
	return &placed, placed.LinkTo(nav, education.Key{Property: education.Schools.ID, Value: schools[0]})
}
