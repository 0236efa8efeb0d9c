package acceptance

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAuthentication(t *testing.T) {
	t.Parallel()
	s := start(t)
	token := s.token
	tests := map[string]struct {
		headers []string
		want    int
	}{
		"the token":                      {[]string{"Bearer " + token}, 200},
		"the scheme in small letters":    {[]string{"bearer " + token}, 200},
		"the scheme in capitals":         {[]string{"BEARER " + token}, 200},
		"no header":                      {nil, 401},
		"an empty header":                {[]string{""}, 401},
		"the scheme alone":               {[]string{"Bearer"}, 401},
		"the scheme and a space":         {[]string{"Bearer "}, 401},
		"another scheme":                 {[]string{"Basic " + token}, 401},
		"the token alone":                {[]string{token}, 401},
		"another token":                  {[]string{"Bearer " + strings.Repeat("x", len(token))}, 401},
		"the beginning of the token":     {[]string{"Bearer " + token[:len(token)-1]}, 401},
		"the token and one more letter":  {[]string{"Bearer " + token + "x"}, 401},
		"the token in another case":      {[]string{"Bearer " + strings.ToUpper(token)}, 401},
		"the token and another one":      {[]string{"Bearer " + token + " " + token}, 401},
		"the header twice":               {[]string{"Bearer " + token, "Bearer " + token}, 401},
		"the header twice, once without": {[]string{"Bearer " + token, "Bearer x"}, 401},
		"a token of 20,000 letters":      {[]string{"Bearer " + strings.Repeat("x", 20_000)}, 401},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.get(t, "/users", header("Authorization", test.headers...)).want(test.want)
			if test.want == http.StatusOK {
				return
			}
			got.wantError(http.StatusUnauthorized, "InvalidAuthenticationToken")
			if challenge := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Bearer") {
				t.Errorf("got WWW-Authenticate: %q", challenge)
			}
		})
	}
}

// TestAuthenticationComesFirst shows that without a token nobody learns which paths and methods there are.
func TestAuthenticationComesFirst(t *testing.T) {
	t.Parallel()
	s := start(t)
	tests := map[string]struct {
		method, path string
		options      []option
		want         int
		code, allow  string
	}{
		"a path that does not exist":         {"GET", "/pupils", []option{outside}, 404, "itemNotFound", ""},
		"a path outside the API":             {"GET", "/", []option{outside, under("")}, 404, "itemNotFound", ""},
		"another version":                    {"GET", "/graph/beta/education/users", []option{outside, under("")}, 404, "itemNotFound", ""},
		"a method the collection lacks":      {"PUT", "/users", []option{outside}, 405, "notAllowed", "GET, POST"},
		"a method the entity lacks":          {"POST", "/users/max", []option{outside}, 405, "notAllowed", "GET, PATCH, DELETE"},
		"a method the reference lacks":       {"GET", "/schools/x/users/$ref", []option{outside}, 405, "notAllowed", "POST, DELETE"},
		"a method nobody knows":              {"BREW", "/users", []option{outside}, 405, "notAllowed", "GET, POST"},
		"OPTIONS":                            {"OPTIONS", "/users", []option{outside}, 405, "notAllowed", "GET, POST"},
		"DELETE of a link without $ref":      {"DELETE", "/classes/5a/members/max", []option{outside}, 405, "notAllowed", ""},
		"a body that is no JSON":             {"POST", "/users", []option{outside}, 400, "invalidRequest", ""},
		"an entity that does not exist":      {"GET", "/users/nobody", nil, 404, "itemNotFound", ""},
		"an unknown option":                  {"GET", "/users?foo=1", []option{outside}, 400, "invalidRequest", ""},
		"a method that health does not have": {"POST", "/healthz", []option{outside, under("")}, 405, "notAllowed", "GET, HEAD"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var body any
			if test.method == http.MethodPost {
				body = "{"
			}
			got := s.call(t, test.method, test.path, body, test.options...).wantError(test.want, test.code)
			if allow := strings.Join(got.header.Values("Allow"), ", "); allow != test.allow {
				t.Errorf("got Allow: %q, want %q", allow, test.allow)
			}
			if test.path == "/healthz" {
				return
			}
			without := append([]option{header("Authorization")}, test.options...)
			s.call(t, test.method, test.path, body, without...).wantError(http.StatusUnauthorized, "InvalidAuthenticationToken")
		})
	}
}

