package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Attributes and classes that questions are about by name.
const (
	attributeID          = "openCloudUUID"
	attributeExternalID  = "openCloudEducationExternalId"
	attributePassword    = "userPassword"
	attributeUniqueKey   = "educationUniqueKey"
	attributePlaceholder = "educationPlaceholder"
	classEducationObject = "educationObject"
)

// schema is what a server's schema says about attributes and object classes, by their names in lower case.
type schema struct {
	// attributes holds for each name of an attribute the one that stands for all of them.
	attributes map[string]string
	classes    map[string]*objectClass
}

// objectClass is an object class description (RFC 4512, section 4.1.1).
type objectClass struct {
	superiors []string
	// attributes are those that the class demands or permits.
	attributes []string
}

// readSchema reads the server's schema. It returns nil if the account may not.
func (p *patient) readSchema(ctx context.Context) (*schema, error) {
	if !p.features.SchemaKnown {
		return nil, nil
	}
	entries, err := p.find(ctx, &wire.SearchRequest{
		Base: p.features.SchemaDN, Scope: wire.ScopeBase, Filter: wire.Equal("objectClass", "subschema"),
		Attributes: []string{"attributeTypes", "objectClasses"},
	})
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	return parseSchema(entries[0].Values("attributeTypes"), entries[0].Values("objectClasses")), nil
}

func parseSchema(attributeTypes, objectClasses []string) *schema {
	s := &schema{attributes: map[string]string{}, classes: map[string]*objectClass{}}
	for _, text := range attributeTypes {
		description := describe(text)
		for _, name := range description["NAME"] {
			s.attributes[strings.ToLower(name)] = strings.ToLower(description["NAME"][0])
		}
	}
	for _, text := range objectClasses {
		description := describe(text)
		class := &objectClass{superiors: description["SUP"], attributes: slices.Concat(description["MUST"], description["MAY"])}
		for _, name := range description["NAME"] {
			s.classes[strings.ToLower(name)] = class
		}
	}
	return s
}

// describe returns the words behind each keyword of a description (RFC 4512, section 4.1).
func describe(text string) map[string][]string {
	description := map[string][]string{}
	keyword := ""
	for _, word := range words(text) {
		switch {
		case word == "(" || word == ")" || word == "$":
		case slices.Contains(keywords, word):
			keyword = word
		default:
			description[keyword] = append(description[keyword], strings.Trim(word, "'"))
		}
	}
	return description
}

// keywords are those of descriptions that something follows which could be taken for the words of the keyword before.
var keywords = []string{
	"NAME", "DESC", "OBSOLETE", "SUP", "MUST", "MAY", "ABSTRACT", "STRUCTURAL", "AUXILIARY", "EQUALITY", "ORDERING", "SUBSTR",
	"SYNTAX", "SINGLE-VALUE", "COLLECTIVE", "NO-USER-MODIFICATION", "USAGE", "X-ORIGIN", "X-ORDERED", "X-SCHEMA-FILE", "X-DS-USE",
}

// words splits a description into its words. A quoted text is one word with its quotes, so that it is no keyword.
func words(text string) []string {
	var all []string
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		end := 1
		switch text[0] {
		case '(', ')', '$':
		case '\'':
			if end = strings.IndexByte(text[1:], '\'') + 2; end == 1 {
				end = len(text)
			}
		default:
			if end = strings.IndexAny(text, " ()$'"); end < 0 {
				end = len(text)
			}
		}
		all = append(all, text[:end])
		text = text[end:]
	}
	return all
}

// hasAttribute reports whether the schema has an attribute. A schema that cannot be read has everything.
func (s *schema) hasAttribute(name string) bool {
	if s == nil {
		return true
	}
	_, known := s.attributes[strings.ToLower(name)]
	return known
}

// hasClass is hasAttribute for an object class.
func (s *schema) hasClass(name string) bool {
	return s == nil || s.classes[strings.ToLower(name)] != nil
}

// permits reports whether entries of some classes may have an attribute.
func (s *schema) permits(classes []string, attribute string) bool {
	if s == nil {
		return true
	}
	wanted := s.attributes[strings.ToLower(attribute)]
	seen := map[string]bool{}
	for pending := slices.Clone(classes); len(pending) > 0; pending = pending[1:] {
		name := strings.ToLower(pending[0])
		class := s.classes[name]
		if class == nil || seen[name] {
			continue
		}
		seen[name] = true
		for _, permitted := range class.attributes {
			if s.attributes[strings.ToLower(permitted)] == wanted && wanted != "" {
				return true
			}
		}
		pending = append(pending, class.superiors...)
	}
	return false
}

