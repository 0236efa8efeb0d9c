package embedded

import (
	"bytes"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/match"
)

// metaIndexes is the key of the meta bucket that says what the indexes hold.
var metaIndexes = []byte("indexes")

// indexBucketPrefix is what the names of all buckets with equality indexes begin with.
const indexBucketPrefix = "eq/"

// indexContents says what the indexes of this version hold: the version of the normalised forms, which the keys of DNs
// are too, and each indexed attribute with its rule. A file whose indexes hold anything else would answer that nothing
// is found.
func indexContents() []byte {
	var b strings.Builder
	b.WriteString(match.Version)
	for _, a := range directory.all {
		if a.indexed() {
			b.WriteString("\n" + a.name + " " + a.equality.name)
		}
		if a.is(parted) {
			b.WriteString(" within " + attributeMemberOfSchool)
		}
	}
	return []byte(b.String())
}

// hasIndexes says whether the file has all indexes of this version.
func hasIndexes(tx *bolt.Tx) bool {
	for _, a := range directory.all {
		if a.indexed() && tx.Bucket(indexBucket(a)) == nil {
			return false
		}
		if a.is(parted) && tx.Bucket(partBucket(a)) == nil {
			return false
		}
	}
	return tx.Bucket(bucketNames) != nil && bytes.Equal(tx.Bucket(bucketMeta).Get(metaIndexes), indexContents())
}

// rebuildBatch is the number of entries that one transaction puts into the indexes.
const rebuildBatch = 1000

// rebuildIndexes makes the names of all entries and all indexes anew, in transactions of bounded size. What they hold
// is noted with the last of them, so a rebuild that is cut short begins again.
func (s *Store) rebuildIndexes() error {
	s.logger.Info("the indexes of the directory are those of another version and are made anew", "path", s.db.Path())
	if err := s.db.Update(dropIndexes); err != nil {
		return err
	}
	entries := 0
	for after, done := uint64(0), false; !done; {
		err := s.db.Update(func(tx *bolt.Tx) error {
			ids := everything{}.next(tx, after, rebuildBatch, nil)
			for _, id := range ids {
				if err := reindex(tx, id); err != nil {
					return err
				}
				after = id
			}
			entries += len(ids)
			if done = len(ids) < rebuildBatch; done {
				return tx.Bucket(bucketMeta).Put(metaIndexes, indexContents())
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	s.logger.Info("the indexes of the directory are complete", "entries", entries)
	return nil
}

// dropIndexes leaves the file with empty indexes, of this version's attributes alone.
func dropIndexes(tx *bolt.Tx) error {
	if err := tx.Bucket(bucketMeta).Delete(metaIndexes); err != nil {
		return err
	}
	var stale [][]byte
	err := tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		if bytes.HasPrefix(name, []byte(indexBucketPrefix)) || bytes.Equal(name, bucketNames) {
			stale = append(stale, bytes.Clone(name))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range stale {
		if err := tx.DeleteBucket(name); err != nil {
			return err
		}
	}
	return createBuckets(tx, indexBuckets())
}

// indexBuckets returns the names of the buckets that are made from the entries.
func indexBuckets() [][]byte {
	buckets := [][]byte{bucketNames}
	for _, a := range directory.all {
		if a.indexed() {
			buckets = append(buckets, indexBucket(a))
		}
		if a.is(parted) {
			buckets = append(buckets, partBucket(a))
		}
	}
	return buckets
}

func createBuckets(tx *bolt.Tx, names [][]byte) error {
	for _, name := range names {
		if _, err := tx.CreateBucket(name); err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
	}
	return nil
}

// reindex puts an entry into the empty places of the indexes, under the key that its name has in this version.
func reindex(tx *bolt.Tx, id uint64) error {
	entry, err := load(tx, id)
	if err != nil {
		return err
	}
	name, err := parseName(entry.dn)
	if err != nil {
		return fmt.Errorf("entry %q: %w", entry.dn, err)
	}
	c := &changes{}
	if key := name.Key(); key != entry.key {
		entry.key = key
		c.put(bucketEntries, idKey(id), entry.encode())
	}
	if other := findID(tx, entry.key); other != 0 {
		return fmt.Errorf("entry %q has the name of entry %d", entry.dn, other)
	}
	c.put(bucketNames, []byte(entry.key), idKey(id))
	diffIndexes(&record{id: id}, entry, c)
	return c.apply(tx)
}
