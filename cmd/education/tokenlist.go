package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/access/tokenfile"
)

type tokenListCommand struct {
	JSON bool `name:"json" help:"Print the tokens as JSON."`
}

// listedToken is a line of the list.
type listedToken struct {
	Name       string          `json:"name"`
	ID         string          `json:"id"`
	AllSchools bool            `json:"allSchools"`
	Schools    []access.School `json:"schools"`
	Verbs      []string        `json:"verbs"`
	Created    time.Time       `json:"created"`
	// Expires is null for never.
	Expires *time.Time      `json:"expires"`
	State   tokenfile.State `json:"state"`
}

// Run lists the tokens.
func (c tokenListCommand) Run(p *process) error {
	s, err := load(p.environment)
	if err != nil {
		return err
	}
	path, err := s.tokensPathInFolder()
	if err != nil {
		return err
	}
	document, err := tokenfile.Read(path)
	if err != nil {
		return err
	}
	tokens := listed(document, time.Now())
	if c.JSON {
		return printTokensJSON(p.stdout, tokens)
	}
	return printTokens(p.stdout, tokens)
}

// listed returns the tokens of a document in its order, the tokens of a name from the oldest to the newest.
func listed(document *tokenfile.Document, now time.Time) []listedToken {
	tokens := []listedToken{}
	for _, credential := range document.Credentials {
		for i, token := range credential.Tokens {
			line := listedToken{
				Name: credential.Name, ID: token.ID(), AllSchools: credential.AllSchools, Schools: credential.Schools,
				Verbs: credential.Verbs, Created: token.Created, State: credential.State(i, now),
			}
			if line.Schools == nil {
				line.Schools = []access.School{}
			}
			if !token.Expires.IsZero() {
				line.Expires = &token.Expires
			}
			tokens = append(tokens, line)
		}
	}
	return tokens
}

func printTokensJSON(w io.Writer, tokens []listedToken) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Tokens []listedToken `json:"tokens"`
	}{tokens})
}

// printTokens prints the tokens as a table for a person.
func printTokens(w io.Writer, tokens []listedToken) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tID\tSTATE\tVERBS\tCREATED\tEXPIRES\tSCHOOLS")
	for _, token := range tokens {
		expires := never
		if token.Expires != nil {
			expires = token.Expires.Format(time.RFC3339)
		}
		fmt.Fprintln(table, strings.Join([]string{
			token.Name, token.ID, string(token.State), strings.Join(token.Verbs, ","), token.Created.Format(time.RFC3339), expires, token.schools(),
		}, "\t"))
	}
	return table.Flush()
}

// schools returns the keys of the schools that a token is for.
func (t listedToken) schools() string {
	if t.AllSchools {
		return "all"
	}
	keys := make([]string, len(t.Schools))
	for i, school := range t.Schools {
		keys[i] = quoted(school.String())
	}
	return strings.Join(keys, " ")
}

// quoted returns text as it is if nothing in it can be taken for anything else in a line of words, and otherwise as a Go string.
func quoted(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}
