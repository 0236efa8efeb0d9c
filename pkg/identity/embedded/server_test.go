package embedded_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

const (
	contextDN = "dc=opencloud,dc=eu"
	usersDN   = "ou=users," + contextDN
	groupsDN  = "ou=groups," + contextDN
	tenantsDN = "ou=tenants," + contextDN
	schoolID  = "6f0b9f1c-52a5-4a19-9ad1-4d2b8f4f7a10"
)

// userID returns the id of the n-th user of a fixture.
func userID(n int) string { return fmt.Sprintf("0e2f1bd5-9a2d-4a3b-a6c1-%012d", n) }

func userDN(n int) string { return "openCloudUUID=" + userID(n) + "," + usersDN }

// front is a server in front of a store of its own.
type front struct {
	server   *embedded.Server
	store    *embedded.Store
	accounts embedded.Accounts
	dataDir  string
	address  string
	log      *lockedBuffer
	// admin and reader are the passwords of the accounts.
	admin, reader string
}

// lockedBuffer is a buffer that goroutines write to at the same time.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// openStore opens a store in a folder.
func openStore(t testing.TB, folder string) *embedded.Store {
	t.Helper()
	store, err := embedded.Open(embedded.Config{
		Path: filepath.Join(folder, "directory.db"), Containers: []string{usersDN, groupsDN, tenantsDN},
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// newFront starts a server that listens on a port of its own. Change may alter its configuration.
func newFront(t testing.TB, change func(*embedded.ServerConfig)) *front {
	t.Helper()
	f := &front{dataDir: t.TempDir(), log: &lockedBuffer{}}
	f.store = openStore(t, f.dataDir)
	t.Cleanup(func() {
		if err := f.store.Close(); err != nil {
			t.Errorf("store: %v", err)
		}
	})
	var err error
	if f.accounts, err = embedded.EnsureAccounts(t.Context(), f.store, f.dataDir, contextDN); err != nil {
		t.Fatal(err)
	}
	f.admin, f.reader = readPassword(t, f.dataDir, embedded.AdminPasswordFile), readPassword(t, f.dataDir, embedded.ReaderPasswordFile)
	config := embedded.ServerConfig{
		Accounts: f.accounts,
		Logger:   slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&config)
	}
	f.server = embedded.NewServer(f.store, config)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = listener.Addr().String()
	f.serve(t, listener)
	return f
}

// serve serves a listener until the test ends.
func (f *front) serve(t testing.TB, listener net.Listener) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func readPassword(t testing.TB, folder, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// addUsers adds users 1 to n, whose passwords are "secret" and their numbers, and a school and a class with all of them.
func (f *front) addUsers(t testing.TB, n int) {
	t.Helper()
	f.add(t, "openCloudUUID="+schoolID+","+tenantsDN, map[string][]string{
		"objectClass": {"organizationalUnit", "openCloudObject", "openCloudEducationSchool", "educationObject"},
		"ou":          {"Goethe"}, "openCloudEducationExternalId": {"tenant-1"},
	})
	members := make([]string, 0, n)
	for i := 1; i <= n; i++ {
		password := embedded.HashSSHA512(fmt.Sprintf("secret%d", i))
		f.add(t, userDN(i), map[string][]string{
			"objectClass": {"inetOrgPerson", "openCloudObject", "openCloudUser", "openCloudEducationUser", "educationObject"},
			"uid":         {fmt.Sprintf("user%d", i)}, "cn": {fmt.Sprintf("user%d", i)}, "sn": {"Müller"},
			"mail": {fmt.Sprintf("user%d@example.org", i)}, "openCloudUserEnabled": {"TRUE"},
			"openCloudMemberOfSchool": {schoolID}, "userPassword": {password},
		})
		members = append(members, userDN(i))
	}
	f.add(t, "openCloudUUID=c1a55000-52a5-4a19-9ad1-4d2b8f4f7a10,"+groupsDN, map[string][]string{
		"objectClass": {"groupOfNames", "openCloudObject", "openCloudEducationClass", "educationObject"},
		"cn":          {"5a"}, "member": members, "openCloudEducationExternalId": {"5a"},
	})
}

func (f *front) add(t testing.TB, dn string, attributes map[string][]string) {
	t.Helper()
	request := &wire.AddRequest{DN: dn}
	for name, values := range attributes {
		request.Attributes = append(request.Attributes, wire.Attribute{Type: name, Values: values})
	}
	if _, err := f.store.Add(t.Context(), request); err != nil {
		t.Fatalf("add %s: %v", dn, err)
	}
}

// dial connects as somebody; an empty name stays anonymous.
func (f *front) dial(t testing.TB, dn, password string) *ldap.Conn {
	t.Helper()
	conn, err := ldap.DialURL("ldap://" + f.address)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetTimeout(20 * time.Second)
	t.Cleanup(func() { _ = conn.Close() })
	if dn != "" {
		if err := conn.Bind(dn, password); err != nil {
			t.Fatalf("bind as %s: %v", dn, err)
		}
	}
	return conn
}

func (f *front) asAdmin(t testing.TB) *ldap.Conn { return f.dial(t, f.accounts.AdminDN, f.admin) }

func (f *front) asReader(t testing.TB) *ldap.Conn { return f.dial(t, f.accounts.ReaderDN, f.reader) }

func (f *front) asUser(t testing.TB, n int) *ldap.Conn {
	return f.dial(t, userDN(n), fmt.Sprintf("secret%d", n))
}

// wantCode fails the test unless err has the result code.
func wantCode(t testing.TB, what string, err error, code uint16) {
	t.Helper()
	if code == ldap.LDAPResultSuccess {
		if err != nil {
			t.Errorf("%s: %v, want success", what, err)
		}
		return
	}
	if !ldap.IsErrorWithCode(err, code) {
		t.Errorf("%s: got %v, want result %d", what, err, code)
	}
}

// find searches the whole tree below base and returns the DNs found.
func find(t testing.TB, conn *ldap.Conn, base, filter string) []string {
	t.Helper()
	result, err := conn.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, []string{"1.1"}, nil))
	if err != nil {
		t.Errorf("search %s: %v", filter, err)
		return nil
	}
	var found []string
	for _, entry := range result.Entries {
		found = append(found, entry.DN)
	}
	return found
}

// read returns the attributes of an entry.
func read(t testing.TB, conn *ldap.Conn, dn string, attributes ...string) (*ldap.Entry, error) {
	t.Helper()
	result, err := conn.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", attributes, nil))
	if err != nil {
		return nil, err
	}
	if len(result.Entries) != 1 {
		t.Fatalf("base search of %q: %d entries", dn, len(result.Entries))
	}
	return result.Entries[0], nil
}

func TestBind(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 2)
	disable := &wire.ModifyRequest{DN: userDN(2), Changes: []wire.Change{{
		Operation: wire.ChangeReplace, Attribute: wire.Attribute{Type: "openCloudUserEnabled", Values: []string{"FALSE"}},
	}}}
	if _, err := f.store.Modify(t.Context(), disable); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		dn, password string
		code         uint16
	}{
		"admin":                   {f.accounts.AdminDN, f.admin, ldap.LDAPResultSuccess},
		"admin, other spelling":   {"CN = Admin, DC=OpenCloud,dc=EU", f.admin, ldap.LDAPResultSuccess},
		"reader":                  {f.accounts.ReaderDN, f.reader, ldap.LDAPResultSuccess},
		"user":                    {userDN(1), "secret1", ldap.LDAPResultSuccess},
		"wrong password":          {userDN(1), "secret2", ldap.LDAPResultInvalidCredentials},
		"unknown name":            {"uid=nobody," + usersDN, "secret1", ldap.LDAPResultInvalidCredentials},
		"entry without password":  {usersDN, "secret1", ldap.LDAPResultInvalidCredentials},
		"disabled user":           {userDN(2), "secret2", ldap.LDAPResultInvalidCredentials},
		"password without a name": {"", "secret", ldap.LDAPResultInvalidCredentials},
		"no DN":                   {"max", "secret", ldap.LDAPResultInvalidDNSyntax},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := f.dial(t, "", "")
			wantCode(t, "bind", conn.Bind(test.dn, test.password), test.code)
		})
	}
	t.Run("empty password", func(t *testing.T) {
		t.Parallel()
		conn := f.dial(t, "", "")
		err := conn.UnauthenticatedBind(f.accounts.AdminDN)
		wantCode(t, "bind", err, ldap.LDAPResultUnwillingToPerform)
	})
	t.Run("anonymous", func(t *testing.T) {
		t.Parallel()
		conn := f.asAdmin(t)
		wantCode(t, "bind", conn.UnauthenticatedBind(""), ldap.LDAPResultSuccess)
		who, err := conn.WhoAmI(nil)
		if err != nil || who.AuthzID != "" {
			t.Errorf("identity after an anonymous bind: %+v, %v", who, err)
		}
	})
	t.Run("external", func(t *testing.T) {
		t.Parallel()
		wantCode(t, "bind", f.dial(t, "", "").ExternalBind(), ldap.LDAPResultAuthMethodNotSupported)
	})
	t.Run("a failed bind leaves the session anonymous", func(t *testing.T) {
		t.Parallel()
		conn := f.asAdmin(t)
		wantCode(t, "bind", conn.Bind(f.accounts.AdminDN, "wrong"), ldap.LDAPResultInvalidCredentials)
		_, err := read(t, conn, contextDN)
		wantCode(t, "search", err, ldap.LDAPResultInsufficientAccessRights)
	})
	t.Run("version 2", func(t *testing.T) {
		t.Parallel()
		raw := f.dialRaw(t)
		raw.send(t, 1, &wire.BindRequest{Version: 2, Name: f.accounts.AdminDN, Password: f.admin})
		if response := raw.response(t, 1); response.Code != wire.ResultProtocolError {
			t.Errorf("got %+v, want a protocol error", response)
		}
	})
}

