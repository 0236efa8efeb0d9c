package ldapserver

import (
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// TestDirectoryServer389 holds that the files of deploy/389ds do what they say, in the tree that they make. Such a server
// takes long to set up, so one has to do for everything that a test may do to it.
func TestDirectoryServer389(t *testing.T) {
	t.Parallel()
	server := DirectoryServer389(t, WithTLS())
	checkTree(t, server, server.Bases)
	checkIndexes(t, server, "notes=")
	checkControls(t, server, []string{pagedResults, postRead, passwordModify, startTLS}, []string{assertion})
	checkTLS(t, server)
	checkLifeCycle(t, server)
}

// TestDirectoryServer389Trees holds that the same is true in the trees that tests have for themselves.
func TestDirectoryServer389Trees(t *testing.T) {
	t.Parallel()
	checkTrees(t, SharedDirectoryServer389(t))
}

func TestDirectoryServer389IndexesAfterDeletion(t *testing.T) {
	t.Parallel()
	server := SharedDirectoryServer389(t)
	checkIndexesAfterDeletion(t, server, server.Subtree(t))
}

func TestDirectoryServer389AsItComes(t *testing.T) {
	t.Parallel()
	server := DirectoryServer389(t, PlainSchema(), SizeLimit(5))
	checkPlainSchema(t, server, ldap.LDAPResultObjectClassViolation)
	checkSizeLimit(t, server, ldap.LDAPResultSuccess)
}
