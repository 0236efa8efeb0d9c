package identity

import (
	"cmp"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Attributes of the auxiliary class educationObject.
const (
	// attributeUniqueKey holds the entity's unique keys; see keysOf.
	attributeUniqueKey = "educationUniqueKey"
	// attributePlaceholder names the attributes of the entry that hold a stand-in, so that a person without a
	// surname is not shown with the username as one.
	attributePlaceholder = "educationPlaceholder"
)

// attributesOf returns the attributes that an entity of the set is read from.
func attributesOf(set *education.EntitySet) []string {
	attributes := slices.Grow(slices.Clone(versionAttributes), len(set.Properties)+1)
	for _, property := range set.Properties {
		if property.Returned() {
			attributes = append(attributes, property.Attribute)
		}
	}
	if len(set.StandIns) > 0 {
		attributes = append(attributes, attributePlaceholder)
	}
	return unique(attributes)
}

// decode reads an entity from an entry. It returns what is wrong with the first attribute that cannot be read, or nil; the
// entity then has everything else, and of several values one.
func (d *Directory) decode(set *education.EntitySet, entry *wire.Entry) (*education.Entity, *malformed) {
	entity := education.NewEntity(set)
	entity.Version = versionOf(set, entry)
	var fault *malformed
	for _, property := range set.Properties {
		if !property.Returned() || !d.rules.Compatible && holdsStandIn(set, property, entry) {
			continue
		}
		value, wrong := decodeValue(property, entry.Values(property.Attribute))
		fault = cmp.Or(fault, wrong)
		entity.SetValue(property, value)
	}
	if entity.ID() == "" {
		fault = cmp.Or(fault, &malformed{set.ID, "is missing"})
	}
	return entity, fault
}

// decodeValue reads a property's value from the values of its attribute. Empty values are no values: OpenCloud's graph
// service writes them for absent ones. Of several values where there can be one, it returns one and finds fault.
func decodeValue(property *education.Property, values []string) (any, *malformed) {
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return nil, nil
	}
	fault := checkSingle(property, values)
	switch property.Type {
	case education.Boolean:
		return strings.EqualFold(values[0], "TRUE"), fault
	case education.DateTime:
		at, ok := match.ParseGeneralizedTime(values[0])
		if !ok {
			return nil, &malformed{property, "is not a GeneralizedTime"}
		}
		return at.UTC(), fault
	case education.Identities:
		identities := make([]education.Identity, 0, len(values))
		for _, value := range values {
			identity, ok := education.ParseIdentity(value)
			if !ok {
				return nil, &malformed{property, "is not of the form 'type $ issuer $ id'"}
			}
			identities = append(identities, identity)
		}
		return identities, nil
	default:
		return values[0], fault
	}
}

// standInOf returns the stand-in for a property's attribute, or nil if the structural class does not demand it.
func standInOf(set *education.EntitySet, property *education.Property) *education.StandIn {
	for i := range set.StandIns {
		if set.StandIns[i].Attribute == property.Attribute {
			return &set.StandIns[i]
		}
	}
	return nil
}

// holdsStandIn reports whether the property's attribute holds a stand-in in an entry: one that is noted, or a blank,
// which is no value of any property.
func holdsStandIn(set *education.EntitySet, property *education.Property, entry *wire.Entry) bool {
	standIn := standInOf(set, property)
	if standIn == nil {
		return false
	}
	value := entry.Value(standIn.Attribute)
	return value != "" && strings.TrimSpace(value) == "" || containsFold(entry.Values(attributePlaceholder), standIn.Attribute)
}

// blank stands in for an absent value where there is no place to note that something does.
const blank = " "

// newEntry returns the attributes of a new entry that holds the entity, without links and keys. hash is the value of
// userPassword, or empty.
func (d *Directory) newEntry(entity *education.Entity, hash string) []wire.Attribute {
	classes := entity.Set.ObjectClasses
	if d.isPlain() {
		classes = without(classes, []string{classEducationObject})
	}
	attributes := []wire.Attribute{{Type: "objectClass", Values: classes}}
	for _, property := range entity.Set.Properties {
		if property.Access == education.ReadOnly && property != entity.Set.ID || property.Access == education.WriteOnly {
			continue
		}
		if values := encodeValue(entity.Value(property)); len(values) > 0 {
			attributes = append(attributes, wire.Attribute{Type: property.Attribute, Values: values})
		}
	}
	if hash != "" {
		attributes = append(attributes, wire.Attribute{Type: attributePassword, Values: []string{hash}})
	}
	return append(attributes, d.standIns(entity)...)
}

// standIns returns the attributes that the structural class demands and no property of the entity gives, and the note
// of those that a property would be read from.
func (d *Directory) standIns(entity *education.Entity) []wire.Attribute {
	var attributes []wire.Attribute
	var noted []string
	plain := d.isPlain()
	for _, standIn := range entity.Set.StandIns {
		property := propertyOf(entity.Set, standIn.Attribute)
		if property != nil && entity.Value(property) != nil {
			continue
		}
		value := entity.Text(standIn.Property)
		switch {
		case property != nil && !plain:
			noted = append(noted, standIn.Attribute)
		case property != nil && !d.rules.Compatible:
			value = blank
		}
		attributes = append(attributes, wire.Attribute{Type: standIn.Attribute, Values: []string{value}})
	}
	if len(noted) > 0 {
		attributes = append(attributes, wire.Attribute{Type: attributePlaceholder, Values: noted})
	}
	return attributes
}

// checkDistinct refuses values that are different to JSON and the same to the directory: identities that differ in case
// or blanks alone.
func checkDistinct(property *education.Property, value any) error {
	identities, _ := value.([]education.Identity)
	seen := make(map[string]bool, len(identities))
	for _, identity := range identities {
		folded := match.CaseIgnore(identity.String())
		if seen[folded] {
			return odata.Errorf(odata.InvalidRequest, property.Name, "%s holds two values that differ in case or blanks alone", property.Name)
		}
		seen[folded] = true
	}
	return nil
}

// propertyOf returns the property that an attribute holds, or nil.
func propertyOf(set *education.EntitySet, attribute string) *education.Property {
	for _, property := range set.Properties {
		if property.Attribute == attribute {
			return property
		}
	}
	return nil
}
