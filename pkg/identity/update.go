package identity

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Update implements education.Directory.
func (d *Directory) Update(ctx context.Context, set *education.EntitySet, key education.Key, change *education.Change) (*education.Entity, error) {
	if err := mayWrite(ctx, set); err != nil {
		return nil, err
	}
	hash, err := d.hash(ctx, change)
	if err != nil {
		return nil, err
	}
	return attempts(ctx, func() (*education.Entity, error) {
		found, err := d.find(ctx, set, key, forUpdate(change))
		if err != nil {
			return nil, err
		}
		if err := d.mayChange(ctx, found); err != nil {
			return nil, err
		}
		plan, err := d.plan(ctx, found, change, hash)
		if err != nil {
			return nil, err
		}
		plan.keepTo(key)
		// Somebody else may move the entity to another tenant at the same moment.
		_, confined := access.Confined(ctx)
		plan.guarded = plan.guarded || confined
		return d.carryOut(ctx, plan)
	})
}

// forUpdate returns the attributes beside the table's that a change of an entry needs to know.
func forUpdate(change *education.Change) []string {
	extra := []string{"objectClass", attributeUniqueKey, attributeMemberOfSchool}
	for _, link := range change.Links {
		extra = append(extra, link.Navigation.Attributes[0])
	}
	return unique(extra)
}

// plan is a worked-out change of an entry: at most one rename and one Modify.
type plan struct {
	record  *record
	next    *education.Entity
	changed []*education.Property
	changes []wire.Change
	// newRDN is empty unless the entry is renamed, for the property named.
	newRDN string
	named  *education.Property
	// keys are the unique keys that the entry shall have. Those in optional are ones that the change did not ask for.
	keys     []uniqueKey
	optional []string
	// links are the links that the change asks for.
	links []*resolvedLink
	// guarded says that the plan is right only if the entry is still what it was made for.
	guarded bool
	// assertion, unless nil, is what the directory itself is to check of the entry.
	assertion *wire.Filter
}

// keepTo makes the plan one for the version that was read, if the key means some versions and no others. A rename is a
// change of its own, after which the stamp that was read is an old one; then the revision alone guards the change.
func (p *plan) keepTo(key education.Key) {
	if key.Versions == nil {
		return
	}
	p.guarded = true
	if p.newRDN == "" {
		p.assertion = unchanged(p.next.Set, p.record.entry)
	}
}

// plan works out how an entry becomes what a change asks for.
func (d *Directory) plan(ctx context.Context, found *record, change *education.Change, hash string) (*plan, error) {
	p := &plan{record: found, next: education.NewEntity(found.entity.Set)}
	for _, property := range found.entity.Set.Properties {
		if err := p.property(property, change, hash, d.rules); err != nil {
			return nil, err
		}
	}
	d.planStandIns(p)
	schools := found.entry.Values(attributeMemberOfSchool)
	moved := false
	for _, link := range change.Links {
		resolved, err := d.resolveLink(ctx, link)
		if err != nil {
			return nil, err
		}
		p.links = append(p.links, resolved)
		linked := p.link(link.Navigation, resolved.values, d.oneSchool(found.entity.Set))
		if link.Navigation.Attributes[0] == attributeMemberOfSchool {
			moved = len(linked) != len(schools) || len(without(linked, schools)) > 0
			schools = linked
		}
	}
	if d.oneSchool(found.entity.Set) && len(schools) > 1 && len(change.Links) > 0 {
		return nil, oneSchoolOnly(found.entity.Set)
	}
	// Without a stamp, changes within one second are told apart by the revision.
	stamped := found.entry.Value(attributeChangeStamp) != ""
	p.guarded = p.guarded || moved || !stamped || slices.ContainsFunc(p.changed, func(property *education.Property) bool {
		return property.Unique != education.NotUnique
	})
	p.setKeys(d.keysOf(p.next, schools), func(property *education.Property) bool {
		return moved || slices.Contains(p.changed, property)
	})
	return p, nil
}

