package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// systemOptions are all system query options of OData 4.01 (URL conventions, section 5.1), with Graph's name for $id.
var systemOptions = []string{
	"$apply", "$compute", "$count", "$deltatoken", "$expand", "$filter", "$format", "$id", "$index", "$levels", "$orderby", "$schemaversion", "$search",
	"$select", "$skip", "$skiptoken", "$top", "@id",
}

// kind is what routes have in common that answer the same options: a probe for each.
type kind map[string]probe

// probe shows that an option has an effect, and that it is never ignored when it cannot have one.
type probe struct {
	// value is a supported use of the option. {nav} stands for a navigation property of the route's entities, {cursor} for
	// a position in the route's list, {target} for an entity that the route's owner is linked to.
	value string
	// effect fails the test unless the response shows what the option asks for.
	effect func(t *testing.T, m *matrix, response *httptest.ResponseRecorder)
	// malformed and unsupported values, with the target of the error. The first are a 400, the second a 501.
	malformed, unsupported map[string]string
}

// place is a row of the matrix: a route, as an address in the directory of newMatrix.
type place struct {
	path string
	kind kind
	// nav is a navigation property of the entities that the route returns.
	nav string
	// above says that the route is one of the service above education.
	above bool
}

// The routes that answer options; noOptions are those that answer none.
var (
	listKind = kind{
		"$filter": {
			value: "displayName eq 'Beta'", effect: wantNames("Beta"),
			malformed:   map[string]string{"displayName eq": "$filter", "foo eq 'x'": "foo", "(displayName eq 'x'": "$filter"},
			unsupported: map[string]string{"length(displayName) gt 1": "length"},
		},
		"$select": {
			value: "displayName", effect: wantSelected,
			malformed:   map[string]string{"foo": "foo", "displayName,,id": "$select"},
			unsupported: map[string]string{"{nav}": "{nav}"},
		},
		"$orderby": {
			value: "displayName desc", effect: wantDescending,
			malformed:   map[string]string{"foo": "foo", "displayName up": "$orderby", "displayName,displayName": "displayName"},
			unsupported: map[string]string{"length(displayName)": "$orderby", "id": "id"},
		},
		"$top":   {value: "1", effect: wantFirst, malformed: wrongNumbers("$top")},
		"$skip":  {value: "1", effect: wantSecond, malformed: wrongNumbers("$skip")},
		"$count": {value: "true", effect: wantCount(2), malformed: map[string]string{"1": "$count", "yes": "$count"}},
		"$search": {
			value: "beta", effect: wantNames("Beta"),
			malformed:   map[string]string{`"beta`: "$search", "foo:x": "foo", "AND": "$search"},
			unsupported: map[string]string{"id:x": "id"},
		},
		"$expand":    expandProbe,
		"$format":    formatProbe,
		"$skiptoken": {value: "{cursor}", effect: wantSecond, malformed: map[string]string{"x": "$skiptoken", "AAAA": "$skiptoken"}},
	}
	countKind = kind{
		"$filter": {
			value: "displayName eq 'Beta'", effect: wantDigits("1"), malformed: listKind["$filter"].malformed, unsupported: listKind["$filter"].unsupported,
		},
		"$search": {
			value: "beta", effect: wantDigits("1"), malformed: listKind["$search"].malformed, unsupported: listKind["$search"].unsupported,
		},
	}
	entityKind  = kind{"$select": listKind["$select"], "$expand": expandProbe, "$format": formatProbe}
	expandProbe = probe{
		value: "{nav}", effect: wantExpanded,
		malformed:   map[string]string{"foo": "foo", "{nav}(": "$expand", "{nav}($select=foo)": "foo", "{nav},{nav}": "{nav}"},
		unsupported: map[string]string{"*": "*", "{nav}/$ref": "{nav}/$ref", "{nav}($expand=schools)": "$expand", "{nav}($skip=1)": "$skip"},
	}
	formatProbe = probe{
		value: "application/json;odata.metadata=none", effect: wantUnannotated,
		malformed: map[string]string{"xml": "$format", "json;odata.metadata=all": "$format", "json;charset=x": "$format"},
	}
	refKind   = kind{"$id": refProbe, "@id": refProbe}
	refProbe  = probe{value: "{target}", effect: wantRemoved, malformed: map[string]string{"x": "@odata.id", "/schools/x": "@odata.id"}}
	noOptions = kind{}

	documentKind = kind{"$format": {value: "application/json;odata.metadata=none", effect: wantDocument, malformed: map[string]string{"xml": "$format"}}}
	modelKind    = kind{"$format": {value: "json", effect: wantModel, malformed: map[string]string{"pdf": "$format"}}}
)

