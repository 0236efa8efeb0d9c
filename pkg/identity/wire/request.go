package wire

// Request is an operation that a client asks for: *BindRequest, *UnbindRequest, *SearchRequest, *ModifyRequest,
// *AddRequest, *DeleteRequest, *ModifyDNRequest, *CompareRequest, *AbandonRequest or *ExtendedRequest.
//
// The PostRead fields of AddRequest and ModifyRequest and the Assertion fields of ModifyRequest and DeleteRequest travel
// as controls: AppendRequest adds them, and Message.Request fills the fields from them.
type Request interface {
	// appendRequest appends the operation without its message.
	appendRequest(dst []byte) []byte
}

// AuthMethod is the choice of credentials in a bind request (RFC 4511, section 4.2).
type AuthMethod byte

// The authentication methods of RFC 4511. Any other may come off the wire; its credentials are not kept.
const (
	AuthSimple AuthMethod = 0
	AuthSASL   AuthMethod = 3
)

// BindRequest authenticates a session.
type BindRequest struct {
	Version int
	Name    string
	Method  AuthMethod
	// Password is the credential of AuthSimple.
	Password string
	// Mechanism and Credentials belong to AuthSASL.
	Mechanism   string
	Credentials *string
}

// UnbindRequest ends a session. It has no response.
type UnbindRequest struct{}

// AbandonRequest asks to stop an operation. It has no response.
type AbandonRequest struct {
	// ID is the message id of the operation.
	ID int
}

// ExtendedRequest is an operation named by an object identifier (RFC 4511, section 4.12).
type ExtendedRequest struct {
	Name  string
	Value *string
}

// The tags within bind and extended operations.
const (
	tagSASL          = classContext | constructed | 3
	tagExtendedName  = classContext + 0
	tagExtendedValue = classContext | 1
	tagNewSuperior   = classContext + 0
)

// neverDerefAliases is the only alias policy that is ever asked for: the directories in question hold no aliases.
const neverDerefAliases = 0

// AppendRequest appends a message that carries the request.
func AppendRequest(dst []byte, id int, request Request, controls ...Control) []byte {
	dst, start := openMessage(dst, id)
	dst = request.appendRequest(dst)
	if attributes := postRead(request); len(attributes) > 0 {
		controls = append(controls[:len(controls):len(controls)], PostReadRequest(attributes))
	}
	if filter := assertion(request); filter != nil {
		controls = append(controls[:len(controls):len(controls)], AssertionRequest(filter))
	}
	return closeMessage(dst, start, controls)
}

// assertion returns the filter that the entry of a request must match, or nil.
func assertion(request Request) *Filter {
	switch request := request.(type) {
	case *ModifyRequest:
		return request.Assertion
	case *DeleteRequest:
		return request.Assertion
	default:
		return nil
	}
}

// postRead returns the attributes that a request wants back, or nil.
func postRead(request Request) []string {
	switch request := request.(type) {
	case *AddRequest:
		return request.PostRead
	case *ModifyRequest:
		return request.PostRead
	default:
		return nil
	}
}

// Request decodes the operation of a message that a client sent.
//
// An error that wraps ErrMalformed says that the message is broken or carries no request. A *ResultError
// is about this request alone, which is well-formed and cannot be carried out; the session may go on.
func (m *Message) Request() (Request, error) {
	request, err := m.parseRequest()
	if err != nil {
		return nil, err
	}
	return request, nil
}

func (m *Message) parseRequest() (Request, error) {
	r := reader{m.content}
	switch m.Tag {
	case TagBindRequest:
		return parseBind(&r)
	case TagUnbindRequest:
		return &UnbindRequest{}, nil
	case TagSearchRequest:
		return parseSearch(&r)
	case TagModifyRequest:
		return m.parseModify(&r)
	case TagAddRequest:
		return m.parseAdd(&r)
	case TagDeleteRequest:
		filter, err := m.assertion()
		return &DeleteRequest{DN: m.content, Assertion: filter}, err
	case TagModifyDNRequest:
		return parseModifyDN(&r)
	case TagCompareRequest:
		return parseCompare(&r)
	case TagAbandonRequest:
		id, err := parseInteger(m.content, "a message id")
		return &AbandonRequest{ID: id}, err
	case TagExtendedRequest:
		return parseExtended(&r)
	default:
		return nil, malformed("a request")
	}
}

func parseBind(r *reader) (request *BindRequest, err error) {
	request = &BindRequest{}
	if request.Version, err = r.integer(tagInteger, "a version"); err != nil {
		return nil, err
	}
	if request.Name, err = r.octets("a name"); err != nil {
		return nil, err
	}
	tag, content, err := r.next()
	if err != nil {
		return nil, err
	}
	if tag&classMask != classContext {
		return nil, malformed("credentials")
	}
	request.Method = AuthMethod(tag & tagNumberMask)
	switch {
	case tag == classContext|byte(AuthSimple):
		request.Password = content
	case tag == tagSASL:
		credentials := reader{content}
		if request.Mechanism, err = credentials.octets("a mechanism"); err != nil {
			return nil, err
		}
		if request.Credentials, err = credentials.takeOptional(tagOctetString); err != nil {
			return nil, err
		}
	case request.Method == AuthSimple || request.Method == AuthSASL:
		return nil, malformed("credentials of the right form")
	}
	return request, nil
}

