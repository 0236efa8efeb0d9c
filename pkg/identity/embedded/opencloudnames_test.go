package embedded_test

import (
	"context"
	"strings"
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// openCloudNames is a directory in which new entries get the names that OpenCloud's graph service gives them: users that of
// uid, classes of their externalId, and schools of ou. An entry whose name is taken keeps the one that it asks for.
type openCloudNames struct{ identity.Operations }

func (s openCloudNames) Add(ctx context.Context, request *wire.AddRequest) (*wire.Entry, error) {
	named := *request
	for base, attribute := range map[string]string{usersDN: "uid", groupsDN: "openCloudEducationExternalId", tenantsDN: "ou"} {
		if !strings.HasSuffix(request.DN, ","+base) {
			continue
		}
		for _, given := range request.Attributes {
			if given.Type == attribute && len(given.Values) == 1 {
				name := match.RDN{Values: []match.RDNValue{{Attribute: attribute, Value: given.Values[0]}}}
				named.DN = name.String() + "," + base
			}
		}
	}
	entry, err := s.Operations.Add(ctx, &named)
	if code, ok := wire.CodeOf(err); ok && code == wire.ResultEntryAlreadyExists && named.DN != request.DN {
		return s.Operations.Add(ctx, request)
	}
	return entry, err
}

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
			return open(t, plainStore{openCloudNames{openStore(t, t.TempDir())}}, true, rules)
		}, identitytest.NoNotes)
	})
	t.Run("after", func(t *testing.T) {
		identitytest.Run(t, func(t *testing.T, rules education.Rules) education.Directory {
			return open(t, openCloudNames{openStore(t, t.TempDir())}, false, rules)
		})
	})
}
