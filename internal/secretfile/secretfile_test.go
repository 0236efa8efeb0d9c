package secretfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencloud-eu/education/internal/secretfile"
)

func TestEnsureMakesAndKeeps(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	made, err := secretfile.Ensure(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 43 {
		t.Errorf("got %d characters, want the 43 that hold 256 bits in base64", len(made))
	}
	about, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := about.Mode().Perm(); got != 0o600 {
		t.Errorf("got mode %o, want 600", got)
	}
	content, err := os.ReadFile(path)
	if err != nil || string(content) != made {
		t.Errorf("the file does not hold the secret and nothing else (error %v)", err)
	}
	again, err := secretfile.Ensure(path)
	if err != nil || again != made {
		t.Errorf("the second call does not return the first one's secret (error %v)", err)
	}
}

func TestEnsureReads(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, content, want string
	}{
		{"as it is", "chosen", "chosen"},
		{"without an editor's line feed", "chosen\n", "chosen"},
		{"without a Windows line end", "chosen\r\n", "chosen"},
		{"inner blanks kept", " a b \n", " a b "},
		{"empty", "\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := secretfile.Ensure(path)
			if got != test.want || (err != nil) != (test.want == "") {
				t.Errorf("got %q and error %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestEnsureInMissingFolder(t *testing.T) {
	t.Parallel()
	if _, err := secretfile.Ensure(filepath.Join(t.TempDir(), "missing", "secret")); err == nil {
		t.Error("got no error for a folder that does not exist")
	}
}

func TestWriteReplaces(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("before, and longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := secretfile.Write(path, []byte("after")); err != nil {
		t.Fatal(err)
	}
	about, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := about.Mode().Perm(); got != 0o600 {
		t.Errorf("got mode %o, want 600", got)
	}
	if content, err := os.ReadFile(path); string(content) != "after" {
		t.Errorf("got %q, %v", content, err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("the folder holds more than the file: %v, %v", files, err)
	}
}
