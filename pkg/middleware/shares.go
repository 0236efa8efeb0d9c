package middleware

import (
	"container/list"
	"sync"
)

// shares is something of which there is only so much, and which requests hold while they wait for their clients. When it is
// used up, the party that holds most loses its last request. So no party runs out of it because of another one.
type shares struct {
	limit int

	mutex   sync.Mutex
	total   int
	parties map[string]*portion
}

// portion is what a party holds.
type portion struct {
	name  string
	total int
	// held holds the party's *share in the order of their beginning.
	held list.List
}

// share is what a request holds.
type share struct {
	of      *shares
	portion *portion
	size    int
	// place is nil once the share is released or lost.
	place *list.Element
	// lose ends a request that has lost its share.
	lose func()
}

func newShares(limit int) *shares { return &shares{limit: limit, parties: map[string]*portion{}} }

// hold gives a request of a party a share of the given size. The request that has to go for that hears it from its own lose,
// which may be this one. lose is not called after release, and must not call anything of the shares.
func (s *shares) hold(party string, size int, lose func()) *share {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	p := s.parties[party]
	if p == nil {
		p = &portion{name: party}
		s.parties[party] = p
	}
	held := &share{of: s, portion: p, lose: lose}
	held.place = p.held.PushBack(held)
	held.add(size)
	return held
}

// grow makes the share of a request larger, unless it has lost that already.
func (h *share) grow(by int) {
	h.of.mutex.Lock()
	defer h.of.mutex.Unlock()
	if h.place != nil {
		h.add(by)
	}
}

// release gives the share back.
func (h *share) release() {
	h.of.mutex.Lock()
	defer h.of.mutex.Unlock()
	if h.place != nil {
		h.drop()
	}
}

// add adds to a share, and takes others' away until all together are within the limit.
func (h *share) add(size int) {
	h.size += size
	h.portion.total += size
	h.of.total += size
	for h.of.total > h.of.limit {
		last := h.of.largest().held.Back().Value.(*share)
		last.drop()
		last.lose()
	}
}

// largest returns the portion of the party that holds most.
func (s *shares) largest() *portion {
	var largest *portion
	for _, p := range s.parties {
		if largest == nil || p.total > largest.total {
			largest = p
		}
	}
	return largest
}

// drop takes a share off the books.
func (h *share) drop() {
	p := h.portion
	p.held.Remove(h.place)
	h.place = nil
	p.total -= h.size
	h.of.total -= h.size
	if p.held.Len() == 0 {
		delete(h.of.parties, p.name)
	}
}
