package tokenfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/access"
)

// editName is the variable that makes a process of this test program add a token of that name to the file that editPath names.
const (
	editName = "TOKENFILE_TEST_EDIT_NAME"
	editPath = "TOKENFILE_TEST_EDIT_PATH"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(editName); name != "" {
		if err := add(os.Getenv(editPath), name, NewToken(), time.Now(), time.Time{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// add adds a token that may read all schools.
func add(path, name, token string, now, expires time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return Edit(ctx, path, func(d *Document) error {
		return d.Create(Credential{Name: name, Verbs: []string{"read"}, AllSchools: true}, token, now, expires)
	})
}

// TestEditByProcesses lets many processes add a token each at the same time while the file is read all along, and finds all of
// them and no half-written file.
func TestEditByProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.json")
	const processes = 24
	done := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for most := 0; ; {
			document, err := Read(path)
			if err != nil || len(document.Credentials) < most {
				t.Errorf("a reader meets %v, %v after %d tokens", document, err, most)
				return
			}
			most = len(document.Credentials)
			select {
			case <-done:
				return
			default:
			}
		}
	})
	var running sync.WaitGroup
	for i := range processes {
		running.Go(func() {
			command := exec.Command(os.Args[0])
			command.Env = append(os.Environ(), fmt.Sprintf("%s=p%d", editName, i), editPath+"="+path)
			if output, err := command.CombinedOutput(); err != nil {
				t.Errorf("a process ended with %v: %s", err, output)
			}
		})
	}
	running.Wait()
	close(done)
	reading.Wait()
	document, err := Read(path)
	if err != nil || len(document.Credentials) != processes {
		t.Errorf("got %d tokens, want %d (%v)", len(document.Credentials), processes, err)
	}
}

func TestEdit(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "tokens.json")
	token := NewToken()
	if err := add(path, "a", token, time.Now(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(before, []byte(token)) {
		t.Error("the file holds the token")
	}
	unchanged := func(what string, err error) {
		t.Helper()
		after, _ := os.ReadFile(path)
		if err == nil || !bytes.Equal(before, after) {
			t.Errorf("%s: got the error %v and the file\n%s", what, err, after)
		}
	}
	unchanged("a change that fails", Edit(t.Context(), path, func(d *Document) error {
		d.Credentials = nil
		return errors.New("no")
	}))
	unchanged("a change that cannot be meant", Edit(t.Context(), path, func(d *Document) error {
		d.Credentials[0].Verbs = nil
		return nil
	}))
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := Edit(t.Context(), link, func(d *Document) error { return d.Revoke("a") }); err != nil {
		t.Fatal(err)
	}
	if document, err := Read(path); err != nil || len(document.Credentials) != 0 {
		t.Errorf("what was written through a link: %v, %v", document, err)
	}
	for _, name := range []string{"tokens.json", "tokens.json.lock"} {
		about, err := os.Stat(filepath.Join(folder, name))
		if err != nil || about.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %v, %v; want 600", name, about.Mode(), err)
		}
	}
}

func TestEditWaitsForTheLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.json")
	unlock, err := lock(t.Context(), path+".lock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockPause)
	defer cancel()
	err = Edit(ctx, path, func(*Document) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("with the lock taken: got %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if err := Edit(t.Context(), path, func(*Document) error { return nil }); err != nil {
		t.Errorf("with the lock free: got %v", err)
	}
}

// stage is a file of tokens with a clock and a log of its own.
type stage struct {
	*testing.T
	path string
	log  *bytes.Buffer
	time time.Time
}

func newStage(t *testing.T) *stage {
	return &stage{T: t, path: filepath.Join(t.TempDir(), "tokens.json"), log: &bytes.Buffer{}, time: time.Now()}
}

func (s *stage) now() time.Time { return s.time }

func (s *stage) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s.log, nil)) }

func (s *stage) open() *File { return open(s.path, s.logger(), s.now) }

// pass lets as much time go by that a file is looked at again.
func (s *stage) pass() { s.time = s.time.Add(lookEvery) }

