package oidc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/opencloud-eu/education/pkg/access"
)

const (
	// maxTokenBytes is the size of the longest token that is looked at. Entra ID's tokens with two hundred groups take
	// about ten thousand.
	maxTokenBytes = 16 << 10
	// maxDepth is how deep claims may be nested.
	maxDepth = 16
)

// token is a JWT in JWS Compact Serialization (RFC 7515, section 7.1) that has been read and not been checked. Nothing in it
// may be believed yet.
type token struct {
	header, claims map[string]any
}

// parse reads a token. The error wraps access.ErrUnknown if that is not shaped like a JWT.
func parse(text string) (token, error) {
	parts := strings.Split(text[:min(len(text), maxTokenBytes+1)], ".")
	if len(parts) != 3 && len(text) <= maxTokenBytes {
		return token{}, fmt.Errorf("%w: it is no JWT", access.ErrUnknown)
	}
	if len(text) > maxTokenBytes {
		return token{}, fmt.Errorf("%w: it is longer than %d bytes", access.ErrInvalid, maxTokenBytes)
	}
	header, err := decodePart(parts[0])
	if err != nil {
		return token{}, fmt.Errorf("its header: %w", err)
	}
	claims, err := decodePart(parts[1])
	if err != nil {
		return token{}, fmt.Errorf("its claims: %w", err)
	}
	return token{header: header, claims: claims}, nil
}

// decodePart reads a part of a token: an object, in base64url without padding (RFC 7515, section 2).
func decodePart(part string) (map[string]any, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || !utf8.Valid(text) || !json.Valid(text) {
		return nil, fmt.Errorf("%w: no JSON in base64url", access.ErrUnknown)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	value, err := decodeValue(decoder, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", access.ErrInvalid, err)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: no object", access.ErrUnknown)
	}
	return object, nil
}

// Faults of JSON that is well-formed.
var (
	errTwice = errors.New("a name stands twice in an object")
	errDeep  = errors.New("it is nested too deep")
)

// decodeValue reads a value out of valid JSON. Unlike encoding/json it refuses an object in which a name stands twice, which
// others may have read otherwise than we would (RFC 7519, section 4).
func decodeValue(decoder *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	next, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch next {
	case json.Delim('{'):
		return decodeObject(decoder, depth)
	case json.Delim('['):
		return decodeArray(decoder, depth)
	}
	return next, nil
}

func decodeObject(decoder *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for decoder.More() {
		next, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name := next.(string) // The JSON is valid.
		if _, ok := object[name]; ok {
			return nil, errTwice
		}
		if object[name], err = decodeValue(decoder, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := decoder.Token()
	return object, err
}

func decodeArray(decoder *json.Decoder, depth int) (any, error) {
	array := []any{}
	for decoder.More() {
		element, err := decodeValue(decoder, depth+1)
		if err != nil {
			return nil, err
		}
		array = append(array, element)
	}
	_, err := decoder.Token()
	return array, err
}
