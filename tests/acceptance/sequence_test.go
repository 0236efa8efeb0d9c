package acceptance

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tenant is what OpenCloud's multi-tenancy example knows of a tenant.
type tenant struct {
	displayName, externalID string
	users                   []person
}

// person is what the example knows of a user, apart from the password, which it gives to the identity provider.
type person struct{ displayName, username, mail string }

// tenants are of the kind that the initialiser of the example makes.
var tenants = []tenant{
	{"Tenant A", "tenant-a-external", []person{
		{"Dennis Ritchie", "dennis", "dennis@example.org"}, {"Grace Hopper", "grace", "grace@example.org"},
	}},
	{"Tenant B", "tenant-b-external", []person{
		{"Albert Einstein", "einstein", "einstein@example.org"},
		{"Marie Curie", "marie", "marie@example.org"},
		{"Alan Turing", "alan", "alan@example.org"},
	}},
}

// TestProvisioningSequence does what the initialiser of OpenCloud's multi-tenancy example does: tenants with a name and
// an external id, users with a name, a username and an address, and one $ref for each user, with the URL that the
// initialiser knows the service by. Then it does what a nightly script does to those who have left: it looks a person up
// by the id of the school's own system, disables the account, and deletes it.
func TestProvisioningSequence(t *testing.T) {
	t.Parallel()
	const compatible = "EDUCATION_COMPATIBILITY=opencloud"
	tests := map[string]struct {
		settings []string
		// root is the path of the API in front of /schools.
		root string
	}{
		"default":                         {nil, "/graph/v1.0/education"},
		"compatible":                      {[]string{compatible}, "/graph/v1.0/education"},
		"without the prefix":              {nil, "/v1.0/education"},
		"compatible without the prefix":   {[]string{compatible}, "/v1.0/education"},
		"another root":                    {[]string{"EDUCATION_HTTP_ROOT=/provisioning/api"}, "/provisioning/api/v1.0/education"},
		"another root without the prefix": {[]string{"EDUCATION_HTTP_ROOT=/provisioning/api"}, "/v1.0/education"},
		"no root":                         {[]string{"EDUCATION_HTTP_ROOT=/"}, "/v1.0/education"},
		"settings by the names that OpenCloud has": {[]string{"GRAPH_HTTP_API_TOKEN=changeme-changeme"}, "/graph/v1.0/education"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := provisioning{server: start(t, test.settings...), T: t, root: test.root}
			schools := p.provision()
			p.restart(t)
			p.verify(schools)
			p.deprovision(schools)
		})
	}
}

// provisioning is a client that does the sequence.
type provisioning struct {
	*server
	*testing.T
	root string
}

// do is call at the root of the sequence, with the status that is expected by default and in compatibility mode.
func (p provisioning) do(method, path string, body any, status, compatible int) *answer {
	p.Helper()
	if p.compatible {
		status = compatible
	}
	return p.call(p, method, path, body, under(p.root)).want(status)
}

// provision makes tenants and users and returns the ids of the users of each tenant.
func (p provisioning) provision() map[string][]string {
	schools := map[string][]string{}
	for _, tenant := range tenants {
		school := p.do("POST", "/schools", entity{"displayName": tenant.displayName, "externalId": tenant.externalID}, 201, 201).id()
		for _, person := range tenant.users {
			user := p.do("POST", "/users", entity{
				"displayName": person.displayName, "onPremisesSamAccountName": person.username, "mail": person.mail,
			}, 201, 200).id()
			p.do("POST", "/schools/"+school+"/users/$ref",
				ref("https://provisioning.opencloud.test:9120/graph/v1.0/education/users/"+user), 204, 204)
			schools[school] = append(schools[school], user)
		}
	}
	return schools
}

// verify expects tenants and users as provision has made them.
func (p provisioning) verify(schools map[string][]string) {
	p.Helper()
	for _, tenant := range tenants {
		found := p.do("GET", "/schools"+filtered("externalId eq '"+tenant.externalID+"'"), nil, 200, 200).list()
		if len(found) != 1 || found[0].text("displayName") != tenant.displayName {
			p.Fatalf("the tenant %s was found as %v", tenant.externalID, found)
		}
		listed := p.do("GET", "/schools/"+found[0].text("id")+"/users", nil, 200, 200)
		if listed.isBare() != p.compatible {
			p.Errorf("the list of users is an array: %t", listed.isBare())
		}
		got := map[string]person{}
		for _, user := range listed.list() {
			got[user.text("id")] = person{user.text("displayName"), user.text("onPremisesSamAccountName"), user.text("mail")}
		}
		want := map[string]person{}
		for i, id := range schools[found[0].text("id")] {
			want[id] = tenant.users[i]
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(person{})); diff != "" {
			p.Errorf("users of %s (-want +got):\n%s", tenant.displayName, diff)
		}
	}
}

