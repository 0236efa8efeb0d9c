package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// TestKeysInPaths holds that a key with special characters is decoded exactly once, in each of its spellings.
func TestKeysInPaths(t *testing.T) {
	t.Parallel()
	directory := newDirectory(t, contract)
	s := newService(directory, contract)
	names := []string{
		"max", "a/b", "50%", "%41", "%2F", "a b", " a ", "a+b", "jürgen", "🏫", "ß", "(max)", "(a='b')", "a(b)", "o'brien", "''", "a,b", "a=b", "a;b",
		"$ref", "users", "members", ".", "..", "a?b", "a#b", `a\b`, "a*b", `"<>&`, "a@b:c", "%", "ends with %2", strings.Repeat("🏫", 256),
	}
	for _, name := range names {
		body, err := json.Marshal(map[string]string{"displayName": "x", "onPremisesSamAccountName": name, "externalId": name})
		if err != nil {
			t.Fatal(err)
		}
		created := s.must(t, http.StatusCreated, "POST", "/users", string(body))
		id := idOf(t, created.Body.Bytes())
		segment := url.PathEscape(name)
		quoted := url.PathEscape(strings.ReplaceAll(name, "'", "''"))
		for _, path := range []string{
			"/users/" + strings.Replace(segment, "(", "%28", 1), "/users/" + segment, "/users/" + id, "/users/" + strings.ToUpper(id), "/users('" + quoted + "')",
			"/users(onPremisesSamAccountName='" + quoted + "')", "/USERS(ONPREMISESSAMACCOUNTNAME='" + quoted + "')", "/users(externalId='" + quoted + "')",
			"/users(id=" + id + ")", "/users('" + id + "')", "/Users/" + segment + "/", "/users('" + quoted + "')//",
		} {
			if got := s.send("GET", path, ""); got.Code != http.StatusOK || idOf(t, got.Body.Bytes()) != id {
				t.Errorf("%q as %s: got %d %.200s", name, path, got.Code, got.Body)
			}
		}
		// As the owner and as the target of a link.
		s.must(t, http.StatusOK, "GET", "/users/"+segment+"/schools", "")
		s.must(t, http.StatusCreated, "POST", "/classes", `{"displayName":"x","classification":"x","externalId":"k"}`)
		s.must(t, http.StatusNoContent, "POST", "/classes/k/members/$ref", string(mustJSON(t, map[string]string{"@odata.id": "/users/" + segment})))
		s.must(t, http.StatusNoContent, "DELETE", "/classes('k')/Members/"+segment+"/$ref", "")
		s.must(t, http.StatusNoContent, "POST", "/classes(externalId='k')/members/%24ref", string(mustJSON(t, map[string]string{"@odata.id": "users('" + quoted + "')"})))
		s.must(t, http.StatusNoContent, "DELETE", "/classes/k/members('"+quoted+"')/%24REF", "")
		s.must(t, http.StatusNoContent, "POST", "/classes/k/members/$ref/", string(mustJSON(t, map[string]string{"@odata.id": "users('" + quoted + "')"})))
		s.must(t, http.StatusNoContent, "DELETE", "/classes/k/members/$ref?@id="+url.QueryEscape("https://h/users/"+segment), "")
		s.must(t, http.StatusNoContent, "DELETE", "/classes/k", "")
	}
}

func mustJSON(tb testing.TB, value any) []byte {
	tb.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		tb.Fatal(err)
	}
	return encoded
}

func idOf(tb testing.TB, body []byte) string {
	tb.Helper()
	var entity struct{ ID string }
	if err := json.Unmarshal(body, &entity); err != nil {
		tb.Fatal(err)
	}
	return entity.ID
}

