package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/access/tokenfile"
	"github.com/opencloud-eu/education/pkg/education"
)

// tokenCommands are the commands for the tokens beside the administrator's. They work on the file that running services read.
type tokenCommands struct {
	Create tokenCreateCommand `cmd:"" help:"Make a token and print it. It is shown this once."`
	List   tokenListCommand   `cmd:"" help:"List the tokens, without the tokens themselves."`
	Rotate tokenRotateCommand `cmd:"" help:"Make and print a new token of a name. The old one stays valid for a while."`
	Revoke tokenRevokeCommand `cmd:"" help:"End all tokens of a name at once."`
}

// lockPatience is how long a command waits for others that change the tokens.
const lockPatience = 10 * time.Second

// never is what is written where a token shall have no end.
const never = "never"

type tokenCreateCommand struct {
	Name             string   `required:"" help:"What the token is called in lists, logs and the audit record: letters, digits and . _ @ -."`
	School           []string `sep:"none" placeholder:"KEY" help:"A school that the token is for: its id, or its externalId. May be given more than once."`
	SchoolExternalID []string `name:"school-external-id" sep:"none" placeholder:"EXTERNALID" help:"The same by an externalId that is shaped like an id."`
	AllSchools       bool     `help:"The token is for all schools, those to come, and what is in none."`
	Verbs            []string `default:"read,write" help:"What the token permits: read, write, delete. Delete has to be named."`
	Expires          string   `default:"365d" placeholder:"WHEN" help:"When it ends: after a time such as 90d or 12h, with a day such as 2027-01-31 (UTC), at an instant as in RFC 3339, or never."`

	credential tokenfile.Credential
	expires    expiry
}

// Validate implements kong's check of arguments.
func (c *tokenCreateCommand) Validate() error {
	if err := tokenfile.CheckName(c.Name); err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	verbs, err := access.ParseVerbs(c.Verbs)
	if err != nil {
		return fmt.Errorf("--verbs: %s", strings.TrimPrefix(err.Error(), "access: "))
	}
	schools, err := c.schools()
	if err != nil {
		return err
	}
	if c.expires, err = parseExpiry(c.Expires); err != nil {
		return err
	}
	c.credential = tokenfile.Credential{Name: c.Name, Verbs: verbs.Names(), AllSchools: c.AllSchools, Schools: schools}
	return nil
}

// schools returns the schools that the flags name, each once. Nobody gets all of them by leaving out a flag.
func (c *tokenCreateCommand) schools() ([]access.School, error) {
	var named, schools []access.School
	for _, key := range c.School {
		named = append(named, access.SchoolOf(key))
	}
	for _, externalID := range c.SchoolExternalID {
		named = append(named, access.School{ExternalID: externalID})
	}
	for _, school := range named {
		if err := checkSchool(school); err != nil {
			return nil, err
		}
		if !slices.Contains(schools, school) {
			schools = append(schools, school)
		}
	}
	switch {
	case len(schools) == 0 && !c.AllSchools:
		return nil, errors.New("say which schools the token is for, with --school or --school-external-id, or that it is for all of them, with --all-schools")
	case len(schools) > 0 && c.AllSchools:
		return nil, errors.New("--all-schools cannot be together with --school or --school-external-id")
	}
	return schools, nil
}

// checkSchool returns an error if no school can have the key. One that no school has yet is no mistake.
func checkSchool(school access.School) error {
	if school.String() == "" {
		return errors.New("the key of a school must not be empty")
	}
	if school.ID != "" {
		return nil
	}
	if fault := education.Schools.Property("externalId").Fault(school.ExternalID); fault != "" {
		return fmt.Errorf("no school can have the key %.40q: an externalId %s", school.ExternalID, fault)
	}
	return nil
}

// Run makes a token.
func (c *tokenCreateCommand) Run(ctx context.Context, p *process) error {
	now := time.Now()
	expires, err := c.expires.from(now)
	if err != nil {
		return err
	}
	token := tokenfile.NewToken()
	err = p.editTokens(ctx, func(d *tokenfile.Document) error { return d.Create(c.credential, token, now, expires) })
	if err != nil {
		return err
	}
	return p.handOut(token, c.Name, fmt.Sprintf("The token %s %s. It cannot be shown again.", c.Name, ending(expires)))
}

type tokenRotateCommand struct {
	Name    string        `arg:"" help:"The name of the token."`
	Overlap time.Duration `default:"24h" help:"How long the old token stays valid, such as 24h or 30m. With 0s it ends at once."`
	Expires string        `placeholder:"WHEN" help:"When the new token ends, as for 'create'. By default it lasts as long as the old one was made for."`

	expires expiry
}

