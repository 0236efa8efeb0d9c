package oidc

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestFetchFaults shows that what is wrong with an issuer's answers is told as it is.
func TestFetchFaults(t *testing.T) {
	t.Parallel()
	padding := strings.Repeat(" ", maxAnswerBytes)
	tests := map[string]struct {
		// configuration has the issuer's URL in the place of %[1]s.
		configuration, keys string
		want                string
	}{
		"nothing":                   {`{"issuer": "%[1]s", "jwks_uri": "%[1]s/keys"}`, `{"keys": []}`, ""},
		"no place":                  {`{"issuer": "%[1]s"}`, "", "its configuration does not say where its keys are"},
		"an empty place":            {`{"issuer": "%[1]s", "jwks_uri": ""}`, "", "its configuration does not say where its keys are"},
		"a place that is no URL":    {`{"issuer": "%[1]s", "jwks_uri": ":"}`, "", "its configuration does not say where its keys are"},
		"a place on http":           {`{"issuer": "%[1]s", "jwks_uri": "http://issuer.example/keys"}`, "", "it is not https"},
		"a configuration too large": {padding + `{"issuer": "%[1]s"}`, "", "its configuration: unable to read response body: the answer is larger than 1024 KiB"},
		"keys too large":            {`{"issuer": "%[1]s", "jwks_uri": "%[1]s/keys"}`, `{"keys": [` + padding + `]}`, "its set of keys: the answer is larger than 1024 KiB"},
		"keys that are none":        {`{"issuer": "%[1]s", "jwks_uri": "%[1]s/keys"}`, `{"keys": `, "its answer is no set of keys"},
		"keys of another name":      {`{"issuer": "%[1]s", "jwks_uri": "%[1]s/keys"}`, `{"key": []}`, "its answer is no set of keys"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if r.URL.Path == "/keys" {
					fmt.Fprint(w, test.keys)
					return
				}
				fmt.Fprintf(w, test.configuration, "http://"+r.Host)
			}))
			t.Cleanup(server.Close)
			got := ""
			if _, err := fetchKeys(t.Context(), newClient(nil), server.URL); err != nil {
				got = err.Error()
			}
			if (got == "") != (test.want == "") || !strings.HasSuffix(got, test.want) {
				t.Errorf("got %q, want %q at its end", got, test.want)
			}
		})
	}
}
