// Package ldapserver starts LDAP servers of other people for tests: Debian's OpenLDAP and 389 Directory Server, set up
// by the files that the folder deploy offers to operators. A server runs on loopback, keeps its files in a temporary
// folder, and ends with the test.
//
//	func TestMain(m *testing.M) { ldapserver.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		t.Parallel()
//		server := ldapserver.SharedOpenLDAP(t)
//		bases := server.Subtree(t)
//		// Here are users, classes and schools of this test alone.
//	}
//
// A test that stops, kills or pauses the server starts one of its own, with OpenLDAP or DirectoryServer389. Without the
// programs a test skips, or fails where EDUCATION_TEST_REQUIRE names their package: see Require.
package ldapserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Account is what a client binds with.
type Account struct{ DN, Password string }

// Bases are the DNs of a tree: its root, and where users, classes and schools are below it.
type Bases struct{ Suffix, UserBase, ClassBase, SchoolBase string }

func basesBelow(suffix string) Bases {
	return Bases{suffix, "ou=users," + suffix, "ou=groups," + suffix, "ou=tenants," + suffix}
}

// Server is a server that runs. Its fields are for reading.
type Server struct {
	// URI begins with ldap://, LDAPSURI, of a server with TLS, with ldaps://.
	URI, LDAPSURI string
	// CAFile holds the authority, in PEM, that a server with TLS is certified by.
	CAFile string
	// Socket is the path of the server's Unix socket, and SocketURI its name as OpenLDAP's programs write it.
	Socket, SocketURI string
	// Bases are the tree that the server is set up with. It has nobody's data; tests that share the server use trees of
	// their own: see Subtree.
	Bases
	// BindDN and Password are the account of the service. It may write below the three bases of every tree.
	BindDN, Password string
	// Reader is the account of OpenCloud, and Admin may do and see everything, the configuration included.
	Reader, Admin Account
	// LogFile is the server's log, with a line for each operation.
	LogFile string

	flavour flavour
	process *process
	// memory is the folder of what the server keeps in memory instead of on disk, empty if there is none.
	memory string
	// output is the file with what the program prints, and port and securePort are its ports for ldap and ldaps.
	output           string
	port, securePort int

	// growing is held by whoever makes a tree; trees is how many there are.
	growing sync.Mutex
	trees   int
}

// flavour is what the two programs do differently.
type flavour interface {
	// command returns the command that runs the server in the foreground.
	command() *exec.Cmd
	// addTree makes a tree in a server that runs: the one with the given number, from 0, for the test with the given name.
	addTree(server *Server, number int, name string) (Bases, error)
}

// newServer returns a server with the names that both programs share.
func newServer(flavour flavour) *Server {
	return &Server{
		Bases: basesBelow(suffix), BindDN: "cn=education," + suffix, Password: servicePassword,
		Reader: Account{"cn=reader," + suffix, readerPassword}, flavour: flavour,
	}
}

// choosePorts chooses the ports that the server will listen on.
func (s *Server) choosePorts(wanted settings) error {
	var err error
	if wanted.replica > 0 {
		s.port = wanted.ports[wanted.replica-1]
	} else if s.port, err = freePort(); err != nil {
		return err
	}
	s.URI = "ldap://" + loopback(s.port)
	if s.securePort, err = freePort(); err != nil {
		return err
	}
	if wanted.tls {
		s.LDAPSURI = "ldaps://" + loopback(s.securePort)
	}
	return nil
}

// Service returns the account of the service.
func (s *Server) Service() Account { return Account{s.BindDN, s.Password} }

// Subtree makes a tree with users, classes and schools of its own. The rules of the server's first tree hold in it and
// end at it: a key that is unique in it may be taken in another. It stays until the server ends.
func (s *Server) Subtree(t testing.TB) Bases {
	t.Helper()
	s.growing.Lock()
	defer s.growing.Unlock()
	bases, err := s.flavour.addTree(s, s.trees, t.Name())
	s.trees++
	if err != nil && !s.process.running() {
		t.Fatalf("a tree of the test's own: the server has ended: %v\n%s", err, tail(s.output))
	}
	if err != nil {
		t.Fatalf("a tree of the test's own: %v", err)
	}
	return bases
}

