package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
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

// TestSharedBeforeTheWrite has an administrator put an entity into a second school after a tenant's request has found it, and
// before it writes. It is as if the request had come later: what is shared is not the tenant's to change, and stays as it is.
func TestSharedBeforeTheWrite(t *testing.T) {
	t.Parallel()
	const otherSchool = "0e2f1bd5-9a2d-4a3b-a6c1-000000000005"
	user, class := keyOf(education.Users, "id", maxID), keyOf(education.Classes, "id", classID)
	keys := map[*education.EntitySet]education.Key{education.Users: user, education.Classes: class}
	members := education.NavigationOf(education.Classes, "members")
	tests := map[string]struct {
		shared *education.EntitySet
		write  func(t *testing.T, d *Directory) error
	}{
		"deletion of a user": {education.Users, func(t *testing.T, d *Directory) error {
			return d.Delete(tenantOf(t, schoolID), education.Users, user)
		}},
		"deletion of a class": {education.Classes, func(t *testing.T, d *Directory) error {
			return d.Delete(tenantOf(t, schoolID), education.Classes, class)
		}},
		"removal of a member": {education.Classes, func(t *testing.T, d *Directory) error {
			return d.RemoveRef(tenantOf(t, schoolID), members, class, user)
		}},
		"a further teacher": {education.Classes, func(t *testing.T, d *Directory) error {
			return d.AddRef(tenantOf(t, schoolID), education.NavigationOf(education.Classes, "teachers"), class, user)
		}},
	}
	for name, test := range tests {
		for _, keyed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, with keys %t", name, keyed), func(t *testing.T) {
				t.Parallel()
				d, store := foreign(t)
				administrator := newDirectory(t, store, education.Rules{SchoolsPerUser: education.ManySchools})
				addEntry(t, store, "ou=Other,"+schoolBase, "objectClass: top", "objectClass: organizationalUnit", "objectClass: openCloudEducationSchool",
					"ou: Other", "openCloudUUID: "+otherSchool)
				put := func(set *education.EntitySet, school string) {
					err := administrator.AddRef(t.Context(), education.NavigationOf(education.Schools, set.Name), keyOf(education.Schools, "id", school), keys[set])
					if err != nil {
						t.Error(err)
					}
				}
				put(education.Classes, schoolID)
				if keyed {
					// A change of its keys gives an entry a revision, which OpenCloud's entries do not have.
					for set, key := range keys {
						change := newChange(t, set, education.UpdateEntity, map[string]any{"externalId": "4712"})
						if _, err := administrator.Update(t.Context(), set, key, change); err != nil {
							t.Fatal(err)
						}
					}
				}
				var share sync.Once
				d.ops = &stub{
					Operations: store,
					delete: func(request *wire.DeleteRequest) error {
						share.Do(func() { put(test.shared, otherSchool) })
						return store.Delete(t.Context(), request)
					},
					modify: func(request *wire.ModifyRequest) (*wire.Entry, error) {
						share.Do(func() { put(test.shared, otherSchool) })
						return store.Modify(t.Context(), request)
					},
				}
				if err := test.write(t, d); !odata.Is(err, odata.AccessDenied) {
					t.Errorf("got %v, want that it is denied", err)
				}
				d.ops = store
				wantTargets(t, d, education.Classes, classID, "members", maxID)
				wantTargets(t, d, education.Classes, classID, "teachers")
			})
		}
	}
}