func TestOperations(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 3)
	conn := f.asAdmin(t)
	dn := "uid=moritz," + usersDN

	add := ldap.NewAddRequest(dn, nil)
	add.Attribute("objectClass", []string{"inetOrgPerson"})
	for _, name := range []string{"uid", "cn", "sn"} {
		add.Attribute(name, []string{"moritz"})
	}
	add.Attribute("userPassword", []string{"in the clear"})
	wantCode(t, "add", conn.Add(add), ldap.LDAPResultSuccess)
	wantCode(t, "second add", conn.Add(add), ldap.LDAPResultEntryAlreadyExists)

	entry, err := read(t, conn, dn, "*")
	if err != nil {
		t.Fatal(err)
	}
	if hash := entry.GetAttributeValue("userPassword"); !strings.HasPrefix(hash, "{") {
		t.Errorf("userPassword is kept as %q", hash)
	}
	f.dial(t, dn, "in the clear")

	modify := ldap.NewModifyRequest(dn, nil)
	modify.Replace("sn", []string{"Busch"})
	modify.Add("mail", []string{"a@example.org", "b@example.org"})
	modify.Delete("mail", []string{"a@example.org"})
	wantCode(t, "modify", conn.Modify(modify), ldap.LDAPResultSuccess)
	missing := ldap.NewModifyRequest("uid=nobody,"+usersDN, nil)
	missing.Replace("sn", []string{"x"})
	wantCode(t, "modify of nothing", conn.Modify(missing), ldap.LDAPResultNoSuchObject)

	for value, want := range map[string]bool{"busch": true, "bush": false} {
		equal, err := conn.Compare(dn, "sn", value)
		if err != nil || equal != want {
			t.Errorf("compare with %q: got %v, %v, want %v", value, equal, err, want)
		}
	}
	_, err = conn.Compare(dn, "description", "x")
	wantCode(t, "compare of an absent attribute", err, ldap.LDAPResultNoSuchAttribute)

	wantCode(t, "rename", conn.ModifyDN(ldap.NewModifyDNRequest(dn, "uid=mo", true, "")), ldap.LDAPResultSuccess)
	_, err = read(t, conn, dn)
	wantCode(t, "read under the old name", err, ldap.LDAPResultNoSuchObject)

	wantCode(t, "delete", conn.Del(ldap.NewDelRequest("uid=mo,"+usersDN, nil)), ldap.LDAPResultSuccess)
	wantCode(t, "second delete", conn.Del(ldap.NewDelRequest("uid=mo,"+usersDN, nil)), ldap.LDAPResultNoSuchObject)
	wantCode(t, "delete of a parent", conn.Del(ldap.NewDelRequest(usersDN, nil)), ldap.LDAPResultNotAllowedOnNonLeaf)
	_, err = conn.Extended(ldap.NewExtendedRequest("1.2.3.4", nil))
	wantCode(t, "unknown extended operation", err, ldap.LDAPResultProtocolError)
	if got := find(t, conn, usersDN, "(uid=user1)"); !cmp.Equal(got, []string{userDN(1)}) {
		t.Errorf("the session does not go on after an unknown extended operation: %v", got)
	}
}

