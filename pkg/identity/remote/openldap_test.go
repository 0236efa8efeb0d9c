package remote_test

import (
	"sync"
	"testing"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
	"github.com/opencloud-eu/education/pkg/identity/remote"
)

func TestMain(m *testing.M) { ldapserver.Main(m) }

// TestConformanceOpenLDAP runs the suite on OpenLDAP, as deploy/openldap sets it up.
func TestConformanceOpenLDAP(t *testing.T) { identitytest.Run(t, openLDAPs(t)) }

// TestGeneratedOpenLDAP compares its answers to generated filters with their meaning.
func TestGeneratedOpenLDAP(t *testing.T) {
	t.Parallel()
	identitytest.RunGenerated(t, openLDAPs(t))
}

// maxTrees is how many trees a slapd can hold, each of which is a database: its threads have 32 places for what they
// keep for databases and modules (MAXKEYS in libldap's tpool.c), and beyond that every operation is an internal error.
const maxTrees = 20

// openLDAPs returns a function that opens directories on as many servers as they take. The servers end with the test.
func openLDAPs(outer *testing.T) func(t *testing.T, rules education.Rules) education.Directory {
	var mu sync.Mutex
	var server *ldapserver.Server
	trees := 0
	grow := func(t *testing.T) (*ldapserver.Server, ldapserver.Bases) {
		mu.Lock()
		defer mu.Unlock()
		if server == nil || trees == maxTrees {
			server, trees = ldapserver.OpenLDAP(outer), 0
		}
		trees++
		return server, server.Subtree(t)
	}
	return func(t *testing.T, rules education.Rules) education.Directory {
		server, bases := grow(t)
		client := newClient(t, clientOf(server, bases))
		return newDirectory(t, client, rules, bases.UserBase, bases.ClassBase, bases.SchoolBase)
	}
}

// clientOf returns the configuration of a client of a server's tree.
func clientOf(server *ldapserver.Server, bases ldapserver.Bases) remote.Config {
	return remote.Config{
		URIs: []string{server.URI}, BindDN: server.BindDN,
		Password: func() (string, error) { return server.Password, nil },
		Bases:    []string{bases.UserBase, bases.ClassBase, bases.SchoolBase},
	}
}
