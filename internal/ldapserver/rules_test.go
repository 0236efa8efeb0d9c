package ldapserver

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// rules are what the files of the folder deploy promise, whatever server they set up. Each is checked in a tree of its
// own.
var rules = []struct {
	name  string
	check func(t *testing.T, server *Server, bases Bases)
}{
	{"a unique key has one holder", checkUniqueKey},
	{"a unique key has one holder among many writers", checkUniqueKeyAtOnce},
	{"what is unique everywhere has one holder without keys", checkUniqueAttributes},
	{"a tree has keys of its own", checkDomains},
	{"links follow entries", checkLinks},
	{"a class outlives its last member", checkLastMember},
	{"the service writes below its bases alone", checkServiceWrites},
	{"the service reads no password", checkServicePasswords},
	{"the reader reads", checkReader},
	{"a user sees and changes little", checkUser},
	{"anonymous sees nothing", checkAnonymous},
	{"the accounts read without limits", checkLimits},
}

// checkTree checks all rules one after another in one tree, which has no other entries meanwhile.
func checkTree(t *testing.T, server *Server, bases Bases) {
	t.Helper()
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			rule.check(t, server, bases)
			empty(t, server, bases)
		})
	}
}

// checkTrees checks all rules at once, each in a tree of its own.
func checkTrees(t *testing.T, server *Server) {
	t.Helper()
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			rule.check(t, server, server.Subtree(t))
		})
	}
}

func checkUniqueKey(t *testing.T, server *Server, bases Bases) {
	service := server.Connect(t, server.Service())
	first := userEntry(bases, "max", "user/username/-/max", "user/externalId/-/4711")
	mustAdd(t, service, first)
	if got := code(service.Add(userEntry(bases, "moritz", "user/username/-/moritz", "user/externalId/-/4711"))); got != ldap.LDAPResultConstraintViolation {
		t.Errorf("add with another's key: result %d, want constraintViolation", got)
	}
	second := userEntry(bases, "moritz", "user/username/-/moritz")
	mustAdd(t, service, second)
	if got := code(modify(service, second.DN, "educationUniqueKey", "user/username/-/moritz", "user/externalId/-/4711")); got != ldap.LDAPResultConstraintViolation {
		t.Errorf("modify to another's key: result %d, want constraintViolation", got)
	}
	// Octets are compared, not letters: folding is the service's business.
	mustAdd(t, service, userEntry(bases, "other", "user/username/-/MAX"))
	if err := modify(service, first.DN, "educationUniqueKey", "user/username/-/max", "user/externalId/-/4712"); err != nil {
		t.Errorf("modify one's own keys: %v", err)
	}
	mustDelete(t, service, first.DN)
	if err := modify(service, second.DN, "educationUniqueKey", "user/username/-/max"); err != nil {
		t.Errorf("modify to a key that is free again: %v", err)
	}
}

func checkUniqueKeyAtOnce(t *testing.T, server *Server, bases Bases) {
	const writers, rounds = 16, 10
	connections := make([]*ldap.Conn, writers)
	for i := range connections {
		connections[i] = server.Connect(t, server.Service())
	}
	for round := range rounds {
		codes := make([]uint16, writers)
		start := make(chan struct{})
		var wait sync.WaitGroup
		for i, connection := range connections {
			request := userEntry(bases, fmt.Sprintf("%d-%d", round, i), fmt.Sprintf("user/username/-/%d", round))
			wait.Go(func() {
				<-start
				codes[i] = code(connection.Add(request))
			})
		}
		close(start)
		wait.Wait()
		slices.Sort(codes)
		if codes[0] != ldap.LDAPResultSuccess || codes[1] != ldap.LDAPResultConstraintViolation || codes[writers-1] != ldap.LDAPResultConstraintViolation {
			t.Fatalf("%d writers of one key got the results %v, want one success and else constraintViolation", writers, codes)
		}
	}
}

