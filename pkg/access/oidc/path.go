package oidc

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A path leads to a claim, from the outermost object inwards. It goes through arrays to each of their elements.
type path []step

// step is the name of a member, or any name.
type step struct {
	name string
	any  bool
}

// parsePath reads a path: names separated by dots, where * stands for any name. A backslash takes away the meaning of a dot,
// an asterisk or a backslash, as in https://example\.org/tenant.
func parsePath(text string) (path, error) {
	var p path
	var name strings.Builder
	escaped, wild := false, false
	end := func() bool {
		p = append(p, step{name: name.String(), any: wild})
		ok := wild && name.Len() == 0 || !wild && strings.TrimSpace(name.String()) != ""
		name.Reset()
		wild = false
		return ok
	}
	for _, r := range text {
		switch {
		case escaped && !strings.ContainsRune(`.*\`, r):
			return nil, errors.New(`a backslash may stand before a dot, an asterisk and a backslash only`)
		case escaped:
			name.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case r == '*' && !wild:
			wild = true
		case r == '.':
			if !end() {
				return nil, errors.New("between two dots there must be a name, or an asterisk alone")
			}
		default:
			name.WriteRune(r)
		}
	}
	switch {
	case escaped:
		return nil, errors.New("a backslash stands at the end")
	case !end():
		return nil, errors.New("the path must end with a name, or an asterisk alone")
	case p[0].any:
		return nil, errors.New("the first name of a path cannot be any")
	}
	return p, nil
}

// find returns the values that the path leads to, none of which is an array. present says whether claims have a member of the
// path's first name at all, wherever it leads.
func (p path) find(claims map[string]any) (values []any, present bool) {
	_, present = claims[p[0].name]
	return p.walk(nil, claims), present
}

// walk appends the values that the path leads to from a value.
func (p path) walk(found []any, value any) []any {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			found = p.walk(found, element)
		}
		return found
	case map[string]any:
		if len(p) == 0 {
			break
		}
		if !p[0].any {
			if member, ok := value[p[0].name]; ok {
				found = p[1:].walk(found, member)
			}
			return found
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			found = p[1:].walk(found, value[name])
		}
		return found
	}
	if len(p) > 0 {
		return found
	}
	return append(found, value)
}

// wholeNumber is a JSON number (RFC 8259, section 6) that has one way to be written.
var wholeNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// textOf returns a claim's value as text: a string, or a whole number as it is written.
func textOf(value any) (string, bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case json.Number:
		return value.String(), wholeNumber.MatchString(value.String())
	}
	return "", false
}
