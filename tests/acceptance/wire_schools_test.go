package acceptance

import (
	"net/http"
	"strings"
	"time"
)

// Reasons that rows of several sets have in common.
const (
	notOurFault   = "a value that cannot be stored is the request's fault, and named"
	oneWrite      = "a request is carried out as a whole"
	nothingHidden = "a change that is not made must not look made"
	emptyIsNull   = "`null` clears a property; an empty string is a mistake. OpenCloud's scripts send it for \"keep\""
)

// schoolRows are about schools themselves.
func schoolRows() []row {
	// create posts a school with the given properties.
	create := func(properties entity, options ...option) func(w world) *answer {
		return func(w world) *answer { return w.post("/schools", with(aSchool(), properties), options...) }
	}
	// change patches a new school.
	change := func(properties any, options ...option) func(w world) *answer {
		return func(w world) *answer { return w.patch("/schools/"+w.school(), properties, options...) }
	}
	// clash makes a school with a property, and posts another one with the same value in capitals.
	clash := func(property string) func(w world) *answer {
		return func(w world) *answer {
			value := fresh("Value")
			w.school(entity{property: value})
			return w.post("/schools", with(aSchool(), entity{property: strings.ToUpper(value)}))
		}
	}
	past := entity{"terminationDate": "2020-01-01T00:00:00Z"}
	return []row{
		{
			name:      "POST of a school with a name alone",
			opencloud: status(201),
			call:      create(nil),
			check: func(w world, a *answer) {
				if location := a.header.Get("Location"); !w.compatible && !strings.HasSuffix(location, "/graph/v1.0/education/schools/"+a.id()) {
					w.Errorf("got Location: %q", location)
				}
			},
		},
		{
			name:      "POST of a school with a number and an `externalId`",
			opencloud: status(201),
			call: func(w world) *answer {
				return w.post("/schools", with(aSchool(), entity{"schoolNumber": fresh("0042"), "externalId": fresh("ext")}))
			},
			check: func(w world, a *answer) {
				made := a.entity()
				w.wantValue("/schools/"+a.id(), "schoolNumber", made["schoolNumber"])
				w.wantValue("/schools/"+made.text("schoolNumber"), "externalId", made["externalId"])
			},
		},
		{
			name:      "POST of a school with an `id` that is a UUID",
			opencloud: badRequest, compatible: status(201).but("with that id"),
			difference: "the customer may choose the id of a tenant",
			call:       create(entity{"id": "5dd7a5e6-0f1c-4c53-9f67-000000000001"}),
			check: func(w world, a *answer) {
				if got := a.id(); got != "5dd7a5e6-0f1c-4c53-9f67-000000000001" {
					w.Errorf("got the id %s", got)
				}
			},
		},
		{name: "POST of a school with an `id` that is no UUID", opencloud: badRequest, call: create(entity{"id": "north"}, outside)},
		{
			name:      "POST of a school with an `id` that is `null`",
			opencloud: status(201),
			call: func(w world) *answer {
				return w.post("/schools", `{"id":null,"displayName":"`+fresh("School")+`"}`, outside)
			},
		},
		{
			name:      "POST of a school without `displayName`",
			opencloud: badRequest,
			call:      func(w world) *answer { return w.post("/schools", `{}`, outside) },
			check:     func(_ world, a *answer) { a.wantTarget("displayName") },
		},
		{
			name:      "POST of a school that is `null`",
			opencloud: badRequest,
			call:      func(w world) *answer { return w.post("/schools", `null`, outside) },
		},
		{
			name:      "POST of a school whose name is taken, in other case",
			opencloud: taken,
			call:      clash("displayName"),
			check:     func(_ world, a *answer) { a.wantTarget("displayName") },
		},
		{
			name:      "POST of a school whose number is taken",
			opencloud: taken,
			call:      clash("schoolNumber"),
			check:     func(_ world, a *answer) { a.wantTarget("schoolNumber") },
		},
		{
			name:      "POST of a school whose `externalId` is taken",
			opencloud: status(201), compatible: taken,
			difference: "OpenCloud finds no tenant by an id that two have",
			call:       clash("externalId"),
			check:      func(_ world, a *answer) { a.wantTarget("externalId") },
		},
		{
			name:      "POST of a school with an empty `displayName`",
			opencloud: broken, compatible: badRequest, difference: notOurFault,
			call:  create(entity{"displayName": ""}, outside),
			check: func(_ world, a *answer) { a.wantTarget("displayName") },
		},
		{
			name:      "POST of a school with an empty `schoolNumber`",
			opencloud: broken, compatible: badRequest, difference: notOurFault,
			call:  create(entity{"schoolNumber": ""}, outside),
			check: func(_ world, a *answer) { a.wantTarget("schoolNumber") },
		},
		{
			name:      "POST of a school with a `terminationDate` ahead",
			opencloud: status(200).but("nothing is created"), compatible: status(201),
			difference: "a defect that loses a school",
			call:       create(entity{"terminationDate": "2099-01-01T00:00:00Z"}),
			check: func(w world, a *answer) {
				w.wantValue("/schools/"+a.id(), "terminationDate", "2099-01-01T00:00:00Z")
			},
		},
		{name: "POST of a school with a `terminationDate` in the past", opencloud: badRequest, call: create(past)},
		{
			name:      "POST of a school with a `terminationDate` that is `null`",
			opencloud: status(201),
			call: func(w world) *answer {
				return w.post("/schools", `{"terminationDate":null,"displayName":"`+fresh("School")+`"}`)
			},
		},
		{
			name:      "GET of a school by its number, in other case",
			opencloud: status(200),
			call: func(w world) *answer {
				number := fresh("nr")
				w.school(entity{"schoolNumber": number})
				return w.get("/schools/" + strings.ToUpper(number))
			},
		},
		{
			name:      "GET of a school by its id, in other case",
			opencloud: status(200),
			call:      func(w world) *answer { return w.get("/schools/" + strings.ToUpper(w.school())) },
		},
		{
			name:      "GET of a school by its `externalId` as the key",
			opencloud: notFound,
			call: func(w world) *answer {
				id := fresh("ext")
				w.school(entity{"externalId": id})
				return w.get("/schools/" + id)
			},
		},
		{name: "GET of a school that does not exist", opencloud: notFound, call: func(w world) *answer { return w.get("/schools/" + unknown) }},
		{
			name:      "PATCH of a school",
			opencloud: status(200).but("the whole school"),
			call: func(w world) *answer {
				return w.patch("/schools/"+w.school(entity{"externalId": fresh("ext")}), entity{"schoolNumber": fresh("nr")})
			},
			check: func(w world, a *answer) {
				for _, name := range []string{"displayName", "schoolNumber", "externalId"} {
					if a.entity().text(name) == "" {
						w.Errorf("%s is missing: %s", name, a.body)
					}
				}
			},
		},
		{name: "PATCH of a school with nothing to change", opencloud: status(200), call: change(entity{})},
		{
			name:      "PATCH of a school that does not exist",
			opencloud: notFound,
			call:      func(w world) *answer { return w.patch("/schools/"+unknown, entity{"displayName": "x"}) },
		},
		{
			name:      "PATCH of a school with a new name and a new number",
			opencloud: broken, compatible: status(200), difference: oneWrite,
			call: func(w world) *answer {
				return w.patch("/schools/"+w.school(), entity{"displayName": fresh("School"), "schoolNumber": fresh("nr")})
			},
		},
		{
			name:      "PATCH of a school with a new number and a date",
			opencloud: status(200),
			call: func(w world) *answer {
				return w.patch("/schools/"+w.school(), entity{"schoolNumber": fresh("nr"), "terminationDate": "2099-01-01T00:00:00Z"})
			},
			check: func(w world, a *answer) {
				w.wantValue("/schools/"+a.id(), "terminationDate", "2099-01-01T00:00:00Z")
			},
		},
		{
			name:      "PATCH of a school with its own number and a date",
			opencloud: status(200).but("the date is lost"), compatible: status(200).but("with the date"), difference: oneWrite,
			call: func(w world) *answer {
				number := fresh("nr")
				return w.patch("/schools/"+w.school(entity{"schoolNumber": number}),
					entity{"schoolNumber": number, "terminationDate": "2099-01-01T00:00:00Z"})
			},
			check: func(w world, a *answer) {
				w.wantValue("/schools/"+a.id(), "terminationDate", "2099-01-01T00:00:00Z")
			},
		},
		{
			name:      "PATCH of a school with a name that is taken",
			opencloud: taken,
			call: func(w world) *answer {
				name := fresh("School")
				w.school(entity{"displayName": name})
				return w.patch("/schools/"+w.school(), entity{"displayName": strings.ToLower(name)})
			},
			check: func(_ world, a *answer) { a.wantTarget("displayName") },
		},
		{
			name:      "PATCH of a school with a number that is taken",
			opencloud: taken,
			call: func(w world) *answer {
				number := fresh("nr")
				w.school(entity{"schoolNumber": number})
				return w.patch("/schools/"+w.school(), entity{"schoolNumber": number})
			},
			check: func(_ world, a *answer) { a.wantTarget("schoolNumber") },
		},
		{name: "PATCH of a school with a date in the past", opencloud: badRequest, call: change(past)},
		{
			name:      "PATCH of a school with a date inside the grace period",
			opencloud: badRequest,
			settings:  []string{"EDUCATION_SCHOOL_TERMINATION_MIN_GRACE_DAYS=7"},
			call: func(w world) *answer {
				id := w.school()
				w.patch("/schools/"+id, entity{"terminationDate": date(8 * 24 * time.Hour)}).want(http.StatusOK)
				return w.patch("/schools/"+id, entity{"terminationDate": date(6 * 24 * time.Hour)})
			},
			check: func(_ world, a *answer) { a.wantTarget("terminationDate") },
		},
		{
			name:      "PATCH of a school with its own `id`",
			opencloud: status(200),
			call: func(w world) *answer {
				id := w.school()
				return w.patch("/schools/"+id, entity{"id": id})
			},
		},
		{
			name:      "PATCH of a school with another `id`",
			opencloud: status(200).but("nothing changes"), compatible: badRequest, difference: nothingHidden,
			call:  change(entity{"id": unknown}),
			check: func(_ world, a *answer) { a.wantTarget("id") },
		},
		{
			name:      "PATCH of a school with another `externalId`",
			opencloud: status(200).but("nothing changes"), compatible: status(200).but("with the new one"), difference: nothingHidden,
			call: func(w world) *answer {
				return w.patch("/schools/"+w.school(entity{"externalId": fresh("ext")}), entity{"externalId": fresh("ext")})
			},
			check: func(w world, a *answer) { w.wantValue("/schools/"+a.id(), "externalId", a.entity()["externalId"]) },
		},
		{
			name:      "PATCH of a school with an empty string",
			opencloud: status(200).but("nothing changes"), standard: badRequest, difference: emptyIsNull,
			call: change(entity{"displayName": "", "schoolNumber": ""}),
		},
	}
}

