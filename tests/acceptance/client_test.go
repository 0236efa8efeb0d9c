package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// call is a request to the API while it is put together.
type call struct {
	root    string
	header  http.Header
	outside bool
}

// option changes a call.
type option func(*call)

// outside marks a request that departs from the contract on purpose. Only its response is checked then.
func outside(c *call) { c.outside = true }

// header sets a header. Without values it is not sent at all.
func header(name string, values ...string) option {
	return func(c *call) { c.header[http.CanonicalHeaderKey(name)] = values }
}

// under sends the request to another place than EDUCATION_HTTP_ROOT/v1.0/education.
func under(root string) option { return func(c *call) { c.root = root } }

// get, post, patch and remove are call with the methods of the API.
func (s *server) get(t testing.TB, path string, options ...option) *answer {
	t.Helper()
	return s.call(t, http.MethodGet, path, nil, options...)
}

func (s *server) post(t testing.TB, path string, body any, options ...option) *answer {
	t.Helper()
	return s.call(t, http.MethodPost, path, body, options...)
}

func (s *server) patch(t testing.TB, path string, body any, options ...option) *answer {
	t.Helper()
	return s.call(t, http.MethodPatch, path, body, options...)
}

func (s *server) remove(t testing.TB, path string, options ...option) *answer {
	t.Helper()
	return s.call(t, http.MethodDelete, path, nil, options...)
}

// call sends a request and returns its answer. path is escaped and follows …/v1.0/education. A body that is a string or
// bytes is sent as it is, anything else as JSON, and nil is no body. The exchange is checked against the contract, and
// the answer for secrets and for faults of the service.
func (s *server) call(t testing.TB, method, path string, body any, options ...option) *answer {
	t.Helper()
	c := &call{root: s.root + "/v1.0/education", header: http.Header{"Authorization": {"Bearer " + s.token}}}
	content := encodeBody(t, body)
	if content != nil {
		c.header.Set("Content-Type", "application/json")
	}
	for _, option := range options {
		option(c)
	}
	request, err := http.NewRequest(method, "http://"+s.http+c.root+path, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = c.header
	s.noteFilter(request.URL)
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	received, err := io.ReadAll(response.Body)
	if err := firstError(err, response.Body.Close()); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	got := &answer{t: t, what: method + " " + path, status: response.StatusCode, header: response.Header, body: received}
	s.check(got, exchange{
		request: request, requestBody: content, outside: c.outside,
		path:   strings.TrimPrefix(request.URL.EscapedPath(), strings.TrimSuffix(c.root, "/education")),
		status: got.status, header: got.header, response: received,
	})
	return got
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func encodeBody(t testing.TB, body any) []byte {
	t.Helper()
	switch body := body.(type) {
	case nil:
		return nil
	case string:
		return []byte(body)
	case []byte:
		return body
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// check is what must hold for every answer.
func (s *server) check(a *answer, e exchange) {
	a.t.Helper()
	if err := document().check(e); err != nil {
		a.t.Errorf("%s: the exchange departs from the contract: %v\nrequest: %.500s\nanswer: %d %.500s", a.what, err, e.requestBody, a.status, a.body)
	}
	if a.status >= http.StatusInternalServerError && a.status != http.StatusNotImplemented && !(s.troubled && a.saysDown()) {
		a.t.Errorf("%s: the service failed: %d %s", a.what, a.status, a.body)
	}
	if a.status == http.StatusNoContent && len(a.body) > 0 {
		a.t.Errorf("%s: 204 with a body: %s", a.what, a.body)
	}
	if secret := s.leaked(a.body); secret != "" {
		a.t.Errorf("%s: the answer holds a secret, %q…", a.what, secret[:min(len(secret), 6)])
	}
	for _, match := range annotation.FindAllSubmatch(a.body, -1) {
		ask, known := asked[string(match[1])]
		if s.compatible && (!known || !ask.MatchString(e.request.URL.RawQuery+" "+e.request.Header.Get("Prefer"))) {
			a.t.Errorf("%s: the annotation %s in compatibility mode: %s", a.what, match[1], a.body)
		}
	}
}

var (
	// annotation is the name of an annotation in a JSON object.
	annotation = regexp.MustCompile(`"@odata\.(\w+)":`)
	// asked matches what asks for an annotation in compatibility mode.
	asked = map[string]*regexp.Regexp{
		"count":    regexp.MustCompile(`(?i)\$count=true`),
		"nextLink": regexp.MustCompile(`(?i)\$(top|skiptoken)=|odata\.maxpagesize`),
	}
)

// literal is a string literal of a filter that is long enough to be told from other text of the log.
var literal = regexp.MustCompile(`'([A-Za-z][^']{11,})'`)

// noteFilter notes the values of a filter, which must not appear in the log.
func (s *server) noteFilter(address *url.URL) {
	for _, match := range literal.FindAllStringSubmatch(address.Query().Get("$filter"), -1) {
		s.keepUnlogged(match[1])
	}
}

// answer is what the service answered to a call.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   []byte
}

// saysDown reports whether the answer is that the directory cannot be asked, together with when to ask again.
func (a *answer) saysDown() bool {
	wait, err := strconv.Atoi(a.header.Get("Retry-After"))
	return (a.status == http.StatusServiceUnavailable || a.status == http.StatusGatewayTimeout) && err == nil && wait > 0
}

// want expects a status and ends the test without it.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: got %d, want %d\n%s", a.what, a.status, status, a.body)
	}
	return a
}

// wantError expects an error with a status and a code.
func (a *answer) wantError(status int, code string) *answer {
	a.t.Helper()
	a.want(status)
	if got := a.code(); got != code {
		a.t.Errorf("%s: got the code %q, want %q\n%s", a.what, got, code, a.body)
	}
	return a
}

// wantTarget expects an error about the named thing.
func (a *answer) wantTarget(target string) *answer {
	a.t.Helper()
	if got := a.fault().Target; got != target {
		a.t.Errorf("%s: got the target %q, want %q\n%s", a.what, got, target, a.body)
	}
	return a
}

// fault is the body of an error.
type fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Target  string `json:"target"`
	Details []struct {
		Code   string `json:"code"`
		Target string `json:"target"`
	} `json:"details"`
	Inner innerFault `json:"innererror"`
}

