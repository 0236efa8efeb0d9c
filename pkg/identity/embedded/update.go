package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Add creates an entry. Values of its RDN and superclasses of its object classes are added if they are missing, and
// a password in clear text is hashed. The result is the entry as PostRead asks for it, or nil.
//
// Refusals: ResultEntryAlreadyExists; ResultNoSuchObject if the parent is missing; ResultInvalidDNSyntax,
// ResultUndefinedAttributeType, ResultInvalidAttributeSyntax and ResultObjectClassViolation by the schema;
// ResultAttributeOrValueExists for a value given twice; ResultConstraintViolation for a unique value that another entry
// has, a member or school that does not exist, a second value of an attribute that has one, and an attribute that the
// directory keeps itself.
func (s *Store) Add(ctx context.Context, request *wire.AddRequest) (*wire.Entry, error) {
	name, err := parseName(request.DN)
	if err != nil {
		return nil, err
	}
	attributes, err := s.hashPasswords(ctx, request.Attributes)
	if err != nil {
		return nil, err
	}
	add := addition{name: name, attributes: attributes}
	return s.write(ctx, &operation{prepare: add.prepare, finish: postRead(name, request.PostRead)})
}

// addition is an Add on its way through the writer. Its name has been read before, as that of every write, because what
// a client sends should cost the client's time and not that of the one writer.
type addition struct {
	name       *match.DN
	attributes []wire.Attribute
	// context allows the entry to be a naming context.
	context bool
}

func (a *addition) prepare(tx *bolt.Tx, at moment) (*changes, error) {
	parent, err := a.place(tx)
	if err != nil {
		return nil, err
	}
	d := &draft{tx: tx}
	d.id = tx.Bucket(bucketEntries).Sequence() + 1
	d.parent, d.key, d.dn = parent, a.name.Key(), a.name.String()
	if err := d.fill(a.attributes, a.name.RDNs[0]); err != nil {
		return nil, err
	}
	d.setText(attributeEntryUUID, newUUID())
	d.setText(attributeCreateTimestamp, at.timestamp)
	d.stampAs(at)
	if err := d.complete(); err != nil {
		return nil, err
	}
	nothing := &record{id: d.id}
	if err := d.checkNeighbours(nothing); err != nil {
		return nil, err
	}
	c := &changes{created: d.id}
	c.put(bucketNames, []byte(d.key), idKey(d.id))
	c.put(bucketChildren, pairKey(parent, d.id), nil)
	d.save(nothing, c)
	return c, nil
}

// place returns the id of the entry that the new one is to be below.
func (a *addition) place(tx *bolt.Tx) (uint64, error) {
	if len(a.name.RDNs) == 0 {
		return 0, wire.Errorf(wire.ResultNamingViolation, "the root of the tree is no entry")
	}
	key := a.name.Key()
	if len(key) > maxNameKey {
		return 0, wire.Errorf(wire.ResultConstraintViolation, "a DN has at most %d bytes here", maxNameKey)
	}
	if findID(tx, key) != 0 {
		return 0, wire.Errorf(wire.ResultEntryAlreadyExists, "the entry exists")
	}
	parent := findID(tx, match.ParentKey(key))
	if parent == 0 && !a.context {
		return 0, noSuchObject(tx, key)
	}
	return parent, nil
}

// fill gives a new entry the attributes of the request and those of its RDN.
func (d *draft) fill(attributes []wire.Attribute, rdn match.RDN) error {
	seen := map[*attribute]bool{}
	for _, given := range attributes {
		a, err := requestedAttribute(given.Type)
		if err != nil {
			return err
		}
		if seen[a] {
			return wire.Errorf(wire.ResultAttributeOrValueExists, "%s is given twice", a.name)
		}
		seen[a] = true
		if len(given.Values) == 0 {
			return wire.Errorf(wire.ResultProtocolError, "%s is given without a value", a.name)
		}
		if err := checkValues(a, given.Values); err != nil {
			return err
		}
		if err := d.addValues(a, given.Values); err != nil {
			return err
		}
	}
	return d.addName(rdn)
}

