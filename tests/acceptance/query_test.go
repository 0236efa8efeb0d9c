package acceptance

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asking returns the query part with the given options, each followed by its value.
func asking(options ...string) string {
	var parts []string
	for i := 0; i < len(options); i += 2 {
		parts = append(parts, options[i]+"="+url.QueryEscape(options[i+1]))
	}
	return "?" + strings.Join(parts, "&")
}

// populate makes two schools, five users and three classes for the questions of TestQuestions.
func (w world) populate() {
	w.Helper()
	w.school(entity{"displayName": "North School", "schoolNumber": "1", "externalId": "north"})
	w.school(entity{"displayName": "South School", "schoolNumber": "2", "externalId": "south", "terminationDate": "2040-07-31T00:00:00Z"})
	person := func(name, username string, more entity) {
		w.user(with(entity{"displayName": name, "onPremisesSamAccountName": username, "mail": username + "@example.org"}, more))
	}
	person("Ada Lovelace", "ada", entity{"surname": "Lovelace", "primaryRole": "student", "externalId": "a-1", "schools@odata.bind": []any{"/schools/1"}})
	person("Bernd Müller", "bernd", entity{"surname": "Müller", "primaryRole": "student", "externalId": "b-2", "schools@odata.bind": []any{"/schools/1"}})
	person("Conor O'Brien", "conor", entity{"surname": "O'Brien", "primaryRole": "teacher", "schools@odata.bind": []any{"/schools/2"}})
	person("Dora Müller", "dora", entity{"surname": "Müller", "accountEnabled": false, "schools@odata.bind": []any{"/schools/2"}})
	person("Eve", "eve", entity{"mail": nil, "userType": "Guest"})
	group := func(name, school string, members, teachers []any) {
		w.post("/schools/"+school+"/classes", entity{
			"displayName": name, "classification": "class", "externalId": strings.ToLower(name),
			"members@odata.bind": members, "teachers@odata.bind": teachers,
		}).want(http.StatusCreated)
	}
	group("5A", "1", []any{"/users/ada", "/users/bernd"}, []any{"/users/conor"})
	group("5B", "1", []any{"/users/bernd"}, []any{"/users/conor"})
	group("6C", "2", []any{}, []any{})
}

// question is what a script may want to know, and the first words of the names that answer it.
type question struct {
	name, path, filter, want string
}

// questions are sorted by displayName when they are asked.
var questions = []question{
	{"one person", "/users", "externalId eq 'a-1'", "Ada"},
	{"one person by a name with a quote", "/users", "surname eq 'o''brien'", "Conor"},
	{"everybody else", "/users", "onPremisesSamAccountName ne 'ada'", "Bernd Conor Dora Eve"},
	{"a list of people", "/users", "onPremisesSamAccountName in ('eve', 'ADA', 'nobody')", "Ada Eve"},
	{"not in a list", "/users", "not (onPremisesSamAccountName in ('eve','ada'))", "Bernd Conor Dora"},
	{"first half of the alphabet", "/users", "displayName lt 'c'", "Ada Bernd"},
	{"second half of the alphabet", "/users", "displayName ge 'dora müller'", "Dora Eve"},
	{"beginning", "/users", "startswith(displayName,'be')", "Bernd"},
	{"end", "/users", "endswith(mail,'A@example.org')", "Ada Dora"},
	{"middle", "/users", "contains(displayName,'MÜLL')", "Bernd Dora"},
	{"without an address", "/users", "mail eq null", "Eve"},
	{"with an address", "/users", "mail ne null", "Ada Bernd Conor Dora"},
	{"disabled", "/users", "accountEnabled eq false", "Dora"},
	{"not disabled, which is not the same as enabled", "/users", "accountEnabled ne false", "Ada Bernd Conor Eve"},
	{"both", "/users", "surname eq 'Müller' and primaryRole eq 'student'", "Bernd"},
	{"either", "/users", "userType eq 'guest' or primaryRole eq 'teacher'", "Conor Eve"},
	{"nested", "/users", "(surname eq 'Müller' or surname eq 'Lovelace') and not endswith(externalId,'2')", "Ada"},
	{"names in any case", "/users", "SURNAME EQ 'müller' AND PrimaryRole EQ 'STUDENT'", "Bernd"},
	{"created in this century", "/users", "createdDateTime gt 2001-01-01T00:00:00Z and createdDateTime lt 2100-01-01T00:00:00+01:00", "Ada Bernd Conor Dora Eve"},
	{"of a school", "/users", "schools/any(s:s/externalId eq 'north')", "Ada Bernd"},
	{"of no school", "/users", "schools/$count eq 0", "Eve"},
	{"of any school", "/users", "schools/any()", "Ada Bernd Conor Dora"},
	{"of a school and not of a class", "/users", "schools/any(s:s/schoolNumber eq '2') and classes/$count eq 0", "Dora"},
	{"of a class", "/users", "classes/any(c:c/externalId eq '5a')", "Ada Bernd Conor"},
	{"teaching", "/users", "taughtClasses/any()", "Conor"},
	{"not of a class", "/users", "not classes/any(c:c/externalId eq '5a')", "Dora Eve"},
	{"of a class, at a school", "/schools/1/users", "classes/any(c:c/displayName eq '5B')", "Bernd"},
	{"members by role", "/classes/5a/members", "primaryRole eq 'student' and startswith(displayName,'A')", "Ada"},
	{"schools that end", "/schools", "terminationDate ne null", "South"},
	{"schools that end before", "/schools", "terminationDate lt 2030-01-01T00:00:00Z", ""},
	{"schools without somebody", "/schools", "not users/any(u:u/onPremisesSamAccountName eq 'ada')", "South"},
	{"empty classes", "/classes", "members/$count eq 0 and teachers/$count eq 0", "6C"},
	{"classes with somebody", "/classes", "members/any(m:m/onPremisesSamAccountName eq 'bernd')", "5A 5B"},
	{"classes of a school", "/classes", "schools/any(s:s/schoolNumber eq '2')", "6C"},
}

