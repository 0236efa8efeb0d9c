package embedded

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// draft is an entry while a write decides what becomes of it. Slices of values are replaced, never changed, so that
// the entry as it was can be kept beside it.
type draft struct {
	record
	tx *bolt.Tx
	// links says which links the entry has after the write, where that differs from the file.
	links map[*attribute]map[uint64]bool
}

// newDraft returns a draft of what becomes of an entry.
func newDraft(tx *bolt.Tx, entry *record) *draft {
	d := &draft{record: *entry, tx: tx}
	d.attributes = slices.Clone(entry.attributes)
	return d
}

// checkValues proves that a client may write the attribute and that the values fit its syntax.
func checkValues(a *attribute, values []string) error {
	if a.is(operational) {
		return wire.Errorf(wire.ResultConstraintViolation, "%s is kept by the directory", a.name)
	}
	for _, value := range values {
		if a.is(link) && value == "" {
			continue // what OpenCloud writes into an empty group, because groupOfNames demands a member
		}
		if !a.syntax.valid(value) {
			return wire.Errorf(wire.ResultInvalidAttributeSyntax, "a value of %s is no %s", a.name, a.syntax.description)
		}
	}
	return nil
}

// requestedAttribute finds the attribute that a request names.
func requestedAttribute(name string) (*attribute, error) {
	if a := directory.attribute(name); a != nil {
		return a, nil
	}
	if strings.Contains(name, ";") {
		return nil, wire.Errorf(wire.ResultUndefinedAttributeType, "attribute options are not supported: %q", name)
	}
	return nil, wire.Errorf(wire.ResultUndefinedAttributeType, "the schema has no attribute %q", name)
}

// canonical returns the form in which values of an attribute are equal.
func canonical(a *attribute, value string) string {
	if a.equality == nil {
		return value
	}
	if normalized, ok := a.equality.normalize(value); ok {
		return normalized
	}
	return value
}

// addValues adds values that the entry must not have yet.
func (d *draft) addValues(a *attribute, values []string) error {
	if a.is(link) {
		return d.addLinks(a, values)
	}
	present := d.values(a.name)
	seen := make(map[string]bool, len(present)+len(values))
	for _, value := range present {
		seen[canonical(a, value)] = true
	}
	for _, value := range values {
		key := canonical(a, value)
		if seen[key] {
			return wire.Errorf(wire.ResultAttributeOrValueExists, "%s has a value twice", a.name)
		}
		seen[key] = true
	}
	d.set(a, slices.Concat(present, d.spell(a, values)))
	return nil
}

// spell gives object classes the schema's spelling; all other values stay as they are.
func (d *draft) spell(a *attribute, values []string) []string {
	if a.name != attributeObjectClass {
		return values
	}
	spelt := make([]string, len(values))
	for i, value := range values {
		spelt[i] = value
		if c := directory.class(value); c != nil {
			spelt[i] = c.name
		}
	}
	return spelt
}

// deleteValues deletes values, or all if none are named. What is deleted must be there.
func (d *draft) deleteValues(a *attribute, values []string) error {
	if a.is(link) {
		return d.deleteLinks(a, values)
	}
	present := d.values(a.name)
	if len(present) == 0 {
		return noSuchAttribute(a)
	}
	if len(values) == 0 {
		d.set(a, nil)
		return nil
	}
	gone := make(map[string]bool, len(values))
	for _, value := range values {
		gone[canonical(a, value)] = true
	}
	wanted := len(gone)
	kept := make([]string, 0, len(present))
	for _, value := range present {
		if !gone[canonical(a, value)] {
			kept = append(kept, value)
		}
	}
	if len(present)-len(kept) != wanted {
		return noSuchAttribute(a)
	}
	d.set(a, kept)
	return nil
}

func noSuchAttribute(a *attribute) error {
	return wire.Errorf(wire.ResultNoSuchAttribute, "the entry has no such value of %s", a.name)
}

// replaceValues gives the attribute exactly these values.
func (d *draft) replaceValues(a *attribute, values []string) error {
	if a.is(link) {
		for _, target := range linkTargets(d.tx, d.id, a) {
			d.setLink(a, target, false)
		}
		for target := range d.links[a] {
			d.links[a][target] = false
		}
	} else {
		d.set(a, nil)
	}
	if len(values) == 0 {
		return nil
	}
	return d.addValues(a, values)
}

