package embedded

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// exchange is one request of a session and its answer.
type exchange struct {
	session *session
	// identity is whom the request comes from.
	identity    identity
	id          int
	responseTag wire.Tag
	controls    []wire.Control
	request     wire.Request
	// refusal is why the request cannot be carried out, if that is known before it begins.
	refusal error
	ctx     context.Context
	// cancel is nil while the exchange runs in the reading goroutine.
	cancel    context.CancelFunc
	abandoned atomic.Bool
}

// answer is what a response holds beside a result.
type answer struct {
	code     wire.ResultCode
	name     *string
	value    *string
	controls []wire.Control
}

// errAbandoned ends a search whose client does not want its answer any more.
var errAbandoned = errors.New("abandoned")

// mayTakeLong says whether the request is a search that may look at many entries.
func (e *exchange) mayTakeLong() bool {
	search, ok := e.request.(*wire.SearchRequest)
	return ok && search.Scope != wire.ScopeBase
}

// run carries the request out and answers it. A panic is answered like any other fault.
func (e *exchange) run() {
	begin := time.Now()
	result, err := e.attempt()
	if e.abandoned.Load() && e.mayTakeLong() {
		// RFC 4511, section 4.11: an abandoned search is not answered.
		return
	}
	response := wire.NewResponse(e.responseTag, e.visible(err))
	if err == nil {
		response.Code, response.Name, response.Value = result.code, result.name, result.value
	}
	e.session.out.response(e.id, response, result.controls)
	e.session.server.config.Logger.DebugContext(e.ctx, "LDAP operation",
		"tag", int(e.responseTag), "result", int(response.Code), "identity", e.identity.dn, "duration", time.Since(begin))
}

// attempt carries the request out.
func (e *exchange) attempt() (result answer, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			e.session.server.logPanic(reason)
			result, err = answer{}, wire.Errorf(wire.ResultOther, "internal error")
		}
	}()
	if e.refusal != nil {
		return answer{}, e.refusal
	}
	if err := e.checkControls(); err != nil {
		return answer{}, err
	}
	if e.identity, err = e.session.server.current(e.identity); err != nil {
		return answer{}, err
	}
	return e.carryOut()
}

// carryOut calls the method for the request.
func (e *exchange) carryOut() (answer, error) {
	switch request := e.request.(type) {
	case *wire.BindRequest:
		return answer{}, e.bind(request)
	case *wire.SearchRequest:
		return e.search(request)
	case *wire.CompareRequest:
		return e.compare(request)
	case *wire.AddRequest:
		return e.add(request)
	case *wire.ModifyRequest:
		return e.modify(request)
	case *wire.ModifyDNRequest:
		return e.modifyDN(request)
	case *wire.DeleteRequest:
		return e.delete(request)
	case *wire.ExtendedRequest:
		return e.extended(request)
	default:
		panic("embedded: a request of unknown type")
	}
}

// visible turns an error into one whose text a client may read.
func (e *exchange) visible(err error) error {
	var result *wire.ResultError
	switch {
	case err == nil, errors.As(err, &result):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return wire.Errorf(wire.ResultTimeLimitExceeded, "the search took longer than its time limit")
	case errors.Is(err, context.Canceled):
		return wire.Errorf(wire.ResultUnavailable, "the operation was cancelled")
	default:
		if e.session.out.failed() == nil { // Otherwise err is that the client has gone.
			e.session.server.config.Logger.ErrorContext(e.ctx, "an LDAP operation failed", "error", err)
		}
		return err
	}
}

// checkControls refuses a request with a critical control that its operation does not know (RFC 4511, section 4.1.11).
func (e *exchange) checkControls() error {
	for _, control := range e.controls {
		if control.Critical && !e.knows(control.OID) {
			return wire.Errorf(wire.ResultUnavailableCriticalExtension, "control %s is not supported here", control.OID)
		}
	}
	return nil
}

// knows says whether a control means something to the request's operation. ManageDsaIT is granted everywhere but in
// binds and extended operations, because there are no referrals that it could turn into entries.
func (e *exchange) knows(oid string) bool {
	switch oid {
	case wire.ControlPagedResults:
		return e.responseTag == wire.TagSearchDone
	case wire.ControlPostRead:
		return e.responseTag == wire.TagAddResponse || e.responseTag == wire.TagModifyResponse
	case wire.ControlAssertion:
		return e.responseTag == wire.TagModifyResponse || e.responseTag == wire.TagDeleteResponse
	case wire.ControlManageDsaIT:
		return e.responseTag != wire.TagBindResponse && e.responseTag != wire.TagExtendedResponse
	default:
		return false
	}
}

