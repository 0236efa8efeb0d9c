package doctor_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/identity/doctor"
)

// provide makes a server a provider with a number of its own.
func provide(t *testing.T, admin *ldap.Conn, number int) {
	t.Helper()
	module := ldap.NewModifyRequest("cn=module{0},cn=config", nil)
	module.Add("olcModuleLoad", []string{"syncprov"})
	if err := admin.Modify(module); err != nil {
		t.Fatalf("load syncprov: %v", err)
	}
	replace(t, admin, "cn=config", "olcServerID", fmt.Sprint(number))
	add(t, admin, "olcOverlay=syncprov,"+database, map[string][]string{
		"objectClass": {"olcOverlayConfig", "olcSyncProvConfig"}, "olcOverlay": {"syncprov"},
	})
}

// consume has a server replicate another one.
func consume(t *testing.T, admin *ldap.Conn, from *ldapserver.Server, number int) {
	t.Helper()
	replace(t, admin, database, "olcSyncrepl", fmt.Sprintf(
		`rid=%03d provider=%s type=refreshAndPersist retry="1 +" searchbase="%s" bindmethod=simple binddn="%s" credentials="%s"`,
		number, from.URI, from.Suffix, from.Admin.DN, from.Admin.Password))
	replace(t, admin, database, "olcMultiProvider", "TRUE")
}

// empty deletes a server's tree, so that it gets another's.
func empty(t *testing.T, admin *ldap.Conn, suffix string) {
	t.Helper()
	result, err := admin.Search(ldap.NewSearchRequest(
		suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"1.1"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(result.Entries, func(a, b *ldap.Entry) int { return len(b.DN) - len(a.DN) })
	for _, entry := range result.Entries {
		remove(t, admin, entry.DN)
	}
}

// TestReplicas examines two providers that replicate each other, and again when they no longer do.
func TestReplicas(t *testing.T) {
	t.Parallel()
	skipInShortMode(t)
	first, firstAdmin := startServer(t)
	second, secondAdmin := startServer(t)
	empty(t, secondAdmin, second.Suffix)
	provide(t, firstAdmin, 1)
	provide(t, secondAdmin, 2)
	consume(t, secondAdmin, first, 1)
	consume(t, firstAdmin, second, 2)
	populate(t, firstAdmin, first.Bases)
	for deadline := time.Now().Add(30 * time.Second); len(entriesOf(secondAdmin, second.Suffix)) != len(entriesOf(firstAdmin, first.Suffix)); {
		if time.Now().After(deadline) {
			t.Fatalf("the servers do not replicate each other: %q", entriesOf(secondAdmin, second.Suffix))
		}
		time.Sleep(10 * time.Millisecond)
	}
	checkFirst, checkSecond := unchanged(t, firstAdmin, first.Suffix), unchanged(t, secondAdmin, second.Suffix)
	config := configOf(first, second)
	examine(t, config, map[string]doctor.Severity{})
	checkFirst()
	checkSecond()
	config.Depth = doctor.Glance
	examine(t, config, map[string]doctor.Severity{})

	replace(t, firstAdmin, database, "olcSyncrepl")
	replace(t, secondAdmin, database, "olcSyncrepl")
	add(t, firstAdmin, "ou=late,"+first.UserBase, map[string][]string{"objectClass": {"organizationalUnit"}})
	examine(t, config, map[string]doctor.Severity{"replicas": doctor.Error})
}

// entriesOf returns the DNs of a tree, none if it is not there.
func entriesOf(admin *ldap.Conn, suffix string) []string {
	result, err := admin.Search(ldap.NewSearchRequest(
		suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"1.1"}, nil))
	if err != nil {
		return nil
	}
	var dns []string
	for _, entry := range result.Entries {
		dns = append(dns, entry.DN)
	}
	return dns
}
