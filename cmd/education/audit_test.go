package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education/api"
	"github.com/opencloud-eu/education/pkg/middleware"
)

// grants are the authenticator of tokens that are the names of their grants.
type grants map[string]access.Grant

func (g grants) Authenticate(_ context.Context, token string) (*access.Grant, error) {
	grant, ok := g[token]
	if !ok {
		return nil, access.ErrUnknown
	}
	grant.Name = token
	return &grant, nil
}

// auditedRouter returns the router of a service that keeps a record in the folder and knows the grants.
func auditedRouter(t *testing.T, folder string, known grants) http.Handler {
	t.Helper()
	s, err := load(map[string]string{"EDUCATION_DATA_DIR": folder, "EDUCATION_AUDIT": "on"})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	directory, err := s.openDirectory(t.Context(), logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = directory.close() })
	entities, err := s.entities(directory)
	if err != nil {
		t.Fatal(err)
	}
	record, err := s.openRecord(logger, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = record.close() })
	return s.router(api.Config{Directory: record.directory(entities), Rules: s.rules()}, middleware.Options{
		Logger: logger, Tracers: tracenoop.NewTracerProvider(), Meters: metricnoop.NewMeterProvider(), Patience: writePatience,
		Credentials: &access.Gate{Authenticators: []access.Authenticator{known}, Schools: entities}, Trail: record.trail,
	})
}

// lastLine returns the last line of the record and how many lines there are.
func lastLine(t *testing.T, folder string) (line map[string]any, count int) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, auditFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
		t.Fatalf("%v: %q", err, lines[len(lines)-1])
	}
	return line, len(lines)
}

const (
	northID = "01994f2e-7a31-7c4e-8d5b-3f6a1c2d4e01"
	southID = "01994f2e-7a31-7c4e-8d5b-3f6a1c2d4e02"
	someID  = "01994f2e-7a31-7c4e-8d5b-3f6a1c2d4e03"
)

// verbOf returns the verb of a route.
func verbOf(method, route string) string {
	ref := strings.HasSuffix(route, "/$ref")
	switch {
	case method == http.MethodPost && ref:
		return "addRef"
	case method == http.MethodPost:
		return "create"
	case method == http.MethodPatch:
		return "update"
	case method == http.MethodDelete && ref:
		return "removeRef"
	case method == http.MethodDelete:
		return "delete"
	}
	return "read"
}

// TestAuditOfMissingRights walks over all routes and shows that each leaves one line for whoever lacks the right to it, with
// the credential, its tenants and what it reached for, and one without any of that for a stranger. It runs alone, because
// refused tokens go to the process's logger, which services of other tests have made theirs.
func TestAuditOfMissingRights(t *testing.T) { //nolint:paralleltest // See above.
	folder := t.TempDir()
	known := grants{
		"reader": {Verbs: access.Read, Schools: []access.School{{ID: northID}, {ID: southID}}},
		"writer": {Verbs: access.Write | access.Delete, AllSchools: true},
		"root":   {Verbs: access.AllVerbs, AllSchools: true},
	}
	router := auditedRouter(t, folder, known)
	for _, id := range []string{northID, southID} {
		r := httptest.NewRequest(http.MethodPost, "/graph/v1.0/education/schools", strings.NewReader(fmt.Sprintf(`{"id": %q, "displayName": %[1]q}`, id)))
		r.Header.Set("Authorization", "Bearer root")
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if router.ServeHTTP(w, r); w.Code != http.StatusCreated {
			t.Fatalf("create a school: %d %s", w.Code, w.Body)
		}
	}
	_, count := lastLine(t, folder)
	ask := func(method, path, token string, want map[string]any) {
		t.Helper()
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		router.ServeHTTP(httptest.NewRecorder(), r)
		line, lines := lastLine(t, folder)
		if count++; lines != count {
			t.Errorf("%s %s: the record has %d lines, want %d", method, path, lines, count)
			count = lines
		}
		for _, name := range []string{"time", "requestId", "durationMs"} {
			if line[name] == nil {
				t.Errorf("%s %s: the line has no %s", method, path, name)
			}
			delete(line, name)
		}
		if diff := cmp.Diff(want, line); diff != "" {
			t.Errorf("%s %s: the line (-want +got):\n%s", method, path, diff)
		}
	}
	err := chi.Walk(router.(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if !strings.HasPrefix(route, "/graph/v1.0/education/") {
			return nil
		}
		verb, token, tenants := verbOf(method, route), "reader", []any{northID, southID}
		if verb == "read" {
			token, tenants = "writer", []any{"all"}
		}
		segments := strings.Split(strings.TrimPrefix(route, "/graph/v1.0/education/"), "/")
		path := strings.NewReplacer("{school}", northID, "{user}", someID, "{class}", southID).Replace(route)
		ids := map[string]any{"{school}": northID, "{user}": someID, "{class}": southID}
		stranger := map[string]any{"verb": verb, "set": segments[0], "outcome": "refused", "status": 401., "code": "InvalidAuthenticationToken", "remote": "192.0.2.1"}
		want := map[string]any{
			"verb": verb, "set": segments[0], "outcome": "refused", "status": 403., "code": "accessDenied", "remote": "192.0.2.1",
			"credential": token, "tenants": tenants,
		}
		if len(segments) > 1 && ids[segments[1]] != nil {
			want["id"] = ids[segments[1]]
		}
		switch {
		case len(segments) > 2 && verb == "create":
			want["set"], stranger["set"] = segments[2], segments[2]
			want["links"] = map[string]any{"schools": []any{want["id"]}}
			delete(want, "id")
		case len(segments) > 2:
			want["navigation"], stranger["navigation"] = segments[2], segments[2]
		}
		if len(segments) > 3 && ids[segments[3]] != nil {
			want["target"] = map[string]any{"id": ids[segments[3]]}
		}
		ask(method, path, token, want)
		ask(method, path, "unknown", stranger)
		return nil
	})
	if err != nil || count < 60 {
		t.Errorf("the walk ended after %d lines: %v", count, err)
	}
}

