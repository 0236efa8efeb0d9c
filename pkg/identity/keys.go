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
		scopes := []string{noSchool}
		if scope == education.PerSchool && len(schools) > 0 {
			scopes = schools
		}
		for _, scope := range scopes {
			text := strings.Join([]string{
				entity.Set.Singular, property.UniqueName, strings.ToLower(scope), match.CaseIgnore(value),
			}, "/")
			keys = append(keys, uniqueKey{text, property})
		}
	}
	return keys
}

// revisionOf returns the revision among an entry's unique keys, <set>/revision/<id>/<n>, or an empty one. It is no key of
// anything: whoever changes what unique keys are made of deletes the revision that he has read and adds the next one.
// Of two who do so at the same time the directory refuses the second, who begins again with what the first has left.
// That needs neither transactions nor the assertion control, which not every server has (389-DS). An entry has a revision
// from its first day: without one, who has read that there is none could not tell the days before the first revision from
// those after it. An entry that OpenCloud made gets its first one together with its object class, which is added once.
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
	return revisionNumbered(entity, number+1)
}

// revisionNumbered returns a revision of an entity.
func revisionNumbered(entity *education.Entity, number uint64) string {
	return fmt.Sprintf("%s/revision/%s/%d", entity.Set.Singular, strings.ToLower(entity.ID()), number)
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
// returns nil if there is no such entry, because it has gone meanwhile or something else was refused. The entry itself is
// known by its id: somebody who renames it at the same moment gives it another DN, and slapo-unique takes it for another
// entry then.
func (d *Directory) taken(ctx context.Context, set *education.EntitySet, keys []uniqueKey, id string) error {
	var filters []*wire.Filter
	for _, key := range keys {
		filters = append(filters, wire.Equal(attributeUniqueKey, key.text))
	}
	if len(filters) == 0 {
		return nil
	}
	var fault error
	err := d.ops.Search(ctx, &wire.SearchRequest{
		Base: d.bases[set], Scope: wire.ScopeSubtree, Filter: anyOf(filters), Attributes: []string{set.ID.Attribute, attributeUniqueKey},
	}, func(entry *wire.Entry) error {
		if id != "" && strings.EqualFold(entry.Value(set.ID.Attribute), id) {
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

func alreadyTaken(set *education.EntitySet, property *education.Property) error {
	return odata.Errorf(odata.NameAlreadyExists, property.Name, "another %s has this %s already", set.Singular, property.Name)
}
