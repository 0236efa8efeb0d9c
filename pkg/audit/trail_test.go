package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Ids and texts of these tests.
const (
	schoolID = "01994f2e-7a31-7c4e-8d5b-3f6a1c2d4e01"
	userID   = "01994f2e-7a31-7c4e-8d5b-3f6a1c2d4e02"
	canary   = "canary-6f1d0c5e"
)

var (
	errFull = errors.New("no space left on device")
	noon    = time.Date(2026, 9, 1, 14, 0, 0, 123_456_789, time.FixedZone("CEST", 2*60*60))
)

// memory is a Store that can fail.
type memory struct {
	mutex     sync.Mutex
	lines     []string
	synced    int
	full      bool
	syncFails bool
}

func (m *memory) Append(line []byte) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.full {
		return errFull
	}
	m.lines = append(m.lines, string(line))
	return nil
}

func (m *memory) Sync() error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.syncFails {
		return errFull
	}
	m.synced = len(m.lines)
	return nil
}

// take returns the lines so far, decoded, and forgets them.
func (m *memory) take(t *testing.T) []map[string]any {
	t.Helper()
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var lines []map[string]any
	for _, text := range m.lines {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil || strings.Index(text, "\n") != len(text)-1 {
			t.Fatalf("a line is broken: %q, %v", text, err)
		}
		lines = append(lines, line)
	}
	m.lines, m.synced = nil, 0
	return lines
}

// directory is an education.Directory whose changes do what a test says.
type directory struct {
	education.Directory
	called int
	// looked counts the calls of Get.
	looked int
	answer func(ctx context.Context) (*education.Entity, error)
}

func (d *directory) do(ctx context.Context) (*education.Entity, error) {
	d.called++
	return d.answer(ctx)
}

// Get knows one user, and nobody else.
func (d *directory) Get(_ context.Context, set *education.EntitySet, key education.Key, _ *odata.Query) (*education.Entity, error) {
	d.looked++
	if set == education.Users && key.Property == set.HumanKey && key.Value == "max" {
		return aUser(), nil
	}
	return nil, odata.Errorf(odata.ItemNotFound, "", canary)
}

func (d *directory) Create(ctx context.Context, _ *education.EntitySet, _ *education.Change) (*education.Entity, error) {
	return d.do(ctx)
}

func (d *directory) Update(ctx context.Context, _ *education.EntitySet, _ education.Key, _ *education.Change) (*education.Entity, error) {
	return d.do(ctx)
}

func (d *directory) Delete(ctx context.Context, _ *education.EntitySet, _ education.Key) error {
	_, err := d.do(ctx)
	return err
}

func (d *directory) AddRef(ctx context.Context, _ *education.Navigation, _, _ education.Key) error {
	_, err := d.do(ctx)
	return err
}

func (d *directory) RemoveRef(ctx context.Context, _ *education.Navigation, _, _ education.Key) error {
	_, err := d.do(ctx)
	return err
}

// bench is a trail with what surrounds it.
type bench struct {
	trail     *Trail
	store     *memory
	log       *strings.Builder
	directory *directory
	// ask is what a request asks of the recorded directory; nil is nothing.
	ask func(ctx context.Context, d education.Directory) error
	// status is what a request that asks for nothing is answered with.
	status     int
	credential *access.Credential
	address    education.Address
}

func newBench(required bool) *bench {
	b := &bench{
		store: &memory{}, log: &strings.Builder{}, status: http.StatusOK,
		credential: &access.Credential{Name: "north", Verbs: access.AllVerbs, Schools: []string{schoolID}},
		directory:  &directory{answer: func(context.Context) (*education.Entity, error) { return aUser(), nil }},
	}
	b.trail = New(Config{
		Store: b.store, Required: required, Logger: slog.New(slog.NewJSONHandler(b.log, nil)),
		AddressOf: func(string) education.Address { return b.address }, Now: func() time.Time { return noon },
	})
	return b
}

