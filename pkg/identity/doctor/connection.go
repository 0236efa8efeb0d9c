package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// connect lets the account in and reads what the server says of itself. Without a session left, the findings say why, unless
// it was interrupted.
func (p *patient) connect(ctx context.Context) []Finding {
	session, err := remote.Dial(ctx, p.config.Remote, p.uri)
	if err != nil && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return []Finding{p.finding("server.reachable", verdict{
			Error, fmt.Sprintf("The server cannot be reached: %s.", reason(err)),
			"While no server can be reached, every request is answered with 503.",
			"Check EDUCATION_LDAP_URI, the firewall, whether the server runs, and, with TLS, EDUCATION_LDAP_CA_FILE and the name in the server's certificate.",
		})}
	}
	findings := []Finding{p.finding("server.reachable", ok("The server can be reached."))}
	err = session.Authenticate(ctx)
	if err == nil {
		p.features, err = session.Features(ctx)
	}
	if err != nil {
		session.Close()
		if ctx.Err() != nil {
			return findings
		}
		return append(findings, p.finding("server.account", refusedAccount(err)))
	}
	p.session = session
	p.throwaways = newThrowaways(p)
	// A schema that cannot be read is a finding of its own.
	p.schema, _ = p.readSchema(ctx)
	return append(findings, p.finding("server.account", ok("The server accepts the service's account.")))
}

// refusedAccount is the verdict on a server that does not let the account in.
func refusedAccount(err error) verdict {
	if !remote.IsRefused(err) {
		return unknown("whether the server accepts the service's account", err)
	}
	return verdict{
		Error, fmt.Sprintf("The server refuses the service's account: %s.", reason(err)),
		"The service cannot use this server: while it has no other one, every request is answered with 503.",
		"Check EDUCATION_LDAP_BIND_DN, and the password in EDUCATION_LDAP_BIND_PASSWORD or the file that EDUCATION_LDAP_BIND_PASSWORD_FILE names.",
	}
}

// renew makes another session in the place of one that has ended.
func (p *patient) renew(ctx context.Context) error {
	p.throwaways.unsure = true
	session, err := p.another(ctx)
	if err != nil {
		return err
	}
	p.session.Close()
	p.session = session
	return nil
}

// another returns one more session of the service's account. It is the caller's to close.
func (p *patient) another(ctx context.Context) (*remote.Session, error) {
	session, err := remote.Dial(ctx, p.config.Remote, p.uri)
	if err != nil {
		return nil, err
	}
	if err := session.Authenticate(ctx); err != nil {
		session.Close()
		return nil, err
	}
	return session, nil
}

func askEncrypted(_ context.Context, p *patient) (verdict, error) {
	switch {
	case p.session.TLS() != nil:
		return ok("The connection is encrypted."), nil
	case p.session.IsLocal():
		return ok("The connection does not leave this machine."), nil
	}
	return verdict{
		Warning, "The connection to another machine is not encrypted.",
		"Whoever is on the way between the machines can read the account's password and all that is known of people, and change it.",
		"Write ldaps:// in EDUCATION_LDAP_URI, or set EDUCATION_LDAP_STARTTLS=true; setup in deploy/openldap and deploy/389ds takes the server's certificate.",
	}, nil
}

func askVerified(_ context.Context, p *patient) (verdict, error) {
	switch {
	case p.session.TLS() == nil:
		return ok("The connection has no TLS, and so no certificate to verify."), nil
	case !p.config.Remote.Insecure:
		return ok("The server's certificate is verified."), nil
	}
	return verdict{
		Warning, "Any certificate of a server will do, since EDUCATION_LDAP_INSECURE is true.",
		"Whoever is on the way between the machines can stand in for the server.",
		"Name the authority in EDUCATION_LDAP_CA_FILE and take EDUCATION_LDAP_INSECURE away.",
	}, nil
}

// renewal is how long before its end a certificate should be replaced.
const renewal = 30 * 24 * time.Hour

