package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	metering "go.opentelemetry.io/otel/metric/noop"
	tracing "go.opentelemetry.io/otel/trace/noop"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/middleware"
)

// What a tenant gets must not depend on what other tenants have. So each request is sent to two directories that hold the
// same tenant, byte for byte: in one of them it is alone, in the other it is among fifty, and administrators have linked it
// with another one in every way there is. The answers must be equal.

// foreignTenants is how many tenants there are beside the one that is looked at, and how many in short mode.
const foreignTenants, fewTenants = 49, 2

// shortStep says that in short mode one of so many requests of a route is sent.
const shortStep = 10

// canary is a part of every text of a foreign tenant.
const canary = "canary"

// The tokens in the tests.
const (
	rootToken, ownToken, readerToken, foreignToken = "root", "own", "reader", "foreign"
	expiredToken, revokedToken                     = "expired", "revoked"
)

// party is a tenant: for each set the values of the keys of one entity.
type party map[*education.EntitySet]map[string]string

// world is a directory in a file, with the whole service in front of it.
type world struct {
	rules    education.Rules
	path     string
	template []byte
	gate     middleware.Credentials
	store    *embedded.Store
	handler  http.Handler
	log      bytes.Buffer
	// answered are the statuses of its answers.
	answered map[int]bool
}

// newWorld returns a world that begins as a copy of a file; nil is an empty one.
func newWorld(t *testing.T, rules education.Rules, template []byte, gate middleware.Credentials) *world {
	t.Helper()
	w := &world{rules: rules, path: filepath.Join(t.TempDir(), "directory.db"), template: template, gate: gate, answered: map[int]bool{}}
	t.Cleanup(func() { _ = w.store.Close() })
	w.open(t)
	return w
}

const (
	worldBase    = "dc=opencloud,dc=eu"
	worldUsers   = "ou=users," + worldBase
	worldClasses = "ou=groups," + worldBase
	worldSchools = "ou=tenants," + worldBase
)