// TestAuditOfForeignSchools shows that the record tells an operator whose credential has reached for another school, though
// the answer does not tell the client that the school exists.
func TestAuditOfForeignSchools(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	router := auditedRouter(t, folder, grants{
		"root":  {Verbs: access.AllVerbs, AllSchools: true},
		"north": {Verbs: access.AllVerbs, Schools: []access.School{{ID: northID}}},
	})
	send := func(token, method, path, body string) (status int, id string) {
		r := httptest.NewRequest(method, "/v1.0/education"+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		var made struct{ ID string }
		_ = json.Unmarshal(w.Body.Bytes(), &made) // Most answers have none.
		return w.Code, made.ID
	}
	for id, number := range map[string]string{northID: "1", southID: "2"} {
		if status, _ := send("root", "POST", "/schools", `{"displayName":"`+number+`","schoolNumber":"`+number+`","id":"`+id+`"}`); status != http.StatusCreated {
			t.Fatalf("the school: got %d", status)
		}
	}
	user := `{"displayName":"Max","onPremisesSamAccountName":"max","externalId":"4711"}`
	status, userID := send("root", "POST", "/schools/2/users", user)
	if status != http.StatusCreated {
		t.Fatalf("the user: got %d", status)
	}
	if status, _ := send("north", "DELETE", "/users/max", ""); status != http.StatusNotFound {
		t.Errorf("got %d", status)
	}
	line, _ := lastLine(t, folder)
	if line["credential"] != "north" || !cmp.Equal(line["tenants"], []any{northID}) || line["outcome"] != "refused" || line["id"] != nil {
		t.Errorf("a foreign user by name: got %v", line)
	}
	send("north", "DELETE", "/users/"+userID, "")
	if line, _ = lastLine(t, folder); line["id"] != userID || line["outcome"] != "refused" || line["externalId"] != nil {
		t.Errorf("a foreign user by id: got %v", line)
	}
	// A new user of a credential for one school is put there, whether the request says so or not.
	send("north", "POST", "/users", `{"displayName":"Tina","onPremisesSamAccountName":"tina"}`)
	if line, _ = lastLine(t, folder); line["outcome"] != "made" || !cmp.Equal(line["links"], any(map[string]any{"schools": []any{northID}})) {
		t.Errorf("a new user: got %v", line)
	}
}

// TestOpenRecord holds what the settings open.
func TestOpenRecord(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	elsewhere := filepath.Join(folder, "elsewhere.log")
	for name, test := range map[string]struct {
		mode, file, made string
		fails            bool
	}{
		"off":                {mode: "off", file: elsewhere},
		"the data folder":    {mode: "on", made: filepath.Join(folder, auditFile)},
		"a file":             {mode: "required", file: elsewhere, made: elsewhere},
		"no folder":          {mode: "on", file: filepath.Join(folder, "nowhere", "x"), fails: true},
		"no standard output": {mode: "on", file: "stdout", fails: true},
	} {
		s := &settings{Audit: test.mode, AuditFile: test.file, DataDir: folder}
		record, err := s.openRecord(slog.New(slog.DiscardHandler), io.Discard)
		if (err != nil) != test.fails || test.fails && !strings.Contains(err.Error(), "EDUCATION_AUDIT_FILE") {
			t.Errorf("%s: got the error %v", name, err)
			continue
		}
		for _, path := range []string{filepath.Join(folder, auditFile), elsewhere} {
			if _, err := os.Stat(path); (err == nil) != (path == test.made) {
				t.Errorf("%s: %s: %v", name, path, err)
			}
			_ = os.Remove(path)
		}
		if record != nil {
			if err := record.close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestAddressOf(t *testing.T) {
	t.Parallel()
	s := &settings{HTTPRoot: "/graph/"}
	for path, want := range map[string]string{
		"/graph/v1.0/education/users/max": "users",
		"/v1.0/education/Schools":         "schools",
		"/graph/v1.0/users/max":           "",
		"/users/max":                      "",
		"/graph/v1.0/education":           "",
		"/graph/v1.0/educationx/users":    "",
	} {
		got := ""
		if set := s.addressOf(path).Set; set != nil {
			got = set.Name
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// TestServeEndsWithGaps shows that a process which could not record everything says so at its end.
func TestServeEndsWithGaps(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("the system has no /dev/full")
	}
	s := start(t, t.TempDir(), "EDUCATION_AUDIT=on", "EDUCATION_AUDIT_FILE=/dev/full")
	if status, body := s.do(t, http.MethodPost, "/v1.0/education/schools", `{"displayName":"North"}`); status != http.StatusCreated {
		t.Errorf("a change that need not be recorded: got %d %s", status, body)
	}
	if status, log := s.stop(); status != 1 || !strings.Contains(log, "0 changes and 1 other lines") {
		t.Errorf("the end: status %d, %s", status, log)
	}
}
