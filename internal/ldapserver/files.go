package ldapserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// deployFolder returns a folder of the module's folder deploy. Tests run in the folder of their package.
func deployFolder(name string) (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return filepath.Join(folder, "deploy", name), nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("the test runs outside the module")
		}
		folder = parent
	}
}

// fill fills in what stands between @ signs in a template of the folder deploy.
func fill(template string, values map[string]string) string {
	pairs := make([]string, 0, 2*len(values))
	for name, value := range values {
		pairs = append(pairs, "@"+name+"@", value)
	}
	return strings.NewReplacer(pairs...).Replace(template)
}
