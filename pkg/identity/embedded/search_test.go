package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// openPopulated opens a directory with a small school in it.
func openPopulated(t *testing.T) *Store {
	t.Helper()
	s := openTest(t)
	mustAdd(t, s,
		schoolRequest(10, attr("openCloudEducationSchoolNumber", "0042")), schoolRequest(11),
		userRequest(1, attr("openCloudMemberOfSchool", testID(10)), attr("openCloudUserEnabled", "TRUE"), attr("title", "Dr.  med. Straße"),
			attr("openCloudLastSignInTimestamp", "20260101120000Z"), attr("telephoneNumber", "+49 30 12-34"), attr("seeAlso", schoolDN(11))),
		userRequest(2, attr("openCloudMemberOfSchool", testID(10), testID(11)), attr("openCloudUserEnabled", "FALSE"),
			attr("openCloudLastSignInTimestamp", "20260101130000+0200"), attr("description", "Long  Text")),
		userRequest(3, attr("userPassword", "secret"), attr("title", "Dr. a*b(c)\\d")),
		classRequest(1, attr("member", userDN(1), userDN(2)), attr("openCloudEducationTeacherMember", userDN(3))),
		classRequest(2, attr("member", "")),
	)
	return s
}

func sub(name, initial string, between []string, final string) *wire.Filter {
	return &wire.Filter{Kind: wire.FilterSubstrings, Attribute: name, Initial: initial, Any: between, Final: final}
}

func compared(kind wire.FilterKind, name, value string) *wire.Filter {
	return &wire.Filter{Kind: kind, Attribute: name, Value: value}
}

func extensible(name, rule, value string, inName bool) *wire.Filter {
	return &wire.Filter{Kind: wire.FilterExtensible, Attribute: name, Rule: rule, Value: value, DNAttributes: inName}
}

