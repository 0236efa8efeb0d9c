package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Store keeps lines. File is one.
type Store interface {
	// Append keeps a line, which ends with a line break, whole or not at all.
	Append(line []byte) error
	// Sync returns when the lines are where a power failure does not reach them.
	Sync() error
}

// Config is what a Trail needs.
type Config struct {
	Store  Store
	Logger *slog.Logger
	// Required says that no change is made whose beginning is not in the store.
	Required bool
	// AddressOf returns what the escaped path of a request addresses.
	AddressOf func(path string) education.Address
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Trail keeps the record. Its methods may be called at the same time.
type Trail struct {
	config Config
	// changes is how many have begun.
	changes atomic.Int64

	mutex sync.Mutex
	// owed are the outcomes of changes, in required mode, that could not be written. They are written before anything else.
	owed [][]byte
	// lost is how many other lines could not be written since a time. The record says so when it can be written again.
	lost  int
	since time.Time
}

// New returns a Trail.
func New(config Config) *Trail {
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Trail{config: config}
}

// Request is what is known of a request before it is answered. Its ids are in the context.
type Request struct {
	Method string
	// Path is the escaped path.
	Path string
	// Remote is the address of the client, as far as it is known.
	Remote  string
	TraceID string
}

// Answer is what has become of a request.
type Answer struct {
	// Status is 0 if nothing was sent.
	Status int
	// Aborted says that the answer broke off, or the connection ended without one.
	Aborted bool
	// Credential is nil if the request has none.
	Credential *access.Credential
}

// Recording is what is known of a request while it is answered.
type Recording struct {
	trail   *Trail
	request Request
	begin   time.Time
	code    *odata.Code
	line    Line

	// asked says that the request got as far as the directory with a change, and outcome is what became of that.
	asked   bool
	outcome string
	// begun says that there is a line about its beginning.
	begun bool
}

type recordingKey struct{}

// recordingOf returns the recording of the request that ctx belongs to, or nil.
func recordingOf(ctx context.Context) *Recording {
	recording, _ := ctx.Value(recordingKey{}).(*Recording)
	return recording
}

// Follow returns a context for a request that is about to be answered. End must be called when it has been.
func (t *Trail) Follow(ctx context.Context, request Request) (context.Context, *Recording) {
	ids := odata.RequestIDsOf(ctx)
	recording := &Recording{trail: t, request: request, begin: t.config.Now(), line: Line{
		RequestID: ids.Server, ClientRequestID: ids.Client, Remote: request.Remote, TraceID: request.TraceID,
	}}
	ctx, recording.code = odata.WithCode(ctx)
	return context.WithValue(ctx, recordingKey{}, recording), recording
}

// readMethods are those that change nothing (RFC 9110, section 9.2.1).
var readMethods = map[string]bool{http.MethodGet: true, http.MethodHead: true, http.MethodOptions: true, http.MethodTrace: true}

// isRecorded reports whether there is a line for a request: if it asked for a change and got to the directory or was
// refused, and if it was refused for its credential's sake.
func (r *Recording) isRecorded(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	}
	return r.asked || !readMethods[r.request.Method] && (status == 0 || status >= http.StatusBadRequest)
}

// End writes the line of a request that has been answered.
func (r *Recording) End(answer Answer) {
	if !r.isRecorded(answer.Status) {
		return
	}
	if !r.asked {
		r.aim(answer.Credential != nil)
	}
	r.by(answer.Credential)
	now := r.trail.config.Now()
	duration := float64(now.Sub(r.begin).Microseconds()) / 1000
	line := r.line
	line.Time, line.Duration, line.Status, line.Aborted = now, &duration, answer.Status, answer.Aborted
	line.Outcome, line.Code = r.ended(answer.Status), r.code.Name
	r.trail.end(line, r.begun)
}

// by notes whose request it is.
func (r *Recording) by(credential *access.Credential) {
	if credential == nil {
		return
	}
	tenants := credential.Schools
	switch {
	case credential.AllSchools:
		tenants = []string{AllTenants}
	case tenants == nil:
		tenants = []string{}
	}
	r.line.Credential, r.line.Tenants = clip(credential.Name), &tenants
}

// ended returns the outcome of a request that was answered with a status.
func (r *Recording) ended(status int) string {
	switch {
	case r.outcome != "":
		return r.outcome
	case r.asked:
		// The directory has not returned: something has panicked within it.
		return Unknown
	case isRefusal(cmp.Or(status, r.code.Status)), status == 0 && r.code.Name == "":
		// Where nothing was answered, because the client broke off in its body, say, the code tells. Without one the client
		// left before anything was decided.
		return Refused
	}
	return Failed
}

// verbs are those of the methods, and refVerbs those where the path addresses a link.
var (
	verbs = map[string]string{
		http.MethodGet: Read, http.MethodHead: Read, http.MethodOptions: Read, http.MethodTrace: Read,
		http.MethodPost: Create, http.MethodPatch: Update, http.MethodPut: Update, http.MethodDelete: Delete,
	}
	refVerbs = map[string]string{http.MethodPost: AddRef, http.MethodPut: AddRef, http.MethodDelete: RemoveRef}
)

