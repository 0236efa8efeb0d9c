package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxMessageSize is the size in octets that callers of ReadMessage should allow a message, header included, unless
// they know better. A message larger than that is refused before anything is allocated for it.
const MaxMessageSize = 16 << 20

// maxControls bounds the controls of one message. No client sends more than a few; without a bound a message
// of empty controls would take many times its size in memory.
const maxControls = 64

// ErrTooLarge is returned for a message above the reader's limit. It wraps ErrMalformed, because the only way on is
// the same: end the session.
var ErrTooLarge = fmt.Errorf("%w: larger than the limit", ErrMalformed)

// Tag is the identifier octet of a message's operation (RFC 4511, section 4.2 and following).
type Tag byte

// The operations of RFC 4511.
const (
	TagBindRequest      Tag = 0x60
	TagBindResponse     Tag = 0x61
	TagUnbindRequest    Tag = 0x42
	TagSearchRequest    Tag = 0x63
	TagSearchEntry      Tag = 0x64
	TagSearchDone       Tag = 0x65
	TagSearchReference  Tag = 0x73
	TagModifyRequest    Tag = 0x66
	TagModifyResponse   Tag = 0x67
	TagAddRequest       Tag = 0x68
	TagAddResponse      Tag = 0x69
	TagDeleteRequest    Tag = 0x4a
	TagDeleteResponse   Tag = 0x6b
	TagModifyDNRequest  Tag = 0x6c
	TagModifyDNResponse Tag = 0x6d
	TagCompareRequest   Tag = 0x6e
	TagCompareResponse  Tag = 0x6f
	TagAbandonRequest   Tag = 0x50
	TagExtendedRequest  Tag = 0x77
	TagExtendedResponse Tag = 0x78
)

// tagControls is the identifier of a message's controls.
const tagControls = classContext | constructed

// Response returns the tag of the response that ends an operation of this tag. The second result is false for tags that
// are not requests and for requests that have no response (unbind and abandon).
func (t Tag) Response() (Tag, bool) {
	switch t {
	case TagBindRequest, TagModifyRequest, TagAddRequest, TagModifyDNRequest, TagCompareRequest, TagExtendedRequest:
		return t + 1, true
	case TagSearchRequest:
		return TagSearchDone, true
	case TagDeleteRequest:
		return TagDeleteResponse, true
	default:
		return 0, false
	}
}

// IsRequest says whether the tag is one of RFC 4511's requests.
func (t Tag) IsRequest() bool {
	_, answered := t.Response()
	return answered || t == TagUnbindRequest || t == TagAbandonRequest
}

// Message is the envelope of an operation (RFC 4511, section 4.1.1). Its operation is decoded by the method Request
// or Response, so that whoever reads messages learns the id of a message even if its operation makes no sense.
//
// Everything decoded from a message shares one string that holds all of its bytes. Who keeps a small part of a large
// message for long should clone it.
type Message struct {
	// ID pairs responses with requests. 0 belongs to unsolicited notifications.
	ID       int
	Tag      Tag
	Controls []Control
	content  string
}

// ReadMessage reads one message of at most limit octets. It returns io.EOF if the stream ends before a message begins,
// io.ErrUnexpectedEOF if it ends within one, an error that wraps ErrMalformed if the octets are no message, and the
// stream's own error otherwise. After any error the stream's position is undefined.
//
// Memory is taken as octets arrive, not as the length announces them.
func ReadMessage(r *bufio.Reader, limit int) (Message, error) {
	text, err := readElement(r, limit)
	if err != nil {
		return Message{}, err
	}
	return ParseMessage(text)
}

// readElement reads the octets of one SEQUENCE.
func readElement(r *bufio.Reader, limit int) (string, error) {
	size, err := peekSize(r)
	if err != nil {
		return "", err
	}
	if size > limit {
		return "", ErrTooLarge
	}
	var b strings.Builder
	for b.Len() < size {
		chunk, err := r.Peek(min(size-b.Len(), r.Size()))
		if err != nil {
			return "", unexpected(err)
		}
		b.Write(chunk)
		if _, err := r.Discard(len(chunk)); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// peekSize returns the size of the next message, its header included, without taking anything from the stream.
func peekSize(r *bufio.Reader) (int, error) {
	start, err := r.Peek(2)
	if err != nil {
		if len(start) == 0 {
			return 0, err
		}
		return 0, unexpected(err)
	}
	if start[0] != tagSequence {
		return 0, malformed("a message that begins with a SEQUENCE")
	}
	size, err := headerSize(start[0], start[1])
	if err != nil {
		return 0, err
	}
	if start, err = r.Peek(size); err != nil {
		return 0, unexpected(err)
	}
	h, err := parseHeader(start)
	if err != nil {
		return 0, err
	}
	return h.size + h.length, nil
}

// unexpected turns the end of a stream within a message into io.ErrUnexpectedEOF.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ParseMessage decodes the envelope of one message, which must be all of text.
func ParseMessage(text string) (Message, error) {
	outer := reader{text}
	content, err := outer.take(tagSequence, "a message that is a SEQUENCE")
	if err != nil {
		return Message{}, err
	}
	if !outer.empty() {
		return Message{}, malformed("nothing after the message")
	}
	r := reader{content}
	var m Message
	if m.ID, err = r.integer(tagInteger, "a message id"); err != nil {
		return Message{}, err
	}
	tag, content, err := r.next()
	if err != nil {
		return Message{}, err
	}
	m.Tag, m.content = Tag(tag), content
	if r.peek() == tagControls {
		_, content, err := r.next()
		if err != nil {
			return Message{}, err
		}
		if m.Controls, err = parseControls(content); err != nil {
			return Message{}, err
		}
	}
	// Components after the ones that are known are to be ignored (RFC 4511, section 4), so r need not be empty.
	return m, nil
}

// openMessage appends the start of a message's envelope.
func openMessage(dst []byte, id int) (extended []byte, start int) {
	dst, start = open(dst, tagSequence)
	return appendInteger(dst, tagInteger, id), start
}

// closeMessage appends the controls and ends the envelope.
func closeMessage(dst []byte, start int, controls []Control) []byte {
	if len(controls) > 0 {
		dst = appendControls(dst, controls)
	}
	return closeAt(dst, start)
}
