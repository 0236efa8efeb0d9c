package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// withoutKeys is the verdict on questions about unique keys where there is no place for them.
var withoutKeys = verdict{
	severity: Note, matter: "Unique keys cannot be tried, since the schema has no place for them.", remedy: "See schema.uniquekeys.",
}

func (p *patient) hasKeys() bool {
	return p.schema.permits([]string{classEducationObject}, attributeUniqueKey)
}

// askUnique writes a key twice: with a new entry, and to one that is there.
func askUnique(ctx context.Context, p *patient) (verdict, error) {
	if !p.hasKeys() {
		return withoutKeys, nil
	}
	for _, set := range education.EntitySets {
		enforced, err := p.enforces(ctx, set)
		if err != nil {
			return verdict{}, err
		}
		if !enforced {
			return verdict{
				Error, "The server lets two " + set.Name + " have the same unique key.",
				"Two entities can get the same username, number or externalId, and which one a request means cannot be told then.",
				p.uniqueRemedy(),
			}, nil
		}
	}
	return ok("The server lets no two entries have the same unique key."), nil
}

func (p *patient) uniqueRemedy() string {
	return "Have the server keep educationUniqueKey unique in the whole tree, on OpenLDAP with the word \"serialize\": see " + p.place(topicUnique) + "."
}

// enforces reports whether the server keeps keys of a set unique.
func (p *patient) enforces(ctx context.Context, set *education.EntitySet) (bool, error) {
	key := wire.Attribute{Type: attributeUniqueKey, Values: []string{p.throwaways.key(set, p.throwaways.name())}}
	holder, err := p.throwaways.add(ctx, set, key)
	if err != nil {
		return false, err
	}
	defer p.throwaways.remove(ctx, holder)
	second, err := p.throwaways.add(ctx, set, key)
	if err == nil {
		p.throwaways.remove(ctx, second)
		return false, nil
	}
	if !hasCode(err, wire.ResultConstraintViolation) {
		return false, err
	}
	other, err := p.throwaways.add(ctx, set)
	if err != nil {
		return false, err
	}
	defer p.throwaways.remove(ctx, other)
	err = p.modify(ctx, other, wire.ChangeAdd, attributeUniqueKey, key.Values...)
	if err != nil && !hasCode(err, wire.ResultConstraintViolation) {
		return false, err
	}
	return err != nil, nil
}

// askUsernames makes two users without unique keys who have the same username, as another program would.
func askUsernames(ctx context.Context, p *patient) (verdict, error) {
	without := wire.Attribute{Type: attributeUniqueKey}
	name := wire.Attribute{Type: renaming[education.Users], Values: []string{p.throwaways.name()}}
	holder, err := p.throwaways.add(ctx, education.Users, without, name)
	if err != nil {
		return verdict{}, err
	}
	defer p.throwaways.remove(ctx, holder)
	second, err := p.throwaways.add(ctx, education.Users, without, name)
	switch {
	case hasCode(err, wire.ResultConstraintViolation):
		return ok("The server lets no two users have the same username, whoever makes them."), nil
	case err != nil:
		return verdict{}, err
	}
	p.throwaways.remove(ctx, second)
	return verdict{
		Note, "The server lets two users have the same username if one of them has no unique keys, as users that another program makes.",
		"Where another program makes users, a username can get a second holder until the service looks for them again.",
		"Have the server keep uid unique among users as it keeps unique keys: see " + p.place(topicUnique) +
			"; or set EDUCATION_LDAP_OTHER_WRITERS=yes where another program makes users.",
	}, nil
}

// The number of writers that try to get the same key at the same moment, and how often. OpenLDAP without "serialize" lets
// more than one of sixteen through in every second attempt.
const (
	rivals   = 16
	contests = 40
)

// askSerialized has several writers write the same key at the same moment.
func askSerialized(ctx context.Context, p *patient) (verdict, error) {
	if !p.hasKeys() {
		return withoutKeys, nil
	}
	sessions, err := p.sessions(ctx, rivals)
	defer func() {
		for _, session := range sessions {
			session.Close()
		}
	}()
	if err != nil {
		return verdict{}, err
	}
	for range contests {
		winners, err := p.contest(ctx, sessions)
		if err != nil {
			return verdict{}, err
		}
		if winners > 1 {
			return verdict{
				Error, "Of several writers that write the same unique key at the same moment, the server lets more than one through.",
				"Two requests at the same moment can make two entities with the same username, number or externalId.",
				p.uniqueRemedy(),
			}, nil
		}
	}
	return ok("Of several writers that wrote the same unique key at the same moment, the server let one through, %d times.", contests), nil
}

// sessions returns sessions of the service's account, those that it has got where it fails.
func (p *patient) sessions(ctx context.Context, n int) ([]*remote.Session, error) {
	var sessions []*remote.Session
	for range n {
		session, err := p.another(ctx)
		if err != nil {
			return sessions, err
		}
		sessions = append(sessions, session)
	}
	return sessions, nil
}

