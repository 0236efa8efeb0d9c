package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/migrate"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

type migrateCommand struct {
	From             string `placeholder:"WHERE" help:"Move from here: 'embedded' or the URI of an LDAP server. Without it, and with --to, from the directory that the environment names."`
	To               string `placeholder:"WHERE" help:"Move there. Without --from and --to, the directory that the environment names is brought up to date in place."`
	Other            string `placeholder:"FILE" help:"Settings of the directory that the environment does not name: lines of NAME=value, with the names that the environment has. Without it the other directory has the environment's account and bases."`
	Apply            bool   `help:"Write. Without it nothing is written, and what would be done is told."`
	Overwrite        bool   `help:"Make entities that are different in the target what they are in the source."`
	RemoveLostLinks  bool   `help:"In place: remove links to users and schools that do not exist."`
	WithoutPasswords bool   `help:"Move users without their passwords."`
	JSON             bool   `name:"json" help:"Print one JSON document instead of lines."`
}

// Help is what 'education migrate --help' says beside the flags.
func (migrateCommand) Help() string {
	return `It can be broken off at any moment and repeated. Exit status: 0 when everything is done or, without --apply, would be;
3 when that is so but for what somebody has to decide, which is told; 1 after a failure; 2 for wrong arguments.`
}

// statusArguments is the exit status after wrong arguments, as it is where they cannot even be parsed.
const statusArguments = 2

// errAttention ends a command that has done its work and found what somebody has to decide: exit status 3.
var errAttention = errors.New("some findings need a decision")

// Run brings a directory up to date, or moves one into another.
func (c migrateCommand) Run(ctx context.Context, p *process) error {
	own, err := load(p.environment)
	if err != nil {
		return err
	}
	logger := own.logger(p.stderr)
	setDefault(logger)
	out := newMigrationOutput(p.stdout, p.stderr, c.JSON, c.Apply)
	summary, err := c.run(ctx, p, own, out, logger)
	if ctx.Err() != nil {
		err = errors.New("interrupted; what was written stays, and the same command goes on from there")
	}
	if summary != nil {
		err = errors.Join(err, out.finish(summary, err == nil))
	}
	if err == nil && summary.Attention > 0 {
		return errAttention
	}
	return err
}

func (c migrateCommand) run(ctx context.Context, p *process, own *settings, out *migrationOutput, logger *slog.Logger) (summary *migrate.Summary, err error) {
	options := migrate.Options{
		Apply: c.Apply, Overwrite: c.Overwrite, RemoveLost: c.RemoveLostLinks, WithoutPasswords: c.WithoutPasswords,
		Report: out.report, Progress: out,
	}
	inPlace := c.From == "" && c.To == ""
	from, to, err := c.sides(own, p.environment)
	if err != nil {
		return nil, &statusError{statusArguments, err}
	}
	source, err := from.openSide(ctx, sideOptions{rules: own.rules(), written: inPlace && c.Apply}, logger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	out.begin(inPlace, source.Name, to.location())
	if inPlace {
		return migrate.InPlace(ctx, source.Side, options)
	}
	target, err := to.openSide(ctx, sideOptions{rules: own.rules(), written: c.Apply, target: true}, logger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, target.close()) }()
	return migrate.Move(ctx, source.Side, target.Side, options)
}

// nameEmbedded is what --from and --to call the directory in the process.
const nameEmbedded = "embedded"

// sides returns the settings of both directories: those of the environment, and those of the other one. In place both are
// the same.
func (c migrateCommand) sides(own *settings, environment map[string]string) (from, to *settings, err error) {
	for flag, where := range map[string]string{"--from": c.From, "--to": c.To} {
		if where != "" && where != nameEmbedded && checkURIs(where) != "" {
			return nil, nil, fmt.Errorf("%s must be '%s' or the URI of an LDAP server, such as ldaps://ldap.example.org", flag, nameEmbedded)
		}
	}
	switch {
	case c.From == "" && c.To == "":
		return own, own, nil
	case c.From == "" || own.is(c.From):
		to, err = c.otherSide(own, environment, c.To)
		return own, to, err
	case c.To == "" || own.is(c.To):
		from, err = c.otherSide(own, environment, c.From)
		return from, own, err
	}
	return nil, nil, fmt.Errorf("one of --from and --to must be the directory that the environment names, which is %s", own.where())
}

// where returns what --from and --to call the directory of the settings.
func (s *settings) where() string {
	if s.isRemote() {
		return s.LDAPURI
	}
	return nameEmbedded
}