// The searches that OpenCloud's users, groups, tenant and auth-basic drivers send.
func TestSearchesOfOpenCloud(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 3)
	conn := f.asReader(t)
	school := "openCloudUUID=" + schoolID + "," + tenantsDN
	class := "openCloudUUID=c1a55000-52a5-4a19-9ad1-4d2b8f4f7a10," + groupsDN
	all := []string{userDN(1), userDN(2), userDN(3)}
	for filter, want := range map[string][]string{
		"(&(objectClass=inetOrgPerson)(|(uid=USER2)(mail=user2)))":                                       {userDN(2)},
		"(&(objectclass=inetOrgPerson)(|(uid=x)(mail=User3@Example.org)))":                               {userDN(3)},
		"(&(objectClass=inetOrgPerson)(openCloudUUID=" + strings.ToUpper(userID(1)) + "))":               {userDN(1)},
		"(&(objectClass=inetOrgPerson)(|(uid=no)(openCloudUUID=no uuid)))":                               nil,
		"(&(objectClass=inetOrgPerson)(|(cn=*ser1*)(mail=user2*)(displayName=*x))(sn=müller))":           {userDN(1), userDN(2)},
		"(&(objectClass=inetOrgPerson)(openCloudMemberOfSchool=" + schoolID + "))":                       all,
		"(&(objectclass=openCloudEducationSchool)(openCloudEducationExternalId=tenant-1))":               {school},
		"(&(objectClass=groupOfNames)(member=" + userDN(2) + "))":                                        {class},
		"(&(objectClass=openCloudEducationClass)(|(openCloudUUID=5a)(openCloudEducationExternalId=5a)))": {class},
		"(&(objectClass=inetOrgPerson)(!(openCloudUserEnabled=FALSE)))":                                  all,
	} {
		got := find(t, conn, contextDN, filter)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", filter, diff)
		}
	}
}

