package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

func zipped(tb testing.TB, body []byte) []byte {
	tb.Helper()
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	if _, err := writer.Write(body); err != nil {
		tb.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		tb.Fatal(err)
	}
	return buffer.Bytes()
}

// padded fills a body with blanks up to a size.
func padded(body string, size int) []byte {
	return append([]byte(body), bytes.Repeat([]byte(" "), size-len(body))...)
}

// nested returns a body whose objects and arrays are nested to a depth.
func nested(depth int) []byte {
	return []byte(`{"@odata.x":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `,"displayName":"A"}`)
}

func TestReadBody(t *testing.T) {
	t.Parallel()
	const plain = `{"displayName":"A"}`
	tests := []struct {
		name, encoding string
		body           []byte
		want           string // plain if empty
	}{
		{"plain", "", []byte(plain), ""},
		{"gzip", "gzip", zipped(t, []byte(plain)), ""},
		{"gzip in another spelling", "X-GZip", zipped(t, []byte(plain)), ""},
		{"gzip not announced", "", zipped(t, []byte(plain)), ""},
		{"gzip announced and not used", "gzip", []byte(plain), ""},
		{"identity", "identity", []byte(plain), ""},
		{"byte order mark", "", []byte("\xef\xbb\xbf" + plain), ""},
		{"byte order mark in gzip", "gzip", zipped(t, []byte("\xef\xbb\xbf"+plain)), ""},
		{"two gzip members", "gzip", append(zipped(t, []byte(plain[:5])), zipped(t, []byte(plain[5:]))...), ""},
		{"largest", "", padded(plain, MaxBodyBytes), string(padded(plain, MaxBodyBytes))},
		{"largest in gzip", "gzip", zipped(t, padded(plain, MaxBodyBytes)), string(padded(plain, MaxBodyBytes))},
		{"deepest", "", nested(MaxBodyDepth), string(nested(MaxBodyDepth))},
		{"surrogate pair", "", []byte(`{"a":"\ud83c\udfeb"}`), `{"a":"\ud83c\udfeb"}`},
		{"surrogate pairs and backslashes", "", []byte(`{"a":"\\ud800 \\\uD83C\uDFEB\n\\"}`), `{"a":"\\ud800 \\\uD83C\uDFEB\n\\"}`},
		{"same name in two objects", "", []byte(`{"a":{"b":1},"c":[{"b":1},{"b":1}],"b":1}`), `{"a":{"b":1},"c":[{"b":1},{"b":1}],"b":1}`},
		{"large number", "", []byte(`{"a":1e999}`), `{"a":1e999}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(test.body))
			request.Header.Set("Content-Encoding", test.encoding)
			got, err := readBody(request)
			if err != nil {
				t.Fatal(err)
			}
			want := test.want
			if want == "" {
				want = plain
			}
			if string(got) != want {
				t.Errorf("got %.100q, want %.100q", got, want)
			}
		})
	}
}

