package main

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// warnOfExposure says what more users of this machine can read than need to, and whether the service may do more than it
// needs. It refuses nothing: an operator may have reasons that cannot be seen from here.
func (s *settings) warnOfExposure(ctx context.Context, logger *slog.Logger) {
	for _, file := range s.privateFiles() {
		about, err := os.Stat(file.path)
		if err != nil {
			continue // It may not be needed; who needs it says what is wrong.
		}
		if who := readers(about); who != "" && !isEnclosed(file.path) {
			logger.WarnContext(ctx, "others can read or change a file that is the service's alone",
				"warning", "file.exposed", "file", file.path, "setting", file.setting, "mode", about.Mode().Perm().String(), "by", who)
		}
	}
	if os.Geteuid() == 0 && !inContainer() {
		logger.WarnContext(ctx, "the service runs as root, which it has no need to", "warning", "process.root")
	}
}

// privateFile is a file or a folder that nobody but the service should be able to read, and the setting that leads to it.
type privateFile struct {
	setting string
	path    string
}

// privateFiles returns the files that settings with the tag private name, the data folder, and what is in it.
func (s *settings) privateFiles() []privateFile {
	var files []privateFile
	for field := range fields() {
		if path := s.value(field); field.Tag.Get("private") != "" && path != "" {
			files = append(files, privateFile{field.Tag.Get("env"), path})
		}
	}
	const folder = "EDUCATION_DATA_DIR"
	files = append(files, privateFile{folder, s.DataDir})
	entries, _ := os.ReadDir(s.DataDir) // Who needs the folder says what is wrong with it.
	for _, entry := range entries {
		files = append(files, privateFile{folder, filepath.Join(s.DataDir, entry.Name())})
	}
	return files
}

// isEnclosed reports whether a folder above a file lets nobody else through, so that the file's own mode does not matter.
func isEnclosed(path string) bool {
	path, err := filepath.Abs(path)
	for err == nil && filepath.Dir(path) != path {
		path = filepath.Dir(path)
		var about fs.FileInfo
		if about, err = os.Stat(path); err == nil && about.Mode()&0o011 == 0 {
			return true
		}
	}
	return false
}

// inContainer reports whether Docker or Podman have left their mark, or the service is the first process of its world.
func inContainer() bool {
	for _, path := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return os.Getpid() == 1
}
