package migrate_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/migrate"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

const (
	hereSuffix  = "dc=opencloud,dc=eu"
	thereSuffix = "ou=Schulen,o=Land"
)

// TestRoundTrip moves a directory into OpenLDAP and from there into a new directory with other bases. Nothing is lost on
// the way, and a repetition writes nothing.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	first, last := newEmbedded(t, hereSuffix), newEmbedded(t, thereSuffix)
	bases := server.Subtree(t)
	service, admin := newServer(t, server, bases, server.Service()), newServer(t, server, bases, server.Admin)
	signers := first.populate(t, 40)
	const entities = 3 + 40 + 8
	want := first.snapshot(t)
	if len(want) != entities {
		t.Fatalf("the source has %d entities, want %d", len(want), entities)
	}
	before, empty := first.state(t), service.state(t)

	summary, findings := move(t, first, service, migrate.Options{})
	wantFindings(t, findings, map[migrate.Kind]int{})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Added: entities})
	wantSame(t, "the target after a dry run", service.state(t), empty)

	summary, findings = move(t, first, service, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Added: entities})
	if !summary.Verified {
		t.Error("the result was not verified")
	}
	wantSame(t, "the source after the move", first.state(t), before)
	wantSame(t, "what OpenLDAP shows", service.snapshot(t), want)
	service.wantSignIn(t, signers)

	moved := admin.state(t)
	for _, target := range []*tree{service, admin} { // The second one may read passwords too.
		summary, findings = move(t, first, target, migrate.Options{Apply: true, Overwrite: true})
		wantFindings(t, findings, map[migrate.Kind]int{})
		wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Equal: entities})
	}
	wantSame(t, "the target after a repetition", admin.state(t), moved)

	summary, findings = move(t, admin, last, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Added: entities})
	wantSame(t, "what the last directory shows", last.snapshot(t), want)
	last.wantSignIn(t, signers)
	wantSame(t, "the entries at the end of the way", withoutTree(last.dump(t)), withoutTree(first.dump(t)))
}

// withoutTree takes away the entries above those of entities, whose suffixes differ.
func withoutTree(entries map[string]string) map[string]string {
	for name := range entries {
		if !strings.HasPrefix(name, "openCloudUUID=") {
			delete(entries, name)
		}
	}
	return entries
}

// TestPasswordsThatCannotBeRead moves users with an account that may not read their passwords.
func TestPasswordsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	bases := server.Subtree(t)
	service, admin := newServer(t, server, bases, server.Service()), newServer(t, server, bases, server.Admin)
	target := newEmbedded(t, hereSuffix)
	id := service.create(t, education.Users, map[string]any{
		"displayName": "x", "onPremisesSamAccountName": "x", "passwordProfile": map[string]any{"password": password},
	})
	_, findings := move(t, service, target, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{migrate.Passwords: 1}, "the account may not read them")
	if got, err := target.Verify(t.Context(), target.Directory.NameOf(education.Users, id), password); got || err != nil {
		t.Errorf("the password has arrived: %t, %v", got, err)
	}
	_, findings = move(t, service, target, migrate.Options{Apply: true, WithoutPasswords: true})
	wantFindings(t, findings, map[migrate.Kind]int{})
	_, findings = move(t, admin, target, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{migrate.Different: 1}, "passwordProfile")
	summary, _ := move(t, admin, target, migrate.Options{Apply: true, Overwrite: true})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Overwritten: 1})
	target.wantSignIn(t, []string{id})
}

