package ldapserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"
)

// id returns the UUID of a name.
func id(name string) string { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)).String() }

// userEntry returns the request that adds a user as the service does.
func userEntry(bases Bases, name string, keys ...string) *ldap.AddRequest {
	request := ldap.NewAddRequest("openCloudUUID="+id(name)+","+bases.UserBase, nil)
	classes := []string{"top", "person", "organizationalPerson", "inetOrgPerson", "openCloudObject", "openCloudUser", "openCloudEducationUser"}
	if len(keys) > 0 {
		classes = append(classes, "educationObject")
		request.Attribute("educationUniqueKey", keys)
	}
	request.Attribute("objectClass", classes)
	request.Attribute("openCloudUUID", []string{id(name)})
	for _, attribute := range []string{"uid", "cn", "sn", "displayName"} {
		request.Attribute(attribute, []string{name})
	}
	return request
}

// classEntry returns the request that adds a class as OpenLDAP wants it: one without members has the empty DN for a member.
func classEntry(bases Bases, name string, members ...string) *ldap.AddRequest {
	request := ldap.NewAddRequest("openCloudUUID="+id(name)+","+bases.ClassBase, nil)
	request.Attribute("objectClass", []string{"top", "groupOfNames", "openCloudObject", "openCloudEducationClass"})
	request.Attribute("openCloudUUID", []string{id(name)})
	request.Attribute("cn", []string{name})
	request.Attribute("openCloudEducationClassType", []string{"class"})
	if len(members) == 0 {
		members = []string{""}
	}
	request.Attribute("member", members)
	return request
}

// schoolEntry returns the request that adds a school as OpenCloud does, without keys.
func schoolEntry(bases Bases, name, number, externalID string) *ldap.AddRequest {
	request := ldap.NewAddRequest("openCloudUUID="+id(name)+","+bases.SchoolBase, nil)
	request.Attribute("objectClass", []string{"organizationalUnit", "openCloudEducationSchool", "openCloudObject"})
	request.Attribute("openCloudUUID", []string{id(name)})
	request.Attribute("ou", []string{name})
	request.Attribute("openCloudEducationSchoolNumber", []string{number})
	request.Attribute("openCloudEducationExternalId", []string{externalID})
	return request
}

func mustAdd(t testing.TB, connection *ldap.Conn, request *ldap.AddRequest) {
	t.Helper()
	if err := connection.Add(request); err != nil {
		t.Fatalf("add %s: %v", request.DN, err)
	}
}

func mustDelete(t testing.TB, connection *ldap.Conn, dn string) {
	t.Helper()
	if err := connection.Del(ldap.NewDelRequest(dn, nil)); err != nil {
		t.Fatalf("delete %s: %v", dn, err)
	}
}

// empty deletes the users, classes and schools of a tree.
func empty(t testing.TB, server *Server, bases Bases) {
	t.Helper()
	admin := server.Connect(t, server.Admin)
	for _, base := range []string{bases.UserBase, bases.ClassBase, bases.SchoolBase} {
		entries, err := search(admin, base, "(objectClass=*)", "1.1")
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if entry.DN != base {
				mustDelete(t, admin, entry.DN)
			}
		}
	}
}

// connectSecurely is Server.Connect through the Unix socket: 389 Directory Server takes passwords in the Password Modify
// operation over TLS and from there alone.
func connectSecurely(t testing.TB, server *Server, account Account) *ldap.Conn {
	t.Helper()
	connection, err := ldap.DialURL("ldapi://" + server.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	if err := connection.Bind(account.DN, account.Password); err != nil {
		t.Fatalf("bind as %q: %v", account.DN, err)
	}
	return connection
}

// modify replaces one attribute of an entry.
func modify(connection *ldap.Conn, dn, attribute string, values ...string) error {
	request := ldap.NewModifyRequest(dn, nil)
	request.Replace(attribute, values)
	return connection.Modify(request)
}

// search returns the entries below a base that match a filter.
func search(connection *ldap.Conn, base, filter string, attributes ...string) ([]*ldap.Entry, error) {
	result, err := connection.Search(ldap.NewSearchRequest(
		base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, attributes, nil))
	if result == nil {
		return nil, err
	}
	return result.Entries, err
}

// read returns an entry, which must be there.
func read(t testing.TB, connection *ldap.Conn, dn string) *ldap.Entry {
	t.Helper()
	return readAttributes(t, connection, dn)
}

// readAttributes returns some attributes of an entry, which must be there.
func readAttributes(t testing.TB, connection *ldap.Conn, dn string, attributes ...string) *ldap.Entry {
	t.Helper()
	result, err := connection.Search(ldap.NewSearchRequest(
		dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", attributes, nil))
	if err != nil || len(result.Entries) != 1 {
		t.Fatalf("read %q: %v", dn, err)
	}
	return result.Entries[0]
}

// code returns the result code of an answer.
func code(err error) uint16 {
	var answer *ldap.Error
	switch {
	case err == nil:
		return ldap.LDAPResultSuccess
	case errors.As(err, &answer):
		return answer.ResultCode
	default:
		return ldap.ErrorUnexpectedResponse
	}
}

// eventually waits until a condition holds: servers clean up links after they have answered.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not within 10 s: %s", what)
}

// answersSoon reports whether a server takes a bind within a short while.
func answersSoon(server *Server) bool {
	connection, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", strings.TrimPrefix(server.URI, "ldap://"))
	if err != nil {
		return false
	}
	client := ldap.NewConn(connection, false)
	client.Start()
	client.SetTimeout(300 * time.Millisecond)
	defer client.Close()
	return client.Bind(server.BindDN, server.Password) == nil
}

// checkTLS holds that a server speaks TLS in both ways, with a certificate that its authority vouches for.
func checkTLS(t *testing.T, server *Server) {
	t.Helper()
	pem, err := os.ReadFile(server.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the file of the authority")
	}
	config := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	secure, err := ldap.DialURL(server.LDAPSURI, ldap.DialWithTLSConfig(config))
	if err != nil {
		t.Fatalf("%s: %v", server.LDAPSURI, err)
	}
	defer secure.Close()
	upgraded, err := ldap.DialURL(server.URI)
	if err != nil {
		t.Fatal(err)
	}
	defer upgraded.Close()
	if err := upgraded.StartTLS(config); err != nil {
		t.Fatalf("StartTLS: %v", err)
	}
	for _, connection := range []*ldap.Conn{secure, upgraded} {
		if err := connection.Bind(server.BindDN, server.Password); err != nil {
			t.Errorf("bind with TLS: %v", err)
		}
	}
}