type innerFault struct {
	Date            string `json:"date"`
	RequestID       string `json:"request-id"`
	ClientRequestID string `json:"client-request-id"`
}

func (a *answer) fault() fault {
	a.t.Helper()
	var body struct {
		Error fault `json:"error"`
	}
	a.decode(&body)
	return body.Error
}

// code returns the code of an error, and the empty string for any other answer.
func (a *answer) code() string {
	a.t.Helper()
	if a.status < http.StatusBadRequest || len(a.body) == 0 {
		return ""
	}
	return a.fault().Code
}

// entity is an entity as JSON.
type entity map[string]any

// entity returns the answer as an entity.
func (a *answer) entity() entity {
	a.t.Helper()
	var body entity
	a.decode(&body)
	return body.plain()
}

// plain takes the control information out of an entity, and out of those that it is expanded with, and returns it.
func (e entity) plain() entity {
	for name, value := range e {
		if strings.HasPrefix(name, "@odata.") {
			delete(e, name)
		}
		targets, _ := value.([]any)
		for _, target := range targets {
			if inner, ok := target.(map[string]any); ok {
				entity(inner).plain()
			}
		}
	}
	return e
}

// id returns the id of the entity that the answer holds.
func (a *answer) id() string {
	a.t.Helper()
	return a.entity().text("id")
}

// text returns a property that is a string, and the empty string if it is absent.
func (e entity) text(name string) string {
	text, _ := e[name].(string)
	return text
}

// isBare reports whether the answer is an array.
func (a *answer) isBare() bool { return bytes.HasPrefix(a.body, []byte("[")) }