func TestSearchFilters(t *testing.T) {
	t.Parallel()
	s := openPopulated(t)
	users := []string{"user1", "user2", "user3"}
	person := wire.Equal("objectClass", "inetOrgPerson")
	// In "users" each filter stands beside (objectClass=inetOrgPerson); the numbers are those of the users found.
	tests := []struct {
		name   string
		filter *wire.Filter
		want   string
	}{
		{"and of nothing", wire.And(), "123"},
		{"or of nothing", wire.Or(), ""},
		{"equal", wire.Equal("uid", "USER1"), "1"},
		{"equal with blanks", wire.Equal("title", "dr. MED. strasse"), "1"},
		{"equal by another name of the attribute", wire.Equal("2.5.4.4", "muster"), "123"},
		{"equal by the superior", wire.Equal("name", "user2"), "2"},
		{"equal of none", wire.Equal("uid", "nobody"), ""},
		{"equal without an index", wire.Equal("description", "long text"), "2"},
		{"equal without a rule", wire.Equal("jpegPhoto", "a"), ""},
		{"not equal", wire.Not(wire.Equal("uid", "user1")), "23"},
		{"not equal of an absent attribute", wire.Not(wire.Equal("title", "a")), "123"},
		{"not undefined", wire.Not(wire.Equal("shoeSize", "42")), ""},
		{"not of a value that does not fit", wire.Not(wire.Equal("openCloudUUID", "1")), ""},
		{"and with undefined", wire.And(wire.Equal("uid", "user1"), wire.Equal("shoeSize", "42")), ""},
		{"not of and with undefined and false", wire.Not(wire.And(wire.Equal("uid", "user1"), wire.Equal("shoeSize", "42"))), "23"},
		{"or with undefined", wire.Or(wire.Equal("uid", "user1"), wire.Equal("openCloudUUID", "user1")), "1"},
		{"or", wire.Or(wire.Equal("uid", "user1"), wire.Equal("uid", "user3"), wire.Equal("mail", "USER3@example.org")), "13"},
		{"or with something unindexed", wire.Or(wire.Equal("uid", "user1"), wire.Present("description")), "12"},
		{"id", wire.Equal("openCloudUUID", strings.ToUpper(testID(2))), "2"},
		{"boolean", wire.Equal("openCloudUserEnabled", "FALSE"), "2"},
		{"time in another form", wire.Equal("openCloudLastSignInTimestamp", "202601011100Z"), "2"},
		{"telephone", wire.Equal("telephoneNumber", "+4930 1234"), "1"},
		{"school", wire.Equal("openCloudMemberOfSchool", testID(10)), "12"},
		{"object class by number", wire.Equal("objectClass", "1.3.6.1.4.1.63016.1.2.3"), "123"},
		{"unknown object class is undefined", wire.Not(wire.Equal("objectClass", "alien")), ""},
		{"DN", wire.Equal("seeAlso", strings.ToUpper(schoolDN(11))), "1"},
		{"DN by the superior", wire.Equal("distinguishedName", schoolDN(11)), "1"},
		{"own DN", wire.Equal("entryDN", strings.ToUpper(userDN(3))), "3"},
		{"own DN of none", wire.Equal("entryDN", userDN(9)), ""},
		{"no children", wire.Equal("hasSubordinates", "FALSE"), "123"},
		{"subschema", wire.Equal("subschemaSubentry", "CN=subschema"), "123"},
		{"password", wire.Present("userPassword"), "3"},
		{"present", wire.Present("title"), "13"},
		{"present by the superior", wire.Present("name"), "123"},
		{"not present", wire.Not(wire.Present("title")), "2"},
		{"present of an unknown attribute", wire.Not(wire.Present("shoeSize")), ""},
		{"approximate", compared(wire.FilterApprox, "uid", "User1"), "1"},
		{"greater or equal", compared(wire.FilterGreaterOrEqual, "uid", "user2"), "23"},
		{"less or equal", compared(wire.FilterLessOrEqual, "uid", "USER2"), "12"},
		{"time range", wire.And(compared(wire.FilterGreaterOrEqual, "openCloudLastSignInTimestamp", "2026010112Z"), compared(wire.FilterLessOrEqual, "openCloudLastSignInTimestamp", "2026010112Z")), "1"},
		{"greater without ordering", compared(wire.FilterGreaterOrEqual, "telephoneNumber", "+"), ""},
		{"created", compared(wire.FilterGreaterOrEqual, "createTimestamp", "20200101000000Z"), "123"},
		{"initial", sub("title", "dr. ", nil, ""), "13"},
		{"initial with several blanks", sub("title", "DR.   med", nil, ""), "1"},
		{"final", sub("title", "", nil, "STRASSE"), "1"},
		{"any", sub("title", "", []string{"med"}, ""), "1"},
		{"all parts", sub("title", "d", []string{"m", "."}, "e"), "1"},
		{"parts must not overlap", sub("title", "dr. med. stra", nil, "strasse"), ""},
		{"parts in order", sub("title", "", []string{"strasse", "med"}, ""), ""},
		{"special characters", sub("title", "", []string{"*b(C)\\"}, ""), "3"},
		{"substrings by the superior", sub("name", "user", nil, "2"), "2"},
		{"substrings of an address", sub("mail", "user1@", nil, "ORG"), "1"},
		{"substrings without a rule", wire.Not(sub("openCloudUUID", "0", nil, "")), ""},
		{"substrings without parts", wire.Not(sub("title", "", nil, "")), ""},
		{"substrings without an index", sub("description", "long t", nil, ""), "2"},
		{"blank as initial part", sub("title", " ", nil, ""), "13"},
		{"extensible", extensible("uid", "", "USER1", false), "1"},
		{"extensible with a rule", extensible("title", "caseExactMatch", "Dr. med. Straße", false), "1"},
		{"extensible that is exact", extensible("uid", "2.5.13.5", "USER1", false), ""},
		{"extensible with an ordering", extensible("uid", "caseIgnoreOrderingMatch", "user2", false), "1"},
		{"extensible with substrings", extensible("title", "caseIgnoreSubstringsMatch", "dr*a\\2ab*", false), "3"},
		{"extensible with a rule that does not apply", wire.Not(extensible("uid", "uuidMatch", testID(1), false)), ""},
		{"extensible with an unknown rule", wire.Not(extensible("uid", "x", "a", false)), ""},
		{"extensible with an unknown attribute", wire.Not(extensible("x", "caseIgnoreMatch", "a", false)), ""},
		{"extensible without anything", wire.Not(extensible("", "", "a", false)), ""},
		{"extensible for any attribute", extensible("", "caseIgnoreIA5Match", "user2@example.org", false), "2"},
		{"extensible for any DN", extensible("", "distinguishedNameMatch", userDN(3), false), "3"},
		{"extensible with a rule that nothing has", extensible("", "caseExactIA5Match", "a", false), ""},
		{"extensible in the name", extensible("ou", "", "users", true), "123"},
		{"extensible not in the name", extensible("ou", "", "users", false), ""},
		{"extensible in any name", extensible("", "caseIgnoreIA5Match", "opencloud", true), "123"},
		{"attribute option", wire.Not(wire.Equal("cn;lang-de", "user1")), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, filter := range []*wire.Filter{wire.And(person, test.filter), wire.And(test.filter, wire.Present("uid"))} {
				var got string
				for _, name := range search(t, s, "", filter) {
					for i := range users {
						if name == firstPart(userDN(i+1)) {
							got += strconv.Itoa(i + 1)
						}
					}
				}
				if got != test.want {
					t.Errorf("%s found %q, want %q", filter, got, test.want)
				}
			}
		})
	}
}

