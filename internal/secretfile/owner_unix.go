//go:build unix

package secretfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// keepOwner gives a new file to the owner of the one at path or, if there is none, of its folder. Only root can give files
// away (POSIX.1-2017, chown); to anybody else the file belongs already.
func keepOwner(file *os.File, path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	about, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		about, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	if owner, ok := about.Sys().(*syscall.Stat_t); ok {
		return file.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}
