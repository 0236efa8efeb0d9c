package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/opencloud-eu/education/pkg/identity"
)

// rulesFile is the file in the data folder that says under which rules the unique keys in the directory were written.
const rulesFile = "rules"

// enforceRules brings the unique keys in the directory up to date when the settings that they follow have changed since
// the last start. The file is written afterwards, so that a start that breaks off is repeated.
func (s *settings) enforceRules(ctx context.Context, directory *identity.Directory, logger *slog.Logger) error {
	path := filepath.Join(s.DataDir, rulesFile)
	rules := fmt.Sprintf("EDUCATION_EXTERNAL_ID_SCOPE=%s\nEDUCATION_COMPATIBILITY=%s\n", s.ExternalIDScope, s.Compatibility)
	before, err := os.ReadFile(path)
	switch {
	case err == nil && string(before) == rules:
		return nil
	case err == nil:
		changed, err := directory.RefreshKeys(ctx)
		if err != nil {
			return fmt.Errorf("bring the unique keys up to date: %w", err)
		}
		logger.Info("the rules for unique values have changed; the directory follows them", "entities", changed)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return os.WriteFile(path, []byte(rules), 0o600)
}
