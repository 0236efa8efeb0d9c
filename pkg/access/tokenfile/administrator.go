package tokenfile

import (
	"context"
	"log/slog"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
)

// Administrator is the Authenticator of tokens that may do everything and that stand, as they are, in a file.
type Administrator struct{ tokens watched[[]access.Digest] }

// OpenAdministrator returns the Authenticator of the tokens in the file at path, which parse reads and checks. The error is
// that of the file as it is now. Later a file that is not there, cannot be read or is refused by parse leaves those tokens valid
// that it held last: whoever repairs things needs one.
func OpenAdministrator(path string, parse func(content []byte) ([]string, error), logger *slog.Logger) (*Administrator, error) {
	return openAdministrator(path, parse, logger, time.Now)
}

func openAdministrator(path string, parse func([]byte) ([]string, error), logger *slog.Logger, now func() time.Time) (*Administrator, error) {
	digests := func(content []byte) ([]access.Digest, error) {
		tokens, err := parse(content)
		var digests []access.Digest
		for _, token := range tokens {
			digests = append(digests, access.DigestOf(token))
		}
		return digests, err
	}
	a := &Administrator{watched[[]access.Digest]{path: path, read: readFile, parse: digests, keep: true, logger: logger, now: now}}
	_, _ = a.tokens.current()
	return a, a.tokens.latest.Load().err
}

// Authenticate implements access.Authenticator.
func (a *Administrator) Authenticate(ctx context.Context, token string) (*access.Grant, error) {
	digests, err := a.tokens.current()
	if err != nil {
		return nil, err
	}
	for _, digest := range digests {
		if grant, err := (access.Single{Token: digest}).Authenticate(ctx, token); err == nil {
			return grant, nil
		}
	}
	return nil, access.ErrUnknown
}