func aUser() *education.Entity {
	user := education.NewEntity(education.Users)
	user.SetValue(education.Users.ID, userID)
	user.SetValue(education.Users.Property("externalId"), "4711")
	user.SetValue(education.Users.Property("displayName"), canary)
	return user
}

// serve answers a request as the middleware does, and returns the status.
func (b *bench) serve(method string) int {
	ctx := odata.WithRequestIDs(context.Background(), odata.RequestIDs{Server: "r1", Client: "c1"})
	ctx, recording := b.trail.Follow(ctx, Request{Method: method, Path: "/" + canary, Remote: "198.51.100.1", TraceID: "t1"})
	r := httptest.NewRequestWithContext(ctx, method, "/", http.NoBody)
	w := httptest.NewRecorder()
	w.Code = b.status
	var err error
	if b.credential != nil {
		ctx = access.With(ctx, b.credential)
	}
	if b.ask != nil {
		err = b.ask(ctx, b.trail.Directory(b.directory))
	}
	if err != nil {
		w = httptest.NewRecorder()
		odata.WriteError(w, r, err)
	}
	recording.End(Answer{Status: w.Code, Credential: b.credential})
	return w.Code
}

func byName(name string) education.Key {
	return education.Key{Property: education.Users.HumanKey, Value: name}
}

func byID(id string) education.Key { return education.Key{Property: education.Users.ID, Value: id} }

