package api

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/education"
)

// exchange is a request of the session below.
type exchange struct{ method, path, body string }

// session uses every route, and meets the errors that belong to them. Its answers are the golden files.
var session = []exchange{
	{"GET", "/schools", ""},
	{"POST", "/schools", `{"id":"7E1C3A52-0F3D-4A55-9F4B-3F6A1C2D4E5F","displayName":"Nordschule","schoolNumber":"0042","externalId":"tenant-1"}`},
	{"POST", "/schools", `{"displayName":"NORDSCHULE"}`},
	{"POST", "/schools", `{"displayName":"Ostschule","schoolNumber":"0042"}`},
	{"POST", "/schools", `{"displayName":"Ostschule","externalId":"tenant-1"}`},
	{"POST", "/schools", `{"displayName":"Ostschule","id":"7e1c3a52-0f3d-4a55-9f4b-3f6a1c2d4e5f"}`},
	{"GET", "/schools", ""},
	{"GET", "/schools/0042", ""},
	{"GET", "/schools/7e1c3a52-0f3d-4a55-9f4b-3f6a1c2d4e5f", ""},
	{"GET", "/schools(externalId='tenant-1')", ""},
	{"GET", "/schools?$filter=externalId%20eq%20'tenant-1'", ""},
	{"GET", "/schools/0043", ""},
	{"PATCH", "/schools/0042", `{"displayName":"Südschule","schoolNumber":"0043","terminationDate":"2040-01-01T00:00:00+02:00"}`},
	{"PATCH", "/schools/0043", `{"displayName":null}`},
	{"PATCH", "/schools/0043", `{"createdDateTime":"2000-01-01T00:00:00Z"}`},

	{"POST", "/users", `{"displayName":"Max","onPremisesSAMAccountName":"max","mail":"max@example.org","externalId":"4711","identities":[{"issuer":"https://idp","issuerAssignedId":"1"}],"passwordProfile":{"password":"canary"}}`},
	{"POST", "/users", `{"displayName":"Max","onPremisesSamAccountName":"MAX"}`},
	{"POST", "/users", `{"mail":"x","foo":1}`},
	{"GET", "/users", ""},
	{"GET", "/users/max", ""},
	{"GET", "/users(externalId='4711')", ""},
	{"GET", "/users?$filter=externalId%20eq%20'4711'", ""},
	{"GET", "/users?$filter=externalId%20eq%20'4712'", ""},
	{"PATCH", "/users/max", `{"mail":null,"surname":"Müller <&>","accountEnabled":false}`},
	{"PATCH", "/users/eve", `{"mail":null}`},

	{"POST", "/schools/0043/users/$ref", `{"@odata.id":"https://graph.example/v1.0/education/users/max"}`},
	{"POST", "/schools/0043/users/$ref", `{"@odata.id":"/users/max"}`},
	{"POST", "/schools/0043/users/$ref", `{"@odata.id":"/users/nobody"}`},
	{"POST", "/schools/0043/users/$ref", `{"@odata.id":"/classes/5a"}`},
	{"POST", "/schools/0043/users", `{"displayName":"Eve","onPremisesSamAccountName":"eve","userType":"guest","surname":"Eve"}`},
	{"POST", "/schools/0099/users", `{"displayName":"Zoe","onPremisesSamAccountName":"zoe"}`},
	{"GET", "/schools/0043/users", ""},
	{"GET", "/schools/0099/users", ""},
	{"GET", "/schools/0043/users?$filter=onPremisesSamAccountName%20eq%20'eve'", ""},
	{"GET", "/users/max/schools", ""},
	{"GET", "/users/$count", ""},
	{"GET", "/users/$count?$filter=userType%20eq%20'Guest'", ""},
	{"GET", "/schools/$count", ""},
	{"GET", "/schools/0043/users/$count", ""},
	{"GET", "/schools/0099/users/$count", ""},
	{"GET", "/users/max/schools/$count", ""},
	{"GET", "/users?$orderby=displayName%20desc&$select=displayName,onPremisesSamAccountName&$count=true", ""},
	{"GET", "/users?$orderby=displayName&$select=displayName&$top=1", ""},
	{"GET", "/users?$top=0&$count=true", ""},
	{"GET", "/users?$search=max", ""},
	{"GET", "/users?$filter=schools/any(s:s/externalId%20eq%20'tenant-1')%20and%20startswith(displayName,'m')&$expand=schools($select=displayName)", ""},
	{"GET", "/users/max?$select=mail&$expand=schools,classes", ""},
	{"GET", "/schools/0043/users?$orderby=displayName&$select=displayName&$top=1", ""},
	{"GET", "/schools/0043/users?$orderby=displayName&$select=displayName&$count=true", ""},
	{"GET", "/users?$skiptoken=x", ""},

	{"POST", "/classes", `{"displayName":"5a","classification":"class","externalId":"5a","members@odata.bind":["/users/max"]}`},
	{"POST", "/classes", `{"displayName":"5a","classification":"class","externalId":"5a"}`},
	{"GET", "/classes", ""},
	{"GET", "/classes/5a", ""},
	{"PATCH", "/classes/5a", `{"description":"two\nlines"}`},
	{"PATCH", "/classes/5c", `{"description":"x"}`},
	{"POST", "/schools/0043/classes/$ref", `{"@odata.id":"/classes/5a"}`},
	{"POST", "/schools/0043/classes", `{"displayName":"5b","classification":"course","externalId":"5b","teachers@odata.bind":["/users/eve"]}`},
	{"GET", "/schools/0043/classes", ""},
	{"GET", "/classes/5a/schools", ""},

	{"POST", "/classes/5a/members/$ref", `{"@odata.id":"/users/eve"}`},
	{"GET", "/classes/5a/members", ""},
	{"DELETE", "/classes/5a/members/max", ""},
	{"DELETE", "/classes/5a/members/max/$ref", ""},
	{"DELETE", "/classes/5a/members/max/$ref", ""},
	{"DELETE", "/classes/5a/members/$ref?@id=https://any/users/eve", ""},
	{"DELETE", "/classes/5a/members/$ref", ""},
	{"GET", "/classes/5a/members", ""},
	{"POST", "/classes/5a/teachers/$ref", `{"@odata.id":"users('max')"}`},
	{"GET", "/classes/5a/teachers", ""},
	{"GET", "/users/max/classes", ""},
	{"GET", "/classes/$count", ""},
	{"GET", "/classes/5a/teachers/$count", ""},
	{"GET", "/classes/5a/members/$count", ""},
	{"GET", "/classes/5a/schools/$count", ""},
	{"GET", "/schools/0043/classes/$count", ""},
	{"GET", "/users/max/classes/$count", ""},
	{"GET", "/users/max/taughtClasses/$count", ""},
	{"GET", "/classes?$filter=members/$count%20eq%200&$select=displayName&$orderby=displayName", ""},
	{"GET", "/users/max/taughtClasses", ""},
	{"DELETE", "/classes/5b/teachers/max/$ref", ""},
	{"DELETE", "/classes/5b/teachers/eve/$ref", ""},
	{"DELETE", "/classes/5a/teachers/$ref?$id=/users/max", ""},

	{"DELETE", "/schools/0043/classes/5a/$ref", ""},
	{"DELETE", "/schools/0043/classes/5a/$ref", ""},
	{"DELETE", "/schools/0043/classes/$ref?$id=/classes/5b", ""},
	{"DELETE", "/schools/0043/users/max/$ref", ""},
	{"DELETE", "/schools/0043/users/max/$ref", ""},
	{"DELETE", "/schools/0043/users/$ref?@id=/users/eve", ""},
	{"DELETE", "/classes/5a", ""},
	{"DELETE", "/classes/5a", ""},
	{"DELETE", "/users/max", ""},
	{"DELETE", "/users/max", ""},
	{"DELETE", "/schools/0043", ""},
	{afterTermination, "", ""},
	{"DELETE", "/schools/0043", ""},
	{"DELETE", "/schools/0043", ""},
	{"GET", "/schools", ""},
}

