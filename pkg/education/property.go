package education

import (
	"strings"

	"github.com/opencloud-eu/education/pkg/odata"
)

// Type is the type of a property's value. Each has one codec to JSON and one to LDAP values.
type Type int

// The types and the Go types of their values.
const (
	String          Type = iota // string
	UUID                        // string
	Boolean                     // bool
	DateTime                    // time.Time, in UTC
	Identities                  // []Identity
	PasswordSecrets             // Password
)

// Access says who may write a property, and when.
type Access int

const (
	// ReadWrite properties may be given on create and changed later.
	ReadWrite Access = iota
	// ReadOnly properties are the service's own.
	ReadOnly
	// CreateOnly properties may be given on create and never change.
	CreateOnly
	// WriteOnly properties are never returned.
	WriteOnly
)

// Filterable says which comparisons of $filter a property supports.
type Filterable int

const (
	// NotFilterable properties cannot be compared.
	NotFilterable Filterable = iota
	// ByValue properties can be compared with eq, ne and in.
	ByValue
	// ByOrder properties can be compared by their order too, and sorted.
	ByOrder
	// ByText properties are ordered strings with contains, startswith and endswith.
	ByText
)

// Scope says within what a property's value is unique.
type Scope int

const (
	// NotUnique properties may have the same value in many entities.
	NotUnique Scope = iota
	// Everywhere is the whole directory.
	Everywhere
	// PerSchool is each school of the entity, or the entities outside any school.
	PerSchool
)

// Property is one property of an entity set: the row that body checks, filters, requested attributes and the entry
// codec read. Nothing about a property stands anywhere else.
type Property struct {
	// Name is the property's JSON name.
	Name string
	Type Type
	// Attribute is the LDAP attribute that holds the value.
	Attribute string
	Access    Access
	// Required properties must be given on create and cannot be cleared.
	Required bool
	// Check is a validator tag that every string of the value must pass.
	Check string
	// Default is the value on create when none is given.
	Default string
	// Filter says how far $filter reaches.
	Filter Filterable
	// Substrings says that the attribute has a substring rule, so that the directory itself can answer contains,
	// startswith and endswith; where it has none, they are looked at in each entry. The same goes for Ordering.
	Substrings bool
	// Searchable properties are those that $search looks into when it names none; Prose ones it searches anywhere,
	// all others from the start.
	Searchable bool
	Prose      bool
	// Unique is the scope of the property's uniqueness and UniqueName its name in a unique key.
	Unique     Scope
	UniqueName string
	// Key says that the property addresses an entity as an alternate key, users(externalId='4711').
	Key bool

	index int
}

// Returned reports whether the property appears in responses.
func (p *Property) Returned() bool { return p.Access != WriteOnly }

// field is the property as a query sees it.
func (p *Property) field() odata.Field {
	kinds := map[Type]odata.Kind{
		String: odata.KindString, UUID: odata.KindGUID, Boolean: odata.KindBoolean, DateTime: odata.KindDateTimeOffset,
		Identities: odata.KindComplex, PasswordSecrets: odata.KindComplex,
	}
	return odata.Field{
		Name: p.Name, Kind: kinds[p.Type], Operators: operators[p.Filter], Functions: functions[p.Filter],
		Sortable: p.Filter >= ByOrder, Searchable: p.Searchable,
	}
}

var (
	operators = map[Filterable][]odata.Operator{
		ByValue: {odata.Eq, odata.Ne},
		ByOrder: {odata.Eq, odata.Ne, odata.Gt, odata.Ge, odata.Lt, odata.Le},
		ByText:  {odata.Eq, odata.Ne, odata.Gt, odata.Ge, odata.Lt, odata.Le},
	}
	functions = map[Filterable][]odata.Function{ByText: {odata.Contains, odata.StartsWith, odata.EndsWith}}
)

// Ordered reports whether the directory itself can compare values of the property by their order. Strings have no
// ordering rule in OpenCloud's schema.
func (p *Property) Ordered() bool { return p.Type == DateTime }

