// Command education is a provisioning API for OpenCloud: schools, users and classes over HTTP, kept in an LDAP
// directory that OpenCloud reads.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// version is set by the linker for a release: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the next one has its usual effect: it ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// commands are the subcommands. What concerns the service is set in the environment; flags say what a command prints and
// how far it goes.
type commands struct {
	Serve   serveCommand   `cmd:"" default:"1" help:"Serve the API and the directory (the default)."`
	Config  configCommand  `cmd:"" help:"Print the settings in force, without secrets."`
	Check   checkCommand   `cmd:"" help:"Look for faults in the directory's file. No server may be running on it."`
	Doctor  doctorCommand  `cmd:"" help:"Examine the LDAP servers, with throw-away entries, and say what they lack and what that costs."`
	Migrate migrateCommand `cmd:"" help:"Bring a directory up to date, or move one into another. Without --apply it only tells what it would do."`
	Token   tokenCommands  `cmd:"" help:"Make, list, rotate and revoke tokens of a running service, beside the administrator's."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// process is what a command may know of the process it runs in.
type process struct {
	environment map[string]string
	stdout      io.Writer
	stderr      io.Writer
}

// run carries out the command in arguments and returns the process's exit status: 0, 1 after a failure, which has
// been reported on stderr, 2 for arguments that name no command, or 3 after errAttention, unless the command has statuses
// of its own: see statusError. It ends early when ctx does.
func run(ctx context.Context, arguments, environment []string, stdout, stderr io.Writer) int {
	parser, err := kong.New(&commands{}, kong.Name("education"), kong.Writers(stdout, stderr),
		kong.Description("A provisioning API for OpenCloud. Settings are environment variables; see 'education config'."),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&process{environment: variables(environment), stdout: stdout, stderr: stderr}))
	if err != nil {
		return report(stderr, err, 1)
	}
	if err := checkText(arguments); err != nil {
		return report(stderr, err, 2)
	}
	command, err := parser.Parse(arguments)
	if err != nil {
		return report(stderr, err, 2)
	}
	err = command.Run()
	var status *statusError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errAttention):
		return report(stderr, err, 3)
	case !errors.As(err, &status):
		return report(stderr, err, 1)
	case status.cause == nil:
		return status.status
	}
	return report(stderr, status.cause, status.status)
}

// checkText returns an error if an argument is not valid UTF-8. Kong (v1.17.0, Scanner.PopValueInto) would replace what is not by U+FFFD,
// and a command do something else than it was told.
func checkText(arguments []string) error {
	for _, argument := range arguments {
		if !utf8.ValidString(argument) {
			return fmt.Errorf("the argument %.40q is not valid UTF-8", argument)
		}
	}
	return nil
}

// A statusError ends the process with a certain status. Without a cause everything has been said already.
type statusError struct {
	status int
	cause  error
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %v", e.status, e.cause) }

func (e *statusError) Unwrap() error { return e.cause }

func report(stderr io.Writer, err error, status int) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(stderr, "education:", strings.TrimSuffix(line, "\n"))
	}
	return status
}

// variables returns the map of an environment in the form of os.Environ.
func variables(environment []string) map[string]string {
	values := make(map[string]string, len(environment))
	for _, pair := range environment {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	return values
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(p *process) error {
	_, err := fmt.Fprintln(p.stdout, "education", buildVersion())
	return err
}

// buildVersion returns the version that the linker was told or, for a build from a clone, the one that Go derives
// from the commit.
func buildVersion() string {
	if version != "" {
		return version
	}
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		return build.Main.Version
	}
	return "(unknown)"
}
