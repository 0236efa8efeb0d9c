package acceptance

import (
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

// wantSignIn expects that a user can bind with a password, or that the password is wrong.
func (w world) wantSignIn(id, password string, works bool) {
	w.Helper()
	err := w.server.dial(w).Bind("openCloudUUID="+id+","+userBase, password)
	if works && err != nil || !works && !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		w.Errorf("the bind of the user: %v, want success to be %t", err, works)
	}
}
