package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"

	"golang.org/x/term"
)

// startMessage is what somebody who has just started the service wants to know. It holds no secret, only where the
// secrets are.
type startMessage struct {
	// http, ldap and ldaps are the addresses that the listeners have been given; empty for one that is off.
	http, ldap, ldaps string
	// remote are the servers that hold the directory, if it is not in the process.
	remote []string
	// tls says that the API is served with TLS.
	tls      bool
	apiPath  string
	token    credential
	accounts []account
}

// account is an account of the LDAP listener, and the file that holds its password.
type account struct {
	dn           string
	passwordFile string
}

// announce tells that the service listens: in a few lines to a person at a terminal, in a log line to anybody else.
func (m startMessage) announce(stdout io.Writer, logger *slog.Logger) {
	if isTerminal(stdout) {
		m.print(stdout)
		return
	}
	attributes := []any{"http", m.http, "ldap", m.ldap}
	if len(m.remote) > 0 {
		attributes = []any{"http", m.http, "directory", m.remote}
	}
	if m.ldaps != "" {
		attributes = append(attributes, "ldaps", m.ldaps)
	}
	if m.token.file != "" {
		attributes = append(attributes, "token_file", m.token.file)
	}
	logger.Info("listening", append(attributes, "api", m.apiURL(), "version", buildVersion())...)
}

// print writes the message as text.
func (m startMessage) print(w io.Writer) {
	var b strings.Builder
	row := func(name, value string) { fmt.Fprintf(&b, "  %-6s %s\n", name, value) }
	fmt.Fprintf(&b, "education %s\n\n", buildVersion())
	row("API", m.apiURL())
	if m.token.file != "" {
		row("token", m.token.file)
	} else {
		row("token", "as "+m.token.variable+" says")
	}
	if m.ldap != "" {
		row("LDAP", "ldap://"+reachable(m.ldap))
	}
	if m.ldaps != "" {
		row("", "ldaps://"+reachable(m.ldaps))
	}
	for _, uri := range m.remote {
		row("LDAP", uri)
	}
	for _, account := range m.accounts {
		row("", account.dn+", password in "+account.passwordFile)
	}
	fmt.Fprintf(&b, "\nTry it in another terminal:\n\n  %s\n\n", m.curl())
	// A terminal that cannot be written to has nobody to tell.
	_, _ = io.WriteString(w, b.String())
}

func (m startMessage) apiURL() string {
	scheme := "http"
	if m.tls {
		scheme = "https"
	}
	return scheme + "://" + reachable(m.http) + m.apiPath
}

// curl returns a command that lists the users, for a shell in the folder the service was started in.
func (m startMessage) curl() string {
	token := "$" + m.token.variable
	if m.token.file != "" {
		token = "$(cat " + shellWord(m.token.file) + ")"
	}
	return fmt.Sprintf(`curl -H "Authorization: Bearer %s" %s/users`, token, m.apiURL())
}

// reachable returns an address at which a listener can be called from this machine: one that listens on all
// interfaces has no address of its own.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9._/+-]+$`)

// shellWord returns text as one word of a POSIX shell.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// isTerminal reports whether a writer is a terminal.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
