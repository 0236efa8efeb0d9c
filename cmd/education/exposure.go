package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// warnOfExposure says what more users of this machine can read or change than need to, and whether the service may do more than
// it needs. It refuses nothing: an operator may have reasons that cannot be seen from here.
func (s *settings) warnOfExposure(ctx context.Context, logger *slog.Logger) {
	said := map[[2]string]bool{}
	warn := func(message string, file guardedFile, open, who string, more ...any) {
		about, err := os.Stat(open)
		absolute, wrong := filepath.Abs(file.path)
		if errors.Join(err, wrong) != nil || said[[2]string{message, absolute}] {
			return // What is gone may not be needed; who needs it says what is wrong.
		}
		said[[2]string{message, absolute}] = true
		logger.WarnContext(ctx, message, append([]any{
			"warning", "file.exposed", "file", file.path, "setting", file.setting, "mode", about.Mode().String(), "by", who,
		}, more...)...)
	}
	for _, file := range s.guardedFiles() {
		if who := file.exposedTo(); who != "" {
			warn("others can read or change a file that is the service's alone", file, file.path, who)
		}
		if folder := s.sharedAbove(file.path); folder != "" {
			warn("others can put a file of their own in the place of one that the service trusts", file, folder, "others", "folder", folder)
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

// guardedFiles returns the files that settings with the tags private and trusted name and that are used, the
// authorities of issuers, the data folder, and what is in it.
func (s *settings) guardedFiles() []guardedFile {
	var files []guardedFile
	for field := range fields() {
		private, trusted := field.Tag.Get("private") != "", field.Tag.Get("trusted") != ""
		name, path := field.Tag.Get("env"), s.value(field)
		if (private || trusted) && path != "" && path != auditStdout && s.isUsed(name) {
			files = append(files, guardedFile{cmp.Or(s.origins[name], name), path, private})
		}
	}
	if s.issuers != nil {
		for _, path := range s.issuers.CAFiles() { // That of the variables is there already.
			files = append(files, guardedFile{"EDUCATION_OIDC_FILE", path, false})
		}
	}
	files = append(files, guardedFile{dataFolder, s.DataDir, true})
	entries, _ := os.ReadDir(s.DataDir) // Who needs the folder says what is wrong with it.
	for _, entry := range entries {
		files = append(files, guardedFile{dataFolder, filepath.Join(s.DataDir, entry.Name()), true})
	}
	return files
}

// isUsed reports whether the file that a setting names means anything to the service as the other settings are.
func (s *settings) isUsed(setting string) bool {
	switch {
	case setting == "EDUCATION_AUDIT_FILE":
		return s.Audit != auditOff
	case strings.HasPrefix(setting, "EDUCATION_LDAP_TLS_"):
		return !s.isRemote()
	}
	return !strings.HasPrefix(setting, "EDUCATION_LDAP_") || s.isRemote()
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
// the place of what is there, or "" if there is none. For a file in the data folder that ends below it: the data folder is guarded
// itself, and what is around it may be a container's volume, which is nobody else's whatever its mode.
func (s *settings) sharedAbove(path string) string {
	data := places(s.DataDir)
	for _, entry := range places(path) {
		for !slices.Contains(data, entry) && filepath.Dir(entry) != entry {
			folder := filepath.Dir(entry)
			if !slices.Contains(data, folder) && isShared(folder, entry) && !isEnclosed(folder) {
				return folder
			}
			entry = folder
		}
	}
	return ""
}

// places returns the absolute paths of a file and, if it is there, of what it is a link to.
func places(path string) []string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	if target, err := filepath.EvalSymlinks(absolute); err == nil && target != absolute {
		return []string{absolute, target}
	}
	return []string{absolute}
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
