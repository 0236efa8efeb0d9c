package ldapserver

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/pkg/education"
)

// values are what properties of each type are compared with.
var values = map[education.Type]string{
	education.UUID:     "0e2f1bd5-9a2d-4a3b-a6c1-000000000001",
	education.Boolean:  "TRUE",
	education.DateTime: "20260701100000Z",
}

// filtersOf returns the filters that the service looks the entities of a set up by.
func filtersOf(set *education.EntitySet) []string {
	filters := []string{"(objectClass=" + set.ObjectClass + ")", "(educationUniqueKey=user/username/-/max)", "(educationPlaceholder=sn)"}
	for _, property := range set.Properties {
		if property.Filter == 0 && !property.Searchable && !property.Key {
			continue
		}
		value, ok := values[property.Type]
		if !ok {
			value = "abcdef"
		}
		filters = append(filters, fmt.Sprintf("(%s=%s)", property.Attribute, value))
		if property.Substrings {
			for _, part := range []string{"abcdef*", "*abcdef*", "*abcdef"} {
				filters = append(filters, fmt.Sprintf("(%s=%s)", property.Attribute, part))
			}
		}
		if property.Ordered() {
			filters = append(filters, fmt.Sprintf("(%s>=%s)", property.Attribute, value), fmt.Sprintf("(%s<=%s)", property.Attribute, value))
		}
	}
	return filters
}

// linkFilters returns the filters that the service looks for links by.
func linkFilters(bases Bases) []string {
	var filters []string
	for _, nav := range education.Navigations {
		value := values[education.UUID]
		if nav.ByDN {
			value = "openCloudUUID=" + value + "," + bases.UserBase
		}
		for _, attribute := range nav.Attributes {
			filters = append(filters, fmt.Sprintf("(%s=%s)", attribute, value), fmt.Sprintf("(%s=*)", attribute))
		}
	}
	return filters
}

// checkIndexes holds that a server looks at an index for each of the service's filters. It says so in its log if it does
// not, with a text that unindexed is. No other test may search the server meanwhile.
func checkIndexes(t *testing.T, server *Server, unindexed string) {
	t.Helper()
	service := server.Connect(t, server.Service())
	for i := range 50 {
		mustAdd(t, service, userEntry(server.Bases, fmt.Sprintf("user%d", i)))
	}
	complains := func(base, filter string) bool {
		before := len(server.Log(t))
		if _, err := search(service, base, filter, "1.1"); err != nil {
			t.Errorf("%s: %v", filter, err)
		}
		var logged string
		eventually(t, "the search is in the log", func() bool {
			var complete bool
			logged, complete = loggedSearch(server.Log(t)[before:])
			return complete
		})
		return strings.Contains(logged, unindexed)
	}
	if !complains(server.UserBase, "(roomNumber=1)") {
		t.Fatal("the log says nothing about a filter that has no index")
	}
	for set, base := range map[*education.EntitySet]string{
		education.Users: server.UserBase, education.Classes: server.ClassBase, education.Schools: server.SchoolBase,
	} {
		for _, filter := range append(filtersOf(set), linkFilters(server.Bases)...) {
			if complains(base, filter) {
				t.Errorf("no index for %s", filter)
			}
		}
	}
	empty(t, server, server.Bases)
}

var searchStart = regexp.MustCompile(`(conn=\d+ op=\d+ )SRCH `)

// loggedSearch returns what a log says of the first search in it, and whether that is all of it, down to the result. A server
// answers before it logs that it has, so the result of the operation before may come in between.
func loggedSearch(log string) (said string, complete bool) {
	start := searchStart.FindStringSubmatchIndex(log)
	if start == nil {
		return "", false
	}
	operation, log := log[start[2]:start[3]], log[start[1]:]
	result := regexp.MustCompile(`(?m)` + operation + `(SEARCH )?RESULT .*\n`).FindStringIndex(log)
	if result == nil {
		return "", false
	}
	return log[:result[1]], true
}

