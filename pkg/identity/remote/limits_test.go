package remote_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/odata"
)

// limit is OpenLDAP's size limit for whoever has none of his own, and population more than that.
const (
	limit      = 500
	population = 2*limit + 100
)

// populated returns a directory with as many users as population says, one of each name, and the users' ids.
func populated(t *testing.T, option ldapserver.Option) (*identity.Directory, []string) {
	t.Helper()
	server := ldapserver.OpenLDAP(t, option)
	d := newDirectory(t, newClient(t, clientOf(server, server.Bases)), education.Rules{}, server.UserBase, server.ClassBase, server.SchoolBase)
	ids := make([]string, population)
	err := inParallel(population, func(i int) error {
		user, err := create(t.Context(), d, education.Users, person(fmt.Sprintf("person-%d", i)))
		if err == nil {
			ids[i] = user.ID()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return d, ids
}

// TestPageLimit holds that lists are whole on a server that returns no more entries at once than its limit.
func TestPageLimit(t *testing.T) {
	t.Parallel()
	d, want := populated(t, ldapserver.PageLimit(limit))
	got, err := idsOf(d.List(t.Context(), education.Users, nil))
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %d of %d users and %v", len(got), len(want), err)
	}
	answer, err := d.List(t.Context(), education.Users, &odata.Query{Count: true})
	if err != nil || answer.Total != population {
		t.Errorf("counted: %v", err)
	}
}

// TestSizeLimit holds that lists are whole on a server that returns no more entries to a search than its limit, in however
// many pages they are asked for.
func TestSizeLimit(t *testing.T) {
	t.Parallel()
	d, want := populated(t, ldapserver.SizeLimit(limit))
	for name, query := range map[string]*odata.Query{
		"all": nil, "ordered": {OrderBy: []odata.Order{{Property: username}}}, "some": {Filter: &odata.Match{
			Property: username, Function: odata.StartsWith, Value: "person-",
		}},
	} {
		got, err := idsOf(d.List(t.Context(), education.Users, query))
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %d of %d users and %v", name, len(got), len(want), err)
		}
	}
	answer, err := d.List(t.Context(), education.Users, &odata.Query{Count: true})
	if err != nil || answer.Total != population {
		t.Errorf("counted: %v", err)
	}
	if _, err := create(t.Context(), d, education.Users, person("one-more")); err != nil {
		t.Errorf("one more user: %v", err)
	}
}

// TestSmallSizeLimit holds that a list is whole or an error from its beginning, and never a shorter one, where a limit is so
// small that even the smallest part of a list may be too large.
func TestSmallSizeLimit(t *testing.T) {
	t.Parallel()
	server := ldapserver.OpenLDAP(t, ldapserver.SizeLimit(1))
	d := newDirectory(t, newClient(t, clientOf(server, server.Bases)), education.Rules{}, server.UserBase, server.ClassBase, server.SchoolBase)
	const few = 5
	for i := range few {
		if _, err := create(t.Context(), d, education.Users, person(fmt.Sprintf("person-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	got, err := idsOf(d.List(t.Context(), education.Users, nil))
	if len(got) != few && (!odata.Is(err, odata.ServiceNotAvailable) || len(got) > 0) {
		t.Errorf("got %d of %d users and %v", len(got), few, err)
	}
}
