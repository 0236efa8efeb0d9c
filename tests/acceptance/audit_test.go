package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// valueCanary is part of every value that these tests give a property, beside passwords, which have canary.
const valueCanary = "Value-3b9e77d1"

// auditLine is a line of the audit record.
type auditLine struct {
	Time            string              `json:"time"`
	RequestID       string              `json:"requestId"`
	ClientRequestID string              `json:"clientRequestId"`
	Change          int                 `json:"change"`
	Credential      string              `json:"credential"`
	Tenants         []string            `json:"tenants"`
	Verb            string              `json:"verb"`
	Set             string              `json:"set"`
	Navigation      string              `json:"navigation"`
	ID              string              `json:"id"`
	ExternalID      string              `json:"externalId"`
	Key             string              `json:"key"`
	Target          *auditTarget        `json:"target"`
	Properties      []string            `json:"properties"`
	Links           map[string][]string `json:"links"`
	Detached        int                 `json:"detached"`
	Outcome         string              `json:"outcome"`
	Status          int                 `json:"status"`
	Code            string              `json:"code"`
	Aborted         bool                `json:"aborted"`
	Duration        float64             `json:"durationMs"`
	Remote          string              `json:"remote"`
	TraceID         string              `json:"traceId"`
	Lost            int                 `json:"lost"`
	Since           string              `json:"since"`
}

type auditTarget struct {
	ID         string `json:"id"`
	ExternalID string `json:"externalId"`
	Key        string `json:"key"`
}

// parseAudit reads a record. Each line must be whole and hold no member that is unknown here, no secret and no value.
func (s *server) parseAudit(t testing.TB, record []byte) []auditLine {
	t.Helper()
	if secret := s.leaked(record); secret != "" {
		t.Errorf("the record holds a secret, %q…", secret[:min(len(secret), 6)])
	}
	if bytes.Contains(record, []byte(valueCanary)) {
		t.Errorf("the record holds the value of a property")
	}
	var lines []auditLine
	for text := range bytes.Lines(record) {
		var line auditLine
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&line); err != nil || !bytes.HasSuffix(text, []byte("}\n")) {
			t.Errorf("the record holds a broken line: %v: %q", err, text)
			continue
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", line.Time); err != nil {
			t.Errorf("the time of a line: %v", err)
		}
		lines = append(lines, line)
	}
	return lines
}

// audit returns the lines of the record in the data folder, or in the file that is given.
func (s *server) audit(t testing.TB, path ...string) []auditLine {
	t.Helper()
	record, err := os.ReadFile(append(path, filepath.Join(s.dataDir, "audit.log"))[0])
	if err != nil {
		t.Fatal(err)
	}
	return s.parseAudit(t, record)
}

// wantAudited expects exactly one line about the request of an answer, and compares it.
func (s *server) wantAudited(t testing.TB, a *answer, want auditLine) {
	t.Helper()
	var got []auditLine
	for _, line := range s.audit(t) {
		if line.RequestID == a.header.Get("X-Request-Id") {
			got = append(got, line)
		}
	}
	if len(got) != 1 {
		t.Errorf("%s: got %d lines, want 1: %+v", a.what, len(got), got)
		return
	}
	s.compareAudited(t, a, want, got[0])
}

// traceShape is that of a trace's id (W3C Trace Context, section 3.2.2.3), which a request without a trace has not.
var traceShape = regexp.MustCompile(`^([0-9a-f]{32})?$`)

// compareAudited compares the line about the request of an answer.
func (s *server) compareAudited(t testing.TB, a *answer, want, got auditLine) {
	t.Helper()
	if got.Duration < 0 || got.Duration > 60_000 {
		t.Errorf("%s: the duration is %v ms", a.what, got.Duration)
	}
	if !traceShape.MatchString(got.TraceID) {
		t.Errorf("%s: the trace id is %q", a.what, got.TraceID)
	}
	got.Time, got.Duration, got.RequestID, got.TraceID, got.Change = "", 0, "", "", 0
	want.Status, want.Remote = a.status, "127.0.0.1"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: the line (-want +got):\n%s", a.what, diff)
	}
}

// known is a line about a request with the token.
func known(line auditLine) auditLine {
	line.Credential, line.Tenants = "administrator", []string{"all"}
	return line
}

// audited is a change, and the line that it must leave.
type audited struct {
	path string
	body any
	want auditLine
}