// is reports whether --from or --to means the directory of the settings.
func (s *settings) is(where string) bool { return slices.Equal(splitList(where), splitList(s.where())) }

// location is where, with the path of the directory in the process.
func (s *settings) location() string {
	if s.isRemote() {
		return s.LDAPURI
	}
	return s.directoryPath()
}

// otherSide returns the settings of the directory that the environment does not name. Without a file they are those of the
// environment for the other kind of directory.
func (c migrateCommand) otherSide(own *settings, environment map[string]string, where string) (*settings, error) {
	sameKind := own.isRemote() == (where != nameEmbedded)
	values := maps.Clone(environment)
	delete(values, "EDUCATION_LDAPS_LISTEN") // It has no meaning for a directory on servers, and is a fault there.
	switch {
	case c.Other != "":
		var err error
		if values, err = readEnvironmentFile(c.Other); err != nil {
			return nil, fmt.Errorf("--other: %w", err)
		}
	case where == "":
		return nil, errors.New("--from or --to must name the other directory")
	case sameKind:
		return nil, errors.New("--other must name a file with the settings of the other directory: the environment has those of one only")
	}
	if values["EDUCATION_LDAP_URI"] = where; where == nameEmbedded {
		values["EDUCATION_LDAP_URI"] = ""
	}
	other, err := load(values)
	if err != nil {
		return nil, fmt.Errorf("settings of the other directory:\n%w", err)
	}
	if other.location() == own.location() {
		return nil, fmt.Errorf("%s cannot be moved to where it is", own.location())
	}
	return other, nil
}

// readEnvironmentFile reads lines of NAME=value. Empty lines and those that begin with # count for nothing.
func readEnvironmentFile(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	values := make(map[string]string)
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("%s, line %d, must be of the form NAME=value", path, number)
		}
		values[name] = value
	}
	return values, lines.Err()
}

// side is an open directory.
type side struct {
	migrate.Side
	close func() error
}

// sideOptions say what a directory is opened for.
type sideOptions struct {
	rules education.Rules
	// written says that it may be written to, and target that it is moved to, so that it may be empty.
	written, target bool
}

// openSide opens a directory.
func (s *settings) openSide(ctx context.Context, o sideOptions, logger *slog.Logger) (*side, error) {
	if s.isRemote() {
		return s.openServers(ctx, o, logger)
	}
	return s.openStore(o, logger)
}

// openServers opens a directory on LDAP servers, of which one has to answer.
func (s *settings) openServers(ctx context.Context, o sideOptions, logger *slog.Logger) (*side, error) {
	client, err := remote.Open(s.remoteConfig(logger))
	if err != nil {
		return nil, err
	}
	opened := &side{close: client.Close}
	features, err := client.Features(ctx)
	if err == nil {
		err = client.Ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.location(), err), client.Close())
	}
	plain := features.SchemaKnown && !features.UniqueKeys
	entities, err := identity.New(identity.Config{
		Operations: client, UserBase: s.UserBase, ClassBase: s.ClassBase, SchoolBase: s.SchoolBase, Rules: o.rules,
		LooseMatching: true, LooseLinks: true, Plain: func() bool { return plain },
	})
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	opened.Side = migrate.Side{
		Name: s.location(), Directory: entities, Plain: plain, OldSchema: features.SchemaKnown && !features.ExternalIDs, Verify: client.Authenticate,
	}
	return opened, nil
}

// openStore opens the directory in the process. One that is only read stays as it is: nothing is created.
func (s *settings) openStore(o sideOptions, logger *slog.Logger) (*side, error) {
	_, err := os.Stat(s.directoryPath())
	missing := errors.Is(err, os.ErrNotExist)
	if missing && !o.target {
		return nil, fmt.Errorf("there is no directory: %w", err)
	}
	opened := &side{close: func() error { return nil }}
	opened.Side = migrate.Side{Name: s.location(), Embedded: true}
	var operations identity.Operations = emptyDirectory{}
	if o.written || !missing {
		config := embedded.Config{Path: s.directoryPath(), Logger: logger}
		if o.written && o.target {
			config.Containers = []string{s.UserBase, s.ClassBase, s.SchoolBase}
		}
		store, err := embedded.Open(config)
		if errors.Is(err, embedded.ErrInUse) {
			err = fmt.Errorf("%w; stop the service that has it open first", err)
		}
		if err != nil {
			return nil, err
		}
		operations, opened.close, opened.Verify = store, store.Close, store.VerifyPassword
		if o.target && !o.written {
			operations = withoutContainers{store}
		}
	}
	opened.Directory, err = identity.New(identity.Config{
		Operations: operations, UserBase: s.UserBase, ClassBase: s.ClassBase, SchoolBase: s.SchoolBase, Rules: o.rules,
	})
	if err != nil {
		return nil, errors.Join(err, opened.close())
	}
	return opened, nil
}

