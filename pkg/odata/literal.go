package odata

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// literal is a literal of a $filter. Its text is that of a string without its quotes, and of anything else as written.
type literal struct {
	form literalForm
	text string
}

// literalForm is what a literal looks like. Whether it is one of a property's kind is seen when both meet.
type literalForm int

const (
	// formNumber is anything that begins like a number: dates and times, too.
	formNumber literalForm = iota
	formString
	formGUID
	formBoolean
	formNull
)

var (
	guid = regexp.MustCompile(`^[[:xdigit:]]{8}(-[[:xdigit:]]{4}){3}-[[:xdigit:]]{12}$`)
	// dateTimeOffset is stricter than time.Parse, which takes one digit for an hour and a comma for the fraction's
	// point. Unlike RFC 3339, OData lets the seconds be left out (ABNF, dateTimeOffsetValue).
	dateTimeOffset = regexp.MustCompile(
		`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,12})?)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)
)

// wordLiteral returns the literal that a word is, if it is one. ABNF has no case (RFC 5234, section 2.3), which is why
// PowerShell's True is a literal.
func wordLiteral(word string) (literal, bool) {
	lower := strings.ToLower(word)
	switch {
	case lower == "null":
		return literal{formNull, lower}, true
	case lower == "true", lower == "false":
		return literal{formBoolean, lower}, true
	case guid.MatchString(word):
		return literal{formGUID, word}, true
	case numeric(word[0]):
		return literal{formNumber, word}, true
	}
	return literal{}, false
}

// value returns the literal as a value of a property, which must be of the property's kind.
func (l literal) value(field Field) (any, error) {
	if l.form == formNull {
		return nil, nil
	}
	switch field.Kind {
	case KindString:
		if l.form == formString {
			return l.text, nil
		}
	case KindGUID:
		if l.form == formString || l.form == formGUID {
			return l.text, nil
		}
	case KindBoolean:
		if l.form == formBoolean {
			return l.text == "true", nil
		}
	case KindDateTimeOffset:
		if at, ok := parseDateTime(l); ok {
			return at, nil
		}
	}
	return nil, mismatch(field)
}

// count returns the literal as a number of entities.
func (l literal) count() (int, bool) {
	number, err := strconv.ParseUint(l.text, 10, 31)
	return int(number), err == nil && l.form == formNumber
}

func parseDateTime(l literal) (time.Time, bool) {
	text := strings.ToUpper(l.text)
	if l.form != formNumber || !dateTimeOffset.MatchString(text) {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if at, err := time.Parse(layout, text); err == nil {
			at = at.UTC()
			// The offset may lead out of the years that can be written.
			return at, at.Year() >= 1 && at.Year() <= 9999
		}
	}
	return time.Time{}, false
}

// mismatch says what a property is compared with.
func mismatch(field Field) error {
	return Errorf(InvalidRequest, field.Name, "%s is compared with %s", field.Name, field.Kind.literalForm())
}

// literalForm says how a literal of the kind is written.
func (k Kind) literalForm() string {
	switch k {
	case KindBoolean:
		return "true, false or null"
	case KindDateTimeOffset:
		return "a date such as 2026-12-31T00:00:00Z, without quotes, or null"
	case KindGUID:
		return "a UUID, or null"
	default:
		return "a string in single quotes, or null"
	}
}
