package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// TestListsOfParties holds that whoever has most loses the list that was used longest ago, and that nobody else does.
func TestListsOfParties(t *testing.T) {
	t.Parallel()
	const administrator, tenant, other = "", "tenants:a", "tenants:b"
	few, many, large := keeping{tenant, 3, 100}, keeping{other, keptLists, 100}, keeping{other, 3, keptListBytes / 2}
	tests := map[string]struct {
		keep []keeping
		// want says how many of each party's lists are left, those that were used last.
		want map[string]int
	}{
		"as many as there may be":        {[]keeping{many}, map[string]int{other: keptLists}},
		"too many of one":                {[]keeping{{tenant, keptLists + 5, 100}}, map[string]int{tenant: keptLists}},
		"few before many":                {[]keeping{few, many}, map[string]int{tenant: 3, other: keptLists - 3}},
		"few after many":                 {[]keeping{many, few}, map[string]int{tenant: 3, other: keptLists - 3}},
		"few before the administrator's": {[]keeping{few, {administrator, keptLists, 100}}, map[string]int{tenant: 3, administrator: keptLists - 3}},
		"the administrator's few":        {[]keeping{{administrator, 3, 100}, many}, map[string]int{administrator: 3, other: keptLists - 3}},
		"many of two":                    {[]keeping{{tenant, keptLists, 100}, many}, map[string]int{tenant: keptLists / 2, other: keptLists / 2}},
		"few before large ones":          {[]keeping{few, large}, map[string]int{tenant: 3, other: 1}},
		"few after large ones":           {[]keeping{large, few}, map[string]int{tenant: 3, other: 1}},
		"few before one that fills all":  {[]keeping{few, {other, 1, keptListBytes}}, map[string]int{tenant: 3, other: 0}},
		"one too large for all":          {[]keeping{few, {other, 1, keptListBytes + 1}}, map[string]int{tenant: 3, other: 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lists orderedLists
			for _, k := range test.keep {
				k.into(&lists)
			}
			for _, k := range test.keep {
				for i := range k.walks {
					_, got := lists.find(k.name(i), time.Now())
					if want := i >= k.walks-test.want[k.party]; got != want {
						t.Fatalf("list %d of %d of %q: got %t, want %t", i, k.walks, k.party, got, want)
					}
				}
			}
		})
	}
}

// keeping is so many walks of a party, each with a list of so many bytes.
type keeping struct {
	party       string
	walks, size int
}

func (k keeping) name(i int) string { return fmt.Sprint(k.party, "/", i) }

// into begins the walks.
func (k keeping) into(lists *orderedLists) {
	places := []place{{ID: strings.Repeat("x", k.size-sizeOf([]place{{}}))}}
	for i := range k.walks {
		lists.keep(k.party, k.name(i), places, time.Now())
	}
}

// TestWalkBesideOthers has a user renamed during a tenant's walk while another tenant, or the administrator, begins as many
// walks as there may be lists. The walk meets everybody once all the same.
func TestWalkBesideOthers(t *testing.T) {
	t.Parallel()
	const otherSchool = "0e2f1bd5-9a2d-4a3b-a6c1-000000000005"
	for name, others := range map[string]context.Context{
		"another tenant":    tenantOf(t, otherSchool),
		"the administrator": t.Context(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, store := foreign(t)
			addEntry(t, store, "ou=Other,"+schoolBase, "objectClass: top", "objectClass: organizationalUnit", "objectClass: openCloudEducationSchool",
				"ou: Other", "openCloudUUID: "+otherSchool)
			for i, school := range []string{schoolID, schoolID, otherSchool, otherSchool} {
				addEntry(t, store, fmt.Sprintf("uid=user%d,%s", i, userBase), "objectClass: inetOrgPerson", "objectClass: openCloudUser",
					"objectClass: openCloudEducationUser", fmt.Sprint("uid: user", i), "cn: x", "sn: x", fmt.Sprint("displayName: x", i),
					fmt.Sprintf("openCloudUUID: 0e2f1bd5-9a2d-4a3b-a6c1-%012x", 256+i), "openCloudMemberOfSchool: "+school)
			}
			query := newQuery(t, education.Users, "$orderby=displayName", "$top=2")
			shown, next := page(tenantOf(t, schoolID), t, d, query)
			renamed := newChange(t, education.Users, education.UpdateEntity, map[string]any{"displayName": "zz"})
			if _, err := d.Update(t.Context(), education.Users, keyOf(education.Users, "id", shown[0]), renamed); err != nil {
				t.Fatal(err)
			}
			for range keptLists {
				page(others, t, d, newQuery(t, education.Users, "$top=1"))
			}
			query.Cursor = next
			rest, _ := page(tenantOf(t, schoolID), t, d, query)
			if len(shown) != 2 || len(rest) != 1 || slices.Contains(shown, rest[0]) {
				t.Errorf("got the users %q and then %q, want three different ones", shown, rest)
			}
		})
	}
}

// page returns the ids of a page of users, and the cursor of the next one.
func page(ctx context.Context, t *testing.T, d *Directory, query *odata.Query) (ids []string, next string) {
	t.Helper()
	answer, err := d.List(ctx, education.Users, query)
	if err != nil {
		t.Fatal(err)
	}
	for entity, err := range answer.Entities {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, entity.ID())
	}
	return ids, answer.Next
}
