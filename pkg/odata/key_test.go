package odata

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", MaxKeyLength)
	tests := []struct {
		name, escaped string
		want          Key
	}{
		{"plain", "max", Key{"", "max"}},
		{"slash", "a%2Fb", Key{"", "a/b"}},
		{"percent sign", "50%25", Key{"", "50%"}},
		{"escaped twice", "%2541", Key{"", "%41"}},
		{"space", "a%20b", Key{"", "a b"}},
		{"plus is no space", "a+b", Key{"", "a+b"}},
		{"umlaut", "J%C3%BCrgen", Key{"", "Jürgen"}},
		{"umlaut not escaped", "Jürgen", Key{"", "Jürgen"}},
		{"emoji", "%F0%9F%8F%AB", Key{"", "🏫"}},
		{"quotes are the key's", "'max'", Key{"", "'max'"}},
		{"escaped parenthesis is the key's", "%28max)", Key{"", "(max)"}},
		{"escaped predicate is the key's", "%28externalId='4711')", Key{"", "(externalId='4711')"}},
		{"parenthesis inside", "max(1)", Key{"", "max(1)"}},
		{"equals sign", "a=b", Key{"", "a=b"}},
		{"dollar", "$ref", Key{"", "$ref"}},
		{"blanks", "%20max%20", Key{"", " max "}},
		{"longest", longest, Key{"", longest}},

		{"predicate", "('max')", Key{"", "max"}},
		{"predicate without quotes", "(4711)", Key{"", "4711"}},
		{"predicate with escaped quotes", "(%27max%27)", Key{"", "max"}},
		{"predicate with blanks", "(%20'max'%20)", Key{"", "max"}},
		{"predicate with blanks in the value", "('%20max%20')", Key{"", " max "}},
		{"predicate with a doubled quote", "('O''Brien')", Key{"", "O'Brien"}},
		{"predicate with a quote alone", "('''')", Key{"", "'"}},
		{"predicate with a slash", "('a%2Fb')", Key{"", "a/b"}},
		{"predicate with parentheses", "('a(b)')", Key{"", "a(b)"}},
		{"predicate with an equals sign", "('a=b')", Key{"", "a=b"}},
		{"predicate with a comma", "('a,b')", Key{"", "a,b"}},
		{"predicate with a percent sign", "('50%25')", Key{"", "50%"}},
		{"alternate key", "(externalId='4711')", Key{"externalId", "4711"}},
		{"alternate key with blanks", "(%20externalId%20=%20'4711'%20)", Key{"externalId", "4711"}},
		{"alternate key without quotes", "(schoolNumber=0042)", Key{"schoolNumber", "0042"}},
		{"alternate key with a doubled quote", "(externalId='x''')", Key{"externalId", "x'"}},
		{"alternate key that looks like two", "(externalId='a'',b=''c')", Key{"externalId", "a',b='c"}},
		{"alternate key with an equals sign", "(externalId='a=b')", Key{"externalId", "a=b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseKey(test.escaped)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, escaped, target string }{
		{"empty", "", ""},
		{"malformed escape", "%zz", ""},
		{"truncated escape", "a%2", ""},
		{"NUL", "a%00", ""},
		{"DEL", "a%7F", ""},
		{"invalid UTF-8", "%FF", ""},
		{"too long", strings.Repeat("x", MaxKeyLength+1), ""},
		{"far too long", strings.Repeat("x", 1<<20), ""},
		{"empty predicate", "()", ""},
		{"predicate with an empty string", "('')", ""},
		{"alternate key with an empty string", "(externalId='')", "externalId"},
		{"alternate key without a value", "(externalId=)", "externalId"},
		{"alternate key with a NUL", "(externalId='%00')", "externalId"},
		{"alternate key with a long name", "(" + strings.Repeat("n", 1<<10) + "='')", strings.Repeat("n", maxShown) + "…"},
		{"predicate not closed", "('max'", "('max'"},
		{"quote not closed", "('max)", "('max)"},
		{"quote not doubled", "('O'Brien')", "('O'Brien')"},
		{"text after the quote", "('max'x)", "('max'x)"},
		{"text in front of the quote", "(x'max')", "(x'max')"},
		{"text after the parenthesis", "('max')x", "('max')x"},
		{"two values", "('a','b')", "('a','b')"},
		{"two alternate keys", "(a='x',b='y')", "(a='x',b='y')"},
		{"no name", "(='x')", "(='x')"},
		{"no name and no quotes", "(=x)", "(=x)"},
		{"two equals signs", "(a==x)", "(a==x)"},
		{"name of two words", "(a b='x')", "(a b='x')"},
		{"value of two words", "(a%20b)", "(a b)"},
		{"parenthesis in parentheses", "((x))", "((x))"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey(test.escaped)
			checkError(t, err, InvalidRequest, test.target)
		})
	}
}

