package identity

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Attributes by which directories say that an entry has changed. OpenLDAP and the embedded directory give every change of
// an entry an entryCSN of its own. 389-DS has the time of the last change alone, in whole seconds; what this service
// changes within one second is told apart by the revision among the unique keys.
const (
	attributeChangeStamp = "entryCSN"
	attributeChangeTime  = "modifyTimestamp"
)

// versionAttributes are those that versionOf looks at.
var versionAttributes = []string{attributeChangeStamp, attributeChangeTime, attributeUniqueKey}

// versionOf returns the version of the entity that an entry holds. It is a hash because stamps tell how a directory is
// built, and no client has to know.
func versionOf(set *education.EntitySet, entry *wire.Entry) string {
	stamp := entry.Value(attributeChangeStamp)
	if stamp == "" {
		at := entry.Value(attributeChangeTime)
		if at == "" {
			return ""
		}
		stamp = at + " " + revisionOf(set, entry.Values(attributeUniqueKey))
	}
	sum := sha256.Sum256([]byte(stamp))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// unchanged is the assertion that an entry is as it was read (RFC 4528), or nil if the entry does not say.
func unchanged(set *education.EntitySet, entry *wire.Entry) *wire.Filter {
	if stamp := entry.Value(attributeChangeStamp); stamp != "" {
		return wire.Equal(attributeChangeStamp, stamp)
	}
	var same []*wire.Filter
	if at := entry.Value(attributeChangeTime); at != "" {
		same = append(same, wire.Equal(attributeChangeTime, at))
	}
	if revision := revisionOf(set, entry.Values(attributeUniqueKey)); revision != "" {
		same = append(same, wire.Equal(attributeUniqueKey, revision))
	}
	switch len(same) {
	case 0:
		return nil
	case 1:
		return same[0]
	}
	return wire.And(same...)
}
