package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// contract is api/openapi.yaml together with what the run has used of it.
//
// Bodies and parameters are validated with schemas that are compiled once. The validator of kin-openapi
// (openapi3filter, version 0.152) compiles them anew for each exchange of an OpenAPI 3.1 document, which took three
// quarters of the suite's time.
type contract struct {
	document *openapi3.T

	mutex    sync.Mutex
	used     map[string]bool
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

// contractURL is what the document is called in the compiler. It is never fetched.
const contractURL = "https://service.example.org/openapi.json"

// document returns the contract. It panics if the file is not an OpenAPI document, since no test could run then.
var document = sync.OnceValue(func() *contract {
	loaded, err := openapi3.NewLoader().LoadFromFile("../../api/openapi.yaml")
	if err == nil {
		err = loaded.Validate(context.Background())
	}
	if err != nil {
		panic(err)
	}
	return newContract(loaded)
})

func newContract(loaded *openapi3.T) *contract {
	text, err := json.Marshal(loaded)
	if err != nil {
		panic(err)
	}
	resource, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(contractURL, resource); err != nil {
		panic(err)
	}
	return &contract{document: loaded, used: map[string]bool{}, compiler: compiler, compiled: map[string]*jsonschema.Schema{}}
}

// unused returns the ids of the operations that no exchange has used with success.
func (c *contract) unused() []string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var ids []string
	for _, item := range c.document.Paths.Map() {
		for _, operation := range item.Operations() {
			if !c.used[operation.OperationID] {
				ids = append(ids, operation.OperationID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// validate checks a JSON text against the schema at a place of the document, such as #/components/schemas/reference.
func (c *contract) validate(place string, text []byte) error {
	schema, err := c.schema(place)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("it is not JSON: %w", err)
	}
	return schema.Validate(value)
}

func (c *contract) schema(place string) (*jsonschema.Schema, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if schema := c.compiled[place]; schema != nil {
		return schema, nil
	}
	if !strings.HasPrefix(place, "#/components/") {
		return nil, errors.New("the contract has a schema that is no component")
	}
	schema, err := c.compiler.Compile(contractURL + place)
	c.compiled[place] = schema
	return schema, err
}

// exchange is a request together with its response.
type exchange struct {
	request     *http.Request
	requestBody []byte
	// path is the escaped path of the request without the root of the API and without its version.
	path string
	// outside says that the request departs from the contract on purpose.
	outside  bool
	status   int
	header   http.Header
	response []byte
}

// check compares an exchange with the contract. A path or a method that the contract does not have must be answered
// with an error.
func (c *contract) check(e exchange) error {
	if e.request.Method == http.MethodHead {
		return nil // It is GET without its body, and a proxy's business rather than the contract's.
	}
	operation, parameters := c.find(e.request.Method, e.path)
	switch {
	case operation == nil && !e.outside:
		return errors.New("the contract has no such operation")
	case operation == nil && e.status < http.StatusBadRequest:
		return fmt.Errorf("status %d for an operation that the contract does not have", e.status)
	case operation == nil:
		return c.validate("#/components/schemas/odata.error", e.response)
	}
	if e.status < http.StatusBadRequest {
		c.mutex.Lock()
		c.used[operation.OperationID] = true
		c.mutex.Unlock()
	}
	if !e.outside {
		if err := c.checkRequest(operation, parameters, e); err != nil {
			return fmt.Errorf("the request: %w", err)
		}
	}
	if err := c.checkResponse(operation, e); err != nil {
		return fmt.Errorf("the response: %w", err)
	}
	return nil
}

// content is the place of a body's schema below the component that describes the body, and digits that of a count.
const (
	content = "/content/application~1json/schema"
	digits  = "/content/text~1plain/schema"
)

func (c *contract) checkRequest(operation *openapi3.Operation, parameters map[string]string, e exchange) error {
	query := e.request.URL.Query()
	for name, values := range query {
		if operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil || len(values) != 1 {
			return fmt.Errorf("the contract has no query option %q here, or not twice", name)
		}
	}
	values := maps.Clone(parameters)
	for name := range query {
		values[name] = query.Get(name)
	}
	for name, value := range values {
		place, ok := c.parameters()[name]
		if !ok {
			return fmt.Errorf("the contract does not describe the parameter %s", name)
		}
		text, err := json.Marshal(value)
		if err == nil {
			err = c.validate(place+"/schema", text)
		}
		if err != nil {
			return fmt.Errorf("the parameter %s: %w", name, err)
		}
	}
	if operation.RequestBody == nil {
		if len(e.requestBody) > 0 {
			return errors.New("the contract has no body here")
		}
		return nil
	}
	return c.validate(operation.RequestBody.Ref+content, e.requestBody)
}

// parameters returns the places of the components that describe parameters, by the name of the parameter. $filter has
// one for each entity set, and they differ in their descriptions alone.
func (c *contract) parameters() map[string]string {
	places := map[string]string{}
	for component, parameter := range c.document.Components.Parameters {
		places[parameter.Value.Name] = "#/components/parameters/" + component
	}
	return places
}

// described returns what the contract says of a status. Errors that it does not name are described together, but for those
// by which a client learns what its token permits.
func described(operation *openapi3.Operation, status int) *openapi3.ResponseRef {
	named := operation.Responses.Status(status)
	if named != nil || status < http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden {
		return named
	}
	return operation.Responses.Default()
}

func (c *contract) checkResponse(operation *openapi3.Operation, e exchange) error {
	described := described(operation, e.status)
	if described == nil {
		return fmt.Errorf("the contract has no status %d here", e.status)
	}
	if len(described.Value.Content) == 0 {
		return nil
	}
	kind, _, err := mime.ParseMediaType(e.header.Get("Content-Type"))
	switch {
	case err != nil:
		return err
	case described.Value.Content[kind] == nil:
		return fmt.Errorf("its Content-Type is %q", kind)
	case kind == "text/plain":
		return c.validate(described.Ref+digits, e.response)
	}
	if err := c.validate(described.Ref+content, e.response); err != nil {
		return err
	}
	return c.checkWhole(described.Ref, e)
}

// returned finds the entity type in the name of a response that holds entities.
var returned = regexp.MustCompile(`/(education(?:School|User|Class))`)

// checkWhole compares the entities of a response with the schema of whole ones, unless the request has selected
// properties. OpenAPI has no words for a schema that depends on a parameter.
func (c *contract) checkWhole(response string, e exchange) error {
	match := returned.FindStringSubmatch(response)
	if match == nil || strings.Contains(strings.ToLower(e.request.URL.RawQuery), "select") {
		return nil
	}
	whole := "#/components/schemas/" + match[1] + "Whole"
	var entities []json.RawMessage
	if bytes.HasPrefix(e.response, []byte("[")) {
		if err := json.Unmarshal(e.response, &entities); err != nil {
			return err
		}
	} else {
		var list struct{ Value *[]json.RawMessage }
		if err := json.Unmarshal(e.response, &list); err != nil {
			return err
		}
		if entities = []json.RawMessage{e.response}; list.Value != nil {
			entities = *list.Value
		}
	}
	for _, entity := range entities {
		if err := c.validate(whole, entity); err != nil {
			return err
		}
	}
	return nil
}

// find returns the operation for a method and a path, with the values of the path's parameters, or nil. A path without
// parameters goes before one with them (OpenAPI 3.1, section 4.8.8.2).
func (c *contract) find(method, path string) (found *openapi3.Operation, values map[string]string) {
	segments := canonicalSegments(path)
	for template, item := range c.document.Paths.Map() {
		operation := item.Operations()[method]
		parameters, ok := matchPath(strings.Split(strings.Trim(template, "/"), "/"), segments)
		if ok && operation != nil && (found == nil || len(parameters) < len(values)) {
			found, values = operation, parameters
		}
	}
	return found, values
}

// matchPath compares the segments of a path with those of a template and returns the values of its parameters.
func matchPath(template, segments []string) (map[string]string, bool) {
	if len(template) != len(segments) {
		return nil, false
	}
	parameters := map[string]string{}
	for i, segment := range segments {
		name, isParameter := strings.CutPrefix(template[i], "{")
		if !isParameter {
			if !strings.EqualFold(template[i], segment) {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segment)
		if err != nil || value == "" {
			return nil, false
		}
		parameters[strings.TrimSuffix(name, "}")] = value
	}
	return parameters, true
}

// parenthesised is a segment of OData's other spelling of a key: users('max'), users(externalId='4711').
var parenthesised = regexp.MustCompile(`^([A-Za-z]+)\((?:[A-Za-z]+=)?(.+)\)$`)

// canonicalSegments splits a path and gives a key in parentheses a segment of its own, which is how the contract writes
// it.
func canonicalSegments(path string) []string {
	var segments []string
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if parts := parenthesised.FindStringSubmatch(segment); parts != nil {
			// Text in parentheses is a key, even $count.
			segments = append(segments, parts[1], strings.ReplaceAll(strings.Trim(parts[2], "'"), "$", "%24"))
			continue
		}
		segments = append(segments, strings.Replace(segment, "%24ref", "$ref", 1))
	}
	return segments
}

// TestContractChecksExchanges shows that the check is able to fail: every exchange below departs from the contract in
// one thing.
func TestContractChecksExchanges(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	const (
		id   = "6f0b4d3e-2a56-7c1c-9d3e-0a1b2c3d4e5f"
		user = `"id":"` + id + `","displayName":"Max","onPremisesSamAccountName":"max"`
	)
	tests := map[string]struct {
		method, path, body string
		status             int
		response           string
		want               bool
	}{
		"a user":                          {"GET", "/education/users/max", "", 200, `{` + user + `}`, true},
		"a key in parentheses":            {"GET", "/education/users(externalId='4711')", "", 200, `{` + user + `}`, true},
		"a body":                          {"POST", "/education/users", `{"displayName":"M","onPremisesSamAccountName":"m"}`, 201, `{` + user + `}`, true},
		"a property nobody knows":         {"GET", "/education/users/max", "", 200, `{` + user + `,"foo":1}`, false},
		"a property that is null":         {"GET", "/education/users/max", "", 200, `{` + user + `,"mail":null}`, false},
		"a password":                      {"GET", "/education/users/max", "", 200, `{` + user + `,"passwordProfile":{"password":"x"}}`, false},
		"an id that is no UUID":           {"GET", "/education/users/max", "", 200, `{"id":"1","displayName":"M","onPremisesSamAccountName":"m"}`, false},
		"a user without a name":           {"GET", "/education/users/max", "", 200, `{"id":"` + id + `","onPremisesSamAccountName":"m"}`, true},
		"a user without an id":            {"GET", "/education/users/max", "", 200, `{"displayName":"M","onPremisesSamAccountName":"m"}`, false},
		"a user without an id on request": {"GET", "/education/users/max?$select=displayName", "", 200, `{"displayName":"M"}`, true},
		"a school without a name":         {"GET", "/education/schools/1", "", 200, `{"id":"` + id + `"}`, false},
		"a school in a user":              {"GET", "/education/users/max?$expand=schools", "", 200, `{` + user + `,"schools":[{"displayName":"N"}]}`, true},
		"a bad school in a user":          {"GET", "/education/users/max?$expand=schools", "", 200, `{` + user + `,"schools":[{"foo":"N"}]}`, false},
		"a page":                          {"GET", "/education/users?$top=1", "", 200, `{"@odata.count":2,"value":[{` + user + `}],"@odata.nextLink":"https://h/users?$skiptoken=x"}`, true},
		"a link that is none":             {"GET", "/education/users?$top=1", "", 200, `{"value":[{` + user + `}],"@odata.nextLink":1}`, false},
		"a list without a value":          {"GET", "/education/users", "", 200, `{}`, false},
		"a list with a bad user":          {"GET", "/education/users", "", 200, `{"value":[{"displayName":"M"}]}`, false},
		"a status nobody expects":         {"GET", "/education/users/max", "", 202, `{` + user + `}`, false},
		"a refusal":                       {"GET", "/education/users/max", "", 403, `{"error":{"code":"accessDenied","message":"no"}}`, true},
		"an error that is not named":      {"GET", "/education/users/max", "", 418, `{"error":{"code":"teapot","message":"no"}}`, true},
		"an error without a code":         {"GET", "/education/users/max", "", 404, `{"error":{"message":"gone"}}`, false},
		"a request with a bad value":      {"POST", "/education/users", `{"displayName":1,"onPremisesSamAccountName":"m"}`, 201, `{` + user + `}`, false},
		"a request without a username":    {"POST", "/education/users", `{"displayName":"M"}`, 201, `{` + user + `}`, false},
		"an unknown query option":         {"GET", "/education/users?$deltatoken=1", "", 200, `{"value":[]}`, false},
		"an unknown operation":            {"PUT", "/education/users/max", "", 200, `{` + user + `}`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequest(test.method, "http://service"+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			got := newContract(document().document).check(exchange{
				request: request, requestBody: []byte(test.body), path: request.URL.EscapedPath(), status: test.status,
				header: http.Header{"Content-Type": {"application/json"}}, response: []byte(test.response),
			})
			if (got == nil) != test.want {
				t.Errorf("got %v, want success to be %t", got, test.want)
			}
		})
	}
}

// TestContractNamesRefusals holds that no operation passes whose refusals are described among all other errors.
func TestContractNamesRefusals(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	operation := &openapi3.Operation{Responses: openapi3.NewResponses(openapi3.WithName("default", openapi3.NewResponse()))}
	for status, want := range map[int]bool{200: false, 401: false, 403: false, 404: true, 500: true} {
		if got := described(operation, status) != nil; got != want {
			t.Errorf("%d: got %t, want %t", status, got, want)
		}
	}
}

// marked returns the names of the properties of a schema for which an extension of the document has a value that the
// test accepts.
func (c *contract) marked(schema, extension string, accept func(any) bool) []string {
	var names []string
	properties := c.document.Components.Schemas[schema].Value.Properties
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if value, ok := properties[name].Value.Extensions[extension]; ok && accept(value) {
			names = append(names, name)
		}
	}
	return names
}
