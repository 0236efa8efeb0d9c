// Package api is the HTTP side of the service: routes, keys in paths, JSON in and out. What a request means is decided
// in pkg/education and pkg/odata; a handler here decodes, calls and encodes.
package api

import (
	"cmp"
	"crypto/rand"
	"io"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Config is what an API needs.
type Config struct {
	Directory education.Directory
	Rules     education.Rules
	// CursorKey authenticates the links between pages. Processes that share it follow each other's links. Without one the
	// API makes a key of its own, which no other API has.
	CursorKey []byte
	// MaxPageSize is the largest number of entities in one response, or 0 for lists of any length.
	MaxPageSize int
}

// API serves the entity sets of pkg/education.
type API struct {
	directory education.Directory
	rules     education.Rules
	pages     pages
}

// cursorKeySize is the length of a key that New makes, in bytes: that of the hash (RFC 2104, section 3).
const cursorKeySize = 32

// New returns an API.
func New(config Config) *API {
	key := config.CursorKey
	if len(key) == 0 {
		key = make([]byte, cursorKeySize)
		_, _ = rand.Read(key) // It never fails (crypto/rand).
	}
	return &API{
		directory: config.Directory, rules: config.Rules,
		pages: pages{key: key, maximum: config.MaxPageSize},
	}
}

// Routes returns the routes, to be mounted at <root>/v1.0/education on a router that matches the escaped path, so that
// each key is decoded once. They follow from the tables: each entity set and
// each navigation property has the same ones.
func (a *API) Routes() chi.Router {
	r := chi.NewRouter()
	r.Use(canonicalPath, refuseConditions)
	r.NotFound(handle(nothing, notFound))
	r.MethodNotAllowed(handle(nothing, methodNotAllowed(r)))
	for _, set := range education.EntitySets {
		collection := "/" + set.Name
		entity := collection + "/{" + set.Singular + "}"
		r.Get(collection, handle(access.Read, a.list(set)))
		r.Get(collection+"/"+countSegment, handle(access.Read, a.count(set)))
		r.Post(collection, handle(access.Write, a.create(set)))
		r.Get(entity, handle(access.Read, a.get(set)))
		r.Patch(entity, handle(access.Write, a.update(set)))
		r.Delete(entity, handle(access.Delete, a.delete(set)))
	}
	for _, nav := range education.Navigations {
		collection := "/" + nav.Owner.Name + "/{" + nav.Owner.Singular + "}/" + nav.Name
		r.Get(collection, handle(access.Read, a.listRelated(nav)))
		r.Get(collection+"/"+countSegment, handle(access.Read, a.countRelated(nav)))
		if nav.Create {
			r.Post(collection, handle(access.Write, a.createRelated(nav)))
		}
		if nav.Ref {
			r.Post(collection+"/$ref", handle(access.Write, a.addRef(nav)))
			r.Delete(collection+"/$ref", handle(access.Write, a.removeRefByID(nav)))
			r.Delete(collection+"/{"+nav.Target.Singular+"}/$ref", handle(access.Write, a.removeRef(nav)))
		}
	}
	return r
}

// handler is an HTTP handler that returns its error.
type handler func(w http.ResponseWriter, r *http.Request) error

// nothing is the verb of what any credential may do.
const nothing access.Verbs = 0

// handle makes a handler one that only a credential with a verb reaches. It is the only place where a handler's error becomes
// a response.
func handle(verb access.Verbs, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := permit(r, verb)
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			odata.WriteError(w, r, err)
		}
	}
}

// permit refuses a request whose credential does not include a verb, before anything of the request is read. A request
// without a credential has come past whatever authenticates: it must not reach the directory, which takes it for the
// process's own.
func permit(r *http.Request, verb access.Verbs) error {
	credential, ok := access.Of(r.Context())
	if !ok || !credential.Verbs.Include(verb) {
		return odata.Errorf(odata.AccessDenied, "", "the token does not permit to %s", cmp.Or(verb.String(), "ask"))
	}
	return nil
}

