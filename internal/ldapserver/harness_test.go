package ldapserver

import (
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// checkLifeCycle takes a server through all that tests may do to it. What was written stays.
func checkLifeCycle(t *testing.T, server *Server) {
	t.Helper()
	bases := server.Subtree(t)
	pupil := userEntry(bases, "max", "user/username/-/max")
	mustAdd(t, server.Connect(t, server.Service()), pupil)
	server.Kill(t)
	if connection, err := server.connect(server.Service()); err == nil {
		connection.Close()
		t.Fatal("a server that was killed answers")
	}
	server.Start(t)
	server.Stop(t)
	server.Start(t)
	read(t, server.Connect(t, server.Service()), pupil.DN)
	server.Pause(t)
	if answersSoon(server) {
		t.Error("a server that is paused answers")
	}
	server.Resume(t)
	read(t, server.Connect(t, server.Service()), pupil.DN)
}

// checkPlainSchema holds that a server as OpenCloud's schema leaves it knows nothing of the service: it refuses unique
// keys with the given result and leaves links alone.
func checkPlainSchema(t *testing.T, server *Server, refusal uint16) {
	t.Helper()
	service := server.Connect(t, server.Service())
	for _, bases := range []Bases{server.Bases, server.Subtree(t)} {
		if got := code(service.Add(userEntry(bases, "max", "user/username/-/max"))); got != refusal {
			t.Errorf("an entry with a unique key below %s: result %d, want %d", bases.Suffix, got, refusal)
		}
		pupil := userEntry(bases, "max")
		mustAdd(t, service, pupil)
		fifth := classEntry(bases, "5a", pupil.DN)
		mustAdd(t, service, fifth)
		mustDelete(t, service, pupil.DN)
		if got := read(t, service, fifth.DN).GetAttributeValues("member"); len(got) != 1 || got[0] != pupil.DN {
			t.Errorf("the members of a class are %q, want the one who has gone", got)
		}
	}
}

// checkSizeLimit holds that a server has a limit of five entries, and that paging gets so many and no more, or the rest
// too.
func checkSizeLimit(t *testing.T, server *Server, inPages uint16) {
	t.Helper()
	service := server.Connect(t, server.Service())
	bases := server.Subtree(t)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		mustAdd(t, service, userEntry(bases, name))
	}
	request := ldap.NewSearchRequest(bases.UserBase, ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 0, 0, false, "(uid=*)", nil, nil)
	if _, err := service.Search(request); code(err) != ldap.LDAPResultSizeLimitExceeded {
		t.Errorf("a search for 6 entries: %v, want sizeLimitExceeded", err)
	}
	if _, err := service.SearchWithPaging(request, 2); code(err) != inPages {
		t.Errorf("a search for 6 entries in pages: %v, want result %d", err, inPages)
	}
}
