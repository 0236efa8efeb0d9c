package embedded_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// ldapClient is identity.Operations over go-ldap: what a directory looks like to a client that knows nothing of it but
// LDAP. It asks for no post-read, so every write is followed by a look at the entry.
type ldapClient struct {
	connections []*ldap.Conn
	next        atomic.Uint32
}

var _ identity.Operations = (*ldapClient)(nil)

const (
	clientConnections = 4
	clientPageSize    = 100
)

// newLDAPClient connects to a server and binds with its administrator's account.
func newLDAPClient(t *testing.T, f *front) *ldapClient {
	t.Helper()
	client := &ldapClient{}
	for range clientConnections {
		conn, err := ldap.DialURL("ldap://" + f.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.Bind(f.accounts.AdminDN, f.admin); err != nil {
			t.Fatal(err)
		}
		client.connections = append(client.connections, conn)
	}
	return client
}

// conn returns one of the connections in turn, unless the context has ended. go-ldap takes no contexts.
func (c *ldapClient) conn(ctx context.Context) (*ldap.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.connections[int(c.next.Add(1))%len(c.connections)], nil
}

// result turns the results among go-ldap's errors into those of wire. Its own faults have numbers from 200 on.
func result(err error) error {
	var fault *ldap.Error
	if !errors.As(err, &fault) || fault.ResultCode >= ldap.ErrorNetwork {
		return err
	}
	return &wire.ResultError{Code: wire.ResultCode(fault.ResultCode), MatchedDN: fault.MatchedDN, Message: fault.Err.Error()}
}

// Search asks for pages, unless the request has a size limit: that would count for each page (RFC 2696, section 3).
func (c *ldapClient) Search(ctx context.Context, request *wire.SearchRequest, yield func(*wire.Entry) error) error {
	paging := ldap.NewControlPaging(clientPageSize)
	for {
		conn, err := c.conn(ctx)
		if err != nil {
			return err
		}
		search := ldap.NewSearchRequest(request.Base, int(request.Scope), ldap.NeverDerefAliases,
			request.SizeLimit, request.TimeLimit, request.TypesOnly, request.Filter.String(), request.Attributes, nil)
		if request.SizeLimit == 0 {
			search.Controls = []ldap.Control{paging}
		}
		answer, err := conn.Search(search)
		if answer != nil {
			if yieldErr := yieldAll(answer.Entries, yield); yieldErr != nil {
				return yieldErr
			}
		}
		if err != nil {
			return result(err)
		}
		next, paged := ldap.FindControl(answer.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !paged || len(next.Cookie) == 0 {
			return nil
		}
		paging.SetCookie(next.Cookie)
	}
}

func yieldAll(entries []*ldap.Entry, yield func(*wire.Entry) error) error {
	for _, entry := range entries {
		read := &wire.Entry{DN: entry.DN}
		for _, attribute := range entry.Attributes {
			read.Attributes = append(read.Attributes, wire.Attribute{Type: attribute.Name, Values: attribute.Values})
		}
		if err := yield(read); err != nil {
			return err
		}
	}
	return nil
}

func (c *ldapClient) Add(ctx context.Context, request *wire.AddRequest) (*wire.Entry, error) {
	conn, err := c.conn(ctx)
	if err != nil {
		return nil, err
	}
	add := ldap.NewAddRequest(request.DN, nil)
	for _, attribute := range request.Attributes {
		add.Attribute(attribute.Type, attribute.Values)
	}
	return nil, result(conn.Add(add))
}

func (c *ldapClient) Modify(ctx context.Context, request *wire.ModifyRequest) (*wire.Entry, error) {
	conn, err := c.conn(ctx)
	if err != nil {
		return nil, err
	}
	modify := ldap.NewModifyRequest(request.DN, nil)
	for _, change := range request.Changes {
		modify.Changes = append(modify.Changes, ldap.Change{
			Operation:    uint(change.Operation),
			Modification: ldap.PartialAttribute{Type: change.Attribute.Type, Vals: change.Attribute.Values},
		})
	}
	return nil, result(conn.Modify(modify))
}

func (c *ldapClient) ModifyDN(ctx context.Context, request *wire.ModifyDNRequest) error {
	conn, err := c.conn(ctx)
	if err != nil {
		return err
	}
	superior := ""
	if request.NewSuperior != nil {
		superior = *request.NewSuperior
	}
	return result(conn.ModifyDN(ldap.NewModifyDNRequest(request.DN, request.NewRDN, request.DeleteOldRDN, superior)))
}

func (c *ldapClient) Delete(ctx context.Context, request *wire.DeleteRequest) error {
	conn, err := c.conn(ctx)
	if err != nil {
		return err
	}
	return result(conn.Del(ldap.NewDelRequest(request.DN, nil)))
}

func (c *ldapClient) HashPassword(ctx context.Context, cleartext string) (string, error) {
	return embedded.HashSSHA512(cleartext), ctx.Err()
}