// newUUID returns a random UUID (RFC 9562, section 5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Modify changes an entry: all changes in their order, or none. A password in clear text is hashed. The result is the
// entry as PostRead asks for it, or nil.
//
// Refusals: ResultNoSuchObject; ResultNoSuchAttribute if a value to be deleted is not there,
// ResultAttributeOrValueExists if one to be added is; ResultNotAllowedOnRDN if a value of the RDN would go;
// ResultObjectClassModsProhibited if the structural class would change; ResultUnwillingToPerform if the id of a school
// would change while entries refer to it; ResultAssertionFailed if the entry does not match the assertion; and those of
// Add.
func (s *Store) Modify(ctx context.Context, request *wire.ModifyRequest) (*wire.Entry, error) {
	name, err := parseName(request.DN)
	if err != nil {
		return nil, err
	}
	steps := make([]wire.Change, len(request.Changes))
	for i, change := range request.Changes {
		steps[i] = change
		if change.Operation == wire.ChangeDelete {
			continue
		}
		hashed, err := s.hashPasswords(ctx, []wire.Attribute{change.Attribute})
		if err != nil {
			return nil, err
		}
		steps[i].Attribute = hashed[0]
	}
	asserted, err := compileAssertionOf(request.Assertion)
	if err != nil {
		return nil, err
	}
	prepare := func(tx *bolt.Tx, at moment) (*changes, error) {
		return prepareModify(tx, at, name, asserted, steps)
	}
	return s.write(ctx, &operation{prepare: prepare, finish: postRead(name, request.PostRead)})
}

func prepareModify(tx *bolt.Tx, at moment, name *match.DN, asserted *condition, steps []wire.Change) (*changes, error) {
	before, err := findEntry(tx, name)
	if err != nil {
		return nil, err
	}
	if err := asserted.check(tx, before); err != nil {
		return nil, err
	}
	d := newDraft(tx, before)
	for _, step := range steps {
		if err := d.change(step); err != nil {
			return nil, err
		}
	}
	if err := d.keepsName(); err != nil {
		return nil, err
	}
	return d.finish(before, at)
}

// change carries out one step of a Modify.
func (d *draft) change(step wire.Change) error {
	a, err := requestedAttribute(step.Attribute.Type)
	if err != nil {
		return err
	}
	values := step.Attribute.Values
	if step.Operation == wire.ChangeDelete {
		if a.is(operational) {
			return wire.Errorf(wire.ResultConstraintViolation, "%s is kept by the directory", a.name)
		}
		return d.deleteValues(a, values)
	}
	if err := checkValues(a, values); err != nil {
		return err
	}
	switch {
	case step.Operation == wire.ChangeReplace:
		return d.replaceValues(a, values)
	case step.Operation != wire.ChangeAdd:
		return wire.Errorf(wire.ResultProtocolError, "unknown operation of a modify request")
	case len(values) == 0:
		return wire.Errorf(wire.ResultProtocolError, "%s is to be added without a value", a.name)
	}
	return d.addValues(a, values)
}

// keepsName refuses a change that took a value of the RDN away (RFC 4511, section 4.6).
func (d *draft) keepsName() error {
	name, err := parseName(d.dn)
	if err != nil {
		return err
	}
	for _, value := range name.RDNs[0].Values {
		if a := directory.attribute(value.Attribute); !d.hasValue(a, value.Value) {
			return wire.Errorf(wire.ResultNotAllowedOnRDN, "%s names the entry", a.name)
		}
	}
	return nil
}

// finish proves the draft and returns the changes that save it.
func (d *draft) finish(before *record, at moment) (*changes, error) {
	d.stampAs(at)
	if err := d.complete(); err != nil {
		return nil, err
	}
	if err := d.checkNeighbours(before); err != nil {
		return nil, err
	}
	c := &changes{}
	d.save(before, c)
	return c, nil
}

// Delete deletes an entry, and takes it out of every class that it is a member or a teacher of.
//
// Refusals: ResultNoSuchObject; ResultNotAllowedOnNonLeaf if there are entries below it; ResultUnwillingToPerform if it
// is a naming context, or a school that entries refer to; ResultAssertionFailed if it does not match the assertion.
func (s *Store) Delete(ctx context.Context, request *wire.DeleteRequest) error {
	name, err := parseName(request.DN)
	if err != nil {
		return err
	}
	asserted, err := compileAssertionOf(request.Assertion)
	if err != nil {
		return err
	}
	_, err = s.write(ctx, &operation{prepare: func(tx *bolt.Tx, at moment) (*changes, error) {
		return prepareDelete(tx, at, name, asserted)
	}})
	return err
}

