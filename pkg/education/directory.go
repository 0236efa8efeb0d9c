package education

import (
	"context"
	"iter"

	"github.com/opencloud-eu/education/pkg/odata"
)

// Answer is what a query selects.
type Answer struct {
	// Entities yields the entities, those of one page if the query asks for a page. It yields an error as its last
	// value, if at all; entities yielded before it are then not the whole answer. It can be ranged over once.
	Entities iter.Seq2[*Entity, error]
	// Total is the number of entities that the query selects on all pages together, if it asks for that.
	Total int
	// Next is the position behind the page, for Query.Cursor, or empty if nothing follows.
	Next string
}

// Directory keeps the entities. Every error that concerns the request is an *odata.Error: ItemNotFound only when the
// directory answered and has no such entity; a directory that is down, busy or slow is ServiceNotAvailable or
// GatewayTimeout. A method that returns an error other than those two has changed nothing, unless it says so.
//
// A key that matches more than one entity is TooManyResults with the ids as details, in every method.
type Directory interface {
	// List returns the entities of a set that the query selects. A query without order, page or count is answered as
	// the directory finds the entities, in an order that is its own; any other one is ordered, at last by id, so that
	// the order is the same each time.
	List(ctx context.Context, set *EntitySet, query *odata.Query) (*Answer, error)

	// Get returns the entity with the key, with the navigation properties that the query expands. A nil query expands none.
	Get(ctx context.Context, set *EntitySet, key Key, query *odata.Query) (*Entity, error)

	// Create makes an entity from a change that DecodeChange made with Create, together with the change's links, in
	// one write. It returns the new entity. A unique value that is taken is NameAlreadyExists with the property as
	// target; a link to an entity that does not exist is ItemNotFound with the navigation property as target.
	Create(ctx context.Context, set *EntitySet, change *Change) (*Entity, error)

	// Update applies a change to the entity with the key, all of it or nothing, and returns the entity as it is
	// then. Properties that the change does not mention keep their values. Errors are those of Create, and
	// ResourceModified if the key means other versions of the entity than the one that the write meets.
	Update(ctx context.Context, set *EntitySet, key Key, change *Change) (*Entity, error)

	// Delete deletes the entity with the key and every link to it. A school is deleted only when its termination
	// date has passed (otherwise NotAllowed); its users and classes are detached first, never deleted. A Delete of a
	// school that fails half-way has detached some of them and can be repeated. Versions count as for Update.
	Delete(ctx context.Context, set *EntitySet, key Key) error

	// ListRelated is List for the targets of a navigation property. An owner that does not exist is ItemNotFound.
	ListRelated(ctx context.Context, nav *Navigation, owner Key, query *odata.Query) (*Answer, error)

	// AddRef links owner and target. It succeeds if they are linked already. A user who may have one school and is
	// in another one is Conflict.
	AddRef(ctx context.Context, nav *Navigation, owner, target Key) error

	// RemoveRef removes the link between owner and target. If there is none, it is ItemNotFound with the navigation
	// property as target, unless the rules ask for OpenCloud's answer.
	RemoveRef(ctx context.Context, nav *Navigation, owner, target Key) error
}