func TestSearchLinks(t *testing.T) {
	t.Parallel()
	s := openPopulated(t)
	class1, class2 := firstPart(classDN(1)), firstPart(classDN(2))
	tests := []struct {
		name   string
		filter *wire.Filter
		want   []string
	}{
		{"member", wire.Equal("member", strings.ToUpper(userDN(1))), []string{class1}},
		{"teacher", wire.Equal("openCloudEducationTeacherMember", userDN(3)), []string{class1}},
		{"not a member", wire.Equal("member", userDN(3)), []string{}},
		{"a stranger", wire.Equal("member", userDN(9)), []string{}},
		{"the empty member", wire.Equal("member", ""), []string{class2}},
		{"no DN", wire.Equal("member", "x"), []string{}},
		{"present", wire.Present("member"), []string{class1, class2}},
		{"no teacher", wire.And(wire.Equal("objectClass", "groupOfNames"), wire.Not(wire.Present("openCloudEducationTeacherMember"))), []string{class2}},
		{"others", wire.And(wire.Equal("objectClass", "groupOfNames"), wire.Not(wire.Equal("member", userDN(1)))), []string{class2}},
		{"member by the superior", wire.Equal("distinguishedName", userDN(2)), []string{class1}},
		{"by rule", extensible("member", "distinguishedNameMatch", userDN(2), false), []string{class1}},
		{"part of a DN", wire.Not(sub("member", "", []string{"users"}, "")), []string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, search(t, s, classBase, test.filter)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.filter, diff)
			}
		})
	}
}

