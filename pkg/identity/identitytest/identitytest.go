// Package identitytest defines what an education.Directory is: a suite of tests that every directory passes unchanged.
//
// The tests know nothing of the directory but its interface. They make their entities with education.DecodeChange, as
// a request does, and take every property from the tables of pkg/education, so that a new row is covered the day it is
// added.
package identitytest

import (
	"slices"
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
)

// conformanceTest is one promise of a directory.
type conformanceTest struct {
	name  string
	rules education.Rules
	run   func(s *subject)
}

// Difference is a reason why a directory does not keep a promise of the suite.
type Difference string

// The differences that are permitted.
const (
	// NoNotes: the schema has no place to note that an attribute holds a stand-in. In compatibility mode, where a
	// stand-in is shown, it then cannot be told from a value that somebody gave, and stays as it is.
	NoNotes Difference = "stand-ins cannot be noted"
	// InvisibleCharactersCount: a text with characters that nobody sees, such as soft hyphens, is found only as it is spelt.
	// RFC 4518, section 2.2 takes them out before a comparison; OpenLDAP and 389-DS do not, and no filter could ask for a
	// text with any number of them in it. It concerns RunGenerated, and unique values where nothing but a filter looks for
	// them.
	InvisibleCharactersCount Difference = "characters that nobody sees count"
	// WaysOfWritingCount: a text with characters that Unicode can write in several ways, such as letters and accents apart,
	// ligatures or letters of full width, is found only as it is written or as RFC 4518, section 2.3 would have it. 389-DS
	// compares characters as they are. It concerns RunGenerated.
	WaysOfWritingCount Difference = "ways of writing a character count"
)

// leftOut lists the tests that a difference leaves out.
var leftOut = map[Difference][]string{
	NoNotes:                  {"a user without surname shows the username in compatibility mode"},
	InvisibleCharactersCount: {"unique values are compared without characters that nobody sees"},
}

// Run runs the suite on the directories that open returns, but for what the permitted differences leave out. In short mode the large lists are smaller.
//
// Each call of open returns a directory without entities that keeps the given rules, their clock included. It is called
// once for each test, by tests that run at the same time; what one of its directories holds, no other may see or take a
// unique value from. It releases what it takes with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T, rules education.Rules) education.Directory, permitted ...Difference) {
	var all []conformanceTest
	for _, tests := range [][]conformanceTest{
		propertyTests, keyTests, uniqueTests, filterTests, linkTests, deletionTests, failureTests,
		concurrencyTests, revisionTests, versionTests, listTests, operatorTests, pageTests, expansionTests, tenancyTests,
	} {
		all = append(all, tests...)
	}
	for _, difference := range permitted {
		for _, name := range leftOut[difference] {
			before := len(all)
			all = slices.DeleteFunc(all, func(test conformanceTest) bool { return test.name == name })
			if len(all) == before {
				t.Errorf("a difference leaves out %q, which is no test", name)
			}
			t.Logf("left out, because %s: %s", difference, name)
		}
	}
	for _, test := range all {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(newSubject(t, open, test.rules))
		})
	}
}

// The rules that the tests run under. A test whose promise does not depend on them takes the defaults.
var (
	defaults = education.Rules{
		SchoolsPerUser: education.OneSchool, ExternalIDScope: education.ScopeSchool, UsernameMatch: education.UsernameMatchEmail,
	}
	anyUsername = with(func(rules *education.Rules) { rules.UsernameMatch = education.UsernameMatchNone })
	manySchools = with(func(rules *education.Rules) { rules.SchoolsPerUser = education.ManySchools })
	globalScope = with(func(rules *education.Rules) { rules.ExternalIDScope = education.ScopeGlobal })
	compatible  = with(func(rules *education.Rules) {
		rules.Compatible, rules.SchoolsPerUser = true, education.ManySchools
	})
)

func with(change func(rules *education.Rules)) education.Rules {
	rules := defaults
	change(&rules)
	return rules
}
