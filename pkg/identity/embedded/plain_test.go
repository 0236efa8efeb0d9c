package embedded_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// plainStore is a directory whose schema has nothing of this service's own.
type plainStore struct{ identity.Operations }

func (s plainStore) Add(ctx context.Context, request *wire.AddRequest) (*wire.Entry, error) {
	for _, attribute := range request.Attributes {
		if err := knowsPlainly(attribute); err != nil {
			return nil, err
		}
	}
	return s.Operations.Add(ctx, request)
}

func (s plainStore) Modify(ctx context.Context, request *wire.ModifyRequest) (*wire.Entry, error) {
	for _, change := range request.Changes {
		if err := knowsPlainly(change.Attribute); err != nil {
			return nil, err
		}
	}
	return s.Operations.Modify(ctx, request)
}

func knowsPlainly(attribute wire.Attribute) error {
	if strings.HasPrefix(attribute.Type, "education") || slices.Contains(attribute.Values, "educationObject") {
		return wire.Errorf(wire.ResultUndefinedAttributeType, "%s is not in the schema", attribute.Type)
	}
	return nil
}

// TestConformancePlain runs the suite on a directory that has nothing but what OpenCloud sets up: unique values are looked
// up before they are written, and stamps take the place of revisions.
func TestConformancePlain(t *testing.T) {
	identitytest.Run(t, func(t *testing.T, rules education.Rules) education.Directory {
		store := openStore(t, t.TempDir())
		directory, err := identity.New(identity.Config{
			Operations: plainStore{store}, UserBase: usersDN, ClassBase: groupsDN, SchoolBase: tenantsDN, Rules: rules,
			Plain: func() bool { return true },
		})
		if err != nil {
			t.Fatal(err)
		}
		return directory
	}, identitytest.NoNotes)
}
