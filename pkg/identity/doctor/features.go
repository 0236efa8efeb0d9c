package doctor

import (
	"context"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

func askPaging(ctx context.Context, p *patient) (verdict, error) {
	if !p.features.Paging {
		return verdict{
			Warning, "The server does not page results (RFC 2696).",
			"Lists longer than the server's size limit fail.",
			"Lift the size limit for the service's account: see " + p.place(topicLimits) + ".",
		}, nil
	}
	_, err := p.session.Search(ctx, &wire.SearchRequest{
		Base: p.config.UserBase, Scope: wire.ScopeBase, Filter: everything, Attributes: []string{wire.NoAttributes},
	}, func(*wire.Entry) error { return nil }, wire.PagedResults{Size: pageSize}.Control(true))
	if err != nil {
		return verdict{}, err
	}
	return ok("The server pages results."), nil
}

func askPostRead(ctx context.Context, p *patient) (verdict, error) {
	v := verdict{
		Note, "The server does not return entries with their changes (RFC 4527).",
		"Every change takes one more search.",
		"Nothing needs to be done. OpenLDAP and 389-DS can do it.",
	}
	good := ok("The server returns entries with their changes.")
	if !p.features.PostRead || p.config.Depth < Writing {
		return choose(p.features.PostRead, good, v), nil
	}
	dn, entry, err := p.throwaways.addAndRead(ctx, education.Users)
	if err != nil {
		return verdict{}, err
	}
	p.throwaways.remove(ctx, dn)
	v.matter = "The server says that it returns entries with their changes (RFC 4527), and does not."
	return choose(entry != nil && entry.Value(attributeID) != "", good, v), nil
}

func choose(first bool, a, b verdict) verdict {
	if first {
		return a
	}
	return b
}

func askAssertion(ctx context.Context, p *patient) (verdict, error) {
	v := verdict{
		Note, "The server does not check conditions with a change (RFC 4528).",
		"Conditions such as If-Match are checked just before the change: what another program changes in between goes unnoticed." +
			" The service's own processes are told apart by the revision among the unique keys.",
		"Nothing can be done on 389-DS, which does not know them. OpenLDAP does.",
	}
	good := ok("The server checks conditions with a change.")
	if !p.features.Assertion || p.config.Depth < Writing {
		return choose(p.features.Assertion, good, v), nil
	}
	dn, err := p.throwaways.add(ctx, education.Users)
	if err != nil {
		return verdict{}, err
	}
	defer p.throwaways.remove(ctx, dn)
	_, err = p.session.Do(ctx, &wire.ModifyRequest{
		DN: dn, Assertion: wire.Equal("sn", "nobody"), Changes: []wire.Change{
			{Operation: wire.ChangeReplace, Attribute: wire.Attribute{Type: "displayName", Values: []string{namePrefix}}},
		},
	})
	if err != nil && !hasCode(err, wire.ResultAssertionFailed) {
		return verdict{}, err
	}
	v.severity = Error
	v.matter = "The server says that it checks conditions with a change (RFC 4528), and makes the change without."
	v.cost = "Changes of two writers can overwrite each other."
	v.remedy = "Update the server."
	return choose(err != nil, good, v), nil
}

func askPasswordModify(_ context.Context, p *patient) (verdict, error) {
	if p.features.PasswordModify {
		return ok("The server lets users change their passwords."), nil
	}
	return verdict{
		Note, "The server does not know the Password Modify operation (RFC 3062).",
		"OpenCloud and Keycloak cannot have users change their passwords; the service does not use it.",
		"Nothing needs to be done if passwords are changed in this service alone.",
	}, nil
}
