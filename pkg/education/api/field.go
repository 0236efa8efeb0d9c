package api

import (
	"iter"
	"net/http"
	"strings"
)

// elements returns the elements of a header field that is a list (RFC 9110, section 5.6.1), without the space around them.
// What stands in quotes does not separate them. A quotation that its line does not close ends with the line.
func elements(r *http.Request, header string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range r.Header.Values(header) {
			for rest, more := line, true; more; {
				var element string
				element, rest, more = cutUnquoted(rest, ',')
				if element = strings.Trim(element, " \t"); element != "" && !yield(element) {
					return
				}
			}
		}
	}
}

// cutUnquoted is strings.Cut at a separator that stands in no quoted string. In one, a backslash takes from the octet behind
// it every meaning (RFC 9110, section 5.6.4).
func cutUnquoted(text string, separator byte) (before, after string, found bool) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && c == separator:
			return text[:i], text[i+1:], true
		}
	}
	return text, "", false
}

// unquoted returns the text that a token or a quoted string stands for (RFC 9110, section 5.6.4).
func unquoted(text string) string {
	inner, begins := strings.CutPrefix(text, `"`)
	inner, ends := strings.CutSuffix(inner, `"`)
	if !begins || !ends {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' && i+1 < len(inner) {
			i++
		}
		b.WriteByte(inner[i])
	}
	return b.String()
}
