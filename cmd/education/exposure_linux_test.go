package main

import (
	"path/filepath"
	"syscall"
	"testing"
)

// TestReadOnlyFolder shows that the mode of a folder that nobody can write means nothing, as that of a ConfigMap in Kubernetes.
func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	folder := openFolder(t)
	if err := syscall.Mount("none", folder, "tmpfs", syscall.MS_RDONLY, "mode=777"); err != nil {
		t.Skip("no file system can be mounted: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(folder, 0) })
	if isShared(folder, filepath.Join(folder, "issuers.json")) {
		t.Error("others are taken to be able to write where nobody can")
	}
}
