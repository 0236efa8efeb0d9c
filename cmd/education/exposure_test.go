//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exposed returns what is warned of, as "setting file by", with files relative to a folder.
func exposed(t *testing.T, s *settings, folder string) []string {
	t.Helper()
	var log bytes.Buffer
	s.warnOfExposure(t.Context(), slog.New(slog.NewJSONHandler(&log, nil)))
	found := []string{}
	for line := range strings.Lines(log.String()) {
		var said struct{ Warning, Setting, File, By string }
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatal(err)
		}
		if said.Warning == "file.exposed" {
			found = append(found, said.Setting+" "+strings.TrimPrefix(said.File, folder)+" "+said.By)
		}
	}
	slices.Sort(found)
	return found
}

// openFolder makes a folder that everybody can enter, other than those of t.TempDir.
func openFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, path := range []string{folder, filepath.Dir(folder)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestExposure(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		folder os.FileMode
		modes  map[string]os.FileMode
		// owner is the user of the token's file, 0 for that of the test.
		owner int
		want  []string
	}{
		{name: "all is private", folder: 0o700, modes: map[string]os.FileMode{"token": 0o600, "key.pem": 0o400, "data/directory.db": 0o600}, want: []string{}},
		{
			name: "others", folder: 0o700, modes: map[string]os.FileMode{"token": 0o644, "key.pem": 0o602, "data/directory.db": 0o644},
			want: []string{"EDUCATION_HTTP_TLS_KEY_FILE /key.pem others", "EDUCATION_TOKEN_FILE /token others"},
		},
		{
			name: "an open data folder", folder: 0o755, modes: map[string]os.FileMode{"data/directory.db": 0o644, "data/token": 0o600, "data/tokens.json": 0o640},
			want: []string{"EDUCATION_DATA_DIR /data others", "EDUCATION_DATA_DIR /data/directory.db others", "EDUCATION_DATA_DIR /data/tokens.json group"},
		},
		{
			name: "a group", folder: 0o750, modes: map[string]os.FileMode{"token": 0o640},
			want: []string{"EDUCATION_DATA_DIR /data group", "EDUCATION_TOKEN_FILE /token group"},
		},
		{name: "a group, of a file of root's", folder: 0o700, modes: map[string]os.FileMode{"token": 0o640}, owner: 1, want: []string{}},
		{name: "a certificate is no secret", folder: 0o700, modes: map[string]os.FileMode{"cert.pem": 0o644}, want: []string{}},
		{name: "no files", folder: 0o700, want: []string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder := openFolder(t)
			data := filepath.Join(folder, "data")
			if err := os.Mkdir(data, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, mode := range test.modes {
				path := filepath.Join(folder, name)
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, mode); err != nil {
					t.Fatal(err)
				}
				if test.owner != 0 && os.Chown(path, test.owner, -1) != nil {
					t.Skip("only root can give files to another user")
				}
			}
			if err := os.Chmod(data, test.folder); err != nil {
				t.Fatal(err)
			}
			s := &settings{
				DataDir: data, TokenFile: filepath.Join(folder, "token"), HTTPTLSKey: filepath.Join(folder, "key.pem"),
				HTTPTLSCert: filepath.Join(folder, "cert.pem"),
			}
			if diff := cmp.Diff(test.want, exposed(t, s, folder)); diff != "" {
				t.Errorf("warned of (-want +got):\n%s", diff)
			}
			if err := os.Chmod(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{}, exposed(t, s, folder)); diff != "" {
				t.Errorf("in a folder that lets nobody through, warned of (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPrivateFiles holds that every setting which names a file of secrets has the tag, by its name.
func TestPrivateFiles(t *testing.T) {
	t.Parallel()
	for field := range fields() {
		name := field.Tag.Get("env")
		secret := name == "EDUCATION_AUDIT_FILE" || strings.HasSuffix(name, "_KEY_FILE") || strings.HasSuffix(name, "PASSWORD_FILE") || strings.Contains(name, "TOKEN") && strings.HasSuffix(name, "_FILE")
		if tagged := field.Tag.Get("private") != ""; secret && !tagged {
			t.Errorf("%s is not tagged as private", name)
		}
	}
}

// TestStartWarnsOfExposure holds that the service itself looks.
func TestStartWarnsOfExposure(t *testing.T) {
	t.Parallel()
	folder := openFolder(t)
	_, log := start(t, folder).stop()
	if !strings.Contains(log, `"warning":"file.exposed"`) {
		t.Errorf("the log does not warn of a data folder that everybody can read:\n%s", log)
	}
	if root := os.Geteuid() == 0 && !inContainer(); strings.Contains(log, `"warning":"process.root"`) != root {
		t.Errorf("root outside of a container is %t, and the log says:\n%s", root, log)
	}
}
