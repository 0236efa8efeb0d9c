package doctor

import (
	"crypto/x509"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

func TestSkew(t *testing.T) {
	t.Parallel()
	before := time.Date(2026, 11, 24, 8, 30, 0, 500_000_000, time.UTC)
	after := before.Add(100 * time.Millisecond)
	tests := []struct {
		name      string
		read      time.Time
		precision time.Duration
		want      time.Duration
		severity  Severity
	}{
		{"the same second", before.Truncate(time.Second), time.Second, 0, OK},
		{"between the two", before.Add(50 * time.Millisecond), time.Microsecond, 0, OK},
		{"a little ahead", after.Add(time.Second), time.Microsecond, time.Second, OK},
		{"a minute ahead", after.Add(time.Minute), time.Microsecond, time.Minute, Warning},
		{"an hour behind", before.Add(-time.Hour), time.Second, -time.Hour + time.Second, Warning},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := skew(before, after, test.read, test.precision)
			if got != test.want {
				t.Errorf("skew: %v, want %v", got, test.want)
			}
			if v := judgeClock(got); v.severity != test.severity {
				t.Errorf("%v is judged %v, want %v", got, v.severity, test.severity)
			}
		})
	}
}

// TestFeatureless holds what is said of a server that says of itself that it can do nothing, which takes no operation.
func TestFeatureless(t *testing.T) {
	t.Parallel()
	want := map[string]Severity{
		"schema.readable": Warning, "paging": Warning, "postread": Note, "assertion": Note, "passwordmodify": Note, "server.make": Note,
	}
	p := &patient{config: &Config{Depth: Glance}}
	for _, c := range checks {
		severity, asked := want[c.id]
		if !asked {
			continue
		}
		delete(want, c.id)
		v, err := c.ask(t.Context(), p)
		if err != nil || v.severity != severity || v.matter == "" || v.cost == "" || v.remedy == "" {
			t.Errorf("%s: %+v, %v; want a %v with its cost and remedy", c.id, v, err, severity)
		}
	}
	if len(want) > 0 {
		t.Errorf("questions that are not asked: %v", want)
	}
}

// TestBetween holds that what separates short searches from long ones is far from both, also when the long ones were
// measured on a machine twice as busy as later.
func TestBetween(t *testing.T) {
	t.Parallel()
	for _, long := range []time.Duration{contrast * time.Millisecond, 10 * contrast * time.Millisecond, time.Minute} {
		limit := between(time.Millisecond, long)
		if limit < 2*time.Millisecond || limit > long/2 {
			t.Errorf("between 1ms and %v: %v", long, limit)
		}
	}
}

// TestLetWrite holds that a server which takes no writes is told apart by how it refuses them.
// TestJudgeReferences names the attributes in which links do not follow.
func TestJudgeReferences(t *testing.T) {
	t.Parallel()
	const member, teacher = "member", "openCloudEducationTeacherMember"
	tests := []struct {
		name       string
		lost, kept []string
		want       string
	}{
		{"nothing is wrong", nil, nil, "Links of classes follow"},
		{"nothing follows", []string{member, teacher}, []string{member, teacher}, "renamed or deleted, in member and openCloudEducationTeacherMember."},
		{"teachers do not", []string{teacher}, []string{teacher}, "renamed or deleted, in openCloudEducationTeacherMember."},
		{"members follow and stay", nil, []string{member}, "been deleted, in member."},
		{"members do not follow, teachers stay", []string{member}, []string{teacher}, "renamed or deleted, in member and openCloudEducationTeacherMember."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := (&patient{config: &Config{}}).judgeReferences(test.lost, test.kept)
			if !strings.Contains(got.matter, test.want) {
				t.Errorf("got %q, want %q in it", got.matter, test.want)
			}
		})
	}
}

func TestLetWrite(t *testing.T) {
	t.Parallel()
	p := &patient{config: &Config{}}
	for _, test := range []struct {
		codes []wire.ResultCode
		want  string
	}{
		{[]wire.ResultCode{wire.ResultInsufficientAccessRights}, "Let the account write"},
		{[]wire.ResultCode{wire.ResultUnwillingToPerform}, "olcReadOnly"},
		{[]wire.ResultCode{wire.ResultInsufficientAccessRights, wire.ResultReferral}, "olcReadOnly"},
		{[]wire.ResultCode{wire.ResultOther}, "full"},
		{[]wire.ResultCode{wire.ResultObjectClassViolation}, "schema"},
	} {
		if got := p.letWrite(test.codes); !strings.Contains(got, test.want) {
			t.Errorf("refused with %v: %q, want something about %q", test.codes, got, test.want)
		}
	}
}

func TestJudgeCertificate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 8, 30, 0, 0, time.UTC)
	for left, want := range map[time.Duration]Severity{
		-time.Second: Error, 0: Error, time.Second: Warning, renewal - time.Second: Warning, renewal: OK, 10 * renewal: OK,
	} {
		if v := judgeCertificate(&x509.Certificate{NotAfter: now.Add(left)}, now); v.severity != want {
			t.Errorf("a certificate that is valid for %v is judged %v, want %v", left, v.severity, want)
		}
	}
}