func TestReadBodyRefuses(t *testing.T) {
	t.Parallel()
	const plain = `{"displayName":"A"}`
	bomb := zipped(t, make([]byte, 64<<20))
	tests := []struct {
		name, encoding string
		body           []byte
		code           odata.Code
		target         string
		message        string
	}{
		{"empty", "", nil, odata.InvalidRequest, "", "empty"},
		{"blanks", "", []byte(" \r\n\t"), odata.InvalidRequest, "", "empty"},
		{"byte order mark alone", "", []byte("\xef\xbb\xbf"), odata.InvalidRequest, "", "empty"},
		{"empty gzip", "gzip", zipped(t, nil), odata.InvalidRequest, "", "empty"},
		{"one byte too large", "", padded(plain, MaxBodyBytes+1), odata.RequestTooLarge, "", "larger"},
		{"one byte too large in gzip", "gzip", zipped(t, padded(plain, MaxBodyBytes+1)), odata.RequestTooLarge, "", "larger"},
		{"bomb", "gzip", bomb, odata.RequestTooLarge, "", "larger"},
		{"bomb not announced", "", bomb, odata.RequestTooLarge, "", "larger"},
		{"gzip in gzip", "gzip", zipped(t, zipped(t, []byte(plain))), odata.InvalidRequest, "", "UTF-8"},
		{"truncated gzip", "gzip", zipped(t, []byte(plain))[:20], odata.InvalidRequest, "", "end"},
		{"gzip's magic alone", "gzip", []byte{0x1f, 0x8b}, odata.InvalidRequest, "", "gzip"},
		{"gzip with a wrong sum", "gzip", append(zipped(t, []byte(plain))[:len(zipped(t, []byte(plain)))-8], make([]byte, 8)...), odata.InvalidRequest, "", "end"},
		{"other encoding", "br", []byte(plain), odata.UnsupportedMediaType, "Content-Encoding", "gzip"},
		{"two encodings", "gzip, gzip", zipped(t, zipped(t, []byte(plain))), odata.UnsupportedMediaType, "Content-Encoding", "gzip"},
		{"too deep", "", nested(MaxBodyDepth + 1), odata.InvalidRequest, "", "32 levels"},
		{"far too deep", "", []byte(strings.Repeat("[", MaxBodyBytes)), odata.InvalidRequest, "", "32 levels"},
		{"two values", "", []byte(plain + plain), odata.InvalidRequest, "", "more than one"},
		{"text after the value", "", []byte(plain + "x"), odata.InvalidRequest, "", "more than one"},
		{"brace after the value", "", []byte(plain + "}"), odata.InvalidRequest, "", "more than one"},
		{"NUL after the value", "", []byte(plain + "\x00"), odata.InvalidRequest, "", "more than one"},
		{"name twice", "", []byte(`{"a":1,"a":1}`), odata.InvalidRequest, "a", "twice"},
		{"name twice, once escaped", "", []byte(`{"a":1,"\u0061":1}`), odata.InvalidRequest, "a", "twice"},
		{"name twice in different case", "", []byte(`{"Ab":1,"aB":1}`), odata.InvalidRequest, "aB", "twice"},
		{"name twice, nested", "", []byte(`{"a":[{"b":{"c":1,"C":2}}]}`), odata.InvalidRequest, "C", "twice"},
		{"long name twice", "", []byte(`{"` + strings.Repeat("x", 1000) + `":1,"` + strings.Repeat("x", 1000) + `":1}`), odata.InvalidRequest, strings.Repeat("x", 64) + "…", "twice"},
		{"invalid UTF-8", "", []byte("{\"a\":\"\xff\"}"), odata.InvalidRequest, "", "UTF-8"},
		{"invalid UTF-8 in a name", "", []byte("{\"\xc3\":1}"), odata.InvalidRequest, "", "UTF-8"},
		{"surrogate as UTF-8", "", []byte("{\"a\":\"\xed\xa0\x80\"}"), odata.InvalidRequest, "", "UTF-8"},
		{"UTF-16", "", []byte("\xff\xfe{\x00}\x00"), odata.InvalidRequest, "", "UTF-8"},
		{"high surrogate alone", "", []byte(`{"a":"\ud800"}`), odata.InvalidRequest, "", "UTF-8"},
		{"low surrogate alone", "", []byte(`{"a":"\udc00"}`), odata.InvalidRequest, "", "UTF-8"},
		{"two high surrogates", "", []byte(`{"a":"\ud800\ud800"}`), odata.InvalidRequest, "", "UTF-8"},
		{"surrogates in the wrong order", "", []byte(`{"a":"\udfeb\ud83c"}`), odata.InvalidRequest, "", "UTF-8"},
		{"surrogate and a letter", "", []byte(`{"a":"\ud83cx\udfeb"}`), odata.InvalidRequest, "", "UTF-8"},
		{"surrogate after a backslash", "", []byte(`{"a":"\\\ud800"}`), odata.InvalidRequest, "", "UTF-8"},
		{"truncated", "", []byte(`{"displayName":"A"`), odata.InvalidRequest, "", "JSON"},
		{"trailing comma", "", []byte(`{"displayName":"A",}`), odata.InvalidRequest, "", "JSON"},
		{"trailing comma in an array", "", []byte(`{"a":[1,]}`), odata.InvalidRequest, "", "JSON"},
		{"wrong bracket", "", []byte(`{"a":[1}`), odata.InvalidRequest, "", "JSON"},
		{"no quotes", "", []byte(`{displayName:"A"}`), odata.InvalidRequest, "", "JSON"},
		{"single quotes", "", []byte(`{'displayName':'A'}`), odata.InvalidRequest, "", "JSON"},
		{"comment", "", []byte(`{} // x`), odata.InvalidRequest, "", "more than one"},
		{"NaN", "", []byte(`{"a":NaN}`), odata.InvalidRequest, "", "JSON"},
		{"raw control character", "", []byte("{\"a\":\"\x01\"}"), odata.InvalidRequest, "", "JSON"},
		{"form", "", []byte(`displayName=A`), odata.InvalidRequest, "", "JSON"},
		{"markup", "", []byte(`<user/>`), odata.InvalidRequest, "", "JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequest(http.MethodPost, "http://education.example"+root+"/schools", bytes.NewReader(test.body))
			request.Header.Set("Content-Encoding", test.encoding)
			got := checkFault(t, newService(&fake{}, contract).sendTo(request), test.code, test.target)
			if !strings.Contains(got.Message, test.message) {
				t.Errorf("got %q, want something about %q", got.Message, test.message)
			}
		})
	}
}

