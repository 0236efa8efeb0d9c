// Package strictjson reads JSON that a person has written about who may do what, and takes it in one way or not at all.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// Format is what a text may be made of.
type Format struct {
	// Names are those that objects may have.
	Names []string
	// Free are names of objects in which there may be any names, as in a map.
	Free []string
	// Depth is how many objects and arrays can be in each other.
	Depth int
}

// Decode reads one JSON text (RFC 8259) and nothing behind it into target. It refuses a name that is unknown, is there twice in
// one object or has other capitals, a null within the text, and what is not UTF-8. encoding/json takes a name in any case, of a
// name that is there twice the last value, and any octets for text, so that a person and the service may read two different
// things. A byte order mark at the beginning, which some editors leave there, means nothing (RFC 8259, section 8.1).
//
// Where it can, an error begins with the line and the column.
func (f Format) Decode(content []byte, target any) error {
	if !utf8.Valid(content) {
		return errors.New("the text is not UTF-8")
	}
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	decoder := json.NewDecoder(bytes.NewReader(content))
	if err := f.check(decoder); err != nil {
		return located(content, decoder.InputOffset(), err)
	}
	decoder = json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields() // A name that is known has a place of its own all the same.
	return located(content, 0, decoder.Decode(target))
}

// check checks a whole text.
func (f Format) check(decoder *json.Decoder) error {
	if err := f.checkValue(decoder, f.Depth, false); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the end of the JSON text")
	}
	return nil
}

// checkValue checks the next value, which may be as many levels deep as depth says. If it is free, it may have any names.
func (f Format) checkValue(decoder *json.Decoder, depth int, free bool) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	if token == nil && depth < f.Depth {
		return errors.New("there is a null, which may mean that something is missing or that there is none")
	}
	delimiter, _ := token.(json.Delim)
	if delimiter != '{' && delimiter != '[' {
		return nil
	}
	if depth == 0 {
		return errors.New("there are more brackets in each other than the file can have")
	}
	if delimiter == '{' {
		err = f.checkObject(decoder, depth-1, free)
	} else {
		err = f.checkArray(decoder, depth-1)
	}
	if err != nil {
		return err
	}
	_, err = decoder.Token()
	return err
}

// checkObject checks the members of an object.
func (f Format) checkObject(decoder *json.Decoder, depth int, free bool) error {
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		switch {
		case !free && !slices.Contains(f.Names, name):
			return fmt.Errorf("%.100q is not known", name)
		case seen[name]:
			return fmt.Errorf("%.100q is there twice in one object", name)
		}
		seen[name] = true
		if err := f.checkValue(decoder, depth, !free && slices.Contains(f.Free, name)); err != nil {
			return err
		}
	}
	return nil
}

// checkArray checks the elements of an array.
func (f Format) checkArray(decoder *json.Decoder, depth int) error {
	for decoder.More() {
		if err := f.checkValue(decoder, depth, false); err != nil {
			return err
		}
	}
	return nil
}
