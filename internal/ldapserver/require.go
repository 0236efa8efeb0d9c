package ldapserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// systemFolders are where Debian puts programs of the administrator, which a user's PATH may leave out.
var systemFolders = []string{"/usr/sbin", "/sbin", "/usr/local/sbin"}

// Require ends the test if a program is not installed: as skipped with the reason, or as failed if
// EDUCATION_TEST_REQUIRE, a list with commas, names the Debian package that the program comes with.
func Require(t testing.TB, packageName string, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := findProgram(program); err == nil {
			continue
		}
		if isRequired(os.Getenv("EDUCATION_TEST_REQUIRE"), packageName) {
			t.Fatalf("%s is not installed (Debian's package %s), and EDUCATION_TEST_REQUIRE asks for it", program, packageName)
		}
		t.Skipf("%s is not installed; it comes with Debian's package %s", program, packageName)
	}
}

// isRequired says whether a list with commas names a package.
func isRequired(list, packageName string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(name string) bool {
		return strings.TrimSpace(name) == packageName
	})
}

// findProgram returns the path of a program that is in PATH or in a folder of the administrator's programs. A name with
// a slash is a path already.
func findProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || strings.Contains(name, "/") {
		return path, err
	}
	for _, folder := range systemFolders {
		if found, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return found, nil
		}
	}
	return "", err
}