// StandIn names an attribute that the structural object class demands of every entry, and the property whose value
// stands in where no property gives one.
type StandIn struct {
	Attribute string
	Property  string
}

// EntitySet is a table of properties together with what else is known of the set's entities.
type EntitySet struct {
	// Name is the set's name in URLs, Singular the word for one of its entities.
	Name     string
	Singular string
	// Type is the name of the entity type in Graph's metadata.
	Type       string
	Properties []*Property
	// ID and HumanKey are what a key without a name addresses: ID if it is shaped like a UUID, HumanKey otherwise.
	ID       *Property
	HumanKey *Property
	// Aliases are the entity sets that an @odata.id may name for an entity of this set: its own name first, then
	// those that Graph's clients use for the same objects.
	Aliases []string
	// ObjectClass finds the set's entries; ObjectClasses are those that a new entry gets.
	ObjectClass   string
	ObjectClasses []string
	StandIns      []StandIn
	// Rule checks what no single property's row can say. It may be nil.
	Rule func(change *Change, rules Rules) error

	byName map[string]*Property
}

// indexed numbers the properties and prepares the look-up by name. It is called once, when a table is declared.
func (s *EntitySet) indexed(humanKey string) *EntitySet {
	s.byName = make(map[string]*Property, len(s.Properties))
	for i, property := range s.Properties {
		property.index = i
		s.byName[strings.ToLower(property.Name)] = property
	}
	s.ID, s.HumanKey = s.Property("id"), s.Property(humanKey)
	return s
}

// Property returns the property with the given name, in any case, or nil.
func (s *EntitySet) Property(name string) *Property { return s.byName[strings.ToLower(name)] }

// Field is Property for odata.Resource.
func (s *EntitySet) Field(name string) (odata.Field, bool) {
	property := s.Property(name)
	if property == nil {
		return odata.Field{}, false
	}
	return property.field(), true
}

// Navigation is a navigation property: a row that says which entry holds the link and how.
type Navigation struct {
	Name   string
	Owner  *EntitySet
	Target *EntitySet
	// OwnerHolds says that the owner's entry carries the link; otherwise the target's does.
	OwnerHolds bool
	// Attributes carry the link; the first one is written. A value is the other entry's id or its DN.
	Attributes []string
	ByDN       bool
	// Ref says that the navigation property has $ref routes, Bind that a body may name its targets with
	// <name>@odata.bind.
	Ref  bool
	Bind bool
	// Create says that a POST to the navigation property creates a target that is linked to the owner.
	Create bool
	// SilentRemoval says that OpenCloud's graph service answers the removal of a link that is not there with
	// success; it counts in compatibility mode only.
	SilentRemoval bool
}

// Resource returns the set as a query sees it, answering the given options.
func (s *EntitySet) Resource(options ...string) odata.Resource {
	return odata.Resource{Options: options, Field: s.Field, Navigation: s.navigation}
}

// navigation finds a navigation property for a query, with what may be asked of its target.
func (s *EntitySet) navigation(name string) (odata.Resource, string, bool) {
	nav := NavigationOf(s, name)
	if nav == nil {
		return odata.Resource{}, "", false
	}
	return nav.Target.Resource(odata.OptionFilter, odata.OptionSelect, odata.OptionOrderBy, odata.OptionTop), nav.Name, true
}

// Inverse returns the navigation property that shows the same links from their other end.
func (n *Navigation) Inverse() *Navigation {
	for _, other := range Navigations {
		if other.Owner == n.Target && other.Target == n.Owner && other.Attributes[0] == n.Attributes[0] {
			return other
		}
	}
	return nil
}

// NavigationOf returns the navigation property of a set with the given name, in any case, or nil.
func NavigationOf(owner *EntitySet, name string) *Navigation {
	for _, navigation := range Navigations {
		if navigation.Owner == owner && strings.EqualFold(navigation.Name, name) {
			return navigation
		}
	}
	return nil
}
