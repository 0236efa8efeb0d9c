package identity

import (
	"slices"
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// TestRefreshKeys holds that a change of the rules is enforced on what was there before.
func TestRefreshKeys(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	perSchool := newDirectory(t, store, education.Rules{})
	create := func(d *Directory, set *education.EntitySet, body map[string]any) error {
		_, err := d.Create(t.Context(), set, newChange(t, set, education.CreateEntity, body))
		return err
	}
	user := func(name, school string) map[string]any {
		return map[string]any{
			"displayName": name, "onPremisesSamAccountName": name, "externalId": "4711",
			"schools@odata.bind": []string{"schools(schoolNumber='" + school + "')"},
		}
	}
	for _, number := range []string{"1", "2", "3"} {
		if err := create(perSchool, education.Schools, map[string]any{"displayName": "School " + number, "schoolNumber": number}); err != nil {
			t.Fatal(err)
		}
	}
	for name, school := range map[string]string{"anna": "1", "bert": "2"} {
		if err := create(perSchool, education.Users, user(name, school)); err != nil {
			t.Fatal(err)
		}
	}
	global := newDirectory(t, store, education.Rules{ExternalIDScope: education.ScopeGlobal})
	changed, err := global.RefreshKeys(t.Context())
	if err != nil || changed != 2 {
		t.Fatalf("got %d changed and error %v, want 2", changed, err)
	}
	wantTaken(t, "a third 4711", create(global, education.Users, user("carl", "3")), "externalId")
	if changed, err := global.RefreshKeys(t.Context()); changed != 0 || err != nil {
		t.Errorf("a second time: %d changed and error %v, want nothing", changed, err)
	}
	if problems, err := store.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("got %q and error %v", problems, err)
	}
}

// TestContestedKeys holds that a key that several claim is given to the oldest of them, stays with the one that has it, and
// is refused to everybody else.
func TestContestedKeys(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	const twinID = "0e2f1bd5-9a2d-4a3b-a6c1-000000000004"
	addEntry(t, store, "ou=Twin,"+schoolBase, "objectClass: organizationalUnit", "objectClass: openCloudEducationSchool",
		"ou: Twin", "openCloudUUID: "+twinID, "openCloudEducationSchoolNumber: 0042")
	if changed, err := d.RefreshKeys(t.Context()); changed != 4 || err != nil {
		t.Fatalf("%d changed and error %v, want all 4 entries", changed, err)
	}
	wantKeys := func(dn, name string, number bool) {
		t.Helper()
		keys := readEntry(t, store, dn).Values(attributeUniqueKey)
		if !slices.Contains(keys, "school/displayName/-/"+name) || slices.Contains(keys, "school/number/-/0042") != number {
			t.Errorf("%s has the keys %q", dn, keys)
		}
	}
	wantKeys(schoolDN, "school", true)
	wantKeys("ou=Twin,"+schoolBase, "twin", false)
	third := newChange(t, education.Schools, education.CreateEntity, map[string]any{"displayName": "Third", "schoolNumber": "0042"})
	_, err := d.Create(t.Context(), education.Schools, third)
	wantTaken(t, "a third one with the number", err, "schoolNumber")

	// The older one gives the number up, after which the twin gets the key, and keeps it when the first is given it back.
	renumber := func(number string) {
		t.Helper()
		_, err := store.Modify(t.Context(), &wire.ModifyRequest{DN: schoolDN, Changes: []wire.Change{{
			Operation: wire.ChangeReplace, Attribute: wire.Attribute{Type: "openCloudEducationSchoolNumber", Values: []string{number}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // The first time the key is still the other one's.
			if _, err := d.RefreshKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	renumber("0043")
	wantKeys("ou=Twin,"+schoolBase, "twin", true)
	renumber("0042")
	wantKeys("ou=Twin,"+schoolBase, "twin", true)
	wantKeys(schoolDN, "school", false)
}
