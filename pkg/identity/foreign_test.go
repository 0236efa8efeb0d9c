package identity

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// The ids and DNs of the entries that foreign makes.
const (
	maxID    = "0e2f1bd5-9a2d-4a3b-a6c1-000000000001"
	classID  = "0e2f1bd5-9a2d-4a3b-a6c1-000000000002"
	schoolID = "0e2f1bd5-9a2d-4a3b-a6c1-000000000003"

	maxDN    = "uid=max," + userBase
	classDN  = "openCloudEducationExternalId=5a," + classBase
	schoolDN = "ou=School," + schoolBase
)

// foreign returns a directory whose entries OpenCloud's graph service has written: named by uid, ou and externalId,
// without unique keys and the class that permits them.
func foreign(t *testing.T) (*Directory, *embedded.Store) {
	t.Helper()
	store := openStore(t)
	addEntry(t, store, schoolDN, "objectClass: top", "objectClass: organizationalUnit", "objectClass: openCloudEducationSchool",
		"ou: School", "openCloudUUID: "+schoolID, "openCloudEducationSchoolNumber: 0042")
	addEntry(t, store, maxDN, "objectClass: top", "objectClass: inetOrgPerson", "objectClass: openCloudUser",
		"objectClass: openCloudEducationUser", "uid: max", "cn: max", "sn: max", "displayName: Max", "openCloudUUID: "+maxID,
		"openCloudUserType: Member", "openCloudUserEnabled: TRUE", "openCloudEducationExternalId: 4711",
		"openCloudMemberOfSchool: "+schoolID, "openCloudExternalIdentity:  $ https://idp $ max")
	addEntry(t, store, classDN, "objectClass: top", "objectClass: groupOfNames", "objectClass: openCloudEducationClass",
		"objectClass: openCloudObject", "cn: 5a", "openCloudEducationExternalId: 5a", "openCloudUUID: "+classID,
		"openCloudEducationClassType: course", "member: "+maxDN)
	return newDirectory(t, store, education.Rules{}), store
}