func (b *BindRequest) appendRequest(dst []byte) []byte {
	dst, start := open(dst, byte(TagBindRequest))
	dst = appendInteger(dst, tagInteger, b.Version)
	dst = appendString(dst, tagOctetString, b.Name)
	if b.Method == AuthSASL {
		var inner int
		dst, inner = open(dst, tagSASL)
		dst = appendString(dst, tagOctetString, b.Mechanism)
		dst = appendOptional(dst, tagOctetString, b.Credentials)
		dst = closeAt(dst, inner)
	} else {
		dst = appendString(dst, classContext|byte(b.Method), b.Password)
	}
	return closeAt(dst, start)
}

func (*UnbindRequest) appendRequest(dst []byte) []byte { return append(dst, byte(TagUnbindRequest), 0) }

func (a *AbandonRequest) appendRequest(dst []byte) []byte {
	return appendInteger(dst, byte(TagAbandonRequest), a.ID)
}

func parseSearch(r *reader) (request *SearchRequest, err error) {
	request = &SearchRequest{}
	if request.Base, err = r.octets("a base"); err != nil {
		return nil, err
	}
	scope, err := r.integer(tagEnumerated, "a scope")
	if err != nil {
		return nil, err
	}
	if _, err = r.integer(tagEnumerated, "an alias policy"); err != nil {
		return nil, err
	}
	if request.SizeLimit, err = r.integer(tagInteger, "a size limit"); err != nil {
		return nil, err
	}
	if request.TimeLimit, err = r.integer(tagInteger, "a time limit"); err != nil {
		return nil, err
	}
	if request.TypesOnly, err = r.boolean("typesOnly"); err != nil {
		return nil, err
	}
	var filter filterReader
	if request.Filter, err = filter.element(r, 1); err != nil {
		return nil, err
	}
	content, err := r.take(tagSequence, "an attribute selection")
	if err != nil {
		return nil, err
	}
	if request.Attributes, err = octetStrings(content, "an attribute", permitSelection); err != nil {
		return nil, err
	}
	if request.Scope = Scope(scope); request.Scope > ScopeSubtree {
		return nil, Errorf(ResultProtocolError, "scope %d is not known", scope)
	}
	return request, nil
}

// permitSelection bounds a selection of attributes.
func permitSelection(n int) error { return atMost(MaxAttributes, n, "selected attributes") }

func (s *SearchRequest) appendRequest(dst []byte) []byte {
	dst, start := open(dst, byte(TagSearchRequest))
	dst = appendString(dst, tagOctetString, s.Base)
	dst = appendInteger(dst, tagEnumerated, int(s.Scope))
	dst = appendInteger(dst, tagEnumerated, neverDerefAliases)
	dst = appendInteger(dst, tagInteger, s.SizeLimit)
	dst = appendInteger(dst, tagInteger, s.TimeLimit)
	dst = appendBoolean(dst, tagBoolean, s.TypesOnly)
	dst = appendFilter(dst, s.Filter)
	dst = appendStrings(dst, tagSequence, s.Attributes)
	return closeAt(dst, start)
}

func (m *Message) parseModify(r *reader) (request *ModifyRequest, err error) {
	request = &ModifyRequest{}
	if request.DN, err = r.octets("a DN"); err != nil {
		return nil, err
	}
	content, err := r.take(tagSequence, "a sequence of changes")
	if err != nil {
		return nil, err
	}
	changes := reader{content}
	n, err := changes.count()
	if err != nil {
		return nil, err
	}
	if err := atMost(MaxChanges, n, "changes"); err != nil {
		return nil, err
	}
	left := budgetFor(content)
	request.Changes = make([]Change, 0, n)
	for !changes.empty() {
		content, err := changes.take(tagSequence, "a change")
		if err != nil {
			return nil, err
		}
		change, err := parseChange(content, &left)
		if err != nil {
			return nil, err
		}
		request.Changes = append(request.Changes, change)
	}
	if request.Assertion, err = m.assertion(); err != nil {
		return nil, err
	}
	request.PostRead, err = m.postRead()
	return request, err
}

func parseChange(content string, left *budget) (change Change, err error) {
	r := reader{content}
	operation, err := r.integer(tagEnumerated, "a kind of change")
	if err != nil {
		return Change{}, err
	}
	if content, err = r.take(tagSequence, "an attribute"); err != nil {
		return Change{}, err
	}
	if change.Attribute, err = parseAttribute(content, left); err != nil {
		return Change{}, err
	}
	change.Operation = ChangeOperation(operation)
	if change.Operation > ChangeReplace {
		return Change{}, Errorf(ResultProtocolError, "change operation %d is not known", operation)
	}
	return change, nil
}

