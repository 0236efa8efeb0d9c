package match

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Version names the tables and the rules that normalised forms come from. Whoever keeps such forms keeps the version
// with them, and makes them anew when it is another: a later Unicode folds and composes more characters. The number in
// front rises with every change of this package that gives a value another form.
const Version = "1 " + unicode.Version + " " + norm.Version + " " + cases.UnicodeVersion

// normalizeText prepares a value for equality and ordering (RFC 4518, sections 2.2, 2.3 and 2.6.1).
//
// RFC 4518 puts a blank before and after each value and doubles the blanks inside; that serves substrings alone, so
// the form for equality leaves it out.
func normalizeText(value string, fold bool) string {
	if isPrepared(value, fold) {
		return value
	}
	return joinWords(prepare(value, fold), spacing{blank: " "})
}

// isPrepared says whether a value is its own normalised form, for the values that are most common: printable ASCII
// with single blanks between words. It may say no to others that are.
func isPrepared(value string, fold bool) bool {
	previous := byte(' ')
	for i := range len(value) {
		c := value[i]
		if c < ' ' || c >= 0x7f || fold && c >= 'A' && c <= 'Z' || c == ' ' && previous == ' ' {
			return false
		}
		previous = c
	}
	return previous != ' '
}

// prepare maps, folds and composes the characters of a value and leaves its blanks as they are.
func prepare(value string, fold bool) string {
	mapped := mapRunes(value)
	if isASCII(mapped) {
		if fold {
			return lowerASCII(mapped)
		}
		return mapped
	}
	if !fold {
		return norm.NFKC.String(mapped)
	}
	// Compatible caseless matching (The Unicode Standard, section 3.13, D146) folds twice, because the decomposition
	// of a character such as U+2122 brings new capital letters.
	folded := norm.NFKD.String(cases.Fold().String(norm.NFD.String(mapped)))
	return norm.NFKC.String(cases.Fold().String(folded))
}

// mapRunes carries out the mapping of RFC 4518, section 2.2.
func mapRunes(value string) string {
	clean := true
	for i := range len(value) {
		if value[i] < ' ' || value[i] >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return value
	}
	return strings.Map(mapRune, value)
}

// mapRune returns what RFC 4518, section 2.2 maps a code point to; -1 is nothing.
func mapRune(r rune) rune {
	switch {
	case r >= ' ' && r < 0x7f:
		return r
	case r >= '\t' && r <= '\r', r == 0x85, unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp):
		return ' '
	case unicode.Is(unicode.Cc, r), unicode.Is(mappedToNothing, r):
		return -1
	}
	return r
}

// mappedToNothing are the code points other than control characters that RFC 4518, section 2.2 removes. The variation
// selectors are U+FE00 to U+FE0F; "FF00" in the RFC is a slip.
var mappedToNothing = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00ad, Hi: 0x00ad, Stride: 1},
		{Lo: 0x034f, Hi: 0x034f, Stride: 1},
		{Lo: 0x06dd, Hi: 0x06dd, Stride: 1},
		{Lo: 0x070f, Hi: 0x070f, Stride: 1},
		{Lo: 0x1806, Hi: 0x1806, Stride: 1},
		{Lo: 0x180b, Hi: 0x180e, Stride: 1},
		{Lo: 0x200b, Hi: 0x200f, Stride: 1},
		{Lo: 0x202a, Hi: 0x202e, Stride: 1},
		{Lo: 0x2060, Hi: 0x2063, Stride: 1},
		{Lo: 0x206a, Hi: 0x206f, Stride: 1},
		{Lo: 0xfe00, Hi: 0xfe0f, Stride: 1},
		{Lo: 0xfeff, Hi: 0xfeff, Stride: 1},
		{Lo: 0xfff9, Hi: 0xfffc, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1d173, Hi: 0x1d17a, Stride: 1},
		{Lo: 0xe0001, Hi: 0xe0001, Stride: 1},
		{Lo: 0xe0020, Hi: 0xe007f, Stride: 1},
	},
	LatinOffset: 1,
}

// spacing says how joinWords writes the blanks of a value.
type spacing struct {
	// blank stands between two words.
	blank string
	// leading and trailing ask for one blank at that end in any case; keep asks for one where the value has one.
	leading, trailing, keepLeading, keepTrailing bool
}

// joinWords handles the insignificant blanks of a prepared value (RFC 4518, section 2.6.1). A value without any
// visible character becomes a single blank, whatever the spacing.
func joinWords(value string, as spacing) string {
	var b strings.Builder
	b.Grow(len(value) + 2)
	var gap, started bool
	for i := 0; i < len(value); i++ {
		if isBlankAt(value, i) {
			gap = true
			continue
		}
		switch {
		case !started && (as.leading || gap && as.keepLeading):
			b.WriteByte(' ')
		case started && gap:
			b.WriteString(as.blank)
		}
		b.WriteByte(value[i])
		gap, started = false, true
	}
	if !started || as.trailing || gap && as.keepTrailing {
		b.WriteByte(' ')
	}
	return b.String()
}

// isBlankAt says whether the byte at i is a blank in the sense of RFC 4518, section 2.6.1: a space that no combining
// mark follows.
func isBlankAt(value string, i int) bool {
	if value[i] != ' ' {
		return false
	}
	if i+1 == len(value) || value[i+1] < 0x80 {
		return true
	}
	for _, next := range value[i+1:] {
		return !unicode.Is(unicode.M, next)
	}
	return true
}

// Substrings prepares values and the parts of a substring assertion for caseIgnoreSubstringsMatch (RFC 4517, section
// 4.2.13) or, with Exact, for caseExactSubstringsMatch (section 4.2.6). In the prepared forms a part matches where its
// bytes occur.
type Substrings struct {
	// Exact makes case count.
	Exact bool
}

// Value prepares a value of an attribute.
func (s Substrings) Value(value string) string {
	return s.part(value, spacing{blank: "  ", leading: true, trailing: true})
}

// Initial prepares the part that a value must begin with.
func (s Substrings) Initial(part string) string {
	return s.part(part, spacing{blank: "  ", leading: true, keepTrailing: true})
}

// Any prepares a part that may stand anywhere.
func (s Substrings) Any(part string) string {
	return s.part(part, spacing{blank: "  ", keepLeading: true, keepTrailing: true})
}

// Final prepares the part that a value must end with.
func (s Substrings) Final(part string) string {
	return s.part(part, spacing{blank: "  ", keepLeading: true, trailing: true})
}

func (s Substrings) part(value string, as spacing) string {
	return joinWords(prepare(value, !s.Exact), as)
}

// lowerASCII returns the value with the capital letters of ASCII in lower case, or the value itself if it has none.
func lowerASCII(value string) string {
	if !strings.ContainsFunc(value, isCapital) {
		return value
	}
	var b strings.Builder
	b.Grow(len(value))
	for i := range len(value) {
		c := value[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

func isCapital(r rune) bool { return r >= 'A' && r <= 'Z' }
