package ldapserver

import (
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// underMain says that Main runs the tests.
var underMain atomic.Bool

// shared is a server that the tests of a binary have in common. The first one that asks for it starts it.
type shared struct {
	once   sync.Once
	server *Server
	err    error
	folder string
}

// Main runs the tests of a binary, ends the servers that they shared, and exits. TestMain calls it.
func Main(m *testing.M) {
	underMain.Store(true)
	status := m.Run()
	EndShared()
	os.Exit(status)
}

// get returns the server, which the first call starts in a folder of its own.
func (s *shared) get(t testing.TB, start func(folder string, wanted settings) (*Server, error)) *Server {
	t.Helper()
	if !underMain.Load() {
		t.Fatal("a shared server outlives its test: let TestMain call ldapserver.Main")
	}
	s.once.Do(func() {
		if s.folder, s.err = os.MkdirTemp("", "ldap-"); s.err == nil {
			s.server, s.err = start(s.folder, settings{})
		}
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

func (s *shared) end() {
	if s.server != nil {
		s.server.end()
	}
	if s.folder != "" {
		_ = os.RemoveAll(s.folder)
	}
}
