package identitytest

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Short names of the tables.
var (
	schools = education.Schools
	users   = education.Users
	classes = education.Classes

	schoolUsers       = education.NavigationOf(schools, "users")
	schoolClasses     = education.NavigationOf(schools, "classes")
	classMembers      = education.NavigationOf(classes, "members")
	classTeachers     = education.NavigationOf(classes, "teachers")
	classSchools      = education.NavigationOf(classes, "schools")
	userSchools       = education.NavigationOf(users, "schools")
	userClasses       = education.NavigationOf(users, "classes")
	userTaughtClasses = education.NavigationOf(users, "taughtClasses")
)

// username is the name of the property that holds it.
const username = "onPremisesSamAccountName"

// fields is a JSON object: the body of a request.
type fields map[string]any

// subject is a directory under test. Its methods end the test when the directory fails; those whose names begin with
// try return the error, and are the only ones that may be called from other goroutines than the test's.
type subject struct {
	*testing.T
	directory education.Directory
	rules     education.Rules
	// ctx is the context of every call, with the credential of whoever calls.
	ctx context.Context
	// ahead is how far the clock of the rules is ahead of the real one.
	ahead *atomic.Int64
}

func newSubject(t *testing.T, open func(*testing.T, education.Rules) education.Directory, rules education.Rules) *subject {
	s := &subject{T: t, rules: rules, ctx: context.Background(), ahead: &atomic.Int64{}}
	s.rules.Now = func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
	s.directory = open(t, s.rules)
	return s
}

// wait sets the clock of the rules forward.
func (s *subject) wait(d time.Duration) { s.ahead.Add(int64(d)) }

// as returns the subject as a credential sees it that is bound to some schools.
func (s *subject) as(schools ...*education.Entity) *subject {
	credential := &access.Credential{Name: "tenant", Verbs: access.AllVerbs}
	for _, school := range schools {
		credential.Schools = append(credential.Schools, school.ID())
	}
	bound := *s
	bound.ctx = access.With(s.ctx, credential)
	return &bound
}

// each runs a subtest on the same directory.
func (s *subject) each(name string, run func(s *subject)) {
	s.Helper()
	s.Run(name, func(t *testing.T) {
		inner := *s
		inner.T = t
		run(&inner)
	})
}

// tryChange decodes a body. On create it first completes what the set requires and the body does not have.
func (s *subject) tryChange(set *education.EntitySet, operation education.Operation, body fields) (*education.Change, error) {
	complete := fields{}
	if operation == education.CreateEntity {
		for _, property := range set.Properties {
			if property.Required {
				complete[property.Name] = jsonOf(fixture(property))
			}
		}
	}
	for name, value := range body {
		complete[name] = value
	}
	encoded, err := json.Marshal(complete)
	if err != nil {
		return nil, err
	}
	return education.DecodeChange(set, operation, encoded, s.rules)
}

func (s *subject) tryCreate(set *education.EntitySet, body fields) (*education.Entity, error) {
	change, err := s.tryChange(set, education.CreateEntity, body)
	if err != nil {
		return nil, err
	}
	return s.directory.Create(s.ctx, set, change)
}

// create makes an entity. Properties that the set requires and the body lacks get values of their own.
func (s *subject) create(set *education.EntitySet, body fields) *education.Entity {
	s.Helper()
	entity, err := s.tryCreate(set, body)
	if err != nil {
		s.Fatalf("create one of %s: %v", set.Name, err)
	}
	if entity == nil || entity.ID() == "" {
		s.Fatalf("create one of %s: no entity with an id and no error", set.Name)
	}
	return entity
}

// createMany makes entities at the same time and returns them in the order of the bodies.
func (s *subject) createMany(set *education.EntitySet, bodies []fields) []*education.Entity {
	s.Helper()
	entities := make([]*education.Entity, len(bodies))
	errs := inParallel(len(bodies), func(i int) (err error) {
		entities[i], err = s.tryCreate(set, bodies[i])
		return err
	})
	if err := errors.Join(errs...); err != nil {
		s.Fatalf("create %d of %s: %v", len(bodies), set.Name, err)
	}
	return entities
}

