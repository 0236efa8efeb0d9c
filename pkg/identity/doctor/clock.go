package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
)

// maxSkew is by how much clocks may differ.
const maxSkew = 2 * time.Second

// askClock compares the time at which the server says that it has made an entry with this machine's.
func askClock(ctx context.Context, p *patient) (verdict, error) {
	before := time.Now()
	dn, err := p.throwaways.add(ctx, education.Users)
	after := time.Now()
	if err != nil {
		return verdict{}, err
	}
	defer p.throwaways.remove(ctx, dn)
	entry, err := p.read(ctx, dn, "createTimestamp", "entryCSN")
	if err != nil {
		return verdict{}, err
	}
	if entry == nil {
		return verdict{}, errUnseen
	}
	// An entryCSN begins with the time to the microsecond (OpenLDAP); createTimestamp is in whole seconds.
	stamp, precision := entry.Value("createTimestamp"), time.Second
	if exact, _, found := strings.Cut(entry.Value("entryCSN"), "#"); found {
		stamp, precision = exact, time.Microsecond
	}
	made, valid := match.ParseGeneralizedTime(stamp)
	if !valid {
		return verdict{}, fmt.Errorf("the server's time %q cannot be read", stamp)
	}
	return judgeClock(skew(before, after, made, precision)), nil
}

// skew returns by how much a clock is at least ahead of this machine's, negative if it is behind, when its time between
// two moments was read with the given precision.
func skew(before, after, read time.Time, precision time.Duration) time.Duration {
	switch {
	case read.After(after):
		return read.Sub(after)
	case read.Add(precision).Before(before):
		return read.Add(precision).Sub(before)
	default:
		return 0
	}
}

func judgeClock(by time.Duration) verdict {
	if by.Abs() <= maxSkew {
		return ok("The server's clock agrees with this machine's.")
	}
	direction := "ahead of"
	if by < 0 {
		direction = "behind"
	}
	return verdict{
		Warning, fmt.Sprintf("The server's clock is %v %s this machine's.", by.Abs().Round(100*time.Millisecond), direction),
		"Times of creation and change are wrong. Where two servers replicate each other, that of the later clock wins, and newer changes of the other are lost.",
		"Have both machines keep time, with chrony or systemd-timesyncd.",
	}
}