// checkIndexesAfterDeletion holds that an entry which loses one value of an attribute is still found by the others, by the
// presence of one, and by the object classes that it has left, which an index has as well as the entry. OpenLDAP 2.5 with
// olcIndexHash64 takes presence and superior classes out of the index together with the first value that is deleted
// (docs/decisions/0023).
func checkIndexesAfterDeletion(t *testing.T, server *Server, bases Bases) {
	t.Helper()
	service := server.Connect(t, server.Service())
	member := func(name string) string { return "openCloudUUID=" + id(name) + "," + bases.UserBase }
	user, class := userEntry(bases, "max", "user/username/-/max", "user/externalId/-/4711"), classEntry(bases, "4a", member("max"), member("moritz"))
	user.Attribute("openCloudMemberOfSchool", []string{id("school"), id("other school")})
	class.Attribute("openCloudEducationTeacherMember", []string{member("max"), member("moritz")})
	for _, entry := range []*ldap.AddRequest{user, userEntry(bases, "moritz"), class} {
		mustAdd(t, service, entry)
	}
	for _, test := range []struct {
		dn, attribute, deleted string
		found                  []string
	}{
		{class.DN, "member", member("moritz"), []string{"(member=*)", "(member=" + member("max") + ")"}},
		{
			class.DN, "openCloudEducationTeacherMember", member("moritz"),
			[]string{"(openCloudEducationTeacherMember=*)", "(openCloudEducationTeacherMember=" + member("max") + ")"},
		},
		{
			user.DN, "openCloudMemberOfSchool", id("other school"),
			[]string{"(openCloudMemberOfSchool=*)", "(openCloudMemberOfSchool=" + id("school") + ")"},
		},
		{
			user.DN, "educationUniqueKey", "user/externalId/-/4711",
			[]string{"(educationUniqueKey=*)", "(educationUniqueKey=user/username/-/max)"},
		},
		{member("moritz"), "objectClass", "openCloudEducationUser", []string{"(objectClass=openCloudUser)", "(objectClass=openCloudObject)"}},
	} {
		request := ldap.NewModifyRequest(test.dn, nil)
		request.Delete(test.attribute, []string{test.deleted})
		if err := service.Modify(request); err != nil {
			t.Fatalf("delete one %s: %v", test.attribute, err)
		}
		for _, filter := range test.found {
			entries, err := search(service, bases.Suffix, filter, "1.1")
			if err != nil || !slices.ContainsFunc(entries, func(entry *ldap.Entry) bool { return entry.DN == test.dn }) {
				t.Errorf("without one %s, %s does not find the entry: %v", test.attribute, filter, err)
			}
		}
	}
}

// checkControls holds that the root DSE (RFC 4512, section 5.1), which strangers may read, names these controls and
// extended operations and not those.
func checkControls(t *testing.T, server *Server, has, hasNot []string) {
	t.Helper()
	nobody := server.Connect(t, Account{})
	root := readAttributes(t, nobody, "", "supportedControl", "supportedExtension")
	offered := strings.Join(append(root.GetAttributeValues("supportedControl"), root.GetAttributeValues("supportedExtension")...), "\n") + "\n"
	for _, oid := range has {
		if !strings.Contains(offered, oid+"\n") {
			t.Errorf("the server has no %s", oid)
		}
	}
	for _, oid := range hasNot {
		if strings.Contains(offered, oid+"\n") {
			t.Errorf("the server has %s after all", oid)
		}
	}
}

// Controls and extended operations that the service uses where there are any.
const (
	pagedResults   = "1.2.840.113556.1.4.319"  // RFC 2696
	postRead       = "1.3.6.1.1.13.2"          // RFC 4527
	assertion      = "1.3.6.1.1.12"            // RFC 4528
	passwordModify = "1.3.6.1.4.1.4203.1.11.1" // RFC 3062
	startTLS       = "1.3.6.1.4.1.1466.20037"  // RFC 4511, section 4.14
)
