package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Limits of a request's body.
const (
	// MaxBodyBytes counts after decompression.
	MaxBodyBytes = 1 << 20
	// MaxBodyDepth is the depth of nested objects and arrays.
	MaxBodyDepth = 32
)

var (
	gzipMagic     = []byte{0x1f, 0x8b}
	byteOrderMark = []byte{0xef, 0xbb, 0xbf}
	// encodings are the values of Content-Encoding that may stand over a body (RFC 9110, section 8.4.1).
	encodings = []string{"", "identity", "gzip", "x-gzip"}
)

// readBody reads a JSON body. Whether it is compressed is seen from its first bytes rather than from Content-Encoding:
// the Go SDK for Graph, when it repeats a request, keeps the header and sends the body without compression.
func readBody(r *http.Request) ([]byte, error) {
	if !slices.Contains(encodings, strings.ToLower(r.Header.Get("Content-Encoding"))) {
		return nil, odata.Errorf(odata.UnsupportedMediaType, "Content-Encoding", "the body must be JSON, as it is or compressed with gzip")
	}
	body, err := readLimited(r.Body)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(body, gzipMagic) {
		unzipped, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, odata.Errorf(odata.InvalidRequest, "", "the body is not valid gzip")
		}
		if body, err = readLimited(unzipped); err != nil {
			return nil, err
		}
	}
	body = bytes.TrimPrefix(body, byteOrderMark)
	return body, checkJSON(body)
}

func readLimited(source io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(source, MaxBodyBytes+1))
	if err != nil {
		return nil, odata.Errorf(odata.InvalidRequest, "", "the body could not be read to its end").Because(err)
	}
	if len(body) > MaxBodyBytes {
		return nil, odata.Errorf(odata.RequestTooLarge, "", "the body is larger than %d bytes", MaxBodyBytes)
	}
	return body, nil
}

// checkJSON refuses what encoding/json lets pass and what a reader could take for something else: invalid UTF-8, half
// surrogate pairs, a name that appears twice in an object, text after the value, and endless nesting.
func checkJSON(body []byte) error {
	invalid := func(message string) error { return odata.Errorf(odata.InvalidRequest, "", "%s", message) }
	if len(bytes.TrimSpace(body)) == 0 {
		return invalid("the body is empty; send a JSON object")
	}
	if !utf8.Valid(body) || loneSurrogate(body) {
		return invalid("the body is not valid UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	switch err := checkValue(decoder, 0); {
	case errors.Is(err, errDepth):
		return invalid("the body is nested more than " + strconv.Itoa(MaxBodyDepth) + " levels deep")
	case errors.As(err, new(*odata.Error)):
		return err
	case err != nil:
		return invalid("the body is not valid JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return invalid("the body holds more than one JSON value")
	}
	return nil
}

var errDepth = errors.New("nested too deep")

// checkValue reads one value and everything in it.
func checkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	delimiter, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= MaxBodyDepth {
		return errDepth
	}
	names := map[string]bool{}
	for decoder.More() {
		if delimiter == '{' {
			if err := checkName(decoder, names); err != nil {
				return err
			}
		}
		if err := checkValue(decoder, depth+1); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}

// checkName reads the name of an object's member, which must be a new one. Names that differ in case only are the same.
func checkName(decoder *json.Decoder, names map[string]bool) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	name, _ := token.(string)
	folded := fold(name)
	if names[folded] {
		shown := odata.Printable(name)
		return odata.Errorf(odata.InvalidRequest, shown, "%q is given twice", shown)
	}
	names[folded] = true
	return nil
}

// fold returns a form of a name that is the same for all names that encoding/json takes for one: it compares by simple
// Unicode folding, in which ſ is an s.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		smallest := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			smallest = min(smallest, next)
		}
		return smallest
	}, name)
}

// loneSurrogate reports whether a JSON text escapes half of a surrogate pair, which encoding/json replaces silently
// (RFC 8259, section 8.2).
func loneSurrogate(text []byte) bool {
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		high, ok := surrogate(text[i:])
		switch {
		case !ok:
			i++ // The escaped character may be a backslash.
		case high >= 0xdc00:
			return true
		default:
			if low, ok := surrogate(text[i+6:]); !ok || low < 0xdc00 {
				return true
			}
			i += 11
		}
	}
	return false
}

// surrogate reads the escape of a surrogate at the start of text.
func surrogate(text []byte) (uint64, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return unit, err == nil && unit >= 0xd800 && unit <= 0xdfff
}

// referenceOf reads the body of a $ref request: an object with @odata.id, which must point at an entity of the set.
func referenceOf(r *http.Request, set *education.EntitySet) (education.Key, error) {
	const member = "@odata.id"
	body, err := readBody(r)
	if err != nil {
		return education.Key{}, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return education.Key{}, odata.Errorf(odata.InvalidRequest, "", "the body must be a JSON object")
	}
	var reference *string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch {
		case strings.EqualFold(name, member):
			if err := json.Unmarshal(members[name], &reference); err != nil {
				return education.Key{}, odata.Errorf(odata.InvalidRequest, member, "%s must be a string", member)
			}
		case !strings.HasPrefix(name, "@odata."):
			shown := odata.Printable(name)
			return education.Key{}, odata.Errorf(odata.InvalidRequest, shown, "unknown property %q; the body has %s alone", shown, member)
		}
	}
	if reference == nil {
		return education.Key{}, odata.Errorf(odata.InvalidRequest, member, "%s is required", member)
	}
	return education.ParseReference(set, *reference)
}
