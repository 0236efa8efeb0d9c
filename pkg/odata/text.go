package odata

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShown is how much of a client's own text an error repeats, in runes.
const maxShown = 64

// printable returns text from a request in a form that is safe to repeat in an error: control characters and invalid
// UTF-8 are left out and long text is cut.
func printable(text string) string {
	var b strings.Builder
	shown := 0
	for _, r := range text {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			continue
		}
		if shown++; shown > maxShown {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Printable is printable for the packages that report faults in a body or a path.
func Printable(text string) string { return printable(text) }

// validText reports whether text is UTF-8 without control characters other than tab and line breaks.
func validText(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	return strings.IndexFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r'
	}) < 0
}
