package doctor_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/internal/loopback"
	"github.com/opencloud-eu/education/pkg/identity/doctor"
	"github.com/opencloud-eu/education/pkg/identity/remote"
)

func TestMain(m *testing.M) { ldapserver.Main(m) }

// unknowable are the findings that need throw-away entries which cannot be made.
func unknowable(ids ...string) map[string]doctor.Severity {
	want := map[string]doctor.Severity{}
	for _, id := range ids {
		want[id] = doctor.Note
	}
	return want
}

// with returns a map with one more entry.
func with(findings map[string]doctor.Severity, id string, severity doctor.Severity) map[string]doctor.Severity {
	findings[id] = severity
	return findings
}

// usernames is how OpenLDAP keeps usernames unique, whoever makes users.
const usernames = "serialize ldap:///ou=users,dc=opencloud,dc=eu?uid?sub?(objectClass=openCloudEducationUser)"

// TestOpenLDAP examines servers that lack one thing each, and holds that this is found, nothing else, and that the
// directory stays as it was.
func TestOpenLDAP(t *testing.T) {
	t.Parallel()
	service := "cn=education,dc=opencloud,dc=eu"
	tests := []struct {
		name    string
		options []ldapserver.Option
		// spoil takes away from the server what it has as deploy sets it up.
		spoil func(t *testing.T, admin *ldap.Conn)
		// change changes how the service uses it.
		change func(config *doctor.Config)
		want   map[string]doctor.Severity
		// says is what findings must say, by their ids.
		says map[string]string
	}{
		{name: "as deploy sets it up"},
		{
			name:    "OpenCloud's schema alone",
			options: []ldapserver.Option{ldapserver.PlainSchema()},
			want: map[string]doctor.Severity{
				"schema.uniquekeys": doctor.Warning, "references": doctor.Warning, "unique": doctor.Note, "unique.serialized": doctor.Note,
				"unique.usernames": doctor.Note,
			},
		},
		{
			name:    "a size limit",
			options: []ldapserver.Option{ldapserver.SizeLimit(50)},
			want:    map[string]doctor.Severity{"limits.size": doctor.Warning},
		},
		{
			name:  "OpenLDAP's default size limit",
			spoil: func(t *testing.T, admin *ldap.Conn) { replace(t, admin, database, "olcLimits") },
			want:  map[string]doctor.Severity{"limits.size": doctor.Warning},
		},
		{
			name:  "no indexes",
			spoil: func(t *testing.T, admin *ldap.Conn) { replace(t, admin, database, "olcDbIndex", "objectClass eq") },
			want:  map[string]doctor.Severity{"indexes.keys": doctor.Warning, "indexes.filters": doctor.Note},
		},
		{
			name:  "no unique overlay",
			spoil: func(t *testing.T, admin *ldap.Conn) { remove(t, admin, unique) },
			want:  map[string]doctor.Severity{"unique": doctor.Error, "unique.serialized": doctor.Error, "unique.usernames": doctor.Note},
		},
		{
			name: "uniqueness that is not serialized",
			spoil: func(t *testing.T, admin *ldap.Conn) {
				replace(t, admin, unique, "olcUniqueURI", "ldap:///dc=opencloud,dc=eu?educationUniqueKey?sub", usernames)
			},
			want: map[string]doctor.Severity{"unique.serialized": doctor.Error},
		},
		{
			name: "uniqueness for users alone",
			spoil: func(t *testing.T, admin *ldap.Conn) {
				replace(t, admin, unique, "olcUniqueURI", "serialize ldap:///ou=users,dc=opencloud,dc=eu?educationUniqueKey?sub", usernames)
			},
			want: map[string]doctor.Severity{"unique": doctor.Error},
		},
		{
			name: "uniqueness of keys alone",
			spoil: func(t *testing.T, admin *ldap.Conn) {
				replace(t, admin, unique, "olcUniqueURI", "serialize ldap:///dc=opencloud,dc=eu?educationUniqueKey?sub")
			},
			want: map[string]doctor.Severity{"unique.usernames": doctor.Note},
		},
		{
			name:  "no refint overlay",
			spoil: func(t *testing.T, admin *ldap.Conn) { remove(t, admin, refint) },
			want:  map[string]doctor.Severity{"references": doctor.Error},
			says:  map[string]string{"references": "renamed or deleted, in member and openCloudEducationTeacherMember."},
		},
		{
			name:  "refint for members alone",
			spoil: func(t *testing.T, admin *ldap.Conn) { replace(t, admin, refint, "olcRefintAttribute", "member") },
			want:  map[string]doctor.Severity{"references": doctor.Error},
			says:  map[string]string{"references": "renamed or deleted, in openCloudEducationTeacherMember."},
		},
		{
			name: "everything is permitted to everybody",
			spoil: func(t *testing.T, admin *ldap.Conn) {
				replace(t, admin, database, "olcAccess", `to * by dn.exact="`+service+`" write by * read`)
			},
			want: map[string]doctor.Severity{
				"access.anonymous": doctor.Error, "access.outside": doctor.Warning, "access.passwords": doctor.Warning,
			},
		},
		{
			name: "strangers see people and no passwords",
			spoil: func(t *testing.T, admin *ldap.Conn) {
				replace(t, admin, database, "olcAccess", `{0}to dn.children="ou=users,dc=opencloud,dc=eu" attrs=userPassword by dn.exact="`+service+`" =w by * auth`,
					`{1}to attrs=userPassword by * auth`,
					`{2}to dn.regex="(.+,)?ou=(users|groups|tenants),dc=opencloud,dc=eu" by dn.exact="`+service+`" write by * read`,
					`{3}to * by dn.exact="`+service+`" read`)
			},
			want: map[string]doctor.Severity{"access.anonymous": doctor.Warning, "access.outside": doctor.Note},
		},
		{
			name:  "reading alone is permitted",
			spoil: permitReading,
			want: with(unknowable("postread", "assertion", "access.anonymous", "access.passwords", "limits.size", "unique", "unique.serialized",
				"unique.usernames", "references", "password", "clock", "indexes.keys", "indexes.filters"), "access.write", doctor.Error),
		},
		{
			name:  "a replica that takes no changes",
			spoil: func(t *testing.T, admin *ldap.Conn) { replace(t, admin, database, "olcReadOnly", "TRUE") },
			want: with(unknowable("postread", "assertion", "access.anonymous", "access.passwords", "limits.size", "unique", "unique.serialized",
				"unique.usernames", "references", "password", "clock", "indexes.keys", "indexes.filters"), "access.write", doctor.Error),
		},
		{
			name: "users cannot sign in",
			spoil: func(t *testing.T, admin *ldap.Conn) {
				replace(t, admin, database, "olcAccess",
					`{0}to dn.children="ou=users,dc=opencloud,dc=eu" attrs=userPassword by dn.exact="`+service+`" =xw`,
					`{1}to attrs=userPassword by * auth`,
					`{2}to dn.regex="^ou=(users|groups|tenants),dc=opencloud,dc=eu$" attrs=children by dn.exact="`+service+`" write`,
					`{3}to dn.regex=".+,ou=(users|groups|tenants),dc=opencloud,dc=eu$" by dn.exact="`+service+`" write`,
					`{4}to * by dn.exact="`+service+`" read`)
			},
			want: map[string]doctor.Severity{"password": doctor.Error},
		},
		{
			name:   "passwords are sent as they are",
			change: func(config *doctor.Config) { config.Remote.PasswordHash = remote.HashServer },
			want:   map[string]doctor.Severity{"password": doctor.Note},
		},
		{
			name:   "Argon2",
			change: func(config *doctor.Config) { config.Remote.PasswordHash = remote.HashArgon2 },
		},
		{
			name: "the schema is hidden",
			spoil: func(t *testing.T, admin *ldap.Conn) {
				replace(t, admin, frontend, "olcAccess", `to dn.exact="" by * read`, `to * by * none`)
			},
			want: map[string]doctor.Severity{"schema.readable": doctor.Warning},
		},
		{
			name:  "OpenCloud's schema before version 5.2",
			spoil: forbidExternalID,
			want:  map[string]doctor.Severity{"schema.externalid": doctor.Error},
		},
		{
			name:   "a base that is not there",
			change: func(config *doctor.Config) { config.SchoolBase = "ou=schools,dc=opencloud,dc=eu" },
			want: map[string]doctor.Severity{
				"bases": doctor.Error, "access.write": doctor.Error, "unique": doctor.Note,
				"indexes.keys": doctor.Note, "indexes.filters": doctor.Note, "indexes.complete": doctor.Note,
			},
		},
		{
			name:   "a wrong password",
			change: func(config *doctor.Config) { config.Remote.Password = func() (string, error) { return "wrong", nil } },
			want:   map[string]doctor.Severity{"server.account": doctor.Error},
		},
	}
	for i, test := range tests {
		if testing.Short() && i > 1 {
			break
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, admin := startServer(t, test.options...)
			populate(t, admin, server.Bases)
			if test.spoil != nil {
				test.spoil(t, admin)
			}
			config := configOf(server)
			if test.change != nil {
				test.change(&config)
			}
			check := unchanged(t, admin, server.Suffix)
			findings := examine(t, config, test.want)
			check()
			for id, want := range test.says {
				if got := matterOf(findings, id); !strings.HasSuffix(got, want) {
					t.Errorf("%s says %q, want %q at its end", id, got, want)
				}
			}
		})
	}
}

