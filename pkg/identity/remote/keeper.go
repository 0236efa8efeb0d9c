package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// timing is when a server is chosen and given up.
type timing struct {
	// headStart is how long a server is waited for before the next one is asked as well.
	headStart time.Duration
	// firstPause and maxPause are the first and the longest wait between two attempts to reach a server while none
	// answers.
	firstPause, maxPause time.Duration
	// refusedPause is the wait after a server has refused the service's account: one that counts failed binds would
	// lock it.
	refusedPause time.Duration
	// failBackInterval is the time between two looks at the servers that are preferred to the one in use.
	failBackInterval time.Duration
	// failBackAfter is how long such a server must have answered every look.
	failBackAfter time.Duration
	// failBackQuiet is how long the client must not have written before it changes the server of its own accord.
	failBackQuiet time.Duration
}

var defaultTiming = timing{
	headStart:        time.Second,
	firstPause:       100 * time.Millisecond,
	maxPause:         400 * time.Millisecond,
	refusedPause:     5 * time.Second,
	failBackInterval: 2 * time.Second,
	failBackAfter:    30 * time.Second,
	failBackQuiet:    10 * time.Second,
}

// An UnavailableError says that no server can be used. It says nothing about the data.
type UnavailableError struct {
	// Causes has a line for each server.
	Causes []string
}

func (e *UnavailableError) Error() string {
	return "no LDAP server can be used: " + strings.Join(e.Causes, "; ")
}

// choice is the server in use, and the number of decisions that were made before.
type choice struct {
	server *server
	epoch  int
	// left ends when there is another decision. Whoever waits for a connection to the server does not get one any more.
	left  context.Context
	leave context.CancelFunc
}

// keeper decides which server is used.
type keeper struct {
	servers []*server
	timing  timing
	logger  *slog.Logger

	mu      sync.Mutex
	current choice
	// failure is why no server is in use.
	failure error
	// decided is closed while there is nothing to decide.
	decided chan struct{}
	// doubts wakes the goroutine that decides.
	doubts chan struct{}
	// start starts that goroutine, and the one that watches, when a server is first asked for.
	start func()
	// writing is the number of writes under way, and wrote when the last one ended.
	writing int
	wrote   time.Time
	// abandoned says that an operation has ended with its context, before the server answered.
	abandoned atomic.Bool
	// last is the server that was in use last, nil if there has been none.
	last atomic.Pointer[server]
}

func newKeeper(servers []*server, timing timing, logger *slog.Logger) *keeper {
	return &keeper{servers: servers, timing: timing, logger: logger, decided: make(chan struct{}), doubts: make(chan struct{}, 1)}
}

// use returns the server in use. It waits for a decision under way; where no server answers, it returns at once.
func (k *keeper) use(ctx context.Context) (choice, error) {
	k.start()
	for {
		k.mu.Lock()
		decided, current, failure := k.decided, k.current, k.failure
		// A decision that comes after this look is one that current does not have.
		isDecided := isClosed(decided)
		k.mu.Unlock()
		if !isDecided {
			select {
			case <-decided:
				continue
			case <-ctx.Done():
				return choice{}, ctx.Err()
			}
		}
		if current.server == nil {
			return choice{}, failure
		}
		return current, nil
	}
}

// doubt asks for a new decision because the server of a choice has failed an operation. If there has been one since the
// choice was made, it stands.
func (k *keeper) doubt(failed choice) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current.epoch != failed.epoch || !isClosed(k.decided) {
		return
	}
	k.decided = make(chan struct{})
	k.doubts <- struct{}{}
}

func isClosed(channel chan struct{}) bool {
	select {
	case <-channel:
		return true
	default:
		return false
	}
}

// run decides whenever there is a doubt, until ctx ends. It begins with the first decision, and the last one is that there is no
// server.
func (k *keeper) run(ctx context.Context) {
	for {
		winner, err := k.elect(ctx)
		k.decide(ctx, winner, err)
		if winner == nil {
			winner = k.await(ctx)
			k.decide(ctx, winner, errors.New("the client is closed"))
		}
		select {
		case <-ctx.Done():
			k.decide(ctx, nil, errors.New("the client is closed"))
			return
		case <-k.doubts:
		}
	}
}

