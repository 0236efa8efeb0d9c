//go:build !linux

package ldapserver

import (
	"errors"
	"os/exec"
	"time"
)

// endWithParent does nothing: only Linux ends programs with their parent. Elsewhere a test binary that is killed leaves
// its servers behind.
func endWithParent(*exec.Cmd) {}

// isStopped takes the kernel at its word: only Linux shows the state of each thread.
func isStopped(int) bool { return true }

// cpuTime fails: only Linux shows the times of other processes to the nanosecond.
func cpuTime(int) (time.Duration, error) { return 0, errors.ErrUnsupported }
