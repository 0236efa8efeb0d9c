package audit

import (
	"context"
	"errors"
	"net/http"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// recorded is a Directory that fills in what a request changes.
type recorded struct {
	education.Directory
	trail *Trail
}

// Directory returns a directory that notes the changes that requests ask for, and what becomes of them. In required mode it
// makes none whose beginning cannot be recorded: that is ServiceNotAvailable. What the process does on its own account, under
// a context that Follow has not made, passes unrecorded.
func (t *Trail) Directory(next education.Directory) education.Directory {
	return recorded{next, t}
}

// Create implements education.Directory.
func (d recorded) Create(ctx context.Context, set *education.EntitySet, change *education.Change) (*education.Entity, error) {
	return d.record(ctx, concern{verb: Create, set: set, change: change}, func(ctx context.Context) (*education.Entity, error) {
		return d.Directory.Create(ctx, set, change)
	})
}

// Update implements education.Directory.
func (d recorded) Update(ctx context.Context, set *education.EntitySet, key education.Key, change *education.Change) (*education.Entity, error) {
	return d.record(ctx, concern{verb: Update, set: set, key: key, change: change}, func(ctx context.Context) (*education.Entity, error) {
		return d.Directory.Update(ctx, set, key, change)
	})
}

// Delete implements education.Directory.
func (d recorded) Delete(ctx context.Context, set *education.EntitySet, key education.Key) error {
	_, err := d.record(ctx, concern{verb: Delete, set: set, key: key}, func(ctx context.Context) (*education.Entity, error) {
		return nil, d.Directory.Delete(ctx, set, key)
	})
	return err
}

// AddRef implements education.Directory.
func (d recorded) AddRef(ctx context.Context, nav *education.Navigation, owner, target education.Key) error {
	about := concern{verb: AddRef, set: nav.Owner, key: owner, nav: nav, target: target}
	_, err := d.record(ctx, about, func(ctx context.Context) (*education.Entity, error) {
		return nil, d.Directory.AddRef(ctx, nav, owner, target)
	})
	return err
}

// RemoveRef implements education.Directory.
func (d recorded) RemoveRef(ctx context.Context, nav *education.Navigation, owner, target education.Key) error {
	about := concern{verb: RemoveRef, set: nav.Owner, key: owner, nav: nav, target: target}
	_, err := d.record(ctx, about, func(ctx context.Context) (*education.Entity, error) {
		return nil, d.Directory.RemoveRef(ctx, nav, owner, target)
	})
	return err
}

// record carries out a change and notes it for the request that ctx belongs to.
func (d recorded) record(ctx context.Context, about concern, carryOut func(context.Context) (*education.Entity, error)) (*education.Entity, error) {
	recording := recordingOf(ctx)
	if recording == nil {
		return carryOut(ctx)
	}
	var foreseen *education.Witness
	if d.trail.config.Required {
		foreseen = d.foresee(ctx, &about)
	}
	ctx, witness := education.WithWitness(ctx)
	if err := recording.ask(ctx, about, foreseen); err != nil {
		return nil, err
	}
	// Also of a change that panics it is recorded what it was about.
	defer about.describe(&recording.line, witness)
	entity, err := carryOut(ctx)
	recording.outcome = outcomeOf(err, witness)
	about.made, about.outcome = entity, recording.outcome
	return entity, err
}

// foresee looks up the entities that a change names by keys whose values the record may not hold: should nothing more ever be
// known of the change, the record says what it was about. Those that are not found are left to the change, which says why.
func (d recorded) foresee(ctx context.Context, about *concern) *education.Witness {
	_, seen := education.WithWitness(ctx)
	look := func(set *education.EntitySet, key education.Key) (id string) {
		entity, err := d.Get(ctx, set, education.Key{Property: key.Property, Value: key.Value}, nil)
		if err != nil {
			return ""
		}
		seen.Found(key, entity)
		return entity.ID()
	}
	name := func(set *education.EntitySet, key education.Key) {
		if key.Property != nil && !entityOf(key, nil, set).known() {
			look(set, key)
		}
	}
	name(about.set, about.key)
	if about.nav != nil {
		name(about.nav.Target, about.target)
	}
	if about.change != nil {
		for _, link := range about.change.Links {
			for _, key := range link.Keys {
				id := key.Value
				if key.Property != link.Navigation.Target.ID {
					id = look(link.Navigation.Target, key)
				}
				seen.Linked(link.Navigation, id)
			}
		}
	}
	return seen
}

// ask notes that the directory is asked for a change, and records it in required mode, with what has been foreseen of it.
func (r *Recording) ask(ctx context.Context, about concern, foreseen *education.Witness) error {
	r.asked = true
	if credential, ok := access.Of(ctx); ok {
		r.by(credential)
	}
	about.describe(&r.line, foreseen)
	if !r.trail.config.Required {
		return nil
	}
	r.line.Change = r.trail.changes.Add(1)
	if err := r.trail.begin(r.line); err != nil {
		r.outcome = Failed
		return err
	}
	r.begun = true
	return nil
}

// outcomeOf returns the outcome of a change that has ended with err. An error that blames the request says that nothing was
// changed; after any other one it counts whether the directory has made a write, or has not said.
func outcomeOf(err error, witness *education.Witness) string {
	var fault *odata.Error
	switch {
	case err == nil:
		return Made
	case errors.As(err, &fault) && isRefusal(fault.Code.Status):
		return Refused
	case witness.Wrote():
		return Unknown
	case errors.Is(err, context.Canceled):
		return Refused // The client has gone.
	}
	return Failed
}

// isRefusal reports whether a status blames the request. That something is not supported does, whatever its number.
func isRefusal(status int) bool {
	return status >= http.StatusBadRequest && status < http.StatusInternalServerError || status == http.StatusNotImplemented
}

// concern is what a change is about.
type concern struct {
	verb string
	set  *education.EntitySet
	// key is that of the entity, or of a link's owner; a new entity has none.
	key    education.Key
	change *education.Change
	nav    *education.Navigation
	target education.Key
	// made is what the directory has returned, and outcome what it means.
	made    *education.Entity
	outcome string
}

// describe fills in the members of a line that say what a change is about, as far as a witness has seen it.
func (c *concern) describe(line *Line, witness *education.Witness) {
	line.Verb, line.Set = c.verb, c.set.Name
	if c.verb == Create {
		line.Entity = c.newEntity(witness)
	} else {
		line.Entity = entityOf(c.key, witness, c.set)
	}
	if c.nav != nil {
		target := entityOf(c.target, witness, c.nav.Target)
		line.Navigation, line.Target = c.nav.Name, &target
	}
	if c.change != nil {
		line.Properties, line.Links = c.change.Names(), c.links(witness)
	}
	line.Detached = witness.Detached()
}

// newEntity names an entity that is to be made. The id that the service has chosen counts only if it may be in use.
func (c *concern) newEntity(witness *education.Witness) Entity {
	var entity Entity
	entity.ID, _ = c.change.Text(c.set.ID.Name)
	entity.ExternalID, _ = c.change.Text("externalId")
	if c.made != nil {
		entity.ID = c.made.ID()
	} else if c.outcome == Unknown {
		entity.ID, _ = witness.Entity(c.set, education.Key{})
	}
	entity.ID, entity.ExternalID = clip(entity.ID), clip(entity.ExternalID)
	return entity
}

// links returns the ids that a change links its entity to.
func (c *concern) links(witness *education.Witness) map[string][]string {
	links := map[string][]string{}
	for _, link := range c.change.Links {
		// None means that the change takes all links away, so keys that are not known are not left out as if there were none.
		if ids := idsOf(link.Keys, link.Navigation.Target); len(ids) > 0 || len(link.Keys) == 0 {
			links[link.Navigation.Name] = ids
		}
	}
	for _, nav := range education.Navigations {
		// The directory may have found a school that the request did not name.
		if ids := witness.Links(nav); nav.Owner == c.set && len(ids) > 0 {
			links[nav.Name] = ids
		}
	}
	return links
}

// idsOf returns those of some keys that are ids.
func idsOf(keys []education.Key, set *education.EntitySet) []string {
	ids := []string{}
	for _, key := range keys {
		if key.Property == set.ID {
			ids = append(ids, clip(key.Value))
		}
	}
	return ids
}
