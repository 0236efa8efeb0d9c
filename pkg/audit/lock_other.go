//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package audit

import "os"

// lock lets everybody in, because the system has no flock.
func lock(*os.File) error { return nil }
