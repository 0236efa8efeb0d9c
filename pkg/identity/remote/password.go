package remote

import (
	"context"
	"strings"

	"github.com/opencloud-eu/education/internal/passwordhash"
)

// PasswordHash is how passwords are written to userPassword.
type PasswordHash string

// The ways to write passwords.
const (
	// HashAuto is HashServer for 389-DS and HashSSHA for everything else.
	HashAuto PasswordHash = "auto"
	// HashSSHA writes salted SHA-1, which every server verifies.
	HashSSHA PasswordHash = "ssha"
	// HashArgon2 writes Argon2id in the form of OpenLDAP's module argon2, which the server needs to verify it.
	HashArgon2 PasswordHash = "argon2"
	// HashServer sends the password as it is, for the server to hash as its policy says. 389-DS does so, and accepts no
	// hashes from ordinary accounts unless nsslapd-allow-hashed-passwords lets it; OpenLDAP does so with slapo-ppolicy's
	// ppolicy_hash_cleartext and otherwise keeps the password as it is. A password that looks like a hash is written as
	// HashSSHA says.
	HashServer PasswordHash = "server"
)

func (h PasswordHash) known() bool {
	switch h {
	case HashAuto, HashSSHA, HashArgon2, HashServer:
		return true
	default:
		return false
	}
}

// looksHashed reports whether a server takes a password for the hash of another one (RFC 2307, section 5.3).
func looksHashed(password string) bool {
	return strings.HasPrefix(password, "{") && strings.Contains(password, "}")
}

// HashPassword implements identity.Operations. It returns what the configured PasswordHash says.
func (c *Client) HashPassword(ctx context.Context, cleartext string) (string, error) {
	how := c.config.PasswordHash
	if how == HashAuto {
		features, err := c.Features(ctx)
		if err != nil {
			return "", err
		}
		if how = HashSSHA; features.Vendor == Vendor389DS {
			how = HashServer
		}
	}
	switch how {
	case HashArgon2:
		leave, err := c.hashing.Enter(ctx)
		if err != nil {
			return "", err
		}
		defer leave()
		return passwordhash.Argon2id(cleartext), nil
	case HashServer:
		if !looksHashed(cleartext) {
			return cleartext, ctx.Err()
		}
		fallthrough
	default:
		return passwordhash.SSHA(cleartext), ctx.Err()
	}
}
