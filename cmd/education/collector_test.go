package main

import (
	"context"
	"net"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGCPercent(t *testing.T) {
	const mebibyte = 1 << 20
	for _, test := range []struct {
		base        int
		inUse       uint64
		connections int
		want        int
	}{
		{100, 40 * mebibyte, 0, 100},
		{100, 40 * mebibyte, 20, 100},
		{100, 40 * mebibyte, 2000, 410}, // 125 MiB more
		{100, 400 * mebibyte, 2000, 130},
		{100, 0, 32, 150},
		{100, mebibyte, 100_000, maxGCPercent},
		{50, 40 * mebibyte, 2000, 360},
		{1000, 40 * mebibyte, 2000, 1000},
	} {
		if got := gcPercent(test.base, test.inUse, test.connections); got != test.want {
			t.Errorf("GOGC=%d, %d bytes in use, %d connections: %d, want %d", test.base, test.inUse, test.connections, got, test.want)
		}
	}
}

// TestAdjustCollector holds that the collector follows the number of connections, and is at the end what it was before.
func TestAdjustCollector(t *testing.T) {
	before := debug.SetGCPercent(70)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	synctest.Test(t, func(t *testing.T) {
		var connections atomic.Int64
		ctx, end := context.WithCancel(t.Context())
		go adjustCollector(ctx, func() int { return int(connections.Load()) })
		for _, step := range []struct {
			connections int64
			more        bool
		}{{0, false}, {1_000_000, true}, {0, false}, {1_000_000, true}} {
			connections.Store(step.connections)
			time.Sleep(collectorInterval)
			synctest.Wait()
			if got := readMetric("/gc/gogc:percent"); got > 70 != step.more {
				t.Errorf("with %d connections GOGC is %d", step.connections, got)
			}
		}
		end()
		synctest.Wait()
		if got := readMetric("/gc/gogc:percent"); got != 70 {
			t.Errorf("GOGC is %d at the end, not what it was", got)
		}
	})
}

// TestCollectorOfService holds that the service follows the connections that it has, also if their number has no bound.
func TestCollectorOfService(t *testing.T) {
	base := readMetric("/gc/gogc:percent")
	for _, limit := range []string{"8192", "0"} {
		s := start(t, t.TempDir(), "EDUCATION_LIMIT_CONNECTIONS="+limit)
		connections := make([]net.Conn, 500)
		for i := range connections {
			var err error
			if connections[i], err = net.Dial("tcp", s.HTTP); err != nil {
				t.Fatal(err)
			}
		}
		for deadline := time.Now().Add(10 * time.Second); readMetric("/gc/gogc:percent") <= base; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("with EDUCATION_LIMIT_CONNECTIONS=%s and 500 connections GOGC is %d still", limit, base)
			}
		}
		for _, connection := range connections {
			_ = connection.Close()
		}
		s.stop()
		if got := readMetric("/gc/gogc:percent"); got != base {
			t.Errorf("after the service GOGC is %d, want %d", got, base)
		}
	}
}

// TestCollectorThatIsOff holds that GOGC=off stays what it is.
func TestCollectorThatIsOff(t *testing.T) {
	before := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	adjustCollector(t.Context(), func() int { return 1_000_000 }) // returns
	if now := debug.SetGCPercent(-1); now != -1 {
		t.Errorf("GOGC is %d", now)
	}
}
