//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exposed returns what is warned of, as "setting file by", or "setting file in folder mode by", with paths relative to a folder.
func exposed(t *testing.T, s *settings, folder string) []string {
	t.Helper()
	var log bytes.Buffer
	s.warnOfExposure(t.Context(), slog.New(slog.NewJSONHandler(&log, nil)))
	found := []string{}
	for line := range strings.Lines(log.String()) {
		var said struct{ Warning, Setting, File, Folder, Mode, By string }
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatal(err)
		}
		if said.Warning == "file.exposed" {
			words := []string{said.Setting, strings.TrimPrefix(said.File, folder)}
			if said.Folder != "" {
				words = append(words, "in", strings.TrimPrefix(said.Folder, folder), said.Mode)
			}
			found = append(found, strings.Join(append(words, said.By), " "))
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

// layout is what a folder holds: folders, whose paths end in a slash, files, and links, each after the folder that it is in.
type layout []struct {
	path string
	mode os.FileMode
	// to is where a link leads.
	to string
}

// make makes what a layout says in a folder, of modes that no umask changes.
func (l layout) make(t *testing.T, folder string) {
	t.Helper()
	for _, entry := range l {
		path := filepath.Join(folder, entry.path)
		var err error
		switch {
		case entry.to != "":
			err = os.Symlink(entry.to, path)
		case strings.HasSuffix(entry.path, "/"):
			err = errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, entry.mode))
		default:
			err = errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, entry.mode))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestExposureByFolders holds what is warned of where a file's own mode is not all, and that nothing is where things are as
// usual.
func TestExposureByFolders(t *testing.T) {
	t.Parallel()
	const sticky = 0o777 | os.ModeSticky
	tests := []struct {
		name   string
		layout layout
		// foreign is the path of something that belongs to another user.
		foreign string
		want    []string
	}{
		{name: "a folder that others can enter", layout: layout{{"a/", 0o755, ""}, {"a/token", 0o600, ""}, {"a/tokens.json", 0o600, ""}}},
		{name: "a folder of a group's", layout: layout{{"a/", 0o775, ""}, {"a/token", 0o600, ""}}},
		{name: "a folder that others can write", layout: layout{{"a/", 0o777, ""}, {"a/token", 0o600, ""}, {"a/tokens.json", 0o600, ""}}, want: []string{
			"EDUCATION_TOKENS_FILE /a/tokens.json in /a drwxrwxrwx others", "EDUCATION_TOKEN_FILE /a/token in /a drwxrwxrwx others",
		}},
		{name: "no file yet", layout: layout{{"a/", 0o757, ""}}, want: []string{"EDUCATION_TOKENS_FILE /a/tokens.json in /a drwxr-xrwx others"}},
		{name: "a volume around the data folder", layout: layout{{"open/", 0o777, ""}, {"open/data/", 0o700, ""}, {"open/data/token", 0o600, ""}}},
		{name: "a sticky folder with files of ours", layout: layout{{"a/", sticky, ""}, {"a/token", 0o600, ""}, {"a/tokens.json", 0o600, ""}}},
		{name: "a sticky folder with a file of somebody's", layout: layout{{"a/", sticky, ""}, {"a/token", 0o600, ""}, {"a/tokens.json", 0o600, ""}}, foreign: "a/tokens.json", want: []string{"EDUCATION_TOKENS_FILE /a/tokens.json in /a dtrwxrwxrwx others"}},
		{name: "a sticky folder without a file", layout: layout{{"a/", sticky, ""}, {"a/token", 0o600, ""}}, want: []string{"EDUCATION_TOKENS_FILE /a/tokens.json in /a dtrwxrwxrwx others"}},
		{name: "a link to an open file", layout: layout{{"a/", 0o700, ""}, {"file", 0o644, ""}, {"a/token", 0, "../file"}}, want: []string{"EDUCATION_TOKEN_FILE /a/token others"}},
		{name: "a link into an open folder", layout: layout{{"a/", 0o700, ""}, {"open/", 0o777, ""}, {"open/file", 0o600, ""}, {"a/token", 0, "../open/file"}}, want: []string{"EDUCATION_TOKEN_FILE /a/token in /open drwxrwxrwx others"}},
		{name: "a link to what is further below an open folder", layout: layout{{"a/", 0o700, ""}, {"open/", 0o777, ""}, {"open/in/", 0o755, ""}, {"open/in/file", 0o600, ""}, {"a/tokens.json", 0, "../open/in/file"}}, want: []string{"EDUCATION_TOKENS_FILE /a/tokens.json in /open drwxrwxrwx others"}},
		{name: "a link to an enclosed file", layout: layout{{"a/", 0o755, ""}, {"closed/", 0o700, ""}, {"closed/file", 0o644, ""}, {"a/token", 0, "../closed/file"}}},
		{
			name: "a secret in Kubernetes",
			layout: layout{
				{"a/", sticky, ""},
				{"a/..1/", 0o755, ""},
				{"a/..1/token", 0o440, ""},
				{"a/..1/tokens.json", 0o400, ""},
				{"a/..data", 0, "..1"},
				{"a/token", 0, "..data/token"},
				{"a/tokens.json", 0, "..data/tokens.json"},
			},
			foreign: "a/..1/token",
		},
		{name: "what others can read", layout: layout{{"a/", 0o755, ""}, {"a/issuers.json", 0o644, ""}, {"a/cert.pem", 0o664, ""}, {"a/ca.pem", 0o444, ""}}},
		{
			name: "what others can write", layout: layout{{"a/", 0o755, ""}, {"a/issuers.json", 0o666, ""}, {"a/cert.pem", 0o646, ""}, {"a/ca.pem", 0o602, ""}},
			want: []string{"EDUCATION_HTTP_TLS_CERT_FILE /a/cert.pem others", "EDUCATION_HTTP_TLS_CLIENT_CA_FILE /a/ca.pem others", "EDUCATION_OIDC_FILE /a/issuers.json others"},
		},
		{name: "what others can write in a folder of ours", layout: layout{{"a/", 0o700, ""}, {"a/issuers.json", 0o666, ""}, {"a/ca.pem", 0o666, ""}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder := openFolder(t)
			test.layout.make(t, folder)
			if test.foreign != "" && os.Lchown(filepath.Join(folder, test.foreign), 1, -1) != nil {
				t.Skip("only root can give files to another user")
			}
			s := &settings{DataDir: filepath.Join(folder, "open", "data"), TokensFile: filepath.Join(folder, "a", "tokens.json"), AuditFile: auditStdout}
			for name, setting := range map[string]*string{
				"token": &s.TokenFile, "issuers.json": &s.OIDCFile, "cert.pem": &s.HTTPTLSCert, "ca.pem": &s.HTTPTLSClientCA,
			} {
				path := filepath.Join(folder, "a", name)
				if _, err := os.Lstat(path); err == nil {
					*setting = path
				}
			}
			if diff := cmp.Diff(append([]string{}, test.want...), exposed(t, s, folder)); diff != "" {
				t.Errorf("warned of (-want +got):\n%s", diff)
			}
		})
	}
}

// TestExposureAroundTheDataFolder holds that a volume around the data folder is nobody's, whichever setting names a file in it,
// and that what a link in it leads to elsewhere is no part of it.
func TestExposureAroundTheDataFolder(t *testing.T) {
	t.Parallel()
	folder := openFolder(t)
	layout{
		{"volume/", 0o777, ""},
		{"volume/data/", 0o700, ""},
		{"volume/data/audit.log", 0o600, ""},
		{"volume/data/cursor.key", 0o600, ""},
		{"a/", 0o700, ""},
		{"a/token", 0, "../volume/data/token"},
		{"volume/data/token", 0o600, ""},
		{"data", 0, "volume/data"},
		{"open/", 0o777, ""},
		{"open/tokens.json", 0o600, ""},
		{"volume/data/tokens.json", 0, "../../open/tokens.json"},
	}.make(t, folder)
	want := []string{"EDUCATION_DATA_DIR /data/tokens.json in /open drwxrwxrwx others"}
	for _, path := range []string{"volume/data", "data"} {
		data := filepath.Join(folder, path)
		s := &settings{
			DataDir: data, Audit: "on", AuditFile: filepath.Join(data, auditFile), CursorKeyFile: filepath.Join(folder, "volume", "data", "cursor.key"),
			TokenFile: filepath.Join(folder, "a", "token"),
		}
		want[0] = "EDUCATION_DATA_DIR /" + path + "/tokens.json in /open drwxrwxrwx others"
		if diff := cmp.Diff(want, exposed(t, s, folder)); diff != "" {
			t.Errorf("with %s, warned of (-want +got):\n%s", path, diff)
		}
	}
	open := filepath.Join(folder, "open")
	s := &settings{DataDir: open, Audit: "on", AuditFile: filepath.Join(open, auditFile)}
	if diff := cmp.Diff([]string{"EDUCATION_DATA_DIR /open others"}, exposed(t, s, folder)); diff != "" {
		t.Errorf("with an open data folder, warned of (-want +got):\n%s", diff)
	}
}

// TestExposureOfSettings holds that what the settings lead to is warned of under the name that was set, and only what is used.
func TestExposureOfSettings(t *testing.T) {
	t.Parallel()
	folder := openFolder(t)
	layout{{"data/", 0o700, ""}, {"audit.log", 0o644, ""}, {"ca.pem", 0o666, ""}, {"password", 0o644, ""}, {"issuers.json", 0o644, ""}}.make(t, folder)
	certificate, _ := certificateFiles(t)
	ca := filepath.Join(folder, "ca.pem")
	content, err := os.ReadFile(certificate)
	if err == nil {
		err = os.WriteFile(ca, content, 0o600)
	}
	issuers := `[{"issuer": "https://a.example", "audience": "a", "tenantClaim": "t", "caFile": "` + ca + `"}]`
	err = errors.Join(err, os.WriteFile(filepath.Join(folder, "issuers.json"), []byte(issuers), 0o600),
		os.WriteFile(filepath.Join(folder, "password"), []byte("secret"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name        string
		environment map[string]string
		want        []string
	}{
		{name: "authorities of an issuer in the file", environment: map[string]string{"EDUCATION_OIDC_FILE": folder + "/issuers.json"}, want: []string{"EDUCATION_OIDC_FILE /ca.pem others"}},
		{
			name: "the same of the one in variables",
			environment: map[string]string{
				"EDUCATION_OIDC_FILE": folder + "/issuers.json", "EDUCATION_OIDC_ISSUER": "https://b.example", "EDUCATION_OIDC_AUDIENCE": "a",
				"EDUCATION_OIDC_TENANT_CLAIM": "t", "EDUCATION_OIDC_CA_FILE": ca,
			},
			want: []string{"EDUCATION_OIDC_CA_FILE /ca.pem others"},
		},
		{name: "the record that is not kept", environment: map[string]string{"EDUCATION_AUDIT_FILE": folder + "/audit.log"}},
		{name: "the record", environment: map[string]string{"EDUCATION_AUDIT": "on", "EDUCATION_AUDIT_FILE": folder + "/audit.log"}, want: []string{"EDUCATION_AUDIT_FILE /audit.log others"}},
		{name: "a client of servers that there are not", environment: map[string]string{"OC_LDAP_CACERT": ca, "EDUCATION_LDAP_BIND_PASSWORD_FILE": folder + "/password"}},
		{
			name: "a client of servers",
			environment: map[string]string{
				"EDUCATION_LDAP_URI": "ldaps://127.0.0.1:1", "EDUCATION_LDAP_BIND_DN": "cn=a", "OC_LDAP_CACERT": ca,
				"EDUCATION_LDAP_BIND_PASSWORD_FILE": folder + "/password",
			},
			want: []string{"EDUCATION_LDAP_BIND_PASSWORD_FILE /password others", "OC_LDAP_CACERT /ca.pem others"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			environment := map[string]string{"EDUCATION_DATA_DIR": folder + "/data"}
			maps.Copy(environment, test.environment)
			s, err := load(environment)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]string{}, test.want...), exposed(t, s, folder)); diff != "" {
				t.Errorf("warned of (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGuardedFiles holds that every setting which names a file has one of the tags, and that of a secret the stricter one.
func TestGuardedFiles(t *testing.T) {
	t.Parallel()
	for field := range fields() {
		name := field.Tag.Get("env")
		secret := name == "EDUCATION_AUDIT_FILE" || strings.HasSuffix(name, "_KEY_FILE") || strings.HasSuffix(name, "PASSWORD_FILE") || strings.Contains(name, "TOKEN") && strings.HasSuffix(name, "_FILE")
		private, trusted := field.Tag.Get("private") != "", field.Tag.Get("trusted") != ""
		if private != secret || strings.HasSuffix(name, "_FILE") != (private != trusted) {
			t.Errorf("%s is tagged as private: %t, as trusted: %t", name, private, trusted)
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
