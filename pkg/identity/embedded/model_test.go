package embedded

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// model is what the directory should hold, kept as plainly as possible: entries by the end of their id.
type model struct {
	users   map[int]*modelUser
	classes map[int]*modelClass
	schools map[int]string // number to name
}

type modelUser struct {
	name    string
	schools []int
	moved   bool // lies in the container "ou=moved"
}

type modelClass struct {
	name              string
	members, teachers []int
}

const movedBase = "ou=moved," + userBase

// TestModel carries out random operations on a store and on the model, and compares the results and all entries.
func TestModel(t *testing.T) {
	t.Parallel()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		s, err := Open(Config{Path: filepath.Join(t.TempDir(), fmt.Sprint(n)), Containers: append(testContainers, movedBase)})
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		m := &machine{store: s, model: model{map[int]*modelUser{}, map[int]*modelClass{}, map[int]string{}}}
		rt.Repeat(map[string]func(*rapid.T){
			"add user":      m.addUser,
			"add class":     m.addClass,
			"add school":    m.addSchool,
			"rename user":   m.renameUser,
			"move user":     m.moveUser,
			"join school":   m.joinSchool,
			"leave school":  m.leaveSchool,
			"join class":    m.joinClass,
			"leave class":   m.leaveClass,
			"set members":   m.setMembers,
			"delete user":   m.deleteUser,
			"delete class":  m.deleteClass,
			"delete school": m.deleteSchool,
			"find users":    m.findUsers,
			"":              m.compare,
		})
	})
}

// machine carries out operations. Users have the numbers 0 to 4, classes 100 to 102 and schools 200 to 202, so that they meet.
type machine struct {
	store *Store
	model model
}

func drawUser(t *rapid.T) int   { return rapid.IntRange(0, 4).Draw(t, "user") }
func drawClass(t *rapid.T) int  { return rapid.IntRange(100, 102).Draw(t, "class") }
func drawSchool(t *rapid.T) int { return rapid.IntRange(200, 202).Draw(t, "school") }
func drawName(t *rapid.T) string {
	return rapid.SampledFrom([]string{"anna", "Anna ", "BERT", "Straße", "strasse", "z\x00\U0001F393"}).Draw(t, "name")
}

func modelClassDN(n int) string { return "openCloudUUID=" + testID(n) + "," + classBase }

func (m *machine) dn(user int) string {
	if u := m.model.users[user]; u != nil && u.moved {
		return firstPart(userDN(user)) + "," + movedBase
	}
	return userDN(user)
}

// want compares the result of an operation with what the model says.
func (m *machine) want(t *rapid.T, err error, want wire.ResultCode) {
	t.Helper()
	code, _ := wire.CodeOf(err)
	if err == nil {
		code = wire.ResultSuccess
	}
	if code != want {
		t.Fatalf("got %v, want LDAP result %d", err, want)
	}
}

func (m *machine) modify(t *rapid.T, dn string, want wire.ResultCode, changes ...wire.Change) {
	t.Helper()
	_, err := m.store.Modify(context.Background(), &wire.ModifyRequest{DN: dn, Changes: changes})
	m.want(t, err, want)
}

// taken says whether another user has the name; unique keys compare bytes.
func (m *machine) taken(name string, except int) bool {
	for n, u := range m.model.users {
		if n != except && u.name == name {
			return true
		}
	}
	return false
}

func (m *machine) addUser(t *rapid.T) {
	n, name := drawUser(t), drawName(t)
	_, err := m.store.Add(context.Background(), &wire.AddRequest{DN: m.dn(n), Attributes: []wire.Attribute{
		attr("objectClass", "inetOrgPerson", "openCloudEducationUser", "educationObject"),
		attr("cn", name), attr("sn", name), attr("uid", name), attr("educationUniqueKey", name),
	}})
	switch {
	case m.model.users[n] != nil:
		m.want(t, err, wire.ResultEntryAlreadyExists)
	case m.taken(name, n):
		m.want(t, err, wire.ResultConstraintViolation)
	default:
		m.want(t, err, wire.ResultSuccess)
		m.model.users[n] = &modelUser{name: name}
	}
}