// TestKeysRefused holds that a key which cannot be one is a 400 that says so, before the directory is asked.
func TestKeysRefused(t *testing.T) {
	t.Parallel()
	s := newService(&fake{}, contract)
	tests := []struct{ name, path, target string }{
		{"NUL", "/users/a%00", ""},
		{"control character", "/users/a%1B", ""},
		{"invalid UTF-8", "/users/%FF", ""},
		{"too long", "/users/" + strings.Repeat("x", odata.MaxKeyLength+1), ""},
		{"empty in parentheses", "/users()", ""},
		{"empty string", "/users('')", ""},
		{"empty name", "/users(='x')", "(='x')"},
		{"parenthesis open", "/users(", "("},
		{"parentheses exchanged", "/users()(", "()("},
		{"open parenthesis", "/users('x'", "('x'"},
		{"property that is no key", "/users(mail='x')", "mail"},
		{"property that is unknown", "/users(foo='x')", "foo"},
		{"empty segment", "/schools//users", ""},
		{"empty segment in front", "//users", ""},
		{"empty member", "/classes/x/members//$ref", ""},
		{"bad owner", "/users(mail='x')/schools", "mail"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checkFault(t, newService(&fake{}, contract).send("GET", test.path, ""), odata.InvalidRequest, test.target)
		})
	}
	checkFault(t, s.send("DELETE", "/classes/x/members/%FF/$ref", ""), odata.InvalidRequest, "")
	checkFault(t, s.send("DELETE", "/classes/%FF/members/x/$ref", ""), odata.InvalidRequest, "")
	checkFault(t, s.send("DELETE", "/classes/x/members(mail='x')/$ref", ""), odata.InvalidRequest, "mail")
	checkFault(t, s.send("PATCH", "/users/%FF", "{}"), odata.InvalidRequest, "")
}

// TestLinkWithoutRef holds that no spelling of a link's path without $ref deletes anything.
func TestLinkWithoutRef(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]education.Rules{"contract": contract, "opencloud": compatible} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(newDirectory(t, rules), rules)
			s.must(t, http.StatusCreated, "POST", "/schools", `{"displayName":"A","schoolNumber":"1"}`)
			s.must(t, http.StatusCreated, "POST", "/schools/1/users", `{"displayName":"Max","onPremisesSamAccountName":"max"}`)
			s.must(t, http.StatusCreated, "POST", "/schools/1/classes",
				`{"displayName":"5a","classification":"x","externalId":"5a","members@odata.bind":["/users/max"],"teachers@odata.bind":["/users/max"]}`)
			for _, path := range []string{
				"/classes/5a/members/max", "/classes/5a/members/max/", "/classes/5a/members/max//", "/classes/5a/members('max')", "/CLASSES('5a')/MEMBERS('max')",
				"/classes/5a/members", "/classes/5a/members/", "/classes/5a/teachers/max", "/schools/1/users/max", "/schools/1/users", "/schools/1/classes/5a",
				"/users/max/schools/1", "/users/max/schools/1/$ref", "/users/max/schools/$ref", "/users/max/schools", "/users/max/classes/5a", "/classes/5a/schools/1",
				"/users", "/users/", "/schools", "/classes//",
			} {
				if got := s.send("DELETE", path, ""); got.Code != http.StatusMethodNotAllowed || len(got.Header().Values("Allow")) == 0 {
					t.Errorf("DELETE %s: got %d %v %s", path, got.Code, got.Header(), got.Body)
				}
			}
			for _, path := range []string{"/schools/1/users", "/schools/1/classes", "/classes/5a/members", "/classes/5a/teachers", "/users/max/schools"} {
				if got := s.must(t, http.StatusOK, "GET", path, ""); strings.Count(got.Body.String(), `"id"`) != 1 {
					t.Errorf("GET %s: got %s, want one entity", path, got.Body)
				}
			}
		})
	}
}

