package embedded

import (
	"context"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/internal/passwordhash"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// HashPassword returns a value for userPassword that proves a password and does not give it away: Argon2id, in the
// form of OpenLDAP's pw-argon2 module. The number of hashes that are computed at the same time is bounded; waiting
// for a place ends with the context.
func (s *Store) HashPassword(ctx context.Context, cleartext string) (string, error) {
	leave, err := s.hashing.Enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return passwordhash.Argon2id(cleartext), nil
}

// HashSSHA512 returns a salted SHA-512 value for userPassword. It is fast, so it is only for passwords that nobody can
// guess however fast the guesses are, such as 256 random bits of a machine's account.
func HashSSHA512(cleartext string) string { return passwordhash.SSHA512(cleartext) }

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
	if _, ok := passwordhash.Parse(value); ok {
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
	hashes, err := s.passwordHashes(dn)
	if err != nil {
		return false, err
	}
	if len(hashes) == 0 {
		hashes = []*passwordhash.Hash{passwordhash.Decoy}
	}
	return s.verifyAny(ctx, hashes, cleartext)
}

// passwordHashes returns the hashes of an entry's passwords, and none if the entry does not exist.
func (s *Store) passwordHashes(dn string) (hashes []*passwordhash.Hash, err error) {
	name, err := parseName(dn)
	if err != nil {
		return nil, err
	}
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
			if hash, ok := passwordhash.Parse(value); ok {
				hashes = append(hashes, hash)
			}
		}
		return nil
	})
	return hashes, err
}

// verifyAny says whether the clear text is the password of one of the hashes. It looks at all of them, so that the time does not
// tell which one it is.
func (s *Store) verifyAny(ctx context.Context, hashes []*passwordhash.Hash, cleartext string) (bool, error) {
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

func (s *Store) verify(ctx context.Context, hash *passwordhash.Hash, cleartext string) (bool, error) {
	if hash.IsSlow() {
		leave, err := s.hashing.Enter(ctx)
		if err != nil {
			return false, err
		}
		defer leave()
	}
	return hash.Matches(cleartext), nil
}
