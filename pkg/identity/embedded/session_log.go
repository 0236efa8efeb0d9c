package embedded

import (
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// warningInterval is the time between two warnings of a kind. Everybody who reaches the listener can cause warnings, so
// their number must not be theirs to choose.
const warningInterval = time.Second

// throttle lets one warning of a kind through in each interval and counts the others. Its zero value is ready.
type throttle struct {
	mu         sync.Mutex
	next       time.Time
	suppressed int
}

// warn calls log if a warning is due, with the number of those that were suppressed since the last one.
func (t *throttle) warn(now time.Time, log func(suppressed int)) {
	t.mu.Lock()
	if now.Before(t.next) {
		t.suppressed++
		t.mu.Unlock()
		return
	}
	suppressed := t.suppressed
	t.suppressed, t.next = 0, now.Add(warningInterval)
	t.mu.Unlock()
	log(suppressed)
}

// maxLogged is how many octets of a text from a client reach the log.
const maxLogged = 256

// loggable returns the beginning of a client's text as a log can take it.
func loggable(text string) string {
	if len(text) > maxLogged {
		text = text[:maxLogged]
		for len(text) > maxLogged-utf8.UTFMax && !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
		text += "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
