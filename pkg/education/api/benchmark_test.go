package api_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	metering "go.opentelemetry.io/otel/metric/noop"
	tracing "go.opentelemetry.io/otel/trace/noop"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/education/api"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/middleware"
)

// benchmarkUsers is the size of the directory that the benchmarks work on.
const benchmarkUsers = 10_000

// benchmarkToken is what requests are let in with: they pass all of the service's middleware.
const benchmarkToken = "benchmark"

const benchmarkBase = "ou=users,dc=opencloud,dc=eu"

// benchmark is a directory with users and a server in front of it.
type benchmark struct {
	store *embedded.Store
	url   string
	ids   []string
	next  atomic.Int64
}

// embeddedDirectory returns an empty directory, and the store that it is kept in.
func embeddedDirectory(b *testing.B) (*embedded.Store, *identity.Directory) {
	b.Helper()
	bases := []string{benchmarkBase, "ou=groups,dc=opencloud,dc=eu", "ou=tenants,dc=opencloud,dc=eu"}
	store, err := embedded.Open(embedded.Config{Path: filepath.Join(b.TempDir(), "directory.db"), Containers: bases})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	directory, err := identity.New(identity.Config{Operations: store, UserBase: bases[0], ClassBase: bases[1], SchoolBase: bases[2]})
	if err != nil {
		b.Fatal(err)
	}
	return store, directory
}