// TestErrorForm compares a whole error with the form that OpenCloud's and Graph's clients read.
func TestErrorForm(t *testing.T) {
	t.Parallel()
	s := start(t)
	got := s.get(t, "/users/nobody", header("X-Request-Id", "abc-123"), header("client-request-id", "mine")).want(http.StatusNotFound)
	if kind := got.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("got Content-Type: %q", kind)
	}
	var body map[string]map[string]any
	got.decode(&body)
	date := got.fault().Inner.Date
	if at, err := time.Parse("2006-01-02T15:04:05Z", date); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("got the date %q", date)
	}
	inner := map[string]any{"date": date, "request-id": "abc-123", "client-request-id": "mine"}
	want := map[string]map[string]any{"error": {
		"code": "itemNotFound", "message": "no such user", "target": "users", "innererror": inner, "innerError": inner,
	}}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("the error (-want +got):\n%s", diff)
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	s := start(t)
	const made = "one that the service has made"
	long := strings.Repeat("x", 128)
	tests := map[string]struct {
		server, client string
		// wantServer and wantClient are the ids in the response's headers and in the error.
		wantServer, wantClient string
	}{
		"both":                   {"abc-123", "mine", "abc-123", "mine"},
		"none":                   {"", "", made, made},
		"the server's alone":     {"abc-123", "", "abc-123", "abc-123"},
		"the client's alone":     {"", "mine", made, "mine"},
		"128 characters":         {long, long, long, long},
		"129 characters":         {long + "x", long + "x", made, made},
		"letters beyond ASCII":   {"äöü", "äöü", made, made},
		"a tab":                  {"a\tb", "a\tb", made, made},
		"what HTML would act on": {"<b>", "<b>", "<b>", "<b>"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var options []option
			if test.server != "" {
				options = append(options, header("X-Request-Id", test.server))
			}
			if test.client != "" {
				options = append(options, header("client-request-id", test.client))
			}
			got := s.get(t, "/users/nobody", options...).want(http.StatusNotFound)
			inner := got.fault().Inner
			if test.wantServer == made {
				if inner.RequestID == test.server || len(inner.RequestID) != 36 {
					t.Errorf("got the id %q, want one that the service has made", inner.RequestID)
				}
				test.wantServer = inner.RequestID
			}
			if test.wantClient == made {
				test.wantClient = inner.RequestID
			}
			want := innerFault{Date: inner.Date, RequestID: test.wantServer, ClientRequestID: test.wantClient}
			if diff := cmp.Diff(want, inner); diff != "" {
				t.Errorf("innererror (-want +got):\n%s", diff)
			}
			for name, id := range map[string]string{"X-Request-Id": test.wantServer, "client-request-id": test.wantClient} {
				if got := got.header.Get(name); got != id {
					t.Errorf("got %s: %q, want %q", name, got, id)
				}
			}
		})
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		s.get(t, path, under(""), header("Authorization")).want(http.StatusOK)
		s.call(t, http.MethodHead, path, nil, outside, under(""), header("Authorization")).want(http.StatusOK)
	}
}

