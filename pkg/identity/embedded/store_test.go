package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// The tree of the tests.
const (
	userBase   = "ou=users,dc=opencloud,dc=eu"
	classBase  = "ou=groups,dc=opencloud,dc=eu"
	schoolBase = "ou=tenants,dc=opencloud,dc=eu"
)

var testContainers = []string{userBase, classBase, schoolBase}

// openTest opens a new directory. At the end of the test it is checked and closed.
func openTest(t testing.TB) *Store {
	t.Helper()
	return openTestAt(t, filepath.Join(t.TempDir(), "directory.db"))
}

func openTestAt(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(Config{Path: path, Containers: testContainers})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if !s.closed {
			requireSound(t, s)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func requireSound(t testing.TB, s *Store) {
	t.Helper()
	faults, err := s.Check(context.Background())
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	for _, fault := range faults {
		t.Errorf("Check: %s", fault)
	}
}

// testID returns an UUID that ends in a number.
func testID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func userDN(n int) string   { return "openCloudUUID=" + testID(n) + "," + userBase }
func classDN(n int) string  { return "openCloudUUID=" + testID(1000+n) + "," + classBase }
func schoolDN(n int) string { return "openCloudUUID=" + testID(n) + "," + schoolBase }

// attr makes an attribute of a request.
func attr(name string, values ...string) wire.Attribute {
	return wire.Attribute{Type: name, Values: values}
}

func userRequest(n int, more ...wire.Attribute) *wire.AddRequest {
	name := fmt.Sprintf("user%d", n)
	return &wire.AddRequest{DN: userDN(n), Attributes: append([]wire.Attribute{
		attr("objectClass", "inetOrgPerson", "openCloudEducationUser", "educationObject"),
		attr("uid", name), attr("cn", name), attr("sn", "Muster"), attr("displayName", "Max Muster "+name),
		attr("mail", name+"@example.org"), attr("educationUniqueKey", "user/username/-/"+name),
	}, more...)}
}

func classRequest(n int, more ...wire.Attribute) *wire.AddRequest {
	return &wire.AddRequest{DN: classDN(n), Attributes: append([]wire.Attribute{
		attr("objectClass", "groupOfNames", "openCloudEducationClass", "educationObject"), attr("cn", fmt.Sprintf("class %d", n)),
	}, more...)}
}

func schoolRequest(n int, more ...wire.Attribute) *wire.AddRequest {
	return &wire.AddRequest{DN: schoolDN(n), Attributes: append([]wire.Attribute{
		attr("objectClass", "organizationalUnit", "openCloudEducationSchool", "educationObject"), attr("ou", fmt.Sprintf("school %d", n)),
	}, more...)}
}

func mustAdd(t testing.TB, s *Store, requests ...*wire.AddRequest) {
	t.Helper()
	for _, request := range requests {
		if _, err := s.Add(context.Background(), request); err != nil {
			t.Fatalf("Add %s: %v", request.DN, err)
		}
	}
}

func change(operation wire.ChangeOperation, name string, values ...string) wire.Change {
	return wire.Change{Operation: operation, Attribute: attr(name, values...)}
}

func mustModify(t testing.TB, s *Store, dn string, changes ...wire.Change) {
	t.Helper()
	if _, err := s.Modify(context.Background(), &wire.ModifyRequest{DN: dn, Changes: changes}); err != nil {
		t.Fatalf("Modify %s: %v", dn, err)
	}
}

// read returns an entry with the named attributes, or nil if there is none.
func read(t testing.TB, s *Store, dn string, attributes ...string) *wire.Entry {
	t.Helper()
	var found *wire.Entry
	err := s.Search(context.Background(), &wire.SearchRequest{
		Base: dn, Scope: wire.ScopeBase, Filter: wire.Present("objectClass"), Attributes: attributes,
	}, func(entry *wire.Entry) error {
		found = entry
		return nil
	})
	if code, is := wire.CodeOf(err); err != nil && (!is || code != wire.ResultNoSuchObject) {
		t.Fatalf("Search %s: %v", dn, err)
	}
	return found
}

// search returns the first parts of the DNs that a filter finds below a base.
func search(t testing.TB, s *Store, base string, filter *wire.Filter) []string {
	t.Helper()
	names := []string{}
	err := s.Search(context.Background(), &wire.SearchRequest{
		Base: base, Scope: wire.ScopeSubtree, Filter: filter, Attributes: []string{wire.NoAttributes},
	}, func(entry *wire.Entry) error {
		names = append(names, firstPart(entry.DN))
		return nil
	})
	if err != nil {
		t.Fatalf("Search %s: %v", filter, err)
	}
	return names
}

func firstPart(dn string) string {
	first, _, _ := strings.Cut(dn, ",")
	return first
}

func requireCode(t testing.TB, err error, want wire.ResultCode) {
	t.Helper()
	if want == wire.ResultSuccess {
		if err != nil {
			t.Errorf("got %v, want success", err)
		}
		return
	}
	if code, is := wire.CodeOf(err); !is || code != want {
		t.Errorf("got %v, want LDAP result %d", err, want)
	}
}

func TestOpenCreatesTheTree(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "directory.db")
	s := openTestAt(t, path)
	for path, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v (%v), want %v", path, info.Mode(), err, want)
		}
	}
	if diff := cmp.Diff([]string{"dc=opencloud,dc=eu"}, s.NamingContexts()); diff != "" {
		t.Errorf("naming contexts (-want +got):\n%s", diff)
	}
	if entry := read(t, s, "DC=opencloud, DC=eu"); entry == nil || entry.Value("dc") != "opencloud" {
		t.Errorf("naming context: %v", entry)
	}
	want := []string{"dc=opencloud", "ou=users", "ou=groups", "ou=tenants"}
	if diff := cmp.Diff(want, search(t, s, "", wire.Present("objectClass"))); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestOpenContainers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		containers []string
		contexts   []string
		failure    string
	}{
		{"organisation", []string{"ou=users,o=libregraph-idm"}, []string{"o=libregraph-idm"}, ""},
		{"two trees", []string{"ou=a,dc=x", "cn=b,l=here,o=y"}, []string{"dc=x", "o=y"}, ""},
		{"context within a context", []string{"ou=a,dc=b,dc=c", "dc=c"}, []string{"dc=c"}, ""},
		{"the context itself", []string{"dc=b,dc=c"}, []string{"dc=b,dc=c"}, ""},
		{"special characters", []string{`ou=a\,b\+c,o=Straße`}, []string{"o=Straße"}, ""},
		{"twice", []string{"ou=A,o=x", "OU=a,O=X"}, []string{"o=x"}, ""},
		{"unknown kind", []string{"sn=a,o=x"}, nil, "only dc, ou"},
		{"no DN", []string{"users"}, nil, "not the DN"},
		{"empty", []string{""}, nil, "not the DN"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := Open(Config{Path: filepath.Join(t.TempDir(), "d"), Containers: test.containers})
			if test.failure != "" {
				if err == nil || !strings.Contains(err.Error(), test.failure) {
					t.Fatalf("Open: %v, want %q", err, test.failure)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if diff := cmp.Diff(test.contexts, s.NamingContexts()); diff != "" {
				t.Errorf("naming contexts (-want +got):\n%s", diff)
			}
			requireSound(t, s)
		})
	}
}