// TestHashesThatNobodyVerifies moves hashes of kinds that the target cannot do anything with.
func TestHashesThatNobodyVerifies(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	admin := newServer(t, server, server.Subtree(t), server.Admin)
	setHash := func(d *tree, id, hash string) {
		t.Helper()
		_, err := d.operations.Modify(t.Context(), &wire.ModifyRequest{DN: d.Directory.NameOf(education.Users, id), Changes: []wire.Change{{
			Operation: wire.ChangeReplace, Attribute: wire.Attribute{Type: "userPassword", Values: []string{hash}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	id := admin.create(t, education.Users, map[string]any{"displayName": "x", "onPremisesSamAccountName": "x"})
	const crypt = "{CRYPT}$6$saltsalt$hash"
	setHash(admin, id, crypt)
	target := newEmbedded(t, hereSuffix)
	for range 2 {
		_, findings := move(t, admin, target, migrate.Options{Apply: true})
		wantFindings(t, findings, map[migrate.Kind]int{migrate.Passwords: 1}, "{CRYPT}")
	}
	if got, err := target.Verify(t.Context(), target.Directory.NameOf(education.Users, id), crypt); got || err != nil {
		t.Errorf("the hash itself is a password: %t, %v", got, err)
	}
	// Salted SHA-512 takes a module that deploy/openldap does not load.
	setHash(target, id, identity512)
	service := newServer(t, server, server.Subtree(t), server.Service())
	service.load(t, [][]string{{"cn=education migrate," + service.bases.UserBase, "objectClass: person", "cn: education migrate", "sn: left behind"}})
	_, findings := move(t, target, service, migrate.Options{Apply: true})
	if _, there := service.dump(t)["cn=education migrate,ou=users"]; there {
		t.Error("the entry with which passwords are tried has stayed")
	}
	wantFindings(t, findings, map[migrate.Kind]int{migrate.Passwords: 1}, "{SSHA512}, which the target takes and does not verify")
}

// identity512 is a salted SHA-512 hash.
const identity512 = "{SSHA512}" +
	"z5mmC7PBRQhi5JcqfWqCmVmsmmeLF5ZURLEBj6MQpA+wvX7ZCSGAAx4PR5OH9zvVBDD8SRwuTzkSV1jF6FSWTHNhbHRzYWx0"

// TestBrokenOff breaks a move off at some write, again and again, until it comes to its end. The result is that of a move
// that nothing disturbs.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	source := newEmbedded(t, hereSuffix)
	source.populate(t, 24)
	want := source.snapshot(t)
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		target := newServer(t, server, server.Subtree(t), server.Service())
		if round%2 == 0 {
			target = newEmbedded(t, thereSuffix)
		}
		breaks := 0
		for breakOff(t, source, target, rand.N(16)) {
			if breaks++; breaks > 1000 {
				t.Fatal("the move gets nowhere")
			}
		}
		if breaks == 0 {
			t.Error("the move was never broken off")
		}
		wantSame(t, "the target", target.snapshot(t), want)
		_, findings := move(t, source, target, migrate.Options{Apply: true})
		wantFindings(t, findings, map[migrate.Kind]int{})
	}
}

// breakOff moves, breaks off after some writes, and reports whether that was before the end.
func breakOff(t *testing.T, source, target *tree, writes int) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	trip := &tripping{Operations: target.operations, left: make(chan struct{}, writes+1), cancel: cancel}
	for range writes + 1 {
		trip.left <- struct{}{}
	}
	// A write that has been cancelled may have been carried out all the same: the entity is then found to be there.
	_, err := migrate.Move(ctx, source.Side, target.with(t, trip, education.Rules{}).Side, migrate.Options{
		Apply:  true,
		Report: func(f migrate.Finding) { t.Errorf("finding: %s", f) },
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want an end by the context", err)
	}
	return err != nil
}

// TestWhatIsThereAlready moves into a directory that is not empty.
func TestWhatIsThereAlready(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	for name, target := range map[string]*tree{
		"embedded": newEmbedded(t, thereSuffix),
		"OpenLDAP": newServer(t, server, server.Subtree(t), server.Service()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := newEmbedded(t, hereSuffix)
			source.populate(t, 20)
			move(t, source, target, migrate.Options{Apply: true})
			want := source.snapshot(t)
			user, class := idOf(t, target, education.Users, "renamed 0"), idOf(t, target, education.Classes, "c2")
			mine := target.create(t, education.Users, map[string]any{"displayName": "only here", "onPremisesSamAccountName": "mine"})
			target.update(t, education.Users, user, map[string]any{"surname": nil, "externalId": nil, "onPremisesSamAccountName": "else", "schools@odata.bind": []string{"schools(schoolNumber='001')"}})
			teachers, members := education.NavigationOf(education.Classes, "teachers"), education.NavigationOf(education.Classes, "members")
			owner := education.Key{Property: education.Classes.ID, Value: class}
			if err := target.Directory.AddRef(t.Context(), teachers, owner, education.Key{Property: education.Users.ID, Value: mine}); err != nil {
				t.Fatal(err)
			}
			for _, id := range target.related(t, members, class)[1:] {
				if err := target.Directory.RemoveRef(t.Context(), members, owner, education.Key{Property: education.Users.ID, Value: id}); err != nil {
					t.Fatal(err)
				}
			}
			empty := education.Key{Property: education.Classes.ID, Value: source.withoutMembers(t)}
			if err := target.Directory.AddRef(t.Context(), members, empty, education.Key{Property: education.Users.ID, Value: mine}); err != nil {
				t.Fatal(err)
			}
			state := target.state(t)
			_, findings := move(t, source, target, migrate.Options{Apply: true})
			wantFindings(t, findings, map[migrate.Kind]int{migrate.Different: 3},
				"in onPremisesSamAccountName, surname, externalId, schools", "in members, teachers")
			wantSame(t, "the target, without leave to overwrite", target.state(t), state)
			summary, findings := move(t, source, target, migrate.Options{Apply: true, Overwrite: true})
			wantFindings(t, findings, map[migrate.Kind]int{})
			wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Overwritten: 3, migrate.Equal: len(want) - 3})
			got := target.snapshot(t)
			delete(got, mine)
			wantSame(t, "the target, overwritten", got, want)
		})
	}
}

// withoutMembers returns the id of a class that has no members.
func (d *tree) withoutMembers(t *testing.T) string {
	t.Helper()
	answer, err := d.Directory.List(t.Context(), education.Classes, nil)
	if err != nil {
		t.Fatal(err)
	}
	for class, err := range answer.Entities {
		if err == nil && len(d.related(t, education.NavigationOf(education.Classes, "members"), class.ID())) == 0 {
			return class.ID()
		}
	}
	t.Fatal("every class has members")
	return ""
}

// idOf returns the id of the entity with a human key.
func idOf(t *testing.T, d *tree, set *education.EntitySet, key string) string {
	t.Helper()
	entity, err := d.Directory.Get(t.Context(), set, education.Key{Property: set.HumanKey, Value: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return entity.ID()
}

// TestWhatIsInTheWay moves into a directory in which others have the unique values. What depends on an entity that cannot
// be moved stays too, and everything else is moved.
func TestWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	source, target := newEmbedded(t, hereSuffix), newEmbedded(t, thereSuffix)
	source.populate(t, 12)
	number := target.create(t, education.Schools, map[string]any{"displayName": "x", "schoolNumber": "001"})
	_, dry := move(t, source, target, migrate.Options{})
	summary, findings := move(t, source, target, migrate.Options{Apply: true})
	for _, findings := range [][]migrate.Finding{dry, findings} {
		wantFindings(t, findings, map[migrate.Kind]int{migrate.Conflict: 1, migrate.Refused: 3 + 4}, "school/number/-/001 is claimed by another entry in the target: "+number)
	}
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Left: 8, migrate.Added: 3 + 12 + 8 - 8})
	// Once the way is free, a repetition does the rest.
	target.update(t, education.Schools, number, map[string]any{"schoolNumber": "x"})
	summary, findings = move(t, source, target, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Added: 8, migrate.Equal: 3 + 12 + 8 - 8})
}

