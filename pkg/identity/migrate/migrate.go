// Package migrate brings a directory up to date in place, and moves what one directory holds into another.
//
// Both can be broken off at any moment and repeated: nothing is noted anywhere, each run looks at what is there and does
// the rest. Nothing is guessed. What a person has to decide is reported and left as it is.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
)

// Side is a directory that is brought up to date, moved from, or moved to.
type Side struct {
	// Name is what people call it.
	Name      string
	Directory *identity.Directory
	// Embedded says that it is the directory in the process: everything in it may be read, and it keeps those password
	// hashes alone that it can verify.
	Embedded bool
	// Plain says that its schema has no place for unique keys.
	Plain bool
	// OldSchema says that its schema is OpenCloud's from before version 5.2.0.
	OldSchema bool
	// Verify reports whether a password is that of an entry.
	Verify func(ctx context.Context, dn, password string) (bool, error)
}

// Options say what may be done. Without Apply nothing is written, and everything is told as if it were.
type Options struct {
	Apply bool
	// RemoveLost removes links to entries and schools that do not exist, in place.
	RemoveLost bool
	// Overwrite makes entities that are different in the target what they are in the source.
	Overwrite bool
	// WithoutPasswords moves users without their passwords.
	WithoutPasswords bool
	// Report is told of each finding at once, and Progress of each step. Both may be nil.
	Report   func(Finding)
	Progress Progress
}

// Progress shows how far the work is. Its methods are called by one goroutine at a time.
type Progress interface {
	// Begin begins a stage of so many steps, or of -1 if nobody knows.
	Begin(stage string, steps int)
	Step()
	// End ends the stage.
	End()
}

// Kind says what a Finding is about.
type Kind string

// The kinds of findings.
const (
	// Duplicate is a unique value that several entities claim.
	Duplicate Kind = "duplicate"
	// Malformed is an entry that cannot be read as an entity, or not whole.
	Malformed Kind = "malformed"
	// LostLink is a link to an entry or a school that does not exist.
	LostLink Kind = "lostLink"
	// ForeignLink is a link to an entry that is no user of the service, which a move leaves behind.
	ForeignLink Kind = "foreignLink"
	// Different is an entity that both directories have and that differs.
	Different Kind = "different"
	// Conflict is an entity that cannot be moved because something in the target is in its way.
	Conflict Kind = "conflict"
	// Refused is an entity that the directory does not take.
	Refused Kind = "refused"
	// Missing is an entity that is not in the target after a move.
	Missing Kind = "missing"
	// Unfinished is an entity that is not up to date after it was brought so.
	Unfinished Kind = "unfinished"
	// Passwords is about passwords that do not arrive, or that nobody will be able to sign in with.
	Passwords Kind = "passwords"
	// Schema is about a schema that lacks something.
	Schema Kind = "schema"
	// LeftBehind is about what does not belong to the service and is not moved. It needs nobody's attention.
	LeftBehind Kind = "leftBehind"
)

// Finding is something that people should know.
type Finding struct {
	Kind Kind   `json:"kind"`
	Set  string `json:"set,omitempty"`
	ID   string `json:"id,omitempty"`
	DN   string `json:"dn,omitempty"`
	// Text is the rest of the sentence that begins with the entity.
	Text string `json:"text"`
}

// NeedsAttention reports whether somebody has to decide something.
func (f Finding) NeedsAttention() bool { return f.Kind != LeftBehind }

// String returns the finding as a sentence.
func (f Finding) String() string {
	if f.DN == "" {
		return f.Text
	}
	return fmt.Sprintf("%s %s (%s): %s", strings.TrimSpace(f.Set), f.ID, f.DN, f.Text)
}

// Outcome is what happens to an entity.
type Outcome string

// The outcomes, in the order in which a summary names them.
const (
	// Current entities are as they should be.
	Current Outcome = "current"
	// Keyed entities get the unique keys that follow from their values.
	Keyed Outcome = "keyed"
	// Noted entities get a note that the username stands in for a value.
	Noted Outcome = "noted"
	// Unlinked entities lose links to what does not exist.
	Unlinked Outcome = "unlinked"
	// Added and Overwritten entities are written to the target, Equal ones need not be.
	Equal       Outcome = "equal"
	Added       Outcome = "added"
	Overwritten Outcome = "overwritten"
	// Left entities are not written, for a reason that a finding tells.
	Left Outcome = "left"
)

// Outcomes are all outcomes, in the order in which a summary names them.
var Outcomes = []Outcome{Current, Keyed, Noted, Unlinked, Equal, Added, Overwritten, Left}

// Summary is the result.
type Summary struct {
	// Applied says that things were done, and not only told.
	Applied bool         `json:"applied"`
	Sets    []SetSummary `json:"sets"`
	// Findings counts the findings by their kinds, and Attention those that somebody has to decide about.
	Findings  map[Kind]int `json:"findings"`
	Attention int          `json:"attention"`
	// Verified says that everything was read again afterwards, and is as it should be, but for what the findings tell.
	Verified bool `json:"verified"`
}

// SetSummary is the result for one entity set.
type SetSummary struct {
	Set      string          `json:"set"`
	Entities int             `json:"entities"`
	Outcomes map[Outcome]int `json:"outcomes"`
}

