package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// closedDirectory makes a directory with some users and returns its path and the octets of its pages.
func closedDirectory(t *testing.T, users int) (path string, content []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "directory.db")
	s := openTestAt(t, path)
	for n := range users {
		mustAdd(t, s, userRequest(n+1, attr("description", strings.Repeat("x", 100*(n%60)+1))))
	}
	var size int64
	if err := s.view(func(tx *bolt.Tx) error { size = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, content[:size]
}

func TestCheckFileOfASoundDirectory(t *testing.T) {
	t.Parallel()
	path, _ := closedDirectory(t, 100)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if faults, err := CheckFile(context.Background(), path); err != nil || len(faults) > 0 {
		t.Errorf("CheckFile: %v %v", faults, err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file is not what it was (%v)", err)
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	t.Parallel()
	_, content := closedDirectory(t, 100)
	tests := []struct {
		name    string
		content []byte
		want    string
	}{
		{"empty", nil, "is empty"},
		{"less than a page", content[:1000], "open"},
		{"two pages", content[:8192], "is damaged"},
		{"half of it", content[:len(content)/2&^4095], "is damaged"},
		{"all but the last octet", content[:len(content)-1], "is damaged"},
		{"zeros", make([]byte, len(content)), "open"},
		{"zeros behind the first pages", append(content[:8192:8192], make([]byte, len(content)-8192)...), "is damaged"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "directory.db")
			if err := os.WriteFile(path, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := CheckFile(context.Background(), path); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("CheckFile: %v, want %q", err, test.want)
			}
			if _, err := Open(Config{Path: path}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open: %v, want %q", err, test.want)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(test.content) {
				t.Errorf("the file is not what it was (%v)", err)
			}
		})
	}
}

// TestFlippedOctets changes a few octets of a file at a time. Whatever that does, the process must survive it, and both
// readings must end.
func TestFlippedOctets(t *testing.T) {
	t.Parallel()
	_, content := closedDirectory(t, 100)
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	refused := 0
	for round := range rounds {
		random := rand.New(rand.NewPCG(uint64(round), 1))
		damaged := []byte(string(content))
		for range 1 + random.IntN(20) {
			// Half of them hit headers and elements, at the beginning of a page.
			at := random.IntN(len(damaged))
			if random.IntN(2) == 0 {
				at = at&^4095 + random.IntN(64)
			}
			damaged[at] = byte(random.Uint32())
		}
		path := filepath.Join(t.TempDir(), "directory.db")
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if faults, err := CheckFile(context.Background(), path); err != nil || len(faults) > 0 {
			refused++
		}
		if s, err := Open(Config{Path: path}); err == nil {
			_, _ = s.Check(context.Background())
			_ = s.Close()
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if refused < rounds/2 {
		t.Errorf("%d of %d damaged files were found", refused, rounds)
	}
}

func TestIndexesAreRebuilt(t *testing.T) {
	t.Parallel()
	uid := directory.attribute("uid")
	meta := func(value string) func(*bolt.Tx) error {
		return func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(metaIndexes, []byte(value)) }
	}
	tests := []struct {
		name   string
		change func(*bolt.Tx) error
	}{
		{"index is missing", func(tx *bolt.Tx) error { return tx.DeleteBucket(indexBucket(uid)) }},
		{"names are missing", func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketNames) }},
		{"no list", func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(metaIndexes) }},
		{"another attribute", meta("1 15.0.0\nuid caseIgnoreMatch")},
		{"an index that was dropped and filled by another version", func(tx *bolt.Tx) error {
			if err := tx.DeleteBucket(indexBucket(uid)); err != nil {
				return err
			}
			bucket, err := tx.CreateBucket(indexBucket(uid))
			if err != nil {
				return err
			}
			if err := bucket.Put(indexKey("gone", 5), nil); err != nil {
				return err
			}
			return meta("0")(tx)
		}},
		{"key of a name by another version", func(tx *bolt.Tx) error {
			entry, err := load(tx, 5)
			if err != nil {
				return err
			}
			entry.key += "x"
			return tx.Bucket(bucketEntries).Put(idKey(5), entry.encode())
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path, _ := closedDirectory(t, 3)
			db, err := bolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bolt.Tx) error {
				if err := test.change(tx); err != nil {
					return err
				}
				if strings.HasPrefix(test.name, "key of") {
					return meta("0")(tx)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if faults, err := CheckFile(context.Background(), path); err != nil || len(faults) != 1 {
				t.Errorf("CheckFile before: %v %v, want one sentence", faults, err)
			}
			var log strings.Builder
			s, err := Open(Config{Path: path, Containers: testContainers, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			requireSound(t, s)
			if got := search(t, s, userBase, wire.Equal("uid", "USER2")); len(got) != 1 {
				t.Errorf("found %v, want one user", got)
			}
			if !strings.Contains(log.String(), "made anew") || !strings.Contains(log.String(), "entries=7") {
				t.Errorf("log:\n%s", log.String())
			}
		})
	}
}

// TestRebuildInBatches has more entries than one transaction takes.
func TestRebuildInBatches(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	err := s.db.Update(func(tx *bolt.Tx) error {
		for n := 1; n <= 2*rebuildBatch+10; n++ {
			request := userRequest(n)
			name, err := parseName(request.DN)
			if err != nil {
				return err
			}
			add := addition{name: name, attributes: request.Attributes}
			c, err := add.prepare(tx, s.writer.now())
			if err != nil {
				return err
			}
			if err := c.apply(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.rebuildIndexes(); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(search(t, s, userBase, wire.Equal("sn", "muster"))); got != 2*rebuildBatch+10 {
		t.Errorf("%d users found", got)
	}
}

// TestFirstStartIsOneTransaction counts transactions by their ids: bbolt gives 0 and 1 to an empty file.
func TestFirstStartIsOneTransaction(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory.db")
	var ids []int
	for range 2 {
		s := openTestAt(t, path)
		if err := s.view(func(tx *bolt.Tx) error { ids = append(ids, tx.ID()); return nil }); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int{2, 2}, ids); diff != "" {
		t.Errorf("last transactions (-want +got):\n%s", diff)
	}
}

// TestLongNamesCostLittle holds that a name of very many parts is refused before it waits for the writer.
func TestLongNamesCostLittle(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	ctx := context.Background()
	nothing := func(*wire.Entry) error { return nil }
	filter := wire.Present("objectClass")
	for _, test := range []struct {
		name string
		dn   string
		want wire.ResultCode
	}{
		{"60,000 RDNs", strings.Repeat("a=,", 60_000) + "a=", wire.ResultInvalidDNSyntax},
		{"60,000 values in an RDN", strings.Repeat("a=+", 60_000) + "a=", wire.ResultInvalidDNSyntax},
		{"200,000 octets", "cn=" + strings.Repeat("a", 200_000), wire.ResultInvalidDNSyntax},
		{"deep and missing", strings.Repeat("ou=a,", 200) + userBase, wire.ResultNoSuchObject},
	} {
		for name, call := range map[string]func() error{
			"Search": func() error {
				return s.Search(ctx, &wire.SearchRequest{Base: test.dn, Scope: wire.ScopeBase, Filter: filter}, nothing)
			},
			"Add": func() error {
				_, err := s.Add(ctx, &wire.AddRequest{DN: test.dn, Attributes: []wire.Attribute{attr("objectClass", "organizationalUnit")}})
				return err
			},
			"Modify": func() error {
				_, err := s.Modify(ctx, &wire.ModifyRequest{DN: test.dn, Changes: []wire.Change{change(wire.ChangeReplace, "ou", "x")}})
				return err
			},
			"ModifyDN": func() error { return s.ModifyDN(ctx, &wire.ModifyDNRequest{DN: test.dn, NewRDN: "ou=x"}) },
			"Delete":   func() error { return s.Delete(ctx, &wire.DeleteRequest{DN: test.dn}) },
		} {
			t.Run(fmt.Sprint(test.name, "/", name), func(t *testing.T) {
				begin := time.Now()
				requireCode(t, call(), test.want)
				if took := time.Since(begin); took > 2*time.Second {
					t.Errorf("took %s", took)
				}
			})
		}
	}
}

// TestNamesAreReadBeforeTheQueue holds that a name which is none is refused while the writer is busy.
func TestNamesAreReadBeforeTheQueue(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	release := blockWriter(t, s)
	defer release()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	superior := "no name"
	for name, call := range map[string]func() error{
		"Add":      func() error { _, err := s.Add(ctx, &wire.AddRequest{DN: "no name"}); return err },
		"Modify":   func() error { _, err := s.Modify(ctx, &wire.ModifyRequest{DN: "no name"}); return err },
		"Delete":   func() error { return s.Delete(ctx, &wire.DeleteRequest{DN: "no name"}) },
		"ModifyDN": func() error { return s.ModifyDN(ctx, &wire.ModifyDNRequest{DN: "no name", NewRDN: "ou=x"}) },
		"new RDN":  func() error { return s.ModifyDN(ctx, &wire.ModifyDNRequest{DN: userBase, NewRDN: "x"}) },
		"new superior": func() error {
			return s.ModifyDN(ctx, &wire.ModifyDNRequest{DN: userBase, NewRDN: "ou=x", NewSuperior: &superior})
		},
	} {
		t.Run(name, func(t *testing.T) { requireCode(t, call(), wire.ResultInvalidDNSyntax) })
	}
}