// checkUniqueAttributes holds that what is unique everywhere has one holder without any keys, and that other things may be
// called the same.
func checkUniqueAttributes(t *testing.T, server *Server, bases Bases) {
	service := server.Connect(t, server.Service())
	mustAdd(t, service, userEntry(bases, "max"))
	mustAdd(t, service, userEntry(bases, "moritz"))
	mustAdd(t, service, classEntry(bases, "moritz"))
	mustAdd(t, service, schoolEntry(bases, "max", "1", "2"))
	mustAdd(t, service, schoolEntry(bases, "tenants", "2", "1"))
	for name, err := range map[string]error{
		"username":             service.Add(userEntry(bases, "MAX")),
		"username by a modify": modify(service, userEntry(bases, "moritz").DN, "uid", "Max"),
		"number of a school":   service.Add(schoolEntry(bases, "a", "1", "3")),
		"its externalId":       service.Add(schoolEntry(bases, "b", "3", "1")),
		"its name":             modify(service, schoolEntry(bases, "max", "1", "2").DN, "ou", "Tenants"),
	} {
		if got := code(err); got != ldap.LDAPResultConstraintViolation {
			t.Errorf("%s: result %d, want constraintViolation", name, got)
		}
	}
	for name, err := range map[string]error{
		"one's own username":   modify(service, userEntry(bases, "max").DN, "uid", "Max"),
		"one's own number":     modify(service, schoolEntry(bases, "max", "1", "2").DN, "openCloudEducationSchoolNumber", "1"),
		"a user as a school":   service.Add(userEntry(bases, "tenants")),
		"a user with its id":   modify(service, userEntry(bases, "max").DN, "openCloudEducationExternalId", "1"),
		"another with its id":  modify(service, userEntry(bases, "moritz").DN, "openCloudEducationExternalId", "1"),
		"a class with that id": modify(service, classEntry(bases, "moritz").DN, "openCloudEducationExternalId", "1"),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func checkDomains(t *testing.T, server *Server, bases Bases) {
	service := server.Connect(t, server.Service())
	for _, tree := range []Bases{bases, server.Subtree(t)} {
		mustAdd(t, service, userEntry(tree, "max", "user/username/-/max"))
		if got := code(service.Add(userEntry(tree, "moritz", "user/username/-/max"))); got != ldap.LDAPResultConstraintViolation {
			t.Errorf("a second holder below %s: result %d, want constraintViolation", tree.Suffix, got)
		}
	}
}

// links returns the members and the teachers of a class, without the empty DN that stands for none.
func links(t *testing.T, connection *ldap.Conn, dn string) (members, teachers []string) {
	t.Helper()
	entry := read(t, connection, dn)
	isEmpty := func(value string) bool { return value == "" }
	return slices.DeleteFunc(entry.GetAttributeValues("member"), isEmpty),
		slices.DeleteFunc(entry.GetAttributeValues("openCloudEducationTeacherMember"), isEmpty)
}

func checkLinks(t *testing.T, server *Server, bases Bases) {
	service := server.Connect(t, server.Service())
	stays, goes := userEntry(bases, "max"), userEntry(bases, "tina")
	mustAdd(t, service, stays)
	mustAdd(t, service, goes)
	fifth := classEntry(bases, "5a", stays.DN, goes.DN)
	fifth.Attribute("openCloudEducationTeacherMember", []string{stays.DN, goes.DN})
	mustAdd(t, service, fifth)

	renamed := "uid=max," + bases.UserBase
	if err := service.ModifyDN(ldap.NewModifyDNRequest(stays.DN, "uid=max", false, "")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "links follow the new name", func() bool {
		members, teachers := links(t, service, fifth.DN)
		return slices.Contains(members, renamed) && slices.Contains(teachers, renamed) && len(members) == 2 && len(teachers) == 2
	})
	mustDelete(t, service, goes.DN)
	eventually(t, "nothing links to an entry that has gone", func() bool {
		members, teachers := links(t, service, fifth.DN)
		return slices.Equal(members, []string{renamed}) && slices.Equal(teachers, []string{renamed})
	})
}

func checkLastMember(t *testing.T, server *Server, bases Bases) {
	service := server.Connect(t, server.Service())
	only := userEntry(bases, "max")
	mustAdd(t, service, only)
	fifth := classEntry(bases, "5a", only.DN)
	fifth.Attribute("openCloudEducationTeacherMember", []string{only.DN})
	mustAdd(t, service, fifth)
	mustDelete(t, service, only.DN)
	eventually(t, "the class is empty", func() bool {
		members, teachers := links(t, service, fifth.DN)
		return len(members) == 0 && len(teachers) == 0
	})
}

func checkServiceWrites(t *testing.T, server *Server, bases Bases) {
	service := server.Connect(t, server.Service())
	outside := ldap.NewAddRequest("cn=other,"+bases.Suffix, nil)
	outside.Attribute("objectClass", []string{"organizationalRole"})
	outside.Attribute("cn", []string{"other"})
	refused := map[string]error{
		"add beside the bases":           service.Add(outside),
		"delete a base":                  service.Del(ldap.NewDelRequest(bases.ClassBase, nil)),
		"modify a base":                  modify(service, bases.UserBase, "description", "mine"),
		"modify the suffix":              modify(service, bases.Suffix, "description", "mine"),
		"set its own password":           modify(service, server.BindDN, "userPassword", "mine"),
		"set the reader's password":      modify(service, server.Reader.DN, "userPassword", "mine"),
		"delete the reader":              service.Del(ldap.NewDelRequest(server.Reader.DN, nil)),
		"modify the reader":              modify(service, server.Reader.DN, "description", "mine"),
		"modify the server's properties": modify(service, "cn=config", "cn", "mine"),
	}
	for _, base := range []string{bases.UserBase, bases.ClassBase, bases.SchoolBase, bases.Suffix} {
		refused["set the password of "+base] = modify(service, base, "userPassword", "mine")
		refused["note a sign-in at "+base] = modify(service, base, "openCloudLastSignInTimestamp", "20261124083000Z")
	}
	for what, err := range refused {
		if code(err) != ldap.LDAPResultInsufficientAccessRights {
			t.Errorf("%s: %v, want insufficientAccessRights", what, err)
		}
	}
	pupil := userEntry(bases, "max")
	mustAdd(t, service, pupil)
	move := ldap.NewModifyDNRequest(pupil.DN, "uid=max", false, bases.Suffix)
	if got := code(service.ModifyDN(move)); got != ldap.LDAPResultInsufficientAccessRights {
		t.Errorf("move a user out of its base: result %d, want insufficientAccessRights", got)
	}
	mustDelete(t, service, pupil.DN)
}

func checkServicePasswords(t *testing.T, server *Server, bases Bases) {
	service, admin := server.Connect(t, server.Service()), server.Connect(t, server.Admin)
	pupil := userEntry(bases, "max")
	// What the service makes of "a secret": a salted SHA-1 (RFC 2307, section 5.3).
	const hashed = "{SSHA}r6lzcwX/EJH/++aM6EnoorT7M/9zYWx0"
	pupil.Attribute("userPassword", []string{hashed})
	mustAdd(t, service, pupil)
	checkPasswordHidden(t, service, pupil.DN, hashed)
	// 389 Directory Server puts a stronger hash in its place at the first bind.
	if stored := read(t, admin, pupil.DN).GetAttributeValue("userPassword"); stored != hashed {
		t.Errorf("a hash was not kept as it is but as %q", stored)
	}
	checkBind(t, server, pupil.DN, "a secret")
	if err := modify(service, pupil.DN, "userPassword", hashed); err != nil {
		t.Errorf("replace a password: %v", err)
	}
	secure := connectSecurely(t, server, server.Service())
	if _, err := secure.PasswordModify(ldap.NewPasswordModifyRequest(pupil.DN, "", "another secret")); err != nil {
		t.Fatalf("Password Modify: %v", err)
	}
	checkBind(t, server, pupil.DN, "another secret")
	stored := read(t, admin, pupil.DN).GetAttributeValue("userPassword")
	if !strings.HasPrefix(stored, "{") || strings.Contains(stored, "another secret") {
		t.Error("Password Modify keeps a password as it is")
	}
}

// checkBind holds that a password is the entry's, and another is not.
func checkBind(t *testing.T, server *Server, dn, password string) {
	t.Helper()
	if _, err := server.connect(Account{dn, password}); err != nil {
		t.Errorf("bind as %s: %v", dn, err)
	}
	if _, err := server.connect(Account{dn, password + "."}); code(err) != ldap.LDAPResultInvalidCredentials {
		t.Errorf("bind as %s with a wrong password: %v, want invalidCredentials", dn, err)
	}
}

// checkPasswordHidden holds that a client neither reads a password nor finds it out.
func checkPasswordHidden(t *testing.T, connection *ldap.Conn, dn, password string) {
	t.Helper()
	entries, err := search(connection, dn, "(objectClass=*)", "userPassword")
	for _, entry := range entries {
		if len(entry.Attributes) > 0 {
			t.Errorf("the client reads a password, %v", err)
		}
	}
	for _, filter := range []string{"(userPassword=*)", "(userPassword=" + ldap.EscapeFilter(password) + ")"} {
		if entries, _ := search(connection, dn, filter, "1.1"); len(entries) > 0 {
			t.Errorf("the client finds out by %s that there is a password", filter[:14])
		}
	}
	if same, _ := connection.Compare(dn, "userPassword", password); same {
		t.Error("the client compares passwords")
	}
}

func checkReader(t *testing.T, server *Server, bases Bases) {
	service, reader := server.Connect(t, server.Service()), server.Connect(t, server.Reader)
	pupil := userEntry(bases, "max", "user/username/-/max")
	pupil.Attribute("userPassword", []string{"a secret"})
	mustAdd(t, service, pupil)
	mustAdd(t, service, classEntry(bases, "5a", pupil.DN))
	for filter, want := range map[string]int{"(uid=max)": 1, "(educationUniqueKey=user/username/-/max)": 1, "(member=" + pupil.DN + ")": 1, "(ou=users)": 1} {
		if entries, err := search(reader, bases.Suffix, filter); err != nil || len(entries) != want {
			t.Errorf("the reader finds %d entries by %s, %v, want %d", len(entries), filter, err, want)
		}
	}
	checkPasswordHidden(t, reader, pupil.DN, "a secret")
	if err := modify(reader, pupil.DN, "openCloudLastSignInTimestamp", "20261124083000Z"); err != nil {
		t.Errorf("the reader notes a sign-in: %v", err)
	}
	for what, err := range map[string]error{
		"modify a name":  modify(reader, pupil.DN, "displayName", "Max"),
		"set a password": modify(reader, pupil.DN, "userPassword", "mine"),
		"add a user":     reader.Add(userEntry(bases, "moritz")),
		"rename a user":  reader.ModifyDN(ldap.NewModifyDNRequest(pupil.DN, "uid=max", false, "")),
		"delete a user":  reader.Del(ldap.NewDelRequest(pupil.DN, nil)),
		"modify a base":  modify(reader, bases.UserBase, "openCloudLastSignInTimestamp", "20261124083000Z"),
	} {
		if code(err) != ldap.LDAPResultInsufficientAccessRights {
			t.Errorf("the reader may %s: %v, want insufficientAccessRights", what, err)
		}
	}
}

func checkUser(t *testing.T, server *Server, bases Bases) {
	service := server.Connect(t, server.Service())
	pupil, other := userEntry(bases, "max"), userEntry(bases, "moritz")
	pupil.Attribute("userPassword", []string{"a secret"})
	mustAdd(t, service, pupil)
	mustAdd(t, service, other)
	self := server.Connect(t, Account{pupil.DN, "a secret"})
	if got := read(t, self, pupil.DN).GetAttributeValue("uid"); got != "max" {
		t.Errorf("a user sees of itself the uid %q", got)
	}
	checkPasswordHidden(t, self, pupil.DN, "a secret")
	if entries, _ := search(self, other.DN, "(objectClass=*)"); len(entries) > 0 {
		t.Error("a user sees another")
	}
	for what, err := range map[string]error{
		"its own name":                modify(self, pupil.DN, "displayName", "Max"),
		"its own schools":             modify(self, pupil.DN, "openCloudMemberOfSchool", id("school")),
		"the time it signed in":       modify(self, pupil.DN, "openCloudLastSignInTimestamp", "20261124083000Z"),
		"another's password":          modify(self, other.DN, "userPassword", "mine"),
		"the password of the service": modify(self, server.BindDN, "userPassword", "mine"),
	} {
		if got := code(err); got != ldap.LDAPResultInsufficientAccessRights && got != ldap.LDAPResultNoSuchObject {
			t.Errorf("a user changes %s: %v, want a refusal", what, err)
		}
	}
	secure := connectSecurely(t, server, Account{pupil.DN, "a secret"})
	if _, err := secure.PasswordModify(ldap.NewPasswordModifyRequest("", "a secret", "another secret")); err != nil {
		t.Errorf("a user changes its own password: %v", err)
	}
	checkBind(t, server, pupil.DN, "another secret")
}

func checkAnonymous(t *testing.T, server *Server, bases Bases) {
	service, nobody := server.Connect(t, server.Service()), server.Connect(t, Account{})
	pupil := userEntry(bases, "max")
	mustAdd(t, service, pupil)
	for _, base := range []string{bases.Suffix, bases.UserBase, pupil.DN, "cn=config"} {
		if entries, err := search(nobody, base, "(objectClass=*)"); len(entries) > 0 {
			t.Errorf("anonymous sees %d entries below %s, %v", len(entries), base, err)
		}
	}
	for what, err := range map[string]error{
		"adds a user":    nobody.Add(userEntry(bases, "moritz")),
		"changes a user": modify(nobody, pupil.DN, "displayName", "Max"),
		"deletes a user": nobody.Del(ldap.NewDelRequest(pupil.DN, nil)),
	} {
		if err == nil {
			t.Errorf("anonymous %s", what)
		}
	}
}

// defaultSizeLimit is the limit of accounts that have none of their own. 389 Directory Server's is larger.
const defaultSizeLimit = 500

func checkLimits(t *testing.T, server *Server, bases Bases) {
	const entries = defaultSizeLimit + 100
	admin := server.Connect(t, server.Admin)
	var wait sync.WaitGroup
	for i := range entries {
		// They share a connection, so that the server commits several at a time.
		wait.Go(func() {
			if err := admin.Add(userEntry(bases, fmt.Sprintf("user%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	request := ldap.NewSearchRequest(bases.UserBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		"(objectClass=openCloudEducationUser)", []string{"openCloudUUID"}, nil)
	for name, account := range map[string]Account{"service": server.Service(), "reader": server.Reader} {
		connection := server.Connect(t, account)
		if result, err := connection.Search(request); err != nil || len(result.Entries) != entries {
			t.Errorf("the %s reads %d entries, want %d: %v", name, len(result.Entries), entries, err)
		}
		request := *request // Paging adds its control.
		if result, err := connection.SearchWithPaging(&request, 100); err != nil || len(result.Entries) != entries {
			t.Errorf("the %s reads %d entries in pages, want %d: %v", name, len(result.Entries), entries, err)
		}
	}
}
