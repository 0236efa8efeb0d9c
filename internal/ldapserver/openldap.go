package ldapserver

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/opencloud-eu/education/internal/loopback"
)

var sharedOpenLDAP shared

// SharedOpenLDAP returns the OpenLDAP server that the tests of this binary share. TestMain must call Main.
func SharedOpenLDAP(t testing.TB) *Server {
	t.Helper()
	Require(t, "slapd", "slapd")
	return sharedOpenLDAP.get(t, startOpenLDAP)
}

// OpenLDAP starts an OpenLDAP server for one test.
func OpenLDAP(t testing.TB, options ...Option) *Server {
	t.Helper()
	Require(t, "slapd", "slapd")
	return own(t, options, startOpenLDAP)
}

// OpenLDAPPair starts two OpenLDAP servers for one test, each of which passes on to the other what is written to it. They
// have no trees beside the first one: Subtree fails.
func OpenLDAPPair(t testing.TB) [2]*Server {
	t.Helper()
	Require(t, "slapd", "slapd")
	var wanted settings
	for i := range wanted.ports {
		var err error
		if wanted.ports[i], err = loopback.Reserve(); err != nil {
			t.Fatal(err)
		}
	}
	var pair [2]*Server
	for i := range pair {
		wanted.replica = i + 1
		server, err := setUpOpenLDAP(temporaryFolder(t), wanted)
		if err == nil {
			pair[i] = server
			t.Cleanup(server.end)
			// The accounts come to the second server from the first.
			err = server.start()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return pair
}

// openLDAP is a slapd together with its files.
type openLDAP struct {
	source
	// folder holds all files of the server, and programs a copy of slapd under each of its names.
	folder, programs string
	addresses        string
	// logged are the kinds of messages that go into the log.
	logged string
}

func startOpenLDAP(folder string, wanted settings) (*Server, error) {
	return startFresh(folder, func(folder string) (*Server, error) { return setUpOpenLDAP(folder, wanted) })
}

// setUpOpenLDAP makes the files of a server and returns it; it does not run yet.
func setUpOpenLDAP(folder string, wanted settings) (*Server, error) {
	l := &openLDAP{folder: folder, programs: filepath.Join(folder, "bin"), logged: "stats"}
	if wanted.filterLog {
		l.logged += ",filter"
	}
	server := newServer(l)
	server.Admin = Account{"cn=admin," + suffix, adminPassword}
	server.Socket = l.file("ldapi")
	server.LogFile, server.output = l.file("log"), l.file("log")
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
	if err := l.giveAdminPassword(); err != nil || wanted.replica > 0 {
		return server, err
	}
	return server, l.offline("dn: "+testSuffix+"\nobjectClass: organization\no: tests\n", "slapadd", "-b", testSuffix)
}

// listen chooses the server's addresses and returns setup's options for them.
func (l *openLDAP) listen(server *Server, wanted settings) ([]string, error) {
	if err := server.choosePorts(wanted); err != nil {
		return nil, err
	}
	server.SocketURI = "ldapi://" + url.QueryEscape(server.Socket)
	l.addresses = server.URI + " " + server.SocketURI
	if wanted.replica > 0 {
		peer := "ldap://" + wanted.ports[2-wanted.replica].Address()
		return []string{
			"--server-id", strconv.Itoa(wanted.replica), "--peer", peer, "--replication-password", l.file("replicator.password"),
		}, nil
	}
	if !wanted.tls {
		return nil, nil
	}
	files, err := makeCertificates(l.folder)
	if err != nil {
		return nil, err
	}
	server.CAFile = files.ca
	l.addresses += " " + server.LDAPSURI
	return files.options(), nil
}

// copyFiles copies the files of deploy/openldap with the changes that were wished for, and adds the database of the tests'
// own trees.
func (l *openLDAP) copyFiles(server *Server, wanted settings) error {
	var err error
	if l.source, err = copyDeploy("openldap", l.file("deploy")); err != nil {
		return err
	}
	if wanted.plainSchema {
		if err := os.Remove(l.path("schema/education.ldif")); err != nil {
			return err
		}
	}
	if wanted.replica > 0 {
		return l.change("database.ldif", wanted.changeOpenLDAP)
	}
	if err := os.Mkdir(l.file("data-tests"), 0o700); err != nil {
		return err
	}
	values := map[string]string{
		"SUFFIX": testSuffix, "ADMIN": server.Admin.DN, "SERVICE": server.BindDN, "READER": server.Reader.DN, "DATA": l.file("data-tests"),
	}
	return l.change("database.ldif", func(text string) string {
		text = wanted.changeOpenLDAP(text)
		return text + "\n" + testDatabase(text, values)
	})
}

// changeOpenLDAP makes the wished changes in the text of database.ldif.
func (s settings) changeOpenLDAP(text string) string {
	if !s.durable {
		text = strings.Replace(text, "olcDbIndex:", "olcDbNoSync: TRUE\nolcDbIndex:", 1)
	}
	if s.plainSchema {
		text = remove(`^olcDbIndex: education.*\n`, `^dn: olcOverlay=(.+\n)+`)(text)
	}
	switch {
	case s.sizeLimit > 0 && s.paged:
		text = strings.ReplaceAll(text, "size=unlimited size.pr=unlimited", fmt.Sprintf("size=%d", s.sizeLimit))
	case s.sizeLimit > 0:
		text = remove(`^olcLimits: .*\n`)(text)
		text = strings.Replace(text, "olcDbIndex:", fmt.Sprintf("olcSizeLimit: %d\nolcDbIndex:", s.sizeLimit), 1)
	}
	return text
}

// everyTree turns the access rules of one tree into those of all trees below testSuffix. slapd goes through them for each
// comparison of a filter with an entry, and regular expressions are slow, those with a group in front most of all.
var everyTree = strings.NewReplacer(
	`to dn.base="ou=users,@SUFFIX@"`, `to dn.regex="^ou=(users|groups|tenants),ou=[^,]+,`+testSuffix+`$"`,
	`to dn.children="ou=users,@SUFFIX@"`, `to dn.regex=",ou=users,ou=[^,]+,`+testSuffix+`$"`,
	`to dn.children="ou=groups,@SUFFIX@"`, `to dn.regex=",ou=groups,ou=[^,]+,`+testSuffix+`$"`,
	`to dn.children="ou=tenants,@SUFFIX@"`, `to dn.regex=",ou=tenants,ou=[^,]+,`+testSuffix+`$"`,
)

// otherBases takes out the rules for the entries of two of the three bases: everyTree makes that for the third one of all of them.
var otherBases = remove(`^olcAccess: to dn\.base="ou=(groups|tenants),@SUFFIX@" .*\n(  .*\n)+`)

var (
	uniqueness    = regexp.MustCompile(`(?m)^olcUniqueURI: .*$`)
	firstDatabase = regexp.MustCompile(`(?m)^(dn: olcOverlay=.*,olcDatabase=)\{1\}mdb,`)
)

// testDatabase returns a second database, which is made of the same text as the first one and differs in two points: its
// access rules hold in every tree below testSuffix, and the unique overlay knows each of them as a domain of its own. A
// database for each tree is not possible: threads of slapd 2.5 have room for some 30. Nor are domains that are added when
// a tree is: slapd interrupts everybody's searches for a change of its configuration, and answers some of them "busy".
func testDatabase(text string, values map[string]string) string {
	text = firstDatabase.ReplaceAllString(everyTree.Replace(otherBases(text)), "${1}{2}mdb,")
	return fill(uniqueness.ReplaceAllStringFunc(text, eachTree), values)
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
	if err := copyFile(original, filepath.Join(l.programs, "slapd"), 0o700); err != nil {
		return err
	}
	for _, name := range []string{"slapadd", "slapcat", "slapmodify", "slappasswd"} {
		if err := os.Symlink("slapd", filepath.Join(l.programs, name)); err != nil {
			return err
		}
	}
	return nil
}

// setUp runs the script that operators run, with the server's folder instead of the system's.
func (l *openLDAP) setUp(options []string) error {
	passwords := map[string]string{"education": servicePassword, "reader": readerPassword, "replicator": replicatorPassword}
	if err := writePasswords(l.folder, passwords); err != nil {
		return err
	}
	script := exec.Command(l.path("setup"), append([]string{
		"--education-password", l.file("education.password"), "--reader-password", l.file("reader.password"),
		"--suffix", suffix, "--config", l.file("config"), "--data", l.file("data"), "--run", l.file("run"),
		"--owner", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()),
	}, options...)...)
	script.Env = append(os.Environ(), "PATH="+l.programs+":"+os.Getenv("PATH"))
	if output, err := script.CombinedOutput(); err != nil {
		return fmt.Errorf("deploy/openldap/setup: %w\n%s", err, output)
	}
	return nil
}

// giveAdminPassword lets tests bind as the administrator, who is otherwise known by the Unix socket alone.
func (l *openLDAP) giveAdminPassword() error {
	return l.offline("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nadd: olcRootPW\nolcRootPW: "+adminPassword+"\n", "slapmodify", "-n", "0")
}

// offline runs one of slapd's programs on the files of a server that does not run.
func (l *openLDAP) offline(input, program string, arguments ...string) error {
	command := exec.Command(filepath.Join(l.programs, program), append(arguments, "-F", l.file("config"))...)
	command.Stdin = strings.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, output)
	}
	return nil
}

// retireTree does nothing: a tree costs the others nothing.
func (l *openLDAP) retireTree(*Server, Bases) error { return nil }

func (l *openLDAP) file(name string) string { return filepath.Join(l.folder, name) }

func (l *openLDAP) command() *exec.Cmd {
	return exec.Command(filepath.Join(l.programs, "slapd"), "-F", l.file("config"), "-h", l.addresses, "-d", l.logged)
}
