//go:build unix

package secretfile_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/opencloud-eu/education/internal/secretfile"
)

// ownerOf returns the number of a file's owner.
func ownerOf(t *testing.T, path string) int {
	t.Helper()
	about, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(about.Sys().(*syscall.Stat_t).Uid)
}

// TestWriteKeepsOwner shows that a file which root writes belongs to whom it belonged before, and a new one to the owner of its
// folder. Nobody else may try.
func TestWriteKeepsOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	const service = 54321
	folder := t.TempDir()
	if err := os.Chown(folder, service, service); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "secret")
	for range 2 {
		if err := secretfile.Write(path, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if got := ownerOf(t, path); got != service {
			t.Errorf("the file belongs to %d, want %d", got, service)
		}
		if err := os.Chown(folder, 0, 0); err != nil { // The second time the file itself says whose it is.
			t.Fatal(err)
		}
	}
}
