package main

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The garbage collector runs, by default, when there is as much garbage as there is memory in use. A run costs a service with
// thousands of connections some 50 ms of both processors, and a client that floods it has it run once a second: that, and not
// the flood itself, is most of what other clients feel of it (docs/decisions/0021). So the more connections there are, the
// more garbage there may be.
const (
	// garbagePerConnection is how much more there may be for each connection, in bytes.
	garbagePerConnection = 64 << 10
	// maxGCPercent bounds all garbage in percent of the memory in use, as GOGC does.
	maxGCPercent = 800
	// leastInUse is what the memory in use is taken for until the collector has run, and the runtime's least goal.
	leastInUse = 4 << 20
	// collectorInterval is how often the number of connections is looked at.
	collectorInterval = time.Second
)

// adjustCollector adds to what GOGC says, for as long as ctx lasts, what the open connections permit. GOMEMLIMIT bounds the
// memory all the same; where the collector is off, it stays so.
func adjustCollector(ctx context.Context, open func() int) {
	base := readMetric("/gc/gogc:percent")
	if base > math.MaxInt32 { // off
		return
	}
	current := int(base)
	set := func(percent int) {
		if percent != current { // Setting it stops everything for a moment.
			debug.SetGCPercent(percent)
			current = percent
		}
	}
	defer set(int(base))
	ticker := time.NewTicker(collectorInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			set(gcPercent(int(base), memoryInUse(), open()))
		}
	}
}

// memoryInUse returns what GOGC is a percentage of, in bytes: the heap that was in use when the collector ran last, stacks and
// global variables (go.dev/doc/gc-guide, GOGC).
func memoryInUse() uint64 {
	return readMetric("/gc/heap/live:bytes") + readMetric("/gc/scan/stack:bytes") + readMetric("/gc/scan/globals:bytes")
}

// gcPercent returns how much garbage there may be, in percent of the memory in use, rounded to tens.
func gcPercent(base int, inUse uint64, connections int) int {
	more := 100 * garbagePerConnection * uint64(connections) / max(inUse, leastInUse)
	return max(base, min(base+int(more)/10*10, maxGCPercent))
}

// readMetric reads one of the runtime's metrics that is a number.
func readMetric(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
