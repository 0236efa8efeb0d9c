package embedded

import (
	"encoding/binary"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// maxNameKey is the largest key of a DN, in bytes; the file cannot keep larger ones (bolt.MaxKeySize).
const maxNameKey = 32_000

// parseName reads the DN of an operation.
func parseName(text string) (*match.DN, error) {
	name, ok := directory.parseDN(text)
	if !ok {
		return nil, wire.Errorf(wire.ResultInvalidDNSyntax, "not a distinguished name, or a value in it does not fit its attribute")
	}
	return name, nil
}

// findID returns the id of the entry with a normalised DN, or 0.
func findID(tx *bolt.Tx, key string) uint64 {
	if id := tx.Bucket(bucketNames).Get([]byte(key)); id != nil {
		return binary.BigEndian.Uint64(id)
	}
	return 0
}

// findEntry returns the entry with the name, or ResultNoSuchObject with the nearest entry above it.
func findEntry(tx *bolt.Tx, name *match.DN) (*record, error) {
	id := findID(tx, name.Key())
	if id == 0 {
		return nil, noSuchObject(tx, name.Key())
	}
	return load(tx, id)
}

// load returns the entry with an id that is known to exist.
func load(tx *bolt.Tx, id uint64) (*record, error) {
	blob := tx.Bucket(bucketEntries).Get(idKey(id))
	if blob == nil {
		return nil, errCorrupt
	}
	return decodeRecord(id, blob)
}

// noSuchObject returns the result for a name that no entry has, with the nearest entry above it.
func noSuchObject(tx *bolt.Tx, key string) error {
	result := wire.Errorf(wire.ResultNoSuchObject, "no such entry")
	for at := match.ParentKey(key); at != ""; at = match.ParentKey(at) {
		if id := findID(tx, at); id != 0 {
			result.MatchedDN, _ = nameOf(tx, id)
			break
		}
	}
	return result
}

// nameOf returns the DN of an entry as it is spelt; that of the reserved id 0 is empty.
func nameOf(tx *bolt.Tx, id uint64) (string, bool) {
	if id == 0 {
		return "", true
	}
	_, _, dn, err := decodeHead(tx.Bucket(bucketEntries).Get(idKey(id)))
	return strings.Clone(dn), err == nil
}

func hasChildren(tx *bolt.Tx, id uint64) bool {
	return hasPrefix(tx.Bucket(bucketChildren), idKey(id))
}
