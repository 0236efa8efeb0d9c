package embedded

import (
	"crypto/rand"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// extended carries out the operation that a request names.
func (e *exchange) extended(request *wire.ExtendedRequest) (answer, error) {
	switch request.Name {
	case wire.OperationStartTLS:
		// The session goes on with TLS after this answer.
		name := wire.OperationStartTLS
		return answer{name: &name}, nil
	case wire.OperationWhoAmI:
		return e.whoAmI(request)
	case wire.OperationPasswordModify:
		return e.passwordModify(request)
	default:
		// RFC 4511, section 4.12.
		return answer{}, wire.Errorf(wire.ResultProtocolError, "the extended operation is not known")
	}
}

// whoAmI answers with the session's authorization identity (RFC 4532).
func (e *exchange) whoAmI(request *wire.ExtendedRequest) (answer, error) {
	if request.Value != nil {
		return answer{}, wire.Errorf(wire.ResultProtocolError, "the request must have no value")
	}
	var value string
	if e.identity.role != anonymous {
		value = "dn:" + e.identity.dn
	}
	return answer{value: &value}, nil
}

// passwordModify changes a password (RFC 3062), and makes one if the request has none.
func (e *exchange) passwordModify(request *wire.ExtendedRequest) (answer, error) {
	change, err := wire.ParsePasswordModify(request)
	if err != nil {
		return answer{}, err
	}
	target := e.identity.dn
	if change.UserIdentity != nil {
		target = *change.UserIdentity
	}
	if err := e.identity.mayChangePassword(target, change); err != nil {
		return answer{}, err
	}
	leave, err := e.session.server.hashing.enter(e.ctx, e.session.address)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	if err := e.proveOldPassword(target, change); err != nil {
		return answer{}, err
	}
	var result answer
	if change.NewPassword == nil {
		generated := rand.Text()
		value := wire.GeneratedPasswordValue(generated)
		change.NewPassword, result.value = &generated, &value
	}
	if *change.NewPassword == "" {
		return answer{}, wire.Errorf(wire.ResultConstraintViolation, "the new password is empty")
	}
	return result, e.setPassword(target, *change.NewPassword)
}

// proveOldPassword checks the old password if the request has one.
func (e *exchange) proveOldPassword(target string, change *wire.PasswordModifyRequest) error {
	if change.OldPassword == nil {
		return nil
	}
	right, err := e.session.server.store.VerifyPassword(e.ctx, target, *change.OldPassword)
	if err != nil {
		return err
	}
	if !right {
		return wire.Errorf(wire.ResultInvalidCredentials, "the old password is wrong")
	}
	return nil
}

func (e *exchange) setPassword(target, cleartext string) error {
	hashed, err := e.session.server.store.HashPassword(e.ctx, cleartext)
	if err != nil {
		return err
	}
	_, err = e.session.server.store.Modify(e.uninterrupted(), replacePassword(target, hashed))
	return err
}

// replacePassword returns the request that gives an entry one password and no other.
func replacePassword(dn, hashed string) *wire.ModifyRequest {
	return &wire.ModifyRequest{DN: dn, Changes: []wire.Change{{
		Operation: wire.ChangeReplace,
		Attribute: wire.Attribute{Type: attributeUserPassword, Values: []string{hashed}},
	}}}
}