// list returns the entities of a list, be it an array or an object with a value.
func (a *answer) list() []entity {
	a.t.Helper()
	a.want(http.StatusOK)
	if a.isBare() {
		var list []entity
		a.decode(&list)
		return plain(list)
	}
	var body struct {
		Value []entity `json:"value"`
	}
	a.decode(&body)
	return plain(body.Value)
}

func plain(entities []entity) []entity {
	for _, one := range entities {
		one.plain()
	}
	return entities
}

// next returns the link to the page behind a list, or the empty string.
func (a *answer) next() string {
	a.t.Helper()
	var body struct {
		Next string `json:"@odata.nextLink"`
	}
	if !a.isBare() {
		a.decode(&body)
	}
	return body.Next
}

// ids returns the ids of a list's entities.
func (a *answer) ids() []string {
	a.t.Helper()
	ids := []string{}
	for _, one := range a.list() {
		ids = append(ids, one.text("id"))
	}
	return ids
}

func (a *answer) decode(into any) {
	a.t.Helper()
	if err := decodeJSON(a.body, into); err != nil {
		a.t.Fatalf("%s: the body cannot be read: %v\n%s", a.what, err, a.body)
	}
}

// decodeJSON reads a JSON text that holds one value.
func decodeJSON(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF { //nolint:errorlint // Token returns io.EOF itself.
		return fmt.Errorf("there is more than one value")
	}
	return nil
}

// sequence numbers the things that tests make, so that no two get in each other's way on a shared server.
var sequence atomic.Int64

// fresh returns a text that nothing else is called.
func fresh(word string) string { return fmt.Sprintf("%s-%d", word, sequence.Add(1)) }

// with returns properties with others put over them; nil removes one.
func with(properties, others entity) entity {
	merged := entity{}
	for _, source := range []entity{properties, others} {
		for name, value := range source {
			merged[name] = value
			if value == nil {
				delete(merged, name)
			}
		}
	}
	return merged
}

// aSchool, aUser and aClass return the least that makes an entity, with a name that nothing else has.
func aSchool() entity { return entity{"displayName": fresh("School")} }

func aUser() entity {
	name := fresh("user")
	return entity{"displayName": "User " + name, "onPremisesSamAccountName": name}
}

func aClass() entity { return entity{"displayName": fresh("Class"), "classification": "class"} }

// school, user and class make an entity with the given properties beside the least ones and return its id.
func (s *server) school(t testing.TB, properties ...entity) string {
	t.Helper()
	return s.make(t, "/schools", aSchool(), properties)
}

func (s *server) user(t testing.TB, properties ...entity) string {
	t.Helper()
	return s.make(t, "/users", aUser(), properties)
}

func (s *server) class(t testing.TB, properties ...entity) string {
	t.Helper()
	return s.make(t, "/classes", with(aClass(), entity{"externalId": fresh("class")}), properties)
}

func (s *server) make(t testing.TB, path string, body entity, properties []entity) string {
	t.Helper()
	for _, more := range properties {
		body = with(body, more)
	}
	made := s.post(t, path, body)
	if made.status != http.StatusCreated && made.status != http.StatusOK {
		t.Fatalf("POST %s: %d %s", path, made.status, made.body)
	}
	return made.id()
}

// link adds a reference to a navigation property, as /schools/<id>/users.
func (s *server) link(t testing.TB, navigation, reference string) {
	t.Helper()
	s.post(t, navigation+"/$ref", ref(reference)).want(http.StatusNoContent)
}

// ref returns the body that refers to an entity.
func ref(to string) entity { return entity{"@odata.id": to} }

// filtered returns the query part with a filter.
func filtered(filter string) string { return "?$filter=" + url.QueryEscape(filter) }

// wantNone expects a list without entities.
func (a *answer) wantNone() {
	a.t.Helper()
	if got := a.ids(); len(got) > 0 {
		a.t.Errorf("%s: got %d entities, want none", a.what, len(got))
	}
}