func newBenchmark(b *testing.B, users int) *benchmark {
	b.Helper()
	store, directory := embeddedDirectory(b)
	s := &benchmark{store: store, url: serve(b, directory), ids: make([]string, users)}
	errs := make(chan error, 64)
	for worker := range cap(errs) {
		go func() {
			for i := worker; i < users; i += cap(errs) {
				change, err := education.DecodeChange(education.Users, education.CreateEntity, []byte(userBody(i)), education.Rules{})
				if err == nil {
					var user *education.Entity
					if user, err = directory.Create(context.Background(), education.Users, change); err == nil {
						s.ids[i] = user.ID()
					}
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	s.next.Store(int64(users))
	return s
}

// serve serves a directory with all of the service's middleware and returns the URL.
func serve(b *testing.B, directory education.Directory) string {
	b.Helper()
	routes := chi.NewRouter()
	routes.Use(middleware.Chain(middleware.Options{
		Logger: slog.New(slog.DiscardHandler), Tracers: tracing.NewTracerProvider(), Meters: metering.NewMeterProvider(),
		Patience:    time.Minute,
		Credentials: &access.Gate{Authenticators: []access.Authenticator{access.Single{Token: access.DigestOf(benchmarkToken)}}},
	})...)
	routes.Mount("/", api.New(api.Config{Directory: directory}).Routes())
	server := httptest.NewServer(routes)
	b.Cleanup(server.Close)
	return server.URL
}

// userBody is the body that creates the i-th user.
func userBody(i int) string {
	return fmt.Sprintf(`{"displayName":"User %[1]d","onPremisesSamAccountName":"user%[1]d","mail":"user%[1]d@example.org",
		"givenName":"Given %[1]d","surname":"Surname %[1]d","primaryRole":"student","externalId":"ext-%[1]d","accountEnabled":true}`, i)
}

// userEntry is what userBody becomes in the directory.
func userEntry(i int, id string) *wire.AddRequest {
	attributes := []wire.Attribute{
		{Type: "objectClass", Values: education.Users.ObjectClasses},
		{Type: "educationUniqueKey", Values: []string{fmt.Sprintf("user/username/-/user%d", i), fmt.Sprintf("user/externalId/-/ext-%d", i)}},
	}
	for name, value := range map[string]string{
		"openCloudUUID": id, "displayName": "User", "uid": "user", "cn": "user", "mail": "user@example.org", "givenName": "Given",
		"sn": "Surname", "userClass": "student", "openCloudEducationExternalId": "ext", "openCloudUserType": "Member",
	} {
		if name != "openCloudUUID" {
			value = fmt.Sprintf("%s%d", value, i)
		}
		attributes = append(attributes, wire.Attribute{Type: name, Values: []string{value}})
	}
	return &wire.AddRequest{DN: "openCloudUUID=" + id + "," + benchmarkBase, Attributes: attributes}
}

// send makes a request and fails the benchmark unless it has the wanted status.
func (s *benchmark) send(b *testing.B, method, path, body string, want int) {
	b.Helper()
	send(b, s.url, method, path, body, want)
}

func send(b *testing.B, url, method, path, body string, want int) {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), method, url+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+benchmarkToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	if response.StatusCode != want {
		b.Fatalf("%s %s: got status %d, want %d", method, path, response.StatusCode, want)
	}
}

// search makes the search on the store that a GET comes down to.
func (s *benchmark) search(b *testing.B, attribute, value string, want int) {
	b.Helper()
	found := 0
	err := s.store.Search(b.Context(), &wire.SearchRequest{
		Base: benchmarkBase, Scope: wire.ScopeSubtree,
		Filter: wire.And(wire.Equal("objectClass", education.Users.ObjectClass), wire.Equal(attribute, value)),
	}, func(*wire.Entry) error {
		found++
		return nil
	})
	if err != nil || found != want {
		b.Fatalf("search for %s: %d entries, error %v", attribute, found, err)
	}
}

// BenchmarkDirectory measures each operation over HTTP beside the operation on the store that it comes down to; the
// ratio of the two is what this service costs on top of its directory.
func BenchmarkDirectory(b *testing.B) {
	s := newBenchmark(b, benchmarkUsers)
	pick := func() int { return int(s.next.Add(7919)) % benchmarkUsers }
	fresh := func() int { return int(s.next.Add(1)) + 10*benchmarkUsers }
	freshID := func(i int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", i) }

	run := func(name string, operation func(b *testing.B)) {
		b.Run(name+"/serial", func(b *testing.B) {
			for b.Loop() {
				operation(b)
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					operation(b)
				}
			})
		})
	}
	// Lists come first, while there are as many users as the name says.
	run("list-10000/http", func(b *testing.B) { s.send(b, "GET", "/users", "", http.StatusOK) })
	run("list-10000/store", func(b *testing.B) { s.search(b, "objectClass", education.Users.ObjectClass, benchmarkUsers) })
	run("get-by-id/http", func(b *testing.B) { s.send(b, "GET", "/users/"+s.ids[pick()], "", http.StatusOK) })
	run("get-by-id/store", func(b *testing.B) { s.search(b, "openCloudUUID", s.ids[pick()], 1) })
	run("get-by-externalId/http", func(b *testing.B) {
		s.send(b, "GET", fmt.Sprintf("/users(externalId='ext-%d')", pick()), "", http.StatusOK)
	})
	run("get-by-externalId/store", func(b *testing.B) { s.search(b, "openCloudEducationExternalId", fmt.Sprintf("ext-%d", pick()), 1) })
	run("post/http", func(b *testing.B) { s.send(b, "POST", "/users", userBody(fresh()), http.StatusCreated) })
	run("post/store", func(b *testing.B) {
		i := fresh()
		if _, err := s.store.Add(b.Context(), userEntry(i, freshID(i))); err != nil {
			b.Fatal(err)
		}
	})
	run("patch/http", func(b *testing.B) {
		s.send(b, "PATCH", "/users/"+s.ids[pick()], fmt.Sprintf(`{"givenName":"Given %d"}`, fresh()), http.StatusOK)
	})
	run("patch/store", func(b *testing.B) {
		_, err := s.store.Modify(b.Context(), &wire.ModifyRequest{
			DN: "openCloudUUID=" + s.ids[pick()] + "," + benchmarkBase,
			Changes: []wire.Change{{Operation: wire.ChangeReplace, Attribute: wire.Attribute{
				Type: "givenName", Values: []string{fmt.Sprintf("Given %d", fresh())},
			}}},
		})
		if err != nil {
			b.Fatal(err)
		}
	})
}
