// Package tokenfile keeps tokens in a file. The file holds what each of them permits, until when, and its digest; the token
// itself is shown once, to whoever makes it. Commands change the file while services read it: a change is in force within
// a second, without a restart and without a word between the processes.
package tokenfile
