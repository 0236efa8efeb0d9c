package embedded

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// This file decides who may do what over LDAP. There are four kinds of identities:
//
//	anonymous      reads the root DSE, starts TLS, asks who it is and binds
//	user           any entry that has bound itself: reads itself and changes its own password with the old one,
//	               until its entry or its password is another
//	reader         OpenCloud: reads everything but passwords, and notes when somebody signed in
//	administrator  does everything
//
// A rule of OpenCloud's stands behind the reader's one right to write: its proxy sets openCloudLastSignInTimestamp at
// each login.

// Accounts are the DNs of the entries with more rights than others. An empty DN names no entry.
type Accounts struct {
	AdminDN  string
	ReaderDN string
}

// role is a kind of identity. The zero value has the fewest rights.
type role uint8

const (
	anonymous role = iota
	user
	reader
	administrator
)

// identity is whom a session acts for.
type identity struct {
	role role
	// dn is the entry's DN as the directory spells it; empty for anonymous.
	dn string
	// key is the DN's normalised form.
	key string
	// credentials is a digest of the passwords that a user had at the bind.
	credentials [sha256.Size]byte
}

// access knows the roles of the accounts.
type access struct {
	roles map[string]role // by the normalised form of the DN
}

func newAccess(accounts Accounts) access {
	a := access{roles: map[string]role{}}
	for dn, role := range map[string]role{accounts.ReaderDN: reader, accounts.AdminDN: administrator} {
		if key, ok := directory.normalizeDN(dn); ok && dn != "" {
			a.roles[key] = role
		}
	}
	return a
}

// identify returns the identity of an entry that has proved its password.
func (a access) identify(dn string) identity {
	key, _ := directory.normalizeDN(dn) // The DN comes from the directory, so it is one.
	found := identity{role: user, dn: dn, key: key}
	if role, ok := a.roles[key]; ok {
		found.role = role
	}
	return found
}

// isAccount says whether a name is that of the administrator or the reader.
func (a access) isAccount(dn string) bool {
	key, ok := directory.normalizeDN(dn)
	return ok && a.roles[key] != anonymous
}

// Attributes that rules are about.
const (
	attributeEnabled    = "openCloudUserEnabled"
	attributeLastSignIn = "openCloudLastSignInTimestamp"
)

// authenticate returns the identity of the entry with the name, if the password is its own. All failures look the same
// from outside: a name that does not exist, a wrong password, a user who is disabled.
func (s *Server) authenticate(ctx context.Context, name, password string) (identity, error) {
	// The entry is read before the password is checked: if the password is replaced in between, the session holds the
	// digest of the old one and is worth nothing.
	entry, err := s.readEntry(ctx, name, attributeEnabled, attributeUserPassword)
	if code, _ := wire.CodeOf(err); err != nil && code != wire.ResultNoSuchObject {
		return identity{}, err
	}
	right, err := s.store.VerifyPassword(ctx, name, password)
	if err != nil {
		return identity{}, err
	}
	if !right || entry == nil || isDisabled(entry.Attributes) {
		return identity{}, wire.Errorf(wire.ResultInvalidCredentials, "the name or the password is wrong")
	}
	found := s.access.identify(entry.DN)
	found.credentials = credentialsOf(entry.Attributes)
	return found, nil
}

// current returns what is left of an identity: a user who was deleted, renamed or disabled after the bind, or whose
// password was changed, is anonymous. The accounts stay what they are until the next start.
func (s *Server) current(i identity) (identity, error) {
	if i.role != user {
		return i, nil
	}
	valid := false
	err := s.store.view(func(tx *bolt.Tx) error {
		id := findID(tx, i.key)
		if id == 0 {
			return nil
		}
		entry, err := load(tx, id)
		if err != nil {
			return err
		}
		valid = !isDisabled(entry.attributes) && credentialsOf(entry.attributes) == i.credentials
		return nil
	})
	if err != nil || !valid {
		return identity{}, err
	}
	return i, nil
}

// isDisabled says whether an entry is that of a user who may not sign in.
func isDisabled(attributes []wire.Attribute) bool {
	return slices.ContainsFunc(attributeValues(attributes, attributeEnabled), func(value string) bool {
		return strings.EqualFold(value, "FALSE")
	})
}

// credentialsOf returns a digest of the passwords of an entry.
func credentialsOf(attributes []wire.Attribute) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join(attributeValues(attributes, attributeUserPassword), "\x00")))
}

func attributeValues(attributes []wire.Attribute, name string) []string {
	for _, attribute := range attributes {
		if attribute.Type == name {
			return attribute.Values
		}
	}
	return nil
}

// readEntry reads attributes of one entry.
func (s *Server) readEntry(ctx context.Context, dn string, attributes ...string) (found *wire.Entry, err error) {
	request := &wire.SearchRequest{
		Base: dn, Scope: wire.ScopeBase, Filter: wire.Present(attributeObjectClass), Attributes: attributes,
	}
	err = s.store.Search(ctx, request, func(entry *wire.Entry) error {
		found = entry
		return nil
	})
	if err == nil && found == nil {
		err = wire.Errorf(wire.ResultNoSuchObject, "there is no such entry")
	}
	return found, err
}

