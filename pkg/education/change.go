package education

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/odata"
)

// Operation says what a body is for.
type Operation int

// The operations that have a body.
const (
	CreateEntity Operation = iota
	UpdateEntity
)

// MaxBindReferences is the largest number of references in one @odata.bind array.
const MaxBindReferences = 1000

// bindSuffix marks a member of a body that links existing entities (OData JSON format 4.0, section 8.5).
const bindSuffix = "@odata.bind"

// Change is what a body asks for. It keeps three states of a property apart: not mentioned, cleared (JSON null) and
// set to a value.
type Change struct {
	Set   *EntitySet
	Links []Link

	values map[*Property]any
}

// Link is a request to link the entity of a change to others.
type Link struct {
	Navigation *Navigation
	Keys       []Key
}

// Value returns the value that the change gives a property. A property that is cleared has the value nil and true; one
// that is not mentioned has nil and false.
func (c *Change) Value(property *Property) (any, bool) {
	value, ok := c.values[property]
	return value, ok
}

// Text returns the string that the change gives the named property, and whether it gives one.
func (c *Change) Text(name string) (string, bool) {
	text, ok := c.values[c.Set.Property(name)].(string)
	return text, ok
}

// Names returns the names of the properties that the change mentions, in the order of the table.
func (c Change) Names() []string {
	var names []string
	for _, property := range c.Set.Properties {
		if _, mentioned := c.values[property]; mentioned {
			names = append(names, property.Name)
		}
	}
	return names
}

// String names the set, the properties and the navigation properties that the change mentions.
func (c Change) String() string {
	names := c.Names()
	for _, link := range c.Links {
		names = append(names, link.Navigation.Name)
	}
	return c.Set.Name + ": " + strings.Join(names, ", ")
}

// Format is String for every verb. Without it fmt would print the values, a password among them: it calls no methods
// of what unexported fields hold.
func (c Change) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, c.String()) }

// LogValue is String for slog.
func (c Change) LogValue() slog.Value { return slog.StringValue(c.String()) }

// DecodeChange reads the JSON object of a POST or PATCH against the set's table. Property names count in any case.
// Unknown properties, wrong types, failed checks and missing required properties are InvalidRequest, with the property
// as target; when there are several, the first is the error and all are its details. Annotations (@odata.…) are
// ignored, since clients send back what they were given.
//
// On create a null is the same as an absent property. On update it clears the property, which required ones refuse; a
// read-only property may be repeated, and Directory.Update refuses it if its value is another one.
func DecodeChange(set *EntitySet, operation Operation, body []byte, rules Rules) (*Change, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, odata.Errorf(odata.InvalidRequest, "", "the body must be a JSON object")
	}
	d := &changeDecoder{
		change:    &Change{Set: set, values: make(map[*Property]any, len(members))},
		operation: operation, rules: rules, given: make(map[string]bool, len(members)),
	}
	// In a fixed order, equal bodies get equal answers.
	for _, name := range slices.Sorted(maps.Keys(members)) {
		d.note(d.member(name, members[name]))
	}
	if operation == CreateEntity {
		d.complete()
	}
	if len(d.faults) == 0 && set.Rule != nil {
		d.note(set.Rule(d.change, rules))
	}
	if err := d.fault(); err != nil {
		return nil, err
	}
	return d.change, nil
}

// changeDecoder collects a change and the faults found on the way.
type changeDecoder struct {
	change    *Change
	operation Operation
	rules     Rules
	given     map[string]bool // the members read so far, in their own spelling
	faults    []*odata.Error
}

func (d *changeDecoder) note(err error) {
	var fault *odata.Error
	if errors.As(err, &fault) {
		d.faults = append(d.faults, fault)
	}
}

// maxDetails is how many faults of a body an error names.
const maxDetails = 20

// fault returns the first fault, with the first few of them as details when there are several.
func (d *changeDecoder) fault() error {
	if len(d.faults) == 0 {
		return nil
	}
	first := d.faults[0]
	if len(d.faults) > 1 {
		for _, fault := range d.faults[:min(maxDetails, len(d.faults))] {
			first.Details = append(first.Details, odata.Detail{Code: fault.Code.Name, Message: fault.Message, Target: fault.Target})
		}
	}
	return first
}

// once notes that a member is given, which may be said once only, in whatever case.
func (d *changeDecoder) once(name string) error {
	if d.given[name] {
		return odata.Errorf(odata.InvalidRequest, name, "%s is given twice", name)
	}
	d.given[name] = true
	return nil
}

// annotations are the control information that a service sends and a client may send back (OData JSON format 4.0, section
// 4.5). Nothing else is taken for an annotation, so that a misspelt @odata.bind is not.
var annotations = []string{
	"associationLink", "context", "count", "deltaLink", "editLink", "etag", "id", "mediaContentType", "mediaEditLink",
	"mediaEtag", "mediaReadLink", "metadataEtag", "navigationLink", "nextLink", "readLink", "type",
}

// isAnnotation reports whether a member of a body is an annotation of the entity, of a property or of a navigation
// property.
func isAnnotation(set *EntitySet, name string) bool {
	subject, annotation, ok := strings.Cut(name, "@odata.")
	known := slices.ContainsFunc(annotations, func(other string) bool { return strings.EqualFold(other, annotation) })
	return ok && known && (subject == "" || set.Property(subject) != nil || NavigationOf(set, subject) != nil)
}

