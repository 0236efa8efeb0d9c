package main

import (
	"net/http"
	"testing"
)

// TestRulesAreEnforcedAfterAChange holds that a wider scope of externalIds counts for users that were there before.
func TestRulesAreEnforcedAfterAChange(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	const root = "/v1.0/education"
	want := func(s *service, status int, path, body string) {
		t.Helper()
		if got, answer := s.do(t, http.MethodPost, root+path, body); got != status {
			t.Errorf("POST %s: got %d, want %d: %s", path, got, status, answer)
		}
	}
	user := func(name string) string {
		return `{"displayName":"x","onPremisesSamAccountName":"` + name + `","externalId":"77"}`
	}
	s := start(t, folder)
	for _, school := range []string{"a", "b"} {
		want(s, http.StatusCreated, "/schools", `{"displayName":"`+school+`","externalId":"`+school+`"}`)
	}
	want(s, http.StatusCreated, "/schools(externalId='a')/users", user("anna"))
	s.stop()
	s = start(t, folder, "EDUCATION_EXTERNAL_ID_SCOPE=global")
	want(s, http.StatusConflict, "/schools(externalId='b')/users", user("bert"))
	s.stop()
	s = start(t, folder)
	want(s, http.StatusCreated, "/schools(externalId='b')/users", user("bert"))
}
