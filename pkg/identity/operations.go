// Package identity keeps schools, users and classes as LDAP entries: it is an education.Directory on top of LDAP
// operations. It knows attributes, object classes, DNs and result codes; which directory carries the operations out,
// one in the process or a server on the network, it does not know.
package identity

import (
	"context"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Operations are the LDAP operations that a directory carries out. Each is atomic. An error that carries a result code
// (wire.CodeOf) is the directory's answer; any other one says nothing about the data.
type Operations interface {
	// Search yields the entries that match, each once, and never more than the request's size limit. An error of
	// yield ends the search and is returned.
	Search(ctx context.Context, request *wire.SearchRequest, yield func(*wire.Entry) error) error

	// Add creates an entry. It returns the attributes named in PostRead, or nil if the directory cannot do that.
	Add(ctx context.Context, request *wire.AddRequest) (*wire.Entry, error)

	// Modify changes an entry, all of the changes or none. It returns what Add returns.
	Modify(ctx context.Context, request *wire.ModifyRequest) (*wire.Entry, error)

	// ModifyDN renames or moves an entry.
	ModifyDN(ctx context.Context, request *wire.ModifyDNRequest) error

	// Delete deletes an entry. The directory removes it from every member and teacher attribute.
	Delete(ctx context.Context, request *wire.DeleteRequest) error

	// HashPassword returns a value for userPassword that verifies the password.
	HashPassword(ctx context.Context, cleartext string) (string, error)
}
