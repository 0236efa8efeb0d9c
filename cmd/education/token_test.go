package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
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
