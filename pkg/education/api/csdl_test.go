package api

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/middleware"
	"github.com/opencloud-eu/education/pkg/odata"
)

// metadataService serves the metadata and the routes beside each other, as cmd/education does.
func metadataService(rules education.Rules) http.Handler {
	router := chi.NewRouter()
	router.Use(middleware.EscapedPath, asAdministrator)
	router.NotFound(middleware.NotFound)
	router.MethodNotAllowed(middleware.MethodNotAllowed(router))
	api := New(Config{Rules: rules})
	for _, version := range []string{"/graph/v1.0", "/v1.0"} {
		router.Mount(version, api.Metadata())
		router.Mount(version+"/education", api.Routes())
	}
	return router
}

// askMetadata asks for a path below the server, with a value for Accept.
func askMetadata(handler http.Handler, target, accept string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://education.example"+target, nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// facts are what a model says, one line for each member of a type: the common ground of the two formats.
type facts map[string]string

// document is a model as a client reads it from XML: by namespaces, without this package's own types.
type document struct {
	XMLName   xml.Name `xml:"http://docs.oasis-open.org/odata/ns/edmx Edmx"`
	Version   string   `xml:"Version,attr"`
	Reference struct {
		URI     string `xml:"Uri,attr"`
		Include struct {
			Namespace string `xml:",attr"`
		} `xml:"http://docs.oasis-open.org/odata/ns/edmx Include"`
	} `xml:"http://docs.oasis-open.org/odata/ns/edmx Reference"`
	Services struct {
		Schema documentSchema `xml:"http://docs.oasis-open.org/odata/ns/edm Schema"`
	} `xml:"http://docs.oasis-open.org/odata/ns/edmx DataServices"`
}

type documentSchema struct {
	Namespace    string         `xml:",attr"`
	Alias        string         `xml:",attr"`
	EntityTypes  []documentType `xml:"EntityType"`
	ComplexTypes []documentType `xml:"ComplexType"`
	Container    struct {
		Name      string `xml:",attr"`
		Singleton struct {
			Name     string `xml:",attr"`
			Type     string `xml:",attr"`
			Bindings []struct {
				Path   string `xml:",attr"`
				Target string `xml:",attr"`
			} `xml:"NavigationPropertyBinding"`
		}
	} `xml:"EntityContainer"`
}

type documentType struct {
	Name string `xml:",attr"`
	Key  []struct {
		Name string `xml:",attr"`
	} `xml:"Key>PropertyRef"`
	Properties []struct {
		Name         string               `xml:",attr"`
		Type         string               `xml:",attr"`
		Nullable     string               `xml:",attr"`
		DefaultValue string               `xml:",attr"`
		Annotations  []documentAnnotation `xml:"Annotation"`
	} `xml:"Property"`
	Navigations []struct {
		Name           string `xml:",attr"`
		Type           string `xml:",attr"`
		Partner        string `xml:",attr"`
		ContainsTarget string `xml:",attr"`
	} `xml:"NavigationProperty"`
	Annotations []documentAnnotation `xml:"Annotation"`
}

type documentAnnotation struct {
	Term       string `xml:",attr"`
	Bool       string `xml:",attr"`
	EnumMember string `xml:",attr"`
	Alternates []struct {
		Property     string `xml:",attr"`
		String       string `xml:",attr"`
		PropertyPath string `xml:",attr"`
	} `xml:"Collection>Record>PropertyValue>Collection>Record>PropertyValue"`
}

func parseXML(tb testing.TB, text []byte) *document {
	tb.Helper()
	d := &document{}
	if err := xml.Unmarshal(text, d); err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
	return d
}

func line(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), " ")
}

func (d *document) facts() facts {
	f := facts{}
	for _, t := range slices.Concat(d.Services.Schema.EntityTypes, d.Services.Schema.ComplexTypes) {
		for _, key := range t.Key {
			f[t.Name+" key"] += key.Name
		}
		for _, p := range t.Properties {
			nullable, byDefault := "", ""
			if p.Nullable == "true" {
				nullable = "nullable"
			}
			if p.DefaultValue != "" {
				byDefault = "default=" + p.DefaultValue
			}
			f[t.Name+"."+p.Name] = line(p.Type, nullable, byDefault, annotations(p.Annotations))
		}
		for _, n := range t.Navigations {
			f[t.Name+"."+n.Name] = line("navigation", n.Type, n.Partner, n.ContainsTarget)
		}
		for _, annotation := range t.Annotations {
			for _, value := range annotation.Alternates {
				f[t.Name+" "+annotation.Term] += line(value.Property+"="+value.String+value.PropertyPath) + " "
			}
		}
	}
	singleton := d.Services.Schema.Container.Singleton
	f[d.Services.Schema.Container.Name+"."+singleton.Name] = singleton.Type
	for _, binding := range singleton.Bindings {
		f[singleton.Name+"/"+binding.Path] = binding.Target
	}
	return f
}