func TestOpenAgainKeepsEverything(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory.db")
	s := openTestAt(t, path)
	mustAdd(t, s, userRequest(1), userRequest(2))
	if err := s.Delete(context.Background(), &wire.DeleteRequest{DN: userDN(2)}); err != nil {
		t.Fatal(err)
	}
	before := read(t, s, userDN(1), "*", "+")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTestAt(t, path)
	if diff := cmp.Diff(before, read(t, again, userDN(1), "*", "+")); diff != "" {
		t.Errorf("entry after reopening (-before +after):\n%s", diff)
	}
	mustAdd(t, again, userRequest(3))
	var ids []uint64
	err := again.view(func(tx *bolt.Tx) error {
		ids = everything{}.next(tx, 0, 100, nil)
		return nil
	})
	if diff := cmp.Diff([]uint64{1, 2, 3, 4, 5, 7}, ids); err != nil || diff != "" {
		t.Errorf("ids, of which that of a deleted entry is not given again (%v, -want +got):\n%s", err, diff)
	}
}

func TestOpenRefusesASecondProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory.db")
	openTestAt(t, path)
	command := exec.Command(os.Args[0], "-test.run=TestSecondProcess")
	command.Env = append(os.Environ(), "EMBEDDED_TEST_SECOND="+path)
	start := time.Now()
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "is in use by another process") {
		t.Errorf("second process: %v\n%s", err, output)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the refusal took %v", took)
	}
}

