package middleware

import (
	"container/list"
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/opencloud-eu/education/pkg/odata"
)

// Bounds of those who wait to be admitted.
const (
	// maxWaiting is how many requests of one credential may wait. A client that has no more connections than that is slowed
	// down by the limits and not refused. One that waits costs some 20 KiB and no time of a processor.
	maxWaiting = 1000
	// maxWaitingInAll is how many may wait altogether.
	maxWaitingInAll = 4000
	// maxWait is how long each may wait. Clients give up after some 100 s, repetitions included (Graph SDKs).
	maxWait = 10 * time.Second
)

// A read takes a processor, a write mostly waits for the disk. So reads are what one party can take from the others.
const (
	// contention is how long ago the last request of another party may be for a party to have others beside it.
	contention = time.Second
	// readAge is the time for which a read counts as one that takes a processor. It is bounded so that a long list does not keep
	// the short reads of its own party waiting until it ends.
	readAge = time.Second
)

// manyParties is how many credentials are remembered before those are forgotten that ask for nothing.
const manyParties = 1024

// admission decides when a request may run. Each credential is a party. Its requests run in the order of their arrival, at
// most so many a second and so many at a time; what the service can run altogether is given to the parties in turn, one
// request each, so that no party waits for how many requests of another there are. A request that waits for its client does
// not run meanwhile.
type admission struct {
	rate        rate.Limit
	concurrency int
	capacity    int
	// reads is how many young reads a party may have while there are others.
	reads int

	mutex   sync.Mutex
	parties map[string]*party
	// sweepAt is the number of parties at which those that ask for nothing are forgotten.
	sweepAt int
	running int
	waiting int
	// turns are the parties with requests that nothing but the capacity keeps from running, each once.
	turns []*party
	// lately is how long the request had waited that was given the last place there was.
	lately time.Duration
	// latest is the party that has asked last, previous the one that has asked last before it.
	latest, previous *party
}

// party is a credential as the admission sees it.
type party struct {
	bucket  *rate.Limiter
	running int
	// young is how many of the running requests are reads that have run for less than readAge.
	young int
	// asked is when the last request came.
	asked time.Time
	// waiting holds *waiter in the order of their arrival, resuming those that ran before and want to go on.
	waiting, resuming list.List
	// paused is how many requests have begun and do not run, those that want to go on included.
	paused int
	// inTurn says that the party is among the turns, awaitsToken that it will be when its bucket has a token.
	inTurn, awaitsToken bool
	// lately is how long the request had waited that was admitted last.
	lately time.Duration
	// promised is when the request may come back that was refused last.
	promised time.Time
	// refusals paces the answers to refused requests.
	refusals pace
}

// waiter is a request that waits, or has waited. Each time it waits it gets one answer: nil if it may run.
type waiter struct {
	admission *admission
	party     *party
	since     time.Time
	read      bool
	answer    chan *refusal
	// begun says that the request has been admitted, running that it has a place.
	begun, running bool
	// ages ends the youth of a read that runs.
	ages *time.Timer
}

// refusal says which limit a request was refused by, and when it may come back.
type refusal struct {
	limit      limitName
	code       odata.Code
	message    string
	retryAfter time.Duration
	pace       *pace
}

// newAdmission returns the admission for some limits, of which those that are 0 do not count.
func newAdmission(limits Limits) *admission {
	a := &admission{
		rate: rate.Inf, concurrency: math.MaxInt, capacity: math.MaxInt, reads: math.MaxInt,
		parties: map[string]*party{}, sweepAt: manyParties,
	}
	if limits.Rate > 0 {
		a.rate = rate.Limit(limits.Rate)
	}
	if limits.Concurrency > 0 {
		a.concurrency = limits.Concurrency
	}
	if limits.Running > 0 {
		a.capacity = limits.Running
	}
	if limits.ContendedReads > 0 {
		a.reads = limits.ContendedReads
	}
	return a
}

// enter waits until a request of a credential may run, which it does until leave is called on what is returned. If it may not,
// that is nil and the refusal says why; both are nil if ctx has ended first.
func (a *admission) enter(ctx context.Context, name string, read bool) (admitted *waiter, refused *refusal) {
	a.mutex.Lock()
	p := a.party(name)
	a.note(p)
	if refused := a.makeRoom(p); refused != nil {
		a.mutex.Unlock()
		return nil, refused
	}
	w := &waiter{admission: a, party: p, since: time.Now(), read: read, answer: make(chan *refusal, 1)}
	place := p.waiting.PushBack(w)
	a.waiting++
	a.proceed(p)
	a.mutex.Unlock()

	select {
	case refused := <-w.answer: // Most requests do not have to wait and need no timer.
		return w.unless(refused)
	default:
	}
	patience := time.NewTimer(maxWait)
	defer patience.Stop()
	select {
	case refused := <-w.answer:
		return w.unless(refused)
	case <-ctx.Done():
	case <-patience.C:
	}
	return a.giveUp(ctx, p, place)
}

