package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// askWrite makes, changes, renames and deletes an entry of each set, as the service does.
func askWrite(ctx context.Context, p *patient) (verdict, error) {
	if p.config.Depth < Writing {
		return p.glanceAtWrites(ctx)
	}
	var refusals []string
	var codes []wire.ResultCode
	links, leave, err := p.school(ctx)
	if err != nil {
		return verdict{}, err
	}
	defer leave()
	for _, set := range education.EntitySets {
		step, err := p.tryWrites(ctx, set, links)
		code, isResult := wire.CodeOf(err)
		switch {
		case err == nil:
			continue
		case !isResult:
			return verdict{}, err
		}
		refusals = append(refusals, fmt.Sprintf("%s %s (%s)", step, set.Name, reason(err)))
		codes = append(codes, code)
	}
	if len(refusals) == 0 {
		return ok("The account can add, change, rename and delete users, classes and schools."), nil
	}
	return p.cannotWrite(refusals, codes), nil
}

func (p *patient) cannotWrite(refusals []string, codes []wire.ResultCode) verdict {
	return verdict{
		Error, fmt.Sprintf("The account cannot do what the service does: %s.", strings.Join(refusals, "; ")),
		"Requests that need it fail.", p.letWrite(codes),
	}
}

// glanceAtWrites tries to delete a value that no entry has from an entry of each set. In an empty directory there is none, and
// nothing that could be tried without making one.
func (p *patient) glanceAtWrites(ctx context.Context) (verdict, error) {
	var refusals []string
	var codes []wire.ResultCode
	tried := 0
	for _, set := range education.EntitySets {
		entry, err := p.anyOf(ctx, set)
		if err != nil {
			return verdict{}, err
		}
		if entry == nil {
			continue
		}
		err = p.tryChange(ctx, entry.DN, set.Property("displayName").Attribute)
		switch code, isResult := wire.CodeOf(err); {
		case code == wire.ResultInsufficientAccessRights, code == wire.ResultReferral, code == wire.ResultUnwillingToPerform:
			refusals = append(refusals, fmt.Sprintf("change %s (%s)", set.Name, reason(err)))
			codes = append(codes, code)
		case !isResult || code != wire.ResultNoSuchAttribute && code != wire.ResultNoSuchObject:
			return verdict{}, err
		}
		tried++
	}
	switch {
	case len(refusals) > 0:
		return p.cannotWrite(refusals, codes), nil
	case tried == 0:
		return verdict{severity: Note, matter: "It cannot be told without writing whether the account can write: there are no users, classes or schools yet."}, nil
	}
	return ok("The account can change entries. Whether it can add, rename and delete them takes throw-away entries."), nil
}

// doubtfulPauses are the waits before a change is tried again that the account seems to have no right to: 389-DS refuses one by
// mistake now and then while others write. The service's client repeats such a write, too; a remote.Session repeats nothing.
var doubtfulPauses = []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond}

// tryChange deletes a value that no entry has.
func (p *patient) tryChange(ctx context.Context, dn, attribute string) error {
	for attempt := 0; ; attempt++ {
		err := p.modify(ctx, dn, wire.ChangeDelete, attribute, p.throwaways.name())
		doubtful := p.features.Vendor == remote.Vendor389DS && hasCode(err, wire.ResultInsufficientAccessRights)
		if !doubtful || attempt == len(doubtfulPauses) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(doubtfulPauses[attempt]):
		}
	}
}

// anyOf returns an entry of a set, or nil if there is none, or no base for it.
func (p *patient) anyOf(ctx context.Context, set *education.EntitySet) (*wire.Entry, error) {
	entries, err := p.find(ctx, &wire.SearchRequest{
		Base: p.config.base(set), Scope: wire.ScopeSubtree, Filter: wire.Equal("objectClass", set.ObjectClass),
		SizeLimit: 1, Attributes: []string{wire.NoAttributes},
	})
	if hasCode(err, wire.ResultNoSuchObject) {
		return nil, nil
	}
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	return entries[0], nil
}

// letWrite says what to do about a server that refuses writes with these results.
func (p *patient) letWrite(codes []wire.ResultCode) string {
	switch {
	case slices.Contains(codes, wire.ResultReferral), slices.Contains(codes, wire.ResultUnwillingToPerform):
		return "This may be a replica that takes no changes. Name servers in EDUCATION_LDAP_URI that do, or let this one: see olcReadOnly and olcMultiProvider."
	case slices.Contains(codes, wire.ResultOther):
		// MDB_MAP_FULL is one of these.
		return "The server's database or disk may be full: see the server's log, and olcDbMaxSize."
	case slices.Contains(codes, wire.ResultInsufficientAccessRights):
		return "Let the account write below the three bases: see " + p.place(topicAccess) + "."
	default:
		return "See the findings on the schema, and the server's log."
	}
}

