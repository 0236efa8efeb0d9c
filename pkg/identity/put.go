package identity

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// ErrPlain is what a move to a directory fails with whose schema has no place for unique keys.
var ErrPlain = errors.New("the directory's schema lacks educationUniqueKey and educationObject")

// Refusal is the error of a Put that the directory, or this package, refuses for a reason that lies in the one entity. Others
// can be put all the same.
type Refusal struct {
	Reason string
	cause  error
}

func (r *Refusal) Error() string { return r.Reason }

func (r *Refusal) Unwrap() error { return r.cause }

// Placing says where Put puts entities and what it leaves out.
type Placing struct {
	// Linked returns the DN of an entity in the directory that is written to, and false if it is not there.
	Linked func(id string) (dn string, there bool)
	// Keeps, unless nil, chooses the unique keys that the entity with the id is given.
	Keeps func(key, id string) bool
	// LinksAtOnce is how many links one write holds; 0 is what every server's limits permit.
	LinksAtOnce int
}

// NameOf returns the DN that an entity has if this service makes its entry.
func (d *Directory) NameOf(set *education.EntitySet, id string) string {
	return rdn(set.ID.Attribute, id) + "," + d.bases[set]
}

// linksAtOnce is the default of Placing.LinksAtOnce. OpenLDAP reads messages of up to 4 MiB (olcSockbufMaxIncomingAuth), and
// 389-DS of 2 MiB (nsslapd-maxbersize).
const linksAtOnce = 5000

// Put makes the entry of an entity that another directory holds, with its id, its password hashes and its links. A class
// with very many members takes several writes; until the last, a note in the entry says that it is unfinished, see
// Holding.Unfinished. It returns a *Refusal where the entity is to blame.
func (d *Directory) Put(ctx context.Context, c *Copy, where Placing) error {
	if d.isPlain() {
		return ErrPlain
	}
	links, err := where.links(c)
	if err != nil {
		return err
	}
	classes := wire.Attribute{Type: "objectClass", Values: c.Set.ObjectClasses}
	id := wire.Attribute{Type: c.Set.ID.Attribute, Values: []string{c.ID}}
	attributes := slices.Concat([]wire.Attribute{classes, id}, c.attributes, d.standIns(c.entity))
	attributes = appendFilled(attributes, attributePassword, c.passwords)
	attributes = appendFilled(attributes, attributeUniqueKey, d.keysFor(c, where))
	now, later := where.split(links)
	if len(later) > 0 {
		now = append(now, wire.Attribute{Type: attributePlaceholder, Values: []string{attributeMembers}})
	}
	request := &wire.AddRequest{DN: d.NameOf(c.Set, c.ID), Attributes: append(attributes, now...)}
	_, err = d.ops.Add(ctx, request)
	if hasCode(err, wire.ResultObjectClassViolation) && c.Set == education.Classes && len(valuesOf(now, attributeMembers)) == 0 {
		request.Attributes = append(request.Attributes, wire.Attribute{Type: attributeMembers, Values: noMembers})
		_, err = d.ops.Add(ctx, request)
	}
	if err != nil {
		return refusal(err)
	}
	return d.finish(ctx, request.DN, later)
}

// Check returns a *Refusal if an entity links to another one that is not there.
func (p Placing) Check(c *Copy) error {
	_, err := p.links(c)
	return err
}

// links returns the links as they are written in the directory.
func (p Placing) links(c *Copy) ([]wire.Attribute, error) {
	var links []wire.Attribute
	for _, nav := range heldBy(c.Set) {
		ids := valuesOf(c.links, nav.Attributes[0])
		values := make([]string, len(ids))
		for n, id := range ids {
			dn, there := p.Linked(id)
			if !there {
				return nil, &Refusal{Reason: "the " + nav.Target.Singular + " " + id + ", one of its " + nav.Name + ", is not there"}
			}
			if values[n] = id; nav.ByDN {
				values[n] = dn
			}
		}
		links = appendFilled(links, nav.Attributes[0], values)
	}
	return links, nil
}

