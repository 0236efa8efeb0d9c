package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// sendWith is send with header fields, given as name and value in turn.
func (s *service) sendWith(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://education.example"+root+path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return s.sendTo(r)
}

func wantStatus(t *testing.T, what string, response *httptest.ResponseRecorder, want int) {
	t.Helper()
	if response.Code != want {
		t.Errorf("%s: got %d %.300s, want %d", what, response.Code, response.Body, want)
	}
}

// tagOf returns the entity tag of a response, which must be that of the entity in its body, if there is one.
func tagOf(t *testing.T, response *httptest.ResponseRecorder) string {
	t.Helper()
	tag := response.Header().Get("ETag")
	if !strings.HasPrefix(tag, `W/"`) || len(tag) < 10 {
		t.Errorf("got the entity tag %q", tag)
	}
	var body map[string]any
	if err := json.Unmarshal(response.Body.Bytes(), &body); err == nil && body["@odata.etag"] != tag {
		t.Errorf("the header has the entity tag %s, the body %v", tag, body["@odata.etag"])
	}
	return tag
}

// TestConditionalRead holds that a client is told whether what it has is still right.
func TestConditionalRead(t *testing.T) {
	t.Parallel()
	s := newService(newDirectory(t, contract), contract)
	tag := tagOf(t, s.must(t, http.StatusCreated, "POST", "/users", `{"displayName":"Max","onPremisesSamAccountName":"max"}`))
	if got := tagOf(t, s.must(t, http.StatusOK, "GET", "/users/max?$select=mail", "")); got != tag {
		t.Errorf("got the tag %s, then %s, and nobody has changed anything", tag, got)
	}
	strong := strings.TrimPrefix(tag, "W/")
	tests := []struct {
		name, path string
		header     []string
		want       int
	}{
		{"known", "/users/max", []string{"If-None-Match", tag}, 304},
		{"known, written as a strong tag", "/users/max", []string{"If-None-Match", strong}, 304},
		{"known among others", "/users/max", []string{"If-None-Match", `W/"a,b", ` + tag + ` , "c"`}, 304},
		{"known in the second field", "/users/max", []string{"If-None-Match", `W/"a"`, "If-None-Match", tag}, 304},
		{"known among empty elements", "/users/max", []string{"If-None-Match", `,"x",,` + tag + `,`}, 304},
		{"anything", "/users/max", []string{"If-None-Match", "*"}, 304},
		{"unknown", "/users/max", []string{"If-None-Match", `W/"a"`}, 200},
		{"a prefix of it", "/users/max", []string{"If-None-Match", tag[:len(tag)-2] + `"`}, 200},
		{"no tag", "/users/max", []string{"If-None-Match", "a"}, 200},
		{"expanded, which changes without the entity", "/users/max?$expand=schools", []string{"If-None-Match", tag}, 200},
		{"a list has no version", "/users", []string{"If-None-Match", tag}, 200},
		{"nobody", "/users/eve", []string{"If-None-Match", tag}, 404},
		{"the wanted version", "/users/max", []string{"If-Match", `"x",` + tag}, 200},
		{"any version", "/users/max", []string{"If-Match", "*"}, 200},
		{"another version", "/users/max", []string{"If-Match", `W/"x"`}, 412},
		{"a malformed condition", "/users/max", []string{"If-Match", "x"}, 400},
		{"dates are not looked at", "/users/max", []string{"If-Modified-Since", "Wed, 25 Nov 2026 20:00:00 GMT"}, 200},
	}
	for _, test := range tests {
		response := s.sendWith("GET", test.path, "", test.header...)
		wantStatus(t, test.name, response, test.want)
		if test.want == http.StatusNotModified && (tagOf(t, response) != tag || response.Body.Len() > 0) {
			t.Errorf("%s: got %v %s", test.name, response.Header(), response.Body)
		}
	}
}

