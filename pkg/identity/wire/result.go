package wire

import (
	"errors"
	"fmt"
)

// ResultCode is the outcome of an LDAP operation (RFC 4511, appendix A).
type ResultCode int

// The result codes that a directory of this project gives or has to understand.
const (
	ResultSuccess                      ResultCode = 0
	ResultOperationsError              ResultCode = 1
	ResultProtocolError                ResultCode = 2
	ResultTimeLimitExceeded            ResultCode = 3
	ResultSizeLimitExceeded            ResultCode = 4
	ResultCompareFalse                 ResultCode = 5
	ResultCompareTrue                  ResultCode = 6
	ResultAuthMethodNotSupported       ResultCode = 7
	ResultStrongerAuthRequired         ResultCode = 8
	ResultReferral                     ResultCode = 10
	ResultAdminLimitExceeded           ResultCode = 11
	ResultUnavailableCriticalExtension ResultCode = 12
	ResultConfidentialityRequired      ResultCode = 13
	ResultNoSuchAttribute              ResultCode = 16
	ResultUndefinedAttributeType       ResultCode = 17
	ResultInappropriateMatching        ResultCode = 18
	ResultConstraintViolation          ResultCode = 19
	ResultAttributeOrValueExists       ResultCode = 20
	ResultInvalidAttributeSyntax       ResultCode = 21
	ResultNoSuchObject                 ResultCode = 32
	ResultInvalidDNSyntax              ResultCode = 34
	ResultInappropriateAuthentication  ResultCode = 48
	ResultInvalidCredentials           ResultCode = 49
	ResultInsufficientAccessRights     ResultCode = 50
	ResultBusy                         ResultCode = 51
	ResultUnavailable                  ResultCode = 52
	ResultUnwillingToPerform           ResultCode = 53
	ResultNamingViolation              ResultCode = 64
	ResultObjectClassViolation         ResultCode = 65
	ResultNotAllowedOnNonLeaf          ResultCode = 66
	ResultNotAllowedOnRDN              ResultCode = 67
	ResultEntryAlreadyExists           ResultCode = 68
	ResultObjectClassModsProhibited    ResultCode = 69
	ResultOther                        ResultCode = 80
	// ResultAssertionFailed is the result of an operation whose assertion control does not match (RFC 4528, section 4).
	ResultAssertionFailed ResultCode = 122
)

// ErrOutcomeUnknown is wrapped by the error of a write whose answer was lost: it may have been carried out, or may yet be,
// or not.
var ErrOutcomeUnknown = errors.New("the change may or may not have been carried out")

// ResultError is an LDAP result other than success. Every error of a directory that is an LDAP result is one; an
// error that is none (a broken connection, a full disk, a cancelled context) says nothing about the data.
type ResultError struct {
	Code ResultCode
	// MatchedDN is the last entry on the way to the wanted one that exists; only with ResultNoSuchObject.
	MatchedDN string
	// Message is for people who run the directory. It never reaches a client of the HTTP API.
	Message string
}

// Errorf returns a ResultError with a message made as fmt.Sprintf does.
func Errorf(code ResultCode, format string, args ...any) *ResultError {
	return &ResultError{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *ResultError) Error() string {
	return fmt.Sprintf("LDAP result %d: %s", int(e.Code), e.Message)
}

// CodeOf returns the result code that err carries. The second result is false if err is not an LDAP result.
func CodeOf(err error) (ResultCode, bool) {
	var result *ResultError
	if errors.As(err, &result) {
		return result.Code, true
	}
	return ResultOther, false
}
