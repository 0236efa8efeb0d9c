package middleware

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/odata"
)

// failureBurst is how many seconds' worth of failures may come at once: a script whose token has expired shall be told so.
const failureBurst = 10

// What is remembered of addresses and tokens. A memory that is full forgets what has not been asked for longest.
const (
	maxFailingNetworks = 10_000
	maxValidTokens     = 10_000
)

// failures knows which addresses send tokens that are not valid.
type failures struct {
	limit  rate.Limit
	burst  int
	exempt func(context.Context, string) bool

	mutex    sync.Mutex
	networks recent[netip.Prefix, *failing]
	// valid are the tokens that were valid, with where they came from: what is a good token from one address may be a good
	// guess from another.
	valid recent[origin, struct{}]
}

// failing is an address that has sent a token that is not valid.
type failing struct {
	bucket   *rate.Limiter
	refusals pace
}

// origin is a token and where it came from.
type origin struct {
	network netip.Prefix
	token   access.Digest
}

func newFailures(limits Limits) *failures {
	return &failures{
		limit: rate.Limit(limits.Failures), burst: failureBurst * limits.Failures, exempt: limits.Exempt,
		networks: recent[netip.Prefix, *failing]{size: maxFailingNetworks},
		valid:    recent[origin, struct{}]{size: maxValidTokens},
	}
}

// try is one request from an address.
type try struct {
	failures *failures
	origin   origin
	// token is empty if the request has none.
	token string
}

func (f *failures) try(network netip.Prefix, header http.Header) try {
	token, _ := bearerToken(header)
	return try{failures: f, origin: origin{network, access.DigestOf(token)}, token: token}
}

// refusal returns why the token is not to be judged, or nil if it is.
func (t try) refusal() *refusal {
	f := t.failures
	f.mutex.Lock()
	defer f.mutex.Unlock()
	from, ok := f.networks.get(t.origin.network)
	if !ok {
		return nil
	}
	_, known := f.valid.get(t.origin)
	tokens := from.bucket.Tokens()
	if tokens >= 1 || known {
		return nil
	}
	return &refusal{
		limit: limitFailures, code: odata.ActivityLimitReached, pace: &from.refusals,
		message:    "too many requests without a valid token have come from this address",
		retryAfter: time.Duration((1 - tokens) / float64(f.limit) * float64(time.Second)),
	}
}

// isExempt reports whether the token is judged all the same.
func (t try) isExempt(ctx context.Context) bool {
	return t.token != "" && t.failures.exempt != nil && t.failures.exempt(ctx, t.token)
}

// failed notes that the token was not valid.
func (t try) failed() {
	f := t.failures
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.valid.drop(t.origin)
	from, ok := f.networks.get(t.origin.network)
	if !ok {
		from = &failing{bucket: rate.NewLimiter(f.limit, f.burst), refusals: newPace()}
		f.networks.put(t.origin.network, from)
	}
	from.bucket.Allow()
}

// succeeded notes that the token was valid.
func (t try) succeeded() {
	f := t.failures
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if _, ok := f.valid.get(t.origin); !ok {
		f.valid.put(t.origin, struct{}{})
	}
}

// recent is a map of bounded size. It has two generations: when the younger is full it becomes the elder, whose entries are
// forgotten unless they are asked for, which makes them young again.
type recent[K comparable, V any] struct {
	// size is how many entries a generation has.
	size           int
	younger, elder map[K]V
}

func (m *recent[K, V]) get(key K) (V, bool) {
	value, ok := m.younger[key]
	if ok {
		return value, true
	}
	if value, ok = m.elder[key]; ok {
		m.put(key, value)
	}
	return value, ok
}

func (m *recent[K, V]) put(key K, value V) {
	if m.younger == nil || len(m.younger) >= m.size {
		m.younger, m.elder = map[K]V{}, m.younger
	}
	m.younger[key] = value
}

func (m *recent[K, V]) drop(key K) {
	delete(m.younger, key)
	delete(m.elder, key)
}
