package match

import (
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Lookup finds an attribute of a schema by any of its names or its object identifier. It returns the name that
// stands for all of them and the attribute's equality rule. An attribute that the schema does not know is compared by
// CaseIgnore, so that a DN with it has a form too.
type Lookup func(attribute string) (name string, equality Normalizer, known bool)

// DN is a distinguished name (RFC 4514).
type DN struct {
	// RDNs begin with the one that names the entry itself and end at the root of the tree.
	RDNs []RDN
}

// RDN is a relative distinguished name: one or more attributes with one value each.
type RDN struct {
	Values []RDNValue
	key    string
}

// RDNValue is one attribute and its value in an RDN.
type RDNValue struct {
	// Attribute is spelt as the DN spells it.
	Attribute string
	Value     string
}

// Bounds of a name. What a stranger sends must cost little to refuse, and no directory has names like that.
const (
	// MaxDNLength is the length in bytes of the longest text that is read as a name.
	MaxDNLength = 128 << 10
	// MaxDNValues is the largest number of attribute values in a name, over all of its RDNs.
	MaxDNValues = 256
)

// ParseDN reads a distinguished name in the text form of RFC 4514, and semicolons between RDNs, which RFC 2253,
// section 4 had readers accept. The second result is false if the text is none, if a value does not fit its
// attribute's syntax, or if the name is beyond MaxDNLength or MaxDNValues. The empty text is the empty name, the root of
// all trees.
func ParseDN(text string, lookup Lookup) (*DN, bool) {
	dn := &DN{}
	if len(text) > MaxDNLength || !utf8.ValidString(text) {
		return nil, false
	}
	rest := strings.TrimLeft(text, " ")
	if rest == "" {
		return dn, true
	}
	dn.RDNs = make([]RDN, 0, min(1+strings.Count(rest, ","), MaxDNValues))
	for left := MaxDNValues; ; {
		rdn, after, ok := parseRDN(rest, left, lookup)
		if !ok {
			return nil, false
		}
		left -= len(rdn.Values)
		dn.RDNs = append(dn.RDNs, rdn)
		if after == "" {
			return dn, true
		}
		rest = after[1:]
	}
}

// ParseRDN reads a relative distinguished name in the text form of RFC 4514, within the bounds of ParseDN.
func ParseRDN(text string, lookup Lookup) (RDN, bool) {
	if len(text) > MaxDNLength || !utf8.ValidString(text) {
		return RDN{}, false
	}
	rdn, rest, ok := parseRDN(text, MaxDNValues, lookup)
	return rdn, ok && rest == ""
}

// parseRDN reads an RDN of at most limit values up to the comma or semicolon that ends it, with which the rest begins.
func parseRDN(text string, limit int, lookup Lookup) (rdn RDN, rest string, ok bool) {
	for {
		if len(rdn.Values) == limit {
			return RDN{}, "", false
		}
		attribute, after, found := strings.Cut(text, "=")
		attribute = strings.Trim(attribute, " ")
		if _, isName := ObjectIdentifier(attribute); !found || !isName {
			return RDN{}, "", false
		}
		value, after, ok := parseDNValue(strings.TrimLeft(after, " "))
		if !ok {
			return RDN{}, "", false
		}
		rdn.Values = append(rdn.Values, RDNValue{Attribute: attribute, Value: value})
		if after == "" || after[0] != '+' {
			rdn.key, ok = rdnKey(rdn.Values, lookup)
			return rdn, after, ok
		}
		text = after[1:]
	}
}

// parseDNValue reads a value up to the separator that ends it.
func parseDNValue(text string) (value, rest string, ok bool) {
	end := strings.IndexAny(text, ",+;\\\"<>\x00")
	if end < 0 {
		end = len(text)
	}
	if end < len(text) && strings.IndexByte(",+;", text[end]) < 0 {
		return parseEscapedValue(text)
	}
	value, rest = strings.TrimRight(text[:end], " "), text[end:]
	if strings.HasPrefix(value, "#") {
		value, ok = decodeBER(value[1:])
		return value, rest, ok
	}
	return value, rest, true
}

// parseEscapedValue is parseDNValue for values with characters that are escaped, or should be.
func parseEscapedValue(text string) (value, rest string, ok bool) {
	var b strings.Builder
	significant := 0 // bytes up to the last one that is no unescaped blank
	i := 0
	for ; i < len(text) && strings.IndexByte(",+;", text[i]) < 0; i++ {
		switch c := text[i]; c {
		case '"', '<', '>', 0:
			return "", "", false
		case '\\':
			character, width, ok := unescape(text[i+1:])
			if !ok {
				return "", "", false
			}
			b.WriteByte(character)
			i += width
			significant = b.Len()
		default:
			b.WriteByte(c)
			if c != ' ' {
				significant = b.Len()
			}
		}
	}
	value = b.String()[:significant]
	return value, text[i:], text[0] != '#' && utf8.ValidString(value)
}

// unescape reads what follows a backslash: a special character or two hexadecimal digits (RFC 4514, section 3).
func unescape(text string) (character byte, width int, ok bool) {
	if text == "" {
		return 0, 0, false
	}
	if strings.IndexByte(` "#+,;<=>\`, text[0]) >= 0 {
		return text[0], 1, true
	}
	if len(text) < 2 {
		return 0, 0, false
	}
	decoded, err := hex.DecodeString(text[:2])
	if err != nil {
		return 0, 0, false
	}
	return decoded[0], 2, true
}

// decodeBER reads a value in the form of RFC 4514, section 2.4 that is written as the hexadecimal digits of its BER
// encoding: a tag, a definite length and the contents. All string types of ASN.1 that a directory uses carry their
// text as it is.
func decodeBER(digits string) (string, bool) {
	encoded, err := hex.DecodeString(digits)
	if err != nil || len(encoded) < 2 {
		return "", false
	}
	length, contents := int(encoded[1]), encoded[2:]
	if length >= 0x80 {
		octets := length - 0x80
		if octets == 0 || octets > 4 || octets > len(contents) {
			return "", false
		}
		length = 0
		for _, octet := range contents[:octets] {
			length = length<<8 | int(octet)
		}
		contents = contents[octets:]
	}
	return string(contents), len(contents) == length && utf8.Valid(contents)
}

// rdnKey returns the normalised form of an RDN: its values in a fixed order, because theirs does not count
// (RFC 4514, section 2.2).
func rdnKey(values []RDNValue, lookup Lookup) (string, bool) {
	parts := make([]string, len(values))
	for i, value := range values {
		name, equality, known := lookup(value.Attribute)
		if !known {
			name, equality = lowerASCII(value.Attribute), func(v string) (string, bool) { return CaseIgnore(v), true }
		}
		normalized, ok := equality(value.Value)
		if !ok {
			return "", false
		}
		parts[i] = lowerASCII(name) + "=" + keyEscaper.Replace(normalized)
	}
	slices.Sort(parts)
	return strings.Join(parts, keyPlus), true
}

// The bytes that give a key its structure. Values that contain them are escaped.
const (
	keyEnd    = "\x00"
	keyEscape = "\x01"
	keyPlus   = "\x02"
)

var keyEscaper = strings.NewReplacer(keyEnd, keyEscape+"\x01", keyEscape, keyEscape+"\x02", keyPlus, keyEscape+"\x03")

// Key returns the normalised form of the name: two names are equal under distinguishedNameMatch (RFC 4517, section
// 4.2.15) exactly when their keys are. It runs from the root to the entry, so the key of an entry is a prefix of the
// keys of all entries below it, and of no others.
func (d *DN) Key() string {
	size := 0
	for i := range d.RDNs {
		size += len(d.RDNs[i].key) + len(keyEnd)
	}
	var b strings.Builder
	b.Grow(size)
	for i := len(d.RDNs) - 1; i >= 0; i-- {
		b.WriteString(d.RDNs[i].key)
		b.WriteString(keyEnd)
	}
	return b.String()
}

// ParentKey returns the key of the name above the one with a key. That of a name of one RDN, and of the empty name, is
// empty.
func ParentKey(key string) string {
	return key[:strings.LastIndex(strings.TrimSuffix(key, keyEnd), keyEnd)+len(keyEnd)]
}

// Key returns the normalised form of the RDN, without regard to what it is relative to.
func (r RDN) Key() string { return r.key }

// Parent returns the name of the entry above, or nil for the empty name.
func (d *DN) Parent() *DN {
	if len(d.RDNs) == 0 {
		return nil
	}
	return &DN{RDNs: d.RDNs[1:]}
}

// String returns the name in the text form of RFC 4514 with only those characters escaped that have to be.
func (d *DN) String() string {
	var b strings.Builder
	for i, rdn := range d.RDNs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(rdn.String())
	}
	return b.String()
}

// String returns the RDN in the text form of RFC 4514.
func (r RDN) String() string {
	var b strings.Builder
	for i, value := range r.Values {
		if i > 0 {
			b.WriteByte('+')
		}
		b.WriteString(value.Attribute)
		b.WriteByte('=')
		escapeDNValue(&b, value.Value)
	}
	return b.String()
}

// escapeDNValue writes a value as RFC 4514, section 2.4 asks. Control characters are escaped too: some programs
// break lines at them. Text outside ASCII stays readable.
func escapeDNValue(b *strings.Builder, value string) {
	const hex = "0123456789abcdef"
	for i := range len(value) {
		c := value[i]
		switch {
		case c < ' ' || c == 0x7f:
			b.WriteByte('\\')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&0xf])
			continue
		case strings.IndexByte(`"+,;<>=\`, c) >= 0,
			i == 0 && (c == ' ' || c == '#'),
			i == len(value)-1 && c == ' ':
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
}
