package embedded

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// Check walks the whole file and returns a sentence for each fault; none means that the file is sound. It proves that
//
//   - every entry can be read, fits the schema, and has its name, its place below its parent and its index entries;
//   - every name, place, index entry and link belongs to an entry;
//   - every link has its twin and both its ends;
//   - unique values are unique, and references lead to schools.
//
// It sees one state of the file, in one transaction, and is meant for tests and for people who suspect a fault. The
// sentences name entries by their DN.
func (s *Store) Check(ctx context.Context) ([]string, error) {
	var found []string
	err := s.view(func(tx *bolt.Tx) error {
		c := &checker{tx: tx, records: map[uint64]*record{}}
		for _, step := range []func(){
			c.readEntries, c.checkEntries, c.checkNames, c.checkChildren, c.checkIndexes, c.checkParts, c.checkLinks, c.checkReferences,
		} {
			if err := ctx.Err(); err != nil {
				return err
			}
			step()
		}
		for err := range tx.Check() {
			c.fault("The file itself is damaged: %v.", err)
		}
		found = c.faults
		return nil
	})
	return found, err
}

// CheckFile is Check for the file of a directory that nobody has open. It writes nothing, and survives whatever is in
// the file. An error says why its entries cannot be looked at: there is no file, or an empty one; another process has it
// open; its pages are damaged; it is no directory of this version.
func CheckFile(ctx context.Context, path string) (faults []string, err error) {
	err = readFile(path, func(tx *bolt.Tx, damage error) error {
		switch {
		case damage != nil:
			return damage
		case tx.Bucket(bucketMeta) == nil:
			return fmt.Errorf("%s is no directory", path)
		}
		if err := checkFormat(tx); err != nil {
			return err
		}
		if !hasIndexes(tx) {
			faults = []string{"The indexes are not those of this version; the next start makes them anew."}
			return nil
		}
		faults, err = (&Store{db: tx.DB()}).Check(ctx)
		return err
	})
	return faults, err
}

// checker holds what Check has read.
type checker struct {
	tx      *bolt.Tx
	records map[uint64]*record
	faults  []string
}

func (c *checker) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *checker) each(bucket []byte, visit func(key, value []byte)) {
	cursor := c.tx.Bucket(bucket).Cursor()
	for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
		visit(key, value)
	}
}

func (c *checker) readEntries() {
	last := c.tx.Bucket(bucketEntries).Sequence()
	c.each(bucketEntries, func(key, value []byte) {
		id := lastID(key)
		entry, err := decodeRecord(id, value)
		switch {
		case err != nil:
			c.fault("Entry %d cannot be read.", id)
			return
		case id == 0 || id > last:
			c.fault("Entry %d has an id that was never given.", id)
		case !bytes.Equal(entry.encode(), value):
			c.fault("Entry %q is not written as this version writes it.", entry.dn)
		}
		c.records[id] = entry
	})
}

func (c *checker) checkEntries() {
	for id, entry := range c.records {
		name, ok := directory.parseDN(entry.dn)
		if !ok || name.Key() != entry.key {
			c.fault("Entry %q has a name that does not agree with its key.", entry.dn)
			continue
		}
		if findID(c.tx, entry.key) != id {
			c.fault("Entry %q is not found by its name.", entry.dn)
		}
		if !contains(c.tx.Bucket(bucketChildren), pairKey(entry.parent, id)) {
			c.fault("Entry %q is not among the children of its parent.", entry.dn)
		}
		if parent := c.records[entry.parent]; entry.parent != 0 && (parent == nil || parent.key != name.Parent().Key()) {
			c.fault("Entry %q has no parent.", entry.dn)
		}
		c.checkSchema(entry)
	}
}

// checkSchema proves an entry as a write does, and that the write would have nothing to add.
func (c *checker) checkSchema(entry *record) {
	for _, have := range entry.attributes {
		a := directory.attribute(have.Type)
		if a == nil || a.name != have.Type {
			c.fault("Entry %q has an attribute %q that the schema does not know.", entry.dn, have.Type)
			return
		}
		if len(canonicals(a, have.Values)) != len(have.Values) || len(have.Values) == 0 {
			c.fault("Entry %q has no value of %s, or one twice.", entry.dn, a.name)
		}
		if slices.ContainsFunc(have.Values, func(value string) bool { return !a.syntax.valid(value) }) {
			c.fault("Entry %q has a value of %s that does not fit its syntax.", entry.dn, a.name)
		}
	}
	d := newDraft(c.tx, entry)
	if err := d.complete(); err != nil {
		c.fault("Entry %q is not allowed by the schema: %v.", entry.dn, err)
	}
	if err := d.keepsName(); err != nil {
		c.fault("Entry %q lacks a value of its name.", entry.dn)
	}
}