// emptyDirectory stands for a directory that does not exist yet. Only its Search is ever called.
type emptyDirectory struct{ identity.Operations }

// Search finds nothing.
func (emptyDirectory) Search(ctx context.Context, _ *wire.SearchRequest, _ func(*wire.Entry) error) error {
	return ctx.Err()
}

// withoutContainers is a directory whose bases may not have been created yet.
type withoutContainers struct{ identity.Operations }

// Search finds nothing below a base that does not exist.
func (w withoutContainers) Search(ctx context.Context, request *wire.SearchRequest, yield func(*wire.Entry) error) error {
	err := w.Operations.Search(ctx, request, yield)
	if code, _ := wire.CodeOf(err); code == wire.ResultNoSuchObject {
		return nil
	}
	return err
}

// outcomeWords say what the outcomes are, before and after.
var outcomeWords = map[migrate.Outcome]struct{ would, did string }{
	migrate.Current:     {"up to date", "up to date"},
	migrate.Keyed:       {"to get unique keys", "got unique keys"},
	migrate.Noted:       {"to get the username in the place of a blank", "got the username in the place of a blank"},
	migrate.Unlinked:    {"to lose links to nothing", "lost links to nothing"},
	migrate.Equal:       {"equal in the target", "were equal in the target"},
	migrate.Added:       {"to be added", "added"},
	migrate.Overwritten: {"to be made equal", "made equal"},
	migrate.Left:        {"left as they are", "left as they are"},
}

// migrationOutput tells people or programs what a migration does.
type migrationOutput struct {
	*progressDisplay
	stdout         io.Writer
	asJSON, writes bool
	findings       []migrate.Finding
}

func newMigrationOutput(stdout, stderr io.Writer, asJSON, writes bool) *migrationOutput {
	return &migrationOutput{progressDisplay: newProgressDisplay(stderr), stdout: stdout, asJSON: asJSON, writes: writes}
}

// begin says what is going to be done.
func (o *migrationOutput) begin(inPlace bool, from, to string) {
	if o.asJSON {
		return
	}
	if inPlace {
		fmt.Fprintf(o.stdout, "Bringing %s up to date.\n", from)
	} else {
		fmt.Fprintf(o.stdout, "Moving %s to %s.\n", from, to)
	}
	if !o.writes {
		fmt.Fprintln(o.stdout, "This is a dry run: nothing is written. --apply does what is told here.")
	}
}

// report tells of a finding, at once to people.
func (o *migrationOutput) report(f migrate.Finding) {
	if o.asJSON {
		o.findings = append(o.findings, f)
		return
	}
	o.clear()
	fmt.Fprintln(o.stdout, f)
}

// finish tells the result.
func (o *migrationOutput) finish(summary *migrate.Summary, complete bool) error {
	if o.asJSON {
		encoder := json.NewEncoder(o.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(struct {
			Complete bool `json:"complete"`
			*migrate.Summary
			Details []migrate.Finding `json:"details"`
		}{complete, summary, append([]migrate.Finding{}, o.findings...)})
	}
	for _, set := range summary.Sets {
		var parts []string
		for _, outcome := range migrate.Outcomes {
			if count := set.Outcomes[outcome]; count > 0 {
				words := outcomeWords[outcome].would
				if o.writes {
					words = outcomeWords[outcome].did
				}
				parts = append(parts, fmt.Sprintf("%d %s", count, words))
			}
		}
		line := fmt.Sprintf("%s: %d", set.Set, set.Entities)
		if len(parts) > 0 {
			line += "; " + strings.Join(parts, ", ")
		}
		fmt.Fprintln(o.stdout, line)
	}
	switch {
	case summary.Verified:
		fmt.Fprintln(o.stdout, "Everything was read again and is as it should be.")
	case complete && !o.writes && summary.Changes() > 0:
		fmt.Fprintln(o.stdout, "Nothing was written. Repeat with --apply.")
	}
	return nil
}