// unless returns the request, or the refusal if there is one.
func (w *waiter) unless(refused *refusal) (*waiter, *refusal) {
	if refused != nil {
		return nil, refused
	}
	return w, nil
}

// note notes that a party asks.
func (a *admission) note(p *party) {
	p.asked = time.Now()
	if a.latest != p {
		a.latest, a.previous = p, a.latest
	}
}

// hasAll reports whether a party has as many requests running as it may have, if its next is a read or not. While others ask,
// too, it may have fewer reads.
func (a *admission) hasAll(p *party, read bool) bool {
	if p.running >= a.concurrency {
		return true
	}
	if !read || p.young < a.reads {
		return false
	}
	other := a.latest
	if other == p {
		other = a.previous
	}
	return other != nil && time.Since(other.asked) < contention
}

// party returns the party with a name.
func (a *admission) party(name string) *party {
	p := a.parties[name]
	if p == nil {
		if len(a.parties) >= a.sweepAt {
			a.sweep()
		}
		p = &party{bucket: rate.NewLimiter(a.rate, burst(a.rate)), refusals: newPace(quickRefusals)}
		a.parties[name] = p
	}
	return p
}

// burst is how many requests may come at once: those of a second.
func burst(limit rate.Limit) int { return int(min(max(1, limit), math.MaxInt32)) }

// sweep forgets the parties that are as they were at their beginning.
func (a *admission) sweep() {
	for name, p := range a.parties {
		if p.running == 0 && p.paused == 0 && p.waiting.Len() == 0 && (a.rate == rate.Inf || p.bucket.Tokens() >= float64(p.bucket.Burst())) {
			delete(a.parties, name)
		}
	}
	a.sweepAt = max(manyParties, 2*len(a.parties))
}

// makeRoom refuses a request whose party has as many waiting as it may have. If there are too many altogether, the party
// with most of them has to do with one less.
func (a *admission) makeRoom(p *party) *refusal {
	switch {
	case p.waiting.Len() >= maxWaiting:
		return a.refuse(p, p.first().read)
	case a.waiting < maxWaitingInAll:
		return nil
	}
	longest := p
	for _, other := range a.parties {
		if other.waiting.Len() > longest.waiting.Len() {
			longest = other
		}
	}
	refused := a.refuse(longest, longest.first().read)
	if longest == p {
		return refused
	}
	last := longest.waiting.Remove(longest.waiting.Back()).(*waiter)
	a.waiting--
	last.answer <- refused
	return nil
}

// first returns the request that has waited for longest, of a party that has one.
func (p *party) first() *waiter { return p.waiting.Front().Value.(*waiter) }

// refuse returns the refusal of a request of a party, by the limit that keeps its requests waiting. read says whether the first
// of those is a read.
func (a *admission) refuse(p *party, read bool) *refusal {
	switch {
	case p.awaitsToken:
	case a.running >= a.capacity && !a.hasAll(p, read):
		return &refusal{
			limit: limitRunning, code: odata.ServiceNotAvailable, pace: &p.refusals,
			message: "the service has as many requests as it can answer; try again", retryAfter: p.patience(a.lately),
		}
	default:
		return &refusal{
			limit: limitConcurrency, code: odata.ActivityLimitReached, pace: &p.refusals,
			message: "too many requests with this token are running; send fewer at a time", retryAfter: p.patience(p.lately),
		}
	}
	// Those that are refused are told to come back one after the other, behind those that wait.
	now, each := time.Now(), time.Duration(float64(time.Second)/float64(a.rate))
	if ahead := now.Add(each * time.Duration(p.waiting.Len())); p.promised.Before(ahead) {
		p.promised = ahead
	}
	if last := now.Add(odata.MaxRetryAfter); p.promised.Before(last) {
		p.promised = p.promised.Add(each)
	}
	return &refusal{
		limit: limitRate, code: odata.ActivityLimitReached, pace: &p.refusals,
		message: "too many requests with this token; send fewer a second", retryAfter: p.promised.Sub(now),
	}
}

