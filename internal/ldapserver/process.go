package ldapserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// patience is how long a server may take to come up or to go down.
const patience = 60 * time.Second

// process is a program that runs beside the test. It ends with the test binary, however that ends.
type process struct {
	command *exec.Cmd
	// done is closed when the program has ended.
	done chan struct{}
}

// startProcess runs a command, whose output is appended to a file.
func startProcess(command *exec.Cmd, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command.Stdout, command.Stderr = log, log
	endWithParent(command)
	p := &process{command: command, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// For the kernel the parent is the thread that started the program (prctl(2), PR_SET_PDEATHSIG), so this one
		// stays for as long as the program runs.
		runtime.LockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // How it ended is in its log.
			close(p.done)
		}
	}()
	return p, <-started
}

// running reports whether the program has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends a signal to the program, and to no other that has its number by now.
func (p *process) signal(signal syscall.Signal) error {
	if !p.running() {
		return errors.New("the server is not running")
	}
	return p.command.Process.Signal(signal)
}

// end sends a signal and waits until the program has ended. One that does not end in time is killed, which is an error.
func (p *process) end(signal syscall.Signal) error {
	if err := p.signal(signal); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
	}
	_ = p.command.Process.Kill()
	<-p.done
	return fmt.Errorf("the server did not end within %v of %v", patience, signal)
}

// pause stops the program where it is, every thread of it.
func (p *process) pause() error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if isStopped(p.command.Process.Pid) {
			return nil
		}
	}
	return fmt.Errorf("the server did not stop within %v", patience)
}

// tail returns the last lines of a text file, for messages about a program that failed.
func tail(file string) string {
	const lines = 20
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
