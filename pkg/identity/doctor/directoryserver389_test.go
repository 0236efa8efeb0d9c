package doctor_test

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/identity/doctor"
)

// TestDirectoryServer389 examines 389 Directory Servers: one as deploy sets it up, and one that lacks what can be taken
// away from it.
func TestDirectoryServer389(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options []ldapserver.Option
		spoil   func(t *testing.T, admin *ldap.Conn)
		want    map[string]doctor.Severity
		// indexes are what indexes.keys names.
		indexes []string
	}{
		{
			name: "as deploy sets it up",
			want: map[string]doctor.Severity{"assertion": doctor.Note},
		},
		{
			name:    "OpenCloud's schema, a size limit and fewer indexes",
			options: []ldapserver.Option{ldapserver.PlainSchema(), ldapserver.SizeLimit(50)},
			spoil: func(t *testing.T, admin *ldap.Conn) {
				for _, attribute := range []string{"uid", "member", "openCloudMemberOfSchool"} {
					remove(t, admin, "cn="+attribute+",cn=index,cn=education,cn=ldbm database,cn=plugins,cn=config")
				}
			},
			want: map[string]doctor.Severity{
				"assertion": doctor.Note, "schema.uniquekeys": doctor.Warning, "unique": doctor.Note, "unique.serialized": doctor.Note,
				"unique.usernames": doctor.Note, "references": doctor.Warning, "limits.size": doctor.Error, "indexes.keys": doctor.Warning, "indexes.filters": doctor.Note,
			},
			indexes: []string{"uid of users", "member of classes", "openCloudMemberOfSchool of users", "openCloudMemberOfSchool of classes"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := ldapserver.DirectoryServer389(t, test.options...)
			admin := server.Connect(t, server.Admin)
			populate(t, admin, server.Bases)
			if test.spoil != nil {
				test.spoil(t, admin)
			}
			check := unchanged(t, admin, server.Suffix)
			findings := examine(t, configOf(server), test.want)
			check()
			for _, index := range test.indexes {
				if matter := matterOf(findings, "indexes.keys"); !strings.Contains(matter, index) {
					t.Errorf("that there is no index for %s is not found: %s", index, matter)
				}
			}
		})
	}
}
