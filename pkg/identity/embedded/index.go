package embedded

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// The buckets of the file. Identifiers are eight bytes, big-endian, so that keys sort as the numbers do; 0 is never
// an entry.
var (
	bucketMeta      = []byte("meta")      // format, change stamp and what the indexes hold
	bucketEntries   = []byte("entries")   // id → record; its sequence is the last id given
	bucketNames     = []byte("dn")        // key of the DN → id
	bucketChildren  = []byte("children")  // id of the parent, id of the child → nothing
	bucketLinks     = []byte("links")     // id of the holder, attribute, 0, id of the target → nothing
	bucketBacklinks = []byte("backlinks") // id of the target, attribute, 0, id of the holder → nothing
)

// indexBucket returns the name of the bucket with the equality index of an attribute: normalised value, id → nothing.
func indexBucket(a *attribute) []byte { return []byte(indexBucketPrefix + a.name) }

// partBucket returns the name of the bucket with the index of an attribute within each school: normalised id of the school,
// normalised value, id → nothing. Whoever may see some schools alone searches in that, so that neither the answer nor the
// time it takes depends on what others hold.
func partBucket(a *attribute) []byte {
	return []byte(indexBucketPrefix + attributeMemberOfSchool + "/" + a.name)
}

// partKey is the key of one value of one entry within a school.
func partKey(school, normalized string, id uint64) []byte {
	return append(valueKey(school), indexKey(normalized, id)...)
}

const idSize = 8

func appendID(key []byte, id uint64) []byte { return binary.BigEndian.AppendUint64(key, id) }

func idKey(id uint64) []byte { return appendID(make([]byte, 0, idSize), id) }

func pairKey(a, b uint64) []byte { return appendID(appendID(make([]byte, 0, 2*idSize), a), b) }

// lastID returns the id at the end of a key.
func lastID(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-idSize:]) }

// longValue is the length in bytes from which on an index key holds the beginning of a value and a digest of it
// instead of all of it, because keys of the file are limited and copied into inner pages.
const longValue = 256

// In an index key, NUL bytes of a value are written as NUL and 0xff, and the value ends with NUL and 1. So keys sort
// as values do, and no value's key begins with another's.
const (
	escapedNUL = "\x00\xff"
	valueEnd   = "\x00\x01"
)

// valueKey returns what all index keys of a normalised value begin with; the id of an entry follows.
func valueKey(normalized string) []byte {
	key := make([]byte, 0, min(len(normalized), longValue)+sha256.Size+len(valueEnd)+idSize)
	if len(normalized) > longValue {
		digest := sha256.Sum256([]byte(normalized))
		key = appendEscaped(key, normalized[:longValue])
		key = appendEscaped(key, string(digest[:]))
	} else {
		key = appendEscaped(key, normalized)
	}
	return append(key, valueEnd...)
}

// prefixKey returns what the index keys of all values that begin with a prefix begin with. For long prefixes it is
// the beginning of more keys than those.
func prefixKey(prefix string) []byte {
	return appendEscaped(nil, prefix[:min(len(prefix), longValue)])
}

func appendEscaped(key []byte, value string) []byte {
	for {
		i := strings.IndexByte(value, 0)
		if i < 0 {
			return append(key, value...)
		}
		key = append(append(key, value[:i]...), escapedNUL...)
		value = value[i+1:]
	}
}

// indexKey is the key of one value of one entry.
func indexKey(normalized string, id uint64) []byte { return appendID(valueKey(normalized), id) }

// linkPrefix is what the keys of all links of one attribute at one end begin with, in links and in backlinks.
func linkPrefix(end uint64, a *attribute) []byte {
	key := appendID(make([]byte, 0, 2*idSize+len(a.name)+1), end)
	return append(append(key, a.name...), 0)
}

func linkKey(end uint64, a *attribute, other uint64) []byte {
	return appendID(linkPrefix(end, a), other)
}

// after returns the smallest key that is greater than all keys with the prefix, or nil if there is none.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// hasPrefix says whether a bucket has a key that begins with the prefix.
func hasPrefix(bucket *bolt.Bucket, prefix []byte) bool {
	key, _ := bucket.Cursor().Seek(prefix)
	return key != nil && bytes.HasPrefix(key, prefix)
}

// holders returns the ids of entries that have a value, in ascending order, at most limit of them.
func holders(tx *bolt.Tx, a *attribute, normalized string, limit int) []uint64 {
	prefix := valueKey(normalized)
	cursor := tx.Bucket(indexBucket(a)).Cursor()
	var ids []uint64
	for key, _ := cursor.Seek(prefix); key != nil && bytes.HasPrefix(key, prefix) && len(ids) < limit; key, _ = cursor.Next() {
		ids = append(ids, lastID(key))
	}
	return ids
}
