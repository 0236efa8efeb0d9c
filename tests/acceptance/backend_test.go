package acceptance

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/internal/faultproxy"
	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/internal/opencloudnames"
)

// backends are the directories that the service is tested on. EDUCATION_TEST_DIRECTORY names the one of a run; without it,
// that is the one in the process.
var backends = map[string]func(t testing.TB) *backend{
	"":              nil,
	"embedded":      nil,
	"embedded-ldap": embeddedBehindLDAP,
	"openldap":      openLDAP,
	"389ds":         func(t testing.TB) *backend { return onServer(t, ldapserver.ExclusiveDirectoryServer389(t)) },
	"openldap-plain": func(t testing.TB) *backend {
		return onServer(t, ldapserver.ExclusiveOpenLDAP(t, ldapserver.PlainSchema()))
	},
	"openldap-opencloud": func(t testing.TB) *backend {
		b := asOpenCloud(t, ldapserver.ExclusiveOpenLDAP(t, ldapserver.PlainSchema()))
		b.givesIDsTwice = true
		return b
	},
	"openldap-migrated": func(t testing.TB) *backend {
		b := asOpenCloud(t, ldapserver.ExclusiveOpenLDAP(t))
		b.refusesDisabled = true
		return b
	},
}

// openLDAP is OpenLDAP with everything that deploy/openldap sets up.
func openLDAP(t testing.TB) *backend {
	b := onServer(t, ldapserver.ExclusiveOpenLDAP(t))
	b.refusesDisabled = true
	return b
}

// backend is a directory on a server, with the naming context and the bases that are the default.
type backend struct {
	// address is that of its LDAP listener, as host:port.
	address string
	// administrator is the DN of the account that may do everything.
	administrator string
	// passwords are those of the administrator, called admin, and of cn=reader below the naming context.
	passwords map[string]string
	// refusesDisabled says that the directory lets nobody bind whose account is disabled. Elsewhere that is OpenCloud's to
	// see to.
	refusesDisabled bool
	// givesIDsTwice says that nothing keeps ids from being given twice: in OpenCloud's schema no unique key does, and no entry is
	// named by its id. The service itself names the entries that it makes by their ids.
	givesIDsTwice bool
	// openCloudNames says that users, classes and schools are named as OpenCloud's graph service names them.
	openCloudNames bool
	// env are the settings that lead the service there.
	env []string
}

// chosenBackend returns the name of the directory that the tests run on.
func chosenBackend() string { return os.Getenv("EDUCATION_TEST_DIRECTORY") }

// newBackend returns an empty directory for one test, or nil if that is to be the one in the process.
func newBackend(t testing.TB) *backend {
	t.Helper()
	open, known := backends[chosenBackend()]
	if !known {
		t.Fatalf("EDUCATION_TEST_DIRECTORY names no directory: %q", chosenBackend())
	}
	if open == nil {
		return nil
	}
	return open(t)
}

// embeddedOnly ends a test that is about the directory in the process, or about what does not depend on the directory,
// in a run on another one.
func embeddedOnly(t testing.TB) {
	t.Helper()
	if backends[chosenBackend()] != nil {
		t.Skip("this is about the service with the directory in the process, on which it runs")
	}
}

// onServer is the backend on a server that has been set up by the files of this project.
func onServer(t testing.TB, server *ldapserver.Server) *backend {
	t.Helper()
	address, err := url.Parse(server.URI)
	if err != nil {
		t.Fatal(err)
	}
	return &backend{
		address:       address.Host,
		administrator: server.Admin.DN,
		passwords:     map[string]string{"admin": server.Admin.Password, "reader": server.Reader.Password},
		env:           remoteSettings(t, server.URI, server.BindDN, server.Password),
	}
}

// asOpenCloud is the backend on an OpenLDAP server to which every entry comes as OpenCloud's graph service would have written
// it: with its names, and with an empty mail. With OpenCloud's schema alone that is its tree before 'education migrate', and
// with unique keys the one after it.
func asOpenCloud(t testing.TB, server *ldapserver.Server) *backend {
	t.Helper()
	b := onServer(t, server)
	relay := faultproxy.New(t, b.address)
	relay.Set(opencloudnames.Relayed(func(dn string) bool { return isTaken(server, dn) }))
	b.openCloudNames = true
	b.env = remoteSettings(t, "ldap://"+relay.Address, server.BindDN, server.Password)
	return b
}

// isTaken reports whether a server has an entry with the DN. A server that cannot be asked will not take a new one either.
func isTaken(server *ldapserver.Server, dn string) bool {
	connection, err := ldap.DialURL(server.URI)
	if err != nil {
		return false
	}
	defer connection.Close()
	if err := connection.Bind(server.Admin.DN, server.Admin.Password); err != nil {
		return false
	}
	_, err = connection.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false,
		"(objectClass=*)", []string{"1.1"}, nil))
	return err == nil
}

// embeddedBehindLDAP is the backend of another process of the service, which serves its directory over LDAP.
func embeddedBehindLDAP(t testing.TB) *backend {
	t.Helper()
	other := startOn(t, nil)
	b := &backend{address: other.ldap, administrator: "cn=admin," + namingContext, passwords: map[string]string{}, refusesDisabled: true}
	for _, account := range []string{"admin", "reader"} {
		b.passwords[account] = other.ldapPassword(t, account)
	}
	b.env = remoteSettings(t, "ldap://"+other.ldap, "cn=admin,"+namingContext, b.passwords["admin"])
	return b
}

// remoteSettings are the settings for a directory on a server.
func remoteSettings(t testing.TB, uri, dn, password string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bind.password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"EDUCATION_LDAP_URI=" + uri, "EDUCATION_LDAP_BIND_DN=" + dn, "EDUCATION_LDAP_BIND_PASSWORD_FILE=" + file}
}

// withoutSetting returns settings without those of a name.
func withoutSetting(settings []string, name string) []string {
	var rest []string
	for _, setting := range settings {
		if !strings.HasPrefix(setting, name+"=") {
			rest = append(rest, setting)
		}
	}
	return rest
}
