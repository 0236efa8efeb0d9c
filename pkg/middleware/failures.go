package middleware

import (
	"context"
	"errors"
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

// guard bounds how many tokens an address can try out. An address that has had more than its share of tokens which are not valid is
// answered 429 without its tokens being judged. Those that were valid lately when they came from there are judged all the same, as
// are those that are exempt, so that nobody is locked out by somebody else behind the same address.
type guard struct {
	failures *failures // nil to bound nothing
	trusted  []netip.Prefix
}

func newGuard(limits Limits, trusted []netip.Prefix) *guard {
	if limits.Failures == 0 {
		return &guard{trusted: trusted}
	}
	return &guard{newFailures(limits), trusted}
}

// party returns what stands for whoever has sent a request without a valid token.
func (g *guard) party(r *http.Request) string {
	return "address/" + clientNetwork(r, g.trusted).String()
}

// admit returns why the token of a request, which is empty if it has none, is not to be judged, or nil if it is. Then end must be
// called with the error that the judgement has. It waits while as many tokens from the address are judged as may be.
func (g *guard) admit(r *http.Request, token string) (end func(error), refused *refusal) {
	if g.failures == nil {
		return func(error) {}, nil
	}
	try := g.failures.try(clientNetwork(r, g.trusted), token)
	return try.end, try.begin(r.Context())
}

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

// failing is an address that has sent a token that is not known to be valid.
type failing struct {
	// bucket has less than none when many tokens are judged at the time when it runs out.
	bucket   *rate.Limiter
	refusals pace
	// judging has a place for each token that is judged at the moment, of those that are not known. So few may be that an
	// address gets no further than its burst by sending many at once.
	judging chan struct{}
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

// try is one request from an address, with or without a token.
type try struct {
	failures *failures
	origin   origin
	token    string
	// from is the address, nil if the token is judged whatever has come from there.
	from *failing
}

func (f *failures) try(network netip.Prefix, token string) *try {
	t := &try{failures: f, origin: origin{network, access.DigestOf(token)}, token: token}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if _, known := f.valid.get(t.origin); !known {
		t.from = f.failing(network)
	}
	return t
}

// failing returns what is known of an address.
func (f *failures) failing(network netip.Prefix) *failing {
	from, ok := f.networks.get(network)
	if !ok {
		from = &failing{bucket: rate.NewLimiter(f.limit, f.burst), refusals: newPace(quickRefusals), judging: make(chan struct{}, max(1, int(f.limit)))}
		f.networks.put(network, from)
	}
	return from
}

// begin returns why the token is not to be judged, or nil if it is; then end must be called when it has been.
func (t *try) begin(ctx context.Context) *refusal {
	if t.from == nil {
		return nil
	}
	if t.token != "" && t.failures.exempt != nil && t.failures.exempt(ctx, t.token) {
		t.from = nil
		return nil
	}
	select {
	case t.from.judging <- struct{}{}:
	case <-ctx.Done():
		return t.refusal()
	}
	if t.from.bucket.Tokens() < 1 {
		<-t.from.judging
		return t.refusal()
	}
	return nil
}

// end notes what has become of the token. One that cannot be judged at the moment costs as much as one that is not valid, unless
// it is judged whatever comes. One that is valid, and whose schools the directory does not say, is no guess.
func (t *try) end(err error) {
	switch {
	case err == nil, errors.Is(err, access.ErrSchools):
		t.succeeded()
	case errors.Is(err, access.ErrUnknown), errors.Is(err, access.ErrInvalid):
		t.failed()
	case t.from != nil:
		t.from.charge()
	}
	if t.from != nil {
		<-t.from.judging
	}
}

// refusal returns the refusal of the token.
func (t *try) refusal() *refusal {
	missing := max(0, 1-t.from.bucket.Tokens())
	return &refusal{
		limit: limitFailures, code: odata.ActivityLimitReached, pace: &t.from.refusals,
		message:    "too many requests without a valid token have come from this address",
		retryAfter: time.Duration(missing / float64(t.failures.limit) * float64(time.Second)),
	}
}

// failed notes that the token is not valid.
func (t *try) failed() {
	f := t.failures
	f.mutex.Lock()
	f.valid.drop(t.origin)
	from := f.failing(t.origin.network)
	f.mutex.Unlock()
	from.charge()
}

// charge takes one from the bucket, whatever is in it.
func (f *failing) charge() { f.bucket.Reserve() }

// succeeded notes that the token is valid.
func (t *try) succeeded() {
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
