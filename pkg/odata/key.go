package odata

import (
	"net/url"
	"slices"
	"strings"
)

// MaxKeyLength is the largest length of a key in bytes, after percent-decoding.
const MaxKeyLength = 1 << 10

// Key is a key as it stands in a URL. Name is empty for the positional form, users/4711 or users('4711'), and names
// the property of an alternate key, users(externalId='4711').
type Key struct {
	Name  string
	Value string
}

// ParseKey reads a key from one escaped path segment. A segment that begins with a raw parenthesis is the
// parenthesised form; any other is the key's text itself, percent-decoded exactly once.
func ParseKey(escaped string) (Key, error) {
	text, err := url.PathUnescape(escaped)
	if err != nil {
		return Key{}, Errorf(InvalidRequest, "", "a key in the path is not percent-encoded correctly")
	}
	key := Key{Value: text}
	if strings.HasPrefix(escaped, "(") {
		var ok bool
		if key, ok = parsePredicate(text); !ok {
			return Key{}, Errorf(InvalidRequest, printable(text), "a key in parentheses is written ('value') or (name='value')")
		}
	}
	target := printable(key.Name)
	switch {
	case key.Value == "":
		return Key{}, Errorf(InvalidRequest, target, "a key in the path is empty")
	case len(key.Value) > MaxKeyLength:
		return Key{}, Errorf(InvalidRequest, target, "a key in the path is longer than %d bytes", MaxKeyLength)
	case !validText(key.Value):
		return Key{}, Errorf(InvalidRequest, target, "a key in the path must be UTF-8 without control characters")
	}
	return key, nil
}

// parsePredicate parses ('value'), (value) and (name='value') (OData URL conventions, section 4.3.1).
func parsePredicate(text string) (Key, bool) {
	inner, ok := strings.CutSuffix(strings.TrimPrefix(text, "("), ")")
	if !ok {
		return Key{}, false
	}
	inner = strings.TrimSpace(inner)
	var key Key
	// The first quote or equals sign tells which: a name has no quote in it.
	if i := strings.IndexAny(inner, "'="); i >= 0 && inner[i] == '=' {
		key.Name, inner = strings.TrimSpace(inner[:i]), strings.TrimSpace(inner[i+1:])
		if key.Name == "" || strings.ContainsAny(key.Name, ",() ") {
			return Key{}, false
		}
	}
	if !strings.HasPrefix(inner, "'") {
		key.Value = inner
		return key, !strings.ContainsAny(inner, "',()= ")
	}
	literal, rest, ok := cutString(inner)
	key.Value = literal
	return key, ok && rest == ""
}

// MaxReferenceLength is the largest length of an @odata.id in bytes. It has room for the longest key, percent-encoded.
const MaxReferenceLength = 4 << 10

// ParseReference reads an @odata.id, which must point at an entity of one of the given entity sets. Scheme, host, query
// and everything in front of the entity set are ignored, since clients copy URLs of other services; the URL is never
// fetched. Accepted are absolute URLs, absolute and relative paths, each with the key as a segment or in parentheses.
func ParseReference(text string, sets []string) (Key, error) {
	if len(text) > MaxReferenceLength {
		return Key{}, referenceError("is longer than %d bytes", MaxReferenceLength)
	}
	if !strings.Contains(text, "://") {
		// It is a path, even //users/4711, which OpenCloud's graph service accepts, and users('urn:x').
		text = "/" + strings.TrimLeft(text, "/")
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return Key{}, referenceError("must be the URL of an entity, such as /education/%s/{id}", sets[0])
	}
	segments := strings.Split(parsed.EscapedPath(), "/")
	last := segments[len(segments)-1]
	escaped := ""
	if set, predicate, ok := strings.Cut(last, "("); ok && known(sets, set) {
		escaped = "(" + predicate
	} else if len(segments) > 1 && known(sets, segments[len(segments)-2]) {
		// A parenthesis at the front of a segment belongs to the key's text here.
		escaped = strings.Replace(last, "(", "%28", 1)
	} else {
		return Key{}, referenceError("must point at an entity of %s, such as /education/%s/{id}", sets[0], sets[0])
	}
	key, err := ParseKey(escaped)
	if err != nil {
		return Key{}, referenceError("holds a key that is empty or malformed")
	}
	return key, nil
}

func referenceError(format string, args ...any) *Error {
	return Errorf(InvalidRequest, "@odata.id", "@odata.id "+format, args...)
}

// known reports whether name is one of the sets; Graph compares resource names without case.
func known(sets []string, name string) bool {
	return slices.ContainsFunc(sets, func(set string) bool { return strings.EqualFold(set, name) })
}
