package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// fileMode is the mode of a file that is made. One that is there keeps its own.
const fileMode = 0o600

// writePatience is how long the reader of a pipe, a terminal or the like may take for a line. Everybody waits for it, once.
const writePatience = time.Second

// errStalled says that nobody takes what is written, and errUnderWay that the line itself is still being written then: all of it
// will be there, or nothing that anybody could read.
var (
	errStalled  = errors.New("the reader of the record takes nothing")
	errUnderWay = fmt.Errorf("%w, and has a part of the line", errStalled)
)

// File is a file to which lines are appended, each by one write(2). It may be renamed or removed at any time, as logrotate
// does: the next line goes into a new one. What a full disk has taken of a line is taken back, so that no line ever goes on
// behind the half of another one. Its methods may be called at the same time.
//
// Of a file that is no regular one, such as a pipe, nobody may read. A line that it does not take within a second fails, and all
// others fail at once until it has taken that line after all, whole.
//
// A regular file is locked, since taking back needs one writer: a second File for it cannot be opened, in no process.
type File struct {
	path string

	mutex sync.Mutex
	file  *os.File
	// about is the file that was opened, nil for one that has no name to follow and cannot be cut, such as a pipe.
	about fs.FileInfo
	// stalled, unless nil, yields how a write ends that has outlasted writePatience.
	stalled <-chan written
	// torn says that the file ends within a line.
	torn bool
	// stale says that the file is to be opened again, whatever it is called.
	stale bool
	// appended counts lines; synced, which has a mutex of its own, those of them that are on disk.
	appended int
	syncing  sync.Mutex
	synced   int
	// doubtful counts the lines of which nobody can tell any more whether they are on disk, and failure says why: what fsync(2)
	// has reported once, it does not report again, and forgets what was to be written.
	doubtful int
	failure  error
	// fsync is (*os.File).Sync but for tests.
	fsync func(*os.File) error
}

// written is how a write has ended.
type written struct {
	octets int
	err    error
}

// OpenFile opens the file for appending, and makes it if it is not there.
func OpenFile(path string) (*File, error) {
	f := &File{path: path, fsync: (*os.File).Sync}
	return f, f.open()
}

// Stream returns a File for a stream that is open, such as the standard output. It has no name that could change.
func Stream(stream *os.File) *File { return &File{file: stream, fsync: (*os.File).Sync} }

// open opens the file that has the name now, and only then closes the one before.
func (f *File) open() error {
	_, missing := os.Stat(f.path)
	// Reading is for the last byte alone. Of a pipe, opening it for both does not wait for a reader.
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	about, err := file.Stat()
	if err == nil && f.about != nil && os.SameFile(about, f.about) {
		f.stale = false
		return file.Close()
	}
	if err == nil && about.Mode().IsRegular() {
		err = lock(file)
	}
	if err == nil && errors.Is(missing, fs.ErrNotExist) {
		err = syncFolder(filepath.Dir(f.path))
	}
	if err == nil && f.file != nil {
		err = f.leave()
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.about, f.stale, f.torn, f.stalled = file, nil, false, false, nil
	if about.Mode().IsRegular() {
		f.about, f.torn = about, endsWithin(file, about.Size())
	}
	return nil
}

// leave puts the lines of the file on disk and closes it.
func (f *File) leave() error {
	if f.about != nil {
		if err := f.fsync(f.file); err != nil {
			f.doubtful, f.failure = f.appended, err
			return err
		}
	}
	// Whatever Close reports now, the lines are on disk.
	_ = f.file.Close()
	return nil
}

// endsWithin reports whether a file of a size ends within a line, as after a power failure.
func endsWithin(file *os.File, size int64) bool {
	var last [1]byte
	if size == 0 {
		return false
	}
	_, err := file.ReadAt(last[:], size-1)
	return err != nil || last[0] != '\n'
}

// syncFolder puts the names in a folder on disk, as fsync(2) of a file alone does not.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Append writes a line, which ends with a line break. If it fails, nothing of the line stays, or nothing that is not ended
// by a line break before the next one.
func (f *File) Append(line []byte) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if err := f.follow(); err != nil {
		return err
	}
	if err := f.resume(); err != nil {
		return err
	}
	if f.torn {
		line = append([]byte{'\n'}, line...)
	}
	result := f.write(line)
	if result.err != nil {
		f.takeBack(int64(result.octets))
		// What is no regular file may have given way to one.
		f.stale = f.stale || f.path != "" && f.about == nil && f.stalled == nil
		return result.err
	}
	f.torn = false
	f.appended++
	return nil
}

