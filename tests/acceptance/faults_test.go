package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/internal/faultproxy"
	"github.com/opencloud-eu/education/internal/ldapserver"
)

// behindProxy starts two services on one OpenLDAP server: one that reaches it through a proxy, and one that is not disturbed.
func behindProxy(t *testing.T) (disturbed, calm *server, proxy *faultproxy.Proxy) {
	t.Helper()
	directory := ldapserver.ExclusiveOpenLDAP(t)
	calm = startOn(t, onServer(t, directory))
	proxy = faultproxy.New(t, strings.TrimPrefix(directory.URI, "ldap://"))
	way := onServer(t, directory)
	way.env = remoteSettings(t, "ldap://"+proxy.Address, directory.BindDN, directory.Password)
	disturbed = startOn(t, way)
	disturbed.troubled = true
	disturbed.get(t, "/users").want(http.StatusOK)
	return disturbed, calm, proxy
}

// busyMachine is what a busy machine may add to a time that is promised.
const busyMachine = 3 * time.Second

// TestAnswersAreLost has the answer to each kind of write lost after the server has carried it out.
func TestAnswersAreLost(t *testing.T) {
	t.Parallel()
	embeddedOnly(t)
	s, calm, proxy := behindProxy(t)
	// A class that loses its last member takes two modifications on OpenLDAP, the first of which is refused.
	calm.post(t, "/users", entity{"displayName": "Tina", "onPremisesSamAccountName": "tina"}).want(http.StatusCreated)
	for _, operation := range []func(*faultproxy.Message) faultproxy.Fate{
		faultproxy.Reply(faultproxy.Add, faultproxy.Cut), faultproxy.Reply(faultproxy.Add, faultproxy.Reset),
	} {
		proxy.Set(operation)
		user := s.post(t, "/users", entity{"displayName": "Max", "onPremisesSamAccountName": "max", "externalId": "4711"}).want(http.StatusCreated)
		class := s.post(t, "/classes", entity{
			"displayName": "5a", "classification": "class", "members@odata.bind": []string{"/users/max", "/users/tina"},
		}).want(http.StatusCreated)
		id, group := user.id(), class.id()
		calm.get(t, "/users(externalId='4711')").want(http.StatusOK)
		proxy.Set(faultproxy.Reply(faultproxy.Modify, faultproxy.Cut))
		s.patch(t, "/users/"+id, entity{"displayName": "Max Muster", "externalId": "4712"}).want(http.StatusOK)
		calm.get(t, "/users(externalId='4712')").want(http.StatusOK)
		s.remove(t, "/classes/"+group+"/members/"+id+"/$ref").want(http.StatusNoContent)
		s.post(t, "/classes/"+group+"/teachers/$ref", ref("/users/"+id)).want(http.StatusNoContent)
		proxy.Set(faultproxy.Reply(faultproxy.Delete, faultproxy.Cut))
		s.remove(t, "/users/"+id).want(http.StatusNoContent)
		s.remove(t, "/classes/"+group).want(http.StatusNoContent)
		calm.get(t, "/users/"+id).want(http.StatusNotFound)
	}
}

// TestServerIsGone has the server taken off the network and brought back.
func TestServerIsGone(t *testing.T) {
	t.Parallel()
	embeddedOnly(t)
	s, calm, proxy := behindProxy(t)
	calm.post(t, "/users", entity{"displayName": "Max", "onPremisesSamAccountName": "max"}).want(http.StatusCreated)
	proxy.Refuse()
	for _, request := range []step{
		{method: http.MethodGet, path: "/users"},
		{method: http.MethodGet, path: "/users/$count"},
		{method: http.MethodGet, path: "/users?$top=1"},
		{method: http.MethodGet, path: "/users/max"},
		{method: http.MethodGet, path: "/users/nobody"},
		{method: http.MethodPost, path: "/users", body: entity{"displayName": "Max", "onPremisesSamAccountName": "max"}},
		{method: http.MethodPatch, path: "/users/max", body: entity{"displayName": "Moritz"}},
		{method: http.MethodDelete, path: "/users/max"},
	} {
		start := time.Now()
		if got := s.mustTry(t, request.method, request.path, request.body); got != nil && !got.saysDown() {
			t.Errorf("%s: got %d with Retry-After %q, want 503\n%s", got.what, got.status, got.header.Get("Retry-After"), got.body)
		}
		if took := time.Since(start); took > time.Second+busyMachine {
			t.Errorf("%s %s took %v", request.method, request.path, took)
		}
	}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		if got := s.probe(t, path); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
	proxy.Accept(t)
	s.wantBack(t, time.Now(), "/users/max")
	calm.get(t, "/users/max").want(http.StatusOK)
}

