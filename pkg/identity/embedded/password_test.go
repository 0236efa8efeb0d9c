package embedded

import (
	"context"
	"crypto/sha1" //nolint:gosec // the hash of {SSHA}
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/opencloud-eu/education/internal/passwordhash"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

func sshaForTest(cleartext, salt string) string {
	sum := sha1.Sum([]byte(cleartext + salt)) //nolint:gosec // the hash of {SSHA}
	return "{ssha}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}

func argonForTest(variant string, digest []byte) string {
	return "{ARGON2}$" + variant + "$v=19$m=64,t=1,p=1$" + base64.RawStdEncoding.EncodeToString([]byte("saltsalt")) + "$" +
		base64.RawStdEncoding.EncodeToString(digest)
}

func TestVerifyPassword(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	salt := []byte("saltsalt")
	values := map[string]string{
		"clear text":  "gehe\x00im äöü",
		"SSHA512":     HashSSHA512("gehe\x00im äöü"),
		"SSHA":        sshaForTest("gehe\x00im äöü", "pepper"),
		"small SSHA":  sshaForTest("gehe\x00im äöü", "p"),
		"Argon2id":    argonForTest("argon2id", argon2.IDKey([]byte("gehe\x00im äöü"), salt, 1, 64, 1, 32)),
		"Argon2i":     argonForTest("argon2i", argon2.Key([]byte("gehe\x00im äöü"), salt, 1, 64, 1, 16)),
		"looks alike": "{SSHA}not base64",
	}
	n := 0
	for name, value := range values {
		n++
		number := n
		mustAdd(t, s, userRequest(number, attr("userPassword", value)))
		t.Run(name, func(t *testing.T) {
			kept := read(t, s, userDN(number), "userPassword").Value("userPassword")
			if _, ok := passwordhash.Parse(kept); !ok {
				t.Errorf("kept as %q", kept)
			}
			if _, isHash := passwordhash.Parse(value); isHash && kept != value {
				t.Errorf("the hash %q became %q", value, kept)
			}
			for _, try := range []string{"gehe\x00im äöü", value, "", "x", kept} {
				want := !strings.HasPrefix(value, "{") && try == value || strings.HasPrefix(value, "{SSHA}not") && try == value ||
					strings.HasPrefix(value, "{") && try == "gehe\x00im äöü" && !strings.HasPrefix(value, "{SSHA}not")
				if got, err := s.VerifyPassword(context.Background(), userDN(number), try); err != nil || got != want {
					t.Errorf("%q: got %v (%v), want %v", try, got, err, want)
				}
			}
		})
	}
}

func TestHashPassword(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	first, err := s.HashPassword(context.Background(), "secret")
	if err != nil || !strings.HasPrefix(first, "{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("got %q, %v", first, err)
	}
	if second, _ := s.HashPassword(context.Background(), "secret"); second == first {
		t.Error("two hashes have one salt")
	}
	mustAdd(t, s, userRequest(1))
	mustModify(t, s, userDN(1), change(wire.ChangeReplace, "userPassword", first), change(wire.ChangeAdd, "userPassword", "another"))
	for cleartext, want := range map[string]bool{"secret": true, "another": true, "other": false} {
		if got, err := s.VerifyPassword(context.Background(), userDN(1), cleartext); got != want || err != nil {
			t.Errorf("%q: got %v, %v", cleartext, got, err)
		}
	}
	mustModify(t, s, userDN(1), change(wire.ChangeDelete, "userPassword", first))
	if right, _ := s.VerifyPassword(context.Background(), userDN(1), "secret"); right {
		t.Error("a deleted password is right")
	}
}

// TestMissingEntries holds that a missing entry and one without a password have no password. That they take as long as
// others is up to passwordhash.Decoy.
func TestMissingEntries(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	mustAdd(t, s, userRequest(1, attr("userPassword", "secret")), userRequest(2))
	for _, dn := range []string{userDN(1), userDN(2), userDN(9)} {
		if right, err := s.VerifyPassword(context.Background(), dn, "wrong"); right || err != nil {
			t.Errorf("%s: got %v, %v", dn, right, err)
		}
	}
}

func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := openTest(t)
	for range cap(s.hashing) {
		s.hashing <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.HashPassword(ctx, "secret"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("HashPassword without a place: %v", err)
	}
	if _, err := s.VerifyPassword(ctx, userDN(1), "secret"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("VerifyPassword of a missing entry without a place: %v", err)
	}
	if _, err := s.Add(ctx, userRequest(1, attr("userPassword", "secret"))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Add without a place: %v", err)
	}
	if _, err := s.Add(context.Background(), userRequest(1, attr("userPassword", HashSSHA512("secret")))); err != nil {
		t.Errorf("Add of a hash needs a place: %v", err)
	}
	if right, err := s.VerifyPassword(context.Background(), userDN(1), "secret"); !right || err != nil {
		t.Errorf("a fast hash: %v, %v", right, err)
	}
	for _, start := range []string{"first", "second"} {
		if _, err := EnsureAccounts(t.Context(), s, folder, "dc=opencloud,dc=eu"); err != nil {
			t.Errorf("the %s start needs a place: %v", start, err)
		}
	}
	for range cap(s.hashing) {
		<-s.hashing
	}
}
