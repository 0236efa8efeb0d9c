package acceptance

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSchoolsPerUser(t *testing.T) {
	t.Parallel()
	const (
		many, one  = "EDUCATION_SCHOOLS_PER_USER=many", "EDUCATION_SCHOOLS_PER_USER=one"
		compatible = "EDUCATION_COMPATIBILITY=opencloud"
	)
	tests := map[string]struct {
		settings []string
		want     int
	}{
		"default":                  {nil, http.StatusConflict},
		"one":                      {[]string{one}, http.StatusConflict},
		"many":                     {[]string{many}, http.StatusNoContent},
		"compatible":               {[]string{compatible}, http.StatusNoContent},
		"one in compatibility":     {[]string{compatible, one}, http.StatusConflict},
		"many without any default": {[]string{many, "EDUCATION_EXTERNAL_ID_SCOPE=global"}, http.StatusNoContent},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world{T: t, server: start(t, test.settings...)}
			first, second, user := w.school(), w.school(), w.user()
			w.link("/schools/"+first+"/users", "/users/"+user)
			w.post("/schools/"+second+"/users/$ref", ref("/users/"+user)).want(test.want)
			if test.want == http.StatusNoContent {
				w.wantIDs("/users/"+user+"/schools", first, second)
			} else {
				w.wantIDs("/users/"+user+"/schools", first)
			}
		})
	}
}

func TestExternalIDScope(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]int{
		"":                                   http.StatusCreated,
		"EDUCATION_EXTERNAL_ID_SCOPE=school": http.StatusCreated,
		"EDUCATION_EXTERNAL_ID_SCOPE=global": http.StatusConflict,
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			w := world{T: t, server: start(t, setting)}
			first, second := w.school(), w.school()
			for path, body := range map[string]func() entity{"/users": aUser, "/classes": aClass} {
				w.post("/schools/"+first+path, with(body(), entity{"externalId": "4711"})).want(http.StatusCreated)
				w.post("/schools/"+second+path, with(body(), entity{"externalId": "4711"})).want(want)
			}
		})
	}
}

// TestTokenSettings shows each way to give the service its token, and that it makes one without.
func TestTokenSettings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("a-token-in-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		settings []string
		want     string
	}{
		"EDUCATION_TOKEN":                     {[]string{"EDUCATION_TOKEN=a-token"}, "a-token"},
		"EDUCATION_TOKEN_FILE":                {[]string{"EDUCATION_TOKEN_FILE=" + file}, "a-token-in-a-file"},
		"GRAPH_HTTP_API_TOKEN":                {[]string{"GRAPH_HTTP_API_TOKEN=their-token"}, "their-token"},
		"ours counts before OpenCloud's":      {[]string{"GRAPH_HTTP_API_TOKEN=their-token", "EDUCATION_TOKEN=a-token"}, "a-token"},
		"our file counts before OpenCloud's":  {[]string{"GRAPH_HTTP_API_TOKEN=their-token", "EDUCATION_TOKEN_FILE=" + file}, "a-token-in-a-file"},
		"an empty one is as good as none":     {[]string{"EDUCATION_TOKEN="}, ""},
		"none, and the service makes its own": {nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, test.settings...)
			token := test.want
			if token == "" {
				token = readSecret(t, filepath.Join(s.dataDir, "token"))
				if len(token) < 43 {
					t.Errorf("the token has %d letters, which is less than 256 bits", len(token))
				}
			}
			s.get(t, "/users", header("Authorization", "Bearer "+token)).want(http.StatusOK)
			s.get(t, "/users", header("Authorization", "Bearer "+token+"x")).want(http.StatusUnauthorized)
			s.restart(t)
			s.get(t, "/users", header("Authorization", "Bearer "+token)).want(http.StatusOK)
		})
	}
}

