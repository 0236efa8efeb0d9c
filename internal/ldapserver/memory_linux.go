package ldapserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const (
	// memory is where Linux keeps files in memory (shm_overview(7)).
	memory = "/dev/shm"
	// tmpfs is the type of such a file system (statfs(2)).
	tmpfs = 0x01021994
	// memoryNeeded is how much must be free there, in bytes. A server of the tests takes some hundred megabytes, and what it
	// cannot write ends it.
	memoryNeeded = 1 << 30
	// memoryPrefix begins the names of the folders there. The id of the test's process follows.
	memoryPrefix = "ldap-"
)

// sweepMemory is done once in a process.
var sweepMemory sync.Once

// memoryFolder makes a folder whose files are in memory. Without room for it the name is empty, and so is it where memory
// is not what this package knows.
func memoryFolder() (string, error) {
	var about syscall.Statfs_t
	if err := syscall.Statfs(memory, &about); err != nil || about.Type != tmpfs {
		return "", nil
	}
	sweepMemory.Do(func() { sweep(memory) })
	if about.Bavail*uint64(about.Bsize) < memoryNeeded {
		return "", nil
	}
	return os.MkdirTemp(memory, fmt.Sprintf("%s%d-", memoryPrefix, os.Getpid()))
}

// sweep removes the folders of processes that have been killed: memory is scarcer than disk.
func sweep(parent string) {
	folders, _ := filepath.Glob(filepath.Join(parent, memoryPrefix+"*-*"))
	for _, folder := range folders {
		text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), memoryPrefix), "-")
		id, err := strconv.Atoi(text)
		// Signal 0 looks whether the process is there (kill(2)).
		if err == nil && syscall.Kill(id, 0) == syscall.ESRCH {
			_ = os.RemoveAll(folder)
		}
	}
}