// Changes returns how many entities are changed, or would be.
func (s *Summary) Changes() int {
	changes := 0
	for _, set := range s.Sets {
		for _, outcome := range []Outcome{Keyed, Noted, Unlinked, Added, Overwritten} {
			changes += set.Outcomes[outcome]
		}
	}
	return changes
}

// job is what both kinds of work have in common.
type job struct {
	Options
	summary *Summary
	mutex   sync.Mutex
}

func newJob(options Options) *job {
	s := &Summary{Applied: options.Apply, Findings: make(map[Kind]int)}
	for _, set := range education.EntitySets {
		s.Sets = append(s.Sets, SetSummary{Set: set.Name, Outcomes: make(map[Outcome]int)})
	}
	return &job{Options: options, summary: s}
}

func (j *job) of(set *education.EntitySet) *SetSummary {
	return &j.summary.Sets[slices.Index(education.EntitySets, set)]
}

func (j *job) count(set *education.EntitySet, outcome Outcome) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.of(set).Outcomes[outcome]++
}

func (j *job) report(f Finding) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.summary.Findings[f.Kind]++
	if f.NeedsAttention() {
		j.summary.Attention++
	}
	if j.Report != nil {
		j.Report(f)
	}
}

// about reports a finding about an entry.
func (j *job) about(h *identity.Holding, kind Kind, format string, args ...any) {
	j.report(Finding{Kind: kind, Set: h.Set.Singular, ID: h.ID, DN: h.DN, Text: fmt.Sprintf(format, args...)})
}

func (j *job) begin(stage string, steps int) {
	if j.Progress != nil {
		j.Progress.Begin(stage, steps)
	}
}

func (j *job) step() {
	if j.Progress != nil {
		j.mutex.Lock()
		defer j.mutex.Unlock()
		j.Progress.Step()
	}
}

func (j *job) end() {
	if j.Progress != nil {
		j.Progress.End()
	}
}

// take takes an inventory with everything in it.
func (j *job) take(ctx context.Context, of Side, keepPassword func(string) bool) (*identity.Inventory, error) {
	j.begin("reading "+of.Name, -1)
	defer j.end()
	return of.Directory.TakeInventory(ctx, identity.Reading{
		Links: true, KeepPassword: keepPassword, Seen: func(*education.EntitySet) { j.step() },
	})
}

// oldSchema reports a schema that is out of date.
func (j *job) oldSchema(side Side) {
	if side.OldSchema {
		j.report(Finding{Kind: Schema, Text: "The schema of " + side.Name + " is OpenCloud's from before version 5.2.0: it permits no externalId on users and" +
			" schools. Nothing has to be done about the entries; load OpenCloud's schema of today before externalIds are written."})
	}
}

// faults reports what is wrong with the entries of an inventory.
func (j *job) faults(i *identity.Inventory) {
	for _, h := range i.Holdings {
		for _, fault := range h.Faults {
			j.about(h, Malformed, "%s", fault)
		}
		for _, link := range h.Lost {
			j.about(h, LostLink, "one of its %s does not exist: %s", link.Navigation.Name, link.Value)
		}
	}
	for _, clash := range i.Clashes {
		j.duplicate(clash)
	}
}

// duplicate reports a unique value that several claim.
func (j *job) duplicate(clash identity.Clash) {
	set, _, _ := strings.Cut(clash.Key, "/")
	claimants := make([]string, len(clash.Claimants))
	for n, h := range clash.Claimants {
		holds := ""
		switch {
		case slices.Contains(clash.Holders, h):
			holds = ", which has the key"
		case h == clash.Keeper:
			holds = ", which is to have the key"
		}
		claimants[n] = fmt.Sprintf("%s (%s)%s", h.ID, h.DN, holds)
	}
	text := fmt.Sprintf("%d entries claim the unique key %s: %s", len(claimants), clash.Key, strings.Join(claimants, "; "))
	j.report(Finding{Kind: Duplicate, Set: set, Text: text})
}

// workers is how many entities are written at the same time. A directory that commits writes in groups does them for the
// price of a few.
const workers = 16

// each calls do for all items, several at a time, and returns the first error. After one, and at the end of the context, no
// further item is begun; those under way are finished.
func each[T any](ctx context.Context, items []T, do func(item T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan T)
	var running sync.WaitGroup
	for range min(workers, len(items)) {
		running.Go(func() {
			for item := range work {
				if err := do(item); err != nil {
					cancel(err)
				}
			}
		})
	}
feed:
	for _, item := range items {
		select {
		case work <- item:
		case <-ctx.Done():
			break feed
		}
	}
	close(work)
	running.Wait()
	return context.Cause(ctx)
}

// refused returns the reason why an entity was refused, with what the directory says, or false for an error of another kind.
func refused(err error) (string, bool) {
	var refusal *identity.Refusal
	if !errors.As(err, &refusal) {
		return "", false
	}
	if cause := errors.Unwrap(refusal); cause != nil {
		return refusal.Reason + " (" + cause.Error() + ")", true
	}
	return refusal.Reason, true
}

// sorted returns the names and numbers of a map as text.
func sorted(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}
