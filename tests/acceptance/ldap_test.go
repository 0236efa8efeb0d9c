package acceptance

import (
	"slices"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// The bases below which the service keeps its entries by default.
const (
	userBase      = "ou=users,dc=opencloud,dc=eu"
	namingContext = "dc=opencloud,dc=eu"
)

// dial connects to the LDAP listener.
func (s *server) dial(t testing.TB) *ldap.Conn {
	t.Helper()
	connection, err := ldap.DialURL("ldap://" + s.ldap)
	if err != nil {
		t.Fatal(err)
	}
	connection.SetTimeout(30 * time.Second)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// administrator connects to the directory with the account that may do everything.
func (s *server) administrator(t testing.TB) *ldap.Conn {
	t.Helper()
	connection, dn := s.dial(t), "cn=admin,"+namingContext
	if s.backend != nil {
		dn = s.backend.administrator
	}
	if err := connection.Bind(dn, s.ldapPassword(t, "admin")); err != nil {
		t.Fatal(err)
	}
	return connection
}

// dn returns the DN of the entry of an entity that is kept below a base.
func (s *server) dn(t testing.TB, base, id string) string {
	t.Helper()
	own := "openCloudUUID=" + id + "," + base
	if s.backend == nil || !s.backend.openCloudNames {
		return own
	}
	found, err := s.administrator(t).Search(ldap.NewSearchRequest(base, ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 0, 0, false,
		"(openCloudUUID="+id+")", []string{"1.1"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range found.Entries {
		return entry.DN
	}
	return own
}

// isPlaced reports whether an entry is directly below a base, and named by its id or, where OpenCloud names entries, as that
// does.
func (s *server) isPlaced(entry *ldap.Entry, base string) bool {
	dn, err := ldap.ParseDN(entry.DN)
	parent, _ := ldap.ParseDN(base)
	if err != nil || len(dn.RDNs) == 0 || len(dn.RDNs[0].Attributes) != 1 || !(&ldap.DN{RDNs: dn.RDNs[1:]}).Equal(parent) {
		return false
	}
	name := dn.RDNs[0].Attributes[0]
	names := []string{"openCloudUUID"}
	if s.backend != nil && s.backend.openCloudNames {
		names = append(names, "uid", "ou", "openCloudEducationExternalId")
	}
	return slices.Contains(names, name.Type) && slices.Contains(entry.GetAttributeValues(name.Type), name.Value)
}

// wantSignIn expects that a user can bind with a password, or that the password is wrong.
func (w world) wantSignIn(id, password string, works bool) {
	w.Helper()
	err := w.server.dial(w).Bind(w.server.dn(w, userBase, id), password)
	if works && err != nil || !works && !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		w.Errorf("the bind of the user: %v, want success to be %t", err, works)
	}
}
