package acceptance

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
)

// userState is what a user entry holds that the test changes.
type userState struct {
	DisplayName, ExternalID, School string
}

// classState is what a class entry holds that the test changes.
type classState struct {
	School   string
	Members  map[string]bool // by username
	Teachers map[string]bool
}

// holdings are the entities that one client has made.
type holdings struct {
	People map[string]userState  // by username
	Groups map[string]classState // by externalId
}

func (h holdings) clone() holdings {
	groups := make(map[string]classState, len(h.Groups))
	for name, g := range h.Groups {
		groups[name] = classState{School: g.School, Members: maps.Clone(g.Members), Teachers: maps.Clone(g.Teachers)}
	}
	return holdings{People: maps.Clone(h.People), Groups: groups}
}

// owner is a client that changes entities which nobody else changes. It sends one request at a time, so after a crash
// there are two states that its entities may have: the one before its last request, and the one after it.
type owner struct {
	name    string
	server  *server
	schools []string
	// made counts the names that were given, answered the requests that succeeded, and lucky those that were carried
	// out although the service was gone before it could answer.
	made, answered, lucky int
	// acknowledged is the state after the last request that was answered, attempted the one that the request after
	// it asks for.
	acknowledged, attempted holdings
}

// step is a request: what to send, the status of its success, and what it does to the holdings.
type step struct {
	method, path string
	body         any
	status       int
	apply        func(h holdings)
}

// work sends requests until the service is gone.
func (o *owner) work(t testing.TB, random *rand.Rand) {
	for {
		s := o.choose(random)
		o.attempted = o.acknowledged.clone()
		s.apply(o.attempted)
		got, err := o.server.try(t, s.method, s.path, s.body)
		if err != nil {
			return
		}
		if got.status != s.status {
			t.Errorf("%s: got %d, want %d\n%s", got.what, got.status, s.status, got.body)
			return
		}
		o.acknowledged = o.attempted
		o.answered++
	}
}

// choose returns a request that will succeed.
func (o *owner) choose(random *rand.Rand) step {
	people := slices.Sorted(maps.Keys(o.acknowledged.People))
	groups := slices.Sorted(maps.Keys(o.acknowledged.Groups))
	school := o.schools[random.IntN(len(o.schools))]
	if len(people) < 3 {
		return o.createPerson(school)
	}
	one := people[random.IntN(len(people))]
	if len(groups) == 0 {
		return o.createGroup(school, people[:2])
	}
	class := groups[random.IntN(len(groups))]
	switch choice := random.IntN(20); {
	case choice < 4:
		return o.createPerson(school)
	case choice < 7:
		return o.changePerson(one)
	case choice < 8 && len(people) > 12:
		return o.deletePerson(one)
	case choice < 10:
		return o.movePerson(one, school)
	case choice < 13:
		return o.linkPerson(one, school)
	case choice < 14:
		return o.createGroup(school, people[:2])
	case choice < 15 && len(groups) > 3:
		return o.deleteGroup(class)
	case choice < 18:
		return o.linkMember(class, "members", one)
	default:
		return o.linkMember(class, "teachers", one)
	}
}

// next returns a name that this client has not used.
func (o *owner) next(word string) string {
	o.made++
	return fmt.Sprintf("%s-%s%d", o.name, word, o.made)
}

func (o *owner) createPerson(school string) step {
	name := o.next("user")
	body := entity{"displayName": "User " + name, "onPremisesSamAccountName": name, "externalId": name}
	return step{http.MethodPost, "/schools/" + school + "/users", body, http.StatusCreated, func(h holdings) {
		h.People[name] = userState{DisplayName: "User " + name, ExternalID: name, School: school}
	}}
}

func (o *owner) changePerson(name string) step {
	change := o.next("change")
	body := entity{"displayName": "User " + change, "externalId": change, "givenName": change}
	return step{http.MethodPatch, "/users/" + name, body, http.StatusOK, func(h holdings) {
		h.People[name] = userState{DisplayName: "User " + change, ExternalID: change, School: h.People[name].School}
	}}
}

func (o *owner) deletePerson(name string) step {
	return step{http.MethodDelete, "/users/" + name, nil, http.StatusNoContent, func(h holdings) {
		delete(h.People, name)
		for _, g := range h.Groups {
			delete(g.Members, name)
			delete(g.Teachers, name)
		}
	}}
}

func (o *owner) movePerson(name, school string) step {
	body := entity{"schools@odata.bind": []string{"/schools/" + school}}
	return step{http.MethodPatch, "/users/" + name, body, http.StatusOK, o.putInto(name, school)}
}

// linkPerson takes a user who is in a school out of it, and puts another one into the school.
func (o *owner) linkPerson(name, school string) step {
	if current := o.acknowledged.People[name].School; current != "" {
		path := "/schools/" + current + "/users/" + name + "/$ref"
		return step{http.MethodDelete, path, nil, http.StatusNoContent, o.putInto(name, "")}
	}
	return step{http.MethodPost, "/schools/" + school + "/users/$ref", ref("/users/" + name), http.StatusNoContent, o.putInto(name, school)}
}