// permitReading permits the service's account to read and nothing else.
func permitReading(t *testing.T, admin *ldap.Conn) {
	replace(t, admin, database, "olcAccess", `{0}to attrs=userPassword by * auth`, `{1}to * by dn.exact="cn=education,dc=opencloud,dc=eu" read`)
}

// TestGlance holds that a glance shows what keeps the account from writing, where there is anything to be written to, and that it
// changes nothing.
func TestGlance(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		empty bool
		spoil func(t *testing.T, admin *ldap.Conn)
		want  map[string]doctor.Severity
	}{
		{name: "as deploy sets it up"},
		{name: "reading alone is permitted", spoil: permitReading, want: map[string]doctor.Severity{"access.write": doctor.Error}},
		{
			name:  "a replica that takes no changes",
			spoil: func(t *testing.T, admin *ldap.Conn) { replace(t, admin, database, "olcReadOnly", "TRUE") },
			want:  map[string]doctor.Severity{"access.write": doctor.Error},
		},
		{name: "an empty directory", empty: true, spoil: permitReading, want: map[string]doctor.Severity{"access.write": doctor.Note}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, admin := startServer(t)
			if !test.empty {
				populate(t, admin, server.Bases)
			}
			if test.spoil != nil {
				test.spoil(t, admin)
			}
			config := configOf(server)
			config.Depth = doctor.Glance
			check := unchanged(t, admin, server.Suffix)
			findings := examine(t, config, test.want)
			check()
			if test.want["access.write"] == doctor.Error && !strings.Contains(matterOf(findings, "access.write"), "change schools") {
				t.Errorf("it says %q", matterOf(findings, "access.write"))
			}
		})
	}
}