func TestForeignEntriesAreRead(t *testing.T) {
	t.Parallel()
	d, _ := foreign(t)
	user, err := d.Get(t.Context(), education.Users, keyOf(education.Users, "externalId", "4711"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"id": maxID, "displayName": "Max", "onPremisesSamAccountName": "max", "surname": "max", "mail": nil,
		"accountEnabled": true, "identities": []education.Identity{{Issuer: "https://idp", IssuerAssignedID: "max"}},
	}
	for name, value := range want {
		if got := user.Value(education.Users.Property(name)); !education.Equal(got, value) {
			t.Errorf("%s: got %#v, want %#v", name, got, value)
		}
	}
	wantTargets(t, d, education.Schools, schoolID, "users", maxID)
	wantTargets(t, d, education.Classes, classID, "members", maxID)
	wantTargets(t, d, education.Users, maxID, "classes", classID)
	wantTargets(t, d, education.Users, maxID, "schools", schoolID)
}

// TestForeignEntriesHoldTheirValues holds that an entry without unique keys keeps others from taking its unique values.
func TestForeignEntriesHoldTheirValues(t *testing.T) {
	t.Parallel()
	d, _ := foreign(t)
	own, err := d.Create(t.Context(), education.Users, newChange(t, education.Users, education.CreateEntity, map[string]any{
		"displayName": "Own", "onPremisesSamAccountName": "own", "externalId": "4711",
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		set    *education.EntitySet
		body   map[string]any
		target string
	}{
		{"username", education.Users, map[string]any{"displayName": "x", "onPremisesSamAccountName": "MAX"}, "onPremisesSamAccountName"},
		{"name of a school", education.Schools, map[string]any{"displayName": "SCHOOL"}, "displayName"},
		{"number of a school", education.Schools, map[string]any{"displayName": "x", "schoolNumber": "0042"}, "schoolNumber"},
		{"externalId in the school", education.Users, map[string]any{
			"displayName": "x", "onPremisesSamAccountName": "x", "externalId": "4711", "schools@odata.bind": []string{"/schools/" + schoolID},
		}, "externalId"},
	} {
		_, err := d.Create(t.Context(), test.set, newChange(t, test.set, education.CreateEntity, test.body))
		wantTaken(t, test.name, err, test.target)
	}
	_, err = d.Update(t.Context(), education.Users, keyOf(education.Users, "id", own.ID()),
		newChange(t, education.Users, education.UpdateEntity, map[string]any{"onPremisesSamAccountName": "max"}))
	wantTaken(t, "rename", err, "onPremisesSamAccountName")
	err = d.AddRef(t.Context(), education.NavigationOf(education.Schools, "users"),
		keyOf(education.Schools, "id", schoolID), keyOf(education.Users, "id", own.ID()))
	wantTaken(t, "join the school", err, "externalId")
}

// wantTaken checks that an error says that a property's value is taken.
func wantTaken(t *testing.T, what string, err error, target string) {
	t.Helper()
	var fault *odata.Error
	if !errors.As(err, &fault) || fault.Code != odata.NameAlreadyExists || fault.Target != target {
		t.Errorf("%s: got %v, want nameAlreadyExists for %s", what, err, target)
	}
}

// wantTargets checks the ids that a navigation property yields.
func wantTargets(t *testing.T, d *Directory, set *education.EntitySet, id, name string, want ...string) {
	t.Helper()
	var got []string
	answer, err := d.ListRelated(t.Context(), education.NavigationOf(set, name), keyOf(set, "id", id), nil)
	if err != nil {
		t.Fatal(err)
	}
	for entity, err := range answer.Entities {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entity.ID())
	}
	wantStrings(t, got, want)
}

func TestForeignEntriesAreChangedWhereTheyStand(t *testing.T) {
	t.Parallel()
	longText := strings.Repeat("long ", 50) + "name"
	tests := []struct {
		name   string
		set    *education.EntitySet
		id     string
		body   map[string]any
		wantDN string
		want   []string // attribute: values joined by |
	}{
		{
			"another property", education.Users, maxID,
			map[string]any{"givenName": "Max"},
			maxDN,
			[]string{"uid: max", "cn: max", "educationUniqueKey: user/username/-/max|user/externalId/" + schoolID + "/4711|user/revision/" + maxID + "/1"},
		},
		{
			"username", education.Users, maxID,
			map[string]any{"onPremisesSamAccountName": "Moritz, Sr.", "givenName": "M"},
			`uid=Moritz\, Sr.,` + userBase,
			[]string{"uid: Moritz, Sr.", "givenName: M", "openCloudUUID: " + maxID, "cn: Moritz, Sr.", "sn: max"},
		},
		{
			"username with special characters", education.Users, maxID,
			map[string]any{"onPremisesSamAccountName": ` #"+<>;=\ü `},
			`uid=\ #\"\+\<\>\;\=\\ü\ ,` + userBase,
			[]string{`uid:  #"+<>;=\ü `},
		},
		{"case of the username", education.Users, maxID, map[string]any{"onPremisesSamAccountName": "MAX"}, "uid=MAX," + userBase, []string{"uid: MAX"}},
		{"name of a school", education.Schools, schoolID, map[string]any{"displayName": "Other"}, "ou=Other," + schoolBase, []string{
			"ou: Other", "educationUniqueKey: school/displayName/-/other|school/number/-/0042|school/revision/" + schoolID + "/1",
		}},
		{"name of a school that is too long for its entry's", education.Schools, schoolID, map[string]any{"displayName": longText}, "openCloudUUID=" + schoolID + "," + schoolBase, []string{
			"ou: " + longText, "openCloudUUID: " + schoolID,
		}},
		{"case of a class's externalId", education.Classes, classID, map[string]any{"externalId": "5A"}, "openCloudUUID=" + classID + "," + classBase, []string{
			"openCloudEducationExternalId: 5A", "member: " + maxDN, "educationUniqueKey: class/externalId/-/5a|class/revision/" + classID + "/1",
		}},
		{"externalId of a class cleared", education.Classes, classID, map[string]any{"externalId": nil}, "openCloudUUID=" + classID + "," + classBase, []string{
			"openCloudEducationExternalId: ", "openCloudUUID: " + classID, "educationUniqueKey: class/revision/" + classID + "/1",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, store := foreign(t)
			updated, err := d.Update(t.Context(), test.set, keyOf(test.set, "id", test.id), newChange(t, test.set, education.UpdateEntity, test.body))
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range test.body {
				if got := updated.Value(test.set.Property(name)); !education.Equal(got, value) {
					t.Errorf("%s: got %#v, want %#v", name, got, value)
				}
			}
			entry := readEntry(t, store, test.wantDN)
			if entry.DN != test.wantDN {
				t.Errorf("got the DN %s, want %s", entry.DN, test.wantDN)
			}
			for _, line := range test.want {
				name, want, _ := strings.Cut(line, ": ")
				if got := strings.Join(entry.Values(name), "|"); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			wantTargets(t, d, education.Classes, classID, "members", maxID)
			// A second change of the same kind finds an entry that is ours by now.
			if _, err := d.Update(t.Context(), test.set, keyOf(test.set, "id", test.id), newChange(t, test.set, education.UpdateEntity, test.body)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestForeignEntryRenamedToWhatIsTaken(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	addEntry(t, store, "uid=taken,"+userBase, "objectClass: inetOrgPerson", "objectClass: openCloudEducationUser",
		"cn: x", "sn: x", "uid: taken", "openCloudUUID: 0e2f1bd5-9a2d-4a3b-a6c1-000000000009")
	_, err := d.Update(t.Context(), education.Users, keyOf(education.Users, "id", maxID), newChange(t, education.Users, education.UpdateEntity,
		map[string]any{"onPremisesSamAccountName": "taken", "givenName": "not to be"}))
	var fault *odata.Error
	if !errors.As(err, &fault) || fault.Code != odata.NameAlreadyExists || fault.Target != "onPremisesSamAccountName" {
		t.Errorf("got %v, want NameAlreadyExists with the username as target", err)
	}
	if got := readEntry(t, store, maxDN).Value("givenName"); got != "" {
		t.Errorf("the refused change has set givenName to %q", got)
	}
}

// TestRefusedRename holds that an entry is not even renamed for a value that the directory would not refuse as a name: that of
// an entry which this service has made, and which is named by its id.
func TestRefusedRename(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]bool{"plain": true, "with unique keys": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, store := foreign(t)
			d.isPlain = func() bool { return plain }
			d.ops = &stub{Operations: store, modifyDN: func(request *wire.ModifyDNRequest) error {
				t.Errorf("%s was renamed to %s", request.DN, request.NewRDN)
				return store.ModifyDN(t.Context(), request)
			}}
			for _, test := range []struct {
				set      *education.EntitySet
				id       string
				property string
				value    string
			}{
				{education.Schools, schoolID, "displayName", "Other"},
				{education.Users, maxID, "onPremisesSamAccountName", "other"},
				{education.Classes, classID, "externalId", "7b"},
			} {
				own := map[string]any{"displayName": "x", "classification": "class", "onPremisesSamAccountName": "x"}
				maps.DeleteFunc(own, func(name string, _ any) bool { return test.set.Property(name) == nil })
				own[test.property] = test.value
				if _, err := d.Create(t.Context(), test.set, newChange(t, test.set, education.CreateEntity, own)); err != nil {
					t.Fatal(err)
				}
				_, err := d.Update(t.Context(), test.set, keyOf(test.set, "id", test.id),
					newChange(t, test.set, education.UpdateEntity, map[string]any{test.property: strings.ToUpper(test.value)}))
				wantTaken(t, test.set.Name, err, test.property)
			}
		})
	}
}

// TestForeignEntryIsRenamedMeanwhile has somebody else rename an entry, while its user is changed, in a directory that takes the
// entry by its new name for another one, as slapo-unique does.
func TestForeignEntryIsRenamedMeanwhile(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	update := func(body map[string]any) error {
		_, err := d.Update(t.Context(), education.Users, keyOf(education.Users, "id", maxID), newChange(t, education.Users, education.UpdateEntity, body))
		return err
	}
	if err := update(map[string]any{"givenName": "Max"}); err != nil {
		t.Fatal(err)
	}
	meanwhile := func() error {
		return store.ModifyDN(t.Context(), &wire.ModifyDNRequest{DN: maxDN, NewRDN: "openCloudUUID=" + maxID})
	}
	d.ops = &stub{Operations: store, modify: func(request *wire.ModifyRequest) (*wire.Entry, error) {
		if meanwhile != nil {
			err := meanwhile()
			meanwhile = nil
			return nil, cmp.Or(err, error(wire.Errorf(wire.ResultConstraintViolation, "x")))
		}
		return store.Modify(t.Context(), request)
	}}
	if err := update(map[string]any{"givenName": "Moritz", "externalId": "4712"}); err != nil {
		t.Error(err)
	}
}

// TestForeignUserLeavesClassesFirst holds that a user whose name somebody else may get is in no class any more when the entry is
// deleted, even where the directory sees to that later.
func TestForeignUserLeavesClassesFirst(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	d.looseLinks = true
	deleted := false
	d.ops = &stub{Operations: store, delete: func(request *wire.DeleteRequest) error {
		deleted = true
		if members := readEntry(t, store, classDN).Values("member"); slices.Contains(members, maxDN) {
			t.Errorf("the members are %q when the entry is deleted", members)
		}
		return store.Delete(t.Context(), request)
	}}
	if err := d.Delete(t.Context(), education.Users, keyOf(education.Users, "id", maxID)); err != nil || !deleted {
		t.Errorf("deleted: %t, %v", deleted, err)
	}
}

// TestForeignEntryGetsTheValueOfAnother has a tenant give a class, whose entry is named by its externalId, the externalId that
// names the entry of another school's class. Values of one school are nothing to another one, so the tenant must not notice.
func TestForeignEntryGetsTheValueOfAnother(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	const otherID, otherSchool = "0e2f1bd5-9a2d-4a3b-a6c1-000000000004", "0e2f1bd5-9a2d-4a3b-a6c1-000000000005"
	const otherDN = "openCloudEducationExternalId=7b," + classBase
	addEntry(t, store, "ou=Other,"+schoolBase, "objectClass: top", "objectClass: organizationalUnit", "objectClass: openCloudEducationSchool",
		"ou: Other", "openCloudUUID: "+otherSchool)
	addEntry(t, store, otherDN, "objectClass: top", "objectClass: groupOfNames", "objectClass: openCloudEducationClass",
		"objectClass: openCloudObject", "cn: 7b", "openCloudEducationExternalId: 7b", "openCloudUUID: "+otherID,
		"openCloudEducationClassType: course", "openCloudMemberOfSchool: "+otherSchool)
	for _, scope := range []string{education.ScopeGlobal, education.ScopeSchool} {
		d := newDirectory(t, store, education.Rules{ExternalIDScope: scope})
		err := d.AddRef(t.Context(), education.NavigationOf(education.Schools, "classes"),
			keyOf(education.Schools, "id", schoolID), keyOf(education.Classes, "id", classID))
		if err != nil {
			t.Fatal(err)
		}
		bound := access.With(t.Context(), &access.Credential{Verbs: access.AllVerbs, Schools: []string{schoolID}})
		_, err = d.Update(bound, education.Classes, keyOf(education.Classes, "id", classID),
			newChange(t, education.Classes, education.UpdateEntity, map[string]any{"externalId": "7b", "displayName": "Renamed"}))
		if scope == education.ScopeGlobal {
			wantTaken(t, "an externalId that is unique everywhere", err, "externalId")
		} else if err != nil {
			t.Errorf("an externalId that is unique in its school: %v", err)
		}
	}
	if got := readEntry(t, store, otherDN).Value("cn"); got != "7b" {
		t.Errorf("the other class is called %q now", got)
	}
	wantTargets(t, d, education.Classes, classID, "members", maxID)
}

// TestRenameIsTakenBack has the Modify after a rename fail.
func TestRenameIsTakenBack(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		set  *education.EntitySet
		id   string
		body map[string]any
		err  error
		want odata.Code
	}{
		{"username", education.Users, maxID, map[string]any{"onPremisesSamAccountName": "moritz"}, wire.Errorf(wire.ResultUnavailable, "x"), odata.ServiceNotAvailable},
		{"username, refused", education.Users, maxID, map[string]any{"onPremisesSamAccountName": "moritz"}, wire.Errorf(wire.ResultInvalidAttributeSyntax, "x"), odata.InvalidRequest},
		{"name of a school", education.Schools, schoolID, map[string]any{"displayName": "x"}, errors.New("network"), odata.ServiceNotAvailable},
		{"externalId of a class cleared", education.Classes, classID, map[string]any{"externalId": nil}, wire.Errorf(wire.ResultBusy, "x"), odata.ServiceNotAvailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, store := foreign(t)
			key := keyOf(test.set, "id", test.id)
			before, err := d.find(t.Context(), test.set, key, nil)
			if err != nil {
				t.Fatal(err)
			}
			d.ops = &stub{Operations: store, modify: func(*wire.ModifyRequest) (*wire.Entry, error) { return nil, test.err }}
			_, err = d.Update(t.Context(), test.set, key, newChange(t, test.set, education.UpdateEntity, test.body))
			if !odata.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			after, err := d.find(t.Context(), test.set, key, nil)
			if err != nil {
				t.Fatal(err)
			}
			if after.entry.DN != before.entry.DN {
				t.Errorf("got the DN %s, want %s", after.entry.DN, before.entry.DN)
			}
			for _, property := range test.set.Properties {
				if got, want := after.entity.Value(property), before.entity.Value(property); property.Name != "lastModifiedDateTime" && !education.Equal(got, want) {
					t.Errorf("%s: got %#v, want %#v", property.Name, got, want)
				}
			}
		})
	}
}

// TestRenameOfUnknownOutcome has nobody know what has become of the Modify after a rename. The name stays, because the Modify
// may have been carried out, and if it has not, its repetition does the rest.
func TestRenameOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	for name, carriedOut := range map[string]bool{"carried out": true, "not carried out": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, store := foreign(t)
			rename := func(to string) error {
				_, err := d.Update(t.Context(), education.Users, keyOf(education.Users, "id", maxID),
					newChange(t, education.Users, education.UpdateEntity, map[string]any{"onPremisesSamAccountName": to}))
				return err
			}
			if err := rename("moritz"); err != nil {
				t.Fatal(err)
			}
			d.ops = &stub{Operations: store, modify: func(request *wire.ModifyRequest) (*wire.Entry, error) {
				if carriedOut {
					if _, err := store.Modify(t.Context(), request); err != nil {
						t.Error(err)
					}
				}
				return nil, wire.ErrOutcomeUnknown
			}}
			if err := rename("maja"); !odata.Is(err, odata.GatewayTimeout) {
				t.Errorf("got %v, want GatewayTimeout", err)
			}
			d.ops = store
			if err := rename("maja"); err != nil {
				t.Errorf("repeated: %v", err)
			}
			keys := readEntry(t, store, "uid=maja,"+userBase).Values(attributeUniqueKey)
			if !slices.Contains(keys, "user/username/-/maja") || slices.Contains(keys, "user/username/-/moritz") {
				t.Errorf("the unique keys are %q", keys)
			}
		})
	}
}

