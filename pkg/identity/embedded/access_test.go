package embedded_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/pkg/identity/embedded"
)

// Each identity tries each operation.
func TestAccess(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 2)
	denied := uint16(ldap.LDAPResultInsufficientAccessRights)
	const ok = ldap.LDAPResultSuccess
	search := func(base string, scope int) func(*ldap.Conn) error {
		return func(c *ldap.Conn) error {
			_, err := c.Search(ldap.NewSearchRequest(base, scope, 0, 0, 0, false, "(objectClass=*)", nil, nil))
			return err
		}
	}
	modify := func(dn string, attributes ...string) func(*ldap.Conn) error {
		return func(c *ldap.Conn) error {
			m := ldap.NewModifyRequest(dn, nil)
			for _, attribute := range attributes {
				m.Replace(attribute, []string{"20260102030405Z"})
			}
			return c.Modify(m)
		}
	}
	for name, test := range map[string]struct {
		call                           func(*ldap.Conn) error
		anonymous, user, reader, admin uint16
	}{
		"root DSE":       {search("", ldap.ScopeBaseObject), ok, ok, ok, ok},
		"subschema":      {search("cn=subschema", ldap.ScopeBaseObject), denied, ok, ok, ok},
		"who am I":       {func(c *ldap.Conn) error { _, err := c.WhoAmI(nil); return err }, ok, ok, ok, ok},
		"own entry":      {search(userDN(1), ldap.ScopeBaseObject), denied, ok, ok, ok},
		"own entry, sub": {search(strings.ToLower(userDN(1)), ldap.ScopeWholeSubtree), denied, ok, ok, ok},
		"other entry":    {search(userDN(2), ldap.ScopeBaseObject), denied, denied, ok, ok},
		"tree":           {search(contextDN, ldap.ScopeWholeSubtree), denied, denied, ok, ok},
		"everything":     {search("", ldap.ScopeWholeSubtree), denied, denied, ok, ok},
		"missing entry":  {search("cn=x,"+contextDN, ldap.ScopeBaseObject), denied, denied, ldap.LDAPResultNoSuchObject, ldap.LDAPResultNoSuchObject},
		"compare own":    {func(c *ldap.Conn) error { _, err := c.Compare(userDN(1), "sn", "x"); return err }, denied, ok, ok, ok},
		"compare other":  {func(c *ldap.Conn) error { _, err := c.Compare(userDN(2), "sn", "x"); return err }, denied, denied, ok, ok},
		"add":            {func(c *ldap.Conn) error { return c.Add(ldap.NewAddRequest("cn=x,"+contextDN, nil)) }, denied, denied, denied, ldap.LDAPResultObjectClassViolation},
		"delete":         {func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest("cn=x,"+contextDN, nil)) }, denied, denied, denied, ldap.LDAPResultNoSuchObject},
		"rename": {func(c *ldap.Conn) error {
			return c.ModifyDN(ldap.NewModifyDNRequest("cn=x,"+contextDN, "cn=y", true, ""))
		}, denied, denied, denied, ldap.LDAPResultNoSuchObject},
		"modify":            {modify(userDN(1), "description"), denied, denied, denied, ok},
		"sign-in":           {modify(userDN(1), "openCloudLastSignInTimestamp"), denied, denied, ok, ok},
		"sign-in, by case":  {modify(userDN(1), "OPENCLOUDLASTSIGNINTIMESTAMP"), denied, denied, ok, ok},
		"sign-in and more":  {modify(userDN(1), "openCloudLastSignInTimestamp", "description"), denied, denied, denied, ok},
		"password":          {modify(userDN(2), "userPassword"), denied, denied, denied, ok},
		"modify of nothing": {modify(userDN(1)), denied, denied, denied, ok},
	} {
		wantCode(t, name+" by anonymous", test.call(f.dial(t, "", "")), test.anonymous)
		wantCode(t, name+" by a user", test.call(f.asUser(t, 1)), test.user)
		wantCode(t, name+" by the reader", test.call(f.asReader(t)), test.reader)
		wantCode(t, name+" by the administrator", test.call(f.asAdmin(t)), test.admin)
	}
}

