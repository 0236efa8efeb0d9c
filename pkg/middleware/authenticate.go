package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Credentials knows the credentials of tokens, as access.Gate does.
type Credentials interface {
	Credential(ctx context.Context, token string) (*access.Credential, error)
}

// Challenges of 401 responses (RFC 6750, section 3). A request without a token is told no more than that there must be one.
// All that is wrong with a token has one answer, from which nobody learns whether it has ever been a good one.
const (
	challenge        = `Bearer realm="education"`
	invalidChallenge = challenge + `, error="invalid_token", error_description="the token is not valid, or not any more"`
)

// Authenticate lets a request pass if it carries a bearer token (RFC 6750, section 2.1) that stands for a credential, and puts
// that into its context. Otherwise it answers 401 or, if the token cannot be judged at the moment, 503.
func Authenticate(credentials Credentials) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, ok := bearerToken(r.Header)
			if !ok {
				refuse(w, r, challenge)
				return
			}
			credential, err := credentials.Credential(r.Context(), token)
			switch {
			case errors.Is(err, access.ErrUnknown), errors.Is(err, access.ErrInvalid):
				slog.InfoContext(r.Context(), "a token was refused", "request-id", odata.RequestIDsOf(r.Context()).Server, "cause", err)
				refuse(w, r, invalidChallenge)
			case err != nil:
				odata.WriteError(w, r, odata.Errorf(odata.ServiceNotAvailable, "", "the token cannot be checked at the moment; try again").Because(err))
			default:
				seen := observe(w)
				seen.credential = credential
				next.ServeHTTP(seen, r.WithContext(access.With(r.Context(), credential)))
			}
		})
	}
}

// refuse answers 401.
func refuse(w http.ResponseWriter, r *http.Request, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	odata.WriteError(w, r, odata.Errorf(odata.InvalidToken, "", "invalid or missing token"))
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
