package ldapserver

import (
	"bufio"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	yaml "github.com/oasdiff/yaml3"
)

// composition is what deploy/compose/compose.yaml says, as far as files of the module have to agree with it.
type composition struct {
	Services map[string]struct {
		Build       build    `yaml:"build"`
		Volumes     []string `yaml:"volumes"`
		DependsOn   any      `yaml:"depends_on"`
		Environment map[string]string
		ReadOnly    bool     `yaml:"read_only"`
		SecurityOpt []string `yaml:"security_opt"`
		CapDrop     []string `yaml:"cap_drop"`
		CapAdd      []string `yaml:"cap_add"`
	}
	Volumes map[string]any
}

// build is where an image is built: a folder, or a folder and a file below it.
type build struct{ Context, Dockerfile string }

func (b *build) UnmarshalYAML(node *yaml.Node) error {
	b.Dockerfile = "Dockerfile"
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&b.Context)
	}
	var full struct{ Context, Dockerfile string }
	err := node.Decode(&full)
	b.Context, b.Dockerfile = full.Context, full.Dockerfile
	return err
}

// readComposition reads compose.yaml, and returns its folder too.
func readComposition(t *testing.T) (folder string, composed composition) {
	t.Helper()
	folder, err := deployFolder("compose")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &composed); err != nil {
		t.Fatal(err)
	}
	return folder, composed
}

// TestComposePrivileges holds that no container may do what it does not need.
func TestComposePrivileges(t *testing.T) {
	t.Parallel()
	_, composed := readComposition(t)
	for name, service := range composed.Services {
		if !service.ReadOnly || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") || !slices.Equal(service.CapDrop, []string{"ALL"}) {
			t.Errorf("the service %s may write to its image, gain privileges or keep capabilities: %+v", name, service)
		}
	}
	if added := composed.Services["education"].CapAdd; len(added) > 0 {
		t.Errorf("the service is given %v", added)
	}
}

// TestCompose holds that what compose.yaml and its Dockerfiles refer to is there.
func TestCompose(t *testing.T) {
	t.Parallel()
	folder, composed := readComposition(t)
	if len(composed.Services) != 2 {
		t.Errorf("there are %d services, want 2", len(composed.Services))
	}
	for name, service := range composed.Services {
		checkCopies(t, filepath.Join(folder, service.Build.Context), service.Build.Dockerfile)
		for _, volume := range service.Volumes {
			volume, _, _ = strings.Cut(volume, ":")
			if _, ok := composed.Volumes[volume]; !ok {
				t.Errorf("the service %s has the volume %s, which nobody declares", name, volume)
			}
		}
	}
	if got := composed.Services["education"].Environment["EDUCATION_LDAP_BIND_DN"]; got != "cn=education,"+suffix {
		t.Errorf("the service binds as %q", got)
	}
}

// checkCopies holds that what a Dockerfile copies is in its context.
func checkCopies(t *testing.T, context, dockerfile string) {
	t.Helper()
	file, err := os.Open(filepath.Join(context, dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 3 || words[0] != "COPY" || strings.HasPrefix(words[1], "--") {
			continue
		}
		for _, name := range words[1 : len(words)-1] {
			if _, err := os.Stat(filepath.Join(context, name)); err != nil {
				t.Errorf("%s copies %s: %v", dockerfile, name, err)
			}
		}
	}
}

// startScript is the flavour of a server that a container's script runs.
type startScript struct {
	flavour
	path        string
	environment []string
	// capabilities are those that the container has, each with ",+" before it.
	capabilities string
}

func (s startScript) command() *exec.Cmd {
	// With the capabilities that compose.yaml leaves its container.
	command := exec.Command("setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"+s.capabilities, s.path)
	command.Env = append(os.Environ(), s.environment...)
	return command
}

// TestComposeStart runs the script of the container with the server, twice: with empty volumes, and with those that the first
// run has left.
func TestComposeStart(t *testing.T) {
	t.Parallel()
	Require(t, "slapd", "slapd")
	Require(t, "openssl", "openssl")
	Require(t, "util-linux", "setpriv")
	if os.Getuid() != 0 {
		t.Skip("the script gives files to other users, as root in its container; this test does not run as root")
	}
	server := composedServer(t)
	pupil := userEntry(server.Bases, "max", "user/username/-/max")
	if err := server.start(); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, server.Connect(t, server.Service()), pupil)
	server.Stop(t)
	server.Start(t)
	read(t, server.Connect(t, server.Service()), pupil.DN)
}

// composedServer returns a server that the container's script will run in a temporary folder.
func composedServer(t *testing.T) *Server {
	t.Helper()
	folder := temporaryFolder(t)
	// The server runs as another user than the test.
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	scripts, err := deployFolder("")
	if err != nil {
		t.Fatal(err)
	}
	secrets := filepath.Join(folder, "secrets")
	if err := errors.Join(os.Mkdir(secrets, 0o700), writePasswords(secrets, map[string]string{"ldap": servicePassword})); err != nil {
		t.Fatal(err)
	}
	script := startScript{path: filepath.Join(scripts, "compose/openldap/start")}
	_, composed := readComposition(t)
	for _, capability := range composed.Services["ldap"].CapAdd {
		script.capabilities += ",+" + strings.ToLower(capability)
	}
	server := newServer(&script)
	server.output = filepath.Join(folder, "output")
	if err := server.choosePorts(settings{}); err != nil {
		t.Fatal(err)
	}
	server.Socket = filepath.Join(folder, "run/ldapi")
	script.environment = []string{
		"LDAP_CONFIG=" + filepath.Join(folder, "config"), "LDAP_DATA=" + filepath.Join(folder, "data"),
		"LDAP_RUN=" + filepath.Join(folder, "run"), "LDAP_SECRETS=" + secrets,
		"LDAP_SETUP=" + filepath.Join(scripts, "openldap/setup"), "LDAP_URIS=" + server.URI + " ldapi://" + url.QueryEscape(server.Socket),
	}
	t.Cleanup(server.end)
	return server
}