func (s *subject) tryUpdate(entity *education.Entity, body fields) (*education.Entity, error) {
	change, err := s.tryChange(entity.Set, education.UpdateEntity, body)
	if err != nil {
		return nil, err
	}
	return s.directory.Update(s.ctx, entity.Set, idOf(entity), change)
}

// update changes an entity and returns it as it is then. The answer must be what a look at the entity shows.
func (s *subject) update(entity *education.Entity, body fields) *education.Entity {
	s.Helper()
	updated, err := s.tryUpdate(entity, body)
	if err != nil {
		s.Fatalf("update one of %s: %v", entity.Set.Name, err)
	}
	s.wantSame(updated, s.get(entity.Set, idOf(entity)))
	return updated
}

func (s *subject) tryGet(set *education.EntitySet, key education.Key) (*education.Entity, error) {
	return s.directory.Get(s.ctx, set, key, nil)
}

func (s *subject) get(set *education.EntitySet, key education.Key) *education.Entity {
	s.Helper()
	entity, err := s.tryGet(set, key)
	if err != nil {
		s.Fatalf("get one of %s by %s: %v", set.Name, key.Property.Name, err)
	}
	return entity
}

func (s *subject) tryDelete(entity *education.Entity) error {
	return s.directory.Delete(s.ctx, entity.Set, idOf(entity))
}

func (s *subject) delete(entity *education.Entity) {
	s.Helper()
	if err := s.tryDelete(entity); err != nil {
		s.Fatalf("delete one of %s: %v", entity.Set.Name, err)
	}
}

func (s *subject) tryAddRef(nav *education.Navigation, owner, target *education.Entity) error {
	return s.directory.AddRef(s.ctx, nav, idOf(owner), idOf(target))
}

func (s *subject) addRef(nav *education.Navigation, owner, target *education.Entity) {
	s.Helper()
	if err := s.tryAddRef(nav, owner, target); err != nil {
		s.Fatalf("add to the %s of one of %s: %v", nav.Name, nav.Owner.Name, err)
	}
}

func (s *subject) tryRemoveRef(nav *education.Navigation, owner, target *education.Entity) error {
	return s.directory.RemoveRef(s.ctx, nav, idOf(owner), idOf(target))
}

func (s *subject) removeRef(nav *education.Navigation, owner, target *education.Entity) {
	s.Helper()
	if err := s.tryRemoveRef(nav, owner, target); err != nil {
		s.Fatalf("remove from the %s of one of %s: %v", nav.Name, nav.Owner.Name, err)
	}
}

// entities returns the entities of an answer. The error of a list that failed before its first entity is the only value.
func entities(answer *education.Answer, err error) iter.Seq2[*education.Entity, error] {
	if err != nil {
		return func(yield func(*education.Entity, error) bool) { yield(nil, err) }
	}
	return answer.Entities
}

// tryIDs returns the ids that a list yields, sorted. An id that comes twice is there twice.
func tryIDs(list iter.Seq2[*education.Entity, error]) ([]string, error) {
	ids := []string{}
	for entity, err := range list {
		if err != nil {
			return ids, err
		}
		ids = append(ids, entity.ID())
	}
	slices.Sort(ids)
	return ids, nil
}

func (s *subject) ids(list iter.Seq2[*education.Entity, error]) []string {
	s.Helper()
	ids, err := tryIDs(list)
	if err != nil {
		s.Fatalf("list: %v", err)
	}
	return ids
}

func (s *subject) list(set *education.EntitySet, query *odata.Query) iter.Seq2[*education.Entity, error] {
	return entities(s.directory.List(s.ctx, set, query))
}

