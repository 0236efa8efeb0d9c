package identity

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Copy is an entity with everything that belongs to it, in a form that does not depend on the directory it was read from:
// links are ids, and what follows from the rest, unique keys and stand-ins, is left out.
type Copy struct {
	Set *education.EntitySet
	// ID is in small letters.
	ID string

	// entity has the values that can be read; attributes have all there are.
	entity     *education.Entity
	attributes []wire.Attribute
	links      []wire.Attribute
	passwords  []string
	// revision is the entry's, or empty.
	revision string
	// lost are the links that lead to no entity.
	lost []LinkValue
}

// attributeMembers holds the members of a class. In educationPlaceholder it says that a part of them is not written yet.
var attributeMembers = education.NavigationOf(education.Classes, "members").Attributes[0]

// copyOf makes a Copy of an entry. The inventory knows the entities that links lead to.
func (d *Directory) copyOf(i *Inventory, found *record, keepPassword func(string) bool) *Copy {
	set, entry := found.entity.Set, found.entry
	c := &Copy{
		Set: set, ID: strings.ToLower(found.entity.ID()), entity: found.entity,
		revision: revisionOf(set, entry.Values(attributeUniqueKey)),
	}
	for _, property := range set.Properties {
		values := filled(entry.Values(property.Attribute))
		switch {
		case property.Access == education.WriteOnly:
			c.passwords = slices.DeleteFunc(values, func(value string) bool { return keepPassword != nil && !keepPassword(value) })
		case property == set.ID, property.Access == education.ReadOnly:
		case holdsStandIn(set, property, entry):
			c.entity.SetValue(property, nil)
		default:
			c.attributes = appendFilled(c.attributes, property.Attribute, values)
		}
	}
	for _, attribute := range besides[set] {
		c.attributes = appendFilled(c.attributes, attribute, filled(entry.Values(attribute)))
	}
	for _, nav := range heldBy(set) {
		ids, lost := i.resolve(nav, entry.Values(nav.Attributes[0]))
		c.links = appendFilled(c.links, nav.Attributes[0], ids)
		c.lost = append(c.lost, lost...)
	}
	return c
}

func appendFilled(attributes []wire.Attribute, name string, values []string) []wire.Attribute {
	if len(values) == 0 {
		return attributes
	}
	return append(attributes, wire.Attribute{Type: name, Values: values})
}

// resolve turns links into the ids of the entities that they lead to. The empty DN is no link.
func (i *Inventory) resolve(nav *education.Navigation, values []string) (ids []string, lost []LinkValue) {
	for _, value := range filled(values) {
		target := i.byID[strings.ToLower(value)]
		if nav.ByDN {
			target = i.users[foldDN(value)]
		}
		if target == nil || target.Set != nav.Target || target.ID == "" {
			lost = append(lost, LinkValue{nav, value})
			continue
		}
		ids = append(ids, target.ID)
	}
	return unique(ids), lost
}

// schools are the ids of the schools that the entity is in.
func (c *Copy) schools() []string { return valuesOf(c.links, attributeMemberOfSchool) }

func valuesOf(attributes []wire.Attribute, name string) []string {
	return (&wire.Entry{Attributes: attributes}).Values(name)
}

// digest is the same for equal content, however it is ordered. Passwords have a digest of their own, since not every
// account may read them.
func (c *Copy) digest() [sha256.Size]byte {
	var parts []string
	for _, attribute := range slices.Concat(c.attributes, c.links) {
		for _, value := range attribute.Values {
			parts = append(parts, attribute.Type+"\x00"+value)
		}
	}
	return digestOf(append(parts, c.Set.Name))
}

// digestOf hashes values in no particular order.
func digestOf(values []string) [sha256.Size]byte {
	hash := sha256.New()
	for _, value := range slices.Sorted(slices.Values(values)) {
		_ = binary.Write(hash, binary.BigEndian, uint64(len(value))) // A hash takes everything.
		hash.Write([]byte(value))
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// isClear reports whether a value of userPassword is a password in clear text, and not a hash after {its scheme}.
func isClear(value string) bool { return PasswordScheme(value) == "" }

// PasswordScheme returns the scheme of a value of userPassword in capital letters, such as "{ARGON2}", or an empty text if
// the value is the password itself (RFC 2307, section 5.3).
func PasswordScheme(value string) string {
	end := strings.IndexByte(value, '}')
	if !strings.HasPrefix(value, "{") || end < 0 {
		return ""
	}
	return strings.ToUpper(value[:end+1])
}

// SameContent reports whether two entries, each of its own directory, hold the same entity. A password counts where the
// other directory shows passwords at all.
func (h *Holding) SameContent(other *Holding, passwords bool) bool {
	return h.Set == other.Set && h.digest == other.digest && !other.Unfinished && (!passwords || h.samePassword(other))
}

// samePassword compares passwords. One in clear text is hashed on the way, and then is no longer known.
func (h *Holding) samePassword(other *Holding) bool {
	return h.password == other.password || h.clearPassword && other.hasPassword
}

// Differences names the properties, and the attributes beside them, in which two copies of an entity differ.
func (c *Copy) Differences(other *Copy, passwords bool) []string {
	var names []string
	for _, attribute := range differing(c.attributes, other.attributes) {
		if property := propertyOf(c.Set, attribute); property != nil {
			attribute = property.Name
		}
		names = append(names, attribute)
	}
	for _, nav := range heldBy(c.Set) {
		if !sameValues(valuesOf(c.links, nav.Attributes[0]), valuesOf(other.links, nav.Attributes[0])) {
			names = append(names, nav.Name)
		}
	}
	if passwords && !sameValues(c.passwords, other.passwords) && !slices.ContainsFunc(c.passwords, isClear) {
		names = append(names, education.Users.Property("passwordProfile").Name)
	}
	return names
}

// differing returns the names of the attributes whose values differ.
func differing(left, right []wire.Attribute) []string {
	var names []string
	for _, attribute := range slices.Concat(left, right) {
		name := attribute.Type
		if !slices.Contains(names, name) && !sameValues(valuesOf(left, name), valuesOf(right, name)) {
			names = append(names, name)
		}
	}
	return names
}

// sameValues compares values in no particular order.
func sameValues(left, right []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(left)), slices.Sorted(slices.Values(right)))
}

// ReadCopies reads the entities with the given ids. The inventory is one of this directory. An entity that has gone is left
// out, and so is one whose id several entries have.
func (d *Directory) ReadCopies(ctx context.Context, i *Inventory, set *education.EntitySet, ids []string, keepPassword func(string) bool) ([]*Copy, error) {
	filters := make([]*wire.Filter, len(ids))
	for n, id := range ids {
		filters[n] = wire.Equal(set.ID.Attribute, id)
	}
	if len(filters) == 0 {
		return nil, nil
	}
	var copies []*Copy
	for found, err := range d.searchAll(ctx, set, anyOf(filters), contentAttributes(set)) {
		if err != nil {
			return nil, err
		}
		if h := i.Find(strings.ToLower(found.entity.ID())); h != nil && h.Addressable() {
			copies = append(copies, d.copyOf(i, found, keepPassword))
		}
	}
	slices.SortFunc(copies, func(a, b *Copy) int { return cmp.Compare(slices.Index(ids, a.ID), slices.Index(ids, b.ID)) })
	return copies, nil
}
