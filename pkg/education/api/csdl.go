package api

import (
	"slices"

	"github.com/opencloud-eu/education/pkg/education"
)

// Names of the model. They are Graph's, so that what was generated for Graph finds its types here.
const (
	csdlNamespace = "microsoft.graph"
	csdlAlias     = "graph"
	csdlContainer = "GraphService"
	csdlRoot      = "educationRoot"
	csdlSingleton = "education"
	csdlIdentity  = "objectIdentity"
	csdlPassword  = "passwordProfile"
)

// The vocabulary of the model's annotations (OData Vocabularies 4.0, Core).
const (
	coreNamespace  = "Org.OData.Core.V1"
	coreVocabulary = "https://oasis-tcs.github.io/odata-vocabularies/vocabularies/" + coreNamespace
)

// edmString is the type of a property that CSDL JSON does not name.
const edmString = "Edm.String"

// edmSchema is the model that clients are generated from (OData CSDL 4.0). It is written as XML by its tags and as JSON
// by csdlJSON.
type edmSchema struct {
	Xmlns        string          `xml:"xmlns,attr"`
	Namespace    string          `xml:"Namespace,attr"`
	Alias        string          `xml:"Alias,attr"`
	EntityTypes  []edmEntityType `xml:"EntityType"`
	ComplexTypes []edmComplex    `xml:"ComplexType"`
	Container    edmContainer    `xml:"EntityContainer"`
}

type edmEntityType struct {
	Name        string          `xml:"Name,attr"`
	Key         *edmKey         `xml:"Key"`
	Properties  []edmProperty   `xml:"Property"`
	Navigations []edmNavigation `xml:"NavigationProperty"`
	Annotations []edmAnnotation `xml:"Annotation"`
}

// edmKey is the key of an entity type, which is one property.
type edmKey struct {
	Property edmPropertyRef `xml:"PropertyRef"`
}

type edmPropertyRef struct {
	Name string `xml:"Name,attr"`
}

type edmComplex struct {
	Name       string        `xml:"Name,attr"`
	Properties []edmProperty `xml:"Property"`
}

type edmProperty struct {
	Name string  `xml:"Name,attr"`
	Type edmType `xml:"Type,attr"`
	// Nullable says whether the value may be null, and of a collection whether an item may.
	Nullable    bool            `xml:"Nullable,attr"`
	Default     string          `xml:"DefaultValue,attr,omitempty"`
	Annotations []edmAnnotation `xml:"Annotation"`
}

type edmNavigation struct {
	Name     string  `xml:"Name,attr"`
	Type     edmType `xml:"Type,attr"`
	Partner  string  `xml:"Partner,attr,omitempty"`
	Contains bool    `xml:"ContainsTarget,attr,omitempty"`
}

type edmContainer struct {
	Name      string       `xml:"Name,attr"`
	Singleton edmSingleton `xml:"Singleton"`
}

type edmSingleton struct {
	Name     string       `xml:"Name,attr"`
	Type     edmType      `xml:"Type,attr"`
	Bindings []edmBinding `xml:"NavigationPropertyBinding"`
}

type edmBinding struct {
	Path   string `xml:"Path,attr"`
	Target string `xml:"Target,attr"`
}

// edmAnnotation is an annotation that is a truth, a member of an enumeration, or a collection of records.
type edmAnnotation struct {
	Term       string         `xml:"Term,attr"`
	Bool       bool           `xml:"Bool,attr,omitempty"`
	EnumMember string         `xml:"EnumMember,attr,omitempty"`
	Collection *edmCollection `xml:"Collection"`
}

// edmCollection is a type of its own because encoding/xml writes the parent of an empty list.
type edmCollection struct {
	Records []edmRecord `xml:"Record"`
}

type edmRecord struct {
	Type   string           `xml:"Type,attr"`
	Values []edmRecordValue `xml:"PropertyValue"`
}

// edmRecordValue is a property of a record: a text, the path of a property, or a collection of records.
type edmRecordValue struct {
	Property   string         `xml:"Property,attr"`
	String     string         `xml:"String,attr,omitempty"`
	Path       string         `xml:"PropertyPath,attr,omitempty"`
	Collection *edmCollection `xml:"Collection"`
}

// edmType is the name of a type, or of what a collection holds.
type edmType struct {
	name       string
	collection bool
}

// graphType returns a type of the model.
func graphType(name string) edmType { return edmType{name: csdlNamespace + "." + name} }

func collectionOf(of edmType) edmType { return edmType{name: of.name, collection: true} }

// edmTypes are the types of properties. An id is a string as on Graph, so that generated clients put it in quotes, in
// keys and filters alike.
var edmTypes = map[education.Type]edmType{
	education.String:          {name: edmString},
	education.UUID:            {name: edmString},
	education.Boolean:         {name: "Edm.Boolean"},
	education.DateTime:        {name: "Edm.DateTimeOffset"},
	education.Identities:      collectionOf(graphType(csdlIdentity)),
	education.PasswordSecrets: graphType(csdlPassword),
}

