package acceptance

import (
	"net/http"
	"strings"
)

// bodyRows are about how the body of a POST or PATCH is read.
func bodyRows() []row {
	const (
		clears    = "a value must be able to go; there is no other word for it"
		anyCase   = "property names count in any case everywhere"
		oneObject = "what follows would be lost without a word"
	)
	rejected := func(method, path string, body any) func(w world) *answer {
		return func(w world) *answer { return w.server.call(w, method, path, body, outside) }
	}
	return []row{
		{
			name:      "an unknown property of a new school",
			opencloud: badRequest,
			call:      func(w world) *answer { return w.post("/schools", with(aSchool(), entity{"foo": 1}), outside) },
			check:     func(_ world, a *answer) { a.wantTarget("foo") },
		},
		{
			name:      "an unknown property of a new user",
			opencloud: badRequest,
			call:      func(w world) *answer { return w.post("/users", with(aUser(), entity{"foo": 1}), outside) },
			check:     func(_ world, a *answer) { a.wantTarget("foo") },
		},
		{
			name:      "an unknown property of a new class",
			opencloud: badRequest,
			call:      func(w world) *answer { return w.post("/classes", with(aClass(), entity{"foo": 1}), outside) },
			check:     func(_ world, a *answer) { a.wantTarget("foo") },
		},
		{
			name:      "an unknown property in a PATCH",
			opencloud: badRequest,
			call:      func(w world) *answer { return w.patch("/users/"+w.user(), entity{"foo": 1}, outside) },
			check:     func(_ world, a *answer) { a.wantTarget("foo") },
		},
		{
			name:      "an unknown property inside another one",
			opencloud: badRequest,
			call: func(w world) *answer {
				identity := entity{"issuer": "i", "issuerAssignedId": "1", "foo": 1}
				return w.post("/users", with(aUser(), entity{"identities": []any{identity}}), outside)
			},
		},
		{name: "an empty body", opencloud: badRequest, call: rejected("POST", "/schools", "")},
		{name: "a body that breaks off", opencloud: badRequest, call: rejected("POST", "/schools", `{"displayName":"x"`)},
		{name: "a value of the wrong type", opencloud: badRequest, call: rejected("POST", "/schools", `{"displayName":1}`)},
		{name: "an array for an object", opencloud: badRequest, call: rejected("POST", "/schools", `[]`)},
		{
			name:      "text after the JSON value",
			opencloud: success, compatible: badRequest, difference: oneObject,
			call: func(w world) *answer {
				return w.post("/schools", `{"displayName":"`+fresh("School")+`"} {"displayName":"b"}`, outside)
			},
		},
		{
			name:      "names of a school's properties in another case",
			opencloud: status(201),
			call:      func(w world) *answer { return w.post("/schools", entity{"DISPLAYNAME": fresh("School")}, outside) },
		},
		{
			name:      "`onPremisesSAMAccountName`, as published examples spell it",
			opencloud: success,
			call: func(w world) *answer {
				return w.post("/users", entity{"displayName": "Max", "onPremisesSAMAccountName": fresh("user")})
			},
		},
		{
			name:      "names of a reference's property in another case",
			opencloud: status(204),
			call: func(w world) *answer {
				return w.post("/schools/"+w.school()+"/users/$ref", entity{"@ODATA.ID": "/users/" + w.user()}, outside)
			},
		},
		{
			name:      "names of a class's properties in another case",
			opencloud: badRequest, compatible: status(201), difference: anyCase,
			call: func(w world) *answer {
				return w.post("/classes", entity{"DisplayName": fresh("Class"), "CLASSIFICATION": "class", "externalId": fresh("class")}, outside)
			},
		},
		{
			name:      "`null` in a POST",
			opencloud: success.but("as if it was absent"),
			call: func(w world) *answer {
				return w.post("/users", `{"mail":null,"displayName":"Max","onPremisesSamAccountName":"`+fresh("user")+`"}`)
			},
			check: func(w world, a *answer) {
				if _, there := a.entity()["mail"]; there {
					w.Errorf("got %s", a.body)
				}
			},
		},
		{
			name:      "`null` in a PATCH, for a property that may be absent",
			opencloud: success.but("nothing changes"), compatible: success.but("the value goes"), difference: clears,
			call: func(w world) *answer {
				return w.patch("/users/"+w.user(entity{"mail": "max@example.org"}), `{"mail":null}`)
			},
			check: func(w world, a *answer) { w.wantValue("/users/"+a.id(), "mail", nil) },
		},
		{
			name:      "`null` in a PATCH, for a property that must be there",
			opencloud: success.but("nothing changes"), compatible: badRequest, difference: "it asks for what cannot be",
			call:  func(w world) *answer { return w.patch("/users/"+w.user(), `{"displayName":null}`, outside) },
			check: func(_ world, a *answer) { a.wantTarget("displayName") },
		},
		{
			name:      "`terminationDate` that is `null`, in a PATCH",
			opencloud: status(200).but("the value goes"),
			call: func(w world) *answer {
				id := w.school()
				w.patch("/schools/"+id, entity{"terminationDate": "2099-01-01T00:00:00Z"}).want(http.StatusOK)
				return w.patch("/schools/"+id, `{"terminationDate":null}`)
			},
			check: func(w world, a *answer) { w.wantValue("/schools/"+a.id(), "terminationDate", nil) },
		},
		{
			name:      "a date that is none",
			opencloud: badRequest,
			call: func(w world) *answer {
				return w.patch("/schools/"+w.school(), entity{"terminationDate": "tomorrow"}, outside)
			},
			check: func(_ world, a *answer) { a.wantTarget("terminationDate") },
		},
		{
			name:      "a date with an offset",
			opencloud: status(200).but("returned in UTC"),
			call: func(w world) *answer {
				return w.patch("/schools/"+w.school(), entity{"terminationDate": "2099-01-01T00:30:00+02:00"})
			},
			check: func(w world, a *answer) {
				if got, want := a.entity().text("terminationDate"), "2098-12-31T22:30:00Z"; got != want {
					w.Errorf("got %q, want %q", got, want)
				}
			},
		},
		{
			name:      "annotations that a client sends back",
			opencloud: badRequest, compatible: success,
			difference: "Graph's SDKs send them",
			call: func(w world) *answer {
				return w.post("/schools", with(aSchool(), entity{"@odata.type": "#microsoft.graph.educationSchool"}))
			},
		},
	}
}

