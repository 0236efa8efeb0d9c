package remote_test

import (
	"slices"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// relaxRules is the Relax Rules control (draft-zeilenga-ldap-relax), by the number that OpenLDAP gives it.
const relaxRules = "1.3.6.1.4.1.4203.666.5.12"

// TestSettleConflicts holds that two entries with one unique key, as replication leaves them, become two of which the older
// has it. Here they are made with the control that slapo-unique lets an administrator pass with.
func TestSettleConflicts(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	older, younger := s.given(education.Users, person("max")), s.given(education.Users, person("moritz"))
	admin := s.server.Connect(t, s.server.Admin)
	request := ldap.NewModifyRequest("openCloudUUID="+younger.ID()+","+s.bases.UserBase, []ldap.Control{ldap.NewControlString(relaxRules, true, "")})
	request.Replace("uid", []string{"max"})
	request.Add("educationUniqueKey", []string{"user/username/-/max"})
	request.Delete("educationUniqueKey", []string{"user/username/-/moritz"})
	if err := admin.Modify(request); err != nil {
		t.Fatalf("make a conflict: %v", err)
	}
	for i, want := range []int{1, 0} {
		if lost, err := s.directory.SettleConflicts(t.Context()); err != nil || lost != want {
			t.Errorf("look %d: %d have lost a key, %v, want %d", i+1, lost, err, want)
		}
	}
	for user, has := range map[*education.Entity]bool{older: true, younger: false} {
		keys, err := s.uniqueKeys(user)
		if err != nil || slices.Contains(keys, "user/username/-/max") != has {
			t.Errorf("%s has the keys %q, %v", user.Text("displayName"), keys, err)
		}
	}
	// Both are called max still: nobody can say which one is meant.
	if _, err := s.directory.Get(t.Context(), education.Users, userNamed("max"), nil); !odata.Is(err, odata.TooManyResults) {
		t.Errorf("get max: %v, want TooManyResults", err)
	}
	// A change of something else is not refused, and neither takes the key nor loses it.
	if err := update(t.Context(), s.directory, education.Users, younger.ID(), fields{"displayName": "Younger"}); err != nil {
		t.Errorf("change the younger one: %v", err)
	}
	// One of them gets another name, and both can be found again.
	if err := update(t.Context(), s.directory, education.Users, younger.ID(), fields{username: "moritz"}); err != nil {
		t.Errorf("rename the younger one: %v", err)
	}
	for name, want := range map[string]string{"max": older.ID(), "moritz": younger.ID()} {
		if user, err := s.directory.Get(t.Context(), education.Users, userNamed(name), nil); err != nil || user.ID() != want {
			t.Errorf("get %s: %v", name, err)
		}
	}
}
