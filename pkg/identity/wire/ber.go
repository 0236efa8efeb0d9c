package wire

import (
	"errors"
	"fmt"
	"math"
)

// ErrMalformed is wrapped by the errors of bytes that are not an LDAP message: broken BER, a wrong tag, a length that
// goes beyond its enclosing element. RFC 4511, section 4.1.1 asks a server to end the session that sent them.
var ErrMalformed = errors.New("malformed LDAP message")

// malformed returns an error that wraps ErrMalformed. Its text says what was expected and never quotes the input.
func malformed(expected string) error {
	return fmt.Errorf("%w: %s", ErrMalformed, expected)
}

// The identifier octets of the universal types that LDAP uses (X.690, section 8.1.2). LDAP's BER has only
// single-octet identifiers, because no tag number of RFC 4511 is above 30.
const (
	tagBoolean     byte = 0x01
	tagInteger     byte = 0x02
	tagOctetString byte = 0x04
	tagEnumerated  byte = 0x0a
	tagSequence    byte = 0x30
	tagSet         byte = 0x31
)

// The class and form bits of an identifier octet, and the mask of its tag number.
const (
	classContext   byte = 0x80
	constructed    byte = 0x20
	classMask      byte = 0xc0
	tagNumberMask  byte = 0x1f
	longLengthFlag byte = 0x80
)

// maxLengthOctets bounds the octets of a long-form length. Four would be enough for every message that is accepted;
// X.690 permits leading zeros, so a few more are read.
const maxLengthOctets = 8

// maxInteger is LDAP's maxInt, the largest value of every INTEGER in RFC 4511, section 4.1.1.
const maxInteger = math.MaxInt32

// header is an identifier octet and a definite length.
type header struct {
	tag    byte
	size   int // octets that the header itself takes
	length int // octets of content after the header
}

// headerSize returns how many octets a header takes, judged by its first two. Indefinite lengths, which RFC 4511,
// section 5.1 forbids, and multi-octet identifiers are refused.
func headerSize(identifier, length byte) (int, error) {
	if identifier&tagNumberMask == tagNumberMask {
		return 0, malformed("an identifier of one octet")
	}
	if length < longLengthFlag {
		return 2, nil
	}
	octets := int(length &^ longLengthFlag)
	if octets == 0 || octets > maxLengthOctets {
		return 0, malformed("a definite length")
	}
	return 2 + octets, nil
}

// parseHeader reads the header at the start of data. It does not look at how much content follows.
func parseHeader[T string | []byte](data T) (header, error) {
	if len(data) < 2 {
		return header{}, malformed("an identifier and a length")
	}
	tag, first := data[0], data[1]
	if first < longLengthFlag && tag&tagNumberMask != tagNumberMask {
		return header{tag: tag, size: 2, length: int(first)}, nil
	}
	size, err := headerSize(tag, first)
	if err != nil {
		return header{}, err
	}
	if len(data) < size {
		return header{}, malformed("all octets of a length")
	}
	length := 0
	for i := 2; i < size; i++ {
		if length > math.MaxInt32>>8 {
			return header{}, malformed("a length of at most 2 GiB")
		}
		length = length<<8 | int(data[i])
	}
	return header{tag: tag, size: size, length: length}, nil
}

// reader takes BER elements from the front of a string. The contents it hands out are parts of that string.
type reader struct {
	rest string
}

// empty says whether all elements have been taken.
func (r *reader) empty() bool { return len(r.rest) == 0 }

// peek returns the identifier of the next element, or 0, which no element of LDAP has, at the end.
func (r *reader) peek() byte {
	if len(r.rest) == 0 {
		return 0
	}
	return r.rest[0]
}

// next takes an element. Its length is checked against what is left of the enclosing element, so a nested length
// that lies costs nothing.
func (r *reader) next() (tag byte, content string, err error) {
	h, err := parseHeader(r.rest)
	if err != nil {
		return 0, "", err
	}
	if h.length > len(r.rest)-h.size {
		return 0, "", malformed("a length within the enclosing element")
	}
	end := h.size + h.length
	content = r.rest[h.size:end]
	r.rest = r.rest[end:]
	return h.tag, content, nil
}

// take takes an element that must have the given identifier.
func (r *reader) take(tag byte, what string) (string, error) {
	got, content, err := r.next()
	if err != nil {
		return "", err
	}
	if got != tag {
		return "", malformed(what)
	}
	return content, nil
}

// takeOptional takes an element if it has the given identifier, and returns nil otherwise.
func (r *reader) takeOptional(tag byte) (*string, error) {
	if r.peek() != tag {
		return nil, nil
	}
	_, content, err := r.next()
	if err != nil {
		return nil, err
	}
	return &content, nil
}

// octets takes an OCTET STRING.
func (r *reader) octets(what string) (string, error) { return r.take(tagOctetString, what) }

