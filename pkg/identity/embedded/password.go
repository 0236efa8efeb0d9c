package embedded

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // {SSHA} is read, never written
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/crypto/argon2"

	"github.com/opencloud-eu/education/pkg/identity/wire"
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

// Values with greater costs than these are no hashes to this store: checking one would be an attack on it.
const (
	maxArgonMemory = 256 << 10 // KiB
	maxArgonTime   = 32
)

// passwordHash is a userPassword value, taken apart.
type passwordHash struct {
	scheme string
	// variant, memory, time and threads are of Argon2 alone.
	variant      string
	memory, time uint32
	threads      uint8
	salt, digest []byte
}

// parsePasswordHash reads a userPassword value. The result is false for everything else, clear text above all.
func parsePasswordHash(value string) (*passwordHash, bool) {
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
func parseSalted(scheme, text string, size int) (*passwordHash, bool) {
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(decoded) <= size {
		return nil, false
	}
	return &passwordHash{scheme: scheme, digest: decoded[:size], salt: decoded[size:]}, true
}

// parseArgon2 reads the text form of the reference implementation: $argon2id$v=19$m=19456,t=2,p=1$salt$digest.
func parseArgon2(text string) (*passwordHash, bool) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" && parts[1] != "argon2i" {
		return nil, false
	}
	h := &passwordHash{scheme: schemeArgon2, variant: parts[1]}
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

// matches says whether the hash is one of the clear text.
func (h *passwordHash) matches(cleartext string) bool {
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

// HashPassword returns a value for userPassword that proves a password and does not give it away: Argon2id, in the
// form of OpenLDAP's pw-argon2 module. The number of hashes that are computed at the same time is bounded; waiting
// for a place ends with the context.
func (s *Store) HashPassword(ctx context.Context, cleartext string) (string, error) {
	release, err := s.hashingPlace(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	salt := newSalt()
	digest := argon2.IDKey([]byte(cleartext), salt, argonTime, argonMemory, argonThreads, argonKey)
	return fmt.Sprintf("%s$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", schemeArgon2, argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(digest)), nil
}

// HashSSHA512 returns a salted SHA-512 value for userPassword. It is fast, so it is only for passwords that nobody can
// guess however fast the guesses are, such as 256 random bits of a machine's account.
func HashSSHA512(cleartext string) string {
	salt := newSalt()
	sum := sha512.Sum512(append([]byte(cleartext), salt...))
	return schemeSSHA512 + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}

func newSalt() []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	return salt
}

// hashingPlace waits until a slow hash may be computed.
func (s *Store) hashingPlace(ctx context.Context) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case s.hashing <- struct{}{}:
		return func() { <-s.hashing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hashPasswords returns the attributes with every password in clear text hashed. It comes before the writer's queue,
// because nobody should wait for another's hash.
func (s *Store) hashPasswords(ctx context.Context, attributes []wire.Attribute) ([]wire.Attribute, error) {
	hashed := slices.Clone(attributes)
	for i, given := range attributes {
		if a := directory.attribute(given.Type); a == nil || a.name != attributeUserPassword {
			continue
		}
		values := make([]string, len(given.Values))
		for j, value := range given.Values {
			var err error
			if values[j], err = s.hashed(ctx, value); err != nil {
				return nil, err
			}
		}
		hashed[i].Values = values
	}
	return hashed, nil
}

// hashed returns the value if it is a hash already, and its hash otherwise.
func (s *Store) hashed(ctx context.Context, value string) (string, error) {
	if _, ok := parsePasswordHash(value); ok {
		return value, nil
	}
	if value == "" {
		return "", wire.Errorf(wire.ResultConstraintViolation, "a password is empty")
	}
	return s.HashPassword(ctx, value)
}

// VerifyPassword says whether the clear text is a password of the entry. An entry that does not exist or has no
// password takes as long as one with an Argon2 hash, which is what HashPassword makes of every password, so that the time
// tells nobody which users exist. Entries with another kind of hash answer sooner and can be told apart: those with a
// HashSSHA512, whose names are no secret, and those whose hash came from another directory. An empty clear text is never
// a password (RFC 4513, section 5.1.2).
func (s *Store) VerifyPassword(ctx context.Context, dn, cleartext string) (bool, error) {
	name, err := parseName(dn)
	if err != nil {
		return false, err
	}
	var hashes []*passwordHash
	err = s.view(func(tx *bolt.Tx) error {
		id := findID(tx, name.Key())
		if id == 0 {
			return nil
		}
		entry, err := load(tx, id)
		if err != nil {
			return err
		}
		for _, value := range entry.values(attributeUserPassword) {
			if hash, ok := parsePasswordHash(value); ok {
				hashes = append(hashes, hash)
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	if len(hashes) == 0 {
		hashes = []*passwordHash{decoyHash}
	}
	right := false
	for _, hash := range hashes {
		matches, err := s.verify(ctx, hash, cleartext)
		if err != nil {
			return false, err
		}
		right = right || matches
	}
	return right && cleartext != "", nil
}

func (s *Store) verify(ctx context.Context, hash *passwordHash, cleartext string) (bool, error) {
	if hash.scheme == schemeArgon2 {
		release, err := s.hashingPlace(ctx)
		if err != nil {
			return false, err
		}
		defer release()
	}
	return hash.matches(cleartext), nil
}

// decoyHash costs as much as the hash of a password and is that of none: its digest is all zeros.
var decoyHash = &passwordHash{
	scheme: schemeArgon2, variant: "argon2id", memory: argonMemory, time: argonTime, threads: argonThreads,
	salt: make([]byte, saltSize), digest: make([]byte, argonKey),
}
