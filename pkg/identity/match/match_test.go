package match

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCaseIgnore(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, value, want string }{
		{"prepared already", "max mustermann", "max mustermann"},
		{"case", "Max Mustermann", "max mustermann"},
		{"blanks around and between", "  Max \t  Mustermann ", "max mustermann"},
		{"nothing", "", " "},
		{"blanks only", " \t ", " "},
		{"invisible only", "\u200b\u00ad", " "},
		{"sharp s", "Straße", "strasse"},
		{"capital sharp s", "STRAẞE", "strasse"},
		{"umlaut in one and in two characters", "Mu\u0308ller", "m\u00fcller"},
		{"ligature", "Oﬃce", "office"},
		{"trade mark sign", "Foo™", "footm"},
		{"no-break and ideographic space", "a\u00a0\u3000b", "a b"},
		{"line separator", "a\u2028b", "a b"},
		{"zero width joiner and variation selector", "❤\ufe0f\u200d🔥", "❤🔥"},
		{"control characters", "a\x00b\x7f", "ab"},
		{"final sigma", "ΟΔΟΣ", "οδοσ"},
		{"dotted I", "İ", "i̇"},
		{"a blank under an accent is visible", "a \u0301", "a \u0301"},
		{"not UTF-8", "a\xff", "a\ufffd"},
		{"emoji", "🎓 A", "🎓 a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := CaseIgnore(test.value); got != test.want {
				t.Errorf("CaseIgnore(%q) = %q, want %q", test.value, got, test.want)
			}
		})
	}
}

func TestCaseExact(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		" Max  M ":    "Max M",
		"Mu\u0308LL":  "MüLL",
		"Straße":      "Straße",
		"\u00a0":      " ",
		"plain ascii": "plain ascii",
	} {
		if got := CaseExact(value); got != want {
			t.Errorf("CaseExact(%q) = %q, want %q", value, got, want)
		}
	}
}

func TestNormalizers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		normalize Normalizer
		want      map[string]string // value to normalised form; "!" is a value that does not fit
	}{
		{"caseIgnoreIA5Match", CaseIgnoreIA5, map[string]string{" A@B.de ": "a@b.de", "ä@b.de": "!", "": " "}},
		{"caseExactIA5Match", CaseExactIA5, map[string]string{"A  b": "A b", "ä": "!"}},
		{"telephoneNumberMatch", TelephoneNumber, map[string]string{"+49 (30) 12-3456": "+49(30)123456", "\u0664": "!"}},
		{"numericStringMatch", NumericString, map[string]string{"1 2 3": "123", "1a": "!", "": ""}},
		{"octetStringMatch", OctetString, map[string]string{"A \x00\xff": "A \x00\xff", "": ""}},
		{"booleanMatch", Boolean, map[string]string{"TRUE": "TRUE", "false": "FALSE", "": "!", "1": "!"}},
		{"integerMatch", Integer, map[string]string{
			"0": "0", "-0": "0", "007": "7", "-012": "-12", "": "!", "-": "!", "1.0": "!", "+1": "!",
			"123456789012345678901234567890": "123456789012345678901234567890",
		}},
		{"uuidMatch", UUID, map[string]string{
			"F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6":  "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
			"f81d4fae7dec11d0a76500a0c91e6bf6":      "!",
			"f81d4fae-7dec-11d0-a765-00a0c91e6bfg":  "!",
			"f81d4fae-7dec-11d0-a765+00a0c91e6bf6":  "!",
			" f81d4fae-7dec-11d0-a765-00a0c91e6bf6": "!",
		}},
		{"objectIdentifierMatch", ObjectIdentifier, map[string]string{
			"inetOrgPerson": "inetorgperson", "2.5.4.3": "2.5.4.3", "2": "!", "2.": "!", "2..5": "!", "2.05": "!",
			"": "!", "-a": "!", "a_b": "!", "a1-": "a1-", "2.a": "!", "0.9": "0.9",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for value, want := range test.want {
				got, ok := test.normalize(value)
				if !ok {
					got = "!"
				}
				if got != want {
					t.Errorf("of %q: got %q, want %q", value, got, want)
				}
			}
		})
	}
}

