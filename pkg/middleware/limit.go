package middleware

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
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
	// as long as it is likely to take a processor.
	ContendedReads int
	// Running is how many requests may run at a time altogether.
	Running int
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
)

// Limit lets requests run as the limits of their credentials permit, which Authenticate has put into their contexts. One that
// may not run yet waits. One that would wait too long, or with too many others, is answered 429 if its credential has as much
// as it may have, or 503 if the service has as much as it can do.
func Limit(limits Limits, meters metric.MeterProvider) func(http.Handler) http.Handler {
	admission, refusals := newAdmission(limits), newRefusals(meters)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			credential, ok := access.Of(r.Context())
			if !ok { // What has no credential is refused without costing anything.
				next.ServeHTTP(w, r)
				return
			}
			leave, refused := admission.enter(r.Context(), partyOf(credential), r.Method == http.MethodGet || r.Method == http.MethodHead)
			switch {
			case leave != nil:
				defer leave()
				next.ServeHTTP(w, r)
			case refused != nil:
				refusals.answer(w, r, refused)
			default:
				// The client has gone while the request waited. One that has closed its side alone must not read a success.
				panic(http.ErrAbortHandler)
			}
		})
	}
}

// partyOf returns what a credential's limits are kept under: its schools if it is bound to some, so that all tokens of a
// tenant share one tenant's part and those of different tenants do not, whoever has given them out and whatever they are
// called; otherwise its name.
func partyOf(credential *access.Credential) string {
	if credential.AllSchools || len(credential.Schools) == 0 {
		return "name/" + credential.Name
	}
	return "schools/" + strings.Join(credential.Schools, ",")
}

// LimitFailures bounds how many tokens an address can try out. It stands around Authenticate and looks at its answers: an
// address that has had more than its share of 401 is answered 429 without its tokens being judged. Those that were valid
// lately when they came from there are judged all the same, as are those that are exempt, so that nobody is locked out by
// somebody else behind the same address.
func LimitFailures(limits Limits, trusted []netip.Prefix, meters metric.MeterProvider) func(http.Handler) http.Handler {
	if limits.Failures == 0 {
		return func(next http.Handler) http.Handler { return next }
	}
	failures, refusals := newFailures(limits), newRefusals(meters)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			try := failures.try(clientNetwork(r, trusted), r.Header)
			if refused := try.refusal(); refused != nil && !try.isExempt(r.Context()) {
				refusals.answer(w, r, refused)
				return
			}
			seen := observe(w)
			next.ServeHTTP(seen, r)
			switch {
			case seen.status == http.StatusUnauthorized:
				try.failed()
			case seen.credential != nil:
				try.succeeded()
			}
		})
	}
}

// How refused requests are answered: at once, as long as there are not more than quickRefusals a second for one party. More
// are a client that does not listen, and each of those answers takes refusalPause, so that a flood is as slow as it has
// connections, and costs others little. The pause is half as long or half as long again: those who were refused together
// would come back together otherwise, and keep the processors from everybody else for as long as it takes to refuse them.
const (
	quickRefusals = 100
	refusalPause  = time.Second
)

// pace tells which answers take their time.
type pace struct{ quick *rate.Limiter }

func newPace() pace { return pace{rate.NewLimiter(quickRefusals, quickRefusals)} }

// keep takes the time that the next answer has to take, unless ctx ends before.
func (p *pace) keep(ctx context.Context) {
	if p.quick.Allow() {
		return
	}
	pause := time.NewTimer(refusalPause/2 + rand.N(refusalPause))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
}

// refusals answers requests that a limit has refused, and counts them.
type refusals struct {
	counter metric.Int64Counter
}

func newRefusals(meters metric.MeterProvider) refusals {
	// A meter that has an error returns an instrument that does nothing; the name is constant, so there is none.
	counter, _ := meters.Meter("github.com/opencloud-eu/education/pkg/middleware").Int64Counter("education.http.refusals",
		metric.WithDescription("Requests that a limit has refused, by limit."), metric.WithUnit("{request}"))
	return refusals{counter}
}

// answer answers a request that was refused.
func (s refusals) answer(w http.ResponseWriter, r *http.Request, refused *refusal) {
	s.counter.Add(r.Context(), 1, metric.WithAttributes(attribute.String("limit", string(refused.limit))))
	refused.pace.keep(r.Context())
	failure := odata.Errorf(refused.code, "", "%s", refused.message)
	failure.RetryAfter, failure.Expected = refused.retryAfter, true
	odata.WriteError(w, r, failure)
}