// Connect returns a connection that is bound as the account, or anonymous if it has no DN. It is closed at the end of
// the test.
func (s *Server) Connect(t testing.TB, account Account) *ldap.Conn {
	t.Helper()
	connection, err := s.connect(account)
	if err != nil {
		t.Fatalf("bind as %q: %v", account.DN, err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

func (s *Server) connect(account Account) (*ldap.Conn, error) {
	connection, err := ldap.DialURL(s.URI)
	if err != nil || account.DN == "" {
		return connection, err
	}
	if err := connection.Bind(account.DN, account.Password); err != nil {
		connection.Close()
		return nil, err
	}
	return connection, nil
}

// Log returns what the server has logged since it was first started.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(s.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Stop has the server end in its own good time, and waits until it has.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.process.end(syscall.SIGTERM); err != nil {
		t.Fatalf("stop the server: %v", err)
	}
}

// Kill ends the server at once (SIGKILL).
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.process.end(syscall.SIGKILL); err != nil {
		t.Fatalf("kill the server: %v", err)
	}
}

// Start starts a server again that has been stopped or killed, with the same data on the same ports, and waits until it
// answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if s.process.running() {
		t.Fatal("the server is running already")
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Pause makes the server stop answering without closing a connection (SIGSTOP), until Resume.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	if err := s.process.pause(); err != nil {
		t.Fatalf("pause the server: %v", err)
	}
}

// Resume ends what Pause began (SIGCONT).
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	if err := s.process.signal(syscall.SIGCONT); err != nil {
		t.Fatalf("resume the server: %v", err)
	}
}

// CPUTime returns how long the server's threads have run. Unlike the time that a change takes, it says what the server does
// and not what else the machine does. Elsewhere than on Linux the test fails.
func (s *Server) CPUTime(t testing.TB) time.Duration {
	t.Helper()
	used, err := cpuTime(s.process.command.Process.Pid)
	if err != nil {
		t.Fatalf("the server's CPU time: %v", err)
	}
	return used
}

// start runs the server and waits until it answers.
func (s *Server) start() error {
	process, err := startProcess(s.flavour.command(), s.output)
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	s.process = process
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if !process.running() {
			return fmt.Errorf("the server ended at its start:\n%s", tail(s.output))
		}
		// Who answers may be another server, which has taken the port before this one; that one ends then.
		if s.answers() && process.running() {
			return nil
		}
	}
	s.end()
	return fmt.Errorf("the server does not answer within %v:\n%s", patience, tail(s.output))
}

// answers reports whether the server is ready for the account of the service.
func (s *Server) answers() bool {
	connection, err := s.connect(s.Service())
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

// end ends the server whatever state it is in, for good.
func (s *Server) end() {
	if s.memory != "" {
		defer func() { _ = os.RemoveAll(s.memory) }()
	}
	if s.process == nil || !s.process.running() {
		return
	}
	// A process that is paused does not see SIGTERM before it goes on.
	_ = s.process.signal(syscall.SIGCONT)
	_ = s.process.end(syscall.SIGTERM)
}

// maxStarts is how often a server is set up, each time anew, because somebody else took its port before it did.
const maxStarts = 5

// startFresh sets up a server, with free ports, until one starts.
func startFresh(folder string, setUp func(folder string) (*Server, error)) (*Server, error) {
	var failed error
	for range maxStarts {
		attempt, err := os.MkdirTemp(folder, "")
		if err != nil {
			return nil, err
		}
		server, err := setUp(attempt)
		if err != nil {
			return nil, err
		}
		if failed = server.start(); failed == nil {
			return server, nil
		}
		server.end()
		if !strings.Contains(failed.Error(), "ddress already in use") {
			break
		}
	}
	return nil, failed
}

// freePort returns a TCP port of loopback that nobody listens on.
func freePort() (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("a TCP listener has no TCP address")
	}
	return address.Port, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