// deprovision gives each user an externalId, as a school's own system would, finds the users by it, and disables and
// deletes them.
func (p provisioning) deprovision(schools map[string][]string) {
	p.Helper()
	for school, users := range schools {
		for _, user := range users {
			p.do("PATCH", "/users/"+user, entity{"externalId": "record-" + user}, 200, 200)
			found := p.do("GET", "/users"+filtered("externalId eq 'record-"+strings.ToUpper(user)+"'"), nil, 200, 200).list()
			if len(found) != 1 || found[0].text("id") != user {
				p.Fatalf("%s was found as %v", user, found)
			}
			disabled := p.do("PATCH", "/users/"+user, entity{"accountEnabled": false}, 200, 200).entity()
			if disabled["accountEnabled"] != false {
				p.Errorf("the user is not disabled: %v", disabled)
			}
			p.do("DELETE", "/users/"+user, nil, 204, 204)
			p.do("GET", "/users/"+user, nil, 404, 404)
			p.do("DELETE", "/users/"+user, nil, 404, 404)
		}
		p.do("GET", "/schools/"+school+"/users", nil, 200, 200).wantNone()
	}
	p.do("GET", "/users", nil, 200, 200).wantNone()
}

// TestOperations uses what the sequence and the rows of the other tests do not: the operations that OpenCloud's graph
// service does not have, and each way to write a key.
func TestOperations(t *testing.T) {
	t.Parallel()
	for mode, settings := range map[string][]string{"default": nil, "compatible": {"EDUCATION_COMPATIBILITY=opencloud"}} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := world{T: t, server: start(t, settings...)}
			w.compatible = w.server.compatible
			school, number := w.school(entity{"schoolNumber": "0042", "externalId": "north"}), "0042"

			made := w.post("/schools/"+number+"/users", with(aUser(), entity{"externalId": "4711", "onPremisesSamAccountName": "max"}))
			user := made.want(http.StatusCreated).id()
			class := w.post("/schools('0042')/classes", with(aClass(), entity{
				"externalId": "5a/b", "members@odata.bind": []any{"users('max')"}, "teachers@odata.bind": []any{"https://h/x/users(externalId='4711')"},
			})).want(http.StatusCreated).id()

			w.wantIDs("/users/max/schools", school)
			w.wantIDs("/users('max')/classes", class)
			w.wantIDs("/users/"+user+"/taughtClasses", class)
			w.wantIDs("/classes/5a%2Fb/schools", school)
			w.wantIDs("/classes('5a%2Fb')/members", user)
			for _, path := range []string{
				"/users(externalId='4711')", "/users(onPremisesSamAccountName='MAX')", "/users(id='" + user + "')", "/users(" + user + ")",
			} {
				w.wantValue(path, "id", user)
			}
			for _, path := range []string{"/schools(externalId='north')", "/schools(schoolNumber='0042')"} {
				w.wantValue(path, "id", school)
			}

			by := func(option, reference string) string { return "/$ref?" + option + "=" + reference }
			w.remove("/classes/" + class + "/members" + by("@id", "https://any.host/graph/v1.0/education/users/max")).want(http.StatusNoContent)
			w.remove("/classes/" + class + "/teachers" + by("$id", "users/"+user)).want(http.StatusNoContent)
			w.remove("/schools/" + number + "/classes" + by("@id", "/classes/"+class)).want(http.StatusNoContent)
			w.remove("/schools/" + number + "/users" + by("@id", "/users/max")).want(http.StatusNoContent)
			for _, path := range []string{
				"/users/max/schools", "/users/max/classes", "/users/max/taughtClasses", "/classes/" + class + "/schools",
				"/classes/" + class + "/members", "/classes/" + class + "/teachers",
			} {
				w.wantIDs(path)
			}
		})
	}
}

// TestMoveBetweenSchools shows that a PATCH moves a user in one write, and that the rule of one school holds for every
// way into a school.
func TestMoveBetweenSchools(t *testing.T) {
	t.Parallel()
	w := world{T: t, server: start(t)}
	first, second := w.school(), w.school()
	user := w.post("/schools/"+first+"/users", aUser()).want(http.StatusCreated).id()

	moved := w.patch("/users/"+user, entity{"schools@odata.bind": []any{"/schools/" + second}, "primaryRole": "student"})
	if got := moved.want(http.StatusOK).entity().text("primaryRole"); got != "student" {
		t.Errorf("got the role %q", got)
	}
	w.wantIDs("/users/"+user+"/schools", second)
	w.wantIDs("/schools/" + first + "/users")

	both := []any{"/schools/" + first, "/schools/" + second}
	w.patch("/users/"+user, entity{"schools@odata.bind": both}).wantError(http.StatusConflict, "notAllowed")
	w.post("/users", with(aUser(), entity{"schools@odata.bind": both})).wantError(http.StatusConflict, "notAllowed")
	w.wantIDs("/users/"+user+"/schools", second)
}
