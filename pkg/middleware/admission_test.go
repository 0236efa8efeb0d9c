package middleware

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/odata"
)

// gate drives an admission: it knows who has been admitted, in which order, and who was refused.
type gate struct {
	*admission
	mutex    sync.Mutex
	admitted []string
	inside   map[string][]*waiter
	refused  map[string][]*refusal
}

func newGate(limits Limits) *gate {
	return &gate{admission: newAdmission(limits), inside: map[string][]*waiter{}, refused: map[string][]*refusal{}}
}

// ask sends a number of requests of a party, one after the other, and returns when each runs, waits or is refused.
func (g *gate) ask(ctx context.Context, name string, count int) {
	for range count {
		go func() {
			admitted, refused := g.enter(ctx, name, g.reads != math.MaxInt)
			g.mutex.Lock()
			defer g.mutex.Unlock()
			switch {
			case admitted != nil:
				g.admitted = append(g.admitted, name)
				g.inside[name] = append(g.inside[name], admitted)
			case refused != nil:
				g.refused[name] = append(g.refused[name], refused)
			}
		}()
		synctest.Wait()
	}
}

// end ends the request of a party that has run for longest.
func (g *gate) end(name string) {
	g.mutex.Lock()
	first := g.inside[name][0]
	g.inside[name] = g.inside[name][1:]
	g.mutex.Unlock()
	first.leave()
	synctest.Wait()
}

// endAll ends all requests, those that are admitted meanwhile included.
func (g *gate) endAll() {
	for {
		g.mutex.Lock()
		name := ""
		for candidate, inside := range g.inside {
			if len(inside) > 0 {
				name = candidate
			}
		}
		g.mutex.Unlock()
		if name == "" {
			return
		}
		g.end(name)
	}
}

// order returns who has been admitted so far.
func (g *gate) order() []string {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return slices.Clone(g.admitted)
}

// refusals returns the refusals so far.
func (g *gate) refusals() map[string][]*refusal {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return maps.Clone(g.refused)
}

func TestAdmissionConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{Concurrency: 2})
		g.ask(t.Context(), "a", 4)
		g.ask(t.Context(), "b", 1)
		if diff := cmp.Diff([]string{"a", "a", "b"}, g.order()); diff != "" {
			t.Errorf("admitted (-want +got):\n%s", diff)
		}
		g.end("b")
		if len(g.order()) != 3 {
			t.Errorf("the end of another's request admits one of a: %v", g.order())
		}
		g.end("a")
		if diff := cmp.Diff([]string{"a", "a", "b", "a"}, g.order()); diff != "" {
			t.Errorf("after one of a has ended (-want +got):\n%s", diff)
		}
		g.endAll()
	})
}

// TestAdmissionTakesTurns shows that a party with many waiting requests delays the one request of another by one.
func TestAdmissionTakesTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{Running: 1})
		g.ask(t.Context(), "a", 5)
		g.ask(t.Context(), "b", 3)
		g.ask(t.Context(), "c", 1)
		for range 8 {
			order := g.order()
			g.end(order[len(order)-1])
		}
		if diff := cmp.Diff([]string{"a", "a", "b", "c", "a", "b", "a", "b", "a"}, g.order()); diff != "" {
			t.Errorf("admitted (-want +got):\n%s", diff)
		}
		g.endAll()
	})
}

// TestAdmissionTurnsOfThoseWhoMay shows that a party that has all it may have does not keep the rest from running.
func TestAdmissionTurnsOfThoseWhoMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{Running: 3, Concurrency: 2})
		g.ask(t.Context(), "a", 4)
		g.ask(t.Context(), "b", 2)
		if diff := cmp.Diff([]string{"a", "a", "b"}, g.order()); diff != "" {
			t.Errorf("admitted (-want +got):\n%s", diff)
		}
		g.end("b")
		if diff := cmp.Diff([]string{"a", "a", "b", "b"}, g.order()); diff != "" {
			t.Errorf("b goes on (-want +got):\n%s", diff)
		}
		g.endAll()
		if g.running != 0 || g.waiting != 0 || len(g.order()) != 6 {
			t.Errorf("at the end: %d running, %d waiting, admitted %v", g.running, g.waiting, g.order())
		}
	})
}

// TestAdmissionRate shows that requests over the rate wait for their second and come in their order, whatever others do.
func TestAdmissionRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{Rate: 10})
		g.ask(t.Context(), "a", 25)
		g.ask(t.Context(), "b", 1)
		counts := []int{len(g.order())}
		for range 3 {
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			counts = append(counts, len(g.order()))
		}
		if diff := cmp.Diff([]int{11, 16, 21, 26}, counts); diff != "" {
			t.Errorf("admitted after each half second (-want +got):\n%s", diff)
		}
		g.endAll()
	})
}