// probe returns the status of a path outside the API.
func (s *server) probe(t testing.TB, path string) int {
	t.Helper()
	response, err := s.client.Get("http://" + s.http + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// wantBack expects that a path is answered within a second of the given time, and in the meantime by nothing but that the
// directory cannot be asked.
func (s *server) wantBack(t *testing.T, since time.Time, path string) {
	t.Helper()
	for {
		got := s.mustTry(t, http.MethodGet, path, nil)
		took := time.Since(since)
		switch {
		case got != nil && got.status == http.StatusOK:
			t.Logf("back after %v", took.Round(time.Millisecond))
			return
		case got != nil && !got.saysDown():
			t.Fatalf("%s: %d %s", got.what, got.status, got.body)
		case took > time.Second+busyMachine:
			t.Fatalf("not back within a second, after %v", took)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestServerIsSilent has a server that takes connections and answers nothing. The request ends by the service's own deadlines:
// ten seconds for the answer, and five for finding out that the server does not even take a bind.
func TestServerIsSilent(t *testing.T) {
	t.Parallel()
	embeddedOnly(t)
	s, _, proxy := behindProxy(t)
	proxy.Set(faultproxy.All(faultproxy.Lose))
	inParallel(3, 3, func(i int) {
		request := []step{
			{method: http.MethodGet, path: "/users"},
			{method: http.MethodGet, path: "/users/max"},
			{method: http.MethodPost, path: "/users", body: entity{"displayName": "Max", "onPremisesSamAccountName": "max"}},
		}[i]
		start := time.Now()
		if got := s.mustTry(t, request.method, request.path, request.body); got != nil && !got.saysDown() {
			t.Errorf("%s: got %d, want 503 or 504\n%s", got.what, got.status, got.body)
		}
		if took := time.Since(start); took > 15*time.Second+busyMachine {
			t.Errorf("%s %s took %v", request.method, request.path, took)
		}
	})
}

// TestListBreaksOff holds that a client can tell a list that broke off from one that is complete: the connection ends before
// the document does.
func TestListBreaksOff(t *testing.T) {
	t.Parallel()
	embeddedOnly(t)
	const all = 700
	s, calm, proxy := behindProxy(t)
	long := strings.Repeat("x", 512)
	inParallel(all, 8, func(i int) {
		got := calm.mustTry(t, http.MethodPost, "/users", entity{
			"displayName": long, "givenName": long, "surname": long, "primaryRole": long, "onPremisesSamAccountName": fmt.Sprintf("user-%d", i),
		})
		if got != nil && got.status != http.StatusCreated {
			t.Errorf("user %d: %d", i, got.status)
		}
	})
	s.get(t, "/users").want(http.StatusOK)
	proxy.Set(faultproxy.Entry(all-10, faultproxy.Cut))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.http+s.root+"/v1.0/education/users", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || json.Valid(body) {
		t.Errorf("got %d, %d octets and %v, want a document that breaks off", response.StatusCode, len(body), err)
	}
	// One that breaks off before anything of it was sent is read again.
	proxy.Set(faultproxy.Entry(100, faultproxy.Cut))
	if got := s.get(t, "/users").want(http.StatusOK); len(got.list()) != all {
		t.Errorf("%d users, want %d", len(got.list()), all)
	}
}