// referenceRows are about the body of POST …/$ref.
func referenceRows() []row {
	const parsed = "OData has relative references and keys in parentheses (URL conventions, section 4.3)"
	// toUser adds a user to a school by a reference that is made from the user's id.
	toUser := func(prefix, suffix string) func(w world) *answer {
		return func(w world) *answer {
			return w.post("/schools/"+w.school()+"/users/$ref", ref(prefix+w.user()+suffix))
		}
	}
	toNothing := func(reference string) func(w world) *answer {
		return func(w world) *answer {
			return w.post("/schools/"+w.school()+"/users/$ref", ref(reference), outside)
		}
	}
	return []row{
		{
			name:      "an absolute URL on any host with any prefix",
			opencloud: status(204),
			call:      toUser("https://cloud.example.org/any/prefix/education/users/", ""),
		},
		{
			name:      "an absolute URL with a query and a fragment",
			opencloud: status(204),
			call:      toUser("https://cloud.example.org/users/", "?a=b#c"),
		},
		{name: "`/users/<id>`", opencloud: status(204), call: toUser("/users/", "")},
		{name: "`//users/<id>`", opencloud: status(204), call: toUser("//users/", "")},
		{
			name:      "percent-encoded characters in the id",
			opencloud: status(204),
			call: func(w world) *answer {
				id := strings.ReplaceAll(w.user(), "-", "%2D")
				return w.post("/schools/"+w.school()+"/users/$ref", ref("/users/"+id))
			},
		},
		{
			name:      "`users/<id>`",
			opencloud: badRequest, compatible: status(204), difference: parsed,
			call: toUser("users/", ""),
		},
		{
			name:      "`education/users/<id>`",
			opencloud: badRequest, compatible: status(204), difference: parsed,
			call: toUser("education/users/", ""),
		},
		{
			name:      "`/users('<id>')`",
			opencloud: badRequest, compatible: status(204), difference: parsed,
			call: toUser("/users('", "')"),
		},
		{name: "`x/y`", opencloud: badRequest, call: toNothing("x/y")},
		{name: "an empty reference", opencloud: badRequest, call: toNothing("")},
		{name: "a slash at the end", opencloud: badRequest, call: toUser("/users/", "/")},
		{name: "`/users`", opencloud: badRequest, call: toNothing("/users")},
		{name: "`/educationUsers/<id>`", opencloud: badRequest, call: toUser("/educationUsers/", "")},
		{
			name:      "a class where a user is wanted",
			opencloud: badRequest,
			call: func(w world) *answer {
				return w.post("/schools/"+w.school()+"/users/$ref", ref("/classes/"+w.class()))
			},
		},
		{
			name:      "a user where a class is wanted",
			opencloud: badRequest,
			call: func(w world) *answer {
				return w.post("/schools/"+w.school()+"/classes/$ref", ref("/users/"+w.user()))
			},
		},
		{
			name:      "a class where a member is wanted",
			opencloud: badRequest,
			call: func(w world) *answer {
				return w.post("/classes/"+w.class()+"/members/$ref", ref("/classes/"+w.class()))
			},
		},
		{
			name:      "a class where a teacher is wanted",
			opencloud: badRequest,
			call: func(w world) *answer {
				return w.post("/classes/"+w.class()+"/teachers/$ref", ref("/classes/"+w.class()))
			},
		},
		{
			name:      "no `@odata.id`",
			opencloud: badRequest,
			call:      func(w world) *answer { return w.post("/schools/"+w.school()+"/users/$ref", `{}`, outside) },
			check:     func(_ world, a *answer) { a.wantTarget("@odata.id") },
		},
		{
			name:      "another property beside `@odata.id`",
			opencloud: badRequest,
			call: func(w world) *answer {
				return w.post("/schools/"+w.school()+"/users/$ref", with(ref("/users/"+w.user()), entity{"foo": 1}), outside)
			},
		},
		{
			name:      "several references at once",
			opencloud: badRequest,
			call: func(w world) *answer {
				return w.post("/schools/"+w.school()+"/users/$ref", []any{ref("/users/" + w.user())}, outside)
			},
		},
		{
			name:      "a malformed reference to a school that does not exist",
			opencloud: badRequest.but("the reference is checked first"),
			call:      func(w world) *answer { return w.post("/schools/"+unknown+"/users/$ref", ref("/users"), outside) },
		},
	}
}