// TestAdmissionReads shows that a party has to do with fewer reads while others ask, each of which counts for a second.
func TestAdmissionReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{ContendedReads: 1})
		g.ask(t.Context(), "a", 3)
		if len(g.order()) != 3 {
			t.Errorf("alone: admitted %v", g.order())
		}
		g.ask(t.Context(), "b", 2)
		g.ask(t.Context(), "a", 1)
		if diff := cmp.Diff([]string{"a", "a", "a", "b"}, g.order()); diff != "" {
			t.Errorf("while others ask (-want +got):\n%s", diff)
		}
		time.Sleep(readAge)
		synctest.Wait()
		if len(g.order()) != 6 {
			t.Errorf("when the reads have aged: admitted %v", g.order())
		}
		time.Sleep(contention)
		g.ask(t.Context(), "a", 3)
		if len(g.order()) != 9 {
			t.Errorf("alone again: admitted %v", g.order())
		}
		g.endAll()
		if g.parties["a"].young != 0 || g.parties["b"].young != 0 {
			t.Errorf("at the end %d and %d reads are young", g.parties["a"].young, g.parties["b"].young)
		}
	})
}

func TestAdmissionRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits Limits
		limit  limitName
		code   odata.Code
		// wait is what the first that is refused is told, with a queue that moves by the rate alone.
		wait time.Duration
	}{
		{"rate", Limits{Rate: 100}, limitRate, odata.ActivityLimitReached, 10*time.Second + 10*time.Millisecond},
		{"a low rate", Limits{Rate: 10}, limitRate, odata.ActivityLimitReached, 100 * time.Second},
		{"concurrency", Limits{Concurrency: 1}, limitConcurrency, odata.ActivityLimitReached, time.Second},
		{"capacity", Limits{Running: 1}, limitRunning, odata.ServiceNotAvailable, time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				g := newGate(test.limits)
				free := max(1, test.limits.Rate)
				g.ask(ctx, "a", free+maxWaiting+1)
				if len(g.order()) != free || len(g.refusals()["a"]) != 1 {
					t.Fatalf("admitted %d, refused %d", len(g.order()), len(g.refusals()["a"]))
				}
				got := g.refusals()["a"][0]
				if got.limit != test.limit || got.code != test.code || got.retryAfter != test.wait {
					t.Errorf("got %s, %v, %v", got.limit, got.code, got.retryAfter)
				}
				g.endAll()
				cancel()
				synctest.Wait()
				if g.waiting != 0 || g.party("a").waiting.Len() != 0 {
					t.Errorf("%d wait although their clients have gone", g.waiting)
				}
				g.endAll()
			})
		})
	}
}

// TestAdmissionPromises shows that clients which do as they are told find room when they come back.
func TestAdmissionPromises(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const clients = 2500
		g := newGate(Limits{Rate: 100})
		late := 0
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for tries := 0; ; tries++ {
					admitted, refused := g.enter(t.Context(), "a", false)
					if admitted != nil {
						admitted.leave()
						return
					}
					if refused.limit != limitRate {
						t.Errorf("refused by %s", refused.limit)
					}
					if tries == 1 {
						g.mutex.Lock()
						late++
						g.mutex.Unlock()
					}
					time.Sleep(min(refused.retryAfter, odata.MaxRetryAfter).Truncate(time.Second) + time.Second)
				}
			})
		}
		all.Wait()
		if late > clients/100 {
			t.Errorf("%d of %d clients came back in vain", late, clients)
		}
	})
}

func TestAdmissionWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{Running: 1})
		g.ask(t.Context(), "a", 1)
		g.ask(t.Context(), "b", 1)
		time.Sleep(maxWait - time.Nanosecond)
		synctest.Wait()
		if len(g.refusals()["b"]) != 0 {
			t.Error("refused too soon")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if len(g.refusals()["b"]) != 1 || g.refusals()["b"][0].code != odata.ServiceNotAvailable || g.refusals()["b"][0].retryAfter < time.Second {
			t.Errorf("refused: %+v", g.refusals()["b"])
		}
		g.endAll()
	})
}

// TestAdmissionMakesRoom shows that those with few requests find room to wait where all of it is taken by others.
func TestAdmissionMakesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := newGate(Limits{Running: 1})
		g.ask(ctx, "first", 1)
		for i := range maxWaitingInAll / maxWaiting {
			g.ask(ctx, fmt.Sprint("many", i), maxWaiting)
		}
		g.ask(ctx, "few", 2)
		if g.waiting != maxWaitingInAll || g.party("few").waiting.Len() != 2 {
			t.Errorf("%d wait, of whom %d are the few", g.waiting, g.party("few").waiting.Len())
		}
		refused := 0
		for name, refusals := range g.refusals() {
			refused += len(refusals)
			if name == "few" || refusals[0].code != odata.ServiceNotAvailable {
				t.Errorf("%s: %+v", name, refusals[0])
			}
		}
		if refused != 2 {
			t.Errorf("%d of the others were refused, want 2", refused)
		}
		cancel()
		synctest.Wait()
		g.endAll()
	})
}

