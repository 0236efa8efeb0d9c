// Package passwordhash reads and writes hashes of passwords as LDAP directories keep them in userPassword.
package passwordhash

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // {SSHA} is the one salted hash that every LDAP server verifies
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The schemes of userPassword values (RFC 3112 and OpenLDAP's custom), in the spelling that is written. They are read
// without regard to case.
const (
	schemeArgon2  = "{ARGON2}"
	schemeSSHA512 = "{SSHA512}"
	schemeSSHA    = "{SSHA}"
)

// The cost of an Argon2id hash: the first recommendation for servers that check many passwords in the OWASP Password
// Storage Cheat Sheet. A hash takes 19 MiB while it is computed.
const (
	argonMemory  = 19456 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKey     = 32
	saltSize     = 16
)

// Values with greater costs than these are no hashes: checking one would be an attack.
const (
	maxArgonMemory = 256 << 10 // KiB
	maxArgonTime   = 32
)

// Hash is a userPassword value, taken apart.
type Hash struct {
	scheme string
	// variant, memory, time and threads are of Argon2 alone.
	variant      string
	memory, time uint32
	threads      uint8
	salt, digest []byte
}

// Parse reads a userPassword value. The result is false for everything that is no hash of a known scheme, clear text above
// all.
func Parse(value string) (*Hash, bool) {
	for _, scheme := range []string{schemeArgon2, schemeSSHA512, schemeSSHA} {
		if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
			continue
		}
		rest := value[len(scheme):]
		switch scheme {
		case schemeArgon2:
			return parseArgon2(rest)
		case schemeSSHA512:
			return parseSalted(scheme, rest, sha512.Size)
		default:
			return parseSalted(scheme, rest, sha1.Size)
		}
	}
	return nil, false
}

// parseSalted reads base64 of a digest and the salt behind it.
func parseSalted(scheme, text string, size int) (*Hash, bool) {
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(decoded) <= size {
		return nil, false
	}
	return &Hash{scheme: scheme, digest: decoded[:size], salt: decoded[size:]}, true
}

// parseArgon2 reads the text form of the reference implementation: $argon2id$v=19$m=19456,t=2,p=1$salt$digest.
func parseArgon2(text string) (*Hash, bool) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" && parts[1] != "argon2i" {
		return nil, false
	}
	h := &Hash{scheme: schemeArgon2, variant: parts[1]}
	const costs = "m=%d,t=%d,p=%d"
	_, err := fmt.Sscanf(parts[3], costs, &h.memory, &h.time, &h.threads)
	// Sscanf passes over what follows, and over some blanks.
	if err != nil || parts[2] != "v=19" || parts[3] != fmt.Sprintf(costs, h.memory, h.time, h.threads) {
		return nil, false
	}
	var errSalt, errDigest error
	h.salt, errSalt = base64.RawStdEncoding.DecodeString(parts[4])
	h.digest, errDigest = base64.RawStdEncoding.DecodeString(parts[5])
	if errSalt != nil || errDigest != nil || len(h.salt) < 8 || len(h.digest) < 16 || len(h.digest) > 64 {
		return nil, false
	}
	cheap := h.memory <= maxArgonMemory && h.time <= maxArgonTime
	return h, cheap && h.memory > 0 && h.time > 0 && h.threads > 0
}

// Matches says whether the hash is one of the clear text.
func (h *Hash) Matches(cleartext string) bool {
	var digest []byte
	switch {
	case h.scheme == schemeSSHA512:
		sum := sha512.Sum512(append([]byte(cleartext), h.salt...))
		digest = sum[:]
	case h.scheme == schemeSSHA:
		sum := sha1.Sum(append([]byte(cleartext), h.salt...)) //nolint:gosec // see the import
		digest = sum[:]
	case h.variant == "argon2i":
		digest = argon2.Key([]byte(cleartext), h.salt, h.time, h.memory, h.threads, uint32(len(h.digest)))
	default:
		digest = argon2.IDKey([]byte(cleartext), h.salt, h.time, h.memory, h.threads, uint32(len(h.digest)))
	}
	return subtle.ConstantTimeCompare(digest, h.digest) == 1
}

// IsSlow says whether Matches takes long and much memory, on purpose.
func (h *Hash) IsSlow() bool { return h.scheme == schemeArgon2 }

// Decoy costs as much as a hash that Argon2id makes and is that of no password: its digest is all zeros.
var Decoy = &Hash{
	scheme: schemeArgon2, variant: "argon2id", memory: argonMemory, time: argonTime, threads: argonThreads,
	salt: make([]byte, saltSize), digest: make([]byte, argonKey),
}

// Argon2id returns an Argon2id hash with a new salt, in the form of OpenLDAP's module argon2.
func Argon2id(cleartext string) string {
	salt := newSalt()
	digest := argon2.IDKey([]byte(cleartext), salt, argonTime, argonMemory, argonThreads, argonKey)
	return fmt.Sprintf("%s$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", schemeArgon2, argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(digest))
}

// SSHA512 returns a salted SHA-512 hash. It is fast, so it is only for passwords that nobody can guess however fast the
// guesses are, such as 256 random bits of a machine's account.
func SSHA512(cleartext string) string {
	salt := newSalt()
	sum := sha512.Sum512(append([]byte(cleartext), salt...))
	return schemeSSHA512 + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}

// SSHA returns a salted SHA-1 hash, for directories that verify nothing better.
func SSHA(cleartext string) string {
	salt := newSalt()
	sum := sha1.Sum(append([]byte(cleartext), salt...)) //nolint:gosec // see the import
	return schemeSSHA + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}

func newSalt() []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	return salt
}

// Places bound the slow hashes that are computed at the same time, by its capacity.
type Places chan struct{}

// Enter waits until a slow hash may be computed, and returns what to call after that. Waiting ends with the context.
func (p Places) Enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case p <- struct{}{}:
		return func() { <-p }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