// places has a row for each route.
var places = map[string]place{
	"GET /":            {path: "/", kind: documentKind, above: true},
	"GET /$metadata":   {path: "/$metadata", kind: modelKind, above: true},
	"GET /%24metadata": {path: "/%24metadata", kind: modelKind, above: true},

	"GET /schools":             {path: "/schools", kind: listKind, nav: "users"},
	"GET /schools/$count":      {path: "/schools/$count", kind: countKind},
	"POST /schools":            {path: "/schools", kind: noOptions},
	"GET /schools/{school}":    {path: "/schools/a", kind: entityKind, nav: "classes"},
	"PATCH /schools/{school}":  {path: "/schools/a", kind: noOptions},
	"DELETE /schools/{school}": {path: "/schools/a", kind: noOptions},

	"GET /users":           {path: "/users", kind: listKind, nav: "schools"},
	"GET /users/$count":    {path: "/users/$count", kind: countKind},
	"POST /users":          {path: "/users", kind: noOptions},
	"GET /users/{user}":    {path: "/users/a", kind: entityKind, nav: "taughtClasses"},
	"PATCH /users/{user}":  {path: "/users/a", kind: noOptions},
	"DELETE /users/{user}": {path: "/users/a", kind: noOptions},

	"GET /classes":            {path: "/classes", kind: listKind, nav: "members"},
	"GET /classes/$count":     {path: "/classes/$count", kind: countKind},
	"POST /classes":           {path: "/classes", kind: noOptions},
	"GET /classes/{class}":    {path: "/classes/a", kind: entityKind, nav: "teachers"},
	"PATCH /classes/{class}":  {path: "/classes/a", kind: noOptions},
	"DELETE /classes/{class}": {path: "/classes/a", kind: noOptions},

	"GET /schools/{school}/users":                   {path: "/schools/a/users", kind: listKind, nav: "classes"},
	"GET /schools/{school}/users/$count":            {path: "/schools/a/users/$count", kind: countKind},
	"POST /schools/{school}/users":                  {path: "/schools/a/users", kind: noOptions},
	"POST /schools/{school}/users/$ref":             {path: "/schools/a/users/$ref", kind: noOptions},
	"DELETE /schools/{school}/users/$ref":           {path: "/schools/a/users/$ref", kind: refKind},
	"DELETE /schools/{school}/users/{user}/$ref":    {path: "/schools/a/users/a/$ref", kind: noOptions},
	"GET /schools/{school}/classes":                 {path: "/schools/a/classes", kind: listKind, nav: "schools"},
	"GET /schools/{school}/classes/$count":          {path: "/schools/a/classes/$count", kind: countKind},
	"POST /schools/{school}/classes":                {path: "/schools/a/classes", kind: noOptions},
	"POST /schools/{school}/classes/$ref":           {path: "/schools/a/classes/$ref", kind: noOptions},
	"DELETE /schools/{school}/classes/$ref":         {path: "/schools/a/classes/$ref", kind: refKind},
	"DELETE /schools/{school}/classes/{class}/$ref": {path: "/schools/a/classes/a/$ref", kind: noOptions},

	"GET /classes/{class}/members":                 {path: "/classes/a/members", kind: listKind, nav: "schools"},
	"GET /classes/{class}/members/$count":          {path: "/classes/a/members/$count", kind: countKind},
	"POST /classes/{class}/members/$ref":           {path: "/classes/a/members/$ref", kind: noOptions},
	"DELETE /classes/{class}/members/$ref":         {path: "/classes/a/members/$ref", kind: refKind},
	"DELETE /classes/{class}/members/{user}/$ref":  {path: "/classes/a/members/a/$ref", kind: noOptions},
	"GET /classes/{class}/teachers":                {path: "/classes/a/teachers", kind: listKind, nav: "classes"},
	"GET /classes/{class}/teachers/$count":         {path: "/classes/a/teachers/$count", kind: countKind},
	"POST /classes/{class}/teachers/$ref":          {path: "/classes/a/teachers/$ref", kind: noOptions},
	"DELETE /classes/{class}/teachers/$ref":        {path: "/classes/a/teachers/$ref", kind: refKind},
	"DELETE /classes/{class}/teachers/{user}/$ref": {path: "/classes/a/teachers/a/$ref", kind: noOptions},
	"GET /classes/{class}/schools":                 {path: "/classes/a/schools", kind: listKind, nav: "users"},
	"GET /classes/{class}/schools/$count":          {path: "/classes/a/schools/$count", kind: countKind},
	"GET /users/{user}/schools":                    {path: "/users/a/schools", kind: listKind, nav: "classes"},
	"GET /users/{user}/schools/$count":             {path: "/users/a/schools/$count", kind: countKind},
	"GET /users/{user}/classes":                    {path: "/users/a/classes", kind: listKind, nav: "teachers"},
	"GET /users/{user}/classes/$count":             {path: "/users/a/classes/$count", kind: countKind},
	"GET /users/{user}/taughtClasses":              {path: "/users/a/taughtClasses", kind: listKind, nav: "members"},
	"GET /users/{user}/taughtClasses/$count":       {path: "/users/a/taughtClasses/$count", kind: countKind},
}

