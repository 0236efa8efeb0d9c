package tokenfile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
)

// Document is what the file holds.
type Document struct {
	Version     int          `json:"version"`
	Credentials []Credential `json:"credentials"`
}

// Credential is a name, what its holder may do, and the tokens that prove it.
type Credential struct {
	// Name is unique among the credentials, in any case.
	Name  string   `json:"name"`
	Verbs []string `json:"verbs"`
	// Either AllSchools is true, or Schools names at least one.
	AllSchools bool            `json:"allSchools,omitzero"`
	Schools    []access.School `json:"schools,omitempty"`
	// Tokens has more than one element while one takes the place of another; the newest is the last.
	Tokens []Token `json:"tokens"`
}

// Token is a token without the token.
type Token struct {
	Digest  Digest    `json:"sha256"`
	Created time.Time `json:"created"`
	// Expires is when the token stops to be valid; the zero time is never.
	Expires time.Time `json:"expires,omitzero"`
}

// Digest is the digest of a token. In the file it is 64 hexadecimal digits.
type Digest access.Digest

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(d[:])), nil }

// UnmarshalText implements encoding.TextUnmarshaler. The error does not repeat the text, which may be a token that somebody has
// put into the wrong place.
func (d *Digest) UnmarshalText(text []byte) error {
	content, err := hex.DecodeString(string(text))
	if err != nil || len(content) != len(d) {
		return errors.New("sha256 must be 64 hexadecimal digits")
	}
	copy(d[:], content)
	return nil
}

// ID names the token to people: the first 12 digits of its digest. Who finds a token somewhere can tell by it which one it is,
// and nobody can tell a token by it.
func (t Token) ID() string { return hex.EncodeToString(t.Digest[:6]) }

// valid reports whether the token has not expired.
func (t Token) valid(now time.Time) bool { return t.Expires.IsZero() || now.Before(t.Expires) }

// State is what has become of a token.
type State string

// The states of tokens. Replaced is one that is valid although there is a newer one of the same name. A revoked token is not
// in the file any more.
const (
	Active   State = "active"
	Replaced State = "replaced"
	Expired  State = "expired"
)

// State returns the state of the token at an index of Tokens.
func (c *Credential) State(token int, now time.Time) State {
	switch {
	case !c.Tokens[token].valid(now):
		return Expired
	case token < len(c.Tokens)-1:
		return Replaced
	}
	return Active
}

// nameShape is what a credential may be called: what can be written anywhere without quotes.
var nameShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// CheckName returns an error if nothing may be called so.
func CheckName(name string) error {
	switch {
	case !nameShape.MatchString(name):
		return errors.New("a name must be 1 to 64 letters, digits and . _ @ - and begin with a letter or digit")
	case strings.EqualFold(name, access.Administrator):
		return fmt.Errorf("the name %s is taken by the token of EDUCATION_TOKEN", access.Administrator)
	}
	return nil
}

// grant returns what the credential permits.
func (c *Credential) grant() (*access.Grant, error) {
	verbs, err := access.ParseVerbs(c.Verbs)
	if err != nil {
		return nil, err
	}
	if c.AllSchools == (len(c.Schools) > 0) {
		return nil, errors.New("either allSchools must be true, or schools must name at least one school")
	}
	for _, school := range c.Schools {
		if (school.ID == "") == (school.ExternalID == "") {
			return nil, errors.New("each of schools must have an id or an externalId, and not both")
		}
		if school.ID != "" && access.SchoolOf(school.ID).ID == "" {
			return nil, fmt.Errorf("the id %q of a school is no UUID", school.ID)
		}
	}
	return &access.Grant{Name: c.Name, Verbs: verbs, AllSchools: c.AllSchools, Schools: c.Schools}, nil
}