// open opens the directory as the template has it.
func (w *world) open(t *testing.T) {
	t.Helper()
	if w.template != nil {
		if err := os.WriteFile(w.path, w.template, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.store, err = embedded.Open(embedded.Config{Path: w.path, Containers: []string{worldUsers, worldClasses, worldSchools}})
	if err != nil {
		t.Fatal(err)
	}
	directory, err := identity.New(identity.Config{
		Operations: w.store, UserBase: worldUsers, ClassBase: worldClasses, SchoolBase: worldSchools, Rules: w.rules,
	})
	if err != nil {
		t.Fatal(err)
	}
	router := chi.NewRouter()
	router.Use(middleware.Chain(middleware.Options{
		Logger:  slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Tracers: tracing.NewTracerProvider(), Meters: metering.NewMeterProvider(), Patience: time.Minute, Credentials: w.gate,
	})...)
	router.NotFound(middleware.NotFound)
	router.MethodNotAllowed(middleware.MethodNotAllowed(router))
	api := New(Config{Directory: directory, Rules: w.rules, CursorKey: []byte("the key of both worlds")})
	router.Mount(root, api.Routes())
	router.Mount(strings.TrimSuffix(root, "/education"), api.Metadata())
	w.handler = router
}

// again takes back what was written.
func (w *world) again(t *testing.T) {
	t.Helper()
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	w.open(t)
}

// template returns the file as it is now.
func (w *world) file(t *testing.T) []byte {
	t.Helper()
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func (w *world) send(token string, c call) *httptest.ResponseRecorder {
	r := httptest.NewRequest(c.method, "http://education.example"+c.path, strings.NewReader(c.body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	w.answered[recorder.Code] = true
	return recorder
}

// dump returns all entries of the directory with all that they hold, by their DNs.
func (w *world) dump(t *testing.T) map[string]string {
	t.Helper()
	entries := make(map[string]string)
	err := w.store.Search(context.Background(), &wire.SearchRequest{
		Base: worldBase, Scope: wire.ScopeSubtree, Filter: wire.Present("objectClass"), Attributes: []string{"*", "+"},
	}, func(entry *wire.Entry) error {
		var all []string
		for _, attribute := range entry.Attributes {
			all = append(append(all, attribute.Type+":"), attribute.Values...)
		}
		entries[entry.DN] = strings.Join(all, "\x00")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// call is a request.
type call struct {
	method, path, body string
	// keys are the texts of keys in it.
	keys []string
}

func (c call) String() string { return strings.TrimSpace(c.method + " " + c.path + " " + c.body) }

// gate knows the tokens of the tests.
type gate map[string]*access.Credential

func (g gate) Credential(_ context.Context, token string) (*access.Credential, error) {
	if token == expiredToken {
		return nil, access.ErrInvalid
	}
	if credential, ok := g[token]; ok {
		return credential, nil
	}
	return nil, access.ErrUnknown
}

// isolation is the stage of the matrix.
type isolation struct {
	*testing.T
	own, foreign, absent party
	// alone has the own tenant and nothing else, among has all of them.
	alone, among *world
	// before is what among holds at first, and again before each request.
	before map[string]string
	// foreignIDs are the ids of all entities of other tenants.
	foreignIDs []string
	// known are the ids of all entities that were there at first.
	known map[string]bool
}

func newIsolation(t *testing.T, rules education.Rules) *isolation {
	t.Helper()
	i := &isolation{T: t, known: map[string]bool{}}
	credentials := gate{rootToken: {Name: access.Administrator, Verbs: access.AllVerbs, AllSchools: true}}
	first := newWorld(t, rules, nil, credentials)
	i.own = first.tenant(t, "own")
	alone := first.file(t)
	second := newWorld(t, rules, alone, credentials)
	others := foreignTenants
	if testing.Short() {
		others = fewTenants
	}
	for n := range others {
		other := second.tenant(t, fmt.Sprint(canary, n))
		i.foreign = other
		for _, keys := range other {
			i.foreignIDs = append(i.foreignIDs, keys["id"])
		}
	}
	outside := second.create(t, education.Users, map[string]any{"displayName": canary, "onPremisesSamAccountName": canary + "-outside"})
	i.foreignIDs = append(i.foreignIDs, outside["id"])
	i.absent = party{}
	for set, keys := range i.foreign {
		i.absent[set] = map[string]string{}
		for name := range keys {
			i.absent[set][name] = "absent"
		}
		i.absent[set]["id"] = "0198aaaa-bbbb-7ccc-8ddd-eeeeffff0000"
	}
	i.link(second)
	for _, p := range []party{i.own, i.foreign, i.absent} {
		for _, keys := range p {
			i.known[keys["id"]] = true
		}
	}
	among := second.file(t)
	school := func(p party) []string { return []string{p[education.Schools]["id"]} }
	credentials[ownToken] = &access.Credential{Name: "own", Verbs: access.AllVerbs, Schools: school(i.own)}
	credentials[readerToken] = &access.Credential{Name: "reader", Verbs: access.Read, Schools: school(i.own)}
	credentials[foreignToken] = &access.Credential{Name: "foreign", Verbs: access.AllVerbs, Schools: school(i.foreign)}
	i.alone, i.among = newWorld(t, rules, alone, credentials), newWorld(t, rules, among, credentials)
	i.before = i.among.dump(t)
	return i
}

// link links the own tenant with the last foreign one in every way that an administrator can.
func (i *isolation) link(w *world) {
	for _, nav := range education.Navigations {
		if !nav.Ref || nav.Owner == education.Schools && nav.Target == education.Users {
			continue // A user is in one school.
		}
		for _, ends := range [][2]party{{i.own, i.foreign}, {i.foreign, i.own}} {
			if nav.Owner == education.Schools {
				continue // A shared class is another test's business: see identitytest.
			}
			got := w.send(rootToken, call{
				method: http.MethodPost, path: root + "/" + nav.Owner.Name + "/" + ends[0][nav.Owner]["id"] + "/" + nav.Name + "/$ref",
				body: reference("/" + nav.Target.Name + "/" + ends[1][nav.Target]["id"]),
			})
			if got.Code != http.StatusNoContent {
				i.Fatalf("link: %d %s", got.Code, got.Body)
			}
		}
	}
}

func reference(path string) string { return `{"@odata.id":"` + path + `"}` }

// tenant makes a school with a user and a class, whose every text begins with a name.
func (w *world) tenant(t *testing.T, name string) party {
	t.Helper()
	p := party{}
	links := map[string]any{}
	for _, set := range education.EntitySets {
		body := map[string]any{}
		for _, property := range set.Properties {
			if property.Type == education.String && property.Access == education.ReadWrite && !strings.Contains(property.Check, "oneof") {
				body[property.Name] = name + "-" + set.Singular + "-" + property.Name
			}
			if strings.HasPrefix(property.Check, "email") {
				body[property.Name] = name + "@example.org"
			}
		}
		for _, nav := range education.Navigations {
			if nav.Owner == set && nav.Bind && links[nav.Target.Name] != nil {
				body[nav.Name+"@odata.bind"] = links[nav.Target.Name]
			}
		}
		p[set] = w.create(t, set, body)
		links[set.Name] = []string{"/" + set.Name + "/" + p[set]["id"]}
	}
	return p
}

// create makes an entity and returns its keys.
func (w *world) create(t *testing.T, set *education.EntitySet, body map[string]any) map[string]string {
	t.Helper()
	encoded, _ := json.Marshal(body)
	got := w.send(rootToken, call{method: http.MethodPost, path: root + "/" + set.Name, body: string(encoded)})
	var entity map[string]any
	if err := json.Unmarshal(got.Body.Bytes(), &entity); err != nil || got.Code > 299 {
		t.Fatalf("create one of %s: %d %s", set.Name, got.Code, got.Body)
	}
	keys := map[string]string{}
	for _, property := range set.Properties {
		if text, ok := entity[property.Name].(string); ok && property.Key {
			keys[property.Name] = text
		}
	}
	return keys
}

// volatile is what differs between two answers that tell the same: ids of requests and of what was made just now, times,
// versions, and the names of walks.
var volatile = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|W/\\?"[^"]*"|(\$|%24)skiptoken=[A-Za-z0-9_-]+`)

var anyUUID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// told is what a client learns from an answer.
func (i *isolation) told(response *httptest.ResponseRecorder) string {
	var b strings.Builder
	fmt.Fprintln(&b, response.Code)
	header := response.Header().Clone()
	for _, name := range []string{"X-Request-Id", "Request-Id", "Client-Request-Id"} {
		header.Del(name)
	}
	if err := header.Write(&b); err != nil {
		i.Fatal(err)
	}
	b.Write(response.Body.Bytes())
	text := volatile.ReplaceAllString(b.String(), "*")
	return anyUUID.ReplaceAllStringFunc(text, func(id string) string {
		if i.known[id] {
			return id
		}
		return "*"
	})
}

// whose says of which tenant a key is.
type whose struct {
	name string
	of   func(*isolation) party
}

var (
	owned   = whose{"own", func(i *isolation) party { return i.own }}
	foreign = whose{"foreign", func(i *isolation) party { return i.foreign }}
	absent  = whose{"absent", func(i *isolation) party { return i.absent }}
)

// segments returns the ways of writing each key of an entity as a segment of a path.
func segments(set *education.EntitySet, p party) map[string][2]string {
	ways := map[string][2]string{}
	for name, value := range p[set] {
		ways[name] = [2]string{"(" + name + "='" + value + "')", value}
	}
	ways["a key without a name"] = [2]string{"/" + p[set]["id"], p[set]["id"]}
	if human := p[set][set.HumanKey.Name]; human != "" {
		ways["the human key"] = [2]string{"/" + human, human}
	}
	return ways
}

// The kinds of requests that differ from the others of a route in one thing only.
const ownIDs, plain = "own ids", "plain"

// placeholder stands for a key in the pattern of a route.
var placeholder = regexp.MustCompile(`/\{(\w+)\}`)

// paths returns the paths of a route: each key of each tenant at each of its places, with own ids at all others.
func (i *isolation) paths(pattern string) map[string]call {
	holders := placeholder.FindAllStringSubmatch(pattern, -1)
	fill := func(which int, segment string) string {
		path, n := pattern, -1
		return placeholder.ReplaceAllStringFunc(path, func(found string) string {
			if n++; n == which {
				return segment
			}
			set := setNamed(strings.Trim(found, "/{}"))
			return "/" + i.own[set]["id"]
		})
	}
	all := map[string]call{ownIDs: {path: fill(-1, "")}}
	for which, holder := range holders {
		set := setNamed(holder[1])
		if set == nil {
			i.Fatalf("the route %s has a place for a key of an unknown set", pattern)
		}
		for _, by := range []whose{owned, foreign, absent} {
			for way, segment := range segments(set, by.of(i)) {
				all[fmt.Sprintf("%s of %s %s", way, by.name, set.Singular)] = call{path: fill(which, segment[0]), keys: []string{segment[1]}}
			}
		}
	}
	return all
}

func setNamed(singular string) *education.EntitySet {
	for _, set := range education.EntitySets {
		if set.Singular == singular {
			return set
		}
	}
	return nil
}

// route is a route of the API, taken apart.
type route struct {
	method, pattern string
	// set is that of the entities that are asked for or made.
	set *education.EntitySet
	nav *education.Navigation
	// many says that the route has a list.
	many, count, ref bool
}

// routeOf takes a route apart. Whatever it does not understand has no rows, which fails the test.
func routeOf(method, pattern string) (route, bool) {
	r := route{method: method, pattern: pattern}
	rest := strings.Split(strings.Trim(pattern, "/"), "/")
	last := rest[len(rest)-1]
	if last == "$count" || last == "$ref" {
		r.count, r.ref = last == "$count", last == "$ref"
		rest = rest[:len(rest)-1]
	}
	for _, set := range education.EntitySets {
		if rest[0] == set.Name {
			r.set = set
		}
	}
	if r.set == nil {
		return r, false
	}
	if len(rest) > 2 {
		if r.nav = education.NavigationOf(r.set, rest[2]); r.nav == nil {
			return r, false
		}
		r.set = r.nav.Target
	}
	r.many = len(rest)%2 == 1
	return r, len(rest) <= 4
}

// calls returns the requests of a route: with every kind of key in its path, and with everything that may stand behind the path
// and in the body.
func (i *isolation) calls(r route) map[string]call {
	all := map[string]call{}
	for name, at := range i.paths(r.pattern) {
		at.method, at.path = r.method, root+at.path
		for kind, variant := range i.variants(r) {
			if name != ownIDs && kind != plain {
				continue
			}
			c := at
			c.path += variant.path
			c.body = variant.body
			c.keys = append(slices.Clone(at.keys), variant.keys...)
			all[name+", "+kind] = c
		}
	}
	return all
}

// variants returns what may stand behind the path of a route's requests, and in their bodies.
func (i *isolation) variants(r route) map[string]call {
	switch {
	case r.method == http.MethodGet:
		return i.queries(r)
	case r.ref && r.method == http.MethodPost, r.ref && r.many:
		all := i.references(r)
		all[plain] = all["relative reference to own by id"]
		return all
	case r.method == http.MethodPost:
		return i.bodies(r.set, map[string]any{"displayName": "new", "classification": "new", "onPremisesSamAccountName": "new"})
	case r.method == http.MethodPatch:
		return i.bodies(r.set, map[string]any{"displayName": "new"})
	}
	return map[string]call{plain: {}}
}

// queries returns query options that ask for something foreign.
func (i *isolation) queries(r route) map[string]call {
	all := map[string]call{plain: {}}
	ask := func(name, options string, keys ...string) {
		all[name] = call{path: "?" + url.PathEscape(options), keys: keys}
	}
	if !r.count {
		for _, nav := range education.Navigations {
			if nav.Owner == r.set {
				ask("expand "+nav.Name, "$expand="+nav.Name)
			}
		}
	}
	if !r.many {
		return all
	}
	for _, by := range []whose{owned, foreign, absent} {
		p := by.of(i)
		for name, value := range p[r.set] {
			ask("filter by "+by.name+" "+name, "$filter="+name+" eq '"+value+"'", value)
			ask("filter not by "+by.name+" "+name, "$filter="+name+" ne '"+value+"'", value)
		}
		for _, nav := range education.Navigations {
			if nav.Owner != r.set {
				continue
			}
			for name, value := range p[nav.Target] {
				ask("filter by "+name+" of "+by.name+" "+nav.Name, "$filter="+nav.Name+"/any(x:x/"+name+" eq '"+value+"')", value)
			}
		}
	}
	for _, nav := range education.Navigations {
		if nav.Owner == r.set {
			ask("filter by any "+nav.Name, "$filter="+nav.Name+"/any()")
			ask("filter by no "+nav.Name, "$filter="+nav.Name+"/$count eq 0")
		}
	}
	ask("search", "$search="+canary, canary)
	if r.count {
		return all
	}
	ask("count", "$count=true")
	ask("order and skip", "$orderby=displayName desc&$skip=1")
	ask("page", "$top=1&$count=true")
	for _, token := range []string{rootToken, foreignToken} {
		path := root + "/" + r.set.Name
		if cursor := i.cursor(token, path); cursor != "" {
			all["cursor of "+token] = call{path: "?$top=1&$skiptoken=" + cursor}
		}
	}
	return all
}

// cursor returns the cursor of the second page of a list, if it has one.
func (i *isolation) cursor(token, path string) string {
	var page struct {
		Next string `json:"@odata.nextLink"`
	}
	got := i.among.send(token, call{method: http.MethodGet, path: path + "?$top=1"})
	if err := json.Unmarshal(got.Body.Bytes(), &page); err != nil {
		i.Fatalf("%d %s", got.Code, got.Body)
	}
	_, cursor, _ := strings.Cut(page.Next, "skiptoken=")
	return cursor
}

// references returns each way of naming a target of a $ref request.
func (i *isolation) references(r route) map[string]call {
	all := map[string]call{}
	for _, by := range []whose{owned, foreign, absent} {
		for way, segment := range segments(r.set, by.of(i)) {
			for form, prefix := range map[string]string{"relative": "", "absolute": "http://education.example" + root + "/"} {
				name := form + " reference to " + by.name + " by " + way
				target := prefix + r.set.Name + segment[0]
				c := call{body: reference(target), keys: []string{segment[1]}}
				if r.method == http.MethodDelete {
					c = call{path: "?$id=" + url.QueryEscape(target), keys: []string{segment[1]}}
				}
				all[name] = c
			}
		}
	}
	return all
}

// bodies returns bodies for an entity of a set, with links and values of other tenants.
func (i *isolation) bodies(set *education.EntitySet, some map[string]any) map[string]call {
	all := map[string]call{}
	add := func(name string, keys []string, more map[string]any) {
		body := map[string]any{}
		for _, property := range set.Properties {
			if value, ok := some[property.Name]; ok {
				body[property.Name] = value
			}
		}
		for name, value := range more {
			body[name] = value
		}
		encoded, _ := json.Marshal(body)
		all[name] = call{body: string(encoded), keys: keys}
	}
	add(plain, nil, nil)
	for _, by := range []whose{owned, foreign, absent} {
		p := by.of(i)
		externalID := p[set]["externalId"]
		add("externalId of "+by.name, []string{externalID}, map[string]any{"externalId": externalID})
		for _, nav := range education.Navigations {
			if nav.Owner == set && nav.Bind {
				for way, segment := range segments(nav.Target, p) {
					add("bind "+nav.Name+" of "+by.name+" by "+way, []string{segment[1]}, map[string]any{
						nav.Name + "@odata.bind": []string{"/" + nav.Target.Name + segment[0]},
					})
				}
			}
		}
	}
	return all
}

// refused are the routes that a credential of a tenant has no use of, whatever it names.
var refused = []string{"POST /schools", "PATCH /schools/{school}", "DELETE /schools/{school}"}

// keeps are the routes that would take something out of the tenant's only school.
var keeps = []string{
	"DELETE /schools/{school}/users/$ref", "DELETE /schools/{school}/users/{user}/$ref",
	"DELETE /schools/{school}/classes/$ref", "DELETE /schools/{school}/classes/{class}/$ref",
}

// TestIsolation sends everything that the routes offer, with every kind of key of every tenant, and every kind of credential.
// Every status that this is answered with has a name in the contract.
func TestIsolation(t *testing.T) { //nolint:paralleltest // It reads the process's default logger.
	checkIsolation(t, contract)
}

// TestIsolationCompatible is TestIsolation with the answers that OpenCloud's clients expect.
func TestIsolationCompatible(t *testing.T) { //nolint:paralleltest // As TestIsolation.
	if !identitytest.Thorough() {
		t.Skip("it takes as long as TestIsolation and shows little else; make thorough runs it")
	}
	checkIsolation(t, compatible)
}

// checkIsolation is TestIsolation under some rules.
func checkIsolation(t *testing.T, rules education.Rules) {
	t.Helper()
	i := newIsolation(t, rules)
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewJSONHandler(&i.among.log, nil)))
	document, err := openapi3.NewLoader().LoadFromFile("../../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cells := 0
	walk(t, func(method, pattern string) {
		name := method + " " + pattern
		r, ok := routeOf(method, pattern)
		if !ok {
			t.Errorf("the route %s has no row", name)
			return
		}
		calls := i.calls(r)
		clear(i.among.answered)
		names := slices.Sorted(maps.Keys(calls))
		succeeded := false
		for n, kind := range names {
			if testing.Short() && n%shortStep != 0 && kind != ownIDs+", "+plain {
				continue
			}
			cells += 6
			status := i.check(name+": "+kind, calls[kind])
			succeeded = succeeded || status < 300
		}
		if hopeless := slices.Contains(refused, name) || slices.Contains(keeps, name); succeeded == hopeless {
			t.Errorf("%s: a tenant had success: %t, want %t", name, succeeded, !hopeless)
		}
		i.checkNamed(name, document.Paths.Value("/education"+pattern).GetOperation(method))
	})
	t.Logf("%d cells", cells)
	if cells < 5000 && !testing.Short() {
		t.Errorf("%d cells are too few: the rows are not made any more", cells)
	}
}

// checkNamed looks for each status that a route has answered with in what the contract names.
func (i *isolation) checkNamed(name string, operation *openapi3.Operation) {
	for status := range i.among.answered {
		if operation.Responses.Status(status) == nil {
			i.Errorf("%s: the contract does not name the status %d", name, status)
		}
	}
}

// tellsOfClasses reports whether a request gives a class, in compatibility mode, the externalId of another one. As with OpenCloud,
// that is refused whoever's the other one is (decision 17).
func (i *isolation) tellsOfClasses(name string, c call) bool {
	taken := strings.HasSuffix(name, ": "+ownIDs+", externalId of foreign") || strings.HasSuffix(name, ": "+ownIDs+", externalId of own")
	return i.among.rules.Compatible && c.method != http.MethodGet && strings.Contains(name, "/classes") && taken
}

// check sends a request with every kind of credential, and returns the status that the own one got.
func (i *isolation) check(name string, c call) int {
	i.checkUnauthenticated(name, c)
	i.checkReader(name, c)
	if i.tellsOfClasses(name, c) {
		return http.StatusConflict
	}
	i.checkForeign(name, c)
	return i.checkOwn(name, c)
}

// checkOwn compares what the tenant is told among others with what it is told alone.
func (i *isolation) checkOwn(name string, c call) int {
	i.among.log.Reset()
	want, got := i.alone.send(ownToken, c), i.among.send(ownToken, c)
	if i.told(got) != i.told(want) {
		i.Errorf("%s\n%s\ngot among others\n%s\nwant as alone\n%s", name, c, i.told(got), i.told(want))
	}
	i.checkCanaries(name, c, got)
	i.checkUnchanged(name, c, got.Code, i.foreignIDs)
	if c.method != http.MethodGet && want.Code < 300 {
		i.alone.again(i.T)
	}
	return got.Code
}

// checkCanaries looks for anything foreign in an answer and in the log, but for what the request itself has named.
func (i *isolation) checkCanaries(name string, c call, got *httptest.ResponseRecorder) {
	var b strings.Builder
	_ = got.Header().Write(&b)
	text := b.String() + got.Body.String() + i.among.log.String()
	for _, key := range c.keys {
		text = strings.ReplaceAll(text, key, "")
	}
	if unescaped, err := url.PathUnescape(c.path); err == nil {
		text = strings.ReplaceAll(text, unescaped, "")
	}
	for _, needle := range append(slices.Clone(i.foreignIDs), canary) {
		if strings.Contains(text, needle) {
			i.Errorf("%s\n%s\n%q is in\n%s", name, c, needle, text)
			return
		}
	}
}

// checkUnchanged compares the directory with what it was at first: all of it if the request was refused, and
// otherwise the entries with the given ids. What a request has changed is taken back.
func (i *isolation) checkUnchanged(name string, c call, status int, ids []string) {
	if c.method == http.MethodGet {
		return
	}
	after := i.among.dump(i.T)
	changed := len(after) != len(i.before)
	for dn, entry := range i.before {
		if after[dn] == entry {
			continue
		}
		changed = true
		isTheirs := slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(dn, id) })
		// An administrator has made a tenant's user a member of a foreign class. With the user the link goes.
		isLink := c.method == http.MethodDelete && strings.HasSuffix(dn, worldClasses)
		if isTheirs && !isLink {
			i.Errorf("%s\n%s\nhas changed the entry %s", name, c, dn)
		}
	}
	if changed && status >= 300 {
		i.Errorf("%s\n%s\nwas refused with %d and has changed the directory", name, c, status)
	}
	if changed {
		i.among.again(i.T)
	}
}

// checkReader compares a credential for reading with one that may do all.
func (i *isolation) checkReader(name string, c call) {
	got := i.among.send(readerToken, c)
	if c.method != http.MethodGet {
		if got.Code != http.StatusForbidden {
			i.Errorf("%s\n%s\nwith a token for reading: got %d %s", name, c, got.Code, got.Body)
		}
		i.checkUnchanged(name, c, http.StatusForbidden, i.foreignIDs)
		return
	}
	if want := i.among.send(ownToken, c); i.told(got) != i.told(want) {
		i.Errorf("%s\n%s\nwith a token for reading got\n%s\nwant\n%s", name, c, i.told(got), i.told(want))
	}
}

// checkForeign sends the request of one tenant with the credential of another one, to whom the first one's keys mean as
// much as those that nobody has.
func (i *isolation) checkForeign(name string, c call) {
	got := i.among.send(foreignToken, c)
	var own []string
	for _, keys := range i.own {
		own = append(own, keys["id"])
	}
	theirs := c
	theirs.path, theirs.body = i.asAbsent(c.path), i.asAbsent(c.body)
	i.checkUnchanged(name, c, got.Code, own)
	want := i.among.send(foreignToken, theirs)
	i.checkUnchanged(name, theirs, want.Code, own)
	if i.asAbsent(i.told(got)) != i.asAbsent(i.told(want)) {
		i.Errorf("%s\n%s\nwith the other tenant's token got\n%s\nwant as for\n%s\n%s", name, c, i.told(got), theirs, i.told(want))
	}
}

// asAbsent puts keys that nobody has in the place of the own tenant's.
func (i *isolation) asAbsent(text string) string {
	for set, keys := range i.own {
		for name, value := range keys {
			text = strings.ReplaceAll(text, value, i.absent[set][name])
		}
	}
	return text
}

// checkUnauthenticated sends a request without a token, and with such as are good no more.
func (i *isolation) checkUnauthenticated(name string, c call) {
	var answers []string
	for _, token := range []string{"", expiredToken, revokedToken} {
		got := i.among.send(token, c)
		if got.Code != http.StatusUnauthorized {
			i.Errorf("%s\n%s\nwith the token %q: got %d", name, c, token, got.Code)
		}
		answers = append(answers, i.told(got))
	}
	if answers[1] != answers[2] {
		i.Errorf("%s: %s is told from %s", name, answers[1], answers[2])
	}
}
