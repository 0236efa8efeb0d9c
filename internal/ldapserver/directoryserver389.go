package ldapserver

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

var shared389 shared

// SharedDirectoryServer389 returns the 389 Directory Server that the tests of this binary share. TestMain must call Main.
func SharedDirectoryServer389(t testing.TB) *Server {
	t.Helper()
	require389(t)
	return shared389.get(t, start389)
}

// DirectoryServer389 starts a 389 Directory Server for one test. That takes five seconds and more.
func DirectoryServer389(t testing.TB, options ...Option) *Server {
	t.Helper()
	require389(t)
	return own(t, options, start389)
}

func require389(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("a 389 Directory Server takes long to start; the run without -short has one")
	}
	Require(t, "389-ds-base", "ns-slapd", "dscreate", "ldapmodify")
}

// instance is the name of a server's one instance. Its files are in the server's own folder.
const instance = "education"

// directoryServer389 is an ns-slapd together with its files.
type directoryServer389 struct {
	source
	// folder holds all files of the server. To lib389 it is the root of the file system (its PREFIX).
	folder string
	// database, unless empty, is where the database is instead.
	database string
}

func start389(folder string, wanted settings) (*Server, error) {
	return startFresh(folder, func(folder string) (*Server, error) { return setUp389(folder, wanted) })
}

// setUp389 makes the files of a server and returns it; it does not run any more.
func setUp389(folder string, wanted settings) (*Server, error) {
	d := &directoryServer389{folder: folder}
	server := newServer(d)
	var err error
	if server.memory, err = memoryFolder(); err != nil {
		return nil, err
	}
	d.database = server.memory
	if err := d.prepare(server, wanted); err != nil {
		server.end()
		return nil, err
	}
	return server, nil
}

// prepare makes the files of a server.
func (d *directoryServer389) prepare(server *Server, wanted settings) error {
	server.Admin = Account{"cn=Directory Manager", adminPassword}
	server.Socket = d.file("run/slapd-" + instance + ".socket")
	server.SocketURI = "ldapi://" + url.QueryEscape(server.Socket)
	server.LogFile, server.output = d.file("var/log/dirsrv/slapd-"+instance+"/access"), d.file("output")
	if err := server.choosePorts(wanted); err != nil {
		return err
	}
	if err := d.copyFiles(wanted); err != nil {
		return err
	}
	if err := d.makeRoot(); err != nil {
		return err
	}
	return d.setUp(server, wanted)
}

// copyFiles copies the files of deploy/389ds with the changes that were wished for, and adds the database of the tests'
// own trees.
func (d *directoryServer389) copyFiles(wanted settings) error {
	var err error
	if d.source, err = copyDeploy("389ds", d.file("deploy")); err != nil {
		return err
	}
	if wanted.plainSchema {
		if err := os.Remove(d.path("schema/99education.ldif")); err != nil {
			return err
		}
		if err := d.change("indexes", remove(`^education.*\n`)); err != nil {
			return err
		}
	}
	if err := d.change("config.ldif", wanted.change389); err != nil {
		return err
	}
	return d.change("base.ldif", func(text string) string {
		if wanted.sizeLimit > 0 {
			text = remove(`^ns.*Limit: .*\n`)(text)
		}
		return text + "\ndn: " + testSuffix + "\nobjectClass: organization\n"
	})
}

var (
	uniqueSubtrees = regexp.MustCompile(`(?m)^uniqueness-subtrees: .*$`)
	database389    = regexp.MustCompile(`(?m)^# The database.\n(.*\n)+`)
)

// change389 makes the wished changes in the text of config.ldif. A log that is written at once, and a second database, the
// plug-in knowing each of the trees in it as a domain of its own, are always among them.
func (s settings) change389(text string) string {
	second := strings.NewReplacer("cn=education,", "cn=tests,", "cn: education", "cn: tests", "backend: education", "backend: tests", "@SUFFIX@", testSuffix).
		Replace(database389.FindString(text))
	text = uniqueSubtrees.ReplaceAllStringFunc(text, func(line string) string { return line + "\n" + eachTree(line) })
	if s.plainSchema {
		text = remove(`^dn: cn=education unique .*,cn=plugins,(.+\n)+`, `^dn: cn=referential integrity(.+\n)+`)(text)
	}
	text += "\n" + second + "\ndn: cn=config\nchangetype: modify\nreplace: nsslapd-accesslog-logbuffering\nnsslapd-accesslog-logbuffering: off\n"
	if s.sizeLimit > 0 {
		text += fmt.Sprintf("-\nreplace: nsslapd-sizelimit\nnsslapd-sizelimit: %d\n", s.sizeLimit)
	}
	return text
}

// makeRoot makes what an instance needs below the folder that stands in for the root of the file system, as dscreate's
// ds-root does for everybody but root.
func (d *directoryServer389) makeRoot() error {
	for from, to := range map[string]string{
		"/usr/share/dirsrv": "share/dirsrv", "/etc/dirsrv/config": "etc/dirsrv/config", "/etc/dirsrv/schema": "etc/dirsrv/schema",
	} {
		if err := os.CopyFS(d.file(to), os.DirFS(from)); err != nil {
			return err
		}
	}
	for _, name := range []string{"tmp", "run"} {
		if err := os.Mkdir(d.file(name), 0o700); err != nil {
			return err
		}
	}
	self, err := user.Current()
	if err != nil {
		return err
	}
	group, err := user.LookupGroupId(self.Gid)
	if err != nil {
		return err
	}
	share := source(d.file("share/dirsrv"))
	if err := share.change("inf/defaults.inf", d.defaults(self.Username, group.Name)); err != nil {
		return err
	}
	// The instance runs while it is set up, and setup tells it only then on which address to listen.
	return share.change("data/template-dse.ldif", func(text string) string {
		return strings.Replace(text, "nsslapd-port:", "nsslapd-listenhost: 127.0.0.1\nnsslapd-port:", 1)
	})
}

