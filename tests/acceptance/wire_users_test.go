package acceptance

import (
	"net/http"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// createUser posts a user with the given properties.
func createUser(properties entity, options ...option) func(w world) *answer {
	return func(w world) *answer { return w.post("/users", with(aUser(), properties), options...) }
}

// changeUser patches a new user.
func changeUser(properties any, options ...option) func(w world) *answer {
	return func(w world) *answer { return w.patch("/users/"+w.user(), properties, options...) }
}

// aboutProperty expects an error about the property.
func aboutProperty(name string) func(w world, a *answer) {
	return func(_ world, a *answer) { a.wantTarget(name) }
}

// showsValue expects a property in the answer, and again when the user is read.
func showsValue(name string, want any) func(w world, a *answer) {
	return func(w world, a *answer) {
		w.Helper()
		if diff := cmp.Diff(want, a.entity()[name]); diff != "" {
			w.Errorf("%s (-want +got):\n%s", name, diff)
		}
		w.wantValue("/users/"+a.id(), name, want)
	}
}

// userRows are about the operations on users.
func userRows() []row {
	// clash makes a user with a value, and posts another one with a value that is the same.
	clash := func(property, value, same string) func(w world) *answer {
		return func(w world) *answer {
			number := fresh("")
			w.user(entity{property: value + number})
			return w.post("/users", with(aUser(), entity{property: same + number}))
		}
	}
	return []row{
		{
			name:      "POST of a user",
			opencloud: status(200), standard: status(201).but("with `Location`"),
			difference: "the contract, and Graph",
			call:       createUser(nil),
			check: func(w world, a *answer) {
				if location := a.header.Get("Location"); !w.compatible && !strings.HasSuffix(location, "/graph/v1.0/education/users/"+a.id()) {
					w.Errorf("got Location: %q", location)
				}
			},
		},
		{
			name:      "POST of a user without `displayName`",
			opencloud: badRequest,
			call: func(w world) *answer {
				return w.post("/users", entity{"onPremisesSamAccountName": fresh("user")}, outside)
			},
			check: aboutProperty("displayName"),
		},
		{
			name:      "POST of a user without `onPremisesSamAccountName`",
			opencloud: badRequest,
			call:      func(w world) *answer { return w.post("/users", entity{"displayName": "Max"}, outside) },
			check:     aboutProperty("onPremisesSamAccountName"),
		},
		{
			name:      "POST of a user without both",
			opencloud: badRequest.but("about `displayName`"),
			call:      func(w world) *answer { return w.post("/users", entity{}, outside) },
			check:     aboutProperty("displayName"),
		},
		{
			name:      "POST of a user with an `id`",
			opencloud: badRequest,
			call:      createUser(entity{"id": unknown}, outside),
			check:     aboutProperty("id"),
		},
		{
			name:      "POST of a user with an `id` that is `null`",
			opencloud: success,
			call: func(w world) *answer {
				return w.post("/users", `{"id":null,"displayName":"Max","onPremisesSamAccountName":"`+fresh("user")+`"}`, outside)
			},
		},
		{
			name:      "POST of a user whose username is taken, in other case",
			opencloud: taken,
			call:      clash("onPremisesSamAccountName", "max", "MAX"),
			check:     aboutProperty("onPremisesSamAccountName"),
		},
		{
			name:      "POST of a user whose `mail` another one has",
			opencloud: success,
			call: func(w world) *answer {
				mail := entity{"mail": fresh("max") + "@example.org"}
				w.user(mail)
				return w.post("/users", with(aUser(), mail))
			},
		},
		{
			name:      "POST of a user whose `externalId` another one has",
			opencloud: success, compatible: taken,
			difference: "`$filter=externalId eq '…'` must find one person; it is unique in a school",
			call:       clash("externalId", "ext", "EXT"),
			check:      aboutProperty("externalId"),
		},
		{
			name:      "POST of a user whose `identities` another one has",
			opencloud: success,
			call: func(w world) *answer {
				identities := entity{"identities": []any{entity{"issuer": "https://idp.example.org", "issuerAssignedId": "1"}}}
				w.user(identities)
				return w.post("/users", with(aUser(), identities))
			},
		},
		{
			name:      "GET of a user by username, in other case",
			opencloud: status(200),
			call: func(w world) *answer {
				name := fresh("user")
				w.user(entity{"onPremisesSamAccountName": name})
				return w.get("/users/" + strings.ToUpper(name))
			},
		},
		{
			name:      "GET of a user by `externalId` as the key",
			opencloud: notFound,
			call: func(w world) *answer {
				id := fresh("ext")
				w.user(entity{"externalId": id})
				return w.get("/users/" + id)
			},
		},
		{name: "GET of a user who does not exist", opencloud: notFound, call: func(w world) *answer { return w.get("/users/" + unknown) }},
		{
			name:      "PATCH of a user",
			opencloud: status(200).but("the whole user"),
			call:      changeUser(entity{"givenName": "Max"}),
			check:     showsValue("givenName", "Max"),
		},
		{name: "PATCH of a user with nothing to change", opencloud: status(200), call: changeUser(entity{})},
		{
			name:      "PATCH of a user who does not exist",
			opencloud: notFound,
			call:      func(w world) *answer { return w.patch("/users/"+unknown, entity{"givenName": "Max"}) },
		},
		{
			name:      "PATCH of a user with the own `id`",
			opencloud: status(200),
			call: func(w world) *answer {
				id := w.user()
				return w.patch("/users/"+id, entity{"id": id}, outside)
			},
		},
		{
			name:      "PATCH of a user with another `id`",
			opencloud: refused(405, "notAllowed"), compatible: badRequest,
			difference: "405 is about methods; the fault is in the body",
			call:       changeUser(entity{"id": unknown}, outside),
			check:      aboutProperty("id"),
		},
		{name: "DELETE of a user", opencloud: status(204), call: func(w world) *answer { return w.remove("/users/" + w.user()) }},
		{
			name:      "DELETE of a user again",
			opencloud: notFound,
			call: func(w world) *answer {
				id := w.user()
				w.remove("/users/" + id).want(http.StatusNoContent)
				return w.remove("/users/" + id)
			},
		},
	}
}

// userPropertyRows are about the properties of users.
func userPropertyRows() []row {
	identity := entity{"issuer": "https://idp.example.org", "issuerAssignedId": "1"}
	withIdentity := entity{"identities": []any{map[string]any(identity)}}
	faulty := func(identities ...any) entity { return entity{"identities": identities} }
	ignored := func(name string, value any) row {
		return row{
			name:      "POST of a user with `" + name + "`",
			opencloud: success.but("and ignored"), compatible: badRequest,
			difference: "nothing that is sent is thrown away",
			call:       createUser(entity{name: value}, outside),
			check:      aboutProperty(name),
		}
	}
	return []row{
		{
			name:      "POST with an empty `displayName`",
			opencloud: broken, compatible: badRequest, difference: notOurFault,
			call: createUser(entity{"displayName": ""}, outside), check: aboutProperty("displayName"),
		},
		{
			name:      "POST with an empty `onPremisesSamAccountName`",
			opencloud: broken, compatible: badRequest, difference: notOurFault,
			call: createUser(entity{"onPremisesSamAccountName": ""}, outside), check: aboutProperty("onPremisesSamAccountName"),
		},
		{
			name:      "POST with an empty `externalId`",
			opencloud: broken, compatible: badRequest, difference: notOurFault,
			call: createUser(entity{"externalId": ""}, outside), check: aboutProperty("externalId"),
		},
		{
			name:      "POST with an empty `primaryRole`",
			opencloud: broken, compatible: badRequest, difference: notOurFault,
			call: createUser(entity{"primaryRole": ""}, outside), check: aboutProperty("primaryRole"),
		},
		{
			name:      "PATCH with an empty `displayName`",
			opencloud: status(200).but("nothing changes"), standard: badRequest, difference: emptyIsNull,
			call: changeUser(entity{"displayName": ""}),
		},
		{
			name:      "PATCH with an empty `onPremisesSamAccountName`",
			opencloud: status(200).but("nothing changes"), standard: badRequest, difference: emptyIsNull,
			call: changeUser(entity{"onPremisesSamAccountName": ""}),
		},
		{
			name:      "PATCH with an empty `externalId`, name or role",
			opencloud: status(200).but("nothing changes"), standard: badRequest, difference: emptyIsNull,
			call: changeUser(entity{"externalId": "", "givenName": "", "surname": "", "primaryRole": ""}),
		},
		{
			name:      "a username that is not the local part of an address",
			opencloud: badRequest,
			call:      createUser(entity{"onPremisesSamAccountName": "4711 max"}), check: aboutProperty("onPremisesSamAccountName"),
		},
		{
			name:      "any username, with `EDUCATION_USERNAME_MATCH=none`",
			opencloud: success,
			settings:  []string{"EDUCATION_USERNAME_MATCH=none"},
			call:      createUser(entity{"onPremisesSamAccountName": "4711 max"}), check: showsValue("onPremisesSamAccountName", "4711 max"),
		},
		{
			name:      "a username with a domain",
			opencloud: success,
			call: func(w world) *answer {
				return w.post("/users", with(aUser(), entity{"onPremisesSamAccountName": fresh("max") + "@example.org"}))
			},
		},
		{
			name:      "PATCH with another `onPremisesSamAccountName`",
			opencloud: status(200),
			call: func(w world) *answer {
				return w.patch("/users/"+w.user(), entity{"onPremisesSamAccountName": fresh("renamed")})
			},
			check: func(w world, a *answer) {
				w.get("/users/" + a.entity().text("onPremisesSamAccountName")).want(http.StatusOK)
			},
		},
		{
			name:      "PATCH with an `onPremisesSamAccountName` that is taken",
			opencloud: taken,
			call: func(w world) *answer {
				name := fresh("user")
				w.user(entity{"onPremisesSamAccountName": name})
				return w.patch("/users/"+w.user(), entity{"onPremisesSamAccountName": strings.ToUpper(name)})
			},
			check: aboutProperty("onPremisesSamAccountName"),
		},
		{name: "POST with a `mail`", opencloud: success, call: createUser(entity{"mail": "max@example.org"}), check: showsValue("mail", "max@example.org")},
		{name: "POST without a `mail`", opencloud: success, call: createUser(nil), check: showsValue("mail", nil)},
		{
			name:      "POST with a `mail` that is none",
			opencloud: badRequest,
			call:      createUser(entity{"mail": "max"}, outside), check: aboutProperty("mail"),
		},
		{
			name:      "POST with an empty `mail`",
			opencloud: badRequest,
			call:      createUser(entity{"mail": ""}, outside), check: aboutProperty("mail"),
		},
		{
			name:      "PATCH with a `mail` that is none",
			opencloud: badRequest,
			call:      changeUser(entity{"mail": "max"}, outside), check: aboutProperty("mail"),
		},
		{
			name:      "PATCH with an empty `mail`",
			opencloud: badRequest, compatible: status(200).but("nothing changes"), standard: badRequest,
			difference: "an empty string means the same for every property",
			call:       changeUser(entity{"mail": ""}, outside),
		},
		{name: "`givenName` and `surname`", opencloud: success, call: createUser(entity{"givenName": "Max", "surname": "Muster"}), check: showsValue("surname", "Muster")},
		{
			name:      "POST without a `surname`",
			opencloud: success.but("the username is returned for it"), standard: success.but("there is none"),
			difference: "a stand-in that LDAP asks for is no data",
			call:       createUser(nil),
			check: func(w world, a *answer) {
				var want any
				if w.compatible {
					want = a.entity()["onPremisesSamAccountName"]
				}
				w.wantValue("/users/"+a.id(), "surname", want)
			},
		},
		{name: "`userType` in any case", opencloud: success.but("as it was sent"), call: createUser(entity{"userType": "gUEST"}), check: showsValue("userType", "gUEST")},
		{name: "POST without a `userType`", opencloud: success.but("it is Member"), call: createUser(nil), check: showsValue("userType", "Member")},
		{name: "POST with a `userType` that is none", opencloud: badRequest, call: createUser(entity{"userType": "Teacher"}, outside), check: aboutProperty("userType")},
		{name: "PATCH with a `userType` that is none", opencloud: badRequest, call: changeUser(entity{"userType": "Teacher"}, outside), check: aboutProperty("userType")},
		{name: "`primaryRole` with any text", opencloud: success, call: createUser(entity{"primaryRole": "Schüler*in"}), check: showsValue("primaryRole", "Schüler*in")},
		{name: "POST without a `primaryRole`", opencloud: success, call: createUser(nil), check: showsValue("primaryRole", nil)},
		{
			name:      "`externalId`",
			opencloud: success,
			call:      createUser(entity{"externalId": "Ext-α"}), check: showsValue("externalId", "Ext-α"),
		},
		{name: "POST with `accountEnabled`", opencloud: success, call: createUser(entity{"accountEnabled": false}), check: showsValue("accountEnabled", false)},
		{name: "POST without `accountEnabled`", opencloud: success.but("it is not returned"), call: createUser(nil), check: showsValue("accountEnabled", nil)},
		{name: "PATCH with `accountEnabled`", opencloud: status(200), call: changeUser(entity{"accountEnabled": false}), check: showsValue("accountEnabled", false)},
		{
			name:      "`identities`",
			opencloud: success.but("never returned"), compatible: success.but("returned"),
			difference: "what is stored can be compared with what should be",
			call:       createUser(withIdentity), check: showsValue("identities", withIdentity["identities"]),
		},
		{
			name:      "PATCH with another array of `identities`",
			opencloud: status(200).but("it replaces the old one"),
			call: func(w world) *answer {
				return w.patch("/users/"+w.user(withIdentity), faulty(map[string]any{"issuer": "b", "issuerAssignedId": "2"}))
			},
			check: showsValue("identities", []any{map[string]any{"issuer": "b", "issuerAssignedId": "2"}}),
		},
		{
			name:      "PATCH with an empty array of `identities`",
			opencloud: status(200).but("they go"),
			call: func(w world) *answer {
				return w.patch("/users/"+w.user(withIdentity), entity{"identities": []any{}})
			},
			check: showsValue("identities", nil),
		},
		{
			name:      "PATCH with `identities` that are `null`",
			opencloud: status(200).but("nothing changes"), compatible: status(200).but("they go"),
			difference: "`null` clears every property",
			call:       func(w world) *answer { return w.patch("/users/"+w.user(withIdentity), `{"identities":null}`) },
			check:      showsValue("identities", nil),
		},
		{name: "POST with an identity without `issuer`", opencloud: badRequest, call: createUser(faulty(entity{"issuerAssignedId": "1"}), outside)},
		{name: "POST with an identity without `issuerAssignedId`", opencloud: badRequest, call: createUser(faulty(entity{"issuer": "i"}), outside)},
		{
			name:      "POST with an identity with an empty value",
			opencloud: broken, compatible: badRequest, difference: notOurFault,
			call: createUser(faulty(entity{"issuer": "i", "issuerAssignedId": ""}), outside),
		},
		{
			name:      "PATCH with an identity that lacks something",
			opencloud: broken, compatible: badRequest, difference: notOurFault,
			call: changeUser(faulty(entity{"issuer": "i"}), outside),
		},
		{
			name:      "the same identity twice in one array",
			opencloud: broken, compatible: badRequest, difference: notOurFault,
			call: changeUser(faulty(identity, identity)),
		},
		{
			name:      "POST with a `passwordProfile`",
			opencloud: success.but("the password is lost"), compatible: success.but("the password works"),
			difference: "a defect: the user cannot sign in",
			call:       createUser(entity{"passwordProfile": entity{"password": canary + "-posted"}}),
			check: func(w world, a *answer) {
				w.wantSignIn(a.id(), canary+"-posted", true)
			},
		},
		{
			name:      "PATCH with a `passwordProfile`",
			opencloud: status(200).but("the password works"),
			call: func(w world) *answer {
				id := w.user(entity{"passwordProfile": entity{"password": canary + "-old"}})
				return w.patch("/users/"+id, entity{"passwordProfile": entity{"password": canary + "-new"}})
			},
			check: func(w world, a *answer) {
				w.wantSignIn(a.id(), canary+"-new", true)
				w.wantSignIn(a.id(), canary+"-old", false)
			},
		},
		{
			name:      "`forceChangePasswordNextSignIn` that is true",
			opencloud: success.but("it has no effect"), standard: refused(501, "notSupported"),
			difference: "nothing here could force it",
			call: createUser(entity{"passwordProfile": entity{
				"password": canary + "-forced", "forceChangePasswordNextSignIn": true,
			}}),
		},
		ignored("memberOf", []any{}),
		ignored("drives", []any{}),
		ignored("drive", entity{}),
		{
			name:      "POST with `schools@odata.bind`",
			opencloud: badRequest, compatible: success.but("the user is in the school"),
			difference: "one write instead of two",
			call: func(w world) *answer {
				return w.post("/users", with(aUser(), entity{"schools@odata.bind": []any{"/schools/" + w.school()}}))
			},
			check: func(w world, a *answer) {
				if got := len(w.get("/users/" + a.id() + "/schools").ids()); got != 1 {
					w.Errorf("the user is in %d schools, want 1", got)
				}
			},
		},
	}
}
