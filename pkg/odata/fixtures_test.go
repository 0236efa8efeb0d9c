package odata

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// everything is a resource that answers both options and has a property of each kind.
var everything = Resource{Options: []string{OptionFilter, OptionID}, Field: fieldOf}

var fields = []Field{
	{"id", KindGUID, []Operator{Eq}},
	{"displayName", KindString, []Operator{Eq}},
	{"externalId", KindString, []Operator{Eq}},
	{"accountEnabled", KindBoolean, []Operator{Eq}},
	{"terminationDate", KindDateTimeOffset, []Operator{Eq}},
	{"identities", KindComplex, nil},
	{"note", KindString, nil},
}

func fieldOf(name string) (Field, bool) {
	for _, field := range fields {
		if strings.EqualFold(field.Name, name) {
			return field, true
		}
	}
	return Field{}, false
}

// maxMessage is more than any message with its bounded quotations needs, in bytes.
const maxMessage = 700

// checkError checks the code and target of an error, and that nothing in it is long or unprintable.
func checkError(t *testing.T, err error, code Code, target string) {
	t.Helper()
	var got *Error
	if !errors.As(err, &got) {
		t.Fatalf("got error %v, want an *Error", err)
	}
	if got.Code != code || got.Target != target {
		t.Errorf("got %v with target %q, want %v with target %q (%v)", got.Code, got.Target, code, target, err)
	}
	checkBounded(t, got)
}

// checkBounded checks that an error repeats no more of its input than is good for anybody.
func checkBounded(t *testing.T, err *Error) {
	t.Helper()
	for _, text := range []string{err.Message, err.Target} {
		if len(text) > maxMessage || !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\n\r\x1b") {
			t.Errorf("an error says %.100q…, %d bytes", text, len(text))
		}
	}
}
