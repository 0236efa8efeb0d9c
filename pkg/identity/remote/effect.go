package remote

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// An effect reports whether a write is in effect, by what its entry looks like. An error says that it cannot be found out
// now; the first result means nothing then.
type effect func(look lookup) (bool, error)

// A lookup reads an entry.
type lookup func(dn string) (sighting, error)

// sighting is an entry as it was found.
type sighting struct {
	// entry has all attributes. It is nil if the entry does not exist.
	entry *wire.Entry
	// same says that it was looked for on the server that got the write. What is missing on another server may just not
	// have reached it, and shows nothing.
	same bool
}

// lookup returns what reads entries for a write that was sent to a server.
func (c *Client) lookup(ctx context.Context, sent *server) lookup {
	return func(dn string) (sighting, error) {
		var found sighting
		s := &search{ctx: ctx, client: c, request: &wire.SearchRequest{
			Base: dn, Scope: wire.ScopeBase, Filter: wire.Present("objectClass"),
			Attributes: []string{wire.AllUserAttributes},
		}, yield: func(entry *wire.Entry) error {
			found.entry = entry
			return nil
		}}
		err := s.carryOut()
		found.same = s.server == sent
		switch code, isResult := wire.CodeOf(err); {
		case isResult && code == wire.ResultNoSuchObject:
			return found, nil
		case isResult:
			// The search was refused, which says nothing about the write.
			return sighting{}, errors.New(err.Error())
		}
		return found, err
	}
}

// added is the effect of an Add: the entry has all that was asked for. Nobody else makes an entry with the same id and
// the same unique keys. An entry that has something else may be another one, or this one changed by somebody since.
func added(request *wire.AddRequest) effect {
	return func(look lookup) (bool, error) {
		found, err := look(request.DN)
		if err != nil || found.entry == nil {
			return false, err
		}
		for _, attribute := range request.Attributes {
			if !isPassword(attribute.Type) && !hasAll(found.entry.Values(attribute.Type), attribute.Values) {
				return false, nil
			}
		}
		return true, nil
	}
}

// deleted is the effect of a Delete.
func deleted(request *wire.DeleteRequest) effect {
	return func(look lookup) (bool, error) {
		found, err := look(request.DN)
		return err == nil && found.same && found.entry == nil, err
	}
}

// renamed is the effect of a ModifyDN: the new name is there and the old one is not.
func renamed(request *wire.ModifyDNRequest) effect {
	return func(look lookup) (bool, error) {
		dn, ok := newDN(request)
		if !ok {
			return false, nil
		}
		found, err := look(dn)
		if err != nil || found.entry == nil {
			return false, err
		}
		if sameDN(dn, request.DN) {
			// Nothing but the spelling was changed.
			return strings.HasPrefix(found.entry.DN, request.NewRDN), nil
		}
		old, err := look(request.DN)
		return err == nil && old.entry == nil, err
	}
}

// newDN returns the DN that a ModifyDN leads to.
func newDN(request *wire.ModifyDNRequest) (string, bool) {
	parent := ""
	if request.NewSuperior != nil {
		parent = *request.NewSuperior
	} else {
		dn, ok := parseDN(request.DN)
		if !ok || len(dn.RDNs) == 0 {
			return "", false
		}
		parent = dn.Parent().String()
	}
	if parent == "" {
		return request.NewRDN, true
	}
	return request.NewRDN + "," + parent, true
}

func sameDN(a, b string) bool { return within(a, b) && within(b, a) }

// modified is the effect of a Modify: every attribute is as the changes leave it. What an attribute was before is not
// known, so it is judged by the values that were added, deleted or put in the place of others. A change of the revision
// among an entry's unique keys (docs/decisions/0010) makes that certain; a change that does not need one, such as
// adding a member, is as good as made when it is in effect.
func modified(request *wire.ModifyRequest) effect {
	expected := expect(request.Changes)
	brings := slices.ContainsFunc(expected, func(want *expectation) bool { return len(want.present) > 0 })
	return func(look lookup) (bool, error) {
		if len(expected) == 0 {
			return false, nil
		}
		found, err := look(request.DN)
		if err != nil || found.entry == nil || !found.same && !brings {
			return false, err
		}
		for _, want := range expected {
			if !want.holds(found.entry.Values(want.attribute)) {
				return false, nil
			}
		}
		return true, nil
	}
}

// expectation is what a Modify leaves of an attribute.
type expectation struct {
	attribute string
	// whole says that present are all of the values.
	whole           bool
	present, absent []string
}

// expect returns what changes leave of their attributes. A password is not among them: a server hashes it, or does not
// show it. A Modify of nothing else leaves no expectation.
func expect(changes []wire.Change) []*expectation {
	var all []*expectation
	for _, change := range changes {
		name := change.Attribute.Type
		if isPassword(name) {
			continue
		}
		i := slices.IndexFunc(all, func(e *expectation) bool { return strings.EqualFold(e.attribute, name) })
		if i < 0 {
			i = len(all)
			all = append(all, &expectation{attribute: name})
		}
		all[i].apply(change)
	}
	return all
}

func (e *expectation) apply(change wire.Change) {
	values := change.Attribute.Values
	switch {
	case change.Operation == wire.ChangeReplace, change.Operation == wire.ChangeDelete && len(values) == 0:
		e.whole, e.present, e.absent = true, slices.Clone(values), nil
	case change.Operation == wire.ChangeAdd:
		e.present = append(e.present, values...)
		e.absent = without(e.absent, values)
	default:
		e.present = without(e.present, values)
		e.absent = append(e.absent, values...)
	}
}

func (e *expectation) holds(values []string) bool {
	if e.whole && len(values) != len(e.present) {
		return false
	}
	return hasAll(values, e.present) && !slices.ContainsFunc(e.absent, func(value string) bool { return has(values, value) })
}

func without(values, others []string) []string {
	return slices.DeleteFunc(values, func(value string) bool { return has(others, value) })
}

func hasAll(values, wanted []string) bool {
	if len(wanted) > indexFrom {
		return hasMany(values, wanted)
	}
	return !slices.ContainsFunc(wanted, func(value string) bool { return !has(values, value) })
}

// indexFrom is from how many values on they are looked up in an index.
const indexFrom = 8

func hasMany(values, wanted []string) bool {
	index := make(map[string]bool, len(values))
	for _, value := range values {
		index[canonical(value)] = true
	}
	return !slices.ContainsFunc(wanted, func(value string) bool { return !index[canonical(value)] })
}

func has(values []string, wanted string) bool {
	wanted = canonical(wanted)
	return slices.ContainsFunc(values, func(value string) bool { return canonical(value) == wanted })
}

// canonical returns a form of a value in which it is compared. Servers return values as they were written, except that
// OpenLDAP spells DNs its own way.
func canonical(value string) string {
	if !strings.Contains(value, "=") {
		return value
	}
	if dn, ok := parseDN(value); ok {
		return dn.Key()
	}
	return value
}

// isPassword reports whether an attribute holds passwords.
func isPassword(attribute string) bool { return strings.EqualFold(attribute, "userPassword") }