// TestConditionalWrite holds that a write for another version than the one that is there changes nothing.
func TestConditionalWrite(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]education.Rules{"contract": contract, "opencloud": compatible} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(newDirectory(t, rules), rules)
			s.send("POST", "/users", `{"displayName":"Max","onPremisesSamAccountName":"max"}`)
			first := s.must(t, http.StatusOK, "GET", "/users/max", "").Header().Get("ETag")
			second := s.sendWith("PATCH", "/users/max", `{"displayName":"Max II"}`, "If-Match", first)
			wantStatus(t, "for the first version", second, http.StatusOK)
			if second.Header().Get("ETag") == first {
				t.Errorf("both versions have the tag %s", first)
			}
			checkFault(t, s.sendWith("PATCH", "/users/max", `{"displayName":"Max III"}`, "If-Match", first), odata.ResourceModified, "users")
			checkFault(t, s.sendWith("DELETE", "/users/max", "", "If-Match", first), odata.ResourceModified, "users")
			checkFault(t, s.sendWith("PATCH", "/users/eve", `{}`, "If-Match", first), odata.ItemNotFound, "users")
			for _, malformed := range []string{"", "x", `W/x"`, `"x`, `"x"y`, `*,"x"`, "W/", `""x`} {
				checkFault(t, s.sendWith("DELETE", "/users/max", "", "If-Match", malformed), odata.InvalidRequest, "If-Match")
				checkFault(t, s.sendWith("PATCH", "/users/max", `{"displayName":"x"}`, "If-Match", malformed), odata.InvalidRequest, "If-Match")
			}
			if got := s.must(t, http.StatusOK, "GET", "/users/max", ""); !strings.Contains(got.Body.String(), `"Max II"`) {
				t.Errorf("a refused write has left %s", got.Body)
			}
			wantStatus(t, "for any version", s.sendWith("PATCH", "/users/max", `{"displayName":"Max IV"}`, "If-Match", "*"), http.StatusOK)
			last := s.must(t, http.StatusOK, "GET", "/users/max", "").Header().Get("ETag")
			wantStatus(t, "for the last version", s.sendWith("DELETE", "/users/max", "", "If-Match", `"x", `+last), http.StatusNoContent)
			s.must(t, http.StatusNotFound, "GET", "/users/max", "")
		})
	}
}

// TestConditionsAreLookedAtOrRefused holds for each route that no write is made under a condition that nobody looks at. The
// directory would panic.
func TestConditionsAreLookedAtOrRefused(t *testing.T) {
	t.Parallel()
	s := newService(&fake{}, contract)
	walk(t, func(method, route string) {
		for _, header := range []string{"If-Match", "If-None-Match", "If-Unmodified-Since"} {
			lookedAt := method == http.MethodGet || header == "If-Match" && method != http.MethodPost && !strings.Contains(route, "$ref")
			if !lookedAt {
				checkFault(t, s.sendWith(method, places[method+" "+route].path, `{}`, header, `W/"x"`), odata.InvalidRequest, header)
			}
		}
	})
}

// TestPreferReturn holds what a write answers by itself and on request.
func TestPreferReturn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rules                         education.Rules
		createUser, update, reference int
	}{
		"contract":  {contract, 201, 200, 204},
		"opencloud": {compatible, 200, 204, 204},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(newDirectory(t, test.rules), test.rules)
			class := `{"displayName":"5a","classification":"class","externalId":"`
			for _, row := range []struct {
				method, path, body, prefer string
				want                       int
				applied                    string
			}{
				{"POST", "/users", `{"displayName":"A","onPremisesSamAccountName":"a"}`, "", test.createUser, ""},
				{"POST", "/users", `{"displayName":"B","onPremisesSamAccountName":"b"}`, "return=representation", test.createUser, "return=representation"},
				{"POST", "/users", `{"displayName":"C","onPremisesSamAccountName":"c"}`, "return=minimal", 204, "return=minimal"},
				{"POST", "/classes", class + `1"}`, `foo; bar="x", Return="minimal"`, 204, "return=minimal"},
				{"POST", "/classes", class + `2"}`, "return=everything", 201, ""},
				{"PATCH", "/classes/1", `{"displayName":"5b"}`, "", test.update, ""},
				{"PATCH", "/classes/1", `{"displayName":"5c"}`, "return=minimal", 204, "return=minimal"},
				{"PATCH", "/classes/1", `{"displayName":"5d"}`, "return=representation", 200, "return=representation"},
				{"POST", "/classes/1/members/$ref", `{"@odata.id":"/users/a"}`, "return=representation", test.reference, ""},
			} {
				what := row.method + " " + row.path + " " + row.prefer
				response := s.sendWith(row.method, row.path, row.body, "Prefer", row.prefer)
				wantStatus(t, what, response, row.want)
				if got := response.Header().Get("Preference-Applied"); got != row.applied {
					t.Errorf("%s: got Preference-Applied %q, want %q", what, got, row.applied)
				}
				isRef := strings.HasSuffix(row.path, "$ref")
				if row.want == http.StatusNoContent && !isRef && (response.Body.Len() > 0 || !strings.Contains(response.Header().Get("OData-EntityId"), "http://education.example/")) {
					t.Errorf("%s: got %v %s", what, response.Header(), response.Body)
				}
				if row.method == http.MethodPost && !isRef && response.Header().Get("Location") == "" {
					t.Errorf("%s: there is no Location", what)
				}
				if !isRef {
					tagOrNone(t, response, test.rules.Compatible)
				}
			}
		})
	}
}

