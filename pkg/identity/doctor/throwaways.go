package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// What throw-away entries are known by, together: no other entry has this description and such a name.
const (
	marker     = "a throw-away entry of education doctor, which may be deleted"
	namePrefix = "education-doctor-"
)

// errUnseen is why a question has no answer when the account does not see what it has just made.
var errUnseen = errors.New("the account does not see an entry that it has made")

// throwaways are the entries that an examination has made on a server.
type throwaways struct {
	patient *patient
	// run tells the names of two examinations apart.
	run string
	// made are the DNs of those that are still there, in the order in which they were made.
	made  []string
	count int
	// unsure says that the answer to a write was lost, so that nobody knows what is there.
	unsure bool
	// disturbed says that somebody else has removed one.
	disturbed bool
}

func newThrowaways(p *patient) *throwaways {
	return &throwaways{patient: p, run: strings.ToLower(rand.Text()[:8])}
}

// name returns a name that no entry has yet.
func (t *throwaways) name() string {
	t.count++
	return fmt.Sprintf("%s%s-%d", namePrefix, t.run, t.count)
}

// add makes an entry of a set, with a value for everything that the service writes, except that the given attributes
// take the place of those with the same type. It returns the DN.
func (t *throwaways) add(ctx context.Context, set *education.EntitySet, attributes ...wire.Attribute) (string, error) {
	dn, _, err := t.addAndRead(ctx, set, attributes...)
	return dn, err
}

// addAndRead is add that asks for the entry with the answer. It is nil if the server does not return it.
func (t *throwaways) addAndRead(ctx context.Context, set *education.EntitySet, attributes ...wire.Attribute) (string, *wire.Entry, error) {
	id := uuid.NewString()
	request := &wire.AddRequest{
		DN: attributeID + "=" + id + "," + t.patient.config.base(set), Attributes: t.entry(set, id, t.name(), attributes),
	}
	if t.patient.features.PostRead {
		request.PostRead = []string{attributeID}
	}
	controls, err := t.write(ctx, request)
	if err != nil {
		return "", nil, err
	}
	control := wire.FindControl(controls, wire.ControlPostRead)
	if control == nil {
		return request.DN, nil, nil
	}
	// An answer that cannot be read is none.
	entry, _ := wire.ParsePostReadResponse(control)
	return request.DN, entry, nil
}

// write adds an entry. Its DN is noted before that: an answer that is lost does not say that the entry is not there.
func (t *throwaways) write(ctx context.Context, request *wire.AddRequest) ([]wire.Control, error) {
	t.made = append(t.made, request.DN)
	controls, err := t.patient.session.Do(ctx, request)
	if _, isResult := wire.CodeOf(err); isResult {
		t.forget(request.DN)
	}
	return controls, err
}

func (t *throwaways) forget(dn string) {
	t.made = slices.DeleteFunc(t.made, func(made string) bool { return made == dn })
}

// entry returns the attributes of an entry. What the schema does not permit is left out.
func (t *throwaways) entry(set *education.EntitySet, id, name string, given []wire.Attribute) []wire.Attribute {
	schema := t.patient.schema
	classes := slices.DeleteFunc(slices.Clone(set.ObjectClasses), func(class string) bool { return !schema.hasClass(class) })
	attributes := append(slices.Clone(given), wire.Attribute{Type: "objectClass", Values: classes},
		wire.Attribute{Type: "description", Values: []string{marker}})
	put := func(attribute string, values ...string) {
		has := slices.ContainsFunc(attributes, func(a wire.Attribute) bool { return strings.EqualFold(a.Type, attribute) })
		if !has && len(values) > 0 && schema.permits(classes, attribute) {
			attributes = append(attributes, wire.Attribute{Type: attribute, Values: values})
		}
	}
	put(attributeID, id)
	for _, property := range set.Properties {
		if property.Access != education.ReadOnly {
			put(property.Attribute, sample(property, name)...)
		}
	}
	for _, standIn := range set.StandIns {
		put(standIn.Attribute, name)
	}
	for _, attribute := range linksOf(set) {
		if slices.Contains(dnLinks, attribute) {
			// It has to lead somewhere (groupOfNames must have a member), and to nobody.
			put(attribute, t.patient.config.UserBase)
		}
	}
	put(attributeUniqueKey, t.key(set, name))
	return slices.DeleteFunc(attributes, func(a wire.Attribute) bool { return len(a.Values) == 0 })
}

// key returns a unique key that no entity has: there is no property of that name.
func (t *throwaways) key(set *education.EntitySet, name string) string {
	return set.Singular + "/doctor/-/" + name
}

// sample returns values for a property that are different in every entry where they must be.
func sample(property *education.Property, name string) []string {
	switch property.Type {
	case education.Boolean:
		// A user that nobody can sign in as.
		return []string{"FALSE"}
	case education.DateTime:
		return []string{time.Now().UTC().Format("20060102150405Z")}
	case education.Identities:
		return []string{education.Identity{Issuer: "doctor.invalid", IssuerAssignedID: name}.String()}
	case education.String:
		switch {
		case strings.Contains(property.Check, "email"):
			return []string{name + "@doctor.invalid"}
		case property.Default != "":
			return []string{property.Default}
		}
		return []string{name}
	default:
		// Ids and passwords are not made up.
		return nil
	}
}