// contest has each session add an entry with the same key, all at once, and returns how many succeed. The entries are
// removed again. That none succeeds is an error.
func (p *patient) contest(ctx context.Context, sessions []*remote.Session) (winners int, err error) {
	t := p.throwaways
	key := wire.Attribute{Type: attributeUniqueKey, Values: []string{t.key(education.Users, t.name())}}
	requests := make([]*wire.AddRequest, len(sessions))
	for i := range requests {
		id := uuid.NewString()
		requests[i] = &wire.AddRequest{
			DN: attributeID + "=" + id + "," + p.config.UserBase, Attributes: t.entry(education.Users, id, t.name(), []wire.Attribute{key}),
		}
		t.made = append(t.made, requests[i].DN)
	}
	results := make([]error, len(sessions))
	start := make(chan struct{})
	var running sync.WaitGroup
	for i, session := range sessions {
		running.Go(func() {
			<-start
			_, results[i] = session.Do(ctx, requests[i])
		})
	}
	close(start)
	running.Wait()
	for i, result := range results {
		_, isResult := wire.CodeOf(result)
		switch {
		case result == nil:
			winners++
			t.remove(ctx, requests[i].DN)
		case isResult:
			t.forget(requests[i].DN)
		default:
			t.unsure = true
			err = result
		}
	}
	if winners == 0 && err == nil {
		err = results[0]
	}
	return winners, err
}

// settling is how long a server may take to bring links up to date. 389-DS can be told to take its time.
const settling = 3 * time.Second

// askReferences renames and deletes a user who is the only member and teacher of a class.
func askReferences(ctx context.Context, p *patient) (verdict, error) {
	user, err := p.throwaways.add(ctx, education.Users)
	if err != nil {
		return verdict{}, err
	}
	links := make([]wire.Attribute, 0, 2)
	for _, attribute := range dnLinks {
		links = append(links, wire.Attribute{Type: attribute, Values: []string{user}})
	}
	class, err := p.throwaways.add(ctx, education.Classes, links...)
	if err != nil {
		p.throwaways.remove(ctx, user)
		return verdict{}, err
	}
	defer p.throwaways.remove(ctx, class)
	renamed, err := p.rename(ctx, user, renaming[education.Users])
	if err != nil {
		p.throwaways.remove(ctx, user)
		return verdict{}, err
	}
	lost, err := p.unsettled(ctx, class, renamed, true)
	p.throwaways.remove(ctx, renamed)
	if err != nil {
		return verdict{}, err
	}
	kept, err := p.unsettled(ctx, class, renamed, false)
	if err != nil {
		return verdict{}, err
	}
	return p.judgeReferences(lost, kept), nil
}

// dnLinks are the attributes that hold links by DN.
var dnLinks = linksByDN()

func linksByDN() []string {
	var attributes []string
	for _, nav := range education.Navigations {
		if nav.ByDN && nav.OwnerHolds {
			attributes = append(attributes, nav.Attributes...)
		}
	}
	return attributes
}

// unsettled waits until all links of a class lead to a DN, or none does, and returns the attributes in which that has not come
// to be.
func (p *patient) unsettled(ctx context.Context, class, dn string, wanted bool) ([]string, error) {
	for deadline := time.Now().Add(settling); ; {
		entry, err := p.read(ctx, class, dnLinks...)
		if err != nil {
			return nil, err
		}
		wrong := slices.DeleteFunc(slices.Clone(dnLinks), func(attribute string) bool {
			return entry != nil && leadsTo(entry, attribute, dn) == wanted
		})
		if len(wrong) == 0 || time.Now().After(deadline) {
			return wrong, nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// leadsTo reports whether an attribute of an entry holds a link to a DN.
func leadsTo(entry *wire.Entry, attribute, dn string) bool {
	return slices.ContainsFunc(entry.Values(attribute), func(value string) bool {
		return value != "" && within(value, dn) && within(dn, value)
	})
}

func sleep(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// judgeReferences judges the attributes in which classes have lost a user who was renamed, and those in which they have kept one
// who was deleted. A link that has not followed leads to the old name, so that its end is not seen.
func (p *patient) judgeReferences(lost, kept []string) verdict {
	wrong := slices.DeleteFunc(slices.Clone(dnLinks), func(attribute string) bool {
		return !slices.Contains(lost, attribute) && !slices.Contains(kept, attribute)
	})
	what := "renamed or deleted"
	switch {
	case len(wrong) == 0:
		return ok("Links of classes follow users who are renamed, and go with those who are deleted.")
	case len(lost) == 0:
		what = "deleted"
	}
	attributes := strings.Join(wrong, " and ")
	v := verdict{
		Error, fmt.Sprintf("Classes keep links to users who have been %s, in %s.", what, attributes),
		"A deleted user stays among the members or teachers of classes, and a renamed one is lost to them.",
		"Have the server keep " + attributes + " up to date: see " + p.place(topicReferences) + ".",
	}
	if !p.hasKeys() {
		v.severity = Warning
		v.cost = "The service changes the links itself, with one more search and a write for each class; other programs that delete or rename users do not."
	}
	return v
}