// secretive gives properties values that must not be recorded, each of them a new one.
func secretive(properties entity, values ...string) entity {
	for _, name := range values {
		properties[name] = fresh(valueCanary)
	}
	return properties
}

func auditUser() entity {
	return secretive(entity{"externalId": fresh("ext"), "passwordProfile": entity{"password": canary}}, "displayName", "onPremisesSamAccountName", "surname")
}

func auditClass() entity {
	return secretive(entity{"externalId": fresh("ext"), "classification": "class"}, "displayName")
}

func auditSchool() entity {
	return secretive(entity{"externalId": fresh("ext")}, "displayName", "schoolNumber")
}

// scene is what there is before a change, and how it is called.
type scene struct {
	schoolID, userID, classID    string
	schoolExt, userExt, classExt string
	schoolNumber, userName       string
}

func newScene(t *testing.T, s *server) scene {
	t.Helper()
	school, user, class := auditSchool(), auditUser(), auditClass()
	return scene{
		schoolID: s.school(t, school), userID: s.user(t, user), classID: s.class(t, class),
		schoolExt: school.text("externalId"), userExt: user.text("externalId"), classExt: class.text("externalId"),
		schoolNumber: school.text("schoolNumber"), userName: user.text("onPremisesSamAccountName"),
	}
}

// Names of properties that bodies of these tests mention, in the order of the tables. Those with a default count.
var (
	userNames   = []string{"displayName", "onPremisesSamAccountName", "surname", "userType", "externalId", "passwordProfile"}
	classNames  = []string{"displayName", "classification", "externalId"}
	schoolNames = []string{"displayName", "schoolNumber", "externalId"}
)

// auditedChanges has a change for each operation of the contract that changes something. Ends of links are linked before
// where that is needed.
var auditedChanges = map[string]func(t *testing.T, s *server, c scene) audited{
	"POST /education/schools": func(*testing.T, *server, scene) audited {
		body := auditSchool()
		return audited{"/schools", body, auditLine{Verb: "create", Set: "schools", ExternalID: body.text("externalId"), Properties: schoolNames}}
	},
	"PATCH /education/schools/{school}": func(_ *testing.T, _ *server, c scene) audited {
		return audited{"/schools/" + c.schoolNumber, secretive(entity{}, "displayName"), auditLine{
			Verb: "update", Set: "schools", ID: c.schoolID, ExternalID: c.schoolExt, Properties: []string{"displayName"},
		}}
	},
	"DELETE /education/schools/{school}": func(t *testing.T, s *server, c scene) audited {
		s.link(t, "/schools/"+c.schoolID+"/users", "/users/"+c.userID)
		s.link(t, "/schools/"+c.schoolID+"/classes", "/classes/"+c.classID)
		s.patch(t, "/schools/"+c.schoolID, entity{"terminationDate": time.Now().UTC().Add(time.Second).Format(time.RFC3339)}).want(http.StatusOK)
		time.Sleep(2 * time.Second)
		return audited{"/schools/" + c.schoolID, nil, auditLine{Verb: "delete", Set: "schools", ID: c.schoolID, ExternalID: c.schoolExt, Detached: 2}}
	},
	"POST /education/schools/{school}/users": func(_ *testing.T, _ *server, c scene) audited {
		body := auditUser()
		return audited{"/schools(externalId='" + c.schoolExt + "')/users", body, auditLine{
			Verb: "create", Set: "users", ExternalID: body.text("externalId"), Properties: userNames,
			Links: map[string][]string{"schools": {c.schoolID}},
		}}
	},
	"POST /education/schools/{school}/classes": func(_ *testing.T, _ *server, c scene) audited {
		body := with(auditClass(), entity{"members@odata.bind": []string{"/users/" + c.userName}})
		return audited{"/schools/" + c.schoolID + "/classes", body, auditLine{
			Verb: "create", Set: "classes", ExternalID: body.text("externalId"), Properties: classNames,
			Links: map[string][]string{"schools": {c.schoolID}, "members": {c.userID}},
		}}
	},
	"POST /education/users": func(*testing.T, *server, scene) audited {
		body := auditUser()
		return audited{"/users", body, auditLine{Verb: "create", Set: "users", ExternalID: body.text("externalId"), Properties: userNames}}
	},
	"PATCH /education/users/{user}": func(_ *testing.T, _ *server, c scene) audited {
		body := secretive(entity{"givenName": nil, "passwordProfile": entity{"password": canary}}, "surname")
		return audited{"/users/" + c.userName, body, auditLine{
			Verb: "update", Set: "users", ID: c.userID, ExternalID: c.userExt, Properties: []string{"givenName", "surname", "passwordProfile"},
		}}
	},
	"DELETE /education/users/{user}": func(_ *testing.T, _ *server, c scene) audited {
		return audited{"/users/" + c.userName, nil, auditLine{Verb: "delete", Set: "users", ID: c.userID, ExternalID: c.userExt}}
	},
	"POST /education/classes": func(*testing.T, *server, scene) audited {
		body := auditClass()
		return audited{"/classes", body, auditLine{Verb: "create", Set: "classes", ExternalID: body.text("externalId"), Properties: classNames}}
	},
	"PATCH /education/classes/{class}": func(_ *testing.T, _ *server, c scene) audited {
		body := entity{"displayName": fresh(valueCanary), "members@odata.bind": []string{"/users/" + c.userName}}
		return audited{"/classes/" + c.classExt, body, auditLine{
			Verb: "update", Set: "classes", ID: c.classID, ExternalID: c.classExt, Properties: []string{"displayName"},
			Links: map[string][]string{"members": {c.userID}},
		}}
	},
	"DELETE /education/classes/{class}": func(_ *testing.T, _ *server, c scene) audited {
		return audited{"/classes/" + c.classID, nil, auditLine{Verb: "delete", Set: "classes", ID: c.classID, ExternalID: c.classExt}}
	},
}

