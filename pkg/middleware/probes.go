package middleware

import (
	"net/http"
	"net/netip"
	"sync"
)

// Bounds of the requests that need no token.
const (
	// quickProbes is how many of them a second are answered at once for one address.
	quickProbes = 500
	// maxProbingNetworks is how many addresses are remembered.
	maxProbingNetworks = 10_000
)

// Paced bounds what requests cost that need no token, such as probes of /healthz: those of one address are answered at once as long
// as there are not too many of them, and those beyond take their time, as refused requests do. None is refused.
// trusted are the proxies whose word counts for a client's address.
func Paced(trusted []netip.Prefix) func(http.Handler) http.Handler {
	return paced(trusted, func(*http.Request) bool { return true })
}

// pacedPreflights is Paced for OPTIONS alone: CORS answers such requests without a token, and nothing else does answer them.
func pacedPreflights(trusted []netip.Prefix) func(http.Handler) http.Handler {
	return paced(trusted, func(r *http.Request) bool { return r.Method == http.MethodOptions })
}

func paced(trusted []netip.Prefix, counts func(*http.Request) bool) func(http.Handler) http.Handler {
	var mutex sync.Mutex
	networks := recent[netip.Prefix, pace]{size: maxProbingNetworks}
	paceOf := func(network netip.Prefix) pace {
		mutex.Lock()
		defer mutex.Unlock()
		known, ok := networks.get(network)
		if !ok {
			known = newPace(quickProbes)
			networks.put(network, known)
		}
		return known
	}
	waiting := pauses{of: map[string]int{}}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if counts(r) && !paceOf(clientNetwork(r, trusted)).quick.Allow() {
				waiting.keep(w, r)
			}
			next.ServeHTTP(w, r)
		})
	}
}
