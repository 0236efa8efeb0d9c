package remote

import (
	"context"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// watch brings the client back to a server that it prefers, looks whether the one in use still answers, and closes connections that
// have become too old, until ctx ends.
func (k *keeper) watch(ctx context.Context) {
	ticker := time.NewTicker(k.timing.failBackInterval)
	defer ticker.Stop()
	healthy := map[*server]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, s := range k.servers {
				s.tidy()
			}
			k.check(ctx)
			k.look(ctx, now, healthy)
		}
	}
}

// look probes the servers that are preferred to the one in use, notes in healthy since when each answers, and goes back to
// the first that may be.
func (k *keeper) look(ctx context.Context, now time.Time, healthy map[*server]time.Time) {
	k.mu.Lock()
	in := k.current
	k.mu.Unlock()
	if in.server == nil || in.server == k.servers[0] {
		// While no server is in use, all are looked at by await.
		clear(healthy)
		return
	}
	for i, s := range k.servers {
		if s == in.server {
			// What was noted of these is from a time when another server was in use.
			for _, other := range k.servers[i:] {
				delete(healthy, other)
			}
			return
		}
		if err := s.probe(ctx); err != nil {
			delete(healthy, s)
			continue
		}
		if _, known := healthy[s]; !known {
			healthy[s] = now
		}
		if now.Sub(healthy[s]) >= k.timing.failBackAfter && k.isQuiet() && caughtUp(ctx, s, in.server) && k.goBack(ctx, in, s) {
			clear(healthy)
			return
		}
	}
}

// check doubts the server in use if it does not answer and an operation on it was abandoned: where no caller waits as long as
// the client does, nobody would find out otherwise.
func (k *keeper) check(ctx context.Context) {
	if !k.abandoned.Swap(false) {
		return
	}
	k.mu.Lock()
	in := k.current
	k.mu.Unlock()
	if in.server != nil && in.server.probe(ctx) != nil && ctx.Err() == nil {
		k.doubt(in)
	}
}

// isQuiet reports whether the client has not written for a while.
func (k *keeper) isQuiet() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.writing == 0 && time.Since(k.wrote) >= k.timing.failBackQuiet
}

// goBack changes the server in use, unless there has been another decision or a write meanwhile.
func (k *keeper) goBack(ctx context.Context, from choice, to *server) bool {
	if !k.replaceQuietly(from, to) {
		return false
	}
	from.server.pool.Reset()
	to.pool.Reset()
	k.logger.InfoContext(ctx, "back to the preferred LDAP server", "uri", to.uri)
	return true
}

// replaceQuietly puts a server in the place of the one in use, if that is still the one of a choice and the client is quiet.
func (k *keeper) replaceQuietly(from choice, to *server) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current.epoch != from.epoch || !isClosed(k.decided) || k.writing > 0 || time.Since(k.wrote) < k.timing.failBackQuiet {
		return false
	}
	k.replace(to)
	return true
}

// caughtUp reports whether a server has everything that the one in use has, as far as they tell: OpenLDAP keeps in its
// suffix, for each provider, the change that it has seen last (contextCSN; slapo-syncprov). Servers that do not tell
// count as equal.
func caughtUp(ctx context.Context, candidate, inUse *server) bool {
	// In this order: what the candidate gets in between does no harm.
	have, err := inUse.changes(ctx)
	if err != nil {
		return false
	}
	got, err := candidate.changes(ctx)
	if err != nil {
		return false
	}
	for provider, change := range have {
		if got[provider] < change {
			return false
		}
	}
	return true
}

// changes returns the last change of each provider that the server has, by the provider's number.
func (s *server) changes(ctx context.Context) (map[string]string, error) {
	features := s.features.Load()
	if features == nil || len(s.config.Bases) == 0 {
		return nil, nil
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	suffix := features.SuffixOf(s.config.Bases[0])
	entry, err := c.readEntry(ctx, s.config, suffix, wire.Present("objectClass"), []string{"contextCSN"})
	if _, isResult := wire.CodeOf(err); isResult {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	changes := map[string]string{}
	for _, value := range entry.Values("contextCSN") {
		// <time>#<count>#<provider>#<modification>; texts of one provider sort by time.
		if parts := strings.Split(value, "#"); len(parts) == 4 {
			changes[parts[2]] = value
		}
	}
	return changes, nil
}
