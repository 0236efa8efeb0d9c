package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/access/tokenfile"
)

// tokens runs a command for the tokens in a data folder.
func tokens(t *testing.T, folder string, arguments ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, failed bytes.Buffer
	status = run(t.Context(), append([]string{"token"}, arguments...), []string{"EDUCATION_DATA_DIR=" + folder}, &out, &failed)
	return status, out.String(), failed.String()
}

// succeed is tokens for a command that is to succeed.
func succeed(t *testing.T, folder string, arguments ...string) string {
	t.Helper()
	status, stdout, stderr := tokens(t, folder, arguments...)
	if status != 0 || stderr != "" {
		t.Fatalf("%q: status %d, %s", arguments, status, stderr)
	}
	return stdout
}

// listTokens returns what 'token list --json' prints.
func listTokens(t *testing.T, folder string) []listedToken {
	t.Helper()
	var list struct {
		Tokens []listedToken `json:"tokens"`
	}
	if err := json.Unmarshal([]byte(succeed(t, folder, "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	return list.Tokens
}

func TestTokenCommands(t *testing.T) {
	t.Parallel()
	const id = "0193b2c4-7d1e-7a50-8c3e-2f6a1b9d4e77"
	folder := t.TempDir()
	if got := listTokens(t, folder); len(got) != 0 {
		t.Errorf("without a file: got %v", got)
	}
	first := succeed(t, folder, "create", "--name", "sync", "--school", strings.ToUpper(id), "--school", "a, b",
		"--school-external-id", id, "--school", id, "--school-external-id", "a, b", "--verbs", "delete,read", "--expires", "90d")
	if lines := strings.Count(first, "\n"); lines != 1 || !strings.HasPrefix(first, "edu_") {
		t.Fatalf("create prints %q, not a token alone", first)
	}
	succeed(t, folder, "create", "--name", "all", "--all-schools", "--expires", "never")
	second := succeed(t, folder, "rotate", "sync", "--overlap", "1h")
	if second == first {
		t.Error("the rotation gives the same token")
	}

	got := listTokens(t, folder)
	schools := []access.School{{ID: id}, {ExternalID: "a, b"}, {ExternalID: id}}
	want := []listedToken{
		{Name: "sync", Schools: schools, Verbs: []string{"read", "delete"}, State: tokenfile.Replaced},
		{Name: "sync", Schools: schools, Verbs: []string{"read", "delete"}, State: tokenfile.Active},
		{Name: "all", AllSchools: true, Schools: []access.School{}, Verbs: []string{"read", "write"}, State: tokenfile.Active},
	}
	ends := []time.Duration{time.Hour, 90 * 24 * time.Hour, 0}
	if len(got) != len(want) {
		t.Fatalf("got %d tokens, want %d", len(got), len(want))
	}
	for i := range got {
		if len(got[i].ID) != 12 || time.Since(got[i].Created).Abs() > time.Minute {
			t.Errorf("token %d: %+v", i, got[i])
		}
		if ends[i] == 0 && got[i].Expires != nil || ends[i] != 0 && (time.Until(*got[i].Expires)-ends[i]).Abs() > time.Minute {
			t.Errorf("token %d ends at %v, want %v from now", i, got[i].Expires, ends[i])
		}
		want[i].ID, want[i].Created, want[i].Expires = got[i].ID, got[i].Created, got[i].Expires
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}

	text := succeed(t, folder, "list")
	file, err := os.ReadFile(filepath.Join(folder, "tokens.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{strings.TrimSpace(first), strings.TrimSpace(second)} {
		if strings.Contains(text+string(file), token) {
			t.Error("a token is in the list or in the file")
		}
	}
	if lines := strings.Split(text, "\n"); len(lines) != 5 || !strings.Contains(lines[1], `replaced`) || !strings.Contains(lines[1], id+` "a, b" `+id) || !strings.Contains(lines[3], "never") {
		t.Errorf("list prints\n%s", text)
	}

	succeed(t, folder, "rotate", "all", "--overlap", "0s", "--expires", "12h")
	if all := listTokens(t, folder)[2]; all.State != tokenfile.Active || all.Expires == nil || all.ID == got[2].ID {
		t.Errorf("after a rotation without an overlap: %+v", all)
	}
	succeed(t, folder, "revoke", "SYNC")
	if left := listTokens(t, folder); len(left) != 1 || left[0].Name != "all" {
		t.Errorf("after the revocation: %+v", left)
	}
}

func TestTokenCommandsRefuse(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	succeed(t, folder, "create", "--name", "taken", "--all-schools")
	create := func(more ...string) []string { return append([]string{"create", "--name", "new"}, more...) }
	tests := []struct {
		name      string
		arguments []string
		status    int
		want      string
	}{
		{"no name", []string{"create", "--all-schools"}, 2, "--name"},
		{"no schools", create(), 2, "say which schools the token is for"},
		{"all schools and one", create("--all-schools", "--school", "x"), 2, "--all-schools cannot be together"},
		{"an empty school", create("--school", ""), 2, "must not be empty"},
		{"an empty externalId", create("--school-external-id", ""), 2, "must not be empty"},
		{"a school without a visible character", create("--school", " "), 2, `no school can have the key " ": an externalId must hold a visible character`},
		{"a school of two lines", create("--school", "x", "--school", "a\nb"), 2, `"a\nb": an externalId must not hold control characters`},
		{"a school that is no text", create("--school", "h\xff"), 2, `the argument "h\xff" is not valid UTF-8`},
		{"a long school", create("--school", strings.Repeat("x", 257)), 2, "at most 256 characters"},
		{"an externalId of two lines", create("--school-external-id", "a\nb"), 2, "must not hold control characters"},
		{"an unknown verb", create("--all-schools", "--verbs", "read,admin"), 2, `"admin" is no verb`},
		{"no verb", create("--all-schools", "--verbs", ""), 2, "--verbs"},
		{"an end that is none", create("--all-schools", "--expires", "soon"), 2, "--expires must be"},
		{"an end in the past", create("--all-schools", "--expires", "2020-01-31"), 1, "lies in the past: 2020-02-01T00:00:00Z"},
		{"a name with a slash", []string{"create", "--name", "a/b", "--all-schools"}, 2, "a name must be"},
		{"the administrator's name", []string{"create", "--name", "Administrator", "--all-schools"}, 2, "is taken"},
		{"a name in another case", []string{"create", "--name", "TAKEN", "--all-schools"}, 1, "there is a token of the name taken already"},
		{"revoking nobody", []string{"revoke", "nobody"}, 1, "there is no token of the name nobody"},
		{"rotating nobody", []string{"rotate", "nobody"}, 1, "there is no token of the name nobody"},
		{"a negative overlap", []string{"rotate", "taken", "--overlap=-1h"}, 2, "--overlap must not be negative"},
		{"an overlap that is none", []string{"rotate", "taken", "--overlap", "long"}, 2, "overlap"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := tokens(t, folder, test.arguments...)
			if status != test.status || stdout != "" || !strings.Contains(stderr, test.want) {
				t.Errorf("status %d, %q, %q; want %d, %q", status, stdout, stderr, test.status, test.want)
			}
		})
	}
	t.Run("a folder that is not there", func(t *testing.T) {
		t.Parallel()
		missing := filepath.Join(t.TempDir(), "data")
		for _, arguments := range [][]string{create("--all-schools"), {"list"}, {"list", "--json"}, {"rotate", "x"}, {"revoke", "x"}} {
			if status, stdout, stderr := tokens(t, missing, arguments...); status != 1 || stdout != "" || !strings.Contains(stderr, "EDUCATION_TOKENS_FILE") {
				t.Errorf("%q: status %d, %s%s", arguments, status, stdout, stderr)
			}
		}
	})
	t.Run("a broken file", func(t *testing.T) {
		t.Parallel()
		broken := t.TempDir()
		path := filepath.Join(broken, "tokens.json")
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, arguments := range [][]string{create("--all-schools"), {"list"}, {"revoke", "x"}} {
			if status, _, stderr := tokens(t, broken, arguments...); status != 1 || !strings.Contains(stderr, "tokens.json: line 1, column 2: the text ends too soon") {
				t.Errorf("%q: status %d, %s", arguments, status, stderr)
			}
		}
		if content, err := os.ReadFile(path); string(content) != "{" {
			t.Errorf("the broken file was written over: %q, %v", content, err)
		}
	})
}

// TestTokenNotPrinted shows that somebody who does not get to see the token is told so.
func TestTokenNotPrinted(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	_ = reader.Close()
	var stderr bytes.Buffer
	status := run(t.Context(), []string{"token", "create", "--name", "a", "--all-schools"}, []string{"EDUCATION_DATA_DIR=" + t.TempDir()}, writer, &stderr)
	if status != 1 || !strings.Contains(stderr.String(), "rotate it, or revoke it") {
		t.Errorf("status %d, %s", status, stderr.String())
	}
}

func TestParseExpiry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"never":                     "0001-01-01T00:00:00Z",
		"90d":                       "2026-05-01T12:00:00Z",
		"1h30m":                     "2026-01-31T13:30:00Z",
		"2026-01-31":                "2026-02-01T00:00:00Z",
		"2027-12-31":                "2028-01-01T00:00:00Z",
		"2026-02-01T00:00:00+02:00": "2026-01-31T22:00:00Z",
		"2026-01-31T12:00:00Z":      "past",
		"2026-01-30":                "past",
		"":                          "refused",
		"0d":                        "refused",
		"-1d":                       "refused",
		"0s":                        "refused",
		"1ms":                       "refused",
		"0001-01-01T00:00:00Z":      "refused",
		"0000-12-31":                "refused",
		"9999-12-31":                "refused",
		"-1h":                       "refused",
		"90":                        "refused",
		"1.5d":                      "refused",
		"65536d":                    "refused",
		"Never":                     "refused",
		"31.01.2027":                "refused",
		"2027-02-30":                "refused",
	} {
		end, err := parseExpiry(text)
		got := "refused"
		if err == nil {
			var at time.Time
			if at, err = end.from(now); err != nil {
				got = "past"
			} else {
				got = at.UTC().Format(time.RFC3339)
			}
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
