package access

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVerbs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		names []string
		want  string
		fails bool
	}{
		{[]string{"read"}, "read", false},
		{[]string{"delete", "read"}, "read,delete", false},
		{[]string{" Write ", "read", "read"}, "read,write", false},
		{nil, "", true},
		{[]string{"read", "admin"}, "", true},
		{[]string{""}, "", true},
	}
	for _, test := range tests {
		got, err := ParseVerbs(test.names)
		if got.String() != test.want || (err != nil) != test.fails {
			t.Errorf("ParseVerbs(%q): got %v, %v; want %q", test.names, got, err, test.want)
		}
	}
	if (Read | Write).Include(Delete) || !(Read | Write).Include(Read) || Verbs(0).Include(Read) || !Verbs(0).Include(0) {
		t.Error("Include does not tell sets apart")
	}
}

func TestSchoolOf(t *testing.T) {
	t.Parallel()
	const id = "0193B2C4-7d1e-7a50-8c3e-2f6a1b9d4e77"
	for key, want := range map[string]School{
		id:        {ID: strings.ToLower(id)},
		id + "0":  {ExternalID: id + "0"},
		"DE-4711": {ExternalID: "DE-4711"},
	} {
		if got := SchoolOf(key); got != want {
			t.Errorf("SchoolOf(%q): got %+v, want %+v", key, got, want)
		}
	}
}

// directory finds schools for a gate and counts how often it is asked.
type directory struct {
	// ids are those of the schools with an externalId, and others of some without.
	ids    map[string]string
	others []string
	asked  int
	fails  error
}

func (d *directory) SchoolID(_ context.Context, externalID string) (string, error) {
	d.asked++
	return d.ids[externalID], d.fails
}

func (d *directory) ExistingSchools(_ context.Context, ids []string) ([]string, error) {
	d.asked++
	there := slices.Concat(slices.Collect(maps.Values(d.ids)), d.others)
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		return !slices.ContainsFunc(there, func(other string) bool { return strings.EqualFold(id, other) })
	}), d.fails
}

// fixed is the authenticator of one token.
type fixed struct {
	token string
	grant *Grant
	fails error
}

func (f fixed) Authenticate(_ context.Context, token string) (*Grant, error) {
	if token != f.token {
		return nil, ErrUnknown
	}
	return f.grant, f.fails
}

func TestGate(t *testing.T) {
	t.Parallel()
	schools := &directory{ids: map[string]string{"north": "AA"}, others: []string{"BB"}}
	down := errors.New("down")
	gate := &Gate{Schools: schools, Authenticators: []Authenticator{
		Single{Token: DigestOf("root")},
		fixed{token: "bound", grant: &Grant{Name: "n", Verbs: Read, Schools: []School{{ID: "BB"}, {ExternalID: "north"}, {ID: "aa"}}}},
		fixed{token: "lost", grant: &Grant{Name: "l", Verbs: Read, Schools: []School{{ExternalID: "south"}}}},
		fixed{token: "gone", grant: &Grant{Name: "g", Verbs: Read, Schools: []School{{ID: "CC"}}}},
		fixed{token: "partly gone", grant: &Grant{Name: "p", Verbs: Read, Schools: []School{{ID: "CC"}, {ID: "BB"}, {ID: "bb"}}}},
		fixed{token: "expired", fails: ErrInvalid},
		fixed{token: "unsure", fails: down},
		fixed{token: "expired", grant: &Grant{AllSchools: true}},
	}}
	tests := []struct {
		token string
		want  *Credential
		fails error
	}{
		{"root", &Credential{Name: Administrator, Verbs: AllVerbs, AllSchools: true}, nil},
		{"bound", &Credential{Name: "n", Verbs: Read, Schools: []string{"aa", "bb"}}, nil},
		{"lost", &Credential{Name: "l", Verbs: Read}, nil},
		{"gone", &Credential{Name: "g", Verbs: Read}, nil},
		{"partly gone", &Credential{Name: "p", Verbs: Read, Schools: []string{"bb"}}, nil},
		{"expired", nil, ErrInvalid},
		{"unsure", nil, down},
		{"unheard of", nil, ErrUnknown},
	}
	for _, test := range tests {
		got, err := gate.Credential(t.Context(), test.token)
		if diff := cmp.Diff(test.want, got); diff != "" || !errors.Is(err, test.fails) {
			t.Errorf("%s: got error %v, want %v (-want +got):\n%s", test.token, err, test.fails, diff)
		}
	}
}

