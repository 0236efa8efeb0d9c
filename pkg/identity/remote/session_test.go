package remote

import (
	"context"
	"errors"
	"testing"
	"time"
)

// elapsed is a context whose deadline has passed, and which has not ended yet: as every context is for a moment, and for longer
// on a busy machine.
type elapsed struct{ context.Context }

func (elapsed) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

// TestDialAtADeadline holds that a server is not blamed for the end of its caller's time.
func TestDialAtADeadline(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	session, err := Dial(elapsed{t.Context()}, Config{}, fake.uri)
	if err != nil {
		t.Fatalf("the context has not ended: %v", err)
	}
	session.Close()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, Config{}, fake.uri); !errors.Is(err, context.Canceled) || isLinkError(err) {
		t.Errorf("the context has ended: %v", err)
	}
}

func isLinkError(err error) bool {
	var link *linkError
	return errors.As(err, &link)
}
