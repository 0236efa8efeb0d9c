package education

import (
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/opencloud-eu/education/pkg/odata"
)

// Identity links a user to an account at an identity provider.
type Identity struct {
	SignInType       string `json:"signInType,omitempty"`
	Issuer           string `json:"issuer"`
	IssuerAssignedID string `json:"issuerAssignedId"`
}

// Password is a password in clear text, on its way from a request to the directory.
type Password string

// hiddenPassword is what is shown of a password.
const hiddenPassword = "(secret)"

// Format keeps the password out of logs and errors, whatever the verb.
func (Password) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, hiddenPassword) }

// MarshalText is Format for encoders, such as that of slog.
func (Password) MarshalText() ([]byte, error) { return []byte(hiddenPassword), nil }

// Entity is an entity as the directory holds it: one value for each property of its set, nil where it has none.
type Entity struct {
	Set *EntitySet
	// Version tells the states of an entity apart: every change of its entry makes another one. It holds letters, digits,
	// - and _ alone. It is empty if the directory does not say when the entry was changed.
	Version string
	values  []any
	related map[*Navigation][]*Entity
}

// NewEntity returns an entity without values.
func NewEntity(set *EntitySet) *Entity {
	return &Entity{Set: set, values: make([]any, len(set.Properties))}
}

// Value returns the value of a property of the entity's set, or nil.
func (e *Entity) Value(property *Property) any { return e.values[property.index] }

// SetValue gives a property its value; nil removes it.
func (e *Entity) SetValue(property *Property, value any) { e.values[property.index] = value }

// Related returns the entities that the entity is linked to, if they were asked for together with it, and whether they
// were.
func (e *Entity) Related(nav *Navigation) ([]*Entity, bool) {
	related, ok := e.related[nav]
	return related, ok
}

// SetRelated gives the entity the targets of a navigation property.
func (e *Entity) SetRelated(nav *Navigation, targets []*Entity) {
	if e.related == nil {
		e.related = make(map[*Navigation][]*Entity, 1)
	}
	e.related[nav] = targets
}

// Text returns the value of the named property if it is a string, otherwise the empty string.
func (e *Entity) Text(name string) string {
	text, _ := e.Value(e.Set.Property(name)).(string)
	return text
}

// ID returns the entity's id.
func (e *Entity) ID() string { return e.Text("id") }

// Key addresses an entity: the property that identifies it and the value to look for.
type Key struct {
	Property *Property
	Value    string
	// Versions, unless nil, are those in which the entity is meant. To Get, Update and Delete an entity in another version
	// is ResourceModified.
	Versions []string
}

// Means returns why the key does not mean the entity that it has found, or nil.
func (k Key) Means(entity *Entity) error {
	if k.Versions == nil || slices.Contains(k.Versions, entity.Version) {
		return nil
	}
	return odata.Errorf(odata.ResourceModified, entity.Set.Name,
		"the %s has been changed since this version of it was read; read it again and decide anew", entity.Set.Singular)
}

var uuidShape = regexp.MustCompile(`^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$`)

// IsID reports whether text is shaped like an id. Such text is an id and nothing else, so that no username or number
// can ever stand for another entity's id.
func IsID(text string) bool { return uuidShape.MatchString(text) }

// Key resolves a key from a URL against the set's table. A key without a name is an id if it is shaped like one and
// the set's human key otherwise; a name must be that of a property that identifies an entity.
func (s *EntitySet) Key(key odata.Key) (Key, error) {
	if key.Name == "" {
		if IsID(key.Value) {
			return Key{Property: s.ID, Value: key.Value}, nil
		}
		return Key{Property: s.HumanKey, Value: key.Value}, nil
	}
	property := s.Property(key.Name)
	if property == nil || !property.Key {
		shown := odata.Printable(key.Name)
		return Key{}, odata.Errorf(odata.InvalidRequest, shown, "%s cannot be addressed by %q", s.Name, shown)
	}
	return Key{Property: property, Value: key.Value}, nil
}