func TestTrueAndFalseFilters(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	raw := f.dialRawAdmin(t)
	for id, test := range map[int]struct {
		filter *wire.Filter
		want   int
	}{2: {wire.And(), 1}, 3: {wire.Or(), 0}} {
		for _, base := range []string{contextDN, "", "cn=subschema"} {
			raw.send(t, id, &wire.SearchRequest{Base: base, Filter: test.filter})
			entries, response := raw.answer(t, id)
			if len(entries) != test.want || response.Code != wire.ResultSuccess {
				t.Errorf("%s at %q: %d entries, result %d", test.filter, base, len(entries), response.Code)
			}
		}
	}
}

func TestSearchScopesAndSelections(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 2)
	conn := f.asAdmin(t)
	for name, test := range map[string]struct{ scope, want int }{
		"base": {ldap.ScopeBaseObject, 1}, "one level": {ldap.ScopeSingleLevel, 2}, "subtree": {ldap.ScopeWholeSubtree, 3},
	} {
		result, err := conn.Search(ldap.NewSearchRequest(usersDN, test.scope, 0, 0, 0, false, "(objectClass=*)", nil, nil))
		if err != nil || len(result.Entries) != test.want {
			t.Errorf("%s: got %v, %v, want %d entries", name, result, err, test.want)
		}
	}
	result, err := conn.Search(ldap.NewSearchRequest(userDN(1), 0, 0, 0, 0, true, "(objectClass=*)", []string{"mail", "entryUUID"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, attribute := range result.Entries[0].Attributes {
		if len(attribute.Values) > 0 {
			t.Errorf("typesOnly: %s has values %v", attribute.Name, attribute.Values)
		}
	}
	if got := len(result.Entries[0].Attributes); got != 2 {
		t.Errorf("typesOnly: %d attributes, want 2", got)
	}
	_, err = read(t, conn, "ou=nowhere,"+contextDN)
	wantCode(t, "search at a missing base", err, ldap.LDAPResultNoSuchObject)
	var failure *ldap.Error
	if !errors.As(err, &failure) || failure.MatchedDN != contextDN {
		t.Errorf("matched DN: got %q, want %q", failure.MatchedDN, contextDN)
	}
	_, err = read(t, conn, "no dn")
	wantCode(t, "search at no DN", err, ldap.LDAPResultInvalidDNSyntax)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(c *embedded.ServerConfig) { c.SizeLimit = 3 })
	f.addUsers(t, 5)
	conn := f.asAdmin(t)
	for name, test := range map[string]struct{ limit, want int }{"client's": {2, 2}, "server's": {0, 3}, "smaller one": {4, 3}} {
		result, err := conn.Search(ldap.NewSearchRequest(usersDN, ldap.ScopeSingleLevel, 0, test.limit, 0, false, "(objectClass=*)", nil, nil))
		wantCode(t, name, err, ldap.LDAPResultSizeLimitExceeded)
		if result == nil || len(result.Entries) != test.want {
			t.Errorf("%s: got %v, want %d entries", name, result, test.want)
		}
	}
	for _, size := range []uint32{1, 2, 3, 4, 100} {
		result, err := conn.SearchWithPaging(ldap.NewSearchRequest(usersDN, ldap.ScopeSingleLevel, 0, 0, 0, false, "(objectClass=*)", nil, nil), size)
		if err != nil || len(result.Entries) != 5 {
			t.Errorf("pages of %d: got %v, %v, want 5 entries", size, result, err)
		}
	}
	hurried := newFront(t, func(c *embedded.ServerConfig) { c.TimeLimit = time.Nanosecond })
	_, err := hurried.asAdmin(t).Search(ldap.NewSearchRequest(contextDN, ldap.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=*)", nil, nil))
	wantCode(t, "time limit", err, ldap.LDAPResultTimeLimitExceeded)
}

func TestPages(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 7)
	raw := f.dialRawAdmin(t)
	search := &wire.SearchRequest{Base: usersDN, Scope: wire.ScopeOneLevel, Filter: wire.Present("objectClass")}
	var seen []string
	page := wire.PagedResults{Size: 3}
	for id := 2; ; id++ {
		raw.send(t, id, search, page.Control(true))
		entries, m := raw.answerMessage(t, id)
		for _, entry := range entries {
			seen = append(seen, entry.DN)
		}
		next, err := wire.ParsePagedResults(wire.FindControl(m.Controls, wire.ControlPagedResults))
		if err != nil {
			t.Fatal(err)
		}
		if next.Cookie == "" {
			break
		}
		page.Cookie = next.Cookie
		// A cookie is good on another connection too.
		raw = f.dialRawAdmin(t)
	}
	if want := []string{userDN(1), userDN(2), userDN(3), userDN(4), userDN(5), userDN(6), userDN(7)}; !cmp.Equal(want, seen) {
		t.Errorf("pages hold %v, want %v", seen, want)
	}

	raw.send(t, 50, search, wire.PagedResults{Cookie: page.Cookie}.Control(true))
	entries, m := raw.answerMessage(t, 50)
	last, err := wire.ParsePagedResults(wire.FindControl(m.Controls, wire.ControlPagedResults))
	if err != nil || len(entries) != 0 || last.Cookie != "" {
		t.Errorf("page size 0: got %d entries, cookie %q, %v", len(entries), last.Cookie, err)
	}
	raw.send(t, 51, search, wire.PagedResults{Size: 3, Cookie: "none"}.Control(true))
	if _, response := raw.answer(t, 51); response.Code != wire.ResultUnwillingToPerform {
		t.Errorf("cookie that is none: got result %d", response.Code)
	}
	raw.send(t, 52, search, wire.Control{OID: wire.ControlPagedResults, Critical: true})
	if _, response := raw.answer(t, 52); response.Code != wire.ResultProtocolError {
		t.Errorf("control without value: got result %d", response.Code)
	}
}

func TestControls(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	raw := f.dialRawAdmin(t)
	paged := wire.PagedResults{Size: 1}.Control(true)
	for name, test := range map[string]struct {
		request wire.Request
		control wire.Control
		code    wire.ResultCode
	}{
		"unknown":             {&wire.SearchRequest{Filter: wire.And()}, wire.Control{OID: "1.2.3"}, wire.ResultSuccess},
		"unknown critical":    {&wire.SearchRequest{Filter: wire.And()}, wire.Control{OID: "1.2.3", Critical: true}, wire.ResultUnavailableCriticalExtension},
		"paged search":        {&wire.SearchRequest{Base: contextDN, Filter: wire.And()}, paged, wire.ResultSuccess},
		"paged delete":        {&wire.DeleteRequest{DN: "cn=x," + contextDN}, paged, wire.ResultUnavailableCriticalExtension},
		"ManageDsaIT":         {&wire.DeleteRequest{DN: "cn=x," + contextDN}, wire.Control{OID: wire.ControlManageDsaIT, Critical: true}, wire.ResultNoSuchObject},
		"ManageDsaIT in bind": {&wire.BindRequest{Version: 3}, wire.Control{OID: wire.ControlManageDsaIT, Critical: true}, wire.ResultUnavailableCriticalExtension},
		"post-read in delete": {&wire.DeleteRequest{DN: "cn=x," + contextDN}, wire.Control{OID: wire.ControlPostRead, Critical: true}, wire.ResultUnavailableCriticalExtension},
	} {
		raw.send(t, 10, test.request, test.control)
		if _, response := raw.answer(t, 10); response.Code != test.code {
			t.Errorf("%s: got %+v, want result %d", name, response, test.code)
		}
	}
	// Criticality means nothing where there is no answer (RFC 4511, section 4.1.11).
	raw.send(t, 11, &wire.AbandonRequest{ID: 5}, wire.Control{OID: "1.2.3", Critical: true})
	raw.send(t, 12, &wire.ExtendedRequest{Name: wire.OperationWhoAmI})
	if response := raw.response(t, 12); response.Code != wire.ResultSuccess {
		t.Errorf("after abandon: got %+v", response)
	}
}

func TestPostRead(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 1)
	raw := f.dialRaw(t)
	raw.bind(t, f.accounts.ReaderDN, f.reader)
	raw.send(t, 2, &wire.ModifyRequest{DN: userDN(1), PostRead: []string{"*", "entryUUID"}, Changes: []wire.Change{{
		Operation: wire.ChangeReplace,
		Attribute: wire.Attribute{Type: "openCloudLastSignInTimestamp", Values: []string{"20260102030405Z"}},
	}}})
	_, m := raw.answerMessage(t, 2)
	control := wire.FindControl(m.Controls, wire.ControlPostRead)
	if control == nil {
		t.Fatal("the answer has no post-read control")
	}
	entry, err := wire.ParsePostReadResponse(control)
	if err != nil {
		t.Fatal(err)
	}
	if got := entry.Value("openCloudLastSignInTimestamp"); got != "20260102030405Z" || entry.Value("entryUUID") == "" {
		t.Errorf("post-read entry: %+v", entry)
	}
	if entry.Values("userPassword") != nil {
		t.Error("the post-read entry holds the password")
	}
}

