package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// systemdUnit is the unit of deploy/systemd.
const systemdUnit = "../../deploy/systemd/education.service"

// TestSystemdUnit holds that systemd understands every line of the unit and rates its exposure as at most 1.5 of 10.
func TestSystemdUnit(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	require(t, "systemd", "systemd-analyze")
	unit, err := os.ReadFile(systemdUnit)
	if err != nil {
		t.Fatal(err)
	}
	// The binary is not where the unit is made for.
	installed := strings.Replace(string(unit), "/usr/local/bin/education", binary, 1)
	path := filepath.Join(t.TempDir(), "education.service")
	if err := os.WriteFile(path, []byte(installed), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{"verify", "--man=no", path}, {"security", "--offline=true", "--threshold=15", "--no-pager", path}} {
		output, err := exec.Command("systemd-analyze", arguments...).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze %s: %v\n%s", arguments[0], err, output)
		}
		// What systemd does not know it passes over with a warning.
		if arguments[0] == "verify" && len(output) > 0 {
			t.Errorf("systemd-analyze verify says:\n%s", output)
		}
	}
}

// TestSystemdEnvironment holds that the service knows the settings that the unit makes.
func TestSystemdEnvironment(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	unit, err := os.ReadFile(systemdUnit)
	if err != nil {
		t.Fatal(err)
	}
	_, line, found := strings.Cut(string(unit), "\nEnvironment=")
	line, _, _ = strings.Cut(line, "\n")
	if !found {
		t.Fatal("the unit sets no environment")
	}
	known, err := exec.Command(binary, "config").Output()
	if err != nil {
		t.Fatal(err)
	}
	for setting := range strings.FieldsSeq(line) {
		if name, _, _ := strings.Cut(setting, "="); !strings.Contains("\n"+string(known), "\n"+name+"=") {
			t.Errorf("the unit sets %s, which the service does not know", name)
		}
	}
}