// Validate implements kong's check of arguments.
func (c *tokenRotateCommand) Validate() (err error) {
	if c.Overlap < 0 {
		return errors.New("--overlap must not be negative")
	}
	if c.Expires != "" {
		c.expires, err = parseExpiry(c.Expires)
	}
	return err
}

// Run makes a new token of a name.
func (c *tokenRotateCommand) Run(ctx context.Context, p *process) error {
	now := time.Now()
	token := tokenfile.NewToken()
	var expires, oldEnds time.Time
	err := p.editTokens(ctx, func(d *tokenfile.Document) (err error) {
		if c.Expires == "" {
			expires, err = d.SameLife(c.Name, now)
		} else {
			expires, err = c.expires.from(now)
		}
		if err != nil {
			return err
		}
		oldEnds, err = d.Rotate(c.Name, token, now, c.Overlap, expires)
		return err
	})
	if err != nil {
		return err
	}
	old := "has ended"
	if !oldEnds.IsZero() {
		old = ending(oldEnds)
	}
	return p.handOut(token, c.Name, fmt.Sprintf("The new token %s %s, the old one %s. The new one cannot be shown again.",
		c.Name, ending(expires), old))
}

type tokenRevokeCommand struct {
	Name string `arg:"" help:"The name of the token."`
}

// Run ends all tokens of a name.
func (c *tokenRevokeCommand) Run(ctx context.Context, p *process) error {
	if err := p.editTokens(ctx, func(d *tokenfile.Document) error { return d.Revoke(c.Name) }); err != nil {
		return err
	}
	if isTerminal(p.stderr) {
		fmt.Fprintf(p.stderr, "The token %s is revoked. Running services refuse it within a second.\n", c.Name)
	}
	return nil
}

// tokensPath returns the path of the file of tokens.
func (s *settings) tokensPath() string {
	return cmp.Or(s.TokensFile, filepath.Join(s.DataDir, "tokens.json"))
}

// tokensPathInFolder is tokensPath for commands. The folder must be there: one that worked where no service looks would print
// tokens that open nothing, or say that there are none.
func (s *settings) tokensPathInFolder() (string, error) {
	path := s.tokensPath()
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("there is no folder for the tokens; set EDUCATION_DATA_DIR or EDUCATION_TOKENS_FILE as the service has them, or start it once: %w", err)
	}
	return path, nil
}

// editTokens changes the file of tokens that the settings name.
func (p *process) editTokens(ctx context.Context, change func(*tokenfile.Document) error) error {
	s, err := load(p.environment)
	if err != nil {
		return err
	}
	path, err := s.tokensPathInFolder()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	return tokenfile.Edit(ctx, path, change)
}

// handOut prints a token, and nothing else to stdout. A person at a terminal is told more.
func (p *process) handOut(token, name, about string) error {
	if _, err := fmt.Fprintln(p.stdout, token); err != nil {
		return fmt.Errorf("the token %s has been made and could not be printed; rotate it, or revoke it: %w", name, err)
	}
	if isTerminal(p.stderr) {
		fmt.Fprintln(p.stderr, about)
	}
	return nil
}

// ending says when something ends.
func ending(expires time.Time) string {
	if expires.IsZero() {
		return "has no end"
	}
	return "ends at " + expires.UTC().Format(time.RFC3339)
}

// expiry is when a token ends, as somebody has written it: after a time or at an instant. The zero value is never.
type expiry struct {
	after time.Duration
	at    time.Time
}

// parseExpiry reads when a token ends. A day is the last one on which it is valid, in UTC.
func parseExpiry(text string) (expiry, error) {
	if text == never {
		return expiry{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		count, err := strconv.ParseUint(days, 10, 16)
		if err == nil && count > 0 {
			return expiry{after: time.Duration(count) * 24 * time.Hour}, nil
		}
	}
	if after, err := time.ParseDuration(text); err == nil && after >= time.Second {
		return expiry{after: after}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if day, notDay := time.Parse(time.DateOnly, text); notDay == nil {
		at, err = day.AddDate(0, 0, 1), nil
	}
	// The zero time stands for never, and RFC 3339 has years of four digits.
	if err == nil && !at.IsZero() && at.UTC().Year() <= 9999 {
		return expiry{at: at}, nil
	}
	return expiry{}, fmt.Errorf("--expires must be a time such as 90d or 12h, a day such as 2027-01-31, an instant such as 2027-01-31T12:00:00Z, or %s", never)
}

// from returns the end of a token that is made now, the zero time for none.
func (e expiry) from(now time.Time) (time.Time, error) {
	switch {
	case e.after > 0:
		return now.Add(e.after), nil
	case !e.at.IsZero() && !now.Before(e.at):
		return time.Time{}, fmt.Errorf("--expires lies in the past: %s", e.at.UTC().Format(time.RFC3339))
	}
	return e.at, nil
}
