//go:build unix

package tokenfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lock locks the file at path, which it makes if it is not there, against all other processes that do the same (flock(2)), and
// returns what unlocks it. The lock ends with the process, however that ends.
func lock(ctx context.Context, path string) (unlock func() error, err error) {
	file, err := openLock(path)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return file.Close, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), file.Close())
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("another process has locked %s: %w", path, context.Cause(ctx)), file.Close())
		}
	}
}

// openLock opens the lock file, and makes it if it is not there. One that root makes belongs to the owner of the folder, so that
// the user of the service can lock it, too. Only a file that was made just now is given away: what has the name otherwise may
// be a link of somebody's to another file.
func openLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil || os.Geteuid() != 0 {
		return file, err
	}
	about, err := os.Stat(filepath.Dir(path))
	if err == nil {
		owner := about.Sys().(*syscall.Stat_t) // It is, on Unix-like systems (package syscall).
		err = file.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	return file, nil
}
