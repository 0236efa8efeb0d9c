package ldapserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// endWithParent has the kernel kill a program when the thread that starts it ends.
func endWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// isStopped reports whether every thread of a process has stopped. SIGSTOP reaches those that run on other processors a
// moment after kill(2) has returned.
func isStopped(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, thread := range threads {
		// The state is behind the program's name, which is in parentheses (proc(5)).
		text, err := os.ReadFile(thread)
		_, behind, ok := strings.Cut(string(text), ") ")
		if err == nil && ok && !strings.HasPrefix(behind, "T") {
			return false
		}
	}
	return err == nil
}

// cpuTime returns how long the threads of a process have run, to the nanosecond (Linux, Documentation/scheduler/sched-stats,
// "/proc/<pid>/schedstat"). The times of threads that have ended are not in it.
func cpuTime(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			continue // The thread has ended meanwhile.
		}
		var nanoseconds time.Duration
		if _, err := fmt.Sscan(string(text), &nanoseconds); err != nil {
			return 0, fmt.Errorf("%s: %w", thread, err)
		}
		sum += nanoseconds
	}
	return sum, nil
}