func askCertificate(_ context.Context, p *patient) (verdict, error) {
	state := p.session.TLS()
	if state == nil || len(state.PeerCertificates) == 0 {
		return ok("The connection has no TLS, and so no certificate that expires."), nil
	}
	return judgeCertificate(state.PeerCertificates[0], time.Now()), nil
}

func judgeCertificate(certificate *x509.Certificate, now time.Time) verdict {
	end := certificate.NotAfter.UTC().Format(time.DateOnly)
	v := verdict{
		cost:   "From then on no client that verifies the server can use it.",
		remedy: "Replace the server's certificate.",
	}
	switch left := certificate.NotAfter.Sub(now); {
	case left <= 0:
		v.severity, v.matter = Error, fmt.Sprintf("The server's certificate expired on %s.", end)
	case left < renewal:
		v.severity, v.matter = Warning, fmt.Sprintf("The server's certificate expires on %s.", end)
	default:
		return ok("The server's certificate is valid until %s.", end)
	}
	return v
}

func askMake(_ context.Context, p *patient) (verdict, error) {
	if p.features.Vendor != "" {
		return ok("The server is %s.", p.features.Vendor), nil
	}
	return verdict{
		Note, "The server is neither OpenLDAP nor 389-DS.",
		"The service is tested with those two.",
		"Examine the server again whenever it has got another release.",
	}, nil
}

func askBases(ctx context.Context, p *patient) (verdict, error) {
	var missing []string
	for _, set := range education.EntitySets {
		entry, err := p.read(ctx, p.config.base(set), wire.NoAttributes)
		if err != nil {
			return verdict{}, err
		}
		if entry == nil {
			missing = append(missing, p.config.base(set))
		}
	}
	if len(missing) == 0 {
		return ok("The bases of users, classes and schools are there."), nil
	}
	return verdict{
		Error, fmt.Sprintf("There is no entry, or none that the account may see: %s.", strings.Join(slices.Compact(missing), "; ")),
		"The service is not ready: what should be there can be neither read nor written.",
		"Check EDUCATION_LDAP_USER_BASE_DN, _CLASS_BASE_DN and _SCHOOL_BASE_DN, or make the entries as " + p.place(topicBases) + " does.",
	}, nil
}

func askAnonymous(ctx context.Context, p *patient) (verdict, error) {
	if p.config.Depth == Writing {
		// Where there is nobody, there is nobody to be seen.
		user, err := p.throwaways.add(ctx, education.Users)
		if err != nil {
			return verdict{}, err
		}
		defer p.throwaways.remove(ctx, user)
	}
	stranger, err := remote.Dial(ctx, p.config.Remote, p.uri)
	if err != nil {
		return verdict{}, err
	}
	defer stranger.Close()
	seen, passwords := false, false
	for _, set := range education.EntitySets {
		entries, err := find(ctx, stranger, &wire.SearchRequest{
			Base: p.config.base(set), Scope: wire.ScopeSubtree, SizeLimit: 1,
			Filter: wire.Equal("objectClass", set.ObjectClass), Attributes: []string{attributeID, attributePassword},
		})
		if _, isResult := wire.CodeOf(err); err != nil && !isResult {
			return verdict{}, err
		}
		for _, entry := range entries {
			seen = true
			passwords = passwords || entry.Value(attributePassword) != ""
		}
	}
	return judgeAnonymous(seen, passwords, p.place(topicAccess)), nil
}

func judgeAnonymous(seen, passwords bool, place string) verdict {
	v := verdict{
		Warning, "Whoever connects to the server, without a password, can read users, classes or schools.",
		"Everybody who can reach the server can have the names and addresses of all pupils.",
		"Permit access to accounts alone: see " + place + ".",
	}
	switch {
	case passwords:
		v.severity = Error
		v.matter = "Whoever connects to the server, without a password, can read the hashes of users' passwords."
		v.cost = "Everybody who can reach the server can find out weak passwords."
	case !seen:
		return ok("Without an account, no user, class or school can be read.")
	}
	return v
}
