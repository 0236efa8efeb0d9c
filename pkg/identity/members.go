package identity

import (
	"context"
	"slices"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// groupOfNames must have a member (RFC 4519, section 3.5). OpenLDAP sees to that, 389-DS and the embedded directory do not.
// Where it must, a class without members has the empty DN as one, as OpenCloud's graph service writes it and slapo-refint
// leaves it behind. The empty DN is no link, so nobody is shown it, and beside members it does no harm.

// attributeMember holds the members of a class.
var attributeMember = education.NavigationOf(education.Classes, "members").Attributes[0]

// noMember is the attribute of a class without members.
func noMember() wire.Attribute { return wire.Attribute{Type: attributeMember, Values: []string{""}} }

// add makes an entry.
func (d *Directory) add(ctx context.Context, set *education.EntitySet, request *wire.AddRequest) (*wire.Entry, error) {
	memberless := set == education.Classes && !slices.ContainsFunc(request.Attributes, func(attribute wire.Attribute) bool {
		return attribute.Type == attributeMember && len(attribute.Values) > 0
	})
	if !memberless || !d.demandsMember.Load() {
		entry, err := d.ops.Add(ctx, request)
		if !memberless || !hasCode(err, wire.ResultObjectClassViolation) {
			return entry, err
		}
	}
	request.Attributes = append(request.Attributes, noMember())
	entry, err := d.ops.Add(ctx, request)
	if err == nil {
		d.demandsMember.Store(true)
	}
	return entry, err
}

// modifyMembers adds a member to a class or removes one, who may be the last.
func (d *Directory) modifyMembers(ctx context.Context, request *wire.ModifyRequest) (*wire.Entry, error) {
	entry, err := d.ops.Modify(ctx, request)
	if !hasCode(err, wire.ResultObjectClassViolation) {
		return entry, err
	}
	request.Changes = append(request.Changes, wire.Change{Operation: wire.ChangeAdd, Attribute: noMember()})
	return d.ops.Modify(ctx, request)
}
