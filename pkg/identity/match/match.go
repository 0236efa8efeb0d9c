// Package match decides when two values of an LDAP attribute are equal.
//
// It holds the matching rules of RFC 4517 and RFC 4530 as functions that normalise: two values are equal under a rule
// exactly when their normalised forms are the same bytes. Normalised forms are what an index can keep and compare.
// Where a rule has an ordering too, the normalised forms sort in that order.
//
// Strings are prepared as RFC 4518 asks, with two differences. Code points that RFC 4518, section 2.4 prohibits
// (private use, not yet assigned in Unicode 3.2) are kept, so that every text that may be stored can be found. Case is
// folded and characters are composed by the Unicode tables of golang.org/x/text instead of those of Unicode 3.2.
package match

import "strings"

// Normalizer brings a value into its normalised form. The second result is false if the value does not fit the rule's
// syntax; a filter that asks for such a value is neither true nor false (RFC 4511, section 4.5.1.7).
type Normalizer func(value string) (normalized string, ok bool)

// CaseIgnore is caseIgnoreMatch (RFC 4517, section 4.2.11): case, leading and trailing blanks, the number of blanks
// between words and the way in which Unicode spells a character do not count. "Straße" and " STRASSE" are equal.
//
// A value without any visible character becomes a single space. Bytes that are not UTF-8 count as U+FFFD.
func CaseIgnore(value string) string { return normalizeText(value, true) }

// CaseExact is caseExactMatch (RFC 4517, section 4.2.4): as CaseIgnore, but case counts.
func CaseExact(value string) string { return normalizeText(value, false) }

// CaseIgnoreIA5 is caseIgnoreIA5Match (RFC 4517, section 4.2.12): as CaseIgnore, for ASCII values only.
func CaseIgnoreIA5(value string) (string, bool) {
	if !isASCII(value) {
		return "", false
	}
	return CaseIgnore(value), true
}

// CaseExactIA5 is caseExactIA5Match (RFC 4517, section 4.2.3): as CaseExact, for ASCII values only.
func CaseExactIA5(value string) (string, bool) {
	if !isASCII(value) {
		return "", false
	}
	return CaseExact(value), true
}

// TelephoneNumber is telephoneNumberMatch (RFC 4517, section 4.2.29): as CaseIgnoreIA5, and blanks and hyphens do not
// count (RFC 4518, section 2.6.3).
func TelephoneNumber(value string) (string, bool) {
	folded, ok := CaseIgnoreIA5(value)
	return strings.NewReplacer(" ", "", "-", "").Replace(folded), ok
}

// NumericString is numericStringMatch (RFC 4517, section 4.2.22): blanks do not count (RFC 4518, section 2.6.2).
func NumericString(value string) (string, bool) {
	digits := strings.ReplaceAll(value, " ", "")
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return "", false
		}
	}
	return digits, true
}

// OctetString is octetStringMatch (RFC 4517, section 4.2.27): every byte counts.
func OctetString(value string) (string, bool) { return value, true }

// Boolean is booleanMatch (RFC 4517, section 4.2.2). The strings of the syntax, section 3.3.3, are quoted strings of
// ABNF, in which case does not count; the normalised form is in upper case.
func Boolean(value string) (string, bool) {
	switch lowerASCII(value) {
	case "true":
		return "TRUE", true
	case "false":
		return "FALSE", true
	}
	return "", false
}

// Integer is integerMatch (RFC 4517, section 4.2.19) for integers of any length. Its normalised form is the shortest
// decimal one; it does not sort.
func Integer(value string) (string, bool) {
	sign, digits := "", value
	if len(digits) > 0 && digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	if digits == "" {
		return "", false
	}
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return "", false
		}
	}
	for len(digits) > 1 && digits[0] == '0' {
		digits = digits[1:]
	}
	if digits == "0" {
		return digits, true
	}
	return sign + digits, true
}

// UUID is uuidMatch (RFC 4530, section 2.2); it orders too (section 2.3). The normalised form is in lower case.
func UUID(value string) (string, bool) {
	if len(value) != len("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") {
		return "", false
	}
	for i := range len(value) {
		switch i {
		case 8, 13, 18, 23:
			if value[i] != '-' {
				return "", false
			}
		default:
			if !isHex(value[i]) {
				return "", false
			}
		}
	}
	return lowerASCII(value), true
}

// ObjectIdentifier is objectIdentifierMatch (RFC 4517, section 4.2.26) for the text of an identifier: a name
// (RFC 4512, section 1.4: a letter, then letters, digits and hyphens) in lower case, or dotted digits. That a name and
// a number may stand for the same thing is known to a schema alone.
func ObjectIdentifier(value string) (string, bool) {
	if value == "" {
		return "", false
	}
	if isDigit(value[0]) {
		return value, isDotted(value)
	}
	for i := range len(value) {
		if !isLetter(value[i]) && (i == 0 || !isDigit(value[i]) && value[i] != '-') {
			return "", false
		}
	}
	return lowerASCII(value), true
}

// isDotted says whether the value is a numericoid of RFC 4512, section 1.4: at least two numbers without leading
// zeros, with dots between them.
func isDotted(value string) bool {
	numbers, start := 0, 0
	for i := 0; i <= len(value); i++ {
		if i < len(value) && value[i] != '.' {
			if !isDigit(value[i]) {
				return false
			}
			continue
		}
		if i == start || value[start] == '0' && i > start+1 {
			return false
		}
		numbers, start = numbers+1, i+1
	}
	return numbers >= 2
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isHex(c byte) bool    { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

func isASCII(value string) bool {
	for i := range len(value) {
		if value[i] >= 0x80 {
			return false
		}
	}
	return true
}
