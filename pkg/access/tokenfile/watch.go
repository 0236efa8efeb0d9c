package tokenfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
)

const (
	// lookEvery is how long a file is taken to be as it was. What is written is in force that much later, and the time that
	// it takes to read it.
	lookEvery = 250 * time.Millisecond
	// settleTime is how long a file that has changed is read at each look, whatever its size and time say. They do not tell two
	// writes apart that a coarse clock gives one time, and the coarsest clocks of file systems have steps of 2 s.
	settleTime = 3 * time.Second
	// maxSize is the size, in bytes, up to which a file is read.
	maxSize = 64 << 20
)

// watched is what a file holds, read again when the file has changed. It is looked at when it is used; nothing runs in between,
// and nothing depends on what tells processes of changes, which file systems on a network do not do.
type watched[T any] struct {
	path string
	// read returns the content of the file and what the file was when it was read; it is readFile but for tests.
	read func(path string) (os.FileInfo, []byte, error)
	// parse understands the content. That of a file that is not there is nil.
	parse func(content []byte) (T, error)
	// keep says that what was read last stays in force while the file is not there or cannot be read.
	keep   bool
	logger *slog.Logger
	now    func() time.Time
	// differences, if there is such a function, says for the log what has become other. None of it may be secret.
	differences func(before, after T) []any

	latest atomic.Pointer[look[T]]
	// mutex is held by the one that looks. Everybody else waits: to go on with what may have been revoked meanwhile is no choice.
	mutex sync.Mutex
}

// look is what was found at a look.
type look[T any] struct {
	value T
	// err says why there is no value, or why it is an old one.
	err error
	// at is when the look began, and since when the file has been as it is.
	at, since time.Time
	// settled says that the file was read when it had not changed for settleTime.
	settled bool
	// file is nil if there is none, or if it cannot be told.
	file   os.FileInfo
	digest access.Digest
}

// current returns what the file holds, which was true at most lookEvery ago. The error says that it cannot be told.
func (w *watched[T]) current() (T, error) { return w.within(lookEvery) }

// within returns what the file holds, which was true at most age ago; with 0, when it was called or later. All who wait for a
// look at the same time share it.
func (w *watched[T]) within(age time.Duration) (T, error) {
	asked := w.now()
	if latest := w.latest.Load(); latest.fresh(asked, asked, age) {
		return latest.usable(w.keep)
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	latest := w.latest.Load()
	if now := w.now(); !latest.fresh(asked, now, age) {
		next := w.look(latest, now)
		w.report(latest, next)
		w.latest.Store(next)
		latest = next
	}
	return latest.usable(w.keep)
}

// fresh reports whether a look, if there has been one, began less than age before somebody asked. One that lies ahead of now does
// not count: a clock has been set back.
func (l *look[T]) fresh(asked, now time.Time, age time.Duration) bool {
	return l != nil && !l.at.After(now) && asked.Sub(l.at) < age
}

// usable returns the value if it may be used.
func (l *look[T]) usable(keep bool) (T, error) {
	if l.err != nil && !keep {
		var none T
		return none, l.err
	}
	return l.value, nil
}

// look looks at the file, and reads it if it is not as it was.
func (w *watched[T]) look(before *look[T], now time.Time) *look[T] {
	about, err := os.Stat(w.path)
	if before.sees(about) && before.settled {
		again := *before
		again.at = now
		return &again
	}
	next := &look[T]{at: now, since: now}
	if before != nil {
		next.value = before.value // For as long as there is nothing newer, and for whoever keeps it.
	}
	var content []byte
	if err == nil {
		next.file, content, err = w.read(w.path)
	}
	if before.sees(next.file) {
		next.since = before.since
		// A disk that fails may be well again without a change of the file.
		decided := err == nil || errors.Is(err, errTooLarge)
		next.settled = decided && now.Sub(next.since) >= settleTime
	}
	if err != nil && (w.keep || !errors.Is(err, fs.ErrNotExist)) {
		next.err = err
		return next
	}
	next.digest = access.DigestOf(string(content))
	if before != nil && before.file != nil && next.file != nil && before.digest == next.digest {
		next.err = before.err // The same text has the same meaning.
		return next
	}
	value, err := w.parse(content)
	if err != nil {
		next.err = err
		return next
	}
	next.value = value
	return next
}

// sees reports whether a file is, for all that can be told without reading it, the one that was looked at.
func (l *look[T]) sees(about os.FileInfo) bool {
	return l != nil && l.file != nil && about != nil &&
		os.SameFile(l.file, about) && l.file.Size() == about.Size() && l.file.ModTime().Equal(about.ModTime())
}

var errTooLarge = fmt.Errorf("the file is larger than %d bytes", maxSize)

// readFile returns the content of a file and what the file was when it was read.
func readFile(path string) (os.FileInfo, []byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err == nil && len(content) > maxSize {
		err = errTooLarge
	}
	return about, content, err
}

// report logs what a look has found that the one before has not.
func (w *watched[T]) report(before, next *look[T]) {
	was := ""
	if before != nil && before.err != nil {
		was = before.err.Error()
	}
	effect := "none of the tokens in it is let in until it can be read"
	if w.keep {
		effect = "the tokens that it held last stay valid until it can be read"
	}
	about := func() []any {
		if w.differences == nil || before == nil {
			return []any{"file", w.path}
		}
		return append([]any{"file", w.path}, w.differences(before.value, next.value)...)
	}
	switch {
	case next.err != nil && next.err.Error() != was:
		w.logger.Error("the file of tokens cannot be used", "file", w.path, "cause", next.err, "effect", effect)
	case next.err != nil || before == nil:
	case next.file == nil && before.file != nil:
		w.logger.Warn("the file of tokens is gone", append(about(), "effect", "there are no tokens but those that are set elsewhere")...)
	case was != "":
		w.logger.Info("the file of tokens can be used again", about()...)
	case before.digest != next.digest:
		w.logger.Info("the file of tokens has changed and is in force", about()...)
	}
}
