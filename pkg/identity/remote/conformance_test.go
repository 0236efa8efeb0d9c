package remote_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
	"github.com/opencloud-eu/education/pkg/identity/remote"
)

var _ identity.Operations = (*remote.Client)(nil)

const (
	contextDN = "dc=opencloud,dc=eu"
	usersDN   = "ou=users," + contextDN
	groupsDN  = "ou=groups," + contextDN
	tenantsDN = "ou=tenants," + contextDN
)

// TestConformanceEmbedded runs the suite on the embedded directory, over its LDAP listener.
func TestConformanceEmbedded(t *testing.T) {
	t.Parallel()
	identitytest.Run(t, openEmbedded)
}

// TestGeneratedEmbedded compares its answers to generated filters with their meaning.
func TestGeneratedEmbedded(t *testing.T) {
	t.Parallel()
	identitytest.RunGenerated(t, openEmbedded)
}

func openEmbedded(t *testing.T, rules education.Rules) education.Directory {
	return newDirectory(t, newClient(t, serveEmbedded(t)), rules, usersDN, groupsDN, tenantsDN)
}

// newClient returns a client that is closed with the test.
func newClient(t testing.TB, config remote.Config) *remote.Client {
	t.Helper()
	client, err := remote.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	return client
}

func newDirectory(t *testing.T, client *remote.Client, rules education.Rules, users, classes, schools string) *identity.Directory {
	t.Helper()
	return newDirectoryOn(t, client, client.IsPlain, rules, users, classes, schools)
}

// newDirectoryOn is newDirectory with something between the directory and its client.
func newDirectoryOn(t *testing.T, operations identity.Operations, isPlain func() bool, rules education.Rules, users, classes, schools string) *identity.Directory {
	t.Helper()
	directory, err := identity.New(identity.Config{
		Operations: identity.Traced(operations), UserBase: users, ClassBase: classes, SchoolBase: schools, Rules: rules,
		LooseMatching: true, LooseLinks: true, Plain: isPlain,
	})
	if err != nil {
		t.Fatal(err)
	}
	return directory
}

// serveEmbedded starts an embedded directory with a listener and returns the configuration of a client for it.
func serveEmbedded(t testing.TB) remote.Config {
	t.Helper()
	folder := t.TempDir()
	store, err := embedded.Open(embedded.Config{
		Path: filepath.Join(folder, "directory.db"), Containers: []string{usersDN, groupsDN, tenantsDN},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	accounts, err := embedded.EnsureAccounts(t.Context(), store, folder, contextDN)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := embedded.NewServer(store, embedded.ServerConfig{Accounts: accounts})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("stop the listener: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	password := filepath.Join(folder, embedded.AdminPasswordFile)
	return remote.Config{
		URIs: []string{"ldap://" + listener.Addr().String()}, BindDN: accounts.AdminDN,
		Password: func() (string, error) {
			text, err := os.ReadFile(password)
			return strings.TrimSpace(string(text)), err
		},
		Bases:       []string{usersDN, groupsDN, tenantsDN},
		DialTimeout: patience, BindTimeout: patience, Timeout: patience,
	}
}