// TestSchoolsThatAreGone has a tenant meet the id of a school that does not exist, as OpenCloud leaves it at users when it
// deletes their school: it is no school of somebody else, and whoever is in no other one is in none.
func TestSchoolsThatAreGone(t *testing.T) {
	t.Parallel()
	const goneSchool = "0e2f1bd5-9a2d-4a3b-a6c1-000000000005"
	d, store := foreign(t)
	d.looseLinks = true
	there, err := d.ExistingSchools(tenantOf(t, goneSchool), []string{goneSchool, strings.ToUpper(schoolID)})
	if err != nil || !slices.Equal(there, []string{strings.ToUpper(schoolID)}) {
		t.Errorf("existing: %q, %v", there, err)
	}
	// The directory in the process takes no such link, so it is made up on the way from it.
	d.ops = &stub{Operations: store, search: func(request *wire.SearchRequest, entry func(*wire.Entry) error) error {
		return store.Search(t.Context(), request, func(found *wire.Entry) error {
			for i, attribute := range found.Attributes {
				if attribute.Type == attributeMemberOfSchool {
					found.Attributes[i].Values = append(slices.Clone(attribute.Values), goneSchool)
				}
			}
			return entry(found)
		})
	}}
	user := keyOf(education.Users, "id", maxID)
	ctx := tenantOf(t, schoolID)
	change := newChange(t, education.Users, education.UpdateEntity, map[string]any{"givenName": "Moritz"})
	if _, err := d.Update(ctx, education.Users, user, change); err != nil {
		t.Errorf("update: %v", err)
	}
	leave := d.RemoveRef(ctx, education.NavigationOf(education.Schools, "users"), keyOf(education.Schools, "id", schoolID), user)
	if !odata.Is(leave, odata.AccessDenied) {
		t.Errorf("leave the last school: got %v, want that it is denied", leave)
	}
	if err := d.Delete(ctx, education.Users, user); err != nil {
		t.Errorf("delete: %v", err)
	}
}

// TestSchoolIDIsExact holds that an externalId leads to the school that has it, in any case, and to none whose externalId is
// another text that the directory takes for the same.
func TestSchoolIDIsExact(t *testing.T) {
	t.Parallel()
	const marked = "0e2f1bd5-9a2d-4a3b-a6c1-000000000005"
	d, store := foreign(t)
	for name, school := range map[string]struct{ id, externalID string }{
		"Hermann": {"0e2f1bd5-9a2d-4a3b-a6c1-000000000004", "Hermann"},
		"Marked":  {marked, "h\u00e9rm\u00aden"},
		"Street":  {"0e2f1bd5-9a2d-4a3b-a6c1-000000000006", "stra\u00dfe 1"},
	} {
		addEntry(t, store, "ou="+name+","+schoolBase, "objectClass: top", "objectClass: organizationalUnit", "objectClass: openCloudEducationSchool",
			"ou: "+name, "openCloudUUID: "+school.id, "openCloudEducationExternalId: "+school.externalID)
	}
	tests := map[string]struct{ asked, want string }{
		"as it is":                        {"Hermann", "0e2f1bd5-9a2d-4a3b-a6c1-000000000004"},
		"capital letters":                 {"HERMANN", "0e2f1bd5-9a2d-4a3b-a6c1-000000000004"},
		"small letters":                   {"hermann", "0e2f1bd5-9a2d-4a3b-a6c1-000000000004"},
		"a soft hyphen":                   {"her\u00admann", ""},
		"a blank without width":           {"hermann\u200b", ""},
		"a joiner":                        {"her\u200dmann", ""},
		"a mark of the order of octets":   {"\ufeffhermann", ""},
		"full-width letters":              {"\uff48\uff45\uff52\uff4d\uff41\uff4e\uff4e", ""},
		"a zero":                          {"hermann\x00", ""},
		"a bell":                          {"her\amann", ""},
		"a line feed":                     {"hermann\n", ""},
		"blanks at the ends":              {" hermann ", ""},
		"nobody's":                        {"herman", ""},
		"nothing":                         {"", ""},
		"as it is, with what is not seen": {"h\u00e9rm\u00aden", marked},
		"capital letters with a mark":     {"H\u00c9RM\u00adEN", marked},
		"without what is not seen":        {"h\u00e9rmen", ""},
		"a mark of its own":               {"he\u0301rm\u00aden", ""},
		"an expansion":                    {"strasse 1", ""},
		"two blanks":                      {"stra\u00dfe  1", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := d.SchoolID(t.Context(), test.asked)
			if got != test.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestSameButCase(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		one, other string
		want       bool
	}{
		{"Straße-4711", "sTRAßE-4711", true},
		{"Éa", "éA", true},
		{"school", "\u017fchool", false}, // A long s.
		{"kids", "\u212aids", false},     // The sign of the kelvin.
		{"strasse", "straße", false},
		{"a", "a ", false},
	} {
		if got := sameButCase(test.one, test.other); got != test.want {
			t.Errorf("%q and %q: got %t", test.one, test.other, got)
		}
	}
}

// tenantOf returns a context of a credential for one school.
func tenantOf(t *testing.T, school string) context.Context {
	t.Helper()
	return access.With(t.Context(), &access.Credential{Verbs: access.AllVerbs, Schools: []string{school}})
}
