package identity

import (
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
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
	for range 2 {
		// The user who lost the key has others than wanted, so it is tried again each time.
		if _, err := global.RefreshKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if problems, err := store.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("got %q and error %v", problems, err)
	}
}
