package embedded_test

import (
	"context"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
)

// TestConformanceStore runs the suite on the directory that is called directly.
func TestConformanceStore(t *testing.T) { identitytest.Run(t, openDirectly) }

// TestConformanceLDAP runs the suite on the same directory behind its LDAP listener.
func TestConformanceLDAP(t *testing.T) {
	if testing.Short() {
		t.Skip("a long case: in short mode, pkg/identity/remote runs the suite on the listener")
	}
	identitytest.Run(t, openBehindLDAP)
}

// TestGeneratedStore compares the answers to generated filters with their meaning.
func TestGeneratedStore(t *testing.T) {
	t.Parallel()
	identitytest.RunGenerated(t, openDirectly)
}

// TestGeneratedLDAP does so behind the LDAP listener, where every filter is encoded and decoded.
func TestGeneratedLDAP(t *testing.T) {
	t.Parallel()
	identitytest.RunGenerated(t, openBehindLDAP)
}

func openDirectly(t *testing.T, rules education.Rules) education.Directory {
	store := openStore(t, t.TempDir())
	t.Cleanup(func() {
		checkStore(t, store)
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return newDirectory(t, store, rules)
}

func openBehindLDAP(t *testing.T, rules education.Rules) education.Directory {
	f := newFront(t, func(config *embedded.ServerConfig) { config.Logger = nil })
	t.Cleanup(func() { checkStore(t, f.store) })
	return newDirectory(t, newLDAPClient(t, f), rules)
}

func newDirectory(t *testing.T, operations identity.Operations, rules education.Rules) *identity.Directory {
	t.Helper()
	directory, err := identity.New(identity.Config{
		Operations: identity.Traced(operations),
		UserBase:   usersDN, ClassBase: groupsDN, SchoolBase: tenantsDN,
		Rules: rules,
	})
	if err != nil {
		t.Fatal(err)
	}
	return directory
}

// checkStore walks a store's file: unique keys, references and indexes must agree with the entries.
func checkStore(t *testing.T, store *embedded.Store) {
	t.Helper()
	faults, err := store.Check(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Error(err)
	}
	for _, fault := range faults {
		t.Errorf("the directory's file: %s", fault)
	}
}

// TestPasswords follows a password from the body of a request to a bind: the part of its way that no Directory shows.
func TestPasswords(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	directory := newDirectory(t, f.store, education.Rules{})
	change := func(operation education.Operation, body string) *education.Change {
		t.Helper()
		decoded, err := education.DecodeChange(education.Users, operation, []byte(body), education.Rules{})
		if err != nil {
			t.Fatal(err)
		}
		return decoded
	}
	user, err := directory.Create(t.Context(), education.Users, change(education.CreateEntity,
		`{"displayName":"Max","onPremisesSamAccountName":"max","passwordProfile":{"password":"the first one"}}`))
	if err != nil {
		t.Fatal(err)
	}
	key := education.Key{Property: education.Users.ID, Value: user.ID()}
	binds := func(password string) bool {
		t.Helper()
		conn, err := ldap.DialURL("ldap://" + f.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		err = conn.Bind("openCloudUUID="+user.ID()+","+usersDN, password)
		if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
			t.Fatal(err)
		}
		return err == nil
	}
	for _, step := range []struct {
		name, body string
		opens      string
	}{
		{"set on create", `{}`, "the first one"},
		{"changed", `{"passwordProfile":{"password":"the second one"}}`, "the second one"},
		{"kept by another change", `{"displayName":"Moritz"}`, "the second one"},
		{"cleared", `{"passwordProfile":null}`, ""},
		{"set again", `{"passwordProfile":{"password":"  * ( ) \\ ü 🏫  "}}`, "  * ( ) \\ ü 🏫  "},
	} {
		if _, err := directory.Update(t.Context(), education.Users, key, change(education.UpdateEntity, step.body)); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		for _, password := range []string{"the first one", "the second one", "  * ( ) \\ ü 🏫  ", "the First one"} {
			if got, want := binds(password), password == step.opens; got != want {
				t.Errorf("%s: bind with %q: got %v, want %v", step.name, password, got, want)
			}
		}
	}
}
