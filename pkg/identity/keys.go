package identity

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// noSchool is the scope of keys that hold everywhere, and of those of entities outside any school.
const noSchool = "-"

// attributeMemberOfSchool holds the ids of an entry's schools; it is the attribute of every link to a school.
var attributeMemberOfSchool = education.NavigationOf(education.Users, "schools").Attributes[0]

// attributePassword holds password hashes.
var attributePassword = education.Users.Property("passwordProfile").Attribute

// uniqueKey is a value of educationUniqueKey together with the property that it protects.
type uniqueKey struct {
	text     string
	property *education.Property
	// holders is what the entries have in common among which the value is unique, or nil for all of the set.
	holders *wire.Filter
}

// keysOf returns the unique keys of an entity that is in the given schools. A key is <set>/<property>/<scope>/<value>,
// with the value folded as caseIgnoreMatch does, because the attribute itself is compared octet by octet:
//
//	user/username/-/max
//	user/externalId/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/4711
//	school/number/-/0042
//
// The directory lets no two entries have a value in common.
func (d *Directory) keysOf(entity *education.Entity, schools []string) []uniqueKey {
	var keys []uniqueKey
	schools = filled(schools)
	for _, property := range entity.Set.Properties {
		value, ok := entity.Value(property).(string)
		scope := d.rules.UniqueScope(entity.Set, property)
		if !ok || scope == education.NotUnique {
			continue
		}
		text := func(scope string) string {
			return strings.Join([]string{entity.Set.Singular, property.UniqueName, strings.ToLower(scope), match.CaseIgnore(value)}, "/")
		}
		if scope != education.PerSchool {
			keys = append(keys, uniqueKey{text(noSchool), property, nil})
			continue
		}
		if len(schools) == 0 {
			keys = append(keys, uniqueKey{text(noSchool), property, wire.Not(wire.Present(attributeMemberOfSchool))})
		}
		for _, school := range schools {
			keys = append(keys, uniqueKey{text(school), property, wire.Equal(attributeMemberOfSchool, school)})
		}
	}
	return keys
}

// revisionOf returns the revision among an entry's unique keys, <set>/revision/<id>/<n>, or an empty one. It is no key of
// anything: whoever changes what unique keys are made of deletes the revision that he has read and adds the next one.
// Of two who do so at the same time the directory refuses the second, who begins again with what the first has left.
// That needs neither transactions nor the assertion control, which not every server has (389-DS).
func revisionOf(set *education.EntitySet, keys []string) string {
	for _, key := range keys {
		if strings.HasPrefix(key, set.Singular+"/revision/") {
			return key
		}
	}
	return ""
}

// nextRevision returns the revision that follows one of an entity.
func nextRevision(entity *education.Entity, revision string) string {
	// A revision that is no number, or none at all, is followed by the first one.
	number, _ := strconv.ParseUint(revision[strings.LastIndexByte(revision, '/')+1:], 10, 64)
	return fmt.Sprintf("%s/revision/%s/%d", entity.Set.Singular, strings.ToLower(entity.ID()), number+1)
}

// oneSchool reports whether an entity of the set may be in one school only.
func (d *Directory) oneSchool(set *education.EntitySet) bool {
	return set == education.Users && d.rules.SchoolsPerUser != education.ManySchools
}

// oneSchoolOnly is the error for an entity that would be in more schools than the rules permit.
func oneSchoolOnly(set *education.EntitySet) error {
	return odata.Errorf(odata.Conflict, education.Schools.Name, "a %s can be in one school only", set.Singular)
}

func keyTexts(keys []uniqueKey) []string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = key.text
	}
	return texts
}

// changeKeys returns the changes that turn the keys an entry has into those it shall have. Values are deleted and added
// one by one, never replaced, so that a writer who acts on outdated keys is refused.
func changeKeys(have, want []string) []wire.Change {
	var changes []wire.Change
	gone := without(have, want)
	if len(gone) > 0 {
		changes = append(changes, wire.Change{Operation: wire.ChangeDelete, Attribute: wire.Attribute{Type: attributeUniqueKey, Values: gone}})
	}
	fresh := without(want, have)
	if len(fresh) > 0 {
		changes = append(changes, wire.Change{Operation: wire.ChangeAdd, Attribute: wire.Attribute{Type: attributeUniqueKey, Values: fresh}})
	}
	return changes
}

// without returns the values that are not among the others.
func without(values, others []string) []string {
	var rest []string
	for _, value := range values {
		if !slices.Contains(others, value) {
			rest = append(rest, value)
		}
	}
	return rest
}

// taken finds out which property of a refused write is to blame: the one whose unique key another entry has. It
// returns nil if there is no such entry, because it has gone meanwhile or something else was refused.
func (d *Directory) taken(ctx context.Context, set *education.EntitySet, keys []uniqueKey, self string) error {
	var filters []*wire.Filter
	for _, key := range keys {
		filters = append(filters, wire.Equal(attributeUniqueKey, key.text))
	}
	if len(filters) == 0 {
		return nil
	}
	var fault error
	err := d.ops.Search(ctx, &wire.SearchRequest{
		Base: d.bases[set], Scope: wire.ScopeSubtree, Filter: anyOf(filters), Attributes: []string{attributeUniqueKey},
	}, func(entry *wire.Entry) error {
		if foldDN(entry.DN) == foldDN(self) {
			return nil
		}
		for _, key := range keys {
			if key.property != nil && slices.Contains(entry.Values(attributeUniqueKey), key.text) {
				fault = alreadyTaken(set, key.property)
				return errStop
			}
		}
		return nil
	})
	if fault == nil && err != nil {
		return translate(err)
	}
	return fault
}

// takenWithoutKey finds entries that have one of an entity's unique values but not the key of it: those that OpenCloud's
// graph service has made, all that are in a plain directory, and those of several entities with the same value that are
// without the key for it. The directory cannot refuse what it does not see, so they are looked for before a write.
func (d *Directory) takenWithoutKey(ctx context.Context, entity *education.Entity, keys []uniqueKey) error {
	var filters []*wire.Filter
	for _, key := range keys {
		if key.property != nil {
			filters = append(filters, d.withoutKey(key, entity.Text(key.property.Name)))
		}
	}
	if len(filters) == 0 {
		return nil
	}
	for other, err := range d.search(ctx, entity.Set, anyOf(filters), []string{attributeMemberOfSchool}) {
		if err != nil {
			return err
		}
		if strings.EqualFold(other.entity.ID(), entity.ID()) {
			continue
		}
		for _, theirs := range d.keysOf(other.entity, other.entry.Values(attributeMemberOfSchool)) {
			if theirs.property != nil && slices.ContainsFunc(keys, func(key uniqueKey) bool { return key.text == theirs.text }) {
				return alreadyTaken(entity.Set, theirs.property)
			}
		}
	}
	return nil
}

// withoutKey renders the entries that have the value which a key protects, within the key's scope, and not the key.
func (d *Directory) withoutKey(key uniqueKey, value string) *wire.Filter {
	operands := []*wire.Filter{wire.Equal(key.property.Attribute, value)}
	if key.holders != nil {
		operands = append(operands, key.holders)
	}
	if !d.isPlain() {
		operands = append(operands, wire.Not(wire.Equal(attributeUniqueKey, key.text)))
	}
	return wire.And(operands...)
}

func alreadyTaken(set *education.EntitySet, property *education.Property) error {
	return odata.Errorf(odata.NameAlreadyExists, property.Name, "another %s has this %s already", set.Singular, property.Name)
}