// integer takes an INTEGER or ENUMERATED between 0 and maxInt.
func (r *reader) integer(tag byte, what string) (int, error) {
	content, err := r.take(tag, what)
	if err != nil {
		return 0, err
	}
	return parseInteger(content, what)
}

// parseInteger reads the content of an INTEGER or ENUMERATED between 0 and maxInt.
func parseInteger(content, what string) (int, error) {
	if len(content) == 0 || len(content) > 8 || content[0] >= 0x80 {
		return 0, malformed(what + " between 0 and 2147483647")
	}
	value := uint64(0)
	for i := range len(content) {
		value = value<<8 | uint64(content[i])
	}
	if value > maxInteger {
		return 0, malformed(what + " between 0 and 2147483647")
	}
	return int(value), nil
}

// boolean takes a BOOLEAN. RFC 4511, section 5.1 wants TRUE as 0xFF; any other non-zero octet is BER's TRUE, and some
// clients send 1.
func (r *reader) boolean(what string) (bool, error) {
	content, err := r.take(tagBoolean, what)
	if err != nil {
		return false, err
	}
	return parseBoolean(content, what)
}

func parseBoolean(content, what string) (bool, error) {
	if len(content) != 1 {
		return false, malformed(what + " of one octet")
	}
	return content[0] != 0, nil
}

// count returns how many elements are left, so that a slice for them can be made once and at its size.
func (r reader) count() (int, error) {
	n := 0
	for !r.empty() {
		if _, _, err := r.next(); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// octetStrings reads a sequence of nothing but OCTET STRINGs. It returns nil for an empty one. permit is asked, before
// memory is taken, whether there may be so many; nil permits every number.
func octetStrings(content, what string, permit func(n int) error) ([]string, error) {
	r := reader{content}
	n, err := r.count()
	if err != nil || n == 0 {
		return nil, err
	}
	if permit != nil {
		if err := permit(n); err != nil {
			return nil, err
		}
	}
	values := make([]string, 0, n)
	for !r.empty() {
		value, err := r.octets(what)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// appendLength appends a definite length in its shortest form.
func appendLength(dst []byte, length int) []byte {
	switch {
	case length < 0x80:
		return append(dst, byte(length))
	case length <= 0xff:
		return append(dst, 0x81, byte(length))
	case length <= 0xffff:
		return append(dst, 0x82, byte(length>>8), byte(length))
	case length <= 0xffffff:
		return append(dst, 0x83, byte(length>>16), byte(length>>8), byte(length))
	default:
		return append(dst, 0x84, byte(length>>24), byte(length>>16), byte(length>>8), byte(length))
	}
}

// appendString appends a primitive element.
func appendString(dst []byte, tag byte, content string) []byte {
	dst = append(dst, tag)
	dst = appendLength(dst, len(content))
	return append(dst, content...)
}

// appendOptional appends a primitive element unless content is nil.
func appendOptional(dst []byte, tag byte, content *string) []byte {
	if content == nil {
		return dst
	}
	return appendString(dst, tag, *content)
}

// appendBoolean appends a primitive element whose content is a boolean.
func appendBoolean(dst []byte, tag byte, value bool) []byte {
	if value {
		return append(dst, tag, 1, 0xff)
	}
	return append(dst, tag, 1, 0)
}

// appendInteger appends a primitive element whose content is an integer of at least 0, in its shortest form.
func appendInteger(dst []byte, tag byte, value int) []byte {
	size := 1
	for rest := value; rest > 0x7f; rest >>= 8 {
		size++
	}
	dst = append(dst, tag, byte(size))
	for i := size - 1; i >= 0; i-- {
		dst = append(dst, byte(value>>(8*i)))
	}
	return dst
}

// open appends an identifier and room for a short length, and returns where the content begins. The matching close
// call fills in the length.
func open(dst []byte, tag byte) (extended []byte, start int) {
	dst = append(dst, tag, 0)
	return dst, len(dst)
}

// closeAt fills in the length of the element whose content begins at start and goes to the end of dst. A length
// above 127 needs more room, so the content moves by a few octets; that is cheaper than computing all sizes first.
func closeAt(dst []byte, start int) []byte {
	length := len(dst) - start
	if length < 0x80 {
		dst[start-1] = byte(length)
		return dst
	}
	var octets [5]byte
	encoded := appendLength(octets[:0], length)
	dst = append(dst, encoded[1:]...)
	copy(dst[start+len(encoded)-1:], dst[start:start+length])
	copy(dst[start-1:], encoded)
	return dst
}

// appendStrings appends a constructed element of OCTET STRINGs.
func appendStrings(dst []byte, tag byte, values []string) []byte {
	dst, start := open(dst, tag)
	for _, value := range values {
		dst = appendString(dst, tagOctetString, value)
	}
	return closeAt(dst, start)
}