// refuseArrival returns the refusal of a request of a party that has lost what it held before it could run.
func (a *admission) refuseArrival(name string) *refusal {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	p := a.party(name)
	return &refusal{
		limit: limitArrivals, code: odata.ActivityLimitReached, pace: &p.refusals,
		message: "too many requests with this token are on their way or wait; send fewer at a time", retryAfter: p.patience(p.lately),
	}
}

// patience returns how long it takes until a request is admitted: as long as it took lately, or as the first of those that
// wait has waited already.
func (p *party) patience(lately time.Duration) time.Duration {
	if p.waiting.Len() > 0 {
		lately = max(lately, time.Since(p.first().since))
	}
	return max(lately, time.Second)
}

// proceed gives a party its turn if it has something to do with it, and runs what can be run.
func (a *admission) proceed(p *party) {
	if p.next() != nil && !p.inTurn {
		p.inTurn = true
		a.turns = append(a.turns, p)
	}
	for a.running < a.capacity && len(a.turns) > 0 {
		next := a.turns[0]
		a.turns = a.turns[1:]
		next.inTurn = false
		if a.admit(next) && next.next() != nil {
			next.inTurn = true
			a.turns = append(a.turns, next)
		}
	}
}

// next returns the next request of the party that a place would help, or nil. Those that have begun come first, because what
// they hold in the directory is held for as long as they wait.
func (p *party) next() *waiter {
	if first := p.resuming.Front(); first != nil {
		return first.Value.(*waiter)
	}
	if p.waiting.Len() > 0 && !p.awaitsToken {
		return p.first()
	}
	return nil
}

// admit runs the party's next request, and reports whether the party may have another turn. If it may not, then the end of
// one of its requests or its next token brings it back.
func (a *admission) admit(p *party) bool {
	w := p.next()
	if w == nil || a.hasAll(p, w.read) || !w.begun && !a.takeToken(p) {
		return false
	}
	if w.begun {
		p.resuming.Remove(p.resuming.Front())
		p.paused--
	} else {
		p.waiting.Remove(p.waiting.Front())
		a.waiting--
	}
	w.begun, w.running = true, true
	a.running++
	p.running++
	a.count(p, w)
	p.lately = time.Since(w.since)
	if a.running == a.capacity {
		a.lately = p.lately
	}
	w.answer <- nil
	return true
}

// takeToken takes a token of the party's bucket, or arranges that the party has its turn when there is one.
func (a *admission) takeToken(p *party) bool {
	now := time.Now()
	if p.bucket.AllowN(now, 1) {
		return true
	}
	missing := 1 - p.bucket.TokensAt(now)
	p.awaitsToken = true
	time.AfterFunc(time.Duration(missing/float64(a.rate)*float64(time.Second)), func() {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		p.awaitsToken = false
		a.proceed(p)
	})
	return false
}

// count counts a request that begins among the young reads, if it is one, until it ages.
func (a *admission) count(p *party, w *waiter) {
	if !w.read || a.reads == math.MaxInt {
		return
	}
	p.young++
	w.ages = time.AfterFunc(readAge, func() {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		p.young--
		a.proceed(p)
	})
}

// leave ends a request.
func (w *waiter) leave() {
	a := w.admission
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if w.running {
		w.stop()
		return
	}
	w.party.paused--
}

// pause takes a request's place from it, because it waits for its client.
func (w *waiter) pause() {
	a := w.admission
	a.mutex.Lock()
	defer a.mutex.Unlock()
	w.party.paused++
	w.stop()
}

// stop gives the place of a request to the next.
func (w *waiter) stop() {
	a, p := w.admission, w.party
	w.running = false
	a.running--
	p.running--
	if w.ages != nil && w.ages.Stop() {
		p.young--
	}
	a.proceed(p)
}

// resume waits until a request that was paused has a place again. The error is that of ctx; the request is paused then.
func (w *waiter) resume(ctx context.Context) error {
	a, p := w.admission, w.party
	a.mutex.Lock()
	w.since = time.Now()
	place := p.resuming.PushBack(w)
	a.proceed(p)
	a.mutex.Unlock()
	select {
	case <-w.answer:
		return nil
	case <-ctx.Done():
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	select {
	case <-w.answer:
		return nil
	default:
		p.resuming.Remove(place)
		return ctx.Err()
	}
}

// giveUp ends the wait of a request, unless it has its answer just now.
func (a *admission) giveUp(ctx context.Context, p *party, place *list.Element) (admitted *waiter, refused *refusal) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	w := place.Value.(*waiter)
	select {
	case refused := <-w.answer:
		return w.unless(refused)
	default:
	}
	p.waiting.Remove(place)
	a.waiting--
	if ctx.Err() != nil {
		return nil, nil
	}
	return nil, a.refuse(p, w.read)
}