// assertion returns the filter of the message's assertion control, or nil.
func (m *Message) assertion() (*Filter, error) {
	control := FindControl(m.Controls, ControlAssertion)
	if control == nil {
		return nil, nil
	}
	return ParseAssertionRequest(control)
}

// postRead returns the attributes that the message's post-read control asks for.
func (m *Message) postRead() ([]string, error) {
	control := FindControl(m.Controls, ControlPostRead)
	if control == nil {
		return nil, nil
	}
	attributes, err := ParsePostReadRequest(control)
	if err == nil && len(attributes) == 0 {
		// An empty selection is every user attribute (RFC 4511, section 4.5.1.8).
		attributes = []string{AllUserAttributes}
	}
	return attributes, err
}

func (m *ModifyRequest) appendRequest(dst []byte) []byte {
	dst, start := open(dst, byte(TagModifyRequest))
	dst = appendString(dst, tagOctetString, m.DN)
	dst, changes := open(dst, tagSequence)
	for i := range m.Changes {
		var change int
		dst, change = open(dst, tagSequence)
		dst = appendInteger(dst, tagEnumerated, int(m.Changes[i].Operation))
		dst = appendAttribute(dst, &m.Changes[i].Attribute)
		dst = closeAt(dst, change)
	}
	dst = closeAt(dst, changes)
	return closeAt(dst, start)
}

func (m *Message) parseAdd(r *reader) (request *AddRequest, err error) {
	request = &AddRequest{}
	if request.DN, err = r.octets("a DN"); err != nil {
		return nil, err
	}
	content, err := r.take(tagSequence, "a sequence of attributes")
	if err != nil {
		return nil, err
	}
	left := budgetFor(content)
	permit := func(attributes, values int) error {
		if err := atMost(MaxAttributes, attributes, "attributes"); err != nil {
			return err
		}
		return left.spend(values)
	}
	if request.Attributes, err = parseAttributes(content, permit); err != nil {
		return nil, err
	}
	request.PostRead, err = m.postRead()
	return request, err
}

func (a *AddRequest) appendRequest(dst []byte) []byte {
	dst, start := open(dst, byte(TagAddRequest))
	dst = appendString(dst, tagOctetString, a.DN)
	dst = appendAttributes(dst, a.Attributes)
	return closeAt(dst, start)
}

func (d *DeleteRequest) appendRequest(dst []byte) []byte {
	return appendString(dst, byte(TagDeleteRequest), d.DN)
}

func parseModifyDN(r *reader) (request *ModifyDNRequest, err error) {
	request = &ModifyDNRequest{}
	if request.DN, err = r.octets("a DN"); err != nil {
		return nil, err
	}
	if request.NewRDN, err = r.octets("an RDN"); err != nil {
		return nil, err
	}
	if request.DeleteOldRDN, err = r.boolean("deleteoldrdn"); err != nil {
		return nil, err
	}
	if request.NewSuperior, err = r.takeOptional(tagNewSuperior); err != nil {
		return nil, err
	}
	return request, nil
}

func (m *ModifyDNRequest) appendRequest(dst []byte) []byte {
	dst, start := open(dst, byte(TagModifyDNRequest))
	dst = appendString(dst, tagOctetString, m.DN)
	dst = appendString(dst, tagOctetString, m.NewRDN)
	dst = appendBoolean(dst, tagBoolean, m.DeleteOldRDN)
	dst = appendOptional(dst, tagNewSuperior, m.NewSuperior)
	return closeAt(dst, start)
}

func parseCompare(r *reader) (request *CompareRequest, err error) {
	request = &CompareRequest{}
	if request.DN, err = r.octets("a DN"); err != nil {
		return nil, err
	}
	content, err := r.take(tagSequence, "an assertion")
	if err != nil {
		return nil, err
	}
	assertion := reader{content}
	if request.Attribute, err = assertion.octets("an attribute description"); err != nil {
		return nil, err
	}
	if request.Value, err = assertion.octets("an assertion value"); err != nil {
		return nil, err
	}
	return request, nil
}

func (c *CompareRequest) appendRequest(dst []byte) []byte {
	dst, start := open(dst, byte(TagCompareRequest))
	dst = appendString(dst, tagOctetString, c.DN)
	dst, assertion := open(dst, tagSequence)
	dst = appendString(dst, tagOctetString, c.Attribute)
	dst = appendString(dst, tagOctetString, c.Value)
	dst = closeAt(dst, assertion)
	return closeAt(dst, start)
}

func parseExtended(r *reader) (request *ExtendedRequest, err error) {
	request = &ExtendedRequest{}
	if request.Name, err = r.take(tagExtendedName, "an operation's name"); err != nil {
		return nil, err
	}
	if request.Value, err = r.takeOptional(tagExtendedValue); err != nil {
		return nil, err
	}
	return request, nil
}

func (e *ExtendedRequest) appendRequest(dst []byte) []byte {
	dst, start := open(dst, byte(TagExtendedRequest))
	dst = appendString(dst, tagExtendedName, e.Name)
	dst = appendOptional(dst, tagExtendedValue, e.Value)
	return closeAt(dst, start)
}