// TestMoveWithFaults moves a tree of OpenCloud's own with entries that have something wrong.
func TestMoveWithFaults(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedOpenLDAP(t)
	bases := server.Subtree(t)
	source, target := newServer(t, server, bases, server.Admin), newEmbedded(t, thereSuffix)
	entries := append(foreign(bases), broken(bases)...)
	entries = append(entries, []string{"cn=plain group," + bases.ClassBase, "objectClass: groupOfNames", "cn: plain group", "member: "})
	entries[3] = append(entries[3], "telephoneNumber: 112") // tina
	load(t, server.Connect(t, server.Admin), entries, ldap.NewControlString(relaxRules, true, ""))

	summary, findings := move(t, source, target, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{
		migrate.Duplicate: 2, migrate.Malformed: 5, migrate.LostLink: 3, migrate.ForeignLink: 1, migrate.LeftBehind: 2, migrate.Refused: 1, migrate.Passwords: 1,
	}, "stays behind: cn=elsewhere,dc=example,dc=org", "telephoneNumber (1)", bases.ClassBase+" (1)", "the user "+maxID+", one of its members, is not there")
	// Left are the two users with one id, the one without, and the class of one of them.
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Added: 14 - 4, migrate.Left: 4})
	if !summary.Verified {
		t.Error("the result was not verified")
	}
	moved := target.snapshot(t)
	if len(moved) != 14-4-2 { // The users with a broken identity and with two addresses are shown in no list, here as there.
		t.Errorf("the target shows %d entities", len(moved))
	}
	keys := 0
	for _, text := range withoutTree(target.dump(t)) {
		if strings.Contains(text, "school/number/-/0042") && !strings.Contains(text, northID) {
			t.Errorf("the younger school has the number that two claim:\n%s", text)
		}
		keys += strings.Count(text, "educationUniqueKey: ")
	}
	if want := 3 + 1 + 5 + 3 + 2 + 10; keys != want { // names, the number, usernames, externalIds of users, of classes, revisions
		t.Errorf("the entries have %d keys, want %d", keys, want)
	}
	state := target.state(t)
	summary, _ = move(t, source, target, migrate.Options{Apply: true, Overwrite: true})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Equal: 14 - 4, migrate.Left: 4})
	wantSame(t, "the target after a repetition", target.state(t), state)
}