// TestQuestions asks what scripts ask, and the number of answers to each.
func TestQuestions(t *testing.T) {
	modes(t, func(w world) {
		w.populate()
		for _, q := range questions {
			var got []string
			for _, one := range w.get(q.path + asking("$filter", q.filter, "$orderby", "displayName")).list() {
				word, _, _ := strings.Cut(one.text("displayName"), " ")
				got = append(got, word)
			}
			if strings.Join(got, " ") != q.want {
				w.Errorf("%s: %s of %s gives %q, want %s", q.name, q.filter, q.path, got, q.want)
			}
			count := string(w.get(q.path + "/$count" + asking("$filter", q.filter)).want(http.StatusOK).body)
			if want := fmt.Sprint(len(strings.Fields(q.want))); count != want {
				w.Errorf("%s: the count is %q, want %s", q.name, count, want)
			}
		}
	})
}

// TestAnswers looks at what the other options do to an answer.
func TestAnswers(t *testing.T) {
	modes(t, func(w world) {
		w.populate()
		tests := []struct {
			name, path string
			want       []entity
		}{
			{
				"two keys of an order, absent first", "/users" + asking("$orderby", "surname desc,displayName", "$select", "displayName"),
				[]entity{{"displayName": "Conor O'Brien"}, {"displayName": "Bernd Müller"}, {"displayName": "Dora Müller"}, {"displayName": "Ada Lovelace"}, {"displayName": "Eve"}},
			},
			{
				"search", "/users" + asking("$search", `"displayName:müll" AND NOT dora`, "$select", "displayName"),
				[]entity{{"displayName": "Bernd Müller"}},
			},
			{
				"search by the start of an address", "/users" + asking("$search", "conor@", "$select", "onPremisesSamAccountName"),
				[]entity{{"onPremisesSamAccountName": "conor"}},
			},
			{
				"expand", "/users" + asking("$filter", "startswith(displayName,'b')", "$select", "displayName",
					"$expand", "schools($select=displayName),classes($select=displayName;$orderby=displayName desc;$top=1)"),
				[]entity{{
					"displayName": "Bernd Müller", "schools": []any{map[string]any{"displayName": "North School"}},
					"classes": []any{map[string]any{"displayName": "5B"}},
				}},
			},
			{
				"expand to nothing", "/users" + asking("$filter", "displayName eq 'eve'", "$select", "displayName", "$expand", "schools,taughtClasses"),
				[]entity{{"displayName": "Eve", "schools": []any{}, "taughtClasses": []any{}}},
			},
			{
				"expand with a filter", "/classes" + asking("$orderby", "displayName", "$select", "displayName", "$top", "1",
					"$expand", "members($filter=surname eq 'Müller';$select=displayName)"),
				[]entity{{"displayName": "5A", "members": []any{map[string]any{"displayName": "Bernd Müller"}}}},
			},
			{"part", "/users" + asking("$orderby", "displayName", "$skip", "1", "$top", "1", "$select", "displayName"), []entity{{"displayName": "Bernd Müller"}}},
			{"nothing", "/users" + asking("$top", "0"), []entity{}},
		}
		for _, test := range tests {
			if diff := cmp.Diff(test.want, w.get(test.path).list()); diff != "" {
				w.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
		for path, want := range map[string]string{
			"/schools": "2", "/users": "5", "/classes": "3", "/schools/1/users": "2", "/schools/1/classes": "2", "/users/conor/schools": "1", "/users/conor/classes": "2",
			"/users/conor/taughtClasses": "2", "/classes/5a/schools": "1", "/classes/5a/members": "2", "/classes/5a/teachers": "1", "/users/eve/schools": "0",
		} {
			if got := string(w.get(path + "/$count").want(http.StatusOK).body); got != want {
				w.Errorf("the count of %s is %q, want %s", path, got, want)
			}
		}
		var counted struct {
			Count int `json:"@odata.count"`
		}
		w.get("/schools/1/users" + asking("$count", "true", "$top", "1")).want(http.StatusOK).decode(&counted)
		if counted.Count != 2 {
			w.Errorf("got the count %d", counted.Count)
		}
	})
}

// TestUnanswerable asks what cannot be answered, and expects the part at fault to be named.
func TestUnanswerable(t *testing.T) {
	modes(t, func(w world) {
		for filter, want := range map[string]struct {
			status int
			target string
		}{
			"shoeSize eq '42'":                           {400, "shoeSize"},
			"schools/any(s:s/shoeSize eq '42')":          {400, "s/shoeSize"},
			"accountEnabled eq 'yes'":                    {400, "accountEnabled"},
			"createdDateTime gt 'yesterday'":             {400, "createdDateTime"},
			"displayName eq":                             {400, "$filter"},
			"displayName eq 'Max":                        {400, "$filter"},
			"toupper(displayName) eq 'MAX'":              {501, "toupper"},
			"schools/all(s:s/displayName eq 'North')":    {501, "schools/all"},
			"passwordProfile eq 'x'":                     {501, "passwordProfile"},
			strings.Repeat("(", 200) + "displayName eq'": {400, "$filter"},
		} {
			got := w.get("/users"+filtered(filter), outside)
			if fault := got.fault(); got.status != want.status || fault.Target != want.target {
				w.Errorf("%.60s: got %d with the target %q, want %d with %q: %s", filter, got.status, fault.Target, want.status, want.target, fault.Message)
			}
		}
	})
}
