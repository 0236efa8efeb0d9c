package middleware

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// credentials matches the one field value that lets a request with the token in (RFC 6750, section 2.1, with blanks as RFC 9110,
// section 11.4, has them).
var credentials = regexp.MustCompile(`^(?i:bearer) +` + regexp.QuoteMeta(token) + `$`)

// FuzzAuthorization holds that the header lets nobody in but with one value, of the right scheme, with the whole token and nothing
// else, and that everybody else hears the same.
func FuzzAuthorization(f *testing.F) {
	for _, value := range []string{
		"Bearer " + token, "bearer  " + token, "Bearer " + token + " ", "Bearer\t" + token, " Bearer " + token, "Basic " + token,
		"Bearer", "Bearer " + token + "," + token, "", "Bearer \x00", "\u017fearer " + token, "BEARER " + token[:3],
	} {
		f.Add(value, "", false)
		f.Add(value, value, true)
	}
	handler := authenticate(tokens(token), newGuard(Limits{}, nil), newRefusals(metricnoop.NewMeterProvider()))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	f.Fuzz(func(t *testing.T, first, second string, two bool) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Authorization"] = []string{first}
		if two {
			r.Header.Add("Authorization", second)
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r)
		want := http.StatusUnauthorized
		if !two && credentials.MatchString(first) {
			want = http.StatusNoContent
		}
		if recorder.Code != want {
			t.Fatalf("%q, %q (%t): got %d, want %d", first, second, two, recorder.Code, want)
		}
		challenged := recorder.Header().Get("WWW-Authenticate")
		if recorder.Code == http.StatusUnauthorized && challenged != challenge && challenged != invalidChallenge {
			t.Fatalf("the challenge is %q", challenged)
		}
	})
}
