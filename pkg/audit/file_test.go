package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// openFile opens a file for a test, which ends with closing it.
func openFile(t *testing.T, path string) *File {
	t.Helper()
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func mustAppend(t *testing.T, f *File, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if err := f.Append([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
	}
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v; want %q", filepath.Base(path), got, err, want)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before string
		// between is done between the lines a and b.
		between func(f *File, path string) error
		want    string
		// old is what the file holds that was renamed, if one was.
		old string
	}{
		"a new file":            {want: "a\nb\n"},
		"a file that is there":  {before: "0\n", want: "0\na\nb\n"},
		"a file that was torn":  {before: "0\n{\"half", want: "0\n{\"half\na\nb\n"},
		"renamed":               {between: func(_ *File, path string) error { return os.Rename(path, path+".1") }, want: "b\n", old: "a\n"},
		"removed":               {between: func(_ *File, path string) error { return os.Remove(path) }, want: "b\n"},
		"cut":                   {between: func(_ *File, path string) error { return os.Truncate(path, 0) }, want: "b\n"},
		"told to open it again": {between: func(f *File, _ string) error { f.Reopen(); return nil }, want: "a\nb\n"},
		"renamed, and another one made": {
			between: func(_ *File, path string) error {
				return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, []byte("made\n"), 0o600))
			},
			want: "made\nb\n", old: "a\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "audit.log")
			if test.before != "" {
				if err := os.WriteFile(path, []byte(test.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			f := openFile(t, path)
			mustAppend(t, f, "a")
			if test.between != nil {
				if err := test.between(f, path); err != nil {
					t.Fatal(err)
				}
			}
			mustAppend(t, f, "b")
			if err := f.Sync(); err != nil {
				t.Error(err)
			}
			wantContent(t, path, test.want)
			if test.old != "" {
				wantContent(t, path+".1", test.old)
			}
			if about, err := os.Stat(path); err != nil || about.Mode().Perm() != 0o600 {
				t.Errorf("the mode is %v, %v", about.Mode(), err)
			}
		})
	}
}

// TestFileCannotBeOpened shows that lines are refused, and written again, when the name leads nowhere for a while.
func TestFileCannotBeOpened(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "log")
	path := filepath.Join(folder, "audit.log")
	if _, err := OpenFile(path); err == nil {
		t.Error("a file in no folder was opened")
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, path)
	mustAppend(t, f, "a")
	if err := os.Rename(folder, folder+".1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Append([]byte("b\n")); err == nil {
		t.Error("a line went where nobody looks for it")
	}
	if err := os.Rename(folder+".1", folder); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, f, "c")
	wantContent(t, path, "a\nc\n")
}

// TestFileHasOneWriter shows that a second File is turned away as long as there is the first.
func TestFileHasOneWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	f := openFile(t, path)
	if _, err := OpenFile(path); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second one: got %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	openFile(t, path)
}

// TestFileFull shows that a device without room refuses a line, and that there is nothing to sync on it.
func TestFileFull(t *testing.T) {
	t.Parallel()
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("the system has no " + full)
	}
	f := openFile(t, full)
	if err := f.Append([]byte("a\n")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Errorf("sync: %v", err)
	}
}

// limitVariable tells a process that it is the one that TestFileTakesBack starts.
const limitVariable = "EDUCATION_TEST_LIMITED_FILE"

// TestFileTakesBack shows, with a limit on the size of files, which takes as much of a line as fits like a full disk does,
// that nothing stays of a line which did not fit. The limit is one of a whole process, so the test has one of its own.
func TestFileTakesBack(t *testing.T) {
	t.Parallel()
	if path := os.Getenv(limitVariable); path != "" {
		takeBack(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	command := exec.Command(os.Args[0], "-test.run=^TestFileTakesBack$")
	command.Env = append(os.Environ(), limitVariable+"="+path)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	wantContent(t, path, "first\nlast\n")
}

func takeBack(t *testing.T, path string) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, path)
	mustAppend(t, f, "first")
	for _, room := range []uint64{1, 7, 19} {
		narrow := syscall.Rlimit{Cur: uint64(len("first\n")) + room, Max: limit.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &narrow); err != nil {
			t.Fatal(err)
		}
		if err := f.Append([]byte("a line for which there is no room\n")); !errors.Is(err, syscall.EFBIG) {
			t.Errorf("got %v", err)
		}
		wantContent(t, path, "first\n")
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, f, "last")
}