// TestGateRemembersSchools shows that schools are not looked up with every request, that they are looked up again, those named by
// id all at once, and that a failure is not taken for a school that does not exist.
func TestGateRemembersSchools(t *testing.T) {
	t.Parallel()
	for name, named := range map[string][]School{"externalId": {{ExternalID: "north"}}, "ids": {{ID: "AA"}, {ID: "bb"}, {ID: "cc"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				schools := &directory{ids: map[string]string{"north": "aa"}, fails: errors.New("down")}
				gate := &Gate{Schools: schools, Authenticators: []Authenticator{fixed{token: "bound", grant: &Grant{Schools: named}}}}
				if _, err := gate.Credential(t.Context(), "bound"); !errors.Is(err, schools.fails) {
					t.Fatalf("with the directory down: got %v", err)
				}
				schools.fails = nil
				want := func(asked int, ids ...string) {
					t.Helper()
					got, err := gate.Credential(t.Context(), "bound")
					if err != nil || !slices.Equal(got.Schools, ids) || schools.asked != asked {
						t.Fatalf("got %+v, %v after %d questions, want %v after %d", got, err, schools.asked, ids, asked)
					}
				}
				want(2, "aa")
				time.Sleep(schoolsFor - time.Nanosecond)
				schools.ids = nil
				want(2, "aa")
				time.Sleep(time.Nanosecond)
				want(3)
				time.Sleep(schoolsFor - time.Nanosecond)
				want(3)
			})
		})
	}
}

// slowDirectory finds schools when it is told to.
type slowDirectory struct {
	directory
	goOn chan struct{}
}

func (d *slowDirectory) SchoolID(ctx context.Context, externalID string) (string, error) {
	select {
	case <-d.goOn:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return d.directory.SchoolID(ctx, externalID)
}

// TestGateLooksUpOnce shows that many requests for one school look it up once, and that the end of one ends none of the others.
func TestGateLooksUpOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		schools := &slowDirectory{directory{ids: map[string]string{"north": "aa"}}, make(chan struct{})}
		gate := &Gate{Schools: schools, Authenticators: []Authenticator{fixed{token: "bound", grant: &Grant{Schools: []School{{ExternalID: "north"}}}}}}
		ctx, cancel := context.WithCancel(t.Context())
		var first error
		go func() { _, first = gate.Credential(ctx, "bound") }()
		synctest.Wait()
		found := make(chan string, 20)
		for range cap(found) {
			go func() {
				credential, err := gate.Credential(t.Context(), "bound")
				if err != nil {
					t.Error(err)
				}
				found <- credential.Schools[0]
			}()
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(first, context.Canceled) {
			t.Errorf("the first, whose client has gone: got %v", first)
		}
		close(schools.goOn)
		for range cap(found) {
			if id := <-found; id != "aa" {
				t.Errorf("got %q", id)
			}
		}
		if schools.asked != 1 {
			t.Errorf("the directory was asked %d times", schools.asked)
		}
	})
}

// brokenDirectory panics.
type brokenDirectory struct{}

func (brokenDirectory) SchoolID(context.Context, string) (string, error) { panic("broken") }

func (brokenDirectory) ExistingSchools(context.Context, []string) ([]string, error) { panic("broken") }

func TestGatePanics(t *testing.T) {
	t.Parallel()
	gate := &Gate{Schools: brokenDirectory{}, Authenticators: []Authenticator{fixed{token: "bound", grant: &Grant{Schools: []School{{ExternalID: "north"}}}}}}
	if credential, err := gate.Credential(t.Context(), "bound"); err == nil || errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, %v", credential, err)
	}
}

func TestConfined(t *testing.T) {
	t.Parallel()
	bound := With(t.Context(), &Credential{Schools: []string{"aa"}})
	tests := []struct {
		name     string
		ctx      context.Context
		schools  []string
		confined bool
	}{
		{"the process", t.Context(), nil, false},
		{"all schools", With(t.Context(), &Credential{AllSchools: true}), nil, false},
		{"one school", bound, []string{"aa"}, true},
		{"nothing", With(t.Context(), &Credential{}), nil, true},
		{"on the process's account", AsProcess(bound), nil, false},
	}
	for _, test := range tests {
		schools, confined := Confined(test.ctx)
		if diff := cmp.Diff(test.schools, schools); diff != "" || confined != test.confined {
			t.Errorf("%s: got %q, %t", test.name, schools, confined)
		}
	}
}
