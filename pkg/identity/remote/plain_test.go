package remote_test

import (
	"testing"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
)

// TestConformancePlainOpenLDAP runs the suite on OpenLDAP as OpenCloud sets it up: no unique keys, nobody who follows
// links.
func TestConformancePlainOpenLDAP(t *testing.T) {
	identitytest.Run(t, func(t *testing.T, rules education.Rules) education.Directory {
		// Without indexes every search looks at all entries of the server, so these are few.
		server := ldapserver.ExclusiveOpenLDAP(t, ldapserver.PlainSchema())
		bases := server.Bases
		client := newClient(t, clientOf(server, bases))
		if err := client.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !client.IsPlain() {
			t.Fatal("the directory is not recognised as a plain one")
		}
		directory, err := identity.New(identity.Config{
			Operations: identity.Traced(client), UserBase: bases.UserBase, ClassBase: bases.ClassBase, SchoolBase: bases.SchoolBase,
			Rules: rules, LooseMatching: true, Plain: client.IsPlain,
		})
		if err != nil {
			t.Fatal(err)
		}
		return directory
	}, identitytest.NoNotes, identitytest.InvisibleCharactersCount)
}
