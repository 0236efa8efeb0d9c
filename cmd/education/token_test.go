package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTokenIsMadeOnce(t *testing.T) {
	t.Parallel()
	s := &settings{DataDir: t.TempDir()}
	first, err := s.credential()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.DataDir, "token")
	if first.file != path || first.variable != "" {
		t.Errorf("the token's place: got %+v, want %s", first, path)
	}
	if bits, err := base64.RawURLEncoding.DecodeString(first.tokens[0]); err != nil || len(bits) != 32 {
		t.Errorf("the token is not the text of 256 bits: %v, %d bytes", err, len(bits))
	}
	about, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := about.Mode().Perm(), os.FileMode(0o600); got != want {
		t.Errorf("mode of the file: got %v, want %v", got, want)
	}
	second, err := s.credential()
	if err != nil || !reflect.DeepEqual(second, first) {
		t.Errorf("the second start: got another token or %v", err)
	}
	if files, err := os.ReadDir(s.DataDir); err != nil || len(files) != 1 {
		t.Errorf("the folder holds more than the token: %v, %v", files, err)
	}
}

func TestTokenSources(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	two := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(two, []byte("old\nnew\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name        string
		environment map[string]string
		want        credential
	}{
		{"two in a file", map[string]string{"EDUCATION_TOKEN_FILE": two}, credential{tokens: []string{"old", "new"}, file: two}},
		{"ours", map[string]string{"EDUCATION_TOKEN": "t"}, credential{tokens: []string{"t"}, variable: "EDUCATION_TOKEN"}},
		{"OpenCloud's", map[string]string{"GRAPH_HTTP_API_TOKEN": "t"}, credential{tokens: []string{"t"}, variable: "GRAPH_HTTP_API_TOKEN"}},
		{"file", map[string]string{"EDUCATION_TOKEN_FILE": file}, credential{tokens: []string{"from-file"}, file: file}},
		{
			"file before OpenCloud's",
			map[string]string{"EDUCATION_TOKEN_FILE": file, "GRAPH_HTTP_API_TOKEN": "t"},
			credential{tokens: []string{"from-file"}, file: file},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := load(test.environment)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.credential(); err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestTokenFaults(t *testing.T) {
	t.Parallel()
	s := &settings{DataDir: t.TempDir()}
	path := filepath.Join(s.DataDir, "token")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.credential(); err == nil {
		t.Error("an empty token file is taken for a token")
	}
	if _, err := (&settings{DataDir: filepath.Join(s.DataDir, "missing")}).credential(); err == nil {
		t.Error("a token is kept in a folder that does not exist")
	}
}

func TestWeakTokens(t *testing.T) {
	t.Parallel()
	const everywhere, loopback = "EDUCATION_HTTP_ADDR=0.0.0.0:9120", "EDUCATION_HTTP_ADDR=127.0.0.1:9120"
	long := strings.Repeat("0123456789abcdef", 2)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(long+"\n"+long[1:]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name        string
		environment []string
		want        string
	}{
		{"long enough", []string{everywhere, "EDUCATION_TOKEN=" + long}, ""},
		{"too short", []string{everywhere, "EDUCATION_TOKEN=" + long[1:]}, "EDUCATION_TOKEN must be at least 32 characters"},
		{"known", []string{everywhere, "EDUCATION_TOKEN=ChangeMe"}, "it is one that everybody knows"},
		{"one character", []string{everywhere, "EDUCATION_TOKEN=" + strings.Repeat("a", 64)}, "fewer than 8 different characters"},
		{"repeated", []string{everywhere, "EDUCATION_TOKEN=" + strings.Repeat("changeme", 4)}, "fewer than 8 different characters"},
		{"just varied enough", []string{everywhere, "EDUCATION_TOKEN=" + strings.Repeat("01234567", 4)}, ""},
		{"the shorter of two in a file", []string{everywhere, "EDUCATION_TOKEN_FILE=" + file}, "EDUCATION_TOKEN_FILE must hold no token that can be guessed"},
		{"every interface", []string{"EDUCATION_HTTP_ADDR=:9120", "EDUCATION_TOKEN=short"}, "EDUCATION_TOKEN must be"},
		{"a name of the network", []string{"EDUCATION_HTTP_ADDR=education:9120", "EDUCATION_TOKEN=short"}, "EDUCATION_TOKEN must be"},
		{"loopback", []string{loopback, "EDUCATION_TOKEN=changeme"}, ""},
		{"loopback, a public URL", []string{loopback, "EDUCATION_TOKEN=changeme", "EDUCATION_PUBLIC_URL=https://school.example"}, "EDUCATION_TOKEN must be"},
		{"loopback, a public URL there", []string{loopback, "EDUCATION_TOKEN=changeme", "EDUCATION_PUBLIC_URL=http://[::1]:8080"}, ""},
		{"loopback, a public URL there by name", []string{loopback, "EDUCATION_TOKEN=changeme", "EDUCATION_PUBLIC_URL=http://LocalHost/p"}, ""},
		{"loopback, a proxy", []string{loopback, "EDUCATION_TOKEN=changeme", "EDUCATION_TRUSTED_PROXIES=127.0.0.1"}, "EDUCATION_TOKEN must be"},
		{"loopback, a proxy and a public URL there", []string{loopback, "EDUCATION_TOKEN=changeme", "EDUCATION_TRUSTED_PROXIES=127.0.0.1", "EDUCATION_PUBLIC_URL=http://localhost"}, "EDUCATION_TOKEN must be"},
		{"the file, behind a proxy", []string{loopback, "EDUCATION_TOKEN_FILE=" + file, "EDUCATION_TRUSTED_PROXIES=127.0.0.1"}, "EDUCATION_TOKEN_FILE must hold no token that can be guessed"},
		{"compatibility, behind a proxy", []string{loopback, "EDUCATION_COMPATIBILITY=opencloud", "EDUCATION_TOKEN=changeme", "EDUCATION_TRUSTED_PROXIES=127.0.0.1"}, ""},
		{"OpenCloud's variable, behind a proxy", []string{loopback, "GRAPH_HTTP_API_TOKEN=changeme", "EDUCATION_PUBLIC_URL=https://school.example"}, ""},
		{"long enough, behind a proxy", []string{loopback, "EDUCATION_TOKEN=" + long, "EDUCATION_PUBLIC_URL=https://school.example"}, ""},
		{"the file, on loopback", []string{loopback, "EDUCATION_TOKEN_FILE=" + file}, ""},
		{"the other loopback", []string{"EDUCATION_HTTP_ADDR=[::1]:9120", "EDUCATION_TOKEN=changeme"}, ""},
		{"loopback by name", []string{"EDUCATION_HTTP_ADDR=localhost:9120", "EDUCATION_TOKEN=changeme"}, ""},
		{"compatibility", []string{everywhere, "EDUCATION_COMPATIBILITY=opencloud", "EDUCATION_TOKEN=changeme"}, ""},
		{"OpenCloud's variable", []string{everywhere, "GRAPH_HTTP_API_TOKEN=changeme"}, ""},
		{"ours beside OpenCloud's", []string{everywhere, "GRAPH_HTTP_API_TOKEN=changeme", "EDUCATION_TOKEN=changeme"}, "EDUCATION_TOKEN must be"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, stderr := inForce(t, test.environment...)
			if (test.want == "") != (stderr == "") || !strings.Contains(stderr, test.want) {
				t.Errorf("faults: got %q, want %q", stderr, test.want)
			}
			if strings.Contains(stderr, long[1:]) || strings.Contains(stderr, "short:") {
				t.Errorf("the token is told: %s", stderr)
			}
		})
	}
}

// TestWeakTokenInDataFolder shows that what somebody has put into the place of the token that the service makes is held to the
// same.
func TestWeakTokenInDataFolder(t *testing.T) {
	t.Parallel()
	for address, fails := range map[string]bool{"0.0.0.0:9120": true, "127.0.0.1:9120": false} {
		s := &settings{DataDir: t.TempDir(), HTTPAddr: address}
		if err := os.WriteFile(filepath.Join(s.DataDir, "token"), []byte("short"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.credential(); (err != nil) != fails {
			t.Errorf("on %s: got %v", address, err)
		}
	}
}

// TestWeakTokenIsWarnedOf shows that a weak token is warned of when the service starts and, where it stands in a file, once for
// each change of that.
func TestWeakTokenIsWarnedOf(t *testing.T) {
	t.Parallel()
	strong := strings.Repeat("0123456789abcdef", 2)
	tests := []struct {
		name, address string
		// contents are what the file holds at the start and after each change, or what the variable does.
		contents   []string
		inVariable bool
		// want is how often it has been warned by then.
		want []int
	}{
		{name: "a variable", contents: []string{"guessme"}, inVariable: true, want: []int{1}},
		{name: "a strong variable", contents: []string{strong}, inVariable: true, want: []int{0}},
		{name: "a file", contents: []string{"guessme", strong, "guessme"}, want: []int{1, 1, 2}},
		{name: "a file that becomes weak", contents: []string{strong, "guessme", "guessme\n"}, want: []int{0, 1, 2}},
		{name: "two in a file", contents: []string{strong, "guessme\nChangeMe"}, want: []int{0, 2}},
		{name: "a file that is refused", contents: []string{strong, "guessme x"}, want: []int{0, 0}},
		{name: "a file where others reach the API", address: "0.0.0.0:9120", contents: []string{strong, "guessme"}, want: []int{0, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "token")
			write := func(content string) {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := &settings{HTTPAddr: cmp.Or(test.address, "127.0.0.1:9120"), DataDir: filepath.Dir(path)}
			administrator := credential{tokens: test.contents[:1], file: path}
			if test.inVariable {
				administrator.file, administrator.variable = "", "EDUCATION_TOKEN"
			}
			synctest.Test(t, func(t *testing.T) {
				write(test.contents[0])
				var log bytes.Buffer
				authenticators, err := s.authenticators(administrator, slog.New(slog.NewTextHandler(&log, nil)))
				if err != nil {
					t.Fatal(err)
				}
				for i, content := range test.contents {
					write(content)
					for range 20 { // Longer than the file is read at each look.
						time.Sleep(time.Second)
						_, _ = authenticators[0].Authenticate(t.Context(), "anything")
					}
					if got := strings.Count(log.String(), "THE TOKEN IS WEAK"); got != test.want[i] {
						t.Errorf("after %d changes: got %d warnings, want %d:\n%s", i, got, test.want[i], log.String())
					}
				}
				if strings.Contains(log.String(), "guessme") || strings.Contains(log.String(), "ChangeMe") {
					t.Errorf("the token is told: %s", log.String())
				}
			})
		})
	}
}