// Nobody but the administrator learns anything about passwords, in whatever way the question is put.
func TestPasswordsAreHidden(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 1)
	entry, err := read(t, f.asAdmin(t), userDN(1), "userPassword")
	if err != nil || entry.GetAttributeValue("userPassword") == "" {
		t.Fatalf("the administrator reads no password: %v, %v", entry, err)
	}
	hash := ldap.EscapeFilter(entry.GetAttributeValue("userPassword"))
	for who, conn := range map[string]*ldap.Conn{"reader": f.asReader(t), "user": f.asUser(t, 1)} {
		for _, selection := range [][]string{nil, {"*", "+"}, {"userPassword"}, {"USERPASSWORD"}, {"2.5.4.35"}, {" userPassword"}, {"userPassword;x-a"}, {"userPassword", "uid"}} {
			entry, err := read(t, conn, userDN(1), selection...)
			if err != nil {
				t.Errorf("%s, %q: %v", who, selection, err)
				continue
			}
			for _, attribute := range entry.Attributes {
				if strings.EqualFold(attribute.Name, "userPassword") {
					t.Errorf("%s, %q: the password is returned", who, selection)
				}
			}
			if len(selection) == 1 && len(entry.Attributes) > 0 {
				t.Errorf("%s, %q: got other attributes", who, selection)
			}
		}
		for _, filter := range []string{
			"(userPassword=*)", "(!(userPassword=*))", "(!(userPassword=x))", "(userPassword=" + hash + ")", "(2.5.4.35=*)",
			"(USERPASSWORD>=a)", "(userPassword:octetStringMatch:=" + hash + ")", "(:octetStringMatch:=" + hash + ")",
			"(:2.5.13.17:=" + hash + ")", "(:dn:octetStringMatch:=" + hash + ")", "(userPassword:dn:=" + hash + ")",
			"(&(uid=user1)(|(uid=nobody)(!(userPassword~=x))))", "(!(:octetStringMatch:=x))",
		} {
			if got := find(t, conn, userDN(1), filter); len(got) != 0 {
				t.Errorf("%s: %s finds %v", who, filter, got)
			}
		}
		if got := find(t, conn, userDN(1), "(|(userPassword=*)(:caseIgnoreMatch:=user1))"); len(got) != 1 {
			t.Errorf("%s: the rest of a filter with the password finds %v", who, got)
		}
		for _, attribute := range []string{"userPassword", "2.5.4.35", "USERPASSWORD"} {
			_, err := conn.Compare(userDN(1), attribute, "x")
			wantCode(t, who+" compares "+attribute, err, ldap.LDAPResultNoSuchAttribute)
		}
	}
	if got := find(t, f.asAdmin(t), userDN(1), "(userPassword="+hash+")"); len(got) != 1 {
		t.Errorf("the administrator's filter finds %v", got)
	}
}

func TestEnsureAccounts(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	store := openStore(t, folder)
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	ensure := func() (embedded.Accounts, error) {
		return embedded.EnsureAccounts(t.Context(), store, folder, contextDN)
	}
	right := func(dn, password string) bool {
		t.Helper()
		right, err := store.VerifyPassword(t.Context(), dn, password)
		if err != nil {
			t.Fatal(err)
		}
		return right
	}
	accounts, err := ensure()
	if err != nil {
		t.Fatal(err)
	}
	admin, reader := readPassword(t, folder, embedded.AdminPasswordFile), readPassword(t, folder, embedded.ReaderPasswordFile)
	if len(admin) != 43 || admin == reader {
		t.Errorf("passwords are not two of 256 bits: %d and %d characters", len(admin), len(reader))
	}
	for _, name := range []string{embedded.AdminPasswordFile, embedded.ReaderPasswordFile} {
		status, err := os.Stat(filepath.Join(folder, name))
		if err != nil || status.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, status.Mode(), err)
		}
	}
	if !right(accounts.AdminDN, admin) || !right(accounts.ReaderDN, reader) || right(accounts.AdminDN, reader) {
		t.Error("the entries do not have the passwords of the files")
	}

	// Another start changes nothing.
	if again, err := ensure(); err != nil || again != accounts || readPassword(t, folder, embedded.AdminPasswordFile) != admin {
		t.Errorf("second start: got %+v, %v", again, err)
	}
	// A file that was edited wins, and so does one that was written before a crash.
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, embedded.AdminPasswordFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rotated\r\n")
	if _, err := ensure(); err != nil || !right(accounts.AdminDN, "rotated") || right(accounts.AdminDN, admin) {
		t.Errorf("after an edit: %v", err)
	}
	write("\n")
	if _, err := ensure(); err == nil || !strings.Contains(err.Error(), embedded.AdminPasswordFile) {
		t.Errorf("empty file: got %v, want an error that names it", err)
	}
	// A file that was deleted is made anew.
	if err := os.Remove(filepath.Join(folder, embedded.AdminPasswordFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := ensure(); err != nil || !right(accounts.AdminDN, readPassword(t, folder, embedded.AdminPasswordFile)) {
		t.Errorf("after the file was deleted: %v", err)
	}
	leftovers, err := filepath.Glob(filepath.Join(folder, "*.password.*"))
	if err != nil || len(leftovers) > 0 {
		t.Errorf("temporary files are left: %v, %v", leftovers, err)
	}
}
