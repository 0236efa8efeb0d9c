package ldapserver

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// suffix is where the tree of every server begins.
const suffix = "dc=opencloud,dc=eu"

// Passwords of the accounts. They are for loopback and for the length of a test.
const (
	servicePassword = "the service's password"
	readerPassword  = "the reader's password"
	adminPassword   = "the administrator's password"
)

// settings are what options change.
type settings struct {
	tls         bool
	plainSchema bool
	sizeLimit   int
}

// Option is a wish for a server that is not as it is set up by default.
type Option func(*settings)

// WithTLS has the server speak TLS, by StartTLS on its URI and from the first byte on its LDAPSURI.
func WithTLS() Option { return func(s *settings) { s.tls = true } }

// PlainSchema leaves the server with OpenCloud's schema alone, as OpenCloud publishes it: there is no attribute for unique
// keys, nothing that keeps them unique, and nothing that cleans up links to entries that have gone.
func PlainSchema() Option { return func(s *settings) { s.plainSchema = true } }

// SizeLimit takes away the accounts' right to read without limits: a search returns at most so many entries, in one page
// or in many, as a server does that nobody has set up for the service.
func SizeLimit(entries int) Option { return func(s *settings) { s.sizeLimit = entries } }

var sharedOpenLDAP shared

// SharedOpenLDAP returns the OpenLDAP server that the tests of this binary share. TestMain must call Main.
func SharedOpenLDAP(t testing.TB) *Server {
	t.Helper()
	requireOpenLDAP(t)
	return sharedOpenLDAP.get(t, func(folder string) (*Server, error) { return startOpenLDAP(folder, settings{}) })
}

// OpenLDAP starts an OpenLDAP server for one test.
func OpenLDAP(t testing.TB, options ...Option) *Server {
	t.Helper()
	requireOpenLDAP(t)
	var wanted settings
	for _, option := range options {
		option(&wanted)
	}
	server, err := startOpenLDAP(temporaryFolder(t), wanted)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.end)
	return server
}