// ends returns, for a navigation property, the paths of its owner and its target, and the line about a link between them.
func (c scene) ends(set, nav, verb string) (owner, target string, want auditLine) {
	want = auditLine{Verb: verb, Set: set, Navigation: nav, Target: &auditTarget{ID: c.userID, ExternalID: c.userExt}}
	owner, target = "/classes/"+c.classExt, "users/"+c.userName
	want.ID, want.ExternalID = c.classID, c.classExt
	if set == "schools" {
		owner, want.ID, want.ExternalID = "/schools/"+c.schoolNumber, c.schoolID, c.schoolExt
	}
	if nav == "classes" {
		target, want.Target = "classes/"+c.classExt, &auditTarget{ID: c.classID, ExternalID: c.classExt}
	}
	return owner, target, want
}

// auditedLink returns the change of an operation on links.
func auditedLink(t *testing.T, s *server, c scene, method, template string) audited {
	t.Helper()
	segments := strings.Split(strings.TrimPrefix(template, "/education/"), "/")
	set, nav := segments[0], segments[2]
	if method == http.MethodPost {
		owner, target, want := c.ends(set, nav, "addRef")
		return audited{owner + "/" + nav + "/$ref", ref("/" + target), want}
	}
	owner, target, want := c.ends(set, nav, "removeRef")
	s.link(t, owner+"/"+nav, "/"+target)
	if len(segments) == 4 {
		return audited{owner + "/" + nav + "/$ref?$id=/" + target, nil, want}
	}
	_, key, _ := strings.Cut(target, "/")
	return audited{owner + "/" + nav + "/" + key + "/$ref", nil, want}
}

// TestAuditOfEachChange shows that each operation of the contract that changes something leaves exactly one line, which says
// who, what and how. A test of the API holds that these are all routes.
func TestAuditOfEachChange(t *testing.T) {
	t.Parallel()
	s := start(t, "EDUCATION_AUDIT=on")
	for template, item := range document().document.Paths.Map() {
		for method := range item.Operations() {
			if method == http.MethodGet {
				continue
			}
			t.Run(method+" "+template, func(t *testing.T) {
				c := newScene(t, s)
				change := audited{}
				if prepare := auditedChanges[method+" "+template]; prepare != nil {
					change = prepare(t, s, c)
				} else if strings.HasSuffix(template, "/$ref") {
					change = auditedLink(t, s, c, method, template)
				} else {
					t.Fatal("no change is known for this operation: add it to auditedChanges")
				}
				clientID := fresh("client")
				made := s.call(t, method, change.path, change.body, header("Client-Request-Id", clientID))
				want := known(change.want)
				want.Outcome, want.ClientRequestID = "made", clientID
				if want.Verb == "create" {
					want.ID = made.want(http.StatusCreated).id()
				}
				s.wantAudited(t, made, want)
			})
		}
	}
}

