package api

import (
	"encoding/json"
	"encoding/xml"
	"path"
)

// edmx wraps a schema in XML (OData CSDL 4.0, section 3).
type edmx struct {
	XMLName   xml.Name      `xml:"edmx:Edmx"`
	Xmlns     string        `xml:"xmlns:edmx,attr"`
	Version   string        `xml:"Version,attr"`
	Reference edmxReference `xml:"edmx:Reference"`
	Schema    *edmSchema    `xml:"edmx:DataServices>Schema"`
}

type edmxReference struct {
	URI     string      `xml:"Uri,attr"`
	Include edmxInclude `xml:"edmx:Include"`
}

type edmxInclude struct {
	Namespace string `xml:"Namespace,attr"`
}

// String returns the type as attributes and annotations have it.
func (t edmType) String() string {
	if t.collection {
		return "Collection(" + t.name + ")"
	}
	return t.name
}

// MarshalXMLAttr writes the type as String has it.
func (t edmType) MarshalXMLAttr(name xml.Name) (xml.Attr, error) {
	return xml.Attr{Name: name, Value: t.String()}, nil
}

// csdlXML returns a schema in CSDL XML 4.0.
func csdlXML(schema *edmSchema) ([]byte, error) {
	text, err := xml.Marshal(edmx{
		Xmlns: "http://docs.oasis-open.org/odata/ns/edmx", Version: "4.0", Schema: schema,
		Reference: edmxReference{coreVocabulary + ".xml", edmxInclude{coreNamespace}},
	})
	return append([]byte(xml.Header), text...), err
}

// object is a JSON object of a schema. In CSDL JSON the order of members does not count.
type object map[string]any

// csdlJSON returns a schema in CSDL JSON 4.01, the first version of that format, with the model of version 4.0.
func csdlJSON(schema *edmSchema) ([]byte, error) {
	types := object{"$Alias": schema.Alias, schema.Container.Name: containerObject(schema.Container)}
	for _, entityType := range schema.EntityTypes {
		types[entityType.Name] = entityTypeObject(entityType)
	}
	for _, complexType := range schema.ComplexTypes {
		o := object{"$Kind": "ComplexType"}
		o.addProperties(complexType.Properties)
		types[complexType.Name] = o
	}
	return json.Marshal(object{
		"$Version":         "4.0",
		"$EntityContainer": schema.Namespace + "." + schema.Container.Name,
		"$Reference": object{coreVocabulary + ".json": object{
			"$Include": []object{{"$Namespace": coreNamespace}},
		}},
		schema.Namespace: types,
	})
}

func containerObject(container edmContainer) object {
	bindings := object{}
	for _, binding := range container.Singleton.Bindings {
		bindings[binding.Path] = binding.Target
	}
	return object{
		"$Kind": "EntityContainer",
		container.Singleton.Name: object{
			"$Type": container.Singleton.Type.name, "$NavigationPropertyBinding": bindings,
		},
	}
}

func entityTypeObject(entityType edmEntityType) object {
	o := object{"$Kind": "EntityType"}
	if entityType.Key != nil {
		o["$Key"] = []string{entityType.Key.Property.Name}
	}
	o.addProperties(entityType.Properties)
	for _, nav := range entityType.Navigations {
		o[nav.Name] = navigationObject(nav)
	}
	o.annotate(entityType.Annotations)
	return o
}

func navigationObject(nav edmNavigation) object {
	o := object{"$Kind": "NavigationProperty"}
	o.setType(nav.Type)
	if nav.Partner != "" {
		o["$Partner"] = nav.Partner
	}
	if nav.Contains {
		o["$ContainsTarget"] = true
	}
	return o
}

func (o object) addProperties(properties []edmProperty) {
	for _, property := range properties {
		value := object{}
		value.setType(property.Type)
		if property.Nullable {
			value["$Nullable"] = true
		}
		if property.Default != "" {
			value["$DefaultValue"] = property.Default
		}
		value.annotate(property.Annotations)
		o[property.Name] = value
	}
}

// setType names a type, unless it is the one that a property without a type has (OData CSDL JSON 4.01, section 7.1).
func (o object) setType(edm edmType) {
	if edm.name != edmString {
		o["$Type"] = edm.name
	}
	if edm.collection {
		o["$Collection"] = true
	}
}

func (o object) annotate(annotations []edmAnnotation) {
	for _, annotation := range annotations {
		var value any = annotation.Bool
		switch {
		case annotation.EnumMember != "":
			value = path.Base(annotation.EnumMember) // Without the name of the enumeration.
		case annotation.Collection != nil:
			value = recordObjects(annotation.Collection.Records)
		}
		o["@"+annotation.Term] = value
	}
}

func recordObjects(records []edmRecord) []object {
	objects := make([]object, len(records))
	for i, record := range records {
		objects[i] = object{}
		for _, value := range record.Values {
			if value.Collection != nil {
				objects[i][value.Property] = recordObjects(value.Collection.Records)
			} else {
				objects[i][value.Property] = value.String + value.Path // One of the two is empty.
			}
		}
	}
	return objects
}