// decide puts a decision into force. A nil winner means that requests fail with err.
func (k *keeper) decide(ctx context.Context, winner *server, err error) {
	k.mu.Lock()
	before := k.current.server
	k.replace(winner)
	k.failure = err
	if !isClosed(k.decided) {
		close(k.decided)
	}
	k.mu.Unlock()
	// Connections made before are broken, or lead to a server that is no longer used.
	if before != nil {
		before.pool.Reset()
	}
	if winner != nil && winner != before {
		winner.pool.Reset()
	}
	switch {
	case ctx.Err() != nil || winner == before && winner != nil:
	case winner == nil:
		k.logger.ErrorContext(ctx, "no LDAP server can be used", "cause", err)
	default:
		k.logger.InfoContext(ctx, "LDAP server in use", "uri", winner.uri, "vendor", string(winner.features.Load().Vendor))
	}
}

// replace puts a server, or none, in the place of the one in use. The caller holds the mutex.
func (k *keeper) replace(server *server) {
	if k.current.leave != nil {
		k.current.leave()
	}
	left, leave := context.WithCancel(context.Background())
	k.current = choice{server, k.current.epoch + 1, left, leave}
	if server != nil {
		k.last.Store(server)
	}
}

// order returns the servers, the one in use first and the others in the order of preference.
func (k *keeper) order() []*server {
	k.mu.Lock()
	first := k.current.server
	k.mu.Unlock()
	if first == nil {
		return k.servers
	}
	ordered := []*server{first}
	for _, s := range k.servers {
		if s != first {
			ordered = append(ordered, s)
		}
	}
	return ordered
}

// probed is the result of a probe.
type probed struct {
	server *server
	err    error
}

// elect asks the servers, each with a head start before the next, and returns the first that answers. Without one it
// returns an UnavailableError.
func (k *keeper) elect(ctx context.Context) (*server, error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	waiting := k.order()
	results := make(chan probed, len(waiting))
	unavailable := &UnavailableError{}
	pending := 0
	for len(waiting) > 0 || pending > 0 {
		if len(waiting) > 0 {
			next := waiting[0]
			waiting = waiting[1:]
			pending++
			running.Go(func() { results <- probed{next, next.probe(ctx)} })
		}
		var late <-chan time.Time
		if len(waiting) > 0 {
			late = time.After(k.timing.headStart)
		}
		select {
		case result := <-results:
			pending--
			if result.err == nil {
				return result.server, nil
			}
			unavailable.Causes = append(unavailable.Causes, fmt.Sprintf("%s: %v", result.server.uri, result.err))
			k.giveUp(ctx, result)
		case <-late:
		}
	}
	return nil, unavailable
}

// giveUp reports that the server in use does not answer.
func (k *keeper) giveUp(ctx context.Context, result probed) {
	k.mu.Lock()
	inUse := k.current.server == result.server
	k.mu.Unlock()
	if inUse && ctx.Err() == nil {
		k.logger.WarnContext(ctx, "LDAP server given up", "uri", result.server.uri, "cause", result.err)
	}
}

// await tries all servers until one answers, and returns nil if ctx ends before.
func (k *keeper) await(ctx context.Context) *server {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	found := make(chan *server, len(k.servers))
	for _, s := range k.servers {
		running.Go(func() {
			if k.awaitAnswer(ctx, s) {
				found <- s
			}
		})
	}
	select {
	case s := <-found:
		return s
	case <-ctx.Done():
		return nil
	}
}

// awaitAnswer probes a server until it answers. It reports false if ctx ends before.
func (k *keeper) awaitAnswer(ctx context.Context, s *server) bool {
	pause := k.timing.firstPause
	for {
		err := s.probe(ctx)
		if err == nil {
			return true
		}
		wait := pause
		pause = min(2*pause, k.timing.maxPause)
		var refused *refusedError
		if errors.As(err, &refused) {
			wait = k.timing.refusedPause
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// write notes that a write begins; the returned function notes its end.
func (k *keeper) write() (end func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writing++
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.writing--
		k.wrote = time.Now()
	}
}
