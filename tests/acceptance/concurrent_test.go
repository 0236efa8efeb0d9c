package acceptance

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// try is call for a goroutine beside the test's own and for a service that may die: that there is no answer is an
// error, not the end of the test. The exchange is checked as call does;
// a request that is refused may depart from the contract.
func (s *server) try(t testing.TB, method, path string, body any, options ...option) (*answer, error) {
	t.Helper()
	c := &call{header: http.Header{"Authorization": {"Bearer " + s.token}}}
	content := encodeBody(t, body)
	request, err := http.NewRequest(method, "http://"+s.http+s.root+"/v1.0/education"+path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	if content != nil {
		c.header.Set("Content-Type", "application/json")
	}
	for _, option := range options {
		option(c)
	}
	request.Header = c.header
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	received, err := io.ReadAll(response.Body)
	if err := firstError(err, response.Body.Close()); err != nil {
		return nil, err
	}
	got := &answer{t: t, what: method + " " + path, status: response.StatusCode, header: response.Header, body: received}
	s.check(got, exchange{
		request: request, requestBody: content, outside: c.outside || got.status >= http.StatusBadRequest,
		path:   strings.TrimPrefix(request.URL.EscapedPath(), s.root+"/v1.0"),
		status: got.status, header: got.header, response: received,
	})
	return got, nil
}

// mustTry is try for a service that stays alive. Without an answer it reports an error and returns nil.
func (s *server) mustTry(t testing.TB, method, path string, body any, options ...option) *answer {
	t.Helper()
	got, err := s.try(t, method, path, body, options...)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
	return got
}

// inParallel calls a function with the numbers from 0 to count-1, at most limit of them at the same time. The first
// limit calls begin together.
func inParallel(count, limit int, call func(i int)) {
	var calls sync.WaitGroup
	begin, numbers := make(chan struct{}), make(chan int, count)
	for i := range count {
		numbers <- i
	}
	close(numbers)
	for range min(count, limit) {
		calls.Go(func() {
			<-begin
			for i := range numbers {
				call(i)
			}
		})
	}
	close(begin)
	calls.Wait()
}

// checkFile runs "education check" on the data of a service that does not run, if that keeps any.
func (s *server) checkFile(t testing.TB) {
	t.Helper()
	if s.backend != nil {
		return
	}
	command := exec.Command(binary, "check")
	command.Env, command.Dir = s.env, t.TempDir()
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("education check: %v\n%s", err, output)
	}
}

// The bases of classes and schools, beside userBase.
const (
	classBase  = "ou=groups," + namingContext
	schoolBase = "ou=tenants," + namingContext
)

// below returns the entries below a base, with all their attributes, sorted by their DNs.
func below(t testing.TB, connection *ldap.Conn, base string) []*ldap.Entry {
	t.Helper()
	found, err := connection.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		"(!(entryDN="+ldap.EscapeFilter(base)+"))", []string{"*"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(found.Entries, func(a, b *ldap.Entry) int { return cmp.Compare(a.DN, b.DN) })
	return found.Entries
}

// checkReferences expects that every link of the directory leads to an entry, and that no value that has to be unique is
// there twice. It reads over LDAP, past everything that the API might hide.
func (s *server) checkReferences(t testing.TB) {
	t.Helper()
	if s.backend != nil {
		time.Sleep(serverPatience) // slapo-refint takes links out some time after the entry.
	}
	connection := s.administrator(t)
	users, schools := map[string]bool{}, map[string]bool{}
	once := map[string]string{}
	unique := func(entry *ldap.Entry, what, value string) {
		key := what + " " + strings.ToLower(value)
		if other, taken := once[key]; taken && value != "" {
			t.Errorf("two entries have the same %s: %s and %s", key, other, entry.DN)
		}
		once[key] = entry.DN
	}
	for _, entry := range below(t, connection, schoolBase) {
		schools[entry.GetAttributeValue("openCloudUUID")] = true
		unique(entry, "school name", entry.GetAttributeValue("ou"))
		unique(entry, "school number", entry.GetAttributeValue("openCloudEducationSchoolNumber"))
		unique(entry, "school externalId", entry.GetAttributeValue("openCloudEducationExternalId"))
	}
	people, classes := below(t, connection, userBase), below(t, connection, classBase)
	for _, entry := range people {
		users[strings.ToLower(entry.DN)] = true
		unique(entry, "username", entry.GetAttributeValue("uid"))
	}
	for _, entry := range slices.Concat(people, classes) {
		unique(entry, "id", entry.GetAttributeValue("openCloudUUID"))
		_, base, _ := strings.Cut(entry.DN, ",")
		scope := fmt.Sprintf("%s externalId of school %q", base, entry.GetAttributeValues("openCloudMemberOfSchool"))
		unique(entry, scope, entry.GetAttributeValue("openCloudEducationExternalId"))
		for _, school := range entry.GetAttributeValues("openCloudMemberOfSchool") {
			if !schools[school] {
				t.Errorf("%s is in school %s, which does not exist", entry.DN, school)
			}
		}
		for _, attribute := range []string{"member", "openCloudEducationTeacherMember"} {
			for _, dn := range entry.GetAttributeValues(attribute) {
				if dn != "" && !users[strings.ToLower(dn)] { // A class without members has the empty DN as one.
					t.Errorf("%s of %s is %s, who does not exist", attribute, entry.DN, dn)
				}
			}
		}
	}
}