// add makes a token of the given name that ends at a time, or never.
func (s *stage) add(name, token string, expires time.Time) {
	s.Helper()
	if err := add(s.path, name, token, s.time, expires); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) edit(change func(*Document) error) {
	s.Helper()
	if err := Edit(s.Context(), s.path, change); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) write(content string) {
	s.Helper()
	if err := os.WriteFile(s.path, []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

// want expects what an authenticator says of a token.
func (s *stage) want(authenticator access.Authenticator, token string, want error) {
	s.Helper()
	grant, err := authenticator.Authenticate(s.Context(), token)
	if !errors.Is(err, want) || (err == nil) != (grant != nil) {
		s.Errorf("got %v, %v; want %v", grant, err, want)
	}
}

// logged expects how often the log has a text.
func (s *stage) logged(text string, want int) {
	s.Helper()
	if got := strings.Count(s.log.String(), text); got != want {
		s.Errorf("%q is in the log %d times, want %d:\n%s", text, got, want, s.log)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := s.open()
	token, next := NewToken(), NewToken()
	s.want(file, token, access.ErrUnknown)

	schools := []access.School{{ID: schoolID}, {ExternalID: "north"}}
	s.edit(func(d *Document) error {
		return d.Create(Credential{Name: "sync", Verbs: []string{"read", "write"}, Schools: schools}, token, s.time, s.time.Add(90*24*time.Hour))
	})
	s.pass()
	grant, err := file.Authenticate(t.Context(), token)
	want := &access.Grant{Name: "sync", Verbs: access.Read | access.Write, Schools: schools}
	if diff := cmp.Diff(want, grant); diff != "" || err != nil {
		t.Errorf("got %v (-want +got):\n%s", err, diff)
	}
	for _, other := range []string{"", token[:52], token + "0", next, strings.ToLower(token) + "x"} {
		s.want(file, other, access.ErrUnknown)
	}

	s.edit(func(d *Document) error {
		_, err := d.Rotate("sync", next, s.time, time.Hour, s.time.Add(90*24*time.Hour))
		return err
	})
	s.pass()
	s.want(file, token, nil)
	s.want(file, next, nil)
	s.time = s.time.Add(time.Hour)
	s.want(file, token, access.ErrInvalid)
	s.want(file, next, nil)

	s.edit(func(d *Document) error { return d.Revoke("sync") })
	s.pass()
	s.want(file, token, access.ErrUnknown)
	s.want(file, next, access.ErrUnknown)
	for _, secret := range []string{token, next} {
		s.logged(secret, 0)
	}
}

// TestFileTellsWhatHasChanged shows that the log says which tokens have been made, have ended, and permit something else now, also
// when the file could not be read meanwhile, and no more of them than a line can hold.
func TestFileTellsWhatHasChanged(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := s.open()
	take := func() {
		s.pass()
		_, _ = file.Authenticate(t.Context(), NewToken())
	}
	token, next := NewToken(), NewToken()
	idOf := func(token string) string { return Token{Digest: Digest(access.DigestOf(token))}.ID() }
	steps := []struct {
		change func(*Document) error
		want   string
	}{
		{func(d *Document) error {
			return d.Create(Credential{Name: "sync", Verbs: []string{"read"}, AllSchools: true}, token, s.time, time.Time{})
		}, `made="[sync ` + idOf(token) + `]"` + "\n"},
		{func(d *Document) error {
			_, err := d.Rotate("sync", next, s.time, time.Hour, time.Time{})
			return err
		}, `made="[sync ` + idOf(next) + `]" changed="[sync ` + idOf(token) + `]"` + "\n"},
		{func(d *Document) error {
			d.Credentials[0].Tokens = d.Credentials[0].Tokens[1:]
			d.Credentials[0].Verbs = []string{"read", "write"}
			return nil
		}, `ended="[sync ` + idOf(token) + `]" changed="[sync ` + idOf(next) + `]"` + "\n"},
	}
	for _, step := range steps {
		s.log.Reset()
		s.edit(step.change)
		take()
		s.logged(step.want, 1)
	}
	content, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	s.log.Reset()
	s.write("broken")
	take()
	s.write(strings.Replace(string(content), `"sync"`, `"renamed"`, 1))
	take()
	s.logged(`can be used again" file=`+s.path+` changed="[renamed `+idOf(next)+`]"`+"\n", 1)
	for i := range maxTold + 2 {
		s.edit(func(d *Document) error {
			return d.Create(Credential{Name: fmt.Sprint("n", i), Verbs: []string{"read"}, AllSchools: true}, NewToken(), s.time, time.Time{})
		})
	}
	take()
	s.logged(`and 2 more]"`, 1)
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	take()
	s.logged(`is gone" file=`+s.path+` ended="[`, 1)
}

// TestFileKnowsNewTokensAtOnce shows that a token can be used when it has been printed, however short ago the file was looked at,
// while the tokens that are known cost no look.
func TestFileKnowsNewTokensAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	file := s.open()
	token, next := NewToken(), NewToken()
	s.add("a", token, time.Time{})
	s.want(file, token, nil)
	s.edit(func(d *Document) error { _, err := d.Rotate("a", next, s.time, time.Hour, time.Time{}); return err })
	s.want(file, next, nil)
	s.want(file, token, nil)
	looked := file.tokens.latest.Load()
	s.time = s.time.Add(lookEvery / 2)
	s.want(file, next, nil)
	if file.tokens.latest.Load() != looked {
		t.Error("a token that is known made the file be looked at again")
	}
}

// TestFileExpires holds the moment of the end: a token is valid before it, and not in it.
func TestFileExpires(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.time = s.time.Truncate(time.Second)
	token := NewToken()
	s.add("a", token, s.time.Add(30*24*time.Hour))
	file := s.open()
	s.want(file, token, nil)
	s.logged("about to end", 0)
	s.time = s.time.Add(30*24*time.Hour - 36*time.Hour)
	for range 3 {
		s.want(file, token, nil)
	}
	s.logged("about to end", 1)
	s.time = s.time.Add(36*time.Hour - time.Nanosecond)
	s.want(file, token, nil)
	s.logged("about to end", 2)
	s.time = s.time.Add(time.Nanosecond)
	s.want(file, token, access.ErrInvalid)
}

// TestFileBroken shows that nobody is let in by a file that cannot be understood, not even who was before, that it is logged
// once, and that all is well when the file is.
func TestFileBroken(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	token := NewToken()
	s.add("a", token, time.Time{})
	good, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	file := s.open()
	s.want(file, token, nil)
	s.write(string(good[:len(good)/2]))
	for range 20 {
		s.pass()
		s.want(file, token, errUnusable)
		s.want(file, "someone-elses-kind-of-token", access.ErrUnknown)
	}
	s.logged("level=ERROR", 1)
	s.write(strings.Replace(string(good), `"read"`, `"reed"`, 1))
	s.pass()
	s.want(file, token, errUnusable)
	s.logged("level=ERROR", 2)
	s.write(string(good))
	s.pass()
	s.want(file, token, nil)
	s.logged("can be used again", 1)

	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.pass()
		s.want(file, token, access.ErrUnknown)
	}
	s.logged("is gone", 1)
	if err := os.Mkdir(s.path, 0o700); err != nil { // What is there cannot be read, by root neither.
		t.Fatal(err)
	}
	s.pass()
	s.want(file, token, errUnusable)
	s.logged("level=ERROR", 3)
}

// TestFileBrokenAtStart shows that the service is told of a broken file before the first request.
func TestFileBrokenAtStart(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write("{")
	s.open()
	s.logged("level=ERROR", 1)
}

// TestFileSeesHiddenChange changes a file so that neither its size nor its time tells, as two writes within one step of a
// coarse clock can.
func TestFileSeesHiddenChange(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	token, other := NewToken(), NewToken()
	s.add("a", token, time.Time{})
	before, err := os.Stat(s.path)
	if err != nil {
		t.Fatal(err)
	}
	file := s.open()
	s.want(file, token, nil)
	content, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	digest := func(token string) string { return fmt.Sprintf("%x", access.DigestOf(token)) }
	s.write(strings.Replace(string(content), digest(token), digest(other), 1))
	if err := os.Chtimes(s.path, time.Time{}, before.ModTime()); err != nil {
		t.Fatal(err)
	}
	s.pass()
	s.want(file, token, access.ErrUnknown)
	s.want(file, other, nil)
}

// TestDiskIsWellAgain shows that a file which could not be read is tried again, however long it has been as it is.
func TestDiskIsWellAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	token := NewToken()
	s.add("a", token, time.Time{})
	file := s.open()
	s.add("b", NewToken(), time.Time{})
	file.tokens.read = func(path string) (os.FileInfo, []byte, error) {
		about, _, _ := readFile(path)
		return about, nil, errors.New("input/output error")
	}
	for end := s.time.Add(2 * settleTime); s.time.Before(end); {
		s.pass()
		if _, err := file.Authenticate(t.Context(), token); err == nil || errors.Is(err, access.ErrUnknown) {
			t.Fatalf("a token of a file that cannot be read: %v", err)
		}
	}
	file.tokens.read = readFile
	s.pass()
	s.want(file, token, nil)
	s.logged("cannot be used", 1)
}

