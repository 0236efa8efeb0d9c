//go:build unix

package main

import "syscall"

// openFiles returns how many files and connections the process may have open. The Go runtime has raised that at its start to
// what the process may ask for.
func openFiles() (count uint64, known bool) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return uint64(limit.Cur), err == nil //nolint:unconvert // Its type differs between systems.
}