// schoolDeletionRows are about the end of schools.
func schoolDeletionRows() []row {
	return []row{
		{
			name:      "DELETE of a school without a `terminationDate`",
			opencloud: tooEarly,
			call:      func(w world) *answer { return w.remove("/schools/" + w.school()) },
		},
		{
			name:      "DELETE of a school before its `terminationDate`",
			opencloud: tooEarly,
			call: func(w world) *answer {
				return w.remove("/schools/" + w.school(entity{"terminationDate": "2099-01-01T00:00:00Z"}))
			},
			check: func(w world, a *answer) {
				if got := strings.Join(a.header.Values("Allow"), ", "); strings.Contains(got, "DELETE") || got == "" {
					w.Errorf("got Allow: %q", got)
				}
			},
		},
		{
			name:      "DELETE of a school after its `terminationDate`",
			opencloud: status(204).but("its classes keep a reference to it"), compatible: status(204).but("its users and classes leave it"),
			difference: "a reference to what is gone helps nobody",
			call: func(w world) *answer {
				id, user, class := w.school(), w.user(), w.class()
				w.link("/schools/"+id+"/users", "/users/"+user)
				w.link("/schools/"+id+"/classes", "/classes/"+class)
				w.terminate(id)
				deleted := w.remove("/schools/" + id)
				w.wantIDs("/users/" + user + "/schools")
				w.wantIDs("/classes/" + class + "/schools")
				w.get("/schools/"+id).wantError(http.StatusNotFound, "itemNotFound")
				return deleted
			},
		},
		{name: "DELETE of a school that does not exist", opencloud: notFound, call: func(w world) *answer { return w.remove("/schools/" + unknown) }},
		{
			name:      "DELETE of a school by its number",
			opencloud: status(204),
			call: func(w world) *answer {
				number := fresh("nr")
				w.terminated(entity{"schoolNumber": number})
				return w.remove("/schools/" + number)
			},
		},
	}
}