// TestAssertion shows that an assertion decides whether a write is made, and tells nobody about passwords who may not see
// them.
func TestAssertion(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 1)
	hasPassword := wire.Present("userPassword")
	tests := []struct {
		name      string
		admin     bool
		assertion *wire.Filter
		want      wire.ResultCode
	}{
		{"true", false, wire.Equal("openCloudUUID", userID(1)), wire.ResultSuccess},
		{"false", false, wire.Equal("openCloudUUID", userID(2)), wire.ResultAssertionFailed},
		{"undefined", false, wire.Not(wire.Equal("shoeSize", "42")), wire.ResultAssertionFailed},
		{"about a password, for the reader", false, hasPassword, wire.ResultAssertionFailed},
		{"about no password, for the reader", false, wire.Not(hasPassword), wire.ResultAssertionFailed},
		{"about a password, for the administrator", true, wire.Or(hasPassword, wire.Not(hasPassword)), wire.ResultSuccess},
	}
	raw := f.dialRaw(t)
	for i, test := range tests {
		dn, password := f.accounts.ReaderDN, f.reader
		if test.admin {
			dn, password = f.accounts.AdminDN, f.admin
		}
		raw.bind(t, dn, password)
		raw.send(t, 10+i, &wire.ModifyRequest{DN: userDN(1), Assertion: test.assertion, Changes: []wire.Change{{
			Operation: wire.ChangeReplace,
			Attribute: wire.Attribute{Type: "openCloudLastSignInTimestamp", Values: []string{"20260102030405Z"}},
		}}})
		if got := raw.response(t, 10+i).Code; got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
	raw.bind(t, f.accounts.AdminDN, f.admin)
	raw.send(t, 30, &wire.DeleteRequest{DN: userDN(1), Assertion: wire.Equal("uid", "nobody")})
	if got := raw.response(t, 30).Code; got != wire.ResultAssertionFailed {
		t.Errorf("delete what does not match: got %d, want %d", got, wire.ResultAssertionFailed)
	}
	raw.send(t, 31, &wire.DeleteRequest{DN: userDN(1), Assertion: wire.Present("uid")})
	if got := raw.response(t, 31).Code; got != wire.ResultSuccess {
		t.Errorf("delete what matches: got %d, want success", got)
	}
}

