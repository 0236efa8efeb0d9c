package api

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/middleware"
	"github.com/opencloud-eu/education/pkg/odata"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// root is where these tests mount the API.
const root = "/graph/v1.0/education"

var (
	contract = education.Rules{
		SchoolsPerUser: education.OneSchool, ExternalIDScope: education.ScopeSchool, UsernameMatch: education.UsernameMatchNone,
	}
	compatible = education.Rules{
		Compatible: true, SchoolsPerUser: education.ManySchools, ExternalIDScope: education.ScopeSchool, UsernameMatch: education.UsernameMatchNone,
	}
)

// service is the API behind a router, and what its routes were asked.
type service struct {
	http.Handler
	last atomic.Value // pattern of the last request's route
}

// newService serves an API for a directory.
func newService(directory education.Directory, rules education.Rules) *service {
	return serve(New(Config{Directory: directory, Rules: rules}))
}

// serve mounts an API at two paths, as cmd/education does.
func serve(api *API) *service {
	s := &service{}
	router := chi.NewRouter()
	router.Use(middleware.EscapedPath, asAdministrator, s.notePattern)
	router.NotFound(middleware.NotFound)
	router.MethodNotAllowed(middleware.MethodNotAllowed(router))
	for _, path := range []string{root, "/v1.0/education"} {
		router.Mount(path, api.Routes())
		router.Mount(strings.TrimSuffix(path, "/education"), api.Metadata())
	}
	s.Handler = router
	return s
}

// asAdministrator gives every request without a credential the one that may do everything.
func asAdministrator(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, has := access.Of(r.Context()); has {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(access.With(r.Context(), &access.Credential{Verbs: access.AllVerbs, AllSchools: true})))
	})
}

func (s *service) notePattern(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		s.last.Store(r.Method + " " + strings.TrimPrefix(chi.RouteContext(r.Context()).RoutePattern(), root))
	})
}

// pattern returns the pattern of the route that has answered last.
func (s *service) pattern() string {
	pattern, _ := s.last.Load().(string)
	return pattern
}

// newDirectory returns an empty directory inside the process.
func newDirectory(tb testing.TB, rules education.Rules) education.Directory {
	tb.Helper()
	const users, classes, schools = "ou=users,dc=opencloud,dc=eu", "ou=groups,dc=opencloud,dc=eu", "ou=tenants,dc=opencloud,dc=eu"
	store, err := embedded.Open(embedded.Config{
		Path: filepath.Join(tb.TempDir(), "directory.db"), Containers: []string{users, classes, schools},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close() })
	directory, err := identity.New(identity.Config{
		Operations: store, UserBase: users, ClassBase: classes, SchoolBase: schools, Rules: rules,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return directory
}

// send sends a request to a path below root.
func (s *service) send(method, path, body string) *httptest.ResponseRecorder {
	return s.sendTo(httptest.NewRequest(method, "http://education.example"+root+path, strings.NewReader(body)))
}

func (s *service) sendTo(r *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, r)
	return recorder
}

// must sends a request and fails the test unless it gets the status.
func (s *service) must(tb testing.TB, status int, method, path, body string) *httptest.ResponseRecorder {
	tb.Helper()
	recorder := s.send(method, path, body)
	if recorder.Code != status {
		tb.Fatalf("%s %s %.200s: got %d %.500s, want %d", method, path, body, recorder.Code, recorder.Body, status)
	}
	return recorder
}

// fault is the part of an error that these tests look at.
type fault struct {
	Code, Message, Target string
}

// checkFault checks that a response is an error as it should be: JSON, with the code's status and the target.
func checkFault(tb testing.TB, response *httptest.ResponseRecorder, code odata.Code, target string) fault {
	tb.Helper()
	var body struct{ Error fault }
	if err := json.Unmarshal(response.Body.Bytes(), &body); err != nil || response.Header().Get("Content-Type") != "application/json" {
		tb.Fatalf("got %d %v %.500s, want an error in JSON", response.Code, response.Header(), response.Body)
	}
	if response.Code != code.Status || body.Error.Code != code.Name || body.Error.Target != target {
		tb.Errorf("got %d %+v, want %d %s with target %q", response.Code, body.Error, code.Status, code.Name, target)
	}
	if response.Body.Len() > 2<<10 {
		tb.Errorf("the error has %d bytes", response.Body.Len())
	}
	return body.Error
}

// fake is a directory that does what a test says, for what cannot be provoked otherwise. A method that no test has
// given it panics, which shows that it should not have been called.
type fake struct {
	education.Directory
	list func(yield func(*education.Entity, error) bool)
	get  func(set *education.EntitySet, key education.Key) (*education.Entity, error)
}

func (f *fake) List(context.Context, *education.EntitySet, *odata.Query) (*education.Answer, error) {
	return &education.Answer{Entities: f.list}, nil
}

func (f *fake) ListRelated(context.Context, *education.Navigation, education.Key, *odata.Query) (*education.Answer, error) {
	return &education.Answer{Entities: f.list}, nil
}

func (f *fake) Get(_ context.Context, set *education.EntitySet, key education.Key, _ *odata.Query) (*education.Entity, error) {
	return f.get(set, key)
}

// newUser returns a user of about 200 bytes in JSON.
func newUser(name string) *education.Entity {
	user := education.NewEntity(education.Users)
	user.SetValue(education.Users.ID, "01994f2e-7a31-7c4e-8d5b-3f6a1c2d4e5f")
	user.SetValue(education.Users.HumanKey, name)
	user.SetValue(education.Users.Property("displayName"), "Max Muster")
	user.SetValue(education.Users.Property("createdDateTime"), time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC))
	return user
}

// readAll reads a body to its end, which a broken connection does not have.
func readAll(response *http.Response) (string, error) {
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// walk calls a function for each route below education.
func walk(tb testing.TB, visit func(method, route string)) {
	tb.Helper()
	walkRoutes(tb, New(Config{Rules: contract}).Routes(), visit)
}

func walkRoutes(tb testing.TB, routes chi.Routes, visit func(method, route string)) {
	tb.Helper()
	err := chi.Walk(routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		visit(method, route)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}
