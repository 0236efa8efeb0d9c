package middleware

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/opencloud-eu/education/pkg/odata"
)

// Digest is the SHA-256 digest of an accepted token. Only digests are kept: they have one length, so comparing them
// tells nothing about the token, and memory holds no copy of it.
type Digest [sha256.Size]byte

// DigestOf returns the digest of a token.
func DigestOf(token string) Digest { return sha256.Sum256([]byte(token)) }

// Authenticate lets a request pass if it carries one of the accepted tokens as a bearer token (RFC 6750, section 2.1),
// and answers 401 otherwise. Several tokens may be accepted at a time, so that one can replace another without a
// moment in which neither works.
func Authenticate(accepted ...Digest) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, ok := bearerToken(r.Header)
			if !ok || !matches(DigestOf(token), accepted) {
				odata.WriteError(w, r, odata.Errorf(odata.InvalidToken, "", "invalid or missing token"))
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// bearerToken returns the token of the Authorization header. There must be exactly one such header: of two, a proxy
// and this service might each believe another. The scheme's case does not count (RFC 9110, section 11.1).
func bearerToken(header http.Header) (string, bool) {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	return token, ok && token != "" && strings.EqualFold(scheme, "Bearer")
}

// matches compares the digest with every accepted one, in a time that does not depend on which of them fits.
func matches(digest Digest, accepted []Digest) bool {
	found := 0
	for i := range accepted {
		found |= subtle.ConstantTimeCompare(digest[:], accepted[i][:])
	}
	return found == 1
}
