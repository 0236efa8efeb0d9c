package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
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
	if bits, err := base64.RawURLEncoding.DecodeString(first.token); err != nil || len(bits) != 32 {
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
	if err != nil || second != first {
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
	tests := []struct {
		name        string
		environment map[string]string
		want        credential
	}{
		{"ours", map[string]string{"EDUCATION_TOKEN": "t"}, credential{token: "t", variable: "EDUCATION_TOKEN"}},
		{"OpenCloud's", map[string]string{"GRAPH_HTTP_API_TOKEN": "t"}, credential{token: "t", variable: "GRAPH_HTTP_API_TOKEN"}},
		{"file", map[string]string{"EDUCATION_TOKEN_FILE": file}, credential{token: "from-file", file: file}},
		{
			"file before OpenCloud's",
			map[string]string{"EDUCATION_TOKEN_FILE": file, "GRAPH_HTTP_API_TOKEN": "t"},
			credential{token: "from-file", file: file},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := load(test.environment)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.credential(); err != nil || got != test.want {
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
