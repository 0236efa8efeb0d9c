package acceptance

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
)

// The tests in this file hold that defects of OpenCloud's graph service are not repeated here. They are numbered U1 to
// U22. Not seen from here are:
//
//   - U2, any failure of the directory is answered with 404, and U13, an Add is repeated after a lost connection: the
//     directory is part of the process and has no connection to lose. What its failures become is tested in
//     pkg/identity; the tests with a server that goes away come with the first directory that is one.
//   - U20, every holder of the token may do everything: there is one token for the whole service so far.
//   - U21, tests against imitations of a directory: it is about tests. The suite in pkg/identity/identitytest runs on
//     real ones.
//   - U22, what becomes of a deleted user's files: no user's files are touched, as the contract says at the operation.

// modes runs a test by default and in compatibility mode, each on a server of its own.
func modes(t *testing.T, test func(w world)) {
	t.Parallel()
	for name, settings := range map[string][]string{"default": nil, "compatible": {"EDUCATION_COMPATIBILITY=opencloud"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, settings...)
			test(world{T: t, server: s, compatible: s.compatible})
		})
	}
}

// U1: the token was compared without being hashed, and in a way that concurrent requests disturbed.
func TestU1TokenComparison(t *testing.T) {
	t.Parallel()
	s := start(t)
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for range 10 {
				token, want := s.token, http.StatusOK
				if worker%2 == 1 {
					token, want = s.token[:len(s.token)-1]+"-", http.StatusUnauthorized
				}
				got := s.get(t, "/schools", header("Authorization", "Bearer "+token))
				if got.status != want {
					t.Errorf("got %d, want %d", got.status, want)
				}
			}
		})
	}
	wait.Wait()
}

// U3: a school that was posted with a termination date was answered with 200 and not created.
func TestU3EveryPropertyCanBePosted(t *testing.T) {
	modes(t, func(w world) {
		tests := map[string]entity{
			"/schools": {
				"displayName": "North", "schoolNumber": "0042", "externalId": "north", "terminationDate": "2099-07-31T00:00:00Z",
			},
			"/users": {
				"displayName": "Max Muster", "onPremisesSamAccountName": "max", "mail": "max@example.org", "givenName": "Max",
				"surname": "Muster", "userType": "Guest", "primaryRole": "student", "externalId": "4711", "accountEnabled": true,
				"identities": []any{map[string]any{"signInType": "federated", "issuer": "idp", "issuerAssignedId": "1"}},
			},
			"/classes": {"displayName": "5a", "classification": "class", "externalId": "5a", "description": "The best."},
		}
		for path, want := range tests {
			made := w.post(path, want)
			if made.status != http.StatusCreated && made.status != http.StatusOK {
				w.Fatalf("POST %s: %d %s", path, made.status, made.body)
			}
			got := w.get(path + "/" + made.id()).want(http.StatusOK).entity()
			for name := range got {
				if _, ours := want[name]; !ours {
					delete(got, name)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				w.Errorf("%s (-want +got):\n%s", path, diff)
			}
		}
	})
}

// U4: $top, $skip, $count, $select and $expand were accepted and ignored. Those that work are seen to work elsewhere; here
// is what none of them may do, which is nothing.
func TestU4NoQueryOptionIsIgnored(t *testing.T) {
	modes(t, func(w world) {
		user := "/users/" + w.user()
		for _, path := range []string{"/schools", "/users", "/classes", user + "/schools", user, "/users/$count"} {
			for _, query := range []string{"$deltatoken=x", "$apply=x", "$compute=x", "$index=1", "$levels=1", "$schemaversion=1", "%24apply=x", "$APPLY=x"} {
				w.get(path+"?"+query, outside).wantError(http.StatusNotImplemented, "notSupported")
			}
			for _, name := range []string{"top", "skip", "select", "count", "expand", "orderby", "search", "filter", "foo", "$foo", "", "$"} {
				w.get(path+"?"+name+"=1", outside).wantError(http.StatusBadRequest, "invalidRequest")
			}
		}
		w.user()
		plain := w.get("/users").want(http.StatusOK).body
		for _, query := range []string{"$top=1", "$skip=1", "$count=true", "$select=id", "$expand=schools", "$search=nobody", "$top=0"} {
			if got := w.get("/users?" + query).want(http.StatusOK); bytes.Equal(got.body, plain) {
				w.Errorf("%s is ignored: %s", got.what, got.body)
			}
		}
	})
}

// U5: an empty $filter, which is what an unset variable of a script leaves, was answered with all entities.
func TestU5EmptyFilter(t *testing.T) {
	modes(t, func(w world) {
		for _, path := range []string{"/schools", "/users", "/classes"} {
			for _, query := range []string{"$filter=", "$filter", "$filter=%20", "=externalId+eq+'x'", "filter=externalId+eq+'x'"} {
				w.get(path+"?"+query, outside).wantError(http.StatusBadRequest, "invalidRequest")
			}
		}
	})
}

// U6: displayName could not be filtered by, only displayname. Here every property that the contract marks can, in any
// spelling, and no other.
func TestU6NamesInFilters(t *testing.T) {
	modes(t, func(w world) {
		for path, schema := range map[string]string{"/schools": "educationSchool", "/users": "educationUser", "/classes": "educationClass"} {
			properties := document().document.Components.Schemas[schema].Value.Properties
			filterable := document().marked(schema, "x-filterable", func(any) bool { return true })
			if len(filterable) < 5 {
				w.Errorf("the contract lets %s be filtered by %v", schema, filterable)
			}
			for name, property := range properties {
				value := "'x'"
				switch {
				case property.Value.Format == "date-time":
					value = "2026-01-01T00:00:00Z"
				case property.Value.Type.Includes("boolean"):
					value = "true"
				case property.Value.Format == "uuid":
					value = "'" + unknown + "'"
				}
				for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
					got := w.get(path+filtered(spelling+" eq "+value), outside)
					if want := slices.Contains(filterable, name); (got.status == http.StatusOK) != want {
						w.Errorf("%s by %s: got %d, want success to be %t\n%s", path, spelling, got.status, want, got.body)
					}
				}
			}
		}
	})
}