// TestSecondProcess is what TestOpenRefusesASecondProcess runs in another process.
func TestSecondProcess(t *testing.T) {
	path := os.Getenv("EMBEDDED_TEST_SECOND")
	if path == "" {
		t.Skip("runs in a process of its own")
	}
	_, err := Open(Config{Path: path})
	fmt.Println(err)
}

func TestOpenRefusesAnUnknownFormat(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory.db")
	s := openTestAt(t, path)
	op := &operation{prepare: func(*bolt.Tx, moment) (*changes, error) {
		c := &changes{}
		c.put(bucketMeta, metaFormat, []byte("99"))
		return c, nil
	}}
	if _, err := s.write(context.Background(), op); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Path: path}); err == nil || !strings.Contains(err.Error(), `format "99"`) {
		t.Errorf("Open: %v", err)
	}
}

func TestOpenRefusesWhatIsNoDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte(strings.Repeat("no directory ", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Path: path}); err == nil {
		t.Error("a text file was opened")
	}
}

func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	mustAdd(t, s, userRequest(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	ctx := context.Background()
	nothing := func(*wire.Entry) error { return nil }
	all := &wire.SearchRequest{Base: userBase, Scope: wire.ScopeSubtree, Filter: wire.Present("objectClass")}
	for name, call := range map[string]func() error{
		"Search":     func() error { return s.Search(ctx, all, nothing) },
		"SearchPage": func() error { _, _, err := s.SearchPage(ctx, all, 0, 1, nothing); return err },
		"Add":        func() error { _, err := s.Add(ctx, userRequest(2)); return err },
		"Modify":     func() error { _, err := s.Modify(ctx, &wire.ModifyRequest{DN: userDN(1)}); return err },
		"ModifyDN":   func() error { return s.ModifyDN(ctx, &wire.ModifyDNRequest{DN: userDN(1), NewRDN: "cn=a"}) },
		"Delete":     func() error { return s.Delete(ctx, &wire.DeleteRequest{DN: userDN(1)}) },
		"Compare": func() error {
			_, err := s.Compare(ctx, &wire.CompareRequest{DN: userDN(1), Attribute: "cn", Value: "a"})
			return err
		},
		"VerifyPassword": func() error { _, err := s.VerifyPassword(ctx, userDN(1), "secret"); return err },
		"Ready":          func() error { return s.Ready(ctx) },
		"Check":          func() error { _, err := s.Check(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) { requireCode(t, call(), wire.ResultUnavailable) })
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	for range 3 {
		if err := s.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	s.proven.Store(0)
	if err := s.Ready(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("Ready with an ended context: %v", err)
	}
}

func TestOpenLogsNothing(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s, err := Open(Config{
		Path: filepath.Join(t.TempDir(), "d"), Containers: testContainers, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(context.Background(), userRequest(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(context.Background(), userRequest(1)); err == nil {
		t.Error("an entry was added twice")
	}
	if err := s.Close(); err != nil || log.Len() > 0 {
		t.Errorf("Close: %v; logged:\n%s", err, log.String())
	}
}