func (s *subject) related(nav *education.Navigation, owner *education.Entity) iter.Seq2[*education.Entity, error] {
	return s.relatedBy(nav, owner, &odata.Query{})
}

func (s *subject) relatedBy(nav *education.Navigation, owner *education.Entity, query *odata.Query) iter.Seq2[*education.Entity, error] {
	return entities(s.directory.ListRelated(s.ctx, nav, idOf(owner), query))
}

// wantIDs fails the test unless the list yields exactly the wanted entities, each once.
func (s *subject) wantIDs(what string, list iter.Seq2[*education.Entity, error], want ...*education.Entity) {
	s.Helper()
	got, err := tryIDs(list)
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
	wanted := make([]string, len(want))
	for i, entity := range want {
		wanted[i] = entity.ID()
	}
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		s.Errorf("%s: got %d entities %q, want %d %q", what, len(got), some(got), len(wanted), some(wanted))
	}
}

// some returns the first few values, to be shown.
func some(values []string) []string { return values[:min(len(values), 5)] }

// wantRelated is wantIDs for a navigation property.
func (s *subject) wantRelated(nav *education.Navigation, owner *education.Entity, want ...*education.Entity) {
	s.Helper()
	s.wantIDs(nav.Owner.Name+"/"+nav.Name, s.related(nav, owner), want...)
}

// wantError fails the test unless err has the code and the target.
func (s *subject) wantError(what string, err error, code odata.Code, target string) {
	s.Helper()
	var fault *odata.Error
	switch {
	case err == nil:
		s.Errorf("%s: no error, want %s with status %d", what, code.Name, code.Status)
	case !errors.As(err, &fault):
		s.Errorf("%s: got the error %v, want %s with status %d", what, err, code.Name, code.Status)
	case fault.Code != code:
		s.Errorf("%s: got %v with status %d, want %s with status %d", what, err, fault.Code.Status, code.Name, code.Status)
	case fault.Target != target:
		s.Errorf("%s: got the target %q of %v, want %q", what, fault.Target, err, target)
	}
}

// wantGone fails the test unless no entity has the key.
func (s *subject) wantGone(entity *education.Entity) {
	s.Helper()
	_, err := s.tryGet(entity.Set, idOf(entity))
	s.wantError("get a deleted "+entity.Set.Singular, err, odata.ItemNotFound, entity.Set.Name)
}

// wantValue fails the test unless the entity's property has the value; nil asks for none.
func (s *subject) wantValue(entity *education.Entity, name string, want any) {
	s.Helper()
	property := entity.Set.Property(name)
	if got := entity.Value(property); !sameValue(got, want) {
		s.Errorf("%s of a %s: got %#v, want %#v", name, entity.Set.Singular, got, want)
	}
}

// wantSame fails the test unless two readings of an entity agree in every property.
func (s *subject) wantSame(got, want *education.Entity) {
	s.Helper()
	for _, property := range want.Set.Properties {
		if !sameValue(got.Value(property), want.Value(property)) {
			s.Errorf("%s of a %s: got %#v, want %#v", property.Name, want.Set.Singular, got.Value(property), want.Value(property))
		}
	}
}

// idOf returns the key that addresses an entity by its id.
func idOf(entity *education.Entity) education.Key {
	return education.Key{Property: entity.Set.ID, Value: entity.ID()}
}

// keyOf returns the key that addresses an entity by the named property.
func keyOf(set *education.EntitySet, name, value string) education.Key {
	return education.Key{Property: set.Property(name), Value: value}
}

// equal returns the query "property eq value".
func equal(property *education.Property, value any) *odata.Query {
	return &odata.Query{Filter: &odata.Compare{Property: property.Name, Operator: odata.Eq, Value: value}}
}

// bind returns the references of an @odata.bind array.
func bind(entities ...*education.Entity) []string {
	references := make([]string, len(entities))
	for i, entity := range entities {
		references[i] = "/education/" + entity.Set.Name + "/" + entity.ID()
	}
	return references
}
