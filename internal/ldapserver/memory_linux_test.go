package ldapserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSweep holds that the folders of processes that are gone are removed, and no others.
func TestSweep(t *testing.T) {
	t.Parallel()
	gone := exec.CommandContext(t.Context(), "true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	for name, stays := range map[string]bool{
		fmt.Sprintf("ldap-%d-1", gone.Process.Pid):  false,
		fmt.Sprintf("ldap-%d-1", os.Getpid()):       true,
		"ldap-somebody-1":                           true,
		fmt.Sprintf("other-%d-1", gone.Process.Pid): true,
	} {
		if err := os.Mkdir(filepath.Join(parent, name), 0o700); err != nil {
			t.Fatal(err)
		}
		sweep(parent)
		if _, err := os.Stat(filepath.Join(parent, name)); stays != (err == nil) {
			t.Errorf("%s: %v, want it to stay: %v", name, err, stays)
		}
	}
}