// forbidExternalID takes the externalId out of the classes of users and schools.
func forbidExternalID(t *testing.T, admin *ldap.Conn) {
	result, err := admin.Search(ldap.NewSearchRequest("cn=schema,cn=config", ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 0, 0, false,
		"(cn=*opencloud)", []string{"olcObjectClasses"}, nil))
	if err != nil || len(result.Entries) != 1 {
		t.Fatalf("read the schema: %v", err)
	}
	var classes []string
	for _, class := range result.Entries[0].GetAttributeValues("olcObjectClasses") {
		if !strings.Contains(class, "'openCloudEducationClass'") {
			class = strings.NewReplacer("openCloudEducationExternalId $ ", "", " $ openCloudEducationExternalId", "").Replace(class)
		}
		classes = append(classes, class)
	}
	replace(t, admin, result.Entries[0].DN, "olcObjectClasses", classes...)
}

// TestServerDown examines an address at which nobody is.
func TestServerDown(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	config := configOf(server)
	config.Remote.URIs = []string{"ldap://" + loopback.Address(t)}
	examine(t, config, map[string]doctor.Severity{"server.reachable": doctor.Error})
}

// TestTLS examines a server with a certificate for a day.
func TestTLS(t *testing.T) {
	t.Parallel()
	server, admin := startServer(t, ldapserver.WithTLS())
	populate(t, admin, server.Bases)
	config := configOf(server)
	config.Depth = doctor.Glance
	config.Remote.URIs = []string{server.LDAPSURI}
	examine(t, config, map[string]doctor.Severity{"server.reachable": doctor.Error}) // Nobody vouches for it.

	config.Remote.CAFile = server.CAFile
	examine(t, config, map[string]doctor.Severity{"tls.certificate": doctor.Warning})

	config.Remote.CAFile, config.Remote.Insecure = "", true
	config.Remote.URIs, config.Remote.StartTLS = []string{server.URI}, true
	examine(t, config, map[string]doctor.Severity{"tls.certificate": doctor.Warning, "tls.verified": doctor.Warning})
}

