package ldapserver

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
)

// TestOpenLDAPPair holds that two servers that are set up by the files of deploy/openldap have the same entries in the end,
// whichever of them was written to.
func TestOpenLDAPPair(t *testing.T) {
	t.Parallel()
	pair := OpenLDAPPair(t)
	t.Run("both take writes", func(t *testing.T) { checkBothTakeWrites(t, pair) })
	t.Run("an entry is changed at both at once", func(t *testing.T) { checkChangesMerge(t, pair) })
	t.Run("links follow entries in both", func(t *testing.T) { checkLinksInBoth(t, pair) })
	t.Run("a server that was away catches up", func(t *testing.T) { checkCatchingUp(t, pair) })
	t.Run("a server that crashed passes on what it had", func(t *testing.T) { checkCrash(t, pair) })
	t.Run("passwords are passed on", func(t *testing.T) { checkPasswordsPassedOn(t, pair) })
}

// entriesOf returns all entries of a server as text, with the stamp of each one's last change.
func entriesOf(t *testing.T, server *Server) []string {
	t.Helper()
	entries, err := search(server.Connect(t, server.Admin), server.Suffix, "(objectClass=*)", "*", "entryUUID", "entryCSN")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, entry := range entries {
		lines := []string{entry.DN}
		for _, attribute := range entry.Attributes {
			values := slices.Sorted(slices.Values(attribute.Values))
			lines = append(lines, fmt.Sprintf("%s: %q", attribute.Name, values))
		}
		slices.Sort(lines[1:])
		texts = append(texts, strings.Join(lines, "\n"))
	}
	slices.Sort(texts)
	return texts
}

// converge waits until both servers have the same entries, and returns how many.
func converge(t *testing.T, pair [2]*Server) int {
	t.Helper()
	var first, second []string
	defer func() {
		if t.Failed() {
			t.Logf("the servers differ (-first +second):\n%s", cmp.Diff(first, second))
		}
	}()
	eventually(t, "the servers agree", func() bool {
		first, second = entriesOf(t, pair[0]), entriesOf(t, pair[1])
		return slices.Equal(first, second)
	})
	return len(first)
}

func checkBothTakeWrites(t *testing.T, pair [2]*Server) {
	for i, server := range pair {
		service := server.Connect(t, server.Service())
		for j := range 20 {
			mustAdd(t, service, userEntry(server.Bases, fmt.Sprintf("user%d-%d", i, j), fmt.Sprintf("user/username/-/%d-%d", i, j)))
		}
	}
	// Beside the users there are the tree and the three accounts.
	if got, want := converge(t, pair), 40+7; got != want {
		t.Errorf("both have %d entries, want %d", got, want)
	}
	service := pair[1].Connect(t, pair[1].Service())
	if got := code(service.Add(userEntry(pair[1].Bases, "other", "user/username/-/0-0"))); got != ldap.LDAPResultConstraintViolation {
		t.Errorf("add with a key that came from the other server: result %d, want constraintViolation", got)
	}
}

func checkChangesMerge(t *testing.T, pair [2]*Server) {
	fifth := classEntry(pair[0].Bases, "5a", "uid=nobody,"+pair[0].UserBase)
	mustAdd(t, pair[0].Connect(t, pair[0].Service()), fifth)
	converge(t, pair)
	const members = 30
	var wait sync.WaitGroup
	for i, server := range pair {
		service := server.Connect(t, server.Service())
		wait.Go(func() {
			for j := range members {
				if err := addMember(service, fifth.DN, fmt.Sprintf("uid=%d-%d,%s", i, j, server.UserBase)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	converge(t, pair)
	got, _ := links(t, pair[1].Connect(t, pair[1].Service()), fifth.DN)
	if len(got) != 2*members+1 {
		t.Errorf("the class has %d members, want %d", len(got), 2*members+1)
	}
}

func addMember(connection *ldap.Conn, class, member string) error {
	request := ldap.NewModifyRequest(class, nil)
	request.Add("member", []string{member})
	return connection.Modify(request)
}

func checkLinksInBoth(t *testing.T, pair [2]*Server) {
	first, second := pair[0].Connect(t, pair[0].Service()), pair[1].Connect(t, pair[1].Service())
	var classes []string
	only, other := userEntry(pair[0].Bases, "only"), userEntry(pair[0].Bases, "other")
	mustAdd(t, first, only)
	mustAdd(t, first, other)
	for i := range 5 {
		class := classEntry(pair[0].Bases, fmt.Sprintf("class%d", i), only.DN)
		class.Attribute("openCloudEducationTeacherMember", []string{only.DN, other.DN})
		mustAdd(t, first, class)
		classes = append(classes, class.DN)
	}
	converge(t, pair)
	mustDelete(t, second, only.DN)
	for _, class := range classes {
		for _, connection := range []*ldap.Conn{first, second} {
			eventually(t, "the class has lost its only member", func() bool {
				members, teachers := links(t, connection, class)
				return len(members) == 0 && slices.Equal(teachers, []string{other.DN})
			})
		}
	}
	converge(t, pair)
}

func checkCatchingUp(t *testing.T, pair [2]*Server) {
	pair[1].Kill(t)
	service := pair[0].Connect(t, pair[0].Service())
	for i := range 20 {
		mustAdd(t, service, userEntry(pair[0].Bases, fmt.Sprintf("away%d", i)))
	}
	mustDelete(t, service, userEntry(pair[0].Bases, "away0").DN)
	pair[1].Start(t)
	converge(t, pair)
	read(t, pair[1].Connect(t, pair[1].Service()), userEntry(pair[1].Bases, "away19").DN)
}

// checkCrash has a server die with writes that it has acknowledged and the other one has not got.
func checkCrash(t *testing.T, pair [2]*Server) {
	for round := range 3 {
		service := pair[0].Connect(t, pair[0].Service())
		pair[1].Pause(t)
		for i := range 20 {
			mustAdd(t, service, userEntry(pair[0].Bases, fmt.Sprintf("crash%d-%d", round, i)))
		}
		pair[0].Kill(t)
		pair[1].Resume(t)
		pair[0].Start(t)
		converge(t, pair)
		read(t, pair[1].Connect(t, pair[1].Service()), userEntry(pair[1].Bases, fmt.Sprintf("crash%d-19", round)).DN)
	}
}

func checkPasswordsPassedOn(t *testing.T, pair [2]*Server) {
	pupil := userEntry(pair[0].Bases, "pupil")
	pupil.Attribute("userPassword", []string{"a secret"})
	mustAdd(t, pair[0].Connect(t, pair[0].Service()), pupil)
	converge(t, pair)
	checkBind(t, pair[1], pupil.DN, "a secret")
}