func TestParseSchema(t *testing.T) {
	t.Parallel()
	s := parseSchema([]string{
		"( 2.5.4.4 NAME ( 'sn' 'surname' ) DESC 'MAY ( be ) $ quoted' SUP name )",
		"(2.5.4.3 NAME 'cn' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{64} X-ORIGIN ( 'RFC 4519' 'user defined' ) )",
		"( 1.2.3.4 NAME 'extra' SINGLE-VALUE )",
	}, []string{
		"( 2.5.6.6 NAME 'person' DESC 'RFC 4519' SUP top STRUCTURAL MUST ( sn $ cn ) MAY userPassword )",
		"( 1.2.3.5 NAME 'special' SUP ( person $ other ) MAY extra X-ORIGIN 'here' )",
		"( 1.2.3.6 NAME 'circular' SUP circular )",
	})
	tests := []struct {
		name      string
		classes   []string
		attribute string
		want      bool
	}{
		{"demanded", []string{"person"}, "SN", true},
		{"by its other name", []string{"PERSON"}, "surname", true},
		{"of the superior", []string{"special"}, "cn", true},
		{"its own", []string{"special"}, "extra", true},
		{"of another class", []string{"person"}, "extra", false},
		{"of one of several classes", []string{"circular", "special"}, "extra", true},
		{"of a class that is its own superior", []string{"circular"}, "cn", false},
		{"of a class that is not there", []string{"absent"}, "cn", false},
		{"an attribute that is not there", []string{"person"}, "userPassword", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := s.permits(test.classes, test.attribute); got != test.want {
				t.Errorf("permits(%q, %q) = %v, want %v", test.classes, test.attribute, got, test.want)
			}
		})
	}
	var unknown *schema
	if !unknown.permits([]string{"person"}, "extra") || !unknown.hasClass("person") || !unknown.hasAttribute("extra") {
		t.Error("a schema that cannot be read is taken to be incomplete")
	}
	if missing := strings.Join(s.lacks(education.Classes), " "); !strings.Contains(missing, "groupOfNames") || !strings.Contains(missing, "member") {
		t.Errorf("classes lack %q", missing)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                      nil,
		"( 1.2 NAME 'a' )":      {"(", "1.2", "NAME", "'a'", ")"},
		"(1.2 MAY (a$b))":       {"(", "1.2", "MAY", "(", "a", "$", "b", ")", ")"},
		"DESC 'two words'SUP x": {"DESC", "'two words'", "SUP", "x"},
		"DESC 'never closed":    {"DESC", "'never closed"},
	} {
		if got := words(text); !slices.Equal(got, want) {
			t.Errorf("words(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestChecks holds that each question has a name of its own, and a row in the manual.
func TestChecks(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	// The questions that are not in the table: they are asked before, after, or about several servers.
	ids := []string{"server.reachable", "server.account", "replicas", "throwaways.removed", "throwaways.disturbed", "server.embedded"}
	for _, c := range checks {
		ids = append(ids, c.id)
	}
	if slices.Index(ids, "references") > slices.Index(ids, "limits.size") {
		t.Error("whether links follow is asked behind the deletion of hundreds of entries, which a server may have to follow first")
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("two questions have the same name: %q", ids)
	}
	// Other parts of the manual have tables of their own.
	_, section, _ := strings.Cut(string(manual), "\n### What is asked\n")
	section, _, _ = strings.Cut(section, "\n### ")
	var rows []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z.]+)` \\| .*\\|$").FindAllStringSubmatch(section, -1) {
		rows = append(rows, row[1])
	}
	slices.Sort(rows)
	if !slices.Equal(rows, ids) {
		t.Errorf("the manual explains %q, want %q", rows, ids)
	}
}

// TestStates compares how far replicas are.
func TestStates(t *testing.T) {
	t.Parallel()
	const early, late = "20261124083000.000001Z", "20261124083000.000002Z"
	csn := func(at, provider string) string { return at + "#000000#" + provider + "#000000" }
	tests := []struct {
		name          string
		state, target []string
		want          bool
	}{
		{"nothing wanted", nil, nil, true},
		{"the same", []string{csn(early, "001")}, []string{csn(early, "001")}, true},
		{"further", []string{csn(late, "001")}, []string{csn(early, "001")}, true},
		{"behind", []string{csn(early, "001")}, []string{csn(late, "001")}, false},
		{"behind one of two", []string{csn(late, "001"), csn(early, "002")}, []string{csn(early, "001"), csn(late, "002")}, false},
		{"another provider's", []string{csn(late, "002")}, []string{csn(early, "001")}, false},
		{"what is no state is none", nil, []string{"nonsense", "20261124083000Z#1"}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := covers(parseState(test.state), parseState(test.target)); got != test.want {
				t.Errorf("covers(%q, %q) = %v, want %v", test.state, test.target, got, test.want)
			}
		})
	}
}
