package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

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

// authenticate lets a request pass if it carries a bearer token (RFC 6750, section 2.1) that stands for a credential, and puts
// that into its context. Otherwise it answers 401 or, if the token cannot be judged at the moment, 503. What the guard lets nobody
// try is answered 429.
func authenticate(credentials Credentials, guard *guard, refusals *refusals) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token := bearerToken(r.Header)
			end, refused := guard.admit(r, token)
			if refused != nil {
				withoutBody(w, r)
				refusals.answer(w, r, refused, guard.party(r))
				return
			}
			credential, err := judge(r.Context(), credentials, token, end)
			if err != nil {
				withoutBody(w, r)
				turnAway(refusals.bounded(w, r, guard.party(r)), r, err)
				return
			}
			seen := observe(w)
			seen.credential = credential
			next.ServeHTTP(seen, r.WithContext(access.With(r.Context(), credential)))
		})
	}
}

// errNoToken says that a request has no token. It is an access.ErrUnknown.
var errNoToken = fmt.Errorf("no token: %w", access.ErrUnknown)

// judge returns the credential of a token, and calls end with the error whatever happens.
func judge(ctx context.Context, credentials Credentials, token string, end func(error)) (credential *access.Credential, err error) {
	err = errPanic
	defer func() { end(err) }()
	if token == "" {
		return nil, errNoToken
	}
	credential, err = credentials.Credential(ctx, token)
	return credential, err
}

// errPanic is what a judgement ends with that panics.
var errPanic = errors.New("the token was not judged")

// bodyGrace is how long a connection is kept for a body that nobody will read.
const bodyGrace = 2 * time.Second

// withoutBody has the connection of a request of HTTP/1 with a body that nobody will read end after the answer. net/http would read
// the body before it sends the answer, so that the connection can be used again, and afterwards, so that the client sees it.
// It waits for it as long as for any other. The deadline is for such connections alone: with one that has passed, net/http takes
// every later request for one whose client has gone.
func withoutBody(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		// A writer without deadlines, such as one in a test, has no client to wait for.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyGrace))
	}
}

// turnAway answers a request whose token is not valid or cannot be judged.
func turnAway(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errNoToken):
		refuse(w, r, challenge)
	case errors.Is(err, access.ErrUnknown), errors.Is(err, access.ErrInvalid):
		slog.InfoContext(r.Context(), "a token was refused", "request-id", odata.RequestIDsOf(r.Context()).Server, "cause", err)
		refuse(w, r, invalidChallenge)
	default:
		odata.WriteError(w, r, odata.Errorf(odata.ServiceNotAvailable, "", "the token cannot be checked at the moment; try again").Because(err))
	}
}

// refuse answers 401.
func refuse(w http.ResponseWriter, r *http.Request, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	odata.WriteError(w, r, odata.Errorf(odata.InvalidToken, "", "invalid or missing token"))
}

// bearerToken returns the token of the Authorization header, or an empty string. There must be exactly one such header: of
// two, a proxy and this service might each believe another. The scheme's case does not count (RFC 9110, section 11.1).
func bearerToken(header http.Header) string {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}