// bind authenticates the session (RFC 4513, section 5.1). Whatever it was before, a session whose bind fails is
// anonymous (RFC 4511, section 4.2.1).
func (e *exchange) bind(request *wire.BindRequest) error {
	e.session.become(identity{})
	switch {
	case request.Version != 3:
		return wire.Errorf(wire.ResultProtocolError, "only LDAP version 3 is spoken")
	case request.Method != wire.AuthSimple:
		return wire.Errorf(wire.ResultAuthMethodNotSupported, "only simple binds are supported")
	case request.Name == "" && request.Password == "":
		return nil
	case request.Password == "":
		// RFC 4513, section 5.1.2: many clients take the success of such a bind for a proof of the password.
		return wire.Errorf(wire.ResultUnwillingToPerform, "a bind with a name needs a password")
	}
	found, err := e.authenticate(request)
	if err != nil {
		if code, _ := wire.CodeOf(err); code == wire.ResultInvalidCredentials {
			e.session.server.warnings.refusedBind.warn(time.Now(), func(suppressed int) {
				e.session.server.config.Logger.Warn("an LDAP bind was refused",
					"dn", loggable(request.Name), "address", e.session.address, "suppressed", suppressed)
			})
		}
		return err
	}
	e.session.become(found)
	return nil
}

// authenticate waits for the client's turn, unless the name is one of the accounts: their passwords cost nothing to
// check, and OpenCloud must not wait behind those who sign in to it.
func (e *exchange) authenticate(request *wire.BindRequest) (identity, error) {
	server := e.session.server
	if !server.access.isAccount(request.Name) {
		leave, err := server.hashing.enter(e.ctx, e.session.address)
		if err != nil {
			return identity{}, err
		}
		defer leave()
	}
	return server.authenticate(e.ctx, request.Name, request.Password)
}

// become makes the session act for an identity.
func (s *session) become(next identity) {
	if next.role == anonymous && s.identity.role != anonymous {
		s.anonymousSince = time.Now()
	}
	s.identity = next
}

// compare answers whether an entry has a value.
func (e *exchange) compare(request *wire.CompareRequest) (answer, error) {
	if err := e.identity.mayCompare(request); err != nil {
		return answer{}, err
	}
	if isSecret(request.Attribute) && !e.identity.seesSecrets() {
		if _, err := e.session.server.readEntry(e.ctx, request.DN, wire.NoAttributes); err != nil {
			return answer{}, err
		}
		return answer{}, wire.Errorf(wire.ResultNoSuchAttribute, "the entry has no such attribute")
	}
	equal, err := e.session.server.store.Compare(e.ctx, request)
	if err != nil {
		return answer{}, err
	}
	if equal {
		return answer{code: wire.ResultCompareTrue}, nil
	}
	return answer{code: wire.ResultCompareFalse}, nil
}

// uninterrupted is the context of a change. A change that has begun is finished even if its client goes away, so that a
// client that is gone leaves nothing half-done that it may believe to be done.
func (e *exchange) uninterrupted() context.Context { return context.WithoutCancel(e.ctx) }

func (e *exchange) add(request *wire.AddRequest) (answer, error) {
	if err := e.identity.mayWrite(); err != nil {
		return answer{}, err
	}
	entry, err := e.session.server.store.Add(e.uninterrupted(), request)
	return e.postRead(entry), err
}

func (e *exchange) modify(request *wire.ModifyRequest) (answer, error) {
	permitted, err := e.identity.mayModify(request)
	if err != nil {
		return answer{}, err
	}
	entry, err := e.session.server.store.Modify(e.uninterrupted(), permitted)
	return e.postRead(entry), err
}

// postRead returns the answer to a change that left an entry as it is, if the request asked for it (RFC 4527).
func (e *exchange) postRead(entry *wire.Entry) answer {
	if entry == nil {
		return answer{}
	}
	return answer{controls: []wire.Control{wire.PostReadResponse(e.identity.reveal(entry))}}
}

func (e *exchange) modifyDN(request *wire.ModifyDNRequest) (answer, error) {
	if err := e.identity.mayWrite(); err != nil {
		return answer{}, err
	}
	return answer{}, e.session.server.store.ModifyDN(e.uninterrupted(), request)
}

func (e *exchange) delete(request *wire.DeleteRequest) (answer, error) {
	if err := e.identity.mayWrite(); err != nil {
		return answer{}, err
	}
	return answer{}, e.session.server.store.Delete(e.uninterrupted(), request)
}