func (m *machine) addClass(t *rapid.T) {
	n, name, member := drawClass(t), drawName(t), drawUser(t)
	_, err := m.store.Add(context.Background(), &wire.AddRequest{DN: modelClassDN(n), Attributes: []wire.Attribute{
		attr("objectClass", "groupOfNames", "openCloudEducationClass"), attr("cn", name), attr("member", m.dn(member)),
	}})
	switch {
	case m.model.classes[n] != nil:
		m.want(t, err, wire.ResultEntryAlreadyExists)
	case m.model.users[member] == nil:
		m.want(t, err, wire.ResultConstraintViolation)
	default:
		m.want(t, err, wire.ResultSuccess)
		m.model.classes[n] = &modelClass{name: name, members: []int{member}}
	}
}

func (m *machine) addSchool(t *rapid.T) {
	n, name := drawSchool(t), drawName(t)
	_, err := m.store.Add(context.Background(), &wire.AddRequest{DN: schoolDN(n), Attributes: []wire.Attribute{
		attr("objectClass", "organizationalUnit", "openCloudEducationSchool"), attr("ou", name),
	}})
	if _, exists := m.model.schools[n]; exists {
		m.want(t, err, wire.ResultEntryAlreadyExists)
		return
	}
	m.want(t, err, wire.ResultSuccess)
	m.model.schools[n] = name
}

func (m *machine) renameUser(t *rapid.T) {
	n, name := drawUser(t), drawName(t)
	changes := []wire.Change{change(wire.ChangeReplace, "uid", name), change(wire.ChangeReplace, "educationUniqueKey", name)}
	switch {
	case m.model.users[n] == nil:
		m.modify(t, m.dn(n), wire.ResultNoSuchObject, changes...)
	case m.taken(name, n):
		m.modify(t, m.dn(n), wire.ResultConstraintViolation, changes...)
	default:
		m.modify(t, m.dn(n), wire.ResultSuccess, changes...)
		m.model.users[n].name = name
	}
}

func (m *machine) moveUser(t *rapid.T) {
	n := drawUser(t)
	superior := movedBase
	u := m.model.users[n]
	if u != nil && u.moved {
		superior = userBase
	}
	err := m.store.ModifyDN(context.Background(), &wire.ModifyDNRequest{DN: m.dn(n), NewRDN: firstPart(userDN(n)), NewSuperior: &superior})
	if u == nil {
		m.want(t, err, wire.ResultNoSuchObject)
		return
	}
	m.want(t, err, wire.ResultSuccess)
	u.moved = !u.moved
}

func (m *machine) joinSchool(t *rapid.T) {
	n, school := drawUser(t), drawSchool(t)
	join := change(wire.ChangeAdd, "openCloudMemberOfSchool", testID(school))
	_, exists := m.model.schools[school]
	switch u := m.model.users[n]; {
	case u == nil:
		m.modify(t, m.dn(n), wire.ResultNoSuchObject, join)
	case slices.Contains(u.schools, school):
		m.modify(t, m.dn(n), wire.ResultAttributeOrValueExists, join)
	case !exists:
		m.modify(t, m.dn(n), wire.ResultConstraintViolation, join)
	default:
		m.modify(t, m.dn(n), wire.ResultSuccess, join)
		u.schools = append(u.schools, school)
	}
}

func (m *machine) leaveSchool(t *rapid.T) {
	n, school := drawUser(t), drawSchool(t)
	leave := change(wire.ChangeDelete, "openCloudMemberOfSchool", strings.ToUpper(testID(school)))
	switch u := m.model.users[n]; {
	case u == nil:
		m.modify(t, m.dn(n), wire.ResultNoSuchObject, leave)
	case !slices.Contains(u.schools, school):
		m.modify(t, m.dn(n), wire.ResultNoSuchAttribute, leave)
	default:
		m.modify(t, m.dn(n), wire.ResultSuccess, leave)
		u.schools = without(u.schools, school)
	}
}