// attributeMemberOfSchool holds the ids of an entry's schools.
var attributeMemberOfSchool = education.NavigationOf(education.Users, "schools").Attributes[0]

// school makes a school for users and classes to be in, and returns what links an entry to it. Where no school can be
// made, that is nothing. The function takes the school away.
func (p *patient) school(ctx context.Context) (links []wire.Attribute, leave func(), err error) {
	dn, err := p.throwaways.add(ctx, education.Schools)
	if _, isResult := wire.CodeOf(err); isResult {
		return nil, func() {}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	parsed, _ := parseDN(dn)
	return []wire.Attribute{{Type: attributeMemberOfSchool, Values: []string{parsed.RDNs[0].Values[0].Value}}},
		func() { p.throwaways.remove(ctx, dn) }, nil
}

// tryWrites makes the writes for one set, and returns the step that failed.
func (p *patient) tryWrites(ctx context.Context, set *education.EntitySet, links []wire.Attribute) (step string, err error) {
	if set == education.Schools {
		links = nil
	}
	dn, err := p.throwaways.add(ctx, set, links...)
	if err != nil {
		return "add", err
	}
	name := set.Property("displayName").Attribute
	if err := p.modify(ctx, dn, wire.ChangeReplace, name, p.throwaways.name()); err != nil {
		p.throwaways.remove(ctx, dn)
		return "change", err
	}
	renamed, err := p.rename(ctx, dn, renaming[set])
	if err != nil {
		p.throwaways.remove(ctx, dn)
		return "rename", err
	}
	if _, err := p.session.Do(ctx, &wire.DeleteRequest{DN: renamed}); err != nil {
		return "delete", err
	}
	p.throwaways.forget(renamed)
	return "", nil
}

// renaming has for each set an attribute that an entry of OpenCloud's may be named by, so that the service renames it.
var renaming = map[*education.EntitySet]string{education.Users: "uid", education.Classes: "cn", education.Schools: "ou"}

// rename gives a throw-away entry another RDN, of the given attribute, and returns its new DN.
func (p *patient) rename(ctx context.Context, dn, attribute string) (string, error) {
	parsed, valid := parseDN(dn)
	if !valid {
		return "", errors.New("a DN of one's own making cannot be read")
	}
	rdn := attribute + "=" + p.throwaways.name()
	renamed := rdn + "," + parsed.Parent().String()
	p.throwaways.made = append(p.throwaways.made, renamed)
	_, err := p.session.Do(ctx, &wire.ModifyDNRequest{DN: dn, NewRDN: rdn})
	if _, isResult := wire.CodeOf(err); isResult {
		p.throwaways.forget(renamed)
	}
	if err != nil {
		return "", err
	}
	p.throwaways.forget(dn)
	return renamed, nil
}

// askOutside finds out whether the account can write anything but what is below the bases. It tries to delete a value
// that no entry has: whoever may not is told so, and everybody else that there is no such value.
func askOutside(ctx context.Context, p *patient) (verdict, error) {
	found := &surplus{}
	for _, place := range p.parents() {
		if err := p.lookOutside(ctx, place, found); err != nil {
			return verdict{}, err
		}
	}
	if err := p.noteChange(ctx, "cn=config", attributeDescription, found); err != nil {
		return verdict{}, err
	}
	bases := &surplus{}
	for _, set := range education.EntitySets {
		if err := p.noteChange(ctx, p.config.base(set), attributeDescription, bases); err != nil {
			return verdict{}, err
		}
	}
	switch {
	case len(found.rights) > 0:
		return verdict{
			Warning, fmt.Sprintf("The account may do more than the service does: %s.", found),
			"Whoever learns the account's password can do so as well.",
			"Let the account write below the three bases alone: see " + p.place(topicAccess) + ".",
		}, nil
	case len(bases.rights) > 0:
		return verdict{
			Note, fmt.Sprintf("The account may change the bases themselves: %s.", bases),
			"It writes below them alone; nothing is lost but order.",
			"Let the account write what is below the bases: see " + p.place(topicAccess) + ".",
		}, nil
	}
	return ok("The account cannot write anything but what is below the bases."), nil
}

const attributeDescription = "description"

// surplus is what an account may do and need not.
type surplus struct{ rights []string }

// maxRights is how many of them are told.
const maxRights = 5

func (s *surplus) add(right string) {
	if !slices.Contains(s.rights, right) {
		s.rights = append(s.rights, right)
	}
}

func (s *surplus) String() string {
	if len(s.rights) > maxRights {
		return fmt.Sprintf("%s; and %d more", strings.Join(s.rights[:maxRights], "; "), len(s.rights)-maxRights)
	}
	return strings.Join(s.rights, "; ")
}

// neighbours is how many entries beside the bases are looked at.
const neighbours = 50

// lookOutside looks at an entry above bases, and at those directly below it that are no bases.
func (p *patient) lookOutside(ctx context.Context, place string, found *surplus) error {
	if err := p.noteChange(ctx, place, attributeDescription, found); err != nil {
		return err
	}
	entries, err := p.find(ctx, &wire.SearchRequest{
		Base: place, Scope: wire.ScopeOneLevel, Filter: everything, SizeLimit: neighbours, Attributes: []string{wire.NoAttributes},
	})
	if _, isResult := wire.CodeOf(err); err != nil && !isResult {
		return err
	}
	for _, entry := range entries {
		if p.holdsBase(entry.DN) {
			continue
		}
		for _, attribute := range []string{attributeDescription, attributePassword} {
			if err := p.noteChange(ctx, entry.DN, attribute, found); err != nil {
				return err
			}
		}
	}
	if p.config.Depth < Writing {
		return nil
	}
	return p.noteAdd(ctx, place, found)
}

// noteChange notes whether an attribute of an entry may be changed.
func (p *patient) noteChange(ctx context.Context, dn, attribute string, found *surplus) error {
	err := p.modify(ctx, dn, wire.ChangeDelete, attribute, p.throwaways.name())
	if _, isResult := wire.CodeOf(err); !isResult && err != nil {
		return err
	}
	if hasCode(err, wire.ResultNoSuchAttribute) {
		found.add("change " + attribute + " of " + dn)
	}
	return nil
}

// noteAdd notes whether entries may be added below an entry.
func (p *patient) noteAdd(ctx context.Context, place string, found *surplus) error {
	request := plainEntry("cn", p.throwaways.name(), place)
	_, err := p.throwaways.write(ctx, request)
	if _, isResult := wire.CodeOf(err); !isResult && err != nil {
		return err
	}
	if err == nil {
		p.throwaways.remove(ctx, request.DN)
		found.add("add entries below " + place)
	}
	return nil
}

// plainEntry returns the request that adds an entry that is no user, class or school: with the RDN attribute cn one that
// has nothing below it, and with ou one that may.
func plainEntry(attribute, name, parent string) *wire.AddRequest {
	class := map[string]string{"cn": "organizationalRole", "ou": "organizationalUnit"}[attribute]
	return &wire.AddRequest{DN: attribute + "=" + name + "," + parent, Attributes: []wire.Attribute{
		{Type: "objectClass", Values: []string{"top", class}},
		{Type: attribute, Values: []string{name}},
		{Type: attributeDescription, Values: []string{marker}},
	}}
}

// parents returns the entries that the bases are directly below.
func (p *patient) parents() []string {
	var parents []string
	for _, set := range education.EntitySets {
		base := p.config.base(set)
		dn, valid := parseDN(base)
		if valid && len(dn.RDNs) > 1 && p.features.SuffixOf(dn.Parent().String()) != "" && !p.isWithinBase(dn.Parent().String()) {
			parents = append(parents, dn.Parent().String())
		}
	}
	slices.Sort(parents)
	return slices.Compact(parents)
}

// holdsBase reports whether a DN is a base or above one.
func (p *patient) holdsBase(dn string) bool {
	return slices.ContainsFunc(education.EntitySets, func(set *education.EntitySet) bool { return within(p.config.base(set), dn) })
}

// isWithinBase reports whether a DN is a base or below one.
func (p *patient) isWithinBase(dn string) bool {
	return slices.ContainsFunc(education.EntitySets, func(set *education.EntitySet) bool { return within(dn, p.config.base(set)) })
}

// within reports whether a DN is another one or below it.
func within(dn, above string) bool {
	inner, valid := parseDN(dn)
	outer, also := parseDN(above)
	if !valid || !also {
		return false
	}
	for len(inner.RDNs) > len(outer.RDNs) {
		inner = inner.Parent()
	}
	return inner.Key() == outer.Key()
}

func askPasswords(ctx context.Context, p *patient) (verdict, error) {
	dn, err := p.throwaways.add(ctx, education.Users)
	if err != nil {
		return verdict{}, err
	}
	defer p.throwaways.remove(ctx, dn)
	if err := p.setPassword(ctx, dn, newPassword()); err != nil {
		return verdict{}, err
	}
	entry, err := p.read(ctx, dn, attributePassword)
	if err != nil {
		return verdict{}, err
	}
	if entry == nil || entry.Value(attributePassword) == "" {
		return ok("The account can set passwords and not read them."), nil
	}
	return verdict{
		Warning, "The account can read users' passwords, as the server keeps them.",
		"Whoever learns the account's password can find out weak passwords of users.",
		"Let the account write userPassword and not read it: see " + p.place(topicAccess) + ".",
	}, nil
}