// TestUnreadableEntries has entries among good ones that hold no entity: they are left out of lists and are a fault of
// the service by key.
func TestUnreadableEntries(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	person := []string{"objectClass: inetOrgPerson", "objectClass: openCloudEducationUser", "cn: x", "sn: x"}
	addEntry(t, store, "uid=noid,"+userBase, append(person, "uid: noid")...)
	addEntry(t, store, "uid=bad,"+userBase, append(person, "uid: bad", "openCloudUUID: 0e2f1bd5-9a2d-4a3b-a6c1-00000000000b",
		"openCloudExternalIdentity: no separators", "openCloudMemberOfSchool: "+schoolID)...)
	_, err := store.Modify(t.Context(), &wire.ModifyRequest{DN: classDN, Changes: []wire.Change{{
		Attribute: wire.Attribute{Type: "member", Values: []string{"uid=noid," + userBase, "uid=bad," + userBase}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	answer, err := d.List(t.Context(), education.Users, nil)
	if err != nil {
		t.Fatal(err)
	}
	for user, err := range answer.Entities {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, user.Text("onPremisesSamAccountName"))
	}
	wantStrings(t, listed, []string{"max"})
	wantTargets(t, d, education.Classes, classID, "members", maxID)
	wantTargets(t, d, education.Schools, schoolID, "users", maxID)
	for _, name := range []string{"noid", "bad"} {
		_, err := d.Get(t.Context(), education.Users, keyOf(education.Users, "onPremisesSamAccountName", name), nil)
		if !odata.Is(err, odata.GeneralException) {
			t.Errorf("get %s: got %v, want GeneralException", name, err)
		}
	}
}

// TestUnreadableEntriesCanGo holds that an entry with a value that cannot be read can be repaired, and that it keeps
// nobody from deleting it or its school.
func TestUnreadableEntriesCanGo(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	d.rules.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	add := func(name, id string) education.Key {
		addEntry(t, store, "uid="+name+","+userBase, "objectClass: inetOrgPerson", "objectClass: openCloudEducationUser", "cn: x", "sn: x",
			"uid: "+name, "openCloudUUID: "+id, "openCloudExternalIdentity: no separators", "openCloudMemberOfSchool: "+schoolID)
		return keyOf(education.Users, "id", id)
	}
	repaired, deleted := add("repaired", "0e2f1bd5-9a2d-4a3b-a6c1-00000000000c"), add("deleted", "0e2f1bd5-9a2d-4a3b-a6c1-00000000000d")
	left := add("left", "0e2f1bd5-9a2d-4a3b-a6c1-00000000000e")
	_, err := d.Update(t.Context(), education.Users, repaired, newChange(t, education.Users, education.UpdateEntity, map[string]any{"identities": nil}))
	if err != nil {
		t.Errorf("repair: %v", err)
	}
	if _, err := d.Get(t.Context(), education.Users, repaired, nil); err != nil {
		t.Errorf("read after the repair: %v", err)
	}
	if err := d.Delete(t.Context(), education.Users, deleted); err != nil {
		t.Errorf("delete: %v", err)
	}
	school := keyOf(education.Schools, "id", schoolID)
	date := map[string]any{"terminationDate": time.Now().Add(72 * time.Hour).UTC().Format(time.RFC3339)}
	if _, err := d.Update(t.Context(), education.Schools, school, newChange(t, education.Schools, education.UpdateEntity, date)); err != nil {
		t.Fatal(err)
	}
	d.rules.Now = func() time.Time { return time.Now().Add(96 * time.Hour) }
	if err := d.Delete(t.Context(), education.Schools, school); err != nil {
		t.Errorf("delete the school: %v", err)
	}
	if err := d.Delete(t.Context(), education.Users, left); err != nil {
		t.Errorf("delete what was left: %v", err)
	}
}

// TestEmptyValues reads what OpenCloud's graph service writes to directories that do not check syntaxes: an empty member
// of a class without members, an empty mail.
func TestEmptyValues(t *testing.T) {
	t.Parallel()
	entries := map[string]*wire.Entry{
		userBase:  parseEntry(maxDN, "uid: max", "openCloudUUID: "+maxID, "mail: ", "displayName: Max"),
		classBase: parseEntry(classDN, "cn: 5a", "openCloudUUID: "+classID, "member: ", "openCloudEducationTeacherMember: "),
	}
	d := newDirectory(t, &stub{search: func(request *wire.SearchRequest, yield func(*wire.Entry) error) error {
		return yield(entries[request.Base])
	}}, education.Rules{})
	user, err := d.Get(t.Context(), education.Users, keyOf(education.Users, "id", maxID), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := user.Value(education.Users.Property("mail")); got != nil {
		t.Errorf("mail: got %#v, want nothing", got)
	}
	wantTargets(t, d, education.Classes, classID, "members")
	wantTargets(t, d, education.Classes, classID, "teachers")
}

// TestEmptyMailIsNone filters users by a mail that OpenCloud's graph service has left empty.
func TestEmptyMailIsNone(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	const emptyID, mailID = "0e2f1bd5-9a2d-4a3b-a6c1-000000000004", "0e2f1bd5-9a2d-4a3b-a6c1-000000000005"
	addEntry(t, store, "uid=empty,"+userBase, "objectClass: inetOrgPerson", "objectClass: openCloudEducationUser",
		"cn: x", "sn: x", "uid: empty", "openCloudUUID: "+emptyID, "mail: ")
	addEntry(t, store, "uid=mail,"+userBase, "objectClass: inetOrgPerson", "objectClass: openCloudEducationUser",
		"cn: x", "sn: x", "uid: mail", "openCloudUUID: "+mailID, "mail: x@example.org")
	with, without := []string{mailID}, []string{maxID, emptyID}
	for _, test := range []struct {
		name   string
		filter odata.Filter
		want   []string
	}{
		{"eq null", &odata.Compare{Property: "mail", Operator: odata.Eq}, without},
		{"ne null", &odata.Compare{Property: "mail", Operator: odata.Ne}, with},
		{"not contains", &odata.Not{Operand: &odata.Match{Function: odata.Contains, Property: "mail", Value: "nobody"}}, with},
		{"contains the empty text", &odata.Match{Function: odata.Contains, Property: "mail"}, with},
	} {
		answer, err := d.List(t.Context(), education.Users, &odata.Query{Filter: test.filter})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for user, err := range answer.Entities {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, user.ID())
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestReadBack has a directory that knows no post-read control.
func TestReadBack(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	key := keyOf(education.Users, "id", maxID)
	body := func(name string) *education.Change {
		return newChange(t, education.Users, education.UpdateEntity, map[string]any{"givenName": name})
	}
	forgetful := &stub{Operations: store}
	forgetful.modify = func(request *wire.ModifyRequest) (*wire.Entry, error) {
		_, err := store.Modify(t.Context(), request)
		return nil, err
	}
	d.ops = forgetful
	updated, err := d.Update(t.Context(), education.Users, key, body("Max"))
	if err != nil || updated.Text("givenName") != "Max" {
		t.Errorf("got %v and the givenName %q", err, updated.Text("givenName"))
	}
	// The entry is deleted by somebody else before it can be read, is not on the server that is asked now, cannot be seen by
	// this service, or nobody answers. The change has been made all the same.
	for name, answer := range map[string]error{
		"not there": wire.Errorf(wire.ResultNoSuchObject, "x"), "hidden": nil, "unanswered": errors.New("broken"),
	} {
		forgetful.search = func(request *wire.SearchRequest, yield func(*wire.Entry) error) error {
			if request.Scope == wire.ScopeBase {
				return answer
			}
			return store.Search(t.Context(), request, yield)
		}
		if _, err := d.Update(t.Context(), education.Users, key, body(name)); !odata.Is(err, odata.GatewayTimeout) {
			t.Errorf("%s: got %v, want GatewayTimeout", name, err)
		}
	}
}

// TestRefusedForever has a directory that refuses a change for a reason of its own.
func TestRefusedForever(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	tries := 0
	d.ops = &stub{Operations: store, modify: func(*wire.ModifyRequest) (*wire.Entry, error) {
		tries++
		return nil, wire.Errorf(wire.ResultNoSuchAttribute, "x")
	}}
	_, err := d.Update(t.Context(), education.Users, keyOf(education.Users, "id", maxID),
		newChange(t, education.Users, education.UpdateEntity, map[string]any{"givenName": "x"}))
	if !odata.Is(err, odata.ServiceNotAvailable) || tries != maxAttempts {
		t.Errorf("got %v after %d tries, want ServiceNotAvailable after %d", err, tries, maxAttempts)
	}
}

// TestRefusedByTheDirectory has a directory that refuses a value for a reason of its own, which no retry helps.
func TestRefusedByTheDirectory(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	refuse := wire.Errorf(wire.ResultConstraintViolation, "x")
	d.ops = &stub{
		Operations: store,
		add:        func(*wire.AddRequest) (*wire.Entry, error) { return nil, refuse },
		modify:     func(*wire.ModifyRequest) (*wire.Entry, error) { return nil, refuse },
	}
	_, err := d.Update(t.Context(), education.Users, keyOf(education.Users, "id", maxID),
		newChange(t, education.Users, education.UpdateEntity, map[string]any{"givenName": "x"}))
	if !odata.Is(err, odata.InvalidRequest) {
		t.Errorf("update: got %v, want InvalidRequest", err)
	}
	_, err = d.Create(t.Context(), education.Users, newChange(t, education.Users, education.CreateEntity,
		map[string]any{"displayName": "x", "onPremisesSamAccountName": "x"}))
	if !odata.Is(err, odata.InvalidRequest) {
		t.Errorf("create: got %v, want InvalidRequest", err)
	}
}

// TestRepeatedValuesAreNotWritten has a client that sends the whole entity every night.
func TestRepeatedValuesAreNotWritten(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	user, err := d.Create(t.Context(), education.Users, newChange(t, education.Users, education.CreateEntity,
		map[string]any{"displayName": "x", "onPremisesSamAccountName": "x", "externalId": "x", "schools@odata.bind": []string{"/schools/" + schoolID}}))
	if err != nil {
		t.Fatal(err)
	}
	d.ops = &stub{Operations: store, modify: func(*wire.ModifyRequest) (*wire.Entry, error) {
		t.Error("an entry that is as it shall be was written")
		return nil, nil
	}}
	body := map[string]any{
		"id": user.ID(), "displayName": "x", "onPremisesSamAccountName": "x", "externalId": "x", "surname": nil, "mail": nil,
		"schools@odata.bind": []string{"/schools/" + schoolID},
	}
	if _, err := d.Update(t.Context(), education.Users, keyOf(education.Users, "id", user.ID()),
		newChange(t, education.Users, education.UpdateEntity, body)); err != nil {
		t.Error(err)
	}
	nav := education.NavigationOf(education.Schools, "users")
	if err := d.AddRef(t.Context(), nav, keyOf(education.Schools, "id", schoolID), keyOf(education.Users, "id", user.ID())); err != nil {
		t.Error(err)
	}
}

// TestLinkNamesOneOfTwoEntries has two entries below different units whose names begin alike.
func TestLinkNamesOneOfTwoEntries(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	unit := "ou=guests," + userBase
	addEntry(t, store, unit, "objectClass: organizationalUnit", "ou: guests")
	addEntry(t, store, "uid=max,"+unit, "objectClass: inetOrgPerson", "objectClass: openCloudEducationUser",
		"cn: x", "sn: x", "uid: max", "openCloudUUID: 0e2f1bd5-9a2d-4a3b-a6c1-000000000009")
	wantTargets(t, d, education.Classes, classID, "members", maxID)
	_, err := d.Get(t.Context(), education.Users, keyOf(education.Users, "onPremisesSamAccountName", "max"), nil)
	if !odata.Is(err, odata.TooManyResults) {
		t.Errorf("get by the name: got %v, want TooManyResults", err)
	}
}