// defaults returns the change that moves lib389's folders into the server's own.
func (d *directoryServer389) defaults(userName, groupName string) func(string) string {
	elsewhere := regexp.MustCompile(`(?m)^(\w+ = )(/etc|/var|/run|/dev|/tmp)(/.*)?$`)
	lines := map[string]string{
		"prefix": d.folder, "data_dir": d.file("share"), "inst_dir": d.file("lib/slapd-{instance_name}"),
		"with_systemd": "0", "user": userName, "group": groupName,
	}
	if d.database != "" {
		lines["db_dir"] = filepath.Join(d.database, "db")
	}
	return func(text string) string {
		text = elsewhere.ReplaceAllString(text, "${1}"+d.folder+"${2}${3}")
		for name, value := range lines {
			text = regexp.MustCompile(`(?m)^`+name+` = .*$`).ReplaceAllLiteralString(text, name+" = "+value)
		}
		return text
	}
}

// impatience is what Python runs before anything else (module site). Setting an instance up is waiting for it to start or to
// stop, five times, and lib389 looks once a second whether it has; with this it looks as often, and four times as fast.
const impatience = `import time
sleep = time.sleep
time.sleep = lambda seconds: sleep(seconds / 4)
`

// setUp runs the script that operators run.
func (d *directoryServer389) setUp(server *Server, wanted settings) error {
	passwords := map[string]string{"manager": adminPassword, "education": servicePassword, "reader": readerPassword}
	if err := writePasswords(d.folder, passwords); err != nil {
		return err
	}
	options := []string{"--suffix", suffix, "--instance", instance, "--listen", "127.0.0.1", "--stopped"}
	for name := range passwords {
		options = append(options, "--"+name+"-password", d.file(name+".password"))
	}
	options = append(options, "--port", strconv.Itoa(server.port.Number()), "--secure-port", strconv.Itoa(server.securePort.Number()))
	if wanted.tls {
		files, err := makeCertificates(d.folder)
		if err != nil {
			return err
		}
		server.CAFile = files.ca
		options = append(options, files.options()...)
	}
	if err := os.WriteFile(d.file("sitecustomize.py"), []byte(impatience), 0o600); err != nil {
		return err
	}
	script := exec.Command(d.path("setup"), options...)
	script.Env = append(os.Environ(), "PREFIX="+d.folder, "PYTHONPATH="+d.folder)
	if output, err := script.CombinedOutput(); err != nil {
		return fmt.Errorf("deploy/389ds/setup: %w\n%s", err, output)
	}
	return nil
}

// addTree makes a tree, and waits until the service may write in it: the server answers before the rights that an entry gives are
// in force.
func (d *directoryServer389) addTree(server *Server, number int, name string) (Bases, error) {
	bases, err := d.source.addTree(server, number, name)
	if err != nil {
		return bases, err
	}
	connection, err := server.connect(server.Service())
	if err != nil {
		return bases, err
	}
	defer connection.Close()
	for _, base := range []string{bases.UserBase, bases.ClassBase, bases.SchoolBase} {
		if err := awaitRights(connection, base); err != nil {
			return bases, err
		}
	}
	return bases, nil
}

// awaitRights adds an entry below a base as soon as that is permitted, and deletes it.
func awaitRights(connection *ldap.Conn, base string) error {
	request := ldap.NewAddRequest("ou=probe,"+base, nil)
	request.Attribute("objectClass", []string{"organizationalUnit"})
	request.Attribute("ou", []string{"probe"})
	err := connection.Add(request)
	for deadline := time.Now().Add(patience); ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		err = connection.Add(request)
	}
	if err != nil {
		return fmt.Errorf("write below %s: %w", base, err)
	}
	return connection.Del(ldap.NewDelRequest(request.DN, nil))
}

// retireTree takes the rights away that stand in a tree: the server goes through those of all trees for each entry that anybody
// reads.
func (d *directoryServer389) retireTree(server *Server, bases Bases) error {
	connection, err := server.connect(server.Admin)
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetTimeout(patience)
	for _, dn := range []string{bases.UserBase, bases.ClassBase, bases.SchoolBase, bases.Suffix} {
		request := ldap.NewModifyRequest(dn, nil)
		request.Replace("aci", nil)
		if err := connection.Modify(request); err != nil {
			return fmt.Errorf("take the rights from %s: %w", dn, err)
		}
	}
	return nil
}

func (d *directoryServer389) file(name string) string { return filepath.Join(d.folder, name) }

func (d *directoryServer389) command() *exec.Cmd {
	program, err := findProgram("ns-slapd")
	if err != nil {
		program = "ns-slapd"
	}
	return exec.Command(program, "-D", d.file("etc/dirsrv/slapd-"+instance), "-i", d.file("run/dirsrv/slapd-"+instance+".pid"), "-d", "0")
}