func annotations(all []documentAnnotation) string {
	text := ""
	for _, a := range all {
		text += a.Term + "=" + a.Bool + a.EnumMember[strings.LastIndex(a.EnumMember, "/")+1:]
	}
	return text
}

// TestMetadataHasTheTables holds that each row of the tables is in the metadata, with its type and whether it may be
// null, and that nothing else is.
func TestMetadataHasTheTables(t *testing.T) {
	t.Parallel()
	response := askMetadata(metadataService(contract), "/graph/v1.0/$metadata", "")
	if response.Code != http.StatusOK || response.Header().Get("Content-Type") != "application/xml" {
		t.Fatalf("got %d %v", response.Code, response.Header())
	}
	for _, empty := range []string{"<Key></Key>", "<Collection></Collection>", `=""`} {
		if strings.Contains(response.Body.String(), empty) {
			t.Errorf("the metadata has %s, which says nothing", empty)
		}
	}
	got := parseXML(t, response.Body.Bytes())
	schema := got.Services.Schema
	if got.Version != "4.0" || schema.Namespace != "microsoft.graph" || schema.Alias != "graph" ||
		got.Reference.Include.Namespace != "Org.OData.Core.V1" || got.Reference.URI == "" {
		t.Errorf("version %q, namespace %q, alias %q, reference %+v", got.Version, schema.Namespace, schema.Alias, got.Reference)
	}
	if diff := cmp.Diff(expectedFacts(), got.facts()); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

// expectedFacts reads the tables with other eyes than the code that is tested.
func expectedFacts() facts {
	f := facts{
		"objectIdentity.signInType":                            "Edm.String nullable",
		"objectIdentity.issuer":                                "Edm.String",
		"objectIdentity.issuerAssignedId":                      "Edm.String",
		"passwordProfile.password":                             "Edm.String",
		"passwordProfile.forceChangePasswordNextSignIn":        "Edm.Boolean nullable",
		"passwordProfile.forceChangePasswordNextSignInWithMfa": "Edm.Boolean nullable",
		"GraphService.education":                               "microsoft.graph.educationRoot",
	}
	types := map[education.Type]string{
		education.String: "Edm.String", education.UUID: "Edm.String", education.Boolean: "Edm.Boolean",
		education.DateTime: "Edm.DateTimeOffset", education.Identities: "Collection(microsoft.graph.objectIdentity)",
		education.PasswordSecrets: "microsoft.graph.passwordProfile",
	}
	access := map[education.Access]string{
		education.ReadOnly: "Org.OData.Core.V1.Computed=true", education.CreateOnly: "Org.OData.Core.V1.Immutable=true",
		education.WriteOnly: "Org.OData.Core.V1.Permissions=Write",
	}
	for _, set := range education.EntitySets {
		f["educationRoot."+set.Name] = "navigation Collection(microsoft.graph." + set.Type + ") true"
		f[set.Type+" key"] = "id"
		for _, p := range set.Properties {
			nullable, byDefault := "nullable", ""
			if p.Required || p.Name == "id" || p.Type == education.Identities {
				nullable = ""
			}
			if p.Default != "" {
				byDefault = "default=" + p.Default
			}
			f[set.Type+"."+p.Name] = line(types[p.Type], nullable, byDefault, access[p.Access])
			if p.Key && p.Name != "id" {
				f[set.Type+" Org.OData.Core.V1.AlternateKeys"] += "Name=" + p.Name + " Alias=" + p.Name + " "
			}
		}
	}
	partners := map[string]string{
		"schools.users": "schools", "schools.classes": "schools", "users.schools": "users", "classes.schools": "classes",
		"classes.members": "classes", "classes.teachers": "taughtClasses", "users.taughtClasses": "teachers",
		"users.classes": "", // Of the classes that a user teaches, the user is no member.
	}
	for _, nav := range education.Navigations {
		name := nav.Owner.Name + "." + nav.Name
		f[nav.Owner.Type+"."+nav.Name] = line("navigation", "Collection(microsoft.graph."+nav.Target.Type+")", partners[name])
		f["education/"+nav.Owner.Name+"/"+nav.Name] = "education/" + nav.Target.Name
	}
	return f
}

// TestMetadataJSONAgrees holds that the metadata in JSON says what the metadata in XML says.
func TestMetadataJSONAgrees(t *testing.T) {
	t.Parallel()
	handler := metadataService(contract)
	response := askMetadata(handler, "/v1.0/$metadata", "application/json")
	if got, want := response.Header().Get("Content-Type"), "application/json"; response.Code != http.StatusOK || got != want {
		t.Fatalf("got %d %s, want 200 %s", response.Code, got, want)
	}
	var model struct {
		Version   string                     `json:"$Version"`
		Container string                     `json:"$EntityContainer"`
		Schema    map[string]json.RawMessage `json:"microsoft.graph"`
	}
	if err := json.Unmarshal(response.Body.Bytes(), &model); err != nil {
		t.Fatal(err)
	}
	if alias := string(model.Schema["$Alias"]); model.Version != "4.0" || model.Container != "microsoft.graph.GraphService" || alias != `"graph"` {
		t.Errorf("version %q, container %q, alias %s", model.Version, model.Container, alias)
	}
	delete(model.Schema, "$Alias")
	types := map[string]map[string]any{}
	for name, text := range model.Schema {
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		types[name] = members
	}
	want := parseXML(t, askMetadata(handler, "/v1.0/$metadata", "").Body.Bytes()).facts()
	if diff := cmp.Diff(want, factsOfJSON(types)); diff != "" {
		t.Errorf("XML and JSON differ (-XML +JSON):\n%s", diff)
	}
}

// factsOfJSON reads the types of a schema in CSDL JSON.
func factsOfJSON(types map[string]map[string]any) facts {
	f := facts{}
	for name, members := range types {
		if members["$Kind"] == "EntityContainer" {
			singleton := members["education"].(map[string]any)
			f[name+".education"] = singleton["$Type"].(string)
			for path, target := range singleton["$NavigationPropertyBinding"].(map[string]any) {
				f["education/"+path] = target.(string)
			}
			continue
		}
		for member, value := range members {
			switch value := value.(type) {
			case map[string]any:
				f[name+"."+member] = factOfMember(value)
			case []any:
				if member == "$Key" {
					f[name+" key"] = value[0].(string)
					continue
				}
				for _, alternate := range value {
					for _, part := range alternate.(map[string]any)["Key"].([]any) {
						part := part.(map[string]any)
						f[name+" "+member[1:]] += "Name=" + part["Name"].(string) + " Alias=" + part["Alias"].(string) + " "
					}
				}
			}
		}
	}
	return f
}

// factOfMember reads a property or navigation property in CSDL JSON.
func factOfMember(member map[string]any) string {
	text := func(name string) string {
		text, _ := member[name].(string)
		return text
	}
	edm := text("$Type")
	if edm == "" {
		edm = "Edm.String"
	}
	if member["$Collection"] == true {
		edm = "Collection(" + edm + ")"
	}
	if member["$Kind"] == "NavigationProperty" {
		contains := ""
		if member["$ContainsTarget"] == true {
			contains = "true"
		}
		return line("navigation", edm, text("$Partner"), contains)
	}
	nullable, byDefault, annotation := "", text("$DefaultValue"), ""
	if member["$Nullable"] == true {
		nullable = "nullable"
	}
	if byDefault != "" {
		byDefault = "default=" + byDefault
	}
	for name, value := range member {
		if term, ok := strings.CutPrefix(name, "@"); ok && value == true {
			annotation = term + "=true"
		} else if ok {
			annotation = term + "=" + value.(string)
		}
	}
	return line(edm, nullable, byDefault, annotation)
}

// TestMetadataOfIdentity holds that the structure of an identity is that of its Go type.
func TestMetadataOfIdentity(t *testing.T) {
	t.Parallel()
	var got, want []string
	for _, complexType := range edmComplexTypes {
		if complexType.Name == csdlIdentity {
			for _, property := range complexType.Properties {
				got = append(got, property.Name)
			}
		}
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[education.Identity]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		want = append(want, name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("properties of an identity (-want +got):\n%s", diff)
	}
}

func TestMetadataFormat(t *testing.T) {
	t.Parallel()
	handler := metadataService(contract)
	tests := []struct{ name, query, accept, want string }{
		{"nothing", "", "", mediaXML},
		{"anything", "", "*/*", mediaXML},
		{"a browser", "", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", mediaXML},
		{"JSON", "", "application/json", mediaJSON},
		{"JSON with parameters", "", "application/json;odata.metadata=minimal", mediaJSON},
		{"JSON among others", "", "application/json, text/plain, */*", mediaJSON},
		{"both", "", "application/json, application/xml", mediaXML},
		{"XML rather", "", "application/json;q=0.5, application/xml", mediaXML},
		{"JSON rather", "", "application/json, application/xml;q=0.5", mediaJSON},
		{"no JSON", "", "application/json;q=0", mediaXML},
		{"malformed", "", "application/json;q=x, ;;", mediaXML},
		{"JSON in another's parameter", "", `text/html;title="x, application/json"`, mediaXML},
		{"$format=json", "?$format=json", "application/xml", mediaJSON},
		{"$format escaped", "?%24FORMAT=application%2Fjson", "", mediaJSON},
		{"$format=xml", "?$format=xml", "application/json", mediaXML},
		{"$format with a character set", "?$format=application/xml;charset=utf-8", "application/json", mediaXML},
		{"$format of JSON with a character set", "?$format=application/json;charset=utf-8", "application/xml", mediaJSON},
		{"$format=application/xml", "?%24format=application%2fxml", "application/json", mediaXML},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response := askMetadata(handler, "/v1.0/$metadata"+test.query, test.accept)
			if got := response.Header().Get("Content-Type"); response.Code != http.StatusOK || got != test.want {
				t.Errorf("got %d %s, want 200 %s", response.Code, got, test.want)
			}
			if got := response.Header().Get("Vary"); got != "Accept" {
				t.Errorf("Vary: got %q, want Accept", got)
			}
		})
	}
}

func TestMetadataRefuses(t *testing.T) {
	t.Parallel()
	handler := metadataService(contract)
	for _, path := range []string{"/v1.0/$metadata", "/v1.0/%24metadata", "/graph/v1.0/", "/graph/v1.0"} {
		for query, want := range map[string]struct {
			code   odata.Code
			target string
		}{
			"$format=pdf":                 {odata.InvalidRequest, "$format"},
			"$format=xml;charset=utf-16":  {odata.InvalidRequest, "$format"},
			"$format=":                    {odata.InvalidRequest, "$format"},
			"$format=json&$format=json":   {odata.InvalidRequest, "$format"},
			"$format=xml&$top=1":          {odata.InvalidRequest, "$format"},
			"$top=1":                      {odata.NotSupported, "$top"},
			"$format=json&$filter=x eq 1": {odata.NotSupported, "$filter"},
			"foo=1":                       {odata.InvalidRequest, "foo"},
		} {
			checkFault(t, askMetadata(handler, path+"?"+strings.ReplaceAll(query, " ", "%20"), ""), want.code, want.target)
		}
	}
	checkFault(t, askMetadata(handler, "/v1.0/me", ""), odata.ItemNotFound, "")
	checkFault(t, askMetadata(handler, "/v1.0/$metadata/x", ""), odata.ItemNotFound, "")
	r := httptest.NewRequest(http.MethodPost, "/v1.0/$metadata", nil)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	checkFault(t, w, odata.NotAllowed, "")
	if got := w.Header().Get("Allow"); got != "GET" {
		t.Errorf("Allow: got %q, want GET", got)
	}
}

func TestServiceDocument(t *testing.T) {
	t.Parallel()
	const (
		value   = `"value":[{"kind":"Singleton","name":"education","url":"education"}]}` + "\n"
		context = `{"@odata.context":"http://education.example/graph/v1.0/$metadata",`
	)
	tests := []struct {
		name, path, accept string
		rules              education.Rules
		level, want        string
	}{
		{"with the root", "/graph/v1.0/", "", contract, "minimal", context + value},
		{"without a slash", "/graph/v1.0", "", contract, "minimal", context + value},
		{"without the root", "/v1.0/?$format=json", "", contract, "minimal", `{"@odata.context":"http://education.example/v1.0/$metadata",` + value},
		{"no control information", "/graph/v1.0/?$format=application/json;odata.metadata=none", "", contract, "none", "{" + value},
		{"none, by the header", "/graph/v1.0/", "application/json;odata.metadata=none", contract, "none", "{" + value},
		{"full", "/graph/v1.0/", "application/json;odata.metadata=full", contract, "full", context + value},
		{"compatibility", "/v1.0/", "application/json;odata.metadata=full", compatible, "", "{" + value},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response := askMetadata(metadataService(test.rules), test.path, test.accept)
			if got := response.Body.String(); response.Code != http.StatusOK || got != test.want {
				t.Errorf("got %d %s, want 200 %s", response.Code, got, test.want)
			}
			media := mediaJSON
			if test.level != "" {
				media += ";odata.metadata=" + test.level
			}
			if got := response.Header(); got.Get("Content-Type") != media || got.Get("Vary") != "Accept" {
				t.Errorf("got %v, want the Content-Type %q, and that it varies by Accept", got, media)
			}
		})
	}
	checkFault(t, askMetadata(metadataService(contract), "/v1.0/", "application/json;odata.metadata=all"), odata.InvalidRequest, "Accept")
}

// TestServiceDocumentBehindAProxy holds that the origin that clients see begins the context.
func TestServiceDocumentBehindAProxy(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/graph/v1.0/", nil)
	w := httptest.NewRecorder()
	metadataService(contract).ServeHTTP(w, r.WithContext(odata.WithOrigin(r.Context(), "https://school.example/p")))
	if want := `"https://school.example/p/graph/v1.0/$metadata"`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("got %s, want %s in it", w.Body, want)
	}
}
