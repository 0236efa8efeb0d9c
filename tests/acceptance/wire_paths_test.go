package acceptance

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pathRows are about what holds for every path.
func pathRows() []row {
	return []row{
		{
			name:      "a path that does not exist",
			opencloud: status(404).but("plain text"), compatible: notFound.but("JSON"),
			difference: "a client that reads errors as JSON can read this one too",
			call:       func(w world) *answer { return w.get("/pupils", outside) },
		},
		{
			name:      "a method that a path does not have",
			opencloud: status(405).but("no body"), compatible: refused(405, "notAllowed").but("JSON"),
			difference: "a client that reads errors as JSON can read this one too",
			call:       func(w world) *answer { return w.server.call(w, http.MethodPut, "/users", entity{}, outside) },
			check: func(w world, a *answer) {
				if got := strings.Join(a.header.Values("Allow"), ", "); got != "GET, POST" {
					w.Errorf("got Allow: %q", got)
				}
			},
		},
		{
			name:      "HEAD of a path that has GET",
			opencloud: status(405),
			call:      func(w world) *answer { return w.server.call(w, http.MethodHead, "/users", nil, outside) },
		},
		{
			name:      "slashes at the end",
			opencloud: status(200),
			call:      func(w world) *answer { return w.get("/schools//") },
		},
		{
			name:      "an empty segment inside a path",
			opencloud: badRequest,
			call:      func(w world) *answer { return w.get("/schools//users", outside) },
		},
		{
			name:      "an empty key before $ref",
			opencloud: badRequest,
			call:      func(w world) *answer { return w.remove("/classes/"+w.class()+"/members//$ref", outside) },
		},
		{
			name:      "`%24ref` for `$ref`",
			opencloud: status(404).but("plain text"), compatible: status(204),
			difference: "HTTP libraries escape the dollar sign (RFC 3986, section 6.2.2.2)",
			call:       func(w world) *answer { return w.post("/schools/"+w.school()+"/users/%24ref", ref("/users/"+w.user())) },
		},
		{
			name:      "a percent-encoded slash in a key",
			opencloud: notFound,
			call:      func(w world) *answer { return w.get("/users/no%2Fbody") },
		},
		{
			name:      "a body that is said to be something else than JSON",
			opencloud: success,
			call: func(w world) *answer {
				return w.post("/schools", aSchool(), outside, header("Content-Type", "text/plain"))
			},
		},
		{
			name:      "a body of more than 1 MiB",
			opencloud: success, compatible: refused(413, "invalidRequest"),
			difference: "without a limit one request can take all memory",
			call: func(w world) *answer {
				return w.post("/schools", `{"displayName":"`+strings.Repeat("x", 1<<20)+`"}`, outside)
			},
		},
		{
			name:      "a query option on a single entity",
			opencloud: success.but("the whole user"), compatible: success.but("the selected properties"),
			difference: "no query option is ignored",
			call: func(w world) *answer {
				return w.get("/users/" + w.user(entity{"mail": "max@example.org"}) + "?$select=mail")
			},
			check: func(w world, a *answer) {
				got := a.entity()
				if diff := cmp.Diff(entity{"mail": "max@example.org"}, got); diff != "" {
					w.Errorf("properties (-want +got):\n%s", diff)
				}
			},
		},
		{
			name:      "a query option that does not exist, on a single entity",
			opencloud: success, compatible: badRequest,
			difference: "no query option is ignored",
			call:       func(w world) *answer { return w.get("/users/"+w.user()+"?$bogus=1", outside) },
		},
		{
			name:      "the list of a collection",
			opencloud: status(200).but("an object with a `value`"),
			call:      func(w world) *answer { return w.get("/users") },
			check: func(w world, a *answer) {
				if a.isBare() {
					w.Errorf("got an array")
				}
			},
		},
		{
			name:      "the list of a collection below an entity",
			opencloud: status(200).but("an array"), standard: status(200).but("an object with a `value`"),
			difference: "the contract has objects, which can hold annotations",
			call:       func(w world) *answer { return w.get("/schools/" + w.school() + "/users") },
			check: func(w world, a *answer) {
				if a.isBare() != w.compatible {
					w.Errorf("got %s", a.body)
				}
			},
		},
	}
}