// TestManyMembers moves a class in more than one write, and breaks off in between.
func TestManyMembers(t *testing.T) {
	t.Parallel()
	source, target := newEmbedded(t, hereSuffix), newEmbedded(t, thereSuffix)
	source.populate(t, 40)
	want := source.snapshot(t)
	class := idOf(t, source, education.Classes, "c2")
	inventory, err := source.Directory.TakeInventory(t.Context(), identity.Reading{Links: true})
	if err != nil {
		t.Fatal(err)
	}
	copies, err := source.Directory.ReadCopies(t.Context(), inventory, education.Classes, []string{class}, nil)
	if err != nil || len(copies) != 1 {
		t.Fatalf("%d copies and error %v, want one", len(copies), err)
	}
	for _, set := range []*education.EntitySet{education.Schools, education.Users} {
		moveSet(t, source, target, inventory, set)
	}
	ctx, cancel := context.WithCancel(t.Context())
	trip := &tripping{Operations: target.operations, left: make(chan struct{}, 3), cancel: cancel}
	for range cap(trip.left) {
		trip.left <- struct{}{}
	}
	placing := identity.Placing{LinksAtOnce: 3, Linked: func(id string) (string, bool) { return target.Directory.NameOf(education.Users, id), true }}
	err = target.with(t, trip, education.Rules{}).Directory.Put(ctx, copies[0], placing)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want an end by the context", err)
	}
	if got := target.related(t, education.NavigationOf(education.Classes, "members"), class); len(got) != 9 {
		t.Errorf("the class has %d members, want 9 of three writes", len(got))
	}
	summary, findings := move(t, source, target, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Equal: 3 + 40, migrate.Added: 7, migrate.Overwritten: 1})
	wantSame(t, "the target", target.snapshot(t), want)
	wantSame(t, "its entries", withoutRevision(withoutTree(target.dump(t))), withoutRevision(withoutTree(source.dump(t))))
}

// moveSet puts all entities of one set.
func moveSet(t *testing.T, source, target *tree, inventory *identity.Inventory, set *education.EntitySet) {
	t.Helper()
	var ids []string
	for _, h := range inventory.Holdings {
		if h.Set == set {
			ids = append(ids, h.ID)
		}
	}
	copies, err := source.Directory.ReadCopies(t.Context(), inventory, set, ids, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range copies {
		placing := identity.Placing{Linked: func(id string) (string, bool) { return target.Directory.NameOf(set, id), true }}
		if err := target.Directory.Put(t.Context(), c, placing); err != nil {
			t.Fatal(err)
		}
	}
}

// withoutRevision takes away the revisions, which an entity that was finished later has one more of.
func withoutRevision(entries map[string]string) map[string]string {
	for name, text := range entries {
		lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.Contains(line, "/revision/") })
		entries[name] = strings.Join(lines, "\n")
	}
	return entries
}

// TestDuplicatesInTwoRuns goes on with a move that has broken off after the younger of two schools with one number. The
// older one gets the key all the same.
func TestDuplicatesInTwoRuns(t *testing.T) {
	t.Parallel()
	source, target := newEmbedded(t, hereSuffix), newEmbedded(t, thereSuffix)
	source.load(t, foreign(source.bases))
	source.load(t, broken(source.bases)[:1])
	target.load(t, broken(target.bases)[:1])
	for _, want := range []map[migrate.Outcome]int{{migrate.Added: 6, migrate.Equal: 1}, {migrate.Equal: 7}} {
		summary, findings := move(t, source, target, migrate.Options{Apply: true})
		wantFindings(t, findings, map[migrate.Kind]int{migrate.Duplicate: 1}, "school/number/-/0042")
		wantOutcomes(t, summary, want)
	}
	if north := target.dump(t)["openCloudUUID="+northID+",ou=tenants"]; !strings.Contains(north, "educationUniqueKey: school/number/-/0042\n") {
		t.Errorf("the older school lacks the key of its number:\n%s", north)
	}
}

// TestMoveTo389 moves a directory into 389 Directory Server, with the account of the service. Debian's does not verify the
// hashes of the directory in the process.
func TestMoveTo389(t *testing.T) {
	t.Parallel()
	server := ldapserver.SharedDirectoryServer389(t)
	source, target := newEmbedded(t, hereSuffix), newServer(t, server, server.Subtree(t), server.Service())
	source.populate(t, 12)
	want := source.snapshot(t)
	summary, findings := move(t, source, target, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{migrate.Passwords: 1}, "{ARGON2}, which the target takes and does not verify")
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Added: len(want)})
	if !summary.Verified {
		t.Error("the result was not verified")
	}
	wantSame(t, "what the server shows", target.snapshot(t), want)
	summary, _ = move(t, source, target, migrate.Options{Apply: true, WithoutPasswords: true})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Equal: len(want)})
	summary, findings = inPlace(t, target, migrate.Options{Apply: true})
	wantFindings(t, findings, map[migrate.Kind]int{})
	wantOutcomes(t, summary, map[migrate.Outcome]int{migrate.Current: len(want)})
}