// TestBodies shows what is accepted as a body beside plain JSON, and what is not.
func TestBodies(t *testing.T) {
	t.Parallel()
	s := start(t)
	plain := func() string { return `{"displayName":"` + fresh("School") + `"}` }
	encoding := header("Content-Encoding", "gzip")
	nested := func(depth int) string {
		return `{"displayName":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`
	}
	tests := map[string]struct {
		body    any
		options []option
		want    int
	}{
		"gzip":                                  {gzipped(t, plain()), []option{encoding}, 201},
		"gzip that nobody announced":            {gzipped(t, plain()), nil, 201},
		"an announcement of gzip without gzip":  {plain(), []option{encoding}, 201},
		"gzip that breaks off":                  {gzipped(t, plain())[:20], []option{encoding}, 400},
		"gzip of more than 1 MiB":               {gzipped(t, `{"displayName":"`+strings.Repeat("x", 2<<20)+`"}`), []option{encoding}, 413},
		"gzip of 1 GiB":                         {gzippedZeros(t, 1<<30), []option{encoding}, 413},
		"more than 1 MiB":                       {`{"displayName":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413},
		"a byte order mark":                     {"\xef\xbb\xbf" + plain(), nil, 201},
		"white space around":                    {"\r\n\t " + plain() + "\n", nil, 201},
		"no Content-Type":                       {plain(), []option{header("Content-Type")}, 201},
		"a charset":                             {plain(), []option{header("Content-Type", "application/json; charset=utf-8")}, 201},
		"invalid UTF-8":                         {"{\"displayName\":\"a\xff\"}", nil, 400},
		"half of a surrogate pair":              {`{"displayName":"a\ud800"}`, nil, 400},
		"a whole surrogate pair":                {`{"displayName":"` + fresh("School") + ` \ud83c\udfeb"}`, nil, 201},
		"NUL":                                   {`{"displayName":"a\u0000b"}`, nil, 400},
		"two values":                            {plain() + plain(), nil, 400},
		"something after the value":             {plain() + "x", nil, 400},
		"a name that is given twice":            {`{"displayName":"a","displayName":"b"}`, nil, 400},
		"a name that is given in two spellings": {`{"displayName":"a","DisplayName":"b"}`, nil, 400},
		"a nesting of 33":                       {nested(32), nil, 400},
		"a nesting of 100,000":                  {nested(100_000), nil, 400},
		"a number":                              {`1`, nil, 400},
		"null":                                  {`null`, nil, 400},
		"white space alone":                     {` `, nil, 400},
		"single quotes":                         {`{'displayName':'a'}`, nil, 400},
		"a comma at the end":                    {`{"displayName":"a",}`, nil, 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.post(t, "/schools", test.body, append(test.options, outside)...).want(test.want)
		})
	}
}

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	if err := firstError(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gzippedZeros returns a small text that becomes a large one.
func gzippedZeros(t testing.TB, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	// A gzip file may have several members, one after the other (RFC 1952, section 2.2).
	_, err = w.Write(make([]byte, 1<<20))
	if err := firstError(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(b.Bytes(), min(int(size>>20), (900<<10)/b.Len()))
}

// TestRunningRequestIsFinished shows that SIGTERM lets a request that has begun come to its end, and what it wrote stay.
func TestRunningRequestIsFinished(t *testing.T) {
	t.Parallel()
	s := start(t)
	connection := s.connect(t)
	body := `{"displayName":"Late School","externalId":"late"}`
	head := fmt.Sprintf("POST /graph/v1.0/education/schools HTTP/1.1\r\nHost: service\r\nAuthorization: Bearer %s\r\n"+
		"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", s.token, len(body))
	// The service asks for the body when the handler reads it, so the request is running from then on.
	if got := exchangeRaw(t, connection, head); got != "HTTP/1.1 100 Continue" {
		t.Fatalf("got %q", got)
	}
	s.signal(t, syscall.SIGTERM)
	s.awaitRefusal(t)
	if _, err := io.WriteString(connection, body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(skipEmptyLine(connection)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var made entity
	if err := json.NewDecoder(response.Body).Decode(&made); err != nil || response.StatusCode != http.StatusCreated {
		t.Fatalf("got %d, %v, %v", response.StatusCode, made, err)
	}
	s.waitForEnd(t)
	s.startAgain(t)
	if got := s.get(t, "/schools(externalId='late')").want(http.StatusOK).id(); got != made.text("id") {
		t.Errorf("got the id %s, want %s", got, made.text("id"))
	}
}

// TestHangup shows that SIGHUP, which opens the audit record's file again, ends the service neither with a record nor without
// one.
func TestHangup(t *testing.T) {
	t.Parallel()
	for _, audit := range []string{"off", "on"} {
		t.Run(audit, func(t *testing.T) {
			t.Parallel()
			s := start(t, "EDUCATION_AUDIT="+audit)
			for range 3 {
				s.signal(t, syscall.SIGHUP)
				s.get(t, "/users").want(http.StatusOK)
			}
			s.stop(t)
		})
	}
}

// TestKilledServiceKeepsWrites shows that what was acknowledged before a SIGKILL is there after it.
func TestKilledServiceKeepsWrites(t *testing.T) {
	t.Parallel()
	s := start(t)
	school := s.school(t)
	user := s.user(t)
	s.link(t, "/schools/"+school+"/users", "/users/"+user)
	s.kill(t)
	s.startAgain(t)
	if got := s.get(t, "/schools/"+school+"/users").ids(); len(got) != 1 || got[0] != user {
		t.Errorf("got the users %v, want %s", got, user)
	}
}
