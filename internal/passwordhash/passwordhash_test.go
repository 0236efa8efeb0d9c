package passwordhash

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestHashes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, prefix string
		hash         func(string) string
		slow         bool
	}{
		{"Argon2id", "{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$", Argon2id, true},
		{"SSHA512", "{SSHA512}", SSHA512, false},
		{"SSHA", "{SSHA}", SSHA, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			const cleartext = "gehe\x00im äöü"
			value := test.hash(cleartext)
			if !strings.HasPrefix(value, test.prefix) {
				t.Errorf("got %q", value)
			}
			if test.hash(cleartext) == value {
				t.Error("two hashes have one salt")
			}
			for _, spelling := range []string{value, strings.Replace(value, test.prefix[:5], strings.ToLower(test.prefix[:5]), 1)} {
				hash, ok := Parse(spelling)
				if !ok || !hash.Matches(cleartext) || hash.Matches("Geheim") || hash.Matches("") {
					t.Errorf("%q does not match its password alone", spelling)
				} else if hash.IsSlow() != test.slow {
					t.Errorf("IsSlow: got %v", hash.IsSlow())
				}
			}
		})
	}
}

// TestSSHAOfOpenLDAP reads a hash that slappasswd has made of the password "secret".
func TestSSHAOfOpenLDAP(t *testing.T) {
	t.Parallel()
	hash, ok := Parse("{SSHA}T9h11l/R7hugZmvjD2S0b/5zZPGDkBwY")
	if !ok || !hash.Matches("secret") || hash.Matches("Secret") {
		t.Error("the hash does not match its password alone")
	}
}

func TestNoHashes(t *testing.T) {
	t.Parallel()
	digest := base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	salt := base64.RawStdEncoding.EncodeToString(make([]byte, 16))
	for _, value := range []string{
		"", "secret", "{SSHA}", "{SSHA512}" + base64.StdEncoding.EncodeToString(make([]byte, 64)), "{CRYPT}x", "{MD5}x", "{ARGON2}",
		"{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$" + salt, "{ARGON2}$argon2d$v=19$m=19456,t=2,p=1$" + salt + "$" + digest,
		"{ARGON2}$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + digest, "{ARGON2}$argon2id$v=19$m=4294967295,t=2,p=1$" + salt + "$" + digest,
		"{ARGON2}$argon2id$v=19$m=64,t=1000000,p=1$" + salt + "$" + digest, "{ARGON2}$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + digest,
		"{ARGON2}$argon2id$v=19$m=64,t=1,p=0$" + salt + "$" + digest, "{ARGON2}$argon2id$v=19$m=64,t=1,p=256$" + salt + "$" + digest,
		"{ARGON2}$argon2id$v=19$m=64,t=1,p=1x$" + salt + "$" + digest,
		"{ARGON2}$argon2id$v=19$m=64,t=1,p=1$?$" + digest,
	} {
		if _, ok := Parse(value); ok {
			t.Errorf("%q counts as a hash", value)
		}
	}
}

// TestDecoy holds that the hash which stands in for a missing one costs what a real one costs.
func TestDecoy(t *testing.T) {
	t.Parallel()
	genuine, ok := Parse(Argon2id("secret"))
	if !ok {
		t.Fatal("no hash")
	}
	withoutSecrets := cmpopts.IgnoreFields(Hash{}, "salt", "digest")
	if diff := cmp.Diff(genuine, Decoy, cmp.AllowUnexported(Hash{}), withoutSecrets); diff != "" {
		t.Errorf("costs (-genuine +decoy):\n%s", diff)
	}
	if len(genuine.salt) != len(Decoy.salt) || len(genuine.digest) != len(Decoy.digest) {
		t.Error("the decoy has another size")
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	places := make(Places, 1)
	leave, err := places.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := places.Enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second place: %v", err)
	}
	leave()
	if _, err := places.Enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the context's end: %v", err)
	}
	if leave, err = places.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	leave()
}
