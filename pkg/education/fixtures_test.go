package education

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/odata"
)

// now is the time at which these tests take place.
var now = time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)

// contract are the rules by default, and compatible those that give OpenCloud's answers.
var (
	contract = Rules{
		SchoolsPerUser: OneSchool, ExternalIDScope: ScopeSchool, UsernameMatch: UsernameMatchEmail, Now: func() time.Time { return now },
	}
	compatible = Rules{
		Compatible: true, SchoolsPerUser: ManySchools, ExternalIDScope: ScopeSchool, UsernameMatch: UsernameMatchEmail,
		Now: func() time.Time { return now },
	}
)

// someID is an id as the service makes them.
const someID = "01994f2e-7a31-7c4e-8d5b-3f6a1c2d4e5f"

// shown returns the change's values by name.
func shown(change *Change) map[string]any {
	values := map[string]any{}
	for property, value := range change.values {
		values[property.Name] = value
	}
	return values
}

// shownLinks returns the change's links as name → keys.
func shownLinks(change *Change) map[string][]string {
	links := map[string][]string{}
	for _, link := range change.Links {
		for _, key := range link.Keys {
			links[link.Navigation.Name] = append(links[link.Navigation.Name], key.Property.Name+"="+key.Value)
		}
	}
	return links
}

func checkFault(t *testing.T, err error, code odata.Code, target string) *odata.Error {
	t.Helper()
	var fault *odata.Error
	if !errors.As(err, &fault) {
		t.Fatalf("got error %v, want an *odata.Error", err)
	}
	if fault.Code != code || fault.Target != target {
		t.Errorf("got %v with target %q, want %v with target %q (%v)", fault.Code, fault.Target, code, target, err)
	}
	if len(fault.Message) > 700 || len(fault.Target) > 300 {
		t.Errorf("the error repeats too much of the body: %.200s…", fault.Message)
	}
	return fault
}

func modes(rules *Rules) []Rules {
	if rules != nil {
		return []Rules{*rules}
	}
	return []Rules{contract, compatible}
}

func modeName(rules Rules) string { return fmt.Sprintf("compatible=%v", rules.Compatible) }
