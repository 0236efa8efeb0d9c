package remote_test

import (
	"testing"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
	"github.com/opencloud-eu/education/pkg/identity/remote"
)

func TestMain(m *testing.M) { ldapserver.Main(m) }

// TestConformanceOpenLDAP runs the suite on OpenLDAP, as deploy/openldap sets it up.
func TestConformanceOpenLDAP(t *testing.T) { identitytest.Run(t, openOpenLDAP) }

// TestGeneratedOpenLDAP compares its answers to generated filters with their meaning.
func TestGeneratedOpenLDAP(t *testing.T) {
	t.Parallel()
	identitytest.RunGenerated(t, openOpenLDAP, identitytest.InvisibleCharactersCount)
}

// TestConformancePlainOpenLDAP runs the suite on OpenLDAP with OpenCloud's schema and nothing of this service's.
func TestConformancePlainOpenLDAP(t *testing.T) {
	identitytest.Run(t, func(t *testing.T, rules education.Rules) education.Directory {
		// Without indexes every search looks at all entries of the server, so these are few.
		server := ldapserver.ExclusiveOpenLDAP(t, ldapserver.PlainSchema())
		return openBases(t, server, server.Bases, rules)
	}, identitytest.NoNotes, identitytest.InvisibleCharactersCount)
}

func openOpenLDAP(t *testing.T, rules education.Rules) education.Directory {
	return openTree(t, ldapserver.SharedOpenLDAP(t), rules)
}

// openTree returns the directory in a new tree of a server.
func openTree(t *testing.T, server *ldapserver.Server, rules education.Rules) education.Directory {
	return openBases(t, server, server.Subtree(t), rules)
}

// openBases returns the directory in a tree of a server.
func openBases(t *testing.T, server *ldapserver.Server, bases ldapserver.Bases, rules education.Rules) education.Directory {
	client := newClient(t, clientOf(server, bases))
	if _, err := client.Features(t.Context()); err != nil {
		t.Fatal(err)
	}
	return newDirectory(t, client, rules, bases.UserBase, bases.ClassBase, bases.SchoolBase)
}

// clientOf returns the configuration of a client of a server's tree. It is patient, because a busy machine is no fault of the
// server's.
func clientOf(server *ldapserver.Server, bases ldapserver.Bases) remote.Config {
	return remote.Config{
		URIs: []string{server.URI}, BindDN: server.BindDN,
		Password:    func() (string, error) { return server.Password, nil },
		Bases:       []string{bases.UserBase, bases.ClassBase, bases.SchoolBase},
		DialTimeout: patience, BindTimeout: patience, Timeout: patience,
	}
}
