package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	metering "go.opentelemetry.io/otel/metric/noop"
	tracing "go.opentelemetry.io/otel/trace/noop"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/education/api"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/middleware"
)

// BenchmarkForeign measures whether the time of an answer tells a key that another tenant has from one that nobody has, and a
// value that some of its users have. It asks for both in turns, and prints the medians and their difference, which should be
// below 5 %:
//
//	go test -run '^$' -bench Foreign -benchtime 2000x ./pkg/education/api
func BenchmarkForeign(b *testing.B) {
	for _, directory := range []struct {
		name string
		open func(*testing.B) *identity.Directory
	}{{"embedded", embeddedForTenants}, {"OpenLDAP", openLDAPForTenants}} {
		b.Run(directory.name, func(b *testing.B) {
			stage := newTenantStage(b, directory.open(b))
			for _, set := range education.EntitySets {
				for _, property := range set.Properties {
					if !property.Key || set == education.Schools && property.Name == "displayName" {
						continue
					}
					b.Run(set.Singular+"/"+property.Name, func(b *testing.B) { stage.compare(b, set, property.Name) })
				}
			}
			for _, share := range shares {
				for name, filter := range map[string]string{"equal": "surname eq '%s'", "prefix": "startswith(surname,'%s')"} {
					b.Run(fmt.Sprint("filter/", name, "/", share), func(b *testing.B) { stage.compareFilters(b, filter, surnameOf(share)) })
				}
			}
		})
	}
}

func embeddedForTenants(b *testing.B) *identity.Directory {
	b.Helper()
	_, directory := embeddedDirectory(b)
	return directory
}

func openLDAPForTenants(b *testing.B) *identity.Directory {
	b.Helper()
	_, directory := directoryOn(b, ldapserver.OpenLDAP(b))
	return directory
}

// tenantStage has two tenants and the credential of the first.
type tenantStage struct {
	url string
	// foreign are the keys of entities of the second tenant.
	foreign map[string]map[string][]string
}

// perTenant is how many users and classes a tenant has.
const perTenant = 200

// shares are how many users of the second tenant have one surname in common, that of surnameOf.
var shares = []int{1, 10, 100}

func surnameOf(share int) string { return fmt.Sprint("Surname ", share, ".") }

// surname returns the surname of a user of the second tenant.
func surname(number int) string {
	for _, share := range shares {
		if number -= share; number < 0 {
			return surnameOf(share)
		}
	}
	return "Other"
}

