package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencloud-eu/education/internal/ldapserver"
)

// inForceWithin is how soon a change of the tokens must count in a running service.
const inForceWithin = time.Second

// tokenCommand runs 'education token' with the settings of the service and returns what it prints.
func (s *server) tokenCommand(t testing.TB, arguments ...string) string {
	t.Helper()
	command := exec.Command(binary, append([]string{"token"}, arguments...)...)
	command.Env, command.Dir = s.env, t.TempDir()
	var stderr bytes.Buffer
	command.Stderr = &stderr
	stdout, err := command.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("education token %q: %v\n%s", arguments, err, &stderr)
	}
	return string(stdout)
}

// tokenShape is what the command that makes a token prints.
var tokenShape = regexp.MustCompile(`^edu_[0-9A-Za-z]{49}\n$`)

// makeToken makes a token, which must then appear nowhere else, and waits until the service knows it.
func (s *server) makeToken(t testing.TB, arguments ...string) string {
	t.Helper()
	printed := s.tokenCommand(t, arguments...)
	if !tokenShape.MatchString(printed) {
		t.Fatalf("education token %q prints something else than a token: %q", arguments, printed)
	}
	token := strings.TrimSpace(printed)
	s.conceal(token)
	return token
}

// as sends a request with a token.
func as(token string) option { return header("Authorization", "Bearer "+token) }

// eventually expects a status of a request with a token within the time that a change may take.
func (s *server) eventually(t testing.TB, token string, want int) {
	t.Helper()
	begin := time.Now()
	for {
		got := s.get(t, "/users", as(token))
		took := time.Since(begin)
		switch {
		case got.status == want:
			return
		case took > inForceWithin:
			t.Fatalf("after %v a request with the token is answered %d, want %d\n%s", took, got.status, want, got.body)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestTokenLife makes a token, rotates it, and revokes it, each while the service runs.
func TestTokenLife(t *testing.T) {
	t.Parallel()
	s := start(t)
	first := s.makeToken(t, "create", "--name", "sync", "--all-schools", "--expires", "never")
	s.eventually(t, first, http.StatusOK)

	second := s.makeToken(t, "rotate", "sync", "--overlap", "1h")
	s.eventually(t, second, http.StatusOK)
	s.get(t, "/users", as(first)).want(http.StatusOK)

	third := s.makeToken(t, "rotate", "sync", "--overlap", "2s")
	s.eventually(t, third, http.StatusOK)
	s.get(t, "/users", as(first)).want(http.StatusOK)
	s.get(t, "/users", as(second)).want(http.StatusOK)
	time.Sleep(2 * time.Second)
	s.eventually(t, first, http.StatusUnauthorized)
	s.eventually(t, second, http.StatusUnauthorized)
	s.get(t, "/users", as(third)).want(http.StatusOK)

	s.restart(t)
	s.get(t, "/users", as(third)).want(http.StatusOK)
	s.tokenCommand(t, "revoke", "sync")
	s.eventually(t, third, http.StatusUnauthorized)
	refused := s.get(t, "/users", as(third)).wantError(http.StatusUnauthorized, "InvalidAuthenticationToken")
	if got := refused.header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
		t.Errorf("the challenge is %q", got)
	}
	s.get(t, "/users").want(http.StatusOK)
}

// TestTokenExpires shows that a token ends without anybody's doing.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	s := start(t)
	token := s.makeToken(t, "create", "--name", "brief", "--all-schools", "--expires", "6s")
	end := time.Now().Add(6 * time.Second)
	s.eventually(t, token, http.StatusOK)
	time.Sleep(time.Until(end))
	s.eventually(t, token, http.StatusUnauthorized)
	if got := s.tokenCommand(t, "list"); !strings.Contains(got, "expired") {
		t.Errorf("the list does not say that the token has expired:\n%s", got)
	}
}

// TestTokenVerbs shows what tokens of certain verbs may do.
func TestTokenVerbs(t *testing.T) {
	t.Parallel()
	s := start(t)
	tokens := map[string]string{}
	for name, verbs := range map[string][]string{
		"default": nil, "read": {"--verbs", "read"}, "all": {"--verbs", "read,write,delete"}, "delete": {"--verbs", "delete"},
	} {
		tokens[name] = s.makeToken(t, append([]string{"create", "--name", name, "--all-schools"}, verbs...)...)
	}
	s.eventually(t, tokens["read"], http.StatusOK)
	const no = http.StatusForbidden
	for name, want := range map[string]struct{ get, post, patch, remove int }{
		"default": {http.StatusOK, http.StatusCreated, http.StatusOK, no},
		"read":    {http.StatusOK, no, no, no},
		"all":     {http.StatusOK, http.StatusCreated, http.StatusOK, http.StatusNoContent},
		"delete":  {no, no, no, http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			who, user := as(tokens[name]), s.user(t)
			s.get(t, "/users/"+user, who).want(want.get)
			s.post(t, "/users", aUser(), who).want(want.post)
			s.patch(t, "/users/"+user, entity{"displayName": "Somebody else"}, who).want(want.patch)
			s.remove(t, "/users/"+user, who).want(want.remove)
		})
	}
}

