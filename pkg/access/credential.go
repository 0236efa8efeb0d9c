package access

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Verbs is a set of things that a credential may do.
type Verbs uint8

// The verbs. Taking a user or class out of something changes it, so that is Write; Delete ends an entity.
const (
	Read Verbs = 1 << iota
	Write
	Delete

	AllVerbs = Read | Write | Delete
)

// verbNames are the verbs as they are written, in their order.
var verbNames = []string{"read", "write", "delete"}

// ParseVerbs reads the names of verbs. No name at all is an error, as is one that is unknown.
func ParseVerbs(names []string) (Verbs, error) {
	var verbs Verbs
	for _, name := range names {
		i := slices.Index(verbNames, strings.ToLower(strings.TrimSpace(name)))
		if i < 0 {
			return 0, fmt.Errorf("access: %q is no verb; there are %s", name, strings.Join(verbNames, ", "))
		}
		verbs |= 1 << i
	}
	if verbs == 0 {
		return 0, fmt.Errorf("access: name at least one of the verbs %s", strings.Join(verbNames, ", "))
	}
	return verbs, nil
}

// Names returns the names of the verbs, in the order read, write, delete.
func (v Verbs) Names() []string {
	var names []string
	for i, name := range verbNames {
		if v.Include(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

func (v Verbs) String() string { return strings.Join(v.Names(), ",") }

// Include reports whether all of the given verbs are among these.
func (v Verbs) Include(verbs Verbs) bool { return v&verbs == verbs }

// Grant is what a token stands for, as whoever gave it out has written it down.
type Grant struct {
	// Name names the credential to people: in logs and in the audit record. It is no secret.
	Name  string
	Verbs Verbs
	// AllSchools says that the grant is bound to no school. Otherwise it is bound to those in Schools, which may be none.
	AllSchools bool
	Schools    []School
}

// School names a school by its id or, if that is empty, by its externalId.
type School struct {
	ID         string `json:"id,omitempty"`
	ExternalID string `json:"externalId,omitempty"`
}

// idShape is that of a UUID (RFC 9562, section 4), in any case.
var idShape = regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// SchoolOf reads the key of a school: text shaped like a UUID is an id, other text an externalId. An externalId that is shaped
// like a UUID cannot be written so.
func SchoolOf(key string) School {
	if idShape.MatchString(key) {
		return School{ID: strings.ToLower(key)}
	}
	return School{ExternalID: key}
}

// String returns the key of the school.
func (s School) String() string { return cmp.Or(s.ID, s.ExternalID) }

// Credential is what a request may do. The zero value may do nothing.
type Credential struct {
	Name  string
	Verbs Verbs
	// AllSchools says that every school, and what is in none, may be seen. Otherwise Schools are the ids, in small letters, of
	// those whose entities exist for the request; all else does not.
	AllSchools bool
	Schools    []string
}

type credentialKey struct{}

// With returns a context for what is done with a credential.
func With(ctx context.Context, credential *Credential) context.Context {
	return context.WithValue(ctx, credentialKey{}, credential)
}

// Of returns the credential that ctx carries. A context without one is that of the process itself, which may do everything:
// whatever answers requests makes sure that theirs have one.
func Of(ctx context.Context) (*Credential, bool) {
	credential, _ := ctx.Value(credentialKey{}).(*Credential)
	return credential, credential != nil
}

// AsProcess returns a context for what the process does on its own account while it answers a request, such as looking
// whether a value is free that must be unique among all schools.
func AsProcess(ctx context.Context) context.Context { return With(ctx, nil) }

// Confined returns the ids of the schools that what is done under ctx is confined to, and whether it is confined at all.
func Confined(ctx context.Context) (schools []string, confined bool) {
	credential, ok := Of(ctx)
	if !ok || credential.AllSchools {
		return nil, false
	}
	return credential.Schools, true
}
