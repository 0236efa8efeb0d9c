package remote

import (
	"log/slog"
	"sync"
	"testing"
)

// TestUseDuringTheFirstDecision has many ask for a server at the moment when the first decision falls. Who has looked before it waits
// for it: no server and no error would be taken for an operation that has been carried out.
func TestUseDuringTheFirstDecision(t *testing.T) {
	t.Parallel()
	for range 20_000 {
		winner := &server{}
		k := newKeeper([]*server{winner}, hasty, slog.New(slog.DiscardHandler))
		k.start = func() {}
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				if in, err := k.use(t.Context()); in.server != winner || err != nil {
					t.Errorf("got %v, %v", in.server, err)
				}
			})
		}
		k.mu.Lock()
		k.current = choice{server: winner, epoch: 1}
		close(k.decided)
		k.mu.Unlock()
		wait.Wait()
		if t.Failed() {
			return
		}
	}
}
