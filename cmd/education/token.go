package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/opencloud-eu/education/internal/secretfile"
	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/access/tokenfile"
)

// credential is the administrator's token, and where a person finds it: in a file, or in a variable of the environment. A file
// may hold two while one takes the place of the other.
type credential struct {
	tokens   []string
	file     string
	variable string
}

// credential returns the token that was set, or else the one in the data folder, which is made at the first start.
func (s *settings) credential() (credential, error) {
	switch {
	case s.Token != "":
		return credential{tokens: []string{s.Token}, variable: s.origins["EDUCATION_TOKEN"]}, nil
	case s.TokenFile != "":
		return credential{tokens: s.fileTokens, file: s.TokenFile}, nil
	}
	path := filepath.Join(s.DataDir, "token")
	content, err := secretfile.Ensure(path)
	if err != nil {
		return credential{}, err
	}
	tokens, err := s.parseTokens([]byte(content))
	if err != nil {
		err = fmt.Errorf("%s %w; delete it and a new one is made", path, err)
	}
	return credential{tokens: tokens, file: path}, err
}

// authenticators returns who knows tokens: the administrator's first, which is to work whatever happens to the others.
func (s *settings) authenticators(administrator credential, logger *slog.Logger) ([]access.Authenticator, error) {
	others := []access.Authenticator{tokenfile.Open(s.tokensPath(), logger)}
	if s.issuers != nil {
		others = append(others, s.issuers)
	}
	if administrator.file == "" {
		administrator.warnOfWeakness(administrator.tokens, logger)
		return append([]access.Authenticator{access.Single{Token: access.DigestOf(administrator.tokens[0])}}, others...), nil
	}
	first, err := tokenfile.OpenAdministrator(administrator.file, func(content []byte) ([]string, error) {
		tokens, err := s.parseTokens(content)
		administrator.warnOfWeakness(tokens, logger) // Now, and whenever the file has changed.
		return tokens, err
	}, logger)
	return append([]access.Authenticator{first}, others...), err
}

// warnOfWeakness logs that tokens which are let in can be guessed, and where they are, never what they are.
func (c credential) warnOfWeakness(tokens []string, logger *slog.Logger) {
	for _, token := range tokens {
		if fault := weakness(token); fault != "" {
			logger.Warn("THE TOKEN IS WEAK: whoever guesses it may do everything", "token", c.place(), "cause", "it "+fault)
		}
	}
}

// place says where the token is.
func (c credential) place() string {
	if c.file != "" {
		return c.file
	}
	return c.variable
}

// parseTokens reads the content of the file of the administrator's token. The error says what the file must hold.
func (s *settings) parseTokens(content []byte) ([]string, error) {
	text := strings.TrimRight(string(content), "\r\n")
	tokens := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for _, token := range tokens {
		if len(tokens) > 2 || token == "" || checkToken(token) != "" {
			return nil, errors.New("must hold one token of printable ASCII characters without blanks, or two, a line each, while one takes the place of the other")
		}
		if fault := weakness(token); fault != "" && !s.permitsWeakToken() {
			return nil, fmt.Errorf("must hold no token that can be guessed: it %s", fault)
		}
	}
	return tokens, nil
}