var userSets = []string{"users", "directoryObjects"}

func TestParseReference(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("🏫", MaxKeyLength/4)
	tests := []struct {
		name, text string
		want       Key
	}{
		{"Graph's own host", "https://graph.microsoft.com/v1.0/education/users/4711", Key{"", "4711"}},
		{"directory objects", "https://graph.microsoft.com/v1.0/directoryObjects/4711", Key{"", "4711"}},
		{"users outside education", "https://graph.microsoft.com/v1.0/users/4711", Key{"", "4711"}},
		{"beta version", "https://graph.microsoft.com/beta/users/4711", Key{"", "4711"}},
		{"any host and prefix", "https://any.host/any/prefix/users/4711", Key{"", "4711"}},
		{"port and user", "http://me:secret@any.host:8080/users/4711", Key{"", "4711"}},
		{"unknown scheme", "ldap://host/users/4711", Key{"", "4711"}},
		{"query and fragment are ignored", "https://host/users/4711?$select=id#x", Key{"", "4711"}},
		{"absolute path", "/users/4711", Key{"", "4711"}},
		{"two slashes", "//users/4711", Key{"", "4711"}},
		{"two slashes and a host", "//host:8080/education/users/4711", Key{"", "4711"}},
		{"relative path", "users/4711", Key{"", "4711"}},
		{"longer relative path", "education/users/4711", Key{"", "4711"}},
		{"set in another case", "/Education/Users/4711", Key{"", "4711"}},
		{"set's name as a key", "/users/users", Key{"", "users"}},
		{"escaped slash", "/users/a%2Fb", Key{"", "a/b"}},
		{"escaped percent sign", "/users/50%25", Key{"", "50%"}},
		{"escaped twice", "/users/%2541", Key{"", "%41"}},
		{"escaped umlaut", "/users/J%C3%BCrgen", Key{"", "Jürgen"}},
		{"umlaut and space not escaped", "/users/Jürgen K", Key{"", "Jürgen K"}},
		{"plus", "/users/a+b", Key{"", "a+b"}},
		{"quotes of a segment are the key's", "/users/'4711'", Key{"", "'4711'"}},
		{"parenthesis of a segment is the key's", "/users/(4711)", Key{"", "(4711)"}},
		{"parenthesis inside a segment", "/users/max(1)", Key{"", "max(1)"}},
		{"predicate", "/users('4711')", Key{"", "4711"}},
		{"relative predicate", "users('4711')", Key{"", "4711"}},
		{"predicate without quotes", "/users(4711)", Key{"", "4711"}},
		{"predicate with a doubled quote", "/users('O''Brien')", Key{"", "O'Brien"}},
		{"predicate with an escaped slash", "/users('a%2Fb')", Key{"", "a/b"}},
		{"relative predicate with a colon", "users('urn:x')", Key{"", "urn:x"}},
		{"colon", "users/urn:x", Key{"", "urn:x"}},
		{"URL as a key", "/users/https:%2F%2Fx", Key{"", "https://x"}},
		{"predicate on a host", "https://host/v1.0/education/users('4711')", Key{"", "4711"}},
		{"alternate key", "/education/users(externalId='4711')", Key{"externalId", "4711"}},
		{"longest key", "https://host/users/" + url.PathEscape(longest), Key{"", longest}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseReference(test.text, userSets)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text string }{
		{"empty", ""},
		{"slash", "/"},
		{"id alone", "4711"},
		{"other collection", "x/y"},
		{"set alone", "/users"},
		{"set and slash", "/users/"},
		{"trailing slash", "/users/4711/"},
		{"host that is called users", "https://users/4711"},
		{"educationUsers", "/educationUsers/4711"},
		{"wrong set", "/education/classes/4711"},
		{"wrong set with a predicate", "/education/classes('4711')"},
		{"set further up", "/users/4711/manager"},
		{"link", "/education/schools/1/users/4711/$ref"},
		{"predicate and a segment", "/users('4711')/manager"},
		{"two predicates", "/users('a')('b')"},
		{"empty predicate", "/users()"},
		{"predicate with a raw slash", "/users('a/b')"},
		{"scheme without a slash", "https:users/4711"},
		{"mail address", "mailto:max@example.org"},
		{"script", "javascript:alert(1)"},
		{"malformed escape", "/users/100%"},
		{"NUL", "/users/a%00"},
		{"raw NUL", "/users/a\x00"},
		{"line break", "/users/a\nb"},
		{"invalid UTF-8", "/users/%FF"},
		{"key too long", "/users/" + strings.Repeat("x", MaxKeyLength+1)},
		{"too long", "/users/4711?" + strings.Repeat("x", MaxReferenceLength)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseReference(test.text, userSets)
			checkError(t, err, InvalidRequest, "@odata.id")
		})
	}
}

