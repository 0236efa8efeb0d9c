// Package libregraphgo drives the service with OpenCloud's own Go client, which is generated from libre-graph's
// document. tests/clients/stage sets the stage for it.
//
// The client knows the query options $filter, $orderby and $expand, and no pages: a list of it is whole, and the link to
// a next page has no place in its models. Who wants pages reads the link from the response that each call returns.
//
// Its models of users and schools leave out what they do not know. Its model of a class refuses it: any property that
// libre-graph does not have, and all control information. With EDUCATION_COMPATIBILITY=opencloud classes hold nothing
// else; without it the client has to ask for less, as the transport knownAlone does. The tests run in both modes.
package libregraphgo

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"testing"
	"time"

	libregraph "github.com/opencloud-eu/libre-graph-api-go"
)

// unknownID is an id that no entity has.
const unknownID = "6f1d0c5e-0000-4000-8000-000000000000"

// compatible says that the service gives the answers of OpenCloud's graph service.
var compatible = os.Getenv("EDUCATION_COMPATIBILITY") == "opencloud"

// either returns what is to be expected in the mode that the service runs in.
func either[T any](standard, opencloud T) T {
	if compatible {
		return opencloud
	}
	return standard
}

// client is the client of one test, together with entities whose names no other test has taken.
type client struct {
	*libregraph.APIClient
	t *testing.T
	// name begins the names of the test's entities; made counts them.
	name string
	made int
}

// newClient returns a client with the stage's token. name must be fit for a username.
func newClient(t *testing.T, name string, adjust ...func(*libregraph.Configuration)) *client {
	t.Helper()
	configuration := libregraph.NewConfiguration()
	configuration.Servers[0].URL = root(t)
	configuration.HTTPClient = &http.Client{Timeout: time.Minute, Transport: http.DefaultTransport}
	if compatible {
		// OpenCloud's graph service answers arrays for what is below an entity, which the client cannot read. A client that
		// asks for pages gets objects; this page holds everything.
		configuration.AddDefaultHeader("Prefer", "odata.maxpagesize=10000")
	} else {
		configuration.HTTPClient.Transport = knownAlone{http.DefaultTransport}
	}
	configuration.AddDefaultHeader("Authorization", "Bearer "+setting(t, "EDUCATION_CLIENT_TOKEN"))
	for _, change := range adjust {
		change(configuration)
	}
	return &client{APIClient: libregraph.NewAPIClient(configuration), t: t, name: name}
}

// root is the URL that the client knows as its server.
func root(t *testing.T) string {
	t.Helper()
	return setting(t, "EDUCATION_CLIENT_HTTP") + "/graph"
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

// next returns a name for an entity.
func (c *client) next() string {
	c.made++
	return fmt.Sprintf("%s%d", c.name, c.made)
}

// user returns a user that can be created.
func (c *client) user() libregraph.EducationUser {
	name := c.next()
	user := libregraph.NewEducationUser()
	user.SetDisplayName("Person " + name)
	user.SetOnPremisesSamAccountName(name)
	user.SetMail(name + "@example.org")
	user.SetExternalId("id of " + name)
	user.SetPrimaryRole("student")
	return *user
}

func (c *client) createUser(user libregraph.EducationUser) *libregraph.EducationUser {
	c.t.Helper()
	created, response, err := c.EducationUserApi.CreateEducationUser(c.t.Context()).EducationUser(user).Execute()
	c.wantStatus(response, err, either(http.StatusCreated, http.StatusOK))
	return created
}

func (c *client) createClass() *libregraph.EducationClass {
	c.t.Helper()
	class := libregraph.NewEducationClass("Class "+c.next(), "class")
	class.SetExternalId("id of " + class.DisplayName)
	return c.create(class)
}

// create creates a class. Where the answer has no body, it returns the class that was sent, with the id from the URL.
func (c *client) create(class *libregraph.EducationClass) *libregraph.EducationClass {
	c.t.Helper()
	created, response, err := c.EducationClassApi.CreateClass(c.t.Context()).EducationClass(*class).Execute()
	c.wantStatus(response, err, either(http.StatusNoContent, http.StatusCreated))
	if compatible {
		return created
	}
	class.SetId(path.Base(response.Header.Get("Location")))
	return class
}

func (c *client) createSchool() *libregraph.EducationSchool {
	c.t.Helper()
	school := libregraph.NewEducationSchool()
	school.SetDisplayName("School " + c.next())
	school.SetSchoolNumber("number of " + school.GetDisplayName())
	school.SetExternalId("id of " + school.GetDisplayName())
	created, response, err := c.EducationSchoolApi.CreateSchool(c.t.Context()).EducationSchool(*school).Execute()
	c.wantStatus(response, err, http.StatusCreated)
	return created
}

// wantStatus expects that a call has succeeded with a status.
func (c *client) wantStatus(response *http.Response, err error, want int) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	if response.StatusCode != want {
		c.t.Fatalf("%s %s: %s, want %d", response.Request.Method, response.Request.URL, response.Status, want)
	}
}

