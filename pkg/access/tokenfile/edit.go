package tokenfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencloud-eu/education/internal/secretfile"
)

// lockPause is how long it takes until a lock that another process has is tried again.
const lockPause = 20 * time.Millisecond

// Read returns what the file at path holds. One that is not there holds nothing.
func Read(path string) (*Document, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Document{Version: version}, nil
	}
	if err != nil {
		return nil, err
	}
	document, err := Parse(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return document, nil
}

// Edit lets change have what the file at path holds, and writes what it makes of it, unless it returns an error. No two
// processes do so at the same time: a further one waits until ctx ends. A lock file beside the file sees to that; it stays, since
// whoever removed it could take it from under somebody who waits. A reader sees the file as it was or as it is then.
func Edit(ctx context.Context, path string, change func(*Document) error) (err error) {
	// Where the name is a link to a file elsewhere, that file is the one to write.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	unlock, err := lock(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	document, err := Read(path)
	if err != nil {
		return err
	}
	if err := change(document); err != nil {
		return err
	}
	if err := document.check(); err != nil {
		return err
	}
	content, err := document.encode()
	if err != nil {
		return err
	}
	return secretfile.Write(path, content)
}
