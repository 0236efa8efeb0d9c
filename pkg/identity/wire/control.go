package wire

import "errors"

// Object identifiers of the controls that this package can encode and decode.
const (
	// ControlPagedResults is the simple paged results control (RFC 2696).
	ControlPagedResults = "1.2.840.113556.1.4.319"
	// ControlAssertion is the assertion control (RFC 4528).
	ControlAssertion = "1.3.6.1.1.12"
	// ControlPostRead is the post-read control (RFC 4527).
	ControlPostRead = "1.3.6.1.1.13.2"
	// ControlManageDsaIT asks to treat referrals as plain entries (RFC 3296).
	ControlManageDsaIT = "2.16.840.1.113730.3.4.2"
)

// Control extends a request or a response (RFC 4511, section 4.1.11).
type Control struct {
	OID string
	// Critical says that the request must be refused rather than carried out without the control.
	Critical bool
	// Value is nil if the control has none.
	Value *string
}

// FindControl returns the first of the controls with the given object identifier, or nil.
func FindControl(controls []Control, oid string) *Control {
	for i := range controls {
		if controls[i].OID == oid {
			return &controls[i]
		}
	}
	return nil
}

func parseControls(content string) ([]Control, error) {
	r := reader{content}
	n, err := r.count()
	if err != nil || n == 0 {
		return nil, err
	}
	if n > maxControls {
		return nil, malformed("at most 64 controls")
	}
	controls := make([]Control, 0, n)
	for !r.empty() {
		content, err := r.take(tagSequence, "a control")
		if err != nil {
			return nil, err
		}
		control, err := parseControl(content)
		if err != nil {
			return nil, err
		}
		controls = append(controls, control)
	}
	return controls, nil
}

func parseControl(content string) (control Control, err error) {
	r := reader{content}
	if control.OID, err = r.octets("a control's type"); err != nil {
		return Control{}, err
	}
	if r.peek() == tagBoolean {
		if control.Critical, err = r.boolean("a control's criticality"); err != nil {
			return Control{}, err
		}
	}
	if control.Value, err = r.takeOptional(tagOctetString); err != nil {
		return Control{}, err
	}
	return control, nil
}

func appendControls(dst []byte, controls []Control) []byte {
	dst, start := open(dst, tagControls)
	for _, control := range controls {
		var inner int
		dst, inner = open(dst, tagSequence)
		dst = appendString(dst, tagOctetString, control.OID)
		if control.Critical { // FALSE is the default and left out (RFC 4511, section 5.1).
			dst = appendBoolean(dst, tagBoolean, true)
		}
		dst = appendOptional(dst, tagOctetString, control.Value)
		dst = closeAt(dst, inner)
	}
	return closeAt(dst, start)
}

// PagedResults is the value of the simple paged results control, in both directions (RFC 2696, section 2).
type PagedResults struct {
	// Size is the wanted page size in a request and an estimate of the whole in a response, where 0 is "unknown".
	Size int
	// Cookie is the server's bookmark. It is empty in the first request and in the last response.
	Cookie string
}

// Control returns the control that carries p.
func (p PagedResults) Control(critical bool) Control {
	dst, start := open(nil, tagSequence)
	dst = appendInteger(dst, tagInteger, p.Size)
	dst = appendString(dst, tagOctetString, p.Cookie)
	value := string(closeAt(dst, start))
	return Control{OID: ControlPagedResults, Critical: critical, Value: &value}
}

// ParsePagedResults decodes the value of a simple paged results control. The error is a ResultError: a control that is
// recognised but makes no sense is a protocolError of its request alone (RFC 4511, section 4.1.11).
func ParsePagedResults(control *Control) (PagedResults, error) {
	content, err := controlValue(control, tagSequence)
	if err != nil {
		return PagedResults{}, err
	}
	r := reader{content}
	var p PagedResults
	if p.Size, err = r.integer(tagInteger, "a page size"); err != nil {
		return PagedResults{}, badControl(control)
	}
	if p.Cookie, err = r.octets("a cookie"); err != nil {
		return PagedResults{}, badControl(control)
	}
	return p, nil
}

// AssertionRequest returns the control that lets an operation be carried out only if the entry matches the filter (RFC
// 4528, section 3). It is critical: a server that does not know it must not carry out the operation without it.
func AssertionRequest(filter *Filter) Control {
	value := string(appendFilter(nil, filter))
	return Control{OID: ControlAssertion, Critical: true, Value: &value}
}

// ParseAssertionRequest decodes the filter of an assertion control. The error is a ResultError.
func ParseAssertionRequest(control *Control) (*Filter, error) {
	if control.Value == nil {
		return nil, badControl(control)
	}
	r := reader{*control.Value}
	filter, err := (&filterReader{}).element(&r, 1)
	switch {
	case errors.Is(err, ErrMalformed), err == nil && !r.empty():
		return nil, badControl(control)
	case err != nil:
		return nil, err
	}
	return filter, nil
}

// PostReadRequest returns the control that asks for attributes of the entry as a change left it (RFC 4527, section 3.2).
func PostReadRequest(attributes []string) Control {
	value := string(appendStrings(nil, tagSequence, attributes))
	return Control{OID: ControlPostRead, Value: &value}
}

// ParsePostReadRequest decodes the attributes that a post-read control asks for. The error is a ResultError.
func ParsePostReadRequest(control *Control) ([]string, error) {
	content, err := controlValue(control, tagSequence)
	if err != nil {
		return nil, err
	}
	attributes, err := octetStrings(content, "an attribute", permitSelection)
	if errors.Is(err, ErrMalformed) {
		return nil, badControl(control)
	}
	return attributes, err
}

// PostReadResponse returns the control that carries the entry as a change left it.
func PostReadResponse(entry *Entry) Control {
	value := string(appendEntry(nil, entry))
	return Control{OID: ControlPostRead, Value: &value}
}

// ParsePostReadResponse decodes the entry that a post-read control carries. The error is a ResultError.
func ParsePostReadResponse(control *Control) (*Entry, error) {
	content, err := controlValue(control, byte(TagSearchEntry))
	if err != nil {
		return nil, err
	}
	entry, err := parseEntry(content)
	if err != nil {
		return nil, badControl(control)
	}
	return entry, nil
}

// controlValue returns the content of the single element that a control's value must be.
func controlValue(control *Control, tag byte) (string, error) {
	if control.Value == nil {
		return "", badControl(control)
	}
	r := reader{*control.Value}
	content, err := r.take(tag, "a control's value")
	if err != nil || !r.empty() {
		return "", badControl(control)
	}
	return content, nil
}

func badControl(control *Control) error {
	return Errorf(ResultProtocolError, "control %s has a value that cannot be decoded", control.OID)
}
