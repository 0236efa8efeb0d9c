package strictjson

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

// located returns an error in words of JSON, with its place: that of the token that ends at an offset, or of what encoding/json
// says that it could not read.
func located(content []byte, end int64, err error) error {
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return at(content, len(content), errors.New("the text ends too soon"))
	case errors.As(err, &syntax):
		// The offset that a Decoder gives is not always that of the whole text (Go 1.26, Decoder.readValue).
		if errors.As(json.Unmarshal(content, new(json.RawMessage)), &syntax) {
			return at(content, int(syntax.Offset)-1, syntax)
		}
	case errors.As(err, &mistyped):
		return at(content, tokenEndingAt(content, mistyped.Offset), typeError(mistyped))
	case end > 0:
		return at(content, tokenEndingAt(content, end), err)
	}
	return err
}

// at returns an error with the line and the column of an offset, both from 1. A column is a character.
func at(content []byte, offset int, err error) error {
	before := content[:min(max(offset, 0), len(content))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Errorf("line %d, column %d: %w", line, column, err)
}

// tokenEndingAt returns where the token begins that ends at an offset.
func tokenEndingAt(content []byte, end int64) int {
	decoder := json.NewDecoder(bytes.NewReader(content))
	for {
		rest := content[decoder.InputOffset():]
		begin := len(content) - len(bytes.TrimLeft(rest, " \t\r\n,:"))
		if _, err := decoder.Token(); err != nil || decoder.InputOffset() >= end {
			return begin
		}
	}
}

// The kinds of values, as encoding/json calls them and as Go does.
var (
	found = map[string]string{
		"string": "a string", "number": "a number", "bool": "true or false", "array": "an array", "object": "an object",
	}
	expected = map[reflect.Kind]string{
		reflect.String: "a string", reflect.Int: "a whole number", reflect.Bool: "true or false", reflect.Slice: "an array",
		reflect.Map: "an object", reflect.Struct: "an object",
	}
)

// typeError says without Go's names that a value is of the wrong type.
func typeError(err *json.UnmarshalTypeError) error {
	kind, number, _ := strings.Cut(err.Value, " ")
	is := cmp.Or(number, found[kind], kind)
	wanted := cmp.Or(expected[err.Type.Kind()], "another value")
	if reflect.PointerTo(err.Type).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		wanted = found["string"]
	}
	return fmt.Errorf("there must be %s, not %.40s", wanted, is)
}
