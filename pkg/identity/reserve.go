package identity

import (
	"slices"
	"sync"
)

// reservations let one writer at a time look whether unique values are free and take them, where the directory itself does
// not refuse a value that is taken. They hold within this process; another one in front of the same directory can still
// write at the same moment.
type reservations struct {
	mutex sync.Mutex
	held  map[string]chan struct{}
}

// take waits until nobody has any of the keys, and returns what gives them back.
func (r *reservations) take(keys []uniqueKey) (release func()) {
	// In one order, so that two writers never wait for each other.
	texts := slices.Compact(slices.Sorted(slices.Values(keyTexts(keys))))
	for _, text := range texts {
		r.takeOne(text)
	}
	return func() {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		for _, text := range texts {
			close(r.held[text])
			delete(r.held, text)
		}
	}
}

func (r *reservations) takeOne(text string) {
	for {
		r.mutex.Lock()
		taken, busy := r.held[text]
		if !busy {
			if r.held == nil {
				r.held = make(map[string]chan struct{})
			}
			r.held[text] = make(chan struct{})
			r.mutex.Unlock()
			return
		}
		r.mutex.Unlock()
		<-taken
	}
}
