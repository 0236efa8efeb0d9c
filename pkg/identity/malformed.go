package identity

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// malformed says what is wrong with an entry that another program has written.
type malformed struct {
	property *education.Property
	// reason ends a sentence that begins with the name of the property or of its attribute.
	reason string
}

func (m *malformed) Error() string { return m.property.Attribute + " " + m.reason }

// shown returns the error for a client that asks for the entity by its key.
func (m *malformed) shown(set *education.EntitySet) error {
	fault := odata.Errorf(odata.GeneralException, m.property.Name,
		"the %s cannot be read from the directory: its %s %s", set.Singular, m.property.Name, m.reason)
	return fault.Because(m)
}

// Bounds of what is said in the log about malformed entries: each again after remindAfter, and so many at a time.
const (
	remindAfter = 10 * time.Minute
	maxReported = 1000
)

// malformedEntries counts the malformed entries that are come across, and names each of them in the log now and then.
type malformedEntries struct {
	counter metric.Int64Counter

	mutex sync.Mutex
	// reported are the times at which entries, by DN and reason, were last named.
	reported map[string]time.Time
}

func newMalformedEntries() (*malformedEntries, error) {
	counter, err := otel.Meter("github.com/opencloud-eu/education/pkg/identity").Int64Counter("education.directory.malformed_entries",
		metric.WithDescription("How often an entry that cannot be read was left out of an answer, or answered for with an error, by entity set."),
		metric.WithUnit("{entry}"))
	return &malformedEntries{counter: counter, reported: make(map[string]time.Time)}, err
}

// report counts an entry that was not shown, or not whole.
func (e *malformedEntries) report(ctx context.Context, set *education.EntitySet, entry *wire.Entry, fault *malformed) {
	e.counter.Add(ctx, 1, metric.WithAttributes(attribute.String("education.entity_set", set.Name)))
	if e.due(entry.DN+"\x00"+fault.Error(), time.Now()) {
		slog.WarnContext(ctx, "an entry of the directory cannot be read", "dn", entry.DN, "reason", fault.Error())
	}
}

// due reports whether an entry is to be named in the log, and notes that it has been.
func (e *malformedEntries) due(name string, now time.Time) bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if last, ok := e.reported[name]; ok && now.Sub(last) < remindAfter {
		return false
	}
	if len(e.reported) >= maxReported {
		for other, last := range e.reported {
			if now.Sub(last) >= remindAfter {
				delete(e.reported, other)
			}
		}
	}
	if len(e.reported) >= maxReported {
		return false // The counter tells that there are more.
	}
	e.reported[name] = now
	return true
}

// checkSingle finds fault with an attribute that holds several values where its property has one. Values of an attribute
// have no order (RFC 4512, section 2.2), so that none of them is the first.
func checkSingle(property *education.Property, values []string) *malformed {
	if property.Type != education.Identities && len(values) > 1 {
		return &malformed{property, fmt.Sprintf("has %d values where there can be one", len(values))}
	}
	return nil
}