func TestReadBodyBroken(t *testing.T) {
	t.Parallel()
	body := io.MultiReader(strings.NewReader(`{"a":`), iotest.ErrReader(errors.New("reset by canary")))
	got := checkFault(t, newService(&fake{}, contract).sendTo(httptest.NewRequest(http.MethodPost, "http://h"+root+"/users", body)), odata.InvalidRequest, "")
	if strings.Contains(got.Message, "canary") {
		t.Errorf("the error holds its cause: %s", got.Message)
	}
}

// TestReferenceBodies has a row for each rule about the body of a $ref request.
func TestReferenceBodies(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, target string }{
		{"missing", `{}`, "@odata.id"},
		{"null", `{"@odata.id":null}`, "@odata.id"},
		{"empty", `{"@odata.id":""}`, "@odata.id"},
		{"number", `{"@odata.id":1}`, "@odata.id"},
		{"array", `{"@odata.id":["/users/max"]}`, "@odata.id"},
		{"twice in different case", `{"@odata.id":"/users/a","@ODATA.ID":"/users/b"}`, "@ODATA.ID"},
		{"other annotation alone", `{"@odata.type":"x"}`, "@odata.id"},
		{"more", `{"@odata.id":"/users/max","id":"x","foo":1}`, "foo"},
		{"4.01's spelling", `{"@id":"/users/max"}`, "@id"},
		{"null body", `null`, "@odata.id"},
		{"array body", `[]`, ""},
		{"string body", `"/users/max"`, ""},
		{"relative id", `{"@odata.id":"x/y"}`, "@odata.id"},
		{"trailing slash", `{"@odata.id":"/users/max/"}`, "@odata.id"},
		{"set alone", `{"@odata.id":"/users"}`, "@odata.id"},
		{"other type's name", `{"@odata.id":"/educationUsers/max"}`, "@odata.id"},
		{"wrong collection", `{"@odata.id":"https://any/education/classes/5a"}`, "@odata.id"},
		{"property that is no key", `{"@odata.id":"/users(mail='x')"}`, "mail"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/classes/5a/members/$ref", "/classes/5a/teachers/$ref", "/schools/1/users/$ref"} {
				checkFault(t, newService(&fake{}, contract).send("POST", path, test.body), odata.InvalidRequest, test.target)
			}
		})
	}
}

// FuzzBody sends any body, as it is and compressed.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"displayName":"A"}`, `{"a":1,"A":2}`, `{"a":"\ud83c\udfeb\\ud800"}`, `[[[[]]]]`, "\xef\xbb\xbf{}", "\x1f\x8b", `{"@odata.id":"/users/max"}`, `{} {}`,
		"{\"a\":\"\xff\"}", `{"a":[1,]}`, `{"a":{"b":[{"c":null}]}}`, ` `, string(nested(33)),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := readBody(httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
		if !bytes.HasPrefix(body, gzipMagic) && len(body) <= MaxBodyBytes {
			unzipped, zippedErr := readBody(httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(zipped(t, body))))
			if fmt.Sprint(err) != fmt.Sprint(zippedErr) || !bytes.Equal(got, unzipped) {
				t.Fatalf("compression changes the answer from %v to %v", err, zippedErr)
			}
		}
		if err != nil {
			var fault *odata.Error
			if !errors.As(err, &fault) || fault.Code.Status >= 500 || len(fault.Message) > 700 {
				t.Fatalf("got %v", err)
			}
			return
		}
		if !json.Valid(got) {
			t.Fatalf("%q was accepted", got)
		}
		var value, again any
		if json.Unmarshal(got, &value) == nil {
			if err := json.Unmarshal(mustJSON(t, value), &again); err != nil || !cmp.Equal(value, again) {
				t.Fatalf("%q is not stable", got)
			}
		}
		for _, set := range education.EntitySets {
			_, _ = education.DecodeChange(set, education.CreateEntity, got, contract)
			_, _ = referenceOf(httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)), set)
		}
	})
}
