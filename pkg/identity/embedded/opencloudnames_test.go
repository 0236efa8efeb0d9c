package embedded_test

import (
	"testing"

	"github.com/opencloud-eu/education/internal/opencloudnames"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
)

// TestConformanceOpenCloudNames runs the suite on a tree as OpenCloud names it: before 'education migrate', in a schema with
// nothing of this service's own, and after it, with unique keys.
func TestConformanceOpenCloudNames(t *testing.T) {
	if testing.Short() {
		t.Skip("a long case")
	}
	open := func(t *testing.T, operations identity.Operations, plain bool, rules education.Rules) education.Directory {
		directory, err := identity.New(identity.Config{
			Operations: operations, UserBase: usersDN, ClassBase: groupsDN, SchoolBase: tenantsDN, Rules: rules,
			Plain: func() bool { return plain },
		})
		if err != nil {
			t.Fatal(err)
		}
		return directory
	}
	t.Run("before", func(t *testing.T) {
		identitytest.Run(t, func(t *testing.T, rules education.Rules) education.Directory {
			return open(t, plainStore{opencloudnames.Operations{Operations: openStore(t, t.TempDir())}}, true, rules)
		}, identitytest.NoNotes)
	})
	t.Run("after", func(t *testing.T) {
		identitytest.Run(t, func(t *testing.T, rules education.Rules) education.Directory {
			return open(t, opencloudnames.Operations{Operations: openStore(t, t.TempDir())}, false, rules)
		})
	})
}
