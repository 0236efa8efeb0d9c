package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// onOpenLDAP is a service in front of OpenLDAP, and a connection to the same server without it.
type onOpenLDAP struct {
	url        string
	server     *ldapserver.Server
	connection *ldap.Conn
	// next numbers what is created and changed.
	next int
}

func newOnOpenLDAP(b *testing.B) *onOpenLDAP {
	b.Helper()
	server := ldapserver.OpenLDAP(b, ldapserver.Durable())
	client, directory := directoryOn(b, server)
	s := &onOpenLDAP{server: server, connection: server.Connect(b, server.Service()), next: 10 * benchmarkUsers}
	s.fill(b, client)
	if err := directory.LookForKeyless(b.Context(), time.Hour); err != nil {
		b.Fatal(err)
	}
	s.url = serve(b, directory)
	return s
}

// directoryOn returns the directory on a server, and its client.
func directoryOn(b *testing.B, server *ldapserver.Server) (*remote.Client, *identity.Directory) {
	b.Helper()
	client, err := remote.Open(remote.Config{
		URIs: []string{server.URI}, BindDN: server.BindDN, Password: func() (string, error) { return server.Password, nil },
		Bases: []string{server.UserBase, server.ClassBase, server.SchoolBase},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.Close() })
	directory, err := identity.New(identity.Config{
		Operations: client, UserBase: server.UserBase, ClassBase: server.ClassBase, SchoolBase: server.SchoolBase, LooseMatching: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	return client, directory
}

// fill makes the users, which the server need not keep through a failure of power.
func (s *onOpenLDAP) fill(b *testing.B, client *remote.Client) {
	b.Helper()
	s.setNoSync(b, "TRUE")
	defer s.setNoSync(b, "FALSE")
	const workers = 16
	var wait sync.WaitGroup
	for worker := range workers {
		wait.Go(func() {
			for i := worker; i < benchmarkUsers; i += workers {
				if _, err := client.Add(b.Context(), userEntry(i, numberedID(i))); err != nil {
					b.Errorf("add a user: %v", err)
					return
				}
			}
		})
	}
	wait.Wait()
}

func (s *onOpenLDAP) setNoSync(b *testing.B, value string) {
	b.Helper()
	change := ldap.NewModifyRequest("olcDatabase={1}mdb,cn=config", nil)
	change.Replace("olcDbNoSync", []string{value})
	if err := s.server.Connect(b, s.server.Admin).Modify(change); err != nil {
		b.Fatal(err)
	}
}

func numberedID(i int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", i) }

// pick returns one of the users, and fresh a number that no user has.
func (s *onOpenLDAP) pick() int { return s.fresh() * 7919 % benchmarkUsers }

func (s *onOpenLDAP) fresh() int {
	s.next++
	return s.next
}

// search makes a search with go-ldap, in pages.
func (s *onOpenLDAP) search(b *testing.B, filter string, want int) {
	b.Helper()
	request := ldap.NewSearchRequest(benchmarkBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, nil, nil)
	result, err := s.connection.SearchWithPaging(request, 500)
	if err != nil || len(result.Entries) != want {
		b.Fatalf("%s: error %v, want %d entries", filter, err, want)
	}
}

// add makes an entry with go-ldap.
func (s *onOpenLDAP) add(b *testing.B, entry *wire.AddRequest) {
	b.Helper()
	request := ldap.NewAddRequest(entry.DN, nil)
	for _, attribute := range entry.Attributes {
		request.Attribute(attribute.Type, attribute.Values)
	}
	if err := s.connection.Add(request); err != nil {
		b.Fatal(err)
	}
}

// replace changes an attribute with go-ldap.
func (s *onOpenLDAP) replace(b *testing.B, id, attribute, value string) {
	b.Helper()
	request := ldap.NewModifyRequest("openCloudUUID="+id+","+benchmarkBase, nil)
	request.Replace(attribute, []string{value})
	if err := s.connection.Modify(request); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpenLDAP measures requests in front of OpenLDAP and, by turns on the same server, the bare LDAP operations that
// they cannot do without, made with go-ldap. Their ratio is what the service costs on top. Times are medians.
func BenchmarkOpenLDAP(b *testing.B) {
	s := newOnOpenLDAP(b)
	for _, row := range []struct {
		name          string
		service, bare func()
	}{
		{
			// First, while there are as many users as the name says.
			"list-10000",
			func() { send(b, s.url, http.MethodGet, "/users", "", http.StatusOK) },
			func() { s.search(b, "(objectClass=openCloudEducationUser)", benchmarkUsers) },
		},
		{
			"get-by-externalId",
			func() {
				send(b, s.url, http.MethodGet, fmt.Sprintf("/users(externalId='ext%d')", s.pick()), "", http.StatusOK)
			},
			func() {
				s.search(b, fmt.Sprintf("(&(objectClass=openCloudEducationUser)(openCloudEducationExternalId=ext%d))", s.pick()), 1)
			},
		},
		{
			"post",
			func() { send(b, s.url, http.MethodPost, "/users", userBody(s.fresh()), http.StatusCreated) },
			func() { i := s.fresh(); s.add(b, userEntry(i, numberedID(i))) },
		},
		{
			// A search and a Modify are needed whoever makes them: the DN is not in the request.
			"patch",
			func() {
				send(b, s.url, http.MethodPatch, "/users/"+numberedID(s.pick()), fmt.Sprintf(`{"givenName":"G%d"}`, s.fresh()), http.StatusOK)
			},
			func() {
				id := numberedID(s.pick())
				s.search(b, "(&(objectClass=openCloudEducationUser)(openCloudUUID="+id+"))", 1)
				s.replace(b, id, "givenName", fmt.Sprintf("G%d", s.fresh()))
			},
		},
	} {
		b.Run(row.name, func(b *testing.B) { byTurns(b, row.service, row.bare) })
	}
}

// byTurns reports the medians of the times of two calls, and their ratio.
func byTurns(b *testing.B, service, bare func()) {
	b.Helper()
	var times [2][]time.Duration
	for b.Loop() {
		for i, call := range []func(){service, bare} {
			start := time.Now()
			call()
			times[i] = append(times[i], time.Since(start))
		}
	}
	medians := make([]float64, len(times))
	for i, unit := range []string{"service-ms", "bare-ms"} {
		sorted := slices.Sorted(slices.Values(times[i]))
		medians[i] = sorted[len(sorted)/2].Seconds() * 1000
		b.ReportMetric(medians[i], unit)
	}
	b.ReportMetric(medians[0]/medians[1], "ratio")
}