// TestAdmissionPauses shows that a request which waits for its client leaves its place to others, and comes back before those of its
// party that have not begun.
func TestAdmissionPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{Concurrency: 1, Running: 1})
		g.ask(t.Context(), "a", 3)
		paused := g.inside["a"][0]
		paused.pause()
		synctest.Wait()
		if len(g.order()) != 2 {
			t.Errorf("while one pauses: admitted %v", g.order())
		}
		var resumed bool
		go func() { resumed = paused.resume(t.Context()) == nil }()
		synctest.Wait()
		if resumed {
			t.Error("the request goes on while another has its place")
		}
		g.inside["a"][1].leave()
		synctest.Wait()
		if !resumed || len(g.order()) != 2 {
			t.Errorf("resumed: %t, admitted %v: want the one that had begun", resumed, g.order())
		}
		g.inside["a"] = []*waiter{paused}
		g.endAll()
		if p := g.parties["a"]; g.running != 0 || p.paused != 0 || len(g.order()) != 3 {
			t.Errorf("at the end: %d running, %d paused, admitted %v", g.running, p.paused, g.order())
		}
	})
}

// TestAdmissionPausedIsGone shows that a request may end while it pauses, or while it waits to go on.
func TestAdmissionPausedIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{Running: 1, ContendedReads: 1, Rate: 1})
		g.ask(t.Context(), "a", 1)
		g.inside["a"][0].pause()
		g.ask(t.Context(), "b", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.inside["a"][0].resume(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v while there was no place", err)
		}
		g.endAll()
		if p := g.parties["a"]; g.running != 0 || p.running != 0 || p.paused != 0 || p.young != 0 || p.resuming.Len() != 0 {
			t.Errorf("at the end: %d running, of the party %d, %d paused, %d young, %d resuming", g.running, p.running, p.paused, p.young, p.resuming.Len())
		}
	})
}

func TestAdmissionForgetsParties(t *testing.T) {
	t.Parallel()
	g := newAdmission(Limits{Rate: 1000})
	busy, _ := g.enter(t.Context(), "busy", false)
	for i := range 3 * manyParties {
		admitted, refused := g.enter(t.Context(), fmt.Sprint(i), false)
		if refused != nil {
			t.Fatal(refused)
		}
		admitted.leave()
		time.Sleep(2 * time.Microsecond)
	}
	if got := len(g.parties); got > 2*manyParties {
		t.Errorf("%d parties are remembered", got)
	}
	if g.parties["busy"] == nil {
		t.Error("a party with a running request is forgotten")
	}
	busy.pause()
	g.mutex.Lock()
	g.sweep()
	if g.parties["busy"] == nil {
		t.Error("a party with a request that pauses is forgotten")
	}
	g.mutex.Unlock()
	busy.leave()
}

// TestAdmissionUnderLoad has many requests of several parties run, with and without the race detector, and expects all
// bounds to hold and nothing to be left.
func TestAdmissionUnderLoad(t *testing.T) {
	t.Parallel()
	const concurrency, capacity = 3, 5
	a := newAdmission(Limits{Rate: 5000, Concurrency: concurrency, ContendedReads: 1, Running: capacity})
	var mutex sync.Mutex
	running := map[string]int{}
	note := func(name string, change int) {
		mutex.Lock()
		defer mutex.Unlock()
		running[name] += change
		running["all"] += change
		if running[name] > concurrency || running["all"] > capacity {
			t.Errorf("running: %v", running)
		}
	}
	var all sync.WaitGroup
	for i := range 40 {
		name := []string{"a", "b", "c"}[i%3]
		all.Go(func() {
			for j := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				if j%7 == 0 {
					time.AfterFunc(50*time.Microsecond, cancel)
				}
				if admitted, _ := a.enter(ctx, name, j%2 == 0); admitted != nil {
					note(name, 1)
					time.Sleep(20 * time.Microsecond)
					note(name, -1)
					if j%5 == 0 {
						admitted.pause()
						time.Sleep(10 * time.Microsecond)
						if admitted.resume(ctx) == nil {
							note(name, 1)
							note(name, -1)
						}
					}
					admitted.leave()
				}
				cancel()
			}
		})
	}
	all.Wait()
	a.mutex.Lock()
	defer a.mutex.Unlock()
	waiting := slices.ContainsFunc([]string{"a", "b", "c"}, func(name string) bool { return a.parties[name].waiting.Len() > 0 })
	young := slices.ContainsFunc([]string{"a", "b", "c"}, func(name string) bool { return a.parties[name].young+a.parties[name].paused != 0 })
	if a.running != 0 || a.waiting != 0 || waiting || young {
		t.Errorf("at the end: %d running, %d waiting", a.running, a.waiting)
	}
}

// BenchmarkAdmission measures what the admission of a request costs that does not have to wait.
func BenchmarkAdmission(b *testing.B) {
	a := newAdmission(Limits{Concurrency: 16, Running: 64})
	b.ReportAllocs()
	for b.Loop() {
		admitted, _ := a.enter(b.Context(), "a", true)
		admitted.leave()
	}
}