// TestUnknownRoutes holds that what is no route is an error in JSON, with the methods that there are.
func TestUnknownRoutes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "", 404, ""},
		{"GET", "/", 404, ""},
		{"GET", "/foo", 404, ""},
		{"POST", "/foo/bar", 404, ""},
		{"GET", "/users/max/foo", 404, ""},
		{"GET", "/users/max/members", 404, ""},
		{"GET", "/schools/1/users/max/foo", 404, ""},
		{"GET", "/$metadata", 404, ""},
		{"GET", "/users/$count/x", 404, ""},
		{"GET", "/users)(", 404, ""},
		{"GET", "/users)", 404, ""},
		{"GET", "/)(", 404, ""},
		{"PUT", "/users", 405, "GET, POST"},
		{"DELETE", "/users", 405, "GET, POST"},
		{"PATCH", "/schools/", 405, "GET, POST"},
		{"POST", "/users/max", 405, "GET, PATCH, DELETE"},
		{"HEAD", "/users/max", 405, "GET, PATCH, DELETE"},
		{"PUT", "/users('max')", 405, "GET, PATCH, DELETE"},
		{"FOO", "/users/max", 405, "GET, PATCH, DELETE"},
		{"OPTIONS", "/users/max", 405, "GET, PATCH, DELETE"},
		{"PATCH", "/schools/1/users", 405, "GET, POST"},
		{"POST", "/classes/5a/members", 405, "GET"},
		{"GET", "/classes/5a/members/$ref", 405, "POST, DELETE"},
		{"PUT", "/CLASSES/5a/members/%24ref", 405, "POST, DELETE"},
		{"GET", "/classes/5a/members/max/$ref", 405, "DELETE"},
		{"POST", "/classes/5a/members/max/$ref", 405, "DELETE"},
		{"GET", "/classes/5a/members/max", 405, ""},
		{"POST", "/users/max/schools/$ref", 405, ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			t.Parallel()
			got := newService(&fake{}, contract).send(test.method, test.path, "")
			code := odata.ItemNotFound
			if test.status == http.StatusMethodNotAllowed {
				code = odata.NotAllowed
			}
			if test.method == http.MethodHead {
				got.Body.Reset()
				_ = json.NewEncoder(got).Encode(map[string]any{"error": map[string]string{"code": code.Name}})
			}
			checkFault(t, got, code, "")
			if allow := strings.Join(got.Header().Values("Allow"), ", "); allow != test.allow {
				t.Errorf("got Allow %q, want %q", allow, test.allow)
			}
		})
	}
}

// TestServiceRoot holds that URLs in answers lie under the root that the request was sent to.
func TestServiceRoot(t *testing.T) {
	t.Parallel()
	s := newService(newDirectory(t, contract), contract)
	for url, want := range map[string]string{
		"http://a.example:9120/v1.0/education/schools":        "http://a.example:9120/v1.0/education/schools/",
		"http://a.example/v1.0/education/Schools/":            "http://a.example/v1.0/education/schools/",
		"https://b.example/graph/v1.0/education/schools":      "https://b.example/graph/v1.0/education/schools/",
		"https://b.example:8443/graph/v1.0/education/schools": "https://b.example:8443/graph/v1.0/education/schools/",
	} {
		got := s.sendTo(httptest.NewRequest(http.MethodPost, url, strings.NewReader(`{"displayName":`+string(mustJSON(t, url))+`}`)))
		if location := got.Header().Get("Location"); location != want+idOf(t, got.Body.Bytes()) {
			t.Errorf("%s: got %d with location %q", url, got.Code, location)
		}
		if context := strings.Replace(want, "education/schools/", "$metadata#education/schools/$entity", 1); !strings.Contains(got.Body.String(), `"`+context+`"`) {
			t.Errorf("%s: got %s, want the context %s", url, got.Body, context)
		}
	}
}