// split returns the links that go into the first write, and those of each later one.
func (p Placing) split(links []wire.Attribute) (now, later []wire.Attribute) {
	size := cmp.Or(p.LinksAtOnce, linksAtOnce)
	for _, attribute := range links {
		first := attribute.Values[:min(len(attribute.Values), size)]
		now = append(now, wire.Attribute{Type: attribute.Type, Values: first})
		for values := range slices.Chunk(attribute.Values[len(first):], size) {
			later = append(later, wire.Attribute{Type: attribute.Type, Values: values})
		}
	}
	return now, later
}

// finish makes the later writes of an entry. The last one takes the note away.
func (d *Directory) finish(ctx context.Context, dn string, later []wire.Attribute) error {
	for n, attribute := range later {
		changes := []wire.Change{{Operation: wire.ChangeAdd, Attribute: attribute}}
		if n == len(later)-1 {
			changes = append(changes, wire.Change{Operation: wire.ChangeReplace, Attribute: wire.Attribute{Type: attributePlaceholder}})
		}
		if _, err := d.ops.Modify(ctx, &wire.ModifyRequest{DN: dn, Changes: changes}); err != nil {
			return refusal(err)
		}
	}
	return nil
}

// keysFor returns the values of educationUniqueKey of an entity: its keys, and the revision that it has, or its first one.
func (d *Directory) keysFor(c *Copy, where Placing) []string {
	keys := keyTexts(d.keysOf(c.entity, c.schools()))
	if where.Keeps != nil {
		keys = slices.DeleteFunc(keys, func(key string) bool { return !where.Keeps(key, c.ID) })
	}
	return append(keys, cmp.Or(c.revision, revisionNumbered(c.entity, 0)))
}

// refusals say what the results mean that one entity is to blame for.
var refusals = map[wire.ResultCode]string{
	wire.ResultConstraintViolation:    "another entity has one of its unique values, or the directory refuses a value",
	wire.ResultEntryAlreadyExists:     "an entry of its name exists",
	wire.ResultInvalidAttributeSyntax: "the directory refuses the form of a value",
	wire.ResultObjectClassViolation:   "the directory's schema does not permit one of its attributes",
	wire.ResultUndefinedAttributeType: "the directory's schema lacks one of its attributes",
	wire.ResultUnwillingToPerform:     "the directory refuses it",
	wire.ResultAdminLimitExceeded:     "it is too large for the directory's limits",
	wire.ResultNotAllowedOnRDN:        "the directory does not let a value go that is in its name",
	wire.ResultNoSuchAttribute:        "it has been changed meanwhile",
	wire.ResultAttributeOrValueExists: "it has been changed meanwhile",
}

func refusal(err error) error {
	code, ok := wire.CodeOf(err)
	reason, known := refusals[code]
	if !ok || !known {
		return translate(err)
	}
	return &Refusal{Reason: reason, cause: err}
}

// Overwrite makes an entity of this directory what a Copy of another one says: its values, its password and its links. What
// is there is the entity as it is, read by ReadCopies. An entry that is named by a value that changes gets the name that
// this service would have given it; the holding follows.
func (d *Directory) Overwrite(ctx context.Context, h *Holding, c, there *Copy, where Placing) error {
	if d.isPlain() {
		return ErrPlain
	}
	links, err := where.links(c)
	if err != nil {
		return err
	}
	current, err := where.links(there)
	if err != nil {
		return err
	}
	change := &education.Change{Set: c.Set}
	found, err := d.find(ctx, c.Set, education.Key{Property: c.Set.ID, Value: c.ID}, forUpdate(change))
	if err != nil {
		return err
	}
	p := &plan{record: found, next: c.entity, guarded: true}
	for _, attribute := range differing(c.attributes, there.attributes) {
		p.replace(attribute, valuesOf(c.attributes, attribute))
	}
	if len(c.passwords) > 0 && !sameValues(c.passwords, there.passwords) {
		p.replace(attributePassword, c.passwords)
	}
	p.replaceStandIns(d.standIns(c.entity))
	now, later := where.split(p.unlink(links, current))
	for _, attribute := range now {
		p.add(attribute.Type, attribute.Values)
	}
	if len(later) > 0 {
		p.replace(attributePlaceholder, []string{attributeMembers})
	} else if h.Unfinished {
		p.replace(attributePlaceholder, nil)
	}
	p.setKeys(d.keysOf(c.entity, c.schools()), func(*education.Property) bool { return true })
	if where.Keeps != nil {
		p.keys = slices.DeleteFunc(p.keys, func(key uniqueKey) bool { return !where.Keeps(key.text, c.ID) })
	}
	if h.DN, err = d.nameByID(ctx, p, found.entry.DN); err != nil {
		return refusal(err)
	}
	if err := d.modifyAll(ctx, p, h.DN); err != nil {
		return refusal(err)
	}
	return d.finish(ctx, h.DN, later)
}

