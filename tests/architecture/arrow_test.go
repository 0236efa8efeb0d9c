// Package architecture holds the tests on the shape of the module: which package may import which.
package architecture

import (
	"errors"
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the path of the module these rules are about.
const module = "github.com/opencloud-eu/education"

// A rule says what one package may import beside the standard library.
type rule struct {
	// permitted lists import paths. A package of this module is written relative to the module. A path that ends in
	// "/..." permits everything below it; "..." alone permits everything.
	permitted []string
	// tests says that the rule holds for the package's test files too. Elsewhere a test may import what it likes.
	tests bool
	// reason ends the sentence that a forbidden import is reported with.
	reason string
}

// rules has one row for each package of the module. The arrow runs from cmd over the API to education and odata, and
// from cmd over identity to education; never back, never sideways.
var rules = map[string]rule{
	"cmd/education": {
		permitted: []string{"..."},
		reason:    "it wires the service together",
	},
	"internal/faultproxy": {
		permitted: []string{"internal/loopback", "pkg/identity/wire"},
		reason:    "it is the network between a client and a server in tests, and knows neither",
	},
	"internal/ldapserver": {
		permitted: []string{"internal/loopback", "github.com/go-ldap/ldap/v3"},
		reason:    "it starts other people's servers for tests and knows no part of the service",
	},
	"internal/loopback": {
		reason: "it keeps ports free for tests and knows no server",
	},
	"internal/opencloudnames": {
		permitted: []string{"internal/faultproxy", "pkg/identity", "pkg/identity/match", "pkg/identity/wire"},
		reason:    "it changes entries on their way to a directory in tests, and knows no directory",
	},
	"internal/certfile": {
		reason: "it keeps a certificate up to date and knows no listener",
	},
	"internal/secretfile": {
		reason: "it keeps a secret in a file and knows no use of it",
	},
	"internal/strictjson": {
		reason: "it reads JSON to the letter and knows no meaning of it",
	},
	"internal/passwordhash": {
		permitted: []string{"golang.org/x/crypto/argon2"},
		reason:    "it turns passwords into hashes and knows no entry",
	},
	"pkg/access": {
		permitted: []string{
			"golang.org/x/sync/singleflight",
		},
		reason: "it says what a credential may do and knows neither HTTP nor LDAP",
	},
	"pkg/audit": {
		permitted: []string{
			"pkg/access",
			"pkg/education",
			"pkg/odata",
		},
		reason: "it records what requests ask of a directory and knows neither routes nor entries",
	},
	"pkg/access/oidc": {
		permitted: []string{
			"pkg/access",
			"github.com/coreos/go-oidc/v3/oidc",
			"github.com/go-jose/go-jose/v4",
		},
		reason: "it knows issuers and their tokens, and nothing of the requests that carry them",
	},
	"pkg/access/tokenfile": {
		permitted: []string{
			"internal/secretfile",
			"internal/strictjson",
			"pkg/access",
		},
		reason: "it knows tokens by a file and nothing of what they open",
	},
	"pkg/education": {
		permitted: []string{
			"pkg/odata",
			"github.com/go-playground/validator/v10",
		},
		reason: "it says what the service is and knows neither HTTP nor LDAP",
	},
	"pkg/education/api": {
		permitted: []string{
			"pkg/access",
			"pkg/education",
			"pkg/odata",
			"github.com/go-chi/chi/v5/...",
		},
		reason: "it turns HTTP into calls of education.Directory and knows no directory by name",
	},
	"pkg/odata": {
		permitted: []string{"github.com/CiscoM31/godata"},
		reason:    "it is a protocol and knows no school, user or class",
	},
	"pkg/middleware": {
		permitted: []string{
			"pkg/access",
			"pkg/audit",
			"pkg/odata",
			"github.com/go-chi/chi/v5/...",
			"github.com/rs/cors",
			"go.opentelemetry.io/...",
			"golang.org/x/time/rate",
		},
		reason: "it treats all requests alike and knows none of their subjects",
	},
	"pkg/identity": {
		permitted: []string{
			"pkg/access",
			"pkg/education",
			"pkg/odata",
			"pkg/identity/wire",
			"pkg/identity/match",
			"github.com/google/uuid",
			"go.opentelemetry.io/...",
		},
		reason: "it speaks in LDAP operations and does not know who carries them out",
	},
	"pkg/identity/match": {
		permitted: []string{
			"golang.org/x/text/...",
		},
		reason: "it compares values as RFC 4517 says and knows no entry",
	},
	"pkg/identity/wire": {
		reason: "it is LDAP as data, for both sides of the wire",
	},
	"pkg/identity/embedded": {
		permitted: []string{
			"internal/passwordhash",
			"internal/secretfile",
			"pkg/identity/wire",
			"pkg/identity/match",
			"go.etcd.io/bbolt/...",
		},
		reason: "it is a directory and knows no school, user or class",
	},
	"pkg/identity/remote": {
		permitted: []string{
			"internal/passwordhash",
			"pkg/identity/wire",
			"pkg/identity/match",
			"github.com/jackc/puddle/v2",
			"go.opentelemetry.io/...",
		},
		reason: "it speaks to LDAP servers and knows no school, user or class",
	},
	"pkg/identity/doctor": {
		permitted: []string{
			"pkg/education",
			"pkg/identity/match",
			"pkg/identity/remote",
			"pkg/identity/wire",
			"github.com/google/uuid",
		},
		reason: "it examines servers by what the service does with them, and serves nothing",
	},
	"pkg/identity/migrate": {
		permitted: []string{
			"internal/passwordhash",
			"pkg/education",
			"pkg/identity",
			"pkg/odata",
		},
		reason: "it moves entities between directories and does not know how either carries out operations",
	},
	"pkg/identity/identitytest": {
		permitted: []string{
			"pkg/access",
			"pkg/education",
			"pkg/odata",
			"pkg/identity/match",
		},
		reason: "it defines any directory, so it must know none in particular",
	},
	"tests/acceptance": {
		// The libraries are free: the suite is a client, and clients come in many kinds.
		permitted: []string{"tests/acceptance/...", "internal/ldapserver", "internal/faultproxy", "internal/opencloudnames", "github.com/...", "golang.org/...", "go.uber.org/...", "pgregory.net/..."},
		tests:     true,
		reason:    "it knows the service only from outside",
	},
	"tests/clients/stage": {
		tests:  true,
		reason: "it sets the stage for clients in modules of their own and is none itself",
	},
	"tests/architecture": {
		tests:  true,
		reason: "it looks at the packages and calls none",
	},
}

func TestImportsFollowTheArrow(t *testing.T) {
	t.Parallel()
	for name, pkg := range listPackages(t) {
		rule, ok := rules[name]
		if !ok {
			t.Errorf("%s has no rule: add a row to the table in tests/architecture that says what it may import, and why", name)
			continue
		}
		for _, imported := range rule.checked(pkg) {
			if !rule.permits(imported) {
				t.Errorf("%s imports %s, but may import %s: %s",
					name, relative(imported), rule.describe(), rule.reason)
			}
		}
	}
}

// TestPermissionsAreUsed holds that a rule permits nothing that its package does without. Rows for tests are lists of what
// clients may use, and are left out.
func TestPermissionsAreUsed(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	for name, rule := range rules {
		pkg := packages[name]
		if pkg == nil || rule.tests {
			continue
		}
		for _, permitted := range rule.permitted {
			used := slices.ContainsFunc(rule.checked(pkg), func(imported string) bool { return matches(permitted, imported) })
			if !used {
				t.Errorf("%s may import %s and does not: take the permission away", name, permitted)
			}
		}
	}
}

func TestRulesHavePackages(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	for name := range rules {
		if packages[name] == nil {
			t.Errorf("%s has a rule, but there is no such package: remove its row from the table in tests/architecture", name)
		}
	}
}

func TestPermits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		permitted []string
		imported  string
		want      bool
	}{
		{"standard library", nil, "net/http", true},
		{"cgo is not the standard library", nil, "C", false},
		{"another package of the module", []string{"pkg/odata"}, module + "/pkg/odata", true},
		{"a package below one that is permitted", []string{"pkg/education"}, module + "/pkg/education/api", false},
		{"a package of the module that is not permitted", []string{"pkg/odata"}, module + "/pkg/education", false},
		{"a library", []string{"go.etcd.io/bbolt"}, "go.etcd.io/bbolt", true},
		{"a library that is not permitted", nil, "go.etcd.io/bbolt", false},
		{"a pattern permits its root", []string{"golang.org/x/text/..."}, "golang.org/x/text", true},
		{"a pattern permits what is below", []string{"golang.org/x/text/..."}, "golang.org/x/text/cases", true},
		{"a pattern ends at a slash", []string{"golang.org/x/text/..."}, "golang.org/x/textproto", false},
		{"a pattern for libraries does not open the module", []string{"github.com/..."}, module + "/pkg/odata", false},
		{"everything", []string{"..."}, module + "/pkg/odata", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := rule{permitted: test.permitted}.permits(test.imported)
			if got != test.want {
				t.Errorf("permits(%q) with %q = %v, want %v", test.imported, test.permitted, got, test.want)
			}
		})
	}
}