// matrix is a row with the directory that it is tried on.
type matrix struct {
	place
	method string
	// service answers from a directory in which every list has two entities, Alpha and Beta, whose human keys are a and b.
	service *service
	// refusing has no directory: what it answers is decided before one is asked.
	refusing *service
}

// TestOptions tries every system query option on every route: a supported use of it has an effect that can be seen, and
// everything else is refused by name.
func TestOptions(t *testing.T) {
	t.Parallel()
	filled := newMatrixService(t)
	routes := map[string]bool{}
	note := func(method, route string) { routes[method+" "+route] = true }
	walk(t, note)
	walkRoutes(t, New(Config{Rules: contract}).Metadata(), note)
	for route := range places {
		if !routes[route] {
			t.Errorf("the row %s has no route", route)
		}
	}
	for route := range routes {
		row, ok := places[route]
		if !ok {
			t.Errorf("the route %s has no row", route)
			continue
		}
		t.Run(route, func(t *testing.T) {
			method, _, _ := strings.Cut(route, " ")
			m := &matrix{place: row, method: method, service: filled, refusing: newService(&fake{}, contract)}
			for _, option := range systemOptions {
				if probe, ok := row.kind[option]; ok {
					m.checkAnswered(t, option, probe)
				} else {
					m.checkUnanswered(t, option)
				}
				checkFault(t, m.refuse(option[1:]+"=1"), odata.InvalidRequest, option[1:])
			}
			checkFault(t, m.refuse("=1"), odata.InvalidRequest, "")
			checkFault(t, m.refuse("foo=1"), odata.InvalidRequest, "foo")
			checkFault(t, m.refuse("$foo=1"), odata.InvalidRequest, "$foo")
			checkFault(t, m.refuse("$top=%zz"), odata.InvalidRequest, "")
		})
	}
}

// newMatrixService returns a service with two schools, two users and two classes, each linked to all others.
func newMatrixService(t *testing.T) *service {
	t.Helper()
	rules := contract
	rules.SchoolsPerUser = education.ManySchools
	s := newService(newDirectory(t, rules), rules)
	for name, key := range map[string]string{"Alpha": "a", "Beta": "b"} {
		s.must(t, http.StatusCreated, "POST", "/schools", `{"displayName":"`+name+`","schoolNumber":"`+key+`"}`)
	}
	const schools = `"schools@odata.bind":["/schools/a","/schools/b"]`
	for name, key := range map[string]string{"Alpha": "a", "Beta": "b"} {
		s.must(t, http.StatusCreated, "POST", "/users", `{"displayName":"`+name+`","onPremisesSamAccountName":"`+key+`",`+schools+`}`)
	}
	const people = `"members@odata.bind":["/users/a","/users/b"],"teachers@odata.bind":["/users/a","/users/b"]`
	for name, key := range map[string]string{"Alpha": "a", "Beta": "b"} {
		s.must(t, http.StatusCreated, "POST", "/classes", `{"displayName":"`+name+`","classification":"x","externalId":"`+key+`",`+schools+`,`+people+`}`)
	}
	return s
}

