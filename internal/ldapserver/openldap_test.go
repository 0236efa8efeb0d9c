package ldapserver

import (
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func TestMain(m *testing.M) { Main(m) }

// TestOpenLDAP holds that the files of deploy/openldap do what they say, in the tree that they make.
func TestOpenLDAP(t *testing.T) {
	t.Parallel()
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			server := OpenLDAP(t)
			rule.check(t, server, server.Bases)
		})
	}
}

// TestOpenLDAPTrees holds that the same is true in the trees that tests have for themselves.
func TestOpenLDAPTrees(t *testing.T) {
	t.Parallel()
	server := SharedOpenLDAP(t)
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			rule.check(t, server, server.Subtree(t))
		})
	}
}

// TestOpenLDAPManyTrees makes more trees than a server has room for databases.
func TestOpenLDAPManyTrees(t *testing.T) {
	t.Parallel()
	server := SharedOpenLDAP(t)
	service := server.Connect(t, server.Service())
	for range 100 {
		mustAdd(t, service, user(server.Subtree(t), "max", "user/username/-/max"))
	}
}

// TestOpenLDAPLifeCycle takes a server through all that tests may do to it. What was written stays.
func TestOpenLDAPLifeCycle(t *testing.T) {
	t.Parallel()
	server := OpenLDAP(t)
	bases := server.Subtree(t)
	pupil := user(bases, "max", "user/username/-/max")
	mustAdd(t, server.Connect(t, server.Service()), pupil)
	server.Kill(t)
	if connection, err := server.connect(server.Service()); err == nil {
		connection.Close()
		t.Fatal("a server that was killed answers")
	}
	server.Start(t)
	server.Stop(t)
	server.Start(t)
	read(t, server.Connect(t, server.Service()), pupil.DN)
	server.Pause(t)
	if answersSoon(server) {
		t.Error("a server that is paused answers")
	}
	server.Resume(t)
	read(t, server.Connect(t, server.Service()), pupil.DN)
}

// TestOpenLDAPWithPlainSchema holds that a server as OpenCloud's schema leaves it knows nothing of the service.
func TestOpenLDAPWithPlainSchema(t *testing.T) {
	t.Parallel()
	server := OpenLDAP(t, PlainSchema())
	service := server.Connect(t, server.Service())
	for _, bases := range []Bases{server.Bases, server.Subtree(t)} {
		if got := code(service.Add(user(bases, "max", "user/username/-/max"))); got != ldap.LDAPResultUndefinedAttributeType {
			t.Errorf("an entry with a unique key below %s: result %d, want %d", bases.Suffix, got, ldap.LDAPResultUndefinedAttributeType)
		}
		pupil := user(bases, "max")
		mustAdd(t, service, pupil)
		mustAdd(t, service, class(bases, "5a", pupil.DN))
		mustDelete(t, service, pupil.DN)
		if got := read(t, service, class(bases, "5a").DN).GetAttributeValues("member"); len(got) != 1 || got[0] != pupil.DN {
			t.Errorf("the members of a class are %q, want the one who has gone", got)
		}
	}
}

// TestOpenLDAPWithSizeLimit holds that the limit is one of the server, which paging does not lift.
func TestOpenLDAPWithSizeLimit(t *testing.T) {
	t.Parallel()
	server := OpenLDAP(t, SizeLimit(5))
	service := server.Connect(t, server.Service())
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		mustAdd(t, service, user(server.Bases, name))
	}
	request := ldap.NewSearchRequest(server.UserBase, ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 0, 0, false, "(uid=*)", nil, nil)
	if _, err := service.Search(request); code(err) != ldap.LDAPResultSizeLimitExceeded {
		t.Errorf("a search for 6 entries: %v, want sizeLimitExceeded", err)
	}
	if _, err := service.SearchWithPaging(request, 2); code(err) != ldap.LDAPResultSizeLimitExceeded {
		t.Errorf("a search for 6 entries in pages: %v, want sizeLimitExceeded", err)
	}
}

func TestOpenLDAPWithTLS(t *testing.T) {
	t.Parallel()
	server := OpenLDAP(t, WithTLS())
	checkTLS(t, server)
}

// TestOpenLDAPSocket holds that whoever ran setup is the administrator on the Unix socket.
func TestOpenLDAPSocket(t *testing.T) {
	t.Parallel()
	server := SharedOpenLDAP(t)
	connection, err := ldap.DialURL("ldapi://" + server.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.ExternalBind(); err != nil {
		t.Fatal(err)
	}
	who, err := connection.WhoAmI(nil)
	if err != nil || who.AuthzID != "dn:"+server.Admin.DN {
		t.Fatalf("on the Unix socket I am %v, %v, want %s", who, err, server.Admin.DN)
	}
	read(t, connection, "cn=config")
}
