//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package audit

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock makes sure that no other File appends to a file. The lock ends with the file's closing, and with the process. On file
// systems without locks everybody is let in.
func lock(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%s is written by another process: give each a file of its own", file.Name())
	}
	return nil
}
