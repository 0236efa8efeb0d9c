package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/opencloud-eu/education/pkg/access"
)

// Authenticator is the access.Authenticator of the tokens of some issuers.
type Authenticator struct {
	issuers map[string]*issuer
}

// New returns the authenticator of issuers, or all that is wrong with what is said about them. It asks nobody anything.
func New(said []Issuer) (*Authenticator, []Fault) {
	a := &Authenticator{issuers: map[string]*issuer{}}
	var all []Fault
	for index, one := range said {
		i, faults := understand(one)
		if _, ok := a.issuers[one.URL]; ok {
			faults = append(faults, Fault{Member: "issuer", Problem: "names an issuer a second time"})
		}
		for _, fault := range faults {
			fault.Issuer = index
			all = append(all, fault)
		}
		a.issuers[one.URL] = i
	}
	if len(all) > 0 {
		return nil, all
	}
	return a, nil
}

// CAFiles returns the files of the authorities that the issuers' certificates must come from.
func (a *Authenticator) CAFiles() []string {
	var files []string
	for _, i := range a.issuers {
		if i.caFile != "" {
			files = append(files, i.caFile)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// Run fetches the issuers' keys and keeps them fresh until ctx ends. Without it, keys are fetched when tokens need them, and
// never let go.
func (a *Authenticator) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, i := range a.issuers {
		running.Go(func() { i.keys.keepFresh(ctx) })
	}
	running.Wait()
}

// Authenticate implements access.Authenticator. No error holds any part of the token that would let somebody in.
func (a *Authenticator) Authenticate(ctx context.Context, text string) (*access.Grant, error) {
	t, err := parse(text)
	if err != nil {
		return nil, err
	}
	name, _ := t.claims["iss"].(string)
	i := a.issuers[name]
	if i == nil {
		return nil, fmt.Errorf("%w: it is of no configured issuer", access.ErrUnknown)
	}
	grant, err := i.authenticate(ctx, text, t)
	switch {
	case errors.Is(err, access.ErrInvalid):
		return nil, fmt.Errorf("%s: %w", i.label, err)
	case err != nil:
		return nil, fmt.Errorf("the keys of %s: %w", i.label, err)
	}
	return grant, nil
}

// authenticate checks a token that says that it is of the issuer.
func (i *issuer) authenticate(ctx context.Context, text string, t token) (*access.Grant, error) {
	if err := i.check(t, time.Now()); err != nil {
		return nil, err
	}
	signed, err := jose.ParseSignedCompact(text, i.algorithms)
	if err != nil {
		return nil, invalid("its signature or its header cannot be read")
	}
	if err := i.keys.verify(ctx, signed); err != nil {
		return nil, err
	}
	return i.grant(t.claims)
}