func TestRootDSE(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(c *embedded.ServerConfig) { c.TLS = serverTLS(t) })
	conn := f.dial(t, "", "")
	entry, err := read(t, conn, "", "+")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"namingContexts":       {contextDN},
		"supportedLDAPVersion": {"3"},
		"subschemaSubentry":    {"cn=Subschema"},
		"vendorName":           {"OpenCloud"},
		"supportedControl":     {"1.2.840.113556.1.4.319", "1.3.6.1.1.13.2", "1.3.6.1.1.12", "2.16.840.1.113730.3.4.2"},
		"supportedExtension":   {"1.3.6.1.4.1.4203.1.11.1", "1.3.6.1.4.1.4203.1.11.3", "1.3.6.1.4.1.1466.20037"},
		"supportedFeatures":    {"1.3.6.1.4.1.4203.1.5.1", "1.3.6.1.4.1.4203.1.5.3"},
		"objectClass":          nil,
	} {
		if diff := cmp.Diff(want, entry.GetAttributeValues(name), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", name, diff)
		}
	}
	if entry, err = read(t, conn, ""); err != nil || len(entry.Attributes) != 1 || entry.Attributes[0].Name != "objectClass" {
		t.Errorf("user attributes: got %v, %v", entry, err)
	}
	if entry, err = read(t, conn, "", "NamingContexts"); err != nil || len(entry.Attributes) != 1 {
		t.Errorf("one attribute: got %v, %v", entry, err)
	}
	for filter, want := range map[string]int{
		"(objectClass=top)": 1, "(objectClass=person)": 0, "(!(objectClass=person))": 1, "(nonsense=x)": 0, "(member=cn=x)": 0,
	} {
		result, err := conn.Search(ldap.NewSearchRequest("", 0, 0, 0, 0, false, filter, nil, nil))
		if err != nil || len(result.Entries) != want {
			t.Errorf("%s: got %v, %v, want %d entries", filter, result, err, want)
		}
	}
}