// checked returns the imports that the rule holds for.
func (r rule) checked(pkg *build.Package) []string {
	if !r.tests {
		return pkg.Imports
	}
	return slices.Concat(pkg.Imports, pkg.TestImports, pkg.XTestImports)
}

// permits says whether a package under the rule may import the package with the given path.
func (r rule) permits(imported string) bool {
	if isStandard(imported) {
		return true
	}
	return slices.ContainsFunc(r.permitted, func(permitted string) bool {
		return matches(permitted, imported)
	})
}

// describe lists what the rule permits, as the middle of a sentence.
func (r rule) describe() string {
	return strings.Join(append([]string{"only the standard library"}, r.permitted...), ", ")
}

// matches says whether an entry of a rule covers an import path. A pattern for libraries never covers the module's own
// packages, which live below the same host name as others.
func matches(permitted, imported string) bool {
	if permitted == "..." {
		return true
	}
	imported = relative(imported)
	if root, ok := strings.CutSuffix(permitted, "/..."); ok {
		return imported == root || strings.HasPrefix(imported, root+"/")
	}
	return imported == permitted
}

// isStandard says whether an import path belongs to the standard library: no other path may have a first element
// without a dot (Go Modules Reference, "Module paths"). The pseudo-package C is cgo, which the service does without.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && imported != "C"
}

// relative cuts the module's path off the path of one of its packages; other paths stay as they are.
func relative(importPath string) string {
	return strings.TrimPrefix(importPath, module+"/")
}

// listPackages reads the import clauses of the module's packages, under the names that the rules use. It reads the
// files itself rather than ask `go list`, because the go command repeats a test's remembered result unless a file that
// the test process itself opened has changed.
func listPackages(t *testing.T) map[string]*build.Package {
	t.Helper()
	const root = "../.."
	packages := make(map[string]*build.Package)
	err := filepath.WalkDir(root, func(dir string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !entry.IsDir():
			return nil
		case dir != root && isOutside(dir):
			return filepath.SkipDir
		}
		pkg, err := build.ImportDir(dir, 0)
		if _, ok := errors.AsType[*build.NoGoError](err); ok {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, dir)
		packages[filepath.ToSlash(name)] = pkg
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// isOutside says whether the go command's "./..." leaves out a directory: by its name, or because another module
// begins there (go help packages).
func isOutside(dir string) bool {
	name := filepath.Base(dir)
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