func TestSearchScopes(t *testing.T) {
	t.Parallel()
	s := openPopulated(t)
	tests := []struct {
		name  string
		base  string
		scope wire.Scope
		want  int
		code  wire.ResultCode
	}{
		{"base", userBase, wire.ScopeBase, 1, 0},
		{"one level", userBase, wire.ScopeOneLevel, 3, 0},
		{"subtree", userBase, wire.ScopeSubtree, 4, 0},
		{"subtree of a leaf", userDN(1), wire.ScopeSubtree, 1, 0},
		{"one level of a leaf", userDN(1), wire.ScopeOneLevel, 0, 0},
		{"one level of the root", "", wire.ScopeOneLevel, 1, 0},
		{"subtree of the root", "", wire.ScopeSubtree, 11, 0},
		{"context", "dc=OpenCloud,dc=EU", wire.ScopeOneLevel, 3, 0},
		{"the root itself", "", wire.ScopeBase, 0, wire.ResultNoSuchObject},
		{"missing", userDN(9), wire.ScopeSubtree, 0, wire.ResultNoSuchObject},
		{"above the context", "dc=eu", wire.ScopeSubtree, 0, wire.ResultNoSuchObject},
		{"no DN", "users", wire.ScopeSubtree, 0, wire.ResultInvalidDNSyntax},
		{"unknown scope", userBase, wire.Scope(3), 0, wire.ResultProtocolError},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, filter := range []*wire.Filter{wire.Present("objectClass"), wire.Or(wire.Equal("objectClass", "top"), wire.Equal("uid", "x"))} {
				got := 0
				err := s.Search(context.Background(), &wire.SearchRequest{Base: test.base, Scope: test.scope, Filter: filter},
					func(*wire.Entry) error { got++; return nil })
				requireCode(t, err, test.code)
				if got != test.want {
					t.Errorf("%s found %d entries, want %d", filter, got, test.want)
				}
			}
		})
	}
}

func TestSearchRefusesFilters(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	deep := wire.Present("cn")
	for range 100 {
		deep = wire.Not(deep)
	}
	for name, filter := range map[string]*wire.Filter{
		"none": nil, "deep": deep, "not of two": {Kind: wire.FilterNot, Children: []*wire.Filter{wire.And(), wire.And()}},
		"unknown": {Kind: 42}, "nil inside": wire.And(nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := s.Search(context.Background(), &wire.SearchRequest{Base: userBase, Filter: filter}, func(*wire.Entry) error { return nil })
			requireCode(t, err, wire.ResultProtocolError)
		})
	}
}

func TestSearchSelectsAttributes(t *testing.T) {
	t.Parallel()
	s := openPopulated(t)
	operational := []string{"createTimestamp", "entryCSN", "entryDN", "entryUUID", "hasSubordinates", "modifyTimestamp", "structuralObjectClass", "subschemaSubentry"}
	tests := []struct {
		name  string
		names []string
		want  []string
	}{
		{"nothing named", nil, []string{"cn", "member", "objectClass", "openCloudEducationTeacherMember", "openCloudUUID"}},
		{"all user attributes", []string{"*"}, []string{"cn", "member", "objectClass", "openCloudEducationTeacherMember", "openCloudUUID"}},
		{"all operational attributes", []string{"+"}, operational},
		{"none", []string{"1.1"}, nil},
		{"none and one", []string{"1.1", "cn"}, []string{"cn"}},
		{"names in any spelling", []string{"CN", "2.5.4.31", "opencloudUUID", "unknown", "cn;x"}, []string{"cn", "member", "openCloudUUID"}},
		{"the superior", []string{"name"}, []string{"cn"}},
		{"the superior of links", []string{"distinguishedName"}, []string{"member"}},
		{"users and one more", []string{"*", "entryuuid"}, []string{"cn", "entryUUID", "member", "objectClass", "openCloudEducationTeacherMember", "openCloudUUID"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, typesOnly := range []bool{false, true} {
				var got []string
				err := s.Search(context.Background(), &wire.SearchRequest{
					Base: classDN(1), Filter: wire.Present("objectClass"), Attributes: test.names, TypesOnly: typesOnly,
				}, func(entry *wire.Entry) error {
					for _, a := range entry.Attributes {
						got = append(got, a.Type)
						if typesOnly != (len(a.Values) == 0) {
							t.Errorf("types only %v: %s has values %q", typesOnly, a.Type, a.Values)
						}
					}
					return nil
				})
				slices.Sort(got)
				if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
					t.Errorf("types only %v: attributes (%v, -want +got):\n%s", typesOnly, err, diff)
				}
			}
		})
	}
}

