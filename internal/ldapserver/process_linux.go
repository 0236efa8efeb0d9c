package ldapserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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