// edmComplexTypes are the structures of education.Identity and of the body that an education.Password comes in.
var edmComplexTypes = []edmComplex{
	{Name: csdlIdentity, Properties: []edmProperty{
		{Name: "signInType", Type: edmType{name: edmString}, Nullable: true},
		{Name: "issuer", Type: edmType{name: edmString}},
		{Name: "issuerAssignedId", Type: edmType{name: edmString}},
	}},
	{Name: csdlPassword, Properties: []edmProperty{
		{Name: "password", Type: edmType{name: edmString}},
		{Name: "forceChangePasswordNextSignIn", Type: edmType{name: "Edm.Boolean"}, Nullable: true},
		{Name: "forceChangePasswordNextSignInWithMfa", Type: edmType{name: "Edm.Boolean"}, Nullable: true},
	}},
}

// csdlSchema returns the model of the tables.
func csdlSchema() *edmSchema {
	schema := &edmSchema{
		Xmlns: "http://docs.oasis-open.org/odata/ns/edm", Namespace: csdlNamespace, Alias: csdlAlias, ComplexTypes: edmComplexTypes,
		Container: edmContainer{
			Name: csdlContainer, Singleton: edmSingleton{Name: csdlSingleton, Type: graphType(csdlRoot)},
		},
	}
	// Like Graph's, the root has no key: there is one of it.
	root := edmEntityType{Name: csdlRoot}
	for _, set := range education.EntitySets {
		schema.EntityTypes = append(schema.EntityTypes, entityTypeOf(set))
		root.Navigations = append(root.Navigations, edmNavigation{
			Name: set.Name, Type: collectionOf(graphType(set.Type)), Contains: true,
		})
	}
	schema.EntityTypes = append(schema.EntityTypes, root)
	singleton := &schema.Container.Singleton
	for _, nav := range education.Navigations {
		singleton.Bindings = append(singleton.Bindings, edmBinding{
			Path: nav.Owner.Name + "/" + nav.Name, Target: csdlSingleton + "/" + nav.Target.Name,
		})
	}
	return schema
}

func entityTypeOf(set *education.EntitySet) edmEntityType {
	entityType := edmEntityType{Name: set.Type, Key: &edmKey{edmPropertyRef{set.ID.Name}}}
	for _, property := range set.Properties {
		entityType.Properties = append(entityType.Properties, edmProperty{
			Name: property.Name, Type: edmTypes[property.Type], Nullable: isNullable(set, property), Default: property.Default,
			Annotations: accessOf(property),
		})
	}
	for _, nav := range education.Navigations {
		if nav.Owner == set {
			entityType.Navigations = append(entityType.Navigations, edmNavigation{
				Name: nav.Name, Type: collectionOf(graphType(nav.Target.Type)), Partner: partnerOf(nav),
			})
		}
	}
	if keys := alternateKeysOf(set); len(keys) > 0 {
		entityType.Annotations = []edmAnnotation{{Term: coreNamespace + ".AlternateKeys", Collection: &edmCollection{keys}}}
	}
	return entityType
}

// isNullable reports whether a property, or an item of it, may be null.
func isNullable(set *education.EntitySet, property *education.Property) bool {
	return !property.Required && property != set.ID && !edmTypes[property.Type].collection
}

// accessOf returns the annotations that say who may write a property, and whether it can be read.
func accessOf(property *education.Property) []edmAnnotation {
	switch property.Access {
	case education.ReadOnly:
		return []edmAnnotation{{Term: coreNamespace + ".Computed", Bool: true}}
	case education.CreateOnly:
		return []edmAnnotation{{Term: coreNamespace + ".Immutable", Bool: true}}
	case education.WriteOnly:
		return []edmAnnotation{{Term: coreNamespace + ".Permissions", EnumMember: coreNamespace + ".Permission/Write"}}
	default:
		return nil
	}
}

// partnerOf returns the name of the navigation property that leads back from every target (OData CSDL 4.0, section
// 7.1.4), or an empty string: from a class that a user teaches, members does not.
func partnerOf(nav *education.Navigation) string {
	back := nav.Inverse()
	if back == nil {
		return ""
	}
	for _, attribute := range nav.Attributes {
		if !slices.Contains(back.Attributes, attribute) {
			return ""
		}
	}
	return back.Name
}

// alternateKeysOf returns the keys beside the id that address an entity of a set, users(externalId='4711').
func alternateKeysOf(set *education.EntitySet) []edmRecord {
	var keys []edmRecord
	for _, property := range set.Properties {
		if !property.Key || property == set.ID {
			continue
		}
		reference := edmRecord{Type: coreNamespace + ".PropertyRef", Values: []edmRecordValue{
			{Property: "Name", Path: property.Name}, {Property: "Alias", String: property.Name},
		}}
		keys = append(keys, edmRecord{Type: coreNamespace + ".AlternateKey", Values: []edmRecordValue{
			{Property: "Key", Collection: &edmCollection{[]edmRecord{reference}}},
		}})
	}
	return keys
}