// denied is the answer to everything that is not permitted. It says nothing about what exists.
func denied() error {
	return wire.Errorf(wire.ResultInsufficientAccessRights, "not permitted")
}

// isSelf says whether a DN is the identity's own.
func (i identity) isSelf(dn string) bool {
	key, ok := directory.normalizeDN(dn)
	return ok && i.role != anonymous && key == i.key
}

// seesSecrets says whether the identity may read and test passwords.
func (i identity) seesSecrets() bool { return i.role == administrator }

// maySearch returns the search that the identity may have carried out instead of the one it asked for. Whom passwords are
// hidden from, for them a filter's items about passwords are undefined.
func (i identity) maySearch(request *wire.SearchRequest) (*wire.SearchRequest, error) {
	permitted := *request
	switch i.role {
	case administrator:
		return &permitted, nil
	case reader:
	case user:
		if !i.isSelf(request.Base) {
			return nil, denied()
		}
	case anonymous:
		return nil, denied()
	}
	permitted.Filter = conceal(request.Filter)
	permitted.Attributes = withoutSecrets(request.Attributes)
	return &permitted, nil
}

// mayCompare returns nil if the identity may compare attributes of the entry. Passwords are the caller's to
// hide.
func (i identity) mayCompare(request *wire.CompareRequest) error {
	switch {
	case i.role == administrator, i.role == reader, i.role == user && i.isSelf(request.DN):
		return nil
	default:
		return denied()
	}
}

// mayWrite returns nil if the identity may add, delete and rename entries.
func (i identity) mayWrite() error {
	if i.role != administrator {
		return denied()
	}
	return nil
}

// mayModify returns the changes that the identity may have made instead of those it asked for: all of them, but with an
// assertion that tells nothing about passwords.
func (i identity) mayModify(request *wire.ModifyRequest) (*wire.ModifyRequest, error) {
	if i.role != reader || len(request.Changes) == 0 {
		return request, i.mayWrite()
	}
	for _, change := range request.Changes {
		if a := directory.attribute(change.Attribute.Type); a == nil || a.name != attributeLastSignIn {
			return nil, denied()
		}
	}
	if request.Assertion == nil {
		return request, nil
	}
	permitted := *request
	permitted.Assertion = conceal(request.Assertion)
	return &permitted, nil
}

// mayChangePassword returns nil if the identity may change the password of the entry. A user must know the old one, which
// is the caller's to prove. The reader may not: its password is kept in a file too.
func (i identity) mayChangePassword(target string, change *wire.PasswordModifyRequest) error {
	switch {
	case i.role == administrator:
		return nil
	case i.role != user || !i.isSelf(target):
		return denied()
	case change.OldPassword == nil:
		return wire.Errorf(wire.ResultUnwillingToPerform, "the old password is needed")
	default:
		return nil
	}
}

// reveal returns the entry as the identity may see it.
func (i identity) reveal(entry *wire.Entry) *wire.Entry {
	if i.seesSecrets() {
		return entry
	}
	for at := range entry.Attributes {
		if !isSecret(entry.Attributes[at].Type) {
			continue
		}
		seen := &wire.Entry{DN: entry.DN, Attributes: make([]wire.Attribute, 0, len(entry.Attributes))}
		for _, attribute := range entry.Attributes {
			if !isSecret(attribute.Type) {
				seen.Attributes = append(seen.Attributes, attribute)
			}
		}
		return seen
	}
	return entry
}

// isSecret says whether an attribute description names the password, by name or object identifier, with options or
// without.
func isSecret(description string) bool {
	name, _, _ := strings.Cut(description, ";")
	a := directory.attribute(strings.TrimSpace(name))
	return a != nil && a.name == attributeUserPassword
}

// withoutSecrets returns the attributes of a selection that are no passwords. A selection of nothing else selects
// nothing, because an empty one would select everything.
func withoutSecrets(selection []string) []string {
	permitted := make([]string, 0, len(selection))
	for _, attribute := range selection {
		if !isSecret(attribute) {
			permitted = append(permitted, attribute)
		}
	}
	if len(permitted) == 0 && len(selection) > 0 {
		return []string{wire.NoAttributes}
	}
	return permitted
}

// unknownAttribute is in no schema, so a filter's item about it is undefined (RFC 4511, section 4.5.1.7).
const unknownAttribute = "x-concealed"

// conceal returns the filter with every item that might tell something about passwords replaced by one that is
// undefined, which stays undefined when it is negated.
func conceal(f *wire.Filter) *wire.Filter {
	switch f.Kind {
	case wire.FilterAnd, wire.FilterOr, wire.FilterNot:
		concealed := &wire.Filter{Kind: f.Kind, Children: make([]*wire.Filter, len(f.Children))}
		for at, child := range f.Children {
			concealed.Children[at] = conceal(child)
		}
		return concealed
	default:
		if isSecret(f.Attribute) || f.Kind == wire.FilterExtensible && f.Attribute == "" && findsSecrets(f.Rule) {
			return wire.Equal(unknownAttribute, "")
		}
		return f
	}
}

// findsSecrets says whether an extensible match without an attribute, which looks at every attribute that its rule fits,
// looks at passwords too.
func findsSecrets(name string) bool {
	rule := directory.rules[strings.ToLower(name)]
	return rule != nil && rule.appliesTo(directory.attribute(attributeUserPassword))
}