// Options of the resources that answer any.
var (
	listOptions = []string{
		odata.OptionFilter, odata.OptionSelect, odata.OptionOrderBy, odata.OptionTop, odata.OptionSkip, odata.OptionCount,
		odata.OptionSearch, odata.OptionExpand, odata.OptionFormat, odata.OptionSkipToken,
	}
	countOptions  = []string{odata.OptionFilter, odata.OptionSearch}
	entityOptions = []string{odata.OptionSelect, odata.OptionExpand, odata.OptionFormat}
)

// queryOf checks the query options of a request for a resource that answers the given ones.
func queryOf(r *http.Request, set *education.EntitySet, options ...string) (*odata.Query, error) {
	return odata.ParseQuery(r.URL.RawQuery, set.Resource(options...))
}

// answerer asks the directory a query about one collection.
type answerer func(*odata.Query) (*education.Answer, error)

func (a *API) list(set *education.EntitySet) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return a.answer(w, r, set, false, func(query *odata.Query) (*education.Answer, error) {
			return a.directory.List(r.Context(), set, query)
		})
	}
}

func (a *API) listRelated(nav *education.Navigation) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		owner, err := keyOf(r, nav.Owner)
		if err != nil {
			return err
		}
		return a.answer(w, r, nav.Target, a.rules.Compatible, func(query *odata.Query) (*education.Answer, error) {
			return a.directory.ListRelated(r.Context(), nav, owner, query)
		})
	}
}

// answer answers the query of a request about a collection. With bare, the answer is an array unless the client asks for
// a page or does not get everything at once.
func (a *API) answer(w http.ResponseWriter, r *http.Request, set *education.EntitySet, bare bool, ask answerer) error {
	query, err := queryOf(r, set, listOptions...)
	if err != nil {
		return err
	}
	shape, err := a.shapeOf(r, set, query)
	if err != nil {
		return err
	}
	bare = bare && !asksForPage(r, query)
	if err := a.pages.prepare(w, r, query); err != nil {
		return err
	}
	answer, err := ask(query)
	if err != nil {
		return err
	}
	return a.writeList(w, r, shape, bare && answer.Next == "", query, answer)
}

func (a *API) count(set *education.EntitySet) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return a.writeCount(w, r, set, func(query *odata.Query) (*education.Answer, error) {
			return a.directory.List(r.Context(), set, query)
		})
	}
}

func (a *API) countRelated(nav *education.Navigation) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		owner, err := keyOf(r, nav.Owner)
		if err != nil {
			return err
		}
		return a.writeCount(w, r, nav.Target, func(query *odata.Query) (*education.Answer, error) {
			return a.directory.ListRelated(r.Context(), nav, owner, query)
		})
	}
}

// writeCount writes the number of entities as digits and nothing else (OData protocol, section 11.2.10): SDKs fail on a
// line feed.
func (a *API) writeCount(w http.ResponseWriter, r *http.Request, set *education.EntitySet, ask answerer) error {
	query, err := queryOf(r, set, countOptions...)
	if err != nil {
		return err
	}
	none := 0
	query.Count, query.Top = true, &none
	answer, err := ask(query)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, strconv.Itoa(answer.Total))
	return nil
}

func (a *API) get(set *education.EntitySet) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		query, err := queryOf(r, set, entityOptions...)
		if err != nil {
			return err
		}
		shape, err := a.shapeOf(r, set, query)
		if err != nil {
			return err
		}
		key, err := meantKey(r, set)
		if err != nil {
			return err
		}
		entity, err := a.directory.Get(r.Context(), set, key, query)
		if err != nil {
			return err
		}
		return a.writeRead(w, r, shape, entity)
	}
}

func (a *API) create(set *education.EntitySet) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		change, err := a.change(r, set, education.CreateEntity)
		if err != nil {
			return err
		}
		status := http.StatusCreated
		if a.rules.Compatible && set == education.Users {
			status = http.StatusOK
		}
		return a.createEntity(w, r, status, change)
	}
}

