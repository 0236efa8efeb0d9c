//go:build unix

package tokenfile

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestLockBelongsToTheFolder shows that a lock file which root makes belongs to the owner of the folder, and that root gives
// away no file that somebody has linked to in its place.
func TestLockBelongsToTheFolder(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	const service = 54321
	folder := t.TempDir()
	roots := filepath.Join(t.TempDir(), "roots")
	if err := os.WriteFile(roots, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(folder, service, service); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(roots, filepath.Join(folder, "linked")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{"lock": service, "linked": 0} {
		path := filepath.Join(folder, name)
		unlock, err := lock(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		about, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := about.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
		if err := unlock(); err != nil {
			t.Error(err)
		}
	}
}
