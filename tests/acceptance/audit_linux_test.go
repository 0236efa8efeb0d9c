package acceptance

import (
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
)

// mountSmall mounts a file system of a few pages.
func mountSmall(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=16k,mode=700"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// TestAuditOnAFullDisk lets a file system run full under changes that are made at the same time, and then makes room. No line
// may be broken; in required mode no change may be missing, and otherwise the record must say how many are.
func TestAuditOnAFullDisk(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"on", "required"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			folder := mountSmall(t)
			path := filepath.Join(folder, "audit.log")
			s := start(t, "EDUCATION_AUDIT="+mode, "EDUCATION_AUDIT_FILE="+path)
			s.troubled = true
			user := s.user(t)
			var made, refused atomic.Int64
			change := func(int) {
				switch status, body, err := s.raw(http.MethodPatch, "/users/"+user, `{"surname":"`+fresh(valueCanary)+`"}`); {
				case err == nil && status == http.StatusOK:
					made.Add(1)
				case err == nil && status == http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("a change: %d %s %v", status, body, err)
				}
			}
			made.Add(1)
			inParallel(200, 8, change)
			if full := s.audit(t, path); (refused.Load() > 0) != (mode == "required") || len(full) >= 200 {
				t.Fatalf("%d changes refused, %d lines: the disk did not run full", refused.Load(), len(full))
			}
			// As logrotate does, onto another disk.
			old := filepath.Join(t.TempDir(), "audit.log.1")
			content, err := os.ReadFile(path)
			if err := firstError(err, os.WriteFile(old, content, 0o600), os.Remove(path)); err != nil {
				t.Fatal(err)
			}
			change(0)
			s.checkFilled(t, append(s.audit(t, old), s.audit(t, path)...), mode == "required", int(made.Load()))
		})
	}
}