// TestReading holds that an examination that shall not write does not: the server logs no write that it has carried out.
func TestReading(t *testing.T) {
	t.Parallel()
	server, admin := startServer(t)
	populate(t, admin, server.Bases)
	config := configOf(server)
	config.Depth = doctor.Reading
	before := len(server.Log(t))
	check := unchanged(t, admin, server.Suffix)
	// With so few entries nothing can be said about limits and indexes.
	examine(t, config, unknowable("limits.size", "indexes.keys", "indexes.filters"))
	check()
	log := sessionsOf(server.Log(t)[before:], server.BindDN)
	for _, operation := range []string{" ADD ", " DEL ", " MODRDN ", " PASSMOD"} {
		if strings.Contains(log, operation) {
			t.Errorf("the log of an examination that shall not write has%s", operation)
		}
	}
	if !strings.Contains(log, " MOD ") {
		t.Error("the log does not show the changes that can only fail")
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, " RESULT tag=103 err=0 ") { // A modify response (RFC 4511, section 4.6).
			t.Errorf("a change succeeds: %s", line)
		}
	}
}

var connection = regexp.MustCompile(` conn=\d+ `)

// sessionsOf returns the lines of slapd's log that are about connections of an account.
func sessionsOf(log, account string) string {
	theirs := map[string]bool{}
	for line := range strings.Lines(log) {
		if strings.Contains(line, `BIND dn="`+account+`"`) {
			theirs[connection.FindString(line)] = true
		}
	}
	var lines strings.Builder
	for line := range strings.Lines(log) {
		if theirs[connection.FindString(line)] {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// TestLeftovers holds that what a killed examination has left is removed, and nothing that only looks a little like it.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	skipInShortMode(t)
	server, admin := startServer(t)
	populate(t, admin, server.Bases)
	const marker = "a throw-away entry of education doctor, which may be deleted"
	add(t, admin, "ou=somebody's,"+server.UserBase, map[string][]string{"objectClass": {"organizationalUnit"}, "description": {marker}})
	add(t, admin, "ou=education-doctor-like,"+server.UserBase, map[string][]string{"objectClass": {"organizationalUnit"}, "description": {"mine"}})
	check := unchanged(t, admin, server.Suffix)

	top := "ou=education-doctor-abcdefgh-1," + server.UserBase
	add(t, admin, top, map[string][]string{"objectClass": {"organizationalUnit"}, "description": {marker}})
	add(t, admin, "cn=education-doctor-abcdefgh-2,"+top, map[string][]string{"objectClass": {"organizationalRole"}, "description": {marker}})
	add(t, admin, "uid=education-doctor-abcdefgh-3,"+server.UserBase, map[string][]string{
		"objectClass": {"inetOrgPerson"}, "cn": {"x"}, "sn": {"x"}, "description": {marker},
	})
	findings := examine(t, configOf(server), map[string]doctor.Severity{})
	if matter := matterOf(findings, "throwaways.leftovers"); !strings.Contains(matter, "removed: 3") {
		t.Errorf("leftovers: %q, want 3 removed", matter)
	}
	check()
}

// TestInterrupted interrupts examinations at many moments, and holds that the directory is as before.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	server, admin := startServer(t)
	populate(t, admin, server.Bases)
	check := unchanged(t, admin, server.Suffix)
	for after := 10 * time.Millisecond; after < 700*time.Millisecond; after = after * 3 / 2 {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		findings, err := doctor.Examine(ctx, configOf(server))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("interrupted after %v: %v", after, err)
		}
		for _, finding := range findings {
			if finding.ID == "throwaways.disturbed" || finding.ID == "throwaways.removed" && finding.Severity != doctor.OK {
				t.Errorf("interrupted after %v: %s", after, finding.Matter)
			}
			// The server of this test is in order but for its missing TLS and the rights of its account.
			if strings.HasPrefix(finding.Matter, "It cannot be told") || finding.ID == "server.reachable" && finding.Severity != doctor.OK {
				t.Errorf("interrupted after %v, and laid at the server's door: %s", after, finding.Matter)
			}
		}
		check()
	}
}