// remove removes an entry, also after the examination has been interrupted. One that it cannot remove stays noted.
func (t *throwaways) remove(ctx context.Context, dn string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if t.patient.session.Broken() && t.patient.renew(ctx) != nil {
		return
	}
	switch _, err := t.patient.session.Do(ctx, &wire.DeleteRequest{DN: dn}); {
	case err == nil:
		t.forget(dn)
	case hasCode(err, wire.ResultNoSuchObject):
		t.disturbed = !t.unsure
		t.forget(dn)
	}
}

// lateness is how long a server may take to carry out a write whose answer is no longer waited for.
const lateness = 500 * time.Millisecond

// cleanUp removes what is still there, and says what it could not remove.
func (p *patient) cleanUp(ctx context.Context) []Finding {
	if p.session == nil || p.config.Depth < Writing {
		return nil
	}
	t := p.throwaways
	if len(t.made) > 0 && (t.unsure || p.session.Broken()) {
		time.Sleep(lateness)
	}
	// What was made last may be below what was made first.
	for _, dn := range slices.Backward(slices.Clone(t.made)) {
		t.remove(ctx, dn)
	}
	var findings []Finding
	if len(t.made) > 0 {
		findings = append(findings, p.finding("throwaways.removed", verdict{
			Error, fmt.Sprintf("Throw-away entries could not be removed: %s.", strings.Join(t.made, "; ")),
			"Users, classes or schools whose names begin with " + namePrefix + " are seen by everybody.",
			"Examine the server again, which removes them, or delete them.",
		}))
	} else {
		findings = append(findings, p.finding("throwaways.removed", ok("All throw-away entries have been removed.")))
	}
	if t.disturbed {
		findings = append(findings, p.finding("throwaways.disturbed", verdict{
			Warning, "Somebody else has removed throw-away entries during the examination.",
			"Its findings may be wrong.",
			"Examine a directory once at a time.",
		}))
	}
	return findings
}

// askLeftovers removes what an examination has left that was killed.
func askLeftovers(ctx context.Context, p *patient) (verdict, error) {
	removed := 0
	for {
		found, err := p.leftovers(ctx)
		if err != nil {
			return verdict{}, err
		}
		gone, err := p.removeAll(ctx, found)
		removed += gone
		switch {
		case len(found) == 0 && removed == 0:
			return ok("No earlier examination has left entries."), nil
		case len(found) == 0:
			return ok("An earlier examination had left throw-away entries, which have been removed: %d.", removed), nil
		case gone == 0:
			return leftover(found[0], err), nil
		}
	}
}

// removeAll removes entries and returns how many of them, and why one is still there.
func (p *patient) removeAll(ctx context.Context, dns []string) (removed int, failure error) {
	for _, dn := range dns {
		// An entry below which there are others has its turn when they have gone.
		_, err := p.session.Do(ctx, &wire.DeleteRequest{DN: dn})
		if err != nil && !hasCode(err, wire.ResultNoSuchObject) {
			failure = err
			continue
		}
		removed++
	}
	return removed, failure
}

func leftover(dn string, err error) verdict {
	return verdict{
		Error, fmt.Sprintf("A throw-away entry of an earlier examination cannot be removed: %s: %s.", dn, reason(err)),
		"It is seen by everybody.",
		"Delete it by hand.",
	}
}

// leftovers returns the DNs of throw-away entries, those below others first.
func (p *patient) leftovers(ctx context.Context) ([]string, error) {
	found := map[string]int{}
	for _, place := range p.contexts() {
		entries, err := p.find(ctx, &wire.SearchRequest{
			Base: place, Scope: wire.ScopeSubtree, Filter: wire.Equal("description", marker), SizeLimit: leftoversAtOnce,
			Attributes: []string{"uid", "cn", "ou"},
		})
		if err != nil && !hasCode(err, wire.ResultNoSuchObject, wire.ResultInsufficientAccessRights) {
			return nil, err
		}
		for _, entry := range entries {
			names := slices.Concat(entry.Values("uid"), entry.Values("cn"), entry.Values("ou"))
			if dn, parsed := parseDN(entry.DN); parsed && slices.ContainsFunc(names, isThrowaway) {
				found[entry.DN] = len(dn.RDNs)
			}
		}
	}
	dns := make([]string, 0, len(found))
	for dn := range found {
		dns = append(dns, dn)
	}
	slices.SortFunc(dns, func(a, b string) int { return found[b] - found[a] })
	return dns, nil
}

// leftoversAtOnce is how many of them one search asks for, below what servers permit at least.
const leftoversAtOnce = 200

func isThrowaway(name string) bool { return strings.HasPrefix(name, namePrefix) }

// contexts returns the entries below which throw-away entries may be: the naming contexts of the bases.
func (p *patient) contexts() []string {
	var places []string
	for _, set := range education.EntitySets {
		base := p.config.base(set)
		suffix := p.features.SuffixOf(base)
		if suffix == "" {
			suffix = base
		}
		places = append(places, suffix)
	}
	slices.Sort(places)
	return slices.Compact(places)
}

func parseDN(text string) (*match.DN, bool) {
	return match.ParseDN(text, func(string) (string, match.Normalizer, bool) { return "", nil, false })
}
