//go:build race

package acceptance

// Under the race detector the service is built with it, too. A race that it finds is a line in the log that is not JSON, which
// fails the test.
func init() { buildFlags = []string{"-race"} }
