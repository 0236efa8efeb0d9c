package ldapserver

import (
	"os"
	"testing"

	"github.com/opencloud-eu/education/internal/loopback"
)

// suffix is where the tree of every server begins.
const suffix = "dc=opencloud,dc=eu"

// Passwords of the accounts. They are for loopback and for the length of a test.
const (
	servicePassword = "the service's password"
	readerPassword  = "the reader's password"
	adminPassword   = "the administrator's password"

	replicatorPassword = "the replicator's password"
)

// settings are what options change.
type settings struct {
	tls         bool
	plainSchema bool
	sizeLimit   int
	// paged says that the size limit is one of each page.
	paged     bool
	filterLog bool
	durable   bool
	// replica is 1 or 2 for one of two servers that replicate each other, and ports are those of both.
	replica int
	ports   [2]*loopback.Port
}

// Option is a wish for a server that is not as it is set up by default.
type Option func(*settings)

// WithTLS has the server speak TLS, by StartTLS on its URI and from the first byte on its LDAPSURI.
func WithTLS() Option { return func(s *settings) { s.tls = true } }

// PlainSchema leaves the server with OpenCloud's schema alone, as OpenCloud publishes it: there is no attribute for unique
// keys, nothing that keeps them unique, and nothing that cleans up links to entries that have gone.
func PlainSchema() Option { return func(s *settings) { s.plainSchema = true } }

// SizeLimit takes away the accounts' right to read without limits: a search returns at most so many entries, as on a server
// that nobody has set up for the service. OpenLDAP counts the entries of all pages together, 389 Directory Server those
// of each page.
func SizeLimit(entries int) Option { return func(s *settings) { s.sizeLimit = entries } }

// PageLimit is SizeLimit with the right to read as many pages as there are. 389 Directory Server knows no other limit.
func PageLimit(entries int) Option {
	return func(s *settings) { s.sizeLimit, s.paged = entries, true }
}

// Durable has OpenLDAP wait for its disk before it answers a write, as it does at operators'. Otherwise what it wrote last is
// lost when the machine fails, though not when the server is killed. Writes are several times as slow with it: it is for
// measuring them.
//
// 389 Directory Server always waits: version 2.3.1 knows nsslapd-db-durable-transaction, and does not heed it with LMDB. It
// writes a megabyte with each entry, so its database is in memory where there is room.
func Durable() Option { return func(s *settings) { s.durable = true } }

// withFilterLog has OpenLDAP log how it evaluates filters, which is much.
func withFilterLog() Option { return func(s *settings) { s.filterLog = true } }

func settingsOf(options []Option) settings {
	var wanted settings
	for _, option := range options {
		option(&wanted)
	}
	return wanted
}

// temporaryFolder is t.TempDir with a name short enough for a Unix socket in it (107 bytes, unix(7)).
func temporaryFolder(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "ldap-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// own starts a server for one test.
func own(t testing.TB, options []Option, start func(folder string, wanted settings) (*Server, error)) *Server {
	t.Helper()
	server, err := start(temporaryFolder(t), settingsOf(options))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.end)
	return server
}
