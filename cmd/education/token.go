package main

import (
	"fmt"
	"path/filepath"

	"github.com/opencloud-eu/education/internal/secretfile"
)

// credential is the token that clients of the API present, and where a person finds it: in a file, or in a variable of
// the environment.
type credential struct {
	token    string
	file     string
	variable string
}

// credential returns the token that was set, or else the one in the data folder, which is made at the first start.
func (s *settings) credential() (credential, error) {
	switch {
	case s.Token != "":
		return credential{token: s.Token, variable: s.origins["EDUCATION_TOKEN"]}, nil
	case s.TokenFile != "":
		return credential{token: s.fileToken, file: s.TokenFile}, nil
	}
	path := filepath.Join(s.DataDir, "token")
	token, err := secretfile.Ensure(path)
	if err == nil && checkToken(token) != "" {
		err = fmt.Errorf("%s holds no token; delete it and a new one is made", path)
	}
	return credential{token: token, file: path}, err
}