// set replaces the values of an attribute; none removes it.
func (d *draft) set(a *attribute, values []string) {
	at := slices.IndexFunc(d.attributes, func(have wire.Attribute) bool { return have.Type == a.name })
	switch {
	case len(values) == 0 && at >= 0:
		d.attributes = slices.Delete(slices.Clone(d.attributes), at, at+1)
	case len(values) == 0:
	case at >= 0:
		d.attributes = slices.Clone(d.attributes)
		d.attributes[at].Values = values
	default:
		d.attributes = append(d.attributes, wire.Attribute{Type: a.name, Values: values})
	}
}

func (d *draft) setText(name, value string) { d.set(directory.attribute(name), []string{value}) }

// setLink notes whether the entry has a link after the write.
func (d *draft) setLink(a *attribute, target uint64, present bool) {
	if d.links == nil {
		d.links = map[*attribute]map[uint64]bool{}
	}
	if d.links[a] == nil {
		d.links[a] = map[uint64]bool{}
	}
	d.links[a][target] = present
}

func (d *draft) hasLink(a *attribute, target uint64) bool {
	if present, noted := d.links[a][target]; noted {
		return present
	}
	return contains(d.tx.Bucket(bucketLinks), linkKey(d.id, a, target))
}

// target finds the entry that a value of a link attribute names. The empty value is a link to the reserved id 0.
func (d *draft) target(a *attribute, value string) (uint64, error) {
	if value == "" {
		return 0, nil
	}
	name, err := parseName(value)
	if err != nil {
		return 0, err
	}
	if id := findID(d.tx, name.Key()); id != 0 {
		return id, nil
	}
	return 0, wire.Errorf(wire.ResultConstraintViolation, "%s names an entry that does not exist", a.name)
}

func (d *draft) addLinks(a *attribute, values []string) error {
	for _, value := range values {
		target, err := d.target(a, value)
		if err != nil {
			return err
		}
		if d.hasLink(a, target) {
			return wire.Errorf(wire.ResultAttributeOrValueExists, "%s has a value twice", a.name)
		}
		d.setLink(a, target, true)
	}
	return nil
}

func (d *draft) deleteLinks(a *attribute, values []string) error {
	if len(values) == 0 {
		if !d.hasLinks(a) {
			return noSuchAttribute(a)
		}
		return d.replaceValues(a, nil)
	}
	for _, value := range values {
		target, err := d.target(a, value)
		if err != nil || !d.hasLink(a, target) {
			return noSuchAttribute(a)
		}
		d.setLink(a, target, false)
	}
	return nil
}

// hasLinks says whether any link of the attribute is left after the write.
func (d *draft) hasLinks(a *attribute) bool {
	for _, present := range d.links[a] {
		if present {
			return true
		}
	}
	prefix := linkPrefix(d.id, a)
	cursor := d.tx.Bucket(bucketLinks).Cursor()
	for key, _ := cursor.Seek(prefix); key != nil && bytes.HasPrefix(key, prefix); key, _ = cursor.Next() {
		if _, noted := d.links[a][lastID(key)]; !noted {
			return true
		}
	}
	return false
}

// linkTargets returns the ids of the entries that an entry links to by one attribute.
func linkTargets(tx *bolt.Tx, holder uint64, a *attribute) []uint64 {
	prefix := linkPrefix(holder, a)
	cursor := tx.Bucket(bucketLinks).Cursor()
	var targets []uint64
	for key, _ := cursor.Seek(prefix); key != nil && bytes.HasPrefix(key, prefix); key, _ = cursor.Next() {
		targets = append(targets, lastID(key))
	}
	return targets
}

// contains says whether a bucket has a key.
func contains(bucket *bolt.Bucket, key []byte) bool {
	found, _ := bucket.Cursor().Seek(key)
	return bytes.Equal(found, key)
}

// addName sees to it that the entry has the values of its RDN (RFC 4511, section 4.7).
func (d *draft) addName(rdn match.RDN) error {
	for _, value := range rdn.Values {
		a, err := requestedAttribute(value.Attribute)
		if err != nil {
			return err
		}
		if a.equality == nil || a.is(link) || a.is(operational) {
			return wire.Errorf(wire.ResultNamingViolation, "%s cannot name an entry", a.name)
		}
		if err := checkValues(a, []string{value.Value}); err != nil {
			return err
		}
		if !d.hasValue(a, value.Value) {
			d.set(a, slices.Concat(d.values(a.name), d.spell(a, []string{value.Value})))
		}
	}
	return nil
}