// checkAnswered tries an option that the route answers.
func (m *matrix) checkAnswered(t *testing.T, option string, probe probe) {
	t.Helper()
	value := m.fill(t, probe.value)
	for _, spelling := range []string{option, strings.ToUpper(option), url.QueryEscape(option)} {
		probe.effect(t, m, m.ask(m.service, "?"+spelling+"="+url.QueryEscape(value), ""))
	}
	target := strings.Replace(option, "@id", "$id", 1)
	for _, query := range []string{
		option, option + "=", option + "=%20", option + "=" + url.QueryEscape(value) + "&" + strings.ToUpper(option) + "=" + url.QueryEscape(value),
		option + "=%00", option + "=%FF", option + "=" + strings.Repeat("x", odata.MaxCursorLength+1),
	} {
		checkFault(t, m.refuse(query), odata.InvalidRequest, target)
	}
	for code, values := range map[odata.Code]map[string]string{odata.InvalidRequest: probe.malformed, odata.NotSupported: probe.unsupported} {
		for value, target := range values {
			checkFault(t, m.refuse(option+"="+url.QueryEscape(m.fill(t, value))), code, m.fill(t, target))
		}
	}
}

// checkUnanswered tries an option that the route does not answer. No value of it is looked at.
func (m *matrix) checkUnanswered(t *testing.T, option string) {
	t.Helper()
	target := strings.Replace(option, "@id", "$id", 1)
	for _, query := range []string{"=1", "=true", "=displayName", "=", "", "=1&" + option + "=1"} {
		checkFault(t, m.refuse(option+query), odata.NotSupported, target)
	}
	checkFault(t, m.refuse(strings.ToUpper(option)+"=1"), odata.NotSupported, target)
}

func (m *matrix) refuse(query string) *httptest.ResponseRecorder {
	return m.ask(m.refusing, "?"+query, `{}`)
}

// ask sends a request to the route.
func (m *matrix) ask(s *service, query, body string) *httptest.ResponseRecorder {
	base := root
	if m.above {
		base = strings.TrimSuffix(root, "/education")
	}
	return s.sendTo(httptest.NewRequest(m.method, "http://education.example"+base+m.path+query, strings.NewReader(body)))
}

// fill replaces the words that stand for something else on each route.
func (m *matrix) fill(t *testing.T, text string) string {
	t.Helper()
	if text == "{cursor}" {
		return cursorOf(t, decodeList(t, m.ask(m.service, "?$top=1", "")).Next)
	}
	target := "/users/b"
	if strings.Contains(m.path, "/classes/$ref") {
		target = "/classes/b"
	}
	return strings.NewReplacer("{nav}", m.nav, "{target}", target).Replace(text)
}

// cursorOf returns the cursor of a link to the next page.
func cursorOf(t testing.TB, link string) string {
	t.Helper()
	parsed, err := url.Parse(link)
	if err != nil || parsed.Query().Get("$skiptoken") == "" {
		t.Fatalf("the link %q has no cursor", link)
	}
	return parsed.Query().Get("$skiptoken")
}

// list is a list in JSON.
type list struct {
	Context string `json:"@odata.context"`
	Count   *int   `json:"@odata.count"`
	Next    string `json:"@odata.nextLink"`
	Value   []map[string]any
}

// decodeList reads a response that has to be a list.
func decodeList(t testing.TB, response *httptest.ResponseRecorder) list {
	t.Helper()
	var got list
	if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil || response.Code != http.StatusOK || got.Value == nil {
		t.Fatalf("got %d %.300s (%v), want a list", response.Code, response.Body, err)
	}
	return got
}