// member reads one member of the body.
func (d *changeDecoder) member(name string, raw json.RawMessage) error {
	if at := len(name) - len(bindSuffix); at >= 0 && strings.EqualFold(name[at:], bindSuffix) {
		return d.bind(name, name[:at], raw)
	}
	if isAnnotation(d.change.Set, name) {
		return nil
	}
	property := d.change.Set.Property(name)
	if property == nil {
		return d.unknown(name)
	}
	if err := d.once(property.Name); err != nil {
		return err
	}
	if string(raw) == "null" {
		return d.null(property)
	}
	if d.keeps(property, raw) {
		return nil
	}
	if property.Access == ReadOnly && d.operation == CreateEntity {
		return odata.Errorf(odata.InvalidRequest, property.Name, "%s is read-only", property.Name)
	}
	value, err := decodeValue(property, raw, d.rules)
	if err != nil {
		return err
	}
	d.change.values[property] = value
	return nil
}

func (d *changeDecoder) unknown(name string) error {
	shown := odata.Printable(name)
	if navigation := NavigationOf(d.change.Set, name); navigation != nil && navigation.Bind {
		return odata.Errorf(odata.InvalidRequest, shown, "%s cannot be written as a property; use %s%s",
			navigation.Name, navigation.Name, bindSuffix)
	}
	return odata.Errorf(odata.InvalidRequest, shown, "unknown property %q", shown)
}

func (d *changeDecoder) null(property *Property) error {
	switch {
	case d.operation == CreateEntity:
		return nil
	case property.Required:
		return odata.Errorf(odata.InvalidRequest, property.Name, "%s is required and cannot be cleared", property.Name)
	case property.Access == ReadOnly || property.Access == CreateOnly:
		return odata.Errorf(odata.InvalidRequest, property.Name, "%s is read-only", property.Name)
	}
	d.change.values[property] = nil
	return nil
}

// keeps reports whether a value means "leave it as it is". OpenCloud's graph service takes the empty string for that in a
// PATCH, and its scripts send it; a passwordProfile without a password it ignores.
func (d *changeDecoder) keeps(property *Property, raw json.RawMessage) bool {
	switch {
	case !d.rules.Compatible:
		return false
	case property.Type == PasswordSecrets:
		var profile passwordProfile
		return unmarshalStrictly(raw, &profile) == nil && profile.Password == ""
	}
	return d.operation == UpdateEntity && property.Type == String && string(raw) == `""`
}

// complete adds defaults and finds what a create lacks, in the order of the table.
func (d *changeDecoder) complete() {
	for _, property := range d.change.Set.Properties {
		if _, given := d.change.values[property]; given || d.faulty(property) {
			continue
		}
		if property.Default != "" {
			d.change.values[property] = property.Default
		}
		if property.Required {
			d.note(odata.Errorf(odata.InvalidRequest, property.Name, "%s is required", property.Name))
		}
	}
}

func (d *changeDecoder) faulty(property *Property) bool {
	return slices.ContainsFunc(d.faults, func(fault *odata.Error) bool { return fault.Target == property.Name })
}

// bind reads the references of a navigation property.
func (d *changeDecoder) bind(member, name string, raw json.RawMessage) error {
	navigation := NavigationOf(d.change.Set, name)
	if navigation == nil || !navigation.Bind {
		shown := odata.Printable(member)
		return odata.Errorf(odata.InvalidRequest, shown, "unknown property %q", shown)
	}
	target := navigation.Name + bindSuffix
	if err := d.once(target); err != nil {
		return err
	}
	var references []string
	err := json.Unmarshal(raw, &references)
	if err != nil || references == nil && d.operation == UpdateEntity {
		return odata.Errorf(odata.InvalidRequest, target, "%s must be an array of URLs", target)
	}
	if len(references) > MaxBindReferences {
		return odata.Errorf(odata.InvalidRequest, target, "%s holds more than %d references", target, MaxBindReferences)
	}
	link := Link{Navigation: navigation}
	for _, reference := range references {
		key, err := ParseReference(navigation.Target, reference)
		if err != nil {
			return odata.Errorf(odata.InvalidRequest, target, "%s holds a reference that is not one of %s: each must be a URL such as /education/%s/{id}",
				target, navigation.Target.Name, navigation.Target.Name)
		}
		link.Keys = append(link.Keys, key)
	}
	if len(link.Keys) > 0 {
		d.change.Links = append(d.change.Links, link)
	}
	return nil
}

// ParseReference reads an @odata.id that must point at an entity of the set.
func ParseReference(set *EntitySet, text string) (Key, error) {
	key, err := odata.ParseReference(text, set.Aliases)
	if err != nil {
		return Key{}, err
	}
	return set.Key(key)
}

// LinkTo adds a link to the change of an entity that is created through a navigation property. The body must not name
// targets of the same property itself.
func (c *Change) LinkTo(nav *Navigation, key Key) error {
	if slices.ContainsFunc(c.Links, func(link Link) bool { return link.Navigation == nav }) {
		target := nav.Name + bindSuffix
		return odata.Errorf(odata.InvalidRequest, target, "%s is given by the path already", target)
	}
	c.Links = append(c.Links, Link{Navigation: nav, Keys: []Key{key}})
	return nil
}
