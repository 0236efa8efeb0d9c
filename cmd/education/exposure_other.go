//go:build !unix

package main

import "io/fs"

// readers says who but the owner can read or change a file by its mode, which says nothing here.
func readers(fs.FileInfo) string { return "" }

// writers says who but the owner can change a file by its mode, which says nothing here.
func writers(fs.FileInfo) string { return "" }

// isShared reports whether others can put something in the place of an entry of a folder, which its mode does not say here.
func isShared(folder, entry string) bool { return false }