// names are the names of the entities in a list.
func (l list) names() []string {
	names := []string{}
	for _, entity := range l.Value {
		name, _ := entity["displayName"].(string)
		names = append(names, name)
	}
	return names
}

// entities returns those of a response, which holds a list or one entity.
func entities(t *testing.T, response *httptest.ResponseRecorder) (context string, values []map[string]any) {
	t.Helper()
	var one map[string]any
	if err := json.Unmarshal(response.Body.Bytes(), &one); err != nil || response.Code != http.StatusOK {
		t.Fatalf("got %d %.300s", response.Code, response.Body)
	}
	if _, ok := one["value"]; ok {
		got := decodeList(t, response)
		return got.Context, got.Value
	}
	context, _ = one["@odata.context"].(string)
	delete(one, "@odata.context")
	return context, []map[string]any{one}
}

func wrongNumbers(option string) map[string]string {
	return map[string]string{"-1": option, "+1": option, "1.5": option, "x": option, "0x1": option, "2147483648": option, "1e3": option}
}

func wantNames(want ...string) func(*testing.T, *matrix, *httptest.ResponseRecorder) {
	return func(t *testing.T, _ *matrix, response *httptest.ResponseRecorder) {
		t.Helper()
		if diff := cmp.Diff(want, decodeList(t, response).names()); diff != "" {
			t.Errorf("names: %s", diff)
		}
	}
}

// wantDescending wants the names in descending order, and the contrary of the contrary option.
func wantDescending(t *testing.T, m *matrix, response *httptest.ResponseRecorder) {
	t.Helper()
	wantNames("Beta", "Alpha")(t, m, response)
	wantNames("Alpha", "Beta")(t, m, m.ask(m.service, "?$orderby=displayName", ""))
}

// wantFirst wants one entity of the two, and a link that leads to the other.
func wantFirst(t *testing.T, m *matrix, response *httptest.ResponseRecorder) {
	t.Helper()
	first := decodeList(t, response)
	second := decodeList(t, m.service.follow(first.Next))
	names := append(first.names(), second.names()...)
	if slices.Sort(names); len(first.Value) != 1 || second.Next != "" || !slices.Equal(names, []string{"Alpha", "Beta"}) {
		t.Errorf("got %d entities, and behind them the rest of %v and the link %q", len(first.Value), names, second.Next)
	}
}

// wantSecond wants the one entity that is not on the first page of one.
func wantSecond(t *testing.T, m *matrix, response *httptest.ResponseRecorder) {
	t.Helper()
	got, first := decodeList(t, response), decodeList(t, m.ask(m.service, "?$top=1", ""))
	if len(got.Value) != 1 || got.Next != "" || slices.Equal(got.names(), first.names()) {
		t.Errorf("got %v and the link %q behind %v", got.names(), got.Next, first.names())
	}
}

func wantCount(want int) func(*testing.T, *matrix, *httptest.ResponseRecorder) {
	return func(t *testing.T, m *matrix, response *httptest.ResponseRecorder) {
		t.Helper()
		if got := decodeList(t, response); got.Count == nil || *got.Count != want || len(got.Value) != want {
			t.Errorf("got %s", response.Body)
		}
		// It is that of all entities, however few are shown, and there because it is asked for.
		if got := decodeList(t, m.ask(m.service, "?$count=true&$top=1", "")); got.Count == nil || *got.Count != want || len(got.Value) != 1 {
			t.Errorf("with $top: got the count %v of %v", got.Count, got.names())
		}
		if got := decodeList(t, m.ask(m.service, "", "")); got.Count != nil {
			t.Errorf("without the option: got the count %d", *got.Count)
		}
	}
}

// wantSelected wants that each entity has its name alone, and that the context says so.
func wantSelected(t *testing.T, _ *matrix, response *httptest.ResponseRecorder) {
	t.Helper()
	context, values := entities(t, response)
	if !strings.Contains(context, "(displayName)") {
		t.Errorf("got the context %q", context)
	}
	for _, entity := range values {
		if diff := cmp.Diff([]string{"@odata.etag", "displayName"}, slices.Sorted(maps.Keys(entity))); diff != "" {
			t.Errorf("properties: %s", diff)
		}
	}
}