// wantNothing expects that a call has succeeded and that there is no body.
func (c *client) wantNothing(response *http.Response, err error) {
	c.t.Helper()
	c.wantStatus(response, err, http.StatusNoContent)
	body, err := io.ReadAll(response.Body)
	if err != nil || len(body) > 0 {
		c.t.Errorf("the body is %q (%v), want none", body, err)
	}
}

// wantRefused expects that a call has failed with the client's own error, and returns what the service has said.
func (c *client) wantRefused(response *http.Response, err error, status int, code string) libregraph.OdataErrorMain {
	c.t.Helper()
	failure, ok := errors.AsType[*libregraph.GenericOpenAPIError](err)
	if !ok {
		c.t.Fatalf("the error is %v (%T), want the client's own", err, err)
	}
	model, ok := failure.Model().(libregraph.OdataError)
	if !ok {
		c.t.Fatalf("the error %v holds %T, want an OdataError: %s", err, failure.Model(), failure.Body())
	}
	if response.StatusCode != status || model.Error.Code != code || model.Error.Message == "" {
		c.t.Errorf("%d %s %q, want %d %s with a message", response.StatusCode, model.Error.Code, model.Error.Message, status, code)
	}
	if id := model.Error.Innererror["request-id"]; id != response.Header.Get("Request-Id") {
		c.t.Errorf("the error is of request %v, and the response of %s", id, response.Header.Get("Request-Id"))
	}
	return model.Error
}

// page is what the models leave out of a list.
type page struct {
	Value    []libregraph.EducationUser `json:"value"`
	NextLink string                     `json:"@odata.nextLink"`
}

// follow returns the pages of a list of users, given the response with the first one.
func (c *client) follow(response *http.Response, err error) []page {
	c.t.Helper()
	var pages []page
	for {
		c.wantStatus(response, err, http.StatusOK)
		var got page
		err = errors.Join(json.NewDecoder(response.Body).Decode(&got), response.Body.Close())
		if err != nil {
			c.t.Fatal(err)
		}
		pages = append(pages, got)
		if got.NextLink == "" {
			return pages
		}
		response, err = c.get(got.NextLink)
	}
}

// get sends a request to a link, with nothing but the token.
func (c *client) get(link string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", c.GetConfig().DefaultHeader["Authorization"])
	return c.GetConfig().HTTPClient.Do(request)
}

// prefer sets a preference for all requests of a client, in place of any other.
func prefer(preference string) func(*libregraph.Configuration) {
	return func(configuration *libregraph.Configuration) { configuration.AddDefaultHeader("Prefer", preference) }
}

// knownAlone is a transport that asks for no more of a class than the client knows.
type knownAlone struct{ http.RoundTripper }

// aboutClasses are the paths whose responses hold classes.
var aboutClasses = regexp.MustCompile(`/classes(/[^/]+)?$`)

func (k knownAlone) RoundTrip(request *http.Request) (*http.Response, error) {
	if !aboutClasses.MatchString(request.URL.Path) {
		return k.RoundTripper.RoundTrip(request)
	}
	request = request.Clone(request.Context())
	if request.Method == http.MethodGet {
		query := request.URL.Query()
		query.Set("$select", "id,displayName,description,classification,externalId")
		query.Set("$format", "application/json;odata.metadata=none")
		request.URL.RawQuery = query.Encode()
	} else {
		request.Header.Set("Prefer", "return=minimal")
	}
	return k.RoundTripper.RoundTrip(request)
}

// compressing is a transport that compresses the bodies of requests, as gateways do.
type compressing struct{ http.RoundTripper }

func (c compressing) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body == nil {
		return c.RoundTripper.RoundTrip(request)
	}
	plain, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	writer := gzip.NewWriter(&body)
	_, err = writer.Write(plain)
	if err := errors.Join(err, writer.Close(), request.Body.Close()); err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	request.Body, request.ContentLength = io.NopCloser(&body), int64(body.Len())
	request.Header.Set("Content-Encoding", "gzip")
	return c.RoundTripper.RoundTrip(request)
}

// idsOf returns the ids of users.
func idsOf(users []libregraph.EducationUser) []string {
	ids := make([]string, 0, len(users))
	for _, user := range users {
		ids = append(ids, user.GetId())
	}
	return ids
}

// wantIDs expects users with the given ids, in any order.
func (c *client) wantIDs(got []libregraph.EducationUser, want ...string) {
	c.t.Helper()
	ids := idsOf(got)
	slices.Sort(ids)
	if want = slices.Sorted(slices.Values(want)); !slices.Equal(ids, want) {
		c.t.Errorf("got %q, want %q", ids, want)
	}
}
