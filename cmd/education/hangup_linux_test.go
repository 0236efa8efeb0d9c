package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// openTerminal opens a pseudo-terminal (pts(4)). Closing the master is what a window does that is closed.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	var number, locked uint32
	for request, value := range map[uintptr]*uint32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &locked} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, terminal
}

// serviceProcess is the service in a process of its own.
type serviceProcess struct {
	*exec.Cmd
	log   *bufio.Reader
	ended chan error
}

// startProcess starts a service in a process of its own, in a terminal or without one. hangUp is how it hears of the end of its
// terminal, or of a script.
func startProcess(t *testing.T, inTerminal bool, environment ...string) (s *serviceProcess, hangUp func()) {
	t.Helper()
	s = &serviceProcess{Cmd: exec.Command(os.Args[0], "serve"), ended: make(chan error, 1)}
	s.Env = append(os.Environ(), append(environment, serviceVariable+"=yes", "EDUCATION_HTTP_ADDR=127.0.0.1:0", "EDUCATION_LDAP_LISTEN=", "EDUCATION_LOG_FORMAT=json")...)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // A process that the tests start is not to inherit their nohup.
	var reader, writer *os.File
	if inTerminal {
		reader, writer = openTerminal(t)
		s.Stdin, s.SysProcAttr = writer, &syscall.SysProcAttr{Setsid: true, Setctty: true}
		hangUp = func() { _ = reader.Close() }
	} else {
		var err error
		if reader, writer, err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = reader.Close() })
		hangUp = func() { _ = s.Process.Signal(syscall.SIGHUP) }
	}
	s.log, s.Stderr = bufio.NewReader(reader), writer
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	go func() { s.ended <- s.Wait() }()
	t.Cleanup(func() { _ = s.Process.Kill() })
	return s, hangUp
}

// awaitListening returns when the service listens.
func (s *serviceProcess) awaitListening(t *testing.T) {
	t.Helper()
	for {
		text, err := s.log.ReadString('\n')
		var line struct{ Msg string }
		if _ = json.Unmarshal([]byte(text), &line); line.Msg == "listening" {
			return
		}
		if err != nil {
			t.Fatalf("the service does not listen: %v", err)
		}
	}
}

// awaitEnd expects that the service ends of its own accord, with status 0.
func (s *serviceProcess) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("the service ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the service does not end")
	}
}

// TestHangup shows that SIGHUP never ends a service without a terminal, and that one in a terminal ends with it, in an orderly
// way, with a record and without one.
func TestHangup(t *testing.T) {
	t.Parallel()
	for _, audit := range []string{"off", "on"} {
		for _, inTerminal := range []bool{false, true} {
			t.Run(fmt.Sprintf("audit %s, in a terminal %t", audit, inTerminal), func(t *testing.T) {
				t.Parallel()
				s, hangUp := startProcess(t, inTerminal, "EDUCATION_DATA_DIR="+t.TempDir(), "EDUCATION_AUDIT="+audit)
				s.awaitListening(t)
				hangUp()
				if !inTerminal {
					select {
					case err := <-s.ended:
						t.Fatalf("the service ended with %v", err)
					case <-time.After(200 * time.Millisecond):
					}
					_ = s.Process.Signal(syscall.SIGTERM)
				}
				s.awaitEnd(t)
			})
		}
	}
}

// TestHangupDuringStart stops a start where it reads its token, and shows that SIGHUP does not end it there.
func TestHangupDuringStart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	token, content := filepath.Join(folder, "token.txt"), strings.Repeat("0123456789abcdef", 3)+"xyz"
	if err := syscall.Mkfifo(token, 0o600); err != nil {
		t.Fatal(err)
	}
	s, hangUp := startProcess(t, false, "EDUCATION_DATA_DIR="+filepath.Join(folder, "data"), "EDUCATION_TOKEN_FILE="+token)
	fifo, err := os.OpenFile(token, os.O_WRONLY, 0) // Until the service opens it, too.
	if err != nil {
		t.Fatal(err)
	}
	hangUp()
	// The file is read again later.
	if err := os.WriteFile(token+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(token+".new", token); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(fifo, content); err != nil {
		t.Fatal(err)
	}
	_ = fifo.Close()
	s.awaitListening(t)
	_ = s.Process.Signal(syscall.SIGTERM)
	s.awaitEnd(t)
}
