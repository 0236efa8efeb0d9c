package identity

import (
	"context"
	"testing"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// TestMovedBeforeTheWrite has an administrator move an entity to another school after a tenant's request has found it, and
// before it writes. It is as if the request had come later: the entity is not there, and stays as it is.
func TestMovedBeforeTheWrite(t *testing.T) {
	t.Parallel()
	const otherSchool = "0e2f1bd5-9a2d-4a3b-a6c1-000000000005"
	user, class := keyOf(education.Users, "id", maxID), keyOf(education.Classes, "id", classID)
	members := education.NavigationOf(education.Classes, "members")
	tests := map[string]struct {
		moved string // DN
		write func(t *testing.T, d *Directory) error
	}{
		"deletion of a user": {maxDN, func(t *testing.T, d *Directory) error {
			return d.Delete(tenantOf(t, schoolID), education.Users, user)
		}},
		"removal of a member": {classDN, func(t *testing.T, d *Directory) error {
			return d.RemoveRef(tenantOf(t, schoolID), members, class, user)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, store := foreign(t)
			addEntry(t, store, "ou=Other,"+schoolBase, "objectClass: top", "objectClass: organizationalUnit", "objectClass: openCloudEducationSchool",
				"ou: Other", "openCloudUUID: "+otherSchool)
			put := func(dn, school string) {
				_, err := store.Modify(t.Context(), &wire.ModifyRequest{DN: dn, Changes: []wire.Change{{
					Operation: wire.ChangeReplace, Attribute: wire.Attribute{Type: attributeMemberOfSchool, Values: []string{school}},
				}}})
				if err != nil {
					t.Error(err)
				}
			}
			put(classDN, schoolID)
			d.ops = &stub{
				Operations: store,
				delete: func(request *wire.DeleteRequest) error {
					put(test.moved, otherSchool)
					return store.Delete(t.Context(), request)
				},
				modify: func(request *wire.ModifyRequest) (*wire.Entry, error) {
					put(test.moved, otherSchool)
					return store.Modify(t.Context(), request)
				},
			}
			if err := test.write(t, d); !odata.Is(err, odata.ItemNotFound) {
				t.Errorf("got %v, want that it does not exist", err)
			}
			d.ops = store
			wantTargets(t, d, education.Classes, classID, "members", maxID)
		})
	}
}

// tenantOf returns a context of a credential for one school.
func tenantOf(t *testing.T, school string) context.Context {
	t.Helper()
	return access.With(t.Context(), &access.Credential{Verbs: access.AllVerbs, Schools: []string{school}})
}