// TestAuditOfRefusals shows that each kind of refusal leaves one line, and that nothing of a stranger's path is in it.
func TestAuditOfRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, "EDUCATION_AUDIT=on", "EDUCATION_TRUSTED_PROXIES=192.0.2.0/24")
	c := newScene(t, s)
	user, stranger := "/users/"+c.userID, header("Authorization")
	wrong := header("Authorization", "Bearer "+canary)
	about := func(verb, code string) auditLine {
		return auditLine{Verb: verb, Set: "users", Outcome: "refused", Code: code}
	}
	identified := func(verb, code string) auditLine {
		line := known(about(verb, code))
		line.ID = c.userID
		return line
	}
	found := identified("update", "resourceModified")
	found.ExternalID, found.Properties = c.userExt, []string{"surname"}
	taken := known(about("create", "nameAlreadyExists"))
	taken.ExternalID, taken.Properties = c.userExt, userNames
	nobody := known(about("delete", "itemNotFound"))
	nobody.Key = "onPremisesSamAccountName"
	misled := known(auditLine{Verb: "delete", Set: "classes", Navigation: "members", Outcome: "refused", Code: "notAllowed", ID: c.classID, Target: &auditTarget{ID: c.userID}})
	unlinked := known(auditLine{
		Verb: "removeRef", Set: "classes", Navigation: "members", Outcome: "refused", Code: "itemNotFound",
		ID: c.classID, ExternalID: c.classExt, Target: &auditTarget{ID: c.userID, ExternalID: c.userExt},
	})
	tests := map[string]struct {
		method, path string
		body         any
		options      []option
		status       int
		want         auditLine
	}{
		"a read without a token":      {"GET", user, nil, []option{stranger}, 401, about("read", "InvalidAuthenticationToken")},
		"a read with a wrong token":   {"GET", user, nil, []option{wrong}, 401, about("read", "InvalidAuthenticationToken")},
		"a change without a token":    {"DELETE", user, nil, []option{stranger}, 401, about("delete", "InvalidAuthenticationToken")},
		"a change with a wrong one":   {"PATCH", "/USERS('" + canary + "')/", entity{}, []option{wrong, outside}, 401, about("update", "InvalidAuthenticationToken")},
		"nobody":                      {"DELETE", "/users/" + valueCanary, nil, nil, 404, nobody},
		"a taken value":               {"POST", "/users", with(auditUser(), entity{"externalId": c.userExt}), nil, 409, taken},
		"another version":             {"PATCH", user, secretive(entity{}, "surname"), []option{header("If-Match", `W/"x"`)}, 412, found},
		"a body that is no object":    {"PATCH", user, `["` + valueCanary + `"]`, []option{outside}, 400, identified("update", "invalidRequest")},
		"an unknown property":         {"PATCH", user, entity{valueCanary: canary}, []option{outside}, 400, identified("update", "invalidRequest")},
		"an option":                   {"DELETE", user + "?$filter=" + valueCanary, nil, []option{outside}, 501, identified("delete", "notSupported")},
		"another encoding":            {"PATCH", user, entity{}, []option{header("Content-Encoding", "br"), outside}, 415, identified("update", "invalidRequest")},
		"too much":                    {"PATCH", user, `"` + strings.Repeat("x", 4<<20) + `"`, []option{outside}, 413, identified("update", "invalidRequest")},
		"a method":                    {"PUT", user, entity{}, []option{outside}, 405, identified("update", "notAllowed")},
		"a path":                      {"POST", "/" + valueCanary, entity{}, []option{outside}, 404, known(auditLine{Verb: "create", Outcome: "refused", Code: "itemNotFound"})},
		"$ref that a shell has eaten": {"DELETE", "/classes/" + c.classID + "/members/" + c.userID, nil, []option{outside}, 405, misled},
		"a link that is not there":    {"DELETE", "/classes/" + c.classExt + "/members/" + c.userName + "/$ref", nil, nil, 404, unlinked},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Of somebody who is no trusted proxy, it does not count whom he speaks for.
			options := append(test.options, header("X-Forwarded-For", "203.0.113.7"))
			got := s.call(t, test.method, test.path, test.body, options...).want(test.status)
			s.wantAudited(t, got, test.want)
		})
	}
}