func without(numbers []int, gone int) []int {
	return slices.DeleteFunc(slices.Clone(numbers), func(n int) bool { return n == gone })
}

// drawRole returns the attribute and the list of one of a class's two kinds of links.
func drawRole(t *rapid.T, c *modelClass) (string, *[]int) {
	if c == nil {
		c = &modelClass{}
	}
	if rapid.Bool().Draw(t, "teacher") {
		return "openCloudEducationTeacherMember", &c.teachers
	}
	return "member", &c.members
}

func (m *machine) joinClass(t *rapid.T) {
	n, user := drawClass(t), drawUser(t)
	c := m.model.classes[n]
	name, list := drawRole(t, c)
	join := change(wire.ChangeAdd, name, m.dn(user))
	switch {
	case c == nil:
		m.modify(t, modelClassDN(n), wire.ResultNoSuchObject, join)
	case m.model.users[user] == nil:
		m.modify(t, modelClassDN(n), wire.ResultConstraintViolation, join)
	case slices.Contains(*list, user):
		m.modify(t, modelClassDN(n), wire.ResultAttributeOrValueExists, join)
	default:
		m.modify(t, modelClassDN(n), wire.ResultSuccess, join)
		*list = append(*list, user)
	}
}

func (m *machine) leaveClass(t *rapid.T) {
	n, user := drawClass(t), drawUser(t)
	c := m.model.classes[n]
	name, list := drawRole(t, c)
	leave := change(wire.ChangeDelete, name, m.dn(user))
	switch {
	case c == nil:
		m.modify(t, modelClassDN(n), wire.ResultNoSuchObject, leave)
	case !slices.Contains(*list, user):
		m.modify(t, modelClassDN(n), wire.ResultNoSuchAttribute, leave)
	default:
		m.modify(t, modelClassDN(n), wire.ResultSuccess, leave)
		*list = without(*list, user)
	}
}

func (m *machine) setMembers(t *rapid.T) {
	n := drawClass(t)
	c := m.model.classes[n]
	name, list := drawRole(t, c)
	var users []int
	for user := range m.model.users {
		users = append(users, user)
	}
	slices.Sort(users)
	users = users[:rapid.IntRange(0, len(users)).Draw(t, "members")]
	replace := wire.Change{Operation: wire.ChangeReplace, Attribute: wire.Attribute{Type: name, Values: m.dns(users)}}
	if c == nil {
		m.modify(t, modelClassDN(n), wire.ResultNoSuchObject, replace)
		return
	}
	m.modify(t, modelClassDN(n), wire.ResultSuccess, replace)
	*list = users
}

func (m *machine) dns(users []int) []string {
	var dns []string
	for _, user := range users {
		dns = append(dns, m.dn(user))
	}
	slices.Sort(dns)
	return dns
}

func (m *machine) deleteUser(t *rapid.T) {
	n := drawUser(t)
	err := m.store.Delete(context.Background(), &wire.DeleteRequest{DN: m.dn(n)})
	if m.model.users[n] == nil {
		m.want(t, err, wire.ResultNoSuchObject)
		return
	}
	m.want(t, err, wire.ResultSuccess)
	delete(m.model.users, n)
	for _, c := range m.model.classes {
		c.members, c.teachers = without(c.members, n), without(c.teachers, n)
	}
}

func (m *machine) deleteClass(t *rapid.T) {
	n := drawClass(t)
	err := m.store.Delete(context.Background(), &wire.DeleteRequest{DN: modelClassDN(n)})
	if m.model.classes[n] == nil {
		m.want(t, err, wire.ResultNoSuchObject)
		return
	}
	m.want(t, err, wire.ResultSuccess)
	delete(m.model.classes, n)
}

