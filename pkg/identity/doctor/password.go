package doctor

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// newPassword returns a password that nobody guesses, with a character of every kind that policies ask for.
func newPassword() string { return rand.Text() + "aB1!" }

// setPassword gives a throw-away user a password, written as the service writes it.
func (p *patient) setPassword(ctx context.Context, dn, password string) error {
	config := p.config.Remote
	config.URIs = []string{p.uri}
	client, err := remote.Open(config)
	if err != nil {
		return err
	}
	// Closing breaks nothing that is of interest here.
	defer func() { _ = client.Close() }()
	value, err := client.HashPassword(ctx, password)
	if err != nil {
		return err
	}
	return p.modify(ctx, dn, wire.ChangeReplace, attributePassword, value)
}

func askPassword(ctx context.Context, p *patient) (verdict, error) {
	// Some directories let nobody in who is disabled.
	enabled := wire.Attribute{Type: education.Users.Property("accountEnabled").Attribute, Values: []string{"TRUE"}}
	dn, err := p.throwaways.add(ctx, education.Users, enabled)
	if err != nil {
		return verdict{}, err
	}
	defer p.throwaways.remove(ctx, dn)
	password := newPassword()
	err = p.setPassword(ctx, dn, password)
	if _, isResult := wire.CodeOf(err); isResult {
		return p.passwordFault(fmt.Sprintf("The server does not accept a password as the service writes it: %s.", reason(err))), nil
	}
	if err != nil {
		return verdict{}, err
	}
	right, err := p.signIn(ctx, dn, password)
	if err != nil {
		return verdict{}, err
	}
	wrong, err := p.signIn(ctx, dn, password+"?")
	switch {
	case err != nil:
		return verdict{}, err
	case right != nil:
		return p.passwordFault(fmt.Sprintf("Nobody can sign in with a password that the service has written: %s.", reason(right))), nil
	case wrong == nil:
		return p.passwordFault("The server lets users in with a wrong password."), nil
	}
	return p.judgeStorage(ctx, dn, password)
}

func (p *patient) passwordFault(matter string) verdict {
	return verdict{
		Error, matter, "Users whose passwords are set by this service cannot sign in, or others can in their place.",
		"Set EDUCATION_LDAP_PASSWORD_HASH to what the server accepts and verifies (ssha, argon2 or server), let users sign in, and look at the" +
			" server's password policy and at " + p.place(topicPasswords) + ".",
	}
}

// signIn binds as a user. The first result is the server's refusal.
func (p *patient) signIn(ctx context.Context, dn, password string) (refusal, err error) {
	session, err := remote.Dial(ctx, p.config.Remote, p.uri)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	err = session.Bind(ctx, dn, password)
	if _, isResult := wire.CodeOf(err); isResult {
		return err, nil
	}
	return nil, err
}

// judgeStorage looks at how a password is kept that was sent as it is.
func (p *patient) judgeStorage(ctx context.Context, dn, password string) (verdict, error) {
	good := ok("Users can sign in with passwords that the service has written.")
	if p.config.Remote.PasswordHash != remote.HashServer || p.features.Vendor == remote.Vendor389DS {
		return good, nil
	}
	entry, err := p.read(ctx, dn, attributePassword)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{
		Error, "The server keeps passwords as they are.",
		"Whoever gets a copy of the directory has all passwords.",
		"Set EDUCATION_LDAP_PASSWORD_HASH to ssha or argon2, or load the overlay ppolicy with olcPPolicyHashCleartext: see slapo-ppolicy(5).",
	}
	switch {
	case entry != nil && entry.Value(attributePassword) == password:
		return v, nil
	case entry != nil && entry.Value(attributePassword) != "":
		return good, nil
	}
	v.severity = Note
	v.matter = "It cannot be told whether the server keeps passwords as they are, which it is sent so (EDUCATION_LDAP_PASSWORD_HASH=server)."
	v.cost = "If it does, whoever gets a copy of the directory has all passwords."
	return v, nil
}
