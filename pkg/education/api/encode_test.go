package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// yieldUsers returns a list of users that ends with an error, if there is one.
func yieldUsers(count int, err error) func(yield func(*education.Entity, error) bool) {
	return func(yield func(*education.Entity, error) bool) {
		for range count {
			if !yield(newUser("max"), nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

var errDown = odata.Errorf(odata.ServiceNotAvailable, "", "the directory does not answer").Because(errors.New("canary"))

// TestListDown holds that a directory which fails before anything has been sent is an error, even when some entities
// have been read.
func TestListDown(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/users", "/schools/1/users"} {
		for _, count := range []int{0, 1, 100} {
			response := newService(&fake{list: yieldUsers(count, errDown)}, contract).send("GET", path, "")
			checkFault(t, response, odata.ServiceNotAvailable, "")
			if response.Header().Get("Retry-After") == "" || strings.Contains(response.Body.String(), "canary") {
				t.Errorf("got %v %s", response.Header(), response.Body)
			}
		}
	}
}

// TestTimesOfClasses holds that OpenCloud's Go client can read the classes of a service that is compatible: it fails on
// any property that it does not know.
func TestTimesOfClasses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, query string
		rules       education.Rules
		want        bool
	}{
		{"contract", "", contract, true},
		{"opencloud", "", compatible, false},
		{"opencloud, selected", "?$select=displayName,createdDateTime,lastModifiedDateTime", compatible, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newService(newDirectory(t, test.rules), test.rules)
			created := s.must(t, http.StatusCreated, "POST", "/classes", `{"displayName": "5a", "classification": "class", "externalId": "5a"}`)
			responses := []string{
				s.must(t, http.StatusOK, "GET", "/classes"+test.query, "").Body.String(),
				s.must(t, http.StatusOK, "GET", "/classes/5a"+test.query, "").Body.String(),
			}
			if test.query == "" {
				responses = append(responses, created.Body.String())
			}
			for _, response := range responses {
				for _, name := range []string{"createdDateTime", "lastModifiedDateTime"} {
					if got := strings.Contains(response, name); got != test.want {
						t.Errorf("%s is in the response: %t, want %t: %s", name, got, test.want, response)
					}
				}
			}
		})
	}
}

// TestListBreaks holds that a directory which fails in the middle of a list breaks the connection, so that the client
// cannot take what it has for the whole.
func TestListBreaks(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]education.Rules{"contract": contract, "opencloud": compatible} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(newService(&fake{list: yieldUsers(1000, errDown)}, rules))
			defer server.Close()
			for _, path := range []string{"/users", "/schools/1/users"} {
				body, err := fetch(t, server, path)
				if err == nil || json.Valid([]byte(body)) {
					t.Errorf("%s: got %d bytes and %v, want a broken connection", path, len(body), err)
				}
			}
		})
	}
}

func fetch(t *testing.T, server *httptest.Server, path string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+root+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		return "", err
	}
	return readAll(response)
}

// TestListStreams holds that a long list is sent while it is read, and is whole at its end.
func TestListStreams(t *testing.T) {
	t.Parallel()
	const count = 1000
	begun, seen := make(chan struct{}), make(chan struct{})
	list := func(yield func(*education.Entity, error) bool) {
		for i := range count {
			if i == count/2 {
				close(begun)
				<-seen // The client has the first part.
			}
			if !yield(newUser("max"), nil) {
				return
			}
		}
	}
	server := httptest.NewServer(newService(&fake{list: list}, contract))
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+root+"/users", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := response.Body.Read(first); err != nil {
		t.Fatal(err)
	}
	<-begun
	close(seen)
	rest, err := readAll(response)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Value []struct{ ID string } }
	if err := json.Unmarshal([]byte(string(first)+rest), &got); err != nil || len(got.Value) != count {
		t.Errorf("got %d users (%v), want %d", len(got.Value), err, count)
	}
	if got := response.Header.Get("Content-Type"); got != "application/json;odata.metadata=minimal" {
		t.Errorf("got content type %q", got)
	}
}

// TestListStopsForNobody holds that a list ends when its reader has gone.
func TestListStopsForNobody(t *testing.T) {
	t.Parallel()
	stopped := make(chan struct{})
	list := func(yield func(*education.Entity, error) bool) {
		defer close(stopped)
		for yield(newUser("max"), nil) { //nolint:revive // It ends when the write fails.
		}
	}
	server := httptest.NewServer(newService(&fake{list: list}, contract))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+root+"/users", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = response.Body.Close()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Error("the list goes on")
	}
}

// TestLargeList holds the round trip of a list that takes several writes, against a real directory.
func TestLargeList(t *testing.T) {
	t.Parallel()
	s := newService(newDirectory(t, contract), contract)
	text := strings.Repeat("ü", 512)
	for range 40 {
		s.must(t, http.StatusCreated, "POST", "/classes", string(mustJSON(t, map[string]string{"displayName": text, "classification": "x", "description": text})))
	}
	response := s.must(t, http.StatusOK, "GET", "/classes", "")
	var got struct {
		Value []struct{ DisplayName, Description string }
	}
	if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if response.Body.Len() < 2*writeChunk || len(got.Value) != 40 {
		t.Errorf("got %d bytes with %d classes", response.Body.Len(), len(got.Value))
	}
	for _, class := range got.Value {
		if class.DisplayName != text || class.Description != text {
			t.Error("a text has changed on its way")
		}
	}
}

// TestAppendEntity holds what each type of value looks like in JSON.
func TestAppendEntity(t *testing.T) {
	t.Parallel()
	user := newUser(`a"b\c<d>&é🏫` + "\t\u2028")
	user.SetValue(education.Users.Property("accountEnabled"), false)
	user.SetValue(education.Users.Property("identities"), []education.Identity{{SignInType: "x", Issuer: "a", IssuerAssignedID: "b"}, {Issuer: "<", IssuerAssignedID: "d"}})
	user.SetValue(education.Users.Property("passwordProfile"), education.Password("canary"))
	got := newShape(education.Users, nil, odata.MetadataMinimal, "http://h/education").append(nil, "http://h/$metadata", user)
	want := `{"@odata.context":"http://h/$metadata","id":"01994f2e-7a31-7c4e-8d5b-3f6a1c2d4e5f","displayName":"Max Muster",` +
		`"onPremisesSamAccountName":"a\"b\\c<d>&é🏫\t\u2028","accountEnabled":false,` +
		`"identities":[{"signInType":"x","issuer":"a","issuerAssignedId":"b"},{"issuer":"<","issuerAssignedId":"d"}],"createdDateTime":"2026-09-01T08:00:00Z"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if got := string(newShape(education.Users, nil, odata.MetadataMinimal, "http://h/education").append(nil, "", education.NewEntity(education.Users))); got != "{}" {
		t.Errorf("an entity without values is %s", got)
	}
}
