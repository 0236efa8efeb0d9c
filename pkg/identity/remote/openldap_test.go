package remote_test

import (
	"testing"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/internal/opencloudnames"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
	"github.com/opencloud-eu/education/pkg/identity/remote"
)

func TestMain(m *testing.M) { ldapserver.Main(m) }

// TestConformanceOpenLDAP runs the suite on OpenLDAP, as deploy/openldap sets it up.
func TestConformanceOpenLDAP(t *testing.T) {
	t.Parallel()
	identitytest.Run(t, openOpenLDAP)
}

// TestGeneratedOpenLDAP compares its answers to generated filters with their meaning.
func TestGeneratedOpenLDAP(t *testing.T) {
	t.Parallel()
	identitytest.RunGenerated(t, openOpenLDAP, identitytest.InvisibleCharactersCount)
}

// TestConformancePlainOpenLDAP runs the suite on OpenLDAP with OpenCloud's schema and nothing of this service's.
func TestConformancePlainOpenLDAP(t *testing.T) {
	t.Parallel()
	identitytest.Run(t, func(t *testing.T, rules education.Rules) education.Directory {
		// Without indexes every search looks at all entries of the server, so these are few.
		server := ldapserver.ExclusiveOpenLDAP(t, ldapserver.PlainSchema())
		return openBases(t, server, server.Bases, rules)
	}, identitytest.NoNotes, identitytest.InvisibleCharactersCount)
}

// TestConformanceOpenCloudNames runs the suite on OpenLDAP with a tree as OpenCloud writes it: before 'education migrate', in a
// schema with nothing of this service's own, and after it, with unique keys.
func TestConformanceOpenCloudNames(t *testing.T) {
	if testing.Short() {
		t.Skip("a long case")
	}
	t.Run("before", func(t *testing.T) {
		identitytest.Run(t, openPlainOpenCloudTree, identitytest.NoNotes, identitytest.InvisibleCharactersCount)
	})
	t.Run("after", func(t *testing.T) {
		identitytest.Run(t, func(t *testing.T, rules education.Rules) education.Directory {
			server := ldapserver.SharedOpenLDAP(t)
			return openOpenCloudTree(t, server, server.Subtree(t), rules)
		})
	})
}

// TestGeneratedOpenCloudNames compares the answers before 'education migrate' to generated filters with their meaning.
func TestGeneratedOpenCloudNames(t *testing.T) {
	t.Parallel()
	identitytest.RunGenerated(t, openPlainOpenCloudTree, identitytest.InvisibleCharactersCount)
}

// openPlainOpenCloudTree returns a directory whose schema and entries are OpenCloud's.
func openPlainOpenCloudTree(t *testing.T, rules education.Rules) education.Directory {
	server := ldapserver.ExclusiveOpenLDAP(t, ldapserver.PlainSchema())
	return openOpenCloudTree(t, server, server.Bases, rules)
}

// openOpenCloudTree returns the directory in a tree of a server, in which entries are made as OpenCloud makes them.
func openOpenCloudTree(t *testing.T, server *ldapserver.Server, bases ldapserver.Bases, rules education.Rules) education.Directory {
	client := openClient(t, server, bases)
	return newDirectoryOn(t, opencloudnames.Operations{Operations: client}, client.IsPlain, rules, bases.UserBase, bases.ClassBase, bases.SchoolBase)
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
	return newDirectory(t, openClient(t, server, bases), rules, bases.UserBase, bases.ClassBase, bases.SchoolBase)
}

// openClient returns a client of a server's tree that knows what the server can do.
func openClient(t *testing.T, server *ldapserver.Server, bases ldapserver.Bases) *remote.Client {
	client := newClient(t, clientOf(server, bases))
	if _, err := client.Features(t.Context()); err != nil {
		t.Fatal(err)
	}
	return client
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
