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
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/internal/loopback"
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
	// output is the file with what the program prints.
	output string
	// port and securePort are for ldap and ldaps. They are the server's own until its end, whether it runs or not.
	port, securePort *loopback.Port

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
	// retireTree takes away what a tree that nobody uses any more costs the others.
	retireTree(server *Server, bases Bases) error
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
	} else if s.port, err = loopback.Reserve(); err != nil {
		return err
	}
	s.URI = "ldap://" + s.port.Address()
	if s.securePort, err = loopback.Reserve(); err != nil {
		return err
	}
	if wanted.tls {
		s.LDAPSURI = "ldaps://" + s.securePort.Address()
	}
	return nil
}

// releasePorts gives the ports back that the server was given.
func (s *Server) releasePorts() {
	for _, port := range []*loopback.Port{s.port, s.securePort} {
		if port != nil {
			_ = port.Release()
		}
	}
}

// Service returns the account of the service.
func (s *Server) Service() Account { return Account{s.BindDN, s.Password} }

// Subtree makes a tree with users, classes and schools of its own. The rules of the server's first tree hold in it and
// end at it: a key that is unique in it may be taken in another. It stays until the server ends, its rights may end with the
// test.
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
	t.Cleanup(func() {
		if !s.process.running() {
			return
		}
		// A test that has failed may have left it paused.
		_ = s.process.signal(syscall.SIGCONT)
		if err := s.flavour.retireTree(s, bases); err != nil {
			t.Logf("the tree stays as it is, and the tests after this one take longer: %v", err)
		}
	})
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
			return fmt.Errorf("%w:\n%s", errEnded, tail(s.output))
		}
		if s.answers() {
			return nil
		}
	}
	s.end()
	return fmt.Errorf("the server does not answer within %v:\n%s", patience, tail(s.output))
}

// answers reports whether the server is ready for the account of the service. It asks on the Unix socket, which is in the
// server's own folder: on a port that another server took before, that one would answer, with the same accounts. Servers
// answer nobody before they listen everywhere.
func (s *Server) answers() bool {
	connection, err := ldap.DialURL("ldapi://" + s.Socket)
	if err != nil {
		return false
	}
	defer connection.Close()
	connection.SetTimeout(patience)
	return connection.Bind(s.BindDN, s.Password) == nil
}

// end ends the server whatever state it is in, for good.
func (s *Server) end() {
	defer s.releasePorts()
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

// maxStarts is how often a server is set up, each time anew, if it ends at its start. Somebody else may have taken its port
// before it did; OpenLDAP says so, 389 Directory Server ends without a word.
const maxStarts = 3

var errEnded = errors.New("the server ended at its start")

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
		if !errors.Is(failed, errEnded) {
			break
		}
	}
	return nil, failed
}