// queryRows are about the query options of the collections.
func queryRows() []row {
	byFilter := func(path, filter string, options ...option) func(w world) *answer {
		return func(w world) *answer { return w.get(path+filtered(filter), options...) }
	}
	ignored := func(options string) func(w world) *answer {
		return func(w world) *answer { return w.get("/users?"+options, outside) }
	}
	const (
		nothingIgnored = "a script that asks for one and gets all does harm"
		allProperties  = "every property can be asked for, in any case"
	)
	return []row{
		{
			name:      "`$filter` of users by `externalId`",
			opencloud: status(200),
			call: func(w world) *answer {
				id := fresh("external-id")
				w.user(entity{"externalId": id})
				return w.get("/users" + filtered("externalId eq '"+id+"'"))
			},
			check: func(w world, a *answer) {
				if got := len(a.ids()); got != 1 {
					w.Errorf("got %d users, want 1", got)
				}
			},
		},
		{
			name:      "`$filter` of schools by `externalId`, in other case",
			opencloud: status(200),
			call: func(w world) *answer {
				id := fresh("external-id")
				w.school(entity{"externalId": id})
				return w.get("/schools" + filtered("externalId EQ '"+strings.ToUpper(id)+"'"))
			},
			check: func(w world, a *answer) {
				if got := len(a.ids()); got != 1 {
					w.Errorf("got %d schools, want 1", got)
				}
			},
		},
		{
			name:      "`$filter` of users by `displayName`",
			opencloud: badRequest.but("only `displayname` is known"), compatible: status(200),
			difference: allProperties,
			call:       byFilter("/users", "displayName eq 'Max'"),
		},
		{
			name:      "`$filter` of users by `displayname`",
			opencloud: status(200),
			call:      byFilter("/users", "displayname eq 'Max'"),
		},
		{
			name:      "`$filter` of users by `onPremisesSamAccountName`",
			opencloud: badRequest, compatible: status(200),
			difference: allProperties,
			call:       byFilter("/users", "onPremisesSamAccountName eq 'max'"),
		},
		{
			name:      "`$filter` of schools by `schoolNumber`",
			opencloud: badRequest, compatible: status(200),
			difference: allProperties,
			call:       byFilter("/schools", "schoolNumber eq '1'"),
		},
		{
			name:      "`$filter` of classes",
			opencloud: status(200).but("all classes"), compatible: status(200).but("those that match"),
			difference: nothingIgnored,
			call: func(w world) *answer {
				w.class()
				return w.get("/classes" + filtered("externalId eq 'nothing has this'"))
			},
			check: func(w world, a *answer) {
				if got := len(a.ids()); got != 0 {
					w.Errorf("got %d classes, want none", got)
				}
			},
		},
		{
			name:      "`$filter` by a property that does not exist",
			opencloud: badRequest,
			call:      byFilter("/users", "shoeSize eq '42'", outside),
		},
		{
			name:      "`$filter` with another operator",
			opencloud: refused(501, "generalException"), compatible: status(200).but("those that match"),
			difference: "every question that the directory can answer can be asked",
			call: func(w world) *answer {
				name := fresh("Operator")
				w.user(entity{"displayName": name + " of much"})
				return w.get("/users" + filtered("startswith(displayName,'"+name+" ')"))
			},
			check: func(w world, a *answer) {
				if got := len(a.ids()); got != 1 {
					w.Errorf("got %d users, want 1", got)
				}
			},
		},
		{
			name:      "`$filter` with a function that cannot be asked for",
			opencloud: refused(501, "generalException"), compatible: refused(501, "notSupported"),
			difference: "the code for what is known and not supported",
			call:       byFilter("/users", "length(displayName) gt 1", outside),
		},
		{
			name:      "`$filter` that is no expression",
			opencloud: badRequest,
			call:      byFilter("/users", "externalId eq ('x'", outside),
		},
		{
			name:      "an empty `$filter`",
			opencloud: status(200).but("all users"), compatible: badRequest,
			difference: "an unset variable in a script must not turn one user into all of them",
			call:       ignored("$filter="),
		},
		{
			name:      "`$top`",
			opencloud: status(200).but("all users"), compatible: status(200).but("one user and `@odata.nextLink`"),
			difference: nothingIgnored,
			call: func(w world) *answer {
				w.user()
				w.user()
				return w.get("/users?$top=1")
			},
			check: wantOnePage,
		},
		{
			name:      "`$orderby`",
			opencloud: status(200).but("sorted"),
			call: func(w world) *answer {
				w.user(entity{"displayName": "Zoe"})
				w.user(entity{"displayName": "Ada"})
				return w.get("/users?$orderby=displayName")
			},
			check: func(w world, a *answer) {
				var names []string
				for _, user := range a.list() {
					names = append(names, strings.ToLower(user.text("displayName")))
				}
				if len(names) < 2 || !slices.IsSorted(names) {
					w.Errorf("got %q", names)
				}
			},
		},
		{
			name:      "`$select`",
			opencloud: status(200).but("whole users"), compatible: status(200).but("the selected properties"),
			difference: nothingIgnored,
			call: func(w world) *answer {
				w.user()
				return w.get("/users?$select=id")
			},
			check: func(w world, a *answer) {
				for _, user := range a.list() {
					if len(user) != 1 || user.text("id") == "" {
						w.Errorf("got %v", user)
					}
				}
			},
		},
		{
			name:      "`$format`",
			opencloud: badRequest, compatible: status(200),
			difference: "JSON may be asked for by its name",
			call:       func(w world) *answer { return w.get("/users?$format=json") },
		},
		{
			name:      "`$skiptoken` that the service has not given out",
			opencloud: badRequest,
			call:      ignored("$skiptoken=x"),
		},
		{
			name:      "a query option of OData that cannot be asked for",
			opencloud: badRequest, compatible: refused(501, "notSupported"),
			difference: "the code for what is known and not supported",
			call:       ignored("$apply=aggregate(id)"),
		},
		{
			name:      "a query option that does not exist",
			opencloud: badRequest,
			call:      ignored("$foo=1"),
		},
		{
			name:      "a query option without a dollar sign",
			opencloud: badRequest,
			call:      ignored("foo=1"),
		},
		{
			name:      "a query option that is given twice",
			opencloud: badRequest,
			call:      ignored("$filter=mail+eq+'a'&$filter=mail+eq+'b'"),
		},
	}
}

