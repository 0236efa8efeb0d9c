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