func (o *owner) putInto(name, school string) func(holdings) {
	return func(h holdings) {
		changed := h.People[name]
		changed.School = school
		h.People[name] = changed
	}
}

func (o *owner) createGroup(school string, members []string) step {
	name := o.next("class")
	references := make([]string, len(members))
	for i, member := range members {
		references[i] = "/users/" + member
	}
	body := entity{
		"displayName": "Class " + name, "classification": "class", "externalId": name,
		"members@odata.bind": references, "teachers@odata.bind": references[:1],
	}
	return step{http.MethodPost, "/schools/" + school + "/classes", body, http.StatusCreated, func(h holdings) {
		made := classState{School: school, Members: map[string]bool{}, Teachers: map[string]bool{members[0]: true}}
		for _, member := range members {
			made.Members[member] = true
		}
		h.Groups[name] = made
	}}
}

func (o *owner) deleteGroup(name string) step {
	return step{http.MethodDelete, "/classes/" + name, nil, http.StatusNoContent, func(h holdings) { delete(h.Groups, name) }}
}

// linkMember takes a user who belongs to a class out of it, and puts another one into it.
func (o *owner) linkMember(class, navigation, name string) step {
	links := func(h holdings) map[string]bool {
		if navigation == "members" {
			return h.Groups[class].Members
		}
		return h.Groups[class].Teachers
	}
	path := "/classes/" + class + "/" + navigation
	if links(o.acknowledged)[name] {
		return step{http.MethodDelete, path + "/" + name + "/$ref", nil, http.StatusNoContent, func(h holdings) { delete(links(h), name) }}
	}
	return step{http.MethodPost, path + "/$ref", ref("/users/" + name), http.StatusNoContent, func(h holdings) { links(h)[name] = true }}
}

// settle compares what is there with what may be there, and goes on from that.
func (o *owner) settle(t testing.TB, found holdings) {
	t.Helper()
	before, after := cmp.Diff(o.acknowledged, found), cmp.Diff(o.attempted, found)
	if before != "" && after != "" {
		t.Errorf("%s: what is there is neither the state before the last request (-want +got):\n%s\nnor the one after it:\n%s",
			o.name, before, after)
	}
	if before != "" {
		o.lucky++
	}
	o.acknowledged = found
}

// holdingsOf reads what the clients have made over LDAP.
func (s *server) holdingsOf(t testing.TB) map[string]holdings {
	t.Helper()
	connection := s.administrator(t)
	defer func() { _ = connection.Close() }()
	all, names := map[string]holdings{}, map[string]string{}
	of := func(name string) holdings {
		client, _, _ := strings.Cut(name, "-")
		if _, known := all[client]; !known {
			all[client] = holdings{People: map[string]userState{}, Groups: map[string]classState{}}
		}
		return all[client]
	}
	for _, entry := range below(t, connection, userBase) {
		name := entry.GetAttributeValue("uid")
		names[entry.DN] = name
		of(name).People[name] = userState{
			DisplayName: entry.GetAttributeValue("displayName"), School: entry.GetAttributeValue("openCloudMemberOfSchool"),
			ExternalID: entry.GetAttributeValue("openCloudEducationExternalId"),
		}
	}
	for _, entry := range below(t, connection, classBase) {
		name := entry.GetAttributeValue("openCloudEducationExternalId")
		found := classState{
			School:  entry.GetAttributeValue("openCloudMemberOfSchool"),
			Members: map[string]bool{}, Teachers: map[string]bool{},
		}
		for _, dn := range entry.GetAttributeValues("member") {
			if dn != "" {
				found.Members[names[dn]] = true
			}
		}
		for _, dn := range entry.GetAttributeValues("openCloudEducationTeacherMember") {
			found.Teachers[names[dn]] = true
		}
		of(name).Groups[name] = found
	}
	return all
}

// checkLists expects the API to show the same users and classes as the directory.
func (s *server) checkLists(t testing.TB, all map[string]holdings) {
	t.Helper()
	users, classes := 0, 0
	for _, held := range all {
		users, classes = users+len(held.People), classes+len(held.Groups)
	}
	if got := len(s.get(t, "/users").list()); got != users {
		t.Errorf("the API lists %d users, the directory %d", got, users)
	}
	if got := len(s.get(t, "/classes").list()); got != classes {
		t.Errorf("the API lists %d classes, the directory %d", got, classes)
	}
}