// TestAuditOfTenants shows that a line names the credential and what it is bound to, also of a request for what another tenant
// has, and of one that the credential does not permit.
func TestAuditOfTenants(t *testing.T) {
	t.Parallel()
	s := start(t, "EDUCATION_AUDIT=required")
	own, foreign := s.school(t), newScene(t, s)
	s.link(t, "/schools/"+foreign.schoolID+"/users", "/users/"+foreign.userID)
	north := s.makeToken(t, "create", "--name", "north", "--school", own, "--verbs", "read,write")
	s.eventually(t, north, http.StatusOK)
	body := auditUser()
	made := s.post(t, "/users", body, as(north)).want(http.StatusCreated)
	about := auditLine{
		Credential: "north", Tenants: []string{own}, Verb: "create", Set: "users", ID: made.id(), ExternalID: body.text("externalId"),
		Properties: userNames, Links: map[string][]string{"schools": {own}}, Outcome: "made",
	}
	s.wantEnded(t, made, about)
	hidden := s.patch(t, "/users/"+foreign.userID, secretive(entity{}, "surname"), as(north)).want(http.StatusNotFound)
	s.wantEnded(t, hidden, auditLine{
		Credential: "north", Tenants: []string{own}, Verb: "update", Set: "users", ID: foreign.userID, Properties: []string{"surname"},
		Outcome: "refused", Code: "itemNotFound",
	})
	forbidden := s.remove(t, "/users/"+made.id(), as(north)).want(http.StatusForbidden)
	s.wantAudited(t, forbidden, auditLine{
		Credential: "north", Tenants: []string{own}, Verb: "delete", Set: "users", ID: made.id(), Outcome: "refused", Code: "accessDenied",
	})
}

// wantEnded expects, in required mode, a line about the beginning of a request and one about its end, and compares the latter.
func (s *server) wantEnded(t testing.TB, a *answer, want auditLine) {
	t.Helper()
	var got []auditLine
	for _, line := range s.audit(t) {
		if line.RequestID == a.header.Get("X-Request-Id") {
			got = append(got, line)
		}
	}
	if len(got) != 2 || got[0].Outcome != "begun" || got[0].Change == 0 || got[0].Change != got[1].Change || got[0].Status != 0 {
		t.Fatalf("%s: got %+v, want a beginning and an end", a.what, got)
	}
	s.compareAudited(t, a, want, got[1])
}

// TestAuditOfReads shows that reads leave no line, whatever is answered.
func TestAuditOfReads(t *testing.T) {
	t.Parallel()
	s := start(t, "EDUCATION_AUDIT=on")
	user := s.user(t)
	s.get(t, "/users").want(http.StatusOK)
	s.get(t, "/users/$count").want(http.StatusOK)
	s.get(t, "/users/"+user+"/schools").want(http.StatusOK)
	s.get(t, "/users/nobody").want(http.StatusNotFound)
	s.get(t, "/users?$top=-1", outside).want(http.StatusBadRequest)
	s.get(t, "/users?$filter=startswith(displayName,'x')&$search=x", outside)
	s.call(t, http.MethodHead, "/users/"+user, nil, outside)
	if lines := s.audit(t); len(lines) != 1 || lines[0].Verb != "create" {
		t.Errorf("got %+v, want the line about the user alone", lines)
	}
}

