package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// lockWait is how long the opening of a file waits for another process to let go of it.
const lockWait = time.Second

// openFile opens the file of a directory to read and write it. It makes one, and the folder it lies in, if there is
// none. It refuses a file that is damaged in a way that bbolt would not survive.
func openFile(path string) (*bolt.DB, error) {
	_, err := os.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if missing {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	} else if err == nil {
		err = readFile(path, func(tx *bolt.Tx, damage error) error { return damage })
	}
	if err != nil {
		return nil, err
	}
	options := *bolt.DefaultOptions
	// The list of free pages is found again when the file is opened, instead of being written with every commit.
	options.NoFreelistSync = true
	options.FreelistType = bolt.FreelistMapType
	// The file is mapped larger than it is, so that it seldom has to be mapped anew, which waits for all readers.
	options.InitialMmapSize = 256 << 20
	db, err := openBolt(path, options)
	if err != nil || !missing {
		return db, err
	}
	// The file's place in its folder has to reach the disk too.
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// ErrInUse is wrapped by the error of an Open of a file that another process has open.
var ErrInUse = errors.New("in use by another process")

// openBolt is bolt.Open with errors that say what an operator can do.
func openBolt(path string, options bolt.Options) (db *bolt.DB, err error) {
	options.Timeout = lockWait
	err = guarded(path, func() error {
		db, err = bolt.Open(path, 0o600, &options)
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is %w", path, ErrInUse)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s must be readable and writable: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

// readFile opens an existing file for reading alone and hands over a transaction, and what is wrong with the pages if
// anything is. Nothing may follow the pages of a file that is damaged.
func readFile(path string, use func(tx *bolt.Tx, damage error) error) error {
	about, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case about.Size() == 0:
		return fmt.Errorf("%s is empty: put a copy of the directory in its place, or remove it to begin anew", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	db, err := openBolt(path, bolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	err = guarded(path, func() error {
		return db.View(func(tx *bolt.Tx) error {
			damage := checkPages(tx, file, about.Size())
			if damage != nil {
				damage = damaged(path, damage)
			}
			return use(tx, damage)
		})
	})
	return errors.Join(err, db.Close())
}

// guarded calls a function and turns a panic in it into an error: bbolt panics on files that make no sense, and memory
// that is mapped from a file cannot be read where the file ends.
func guarded(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = damaged(path, cause)
		}
	}()
	return f()
}

func damaged(path string, cause any) error {
	return fmt.Errorf("%s is damaged, put a copy of the directory in its place: %v", path, cause)
}

// syncFolder writes the entries of a folder to disk.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