func aChange(t *testing.T) *education.Change {
	t.Helper()
	rules := education.Rules{UsernameMatch: education.UsernameMatchNone}
	change, err := education.DecodeChange(education.Users, education.CreateEntity, []byte(`{"displayName": "`+canary+
		`", "onPremisesSamAccountName": "`+canary+`", "externalId": "4711", "passwordProfile": {"password": "`+canary+
		`"}, "schools@odata.bind": ["/schools/`+schoolID+`"]}`), rules)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

// common are the members that all lines of bench.serve have.
func common(members map[string]any) map[string]any {
	line := map[string]any{
		"time": "2026-09-01T12:00:00.123Z", "requestId": "r1", "clientRequestId": "c1", "credential": "north",
		"tenants": []any{schoolID}, "remote": "198.51.100.1", "traceId": "t1", "durationMs": 0.,
	}
	for name, value := range members {
		if line[name] = value; value == nil {
			delete(line, name)
		}
	}
	return line
}

// TestLines holds the whole line of each kind of change.
func TestLines(t *testing.T) {
	t.Parallel()
	change := aChange(t)
	members := education.NavigationOf(education.Classes, "members")
	class := education.Key{Property: education.Classes.HumanKey, Value: "5a"}
	names := []any{"displayName", "onPremisesSamAccountName", "userType", "externalId", "passwordProfile"}
	links := map[string]any{"schools": []any{schoolID}}
	seen := func(ctx context.Context) (*education.Entity, error) {
		education.WitnessOf(ctx).Found(byName("max"), aUser())
		return aUser(), nil
	}
	tests := map[string]struct {
		ask    func(ctx context.Context, d education.Directory) error
		answer func(ctx context.Context) (*education.Entity, error)
		want   map[string]any
	}{
		"create": {
			ask: func(ctx context.Context, d education.Directory) error {
				_, err := d.Create(ctx, education.Users, change)
				return err
			},
			want: map[string]any{
				"verb": "create", "set": "users", "id": userID, "externalId": "4711", "properties": names, "links": links,
				"outcome": "made", "status": 200.,
			},
		},
		"create that is refused": {
			ask: func(ctx context.Context, d education.Directory) error {
				_, err := d.Create(ctx, education.Users, change)
				return err
			},
			answer: func(ctx context.Context) (*education.Entity, error) {
				education.WitnessOf(ctx).Found(education.Key{}, aUser())
				return nil, odata.Errorf(odata.NameAlreadyExists, "", canary)
			},
			want: map[string]any{
				"verb": "create", "set": "users", "externalId": "4711", "properties": names, "links": links,
				"outcome": "refused", "status": 409., "code": "nameAlreadyExists",
			},
		},
		"create of which nobody knows": {
			ask: func(ctx context.Context, d education.Directory) error {
				_, err := d.Create(ctx, education.Users, change)
				return err
			},
			answer: func(ctx context.Context) (*education.Entity, error) {
				education.WitnessOf(ctx).Found(education.Key{}, aUser())
				education.WitnessOf(ctx).Write()
				return nil, odata.Errorf(odata.GatewayTimeout, "", canary)
			},
			want: map[string]any{
				"verb": "create", "set": "users", "id": userID, "externalId": "4711", "properties": names, "links": links,
				"outcome": "unknown", "status": 504., "code": "serviceNotAvailable",
			},
		},
		"update": {
			ask: func(ctx context.Context, d education.Directory) error {
				_, err := d.Update(ctx, education.Users, byName("max"), change)
				return err
			},
			answer: func(ctx context.Context) (*education.Entity, error) {
				education.WitnessOf(ctx).Linked(education.NavigationOf(education.Users, "schools"), "other")
				return seen(ctx)
			},
			want: map[string]any{
				"verb": "update", "set": "users", "id": userID, "externalId": "4711", "properties": names,
				"links": map[string]any{"schools": []any{"other"}}, "outcome": "made", "status": 200.,
			},
		},
		"delete": {
			ask: func(ctx context.Context, d education.Directory) error {
				return d.Delete(ctx, education.Users, byName("max"))
			},
			answer: seen,
			want:   map[string]any{"verb": "delete", "set": "users", "id": userID, "externalId": "4711", "outcome": "made", "status": 200.},
		},
		"delete of a school": {
			ask: func(ctx context.Context, d education.Directory) error {
				return d.Delete(ctx, education.Schools, education.Key{Property: education.Schools.ID, Value: schoolID})
			},
			answer: func(ctx context.Context) (*education.Entity, error) {
				for range 3 {
					education.WitnessOf(ctx).Detach()
				}
				return nil, nil
			},
			want: map[string]any{"verb": "delete", "set": "schools", "id": schoolID, "detached": 3., "outcome": "made", "status": 200.},
		},
		"delete of nobody by a name": {
			ask: func(ctx context.Context, d education.Directory) error {
				return d.Delete(ctx, education.Users, byName(canary))
			},
			answer: func(context.Context) (*education.Entity, error) {
				return nil, odata.Errorf(odata.ItemNotFound, "users", canary)
			},
			want: map[string]any{
				"verb": "delete", "set": "users", "key": "onPremisesSamAccountName", "outcome": "refused", "status": 404., "code": "itemNotFound",
			},
		},
		"addRef": {
			ask: func(ctx context.Context, d education.Directory) error {
				return d.AddRef(ctx, members, class, byName("max"))
			},
			answer: func(ctx context.Context) (*education.Entity, error) {
				_, err := seen(ctx)
				return nil, err
			},
			want: map[string]any{
				"verb": "addRef", "set": "classes", "navigation": "members", "externalId": "5a",
				"target": map[string]any{"id": userID, "externalId": "4711"}, "outcome": "made", "status": 200.,
			},
		},
		"removeRef": {
			ask: func(ctx context.Context, d education.Directory) error {
				return d.RemoveRef(ctx, members, class, byID(userID))
			},
			want: map[string]any{
				"verb": "removeRef", "set": "classes", "navigation": "members", "externalId": "5a",
				"target": map[string]any{"id": userID}, "outcome": "made", "status": 200.,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(false)
			b.ask = test.ask
			if test.answer != nil {
				b.directory.answer = test.answer
			}
			b.serve(http.MethodPost)
			if strings.Contains(strings.Join(b.store.lines, ""), canary) {
				t.Errorf("the record holds a value: %s", b.store.lines)
			}
			if diff := cmp.Diff([]map[string]any{common(test.want)}, b.store.take(t)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLinesOfRequestsThatDoNotGetToTheDirectory holds when there is a line, and what of a path is in it.
func TestLinesOfRequestsThatDoNotGetToTheDirectory(t *testing.T) {
	t.Parallel()
	user := education.Address{Set: education.Users, Key: byID(userID)}
	named := education.Address{Set: education.Users, Key: byName(canary)}
	long := education.Key{Property: education.Users.Property("externalId"), Value: strings.Repeat("ä", 300) + "\x1b[2J"}
	school := education.Key{Property: education.Schools.ID, Value: schoolID}
	inSchool := education.Address{Set: education.Schools, Key: school, Navigation: education.NavigationOf(education.Schools, "users")}
	ref := inSchool
	ref.Ref, ref.Target = true, byID(userID)
	tests := map[string]struct {
		method   string
		status   int
		stranger bool
		address  education.Address
		// want is nil if there is no line.
		want map[string]any
	}{
		"a read":                         {method: "GET", status: 200, address: user},
		"a read of nothing":              {method: "GET", status: 404, address: user},
		"a read that fails":              {method: "GET", status: 503, address: user},
		"a read whose client leaves":     {method: "GET", address: user},
		"a change that does nothing":     {method: "POST", status: 200, address: user},
		"a read that is not permitted":   {method: "GET", status: 403, address: user, want: map[string]any{"verb": "read", "set": "users", "id": userID, "outcome": "refused", "status": 403.}},
		"too many reads":                 {method: "HEAD", status: 429, address: user, want: map[string]any{"verb": "read", "set": "users", "id": userID, "outcome": "refused", "status": 429.}},
		"a read of a stranger":           {method: "GET", status: 401, stranger: true, address: user, want: map[string]any{"verb": "read", "set": "users", "outcome": "refused", "status": 401.}},
		"a change of a stranger":         {method: "DELETE", status: 401, stranger: true, address: ref, want: map[string]any{"verb": "removeRef", "set": "schools", "navigation": "users", "outcome": "refused", "status": 401.}},
		"a change that is not permitted": {method: "DELETE", status: 403, address: ref, want: map[string]any{"verb": "removeRef", "set": "schools", "navigation": "users", "id": schoolID, "target": map[string]any{"id": userID}, "outcome": "refused", "status": 403.}},
		"a change of somebody by name":   {method: "PATCH", status: 400, address: named, want: map[string]any{"verb": "update", "set": "users", "key": "onPremisesSamAccountName", "outcome": "refused", "status": 400.}},
		"a link that cannot be read":     {method: "POST", status: 400, address: ref, want: map[string]any{"verb": "addRef", "set": "schools", "navigation": "users", "id": schoolID, "target": map[string]any{"id": userID}, "outcome": "refused", "status": 400.}},
		"a create inside a school":       {method: "POST", status: 415, address: inSchool, want: map[string]any{"verb": "create", "set": "users", "links": map[string]any{"schools": []any{schoolID}}, "outcome": "refused", "status": 415.}},
		"a method that nobody has":       {method: "BREW", status: 405, address: user, want: map[string]any{"verb": "other", "set": "users", "id": userID, "outcome": "refused", "status": 405.}},
		"a path that nobody has":         {method: "PUT", status: 404, want: map[string]any{"verb": "update", "outcome": "refused", "status": 404.}},
		"a change that is not supported": {method: "PATCH", status: 501, address: user, want: map[string]any{"verb": "update", "set": "users", "id": userID, "outcome": "refused", "status": 501.}},
		"a change that fails":            {method: "PATCH", status: 500, address: user, want: map[string]any{"verb": "update", "set": "users", "id": userID, "outcome": "failed", "status": 500.}},
		"a change whose client leaves":   {method: "PATCH", address: user, want: map[string]any{"verb": "update", "set": "users", "id": userID, "outcome": "refused"}},
		"a text without end": {
			method: "DELETE", status: 400, address: education.Address{Set: education.Users, Key: long},
			want: map[string]any{"verb": "delete", "set": "users", "externalId": strings.Repeat("ä", 256) + "…", "outcome": "refused", "status": 400.},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(false)
			b.status, b.address = test.status, test.address
			var want []map[string]any
			if test.want != nil {
				want = []map[string]any{common(test.want)}
			}
			if test.stranger {
				b.credential = nil
				delete(want[0], "credential")
				delete(want[0], "tenants")
			}
			b.serve(test.method)
			if strings.Contains(strings.Join(b.store.lines, ""), canary) {
				t.Errorf("the record holds a value: %s", b.store.lines)
			}
			if diff := cmp.Diff(want, b.store.take(t)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLineOfANewEntityIsPrintable has a client choose an externalId that turns the text around it in a terminal. It may be
// stored so, and must not stand so in a line.
func TestLineOfANewEntityIsPrintable(t *testing.T) {
	t.Parallel()
	change, err := education.DecodeChange(education.Users, education.CreateEntity,
		[]byte(`{"displayName": "x", "onPremisesSamAccountName": "x", "externalId": "a\u202eb"}`), education.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	for _, required := range []bool{false, true} {
		b := newBench(required)
		b.directory.answer = func(context.Context) (*education.Entity, error) { return nil, odata.Errorf(odata.Conflict, "", "") }
		b.ask = func(ctx context.Context, d education.Directory) error {
			_, err := d.Create(ctx, education.Users, change)
			return err
		}
		b.serve("POST")
		lines := b.store.take(t)
		if len(lines) == 0 {
			t.Fatal("there is no line")
		}
		for _, line := range lines {
			if got := line["externalId"]; got != "a\ufffdb" {
				t.Errorf("got the externalId %q, want it without what cannot be printed", got)
			}
		}
	}
}

func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err   error
		wrote bool
		want  string
	}{
		"made":                          {nil, true, Made},
		"nothing to do":                 {nil, false, Made},
		"refused":                       {odata.Errorf(odata.Conflict, "", ""), false, Refused},
		"refused, after a rename":       {odata.Errorf(odata.NameAlreadyExists, "", ""), true, Refused},
		"not supported":                 {odata.Errorf(odata.NotSupported, "", ""), false, Refused},
		"down":                          {odata.Errorf(odata.ServiceNotAvailable, "", ""), false, Failed},
		"slow, while it was looked for": {odata.Errorf(odata.GatewayTimeout, "", ""), false, Failed},
		"no answer to a write":          {odata.Errorf(odata.GatewayTimeout, "", ""), true, Unknown},
		"broke off half-way":            {odata.Errorf(odata.ServiceNotAvailable, "", ""), true, Unknown},
		"a fault":                       {errors.New("a fault"), false, Failed},
		"the client has gone":           {context.Canceled, false, Refused},
		"the client has gone, too late": {context.Canceled, true, Unknown},
	} {
		_, witness := education.WithWitness(t.Context())
		if test.wrote {
			witness.Write()
		}
		if got := outcomeOf(test.err, witness); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// TestTenants holds how a line tells what a credential is bound to.
func TestTenants(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		credential access.Credential
		want       []any
	}{
		"one":  {access.Credential{Schools: []string{schoolID}}, []any{schoolID}},
		"all":  {access.Credential{AllSchools: true}, []any{"all"}},
		"none": {access.Credential{}, []any{}},
	} {
		b := newBench(false)
		b.credential, b.status = &test.credential, http.StatusForbidden
		b.serve(http.MethodGet)
		if diff := cmp.Diff(any(test.want), b.store.take(t)[0]["tenants"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestPanicInTheDirectory shows that a change which breaks down is recorded with what it was about.
func TestPanicInTheDirectory(t *testing.T) {
	t.Parallel()
	b := newBench(false)
	b.directory.answer = func(context.Context) (*education.Entity, error) { panic(canary) }
	ctx, recording := b.trail.Follow(t.Context(), Request{Method: http.MethodDelete})
	func() {
		defer func() { _ = recover() }()
		_ = b.trail.Directory(b.directory).Delete(ctx, education.Users, byID(userID))
	}()
	recording.End(Answer{Status: http.StatusInternalServerError, Aborted: true})
	line := b.store.take(t)[0]
	if line["outcome"] != Unknown || line["id"] != userID || line["aborted"] != true {
		t.Errorf("got %v", line)
	}
}

// TestBrokenOff shows that a request whose client goes while it is read, or waits, is the client's failure, and not the service's.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	for code, want := range map[odata.Code]string{odata.InvalidRequest: Refused, odata.ServiceNotAvailable: Failed, {}: Refused} {
		b := newBench(false)
		ctx, recording := b.trail.Follow(t.Context(), Request{Method: http.MethodPost})
		if code.Name != "" {
			broken, cancel := context.WithCancel(ctx)
			cancel()
			func() {
				defer func() { _ = recover() }() // Nobody is there to be answered.
				odata.WriteError(httptest.NewRecorder(), httptest.NewRequestWithContext(broken, http.MethodPost, "/", nil), odata.Errorf(code, "", "broken off"))
			}()
		}
		recording.End(Answer{Aborted: true})
		if got := b.store.take(t)[0]["outcome"]; got != want {
			t.Errorf("%q: got %v, want %s", code.Name, got, want)
		}
	}
}

// TestProcessIsNotRecorded shows that what no request has asked for passes.
func TestProcessIsNotRecorded(t *testing.T) {
	t.Parallel()
	b := newBench(true)
	if err := b.trail.Directory(b.directory).Delete(t.Context(), education.Users, byID(userID)); err != nil || b.directory.called != 1 {
		t.Errorf("got %v, %d calls", err, b.directory.called)
	}
	if lines := b.store.take(t); lines != nil {
		t.Errorf("got %v", lines)
	}
}

func deleteUser(ctx context.Context, d education.Directory) error {
	return d.Delete(ctx, education.Users, byID(userID))
}

// outcomes returns the outcomes of lines, and the number that a line about a gap gives.
func outcomes(lines []map[string]any) []any {
	var list []any
	for _, line := range lines {
		if lost, ok := line["lost"]; ok {
			list = append(list, lost)
			continue
		}
		list = append(list, line["outcome"])
	}
	return list
}

func wantOutcomes(t *testing.T, b *bench, want ...any) {
	t.Helper()
	if got := outcomes(b.store.take(t)); !slices.Equal(got, want) {
		t.Errorf("outcomes: got %v, want %v", got, want)
	}
}

// TestRequired shows that the beginning of a change is on disk before it is made, and that both lines belong together.
func TestRequired(t *testing.T) {
	t.Parallel()
	b := newBench(true)
	b.ask = deleteUser
	b.directory.answer = func(context.Context) (*education.Entity, error) {
		if len(b.store.lines) != 1 || b.store.synced != 1 {
			t.Errorf("at the change: %d lines, %d on disk; want the first one on disk", len(b.store.lines), b.store.synced)
		}
		return nil, nil
	}
	b.serve(http.MethodDelete)
	want := []map[string]any{
		common(map[string]any{"change": 1., "verb": "delete", "set": "users", "id": userID, "outcome": "begun", "durationMs": nil}),
		common(map[string]any{"change": 1., "verb": "delete", "set": "users", "id": userID, "outcome": "made", "status": 200.}),
	}
	if diff := cmp.Diff(want, b.store.take(t)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	b.ask, b.status = nil, http.StatusForbidden
	b.serve(http.MethodDelete)
	wantOutcomes(t, b, Refused)
}

// TestRequiredNames shows that the line before a change names entities by their ids, whatever the request calls them, and leaves
// out whom nobody knows.
func TestRequiredNames(t *testing.T) {
	t.Parallel()
	members := education.NavigationOf(education.Classes, "members")
	class := education.Key{Property: education.Classes.ID, Value: schoolID}
	newClass, err := education.DecodeChange(education.Classes, education.CreateEntity, []byte(`{"displayName": "5a", "classification": "class",
		"members@odata.bind": ["/users/max", "/users/nobody"], "schools@odata.bind": ["/schools/nowhere"]}`), education.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ask  func(ctx context.Context, d education.Directory) error
		want map[string]any
	}{
		"delete": {
			func(ctx context.Context, d education.Directory) error {
				return d.Delete(ctx, education.Users, byName("max"))
			},
			map[string]any{"id": userID, "externalId": "4711"},
		},
		"delete of nobody": {
			func(ctx context.Context, d education.Directory) error {
				return d.Delete(ctx, education.Users, byName("nobody"))
			},
			map[string]any{"key": "onPremisesSamAccountName"},
		},
		"delete by externalId, which needs no look": {
			func(ctx context.Context, d education.Directory) error {
				return d.Delete(ctx, education.Users, education.Key{Property: education.Users.Property("externalId"), Value: "4711"})
			},
			map[string]any{"externalId": "4711"},
		},
		"add a member": {
			func(ctx context.Context, d education.Directory) error {
				return d.AddRef(ctx, members, class, byName("max"))
			},
			map[string]any{"id": schoolID, "target": map[string]any{"id": userID, "externalId": "4711"}},
		},
		"create": {
			func(ctx context.Context, d education.Directory) error {
				_, err := d.Create(ctx, education.Classes, newClass)
				return err
			},
			map[string]any{"links": map[string]any{"members": []any{userID}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(true)
			b.ask = test.ask
			b.serve(http.MethodPost)
			if looks := b.directory.looked; strings.HasSuffix(name, "no look") != (looks == 0) {
				t.Errorf("%d looks", looks)
			}
			begun := b.store.take(t)[0]
			got := map[string]any{}
			for _, member := range []string{"id", "externalId", "key", "target", "links"} {
				if value, ok := begun[member]; ok {
					got[member] = value
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" || begun["outcome"] != Begun {
				t.Errorf("%s (-want +got):\n%s", begun["outcome"], diff)
			}
		})
	}
}

// TestRequiredRefusesChanges shows that nothing is changed as long as its beginning cannot be recorded.
func TestRequiredRefusesChanges(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(m *memory, fails bool){
		"full":        func(m *memory, fails bool) { m.full = fails },
		"not to disk": func(m *memory, fails bool) { m.syncFails = fails },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(true)
			b.ask = deleteUser
			fail(b.store, true)
			if got := b.serve(http.MethodDelete); got != http.StatusServiceUnavailable || b.directory.called != 0 {
				t.Errorf("got the status %d after %d calls of the directory", got, b.directory.called)
			}
			fail(b.store, false)
			b.store.take(t)
			if got := b.serve(http.MethodDelete); got != http.StatusOK || b.directory.called != 1 {
				t.Errorf("afterwards: got the status %d after %d calls of the directory", got, b.directory.called)
			}
		})
	}
}

// TestRequiredOwesOutcomes shows that a change whose outcome cannot be recorded is answered as it is, and that none is made
// after it until the outcome has been.
func TestRequiredOwesOutcomes(t *testing.T) {
	t.Parallel()
	b := newBench(true)
	b.ask = deleteUser
	b.directory.answer = func(context.Context) (*education.Entity, error) {
		b.store.full = true
		return nil, nil
	}
	if got := b.serve(http.MethodDelete); got != http.StatusOK {
		t.Errorf("the change: got %d", got)
	}
	if !strings.Contains(b.log.String(), `"level":"ERROR","msg":"the outcome of a change could not be recorded`) {
		t.Errorf("the log does not say so: %s", b.log)
	}
	wantOutcomes(t, b, Begun)
	for range 2 {
		if got := b.serve(http.MethodDelete); got != http.StatusServiceUnavailable || b.directory.called != 1 {
			t.Errorf("the next change: got %d after %d calls", got, b.directory.called)
		}
	}
	if err := b.trail.Close(); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "1 changes and 2 other lines") {
		t.Errorf("at the end: got %v", err)
	}
	b.store.full = false
	b.directory.answer = func(context.Context) (*education.Entity, error) { return nil, nil }
	b.serve(http.MethodDelete)
	wantOutcomes(t, b, Made, 2., Begun, Made)
	if err := b.trail.Close(); err != nil {
		t.Error(err)
	}
}

// TestLineUnderWay holds what becomes of lines while nobody reads the pipe that they go into: one that the pipe has a part of is
// neither written once more nor counted as missing.
func TestLineUnderWay(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{true, false} {
		t.Run(fmt.Sprintf("begun is %v", begun), func(t *testing.T) {
			t.Parallel()
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := writer.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = writer.WriteString("what was there before\n")
			}
			if err := writer.SetWriteDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			trail := New(Config{Store: Stream(writer), Required: begun, Logger: slog.New(slog.DiscardHandler)})
			trail.end(Line{Verb: Delete, Outcome: Made, Entity: Entity{ID: "the first"}}, begun)
			trail.end(Line{Verb: Delete, Outcome: Made, Entity: Entity{ID: "the second"}}, begun)
			read := make(chan string)
			go func() {
				text, _ := io.ReadAll(reader)
				read <- string(text)
			}()
			for deadline := time.Now().Add(10 * time.Second); trail.Close() != nil; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("a pipe that is read takes no line")
				}
			}
			_ = writer.Close()
			text := <-read
			first, second, lost := strings.Count(text, "the first"), strings.Count(text, "the second"), strings.Count(text, `"lost":1`)
			if first != 1 || second != map[bool]int{true: 1}[begun] || lost != map[bool]int{false: 1}[begun] {
				t.Errorf("the first line is there %d times, the second %d; %d of them are counted as missing", first, second, lost)
			}
		})
	}
}

// TestGap shows that the record itself says where lines are missing, and the log too.
func TestGap(t *testing.T) {
	t.Parallel()
	b := newBench(false)
	b.ask = deleteUser
	b.store.full = true
	for range 3 {
		if got := b.serve(http.MethodDelete); got != http.StatusOK {
			t.Errorf("got %d: without being required the record is no reason to refuse", got)
		}
	}
	b.store.full = false
	b.serve(http.MethodDelete)
	want := map[string]any{"time": "2026-09-01T12:00:00.123Z", "since": "2026-09-01T12:00:00.123Z", "lost": 3.}
	lines := b.store.take(t)
	if len(lines) != 2 || cmp.Diff(want, lines[0]) != "" || lines[1]["outcome"] != Made {
		t.Errorf("got %v", lines)
	}
	if got := strings.Count(b.log.String(), `"level":"ERROR"`); got != 3 || !strings.Contains(b.log.String(), `"lost":3`) {
		t.Errorf("the log: %s", b.log)
	}
}

// TestClip holds what a client can put into the record at most.
func TestClip(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"4711":                   "4711",
		"ä/ 'x'":                 "ä/ 'x'",
		"a\nb\x00\x1b[2J":        "a\ufffdb\ufffd\ufffd[2J",
		"\u009b2J\u202egpj":      "\ufffd2J\ufffdgpj",
		"\xff":                   "\ufffd",
		strings.Repeat("x", 300): strings.Repeat("x", 256) + "…",
		strings.Repeat("€", 256): strings.Repeat("€", 256),
	} {
		if got := clip(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
