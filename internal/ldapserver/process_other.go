//go:build !linux

package ldapserver

import "os/exec"

// endWithParent does nothing: only Linux ends programs with their parent. Elsewhere a test binary that is killed leaves
// its servers behind.
func endWithParent(*exec.Cmd) {}