func TestGeneralizedTime(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, value, want string }{
		{"seconds", "20261122041722Z", "20261122041722.000000000Z"},
		{"minutes", "202611220417Z", "20261122041700.000000000Z"},
		{"hours", "2026112204Z", "20261122040000.000000000Z"},
		{"fraction of a second", "20261122041722.25Z", "20261122041722.250000000Z"},
		{"fraction with a comma", "20261122041722,5Z", "20261122041722.500000000Z"},
		{"fraction of a minute", "202611220417.5Z", "20261122041730.000000000Z"},
		{"fraction of an hour", "2026112204.25Z", "20261122041500.000000000Z"},
		{"fraction finer than a nanosecond", "20261122041722.1234567891Z", "20261122041722.123456789Z"},
		{"offset east", "20261122041722+0130", "20261122024722.000000000Z"},
		{"offset west in hours", "20261122041722-10", "20261122141722.000000000Z"},
		{"offset across the year", "20261231235959-0100", "20270101005959.000000000Z"},
		{"leap second", "20161231235960Z", "20170101000000.000000000Z"},
		{"leap day", "20240229000000Z", "20240229000000.000000000Z"},
		{"no leap day", "20260229000000Z", ""},
		{"no zone", "20261122041722", ""},
		{"small zone", "20261122041722z", ""},
		{"month 13", "20261322041722Z", ""},
		{"month 0", "20260022041722Z", ""},
		{"hour 24", "2026112224Z", ""},
		{"second 61", "20261122041761Z", ""},
		{"point without digits", "20261122041722.Z", ""},
		{"before the year 0", "00000101000000+0001", ""},
		{"after the year 9999", "99991231235959-0001", ""},
		{"text after it", "20261122041722Zx", ""},
		{"nothing", "", ""},
		{"sign in a number", "2026-122041722Z", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, ok := GeneralizedTime(test.value)
			if got != test.want || ok != (test.want != "") {
				t.Errorf("GeneralizedTime(%q) = %q, %v, want %q", test.value, got, ok, test.want)
			}
		})
	}
}

func TestGeneralizedTimeSorts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		moment := rapid.Custom(func(t *rapid.T) time.Time {
			seconds := rapid.Int64Range(-60_000_000_000, 250_000_000_000).Draw(t, "seconds")
			return time.Unix(seconds, rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
		})
		a, b := moment.Draw(t, "a"), moment.Draw(t, "b")
		left, okLeft := GeneralizedTime(a.Format("20060102150405.999999999Z"))
		right, okRight := GeneralizedTime(b.Format("20060102150405.999999999Z"))
		if !okLeft || !okRight || strings.Compare(left, right) != a.Compare(b) {
			t.Fatalf("%v and %v became %q and %q", a, b, left, right)
		}
	})
}

// TestIdempotent holds that a normalised form is its own normalised form.
func TestIdempotent(t *testing.T) {
	t.Parallel()
	rules := map[string]Normalizer{
		"caseIgnore":      func(v string) (string, bool) { return CaseIgnore(v), true },
		"caseExact":       func(v string) (string, bool) { return CaseExact(v), true },
		"caseIgnoreIA5":   CaseIgnoreIA5,
		"integer":         Integer,
		"uuid":            UUID,
		"boolean":         Boolean,
		"oid":             ObjectIdentifier,
		"generalizedTime": GeneralizedTime,
		"telephone":       TelephoneNumber,
		"numeric":         NumericString,
	}
	rapid.Check(t, func(t *rapid.T) {
		value := anyText().Draw(t, "value")
		for name, normalize := range rules {
			checkIdempotent(t, name, normalize, value)
		}
	})
}

func checkIdempotent(t rapid.TB, name string, normalize Normalizer, value string) {
	t.Helper()
	once, ok := normalize(value)
	if !ok {
		return
	}
	if twice, ok := normalize(once); !ok || twice != once {
		t.Errorf("%s: %q became %q and then %q", name, value, once, twice)
	}
}

