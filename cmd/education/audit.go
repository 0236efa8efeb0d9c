package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencloud-eu/education/pkg/audit"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/education/api"
)

// Values of EDUCATION_AUDIT and of EDUCATION_AUDIT_FILE that mean something of their own.
const (
	auditOff      = "off"
	auditRequired = "required"
	auditStdout   = "stdout"
)

// auditFile is the record's name in the data folder.
const auditFile = "audit.log"

// record is the audit record of a running service. A service that keeps none has a record whose trail is nil.
type record struct {
	trail *audit.Trail
	file  *audit.File
}

// openRecord opens the audit record that the settings ask for.
func (s *settings) openRecord(logger *slog.Logger, stdout io.Writer) (*record, error) {
	if s.Audit == auditOff {
		return &record{}, nil
	}
	file, err := s.openAuditFile(stdout)
	if err != nil {
		return nil, fmt.Errorf("EDUCATION_AUDIT_FILE: %w", err)
	}
	return &record{file: file, trail: audit.New(audit.Config{
		Store: file, Logger: logger, Required: s.Audit == auditRequired, AddressOf: s.addressOf,
	})}, nil
}

func (s *settings) openAuditFile(stdout io.Writer) (*audit.File, error) {
	if s.AuditFile != auditStdout {
		return audit.OpenFile(cmp.Or(s.AuditFile, filepath.Join(s.DataDir, auditFile)))
	}
	stream, ok := stdout.(*os.File)
	if !ok {
		return nil, errors.New("there is no standard output")
	}
	return audit.Stream(stream), nil
}

// addressOf returns what a path of the service addresses.
func (s *settings) addressOf(path string) education.Address {
	for _, version := range s.versionPaths() {
		if below, ok := strings.CutPrefix(path, version+apiPath+"/"); ok {
			return api.AddressOf("/" + below)
		}
	}
	return education.Address{}
}

// directory returns entities whose changes are recorded.
func (r *record) directory(entities education.Directory) education.Directory {
	if r.trail == nil {
		return entities
	}
	return r.trail.Directory(entities)
}

// followHangups opens the record's file, if there is one, again for each hangup, until ctx ends.
func (r *record) followHangups(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-hangups:
			if r.file != nil {
				r.file.Reopen()
			}
		case <-ctx.Done():
			return
		}
	}
}

// close writes what is left to write.
func (r *record) close() error {
	if r.file == nil {
		return nil
	}
	return errors.Join(r.trail.Close(), r.file.Close())
}