// TestKill kills the service again and again while clients write, and expects that everything that was acknowledged is
// there, that everything else is there as a whole or not at all, and that nothing is there twice.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := 50
	s := start(t)
	if testing.Short() || s.backend != nil {
		rounds = 5
	}
	schools := []string{s.school(t), s.school(t), s.school(t)}
	owners := make([]*owner, 6)
	for i := range owners {
		owners[i] = &owner{
			name: fmt.Sprintf("client%d", i), server: s, schools: schools,
			acknowledged: holdings{People: map[string]userState{}, Groups: map[string]classState{}},
		}
	}
	for round := range rounds {
		var running sync.WaitGroup
		for i, o := range owners {
			running.Go(func() { o.work(t, rand.New(rand.NewPCG(uint64(round), uint64(i)))) })
		}
		time.Sleep(time.Duration(10+rand.IntN(150)) * time.Millisecond)
		s.kill(t)
		running.Wait()
		s.checkFile(t)
		s.startAgain(t)
		found := s.holdingsOf(t)
		s.checkLists(t, found)
		for _, o := range owners {
			held, some := found[o.name]
			if !some {
				held = holdings{People: map[string]userState{}, Groups: map[string]classState{}}
			}
			o.settle(t, held)
		}
		s.checkReferences(t)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	answered, lucky := 0, 0
	for _, o := range owners {
		answered, lucky = answered+o.answered, lucky+o.lucky
	}
	t.Logf("%d requests were answered before the kills, and %d more were carried out", answered, lucky)
	if answered < rounds {
		t.Errorf("the clients have done too little for the test to mean anything: %d requests", answered)
	}
}

// TestKillWhileASchoolIsDeleted kills the service while it takes the users out of a school, and expects that a repeated
// DELETE finishes what the first one has begun, and that no user is lost.
func TestKillWhileASchoolIsDeleted(t *testing.T) {
	t.Parallel()
	const users, rounds = 120, 4
	s := start(t)
	schools := make([]string, rounds)
	for round := range schools {
		schools[round] = s.school(t)
	}
	inParallel(rounds*(users+1), 32, func(i int) {
		school := "/schools/" + schools[i%rounds]
		body, path := any(aUser()), school+"/users"
		if i < rounds {
			body, path = aClass(), school+"/classes"
		}
		if got := s.mustTry(t, http.MethodPost, path, body); got != nil && got.status != http.StatusCreated {
			t.Errorf("%s: %d %s", got.what, got.status, got.body)
		}
	})
	// Only now, because a school that has ended takes nobody any more.
	soon := time.Now().Add(2 * time.Second).UTC().Truncate(time.Second)
	for _, school := range schools {
		s.patch(t, "/schools/"+school, entity{"terminationDate": soon.Format(time.RFC3339)}).want(http.StatusOK)
	}
	time.Sleep(time.Until(soon) + 50*time.Millisecond)
	for round, school := range schools {
		s.interruptDeletion(t, school, users*(round+1)/(rounds+1))
		s.checkFile(t)
		s.startAgain(t)
		left := len(s.membersOf(t, s.administrator(t), school))
		t.Logf("the service was killed with %d of %d users left in the school", left, users)
		if got := s.remove(t, "/schools/"+school); got.status != http.StatusNoContent && (left > 0 || got.status != http.StatusNotFound) {
			t.Errorf("the repeated DELETE: %d %s", got.status, got.body)
		}
		s.get(t, "/schools/"+school).wantError(http.StatusNotFound, "itemNotFound")
		s.checkReferences(t)
	}
	if got := len(s.get(t, "/users").list()); got != users*rounds {
		t.Errorf("got %d users, want %d", got, users*rounds)
	}
	if got := len(s.get(t, "/classes").list()); got != rounds {
		t.Errorf("got %d classes, want %d", got, rounds)
	}
	if got := s.get(t, "/schools").list(); len(got) > 0 {
		t.Errorf("got schools %v, want none", got)
	}
}

// interruptDeletion deletes a school and kills the service as soon as no more users than given are in it.
func (s *server) interruptDeletion(t testing.TB, school string, left int) {
	t.Helper()
	watcher := s.administrator(t)
	answered := make(chan error, 1)
	go func() {
		got, err := s.try(t, http.MethodDelete, "/schools/"+school, nil)
		if err == nil && got.status != http.StatusNoContent {
			err = fmt.Errorf("%d %s", got.status, got.body)
		} else if err == nil {
			err = errAnswered
		}
		answered <- err
	}()
	for len(s.membersOf(t, watcher, school)) > left {
		time.Sleep(100 * time.Microsecond)
	}
	s.kill(t)
	if err := <-answered; err == nil {
		t.Error("the DELETE has neither an answer nor an error")
	} else if errors.Is(err, errAnswered) {
		t.Log("the DELETE was answered before the service was killed")
	}
}

// errAnswered says that a request was answered although the service was to be killed before.
var errAnswered = errors.New("answered")

// membersOf returns the users of a school.
func (s *server) membersOf(t testing.TB, connection *ldap.Conn, school string) []*ldap.Entry {
	t.Helper()
	found, err := connection.Search(ldap.NewSearchRequest(userBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		"(openCloudMemberOfSchool="+school+")", []string{"1.1"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	return found.Entries
}