func (d *draft) hasValue(a *attribute, value string) bool {
	key := canonical(a, value)
	return slices.ContainsFunc(d.values(a.name), func(have string) bool { return canonical(a, have) == key })
}

// stampAs gives the entry the operational attributes of a write.
func (d *draft) stampAs(at moment) {
	d.setText(attributeModifyTimestamp, at.timestamp)
	d.setText(attributeChangeStamp, at.stamp)
}

// save adds to the changes what makes the entry in the file the draft. before is the entry as it is there; an empty
// one if it is new.
func (d *draft) save(before *record, c *changes) {
	c.put(bucketEntries, idKey(d.id), d.encode())
	diffIndexes(before, &d.record, c)
	for _, a := range directory.links {
		for _, target := range slices.Sorted(maps.Keys(d.links[a])) {
			there := contains(d.tx.Bucket(bucketLinks), linkKey(d.id, a, target))
			switch present := d.links[a][target]; {
			case present && !there:
				c.put(bucketLinks, linkKey(d.id, a, target), nil)
				c.put(bucketBacklinks, linkKey(target, a, d.id), nil)
			case !present && there:
				unlink(d.id, a, target, c)
			}
		}
	}
}

func unlink(holder uint64, a *attribute, target uint64, c *changes) {
	c.delete(bucketLinks, linkKey(holder, a, target))
	c.delete(bucketBacklinks, linkKey(target, a, holder))
}

// diffIndexes adds the changes of the equality indexes that turn one record into the other.
func diffIndexes(before, now *record, c *changes) {
	diffParts(before, now, c)
	for _, have := range before.attributes {
		a := directory.attribute(have.Type)
		values := now.values(have.Type)
		if !a.indexed() || slices.Equal(values, have.Values) {
			continue
		}
		kept := canonicals(a, values)
		for key := range canonicals(a, have.Values) {
			if !kept[key] {
				c.delete(indexBucket(a), indexKey(key, before.id))
			}
		}
	}
	for _, have := range now.attributes {
		a := directory.attribute(have.Type)
		values := before.values(have.Type)
		if !a.indexed() || slices.Equal(values, have.Values) {
			continue
		}
		known := canonicals(a, values)
		for key := range canonicals(a, have.Values) {
			if !known[key] {
				c.put(indexBucket(a), indexKey(key, now.id), nil)
			}
		}
	}
}

// diffParts is diffIndexes for the indexes within schools.
func diffParts(before, now *record, c *changes) {
	from, to := schoolsOf(before), schoolsOf(now)
	moved := !maps.Equal(from, to)
	if len(from) == 0 && !moved {
		return
	}
	for _, a := range directory.parted {
		had, has := before.values(a.name), now.values(a.name)
		if !moved && slices.Equal(had, has) {
			continue
		}
		gone, kept := partKeys(a, from, had, before.id), partKeys(a, to, has, now.id)
		for key := range gone {
			if !kept[key] {
				c.delete(partBucket(a), []byte(key))
			}
		}
		for key := range kept {
			if !gone[key] {
				c.put(partBucket(a), []byte(key), nil)
			}
		}
	}
}

// schoolsOf returns the normalised ids of an entry's schools.
func schoolsOf(entry *record) map[string]bool {
	values := entry.values(attributeMemberOfSchool)
	if len(values) == 0 {
		return nil
	}
	return canonicals(directory.attribute(attributeMemberOfSchool), values)
}

// partKeys returns the keys of an entry's values within its schools.
func partKeys(a *attribute, schools map[string]bool, values []string, id uint64) map[string]bool {
	keys := make(map[string]bool, len(schools)*len(values))
	for value := range canonicals(a, values) {
		for school := range schools {
			keys[string(partKey(school, value, id))] = true
		}
	}
	return keys
}

func canonicals(a *attribute, values []string) map[string]bool {
	set := make(map[string]bool, len(values))
	for _, value := range values {
		set[canonical(a, value)] = true
	}
	return set
}