// compileAssertionOf prepares the filter of an assertion (RFC 4528), or nil.
func compileAssertionOf(filter *wire.Filter) (*condition, error) {
	if filter == nil {
		return nil, nil
	}
	return compile(filter, 0)
}

// check refuses an operation on an entry for which its assertion is not true. No assertion refuses nothing.
func (c *condition) check(tx *bolt.Tx, entry *record) error {
	if c == nil || c.of(tx, entry) == isTrue {
		return nil
	}
	return wire.Errorf(wire.ResultAssertionFailed, "the entry does not match the assertion")
}

func prepareDelete(tx *bolt.Tx, at moment, name *match.DN, asserted *condition) (*changes, error) {
	entry, err := findEntry(tx, name)
	if err == nil {
		err = asserted.check(tx, entry)
	}
	switch {
	case err != nil:
		return nil, err
	case entry.parent == 0:
		return nil, wire.Errorf(wire.ResultUnwillingToPerform, "a naming context cannot be deleted")
	case hasChildren(tx, entry.id):
		return nil, wire.Errorf(wire.ResultNotAllowedOnNonLeaf, "the entry has entries below it")
	}
	if is, id := schoolUUID(entry); is {
		if err := checkNotReferred(&draft{tx: tx}, entry.id, id); err != nil {
			return nil, err
		}
	}
	c := &changes{}
	c.delete(bucketEntries, idKey(entry.id))
	c.delete(bucketNames, []byte(entry.key))
	c.delete(bucketChildren, pairKey(entry.parent, entry.id))
	diffIndexes(entry, &record{id: entry.id}, c)
	for _, a := range directory.links {
		for _, target := range linkTargets(tx, entry.id, a) {
			unlink(entry.id, a, target, c)
		}
	}
	return c, leaveHolders(tx, entry.id, at, c)
}

// leaveHolders takes an entry out of all entries that link to it, and stamps them.
func leaveHolders(tx *bolt.Tx, target uint64, at moment, c *changes) error {
	stamped := map[uint64]bool{target: true}
	for _, a := range directory.links {
		prefix := linkPrefix(target, a)
		cursor := tx.Bucket(bucketBacklinks).Cursor()
		for key, _ := cursor.Seek(prefix); key != nil && bytes.HasPrefix(key, prefix); key, _ = cursor.Next() {
			holder := lastID(key)
			unlink(holder, a, target, c)
			if stamped[holder] {
				continue
			}
			stamped[holder] = true
			before, err := load(tx, holder)
			if err != nil {
				return err
			}
			d := newDraft(tx, before)
			d.stampAs(at)
			d.save(before, c)
		}
	}
	return nil
}

// ModifyDN renames an entry, and moves it if NewSuperior is not nil. Entries below it go with it; the cost grows with
// their number. Members and teachers stay what they are, because links follow entries and not names.
//
// Refusals: ResultNoSuchObject for the entry or the new superior; ResultEntryAlreadyExists; ResultUnwillingToPerform for
// a naming context and for a move below the entry itself; and those of Add for the new RDN.
func (s *Store) ModifyDN(ctx context.Context, request *wire.ModifyDNRequest) error {
	rename, err := newRenaming(request)
	if err != nil {
		return err
	}
	_, err = s.write(ctx, &operation{prepare: rename.prepare})
	return err
}

// renaming is a ModifyDN on its way through the writer.
type renaming struct {
	name *match.DN
	rdn  match.RDN
	// newSuperior is nil for an entry that stays where it is.
	newSuperior  *match.DN
	deleteOldRDN bool
}

func newRenaming(request *wire.ModifyDNRequest) (*renaming, error) {
	name, err := parseName(request.DN)
	if err != nil {
		return nil, err
	}
	rdn, ok := match.ParseRDN(request.NewRDN, directory.lookup)
	if !ok {
		return nil, wire.Errorf(wire.ResultInvalidDNSyntax, "the new RDN is none")
	}
	r := &renaming{name: name, rdn: rdn, deleteOldRDN: request.DeleteOldRDN}
	if request.NewSuperior != nil {
		r.newSuperior, err = parseName(*request.NewSuperior)
	}
	return r, err
}

