package education

import (
	"strings"
	"testing"
)

// TestIsMailbox holds how long the parts of an e-mail address may be.
func TestIsMailbox(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		local, domain int
		want          bool
	}{
		{"short", 1, 11, true},
		{"the longest local part", 64, 11, true},
		{"a longer local part", 65, 11, false},
		{"the longest domain", 1, 255, true},
		{"a longer domain", 1, 256, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := strings.Repeat("a", test.local) + "@" + strings.Repeat("b", test.domain)
			if got := isMailbox(address); got != test.want {
				t.Errorf("got %v for %d octets before the at sign and %d behind it, want %v", got, test.local, test.domain, test.want)
			}
		})
	}
	if !isMailbox(`"` + strings.Repeat("@", 62) + `"@example.org`) {
		t.Error("at signs in quotes are taken to end the local part")
	}
	if isMailbox(`"` + strings.Repeat("@", 63) + `"@example.org`) {
		t.Error("at signs in quotes do not count")
	}
}

func TestFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, property, text, want string
	}{
		{"an externalId", "externalId", "DE, 4711 ü", ""},
		{"the longest one", "externalId", strings.Repeat("ü", 256), ""},
		{"a longer one", "externalId", strings.Repeat("ü", 257), "must be at most 256 characters long"},
		{"nothing to be seen", "externalId", " \u00a0", "must hold a visible character"},
		{"two lines", "externalId", "a\nb", "must not hold control characters"},
		{"what looks like an id", "externalId", "0193b2c4-7d1e-7a50-8c3e-2f6a1b9d4e77", ""},
		{"a number that looks like an id", "schoolNumber", "0193b2c4-7d1e-7a50-8c3e-2f6a1b9d4e77", "must not be shaped like a UUID, because a path takes that for an id"},
		{"a property without a check", "createdDateTime", "x", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Schools.Property(test.property).Fault(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