func TestSubschema(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	_, err := read(t, f.dial(t, "", ""), "cn=subschema", "+")
	wantCode(t, "anonymous", err, ldap.LDAPResultInsufficientAccessRights)
	entry, err := read(t, f.asReader(t), "CN=Subschema", "attributeTypes", "objectClasses")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"attributeTypes": "'openCloudUUID'", "objectClasses": "'educationObject'"} {
		if !strings.Contains(strings.Join(entry.GetAttributeValues(name), "\n"), text) {
			t.Errorf("%s does not hold %s", name, text)
		}
	}
}

func TestPasswordModify(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 4)
	for name, test := range map[string]struct {
		conn             *ldap.Conn
		target, old, new string
		code             uint16
	}{
		"anonymous":              {f.dial(t, "", ""), userDN(1), "secret1", "new", ldap.LDAPResultInsufficientAccessRights},
		"reader for itself":      {f.asReader(t), "", f.reader, "new", ldap.LDAPResultInsufficientAccessRights},
		"reader for a user":      {f.asReader(t), userDN(1), "secret1", "new", ldap.LDAPResultInsufficientAccessRights},
		"user for another":       {f.asUser(t, 1), userDN(2), "secret2", "new", ldap.LDAPResultInsufficientAccessRights},
		"user without old":       {f.asUser(t, 1), "", "", "new", ldap.LDAPResultUnwillingToPerform},
		"user with wrong old":    {f.asUser(t, 1), userDN(1), "secret2", "new", ldap.LDAPResultInvalidCredentials},
		"admin with wrong old":   {f.asAdmin(t), userDN(1), "secret2", "new", ldap.LDAPResultInvalidCredentials},
		"admin for nobody":       {f.asAdmin(t), "uid=nobody," + usersDN, "", "new", ldap.LDAPResultNoSuchObject},
		"user":                   {f.asUser(t, 2), "", "secret2", "new2", ldap.LDAPResultSuccess},
		"user with other DN":     {f.asUser(t, 3), strings.ToUpper(userDN(3)), "secret3", "new3", ldap.LDAPResultSuccess},
		"admin for a user":       {f.asAdmin(t), userDN(4), "", "new4", ldap.LDAPResultSuccess},
		"admin for a user again": {f.asAdmin(t), userDN(4), "", "new4", ldap.LDAPResultSuccess},
	} {
		_, err := test.conn.PasswordModify(ldap.NewPasswordModifyRequest(test.target, test.old, test.new))
		wantCode(t, name, err, test.code)
	}
	f.dial(t, userDN(1), "secret1")
	for n := 2; n <= 4; n++ {
		f.dial(t, userDN(n), fmt.Sprintf("new%d", n))
	}
	result, err := f.asAdmin(t).PasswordModify(ldap.NewPasswordModifyRequest(userDN(1), "", ""))
	if err != nil || len(result.GeneratedPassword) < 20 {
		t.Fatalf("generated password: got %+v, %v", result, err)
	}
	f.dial(t, userDN(1), result.GeneratedPassword)
	if log := f.log.String(); strings.Contains(log, "new2") || strings.Contains(log, "secret") {
		t.Error("the log holds a password")
	}
}