func TestRemoveRefByID(t *testing.T) {
	t.Parallel()
	s := newService(&fake{}, contract)
	for query, target := range map[string]string{
		"": "$id", "?@id=": "$id", "?@id=x": "@odata.id", "?$id=/classes/5a": "@odata.id", "?@id=/users/a&$id=/users/b": "$id", "?@id=/users(mail='x')": "mail",
	} {
		checkFault(t, s.send("DELETE", "/classes/5a/members/$ref"+query, ""), odata.InvalidRequest, target)
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	tests := []struct{ path, want string }{
		{"/", "/"},
		{"/users", "/users"},
		{"/USERS/", "/users"},
		{"/Foo/Users", "/Foo/Users"},
		{"/users/Users", "/users/Users"},
		{"/users('x')", "/users/('x')"},
		{"/Users(externalId='a%2Fb')/TAUGHTCLASSES", "/users/(externalId='a%2Fb')/taughtClasses"},
		{"/users/(x)", "/users/%28x)"},
		{"/users/%28x%29", "/users/%28x%29"},
		{"/classes/(/members/(/$ref", "/classes/%28/members/%28/$ref"},
		{"/classes('a')/members('b')/%24REF", "/classes/('a')/members/('b')/$ref"},
		{"/classes/$ref/members/$ref/$ref", "/classes/$ref/members/$ref/$ref"},
		{"/users/%24ref", "/users/%24ref"},
		{"/users//", "/users"},
	}
	for _, test := range tests {
		got, ok := canonical(test.path)
		if !ok || got != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.path, got, ok, test.want)
		}
	}
	for _, path := range []string{"//users", "/users//x", "/classes/x/members//$ref"} {
		if got, ok := canonical(path); ok {
			t.Errorf("%s: got %q", path, got)
		}
	}
}

// FuzzPath sends any path, and any key in its two spellings.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"users/max", "a/b", "50%", "%41", "(x)", "users('x')", "classes/5a/members/max", "users(externalId='o''brien')", "%24ref", "$ref", "//", ".", "..",
		"users/%28", "users(", "users)", "schools/1/users/$ref", "\x00", "\xff", "ü 🏫", "users//x", "USERS('%27')", "a;b?c#d",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var asked []education.Key
		s := newService(&fake{
			list: func(func(*education.Entity, error) bool) {},
			get: func(set *education.EntitySet, key education.Key) (*education.Entity, error) {
				asked = append(asked, key)
				return education.NewEntity(set), nil
			},
		}, contract)
		if target, err := url.Parse("http://education.example" + root + "/" + text); err == nil {
			s.sendTo(&http.Request{Method: http.MethodGet, URL: target, Host: target.Host, Header: http.Header{}})
		}
		asked = nil
		if _, err := odata.ParseKey(url.PathEscape(text)); err != nil || !utf8.ValidString(text) {
			return
		}
		want, err := education.Users.Key(odata.Key{Value: text})
		if err != nil {
			t.Fatal(err)
		}
		segment := strings.Replace(url.PathEscape(text), "(", "%28", 1)
		s.must(t, http.StatusOK, "GET", "/users/"+segment, "")
		s.must(t, http.StatusOK, "GET", "/users('"+url.PathEscape(strings.ReplaceAll(text, "'", "''"))+"')", "")
		for _, key := range asked {
			if key.Property != want.Property || key.Value != want.Value {
				t.Errorf("%q was read as %s %q", text, key.Property.Name, key.Value)
			}
		}
	})
}

// TestCreateRelatedRefuses holds that the path alone says where a new entity belongs.
func TestCreateRelatedRefuses(t *testing.T) {
	t.Parallel()
	s := newService(&fake{}, contract)
	const user = `{"displayName":"Max","onPremisesSamAccountName":"max","schools@odata.bind":["/schools/2"]}`
	checkFault(t, s.send("POST", "/schools/1/users", user), odata.InvalidRequest, "schools@odata.bind")
	checkFault(t, s.send("POST", "/schools(mail='x')/users", user), odata.InvalidRequest, "mail")
	checkFault(t, s.send("POST", "/schools/1/users", `{"@odata.id":"/users/max"}`), odata.InvalidRequest, "displayName")
	checkFault(t, s.send("DELETE", "/classes(mail='x')/members/$ref?@id=/users/max", ""), odata.InvalidRequest, "mail")
	checkFault(t, s.send("GET", "/classes/5a/foo/max", ""), odata.ItemNotFound, "")
}
