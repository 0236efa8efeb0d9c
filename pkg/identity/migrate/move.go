package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/opencloud-eu/education/internal/passwordhash"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Move brings every entity of one directory into another: first schools, then users, then classes, with their ids, password
// hashes, links, unique keys and revisions. Entities that are there already and equal are passed over, different ones are
// reported, and those that only the target has stay. It may be called again after an error.
func Move(ctx context.Context, from, to Side, options Options) (*Summary, error) {
	if to.Plain {
		return nil, fmt.Errorf("%s: %w; load deploy/openldap/schema/education.ldif, or its counterpart for the server, first", to.Name, identity.ErrPlain)
	}
	m := &move{job: newJob(options), from: from, to: to, written: make(map[string]string), known: make(map[string]bool)}
	if err := m.takeBoth(ctx); err != nil {
		return nil, err
	}
	m.faults(m.source)
	m.oldSchema(to)
	if err := m.reportOutside(ctx); err != nil {
		return nil, err
	}
	m.lookAtPasswords()
	plans := make(map[*education.EntitySet]plan)
	for _, set := range education.EntitySets {
		plans[set] = m.plan(set)
	}
	if users := plans[education.Users]; options.Apply && users.size() > 0 {
		if err := m.tryPasswords(ctx); err != nil {
			return m.summary, err
		}
	}
	work := 0
	for _, set := range education.EntitySets {
		work += plans[set].size()
		if err := m.moveSet(ctx, set, plans[set]); err != nil {
			return m.summary, err
		}
	}
	switch {
	case !options.Apply:
		return m.summary, nil
	case work == 0:
		m.summary.Verified = true // Both directories have just been read.
		return m.summary, nil
	}
	return m.summary, m.verify(ctx)
}

// move is a Move under way.
type move struct {
	*job
	from, to       Side
	source, target *identity.Inventory

	// written are the DNs of the entities that this run has written, or would have, by their ids. known are the ids of those
	// that it has reported.
	written map[string]string
	known   map[string]bool
	mutex   sync.Mutex
}

func (m *move) takeBoth(ctx context.Context) error {
	var err error
	if m.source, err = m.take(ctx, m.from, m.keeps); err != nil {
		return fmt.Errorf("%s: %w", m.from.Name, err)
	}
	if m.target, err = m.take(ctx, m.to, nil); err != nil {
		return fmt.Errorf("%s: %w", m.to.Name, err)
	}
	return nil
}

// keeps reports whether a value of userPassword moves. The directory in the process takes what is no hash that it knows for
// a password in clear text, with which somebody who has seen the hash could sign in.
func (m *move) keeps(value string) bool {
	if m.WithoutPasswords {
		return false
	}
	_, ok := passwordhash.Parse(value)
	return ok || !m.to.Embedded || identity.PasswordScheme(value) == ""
}

// comparePasswords reports whether passwords can be compared, which takes the right to read them on both sides.
func (m *move) comparePasswords() bool {
	return !m.WithoutPasswords && (m.from.Embedded || m.source.ShowsPasswords) && (m.to.Embedded || m.target.ShowsPasswords)
}

// reportOutside reports what is in the source and not the service's.
func (m *move) reportOutside(ctx context.Context) error {
	entries, attributes, err := m.from.Directory.Outside(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", m.from.Name, err)
	}
	if len(entries) > 0 {
		m.report(Finding{Kind: LeftBehind, Text: "Entries that are not the service's stay where they are: " + sorted(entries) + "."})
	}
	if len(attributes) > 0 {
		m.report(Finding{Kind: LeftBehind, Text: "Attributes that neither the service nor OpenCloud uses stay where they are: " + sorted(attributes) + "."})
	}
	for _, h := range m.source.Holdings {
		for _, link := range h.Foreign {
			m.about(h, ForeignLink, "one of its %s is no user of the service and stays behind: %s", link.Navigation.Name, link.Value)
		}
	}
	return nil
}

// lookAtPasswords reports the passwords that will not arrive.
func (m *move) lookAtPasswords() {
	if m.WithoutPasswords {
		return
	}
	hasUsers := slices.ContainsFunc(m.source.Holdings, func(h *identity.Holding) bool { return h.Set == education.Users })
	if !m.from.Embedded && !m.source.ShowsPasswords && hasUsers {
		m.report(Finding{Kind: Passwords, Text: "No password of a user can be read in " + m.from.Name + ": there is none, or the account may not read them" +
			" (with deploy/openldap only the administrator may). Users arrive without one; move them without their passwords if that is meant."})
	}
	for scheme, count := range m.source.Dropped {
		m.report(Finding{Kind: Passwords, Text: fmt.Sprintf("%d passwords are hashes of a kind that the target cannot verify, %s, and do not move.", count, scheme)})
	}
}

