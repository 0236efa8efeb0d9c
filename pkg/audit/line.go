package audit

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
)

// Outcomes of a request.
const (
	// Begun stands in the line that is written before a change, in required mode. A second line tells its end.
	Begun = "begun"
	// Made says that the change is in the directory, whatever became of the answer.
	Made = "made"
	// Refused says that the request was at fault or not permitted, and that nothing was changed.
	Refused = "refused"
	// Failed says that the service or the directory was at fault, and that nothing was changed.
	Failed = "failed"
	// Unknown says that the change, or a part of it, may have been made or may yet be.
	Unknown = "unknown"
)

// Verbs of a request.
const (
	Create    = "create"
	Update    = "update"
	Delete    = "delete"
	AddRef    = "addRef"
	RemoveRef = "removeRef"
	// Read is recorded only if the credential was the reason to refuse it.
	Read = "read"
	// Other is a method that no route has.
	Other = "other"
)

// AllTenants stands among a credential's tenants if it is bound to none in particular.
const AllTenants = "all"

// Line is a line of the record. Members that are not known, or that mean nothing for a request, are left out.
type Line struct {
	// Time is when the line was written, in UTC.
	Time            time.Time `json:"-"`
	RequestID       string    `json:"requestId,omitempty"`
	ClientRequestID string    `json:"clientRequestId,omitempty"`
	// Change numbers, in required mode, the changes that a process has begun: both lines of a change have the same. A request
	// id alone will not do, since clients may choose it.
	Change int64 `json:"change,omitempty"`
	// Credential is the name of the credential, and Tenants are the ids of the schools that it is bound to, or AllTenants.
	// Neither is there if the request had no credential that is known.
	Credential string    `json:"credential,omitempty"`
	Tenants    *[]string `json:"tenants,omitempty"`
	Verb       string    `json:"verb"`
	// Set is the entity set of the entity concerned; of a link, that of its owner, and Navigation the navigation property.
	Set        string `json:"set,omitempty"`
	Navigation string `json:"navigation,omitempty"`
	Entity
	// Target is the other end of a link.
	Target *Entity `json:"target,omitempty"`
	// Properties are the names of the properties that the body mentions.
	Properties []string `json:"properties,omitempty"`
	// Links are the ids that the body, or the path of a new entity, links it to, by navigation property.
	Links map[string][]string `json:"links,omitempty"`
	// Detached is how many entities were taken out of a school that was to be deleted.
	Detached int    `json:"detached,omitempty"`
	Outcome  string `json:"outcome"`
	// Status is the status of the answer; there is none if the client left before, or the line is not the last one.
	Status int    `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
	// Aborted says that the answer broke off.
	Aborted  bool     `json:"aborted,omitempty"`
	Duration *float64 `json:"durationMs,omitempty"`
	Remote   string   `json:"remote,omitempty"`
	TraceID  string   `json:"traceId,omitempty"`
}

// Entity names an entity.
type Entity struct {
	ID         string `json:"id,omitempty"`
	ExternalID string `json:"externalId,omitempty"`
	// Key is the property by which the request named it, if neither id nor externalId is known.
	Key string `json:"key,omitempty"`
}

// known reports whether the entity is named by a property that the record may hold.
func (e Entity) known() bool { return e.ID != "" || e.ExternalID != "" }

// gap is the line that stands where others are missing.
type gap struct {
	Time  string `json:"time"`
	Lost  int    `json:"lost"`
	Since string `json:"since"`
}

// timeFormat is RFC 3339 with milliseconds; a time in UTC ends in Z.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

func timestamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// encode returns a line with its line break.
func (l *Line) encode() []byte {
	return encode(struct {
		Time string `json:"time"`
		*Line
	}{timestamp(l.Time), l})
}

// encode returns a value as one line. Line breaks in texts are escaped by JSON.
func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // The values are texts and numbers of this package's own types.
	}
	return append(text, '\n')
}

// maxText is how much of a text that may be a client's own is recorded, in characters: no id and no externalId is longer.
const maxText = 256

// clip returns a text that fits into a line and does nothing to the terminal that shows it.
func clip(text string) string {
	var b strings.Builder
	length := 0
	for _, r := range text {
		if length++; length > maxText {
			b.WriteRune('…')
			break
		}
		if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		b.WriteRune(r)
	}
	return b.String()
}