// TestAuditFile shows that the file is the owner's alone, is gone on with after a restart, and ends half a line that it finds;
// and that there is none unless it is asked for.
func TestAuditFile(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.user(t)
	path := filepath.Join(s.dataDir, "audit.log")
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a record that nobody has asked for")
	}
	s.env = append(s.env, "EDUCATION_AUDIT=on")
	s.restart(t)
	s.user(t)
	if about, err := os.Stat(path); err != nil || about.Mode().Perm() != 0o600 {
		t.Errorf("the mode: %v, %v", about.Mode(), err)
	}
	s.stop(t)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"half":`); firstError(err, file.Close()) != nil {
		t.Fatal(err)
	}
	s.startAgain(t)
	s.user(t)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Split(content, []byte("\n")); len(lines) != 4 || string(lines[1]) != `{"half":` || !json.Valid(lines[2]) {
		t.Errorf("the record: %q", content)
	}
}

// TestAuditOnStdout shows that the record can go where the process's standard output does.
func TestAuditOnStdout(t *testing.T) {
	t.Parallel()
	s := start(t, "EDUCATION_AUDIT=required", "EDUCATION_AUDIT_FILE=stdout")
	s.user(t, entity{"passwordProfile": entity{"password": canary}})
	s.stop(t) // Only then has everything come through the pipe.
	var outcomes []string
	for _, text := range s.log.lines() {
		var line auditLine
		if json.Unmarshal(text, &line) == nil && line.Verb != "" {
			outcomes = append(outcomes, line.Outcome)
		}
	}
	if !slices.Equal(outcomes, []string{"begun", "made"}) {
		t.Errorf("the outcomes on standard output: %q", outcomes)
	}
}

// dump returns everything that the API shows, apart from the address, which is another one after each start.
func (s *server) dump(t testing.TB) string {
	t.Helper()
	var all strings.Builder
	for _, path := range []string{
		"/schools?$orderby=displayName&$expand=users,classes", "/users?$orderby=displayName&$expand=schools", "/classes?$orderby=displayName&$expand=members,teachers",
	} {
		all.Write(s.get(t, path).want(http.StatusOK).body)
	}
	return strings.ReplaceAll(all.String(), s.http, "address")
}

// changeEverything tries each kind of change.
func (s *server) changeEverything(t *testing.T, c scene, status int) {
	t.Helper()
	for template, item := range document().document.Paths.Map() {
		for method := range item.Operations() {
			if method == http.MethodGet || template == "/education/schools/{school}" && method == http.MethodDelete {
				continue
			}
			var body any
			switch {
			case method == http.MethodPatch:
				body = secretive(entity{}, "displayName")
			case method == http.MethodPost && strings.HasSuffix(template, "/classes/$ref"):
				body = ref("/classes/" + c.classID)
			case method == http.MethodPost && strings.HasSuffix(template, "/$ref"):
				body = ref("/users/" + c.userID)
			case method == http.MethodPost && strings.HasSuffix(template, "/users"):
				body = auditUser()
			case method == http.MethodPost && strings.HasSuffix(template, "/classes"):
				body = auditClass()
			case method == http.MethodPost:
				body = auditSchool()
			}
			path := strings.NewReplacer("/education", "", "{school}", c.schoolID, "{user}", c.userID, "{class}", c.classID).Replace(template)
			if method == http.MethodDelete && strings.Count(path, "/") == 4 {
				path += "?$id=/" + map[bool]string{true: "classes/" + c.classID, false: "users/" + c.userID}[strings.Contains(path, "/classes/$ref")]
			}
			if got := s.call(t, method, path, body); got.status != status {
				t.Errorf("%s %s: got %d, want %d", method, path, got.status, status)
			}
		}
	}
}

// TestAuditRequiredWithoutRoom shows that nothing is changed that cannot be recorded, that reads go on, and that refusals
// stay what they are.
func TestAuditRequiredWithoutRoom(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("the system has no /dev/full")
	}
	s := start(t)
	c := newScene(t, s)
	s.link(t, "/schools/"+c.schoolID+"/users", "/users/"+c.userID)
	before := s.dump(t)
	s.env = append(s.env, "EDUCATION_AUDIT=required", "EDUCATION_AUDIT_FILE=/dev/full")
	s.restart(t)
	s.troubled = true
	s.changeEverything(t, c, http.StatusServiceUnavailable)
	s.remove(t, "/users/"+c.userID).wantError(http.StatusServiceUnavailable, "serviceNotAvailable")
	s.patch(t, "/users/"+c.userID, entity{"nothing": 1}, outside).want(http.StatusBadRequest)
	s.remove(t, "/users/"+c.userID, header("Authorization")).want(http.StatusUnauthorized)
	if after := s.dump(t); after != before {
		t.Errorf("something was changed:\n%s\n%s", before, after)
	}
	s.kill(t) // What is missing in the record would make its end a failure.
	s.env = withoutSetting(withoutSetting(s.env, "EDUCATION_AUDIT"), "EDUCATION_AUDIT_FILE")
	s.startAgain(t)
	if after := s.dump(t); after != before {
		t.Errorf("something was changed:\n%s\n%s", before, after)
	}
	s.patch(t, "/users/"+c.userID, secretive(entity{}, "displayName")).want(http.StatusOK)
}

// checkFilled expects that a record accounts for all changes, with what it says is missing.
func (s *server) checkFilled(t *testing.T, lines []auditLine, required bool, made int) {
	t.Helper()
	recorded, lost, begun := 0, 0, map[int]bool{}
	for _, line := range lines {
		lost += line.Lost
		switch line.Outcome {
		case "begun":
			begun[line.Change] = true
		case "made":
			recorded++
			if required && !begun[line.Change] {
				t.Errorf("change %d has ended without having begun", line.Change)
			}
		}
	}
	switch {
	case lost == 0:
		t.Error("the record does not say that lines are missing")
	case required && recorded != made:
		t.Errorf("%d changes were made, %d are recorded", made, recorded)
	case !required && recorded+lost != made:
		t.Errorf("%d changes were made, %d are recorded and %d missing", made, recorded, lost)
	}
}

// TestAuditRotates shows that no line is lost or broken when the file is renamed, and made anew by one or the other, while
// eight clients write.
func TestAuditRotates(t *testing.T) {
	t.Parallel()
	const clients, changes = 8, 60
	s := start(t, "EDUCATION_AUDIT=required")
	path := filepath.Join(s.dataDir, "audit.log")
	done := make(chan struct{})
	var rotating sync.WaitGroup
	files := []string{path}
	rotating.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
			name := fmt.Sprintf("%s.%d", path, i)
			if os.Rename(path, name) != nil {
				continue // Nothing was written since the last time.
			}
			files = append(files, name)
			switch i % 3 {
			case 1: // logrotate's "create".
				// The service may have been faster, and a line is not to be cut off.
				file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
				if err := firstError(err, file.Close()); err != nil {
					t.Error(err)
				}
			case 2: // A postrotate script.
				s.signal(t, syscall.SIGHUP)
			}
		}
	})
	user := s.user(t)
	inParallel(clients*changes, clients, func(int) {
		if status, body, err := s.raw(http.MethodPatch, "/users/"+user, `{"surname":"`+fresh(valueCanary)+`"}`); status != http.StatusOK {
			t.Errorf("a change: %d %s %v", status, body, err)
		}
	})
	close(done)
	rotating.Wait()
	outcomes := map[string]int{}
	for _, file := range files {
		if _, err := os.Stat(file); err != nil && file == path {
			continue
		}
		for _, line := range s.audit(t, file) {
			outcomes[line.Outcome]++
		}
	}
	want := map[string]int{"begun": clients*changes + 1, "made": clients*changes + 1}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("outcomes in %d files (-want +got):\n%s", len(files), diff)
	}
	if len(files) < 5 {
		t.Errorf("the file was renamed %d times only", len(files)-1)
	}
}

// TestAuditFileOfTwo shows that a service does not start on the record of another one.
func TestAuditFileOfTwo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	s := start(t, "EDUCATION_AUDIT=on", "EDUCATION_AUDIT_FILE="+path)
	command := exec.Command(binary)
	command.Dir, command.Env = t.TempDir(), append(slices.Clone(s.env), "EDUCATION_DATA_DIR=other")
	output, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "EDUCATION_AUDIT_FILE") || !strings.Contains(string(output), "another process") {
		t.Errorf("the second service ended with %v: %s", err, output)
	}
}

// BenchmarkAudit changes a user over HTTP, by eight clients at a time, by turns in a service without a record, with one and
// with one that is required, and reports changes a second and how they compare.
func BenchmarkAudit(b *testing.B) {
	modes := []string{"off", "on", "required"}
	services := make([]*server, len(modes))
	users := make([][]string, len(modes))
	spent := make([]time.Duration, len(modes))
	const clients, batch = 8, 400
	for i, mode := range modes {
		services[i] = start(b, "EDUCATION_AUDIT="+mode)
		for range clients {
			users[i] = append(users[i], services[i].user(b))
		}
	}
	changes := 0
	for b.Loop() {
		for i, s := range services {
			begin := time.Now()
			inParallel(batch, clients, func(n int) {
				body := fmt.Sprintf(`{"surname":"Surname %d"}`, n+changes)
				if status, answer, err := s.raw(http.MethodPatch, "/users/"+users[i][n%clients], body); status != http.StatusOK {
					b.Errorf("a change: %d %s %v", status, answer, err)
				}
			})
			spent[i] += time.Since(begin)
		}
		changes += batch
	}
	for i, mode := range modes {
		b.ReportMetric(float64(changes)/spent[i].Seconds(), mode+"-changes/s")
	}
	b.ReportMetric(spent[1].Seconds()/spent[0].Seconds(), "on/off")
	b.ReportMetric(spent[2].Seconds()/spent[0].Seconds(), "required/off")
	b.ReportMetric(0, "ns/op")
}
