package doctor

import "fmt"

// Severity says how bad a finding is.
type Severity int

const (
	// OK is as it should be.
	OK Severity = iota
	// Note is worth knowing and does no harm, or could not be found out.
	Note
	// Warning costs time, safety or a promise that the service otherwise makes.
	Warning
	// Error keeps a part of the service from working, or lets data become wrong.
	Error
)

// String returns the severity as findings show it.
func (s Severity) String() string {
	switch s {
	case OK:
		return "ok"
	case Note:
		return "note"
	case Warning:
		return "warning"
	case Error:
		return "error"
	default:
		return fmt.Sprintf("Severity(%d)", int(s))
	}
}

// MarshalText is String for JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is the answer to one question about one server, or about all of them.
type Finding struct {
	// ID is the name of the question. It stays the same from release to release.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Server is the URI of the server, empty if the finding is about all servers.
	Server string `json:"server,omitempty"`
	// Matter says what is the matter, Cost what it costs, and Remedy what to do about it; each is one sentence or more.
	// The last two are empty if nothing is the matter.
	Matter string `json:"matter"`
	Cost   string `json:"cost,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// Worst returns the greatest severity among findings.
func Worst(findings []Finding) Severity {
	worst := OK
	for _, finding := range findings {
		worst = max(worst, finding.Severity)
	}
	return worst
}

// verdict is a finding whose question and server are known to whoever asked.
type verdict struct {
	severity             Severity
	matter, cost, remedy string
}

func ok(format string, args ...any) verdict {
	return verdict{severity: OK, matter: fmt.Sprintf(format, args...)}
}
