package middleware

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/time/rate"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Limits bound what one client can take of the service. One that is 0 does not count.
type Limits struct {
	// Rate is how many requests of one credential may begin in a second, on average and at once.
	Rate int
	// Concurrency is how many requests of one credential may run at a time.
	Concurrency int
	// ContendedReads is how many reads of one credential may run at a time while others send requests, too. A read counts for
	// its first second.
	ContendedReads int
	// Running is how many requests may run at a time altogether. One that waits for its client does not run.
	Running int
	// Body is how many bytes of a request's body are read before it runs.
	Body int64
	// Arrivals is how many bytes all requests with a body may take that do not run yet, what they take beside it included.
	Arrivals int
	// Failures is how many requests without a valid token one address may send in a second; at once it may send ten times
	// as many.
	Failures int
	// Exempt reports whether a token is judged whatever else has come from its address. It must cost next to nothing, and
	// must not be true of a token that somebody could guess. Without it no token is exempt.
	Exempt func(ctx context.Context, token string) bool
}

// limitName is the name of a limit in metrics.
type limitName string

const (
	limitRate        limitName = "rate"
	limitConcurrency limitName = "concurrency"
	limitRunning     limitName = "running"
	limitFailures    limitName = "failures"
	limitArrivals    limitName = "arrivals"
)

// limit lets requests run as the limits of their credentials permit, which authenticate has put into their contexts. One that
// may not run yet waits. One that would wait too long, or with too many others, is answered 429 if its credential has as much
// as it may have, or 503 if the service has as much as it can do.
func limit(limits Limits, refusals *refusals) func(http.Handler) http.Handler {
	l := &limiter{admission: newAdmission(limits), arrivals: newArrivals(limits), refusals: refusals}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			credential, ok := access.Of(r.Context())
			if !ok { // What has no credential is refused without costing anything.
				next.ServeHTTP(w, r)
				return
			}
			defer occupy(r.Context())()
			l.serve(w, r, partyOf(credential), next)
		})
	}
}

// limiter lets requests run.
type limiter struct {
	admission *admission
	arrivals  *arrivals
	refusals  *refusals
}

// serve lets a request of a party run when it may.
func (l *limiter) serve(w http.ResponseWriter, r *http.Request, party string, next http.Handler) {
	arrived := l.arrivals.take(w, r, party)
	var admitted *waiter
	var refused *refusal
	if !arrived.isLost() {
		admitted, refused = l.admission.enter(arrived, party, r.Method == http.MethodGet || r.Method == http.MethodHead)
	}
	lost := arrived.isLost()
	arrived.release()
	switch {
	case admitted != nil:
		defer admitted.leave()
		next.ServeHTTP(&answerWriter{ResponseWriter: w, request: r, admitted: admitted, slow: l.refusals.slow, party: party}, r)
	case refused != nil:
		r.Body = http.NoBody // Whatever has been read of it is needed no more.
		l.refusals.answer(w, r, refused, party)
	case lost:
		l.answerLost(w, r, arrived, party)
	default:
		// The client has gone while the request waited. One that has closed its side alone must not read a success.
		panic(http.ErrAbortHandler)
	}
}

// answerLost answers a request that has lost its share before it could run.
func (l *limiter) answerLost(w http.ResponseWriter, r *http.Request, arrived *arrival, party string) {
	if arrived.cut {
		w.Header().Set("Connection", "close")
	}
	// The end of the body looks to net/http as if the client had gone. It is there, and is to hear what has happened.
	r = r.WithContext(context.WithoutCancel(r.Context()))
	r.Body = http.NoBody
	l.refusals.answer(w, r, l.admission.refuseArrival(party), party)
}

// partyOf returns what a credential's limits are kept under: its schools if it is bound to some, so that all tokens of a
// tenant share one tenant's part and those of different tenants do not, whoever has given them out and whatever they are
// called; otherwise its name. Those that are bound to schools of which none exists are one party: whoever gives them out names
// them as it likes.
func partyOf(credential *access.Credential) string {
	if credential.AllSchools {
		return "name/" + credential.Name
	}
	return "schools/" + strings.Join(credential.Schools, ",")
}

// How refused requests are answered: at once, as long as there are not more than quickRefusals a second for one party. More
// are a client that does not listen, and each of those answers takes refusalPause, so that a flood is as slow as it has
// connections, and costs others little. The pause is half as long or half as long again: those who were refused together
// would come back together otherwise, and keep the processors from everybody else for as long as it takes to refuse them.
// A connection that has more such answers outstanding than maxPauses, as one of HTTP/2 can, is closed.
const (
	quickRefusals = 100
	refusalPause  = time.Second
	maxPauses     = 8
)

// pace tells which answers take their time.
type pace struct{ quick *rate.Limiter }

// newPace returns a pace with so many answers a second that come at once.
func newPace(quick int) pace { return pace{rate.NewLimiter(rate.Limit(quick), quick)} }

// pauses are how many answers to the requests of each connection take their time at the moment, by the address of its client.
type pauses struct {
	mutex sync.Mutex
	of    map[string]int
}

// keep takes the time that the next answer on a request's connection has to take, unless the request's context ends before. If
// there are too many that do, it has the connection end after the answer.
func (p *pauses) keep(w http.ResponseWriter, r *http.Request) {
	p.mutex.Lock()
	tooMany := p.of[r.RemoteAddr] >= maxPauses
	if !tooMany {
		p.of[r.RemoteAddr]++
	}
	p.mutex.Unlock()
	if tooMany {
		w.Header().Set("Connection", "close") // HTTP/2 makes that a GOAWAY (RFC 9113, section 6.8).
		return
	}
	pause := time.NewTimer(refusalPause/2 + rand.N(refusalPause))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-r.Context().Done():
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.of[r.RemoteAddr]--; p.of[r.RemoteAddr] == 0 {
		delete(p.of, r.RemoteAddr)
	}
}

// refusals answers requests that a limit has refused, and counts them.
type refusals struct {
	counter metric.Int64Counter
	pauses  pauses
	// slow are the requests whose clients do not take their answers, those that are not refused included.
	slow *shares
}

func newRefusals(meters metric.MeterProvider) *refusals {
	// A meter that has an error returns an instrument that does nothing; the name is constant, so there is none.
	counter, _ := meters.Meter("github.com/opencloud-eu/education/pkg/middleware").Int64Counter("education.http.refusals",
		metric.WithDescription("Requests that a limit has refused, by limit."), metric.WithUnit("{request}"))
	return &refusals{counter: counter, pauses: pauses{of: map[string]int{}}, slow: newShares(maxSlowAnswers)}
}

// answer answers a request of a party that was refused.
func (s *refusals) answer(w http.ResponseWriter, r *http.Request, refused *refusal, party string) {
	s.counter.Add(r.Context(), 1, metric.WithAttributes(attribute.String("limit", string(refused.limit))))
	if !refused.pace.quick.Allow() {
		s.pauses.keep(w, r)
	}
	failure := odata.Errorf(refused.code, "", "%s", refused.message)
	failure.RetryAfter, failure.Expected = refused.retryAfter, true
	odata.WriteError(s.bounded(w, r, party), r, failure)
}

// bounded returns a writer for the answer to a request that does not run. It counts among the slow ones if it is not taken.
func (s *refusals) bounded(w http.ResponseWriter, r *http.Request, party string) http.ResponseWriter {
	return &answerWriter{ResponseWriter: w, request: r, slow: s.slow, party: party}
}