// addMany adds users with the numbers from 1 to n at the same time, as group commits like it.
func addMany(t testing.TB, s *Store, n int) {
	t.Helper()
	failures := make(chan error, n)
	for i := range n {
		go func() {
			_, err := s.Add(context.Background(), userRequest(i+1))
			failures <- err
		}()
	}
	for range n {
		if err := <-failures; err != nil {
			t.Fatal(err)
		}
	}
}

func TestSearchLimits(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	const population = 2*maxBatchEntries + 10
	addMany(t, s, population)
	for limit, want := range map[int]wire.ResultCode{
		0: wire.ResultSuccess, 1: wire.ResultSizeLimitExceeded, maxBatchEntries: wire.ResultSizeLimitExceeded,
		population - 1: wire.ResultSizeLimitExceeded, population: wire.ResultSuccess, population + 1: wire.ResultSuccess,
	} {
		for _, filter := range []*wire.Filter{wire.Present("uid"), wire.Equal("sn", "muster")} {
			got := 0
			err := s.Search(context.Background(), &wire.SearchRequest{Base: userBase, Scope: wire.ScopeOneLevel, Filter: filter, SizeLimit: limit},
				func(*wire.Entry) error { got++; return nil })
			requireCode(t, err, want)
			if wanted := min(population, max(limit, 0)); got != wanted && limit != 0 || limit == 0 && got != population {
				t.Errorf("limit %d: %d entries of %d", limit, got, population)
			}
		}
	}
	t.Run("time", func(t *testing.T) {
		all := &wire.SearchRequest{Base: userBase, Scope: wire.ScopeSubtree, Filter: wire.Present("uid"), TimeLimit: 1}
		first := true
		err := s.Search(context.Background(), all, func(*wire.Entry) error {
			if first {
				time.Sleep(1100 * time.Millisecond)
			}
			first = false
			return nil
		})
		requireCode(t, err, wire.ResultTimeLimitExceeded)
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		all := &wire.SearchRequest{Base: userBase, Scope: wire.ScopeSubtree, Filter: wire.Present("uid")}
		got := 0
		err := s.Search(ctx, all, func(*wire.Entry) error { got++; cancel(); return nil })
		if !errors.Is(err, context.Canceled) || got != 1 {
			t.Errorf("got %v after %d entries, want one entry and the context's error", err, got)
		}
	})
	t.Run("yield", func(t *testing.T) {
		stop := errors.New("stop")
		all := &wire.SearchRequest{Base: userBase, Scope: wire.ScopeSubtree, Filter: wire.Present("uid")}
		if err := s.Search(context.Background(), all, func(*wire.Entry) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("got %v, want the error of yield", err)
		}
	})
}

func TestSearchPage(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	const population = maxBatchEntries + 7
	addMany(t, s, population)
	for name, filter := range map[string]*wire.Filter{
		"scan": wire.Present("uid"), "postings": wire.Equal("sn", "muster"), "prefix": sub("uid", "user", nil, ""),
		"union": wire.Or(wire.Equal("sn", "muster"), wire.Equal("uid", "user1")),
	} {
		for _, size := range []int{1, 100, maxBatchEntries, population, population + 1} {
			if size == 1 && name != "postings" {
				continue
			}
			t.Run(fmt.Sprint(name, " by ", size), func(t *testing.T) {
				t.Parallel()
				seen := map[string]bool{}
				after, more := uint64(0), true
				pages := 0
				for more {
					var err error
					var next uint64
					page := 0
					next, more, err = s.SearchPage(context.Background(), &wire.SearchRequest{Base: userBase, Scope: wire.ScopeSubtree, Filter: filter, SizeLimit: 1}, after, size,
						func(entry *wire.Entry) error { page++; seen[entry.DN] = true; return nil })
					if err != nil || next < after || more && page != size {
						t.Fatalf("page of %d after %d: %d entries, next %d, more %v, %v", size, after, page, next, more, err)
					}
					after, pages = next, pages+1
				}
				if wanted := (population + size - 1) / size; len(seen) != population || pages != wanted {
					t.Errorf("%d entries in %d pages, want %d in %d", len(seen), pages, population, wanted)
				}
			})
		}
	}
}

