package remote_test

import (
	"testing"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/identitytest"
	"github.com/opencloud-eu/education/pkg/identity/remote"
)

// TestConformance389DS runs the suite on 389 Directory Server, as deploy/389ds sets it up.
func TestConformance389DS(t *testing.T) {
	t.Parallel()
	// It takes a while to start, for which one test alone is to wait.
	ldapserver.SharedDirectoryServer389(t)
	identitytest.Run(t, open389DS)
}

// TestGenerated389DS compares its answers to generated filters with their meaning.
func TestGenerated389DS(t *testing.T) {
	t.Parallel()
	identitytest.RunGenerated(t, open389DS, identitytest.InvisibleCharactersCount, identitytest.WaysOfWritingCount)
}

// Test389DSPasswords binds with passwords that the server hashes itself, and with hashes, which deploy/389ds lets it keep.
func Test389DSPasswords(t *testing.T) {
	t.Parallel()
	checkPasswords(t, ldapserver.SharedDirectoryServer389(t), remote.HashAuto, remote.HashSSHA)
}

func open389DS(t *testing.T, rules education.Rules) education.Directory {
	return openTree(t, ldapserver.SharedDirectoryServer389(t), rules)
}
