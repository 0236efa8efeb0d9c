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

// An Authenticator knows tokens.
type Authenticator interface {
	// Authenticate returns the grant that a token stands for, or an error that wraps ErrUnknown, so that another
	// authenticator is asked, or ErrInvalid. Any other error says that it cannot be told at the moment.
	Authenticate(ctx context.Context, token string) (*Grant, error)
}

// Schools finds schools.
type Schools interface {
	// SchoolID returns the id of the school with an externalId, or the empty string if there is none or more than one.
	SchoolID(ctx context.Context, externalID string) (string, error)
}

// schoolsFor is how long it is taken for granted which school has an externalId.
const schoolsFor = time.Second

// maxKnownSchools is how many externalIds are remembered at a time.
const maxKnownSchools = 10_000

// Gate makes credentials of tokens.
type Gate struct {
	// Authenticators are asked in their order.
	Authenticators []Authenticator
	// Schools finds the schools of grants that name them by externalId.
	Schools Schools

	// lookups are those under way: however many requests wait for a school, it is looked up once.
	lookups singleflight.Group
	mutex   sync.Mutex
	known   map[string]knownSchool
}

type knownSchool struct {
	id    string
	until time.Time
}

// Credential returns the credential of a token. The error wraps ErrUnknown or ErrInvalid if there is none; any other error
// says that it cannot be told at the moment.
func (g *Gate) Credential(ctx context.Context, token string) (*Credential, error) {
	for _, authenticator := range g.Authenticators {
		grant, err := authenticator.Authenticate(ctx, token)
		switch {
		case errors.Is(err, ErrUnknown):
			continue
		case err != nil:
			return nil, err
		}
		return g.credential(ctx, grant)
	}
	return nil, ErrUnknown
}

// credential finds the schools of a grant.
func (g *Gate) credential(ctx context.Context, grant *Grant) (*Credential, error) {
	credential := &Credential{Name: grant.Name, Verbs: grant.Verbs, AllSchools: grant.AllSchools}
	if grant.AllSchools {
		return credential, nil
	}
	for _, school := range grant.Schools {
		if school.ID != "" {
			credential.Schools = append(credential.Schools, strings.ToLower(school.ID))
			continue
		}
		id, err := g.school(ctx, school.ExternalID)
		if err != nil {
			return nil, err
		}
		if id != "" {
			credential.Schools = append(credential.Schools, id)
		}
	}
	slices.Sort(credential.Schools)
	credential.Schools = slices.Compact(credential.Schools)
	return credential, nil
}

// school returns the id of the school with an externalId, or the empty string.
func (g *Gate) school(ctx context.Context, externalID string) (string, error) {
	g.mutex.Lock()
	known, ok := g.known[externalID]
	g.mutex.Unlock()
	if ok && time.Now().Before(known.until) {
		return known.id, nil
	}
	// Others wait for the same answer, so it does not end with the request that has asked first.
	lookup := g.lookups.DoChan(externalID, func() (any, error) { return g.lookUp(context.WithoutCancel(ctx), externalID) })
	select {
	case found := <-lookup:
		id, _ := found.Val.(string)
		return id, found.Err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// lookUp asks for a school, and remembers the answer.
func (g *Gate) lookUp(ctx context.Context, externalID string) (id string, err error) {
	defer func() {
		// It runs in a goroutine of its own, where a panic would end the process and not the request. The value may hold a piece
		// of the request; the stack says where it was raised.
		if value := recover(); value != nil {
			err = fmt.Errorf("panic with a value of type %T\n%s", value, debug.Stack())
		}
	}()
	asked := time.Now()
	id, err = g.Schools.SchoolID(ctx, externalID)
	if err != nil {
		return "", err
	}
	id = strings.ToLower(id)
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.known == nil || len(g.known) >= maxKnownSchools {
		g.known = make(map[string]knownSchool)
	}
	g.known[externalID] = knownSchool{id: id, until: asked.Add(schoolsFor)}
	return id, nil
}
