package ldapserver

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// pool keeps servers that tests have for themselves, one after the other.
type pool struct {
	mutex   sync.Mutex
	idle    []*Server
	all     []*Server
	folders []string
}

var (
	pools      = map[string]*pool{}
	poolsMutex sync.Mutex
)

// poolOf returns the pool of a kind of server.
func poolOf(kind string) *pool {
	poolsMutex.Lock()
	defer poolsMutex.Unlock()
	if pools[kind] == nil {
		pools[kind] = &pool{}
	}
	return pools[kind]
}

// ExclusiveOpenLDAP returns an OpenLDAP server that no other test uses meanwhile, with an empty tree. When the test ends,
// the server is emptied for the next one. TestMain must call Main, or EndShared at its end.
func ExclusiveOpenLDAP(t testing.TB, options ...Option) *Server {
	t.Helper()
	Require(t, "slapd", "slapd")
	return exclusive(t, "OpenLDAP", options, startOpenLDAP)
}

// ExclusiveDirectoryServer389 is ExclusiveOpenLDAP for 389 Directory Server.
func ExclusiveDirectoryServer389(t testing.TB, options ...Option) *Server {
	t.Helper()
	require389(t)
	return exclusive(t, "389-DS", options, start389)
}

// exclusive takes an idle server of a kind out of its pool, or starts one.
func exclusive(t testing.TB, kind string, options []Option, start func(folder string, wanted settings) (*Server, error)) *Server {
	t.Helper()
	var wanted settings
	for _, option := range options {
		option(&wanted)
	}
	p := poolOf(fmt.Sprintf("%s %+v", kind, wanted))
	server, err := p.take(func(folder string) (*Server, error) { return start(folder, wanted) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.empty(); err != nil {
			t.Errorf("empty the server for the next test: %v", err)
			return
		}
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.idle = append(p.idle, server)
	})
	return server
}

func (p *pool) take(start func(folder string) (*Server, error)) (*Server, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		server := p.idle[last]
		p.idle = p.idle[:last]
		return server, nil
	}
	folder, err := os.MkdirTemp("", "ldap-")
	if err != nil {
		return nil, err
	}
	p.folders = append(p.folders, folder)
	server, err := start(folder)
	if err == nil {
		p.all = append(p.all, server)
	}
	return server, err
}

// end ends all servers of a pool.
func (p *pool) end() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, server := range p.all {
		server.end()
	}
	for _, folder := range p.folders {
		_ = os.RemoveAll(folder)
	}
	p.idle, p.all, p.folders = nil, nil, nil
}

// EndShared ends the servers that tests have shared or had for themselves. Main calls it.
func EndShared() {
	sharedOpenLDAP.end()
	shared389.end()
	poolsMutex.Lock()
	defer poolsMutex.Unlock()
	for _, p := range pools {
		p.end()
	}
}

// empty deletes everything below the bases of the server's first tree.
func (s *Server) empty() error {
	connection, err := s.connect(s.Admin)
	if err != nil {
		return err
	}
	defer connection.Close()
	for _, base := range []string{s.ClassBase, s.UserBase, s.SchoolBase} {
		request := ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"1.1"}, nil)
		found, err := connection.SearchWithPaging(request, 500)
		if err != nil {
			return err
		}
		// What is deeper goes first; the base itself, which is the shallowest, stays.
		slices.SortFunc(found.Entries, func(a, b *ldap.Entry) int { return depth(b.DN) - depth(a.DN) })
		for _, entry := range found.Entries {
			if depth(entry.DN) == depth(base) {
				continue
			}
			if err := connection.Del(ldap.NewDelRequest(entry.DN, nil)); err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
				return errors.Join(fmt.Errorf("delete %s", entry.DN), err)
			}
		}
	}
	return nil
}

// depth returns the number of RDNs of a DN, or 0 for text that is none.
func depth(dn string) int {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return 0
	}
	return len(parsed.RDNs)
}
