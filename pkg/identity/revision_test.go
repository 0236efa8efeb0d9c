package identity

import (
	"context"
	"sync"
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// delayed holds its first Modify back until it is released.
type delayed struct {
	Operations
	once              sync.Once
	arrived, released chan struct{}
}

func (d *delayed) Modify(ctx context.Context, request *wire.ModifyRequest) (*wire.Entry, error) {
	d.once.Do(func() {
		close(d.arrived)
		<-d.released
	})
	return d.Operations.Modify(ctx, request)
}

// TestOutdatedFirstChange has a change that was worked out for a new entity arrive after two others. It must not be taken for
// the first one.
func TestOutdatedFirstChange(t *testing.T) {
	t.Parallel()
	_, store := foreign(t)
	d := newDirectory(t, store, education.Rules{SchoolsPerUser: education.OneSchool})
	slow := &delayed{Operations: store, arrived: make(chan struct{}), released: make(chan struct{})}
	late := newDirectory(t, slow, d.rules)
	user, err := d.Create(t.Context(), education.Users, newChange(t, education.Users, education.CreateEntity,
		map[string]any{"displayName": "Max", "onPremisesSamAccountName": "newcomer"}))
	if err != nil {
		t.Fatal(err)
	}
	move := func(d *Directory, name string) error {
		school, err := d.Create(t.Context(), education.Schools, newChange(t, education.Schools, education.CreateEntity, map[string]any{"displayName": name}))
		if err != nil {
			return err
		}
		_, err = d.Update(t.Context(), education.Users, keyOf(education.Users, "id", user.ID()), newChange(t, education.Users,
			education.UpdateEntity, map[string]any{"schools@odata.bind": []string{"/schools/" + school.ID()}}))
		return err
	}
	moved := make(chan error, 1)
	go func() { moved <- move(late, "late") }()
	<-slow.arrived
	for _, name := range []string{"first", "second"} {
		if err := move(d, name); err != nil {
			t.Errorf("move to the %s school: %v", name, err)
		}
	}
	close(slow.released)
	if err := <-moved; err != nil {
		t.Errorf("move to the late school: %v", err)
	}
	answer, err := d.ListRelated(t.Context(), education.NavigationOf(education.Users, "schools"), keyOf(education.Users, "id", user.ID()), nil)
	if err != nil {
		t.Fatal(err)
	}
	var schools []string
	for school, err := range answer.Entities {
		if err != nil {
			t.Fatal(err)
		}
		schools = append(schools, school.Text("displayName"))
	}
	wantStrings(t, schools, []string{"late"})
}
