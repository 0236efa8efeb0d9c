package identity

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// replicated are users as replication has put them together. A real directory would not take them from one client.
type replicated struct {
	stub
	users []*wire.Entry
	// refuses is what changes are answered with.
	refuses error
}

func newReplicated(users ...*wire.Entry) *replicated {
	r := &replicated{users: users}
	r.search = func(request *wire.SearchRequest, yield func(*wire.Entry) error) error {
		if request.Base != userBase {
			return nil
		}
		wanted := request.Filter.String()
		for _, entry := range r.users {
			holds := func(key string) bool { return strings.Contains(wanted, "="+key+")") }
			if !strings.Contains(wanted, "educationUniqueKey=*") && !slices.ContainsFunc(entry.Values(attributeUniqueKey), holds) && !holds(entry.Value("uid")) {
				continue
			}
			if err := yield(entry); err != nil {
				return err
			}
		}
		return nil
	}
	r.modify = func(request *wire.ModifyRequest) (*wire.Entry, error) {
		if r.refuses != nil {
			return nil, r.refuses
		}
		for _, entry := range r.users {
			if entry.DN == request.DN {
				r.apply(entry, request.Changes)
			}
		}
		return nil, nil
	}
	return r
}

// apply changes the unique keys of an entry.
func (r *replicated) apply(entry *wire.Entry, changes []wire.Change) {
	for i := range entry.Attributes {
		attribute := &entry.Attributes[i]
		for _, change := range changes {
			switch {
			case attribute.Type != change.Attribute.Type:
			case change.Operation == wire.ChangeAdd:
				attribute.Values = append(slices.Clone(attribute.Values), change.Attribute.Values...)
			default:
				attribute.Values = without(attribute.Values, change.Attribute.Values)
			}
		}
	}
}

// replica returns a user, whose id ends with the given digits, that was made at a time of the day.
func replica(name, digits, at string, keys ...string) *wire.Entry {
	id := "0e2f1bd5-9a2d-4a3b-a6c1-0000000000" + digits
	lines := []string{"uid: " + name, "displayName: " + name, "openCloudUUID: " + id, "createTimestamp: 20260101" + at + "Z"}
	for _, key := range keys {
		lines = append(lines, "educationUniqueKey: "+strings.ReplaceAll(key, "ID", id))
	}
	return parseEntry("openCloudUUID="+id+","+userBase, lines...)
}

func TestSettleConflicts(t *testing.T) {
	t.Parallel()
	const key, other = "user/username/-/max", "user/externalId/-/4711"
	tests := []struct {
		name  string
		users []*wire.Entry
		// want are the keys that each has in the end, and lost is how many have lost some.
		want [][]string
		lost int
	}{
		{
			"no conflict",
			[]*wire.Entry{replica("a", "01", "080000", key), replica("b", "02", "080000", other)},
			[][]string{{key}, {other}},
			0,
		},
		{
			"the older one keeps the key",
			[]*wire.Entry{replica("a", "01", "080001", key, other), replica("b", "02", "080000", key)},
			[][]string{{other}, {key}},
			1,
		},
		{
			"of the same age, the one with the smaller id",
			[]*wire.Entry{replica("a", "0b", "080000", key), replica("b", "0A", "080000", key)},
			[][]string{nil, {key}},
			1,
		},
		{
			"among three",
			[]*wire.Entry{replica("a", "01", "080002", key), replica("b", "02", "080001", key), replica("c", "03", "080000", key)},
			[][]string{nil, nil, {key}},
			2,
		},
		{
			"two keys, and a revision that moves on",
			[]*wire.Entry{replica("a", "01", "080000", key, other), replica("b", "02", "080001", key, other, "user/revision/ID/7")},
			[][]string{{key, other}, {"user/revision/0e2f1bd5-9a2d-4a3b-a6c1-000000000002/9"}},
			2,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			directory := newReplicated(test.users...)
			d := newDirectory(t, directory, education.Rules{})
			for again := range 2 {
				lost, err := d.SettleConflicts(t.Context())
				if want := test.lost * (1 - again); err != nil || lost != want {
					t.Errorf("got %d and %v, want %d", lost, err, want)
				}
			}
			for i, want := range test.want {
				if diff := cmp.Diff(want, slices.Clip(append([]string(nil), directory.users[i].Values(attributeUniqueKey)...))); diff != "" {
					t.Errorf("user %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// TestSettledByAnother holds that two processes may settle one conflict, and that a directory which fails is an error.
func TestSettledByAnother(t *testing.T) {
	t.Parallel()
	const key = "user/username/-/max"
	directory := newReplicated(replica("a", "01", "080000", key), replica("b", "02", "080001", key))
	d := newDirectory(t, directory, education.Rules{})
	for _, test := range []struct {
		refuses error
		fails   bool
	}{
		{wire.Errorf(wire.ResultNoSuchAttribute, "x"), false},
		{wire.Errorf(wire.ResultNoSuchObject, "x"), false},
		{errors.New("broken"), true},
	} {
		directory.refuses = test.refuses
		if lost, err := d.SettleConflicts(t.Context()); lost != 0 || (err != nil) != test.fails {
			t.Errorf("%v: got %d and %v", test.refuses, lost, err)
		}
	}
}

// TestConflictIsMet holds that a request which meets a conflict is told of it, and that the conflict is settled at once.
func TestConflictIsMet(t *testing.T) {
	t.Parallel()
	const key = "user/username/-/max"
	directory := newReplicated(replica("max", "01", "080000", key), replica("max", "02", "080001", key))
	d := newDirectory(t, directory, education.Rules{})
	settled := make(chan string, 2)
	directory.modify = func(request *wire.ModifyRequest) (*wire.Entry, error) {
		settled <- request.DN
		return nil, nil
	}
	expectSettled := func(when string) {
		t.Helper()
		select {
		case dn := <-settled:
			if dn != directory.users[1].DN {
				t.Errorf("%s: %s has lost the key", when, dn)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the conflict is not settled", when)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.WatchConflicts(ctx, time.Hour)
	}()
	expectSettled("at the start")
	_, err := d.Get(t.Context(), education.Users, keyOf(education.Users, "onPremisesSamAccountName", "max"), nil)
	var fault *odata.Error
	if !errors.As(err, &fault) || fault.Code != odata.TooManyResults || len(fault.Details) != 2 {
		t.Errorf("got %v, want TooManyResults with two ids", err)
	}
	expectSettled("when it was met")
	cancel()
	<-ended
}