// aim notes what a request was for that has not got to the directory. The keys in its path are a client's text; of one whose
// credential is not known they are not recorded.
func (r *Recording) aim(trusted bool) {
	address := r.trail.config.AddressOf(r.request.Path)
	line := &r.line
	line.Verb = verbs[r.request.Method]
	if verb := refVerbs[r.request.Method]; address.Ref && verb != "" {
		line.Verb = verb
	}
	if line.Verb == "" {
		line.Verb = Other
	}
	if address.Set == nil {
		return
	}
	if !trusted {
		address.Key, address.Target = education.Key{}, education.Key{}
	}
	line.Set, line.Entity = address.Set.Name, entityOf(address.Key, nil, address.Set)
	nav := address.Navigation
	switch {
	case nav == nil:
		return
	case line.Verb == Create:
		// What was to be made is one of the targets, linked to the entity in the path.
		line.Set, line.Entity = nav.Target.Name, Entity{}
		ids := idsOf([]education.Key{address.Key}, nav.Owner)
		if inverse := nav.Inverse(); inverse != nil && len(ids) > 0 {
			line.Links = map[string][]string{inverse.Name: ids}
		}
		return
	}
	line.Navigation = nav.Name
	if target := entityOf(address.Target, nil, nav.Target); target != (Entity{}) {
		line.Target = &target
	}
}

// entityOf names the entity that a key means, by what a witness has seen or else by the key itself. Of a key that is neither
// an id nor an externalId, the value is none that the record may hold.
func entityOf(key education.Key, witness *education.Witness, set *education.EntitySet) Entity {
	var entity Entity
	entity.ID, entity.ExternalID = witness.Entity(set, key)
	if !entity.known() && key.Property != nil {
		switch key.Property {
		case set.ID:
			entity.ID = key.Value
		case set.Property("externalId"):
			entity.ExternalID = key.Value
		default:
			entity.Key = key.Property.Name
		}
	}
	entity.ID, entity.ExternalID = clip(entity.ID), clip(entity.ExternalID)
	return entity
}

// begin writes the line before a change. Its error is for the client: the change must not be made.
func (t *Trail) begin(line Line) error {
	line.Time, line.Outcome = t.config.Now(), Begun
	t.mutex.Lock()
	err := t.append(line.encode())
	t.mutex.Unlock()
	if err == nil {
		err = t.config.Store.Sync()
	}
	if err == nil {
		return nil
	}
	return odata.Errorf(odata.ServiceNotAvailable, "",
		"changes cannot be recorded at the moment, so this one was not made; try again later").Because(err)
}

// end writes the line after a request. With begun, there is one about its beginning that waits for it.
func (t *Trail) end(line Line, begun bool) {
	text := line.encode()
	t.mutex.Lock()
	defer t.mutex.Unlock()
	err := t.append(text)
	if err == nil || errors.Is(err, errUnderWay) {
		return
	}
	message := "the audit record has a gap: a line could not be written"
	if begun {
		t.owed = append(t.owed, text)
		message = "the outcome of a change could not be recorded; no change is made until it can be"
	} else {
		if t.lost == 0 {
			t.since = line.Time
		}
		t.lost++
	}
	t.config.Logger.Error(message, "request-id", line.RequestID, "verb", line.Verb, "outcome", line.Outcome, "cause", err)
}

// append writes what is owed, the line that says what is missing, and then the line itself.
func (t *Trail) append(text []byte) error {
	if err := t.settle(); err != nil {
		return err
	}
	return t.config.Store.Append(text)
}

// settle writes what could not be written before.
func (t *Trail) settle() error {
	for len(t.owed) > 0 {
		err := t.config.Store.Append(t.owed[0])
		if err != nil && !errors.Is(err, errUnderWay) {
			return err
		}
		if t.owed = t.owed[1:]; len(t.owed) == 0 {
			t.config.Logger.Info("all outcomes of changes are recorded again")
		}
		if err != nil {
			return errStalled // Nothing goes behind this one yet.
		}
	}
	if t.lost == 0 {
		return nil
	}
	missing := gap{Time: timestamp(t.config.Now()), Lost: t.lost, Since: timestamp(t.since)}
	err := t.config.Store.Append(encode(missing))
	if err != nil && !errors.Is(err, errUnderWay) {
		return err
	}
	t.config.Logger.Warn("the audit record is written again; lines are missing", "lost", missing.Lost, "since", missing.Since)
	t.lost = 0
	if err != nil {
		return errStalled
	}
	return nil
}

// Close writes what could not be written before. If that fails once more, the error says how much is missing.
func (t *Trail) Close() error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if err := t.settle(); err != nil {
		return fmt.Errorf("the audit record lacks the outcomes of %d changes and %d other lines: %w", len(t.owed), t.lost, err)
	}
	return nil
}
