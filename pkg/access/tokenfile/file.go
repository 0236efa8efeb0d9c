package tokenfile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
)

const (
	// warnBefore is how long before its end it is in the log that somebody still uses a token, warnEvery how often.
	warnBefore = 14 * 24 * time.Hour
	warnEvery  = 24 * time.Hour
)

// errUnusable says that a token cannot be judged. What is wrong with the file is in the log once, when it is found.
var errUnusable = errors.New("the file of tokens cannot be used; the log said why when that began")

// File is the Authenticator of the tokens in a file.
type File struct {
	tokens watched[map[access.Digest]*holder]
	logger *slog.Logger
	now    func() time.Time

	mutex sync.Mutex
	// warned says when it was last logged that a token is about to end.
	warned map[access.Digest]time.Time
}

// holder is what the file says about one token.
type holder struct {
	grant *access.Grant
	token Token
}

// Open returns the Authenticator of the tokens in the file at path, which need not be there: then there are none. While there
// is a file that cannot be read or holds something else, none of its tokens is let in, since any of them may have been
// revoked.
func Open(path string, logger *slog.Logger) *File { return open(path, logger, time.Now) }

func open(path string, logger *slog.Logger, now func() time.Time) *File {
	f := &File{logger: logger, now: now, warned: map[access.Digest]time.Time{}}
	f.tokens = watched[map[access.Digest]*holder]{
		path: path, read: readFile, parse: holders, logger: logger, now: now, differences: differences,
	}
	_, _ = f.tokens.current() // So that a fault of the file is in the log at the start, not at the first request.
	return f
}

// holders reads the content of a file; nil is that of none.
func holders(content []byte) (map[access.Digest]*holder, error) {
	tokens := map[access.Digest]*holder{}
	if content == nil {
		return tokens, nil
	}
	document, err := Parse(content)
	if err != nil {
		return nil, err
	}
	for _, credential := range document.Credentials {
		grant, err := credential.grant()
		if err != nil {
			return nil, err
		}
		for _, token := range credential.Tokens {
			tokens[access.Digest(token.Digest)] = &holder{grant, token}
		}
	}
	return tokens, nil
}

// maxTold is how many tokens one line of the log names for each thing that has become of some.
const maxTold = 50

// differences says, for the log, which tokens have been made, which are no longer there, and of which it is another thing now what
// they permit or when they end. They are called by the name of their credential and their id, as 'education token list' does.
func differences(before, after map[access.Digest]*holder) []any {
	var made, ended, changed []string
	for digest, now := range after {
		was, ok := before[digest]
		switch {
		case !ok:
			made = append(made, now.String())
		case !reflect.DeepEqual(was, now):
			changed = append(changed, now.String())
		}
	}
	for digest, was := range before {
		if _, ok := after[digest]; !ok {
			ended = append(ended, was.String())
		}
	}
	var told []any
	for _, each := range []struct {
		what   string
		tokens []string
	}{{"made", made}, {"ended", ended}, {"changed", changed}} {
		if len(each.tokens) == 0 {
			continue
		}
		slices.Sort(each.tokens)
		if more := len(each.tokens) - maxTold; more > 0 {
			each.tokens = append(each.tokens[:maxTold], fmt.Sprintf("and %d more", more))
		}
		told = append(told, each.what, each.tokens)
	}
	return told
}

// String names a token to people.
func (h *holder) String() string { return h.grant.Name + " " + h.token.ID() }

// Authenticate implements access.Authenticator.
//
// The digest of the token is looked up in a map. How long that takes may depend on the digests in it, but tells nothing of
// use: whoever presents a token cannot choose its digest's bits but by trying, and a digest that was learnt whole would not tell the
// token, which is 256 random bits. It does not depend on how many tokens there are.
func (f *File) Authenticate(_ context.Context, token string) (*access.Grant, error) {
	if !wellFormed(token) {
		return nil, access.ErrUnknown
	}
	digest := access.DigestOf(token)
	found, err := f.find(digest)
	if err != nil {
		return nil, err
	}
	now := f.now()
	if !found.token.valid(now) {
		return nil, fmt.Errorf("%w: the token %s of %s expired at %s",
			access.ErrInvalid, found.token.ID(), found.grant.Name, found.token.Expires.Format(time.RFC3339))
	}
	f.warn(digest, found, now)
	return found.grant, nil
}

// find returns what the file says about a token. One that is not known may have been made since the last look, and whoever made
// it may use it at once: so the file is looked at again.
func (f *File) find(digest access.Digest) (*holder, error) {
	for _, age := range []time.Duration{lookEvery, 0} {
		tokens, err := f.tokens.within(age)
		if err != nil {
			return nil, errUnusable
		}
		if found, ok := tokens[digest]; ok {
			return found, nil
		}
	}
	return nil, access.ErrUnknown
}

// warn logs, once a day, that somebody uses a token that is about to end.
func (f *File) warn(digest access.Digest, used *holder, now time.Time) {
	if used.token.Expires.IsZero() || used.token.Expires.Sub(now) > warnBefore {
		return
	}
	f.mutex.Lock()
	last, ok := f.warned[digest]
	due := !ok || now.Sub(last) >= warnEvery
	if due {
		f.warned[digest] = now
	}
	f.mutex.Unlock()
	if due {
		f.logger.Warn("a token that is in use is about to end; 'education token rotate' makes the next one",
			"credential", used.grant.Name, "id", used.token.ID(), "expires", used.token.Expires)
	}
}