// TestStreamEndsLines shows that half a line which cannot be taken back is ended before the next one.
func TestStreamEndsLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stream")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	f := Stream(file)
	mustAppend(t, f, "a")
	if _, err := file.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	f.takeBack(int64(len("half")))
	mustAppend(t, f, "b")
	f.Reopen()
	mustAppend(t, f, "c")
	wantContent(t, path, "a\nhalf\nb\nc\n")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := file.WriteString("open"); err != nil {
		t.Errorf("the stream was closed: %v", err)
	}
}

// TestFileRotatesUnderLoad shows that writers who append and sync lose no line while the file is renamed.
func TestFileRotatesUnderLoad(t *testing.T) {
	t.Parallel()
	const writers, lines, rotations = 8, 200, 20
	path := filepath.Join(t.TempDir(), "audit.log")
	f := openFile(t, path)
	var running sync.WaitGroup
	for writer := range writers {
		running.Go(func() {
			for line := range lines {
				text := encode(gap{Time: fmt.Sprint(writer), Lost: line})
				if err := errors.Join(f.Append(text), f.Sync()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	names := []string{path}
	for rotation := range rotations {
		name := fmt.Sprintf("%s.%d", path, rotation)
		if err := os.Rename(path, name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		} else if err == nil {
			names = append(names, name)
		}
	}
	running.Wait()
	var all []string
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for line := range bytes.Lines(content) {
			if !json.Valid(line) || line[len(line)-1] != '\n' {
				t.Errorf("%s holds a broken line: %q", name, line)
			}
			all = append(all, string(line))
		}
	}
	slices.Sort(all)
	if got := len(slices.Compact(all)); got != writers*lines {
		t.Errorf("got %d lines, want %d", got, writers*lines)
	}
}

// TestSyncFailsForAll holds that a line which a failed fsync(2) was to put on disk does not count as being there when the next one
// succeeds: the system reports a failure once, and forgets what it has not written.
func TestSyncFailsForAll(t *testing.T) {
	t.Parallel()
	f, err := OpenFile(filepath.Join(t.TempDir(), "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	broken := errors.New("input/output error")
	asked, both := make(chan struct{}), make(chan struct{})
	f.fsync = func(*os.File) error {
		close(asked)
		<-both
		f.fsync = (*os.File).Sync
		return broken
	}
	add := func() {
		t.Helper()
		if err := f.Append([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
	}
	add()
	add()
	results := make(chan error, 2)
	go func() { results <- f.Sync() }()
	<-asked
	go func() { results <- f.Sync() }()
	time.Sleep(10 * time.Millisecond) // The second one waits for the first.
	close(both)
	for range 2 {
		if err := <-results; !errors.Is(err, broken) {
			t.Errorf("a line that may not be on disk: %v", err)
		}
	}
	add()
	if err := f.Sync(); err != nil {
		t.Errorf("a line that is on disk: %v", err)
	}
}

// TestNobodyReads holds that a pipe which nobody reads keeps a writer waiting once, and that every line that was not refused, and
// the one that it waited with, is there whole when somebody does.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	f := Stream(writer)
	line := func(i int) string { return fmt.Sprintf("%0999d", i) }
	var want []string
	number := 0
	for ; err == nil && number < 1000; number++ { // A pipe holds 64 KiB (pipe(7)).
		want = append(want, line(number))
		err = f.Append([]byte(line(number) + "\n"))
	}
	if !errors.Is(err, errStalled) {
		t.Fatalf("a full pipe: %v", err)
	}
	begin := time.Now()
	const more = 60
	for range more {
		if err := f.Append([]byte("refused\n")); !errors.Is(err, errStalled) {
			t.Fatalf("a full pipe: %v", err)
		}
	}
	if took := time.Since(begin); took > more*writePatience/2 {
		t.Errorf("%d further lines waited for %v", more, took)
	}
	var got []byte
	done := make(chan error, 1)
	go func() {
		var err error
		got, err = io.ReadAll(reader)
		done <- err
	}()
	want = append(want, "last")
	for deadline := time.Now().Add(10 * time.Second); f.Append([]byte("last\n")) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a pipe that is read takes no line")
		}
	}
	if err := errors.Join(f.Close(), writer.Close(), <-done, reader.Close()); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSuffix(string(got), "\n"), "\n"); !slices.Equal(lines, want) {
		t.Errorf("got %d lines, want %d", len(lines), len(want))
	}
}

// TestFileInPlaceOfADevice holds that a file is written which takes the name of something that could not be written.
func TestFileInPlaceOfADevice(t *testing.T) {
	t.Parallel()
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("there is no device that is always full:", err)
	}
	path := filepath.Join(t.TempDir(), "audit")
	if err := os.Symlink(full, path); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, path)
	if err := f.Append([]byte("a\n")); err == nil {
		t.Error("a full device takes a line")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, f, "b")
	wantContent(t, path, "b\n")
}