func (r *renaming) prepare(tx *bolt.Tx, at moment) (*changes, error) {
	before, err := findEntry(tx, r.name)
	if err != nil {
		return nil, err
	}
	superior, err := r.superior(tx, before)
	if err != nil {
		return nil, err
	}
	d := newDraft(tx, before)
	d.parent, d.dn, d.key = superior.id, r.rdn.String()+","+superior.dn, superior.key+r.rdn.Key()+"\x00"
	if len(d.key) > maxNameKey {
		return nil, wire.Errorf(wire.ResultConstraintViolation, "a DN has at most %d bytes here", maxNameKey)
	}
	if other := findID(tx, d.key); other != 0 && other != d.id {
		return nil, wire.Errorf(wire.ResultEntryAlreadyExists, "an entry with the new name exists")
	}
	if err := r.exchangeName(d); err != nil {
		return nil, err
	}
	c, err := d.finish(before, at)
	if err != nil {
		return nil, err
	}
	return c, d.move(before, c)
}

// superior returns the entry that the renamed one is to be below.
func (r *renaming) superior(tx *bolt.Tx, entry *record) (*record, error) {
	if entry.parent == 0 {
		return nil, wire.Errorf(wire.ResultUnwillingToPerform, "a naming context cannot be renamed")
	}
	if r.newSuperior == nil {
		return load(tx, entry.parent)
	}
	superior, err := findEntry(tx, r.newSuperior)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(superior.key, entry.key) {
		return nil, wire.Errorf(wire.ResultUnwillingToPerform, "an entry cannot be moved below itself")
	}
	return superior, nil
}

// exchangeName takes the values of the old RDN away, if the request asks for that, and adds those of the new one.
func (r *renaming) exchangeName(d *draft) error {
	if r.deleteOldRDN {
		for _, value := range r.name.RDNs[0].Values {
			if err := d.deleteValues(directory.attribute(value.Attribute), []string{value.Value}); err != nil {
				return err
			}
		}
	}
	return d.addName(r.rdn)
}

// move adds the changes of names and places: those of the entry, and the names of all entries below it.
func (d *draft) move(before *record, c *changes) error {
	c.delete(bucketNames, []byte(before.key))
	c.delete(bucketChildren, pairKey(before.parent, before.id))
	c.put(bucketNames, []byte(d.key), idKey(d.id))
	c.put(bucketChildren, pairKey(d.parent, d.id), nil)
	old, err := parseName(before.dn)
	if err != nil {
		return err
	}
	for _, id := range below(d.tx, before.key) {
		if id == d.id {
			continue
		}
		entry, err := load(d.tx, id)
		if err != nil {
			return err
		}
		name, err := parseName(entry.dn)
		if err != nil {
			return err
		}
		c.delete(bucketNames, []byte(entry.key))
		own := &match.DN{RDNs: name.RDNs[:len(name.RDNs)-len(old.RDNs)]}
		entry.dn, entry.key = own.String()+","+d.dn, d.key+strings.TrimPrefix(entry.key, before.key)
		if len(entry.key) > maxNameKey {
			return wire.Errorf(wire.ResultConstraintViolation, "a DN has at most %d bytes here", maxNameKey)
		}
		c.put(bucketNames, []byte(entry.key), idKey(id))
		c.put(bucketEntries, idKey(id), entry.encode())
	}
	return nil
}

// below returns the ids of the entry with a key and of all below it.
func below(tx *bolt.Tx, key string) []uint64 {
	ids := &span{bucket: bucketNames, from: []byte(key), to: after([]byte(key)), valued: true}
	return ids.next(tx, 0, int(tx.Bucket(bucketEntries).Sequence()), nil)
}

// postRead returns the step of a write that reads the entry afterwards (RFC 4527), or nil if nothing is asked for.
func postRead(name *match.DN, attributes []string) func(tx *bolt.Tx) (*wire.Entry, error) {
	if len(attributes) == 0 {
		return nil
	}
	return func(tx *bolt.Tx) (*wire.Entry, error) {
		entry, err := findEntry(tx, name)
		if err != nil {
			return nil, err
		}
		return newSelection(attributes, false).entry(tx, entry), nil
	}
}
