package remote_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/internal/faultproxy"
	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/odata"
)

// site is a tree on an OpenLDAP server, seen by two clients.
type site struct {
	testing.TB
	server *ldapserver.Server
	bases  ldapserver.Bases
	// proxy lies between the server and the client of directory. The client of truth has a way of its own.
	proxy            *faultproxy.Proxy
	directory, truth *identity.Directory
}

// newSite returns a site on the server that the tests share. change, unless nil, changes the configuration of the client behind
// the proxy.
func newSite(t *testing.T, change func(*remote.Config)) *site {
	t.Helper()
	server := ldapserver.SharedOpenLDAP(t)
	return newSiteOn(t, server, server.Subtree(t), change)
}

// newSiteOn is newSite in a tree of a server.
func newSiteOn(t *testing.T, server *ldapserver.Server, bases ldapserver.Bases, change func(*remote.Config)) *site {
	t.Helper()
	s := &site{TB: t, server: server, bases: bases, proxy: faultproxy.New(t, strings.TrimPrefix(server.URI, "ldap://"))}
	config := clientOf(server, bases)
	s.truth = newDirectory(t, newClient(t, config), education.Rules{}, bases.UserBase, bases.ClassBase, bases.SchoolBase)
	config.URIs = []string{"ldap://" + s.proxy.Address}
	if change != nil {
		change(&config)
	}
	s.directory = newDirectory(t, newClient(t, config), education.Rules{}, bases.UserBase, bases.ClassBase, bases.SchoolBase)
	return s
}

// hasty makes a client give up soon, so that a test need not wait for what never comes.
func hasty(config *remote.Config) {
	config.DialTimeout, config.BindTimeout, config.Timeout = time.Second, time.Second, time.Second
}

const (
	username = "onPremisesSamAccountName"
	// patience is how long anything may take that has no bound of its own.
	patience = time.Minute
)

// fields is a JSON object: the body of a request.
type fields map[string]any

// change decodes a body.
func change(set *education.EntitySet, operation education.Operation, body fields) (*education.Change, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return education.DecodeChange(set, operation, text, education.Rules{})
}

func create(ctx context.Context, d *identity.Directory, set *education.EntitySet, body fields) (*education.Entity, error) {
	wanted, err := change(set, education.CreateEntity, body)
	if err != nil {
		return nil, err
	}
	return d.Create(ctx, set, wanted)
}

func update(ctx context.Context, d *identity.Directory, set *education.EntitySet, id string, body fields) error {
	wanted, err := change(set, education.UpdateEntity, body)
	if err != nil {
		return err
	}
	_, err = d.Update(ctx, set, idKey(set, id), wanted)
	return err
}

func idKey(set *education.EntitySet, id string) education.Key {
	return education.Key{Property: set.ID, Value: id}
}

func userNamed(name string) education.Key {
	return education.Key{Property: education.Users.Property(username), Value: name}
}

// person is the body of a user.
func person(name string) fields {
	return fields{"displayName": "Person " + name, username: name, "externalId": name}
}

// given creates an entity on the way that has no faults.
func (s *site) given(set *education.EntitySet, body fields) *education.Entity {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	entity, err := create(ctx, s.truth, set, body)
	if err != nil {
		s.Fatalf("create one of %s: %v", set.Name, err)
	}
	return entity
}

// read returns an entity on the way that has no faults, or nil if it is not there.
func (s *site) read(set *education.EntitySet, key education.Key) (*education.Entity, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	entity, err := s.truth.Get(ctx, set, key, nil)
	if odata.Is(err, odata.ItemNotFound) {
		return nil, nil
	}
	return entity, err
}

// connect returns a connection to the server that is bound as the service.
func (s *site) connect() (*ldap.Conn, error) {
	connection, err := ldap.DialURL(s.server.URI)
	if err != nil {
		return nil, err
	}
	if err := connection.Bind(s.server.BindDN, s.server.Password); err != nil {
		connection.Close()
		return nil, err
	}
	return connection, nil
}

// uniqueKeys returns the unique keys of a user's entry, its revision among them.
func (s *site) uniqueKeys(user *education.Entity) ([]string, error) {
	connection, err := s.connect()
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	result, err := connection.Search(ldap.NewSearchRequest(s.bases.UserBase, ldap.ScopeSingleLevel, ldap.NeverDerefAliases,
		0, 0, false, "(openCloudUUID="+user.ID()+")", []string{"educationUniqueKey"}, nil))
	if err != nil {
		return nil, err
	}
	if len(result.Entries) != 1 {
		return nil, fmt.Errorf("%d entries of one user", len(result.Entries))
	}
	return result.Entries[0].GetAttributeValues("educationUniqueKey"), nil
}

// isLinked reports whether a target is among those of an owner.
func (s *site) isLinked(nav *education.Navigation, owner, target string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := s.truth.ListRelated(ctx, nav, idKey(nav.Owner, owner), nil)
	ids, err := idsOf(answer, err)
	for _, id := range ids {
		if id == target {
			return true, err
		}
	}
	return false, err
}

// idsOf returns the ids of an answer's entities, those before an error as well.
func idsOf(answer *education.Answer, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	var ids []string
	for entity, err := range answer.Entities {
		if err != nil {
			return ids, err
		}
		ids = append(ids, entity.ID())
	}
	return ids, nil
}

// isDown reports whether an error says that the directory cannot be asked, and nothing about the data: 503 or 504.
func isDown(err error) bool {
	return odata.Is(err, odata.ServiceNotAvailable) || odata.Is(err, odata.GatewayTimeout)
}

// inParallel calls a function with the numbers from 0 to count-1, some at the same time, and returns all errors.
func inParallel(count int, do func(i int) error) error {
	const workers = 8
	errs := make([]error, count)
	numbers := make(chan int)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for i := range numbers {
				errs[i] = do(i)
			}
		})
	}
	for i := range count {
		numbers <- i
	}
	close(numbers)
	running.Wait()
	return errors.Join(errs...)
}
