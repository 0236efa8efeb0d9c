package embedded

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// TestCheckFindsFaults damages a sound file in one way at a time.
func TestCheckFindsFaults(t *testing.T) {
	t.Parallel()
	member := directory.attribute("member")
	uid := directory.attribute("uid")
	// The ids of the entries that the test adds follow those of the four containers.
	const school, user, other, class = 5, 6, 7, 8
	rewrite := func(id uint64, edit func(*record)) func(*bolt.Tx, *changes) {
		return func(tx *bolt.Tx, c *changes) {
			entry, err := load(tx, id)
			if err != nil {
				panic(err)
			}
			edit(entry)
			c.put(bucketEntries, idKey(id), entry.encode())
		}
	}
	drop := func(bucket, key []byte) func(*bolt.Tx, *changes) {
		return func(_ *bolt.Tx, c *changes) { c.delete(bucket, key) }
	}
	add := func(bucket, key []byte) func(*bolt.Tx, *changes) {
		return func(_ *bolt.Tx, c *changes) { c.put(bucket, key, nil) }
	}
	set := func(name string, values ...string) func(*record) {
		return func(r *record) {
			d := &draft{record: *r}
			d.set(directory.attribute(name), values)
			*r = d.record
		}
	}
	userKey, _ := directory.normalizeDN(userDN(1))
	tests := []struct {
		name   string
		damage func(*bolt.Tx, *changes)
		want   string
	}{
		{"unreadable entry", func(_ *bolt.Tx, c *changes) { c.put(bucketEntries, idKey(user), []byte{1, 2, 3}) }, "cannot be read"},
		{"id that was never given", func(tx *bolt.Tx, c *changes) {
			c.put(bucketEntries, idKey(99), tx.Bucket(bucketEntries).Get(idKey(user)))
		}, "never given"},
		{"lost entry", drop(bucketEntries, idKey(user)), "leads to no entry"},
		{"lost name", drop(bucketNames, []byte(userKey)), "not found by its name"},
		{"lost place", drop(bucketChildren, pairKey(2, user)), "not among the children"},
		{"place of nobody", add(bucketChildren, pairKey(2, 99)), "among its children, which it is not"},
		{"wrong name", rewrite(user, func(r *record) { r.dn = userDN(9) }), "does not agree with its key"},
		{"wrong parent", rewrite(user, func(r *record) { r.parent = 99 }), "has no parent"},
		{"unknown attribute", rewrite(user, func(r *record) { r.attributes = append(r.attributes, attr("shoeSize", "42")) }), "does not know"},
		{"value that does not fit", rewrite(user, set("openCloudUserEnabled", "maybe")), "does not fit its syntax"},
		{"value twice", rewrite(user, set("title", "a", "A")), "or one twice"},
		{"lost required attribute", rewrite(user, set("sn")), "not allowed by the schema"},
		{"lost value of the name", rewrite(user, set("openCloudUUID")), "lacks a value of its name"},
		{"lost index entry", drop(indexBucket(uid), indexKey("user1", user)), "lacks a value of entry 6"},
		{"index entry of nobody", add(indexBucket(uid), indexKey("user9", user)), "that the entry has not"},
		{"unique value twice", rewrite(other, set("educationUniqueKey", "user/username/-/user1")), "in common"},
		{"lost twin", drop(bucketBacklinks, linkKey(user, member, class)), "has no twin"},
		{"lost link", drop(bucketLinks, linkKey(class, member, user)), "has no twin"},
		{"dangling link", add(bucketLinks, linkKey(class, member, 99)), "dangles"},
		{"link of an unknown kind", add(bucketLinks, linkKey(class, uid, user)), "no known attribute"},
		{"lost school", rewrite(school, set("objectClass", "organizationalUnit", "top", "openCloudObject")), "refers to a school"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := Open(Config{Path: filepath.Join(t.TempDir(), "d"), Containers: testContainers})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			mustAdd(t, s, schoolRequest(10))
			mustAdd(t, s, userRequest(1, attr("openCloudMemberOfSchool", testID(10))), userRequest(2), classRequest(1, attr("member", userDN(1))))
			requireSound(t, s)
			_, err = s.write(context.Background(), &operation{prepare: func(tx *bolt.Tx, _ moment) (*changes, error) {
				c := &changes{}
				test.damage(tx, c)
				return c, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			faults, err := s.Check(context.Background())
			if err != nil || !strings.Contains(strings.Join(faults, "\n"), test.want) {
				t.Errorf("Check: %v, want %q among\n%s", err, test.want, strings.Join(faults, "\n"))
			}
		})
	}
}

func TestCheckHonoursTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := openTest(t).Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// TestDamagedEntriesAreErrors holds that a search does not pass over an entry that it cannot read.
func TestDamagedEntriesAreErrors(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{Path: filepath.Join(t.TempDir(), "d"), Containers: testContainers})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustAdd(t, s, userRequest(1))
	_, err = s.write(context.Background(), &operation{prepare: func(*bolt.Tx, moment) (*changes, error) {
		c := &changes{}
		c.put(bucketEntries, idKey(5), []byte{9, 9, 9})
		return c, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Search(context.Background(), &wire.SearchRequest{Base: userBase, Scope: wire.ScopeSubtree, Filter: wire.Present("uid")},
		func(*wire.Entry) error { return nil })
	if !errors.Is(err, errCorrupt) {
		t.Errorf("got %v, want %v", err, errCorrupt)
	}
}