// tagOrNone is tagOf for responses whose body has no annotations in compatibility mode.
func tagOrNone(t *testing.T, response *httptest.ResponseRecorder, compatible bool) {
	t.Helper()
	if !compatible {
		tagOf(t, response)
		return
	}
	if response.Header().Get("ETag") == "" || strings.Contains(response.Body.String(), "@odata") {
		t.Errorf("got %v %s", response.Header(), response.Body)
	}
}

// TestMetadataLevels holds how much control information each level shows, and that a wrong one changes nothing.
func TestMetadataLevels(t *testing.T) {
	t.Parallel()
	s := newService(newDirectory(t, contract), contract)
	s.must(t, http.StatusCreated, "POST", "/schools", `{"displayName":"North","externalId":"n"}`)
	s.must(t, http.StatusCreated, "POST", "/schools(externalId='n')/users", `{"displayName":"Max","onPremisesSamAccountName":"max","identities":[{"issuer":"a","issuerAssignedId":"b"}]}`)
	const path = "/users/max?$select=displayName,identities,createdDateTime&$expand=schools($select=displayName)"
	const none, minimal, full = "none", "minimal", "full"
	wants := map[string]string{
		none: `{"displayName":"Max","identities":[{"issuer":"a","issuerAssignedId":"b"}],"createdDateTime":"date","schools":[{"displayName":"North"}]}`,
		minimal: `{"@odata.context":"http://education.example/graph/v1.0/$metadata#education/users(displayName,identities,createdDateTime,schools(displayName))/$entity",` +
			`"@odata.etag":"W/tag","displayName":"Max","identities":[{"issuer":"a","issuerAssignedId":"b"}],"createdDateTime":"date",` +
			`"schools":[{"@odata.etag":"W/tag","displayName":"North"}]}`,
		full: `{"@odata.context":"http://education.example/graph/v1.0/$metadata#education/users(displayName,identities,createdDateTime,schools(displayName))/$entity",` +
			`"@odata.type":"#microsoft.graph.educationUser","@odata.id":"http://education.example/graph/v1.0/education/users/id-1",` +
			`"@odata.editLink":"http://education.example/graph/v1.0/education/users/id-1","@odata.etag":"W/tag",` +
			`"displayName":"Max","identities@odata.type":"#Collection(microsoft.graph.objectIdentity)","identities":[{"issuer":"a","issuerAssignedId":"b"}],` +
			`"createdDateTime@odata.type":"#DateTimeOffset","createdDateTime":"date",` +
			`"schools@odata.navigationLink":"http://education.example/graph/v1.0/education/users/id-1/schools",` +
			`"classes@odata.navigationLink":"http://education.example/graph/v1.0/education/users/id-1/classes",` +
			`"taughtClasses@odata.navigationLink":"http://education.example/graph/v1.0/education/users/id-1/taughtClasses",` +
			`"schools":[{"@odata.type":"#microsoft.graph.educationSchool","@odata.id":"http://education.example/graph/v1.0/education/schools/id-2",` +
			`"@odata.editLink":"http://education.example/graph/v1.0/education/schools/id-2","@odata.etag":"W/tag","displayName":"North",` +
			`"users@odata.associationLink":"http://education.example/graph/v1.0/education/schools/id-2/users/$ref",` +
			`"users@odata.navigationLink":"http://education.example/graph/v1.0/education/schools/id-2/users",` +
			`"classes@odata.associationLink":"http://education.example/graph/v1.0/education/schools/id-2/classes/$ref",` +
			`"classes@odata.navigationLink":"http://education.example/graph/v1.0/education/schools/id-2/classes"}]}`,
	}
	for _, test := range []struct{ name, accept, format, want string }{
		{"nothing said", "", "", minimal},
		{"none", "application/json;odata.metadata=none", "", none},
		{"full", "application/json; odata.metadata=full; charset=utf-8", "", full},
		{"full, in another case", "Application/JSON;OData.Metadata=FULL", "", full},
		{"another type", "text/html;odata.metadata=full", "", minimal},
		{"in another's parameter", `text/html;title="x, application/json;odata.metadata=full"`, "", minimal},
		{"a comma in a parameter of its own", `application/json;x="a, b";odata.metadata=full`, "", full},
		{"excluded", "application/json, application/json;odata.metadata=x;q=0", "", minimal},
		{"the heavier one without a level", "application/json, application/json;odata.metadata=full;q=0.1", "", minimal},
		{"the heavier one", "application/json;odata.metadata=none;q=0.5, application/json;odata.metadata=full", "", full},
		{"$format goes before Accept", "application/json;odata.metadata=full", "&$format=application/json;odata.metadata=none", none},
		{"$format without a level", "application/json;odata.metadata=full", "&$format=json", full},
	} {
		response := s.sendWith("GET", path+test.format, "", "Accept", test.accept)
		wantStatus(t, test.name, response, http.StatusOK)
		if diff := cmp.Diff(wants[test.want]+"\n", normalise(response.Body.String())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if got := response.Header().Get("Content-Type"); got != "application/json;odata.metadata="+test.want {
			t.Errorf("%s: got %q", test.name, got)
		}
	}

	const list = "/users?$top=1&$count=true&$select=displayName"
	s.must(t, http.StatusCreated, "POST", "/users", `{"displayName":"Eve","onPremisesSamAccountName":"eve"}`)
	got := s.sendWith("GET", list, "", "Accept", "application/json;odata.metadata=none").Body.String()
	if !strings.HasPrefix(got, `{"@odata.count":2,"value":[{"displayName":`) || strings.Count(got, "@odata.") != 2 || !strings.Contains(got, `"@odata.nextLink":"`) {
		t.Errorf("a page without control information: %s", got)
	}

	next := s.follow(decodeList(t, s.sendWith("GET", list, "", "Accept", "application/json;odata.metadata=none")).Next).Body.String()
	if !strings.HasPrefix(next, `{"value":[{"displayName":`) {
		t.Errorf("the next page, without a header: %s", next)
	}

	wrong := []string{"Accept", "application/json;odata.metadata=all"}
	checkFault(t, s.sendWith("GET", "/users", "", wrong...), odata.InvalidRequest, "Accept")
	checkFault(t, s.sendWith("GET", "/users/max", "", wrong...), odata.InvalidRequest, "Accept")
	checkFault(t, s.sendWith("PATCH", "/users/max", `{"displayName":"x"}`, wrong...), odata.InvalidRequest, "Accept")
	checkFault(t, s.sendWith("POST", "/users", `{"displayName":"x","onPremisesSamAccountName":"x"}`, wrong...), odata.InvalidRequest, "Accept")
	s.must(t, http.StatusNotFound, "GET", "/users/x", "")
	if got := s.must(t, http.StatusOK, "GET", "/users/max", "").Body.String(); !strings.Contains(got, `"Max"`) {
		t.Errorf("a refused write has left %s", got)
	}
}

// TestWriteWithoutRead holds that whoever may write and not read gets no entity from a write, whatever it prefers.
func TestWriteWithoutRead(t *testing.T) {
	t.Parallel()
	for _, rules := range []education.Rules{contract, compatible} {
		s := newService(newDirectory(t, rules), rules)
		s.send("POST", "/users", `{"displayName":"canary","onPremisesSamAccountName":"a"}`)
		for _, row := range []struct{ method, path, body string }{
			{"PATCH", "/users/a", `{}`},
			{"PATCH", "/users/a", `{"surname":"B"}`},
			{"POST", "/users", `{"displayName":"canary","onPremisesSamAccountName":"b"}`},
		} {
			for _, prefer := range []string{"", "return=representation"} {
				r := httptest.NewRequest(row.method, "http://education.example"+root+row.path, strings.NewReader(strings.ReplaceAll(row.body, `"b"`, `"b`+prefer+`"`)))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Prefer", prefer)
				r = r.WithContext(access.With(r.Context(), &access.Credential{Verbs: access.Write | access.Delete, AllSchools: true}))
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != http.StatusNoContent || w.Body.Len() > 0 || w.Header().Get("OData-EntityId") == "" {
					t.Errorf("%s %s, Prefer: %s: got %d, %v, %s", row.method, row.path, prefer, w.Code, w.Header(), w.Body)
				}
			}
		}
	}
}