// property plans the change of one property.
func (p *plan) property(property *education.Property, change *education.Change, hash string, rules education.Rules) error {
	current := p.record.entity.Value(property)
	standIn := holdsStandIn(p.next.Set, property, p.record.entry)
	if standIn {
		current = nil
	}
	value, given := change.Value(property)
	if property.Access == education.WriteOnly {
		if given {
			p.replace(property.Attribute, nonEmpty(hash))
		}
		return nil
	}
	if !given {
		p.next.SetValue(property, current)
		return nil
	}
	if property.Access != education.ReadWrite {
		if !sameReadOnly(property, value, current) {
			return odata.Errorf(odata.InvalidRequest, property.Name, "%s cannot be changed", property.Name)
		}
		value = current
	}
	if err := checkDistinct(property, value); err != nil {
		return err
	}
	p.next.SetValue(property, value)
	// A value that cannot be read counts as none, and of several values one counts; writing that repairs the entry.
	_, fault := decodeValue(property, p.record.entry.Values(property.Attribute))
	if education.Equal(value, current) && (fault == nil || standIn) {
		return nil
	}
	p.changed = append(p.changed, property)
	values := encodeValue(value)
	if p.renames(property) {
		p.named = property
		name := rdn(property.Attribute, strings.Join(values, ""))
		if len(values) > 0 && rules.UniqueScope(p.next.Set, property) == education.Everywhere && len(name) <= maxNameLength {
			p.newRDN = name
			return nil
		}
		// Without its name the entry gets the one that this service would have given it. So it does if others may have the
		// value, too: one of another school may be named by it, which is not to be in the way, and not to be learnt. And a
		// value may be too long for a name.
		p.newRDN = rdn(attributeID, p.record.entity.ID())
	}
	p.replace(property.Attribute, values)
	return nil
}

// sameReadOnly compares what a body repeats of a read-only property; ids are equal in any case.
func sameReadOnly(property *education.Property, value, current any) bool {
	left, isText := value.(string)
	right, _ := current.(string)
	if isText && property.Type == education.UUID {
		return strings.EqualFold(left, right)
	}
	return education.Equal(value, current)
}