func TestCaseIgnoreLooksPastCaseAndBlanks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-zA-Zäöüß0-9]{1,8}`), 1, 4).Draw(t, "words")
		want := CaseIgnore(strings.Join(words, " "))
		got := CaseIgnore("  " + strings.ToUpper(strings.Join(words, "   ")) + " ")
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

// TestSubstringsAgreeWithEquality holds that a value matches its own beginning, middle and end, cut anywhere between
// two ASCII characters.
func TestSubstringsAgreeWithEquality(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[a-cA-C ]{1,12}`).Draw(t, "value")
		from := rapid.IntRange(0, len(value)).Draw(t, "from")
		to := rapid.IntRange(from, len(value)).Draw(t, "to")
		rule := Substrings{Exact: rapid.Bool().Draw(t, "exact")}
		prepared := rule.Value(value)
		if part := rule.Initial(value[:to]); to > 0 && !strings.HasPrefix(prepared, part) {
			t.Errorf("initial %q became %q, not in %q", value[:to], part, prepared)
		}
		if part := rule.Any(value[from:to]); from < to && !strings.Contains(prepared, part) {
			t.Errorf("any %q became %q, not in %q", value[from:to], part, prepared)
		}
		if part := rule.Final(value[from:]); from < len(value) && !strings.HasSuffix(prepared, part) {
			t.Errorf("final %q became %q, not in %q", value[from:], part, prepared)
		}
	})
}

func TestSubstrings(t *testing.T) {
	t.Parallel()
	rule := Substrings{}
	got := []string{
		rule.Value(" Foo  Bar "), rule.Initial("Foo "), rule.Any(" b "), rule.Any("B"), rule.Final(" bar"), rule.Any(" "),
	}
	want := []string{" foo  bar ", " foo ", " b ", "b", " bar ", " "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("prepared parts (-want +got):\n%s", diff)
	}
}

func lookupForTest(attribute string) (string, Normalizer, bool) {
	caseIgnore := func(v string) (string, bool) { return CaseIgnore(v), true }
	switch lowerASCII(attribute) {
	case "cn", "commonname", "2.5.4.3":
		return "cn", caseIgnore, true
	case "ou":
		return "ou", caseIgnore, true
	case "opencloudid":
		return "openCloudID", UUID, true
	case "raw":
		return "raw", OctetString, true
	}
	return "", nil, false
}

func TestParseDNEquality(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, a, b string
		equal      bool
	}{
		{"same", "cn=a,ou=b", "cn=a,ou=b", true},
		{"case, blanks, names", "CN=A , OU=B", "2.5.4.3=a,ou=b", true},
		{"order within an RDN", "cn=a+ou=b,ou=c", "ou=B+commonName=A,ou=c", true},
		{"escaped in two ways", `cn=a\,b`, `cn=a\2cb`, true},
		{"a comma is no border", `cn=a\,ou=b`, "cn=a,ou=b", false},
		{"a plus is no border", `cn=a\+ou=b`, "cn=a+ou=b", false},
		{"sharp s", "cn=Straße", "cn=STRASSE", true},
		{"unknown attribute", "x-foo=A", "X-FOO=a", true},
		{"octets", "raw=A", "raw=a", false},
		{"octets with structure", `raw=\00\01`, `raw=\00`, false},
		{"separator", "cn=a;ou=b", "cn=a,ou=b", true},
		{"BER", "cn=#040161", "cn=A", true},
		{"long BER", "cn=#04810161", "cn=A", true},
		{"blanks around everything", "  cn = a  ,  ou = b  ", "cn=a,ou=b", true},
		{"equals sign in a value", "cn=a=b", `cn=a\=B`, true},
		{"raw number sign later on", "cn=a#b", `cn=A\#b`, true},
		{"the empty name", "", "  ", true},
		{"order of RDNs", "cn=a,ou=b", "ou=b,cn=a", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, okA := ParseDN(test.a, lookupForTest)
			b, okB := ParseDN(test.b, lookupForTest)
			if !okA || !okB {
				t.Fatalf("parsed: %v, %v", okA, okB)
			}
			if got := a.Key() == b.Key(); got != test.equal {
				t.Errorf("equal = %v, want %v (%q, %q)", got, test.equal, a.Key(), b.Key())
			}
		})
	}
}

func TestParseDNRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"a", "=a", "=a=b", "cn=a,", ",", "cn=a,,ou=b", `cn=a\`, "opencloudid=no uuid", "cn=\xff", `cn=\ff`, "c n=a", "cn=a+",
		`\00=a`, "cn=#04", "cn=#040261", "cn=#2402", "cn=#0x", `cn=a\z0`, `cn=a\4`, `cn=a\c3`, "cn=a\x00", `cn=a"b`, "cn=a;", "+cn=a",
		"cn=a=\x00",
	} {
		if dn, ok := ParseDN(text, lookupForTest); ok {
			t.Errorf("ParseDN(%q) = %q, want a refusal", text, dn.Key())
		}
	}
}

func TestDNOfAnyValueRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(anyText(), 1, 3).Draw(t, "values")
		dn := &DN{}
		for _, value := range values {
			dn.RDNs = append(dn.RDNs, RDN{Values: []RDNValue{{Attribute: "raw", Value: value}}})
		}
		parsed, ok := ParseDN(dn.String(), lookupForTest)
		if !ok {
			t.Fatalf("%q does not parse", dn.String())
		}
		var got []string
		for _, rdn := range parsed.RDNs {
			got = append(got, rdn.Values[0].Value)
		}
		if !slices.Equal(got, values) {
			t.Fatalf("%q became %q by %q", values, got, dn.String())
		}
		parent := parsed.Parent()
		if !strings.HasPrefix(parsed.Key(), parent.Key()) || parsed.Key() == parent.Key() {
			t.Fatalf("%q is not below %q", parsed.Key(), parent.Key())
		}
	})
}

// anyText draws text from all of Unicode, and more often from the parts of it that rules treat in their own ways.
func anyText() *rapid.Generator[string] {
	odd := rapid.SampledFrom([]rune("aAzZ  \t\u00a0\u0301\u0308\u0345ßẞİıſK™ﬁ½ΣςΆᾼ\u1f80가\u1100\u1161\u00ad\u200b\ufe0f\x00\x01\x02=+,\\#\"\U0001F393\u3000\u03f4\u0958\ufb1f"))
	return rapid.StringOf(rapid.OneOf(odd, rapid.Rune()))
}

func TestPreparedValuesAreNotCopied(t *testing.T) {
	value := "max mustermann"
	if n := testing.AllocsPerRun(100, func() { CaseIgnore(value) }); n != 0 {
		t.Errorf("a prepared value costs %v allocations, want 0", n)
	}
	id := "F81d4fae-7dec-11d0-a765-00a0c91e6bf6"
	if n := testing.AllocsPerRun(100, func() { UUID(id) }); n > 1 {
		t.Errorf("an UUID costs %v allocations, want 1 at most", n)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{
		"", " ", "Max", "Straße", "a \u0301", "20261122041722.5+0130", "cn=a+ou=b\\,c,dc=d", "\xff", "\u0345\u0301", "™",
		"F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", "2.5.4.3", "cn=#0402",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, normalize := range []Normalizer{
			CaseIgnoreIA5, CaseExactIA5, TelephoneNumber, NumericString, Boolean, Integer, UUID, ObjectIdentifier, GeneralizedTime,
			func(v string) (string, bool) { return CaseIgnore(v), true },
			func(v string) (string, bool) { return CaseExact(v), true },
		} {
			checkIdempotent(t, "rule", normalize, value)
		}
		dn, ok := ParseDN(value, lookupForTest)
		if !ok {
			return
		}
		again, ok := ParseDN(dn.String(), lookupForTest)
		if !ok || again.Key() != dn.Key() {
			t.Errorf("%q was written as %q, which is another name", value, dn.String())
		}
	})
}

func BenchmarkCaseIgnore(b *testing.B) {
	for name, value := range map[string]string{"prepared": "max mustermann", "ascii": "Max Mustermann", "unicode": "Jörg Großmann"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				CaseIgnore(value)
			}
		})
	}
}
