//go:build !unix

package tokenfile

import (
	"context"
	"errors"
)

// lock fails: without a lock two commands at a time could lose what one of them has written.
func lock(context.Context, string) (func() error, error) {
	return nil, errors.New("tokens can be changed on Unix-like systems only, for want of flock(2)")
}
