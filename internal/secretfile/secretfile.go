// Package secretfile keeps secrets in files: one that is made at random at the first start, or what its caller writes.
package secretfile

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Ensure returns the secret in a file. If there is no file, it makes one with 256 random bits as text that needs no
// quoting anywhere, readable by its owner alone. The file ends without a line feed, because option -y of OpenLDAP's
// commands takes every octet of a file for the secret; one that an editor put there does not count.
func Ensure(path string) (string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret := random()
		return secret, Write(path, []byte(secret))
	}
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("%s is empty: write a secret into it, or delete it to have one made", path)
	}
	return secret, nil
}

func random() string {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // It never fails (documentation of crypto/rand).
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// Write makes a file or takes the place of one. After a crash at any moment the file is either as it was or complete, and so it
// is to somebody who reads meanwhile. Its owner alone may read it. That is whoever owns the file that was there before or, where
// there was none, the folder, as far as the process may give files away: what root writes on behalf of a service, the service
// can read.
func Write(path string, content []byte) (err error) {
	folder := filepath.Dir(path)
	file, err := os.CreateTemp(folder, filepath.Base(path)+".*") // CreateTemp makes files of mode 0600.
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(content)
	if err = errors.Join(err, keepOwner(file, path), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// syncFolder puts the names in a folder on disk, as fsync(2) of a file alone does not.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
