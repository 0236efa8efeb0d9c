package identitytest

import (
	"os"
	"testing"
)

// variableThorough is the variable of the environment that asks for the largest numbers, as make thorough does.
const variableThorough = "EDUCATION_TEST_THOROUGH"

// Effort returns how often something is tried, or how much of it there is: a few in short mode, which the race detector's run
// asks for, as many as every change is tested with, or as many as make thorough takes its time for.
func Effort(short, usual, thorough int) int {
	switch {
	case Thorough():
		return thorough
	case testing.Short():
		return short
	default:
		return usual
	}
}

// Thorough reports whether the largest numbers are asked for, and what every change is too often for.
func Thorough() bool { return os.Getenv(variableThorough) != "" }
