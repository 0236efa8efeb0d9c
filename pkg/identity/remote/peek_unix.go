//go:build unix

package remote

import (
	"net"
	"syscall"
)

// quiet reports whether an idle connection is open and has nothing to read. A server sends nothing unasked but that it
// ends the session, and the end itself.
func quiet(raw net.Conn) bool {
	socket, ok := raw.(syscall.Conn)
	if !ok {
		return true
	}
	control, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	// Control, unlike Read, does not mind the deadline that the last operation has left.
	err = control.Control(func(descriptor uintptr) {
		var octet [1]byte
		_, _, err := syscall.Recvfrom(int(descriptor), octet[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		open = err == syscall.EAGAIN //nolint:errorlint // an errno, never wrapped
	})
	return err == nil && open
}
