package remote_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// crowd is a directory with classes of many members.
type crowd struct {
	*identity.Directory
	operations identity.Operations
	bases      ldapserver.Bases
	// server is the server of the directory, nil if that is in the process.
	server *ldapserver.Server
	// isDurable says that it is an OpenLDAP server that waits for its disk.
	isDurable bool
}

var members = education.NavigationOf(education.Classes, "members")

func embeddedCrowd(t testing.TB) *crowd {
	t.Helper()
	bases := ldapserver.Bases{Suffix: contextDN, UserBase: usersDN, ClassBase: groupsDN, SchoolBase: tenantsDN}
	store, err := embedded.Open(embedded.Config{
		Path: filepath.Join(t.TempDir(), "directory.db"), Containers: []string{usersDN, groupsDN, tenantsDN},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return newCrowd(t, store, bases, nil)
}

func openLDAPCrowd(t testing.TB) *crowd {
	t.Helper()
	return crowdOn(t, ldapserver.OpenLDAP(t))
}

// durableOpenLDAPCrowd returns one whose server waits for its disk, as those do that deploy/openldap sets up.
func durableOpenLDAPCrowd(t testing.TB) *crowd {
	t.Helper()
	c := crowdOn(t, ldapserver.OpenLDAP(t, ldapserver.Durable()))
	c.isDurable = true
	return c
}

func crowd389(t testing.TB) *crowd {
	t.Helper()
	return crowdOn(t, ldapserver.DirectoryServer389(t))
}

func crowdOn(t testing.TB, server *ldapserver.Server) *crowd {
	t.Helper()
	return newCrowd(t, newClient(t, clientOf(server, server.Bases)), server.Bases, server)
}

func newCrowd(t testing.TB, operations identity.Operations, bases ldapserver.Bases, server *ldapserver.Server) *crowd {
	t.Helper()
	directory, err := identity.New(identity.Config{
		Operations: operations, UserBase: bases.UserBase, ClassBase: bases.ClassBase, SchoolBase: bases.SchoolBase,
		LooseMatching: server != nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &crowd{Directory: directory, operations: operations, bases: bases, server: server}
}

func crowdID(i int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", i) }

func (c *crowd) userDN(i int) string { return "openCloudUUID=" + crowdID(i) + "," + c.bases.UserBase }

func (c *crowd) classDN(id string) string { return "openCloudUUID=" + id + "," + c.bases.ClassBase }

func userKey(i int) education.Key {
	return education.Key{Property: education.Users.ID, Value: crowdID(i)}
}

func classKey(id string) education.Key {
	return education.Key{Property: education.Classes.ID, Value: id}
}

// addUsers makes users with the numbers from first on. The server need not keep them through a failure of power meanwhile.
func (c *crowd) addUsers(t testing.TB, first, number int) {
	t.Helper()
	c.setNoSync(t, true)
	defer c.setNoSync(t, false)
	// The embedded directory commits the writes of many at the same moment together.
	const workers = 64
	var wait sync.WaitGroup
	for worker := range workers {
		wait.Go(func() {
			for i := first + worker; i < first+number; i += workers {
				if _, err := c.operations.Add(t.Context(), c.newUser(i)); err != nil {
					t.Errorf("add a user: %v", err)
					return
				}
			}
		})
	}
	wait.Wait()
}

func (c *crowd) newUser(i int) *wire.AddRequest {
	name := fmt.Sprintf("user%d", i)
	request := &wire.AddRequest{DN: c.userDN(i), Attributes: []wire.Attribute{
		{Type: "objectClass", Values: education.Users.ObjectClasses},
		{Type: "openCloudUUID", Values: []string{crowdID(i)}},
		{Type: "openCloudEducationExternalId", Values: []string{fmt.Sprintf("ext-%d", i)}},
		{Type: "educationUniqueKey", Values: []string{"user/username/-/" + name, fmt.Sprintf("user/externalId/-/ext-%d", i)}},
	}}
	for _, attribute := range []string{"uid", "cn", "sn", "displayName", "givenName"} {
		request.Attributes = append(request.Attributes, wire.Attribute{Type: attribute, Values: []string{name}})
	}
	return request
}

// setNoSync sets whether a durable server confirms writes before they are on disk.
func (c *crowd) setNoSync(t testing.TB, value bool) {
	t.Helper()
	if !c.isDurable {
		return
	}
	change := ldap.NewModifyRequest("olcDatabase={1}mdb,cn=config", nil)
	change.Replace("olcDbNoSync", []string{map[bool]string{true: "TRUE", false: "FALSE"}[value]})
	if err := c.server.Connect(t, c.server.Admin).Modify(change); err != nil {
		t.Fatal(err)
	}
}

// addClass makes a class whose members are the first of the users, and returns its id.
func (c *crowd) addClass(t testing.TB, size int) string {
	t.Helper()
	id := fmt.Sprintf("10000000-0000-7000-8000-%012d", size)
	dns := make([]string, size)
	for i := range dns {
		dns[i] = c.userDN(i)
	}
	_, err := c.operations.Add(t.Context(), &wire.AddRequest{DN: c.classDN(id), Attributes: []wire.Attribute{
		{Type: "objectClass", Values: education.Classes.ObjectClasses},
		{Type: "openCloudUUID", Values: []string{id}},
		{Type: "cn", Values: []string{"class"}},
		{Type: "openCloudEducationClassType", Values: []string{"class"}},
		{Type: "member", Values: dns},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// memberIDs returns the ids of a class's members, in order.
func (c *crowd) memberIDs(t testing.TB, class string) []string {
	t.Helper()
	answer, err := c.ListRelated(t.Context(), members, classKey(class), nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for user, err := range answer.Entities {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, user.ID())
	}
	slices.Sort(ids)
	return ids
}

// TestNoMemberIsLost has many writers add and remove members of one class, each others of the users, while nobody touches
// the rest. The class crosses the size at which OpenLDAP keeps its members apart, in both directions.
func TestNoMemberIsLost(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *crowd{"embedded": embeddedCrowd, "OpenLDAP": openLDAPCrowd} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Between 400 and 1,100 members: the thresholds of deploy/openldap are 1,000 and 500.
			const untouched, writers, each = 400, 8, 700 / 8
			c := open(t)
			c.addUsers(t, 0, untouched+writers*each)
			class := c.addClass(t, untouched)
			var want []string
			for _, i := range c.churnAll(t, class, untouched, writers, each) {
				want = append(want, crowdID(i))
			}
			if got := c.memberIDs(t, class); !slices.Equal(got, want) {
				t.Errorf("the class has %d members, want %d of them", len(got), len(want))
			}
			c.checkClasses(t, untouched, class)
			c.checkClasses(t, untouched+each-1)
			// A member who is deleted leaves the class, a moment later in OpenLDAP.
			if err := c.Delete(t.Context(), education.Users, userKey(0)); err != nil {
				t.Fatal(err)
			}
			deadline := time.Now().Add(patience)
			for !slices.Equal(c.memberIDs(t, class), want[1:]) {
				if time.Now().After(deadline) {
					t.Fatal("a deleted user is still a member, or somebody else is none any more")
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

// checkClasses looks at a user's classes, which are found by their members.
func (c *crowd) checkClasses(t *testing.T, user int, want ...string) {
	t.Helper()
	answer, err := c.ListRelated(t.Context(), education.NavigationOf(education.Users, "classes"), userKey(user), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for class, err := range answer.Entities {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, class.ID())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the classes of a user are %v, want %v", got, want)
	}
}

// TestNoMemberOfManyIsLost is the same with as many members as the service is made for, or in short mode with more than
// OpenLDAP keeps in the entry itself. OpenLDAP does not ask whether they exist, so there they do not, apart from those that the
// writers add and remove.
func TestNoMemberOfManyIsLost(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *crowd{"embedded": embeddedCrowd, "OpenLDAP": openLDAPCrowd} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const writers = 8
			many, each := identitytest.Effort(2000, manyMembers, manyMembers), identitytest.Effort(10, 10, 20)
			c := open(t)
			if c.server == nil {
				c.addUsers(t, 0, many)
			}
			c.addUsers(t, many, writers*each)
			class := c.addClass(t, many)
			var want []string
			for _, i := range c.churnAll(t, class, many, writers, each) {
				want = append(want, c.userDN(i))
			}
			if got := c.heldMembers(t, class); !slices.Equal(got, want) {
				t.Errorf("the class has %d members, want %d of them", len(got), len(want))
			}
		})
	}
}

// heldMembers returns what a class has for members, in order, whether those exist or not.
func (c *crowd) heldMembers(t *testing.T, class string) []string {
	t.Helper()
	var dns []string
	request := &wire.SearchRequest{
		Base: c.classDN(class), Filter: wire.Present("objectClass"), Attributes: []string{"member"},
	}
	err := c.operations.Search(t.Context(), request, func(entry *wire.Entry) error {
		dns = slices.Sorted(slices.Values(entry.Values("member")))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dns
}

// churnAll has several writers churn a class side by side, each with users of its own from the number first on, and returns
// the numbers of those who are members then: all before the first, and the first half of each writer's.
func (c *crowd) churnAll(t *testing.T, class string, first, writers, each int) []int {
	t.Helper()
	var wait sync.WaitGroup
	for writer := range writers {
		wait.Go(func() { c.churn(t, class, first+writer*each, each) })
	}
	wait.Wait()
	var left []int
	for i := range first + writers*each {
		if i < first || (i-first)%each < each/2 {
			left = append(left, i)
		}
	}
	return left
}

// churn adds some users to a class in any order, takes them out again, and adds the first half of them once more.
func (c *crowd) churn(t *testing.T, class string, from, number int) {
	for _, i := range rand.Perm(number) {
		if err := c.AddRef(t.Context(), members, classKey(class), userKey(from+i)); err != nil {
			t.Errorf("add a member: %v", err)
		}
	}
	for _, i := range rand.Perm(number) {
		if err := c.RemoveRef(t.Context(), members, classKey(class), userKey(from+i)); err != nil {
			t.Errorf("remove a member: %v", err)
		}
	}
	for _, i := range rand.Perm(number / 2) {
		if err := c.AddRef(t.Context(), members, classKey(class), userKey(from+i)); err != nil {
			t.Errorf("add a member again: %v", err)
		}
	}
}

// The sizes of the classes that BenchmarkMembers compares.
const fewMembers, manyMembers = 50, 50_000

// maxGrowth is how many times as much as in the small class a change of the large one may cost, and maxOverhead how many
// times as much as the bare Modify on a server, in the large class.
const (
	maxGrowth   = 2
	maxOverhead = 2
)

// BenchmarkMembers measures what adding and removing a member costs in a small and in a large class, by turns, and lists
// the large class. In the embedded directory both cost the same. OpenLDAP reads, copies and compares all members for every
// change of an entry, and 389 Directory Server does no better (docs/decisions/0023), so on servers the same Modify is
// measured without the service, too, which must add little to it. Most of the time, minutes on servers, goes into making
// the users. Its metrics, all medians:
//
//	service-…-ms      a change through the service
//	bare-…-ms         the same Modify of a client that does nothing else
//	own-…-ms          the difference: what the service adds
//	…-cpu-ms          how long the server's threads ran for it, which a busy machine does not change
func BenchmarkMembers(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *crowd{
		"embedded": embeddedCrowd, "OpenLDAP": durableOpenLDAPCrowd, "389DS": crowd389,
	} {
		b.Run(name, func(b *testing.B) { open(b).benchmarkMembers(b) })
	}
}

// A memberChange adds a user to a class or removes one.
type memberChange func(b *testing.B, class string, user int, add bool)

func (c *crowd) viaService(b *testing.B, class string, user int, add bool) {
	change := c.RemoveRef
	if add {
		change = c.AddRef
	}
	if err := change(b.Context(), members, classKey(class), userKey(user)); err != nil {
		b.Fatal(err)
	}
}

// bare returns the same change as one Modify of go-ldap's on a connection of its own.
func (c *crowd) bare(b *testing.B) memberChange {
	connection := c.server.Connect(b, c.server.Service())
	return func(b *testing.B, class string, user int, add bool) {
		request := ldap.NewModifyRequest(c.classDN(class), nil)
		if add {
			request.Add("member", []string{c.userDN(user)})
		} else {
			request.Delete("member", []string{c.userDN(user)})
		}
		if err := connection.Modify(request); err != nil {
			b.Fatal(err)
		}
	}
}

// memberTimes are the times of changes, by what kind of change it is and how it was timed.
type memberTimes map[string][]time.Duration

// A kind of change: who makes it, in a class of which size, and whether a member is added.
type kind struct {
	way  string
	size int
	add  bool
}

func (k kind) String() string {
	return fmt.Sprintf("%s-%s-%d", k.way, map[bool]string{true: "add", false: "remove"}[k.add], k.size)
}

// note makes a change and notes how long it took, and how long the server ran for it, if there is one.
func (c *crowd) note(b *testing.B, times memberTimes, k kind, change func()) {
	var before time.Duration
	if c.server != nil {
		before = c.server.CPUTime(b)
	}
	start := time.Now()
	change()
	times[k.String()] = append(times[k.String()], time.Since(start))
	if c.server != nil {
		times[k.String()+"-cpu"] = append(times[k.String()+"-cpu"], c.server.CPUTime(b)-before)
	}
}

// cost returns the median in milliseconds.
func (m memberTimes) cost(name string) float64 {
	sorted := slices.Sorted(slices.Values(m[name]))
	return float64(sorted[len(sorted)/2].Microseconds()) / 1000
}

// benchmarkMembers measures changes by turns, reports their medians, and compares them.
func (c *crowd) benchmarkMembers(b *testing.B) {
	b.Helper()
	c.addUsers(b, 0, manyMembers+1)
	classes := map[int]string{fewMembers: c.addClass(b, fewMembers), manyMembers: c.addClass(b, manyMembers)}
	ways := map[string]memberChange{"service": c.viaService}
	if c.server != nil {
		ways["bare"] = c.bare(b)
	}
	times := make(memberTimes)
	for b.Loop() {
		for way, change := range ways {
			for size, class := range classes {
				for _, add := range []bool{true, false} {
					c.note(b, times, kind{way, size, add}, func() { change(b, class, manyMembers, add) })
				}
			}
		}
	}
	for name := range times {
		b.ReportMetric(times.cost(name), name+"-ms")
	}
	for _, add := range []bool{true, false} {
		c.compare(b, times, add)
	}
	c.benchmarkReading(b, classes[manyMembers])
}

// compare holds the bounds of one kind of change, and reports what the service adds to the bare Modify.
func (c *crowd) compare(b *testing.B, times memberTimes, add bool) {
	b.Helper()
	few, many := times.cost(kind{"service", fewMembers, add}.String()), times.cost(kind{"service", manyMembers, add}.String())
	if c.server == nil {
		if many > maxGrowth*few {
			b.Errorf("add=%t takes %.2f ms with few members and %.2f ms with many, want at most %d times as long", add, few, many, maxGrowth)
		}
		return
	}
	for _, size := range []int{fewMembers, manyMembers} {
		for _, clock := range []string{"", "-cpu"} {
			own := times.cost(kind{"service", size, add}.String()+clock) - times.cost(kind{"bare", size, add}.String()+clock)
			b.ReportMetric(own, kind{"own", size, add}.String()+clock+"-ms")
		}
	}
	if bare := times.cost(kind{"bare", manyMembers, add}.String()); many > maxOverhead*bare {
		b.Errorf("add=%t takes %.2f ms, and the bare Modify %.2f ms, want at most %d times as long", add, many, bare, maxOverhead)
	}
}

// benchmarkReading lists the members of a class, and reads the class.
func (c *crowd) benchmarkReading(b *testing.B, class string) {
	b.Helper()
	start := time.Now()
	if got := len(c.memberIDs(b, class)); got != manyMembers {
		b.Errorf("the large class lists %d members, want %d", got, manyMembers)
	}
	b.ReportMetric(time.Since(start).Seconds(), "list-s")
	for name, query := range map[string]*odata.Query{
		"get-ms": nil, "expand-ms": {Expand: []odata.Expand{{Navigation: members.Name, Query: &odata.Query{}}}},
	} {
		start := time.Now()
		if _, err := c.Get(b.Context(), education.Classes, classKey(class), query); err != nil {
			b.Error(err)
		}
		b.ReportMetric(float64(time.Since(start).Microseconds())/1000, name)
	}
}
