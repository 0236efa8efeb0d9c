package ldapserver

import (
	"net"
	"testing"
)

// TestOpenLDAPPortTaken and its like hold that a server whose port somebody takes before it does is set up anew.
func TestOpenLDAPPortTaken(t *testing.T) {
	t.Parallel()
	Require(t, "slapd", "slapd")
	checkPortTaken(t, setUpOpenLDAP)
}

func TestDirectoryServer389PortTaken(t *testing.T) {
	t.Parallel()
	require389(t)
	checkPortTaken(t, setUp389)
}

func checkPortTaken(t *testing.T, setUp func(folder string, wanted settings) (*Server, error)) {
	t.Helper()
	attempts := 0
	server, err := startFresh(temporaryFolder(t), func(folder string) (*Server, error) {
		server, err := setUp(folder, settings{tls: true})
		if attempts++; attempts > 1 || err != nil {
			return server, err
		}
		taken, err := net.Listen("tcp", server.securePort.Address())
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = taken.Close() })
		return server, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.end)
	if attempts != 2 {
		t.Errorf("%d attempts, want 2", attempts)
	}
	checkTLS(t, server)
}
