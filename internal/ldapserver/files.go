package ldapserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// source is a copy of one of the folders below deploy, in which a test's wishes are carried out.
type source string

// copyDeploy copies a folder that is below deploy.
func copyDeploy(name, target string) (source, error) {
	original, err := deployFolder(name)
	if err != nil {
		return "", err
	}
	return source(target), os.CopyFS(target, os.DirFS(original))
}

// deployFolder returns a folder of the module's folder deploy. Tests run in the folder of their package.
func deployFolder(name string) (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return filepath.Join(folder, "deploy", name), nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("the test runs outside the module")
		}
		folder = parent
	}
}

func (s source) path(name string) string { return filepath.Join(string(s), name) }

// read returns the text of a file.
func (s source) read(name string) (string, error) {
	text, err := os.ReadFile(s.path(name))
	return string(text), err
}

// change gives a file another text.
func (s source) change(name string, change func(text string) string) error {
	text, err := s.read(name)
	if err != nil {
		return err
	}
	return os.WriteFile(s.path(name), []byte(change(text)), 0o600)
}

// remove returns a change that takes out what an expression matches.
func remove(expressions ...string) func(string) string {
	return func(text string) string {
		for _, expression := range expressions {
			text = regexp.MustCompile("(?m)"+expression).ReplaceAllString(text, "")
		}
		return text
	}
}

// fill fills in what stands between @ signs in a template.
func fill(template string, values map[string]string) string {
	pairs := make([]string, 0, 2*len(values))
	for name, value := range values {
		pairs = append(pairs, "@"+name+"@", value)
	}
	return strings.NewReplacer(pairs...).Replace(template)
}

// testSuffix is above the trees that tests have for themselves, and maxTrees is how many there can be: enough for a package's
// tests twice. A server goes through a list of them for each write.
const (
	testSuffix = "o=tests"
	maxTrees   = 600
)

func testTree(number int) Bases { return basesBelow(fmt.Sprintf("ou=tree%d,%s", number, testSuffix)) }

// eachTree repeats a line for every tree of the tests.
func eachTree(line string) string {
	lines := make([]string, maxTrees)
	for number := range lines {
		lines[number] = strings.ReplaceAll(line, "@SUFFIX@", testTree(number).Suffix)
	}
	return strings.Join(lines, "\n")
}

// addTree adds the first entries of a tree, which base.ldif lists, with the test's name among them. The accounts are left
// out: those of the server's first tree have their rights in this one.
func (s source) addTree(server *Server, number int, name string) (Bases, error) {
	if number >= maxTrees {
		return Bases{}, fmt.Errorf("there are %d trees already: repeat the tests fewer times in one run", maxTrees)
	}
	bases := testTree(number)
	text, err := s.read("base.ldif")
	if err != nil {
		return Bases{}, err
	}
	records, err := parseLDIF(fill(text, map[string]string{
		"SUFFIX": bases.Suffix, "SUFFIX_CLASS": "organizationalUnit", "SUFFIX_RDN": "description: " + name,
		"SERVICE": server.BindDN, "READER": server.Reader.DN,
	}))
	if err != nil {
		return Bases{}, err
	}
	connection, err := server.connect(server.Admin)
	if err != nil {
		return Bases{}, err
	}
	defer connection.Close()
	return bases, addBelow(connection, bases.Suffix, records)
}

// addBelow adds the records that are organizational units below a suffix.
func addBelow(connection *ldap.Conn, suffix string, records []*record) error {
	for _, record := range records {
		if !strings.HasPrefix(record.dn, "ou=") || !strings.HasSuffix(record.dn, suffix) {
			continue
		}
		if err := connection.Add(record.add()); err != nil {
			return fmt.Errorf("add %s: %w", record.dn, err)
		}
	}
	return nil
}

// writePasswords writes the accounts' passwords into files of a folder, one for each of the names.
func writePasswords(folder string, passwords map[string]string) error {
	for name, password := range passwords {
		if err := os.WriteFile(filepath.Join(folder, name+".password"), []byte(password+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string, mode os.FileMode) error {
	original, err := os.Open(from)
	if err != nil {
		return err
	}
	defer original.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, original); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