// schoolLinkRows are about the users and the classes of a school.
func schoolLinkRows() []row {
	const gone = "who removes what is not there has made a mistake"
	return []row{
		{
			name:      "a user is put into a school",
			opencloud: status(204),
			call: func(w world) *answer {
				school, user := w.school(), w.user()
				added := w.post("/schools/"+school+"/users/$ref", ref("/users/"+user))
				w.wantIDs("/schools/"+school+"/users", user)
				return added
			},
		},
		{
			name:      "a user is put into a school by number and username",
			opencloud: status(204),
			call: func(w world) *answer {
				number, name := fresh("nr"), fresh("user")
				w.school(entity{"schoolNumber": number})
				w.user(entity{"onPremisesSamAccountName": name})
				return w.post("/schools/"+number+"/users/$ref", ref("/users/"+strings.ToUpper(name)))
			},
		},
		{
			name:      "a user is put into a school again",
			opencloud: status(204),
			call: func(w world) *answer {
				school, user := w.school(), w.user()
				w.link("/schools/"+school+"/users", "/users/"+user)
				return w.post("/schools/"+school+"/users/$ref", ref("/users/"+user))
			},
		},
		{
			name:      "a user is put into a second school",
			opencloud: status(204), standard: refused(409, "notAllowed"),
			difference: "a user in two tenants is an incident; `EDUCATION_SCHOOLS_PER_USER=many` permits it",
			call: func(w world) *answer {
				user := w.user()
				w.link("/schools/"+w.school()+"/users", "/users/"+user)
				return w.post("/schools/"+w.school()+"/users/$ref", ref("/users/"+user))
			},
		},
		{
			name:      "a user is put into a school whose `terminationDate` has passed",
			opencloud: status(204), standard: refused(409, "notAllowed"), compatible: refused(409, "notAllowed"),
			difference: "the deletion of a school must come to an end while others keep adding to it",
			call: func(w world) *answer {
				user := w.user()
				school := w.school(entity{"terminationDate": time.Now().Add(time.Second).UTC().Format(time.RFC3339)})
				time.Sleep(2 * time.Second)
				return w.post("/schools/"+school+"/users/$ref", ref("/users/"+user))
			},
			check: func(_ world, a *answer) { a.wantTarget("terminationDate") },
		},
		{
			name:      "a user is put into a school that does not exist",
			opencloud: notFound,
			call:      func(w world) *answer { return w.post("/schools/"+unknown+"/users/$ref", ref("/users/"+w.user())) },
		},
		{
			name:      "a user who does not exist is put into a school",
			opencloud: notFound,
			call:      func(w world) *answer { return w.post("/schools/"+w.school()+"/users/$ref", ref("/users/"+unknown)) },
		},
		{
			name:      "a user is taken out of the school",
			opencloud: status(204),
			call: func(w world) *answer {
				school, user := w.school(), w.user()
				w.link("/schools/"+school+"/users", "/users/"+user)
				removed := w.remove("/schools/" + school + "/users/" + user + "/$ref")
				w.wantIDs("/schools/" + school + "/users")
				w.get("/users/" + user).want(http.StatusOK)
				return removed
			},
		},
		{
			name:      "a user is taken out of a school that the user is not in",
			opencloud: status(204), standard: notFound, difference: gone,
			call: func(w world) *answer { return w.remove("/schools/" + w.school() + "/users/" + w.user() + "/$ref") },
		},
		{
			name:      "a user is taken out of a school that does not exist",
			opencloud: notFound,
			call:      func(w world) *answer { return w.remove("/schools/" + unknown + "/users/" + w.user() + "/$ref") },
		},
		{
			name:      "a user who does not exist is taken out of a school",
			opencloud: notFound,
			call:      func(w world) *answer { return w.remove("/schools/" + w.school() + "/users/" + unknown + "/$ref") },
		},
		{
			name:      "a class is put into a school by `externalId`",
			opencloud: status(204),
			call: func(w world) *answer {
				externalID := fresh("class")
				w.class(entity{"externalId": externalID})
				return w.post("/schools/"+w.school()+"/classes/$ref", ref("/classes/"+strings.ToUpper(externalID)))
			},
		},
		{
			name:      "a class is put into a school again",
			opencloud: status(204),
			call: func(w world) *answer {
				school, class := w.school(), w.class()
				w.link("/schools/"+school+"/classes", "/classes/"+class)
				return w.post("/schools/"+school+"/classes/$ref", ref("/classes/"+class))
			},
		},
		{
			name:      "a class is put into a second school",
			opencloud: status(204),
			call: func(w world) *answer {
				class, first, second := w.class(), w.school(), w.school()
				w.link("/schools/"+first+"/classes", "/classes/"+class)
				added := w.post("/schools/"+second+"/classes/$ref", ref("/classes/"+class))
				w.wantIDs("/classes/"+class+"/schools", first, second)
				return added
			},
		},
		{
			name:      "a class is put into a school that does not exist",
			opencloud: notFound,
			call:      func(w world) *answer { return w.post("/schools/"+unknown+"/classes/$ref", ref("/classes/"+w.class())) },
		},
		{
			name:      "a class that does not exist is put into a school",
			opencloud: notFound,
			call:      func(w world) *answer { return w.post("/schools/"+w.school()+"/classes/$ref", ref("/classes/"+unknown)) },
		},
		{
			name:      "a class is taken out of the school",
			opencloud: status(204),
			call: func(w world) *answer {
				school, class := w.school(), w.class()
				w.link("/schools/"+school+"/classes", "/classes/"+class)
				removed := w.remove("/schools/" + school + "/classes/" + class + "/$ref")
				w.wantIDs("/schools/" + school + "/classes")
				return removed
			},
		},
		{
			name:      "a class is taken out of a school that it is not in",
			opencloud: status(204), standard: notFound, difference: gone,
			call: func(w world) *answer { return w.remove("/schools/" + w.school() + "/classes/" + w.class() + "/$ref") },
		},
		{
			name:      "a class that does not exist is taken out of a school",
			opencloud: notFound,
			call:      func(w world) *answer { return w.remove("/schools/" + w.school() + "/classes/" + unknown + "/$ref") },
		},
		{
			name:      "the users of a school without any",
			opencloud: status(200).but("no users"),
			call:      func(w world) *answer { return w.get("/schools/" + w.school() + "/users") },
			check:     func(_ world, a *answer) { a.wantNone() },
		},
		{
			name:      "the classes of a school without any",
			opencloud: status(200).but("no classes"),
			call:      func(w world) *answer { return w.get("/schools/" + w.school() + "/classes") },
			check:     func(_ world, a *answer) { a.wantNone() },
		},
		{
			name:      "the users of a school that does not exist",
			opencloud: notFound,
			call:      func(w world) *answer { return w.get("/schools/" + unknown + "/users") },
		},
		{
			name:      "the classes of a school that does not exist",
			opencloud: notFound,
			call:      func(w world) *answer { return w.get("/schools/" + unknown + "/classes") },
		},
		{
			name:      "the users of a school with a query option",
			opencloud: status(200).but("all users"), compatible: status(200).but("one user and `@odata.nextLink`"),
			difference: "no query option is ignored; a page is an object, since an array has no place for the link",
			call: func(w world) *answer {
				school := w.school()
				for range 2 {
					w.link("/schools/"+school+"/users", "/users/"+w.user())
				}
				return w.get("/schools/" + school + "/users?$top=1")
			},
			check: wantOnePage,
		},
		{
			name:      "DELETE of a link without `$ref`",
			opencloud: status(404).but("plain text"), compatible: refused(405, "notAllowed"),
			difference: "scripts arrive here when a shell expands `$ref`; the answer says so",
			call: func(w world) *answer {
				school, user := w.school(), w.user()
				w.link("/schools/"+school+"/users", "/users/"+user)
				removed := w.remove("/schools/"+school+"/users/"+user, outside)
				w.wantIDs("/schools/"+school+"/users", user)
				return removed
			},
		},
	}
}