// attributesOf returns the attributes that the service writes to entries of a set, without its own ones.
func attributesOf(set *education.EntitySet) []string {
	var attributes []string
	for _, property := range set.Properties {
		if property.Access != education.ReadOnly || property == set.ID {
			attributes = append(attributes, property.Attribute)
		}
	}
	for _, standIn := range set.StandIns {
		attributes = append(attributes, standIn.Attribute)
	}
	attributes = append(attributes, linksOf(set)...)
	slices.Sort(attributes)
	return slices.Compact(attributes)
}

// linksOf returns the attributes in which entries of a set hold links.
func linksOf(set *education.EntitySet) []string {
	var attributes []string
	for _, nav := range education.Navigations {
		if nav.OwnerHolds && nav.Owner == set {
			attributes = append(attributes, nav.Attributes...)
		}
	}
	slices.Sort(attributes)
	return slices.Compact(attributes)
}

func askSchemaReadable(_ context.Context, p *patient) (verdict, error) {
	if p.schema != nil {
		return ok("The account may read the schema."), nil
	}
	return verdict{
		Warning, "The server does not show its schema to the service's account.",
		"The schema is taken to be complete: what it lacks is noticed when a request fails.",
		"Let accounts read the root DSE and the schema: see " + p.place(topicReading) + ".",
	}, nil
}

func askSchema(_ context.Context, p *patient) (verdict, error) {
	var missing []string
	for _, set := range education.EntitySets {
		missing = append(missing, p.schema.lacks(set)...)
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	if len(missing) == 0 {
		return ok("The schema has OpenCloud's attributes and classes."), nil
	}
	return verdict{
		Error, fmt.Sprintf("The schema lacks %s.", strings.Join(missing, ", ")),
		"Requests that need them fail.",
		"Load " + p.place(topicSchema) + ".",
	}, nil
}

// lacks returns what of OpenCloud's schema is not there for a set. Whether an externalId may be had is another question.
func (s *schema) lacks(set *education.EntitySet) []string {
	var missing []string
	for _, class := range set.ObjectClasses {
		if class != classEducationObject && !s.hasClass(class) {
			missing = append(missing, class)
		}
	}
	for _, attribute := range attributesOf(set) {
		switch {
		case !s.hasAttribute(attribute):
			missing = append(missing, attribute)
		case attribute != attributeExternalID && len(missing) == 0 && !s.permits(set.ObjectClasses, attribute):
			missing = append(missing, attribute+" for "+set.Name)
		}
	}
	return missing
}

func askSchemaExternalID(_ context.Context, p *patient) (verdict, error) {
	var refused []string
	for _, set := range education.EntitySets {
		if !p.schema.permits(set.ObjectClasses, attributeExternalID) {
			refused = append(refused, set.Name)
		}
	}
	if len(refused) == 0 {
		return ok("Users, classes and schools may have an externalId."), nil
	}
	return verdict{
		Error, fmt.Sprintf("The schema permits no openCloudEducationExternalId for %s, as OpenCloud's did before version 5.2.", strings.Join(refused, " and ")),
		"Writing an externalId fails, and OpenCloud finds no tenant by one.",
		"Put the present " + p.place(topicSchema) + " in the place of the old schema; entries stay as they are.",
	}, nil
}

func askSchemaUniqueKeys(_ context.Context, p *patient) (verdict, error) {
	var missing []string
	for _, attribute := range []string{attributeUniqueKey, attributePlaceholder} {
		if !p.schema.permits([]string{classEducationObject}, attribute) {
			missing = append(missing, attribute)
		}
	}
	if len(missing) == 0 {
		return ok("The schema has the service's own attributes."), nil
	}
	return verdict{
		Warning, fmt.Sprintf("The schema lacks %s in the class educationObject.", strings.Join(missing, " and ")),
		"Unique values are looked up before they are written, which two writers at the same moment can get past, and every" +
			" such write takes one more search. The service takes a user who is deleted out of classes itself.",
		"Load " + p.place(topicOwnSchema) + ", and set up " + p.place(topicUnique) + " and " + p.place(topicReferences) + ".",
	}, nil
}
