package remote_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// addUsers makes users with the numbers from first on.
func addUsers(t *testing.T, client *remote.Client, bases ldapserver.Bases, first, number int) (dns []string) {
	t.Helper()
	for n := first; n < first+number; n++ {
		id := fmt.Sprintf("0e2f1bd5-9a2d-4a3b-a6c1-%012d", n)
		dn := "openCloudUUID=" + id + "," + bases.UserBase
		_, err := client.Add(t.Context(), &wire.AddRequest{DN: dn, Attributes: []wire.Attribute{
			{Type: "objectClass", Values: []string{"inetOrgPerson", "openCloudObject", "openCloudUser"}},
			{Type: "openCloudUUID", Values: []string{id}},
			{Type: "uid", Values: []string{fmt.Sprint("user", n)}},
			{Type: "cn", Values: []string{"x"}},
			{Type: "sn", Values: []string{"x"}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		dns = append(dns, dn)
	}
	return dns
}

// users returns the DNs of all users.
func users(t *testing.T, client *remote.Client, bases ldapserver.Bases) ([]string, error) {
	t.Helper()
	var dns []string
	err := client.Search(t.Context(), &wire.SearchRequest{
		Base: bases.UserBase, Scope: wire.ScopeSubtree, Filter: wire.Equal("objectClass", "openCloudUser"),
	}, func(entry *wire.Entry) error {
		dns = append(dns, entry.DN)
		return nil
	})
	return dns, err
}

// usersSoon is users on a server that has just come back, which a client notices within a second and no longer than a probe
// may take.
func usersSoon(t *testing.T, client *remote.Client, bases ldapserver.Bases) ([]string, error) {
	t.Helper()
	deadline := time.Now().Add(time.Second + slack)
	found, err := users(t, client, bases)
	for err != nil && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
		found, err = users(t, client, bases)
	}
	return found, err
}

// TestOpenLDAPConnections connects in each way that there is.
func TestOpenLDAPConnections(t *testing.T) {
	t.Parallel()
	server := ldapserver.OpenLDAP(t, ldapserver.WithTLS())
	plain := clientOf(server, server.Bases)
	startTLS, ldaps, socket := plain, plain, plain
	startTLS.StartTLS, startTLS.CAFile = true, server.CAFile
	ldaps.URIs, ldaps.CAFile = []string{server.LDAPSURI}, server.CAFile
	socket.URIs, socket.BindDN, socket.Password = []string{server.SocketURI}, "", nil
	for name, config := range map[string]remote.Config{"plain": plain, "StartTLS": startTLS, "ldaps": ldaps, "ldapi": socket} {
		client := newClient(t, config)
		features, err := client.Features(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		complete := features.Paging && features.PostRead && features.Assertion && features.SchemaKnown && features.UniqueKeys
		if features.Vendor != remote.VendorOpenLDAP || !complete || client.IsPlain() {
			t.Errorf("%s: got %+v", name, features)
		}
		if err := client.Ready(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	startTLS.CAFile = ""
	if err := newClient(t, startTLS).Ready(t.Context()); err == nil {
		t.Error("a certificate of nobody's will do")
	}
}

// TestOpenLDAPPasswords binds with passwords in each of the ways to write them.
func TestOpenLDAPPasswords(t *testing.T) {
	t.Parallel()
	checkPasswords(t, ldapserver.SharedOpenLDAP(t), remote.HashAuto, remote.HashSSHA, remote.HashArgon2)
}

// checkPasswords binds with passwords that are hard to write, one of which looks like the hash of another.
func checkPasswords(t *testing.T, server *ldapserver.Server, ways ...remote.PasswordHash) {
	t.Helper()
	bases := server.Subtree(t)
	for _, how := range ways {
		config := clientOf(server, bases)
		config.PasswordHash = how
		client := newClient(t, config)
		dn := addUsers(t, client, bases, len(how), 1)[0]
		for _, password := range []string{"  * ( ) \\ ü 🏫  ", "{6f0b4d3e}", "{SSHA}r6lzcwX/EJH/++aM6EnoorT7M/9zYWx0"} {
			hash, err := client.HashPassword(t.Context(), password)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Modify(t.Context(), &wire.ModifyRequest{DN: dn, Changes: []wire.Change{
				{Operation: wire.ChangeReplace, Attribute: wire.Attribute{Type: "userPassword", Values: []string{hash}}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			server.Connect(t, ldapserver.Account{DN: dn, Password: password})
		}
		if err := client.Delete(t.Context(), &wire.DeleteRequest{DN: dn}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpenLDAPLists reads more entries than a page holds, and more than a server with a limit returns at once.
func TestOpenLDAPLists(t *testing.T) {
	t.Parallel()
	const number = 1100
	for _, server := range []*ldapserver.Server{ldapserver.SharedOpenLDAP(t), ldapserver.OpenLDAP(t, ldapserver.SizeLimit(700))} {
		bases := server.Subtree(t)
		client := newClient(t, clientOf(server, bases))
		want := addUsers(t, client, bases, 0, number)
		got, err := users(t, client, bases)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %d entries, %v, want %d", len(got), err, number)
		}
	}
}

func TestOpenLDAPLargeEntry(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	bases := server.Subtree(t)
	client := newClient(t, clientOf(server, bases))
	members := make([]string, 50_000)
	for i := range members {
		members[i] = fmt.Sprintf("openCloudUUID=0e2f1bd5-9a2d-4a3b-a6c1-%012d,%s", i, bases.UserBase)
	}
	dn := "cn=all," + bases.ClassBase
	_, err := client.Add(t.Context(), &wire.AddRequest{DN: dn, Attributes: []wire.Attribute{
		{Type: "objectClass", Values: []string{"groupOfNames"}}, {Type: "cn", Values: []string{"all"}}, {Type: "member", Values: members},
	}})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = client.Search(t.Context(), &wire.SearchRequest{Base: dn, Filter: wire.Present("objectClass")}, func(entry *wire.Entry) error {
		seen = len(entry.Values("member"))
		return nil
	})
	if err != nil || seen != len(members) {
		t.Errorf("got %d members, %v", seen, err)
	}
}

// TestOpenLDAPGoes has the server stop, be killed, and pause. Nobody is told that an entry does not exist, and service is
// back a second after the server.
func TestOpenLDAPGoes(t *testing.T) {
	t.Parallel()
	server := ldapserver.OpenLDAP(t)
	config := clientOf(server, server.Bases)
	config.Timeout, config.BindTimeout = time.Second, time.Second
	client := newClient(t, config)
	want := addUsers(t, client, server.Bases, 0, 3)
	for _, way := range []struct {
		name       string
		away, back func()
	}{
		{"stop", func() { server.Stop(t) }, func() { server.Start(t) }},
		{"kill", func() { server.Kill(t) }, func() { server.Start(t) }},
		{"pause", func() { server.Pause(t) }, func() { server.Resume(t) }},
	} {
		way.away()
		for range 3 {
			found, err := users(t, client, server.Bases)
			if _, isResult := wire.CodeOf(err); err == nil || isResult || len(found) > 0 {
				t.Errorf("%s: got %d users, %v", way.name, len(found), err)
			}
			err = client.Delete(t.Context(), &wire.DeleteRequest{DN: want[0]})
			if _, isResult := wire.CodeOf(err); err == nil || isResult {
				t.Errorf("%s: delete: %v", way.name, err)
			}
		}
		way.back()
		found, err := usersSoon(t, client, server.Bases)
		if err != nil {
			t.Fatalf("%s: not back in time: %v", way.name, err)
		}
		if len(found) < len(want)-1 {
			t.Errorf("%s: got %d users", way.name, len(found))
		}
	}
}

// TestOpenLDAPKilledWriting kills the server again and again while users are made. Whoever was told that a user was made
// finds it, and nobody is told that one exists that was never made.
func TestOpenLDAPKilledWriting(t *testing.T) {
	t.Parallel()
	server := ldapserver.OpenLDAP(t)
	client := newClient(t, clientOf(server, server.Bases))
	if err := client.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for range 4 {
			time.Sleep(300 * time.Millisecond)
			server.Kill(t)
			server.Start(t)
		}
		close(stop)
	}()
	made, unknown, refused := map[string]bool{}, 0, 0
	for n, going := 0, true; going; n++ {
		select {
		case <-stop:
			going = false
		default:
		}
		id := fmt.Sprintf("0e2f1bd5-9a2d-4a3b-a6c1-%012d", n)
		dn := "openCloudUUID=" + id + "," + server.UserBase
		_, err := client.Add(t.Context(), &wire.AddRequest{DN: dn, Attributes: []wire.Attribute{
			{Type: "objectClass", Values: []string{"inetOrgPerson", "openCloudObject", "openCloudUser"}},
			{Type: "openCloudUUID", Values: []string{id}},
			{Type: "cn", Values: []string{"x"}},
			{Type: "sn", Values: []string{"x"}},
		}})
		_, isResult := wire.CodeOf(err)
		switch {
		case err == nil:
			made[strings.ToLower(dn)] = true
		case isResult:
			t.Errorf("user %d: %v", n, err)
		case errors.Is(err, wire.ErrOutcomeUnknown):
			unknown++
		default:
			refused++
			time.Sleep(5 * time.Millisecond)
		}
	}
	<-stopped
	found, err := usersSoon(t, client, server.Bases)
	if err != nil {
		t.Fatal(err)
	}
	for _, dn := range found {
		delete(made, strings.ToLower(dn))
	}
	if len(made) > 0 {
		t.Errorf("%d users that were made are not there", len(made))
	}
	t.Logf("%d users there, %d of unknown outcome, %d not made", len(found), unknown, refused)
}