func FuzzKey(f *testing.F) {
	for _, seed := range []string{
		"max", "a%2Fb", "50%25", "%2541", "('O''Brien')", "(externalId='4711')", "%28x", "()", "(='x')", "('a','b')", "%FF", "%00", "((", "(a=b)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		key, err := ParseKey(escaped)
		if err != nil {
			checkBounded(t, err.(*Error)) //nolint:errorlint // every error of ParseKey is one
			return
		}
		if key.Value == "" || len(key.Value) > MaxKeyLength || !utf8.ValidString(key.Value) {
			t.Fatalf("%q gave %+v", escaped, key)
		}
		canonical := url.PathEscape("('" + strings.ReplaceAll(key.Value, "'", "''") + "')")
		if key.Name != "" {
			canonical = url.PathEscape("(" + key.Name + "='" + strings.ReplaceAll(key.Value, "'", "''") + "')")
		}
		again, err := ParseKey(strings.Replace(canonical, "%28", "(", 1))
		if err != nil || again != key {
			t.Fatalf("%q gave %+v, which gave %+v (%v)", escaped, key, again, err)
		}
	})
}

func FuzzReference(f *testing.F) {
	for _, seed := range []string{
		"https://graph.microsoft.com/v1.0/education/users/4711", "/users/4711", "//users/4711", "users('4711')", "/users(externalId='x')",
		"/users/a%2Fb", "mailto:x", "https://[::1]/users/1", "/users/", "?", "users/(x", "users/%28x", "/users(x)/users/y", "\x7f", "a:b/users/c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseReference(text, userSets)
		if err != nil {
			checkFault(t, err)
			return
		}
		link := "https://host/education/users/" + url.PathEscape(key.Value)
		if key.Name != "" {
			link = "https://host/education/users(" + url.PathEscape(key.Name+"='"+strings.ReplaceAll(key.Value, "'", "''")+"'") + ")"
		}
		again, err := ParseReference(link, userSets)
		if err != nil || again != key {
			t.Fatalf("%q gave %+v, which gave %+v (%v)", text, key, again, err)
		}
	})
}
