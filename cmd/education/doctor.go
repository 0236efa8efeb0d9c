package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencloud-eu/education/pkg/identity/doctor"
)

type doctorCommand struct {
	JSON     bool `name:"json" help:"Print the findings as JSON."`
	ReadOnly bool `name:"read-only" help:"Write nothing. What only a throw-away entry can show is left out."`
}

// The process's exit statuses after an examination.
const (
	statusFine = iota
	statusWarnings
	statusErrors
)

// Run prints what the LDAP servers lack. It ends the process with status 0 if nothing is worse than a note, 1 after a
// warning, and 2 after an error or if there was no examination.
func (c doctorCommand) Run(ctx context.Context, p *process) error {
	s, err := load(p.environment)
	if err != nil {
		return &statusError{statusErrors, err}
	}
	depth := doctor.Writing
	if c.ReadOnly {
		depth = doctor.Reading
	}
	findings := []doctor.Finding{embeddedFinding}
	var interrupted error
	if s.isRemote() {
		findings, interrupted = doctor.Examine(ctx, s.doctorConfig(depth))
	}
	show := printFindings
	if c.JSON {
		show = printJSON
	}
	if err := show(p.stdout, findings); err != nil {
		return &statusError{statusErrors, err}
	}
	if interrupted != nil {
		return &statusError{statusErrors, errors.New("interrupted: the findings are not all")}
	}
	if status := exitStatus(doctor.Worst(findings)); status != statusFine {
		return &statusError{status: status}
	}
	return nil
}

// doctorConfig returns the configuration of an examination of the servers that the settings name.
func (s *settings) doctorConfig(depth doctor.Depth) doctor.Config {
	return doctor.Config{
		Remote: s.remoteConfig(nil), UserBase: s.UserBase, ClassBase: s.ClassBase, SchoolBase: s.SchoolBase, Depth: depth,
	}
}

// embeddedFinding is all there is to say of a directory in the process.
var embeddedFinding = doctor.Finding{
	ID: "server.embedded",
	Matter: "There is no LDAP server to examine: the directory is in the process, which keeps its own rules." +
		" While the service is not running, 'education check' looks for faults in the directory's file.",
}

func exitStatus(worst doctor.Severity) int {
	switch worst {
	case doctor.OK, doctor.Note:
		return statusFine
	case doctor.Warning:
		return statusWarnings
	default:
		return statusErrors
	}
}

// examination is the JSON of an examination.
type examination struct {
	// Worst is the greatest severity among the findings.
	Worst    doctor.Severity  `json:"worst"`
	Findings []doctor.Finding `json:"findings"`
}

func printJSON(w io.Writer, findings []doctor.Finding) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	// A list that holds nothing is one, too.
	return encoder.Encode(examination{doctor.Worst(findings), append([]doctor.Finding{}, findings...)})
}

// printFindings prints the findings for a person, under the server that they are about.
func printFindings(w io.Writer, findings []doctor.Finding) error {
	var b strings.Builder
	counts := map[doctor.Severity]int{}
	server := ""
	for i, finding := range findings {
		if finding.Server != server || i == 0 {
			server = finding.Server
			heading(&b, server)
		}
		counts[finding.Severity]++
		fmt.Fprintf(&b, "  %-8s %-20s %s\n", finding.Severity, finding.ID, finding.Matter)
		for _, line := range []string{finding.Cost, finding.Remedy} {
			if line != "" {
				fmt.Fprintf(&b, "  %-8s %-20s %s\n", "", "", line)
			}
		}
	}
	fmt.Fprintf(&b, "\nerrors: %d, warnings: %d, notes: %d, in order: %d\n",
		counts[doctor.Error], counts[doctor.Warning], counts[doctor.Note], counts[doctor.OK])
	_, err := io.WriteString(w, b.String())
	return err
}

// heading begins the findings about a server, or about all.
func heading(b *strings.Builder, server string) {
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	if server != "" {
		b.WriteString(server + "\n")
	}
}
