// Package msgraphgo drives the service with Microsoft's Go SDK for Graph, the way its documentation says for another
// host than Microsoft's: credentials of azcore, the list of hosts that get the token, and a base URL.
// tests/clients/stage sets the stage for it, with TLS, without which the SDK sends no token.
//
// The SDK's models are Graph's. What OpenCloud has beyond those, as a user's externalId and username or a class's
// classification, is in their additional data.
package msgraphgo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	abstractions "github.com/microsoft/kiota-abstractions-go"
	kiotahttp "github.com/microsoft/kiota-http-go"
	msgraph "github.com/microsoftgraph/msgraph-sdk-go"
	core "github.com/microsoftgraph/msgraph-sdk-go-core"
	"github.com/microsoftgraph/msgraph-sdk-go-core/authentication"
	"github.com/microsoftgraph/msgraph-sdk-go/education"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"
)

// unknownID is an id that no entity has.
const unknownID = "6f1d0c5e-0000-4000-8000-000000000000"

// Properties that Graph's models do not have.
const (
	propertyUsername       = "onPremisesSamAccountName"
	propertyExternalID     = "externalId"
	propertyClassification = "classification"
	propertyTermination    = "terminationDate"
)

// client is the SDK of one test, together with entities whose names no other test has taken.
type client struct {
	*education.EducationRequestBuilder
	t       *testing.T
	adapter *msgraph.GraphRequestAdapter
	wire    *recorder
	// root is the URL that the SDK knows as its base.
	root string
	// name begins the names of the test's entities; made counts them.
	name string
	made int
}

// newClient returns an SDK with the stage's token. name must be fit for a username.
func newClient(t *testing.T, name string) *client {
	t.Helper()
	return newClientWith(t, name, "/v1.0", setting(t, "EDUCATION_CLIENT_TOKEN"))
}

// newClientWith returns an SDK with a path of its base URL and a token.
func newClientWith(t *testing.T, name, path, token string) *client {
	t.Helper()
	root, err := url.Parse(setting(t, "EDUCATION_CLIENT_HTTPS") + path)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := authentication.NewAzureIdentityAuthenticationProviderWithScopesAndValidHosts(
		credential(token), []string{"https://graph.microsoft.com/.default"}, []string{root.Hostname()})
	if err != nil {
		t.Fatal(err)
	}
	options := msgraph.GetDefaultClientOptions()
	wire := &recorder{}
	web := core.GetDefaultClient(&options)
	web.Transport = kiotahttp.NewCustomTransportWithParentTransport(wire, core.GetDefaultMiddlewaresWithOptions(&options)...)
	adapter, err := msgraph.NewGraphRequestAdapterWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(provider, nil, nil, web)
	if err != nil {
		t.Fatal(err)
	}
	// The SDK takes the base URL over when it is made, and never again.
	adapter.SetBaseUrl(root.String())
	return &client{
		EducationRequestBuilder: msgraph.NewGraphServiceClient(adapter).Education(),
		t:                       t, adapter: adapter, wire: wire, root: root.String(), name: name,
	}
}

// setting returns an environment variable of the stage.
func setting(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set: run scripts/clients", variable)
	}
	return value
}

// credential is a token as azcore has it.
type credential string

