package oidc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
)

// leeway is how far an issuer's clock may be from ours.
const leeway = 30 * time.Second

// check checks all of a token but its signature. This comes first, so that no token that would be refused anyway, such as one
// whose key is long gone, makes us ask its issuer for keys.
func (i *issuer) check(t token, now time.Time) error {
	if err := i.checkHeader(t.header); err != nil {
		return err
	}
	if err := checkKind(t.claims); err != nil {
		return err
	}
	if err := i.checkAudience(t.claims["aud"]); err != nil {
		return err
	}
	return checkTimes(t.claims, now)
}

// invalid returns an error that wraps access.ErrInvalid.
func invalid(format string, values ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{access.ErrInvalid}, values...)...)
}

// accessTypes are the values of typ, in small letters, that an access token may have: what RFC 9068 (section 2.1) asks for, and
// what issuers write that do not follow it. ID tokens often have the latter, so that it takes checkKind to tell.
var accessTypes = []string{"at+jwt", "application/at+jwt", "jwt", "application/jwt"}

// checkHeader checks the header (RFC 7515, section 4). Members by which a token brings or names a key of its own, jwk, jku, x5u
// and x5c, mean nothing: keys come from the issuer alone.
func (i *issuer) checkHeader(header map[string]any) error {
	algorithm, _ := header["alg"].(string)
	if !slices.Contains(i.algorithmNames, algorithm) {
		return invalid("the algorithm %.20q is not permitted", algorithm)
	}
	if kind, ok := header["typ"]; ok {
		text, _ := kind.(string)
		if !slices.Contains(accessTypes, strings.ToLower(text)) {
			return invalid("its typ, %.40q, is not that of an access token", text)
		}
	}
	if _, ok := header["crit"]; ok {
		return invalid("it wants an extension to be understood") // RFC 7515, section 4.1.11.
	}
	if kid, ok := header["kid"]; ok {
		if _, ok := kid.(string); !ok {
			return invalid("its kid is no string")
		}
	}
	return nil
}

// checkKind refuses what is no bearer token: ID tokens, as far as they can be told from access tokens, and tokens that only
// count with a proof that the client has a key.
func checkKind(claims map[string]any) error {
	// Keycloak says in a claim what a token is: Bearer, ID, Refresh, Logout, DPoP.
	if kind, ok := claims["typ"]; ok {
		if text, _ := kind.(string); !strings.EqualFold(text, "Bearer") {
			return invalid("its claim typ says that it is no bearer token")
		}
	}
	// OpenID Connect Core 1.0, sections 3.1.3.6 and 3.3.2.11: hashes of what an ID token was handed out with.
	for _, name := range []string{"at_hash", "c_hash"} {
		if _, ok := claims[name]; ok {
			return invalid("it is an ID token: it has the claim %s", name)
		}
	}
	// RFC 7800, section 3: whoever presents the token has to prove that he has a key, which a bearer token cannot ask for.
	if _, ok := claims["cnf"]; ok {
		return invalid("it is bound to a key of the client's")
	}
	return nil
}

// checkAudience expects one of the token's audiences to be ours (RFC 7519, section 4.1.3).
func (i *issuer) checkAudience(claim any) error {
	audiences, ok := claim.([]any)
	if !ok {
		audiences = []any{claim}
	}
	for _, audience := range audiences {
		if audience == any(i.audience) {
			return nil
		}
	}
	return invalid("it is meant for another audience")
}

// checkTimes checks exp, which must be there, nbf and iat (RFC 7519, sections 4.1.4 to 4.1.6).
func checkTimes(claims map[string]any, now time.Time) error {
	expires, ok, err := seconds(claims, "exp")
	switch {
	case err != nil:
		return err
	case !ok:
		return invalid("it has no end: the claim exp is missing")
	case since(now.Add(-leeway)) >= expires:
		return invalid("it has expired")
	}
	for name, cause := range map[string]string{"nbf": "it is not valid yet", "iat": "it was issued in the future"} {
		from, ok, err := seconds(claims, name)
		if err != nil {
			return err
		}
		if ok && since(now.Add(leeway)) < from {
			return invalid("%s", cause)
		}
	}
	return nil
}

// seconds returns a claim that is a NumericDate: seconds since 1970, perhaps with a fraction (RFC 7519, section 2). A number
// too large for any date is compared as a number, and so needs no rule of its own.
func seconds(claims map[string]any, name string) (value float64, ok bool, err error) {
	claim, ok := claims[name]
	if !ok {
		return 0, false, nil
	}
	number, _ := claim.(json.Number)
	value, err = number.Float64()
	if err != nil {
		return 0, false, invalid("the claim %s is no time", name)
	}
	return value, true, nil
}

// since returns the seconds since 1970.
func since(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