// TestTokenOfASchool shows that a token for a school leads to it, by its id and by its externalId, and to nothing else.
func TestTokenOfASchool(t *testing.T) {
	t.Parallel()
	w := world{T: t, server: start(t)}
	tokens := map[string]string{"later": w.server.makeToken(t, "create", "--name", "later", "--school", "later")}
	own, other := w.school(entity{"externalId": "own, or not"}), w.school()
	mine, theirs := w.user(), w.user()
	w.link("/schools/"+own+"/users", "/users/"+mine)
	w.link("/schools/"+other+"/users", "/users/"+theirs)
	tokens["id"] = w.server.makeToken(t, "create", "--name", "id", "--school", strings.ToUpper(own))
	tokens["externalId"] = w.server.makeToken(t, "create", "--name", "externalId", "--school-external-id", "own, or not")
	for _, token := range tokens {
		w.server.eventually(t, token, http.StatusOK)
	}
	for _, name := range []string{"id", "externalId"} {
		who := as(tokens[name])
		for path, want := range map[string]string{"/schools": own, "/users": mine} {
			if got := w.server.get(t, path, who).ids(); len(got) != 1 || got[0] != want {
				t.Errorf("%s with the token of %s: got %v, want %s alone", path, name, got, want)
			}
		}
		w.server.get(t, "/users/"+mine, who).want(http.StatusOK)
		w.server.get(t, "/users/"+theirs, who).wantError(http.StatusNotFound, "itemNotFound")
		w.server.get(t, "/schools/"+other+"/users", who).wantError(http.StatusNotFound, "itemNotFound")
	}
	w.server.get(t, "/schools", as(tokens["later"])).wantNone()
	later := w.school(entity{"externalId": "later"})
	time.Sleep(inForceWithin)
	if got := w.server.get(t, "/schools", as(tokens["later"])).ids(); len(got) != 1 || got[0] != later {
		t.Errorf("a school that is made after its token: got %v, want %s", got, later)
	}
}

// TestTokensAtOnce makes tokens with many processes at the same time, of which each must be there in the end.
func TestTokensAtOnce(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	s := start(t)
	const processes = 12
	tokens := make([]string, processes)
	var running sync.WaitGroup
	for i := range processes {
		running.Go(func() {
			command := exec.Command(binary, "token", "create", "--all-schools", fmt.Sprintf("--name=t%d", i))
			command.Env = s.env
			output, err := command.Output()
			if err != nil {
				t.Errorf("process %d: %v", i, err)
			}
			tokens[i] = strings.TrimSpace(string(output))
		})
	}
	running.Wait()
	for _, token := range tokens {
		s.conceal(token)
		s.eventually(t, token, http.StatusOK)
	}
}

// TestTokenIsNowhere looks for a token in all places where it must not be. That it is in no answer and not in the log is looked
// at in all tests.
func TestTokenIsNowhere(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	s := start(t)
	token := s.makeToken(t, "create", "--name", "sync", "--all-schools")
	s.eventually(t, token, http.StatusOK)
	next := s.makeToken(t, "rotate", "sync")
	s.eventually(t, next, http.StatusOK)

	places := map[string]string{"the list": s.tokenCommand(t, "list"), "the list as JSON": s.tokenCommand(t, "list", "--json")}
	for _, name := range []string{"cmdline", "environ"} {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.command.Process.Pid, name))
		if err != nil || len(content) == 0 {
			t.Fatalf("/proc says nothing of the service's %s: %v", name, err)
		}
		places[name] = string(content)
	}
	s.stop(t) // So that whatever it has to write is written.
	files, err := os.ReadDir(s.dataDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(s.dataDir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		places["the file "+file.Name()] = string(content)
	}
	if places["the file tokens.json"] == "" {
		t.Error("there is no file of tokens")
	}
	for place, content := range places {
		for _, secret := range []string{token, next} {
			if strings.Contains(content, secret) || strings.Contains(content, secret[len("edu_"):]) {
				t.Errorf("the token is in %s", place)
			}
		}
	}
}