func TestWhoAmI(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.addUsers(t, 1)
	for want, conn := range map[string]*ldap.Conn{
		"": f.dial(t, "", ""), "dn:" + f.accounts.AdminDN: f.asAdmin(t), "dn:" + userDN(1): f.asUser(t, 1),
	} {
		got, err := conn.WhoAmI(nil)
		if err != nil || got.AuthzID != want {
			t.Errorf("got %+v, %v, want %q", got, err, want)
		}
	}
}

// serverTLS returns a configuration with a certificate made for the test.
func serverTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS12,
	}
}

// clientTLS returns a configuration that trusts the certificate of serverTLS.
func clientTLS(t testing.TB, server *tls.Config) *tls.Config {
	t.Helper()
	certificate, err := x509.ParseCertificate(server.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

func TestStartTLS(t *testing.T) {
	t.Parallel()
	config := serverTLS(t)
	f := newFront(t, func(c *embedded.ServerConfig) { c.TLS = config })
	conn := f.dial(t, "", "")
	if err := conn.StartTLS(clientTLS(t, config)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "bind through TLS", conn.Bind(f.accounts.AdminDN, f.admin), ldap.LDAPResultSuccess)
	_, err := conn.Extended(ldap.NewExtendedRequest(wire.OperationStartTLS, nil))
	wantCode(t, "second StartTLS", err, ldap.LDAPResultOperationsError)
	if got := find(t, conn, contextDN, "(cn=admin)"); len(got) != 1 {
		t.Errorf("search through TLS: got %v", got)
	}

	raw := f.dialRaw(t)
	pipelined := wire.AppendRequest(nil, 1, &wire.ExtendedRequest{Name: wire.OperationStartTLS})
	raw.write(t, wire.AppendRequest(pipelined, 2, &wire.ExtendedRequest{Name: wire.OperationWhoAmI}))
	if response := raw.response(t, 1); response.Code != wire.ResultOperationsError {
		t.Errorf("StartTLS with a request behind it: got %+v", response)
	}

	plain := newFront(t, nil)
	_, err = plain.dial(t, "", "").Extended(ldap.NewExtendedRequest(wire.OperationStartTLS, nil))
	wantCode(t, "StartTLS without a certificate", err, ldap.LDAPResultProtocolError)
}

func TestListeners(t *testing.T) {
	t.Parallel()
	config := serverTLS(t)
	f := newFront(t, nil)
	path := filepath.Join(t.TempDir(), "ldapi")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f.serve(t, unix)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.serve(t, tls.NewListener(plain, config))
	overUnix, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	overTLS, err := tls.Dial("tcp", plain.Addr().String(), clientTLS(t, config))
	if err != nil {
		t.Fatal(err)
	}
	for name, transport := range map[string]net.Conn{"unix": overUnix, "ldaps": overTLS} {
		conn := ldap.NewConn(transport, false)
		conn.Start()
		wantCode(t, name, conn.Bind(f.accounts.AdminDN, f.admin), ldap.LDAPResultSuccess)
		if err := conn.Unbind(); err != nil {
			t.Errorf("%s: unbind: %v", name, err)
		}
	}
}
