package identity

import (
	"cmp"
	"fmt"
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

// decode reads an entity from an entry. An error says which attribute cannot be read; the entity then has everything
// else.
func (d *Directory) decode(set *education.EntitySet, entry *wire.Entry) (*education.Entity, error) {
	entity := education.NewEntity(set)
	entity.Version = versionOf(set, entry)
	var fault error
	for _, property := range set.Properties {
		if !property.Returned() || !d.rules.Compatible && holdsStandIn(set, property, entry) {
			continue
		}
		value, err := decodeValue(property, entry.Values(property.Attribute))
		if err != nil {
			fault = cmp.Or(fault, err)
			continue
		}
		entity.SetValue(property, value)
	}
	if entity.ID() == "" {
		fault = cmp.Or(fault, fmt.Errorf("%s is missing", set.ID.Attribute))
	}
	return entity, fault
}

// decodeValue reads a property's value from the values of its attribute. Empty values are no values: OpenCloud's graph
// service writes them for absent ones.
func decodeValue(property *education.Property, values []string) (any, error) {
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return nil, nil
	}
	switch property.Type {
	case education.Boolean:
		return strings.EqualFold(values[0], "TRUE"), nil
	case education.DateTime:
		at, ok := match.ParseGeneralizedTime(values[0])
		if !ok {
			return nil, fmt.Errorf("%s is not a GeneralizedTime", property.Attribute)
		}
		return at.UTC(), nil
	case education.Identities:
		identities := make([]education.Identity, 0, len(values))
		for _, value := range values {
			identity, ok := education.ParseIdentity(value)
			if !ok {
				return nil, fmt.Errorf("%s is not of the form 'type $ issuer $ id'", property.Attribute)
			}
			identities = append(identities, identity)
		}
		return identities, nil
	default:
		return values[0], nil
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

// holdsStandIn reports whether the property's attribute holds a stand-in in an entry.
func holdsStandIn(set *education.EntitySet, property *education.Property, entry *wire.Entry) bool {
	standIn := standInOf(set, property)
	return standIn != nil && slices.ContainsFunc(entry.Values(attributePlaceholder), func(name string) bool {
		return strings.EqualFold(name, standIn.Attribute)
	})
}

// newEntry returns the attributes of a new entry that holds the entity, without links and keys. hash is the value of
// userPassword, or empty.
func newEntry(entity *education.Entity, hash string) []wire.Attribute {
	attributes := []wire.Attribute{{Type: "objectClass", Values: entity.Set.ObjectClasses}}
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
	return append(attributes, standIns(entity)...)
}

// standIns returns the attributes that the structural class demands and no property of the entity gives, and the note
// of those that a property would be read from.
func standIns(entity *education.Entity) []wire.Attribute {
	var attributes []wire.Attribute
	var noted []string
	for _, standIn := range entity.Set.StandIns {
		property := propertyOf(entity.Set, standIn.Attribute)
		if property != nil && entity.Value(property) != nil {
			continue
		}
		attributes = append(attributes, wire.Attribute{Type: standIn.Attribute, Values: []string{entity.Text(standIn.Property)}})
		if property != nil {
			noted = append(noted, standIn.Attribute)
		}
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