// hardTexts are texts that something between the filter and the entry could take for something else.
var hardTexts = []string{
	"x", "x'", "'x", "'", "''", "x''y", "P1D", "PT1H", "duration'P1D'", "2026-01-01", "2026-01-01T00:00:00Z", "12:00:00",
	"true", "null", "1", "-1.5e3", "INF", unknown + "-x", "*", "x*", "(x)", `\`, `\2a`, "a&b|c", "a=b", "a,b", "a+b", `"x"`, "<x>;#",
	"x eq 'y'", "%27", "$it", "ext ernal", "größe ß", "名前", "😀", strings.Repeat("x", 256),
}

// U7: quotes at the end of a filter's value were cut off, so that it found another person.
// U8: a value that looks like a duration was none.
func TestU7AndU8LiteralsInFilters(t *testing.T) {
	modes(t, func(w world) {
		ids := map[string]string{}
		for _, text := range hardTexts {
			ids[text] = w.user(entity{"externalId": text, "displayName": text})
		}
		for _, text := range hardTexts {
			quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
			w.wantIDs("/users"+filtered("externalId eq "+quoted), ids[text])
			w.wantIDs("/users"+filtered("displayName eq "+quoted), ids[text])
		}
	})
}

// U9: it was not said whether external ids that differ in case only are the same. Here they are.
func TestU9CaseOfExternalIDs(t *testing.T) {
	modes(t, func(w world) {
		id := w.user(entity{"externalId": "Größe 7B"})
		w.post("/users", with(aUser(), entity{"externalId": "GRÖSSE  7b"})).wantError(http.StatusConflict, "nameAlreadyExists")
		w.wantIDs("/users"+filtered("externalId eq 'größe 7b'"), id)
	})
}

// U10: a class of one tenant blocked the externalId for all others.
func TestU10TheSameExternalIDInTwoSchools(t *testing.T) {
	t.Parallel()
	w := world{T: t, server: start(t)}
	first, second := w.school(), w.school()
	for _, school := range []string{first, second} {
		w.post("/schools/"+school+"/classes", with(aClass(), entity{"externalId": "5a"})).want(http.StatusCreated)
		w.post("/schools/"+school+"/users", with(aUser(), entity{"externalId": "4711"})).want(http.StatusCreated)
	}
	w.post("/schools/"+first+"/classes", with(aClass(), entity{"externalId": "5A"})).wantError(http.StatusConflict, "nameAlreadyExists")
	w.post("/schools/"+first+"/users", with(aUser(), entity{"externalId": "4711"})).wantError(http.StatusConflict, "nameAlreadyExists")
	ambiguous := w.get("/classes/5a").wantError(http.StatusConflict, "tooManyResults").fault()
	if len(ambiguous.Details) != 2 {
		t.Errorf("got the details %v, want both ids", ambiguous.Details)
	}
}

// U11: the externalId of a class became part of a DN as it was.
func TestU11NamesAreNoPartOfADN(t *testing.T) {
	modes(t, func(w world) {
		bystander := w.class(entity{"externalId": "5b"})
		texts := append(slices.Clone(hardTexts), "5a,ou=tenants", "5a+openCloudUUID=x", "5b,ou=groups,dc=opencloud,dc=eu", `\2c`, "#04024869", "5a,")
		for _, externalID := range texts {
			class := w.class()
			if changed := w.patch("/classes/"+class, entity{"externalId": externalID}); changed.status >= http.StatusBadRequest {
				w.Errorf("externalId %q: %d %s", externalID, changed.status, changed.body)
				continue
			}
			w.wantValue("/classes/"+class, "externalId", externalID)
			w.wantValue("/classes/"+class, "id", class)
		}
		w.wantValue("/classes/"+bystander, "externalId", "5b")
	})
}

// U12: one bad entry in the directory broke every list.
func TestU12BadEntries(t *testing.T) {
	t.Parallel()
	w := world{T: t, server: start(t)}
	good := w.user()
	directory := w.server.administrator(t)
	bad := map[string]map[string][]string{
		"uid=noid":       {"displayName": {"No id"}},
		"uid=identities": {"openCloudUUID": {"22222222-2222-4222-8222-222222222222"}, "displayName": {"x"}, "openCloudExternalIdentity": {"no separator"}},
	}
	for name, attributes := range bad {
		request := ldap.NewAddRequest(name+","+userBase, nil)
		request.Attribute("objectClass", []string{"top", "person", "organizationalPerson", "inetOrgPerson", "openCloudObject", "openCloudUser", "openCloudEducationUser"})
		request.Attribute("cn", []string{name})
		request.Attribute("sn", []string{name})
		for attribute, values := range attributes {
			request.Attribute(attribute, values)
		}
		if err := directory.Add(request); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if got := w.get("/users").ids(); !slices.Contains(got, good) {
		t.Errorf("got %v without %s", got, good)
	}
	w.get("/users/" + good).want(http.StatusOK)
	w.get("/users/max").wantError(http.StatusNotFound, "itemNotFound")
}

// U14: when a school was deleted, its classes kept a reference to it, and a failure half-way left it half deleted.
func TestU14DeletedSchoolLeavesNothing(t *testing.T) {
	modes(t, func(w world) {
		school := w.school()
		users, classes := make([]string, 20), make([]string, 20)
		for i := range users {
			users[i], classes[i] = w.user(), w.class()
			w.link("/schools/"+school+"/users", "/users/"+users[i])
			w.link("/schools/"+school+"/classes", "/classes/"+classes[i])
		}
		w.terminate(school)
		w.remove("/schools/" + school).want(http.StatusNoContent)
		for i := range users {
			w.wantIDs("/users/" + users[i] + "/schools")
			w.wantIDs("/classes/" + classes[i] + "/schools")
		}
		w.remove("/schools/"+school).wantError(http.StatusNotFound, "itemNotFound")
		left, err := w.server.administrator(w).Search(ldap.NewSearchRequest(namingContext, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
			0, 0, false, "(openCloudMemberOfSchool="+school+")", []string{"1.1"}, nil))
		if err != nil || len(left.Entries) > 0 {
			w.Errorf("got %v, %v, want no entry that names the school", left, err)
		}
	})
}

// U15: two properties of a school in one PATCH were a 500, or one of them was lost.
func TestU15PairsInOnePatch(t *testing.T) {
	modes(t, func(w world) {
		values := func() entity {
			return entity{
				"displayName": fresh("School"), "schoolNumber": fresh("nr"), "externalId": fresh("ext"),
				"terminationDate": "2099-07-31T00:00:00Z",
			}
		}
		names := slices.Sorted(maps.Keys(values()))
		for i, one := range names {
			for _, other := range names[i:] {
				school, all := w.school(values()), values()
				changed := w.patch("/schools/"+school, entity{one: all[one], other: all[other]}).want(http.StatusOK).entity()
				if changed[one] != all[one] || changed[other] != all[other] {
					w.Errorf("%s and %s: got %v, want %v", one, other, changed, all)
				}
			}
		}
	})
}

// U16: no property could be cleared. Here every property can that the contract marks, and no other.
func TestU16EveryPropertyCanBeCleared(t *testing.T) {
	modes(t, func(w world) {
		full := map[string]func() string{
			"educationSchool": func() string {
				return "/schools/" + w.school(entity{"schoolNumber": fresh("nr"), "externalId": fresh("ext"), "terminationDate": "2099-07-31T00:00:00Z"})
			},
			"educationUser": func() string {
				return "/users/" + w.user(entity{
					"mail": "max@example.org", "givenName": "Max", "surname": "Muster", "primaryRole": "student", "externalId": fresh("ext"),
					"accountEnabled": false, "identities": []any{entity{"issuer": "idp", "issuerAssignedId": "1"}},
					"passwordProfile": entity{"password": canary},
				})
			},
			"educationClass": func() string { return "/classes/" + w.class(entity{"description": "The best."}) },
		}
		for schema, create := range full {
			clearable := document().marked(schema, "x-clearable", func(value any) bool { return value == true })
			if len(clearable) == 0 {
				w.Errorf("the contract lets no property of %s be cleared", schema)
			}
			for _, name := range clearable {
				path := create()
				changed := w.patch(path, fmt.Sprintf(`{%q:null}`, name))
				if changed.status >= http.StatusBadRequest {
					w.Errorf("%s: %d %s", name, changed.status, changed.body)
				}
				got := w.get(path).want(http.StatusOK).entity()
				// OpenCloud's graph service shows the username for a surname that is not there.
				if value, there := got[name]; there && (name != "surname" || !w.compatible || value != got["onPremisesSamAccountName"]) {
					w.Errorf("%s is still %v", name, value)
				}
			}
			path := create()
			for name := range document().document.Components.Schemas[schema].Value.Properties {
				if !slices.Contains(clearable, name) && !strings.Contains(name, "@") {
					w.patch(path, fmt.Sprintf(`{%q:null}`, name), outside).wantError(http.StatusBadRequest, "invalidRequest")
				}
			}
		}
	})
}

// U17: the log held whole users with their passwords. The server of each test looks for secrets in its log; this one
// writes all that it can.
func TestU17NoSecretsInTheLog(t *testing.T) {
	t.Parallel()
	s := start(t, "EDUCATION_LOG_LEVEL=debug")
	const word = canary + " with blanks & <signs>"
	s.conceal("with blanks & <signs>")
	user := s.user(t, entity{"passwordProfile": entity{"password": word}})
	s.patch(t, "/users/"+user, entity{"passwordProfile": entity{"password": word + "!"}}).want(http.StatusOK)
	s.post(t, "/users", entity{"passwordProfile": entity{"password": word}}, outside).want(http.StatusBadRequest)
	s.post(t, "/users", `{"passwordProfile":{"password":"`+canary+`"}`, outside).want(http.StatusBadRequest)
	s.post(t, "/users", `{"passwordProfile":"`+canary+`"}`, outside).want(http.StatusBadRequest)
	s.get(t, "/users", header("Authorization", "Bearer "+s.token+canary)).want(http.StatusUnauthorized)
	s.get(t, "/users"+filtered("externalId eq 'somebody in particular'")).want(http.StatusOK)
	if err := s.dial(t).Bind(s.dn(t, userBase, user), canary+"-wrong"); err == nil {
		t.Error("a wrong password works")
	}
	if got := len(s.log.lines()); got < 8 {
		t.Errorf("the log has %d lines, so this shows nothing", got)
	}
}

// U18: lists had two forms, and three kinds of POST two statuses. By default there is one of each.
func TestU18OneFormForAll(t *testing.T) {
	t.Parallel()
	w := world{T: t, server: start(t)}
	created := map[string]entity{}
	for path, body := range map[string]entity{"/schools": aSchool(), "/users": aUser(), "/classes": aClass()} {
		made := w.post(path, body).want(http.StatusCreated)
		if want := "http://" + w.server.http + "/graph/v1.0/education" + path + "/" + made.id(); made.header.Get("Location") != want {
			t.Errorf("got Location: %q, want %q", made.header.Get("Location"), want)
		}
		created[path] = made.entity()
		w.patch(path+"/"+made.id(), entity{"displayName": fresh("New")}).want(http.StatusOK).entity()
	}
	lists := []string{"/schools", "/users", "/classes"}
	for path, navigations := range map[string][]string{
		"/schools": {"users", "classes"}, "/users": {"schools", "classes", "taughtClasses"}, "/classes": {"schools", "members", "teachers"},
	} {
		for _, navigation := range navigations {
			lists = append(lists, path+"/"+created[path].text("id")+"/"+navigation)
		}
	}
	for _, path := range lists {
		var body map[string]any
		w.get(path).want(http.StatusOK).decode(&body)
		if _, ok := body["value"].([]any); !ok || !strings.Contains(fmt.Sprint(body["@odata.context"]), "$metadata#education/") {
			t.Errorf("%s: got %v", path, body)
		}
	}
}

// U19: two schools could get one number, since it was looked up before it was written.
func TestU19UniqueUnderRace(t *testing.T) {
	modes(t, func(w world) {
		var wait sync.WaitGroup
		statuses := make([]int, 20)
		for i := range statuses {
			wait.Go(func() {
				statuses[i] = w.post("/schools", with(aSchool(), entity{"schoolNumber": "0042"})).status
			})
		}
		wait.Wait()
		slices.Sort(statuses)
		want := append([]int{http.StatusCreated}, slices.Repeat([]int{http.StatusConflict}, len(statuses)-1)...)
		if diff := cmp.Diff(want, statuses); diff != "" {
			w.Errorf("statuses (-want +got):\n%s", diff)
		}
		if got := w.get("/schools" + filtered("schoolNumber eq '0042'")).ids(); len(got) != 1 {
			w.Errorf("got %d schools with the number", len(got))
		}
	})
}
