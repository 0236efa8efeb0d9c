package access

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// ErrUnknown says that an authenticator knows nothing of a token. ErrInvalid says that a token is not, or no longer, to be let
// in; it wraps what the log shall say about that. Clients hear the same of both.
var (
	ErrUnknown = errors.New("the token is not known")
	ErrInvalid = errors.New("the token is not valid")
)

// ErrSchools says that a token is valid, and that it cannot be told at the moment which of its schools exist.
var ErrSchools = errors.New("the schools of the token cannot be looked up")

// An Authenticator knows tokens.
type Authenticator interface {
	// Authenticate returns the grant that a token stands for, or an error that wraps ErrUnknown, so that another
	// authenticator is asked, or ErrInvalid. Any other error says that it cannot be told at the moment.
	Authenticate(ctx context.Context, token string) (*Grant, error)
}

// Schools finds schools.
type Schools interface {
	// SchoolID returns the id of the school with an externalId, or the empty string if there is none or more than one. The school
	// has it character for character; capital and small letters are the same.
	SchoolID(ctx context.Context, externalID string) (string, error)
	// ExistingSchools returns those ids that are ids of schools.
	ExistingSchools(ctx context.Context, ids []string) ([]string, error)
}

// schoolsFor is how long it is taken for granted which school has an externalId, and that a school is there or is not.
const schoolsFor = time.Second

// maxKnownSchools is how many schools are remembered at a time.
const maxKnownSchools = 10_000

// Gate makes credentials of tokens.
type Gate struct {
	// Authenticators are asked in their order.
	Authenticators []Authenticator
	// Schools finds the schools of grants.
	Schools Schools

	// lookups are those under way: however many requests wait for a school, it is looked up once.
	lookups singleflight.Group
	mutex   sync.Mutex
	// known has schools under the id or the externalId by which grants name them.
	known map[School]knownSchool
}

// knownSchool is a school of which it is known until a time whether it is there. Its id is empty if it is not.
type knownSchool struct {
	id    string
	until time.Time
}

// Credential returns the credential of a token. The error wraps ErrUnknown or ErrInvalid if there is none, and ErrSchools if its
// schools are missing; any other error says that it cannot be told at the moment.
func (g *Gate) Credential(ctx context.Context, token string) (*Credential, error) {
	for _, authenticator := range g.Authenticators {
		grant, err := authenticator.Authenticate(ctx, token)
		switch {
		case errors.Is(err, ErrUnknown):
			continue
		case err != nil:
			return nil, err
		}
		credential, err := g.credential(ctx, grant)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSchools, err)
		}
		return credential, nil
	}
	return nil, ErrUnknown
}

// credential finds the schools of a grant. Those that do not exist are left out, also where they are named by an id: users and
// classes may have the id of a school that has gone, and would be in reach of whoever was bound to it.
func (g *Gate) credential(ctx context.Context, grant *Grant) (*Credential, error) {
	credential := &Credential{Name: grant.Name, Verbs: grant.Verbs, AllSchools: grant.AllSchools}
	if grant.AllSchools {
		return credential, nil
	}
	found, unknown := g.recall(grant.Schools)
	var ids []string
	for _, school := range unknown {
		if school.ID != "" {
			ids = append(ids, school.ID)
			continue
		}
		id, err := g.lookUp(ctx, "externalId "+school.ExternalID, []School{school}, func(ctx context.Context) ([]string, error) {
			id, err := g.Schools.SchoolID(ctx, school.ExternalID)
			return []string{strings.ToLower(id)}, err
		})
		if err != nil {
			return nil, err
		}
		found = append(found, id...)
	}
	if len(ids) > 0 {
		there, err := g.existing(ctx, ids)
		if err != nil {
			return nil, err
		}
		found = append(found, there...)
	}
	slices.Sort(found)
	for _, id := range slices.Compact(found) {
		if id != "" {
			credential.Schools = append(credential.Schools, id)
		}
	}
	return credential, nil
}

// recall returns the ids of those of the schools that are known, empty for one that does not exist, and those that are not.
func (g *Gate) recall(schools []School) (found []string, unknown []School) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for _, school := range schools {
		school.ID = strings.ToLower(school.ID)
		known, ok := g.known[school]
		if !ok || !time.Now().Before(known.until) {
			unknown = append(unknown, school)
			continue
		}
		found = append(found, known.id)
	}
	return found, unknown
}

// existing looks up which ids are ids of schools. It returns the empty string in the place of one that is not.
func (g *Gate) existing(ctx context.Context, ids []string) ([]string, error) {
	schools := make([]School, len(ids))
	for i, id := range ids {
		schools[i] = School{ID: id}
	}
	return g.lookUp(ctx, "id "+strings.Join(ids, " "), schools, func(ctx context.Context) ([]string, error) {
		there, err := g.Schools.ExistingSchools(ctx, ids)
		found := make([]string, len(ids))
		for i, id := range ids {
			if slices.ContainsFunc(there, func(other string) bool { return strings.EqualFold(id, other) }) {
				found[i] = id
			}
		}
		return found, err
	})
}

// lookUp asks for the ids of schools, in their order, and remembers them. Who asks the same question at the same time, which
// is the same text, waits for the same answer, so that it does not end with the request that has asked first.
func (g *Gate) lookUp(
	ctx context.Context, question string, schools []School, ask func(context.Context) ([]string, error),
) ([]string, error) {
	lookup := g.lookups.DoChan(question, func() (answer any, err error) {
		defer func() {
			// It runs in a goroutine of its own, where a panic would end the process and not the request. The value may hold a
			// piece of the request; the stack says where it was raised.
			if value := recover(); value != nil {
				err = fmt.Errorf("panic with a value of type %T\n%s", value, debug.Stack())
			}
		}()
		asked := time.Now()
		ids, err := ask(context.WithoutCancel(ctx))
		if err == nil {
			g.remember(schools, ids, asked.Add(schoolsFor))
		}
		return ids, err
	})
	select {
	case answer := <-lookup:
		ids, _ := answer.Val.([]string)
		return slices.Clone(ids), answer.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// remember remembers the ids of schools until a time.
func (g *Gate) remember(schools []School, ids []string, until time.Time) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.known == nil || len(g.known)+len(schools) > maxKnownSchools {
		g.known = make(map[School]knownSchool)
	}
	for i, school := range schools {
		g.known[school] = knownSchool{id: ids[i], until: until}
	}
}