// createRelated serves a POST to a navigation property: the new entity is linked to the owner by the same write.
func (a *API) createRelated(nav *education.Navigation) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		owner, err := keyOf(r, nav.Owner)
		if err != nil {
			return err
		}
		change, err := a.change(r, nav.Target, education.CreateEntity)
		if err != nil {
			return err
		}
		if err := change.LinkTo(nav.Inverse(), owner); err != nil {
			return err
		}
		return a.createEntity(w, r, http.StatusCreated, change)
	}
}

func (a *API) createEntity(w http.ResponseWriter, r *http.Request, status int, change *education.Change) error {
	shape, err := a.shapeOf(r, change.Set, nil)
	if err != nil {
		return err
	}
	entity, err := a.directory.Create(r.Context(), change.Set, change)
	if err != nil {
		return err
	}
	w.Header().Set("Location", shape.entityURL(entity))
	return a.writeChanged(w, r, status, shape, entity)
}

func (a *API) update(set *education.EntitySet) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		key, err := meantKey(r, set)
		if err != nil {
			return err
		}
		shape, err := a.shapeOf(r, set, nil)
		if err != nil {
			return err
		}
		change, err := a.change(r, set, education.UpdateEntity)
		if err != nil {
			return err
		}
		entity, err := a.directory.Update(r.Context(), set, key, change)
		if err != nil {
			return err
		}
		status := http.StatusOK
		if a.rules.Compatible && set == education.Classes {
			status = http.StatusNoContent
		}
		return a.writeChanged(w, r, status, shape, entity)
	}
}

func (a *API) delete(set *education.EntitySet) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := queryOf(r, set); err != nil {
			return err
		}
		key, err := meantKey(r, set)
		if err != nil {
			return err
		}
		return noContent(w, a.directory.Delete(r.Context(), set, key))
	}
}

func (a *API) addRef(nav *education.Navigation) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		owner, err := a.request(r, nav.Owner)
		if err != nil {
			return err
		}
		target, err := referenceOf(r, nav.Target)
		if err != nil {
			return err
		}
		return noContent(w, a.directory.AddRef(r.Context(), nav, owner, target))
	}
}

func (a *API) removeRef(nav *education.Navigation) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		owner, err := a.request(r, nav.Owner)
		if err != nil {
			return err
		}
		target, err := keyOf(r, nav.Target)
		if err != nil {
			return err
		}
		return noContent(w, a.directory.RemoveRef(r.Context(), nav, owner, target))
	}
}

// removeRefByID serves DELETE …/$ref?$id=<URL of the target> (OData protocol, section 11.4.6.2).
func (a *API) removeRefByID(nav *education.Navigation) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		owner, err := keyOf(r, nav.Owner)
		if err != nil {
			return err
		}
		query, err := queryOf(r, nav.Target, odata.OptionID)
		if err != nil {
			return err
		}
		if query.ID == "" {
			return odata.Errorf(odata.InvalidRequest, odata.OptionID, "name the entity to remove: DELETE …/%s/{id}/$ref", nav.Name)
		}
		target, err := education.ParseReference(nav.Target, query.ID)
		if err != nil {
			return err
		}
		return noContent(w, a.directory.RemoveRef(r.Context(), nav, owner, target))
	}
}

// request checks that a request has no query options and returns the key of the entity in its path.
func (a *API) request(r *http.Request, set *education.EntitySet) (education.Key, error) {
	if _, err := queryOf(r, set); err != nil {
		return education.Key{}, err
	}
	return keyOf(r, set)
}

// change reads the body of a request that has no query options.
func (a *API) change(r *http.Request, set *education.EntitySet, operation education.Operation) (*education.Change, error) {
	if _, err := queryOf(r, set); err != nil {
		return nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return education.DecodeChange(set, operation, body, a.rules)
}

func noContent(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