func requireOpenLDAP(t testing.TB) {
	t.Helper()
	Require(t, "slapd", "slapd")
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

// openLDAP is a slapd together with its files.
type openLDAP struct {
	// folder holds all files of the server, programs a copy of slapd under each of its names, and source the files of
	// deploy/openldap as the server's options change them.
	folder, programs, source string
	addresses                string
}

func startOpenLDAP(folder string, wanted settings) (*Server, error) {
	return startFresh(func() (*Server, error) {
		attempt, err := os.MkdirTemp(folder, "")
		if err != nil {
			return nil, err
		}
		return setUpOpenLDAP(attempt, wanted)
	})
}

// setUpOpenLDAP makes the files of a server and returns it; it does not run yet.
func setUpOpenLDAP(folder string, wanted settings) (*Server, error) {
	l := &openLDAP{folder: folder, programs: filepath.Join(folder, "bin"), source: filepath.Join(folder, "deploy")}
	server := &Server{
		Bases: basesBelow(suffix), BindDN: "cn=education," + suffix, Password: servicePassword,
		Reader: Account{"cn=reader," + suffix, readerPassword}, Admin: Account{"cn=admin," + suffix, adminPassword},
		Socket: filepath.Join(folder, "ldapi"), LogFile: filepath.Join(folder, "log"), flavour: l,
	}
	server.SocketURI = "ldapi://" + url.QueryEscape(server.Socket)
	if err := l.copyFiles(server, wanted); err != nil {
		return nil, err
	}
	if err := l.copyPrograms(); err != nil {
		return nil, err
	}
	options, err := l.listen(server, wanted)
	if err != nil {
		return nil, err
	}
	if err := l.setUp(options); err != nil {
		return nil, err
	}
	if err := l.giveAdminPassword(); err != nil {
		return nil, err
	}
	return server, l.offline("dn: "+testSuffix+"\nobjectClass: organization\no: tests\n", "slapadd", "-b", testSuffix)
}

// listen chooses the server's addresses and returns setup's options for them.
func (l *openLDAP) listen(server *Server, wanted settings) ([]string, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	server.URI = "ldap://" + loopback(port)
	l.addresses = server.URI + " " + server.SocketURI
	if !wanted.tls {
		return nil, nil
	}
	files, err := makeCertificates(l.folder)
	if err != nil {
		return nil, err
	}
	if port, err = freePort(); err != nil {
		return nil, err
	}
	server.LDAPSURI = "ldaps://" + loopback(port)
	server.CAFile = files.ca
	l.addresses += " " + server.LDAPSURI
	return []string{"--tls-certificate", files.certificate, "--tls-key", files.key, "--tls-ca", files.ca}, nil
}

// copyFiles copies the files of deploy/openldap with the changes that were wished for, and adds the database of the tests'
// own trees.
func (l *openLDAP) copyFiles(server *Server, wanted settings) error {
	original, err := deployFolder("openldap")
	if err != nil {
		return err
	}
	if err := os.CopyFS(l.source, os.DirFS(original)); err != nil {
		return err
	}
	if wanted.plainSchema {
		if err := os.Remove(filepath.Join(l.source, "schema", "education.ldif")); err != nil {
			return err
		}
	}
	text, err := l.read("database.ldif")
	if err != nil {
		return err
	}
	text = wanted.change(text)
	text += "\n" + testDatabase(text, map[string]string{
		"SUFFIX": testSuffix, "ADMIN": server.Admin.DN, "SERVICE": server.BindDN, "READER": server.Reader.DN, "DATA": l.path("data-tests"),
	})
	if err := os.Mkdir(l.path("data-tests"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.source, "database.ldif"), []byte(text), 0o600)
}

var (
	ownIndexes = regexp.MustCompile(`(?m)^olcDbIndex: education.*\n`)
	overlays   = regexp.MustCompile(`(?m)^dn: olcOverlay=(.+\n)+`)
	limits     = regexp.MustCompile(`(?m)^olcLimits: .*\n`)
	firstIndex = regexp.MustCompile(`(?m)^olcDbIndex: objectClass eq\n`)
)

// change makes the wished changes in the text of database.ldif.
func (s settings) change(text string) string {
	if s.plainSchema {
		text = overlays.ReplaceAllString(ownIndexes.ReplaceAllString(text, ""), "")
	}
	if s.sizeLimit > 0 {
		text = limits.ReplaceAllString(text, "")
		text = firstIndex.ReplaceAllString(text, fmt.Sprintf("olcSizeLimit: %d\n$0", s.sizeLimit))
	}
	return text
}

// copyPrograms copies slapd, which is several programs in one (slapd(8)). Debian's AppArmor profile keeps the one in
// /usr/sbin out of the folders that tests use.
func (l *openLDAP) copyPrograms() error {
	original, err := findProgram("slapd")
	if err != nil {
		return err
	}
	if err := os.Mkdir(l.programs, 0o700); err != nil {
		return err
	}
	if err := copyProgram(original, filepath.Join(l.programs, "slapd")); err != nil {
		return err
	}
	for _, name := range []string{"slapadd", "slapcat", "slapmodify", "slappasswd"} {
		if err := os.Symlink("slapd", filepath.Join(l.programs, name)); err != nil {
			return err
		}
	}
	return nil
}

func copyProgram(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}

// setUp runs the script that operators run, with the server's folder instead of the system's.
func (l *openLDAP) setUp(options []string) error {
	education, reader := filepath.Join(l.folder, "education.password"), filepath.Join(l.folder, "reader.password")
	for file, password := range map[string]string{education: servicePassword, reader: readerPassword} {
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			return err
		}
	}
	script := exec.Command(filepath.Join(l.source, "setup"), append([]string{
		"--education-password", education, "--reader-password", reader, "--suffix", suffix,
		"--config", l.path("config"), "--data", l.path("data"), "--run", l.path("run"),
		"--owner", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()),
	}, options...)...)
	script.Env = append(os.Environ(), "PATH="+l.programs+":"+os.Getenv("PATH"))
	output, err := script.CombinedOutput()
	if err != nil {
		return fmt.Errorf("deploy/openldap/setup: %w\n%s", err, output)
	}
	return nil
}

// giveAdminPassword lets tests bind as the administrator, who is otherwise known by the Unix socket alone.
func (l *openLDAP) giveAdminPassword() error {
	return l.offline("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nadd: olcRootPW\nolcRootPW: "+adminPassword+"\n", "slapmodify", "-n", "0")
}

func (l *openLDAP) path(name string) string { return filepath.Join(l.folder, name) }