// modifyAll makes the Modify of a plan, with all keys. A class that loses its last member gets noMembers where it must.
func (d *Directory) modifyAll(ctx context.Context, p *plan, dn string) error {
	request := p.request(true)
	request.DN = dn
	_, err := d.ops.Modify(ctx, request)
	if hasCode(err, wire.ResultObjectClassViolation) && p.next.Set == education.Classes {
		p.add(attributeMembers, noMembers)
		request.Changes = p.request(true).Changes
		_, err = d.ops.Modify(ctx, request)
	}
	return err
}

// unlink plans to take away the links that are not wanted, and returns those to add.
func (p *plan) unlink(wanted, current []wire.Attribute) []wire.Attribute {
	var fresh []wire.Attribute
	for _, nav := range heldBy(p.next.Set) {
		attribute := nav.Attributes[0]
		want, have := valuesOf(wanted, attribute), valuesOf(current, attribute)
		fresh = appendFilled(fresh, attribute, withoutFolded(want, have))
		if gone := withoutFolded(have, want); len(gone) > 0 {
			p.changes = append(p.changes, wire.Change{Operation: wire.ChangeDelete, Attribute: wire.Attribute{Type: attribute, Values: gone}})
		}
	}
	return fresh
}

// nameByID renames an entry, if a value is part of its name that the plan changes, and returns its DN.
func (d *Directory) nameByID(ctx context.Context, p *plan, dn string) (string, error) {
	parsed, ok := parseDN(dn)
	if !ok || len(parsed.RDNs) == 0 {
		return "", wire.Errorf(wire.ResultInvalidDNSyntax, "the DN of an entry cannot be read")
	}
	named := slices.ContainsFunc(parsed.RDNs[0].Values, func(part match.RDNValue) bool {
		return slices.ContainsFunc(p.changes, func(change wire.Change) bool { return strings.EqualFold(change.Attribute.Type, part.Attribute) })
	})
	if !named {
		return dn, nil
	}
	return d.rename(ctx, dn, rdn(attributeID, p.next.ID()))
}

// trialName is the name of the entry that TryPassword makes.
const trialName = "education migrate"

// TryPassword finds out whether the directory takes a hash for userPassword and then verifies the password that it is of.
// For that it makes an entry beside the users, which no list shows, and deletes it again. verify is asked to bind as the
// entry. That the directory does not take the hash is a *Refusal.
func (d *Directory) TryPassword(ctx context.Context, hash string, verify func(ctx context.Context, dn string) (bool, error)) (verified bool, err error) {
	dn := rdn("cn", trialName) + "," + d.bases[education.Users]
	remove := func(ctx context.Context) error {
		err := d.ops.Delete(ctx, &wire.DeleteRequest{DN: dn})
		if hasCode(err, wire.ResultNoSuchObject) {
			return nil
		}
		return translate(err)
	}
	request := &wire.AddRequest{DN: dn, Attributes: []wire.Attribute{
		{Type: "objectClass", Values: []string{"top", "person", "organizationalPerson", "inetOrgPerson"}},
		{Type: "cn", Values: []string{trialName}},
		{Type: "sn", Values: []string{trialName}},
		{Type: attributePassword, Values: []string{hash}},
	}}
	if _, err = d.ops.Add(ctx, request); hasCode(err, wire.ResultEntryAlreadyExists) {
		// One that broke off has left it behind. Without that nothing is deleted: to an ordinary account 389-DS refuses to
		// delete what does not exist.
		if err = remove(ctx); err != nil {
			return false, err
		}
		_, err = d.ops.Add(ctx, request)
	}
	if err != nil {
		return false, refusal(err)
	}
	defer func() { err = errors.Join(err, remove(context.WithoutCancel(ctx))) }()
	return verify(ctx, dn)
}