// hashes make hashes of the schemes that can be tried.
var hashes = map[string]func(string) string{
	"{ARGON2}": passwordhash.Argon2id, "{SSHA512}": passwordhash.SSHA512, "{SSHA}": passwordhash.SSHA,
}

// tryPasswords tries, with a password of its own, whether the target verifies hashes of the kinds that the source has.
func (m *move) tryPasswords(ctx context.Context) error {
	if m.to.Embedded || m.WithoutPasswords {
		return nil
	}
	const password = "a password that opens nothing"
	for scheme, count := range m.source.Schemes {
		hash := hashes[scheme]
		if scheme == "" {
			continue
		}
		if hash == nil {
			m.report(Finding{Kind: Passwords, Text: fmt.Sprintf("%d passwords are hashes of the kind %s; whether the target verifies them cannot be tried.", count, scheme)})
			continue
		}
		verified, err := m.to.Directory.TryPassword(ctx, hash(password), func(ctx context.Context, dn string) (bool, error) {
			return m.to.Verify(ctx, dn, password)
		})
		if reason, ok := refused(err); ok {
			return fmt.Errorf("%s does not take passwords as %s hashes from this account: %s; move the users without their passwords, or give the account the right",
				m.to.Name, scheme, reason)
		}
		if err != nil {
			return err
		}
		if !verified {
			m.report(Finding{Kind: Passwords, Text: fmt.Sprintf("%d passwords are hashes of the kind %s, which the target takes and does not verify:"+
				" nobody can sign in with them there until it does (OpenLDAP: module argon2 or pw-sha2).", count, scheme)})
		}
	}
	return nil
}

// plan is what is to be done about the entities of one set: the ids of those that the target does not have, and of those
// that it has with another content.
type plan struct{ absent, changed []string }

func (p plan) size() int { return len(p.absent) + len(p.changed) }

// plan decides about each entity of a set.
func (m *move) plan(set *education.EntitySet) plan {
	var p plan
	for _, h := range m.source.Holdings {
		if h.Set != set {
			continue
		}
		m.of(set).Entities++
		switch there := m.target.Find(h.ID); {
		case !h.Addressable():
			m.leave(h, "", "")
		case m.inTheWay(h, there):
		case there == nil:
			p.absent = append(p.absent, h.ID)
		case h.SameContent(there, m.comparePasswords()):
			m.count(set, Equal)
		default:
			p.changed = append(p.changed, h.ID)
		}
	}
	return p
}

// moveSet moves the entities of one set.
func (m *move) moveSet(ctx context.Context, set *education.EntitySet, p plan) error {
	if p.size() == 0 {
		return nil
	}
	verb := "looking at "
	if m.Apply {
		verb = "writing "
	}
	m.begin(verb+set.Name, p.size())
	defer m.end()
	if err := m.inChunks(ctx, set, p.absent, m.add); err != nil {
		return err
	}
	return m.inChunks(ctx, set, p.changed, m.change)
}

