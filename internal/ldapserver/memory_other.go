//go:build !linux

package ldapserver

// memoryFolder makes no folder: only Linux has a place for files in memory that is always the same.
func memoryFolder() (string, error) { return "", nil }