// TestFaultySettings shows that the service does not start with settings that it cannot follow, and names all of them.
func TestFaultySettings(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	tests := map[string]struct {
		settings []string
		// want are the names in the complaint.
		want []string
	}{
		"an address without a port":    {[]string{"EDUCATION_HTTP_ADDR=127.0.0.1"}, []string{"EDUCATION_HTTP_ADDR"}},
		"a compatibility nobody knows": {[]string{"EDUCATION_COMPATIBILITY=graph"}, []string{"EDUCATION_COMPATIBILITY"}},
		"no LDAP server":               {[]string{"OC_LDAP_URI=ldap:636"}, []string{"EDUCATION_LDAP_URI", "OC_LDAP_URI"}},
		"several at once": {
			[]string{"EDUCATION_SCHOOLS_PER_USER=two", "EDUCATION_LOG_LEVEL=loud", "EDUCATION_SCHOOL_TERMINATION_MIN_GRACE_DAYS=-1"},
			[]string{"EDUCATION_SCHOOLS_PER_USER", "EDUCATION_LOG_LEVEL", "EDUCATION_SCHOOL_TERMINATION_MIN_GRACE_DAYS"},
		},
		"a token of two words": {[]string{"EDUCATION_TOKEN=" + canary + " two"}, []string{"EDUCATION_TOKEN"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := exec.Command(binary)
			command.Dir = t.TempDir()
			command.Env = append([]string{
				"EDUCATION_HTTP_ADDR=127.0.0.1:0", "EDUCATION_LDAP_LISTEN=127.0.0.1:0", "EDUCATION_DATA_DIR=data",
			}, test.settings...)
			output, err := command.CombinedOutput()
			if err == nil || command.ProcessState.ExitCode() != 1 {
				t.Fatalf("the service ended with %v\n%s", err, output)
			}
			for _, name := range test.want {
				if !strings.Contains(string(output), name) {
					t.Errorf("%s is not named:\n%s", name, output)
				}
			}
			if strings.Contains(string(output), canary) {
				t.Errorf("a secret is shown:\n%s", output)
			}
			if _, err := os.Stat(filepath.Join(command.Dir, "data")); err == nil {
				t.Error("the service has made a data folder")
			}
		})
	}
}

// TestOneServiceForOneFolder shows that a second service does not start on the data of a running one, and leaves it
// alone.
func TestOneServiceForOneFolder(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	s := start(t)
	user := s.user(t)
	command := exec.Command(binary)
	command.Dir, command.Env = t.TempDir(), s.env
	if output, err := command.CombinedOutput(); err == nil || !strings.Contains(string(output), "directory.db") {
		t.Errorf("the second service ended with %v\n%s", err, output)
	}
	s.get(t, "/users/"+user).want(http.StatusOK)
}

// TestBases shows that the entries are where the settings say, also by the names that OpenCloud has for them.
func TestBases(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	s := start(t, "OC_LDAP_USER_BASE_DN=ou=people,dc=example,dc=org", "EDUCATION_LDAP_CLASS_BASE_DN=ou=classes,dc=example,dc=org",
		"GRAPH_LDAP_SCHOOL_BASE_DN=ou=schools,dc=example,dc=org")
	id := s.user(t, entity{"passwordProfile": entity{"password": canary}})
	if err := s.dial(t).Bind("openCloudUUID="+id+",ou=people,dc=example,dc=org", canary); err != nil {
		t.Errorf("the bind of the user: %v", err)
	}
	s.school(t)
	s.class(t)
}

// TestLDAPListenerOff shows that an empty address turns the LDAP listener off.
func TestLDAPListenerOff(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	s := start(t, "EDUCATION_LDAP_LISTEN=")
	if s.ldap != "" {
		t.Errorf("got the LDAP address %q", s.ldap)
	}
	s.user(t)
}

// TestFilesOfTheDataFolder shows that nobody but the owner can read what the service writes.
func TestFilesOfTheDataFolder(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	s := start(t)
	about, err := os.Stat(s.dataDir)
	if err != nil {
		t.Fatal(err)
	}
	if mode := about.Mode().Perm(); mode != 0o700 {
		t.Errorf("the folder has mode %o, want 700", mode)
	}
	files, err := os.ReadDir(s.dataDir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, file.Name())
		about, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if mode := about.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", file.Name(), mode)
		}
	}
	want := []string{"cursor.key", "directory.db", "ldap-admin.password", "ldap-reader.password", "rules", "token"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