func (c credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(c), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// exchange is a request as it left the SDK, behind all its middleware, and the status of its response.
type exchange struct {
	method, url string
	header      http.Header
	status      int
	answer      http.Header
}

// recorder is a transport that keeps what goes through it.
type recorder struct {
	mutex     sync.Mutex
	exchanges []exchange
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.exchanges = append(r.exchanges, exchange{
		method: request.Method, url: request.URL.String(), header: request.Header.Clone(),
		status: response.StatusCode, answer: response.Header.Clone(),
	})
	return response, nil
}

// since returns what has gone through since a call of since, and forgets it.
func (r *recorder) since() []exchange {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	exchanges := r.exchanges
	r.exchanges = nil
	return exchanges
}

// next returns a name for an entity.
func (c *client) next() string {
	c.made++
	return fmt.Sprintf("%s%d", c.name, c.made)
}

// user returns a user that can be created.
func (c *client) user() *models.EducationUser {
	name := c.next()
	user := models.NewEducationUser()
	user.SetDisplayName(new("Person " + name))
	user.SetMail(new(name + "@example.org"))
	user.SetPrimaryRole(new(models.STUDENT_EDUCATIONUSERROLE))
	user.SetAdditionalData(map[string]any{propertyUsername: name, propertyExternalID: "id of " + name})
	return user
}

func (c *client) createUser(user models.EducationUserable) models.EducationUserable {
	c.t.Helper()
	created, err := c.Users().Post(c.t.Context(), user, nil)
	c.want(err)
	return created
}

func (c *client) createClass() models.EducationClassable {
	c.t.Helper()
	class := models.NewEducationClass()
	class.SetDisplayName(new("Class " + c.next()))
	class.SetExternalId(new("id of " + *class.GetDisplayName()))
	class.SetAdditionalData(map[string]any{propertyClassification: "class"})
	created, err := c.Classes().Post(c.t.Context(), class, nil)
	c.want(err)
	return created
}

func (c *client) createSchool() models.EducationSchoolable {
	c.t.Helper()
	school := models.NewEducationSchool()
	school.SetDisplayName(new("School " + c.next()))
	school.SetSchoolNumber(new("number of " + *school.GetDisplayName()))
	school.SetExternalId(new("id of " + *school.GetDisplayName()))
	created, err := c.Schools().Post(c.t.Context(), school, nil)
	c.want(err)
	return created
}

// reference returns a body for a $ref collection.
func (c *client) reference(set, id string) models.ReferenceCreateable {
	reference := models.NewReferenceCreate()
	reference.SetOdataId(new(c.root + "/education/" + set + "/" + id))
	return reference
}

// headers returns header fields for one request.
func headers(name, value string) *abstractions.RequestHeaders {
	fields := abstractions.NewRequestHeaders()
	fields.Add(name, value)
	return fields
}

// extra returns a property that Graph's models do not have.
func extra(entity interface{ GetAdditionalData() map[string]any }, name string) string {
	if text, ok := entity.GetAdditionalData()[name].(*string); ok && text != nil {
		return *text
	}
	return ""
}

// want expects that a call has succeeded.
func (c *client) want(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(describe(err))
	}
}

// wantRefused expects that a call has failed with the SDK's own error, and returns it.
func (c *client) wantRefused(err error, status int, code string) odataerrors.MainErrorable {
	c.t.Helper()
	failure, ok := errors.AsType[*odataerrors.ODataError](err)
	if !ok {
		c.t.Fatalf("the error is %v (%T), want the SDK's own", err, err)
	}
	said := failure.GetErrorEscaped()
	if failure.ResponseStatusCode != status || *said.GetCode() != code || *said.GetMessage() == "" {
		c.t.Errorf("%s, want %d %s with a message", describe(err), status, code)
	}
	// Error takes the message, and fails on an error without one.
	if failure.Error() != *said.GetMessage() {
		c.t.Errorf("the error is %q, and its message %q", failure.Error(), *said.GetMessage())
	}
	inner := said.GetInnerError()
	sent := c.wire.since()
	last := sent[len(sent)-1]
	if *inner.GetRequestId() != last.answer.Get("Request-Id") || *inner.GetClientRequestId() != last.header.Get("Client-Request-Id") {
		c.t.Errorf("the error is of request %s of the client's %s, want those of the response", *inner.GetRequestId(), *inner.GetClientRequestId())
	}
	if age := time.Since(*inner.GetDate()); age.Abs() > time.Minute {
		c.t.Errorf("the error is of %s, %s ago", inner.GetDate(), age)
	}
	return said
}

// describe returns all that an error of the SDK says.
func describe(err error) string {
	failure, ok := errors.AsType[*odataerrors.ODataError](err)
	if !ok || failure.GetErrorEscaped() == nil || failure.GetErrorEscaped().GetCode() == nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s: %s", failure.ResponseStatusCode, *failure.GetErrorEscaped().GetCode(), failure.Error())
}

// walk returns all entities of a list by the SDK's own iterator.
func walk[T interface{ GetId() *string }](c *client, first any, factory iteratorFactory) []T {
	c.t.Helper()
	iterator, err := core.NewPageIterator[T](first, c.adapter, factory)
	c.want(err)
	var found []T
	c.want(iterator.Iterate(c.t.Context(), func(entity T) bool {
		found = append(found, entity)
		return true
	}))
	return found
}

// idsOf returns the ids of entities.
func idsOf[T interface{ GetId() *string }](entities []T) []string {
	ids := make([]string, 0, len(entities))
	for _, entity := range entities {
		ids = append(ids, *entity.GetId())
	}
	return ids
}

// wantIDs expects entities with the given ids, in any order.
func wantIDs[T interface{ GetId() *string }](t *testing.T, what string, entities []T, want ...string) {
	t.Helper()
	got := slices.Sorted(slices.Values(idsOf(entities)))
	if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
