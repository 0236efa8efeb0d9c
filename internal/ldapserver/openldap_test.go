package ldapserver

import (
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func TestMain(m *testing.M) { Main(m) }

// TestOpenLDAP holds that the files of deploy/openldap do what they say, in the tree that they make.
func TestOpenLDAP(t *testing.T) {
	t.Parallel()
	server := OpenLDAP(t)
	checkTree(t, server, server.Bases)
	checkControls(t, server, []string{pagedResults, postRead, assertion, passwordModify}, nil)
}

// TestOpenLDAPTrees holds that the same is true in the trees that tests have for themselves.
func TestOpenLDAPTrees(t *testing.T) {
	t.Parallel()
	checkTrees(t, SharedOpenLDAP(t))
}

// TestOpenLDAPManyTrees makes more trees than a server has room for databases.
func TestOpenLDAPManyTrees(t *testing.T) {
	t.Parallel()
	server := SharedOpenLDAP(t)
	service := server.Connect(t, server.Service())
	for range 100 {
		mustAdd(t, service, userEntry(server.Subtree(t), "max", "user/username/-/max"))
	}
}

func TestOpenLDAPIndexes(t *testing.T) {
	t.Parallel()
	checkIndexes(t, OpenLDAP(t, withFilterLog()), "not indexed")
}

func TestOpenLDAPIndexesAfterDeletion(t *testing.T) {
	t.Parallel()
	server := SharedOpenLDAP(t)
	checkIndexesAfterDeletion(t, server, server.Subtree(t))
}

func TestOpenLDAPLifeCycle(t *testing.T) {
	t.Parallel()
	checkLifeCycle(t, OpenLDAP(t))
}

func TestOpenLDAPWithPlainSchema(t *testing.T) {
	t.Parallel()
	checkPlainSchema(t, OpenLDAP(t, PlainSchema()), ldap.LDAPResultUndefinedAttributeType)
}

// TestOpenLDAPGuardsRenames holds that a rename takes nobody's username either. 389 Directory Server lets it
// (README.md in deploy/389ds).
func TestOpenLDAPGuardsRenames(t *testing.T) {
	t.Parallel()
	server := SharedOpenLDAP(t)
	bases := server.Subtree(t)
	service := server.Connect(t, server.Service())
	mustAdd(t, service, userEntry(bases, "max"))
	mustAdd(t, service, userEntry(bases, "moritz"))
	rename := ldap.NewModifyDNRequest(userEntry(bases, "moritz").DN, "uid=Max", false, "")
	if got := code(service.ModifyDN(rename)); got != ldap.LDAPResultConstraintViolation {
		t.Errorf("result %d, want constraintViolation", got)
	}
}

func TestOpenLDAPWithSizeLimit(t *testing.T) {
	t.Parallel()
	checkSizeLimit(t, OpenLDAP(t, SizeLimit(5)), ldap.LDAPResultSizeLimitExceeded)
}

func TestOpenLDAPWithPageLimit(t *testing.T) {
	t.Parallel()
	checkSizeLimit(t, OpenLDAP(t, PageLimit(5)), ldap.LDAPResultSuccess)
}

func TestOpenLDAPWithTLS(t *testing.T) {
	t.Parallel()
	checkTLS(t, OpenLDAP(t, WithTLS()))
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
