package education

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/go-playground/validator/v10"

	"github.com/opencloud-eu/education/pkg/odata"
)

// checks holds the validator with the tags that the tables use beside the built-in ones.
var checks = newValidator()

func newValidator() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	tags := map[string]func(string) bool{
		"plain":   func(text string) bool { return strings.ContainsFunc(text, isVisible) },
		"text":    func(text string) bool { return strings.IndexFunc(text, unicode.IsControl) < 0 },
		"prose":   func(text string) bool { return strings.IndexFunc(text, isControlInProse) < 0 },
		"mailbox": isMailbox,
		"isuuid":  IsID,
		"notuuid": func(text string) bool { return !IsID(text) },
	}
	for tag, check := range tags {
		err := v.RegisterValidation(tag, func(field validator.FieldLevel) bool { return check(field.Field().String()) })
		if err != nil {
			panic(err) // The tag's name is one of the above.
		}
	}
	return v
}

// isVisible reports whether r is a letter, number, punctuation mark or symbol. A value without one can neither be seen
// nor found: the matching rules of LDAP (RFC 4518, section 2.2) drop most of the other characters.
func isVisible(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) }

// The largest lengths of the two parts of an e-mail address in octets (RFC 5321, sections 4.5.3.1.1 and 4.5.3.1.2). No server
// has to take more.
const (
	maxLocalPart = 64
	maxDomain    = 255
)

// isMailbox reports whether the parts of an e-mail address are no longer than every server takes. A quoted local part can
// hold an at sign, a domain cannot.
func isMailbox(address string) bool {
	at := strings.LastIndexByte(address, '@')
	return at <= maxLocalPart && len(address)-at-1 <= maxDomain
}

// isControlInProse reports whether r is a control character that has no place in a text of several lines.
func isControlInProse(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t'
}

// check applies a property's check to a string and says in a sentence what is wrong.
func check(property *Property, name, text string) error {
	if text == "" {
		return odata.Errorf(odata.InvalidRequest, property.Name, "%s must not be empty; null clears a property", name)
	}
	if fault := property.Fault(text); fault != "" {
		return odata.Errorf(odata.InvalidRequest, property.Name, "%s %s", name, fault)
	}
	return nil
}

// Fault says why a text, which must be valid UTF-8, cannot be a value of the property, to follow the property's name in a
// sentence. It is empty if the text can.
func (p *Property) Fault(text string) string {
	if p.Check == "" {
		return ""
	}
	err := checks.Var(text, p.Check)
	if err == nil {
		return ""
	}
	var faults validator.ValidationErrors
	errors.As(err, &faults)
	return sentence(faults)
}

// sentence says what the first failed check demands.
func sentence(faults validator.ValidationErrors) string {
	if len(faults) == 0 {
		return "is not valid"
	}
	fault := faults[0]
	switch fault.Tag() {
	case "max":
		return "must be at most " + fault.Param() + " characters long"
	case "email", "ascii":
		return "must be an e-mail address"
	case "mailbox":
		return fmt.Sprintf("must have at most %d octets before the at sign, and %d behind it", maxLocalPart, maxDomain)
	case "oneofci":
		return "must be one of " + strings.Join(strings.Fields(fault.Param()), ", ")
	case "isuuid":
		return "must be a UUID"
	case "notuuid":
		return "must not be shaped like a UUID, because a path takes that for an id"
	case "plain":
		return "must hold a visible character"
	default:
		return "must not hold control characters"
	}
}

// decodeValue reads a JSON value that is not null as the property's type and checks it.
func decodeValue(property *Property, raw json.RawMessage, rules Rules) (any, error) {
	switch property.Type {
	case Boolean:
		var value bool
		if err := json.Unmarshal(raw, &value); err != nil {
			return nil, typeError(property, "true or false")
		}
		return value, nil
	case DateTime:
		return decodeDateTime(property, raw)
	case Identities:
		return decodeIdentities(property, raw)
	case PasswordSecrets:
		return decodePassword(property, raw, rules)
	default:
		var value string
		if err := json.Unmarshal(raw, &value); err != nil {
			return nil, typeError(property, "a string")
		}
		return value, check(property, property.Name, value)
	}
}

func typeError(property *Property, want string) error {
	return odata.Errorf(odata.InvalidRequest, property.Name, "%s must be %s", property.Name, want)
}