// wantOnePage expects the first page of a list, with one entity and the link to the next page.
func wantOnePage(w world, a *answer) {
	w.Helper()
	if got := a.ids(); a.isBare() || len(got) != 1 || a.next() == "" {
		w.Errorf("got %d entities, bare: %t", len(got), a.isBare())
	}
}

// authenticationRows are about the token.
func authenticationRows() []row {
	unauthorised := refused(401, "InvalidAuthenticationToken")
	return []row{
		{
			name:      "no token",
			opencloud: unauthorised, compatible: unauthorised.but("with `WWW-Authenticate`"),
			difference: "RFC 9110, section 11.6.1, asks for it",
			call:       func(w world) *answer { return w.get("/users", header("Authorization")) },
			check: func(w world, a *answer) {
				if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
					w.Errorf("got WWW-Authenticate: %q", got)
				}
			},
		},
		{
			name:      "the scheme in another case, and more than one space",
			opencloud: unauthorised, compatible: success,
			difference: "the case of a scheme does not count (RFC 9110, section 11.1)",
			call: func(w world) *answer {
				return w.get("/users", header("Authorization", "bEARER  "+w.server.token))
			},
		},
		{
			name:      "no token, for a path that does not exist",
			opencloud: unauthorised,
			call:      func(w world) *answer { return w.get("/pupils", outside, header("Authorization")) },
		},
	}
}

// TestUnescapablePath shows what becomes of a path that no HTTP library would send.
func TestUnescapablePath(t *testing.T) {
	t.Parallel()
	s := start(t)
	connection := s.connect(t)
	got := exchangeRaw(t, connection, "GET /graph/v1.0/education/users/%zz HTTP/1.1\r\nHost: x\r\n\r\n")
	if got != "HTTP/1.1 400 Bad Request" {
		t.Errorf("got %q", got)
	}
}