// leave counts an entity that is not written, and says why unless somebody has.
func (m *move) leave(h *identity.Holding, kind Kind, reason string) {
	m.count(h.Set, Left)
	if kind != "" {
		m.about(h, kind, "%s", reason)
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.known[h.ID] = true
}

// inTheWay reports whether something in the target keeps an entity out: its id, or a unique value, is another's there.
func (m *move) inTheWay(h, there *identity.Holding) bool {
	if there != nil && (there.Set != h.Set || !there.Addressable()) {
		m.leave(h, Conflict, "its id is that of another entry in the target: "+there.DN)
		return true
	}
	for _, key := range h.Keys {
		other := m.target.Claimant(key)
		if other != nil && other.ID != h.ID && m.source.Keeps(key, h.ID) && !m.source.Claims(key, other.ID) {
			m.leave(h, Conflict, fmt.Sprintf("its unique key %s is claimed by another entry in the target: %s (%s)", key, other.ID, other.DN))
			return true
		}
	}
	return false
}

// readAtOnce is how many entities are read at once, and those of a class, which may have many members.
const (
	readAtOnce        = 100
	readClassesAtOnce = 10
)

// inChunks reads entities of the source and does something about each, several at a time.
func (m *move) inChunks(ctx context.Context, set *education.EntitySet, ids []string, do func(context.Context, *identity.Copy) error) error {
	size := readAtOnce
	if set == education.Classes {
		size = readClassesAtOnce
	}
	for chunk := range slices.Chunk(ids, size) {
		copies, err := m.from.Directory.ReadCopies(ctx, m.source, set, chunk, m.keeps)
		if err != nil {
			return fmt.Errorf("%s: %w", m.from.Name, err)
		}
		err = each(ctx, copies, func(c *identity.Copy) error {
			defer m.step()
			return m.settle(c, do(ctx, c))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// settle takes note of what has become of an entity. An error that others do not share is a finding.
func (m *move) settle(c *identity.Copy, err error) error {
	reason, ok := refused(err)
	switch {
	case ok:
		m.leave(m.source.Find(c.ID), Refused, reason)
		return nil
	case errors.Is(err, errLeft):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %s %s: %w", m.to.Name, c.Set.Singular, c.ID, err)
	}
	return nil
}

// errLeft is returned for an entity that was left as it is.
var errLeft = errors.New("left")

// add makes an entity that the target does not have.
func (m *move) add(ctx context.Context, c *identity.Copy) error {
	err := m.placing().Check(c)
	if err == nil && m.Apply {
		err = m.arrived(ctx, c, m.to.Directory.Put(ctx, c, m.placing()))
	}
	if err != nil {
		return err
	}
	m.note(c.ID, m.to.Directory.NameOf(c.Set, c.ID))
	m.count(c.Set, Added)
	return nil
}

// arrived returns nil instead of the refusal of an entity that is there meanwhile: a write of a run that broke off may have
// been carried out after this one has looked. Whether it is what it should be, verify finds out.
func (m *move) arrived(ctx context.Context, c *identity.Copy, err error) error {
	if _, ok := refused(err); !ok {
		return err
	}
	_, looked := m.to.Directory.Get(ctx, c.Set, education.Key{Property: c.Set.ID, Value: c.ID}, nil)
	switch {
	case looked == nil, odata.Is(looked, odata.GeneralException):
		return nil
	case odata.Is(looked, odata.ItemNotFound):
		return err
	}
	return looked
}

// change makes an entity that differs what it is in the source, if that is wanted. One that an earlier run has left
// unfinished is finished.
func (m *move) change(ctx context.Context, c *identity.Copy) error {
	h := m.target.Find(c.ID)
	copies, err := m.to.Directory.ReadCopies(ctx, m.target, c.Set, []string{c.ID}, nil)
	if err != nil {
		return err
	}
	if len(copies) != 1 {
		return &identity.Refusal{Reason: "it has gone from the target meanwhile"}
	}
	if !m.Overwrite && !h.Unfinished {
		names := strings.Join(c.Differences(copies[0], m.comparePasswords()), ", ")
		m.leave(m.source.Find(c.ID), Different, "it differs in the target, "+h.DN+", in "+names)
		return errLeft
	}
	if err := m.placing().Check(c); err != nil {
		return err
	}
	if m.Apply {
		if err := m.to.Directory.Overwrite(ctx, h, c, copies[0], m.placing()); err != nil {
			return err
		}
	}
	m.count(c.Set, Overwritten)
	return nil
}

func (m *move) note(id, dn string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.written[id] = dn
}

// placing says where entities go.
func (m *move) placing() identity.Placing {
	return identity.Placing{Linked: m.linked, Keeps: m.source.Keeps}
}

// linked returns the DN of an entity in the target.
func (m *move) linked(id string) (string, bool) {
	if h := m.target.Find(id); h != nil {
		return h.DN, h.Addressable()
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	dn, there := m.written[id]
	return dn, there
}

// verify reads both directories again and compares them.
func (m *move) verify(ctx context.Context) error {
	if err := m.takeBoth(ctx); err != nil {
		return err
	}
	m.summary.Verified = true
	for _, h := range m.source.Holdings {
		if !h.Addressable() || m.known[h.ID] {
			continue
		}
		there := m.target.Find(h.ID)
		switch {
		case there == nil:
			m.summary.Verified = false
			m.about(h, Missing, "it is not in the target; it was made, or deleted there, during the move: repeat")
		case !h.SameContent(there, m.comparePasswords()):
			m.summary.Verified = false
			m.about(h, Different, "it differs in the target; it was changed during the move: repeat")
		}
	}
	return nil
}
