package main

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/internal/loopback"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
)

// onServer returns the environment of a service whose directory is another service's.
func onServer(t *testing.T, address, folder string) []string {
	t.Helper()
	return []string{
		"EDUCATION_LDAP_URI=ldap://" + address, "EDUCATION_LDAP_BIND_DN=cn=admin,dc=opencloud,dc=eu",
		"EDUCATION_LDAP_BIND_PASSWORD_FILE=" + filepath.Join(folder, embedded.AdminPasswordFile),
	}
}

// TestServeOnServer runs two services on the directory of a third: what one writes, the other reads, and a link to a page
// of one leads on at the other.
func TestServeOnServer(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	holder := start(t, folder)
	environment := append(onServer(t, holder.LDAP, folder), "EDUCATION_CURSOR_KEY_FILE="+filepath.Join(t.TempDir(), "cursor.key"))
	first, second := start(t, t.TempDir(), environment...), start(t, t.TempDir(), environment...)
	if first.LDAP != "" {
		t.Errorf("a service without a directory of its own serves it at %s", first.LDAP)
	}
	const users = "/graph/v1.0/education/users"
	for _, name := range []string{"max", "tina", "uwe"} {
		status, body := first.do(t, "POST", users, `{"displayName":"`+name+`","onPremisesSamAccountName":"`+name+`"}`)
		if status != http.StatusCreated {
			t.Fatalf("create %s: %d %s", name, status, body)
		}
	}
	if status, body := second.do(t, "GET", users+"/tina", ""); status != http.StatusOK || !strings.Contains(body, "tina") {
		t.Errorf("read at the other: %d %s", status, body)
	}
	_, page := first.do(t, "GET", users+"?$orderby=displayName&$top=2", "")
	var answer struct {
		Next string `json:"@odata.nextLink"`
	}
	if err := json.Unmarshal([]byte(page), &answer); err != nil || answer.Next == "" {
		t.Fatalf("no link to the next page: %s", page)
	}
	status, body := second.do(t, "GET", strings.TrimPrefix(answer.Next, "http://"+first.HTTP), "")
	if status != http.StatusOK || !strings.Contains(body, "uwe") || strings.Contains(body, "tina") {
		t.Errorf("the next page at the other: %d %s", status, body)
	}
}

// TestServeBeforeServer starts a service before its server is there.
func TestServeBeforeServer(t *testing.T) {
	t.Parallel()
	address, folder := loopback.Address(t), t.TempDir()
	holder := start(t, folder, "EDUCATION_LDAP_LISTEN="+address)
	holder.stop()

	s := start(t, t.TempDir(), onServer(t, address, folder)...)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/graph/v1.0/education/users": 503} {
		status, header, body := s.exchange(t, "GET", path, "", nil)
		if status != want {
			t.Errorf("%s without a server: %d %s", path, status, body)
		}
		if strings.Contains(path, "users") && header.Get("Retry-After") == "" {
			t.Error("a 503 without Retry-After")
		}
	}
	start(t, folder, "EDUCATION_LDAP_LISTEN="+address)
	// A second, and what a busy machine may take beside it.
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	for {
		status, body := s.do(t, "GET", "/readyz", "")
		if status == http.StatusOK {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("not ready soon after its server: %d %s", status, body)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if status, body := s.do(t, "GET", "/graph/v1.0/education/users", ""); status != http.StatusOK {
		t.Errorf("users: %d %s", status, body)
	}
	_, log := s.stop()
	for _, want := range []string{"no LDAP server can be used", "LDAP server in use"} {
		if got := strings.Count(log, `"msg":"`+want+`"`); got != 1 {
			t.Errorf("the log says %q %d times, want once:\n%s", want, got, log)
		}
	}
}
