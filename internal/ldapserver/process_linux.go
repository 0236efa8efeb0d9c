package ldapserver

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel kill a program when the thread that starts it ends.
func endWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