func nonEmpty(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

func (p *plan) replace(attribute string, values []string) {
	p.changes = append(p.changes, wire.Change{Operation: wire.ChangeReplace, Attribute: wire.Attribute{Type: attribute, Values: values}})
}

func (p *plan) add(attribute string, values []string) {
	p.changes = append(p.changes, wire.Change{Operation: wire.ChangeAdd, Attribute: wire.Attribute{Type: attribute, Values: values}})
}

// renames reports whether a property names the entry. That is so for entries that OpenCloud's graph service made.
func (p *plan) renames(property *education.Property) bool {
	dn, ok := parseDN(p.record.entry.DN)
	return ok && len(dn.RDNs) > 0 && slices.ContainsFunc(dn.RDNs[0].Values, func(part match.RDNValue) bool {
		return strings.EqualFold(part.Attribute, property.Attribute)
	})
}

// planStandIns plans new stand-ins if the change begins or ends one, or changes the value that one is taken from.
func (d *Directory) planStandIns(p *plan) {
	set := p.next.Set
	touched := slices.ContainsFunc(set.StandIns, func(standIn education.StandIn) bool {
		own, source := propertyOf(set, standIn.Attribute), set.Property(standIn.Property)
		stood := own == nil || holdsStandIn(set, own, p.record.entry)
		stands := own == nil || p.next.Value(own) == nil
		return stood != stands || stands && slices.Contains(p.changed, source)
	})
	if touched {
		p.replaceStandIns(d.standIns(p.next))
	}
}

// replaceStandIns plans the stand-ins that the entry shall have, and the note of them.
func (p *plan) replaceStandIns(standIns []wire.Attribute) {
	p.guarded = true
	noted := false
	for _, attribute := range standIns {
		noted = noted || attribute.Type == attributePlaceholder
		p.changes = slices.DeleteFunc(p.changes, func(change wire.Change) bool { return change.Attribute.Type == attribute.Type })
		p.replace(attribute.Type, attribute.Values)
	}
	if !noted && len(p.record.entry.Values(attributePlaceholder)) > 0 {
		p.replace(attributePlaceholder, nil)
	}
}

// link plans links to further entries and returns all of the attribute's values afterwards. Where an entity can be in
// one school only, a new school takes the place of the old one: that is how a user moves in a single write.
func (p *plan) link(nav *education.Navigation, values []string, one bool) []string {
	attribute := nav.Attributes[0]
	have := p.record.entry.Values(attribute)
	fresh := withoutFolded(values, have)
	if len(fresh) == 0 {
		return have
	}
	kept := slices.Clone(have)
	if attribute == attributeMemberOfSchool && one {
		// The old school is named, so that a move on outdated data is refused.
		for _, value := range have {
			p.remove(attribute, value)
		}
		kept, fresh = nil, values
	}
	p.add(attribute, fresh)
	return append(kept, fresh...)
}

// withoutFolded is without for ids and DNs.
func withoutFolded(values, others []string) []string {
	seen := make(map[string]bool, len(others))
	for _, other := range others {
		seen[foldDN(other)] = true
	}
	var rest []string
	for _, value := range values {
		if !seen[foldDN(value)] {
			rest = append(rest, value)
		}
	}
	return rest
}

// setKeys plans the entry's unique keys. A key that the entry lacks and that the change did not ask for is optional:
// another entry may have it, as happens when two users 4711 have left their schools, and that must keep nobody from
// changing either of them.
func (p *plan) setKeys(want []uniqueKey, asked func(*education.Property) bool) {
	have := p.record.entry.Values(attributeUniqueKey)
	p.keys = want
	for _, key := range want {
		if key.property != nil && !asked(key.property) && !slices.Contains(have, key.text) {
			p.optional = append(p.optional, key.text)
		}
	}
}

// plainRequest returns the Modify of a plan for a plain directory, where the stamp of the entry takes the place of the
// revision. After a rename the stamp is another one, and what the plan replaces must still be what it was made for.
func (p *plan) plainRequest() *wire.ModifyRequest {
	request := &wire.ModifyRequest{DN: p.record.entry.DN, Changes: p.changes, Assertion: p.assertion}
	switch {
	case !p.guarded || len(p.changes) == 0:
	case p.newRDN == "":
		request.Assertion = unchanged(p.next.Set, p.record.entry)
	default:
		request.Assertion = p.replacedUnchanged()
	}
	return request
}

// replacedUnchanged returns the condition that the values which a plan replaces are still those that were read, or nil if it
// replaces none of these.
func (p *plan) replacedUnchanged() *wire.Filter {
	read := attributesOf(p.next.Set)
	var same []*wire.Filter
	for _, change := range p.changes {
		attribute := change.Attribute.Type
		if change.Operation != wire.ChangeReplace || !slices.Contains(read, attribute) {
			continue
		}
		values := p.record.entry.Values(attribute)
		if len(values) == 0 {
			same = append(same, wire.Not(wire.Present(attribute)))
		}
		for _, value := range values {
			same = append(same, wire.Equal(attribute, value))
		}
	}
	return allFilters(same...)
}

// request returns the Modify of a plan. An entry made by OpenCloud's graph service gets the object class that permits
// unique keys.
func (p *plan) request(optional bool) *wire.ModifyRequest {
	have, want := p.record.entry.Values(attributeUniqueKey), keyTexts(p.keys)
	if !optional {
		want = without(want, p.optional)
	}
	revision := revisionOf(p.next.Set, have)
	switch {
	case p.guarded || len(changeKeys(without(have, []string{revision}), want)) > 0:
		want = append(want, nextRevision(p.next, revision))
	case revision != "":
		want = append(want, revision)
	}
	changes := slices.Concat(p.changes, changeKeys(have, want))
	if !hasClass(p.record.entry, classEducationObject) {
		changes = slices.Insert(changes, 0, wire.Change{
			Operation: wire.ChangeAdd,
			Attribute: wire.Attribute{Type: "objectClass", Values: []string{classEducationObject}},
		})
	}
	return &wire.ModifyRequest{DN: p.record.entry.DN, Changes: changes, Assertion: p.assertion}
}

// asked returns the keys that the entry lacks and that the change asked for.
func (p *plan) asked() []uniqueKey {
	have := p.record.entry.Values(attributeUniqueKey)
	return slices.DeleteFunc(slices.Clone(p.keys), func(key uniqueKey) bool {
		return slices.Contains(have, key.text) || slices.Contains(p.optional, key.text)
	})
}

// modify makes the Modify of a plan that does not rename the entry, unless a value is taken.
func (d *Directory) modify(ctx context.Context, p *plan, dn string, postRead []string) (*wire.Entry, error) {
	release, err := d.reserve(ctx, p)
	if err != nil {
		return nil, err
	}
	defer release()
	return d.write(ctx, p, dn, postRead)
}

// reserve refuses a plan for a value that another entry has, if the directory itself would not see that when it is written,
// or only after the entry has been renamed. The values are the plan's until release is called.
func (d *Directory) reserve(ctx context.Context, p *plan) (release func(), err error) {
	release = func() {}
	if d.isPlain() {
		release = d.reserved.take(p.asked())
	}
	if err = d.checkKeyless(ctx, p.next, p.asked()); err == nil && p.newRDN != "" && !d.isPlain() {
		err = d.taken(ctx, p.next.Set, p.asked(), p.next.ID())
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// write makes a plan's Modify, without the optional keys if another entry has one of them.
func (d *Directory) write(ctx context.Context, p *plan, dn string, postRead []string) (*wire.Entry, error) {
	request := p.request(true)
	if d.isPlain() {
		request = p.plainRequest()
	}
	request.DN, request.PostRead = dn, postRead
	if len(request.Changes) == 0 {
		// A rename was all there was to do; a Modify without changes is a protocol error to some servers.
		return nil, nil
	}
	entry, err := d.ops.Modify(ctx, request)
	if len(p.optional) == 0 || d.isPlain() || !hasCode(err, wire.ResultConstraintViolation) {
		return entry, err
	}
	request.Changes = p.request(false).Changes
	if entry, err = d.ops.Modify(ctx, request); err == nil {
		slog.WarnContext(ctx, "an entity shares a unique value with another one, which keeps the right to it", "set", p.next.Set.Name, "id", p.next.ID())
	}
	return entry, err
}

// classEducationObject is the auxiliary class of this service's own attributes.
const classEducationObject = "educationObject"

func hasClass(entry *wire.Entry, class string) bool {
	return slices.ContainsFunc(entry.Values("objectClass"), func(name string) bool { return strings.EqualFold(name, class) })
}

// carryOut makes a planned change. A rename comes first because it is the step that is refused more often; if the
// Modify then fails, the rename is taken back, unless the Modify may have been carried out all the same. What is left of
// a change that broke off in the middle is made good by its repetition.
func (d *Directory) carryOut(ctx context.Context, p *plan) (*education.Entity, error) {
	if len(p.changes) == 0 && p.newRDN == "" && !p.brokeOff() {
		return p.record.entity, nil
	}
	release, err := d.reserve(ctx, p)
	if err != nil {
		return nil, err
	}
	defer release()
	set, oldDN := p.next.Set, p.record.entry.DN
	dn, err := d.renameFirst(ctx, p)
	if err != nil {
		return nil, err
	}
	entry, err := d.write(ctx, p, dn, attributesOf(set))
	if err != nil {
		if p.newRDN != "" && !errors.Is(err, wire.ErrOutcomeUnknown) {
			d.renameBack(ctx, set, dn, oldDN)
		}
		return nil, d.whyNotChanged(ctx, p, err)
	}
	if err := d.settleAll(ctx, dn, p.next.ID(), p.links); err != nil {
		return nil, err
	}
	return d.written(ctx, set, dn, entry)
}

// renameFirst carries out the rename of a plan, if it has one, and returns the entry's DN.
func (d *Directory) renameFirst(ctx context.Context, p *plan) (string, error) {
	set, oldDN := p.next.Set, p.record.entry.DN
	if p.newRDN == "" {
		return oldDN, nil
	}
	dn, err := d.rename(ctx, oldDN, p.newRDN)
	if err != nil {
		return "", d.whyNotChanged(ctx, p, err)
	}
	if err = d.follow(ctx, set, oldDN, dn); err != nil {
		d.renameBack(ctx, set, dn, oldDN)
		return "", err
	}
	return dn, nil
}

// brokeOff reports whether the entry has a unique key of a value that it has no longer: it has got another name and then no
// other keys.
func (p *plan) brokeOff() bool {
	have := p.record.entry.Values(attributeUniqueKey)
	return len(without(have, append(keyTexts(p.keys), revisionOf(p.next.Set, have)))) > 0
}

// whyNotChanged says why the directory refused a change. A key that is no longer there, a value that is there already,
// an entry that has gone or is not as it was read mean that somebody else was faster.
func (d *Directory) whyNotChanged(ctx context.Context, p *plan, err error) error {
	switch {
	case hasCode(err, wire.ResultNoSuchAttribute, wire.ResultAttributeOrValueExists, wire.ResultNoSuchObject,
		wire.ResultAssertionFailed):
		return errOutdated
	case hasCode(err, wire.ResultConstraintViolation, wire.ResultEntryAlreadyExists):
		if fault := d.taken(ctx, p.next.Set, p.keys, p.next.ID()); fault != nil {
			return fault
		}
		if fault := d.takenWithoutKey(ctx, p.next, p.asked()); fault != nil {
			return fault
		}
		if hasCode(err, wire.ResultConstraintViolation) {
			return errRefused
		}
		if p.named != nil {
			return alreadyTaken(p.next.Set, p.named)
		}
	}
	return translate(err)
}

// rename gives an entry another RDN and returns its new DN.
func (d *Directory) rename(ctx context.Context, dn, newRDN string) (string, error) {
	oldRDN, parent, ok := splitDN(dn)
	if !ok {
		return "", wire.Errorf(wire.ResultInvalidDNSyntax, "the DN of an entry cannot be read")
	}
	// The value of the old name goes, unless it is the id, which an entry has by whatever name.
	deleteOld := !isIDName(newRDN) && !isIDName(oldRDN)
	err := d.ops.ModifyDN(ctx, &wire.ModifyDNRequest{DN: dn, NewRDN: newRDN, DeleteOldRDN: deleteOld})
	return newRDN + "," + parent, err
}

// isIDName reports whether an RDN, or the one that a DN begins with, names an entry by its id.
func isIDName(name string) bool { return strings.HasPrefix(name, attributeID+"=") }

// maxNameLength is the length in bytes of the longest RDN that an entry is given. Of "ou=" and a value OpenLDAP 2.5 takes 245
// bytes, with result 80 for more, and 389-DS 2.3 takes 250, both counting three for each character that they escape.
const maxNameLength = 128

// renameBack undoes a rename, also when the request has been given up meanwhile.
func (d *Directory) renameBack(ctx context.Context, set *education.EntitySet, dn, oldDN string) {
	ctx = context.WithoutCancel(ctx)
	oldRDN, _, _ := splitDN(oldDN)
	_, err := d.rename(ctx, dn, oldRDN)
	if err == nil {
		err = d.follow(ctx, set, dn, oldDN)
	}
	if err != nil {
		slog.ErrorContext(ctx, "an entry was renamed for a change that failed, and could not be renamed back", "dn", dn, "error", err)
	}
}
