//go:build !linux

package acceptance

// otherProcess reports that this program is nothing but a test: BenchmarkFlood, which needs others, is for Linux.
func otherProcess() bool { return false }