func (m *machine) deleteSchool(t *rapid.T) {
	n := drawSchool(t)
	err := m.store.Delete(context.Background(), &wire.DeleteRequest{DN: schoolDN(n)})
	referred := false
	for _, u := range m.model.users {
		referred = referred || slices.Contains(u.schools, n)
	}
	_, exists := m.model.schools[n]
	switch {
	case !exists:
		m.want(t, err, wire.ResultNoSuchObject)
	case referred:
		m.want(t, err, wire.ResultUnwillingToPerform)
	default:
		m.want(t, err, wire.ResultSuccess)
		delete(m.model.schools, n)
	}
}

// findUsers looks users up by name and school, as the service does.
func (m *machine) findUsers(t *rapid.T) {
	name, school := drawName(t), drawSchool(t)
	var byName, bySchool []string
	for n, u := range m.model.users {
		if directory.attribute("uid").equalValues(u.name, name) {
			byName = append(byName, m.dn(n))
		}
		if slices.Contains(u.schools, school) {
			bySchool = append(bySchool, m.dn(n))
		}
	}
	for _, test := range []struct {
		filter *wire.Filter
		want   []string
	}{
		{wire.And(wire.Equal("objectClass", "inetOrgPerson"), wire.Equal("uid", name)), byName},
		{wire.Equal("openCloudMemberOfSchool", testID(school)), bySchool},
	} {
		var got []string
		err := m.store.Search(context.Background(), &wire.SearchRequest{Base: userBase, Scope: wire.ScopeSubtree, Filter: test.filter},
			func(entry *wire.Entry) error { got = append(got, entry.DN); return nil })
		slices.Sort(got)
		slices.Sort(test.want)
		if err != nil || !slices.Equal(got, test.want) {
			t.Fatalf("%s: got %v (%v), want %v", test.filter, got, err, test.want)
		}
	}
}

// equalValues says whether two values are equal under the attribute's rule.
func (a *attribute) equalValues(x, y string) bool { return canonical(a, x) == canonical(a, y) }

// compare compares all entries with the model and checks the file.
func (m *machine) compare(t *rapid.T) {
	got := map[string][]string{}
	err := m.store.Search(context.Background(), &wire.SearchRequest{
		Scope: wire.ScopeSubtree, Filter: wire.Present("openCloudUUID"),
		Attributes: []string{"uid", "cn", "ou", "openCloudMemberOfSchool", "member", "openCloudEducationTeacherMember"},
	}, func(entry *wire.Entry) error {
		for _, name := range []string{"uid", "ou", "openCloudMemberOfSchool", "member", "openCloudEducationTeacherMember"} {
			if values := slices.Clone(entry.Values(name)); len(values) > 0 {
				slices.Sort(values)
				got[entry.DN+" "+name] = values
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.contents(), got); diff != "" {
		t.Fatalf("directory (-model +store):\n%s", diff)
	}
	faults, err := m.store.Check(context.Background())
	if err != nil || len(faults) > 0 {
		t.Fatalf("Check: %v, %v", faults, err)
	}
}

// contents returns what the model holds, as compare reads it from the store.
func (m *machine) contents() map[string][]string {
	all := map[string][]string{}
	put := func(dn, name string, values []string) {
		if len(values) > 0 {
			slices.Sort(values)
			all[dn+" "+name] = values
		}
	}
	for n, u := range m.model.users {
		put(m.dn(n), "uid", []string{u.name})
		var ids []string
		for _, school := range u.schools {
			ids = append(ids, testID(school))
		}
		put(m.dn(n), "openCloudMemberOfSchool", ids)
	}
	for n, c := range m.model.classes {
		put(modelClassDN(n), "member", m.dns(c.members))
		put(modelClassDN(n), "openCloudEducationTeacherMember", m.dns(c.teachers))
	}
	for n, name := range m.model.schools {
		put(schoolDN(n), "ou", []string{name})
	}
	return all
}