// TestSearchBesideWrites holds that whoever is there throughout is yielded once, and that a search which is not read
// holds up no writer.
func TestSearchBesideWrites(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	const population = 3 * maxBatchEntries
	addMany(t, s, population)
	seen := map[string]int{}
	n := 0
	err := s.Search(context.Background(), &wire.SearchRequest{Base: userBase, Scope: wire.ScopeOneLevel, Filter: wire.Equal("sn", "muster")}, func(entry *wire.Entry) error {
		if n++; n%100 == 0 {
			mustAdd(t, s, userRequest(population+n))
			mustModify(t, s, userDN(n), change(wire.ChangeReplace, "displayName", "changed"))
			return s.Delete(context.Background(), &wire.DeleteRequest{DN: userDN(population + n)})
		}
		seen[entry.DN]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= population; i++ {
		if count := seen[userDN(i)]; count > 1 {
			t.Errorf("user %d was yielded %d times", i, count)
		}
	}
	if n < population {
		t.Errorf("%d entries yielded, want %d at least", n, population)
	}
}

func TestHugeEntriesComeInSmallBatches(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	const population = 6
	for i := range population {
		mustAdd(t, s, userRequest(i+1, attr("description", strings.Repeat("x", maxBatchBytes/2))))
	}
	q, err := newQuery(&wire.SearchRequest{Base: userBase, Scope: wire.ScopeOneLevel, Filter: wire.Present("uid")})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for !q.done {
		batch, err := s.read(context.Background(), q, -1)
		if err != nil || len(batch) > 3 {
			t.Fatalf("a batch of %d huge entries (%v)", len(batch), err)
		}
		total += len(batch)
	}
	if total != population {
		t.Errorf("%d entries, want %d", total, population)
	}
}

// TestPlans holds that look-ups use an index: the source must be no longer than what is found.
func TestPlans(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	addMany(t, s, 300)
	mustAdd(t, s, classRequest(1, attr("member", userDN(5))), schoolRequest(5000))
	person := wire.Equal("objectClass", "inetOrgPerson")
	tests := []struct {
		name   string
		base   string
		filter *wire.Filter
		most   int
	}{
		{"id", "", wire.Equal("openCloudUUID", testID(7)), 1},
		{"id or name", userBase, wire.And(person, wire.Or(wire.Equal("uid", "user7"), wire.Equal("openCloudUUID", testID(7)))), 2},
		{"id that does not fit", userBase, wire.And(person, wire.Or(wire.Equal("uid", "user7"), wire.Equal("openCloudUUID", "user7"))), 1},
		{"class of a member", classBase, wire.Equal("member", userDN(5)), 1},
		{"few of many", userBase, wire.And(wire.Equal("sn", "muster"), sub("uid", "user12", nil, "")), 11},
		{"schools", schoolBase, wire.Present("objectClass"), 2},
		{"own DN", "", wire.Equal("entryDN", userDN(5)), 1},
		{"never", "", wire.And(person, wire.Equal("x", "y")), 0},
		{"range", userBase, compared(wire.FilterGreaterOrEqual, "uid", "user99"), 1},
		{"range below", userBase, compared(wire.FilterLessOrEqual, "uid", "user10"), 2},
		{"superior", userBase, wire.Equal("name", "user17"), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			q, err := newQuery(&wire.SearchRequest{Base: test.base, Scope: wire.ScopeSubtree, Filter: test.filter})
			if err != nil {
				t.Fatal(err)
			}
			err = s.view(func(tx *bolt.Tx) error {
				if err := q.plan(tx); err != nil {
					return err
				}
				if n := len(q.source.next(tx, 0, 1000, nil)); n > test.most {
					t.Errorf("%s looks at %d entries, want %d at most", test.filter, n, test.most)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	s := openPopulated(t)
	tests := []struct {
		name, dn, attribute, value string
		want                       bool
		code                       wire.ResultCode
	}{
		{"yes", userDN(1), "UID", "User1", true, 0},
		{"no", userDN(1), "uid", "user2", false, 0},
		{"member", classDN(1), "member", userDN(1), true, 0},
		{"not a member", classDN(1), "member", userDN(3), false, 0},
		{"own DN", userDN(1), "entryDN", strings.ToUpper(userDN(1)), true, 0},
		{"superior", userDN(1), "name", "muster", true, 0},
		{"absent", userDN(2), "title", "a", false, wire.ResultNoSuchAttribute},
		{"unknown", userDN(1), "shoeSize", "42", false, wire.ResultUndefinedAttributeType},
		{"does not fit", userDN(1), "openCloudUUID", "1", false, wire.ResultInvalidAttributeSyntax},
		{"no rule", userDN(1), "jpegPhoto", "a", false, wire.ResultInappropriateMatching},
		{"no entry", userDN(9), "uid", "a", false, wire.ResultNoSuchObject},
		{"no DN", "a", "uid", "a", false, wire.ResultInvalidDNSyntax},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := s.Compare(context.Background(), &wire.CompareRequest{DN: test.dn, Attribute: test.attribute, Value: test.value})
			requireCode(t, err, test.code)
			if got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestIndexesRuleOut shows that an entry which one index leads to and another one rules out is not even a candidate.
func TestIndexesRuleOut(t *testing.T) {
	t.Parallel()
	s := openPopulated(t)
	school := func(n int) *wire.Filter { return wire.Equal("openCloudMemberOfSchool", testID(n)) }
	tests := []struct {
		name   string
		filter *wire.Filter
		want   int
	}{
		{"in the school", wire.And(wire.Equal("uid", "user2"), school(11)), 1},
		{"in one of the schools", wire.And(wire.Equal("uid", "user1"), wire.Or(school(11), school(10))), 1},
		{"in another school", wire.And(wire.Equal("uid", "user1"), school(11)), 0},
		{"in none of the schools", wire.And(wire.Equal("uid", "user3"), wire.Or(school(11), school(10))), 0},
		{"nobody", wire.And(wire.Equal("uid", "nobody"), school(11)), 0},
		{"beginning with, in the school", wire.And(sub("uid", "user", nil, ""), school(10)), 2},
		{"beginning with, in another school, which has one user", wire.And(sub("uid", "user1", nil, ""), school(11)), 1},
		{"at least, in one of the schools", wire.And(compared(wire.FilterGreaterOrEqual, "openCloudLastSignInTimestamp", "20260101110000Z"), wire.Or(school(11), school(10))), 2},
		{"at most, in the school, which has two", wire.And(compared(wire.FilterLessOrEqual, "openCloudLastSignInTimestamp", "20260101113000Z"), school(10)), 2},
		{"one of several, in the school", wire.And(wire.Or(wire.Equal("uid", "user1"), wire.Equal("uid", "user2")), school(11)), 1},
		{"no index rules it out", wire.And(wire.Equal("uid", "user1"), wire.Present("title")), 1},
	}
	for _, test := range tests {
		filter := wire.And(wire.Equal("objectClass", "inetOrgPerson"), test.filter)
		q, err := newQuery(&wire.SearchRequest{Base: "dc=opencloud,dc=eu", Scope: wire.ScopeSubtree, Filter: filter})
		if err != nil {
			t.Fatal(err)
		}
		err = s.view(func(tx *bolt.Tx) error {
			if err := q.plan(tx); err != nil {
				return err
			}
			if got := len(q.source.next(tx, 0, 10, nil)); got != test.want {
				t.Errorf("%s: got %d candidates, want %d", test.name, got, test.want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
