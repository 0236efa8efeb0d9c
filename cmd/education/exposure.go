package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// warnOfExposure says what more users of this machine can read or change than need to, and whether the service may do more than
// it needs. It refuses nothing: an operator may have reasons that cannot be seen from here.
func (s *settings) warnOfExposure(ctx context.Context, logger *slog.Logger) {
	said := map[string]bool{}
	warn := func(setting, path, who string) {
		about, err := os.Stat(path)
		absolute, wrong := filepath.Abs(path)
		if errors.Join(err, wrong) != nil || said[absolute] {
			return // What is gone may not be needed; who needs it says what is wrong.
		}
		said[absolute] = true
		logger.WarnContext(ctx, "others can read or change a file that is the service's alone",
			"warning", "file.exposed", "file", path, "setting", setting, "mode", about.Mode().Perm().String(), "by", who)
	}
	for _, file := range s.guardedFiles() {
		if who := file.exposedTo(); who != "" {
			warn(file.setting, file.path, who)
		}
		// What is around the data folder may be a container's volume, which is nobody else's whatever its mode.
		if folder := sharedAbove(file.path); folder != "" && file.setting != dataFolder {
			warn(file.setting, folder, "others")
		}
	}
	if os.Geteuid() == 0 && !inContainer() {
		logger.WarnContext(ctx, "the service runs as root, which it has no need to", "warning", "process.root")
	}
}

// guardedFile is a file or a folder that nobody but the service and root should be able to change, and the setting that leads to
// it.
type guardedFile struct {
	setting string
	path    string
	// private says that nobody else should be able to read it either.
	private bool
}

// dataFolder is the setting that leads to the data folder and to what is in it.
const dataFolder = "EDUCATION_DATA_DIR"

// guardedFiles returns the files that settings with the tags private and trusted name, the data folder, and what is in it.
func (s *settings) guardedFiles() []guardedFile {
	var files []guardedFile
	for field := range fields() {
		private, trusted := field.Tag.Get("private") != "", field.Tag.Get("trusted") != ""
		if path := s.value(field); (private || trusted) && path != "" && path != auditStdout {
			files = append(files, guardedFile{field.Tag.Get("env"), path, private})
		}
	}
	files = append(files, guardedFile{dataFolder, s.DataDir, true})
	entries, _ := os.ReadDir(s.DataDir) // Who needs the folder says what is wrong with it.
	for _, entry := range entries {
		files = append(files, guardedFile{dataFolder, filepath.Join(s.DataDir, entry.Name()), true})
	}
	return files
}

// exposedTo says who can do with a file, if it is there, what they should not: "others", "group", or "" for nobody.
func (f guardedFile) exposedTo() string {
	about, err := os.Stat(f.path)
	if err != nil {
		return ""
	}
	who := writers(about)
	if f.private {
		who = readers(about)
	}
	if who != "" && isEnclosed(f.path) {
		return ""
	}
	return who
}

// isEnclosed reports whether a folder above a file, or above what it is a link to, lets nobody else through, so that the file's
// own mode does not matter.
func isEnclosed(path string) bool {
	path, err := filepath.EvalSymlinks(path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	for err == nil && filepath.Dir(path) != path {
		path = filepath.Dir(path)
		var about fs.FileInfo
		if about, err = os.Stat(path); err == nil && about.Mode()&0o011 == 0 {
			return true
		}
	}
	return false
}

// sharedAbove returns a folder above a file, or above what it is a link to, in which others can put something of their own in
// the place of what is there, or "" if there is none.
func sharedAbove(path string) string {
	paths := []string{path}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		paths = append(paths, target)
	}
	for _, path := range paths {
		entry, err := filepath.Abs(path)
		for err == nil && filepath.Dir(entry) != entry {
			folder := filepath.Dir(entry)
			if isShared(folder, entry) && !isEnclosed(folder) {
				return folder
			}
			entry = folder
		}
	}
	return ""
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