func (c *checker) checkNames() {
	c.each(bucketNames, func(key, value []byte) {
		if entry := c.records[lastID(value)]; entry == nil || entry.key != string(key) {
			c.fault("The name %q leads to no entry of that name.", key)
		}
	})
}

func (c *checker) checkChildren() {
	c.each(bucketChildren, func(key, _ []byte) {
		parent, child := lastID(key[:idSize]), c.records[lastID(key)]
		if child == nil || child.parent != parent {
			c.fault("Entry %d counts entry %d among its children, which it is not.", parent, lastID(key))
		}
	})
}

// checkIndexes compares each index with the one that the entries ask for.
func (c *checker) checkIndexes() {
	for _, a := range directory.all {
		if !a.indexed() {
			continue
		}
		wanted := map[string]bool{}
		holders := map[string]uint64{}
		for id, entry := range c.records {
			for value := range canonicals(a, entry.values(a.name)) {
				wanted[string(indexKey(value, id))] = true
				if other, taken := holders[value]; taken && a.is(unique) {
					c.fault("Entries %q and %q have a value of %s in common.", entry.dn, c.records[other].dn, a.name)
				}
				holders[value] = id
			}
		}
		c.each(indexBucket(a), func(key, _ []byte) {
			if !wanted[string(key)] {
				c.fault("The index of %s has a value of entry %d that the entry has not.", a.name, lastID(key))
			}
			delete(wanted, string(key))
		})
		for key := range wanted {
			c.fault("The index of %s lacks a value of entry %d.", a.name, lastID([]byte(key)))
		}
	}
}

// checkParts is checkIndexes for the indexes within schools.
func (c *checker) checkParts() {
	for _, a := range directory.parted {
		wanted := map[string]bool{}
		for id, entry := range c.records {
			maps.Copy(wanted, partKeys(a, schoolsOf(entry), entry.values(a.name), id))
		}
		c.each(partBucket(a), func(key, _ []byte) {
			if !wanted[string(key)] {
				c.fault("The index of %s within schools has a value of entry %d that the entry has not.", a.name, lastID(key))
			}
			delete(wanted, string(key))
		})
		for key := range wanted {
			c.fault("The index of %s within schools lacks a value of entry %d.", a.name, lastID([]byte(key)))
		}
	}
}

func (c *checker) checkLinks() {
	c.each(bucketLinks, func(key, _ []byte) { c.checkLink(key, bucketBacklinks, "link") })
	c.each(bucketBacklinks, func(key, _ []byte) { c.checkLink(key, bucketLinks, "backlink") })
}

// checkLink proves one end of a link: the attribute is known, both entries exist, and the twin does.
func (c *checker) checkLink(key []byte, twins []byte, kind string) {
	near, far := lastID(key[:idSize]), lastID(key)
	name, _, _ := strings.Cut(string(key[idSize:]), "\x00")
	a := directory.attribute(name)
	if a == nil || !a.is(link) || !bytes.Equal(key, linkKey(near, a, far)) {
		c.fault("A %s of entry %d to entry %d has no known attribute.", kind, near, far)
		return
	}
	holder, target := near, far
	if kind == "backlink" {
		holder, target = far, near
	}
	if c.records[holder] == nil || target != 0 && c.records[target] == nil {
		c.fault("A %s of %s between entries %d and %d dangles.", kind, name, near, far)
	}
	if !contains(c.tx.Bucket(twins), linkKey(far, a, near)) {
		c.fault("A %s of %s between entries %d and %d has no twin.", kind, name, near, far)
	}
}

func (c *checker) checkReferences() {
	schools := map[string]bool{}
	for _, entry := range c.records {
		if is, id := schoolUUID(entry); is {
			schools[id] = true
		}
	}
	reference := directory.attribute(attributeMemberOfSchool)
	for _, entry := range c.records {
		for id := range canonicals(reference, entry.values(reference.name)) {
			if !schools[id] {
				c.fault("Entry %q refers to a school that does not exist.", entry.dn)
			}
		}
	}
}
