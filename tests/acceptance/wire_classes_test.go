package acceptance

import (
	"net/http"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// changeClass patches a new class.
func changeClass(properties any, options ...option) func(w world) *answer {
	return func(w world) *answer { return w.patch("/classes/"+w.class(), properties, options...) }
}

// asScriptsDo returns the body of a PATCH of a class. In compatibility mode it has what OpenCloud's graph service demands
// of such a body: a name and a classification, which are empty if they shall stay.
func (w world) asScriptsDo(properties entity) entity {
	if !w.compatible {
		return properties
	}
	return with(entity{"displayName": "", "classification": ""}, properties)
}

// classRows are about the operations on classes.
func classRows() []row {
	// clash posts a class whose externalId, in capitals, is that of one that has been made before.
	clash := func(create func(w world, externalID string)) func(w world) *answer {
		return func(w world) *answer {
			externalID := fresh("class")
			create(w, externalID)
			return w.post("/classes", with(aClass(), entity{"externalId": strings.ToUpper(externalID)}))
		}
	}
	inSchool := func(w world, externalID string) {
		w.post("/schools/"+w.school()+"/classes", with(aClass(), entity{"externalId": externalID})).want(http.StatusCreated)
	}
	return []row{
		{
			name:      "POST of a class",
			opencloud: status(201),
			call: func(w world) *answer {
				return w.post("/classes", with(aClass(), entity{"externalId": fresh("class")}))
			},
		},
		{
			name:      "POST of a class whose `externalId` is taken, in other case",
			opencloud: taken,
			call:      clash(func(w world, externalID string) { w.class(entity{"externalId": externalID}) }),
			check:     aboutProperty("externalId"),
		},
		{
			name:      "POST of a class outside any school, whose `externalId` a class of a school has",
			opencloud: taken,
			call:      clash(inSchool),
			check:     aboutProperty("externalId"),
		},
		{
			name:      "a class of one school gets the `externalId` that a class of another school has",
			opencloud: taken, standard: status(201),
			difference: "every school has a 5a",
			call: func(w world) *answer {
				externalID := fresh("class")
				inSchool(w, externalID)
				return w.post("/schools/"+w.school()+"/classes", with(aClass(), entity{"externalId": externalID}))
			},
		},
		{
			name:       "the properties of a class",
			opencloud:  status(200).but("`id`, `displayName`, `classification`, `externalId`"),
			compatible: status(200).but("those and `description`"),
			standard:   status(200).but("those and `description`, `createdDateTime`, `lastModifiedDateTime`"),
			difference: "what is stored is returned, except what OpenCloud's Go client fails on",
			call: func(w world) *answer {
				return w.get("/classes/" + w.class(entity{"description": "The best."}))
			},
			check: func(w world, a *answer) {
				got := a.entity()
				names := []string{"id", "displayName", "classification", "externalId", "description"}
				if !w.compatible {
					names = append(names, "createdDateTime", "lastModifiedDateTime")
				}
				for _, name := range names {
					if got.text(name) == "" {
						w.Errorf("%s is missing", name)
					}
					delete(got, name)
				}
				if len(got) > 0 {
					w.Errorf("got also %v", got)
				}
			},
		},
		{
			name:      "GET of a class by `externalId`, in other case",
			opencloud: status(200),
			call: func(w world) *answer {
				externalID := fresh("class")
				w.class(entity{"externalId": externalID})
				return w.get("/classes/" + strings.ToUpper(externalID))
			},
		},
		{name: "GET of a class that does not exist", opencloud: notFound, call: func(w world) *answer { return w.get("/classes/" + unknown) }},
		{
			name:      "PATCH of a class",
			opencloud: status(204), standard: status(200).but("the whole class"),
			difference: "the contract, and as for schools and users",
			call: func(w world) *answer {
				return w.patch("/classes/"+w.class(), w.asScriptsDo(entity{"displayName": "6a"}))
			},
		},
		{
			name:      "PATCH of a class with nothing to change",
			opencloud: status(204), standard: status(200).but("the whole class"),
			difference: "the contract, and as for schools and users",
			call: func(w world) *answer {
				return w.patch("/classes/"+w.class(), w.asScriptsDo(entity{}))
			},
		},
		{
			name:      "PATCH of a class that does not exist",
			opencloud: badRequest, compatible: notFound, difference: "what is not there is 404 everywhere",
			call: func(w world) *answer { return w.patch("/classes/"+unknown, entity{"displayName": "6a"}) },
		},
		{
			name:      "PATCH of a class by `externalId` as the key",
			opencloud: badRequest, compatible: success, difference: "a key is a key for every operation",
			call: func(w world) *answer {
				externalID := fresh("class")
				w.class(entity{"externalId": externalID})
				return w.patch("/classes/"+externalID, entity{"displayName": "6a"})
			},
		},
		{name: "DELETE of a class", opencloud: status(204), call: func(w world) *answer { return w.remove("/classes/" + w.class()) }},
		{
			name:      "DELETE of a class by `externalId`",
			opencloud: status(204),
			call: func(w world) *answer {
				externalID := fresh("class")
				w.class(entity{"externalId": externalID})
				return w.remove("/classes/" + externalID)
			},
		},
		{name: "DELETE of a class that does not exist", opencloud: notFound, call: func(w world) *answer { return w.remove("/classes/" + unknown) }},
	}
}

// classPropertyRows are about the properties of classes and the references in their bodies.
func classPropertyRows() []row {
	const (
		changeable = "what can be set can be changed"
		needless   = "a PATCH names what changes and nothing else"
	)
	create := func(properties entity, options ...option) func(w world) *answer {
		return func(w world) *answer {
			return w.post("/classes", with(with(aClass(), entity{"externalId": fresh("class")}), properties), options...)
		}
	}
	// changed patches a new class and expects the value afterwards.
	changed := func(name string, value any) func(w world) *answer {
		return func(w world) *answer {
			id := w.class()
			answer := w.patch("/classes/"+id, entity{name: value})
			w.wantValue("/classes/"+id, name, value)
			return answer
		}
	}
	// bind patches a class with references to so many new users.
	bind := func(count int) func(w world) *answer {
		return func(w world) *answer {
			id, users := w.class(), make([]string, count)
			references := make([]any, count)
			for i := range count {
				users[i] = w.user()
				references[i] = "https://cloud.example.org/graph/v1.0/education/users/" + users[i]
			}
			answer := w.patch("/classes/"+id, entity{"members@odata.bind": references})
			w.wantIDs("/classes/"+id+"/members", users...)
			return answer
		}
	}
	return []row{
		{name: "POST of a class with an `id`", opencloud: badRequest, call: create(entity{"id": unknown}, outside), check: aboutProperty("id")},
		{
			name:      "PATCH of a class with another `id`",
			opencloud: badRequest,
			call:      changeClass(entity{"id": unknown}, outside), check: aboutProperty("id"),
		},
		{
			name:      "PATCH of a class with its own `id`",
			opencloud: success,
			call: func(w world) *answer {
				id := w.class()
				return w.patch("/classes/"+id, entity{"id": id}, outside)
			},
		},
		{
			name:      "POST of a class without `displayName`",
			opencloud: badRequest,
			call: func(w world) *answer {
				return w.post("/classes", entity{"classification": "class", "externalId": fresh("class")}, outside)
			},
			check: aboutProperty("displayName"),
		},
		{
			name:      "POST of a class with an empty `displayName`",
			opencloud: broken, compatible: badRequest, difference: notOurFault,
			call: create(entity{"displayName": ""}, outside), check: aboutProperty("displayName"),
		},
		{
			name:      "PATCH of a class without `displayName`",
			opencloud: badRequest, compatible: success, difference: needless,
			call: changed("externalId", "class-without-name"),
		},
		{
			name:      "PATCH of a class with an empty `displayName`",
			opencloud: success.but("nothing changes"), standard: badRequest, difference: emptyIsNull,
			call: changeClass(entity{"displayName": ""}),
		},
		{
			name:      "POST of a class without `classification`",
			opencloud: badRequest,
			call: func(w world) *answer {
				return w.post("/classes", entity{"displayName": "5a", "externalId": fresh("class")}, outside)
			},
			check: aboutProperty("classification"),
		},
		{
			name:      "POST of a class with any `classification`",
			opencloud: status(201),
			call:      create(entity{"classification": "Arbeitsgemeinschaft"}),
			check:     func(w world, a *answer) { w.wantValue("/classes/"+a.id(), "classification", "Arbeitsgemeinschaft") },
		},
		{
			name:      "POST of a class with an empty `classification`",
			opencloud: broken, compatible: badRequest, difference: notOurFault,
			call: create(entity{"classification": ""}, outside), check: aboutProperty("classification"),
		},
		{
			name:      "PATCH of a class with an empty `classification`",
			opencloud: success.but("nothing changes"), standard: badRequest, difference: emptyIsNull,
			call: changeClass(entity{"classification": ""}),
		},
		{
			name:      "PATCH of a class with another `classification`",
			opencloud: badRequest, compatible: success, difference: changeable,
			call: changed("classification", "course"),
		},
		{
			name:      "POST of a class without `externalId`",
			opencloud: broken, compatible: status(201), difference: "not every system has an id for a class",
			call: func(w world) *answer { return w.post("/classes", aClass()) },
		},
		{
			name:      "PATCH of a class with another `externalId`",
			opencloud: success,
			call: func(w world) *answer {
				id, externalID := w.class(), fresh("class")
				answer := w.patch("/classes/"+id, w.asScriptsDo(entity{"externalId": externalID}))
				w.wantValue("/classes/"+externalID, "id", id)
				return answer
			},
		},
		{
			name:      "PATCH of a class with an `externalId` that holds a comma",
			opencloud: badRequest, compatible: success, difference: "it is a text like every other",
			call: changed("externalId", "5a,ou=tenants"),
		},
		{
			name:      "PATCH of a class with an `externalId` that is taken",
			opencloud: refused(400, "invalidRequest"), compatible: taken, difference: "a taken value is 409 everywhere",
			call: func(w world) *answer {
				externalID := fresh("class")
				w.class(entity{"externalId": externalID})
				return w.patch("/classes/"+w.class(), entity{"externalId": strings.ToUpper(externalID)})
			},
			check: aboutProperty("externalId"),
		},
		{
			name:      "POST of a class with a `description`",
			opencloud: status(201).but("it is lost"), compatible: status(201).but("it is kept"),
			difference: "nothing that is sent is thrown away",
			call:       create(entity{"description": "Two\nlines."}),
			check:      func(w world, a *answer) { w.wantValue("/classes/"+a.id(), "description", "Two\nlines.") },
		},
		{
			name:      "PATCH of a class with a `description`",
			opencloud: badRequest, compatible: success, difference: changeable,
			call: changed("description", "Another one."),
		},
		{
			name:      "POST of a class with `members`",
			opencloud: status(201).but("they are lost"), compatible: badRequest,
			difference: "nothing that is sent is thrown away",
			call:       create(entity{"members": []any{}}, outside), check: aboutProperty("members"),
		},
		{
			name:      "PATCH of a class with `members`",
			opencloud: success.but("nothing changes"), compatible: badRequest, difference: nothingHidden,
			call: changeClass(entity{"members": []any{}}, outside), check: aboutProperty("members"),
		},
		{
			name:      "POST of a class with `members@odata.bind`",
			opencloud: status(201).but("they are lost"), compatible: status(201).but("with the members"),
			difference: "nothing that is sent is thrown away",
			call: func(w world) *answer {
				user := w.user()
				made := w.post("/classes", with(aClass(), entity{"members@odata.bind": []any{"/users/" + user}})).want(http.StatusCreated)
				w.wantIDs("/classes/"+made.id()+"/members", user)
				return made
			},
		},
		{
			name:      "PATCH of a class with 3 references in `members@odata.bind`",
			opencloud: success.but("if `displayName` and `classification` are there too"), compatible: success,
			difference: needless,
			call:       bind(3),
		},
		{
			name:      "PATCH of a class with 21 references in `members@odata.bind`",
			opencloud: badRequest.but("properties are changed all the same"), compatible: success,
			difference: "the limit is 1000",
			call:       bind(21),
		},
		{
			name:      "PATCH of a class with 1001 references in `members@odata.bind`",
			opencloud: badRequest.but("properties are changed all the same"), compatible: badRequest.but("nothing changes"),
			difference: oneWrite,
			call: func(w world) *answer {
				id := w.class(entity{"displayName": "old"})
				answer := w.patch("/classes/"+id, entity{
					"displayName": "new", "members@odata.bind": strings.Split(strings.Repeat("/users/max ", 1001), " ")[:1001],
				}, outside)
				w.wantValue("/classes/"+id, "displayName", "old")
				return answer
			},
			check: aboutProperty("members@odata.bind"),
		},
		{
			name:      "PATCH of a class with a malformed reference",
			opencloud: badRequest,
			call:      changeClass(entity{"members@odata.bind": []any{"/users"}}, outside), check: aboutProperty("members@odata.bind"),
		},
		{
			name:      "PATCH of a class with a reference to no user",
			opencloud: badRequest,
			call:      changeClass(entity{"members@odata.bind": []any{"/classes/5a"}}), check: aboutProperty("members@odata.bind"),
		},
		{
			name:      "PATCH of a class with a reference to a user who does not exist",
			opencloud: notFound,
			call:      changeClass(entity{"members@odata.bind": []any{"/users/" + unknown}}),
		},
		{
			name:      "PATCH of a class with the same reference twice",
			opencloud: broken, compatible: success.but("once a member"), difference: "it is clear what is meant",
			call: func(w world) *answer {
				id, user := w.class(), w.user()
				answer := w.patch("/classes/"+id, entity{"members@odata.bind": []any{"/users/" + user, "/users/" + user}})
				w.wantIDs("/classes/"+id+"/members", user)
				return answer
			},
		},
		{
			name:      "PATCH of a class with `@members@odata.bind`",
			opencloud: badRequest,
			call:      changeClass(entity{"@members@odata.bind": []any{}}, outside),
		},
	}
}

// classLinkRows are about the members and the teachers of a class.
func classLinkRows() []row {
	var rows []row
	for _, kind := range []string{"member", "teacher"} {
		collection := func(class string) string { return "/classes/" + class + "/" + kind + "s" }
		rows = append(rows, []row{
			{
				name:      "a user is made a " + kind,
				opencloud: status(204),
				call: func(w world) *answer {
					class, user := w.class(), w.user()
					added := w.post(collection(class)+"/$ref", ref("/users/"+user))
					w.wantIDs(collection(class), user)
					return added
				},
			},
			{
				name:      "a user is made a " + kind + " again",
				opencloud: status(204),
				call: func(w world) *answer {
					class, user := w.class(), w.user()
					w.link(collection(class), "/users/"+user)
					added := w.post(collection(class)+"/$ref", ref("/users/"+user))
					w.wantIDs(collection(class), user)
					return added
				},
			},
			{
				name:      "a user is made a " + kind + " of a class that does not exist",
				opencloud: notFound,
				call:      func(w world) *answer { return w.post(collection(unknown)+"/$ref", ref("/users/"+w.user())) },
			},
			{
				name:      "a user who does not exist is made a " + kind,
				opencloud: notFound,
				call:      func(w world) *answer { return w.post(collection(w.class())+"/$ref", ref("/users/"+unknown)) },
			},
			{
				name:      "a " + kind + " is removed",
				opencloud: status(204),
				call: func(w world) *answer {
					class, user := w.class(), w.user()
					w.link(collection(class), "/users/"+user)
					removed := w.remove(collection(class) + "/" + user + "/$ref")
					w.wantIDs(collection(class))
					return removed
				},
			},
			{
				name:      "a user who is no " + kind + " is removed",
				opencloud: notFound,
				call:      func(w world) *answer { return w.remove(collection(w.class()) + "/" + w.user() + "/$ref") },
			},
			{
				name:      "a user who does not exist is removed from the " + kind + "s",
				opencloud: notFound,
				call:      func(w world) *answer { return w.remove(collection(w.class()) + "/" + unknown + "/$ref") },
			},
			{
				name:      "a " + kind + " of a class that does not exist is removed",
				opencloud: notFound,
				call:      func(w world) *answer { return w.remove(collection(unknown) + "/" + w.user() + "/$ref") },
			},
			{
				name:      "the properties of a " + kind,
				opencloud: status(200).but("without `externalId` and `primaryRole`"), compatible: status(200).but("all"),
				difference: "a user is the same everywhere",
				call: func(w world) *answer {
					class, user := w.class(), w.user(entity{"externalId": fresh("ext"), "primaryRole": "student"})
					w.link(collection(class), "/users/"+user)
					listed := w.get(collection(class))
					want := w.get("/users/" + user).entity()
					if diff := cmp.Diff([]entity{want}, listed.list()); diff != "" {
						w.Errorf("the listed user differs from the user (-want +got):\n%s", diff)
					}
					return listed
				},
			},
		}...)
	}
	return append(rows, []row{
		{
			name:      "a member is added to a class that is named by its `externalId`",
			opencloud: notFound, compatible: status(204), difference: "a key is a key for every operation",
			call: func(w world) *answer {
				externalID := fresh("class")
				w.class(entity{"externalId": externalID})
				return w.post("/classes/"+externalID+"/members/$ref", ref("/users/"+w.user()))
			},
		},
		{
			name:      "a member is added to a class that is named by its `displayName`",
			opencloud: status(204), compatible: notFound, difference: "many classes may have one name",
			call: func(w world) *answer {
				name := fresh("Class")
				w.class(entity{"displayName": name})
				return w.post("/classes/"+name+"/members/$ref", ref("/users/"+w.user()))
			},
		},
		{
			name:      "a member is added by username",
			opencloud: notFound, compatible: status(204), difference: "a key is a key for every operation",
			call: func(w world) *answer {
				name := fresh("user")
				w.user(entity{"onPremisesSamAccountName": name})
				return w.post("/classes/"+w.class()+"/members/$ref", ref("/users/"+name))
			},
		},
	}...)
}
