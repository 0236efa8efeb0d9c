package tokenfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// version is that of the file's format.
const version = 1

// names are the names that objects in the file may have.
var names = []string{
	"version", "credentials", "name", "verbs", "allSchools", "schools", "id", "externalId", "tokens", "sha256", "created", "expires",
}

// maxDepth is how many objects and arrays can be in each other: a token is in tokens of one of credentials of the document.
const maxDepth = 5

// Parse reads a document. It refuses the whole of it if anything in it is not known, is there twice or cannot be meant: half of
// what somebody has written about access is something that nobody has written.
func Parse(content []byte) (*Document, error) {
	if err := checkNames(json.NewDecoder(bytes.NewReader(content))); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	document := &Document{}
	if err := decoder.Decode(document); err != nil {
		return nil, err
	}
	if err := document.check(); err != nil {
		return nil, err
	}
	return document, nil
}

// checkNames reads one JSON text (RFC 8259) and nothing behind it, and checks the names in it. encoding/json takes a name in any
// case, and of a name that is there twice the last value, so that a person and the service may read two different things.
func checkNames(decoder *json.Decoder) error {
	if err := checkValue(decoder, maxDepth); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the end of the JSON text")
	}
	return nil
}

// checkValue checks the names in the next value, which may be as many levels deep as depth says.
func checkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return unexpected(err)
	}
	if token == nil && depth < maxDepth {
		return errors.New("there is a null, which may mean that something is missing or that there is none")
	}
	delimiter, _ := token.(json.Delim)
	if delimiter != '{' && delimiter != '[' {
		return nil
	}
	if depth == 0 {
		return errors.New("there are more brackets in each other than the file can have")
	}
	var seen []string
	for decoder.More() {
		if delimiter == '{' {
			if seen, err = checkName(decoder, seen); err != nil {
				return err
			}
		}
		if err := checkValue(decoder, depth-1); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return unexpected(err)
}

// checkName checks the next name of an object that has had those in seen.
func checkName(decoder *json.Decoder, seen []string) ([]string, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, unexpected(err)
	}
	name, _ := token.(string)
	switch {
	case !slices.Contains(names, name):
		return nil, fmt.Errorf("%.100q is not known", name)
	case slices.Contains(seen, name):
		return nil, fmt.Errorf("%q is there twice in one object", name)
	}
	return append(seen, name), nil
}

// unexpected says in words that a text ends too soon.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// encode writes a document as Parse reads it.
func (d *Document) encode() ([]byte, error) {
	content, err := json.MarshalIndent(d, "", "  ")
	return append(content, '\n'), err
}