func newTenantStage(b *testing.B, directory *identity.Directory) *tenantStage {
	b.Helper()
	s := &tenantStage{foreign: map[string]map[string][]string{}}
	var own string
	for tenant := range 2 {
		var school *education.Entity
		for _, set := range education.EntitySets {
			count := perTenant
			if set == education.Schools {
				count = 1
			}
			for i := range count {
				named := "Own"
				if tenant == 1 {
					named = surname(i)
				}
				entity := createNumbered(b, directory, set, school, fmt.Sprint(tenant, "-", i), named)
				switch {
				case set == education.Schools && tenant == 0:
					school, own = entity, entity.ID()
				case set == education.Schools:
					school = entity
					fallthrough
				case tenant == 1:
					s.note(entity)
				}
			}
		}
	}
	credential := &access.Grant{Verbs: access.Read, Schools: []access.School{{ID: own}}}
	routes := chi.NewRouter()
	routes.Use(middleware.Chain(middleware.Options{
		Logger: slog.New(slog.DiscardHandler), Tracers: tracing.NewTracerProvider(), Meters: metering.NewMeterProvider(), Patience: time.Minute,
		Credentials: &access.Gate{Authenticators: []access.Authenticator{granted{credential}}, Schools: directory},
	})...)
	routes.Mount("/", api.New(api.Config{Directory: directory}).Routes())
	server := httptest.NewServer(routes)
	b.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// granted lets every token in.
type granted struct{ grant *access.Grant }

func (g granted) Authenticate(context.Context, string) (*access.Grant, error) { return g.grant, nil }

func createNumbered(b *testing.B, directory *identity.Directory, set *education.EntitySet, school *education.Entity, number, surname string) *education.Entity {
	b.Helper()
	body := map[string]any{"displayName": "n" + number, "externalId": "x" + number}
	switch set {
	case education.Schools:
		body["schoolNumber"] = "s" + number
	case education.Users:
		body["onPremisesSamAccountName"], body["surname"] = "u"+number, surname
	case education.Classes:
		body["classification"] = "course"
	}
	if school != nil && set != education.Schools {
		body["schools@odata.bind"] = []string{"/schools/" + school.ID()}
	}
	encoded, _ := json.Marshal(body)
	change, err := education.DecodeChange(set, education.CreateEntity, encoded, education.Rules{})
	if err != nil {
		b.Fatal(err)
	}
	entity, err := directory.Create(b.Context(), set, change)
	if err != nil {
		b.Fatal(err)
	}
	return entity
}

// note keeps the keys of a foreign entity.
func (s *tenantStage) note(entity *education.Entity) {
	if s.foreign[entity.Set.Name] == nil {
		s.foreign[entity.Set.Name] = map[string][]string{}
	}
	for _, property := range entity.Set.Properties {
		if text, ok := entity.Value(property).(string); ok && property.Key {
			s.foreign[entity.Set.Name][property.Name] = append(s.foreign[entity.Set.Name][property.Name], text)
		}
	}
}

// compare asks for foreign keys and for those that nobody has, which differ from them in their last digits, in turns.
func (s *tenantStage) compare(b *testing.B, set *education.EntitySet, property string) {
	keys := s.foreign[set.Name][property]
	var foreign, absent []time.Duration
	for i := range b.N {
		key := keys[i%len(keys)]
		nobodys := key[:len(key)-1] + string("ghijk"[i%5])
		if property == "id" {
			nobodys = key[:len(key)-5] + fmt.Sprintf("%05x", i%0xfffff)
			if slices.Contains(keys, nobodys) {
				continue
			}
		}
		// Each of the two is first as often as the other.
		for turn := range 2 {
			if (turn+i)%2 == 0 {
				foreign = append(foreign, s.ask(b, set, property, key))
			} else {
				absent = append(absent, s.ask(b, set, property, nobodys))
			}
		}
	}
	report(b, foreign, absent)
}

// compareFilters counts the users with a surname that only foreign ones have, and with one that nobody has, in turns.
func (s *tenantStage) compareFilters(b *testing.B, filter, surname string) {
	var foreign, absent []time.Duration
	count := func(surname string) time.Duration {
		return s.take(b, s.url+"/users/$count?$filter="+url.QueryEscape(fmt.Sprintf(filter, surname)), http.StatusOK)
	}
	for i := range b.N {
		for turn := range 2 {
			if (turn+i)%2 == 0 {
				foreign = append(foreign, count(surname))
			} else {
				absent = append(absent, count("N"+surname[1:]))
			}
		}
	}
	report(b, foreign, absent)
}

func report(b *testing.B, foreign, absent []time.Duration) {
	b.Helper()
	theirs, nobodys := median(foreign), median(absent)
	b.ReportMetric(float64(theirs.Nanoseconds()), "ns-foreign")
	b.ReportMetric(float64(nobodys.Nanoseconds()), "ns-absent")
	b.ReportMetric(100*float64(theirs-nobodys)/float64(nobodys), "%difference")
}

func median(durations []time.Duration) time.Duration {
	slices.Sort(durations)
	return durations[len(durations)/2]
}

// ask asks for an entity that the credential does not see, and returns how long the answer took.
func (s *tenantStage) ask(b *testing.B, set *education.EntitySet, property, key string) time.Duration {
	b.Helper()
	return s.take(b, s.url+"/"+set.Name+"("+property+"='"+key+"')", http.StatusNotFound)
}

// take returns how long an answer takes.
func (s *tenantStage) take(b *testing.B, url string, want int) time.Duration {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer x")
	begin := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	took := time.Since(begin)
	_ = response.Body.Close()
	if response.StatusCode != want {
		b.Fatalf("%s: got %d", url, response.StatusCode)
	}
	return took
}
