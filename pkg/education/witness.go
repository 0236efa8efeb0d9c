package education

import (
	"context"
	"slices"
	"sync"
)

// A Witness sees what a Directory comes to know while it carries out one change: which entities the keys mean, and whether
// anything has been written. Its methods may be called on nil, which sees nothing, and at the same time.
type Witness struct {
	mutex    sync.Mutex
	found    []sighting
	linked   map[*Navigation][]string
	detached int
	wrote    bool
}

// sighting is an entity that a key of a set has led to.
type sighting struct {
	set        *EntitySet
	property   *Property
	value      string
	id         string
	externalID string
}

type witnessKey struct{}

// WithWitness returns a context for one change, and the witness of it.
func WithWitness(ctx context.Context) (context.Context, *Witness) {
	w := &Witness{}
	return context.WithValue(ctx, witnessKey{}, w), w
}

// WitnessOf returns the witness that ctx carries, or nil.
func WitnessOf(ctx context.Context) *Witness {
	w, _ := ctx.Value(witnessKey{}).(*Witness)
	return w
}

// Found notes the entity that a key has led to. The zero Key is that of an entity which is about to be made.
func (w *Witness) Found(key Key, entity *Entity) {
	if w == nil {
		return
	}
	seen := sighting{set: entity.Set, property: key.Property, value: key.Value, id: entity.ID(), externalID: entity.Text("externalId")}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if !slices.Contains(w.found, seen) {
		w.found = append(w.found, seen)
	}
}

// Entity returns the id and the externalId of the entity of a set that a key has led to, both empty if it has led to none.
// Of several, as when a number passes from one entity to another meanwhile, the last counts.
func (w *Witness) Entity(set *EntitySet, key Key) (id, externalID string) {
	if w == nil {
		return "", ""
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, seen := range slices.Backward(w.found) {
		if seen.set == set && seen.property == key.Property && seen.value == key.Value {
			return seen.id, seen.externalID
		}
	}
	return "", ""
}

// Linked notes the id of an entity that the change links to.
func (w *Witness) Linked(nav *Navigation, id string) {
	if w == nil || id == "" {
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.linked == nil {
		w.linked = make(map[*Navigation][]string, 1)
	}
	w.linked[nav] = append(w.linked[nav], id)
}

// Links returns the ids that Linked has noted for a navigation property, each once and in order.
func (w *Witness) Links(nav *Navigation) []string {
	if w == nil {
		return nil
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	ids := slices.Clone(w.linked[nav])
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Detach notes that an entity has been taken out of a school that is being deleted.
func (w *Witness) Detach() {
	if w == nil {
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.detached++
}

// Detached returns how often Detach was called.
func (w *Witness) Detached() int {
	if w == nil {
		return 0
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.detached
}

// Write notes that something was written or may have been.
func (w *Witness) Write() {
	if w == nil {
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.wrote = true
}

// Wrote reports whether Write was called. If it was not, nothing has changed.
func (w *Witness) Wrote() bool {
	if w == nil {
		return false
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.wrote
}
