package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
)

// corpus returns the texts of a file below testdata/injection, which holds one JSON string a line.
func corpus(name string) []string {
	content, err := os.ReadFile(filepath.Join("testdata", "injection", name+".jsonl"))
	if err != nil {
		panic(err)
	}
	var texts []string
	for line := range bytes.Lines(content) {
		var text string
		if err := json.Unmarshal(line, &text); err != nil {
			panic(fmt.Sprintf("%s.jsonl: %v: %s", name, err, line))
		}
		texts = append(texts, text)
	}
	return texts
}

// entries returns everything that is in the directory, by DN, with operational attributes, in which each write shows.
func (s *server) entries(t testing.TB) map[string]map[string][]string {
	t.Helper()
	found, err := s.administrator(t).Search(ldap.NewSearchRequest(namingContext, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		"(objectClass=*)", []string{"*", "+"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]map[string][]string{}
	for _, entry := range found.Entries {
		entries[entry.DN] = map[string][]string{}
		for _, attribute := range entry.Attributes {
			entries[entry.DN][attribute.Name] = slices.Sorted(slices.Values(attribute.Values))
		}
	}
	return entries
}

// wantUnchanged calls a function and expects that nothing in the directory has changed.
func (s *server) wantUnchanged(t testing.TB, call func()) {
	t.Helper()
	before := s.entries(t)
	call()
	if diff := cmp.Diff(before, s.entries(t)); diff != "" {
		t.Errorf("the directory has changed (-before +after):\n%s", diff)
	}
}

// outcome is what a request with a hostile text may come to, beside a refusal.
type outcome int

const (
	// refusal is nothing else.
	refusal outcome = iota
	// nobody is a list without entities.
	nobody
	// everybody is the list of all entities, as if the text was not there.
	everybody
)

// input is a place where a client may send text that reads or addresses entities. What is written into entities is the
// matter of TestSpecialTexts.
type input struct {
	name string
	may  outcome
	// path is escaped. An input without a method is a GET, and one without a set lists users.
	method, path string
	set          string
	body         any
	header       string
}

// inputs returns every place where a hostile text may stand, with the text in it.
func (w world) inputs(text string, school, user, class string) []input {
	escaped, query, quoted := url.PathEscape(text), url.QueryEscape(text), url.QueryEscape(odataLiteral(text))
	var all []input
	add := func(one input) { all = append(all, one) }
	change := entity{"displayName": "changed"}
	for _, set := range entitySets {
		keys := []string{"/" + escaped, "('" + url.PathEscape(strings.ReplaceAll(text, "'", "''")) + "')", "(" + escaped + ")"}
		for name := range alternateKeys()[set.singular] {
			keys = append(keys, "("+name+"="+url.PathEscape(odataLiteral(text))+")")
		}
		for _, key := range keys {
			path := "/" + set.path + key
			add(input{name: "GET by key", path: path})
			add(input{name: "PATCH by key", method: http.MethodPatch, path: path, body: change})
			add(input{name: "DELETE by key", method: http.MethodDelete, path: path})
			for _, related := range relatedTo[set.path] {
				add(input{name: "GET of what is related to a key", path: path + "/" + related})
			}
		}
		for _, p := range places() {
			if p.set.path != set.path || !p.filterable || p.constrained {
				continue
			}
			filter := func(name string, may outcome, format string) {
				add(input{
					name: "$filter with " + name, may: may, set: set.path,
					path: "/" + set.path + "?$filter=" + strings.ReplaceAll(url.QueryEscape(fmt.Sprintf(format, p.property, "\x00")), "%00", quoted),
				})
			}
			filter("eq", nobody, "%s eq %s")
			filter("ne", everybody, "%s ne %s")
			filter("in", nobody, "%s in (%s,'no one')")
			filter("contains", nobody, "contains(%s,%s)")
			filter("startswith", nobody, "startswith(%s,%s)")
			filter("endswith", nobody, "endswith(%s,%s)")
		}
		add(input{name: "$filter that is the text", path: "/" + set.path + "?$filter=" + query})
		add(input{name: "$filter with the text for a property", path: "/" + set.path + "?$filter=" + query + "+eq+'x'"})
		add(input{name: "$search", may: nobody, set: set.path, path: "/" + set.path + "?$search=" + query})
		add(input{name: "$search for a phrase", may: nobody, set: set.path, path: "/" + set.path + "?$search=" + url.QueryEscape(`"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)+`"`)})
		add(input{name: "$search in a property", may: nobody, set: set.path, path: "/" + set.path + "?$search=" + url.QueryEscape(`"displayName:`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)+`"`)})
		for _, option := range []string{"$orderby", "$select", "$expand", "$skiptoken", "$top", "$skip", "$count", "$format", "$id", "@id"} {
			add(input{name: option, path: "/" + set.path + "?" + option + "=" + query})
		}
		add(input{name: "the name of an option", path: "/" + set.path + "?" + query + "=1"})
	}
	add(input{name: "$filter over a link", may: nobody, path: "/users?$filter=" + url.QueryEscape("schools/any(s:s/externalId eq ") + quoted + ")"})
	for _, reference := range []string{text, "/users/" + text, "/users/" + escaped, "/classes('" + escaped + "')", "http://127.0.0.1:1/users/" + escaped} {
		body := ref(reference)
		add(input{name: "@odata.id", method: http.MethodPost, path: "/schools/" + school + "/users/$ref", body: body})
		add(input{name: "@odata.id of a class", method: http.MethodPost, path: "/schools/" + school + "/classes/$ref", body: body})
		add(input{name: "@odata.id of a member", method: http.MethodPost, path: "/classes/" + class + "/members/$ref", body: body})
		add(input{name: "@id", method: http.MethodDelete, path: "/classes/" + class + "/members/$ref?@id=" + url.QueryEscape(reference)})
		add(input{name: "$id", method: http.MethodDelete, path: "/schools/" + school + "/users/$ref?$id=" + url.QueryEscape(reference)})
		add(input{name: "members@odata.bind", method: http.MethodPost, path: "/classes", body: with(aClass(), entity{"members@odata.bind": []string{reference}})})
		add(input{name: "schools@odata.bind", method: http.MethodPost, path: "/users", body: with(aUser(), entity{"schools@odata.bind": []string{reference}})})
	}
	add(input{name: "$ref by key", method: http.MethodDelete, path: "/schools/" + school + "/users/" + escaped + "/$ref"})
	add(input{name: "$ref of a member by key", method: http.MethodDelete, path: "/classes/" + class + "/members/" + escaped + "/$ref"})
	add(input{name: "the name of a property", method: http.MethodPatch, path: "/users/" + user, body: entity{text: "x"}})
	for _, header := range []string{"Accept", "Origin", "Prefer", "X-Request-Id", "client-request-id", "X-Forwarded-Host", "X-Forwarded-Prefix", "traceparent", "OData-MaxVersion"} {
		add(input{name: "the header " + header, may: everybody, path: "/users", header: header})
	}
	add(input{name: "If-Match", method: http.MethodPatch, path: "/users/" + user, body: change, header: "If-Match"})
	add(input{name: "If-Match of DELETE", method: http.MethodDelete, path: "/users/" + user, header: "If-Match"})
	add(input{name: "Authorization", path: "/users", header: "Authorization"})
	return all
}

// relatedTo are the navigation properties of each set.
var relatedTo = map[string][]string{"schools": {"users", "classes"}, "users": {"schools", "classes"}, "classes": {"members", "teachers", "schools"}}

// TestInjection sends each hostile text through every place that reads or addresses entities. The text names nobody, so it
// must find nobody and change nothing: it is taken literally or refused, and never believed.
func TestInjection(t *testing.T) {
	modes(t, func(w world) {
		school := w.school(entity{"externalId": "treasure-school", "schoolNumber": "0042"})
		user := w.user(entity{"displayName": "treasure", "onPremisesSamAccountName": "treasure", "externalId": "treasure", "mail": "treasure@example.org", "surname": "Treasure"})
		class := w.class(entity{"displayName": "treasure", "externalId": "treasure-class", "description": "treasure"})
		w.link("/schools/"+school+"/users", "/users/"+user)
		w.link("/schools/"+school+"/classes", "/classes/"+class)
		w.link("/classes/"+class+"/members", "/users/"+user)
		all := map[string][]string{}
		for _, set := range entitySets {
			all[set.path] = w.get("/" + set.path).ids()
		}
		texts := slices.Concat(corpus("filters"), corpus("dns"), []string{strings.Repeat("*)(uid=", 1500)})
		w.server.wantUnchanged(w, func() {
			inParallel(len(texts), workers, func(i int) {
				for _, one := range w.inputs(texts[i], school, user, class) {
					w.attack(one, texts[i], all)
				}
			})
		})
	})
}

// attack sends one input and checks what comes of it.
func (w world) attack(one input, text string, all map[string][]string) {
	w.Helper()
	var options []option
	switch {
	case one.header == "Authorization":
		options = append(options, header(one.header, "Bearer "+text))
	case one.header != "":
		options = append(options, header(one.header, text))
	}
	method := one.method
	if method == "" {
		method = http.MethodGet
	}
	got := w.server.mustTry(w, method, one.path, one.body, options...)
	if got == nil {
		return
	}
	refused := got.status >= 400 && got.status < 500 || got.status == http.StatusNotImplemented
	set := one.set
	if set == "" {
		set = "users"
	}
	switch {
	case refused:
	case got.status != http.StatusOK || one.may == refusal:
		w.Errorf("%s with %s: got %d %.300s", one.name, shown(text), got.status, got.body)
	case one.may == nobody && len(idsOf(got.body)) > 0:
		w.Errorf("%s with %s finds somebody: %.300s", one.name, shown(text), got.body)
	case one.may == everybody && !slices.Equal(idsOf(got.body), all[set]):
		w.Errorf("%s with %s does not find all: %.300s", one.name, shown(text), got.body)
	}
}

// idsOf returns the ids of the entities of a list, for a goroutine beside the test's own.
func idsOf(body []byte) []string {
	var list struct {
		Value []struct{ ID string } `json:"value"`
	}
	if bytes.HasPrefix(body, []byte("[")) {
		_ = json.Unmarshal(body, &list.Value)
	} else {
		_ = json.Unmarshal(body, &list)
	}
	var ids []string
	for _, one := range list.Value {
		ids = append(ids, one.ID)
	}
	return ids
}

// wrongTypes are values of JSON that are of no type which a property of a kind accepts.
func wrongTypes(kind string) map[string]string {
	values := map[string]string{
		"a number": `1`, "a fraction": `-1.5e3`, "true": `true`, "a string": `"x"`, "an empty array": `[]`, "an array": `["x"]`,
		"an array of arrays": `[["x"]]`, "an array of null": `[null]`, "an array of numbers": `[1]`, "an object": `{"x":1}`, "an empty object": `{}`,
	}
	for _, right := range map[string][]string{
		"string": {"a string"}, "date": {}, "boolean": {"true"}, "array": {"an empty array"},
		// What an empty passwordProfile means depends on the mode.
		"object": {"an empty object"},
	}[kind] {
		delete(values, right)
	}
	return values
}

// kindOf returns what wrongTypes calls the type of a property.
func kindOf(schema, name string) string {
	value := document().document.Components.Schemas[schema].Value.Properties[name].Value
	switch {
	case value.Format == "date-time":
		return "date"
	case value.Type.Includes("string"):
		return "string"
	case value.Type.Includes("boolean"):
		return "boolean"
	case value.Type.Includes("array"):
		return "array"
	}
	return "object"
}

// intruders are names that a directory, an ORM or a script engine knows and that no entity has.
var intruders = []string{
	"objectClass", "userPassword", "dn", "entryDN", "openCloudUUID", "openCloudMemberOfSchool", "openCloudUserEnabled", "memberOf", "member",
	"educationUniqueKey", "entryUUID", "entryCSN", "createTimestamp", "modifiersName", "structuralObjectClass", "cn", "sn", "uid", "ou", "uidNumber",
	"userPassword;lang-de", "objectClass;binary", "2.5.4.35", "1.1", "*", "+", "tenant", "tenantId", "school", "schoolId", "role", "roles", "isAdmin",
	"__proto__", "constructor", "$set", "$type", "@type", "id.value", "displayName/x", "displayName.x", "displayName ", "",
}

// TestMassAssignment holds that what a body may not hold is refused by name, with nothing written: values of the wrong type
// for every property of the contract, what is read-only, links in the place of properties, names of the directory's own, and
// names that are given twice.
func TestMassAssignment(t *testing.T) {
	modes(t, func(w world) {
		targets := map[string]string{"educationSchool": w.school(), "educationUser": w.user(), "educationClass": w.class()}
		for _, set := range entitySets {
			requests := map[string]string{http.MethodPost: "/" + set.path, http.MethodPatch: "/" + set.path + "/" + targets[set.schema]}
			refuse := func(t *testing.T, method, target, members string) {
				t.Helper()
				// The rest of the body is in order.
				rest := strings.TrimPrefix(string(marshal(t, with(set.fresh(), entity{target: nil}))), "{")
				separator := ","
				if rest == "}" {
					separator = ""
				}
				got := w.server.mustTry(t, method, requests[method], "{"+members+separator+rest)
				if got == nil {
					return
				}
				if said := got.fault(); got.status != http.StatusBadRequest || said.Code != "invalidRequest" || !strings.EqualFold(said.Target, target) {
					t.Errorf("%s %s: got %d %s, want 400 about %q", method, members, got.status, got.body, target)
				}
			}
			w.Run(set.path, func(t *testing.T) {
				w.server.wantUnchanged(t, func() {
					properties := document().document.Components.Schemas[set.schema].Value.Properties
					for _, name := range slices.Sorted(maps.Keys(properties)) {
						if strings.Contains(name, "@") {
							continue
						}
						for method := range requests {
							checkMembers(t, set, name, method, refuse)
						}
					}
					for _, name := range intruders {
						for method := range requests {
							for _, value := range []string{`"x"`, `["x"]`, `{}`, `null`, `1`} {
								refuse(t, method, name, fmt.Sprintf("%q:%s", name, value))
							}
						}
					}
				})
			})
		}
	})
}

// checkMembers refuses all that the property may not be.
func checkMembers(t *testing.T, set set, name, method string, refuse func(t *testing.T, method, target, members string)) {
	t.Helper()
	schema := document().document.Components.Schemas[set.schema].Value.Properties[name].Value
	writable := schema.Extensions["x-writable"]
	member := func(spelling, value string) string { return `"` + spelling + `":` + value }
	switch {
	case writable == "always", writable == "create" && method == http.MethodPost:
		for _, value := range wrongTypes(kindOf(set.schema, name)) {
			refuse(t, method, name, member(name, value))
		}
		for _, spelling := range spellings(name) {
			refuse(t, method, name, member(name, `null`)+","+member(spelling, `null`))
		}
	default:
		// Another value than the entity has.
		values := map[string]string{"string": `"00000000-0000-4000-8000-00000000000a"`, "date": `"2020-01-01T00:00:00Z"`, "array": `[]`, "object": `{}`, "boolean": `true`}
		refuse(t, method, name, member(name, values[kindOf(set.schema, name)]))
		refuse(t, method, name, member(strings.ToUpper(name), values[kindOf(set.schema, name)]))
	}
}

// spellings returns a name in each way that JSON and encoding/json take for the same.
func spellings(name string) []string {
	all := []string{name, strings.ToUpper(name), strings.ToLower(name), fmt.Sprintf(`\u%04x`, name[0]) + name[1:], strings.ToUpper(name[:1]) + name[1:]}
	// The long s and the Kelvin sign fold to letters (Unicode's CaseFolding.txt).
	if strings.Contains(name, "s") {
		all = append(all, strings.Replace(name, "s", "ſ", 1))
	}
	if strings.Contains(name, "k") {
		all = append(all, strings.Replace(name, "k", "\u212a", 1))
	}
	return all
}
