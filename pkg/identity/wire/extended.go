package wire

// Object identifiers of extended operations and notices.
const (
	// OperationStartTLS begins TLS on the connection (RFC 4511, section 4.14).
	OperationStartTLS = "1.3.6.1.4.1.1466.20037"
	// OperationPasswordModify changes a password (RFC 3062).
	OperationPasswordModify = "1.3.6.1.4.1.4203.1.11.1"
	// OperationWhoAmI asks for the session's identity (RFC 4532). Its response's value is the authorization
	// identity: "dn:" and a DN, or empty for anonymous.
	OperationWhoAmI = "1.3.6.1.4.1.4203.1.11.3"
	// NoticeOfDisconnection tells a client that the server ends the session (RFC 4511, section 4.4.1).
	NoticeOfDisconnection = "1.3.6.1.4.1.1466.20036"
)

// The tags within the values of RFC 3062, section 2.
const (
	tagUserIdentity      = classContext + 0
	tagOldPassword       = classContext | 1
	tagNewPassword       = classContext | 2
	tagGeneratedPassword = classContext + 0
)

// AppendNoticeOfDisconnection appends the message that a server sends, unasked and with message id 0, before it ends a
// session.
func AppendNoticeOfDisconnection(dst []byte, code ResultCode, message string) []byte {
	name := NoticeOfDisconnection
	return AppendResponse(dst, 0, &Response{Tag: TagExtendedResponse, Code: code, Message: message, Name: &name})
}

// Extended returns the extended request that carries p.
func (p *PasswordModifyRequest) Extended() *ExtendedRequest {
	dst, start := open(nil, tagSequence)
	dst = appendOptional(dst, tagUserIdentity, p.UserIdentity)
	dst = appendOptional(dst, tagOldPassword, p.OldPassword)
	dst = appendOptional(dst, tagNewPassword, p.NewPassword)
	value := string(closeAt(dst, start))
	return &ExtendedRequest{Name: OperationPasswordModify, Value: &value}
}

// ParsePasswordModify decodes the value of a Password Modify request. A request without a value is one without fields.
// The error is a ResultError.
func ParsePasswordModify(request *ExtendedRequest) (*PasswordModifyRequest, error) {
	p := &PasswordModifyRequest{}
	if request.Value == nil {
		return p, nil
	}
	outer := reader{*request.Value}
	content, err := outer.take(tagSequence, "a password modify value")
	if err != nil || !outer.empty() {
		return nil, badPasswordModify()
	}
	r := reader{content}
	if p.UserIdentity, err = r.takeOptional(tagUserIdentity); err != nil {
		return nil, badPasswordModify()
	}
	if p.OldPassword, err = r.takeOptional(tagOldPassword); err != nil {
		return nil, badPasswordModify()
	}
	if p.NewPassword, err = r.takeOptional(tagNewPassword); err != nil {
		return nil, badPasswordModify()
	}
	if !r.empty() {
		return nil, badPasswordModify()
	}
	return p, nil
}

func badPasswordModify() error {
	return Errorf(ResultProtocolError, "the password modify request has a value that cannot be decoded")
}

// GeneratedPasswordValue returns the value of a Password Modify response that tells the password the server made.
func GeneratedPasswordValue(password string) string {
	dst, start := open(nil, tagSequence)
	dst = appendString(dst, tagGeneratedPassword, password)
	return string(closeAt(dst, start))
}

// ParseGeneratedPassword decodes the value of a Password Modify response. It returns nil if the server made no password.
func ParseGeneratedPassword(value *string) (*string, error) {
	if value == nil {
		return nil, nil
	}
	outer := reader{*value}
	content, err := outer.take(tagSequence, "a password modify value")
	if err != nil {
		return nil, err
	}
	r := reader{content}
	return r.takeOptional(tagGeneratedPassword)
}