// TestServerDies kills the server in the middle of an examination. What could not be removed is named, and removed by the
// next examination.
func TestServerDies(t *testing.T) {
	t.Parallel()
	server, admin := startServer(t)
	populate(t, admin, server.Bases)
	before := dump(t, admin, server.Suffix)
	type result struct {
		findings []doctor.Finding
		err      error
	}
	done := make(chan result, 1)
	go func() {
		findings, err := doctor.Examine(t.Context(), configOf(server))
		done <- result{findings, err}
	}()
	for len(dump(t, admin, server.Suffix)) <= len(before)+20 {
		time.Sleep(time.Millisecond)
	}
	server.Kill(t)
	interrupted := <-done
	if interrupted.err != nil || doctor.Worst(interrupted.findings) != doctor.Error {
		t.Errorf("a server that dies: worst %v, %v", doctor.Worst(interrupted.findings), interrupted.err)
	}
	checkSentences(t, interrupted.findings)
	if matter := matterOf(interrupted.findings, "throwaways.removed"); !strings.Contains(matter, server.UserBase) {
		t.Errorf("the entries that are left are not named: %q", matter)
	}
	server.Start(t)
	admin = server.Connect(t, server.Admin)
	examine(t, configOf(server), map[string]doctor.Severity{})
	if after := dump(t, admin, server.Suffix); !slices.Equal(before, after) {
		t.Error("the next examination does not remove everything")
	}
}

// TestIncompleteIndex gives a server an index while it is stopped, which nobody builds.
func TestIncompleteIndex(t *testing.T) {
	t.Parallel()
	skipInShortMode(t)
	server, admin := startServer(t)
	replace(t, admin, database, "olcDbIndex", "objectClass eq")
	populate(t, admin, server.Bases)
	server.Stop(t)
	folder := filepath.Dir(server.Socket)
	command := exec.CommandContext(t.Context(), filepath.Join(folder, "bin", "slapmodify"), "-n", "0", "-F", filepath.Join(folder, "config"))
	command.Stdin = strings.NewReader("dn: " + database + "\nchangetype: modify\nadd: olcDbIndex\nolcDbIndex: uid eq\n")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	server.Start(t)
	config := configOf(server)
	config.Depth = doctor.Reading
	findings, err := doctor.Examine(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if matter := matterOf(findings, "indexes.complete"); !strings.Contains(matter, "by its uid") {
		t.Errorf("an index that was not built: %q", matter)
	}
}

// TestTogether examines several servers.
func TestTogether(t *testing.T) {
	t.Parallel()
	skipInShortMode(t)
	server, admin := startServer(t)
	stranger, _ := startServer(t)
	populate(t, admin, server.Bases)
	check := unchanged(t, admin, server.Suffix)
	t.Run("two names of one server", func(t *testing.T) {
		config := configOf(server)
		config.Remote.URIs = append(config.Remote.URIs, server.SocketURI)
		examine(t, config, map[string]doctor.Severity{})
		check()
	})
	t.Run("two servers that know nothing of each other", func(t *testing.T) {
		examine(t, configOf(server, stranger), map[string]doctor.Severity{"replicas": doctor.Error})
		check()
	})
	t.Run("one of two is down", func(t *testing.T) {
		config := configOf(server, stranger)
		config.Depth = doctor.Glance
		stranger.Stop(t)
		examine(t, config, map[string]doctor.Severity{"server.reachable": doctor.Error, "replicas": doctor.Warning})
	})
}
