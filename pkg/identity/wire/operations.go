// Package wire holds LDAP as data: the operations of RFC 4511, search filters, entries and results, and the codec
// that turns them into BER bytes and back.
//
// The operations are also the seam between pkg/identity, which knows schools, users and classes, and a directory that
// carries them out: the one in the process gets them as they are, a server on the network gets their bytes.
package wire

import (
	"strings"
)

// Attribute is one attribute of an entry or of a change: an attribute description and its values.
//
// Values are strings because Go's strings are immutable: an entry is decoded from one string and its values share
// that string's memory. They are bytes to LDAP and need not be valid UTF-8.
type Attribute struct {
	Type   string
	Values []string
}

// Entry is an entry of the directory, or the part of it that a search asked for.
type Entry struct {
	// DN is the entry's distinguished name as the directory spells it.
	DN         string
	Attributes []Attribute
}

// Values returns the values of the attribute with the given name, compared without case as RFC 4512, section 2.5
// asks. It returns nil when the entry has no such attribute.
func (e *Entry) Values(name string) []string {
	for i := range e.Attributes {
		if strings.EqualFold(e.Attributes[i].Type, name) {
			return e.Attributes[i].Values
		}
	}
	return nil
}

// Value returns the first value of the named attribute, or the empty string.
func (e *Entry) Value(name string) string {
	if values := e.Values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Scope says how far below its base a search looks (RFC 4511, section 4.5.1.2).
type Scope int

// The scopes of RFC 4511.
const (
	ScopeBase     Scope = 0
	ScopeOneLevel Scope = 1
	ScopeSubtree  Scope = 2
)

// Names that ask for more than one attribute in SearchRequest.Attributes (RFC 4511, section 4.5.1.8, RFC 3673).
const (
	AllUserAttributes        = "*"
	AllOperationalAttributes = "+"
	NoAttributes             = "1.1"
)

// SearchRequest asks for the entries below a base that match a filter.
type SearchRequest struct {
	Base  string
	Scope Scope
	// SizeLimit is the largest number of entries the caller wants; 0 is no limit. A directory that has more entries
	// returns as many as the limit allows and then ResultSizeLimitExceeded.
	SizeLimit int
	// TimeLimit is in seconds; 0 is no limit.
	TimeLimit int
	TypesOnly bool
	// Filter must not be nil; Present("objectClass") matches every entry.
	Filter *Filter
	// Attributes names the attributes to return; empty means all user attributes.
	Attributes []string
}

// AddRequest creates an entry.
type AddRequest struct {
	DN         string
	Attributes []Attribute
	// PostRead names attributes of the new entry that the caller would like to have in the answer (RFC 4527).
	// Empty asks for none.
	PostRead []string
}

// ChangeOperation says what a Change does to the values of its attribute (RFC 4511, section 4.6).
type ChangeOperation int

// The operations of RFC 4511, section 4.6.
const (
	ChangeAdd     ChangeOperation = 0
	ChangeDelete  ChangeOperation = 1
	ChangeReplace ChangeOperation = 2
)

// Change is one step of a ModifyRequest.
type Change struct {
	Operation ChangeOperation
	// Attribute carries the values to add, to delete (none: all of them) or to replace the present ones by (none:
	// the attribute is removed, and it is no error if it was absent).
	Attribute Attribute
}

// ModifyRequest changes an entry: all of its changes, in order, or none.
type ModifyRequest struct {
	DN      string
	Changes []Change
	// Assertion is a filter that the entry must match, or else nothing is changed and the result is
	// ResultAssertionFailed (RFC 4528). Nil asks for nothing.
	Assertion *Filter
	// PostRead is as in AddRequest.
	PostRead []string
}

// ModifyDNRequest renames an entry, and moves it if NewSuperior is not nil.
type ModifyDNRequest struct {
	DN           string
	NewRDN       string
	DeleteOldRDN bool
	NewSuperior  *string
}

// DeleteRequest deletes an entry that has no children.
type DeleteRequest struct {
	DN string
	// Assertion is as in ModifyRequest.
	Assertion *Filter
}

// CompareRequest asks whether an entry holds a value.
type CompareRequest struct {
	DN        string
	Attribute string
	Value     string
}

// PasswordModifyRequest is the extended operation of RFC 3062. A nil field was absent from the request.
type PasswordModifyRequest struct {
	UserIdentity *string
	OldPassword  *string
	NewPassword  *string
}
