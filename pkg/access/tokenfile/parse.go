package tokenfile

import (
	"encoding/json"

	"github.com/opencloud-eu/education/internal/strictjson"
)

// version is that of the file's format.
const version = 1

// format is what the file may be made of. A token is in tokens of one of credentials of the document.
var format = strictjson.Format{
	Names: []string{
		"version", "credentials", "name", "verbs", "allSchools", "schools", "id", "externalId", "tokens", "sha256", "created", "expires",
	},
	Depth: 5,
}

// Parse reads a document. It refuses the whole of it if anything in it is not known, is there twice or cannot be meant: half of
// what somebody has written about access is something that nobody has written.
func Parse(content []byte) (*Document, error) {
	document := &Document{}
	if err := format.Decode(content, document); err != nil {
		return nil, err
	}
	if err := document.check(); err != nil {
		return nil, err
	}
	return document, nil
}

// encode writes a document as Parse reads it.
func (d *Document) encode() ([]byte, error) {
	content, err := json.MarshalIndent(d, "", "  ")
	return append(content, '\n'), err
}
