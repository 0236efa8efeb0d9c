//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// readers says who but the owner can read or change a file by its mode: "others", "group", or "" for nobody. A group that
// owns a file of another user's is how this process is let in, as with root:education and mode 0640, and is nobody.
func readers(about fs.FileInfo) string {
	mode := about.Mode().Perm()
	status, _ := about.Sys().(*syscall.Stat_t)
	switch {
	case mode&0o006 != 0:
		return "others"
	case mode&0o060 != 0 && (status == nil || int(status.Uid) == os.Geteuid()):
		return "group"
	}
	return ""
}

// writers says who but the owner can change a file by its mode: "others", or "" for nobody. The group is left out: where users
// have groups of their own, files are made so that it can write.
func writers(about fs.FileInfo) string {
	if about.Mode().Perm()&0o002 != 0 {
		return "others"
	}
	return ""
}

// forWriting is the mode of access(2) that asks whether something can be written (W_OK in POSIX.1-2017, unistd.h).
const forWriting = 2

// isShared reports whether others can put something in the place of an entry of a folder: they may write the folder, and it
// is not sticky, or the entry is not there or belongs to neither us nor root. A file system that nobody can write is none of
// that, whatever the mode: Kubernetes gives a ConfigMap's folder 0777.
func isShared(folder, entry string) bool {
	about, err := os.Stat(folder)
	if err != nil || about.Mode().Perm()&0o003 != 0o003 || errors.Is(syscall.Access(folder, forWriting), syscall.EROFS) {
		return false
	}
	if about.Mode()&fs.ModeSticky == 0 {
		return true
	}
	about, err = os.Lstat(entry)
	if err != nil {
		return true
	}
	status, ok := about.Sys().(*syscall.Stat_t)
	return ok && status.Uid != 0 && int(status.Uid) != os.Geteuid()
}