// resume looks whether a write has ended that had outlasted writePatience. Until then nothing else can be written.
func (f *File) resume() error {
	if f.stalled == nil {
		return nil
	}
	select {
	case result := <-f.stalled:
		f.stalled, f.torn = nil, result.err != nil && (f.torn || result.octets > 0)
		return nil
	default:
		return errStalled
	}
}

// write writes a line, and does not wait for longer than writePatience. A line that is still being written then is neither
// taken back nor lost.
func (f *File) write(line []byte) written {
	if f.about != nil {
		octets, err := f.file.Write(line)
		return written{octets, err}
	}
	ended := make(chan written, 1)
	go func(file *os.File) {
		octets, err := file.Write(line)
		ended <- written{octets, err}
	}(f.file)
	patience := time.NewTimer(writePatience)
	defer patience.Stop()
	select {
	case result := <-ended:
		return result
	case <-patience.C:
		f.stalled = ended
		return written{0, errUnderWay}
	}
}

// follow opens the file again if it has been told to, or if another file or none has the name.
func (f *File) follow() error {
	if f.path == "" {
		return nil
	}
	if !f.stale && f.about != nil {
		now, err := os.Stat(f.path)
		f.stale = err != nil || !os.SameFile(now, f.about)
	}
	if !f.stale {
		return nil
	}
	return f.open()
}

// takeBack cuts off what a failed write has left.
func (f *File) takeBack(written int64) {
	if written == 0 {
		return
	}
	f.torn = true
	if f.about == nil {
		return
	}
	now, err := f.file.Stat()
	if err == nil && f.file.Truncate(now.Size()-written) == nil {
		f.torn = endsWithin(f.file, now.Size()-written)
	}
}

// Sync returns when all lines that have been appended are on disk; those who call it at the same time share one fsync(2), also
// if it fails. For a file that is no regular one it does nothing.
func (f *File) Sync() error {
	f.mutex.Lock()
	wanted := f.appended
	f.mutex.Unlock()
	f.syncing.Lock()
	defer f.syncing.Unlock()
	for {
		f.mutex.Lock()
		file, regular, appended, doubtful, failure := f.file, f.about != nil, f.appended, f.doubtful, f.failure
		f.mutex.Unlock()
		switch {
		case wanted <= doubtful:
			return failure
		case wanted <= f.synced:
			return nil
		case !regular:
			f.synced = appended
			continue
		}
		switch err := f.fsync(file); {
		case err == nil:
			f.synced = appended
		case errors.Is(err, os.ErrClosed) && f.hasLeft(file):
			// Its lines are on disk, or doubtful.
		default:
			f.mutex.Lock()
			f.doubtful, f.failure = max(f.doubtful, appended), err
			f.mutex.Unlock()
			return err
		}
	}
}

// hasLeft reports whether another file than the given one is written now.
func (f *File) hasLeft(file *os.File) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.file != file
}

// Reopen lets the next line go into the file that has the name then.
func (f *File) Reopen() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.stale = f.path != ""
}

// Close puts all lines on disk and closes the file. A stream stays open.
func (f *File) Close() error {
	err := f.Sync()
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.path == "" {
		return err
	}
	return errors.Join(err, f.file.Close())
}

var _ io.Closer = (*File)(nil)
