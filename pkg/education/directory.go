package education

import (
	"context"
	"iter"

	"github.com/opencloud-eu/education/pkg/odata"
)

// Directory keeps the entities. Every error that concerns the request is an *odata.Error: ItemNotFound only when the
// directory answered and has no such entity; a directory that is down, busy or slow is ServiceNotAvailable or
// GatewayTimeout. A method that returns an error other than those two has changed nothing, unless it says so.
//
// A key that matches more than one entity is TooManyResults with the ids as details, in every method.
type Directory interface {
	// List yields the entities of a set that the query selects, in an order that is the directory's own. It yields
	// an error as its last value, if at all; entities yielded before it are then not the whole answer.
	List(ctx context.Context, set *EntitySet, query *odata.Query) iter.Seq2[*Entity, error]

	// Get returns the entity with the key.
	Get(ctx context.Context, set *EntitySet, key Key) (*Entity, error)

	// Create makes an entity from a change that DecodeChange made with Create, together with the change's links, in
	// one write. It returns the new entity. A unique value that is taken is NameAlreadyExists with the property as
	// target; a link to an entity that does not exist is ItemNotFound with the navigation property as target.
	Create(ctx context.Context, set *EntitySet, change *Change) (*Entity, error)

	// Update applies a change to the entity with the key, all of it or nothing, and returns the entity as it is
	// then. Properties that the change does not mention keep their values. Errors are those of Create.
	Update(ctx context.Context, set *EntitySet, key Key, change *Change) (*Entity, error)

	// Delete deletes the entity with the key and every link to it. A school is deleted only when its termination
	// date has passed (otherwise NotAllowed); its users and classes are detached first, never deleted. A Delete of a
	// school that fails half-way has detached some of them and can be repeated.
	Delete(ctx context.Context, set *EntitySet, key Key) error

	// ListRelated is List for the targets of a navigation property. An owner that does not exist is ItemNotFound.
	ListRelated(ctx context.Context, nav *Navigation, owner Key, query *odata.Query) iter.Seq2[*Entity, error]

	// AddRef links owner and target. It succeeds if they are linked already. A user who may have one school and is
	// in another one is Conflict.
	AddRef(ctx context.Context, nav *Navigation, owner, target Key) error

	// RemoveRef removes the link between owner and target. If there is none, it is ItemNotFound with the navigation
	// property as target, unless the rules ask for OpenCloud's answer.
	RemoveRef(ctx context.Context, nav *Navigation, owner, target Key) error
}