func (l *openLDAP) command() *exec.Cmd {
	return exec.Command(filepath.Join(l.programs, "slapd"), "-F", l.path("config"), "-h", l.addresses, "-d", "stats")
}

// testSuffix is above the trees that tests have for themselves, and maxTrees is how many there can be.
const (
	testSuffix = "o=tests"
	maxTrees   = 1000
)

func testTree(number int) Bases { return basesBelow(fmt.Sprintf("ou=tree%d,%s", number, testSuffix)) }

// everyTree turns the access rules of one tree into those of all trees below testSuffix.
var everyTree = strings.NewReplacer(
	`to dn.regex="^ou=(users|groups|tenants),@SUFFIX@$"`, `to dn.regex="^ou=(users|groups|tenants),ou=[^,]+,`+testSuffix+`$"`,
	`to dn.subtree="ou=users,@SUFFIX@"`, `to dn.regex="^(.+,)?ou=users,ou=[^,]+,`+testSuffix+`$"`,
	`to dn.children="ou=users,@SUFFIX@"`, `to dn.regex="^.+,ou=users,ou=[^,]+,`+testSuffix+`$"`,
	`to dn.children="ou=groups,@SUFFIX@"`, `to dn.regex="^.+,ou=groups,ou=[^,]+,`+testSuffix+`$"`,
	`to dn.children="ou=tenants,@SUFFIX@"`, `to dn.regex="^.+,ou=tenants,ou=[^,]+,`+testSuffix+`$"`,
)

var (
	uniqueness    = regexp.MustCompile(`(?m)^olcUniqueURI: (.*)$`)
	firstDatabase = regexp.MustCompile(`(?m)^(dn: olcOverlay=.*,olcDatabase=)\{1\}mdb,`)
)

// testDatabase returns a second database, which is made of the same file as the first one and differs in two points: its
// access rules hold in every tree below testSuffix, and the unique overlay knows each of them as a domain of its own. A
// database for each tree is not possible: threads of slapd 2.5 have room for some 30. Nor are domains that are added when
// a tree is: slapd interrupts everybody's searches for a change of its configuration, and answers some of them "busy".
func testDatabase(text string, values map[string]string) string {
	text = firstDatabase.ReplaceAllString(everyTree.Replace(text), "${1}{2}mdb,")
	text = uniqueness.ReplaceAllStringFunc(text, func(line string) string {
		lines := make([]string, maxTrees)
		for number := range lines {
			lines[number] = strings.ReplaceAll(line, "@SUFFIX@", testTree(number).Suffix)
		}
		return strings.Join(lines, "\n")
	})
	return fill(text, values)
}

// offline runs one of slapd's programs on the files of a server that does not run.
func (l *openLDAP) offline(input, program string, arguments ...string) error {
	command := exec.Command(filepath.Join(l.programs, program), append(arguments, "-F", l.path("config"))...)
	command.Stdin = strings.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, output)
	}
	return nil
}

// read returns the text of a file of deploy/openldap.
func (l *openLDAP) read(file string) (string, error) {
	text, err := os.ReadFile(filepath.Join(l.source, file))
	return string(text), err
}

func (l *openLDAP) grow(server *Server, number int, name string) (Bases, error) {
	if number >= maxTrees {
		return Bases{}, fmt.Errorf("there are %d trees already", maxTrees)
	}
	connection, err := server.connect(server.Admin)
	if err != nil {
		return Bases{}, err
	}
	defer connection.Close()
	bases := testTree(number)
	return bases, l.addTree(connection, bases.Suffix, name)
}

// addTree adds the first entries of a tree, the test's name among them. The accounts are left out: those of the server's
// first tree have their rights in this one.
func (l *openLDAP) addTree(connection *ldap.Conn, suffix, name string) error {
	text, err := l.read("base.ldif")
	if err != nil {
		return err
	}
	records, err := parseLDIF(fill(text, map[string]string{
		"SUFFIX": suffix, "SUFFIX_CLASS": "organizationalUnit", "SUFFIX_RDN": "description: " + name,
	}))
	if err != nil {
		return err
	}
	for _, record := range records {
		if strings.HasPrefix(record.dn, "cn=") {
			continue
		}
		if err := connection.Add(record.add()); err != nil {
			return fmt.Errorf("add %s: %w", record.dn, err)
		}
	}
	return nil
}
