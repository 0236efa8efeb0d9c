package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// examineTogether finds out whether several servers are replicas of one another.
func examineTogether(ctx context.Context, patients []*patient) []Finding {
	if len(patients) < 2 {
		return nil
	}
	var usable []*patient
	for _, p := range patients {
		if p.session != nil {
			usable = append(usable, p)
		}
	}
	const id, about = "replicas", "whether the servers are replicas of one another"
	v, err := askReplicas(ctx, usable)
	if err != nil {
		v = unknown(about, err)
	}
	return []Finding{{ID: id, Severity: v.severity, Matter: v.matter, Cost: v.cost, Remedy: v.remedy}}
}

func askReplicas(ctx context.Context, patients []*patient) (verdict, error) {
	if len(patients) < 2 {
		return verdict{
			Warning, "It cannot be told whether the servers are replicas of one another, since fewer than two can be used.",
			"The service has no other server to go to.", "See server.reachable and server.account.",
		}, nil
	}
	first := patients[0]
	suffix := first.features.SuffixOf(first.config.UserBase)
	for _, p := range patients[1:] {
		if other := p.features.SuffixOf(p.config.UserBase); !within(other, suffix) || !within(suffix, other) {
			return strangers(fmt.Sprintf("%s has its tree below %q, %s below %q", first.uri, suffix, p.uri, other)), nil
		}
	}
	if first.config.Depth == Writing {
		return watchReplication(ctx, patients)
	}
	return compareStates(ctx, patients, suffix)
}

func strangers(reason string) verdict {
	return verdict{
		Error, fmt.Sprintf("The servers are not replicas of one another: %s.", reason),
		"When the service goes from one server to the other, entities are answered with 404 and created a second time.",
		"Name servers in EDUCATION_LDAP_URI alone that replicate each other, and see to it that they do: see deploy/openldap/replicated on OpenLDAP.",
	}
}

const (
	// arrival is how long a change may take to the other server before it counts as lost.
	arrival = 10 * time.Second
	// maxLag is how long it may take before that is worth a warning. The service goes to another server within a second.
	maxLag = 2 * time.Second
)

// watchReplication makes an entry on each server and looks for it on the others.
func watchReplication(ctx context.Context, patients []*patient) (verdict, error) {
	longest := time.Duration(0)
	for _, writer := range patients {
		for _, reader := range patients {
			if reader == writer {
				continue
			}
			lag, missing, err := watchArrival(ctx, writer, reader)
			if err != nil {
				return verdict{}, err
			}
			if missing != "" {
				return strangers(fmt.Sprintf("%s on %s is not to be seen on %s within %v", missing, writer.uri, reader.uri, arrival)), nil
			}
			longest = max(longest, lag)
		}
	}
	return judgeLag(longest), nil
}

func judgeLag(lag time.Duration) verdict {
	shown := lag.Round(time.Millisecond)
	if lag <= maxLag {
		return ok("The servers are replicas of one another: a change is everywhere after %v.", shown)
	}
	return verdict{
		Warning, fmt.Sprintf("A change takes %v from one server to the other.", shown),
		"When a server fails, changes of that time are missing on the other one until it is back.",
		"Let replication be continuous (type=refreshAndPersist of olcSyncrepl, as in deploy/openldap/replicated), and look into the servers' logs.",
	}
}

// watchArrival makes an entry on one server, looks for it on another, and does the same with its removal. It returns the
// longer of the two times, or what has not arrived.
func watchArrival(ctx context.Context, writer, reader *patient) (lag time.Duration, missing string, err error) {
	dn, err := writer.throwaways.add(ctx, education.Users)
	if err != nil {
		return 0, "", err
	}
	came, arrived, err := reader.awaits(ctx, dn, true)
	writer.throwaways.remove(ctx, dn)
	if err != nil || !arrived {
		return 0, "an entry that is made", err
	}
	went, arrived, err := reader.awaits(ctx, dn, false)
	if err != nil || !arrived {
		return 0, "that an entry is deleted", err
	}
	return max(came, went), "", nil
}

// awaits waits until an entry is there, or is not, and returns how long that took.
func (p *patient) awaits(ctx context.Context, dn string, wanted bool) (time.Duration, bool, error) {
	for begun := time.Now(); ; {
		entry, err := p.read(ctx, dn, wire.NoAttributes)
		if err != nil {
			return 0, false, err
		}
		took := time.Since(begun)
		if (entry != nil) == wanted || took > arrival {
			return took, (entry != nil) == wanted, nil
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return 0, false, err
		}
	}
}

// compareStates waits until each server has got what the others had (contextCSN of slapo-syncprov).
func compareStates(ctx context.Context, patients []*patient, suffix string) (verdict, error) {
	longest := time.Duration(0)
	for _, ahead := range patients {
		target, err := ahead.state(ctx, suffix)
		if err != nil {
			return verdict{}, err
		}
		if len(target) == 0 {
			return verdict{
				Note, fmt.Sprintf("It cannot be told without writing whether the servers are replicas of one another: %s does not say how far it is.", ahead.uri),
				"None if they are.", "Run education doctor, which makes an entry and looks for it on the others.",
			}, nil
		}
		for _, behind := range patients {
			if behind == ahead {
				continue
			}
			lag, reached, err := behind.reaches(ctx, suffix, target)
			if err != nil {
				return verdict{}, err
			}
			if !reached {
				return strangers(fmt.Sprintf("%s has not got what %s had %v ago", behind.uri, ahead.uri, arrival)), nil
			}
			longest = max(longest, lag)
		}
	}
	return judgeLag(longest), nil
}

// state returns the time of the last change that a server has seen of each provider, by the provider's number.
func (p *patient) state(ctx context.Context, suffix string) (map[string]time.Time, error) {
	entry, err := p.read(ctx, suffix, "contextCSN")
	if err != nil || entry == nil {
		return nil, err
	}
	return parseState(entry.Values("contextCSN")), nil
}

// parseState reads values of the form <time>#<count>#<provider>#<change>.
func parseState(values []string) map[string]time.Time {
	state := map[string]time.Time{}
	for _, value := range values {
		parts := strings.Split(value, "#")
		if at, valid := match.ParseGeneralizedTime(parts[0]); valid && len(parts) == 4 {
			state[parts[2]] = at
		}
	}
	return state
}

// reaches waits until a server has got everything of a state, and returns how long that took.
func (p *patient) reaches(ctx context.Context, suffix string, target map[string]time.Time) (time.Duration, bool, error) {
	for begun := time.Now(); ; {
		state, err := p.state(ctx, suffix)
		if err != nil {
			return 0, false, err
		}
		took, reached := time.Since(begun), covers(state, target)
		if reached || took > arrival {
			return took, reached, nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return 0, false, err
		}
	}
}

// covers reports whether a state has everything of another one.
func covers(state, target map[string]time.Time) bool {
	for provider, at := range target {
		if state[provider].Before(at) {
			return false
		}
	}
	return true
}