// wantExpanded wants that each entity has its targets, whole, and that the context says so.
func wantExpanded(t *testing.T, m *matrix, response *httptest.ResponseRecorder) {
	t.Helper()
	context, values := entities(t, response)
	if !strings.Contains(context, "("+m.nav+"())") {
		t.Errorf("got the context %q", context)
	}
	for _, entity := range values {
		var names []string
		targets, _ := entity[m.nav].([]any)
		for _, target := range targets {
			whole, _ := target.(map[string]any)
			name, _ := whole["displayName"].(string)
			names = append(names, name)
			if whole["id"] == nil || len(whole) < 4 {
				t.Errorf("got the target %v", whole)
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{"Alpha", "Beta"}) || entity["id"] == nil || len(entity) < 4 {
			t.Errorf("got %v", entity)
		}
	}
	if _, plain := entities(t, m.ask(m.service, "", "")); plain[0][m.nav] != nil {
		t.Errorf("without the option: got %v", plain[0])
	}
}

// wantUnannotated wants what the route answers without the option, but for control information.
func wantUnannotated(t *testing.T, m *matrix, response *httptest.ResponseRecorder) {
	t.Helper()
	const none = "application/json;odata.metadata=none"
	context, got := entities(t, response)
	plainContext, plain := entities(t, m.ask(m.service, "", ""))
	for _, entity := range plain {
		if entity["@odata.etag"] == nil {
			t.Errorf("without the option: got %v", entity)
		}
		delete(entity, "@odata.etag")
	}
	if diff := cmp.Diff(plain, got); diff != "" || context != "" || plainContext == "" || response.Header().Get("Content-Type") != none {
		t.Errorf("got %v with context %q: %s", response.Header(), context, diff)
	}
}

// wantDocument wants what the service document is without the option, but for control information.
func wantDocument(t *testing.T, m *matrix, response *httptest.ResponseRecorder) {
	t.Helper()
	plain := m.ask(m.service, "", "").Body.String()
	context, content, _ := strings.Cut(plain, `,"value":`)
	want := `{"value":` + content
	if got := response.Body.String(); response.Code != http.StatusOK || got != want || !strings.HasPrefix(context, `{"@odata.context":`) {
		t.Errorf("got %d %s, want %s, and without the option the context: %s", response.Code, got, want, plain)
	}
}

// wantModel wants the model in JSON, which is XML without the option.
func wantModel(t *testing.T, m *matrix, response *httptest.ResponseRecorder) {
	t.Helper()
	if got := response.Header().Get("Content-Type"); response.Code != http.StatusOK || got != mediaJSON || !json.Valid(response.Body.Bytes()) {
		t.Errorf("got %d %s", response.Code, got)
	}
	if plain := m.ask(m.service, "", ""); plain.Header().Get("Content-Type") != mediaXML || !strings.HasPrefix(plain.Body.String(), "<") {
		t.Errorf("without the option: got %v %.40s", plain.Header(), plain.Body)
	}
}

func wantDigits(want string) func(*testing.T, *matrix, *httptest.ResponseRecorder) {
	return func(t *testing.T, m *matrix, response *httptest.ResponseRecorder) {
		t.Helper()
		if got := response.Body.String(); got != want || response.Header().Get("Content-Type") != "text/plain" {
			t.Errorf("got %d %v %q, want the digits %q", response.Code, response.Header(), got, want)
		}
		if all := m.ask(m.service, "", "").Body.String(); all != "2" {
			t.Errorf("without an option the count is %q", all)
		}
	}
}

// wantRemoved wants that the link has gone, and makes it again.
func wantRemoved(t *testing.T, m *matrix, response *httptest.ResponseRecorder) {
	t.Helper()
	collection := strings.TrimSuffix(m.path, "/$ref")
	if got := decodeList(t, m.service.send("GET", collection, "")).names(); response.Code != http.StatusNoContent || !slices.Equal(got, []string{"Alpha"}) {
		t.Errorf("got %d %s, and %v are left", response.Code, response.Body, got)
	}
	m.service.must(t, http.StatusNoContent, "POST", m.path, string(mustJSON(t, map[string]string{"@odata.id": m.fill(t, "{target}")})))
}
