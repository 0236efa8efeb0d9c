package wire

import "errors"

// Response is what ends an operation: a result (RFC 4511, section 4.1.9) and, for some operations, a little more. The
// Tag says to which operation it belongs.
type Response struct {
	Tag       Tag
	Code      ResultCode
	MatchedDN string
	// Message is the diagnostic message.
	Message string
	// Referrals are the URIs of servers that may know more.
	Referrals []string
	// ServerCredentials belong to TagBindResponse.
	ServerCredentials *string
	// Name and Value belong to TagExtendedResponse.
	Name  *string
	Value *string
}

// Reference is a search continuation: places where the rest of the answer may be (RFC 4511, section 4.5.3).
type Reference struct {
	URIs []string
}

// The tags within results.
const (
	tagReferral          = classContext | constructed | 3
	tagServerCredentials = classContext | 7
	tagResponseName      = classContext | 10
	tagResponseValue     = classContext | 11
)

// NewResponse returns the response that tells err. Nil is success; an error that carries no ResultError becomes "other"
// without a message, because its text may concern nobody outside.
func NewResponse(tag Tag, err error) *Response {
	if err == nil {
		return &Response{Tag: tag}
	}
	var result *ResultError
	if !errors.As(err, &result) {
		return &Response{Tag: tag, Code: ResultOther}
	}
	return &Response{Tag: tag, Code: result.Code, MatchedDN: result.MatchedDN, Message: result.Message}
}

// Err returns the response's result as an error: nil for success and for both answers of a compare, a *ResultError
// otherwise.
func (r *Response) Err() error {
	switch r.Code {
	case ResultSuccess, ResultCompareFalse, ResultCompareTrue:
		return nil
	default:
		return &ResultError{Code: r.Code, MatchedDN: r.MatchedDN, Message: r.Message}
	}
}

// AppendResponse appends a message that carries the response.
func AppendResponse(dst []byte, id int, response *Response, controls ...Control) []byte {
	dst, start := openMessage(dst, id)
	dst, inner := open(dst, byte(response.Tag))
	dst = appendInteger(dst, tagEnumerated, int(response.Code))
	dst = appendString(dst, tagOctetString, response.MatchedDN)
	dst = appendString(dst, tagOctetString, response.Message)
	if len(response.Referrals) > 0 {
		dst = appendStrings(dst, tagReferral, response.Referrals)
	}
	switch response.Tag {
	case TagBindResponse:
		dst = appendOptional(dst, tagServerCredentials, response.ServerCredentials)
	case TagExtendedResponse:
		dst = appendOptional(dst, tagResponseName, response.Name)
		dst = appendOptional(dst, tagResponseValue, response.Value)
	}
	dst = closeAt(dst, inner)
	return closeMessage(dst, start, controls)
}

// AppendEntry appends a message that carries an entry of a search's answer.
func AppendEntry(dst []byte, id int, entry *Entry, controls ...Control) []byte {
	dst, start := openMessage(dst, id)
	dst = appendEntry(dst, entry)
	return closeMessage(dst, start, controls)
}

// AppendReference appends a message that carries a continuation of a search's answer.
func AppendReference(dst []byte, id int, reference *Reference, controls ...Control) []byte {
	dst, start := openMessage(dst, id)
	dst = appendStrings(dst, byte(TagSearchReference), reference.URIs)
	return closeMessage(dst, start, controls)
}

// Entry decodes the operation of a message whose tag is TagSearchEntry.
func (m *Message) Entry() (*Entry, error) {
	if m.Tag != TagSearchEntry {
		return nil, malformed("an entry")
	}
	return parseEntry(m.content)
}

// Reference decodes the operation of a message whose tag is TagSearchReference.
func (m *Message) Reference() (*Reference, error) {
	if m.Tag != TagSearchReference {
		return nil, malformed("a search reference")
	}
	uris, err := octetStrings(m.content, "a URI", nil)
	if err != nil {
		return nil, err
	}
	return &Reference{URIs: uris}, nil
}

// Response decodes the operation of a message that ends an operation. Entries and references are no such messages.
func (m *Message) Response() (*Response, error) {
	if !m.Tag.endsOperation() {
		return nil, malformed("a response")
	}
	r := reader{m.content}
	response := &Response{Tag: m.Tag}
	code, err := r.integer(tagEnumerated, "a result code")
	if err != nil {
		return nil, err
	}
	response.Code = ResultCode(code)
	if response.MatchedDN, err = r.octets("a matched DN"); err != nil {
		return nil, err
	}
	if response.Message, err = r.octets("a diagnostic message"); err != nil {
		return nil, err
	}
	if err = response.readRest(&r); err != nil {
		return nil, err
	}
	return response, nil
}

// readRest reads the optional components after the diagnostic message.
func (r *Response) readRest(rest *reader) error {
	referrals, err := rest.takeOptional(tagReferral)
	if err != nil {
		return err
	}
	if referrals != nil {
		if r.Referrals, err = octetStrings(*referrals, "a URI", nil); err != nil {
			return err
		}
	}
	switch r.Tag {
	case TagBindResponse:
		r.ServerCredentials, err = rest.takeOptional(tagServerCredentials)
	case TagExtendedResponse:
		if r.Name, err = rest.takeOptional(tagResponseName); err == nil {
			r.Value, err = rest.takeOptional(tagResponseValue)
		}
	}
	return err
}

// endsOperation says whether a message of this tag carries a result.
func (t Tag) endsOperation() bool {
	switch t {
	case TagBindResponse, TagSearchDone, TagModifyResponse, TagAddResponse, TagDeleteResponse,
		TagModifyDNResponse, TagCompareResponse, TagExtendedResponse:
		return true
	default:
		return false
	}
}