// TestFileIsReadOnce shows that a file which has not changed for a while is not read, however often it is used.
func TestFileIsReadOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	token := NewToken()
	s.add("a", token, time.Time{})
	file := s.open()
	s.time = s.time.Add(settleTime)
	s.want(file, token, nil)
	settled := file.tokens.latest.Load().digest
	reads := 0
	parse := file.tokens.parse
	file.tokens.parse = func(content []byte) (map[access.Digest]*holder, error) {
		reads++
		return parse(content)
	}
	for range 100 {
		s.pass()
		s.want(file, token, nil)
	}
	if latest := file.tokens.latest.Load(); reads != 0 || !latest.settled || latest.digest != settled {
		t.Errorf("the file was parsed %d times", reads)
	}
	s.add("b", NewToken(), time.Time{})
	s.pass()
	s.want(file, token, nil)
	if reads != 1 {
		t.Errorf("after a change the file was parsed %d times, want 1", reads)
	}
}

func TestAdministrator(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	parse := func(content []byte) ([]string, error) {
		tokens := strings.Fields(string(content))
		if len(tokens) == 0 {
			return nil, errors.New("there is no token")
		}
		return tokens, nil
	}
	if _, err := openAdministrator(s.path, parse, s.logger(), s.now); err == nil {
		t.Fatal("a file that is not there: got no error")
	}
	s.write("one\n")
	administrator, err := openAdministrator(s.path, parse, s.logger(), s.now)
	if err != nil {
		t.Fatal(err)
	}
	grant, err := administrator.Authenticate(t.Context(), "one")
	if err != nil || grant.Name != access.Administrator || !grant.AllSchools {
		t.Errorf("got %v, %v", grant, err)
	}
	s.write("one\ntwo\n")
	s.pass()
	s.want(administrator, "one", nil)
	s.want(administrator, "two", nil)
	s.want(administrator, "", access.ErrUnknown)
	s.write("two\n")
	s.pass()
	s.want(administrator, "one", access.ErrUnknown)
	s.want(administrator, "two", nil)

	s.log.Reset()
	s.write("")
	for range 3 {
		s.pass()
		s.want(administrator, "two", nil)
	}
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.pass()
		s.want(administrator, "two", nil)
	}
	s.logged("level=ERROR", 2)
	s.write("three\n")
	s.pass()
	s.want(administrator, "two", access.ErrUnknown)
	s.want(administrator, "three", nil)
}

// BenchmarkAuthenticate shows that it does not matter how many tokens there are.
func BenchmarkAuthenticate(b *testing.B) {
	for _, count := range []int{10, 10_000} {
		path := filepath.Join(b.TempDir(), "tokens.json")
		tokens := make([]string, count)
		err := Edit(b.Context(), path, func(d *Document) error {
			for i := range tokens {
				tokens[i] = NewToken()
				d.Credentials = append(d.Credentials, Credential{
					Name: fmt.Sprintf("t%d", i), Verbs: []string{"read"}, AllSchools: true, Tokens: []Token{newToken(tokens[i], time.Now(), time.Time{})},
				})
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		file := Open(path, slog.New(slog.DiscardHandler))
		file.tokens.latest.Load().settled = true // What counts is a file that has not just been changed.
		for name, token := range map[string]string{"known": "", "unknown": NewToken()} {
			b.Run(fmt.Sprintf("%s/%d", name, count), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					asked := token
					if asked == "" {
						asked = tokens[i%count]
					}
					if _, err := file.Authenticate(b.Context(), asked); (err == nil) != (token == "") {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