// TestBrokenTokens shows that a file of tokens that cannot be understood lets nobody in, leaves the administrator's token alone,
// and is logged once.
func TestBrokenTokens(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	s := start(t)
	s.troubled = true
	token := s.makeToken(t, "create", "--name", "sync", "--all-schools")
	s.eventually(t, token, http.StatusOK)
	path := filepath.Join(s.dataDir, "tokens.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(good, []byte(`"read"`), []byte(`"reed"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, token, http.StatusServiceUnavailable)
	for range 5 {
		s.get(t, "/users", as(token)).want(http.StatusServiceUnavailable)
		s.get(t, "/users").want(http.StatusOK)
		s.get(t, "/users", as("another")).want(http.StatusUnauthorized)
	}
	s.restart(t) // It starts all the same.
	s.get(t, "/users").want(http.StatusOK)
	s.get(t, "/users", as(token)).want(http.StatusServiceUnavailable)
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, token, http.StatusOK)
	const complaint = `"msg":"the file of tokens cannot be used"`
	if got := bytes.Count(bytes.Join(s.log.lines(), nil), []byte(complaint)); got != 2 {
		t.Errorf("the log says %d times in two starts that the file cannot be used, want 2", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, token, http.StatusUnauthorized)
}

// TestSharedTokens shows that two services with one file of tokens know the same tokens.
func TestSharedTokens(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	shared := "EDUCATION_TOKENS_FILE=" + filepath.Join(t.TempDir(), "tokens.json")
	one, other := start(t, shared), start(t, shared)
	token := one.makeToken(t, "create", "--name", "sync", "--all-schools")
	other.conceal(token)
	one.eventually(t, token, http.StatusOK)
	other.eventually(t, token, http.StatusOK)
	other.tokenCommand(t, "revoke", "sync")
	one.eventually(t, token, http.StatusUnauthorized)
	other.eventually(t, token, http.StatusUnauthorized)
}

// TestRotateAdministrator gives the administrator another token without a restart, with the commands of docs/tokens.md: both are
// valid while both are in the file. Whoever runs them is not the one whom the service runs as, so the file stays whose it was.
func TestRotateAdministrator(t *testing.T) {
	embeddedOnly(t)
	ldapserver.Require(t, "openssl", "openssl")
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "token")
	former := strings.Repeat("former-token-", 3)
	if err := os.WriteFile(file, []byte(former), 0o600); err != nil { // Without a line feed, as the service writes it.
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(file, 0, 65534); err != nil {
			t.Fatal(err)
		}
	}
	before := ownership(t, file)
	s := start(t, "EDUCATION_TOKEN_FILE="+file)
	both, one := rotationCommands(t)
	run := func(commands string) {
		t.Helper()
		command := exec.Command("sh", "-euc", strings.ReplaceAll(commands, "/etc/education", folder))
		command.Dir = folder
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		if after := ownership(t, file); after != before {
			t.Errorf("the file's owner, group and mode are %s, were %s", after, before)
		}
	}
	run(both)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tokens := strings.Fields(string(content))
	if len(tokens) != 2 || tokens[0] != former {
		t.Fatalf("the file has %d tokens, the first of which is the former: %t", len(tokens), tokens[0] == former)
	}
	next := tokens[1]
	s.conceal(next)
	s.eventually(t, next, http.StatusOK)
	s.get(t, "/users", as(former)).want(http.StatusOK)
	run(one)
	s.eventually(t, former, http.StatusUnauthorized)
	s.get(t, "/users", as(next)).want(http.StatusOK)
	s.token = next
}

// ownership returns the owner, the group and the mode of a file.
func ownership(t *testing.T, file string) string {
	t.Helper()
	output, err := exec.Command("stat", "-c", "%u:%g %a", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(output))
}

// rotationCommands returns the commands of docs/tokens.md after which two tokens of the administrator are valid, and those after
// which one is.
func rotationCommands(t *testing.T) (both, one string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/tokens.md")
	if err != nil {
		t.Fatal(err)
	}
	_, commands, found := strings.Cut(string(text), "```sh\ncd /etc/education\n")
	commands, _, ended := strings.Cut(commands, "```")
	both, one, whole := strings.Cut(commands, "both are valid")
	if !found || !ended || !whole {
		t.Fatal("docs/tokens.md has no such commands")
	}
	// What is left of the comment ends with its line.
	_, one, _ = strings.Cut(one, "\n")
	return both, one
}

// TestWeakToken shows where the service starts with a token that can be guessed, and that it says so then.
func TestWeakToken(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	t.Run("on loopback", func(t *testing.T) {
		t.Parallel()
		s := start(t, "EDUCATION_TOKEN=changeme-x")
		s.get(t, "/users").want(http.StatusOK)
		if !warns(s, "THE TOKEN IS WEAK") {
			t.Errorf("the log does not warn:\n%s", s.log.tail(20))
		}
	})
	t.Run("elsewhere", func(t *testing.T) {
		t.Parallel()
		command := exec.Command(binary)
		command.Dir = t.TempDir()
		command.Env = []string{"EDUCATION_HTTP_ADDR=0.0.0.0:0", "EDUCATION_LDAP_LISTEN=127.0.0.1:0", "EDUCATION_TOKEN=changeme-x"}
		output, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(output), "EDUCATION_TOKEN must be at least 32 characters") {
			t.Errorf("the service ended with %v\n%s", err, output)
		}
	})
}

// warns reports whether the log has a warning with a text.
func warns(s *server, text string) bool {
	for _, line := range s.log.lines() {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(line, &entry) == nil && entry.Level == "WARN" && strings.Contains(entry.Msg, text) {
			return true
		}
	}
	return false
}