// check returns an error if the document says something that cannot be meant.
func (d *Document) check() error {
	if d.Version != version {
		return fmt.Errorf("version must be %d: another one may mean other things", version)
	}
	names, digests := map[string]bool{}, map[Digest]bool{}
	for _, credential := range d.Credentials {
		folded := strings.ToLower(credential.Name)
		if names[folded] {
			return fmt.Errorf("there are two credentials of the name %s", credential.Name)
		}
		names[folded] = true
		if err := credential.check(digests); err != nil {
			return fmt.Errorf("the credential %q: %w", credential.Name, err)
		}
	}
	return nil
}

// check checks one credential, whose tokens must not be among the digests and are put there.
func (c *Credential) check(digests map[Digest]bool) error {
	if err := CheckName(c.Name); err != nil {
		return err
	}
	if _, err := c.grant(); err != nil {
		return err
	}
	if len(c.Tokens) == 0 {
		return errors.New("it has no tokens")
	}
	for _, token := range c.Tokens {
		switch {
		case token.Digest == Digest{}:
			return errors.New("a token has no sha256")
		case digests[token.Digest]:
			return fmt.Errorf("the token %s is there twice", token.ID())
		case token.Created.IsZero():
			return fmt.Errorf("the token %s has no time of creation", token.ID())
		}
		digests[token.Digest] = true
	}
	return nil
}

// find returns the index of the credential with a name, in any case, or -1.
func (d *Document) find(name string) int {
	return slices.IndexFunc(d.Credentials, func(c Credential) bool { return strings.EqualFold(c.Name, name) })
}

// Create adds a credential with one token.
func (d *Document) Create(credential Credential, token string, now, expires time.Time) error {
	if i := d.find(credential.Name); i >= 0 {
		return fmt.Errorf("there is a token of the name %s already; rotate it, or revoke it first", d.Credentials[i].Name)
	}
	credential.Tokens = []Token{newToken(token, now, expires)}
	d.Credentials = append(d.Credentials, credential)
	return nil
}

// Revoke ends all tokens of a name.
func (d *Document) Revoke(name string) error {
	i := d.find(name)
	if i < 0 {
		return unknown(name)
	}
	d.Credentials = slices.Delete(d.Credentials, i, i+1)
	return nil
}

// Rotate gives a credential a further token, which is valid until expires. Those that it has are valid for the length of
// overlap, or less if they expire before; those that have expired are forgotten. oldEnds is when the last of the others expires,
// the zero time if there is none.
func (d *Document) Rotate(name, token string, now time.Time, overlap time.Duration, expires time.Time) (oldEnds time.Time, err error) {
	i := d.find(name)
	if i < 0 {
		return time.Time{}, unknown(name)
	}
	end := now.Add(overlap).UTC().Truncate(time.Second)
	var tokens []Token
	for _, old := range d.Credentials[i].Tokens {
		if old.Expires.IsZero() || end.Before(old.Expires) {
			old.Expires = end
		}
		if old.valid(now) {
			tokens = append(tokens, old)
			if old.Expires.After(oldEnds) {
				oldEnds = old.Expires
			}
		}
	}
	d.Credentials[i].Tokens = append(tokens, newToken(token, now, expires))
	return oldEnds, nil
}

// SameLife returns when a token that is made now expires if it is to last as long as the newest one of a name was made for. It
// is the zero time if that was for ever.
func (d *Document) SameLife(name string, now time.Time) (time.Time, error) {
	i := d.find(name)
	if i < 0 {
		return time.Time{}, unknown(name)
	}
	tokens := d.Credentials[i].Tokens
	newest := tokens[len(tokens)-1]
	if newest.Expires.IsZero() {
		return time.Time{}, nil
	}
	return now.Add(newest.Expires.Sub(newest.Created)), nil
}

func unknown(name string) error { return fmt.Errorf("there is no token of the name %s", name) }

// newToken returns a token's place in the file. Times there are whole seconds in UTC, for people to read.
func newToken(token string, created, expires time.Time) Token {
	return Token{
		Digest:  Digest(access.DigestOf(token)),
		Created: created.UTC().Truncate(time.Second), Expires: expires.UTC().Truncate(time.Second),
	}
}