// decodeDateTime reads a date and time. The directory keeps whole seconds, as OpenCloud writes them; a fraction is cut
// off.
func decodeDateTime(property *Property, raw json.RawMessage) (any, error) {
	var text string
	err := json.Unmarshal(raw, &text)
	if err == nil {
		var value time.Time
		if value, err = time.Parse(time.RFC3339, text); err == nil {
			value = value.UTC().Truncate(time.Second)
			if value.Year() >= 1 && value.Year() <= 9999 {
				return value, nil
			}
		}
	}
	return nil, typeError(property, "a date and time such as 2026-12-31T00:00:00Z")
}

// maxIdentities is the largest number of identities of one user.
const maxIdentities = 100

func decodeIdentities(property *Property, raw json.RawMessage) (any, error) {
	var identities []Identity
	if err := unmarshalStrictly(raw, &identities); err != nil {
		return nil, typeError(property, "an array of objects with issuer and issuerAssignedId")
	}
	if len(identities) > maxIdentities {
		return nil, odata.Errorf(odata.InvalidRequest, property.Name, "%s holds more than %d identities", property.Name, maxIdentities)
	}
	seen := make(map[Identity]bool, len(identities))
	for _, identity := range identities {
		if err := checkIdentity(property, identity); err != nil {
			return nil, err
		}
		if decoded, ok := ParseIdentity(identity.String()); !ok || decoded != identity {
			return nil, odata.Errorf(odata.InvalidRequest, property.Name, `%s must not hold " $ "`, property.Name)
		}
		if seen[identity] {
			return nil, odata.Errorf(odata.InvalidRequest, property.Name, "%s holds the same identity twice", property.Name)
		}
		seen[identity] = true
	}
	if len(identities) == 0 {
		return nil, nil
	}
	return identities, nil
}

// checkIdentity applies a property's check to the parts of an identity. How the user signs in may be left out.
func checkIdentity(property *Property, identity Identity) error {
	if err := check(property, property.Name+"/issuer", identity.Issuer); err != nil {
		return err
	}
	if err := check(property, property.Name+"/issuerAssignedId", identity.IssuerAssignedID); err != nil {
		return err
	}
	if identity.SignInType == "" {
		return nil
	}
	return check(property, property.Name+"/signInType", identity.SignInType)
}

// identitySeparator stands between the parts of an identity in the directory, as OpenCloud writes it.
const identitySeparator = " $ "

// String returns the identity as OpenCloud writes it to the directory.
func (i Identity) String() string {
	return i.SignInType + identitySeparator + i.Issuer + identitySeparator + i.IssuerAssignedID
}

// ParseIdentity is the reverse of Identity.String.
func ParseIdentity(text string) (Identity, bool) {
	parts := strings.SplitN(text, identitySeparator, 3)
	if len(parts) != 3 {
		return Identity{}, false
	}
	return Identity{SignInType: parts[0], Issuer: parts[1], IssuerAssignedID: parts[2]}, true
}

// passwordProfile is the JSON form of a new password.
type passwordProfile struct {
	Password     string `json:"password"`
	Force        bool   `json:"forceChangePasswordNextSignIn"`
	ForceWithMFA bool   `json:"forceChangePasswordNextSignInWithMfa"`
}

// decodePassword reads a passwordProfile. No directory attribute makes OpenCloud ask for a new password at the next
// sign-in, so a request for that is refused; OpenCloud's graph service ignores it.
func decodePassword(property *Property, raw json.RawMessage, rules Rules) (any, error) {
	var profile passwordProfile
	if err := unmarshalStrictly(raw, &profile); err != nil {
		return nil, typeError(property, "an object with a password")
	}
	if (profile.Force || profile.ForceWithMFA) && !rules.Compatible {
		return nil, odata.Errorf(odata.NotSupported, property.Name,
			"%s cannot force a new password at the next sign-in; leave forceChangePasswordNextSignIn out", property.Name)
	}
	if err := check(property, property.Name+"/password", profile.Password); err != nil {
		return nil, err
	}
	return Password(profile.Password), nil
}

// unmarshalStrictly is json.Unmarshal that refuses members the target does not have.
func unmarshalStrictly(raw json.RawMessage, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(target)
}

// Equal reports whether two values of a property are the same, letter by letter.
func Equal(a, b any) bool {
	if left, ok := a.(time.Time); ok {
		right, ok := b.(time.Time)
		return ok && left.Equal(right)
	}
	return reflect.DeepEqual(a, b)
}
