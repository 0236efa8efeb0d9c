package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
)

func TestAddressOf(t *testing.T) {
	t.Parallel()
	const id = "01994f2e-7a31-7c4e-8d5b-3f6a1c2d4e5f"
	for path, want := range map[string]string{
		"/users":                                "users",
		"/Users/":                               "users",
		"/users/$count":                         "users",
		"/users/" + id:                          "users id=" + id,
		"/users/max":                            "users onPremisesSamAccountName=max",
		"/users(externalId='47%2F11')":          "users externalId=47/11",
		"/USERS('max')":                         "users onPremisesSamAccountName=max",
		"/users(displayName='max')":             "users", // No key of users.
		"/users/%zz":                            "users",
		"/users/" + strings.Repeat("a", 2000):   "users",
		"/users/max/schools":                    "users onPremisesSamAccountName=max schools",
		"/users/max/nothing":                    "users onPremisesSamAccountName=max",
		"/users/max/nothing/x":                  "users onPremisesSamAccountName=max",
		"/users/max/schools/$count":             "users onPremisesSamAccountName=max schools",
		"/schools/0042/users/$ref":              "schools schoolNumber=0042 users ref",
		"/schools/0042/users/%24ref":            "schools schoolNumber=0042 users ref",
		"/schools/0042/users(" + "'max')/$ref":  "schools schoolNumber=0042 users onPremisesSamAccountName=max ref",
		"/classes/5a/members/" + id:             "classes externalId=5a members id=" + id,
		"/classes/5a/members/" + id + "/$ref/":  "classes externalId=5a members id=" + id + " ref",
		"/classes/5a/members/" + id + "/x/$ref": "classes externalId=5a members id=" + id + " ref",
		"/classes//members":                     "",
		"/groups/5a":                            "",
		"/":                                     "",
		"":                                      "",
		"/$metadata":                            "",
		"/a/b/$ref":                             " ref",
	} {
		if got := describeAddress(AddressOf(path)); got != want {
			t.Errorf("%.60s: got %q, want %q", path, got, want)
		}
	}
}

func describeAddress(a education.Address) string {
	var words []string
	key := func(key education.Key) {
		if key.Property != nil {
			words = append(words, key.Property.Name+"="+key.Value)
		}
	}
	if a.Set != nil {
		words = append(words, a.Set.Name)
	}
	key(a.Key)
	if a.Navigation != nil {
		words = append(words, a.Navigation.Name)
	}
	key(a.Target)
	text := strings.Join(words, " ")
	if a.Ref {
		text += " ref"
	}
	return text
}

// TestAddressOfRoutes holds that the address of each route's paths is what the route is for.
func TestAddressOfRoutes(t *testing.T) {
	t.Parallel()
	walk(t, func(method, route string) {
		address := AddressOf(route)
		if address.Set == nil || !strings.HasPrefix(route, "/"+address.Set.Name) {
			t.Errorf("%s %s: got the set %v", method, route, address.Set)
			return
		}
		if got := strings.HasSuffix(route, "/$ref"); got != address.Ref {
			t.Errorf("%s %s: a link: got %t", method, route, address.Ref)
		}
		for _, nav := range education.Navigations {
			is := strings.HasPrefix(route, fmt.Sprintf("/%s/{%s}/%s", nav.Owner.Name, nav.Owner.Singular, nav.Name))
			if is != (address.Navigation == nav) {
				t.Errorf("%s %s: got the navigation property %v", method, route, address.Navigation)
			}
		}
		one := method == http.MethodPatch || strings.Contains(route, "{")
		if one != (address.Key.Property != nil) {
			t.Errorf("%s %s: got the key %+v", method, route, address.Key)
		}
	})
}
