//go:build race

package odata

// underRaceDetector says whether the race detector looks on, which makes everything many times slower.
const underRaceDetector = true