// afterTermination stands in the session where the school's terminationDate has passed.
const afterTermination = "(time passes)"

// TestSession compares the whole session with the golden files, in both modes, and holds that it uses every route.
func TestSession(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]education.Rules{"contract": contract, "opencloud": compatible} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var years atomic.Int32
			rules.Now = func() time.Time { return time.Now().AddDate(int(years.Load()), 0, 0) }
			s := newService(newDirectory(t, rules), rules)
			used := map[string]bool{}
			var record bytes.Buffer
			for _, request := range session {
				if request.method == afterTermination {
					years.Store(100)
					fmt.Fprintf(&record, "# %s\n\n", afterTermination)
					continue
				}
				response := s.send(request.method, request.path, request.body)
				if response.Code < 300 {
					used[s.pattern()] = true
				}
				fmt.Fprintf(&record, "> %s %s %s\n< %d", request.method, request.path, request.body, response.Code)
				for _, header := range []string{"Content-Type", "Location", "Allow"} {
					if values := response.Header().Values(header); len(values) > 0 {
						fmt.Fprintf(&record, " %s: %s;", header, strings.Join(values, ", "))
					}
				}
				fmt.Fprintf(&record, "\n%s\n", response.Body)
			}
			checkGolden(t, name, normalise(record.String()))
			checkUsed(t, used)
		})
	}
}

// checkUsed fails for each route that has not answered with success.
func checkUsed(t *testing.T, used map[string]bool) {
	t.Helper()
	walk(t, func(method, route string) {
		if !used[method+" "+route] {
			t.Errorf("the session does not use %s %s", method, route)
		}
	})
}

var (
	uuids   = regexp.MustCompile(`[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}`)
	cursors = regexp.MustCompile(`\$skiptoken=[\w-]+`)
	tags    = regexp.MustCompile(`W/\\"[\w-]+\\"`)
	dates   = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`)
)

// normalise replaces ids by their number in the text, and dates in UTC, cursors and entity tags by a word.
func normalise(text string) string {
	numbers := map[string]string{}
	text = uuids.ReplaceAllStringFunc(text, func(id string) string {
		id = strings.ToLower(id)
		if numbers[id] == "" {
			numbers[id] = fmt.Sprintf("id-%d", len(numbers)+1)
		}
		return numbers[id]
	})
	text = cursors.ReplaceAllString(text, "$$skiptoken=cursor")
	text = tags.ReplaceAllString(text, "W/tag")
	return dates.ReplaceAllString(text, `"date"`)
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-update writes it anew): %s", path, diff)
	}
}
