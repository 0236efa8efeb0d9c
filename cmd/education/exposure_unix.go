//go:build unix

package main

import (
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
