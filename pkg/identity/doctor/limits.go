package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

const (
	// pageSize is the size of the service's own pages.
	pageSize = 500
	// openLDAPLimit and greatestLimit are how many entries OpenLDAP and 389-DS return to accounts that nobody has
	// permitted more.
	openLDAPLimit = 500
	greatestLimit = 2000
)

// census is what reading everything has shown.
type census struct {
	// most is the number of entries of the longest list, and took how long that was read.
	most int
	took time.Duration
	// refusal is the result that ended a list early, nil if all were complete.
	refusal error
}

// count reads everything, once.
func (p *patient) count(ctx context.Context) (*census, error) {
	if p.census != nil {
		return p.census, nil
	}
	c := &census{}
	for _, set := range education.EntitySets {
		begun := time.Now()
		n, err := p.countBelow(ctx, p.config.base(set))
		if _, isResult := wire.CodeOf(err); err != nil && !isResult {
			return nil, err
		}
		if n >= c.most {
			c.most, c.took = n, time.Since(begun)
		}
		// That a base is not there is another matter.
		if err != nil && !hasCode(err, wire.ResultNoSuchObject) {
			c.refusal = err
		}
	}
	p.census = c
	return c, nil
}

// countBelow reads the names of all entries below one, in pages if the server knows them, and returns their number.
func (p *patient) countBelow(ctx context.Context, base string) (int, error) {
	n := 0
	request := &wire.SearchRequest{Base: base, Scope: wire.ScopeSubtree, Filter: everything, Attributes: []string{wire.NoAttributes}}
	for cookie := ""; ; {
		var controls []wire.Control
		if p.features.Paging {
			controls = append(controls, wire.PagedResults{Size: pageSize, Cookie: cookie}.Control(true))
		}
		answered, err := p.session.Search(ctx, request, func(*wire.Entry) error {
			n++
			return nil
		}, controls...)
		control := wire.FindControl(answered, wire.ControlPagedResults)
		if err != nil || control == nil {
			return n, err
		}
		page, err := wire.ParsePagedResults(control)
		if err != nil || page.Cookie == "" {
			return n, err
		}
		cookie = page.Cookie
	}
}

func askSizeLimit(ctx context.Context, p *patient) (verdict, error) {
	c, err := p.count(ctx)
	if err != nil {
		return verdict{}, err
	}
	most, refusal := c.most, c.refusal
	if refusal == nil && most <= openLDAPLimit && p.config.Depth == Writing {
		if most, refusal, err = p.countThrowaways(ctx); err != nil {
			return verdict{}, err
		}
	}
	if hasCode(refusal, wire.ResultSizeLimitExceeded, wire.ResultAdminLimitExceeded) {
		return p.limited(most), nil
	}
	if most > greatestLimit || most > openLDAPLimit && p.features.Vendor == remote.VendorOpenLDAP {
		return ok("A search returns %d entries, more than servers permit by default.", most), nil
	}
	unlimited, err := p.isUnlimited(ctx)
	if err != nil {
		return verdict{}, err
	}
	if unlimited {
		return ok("A search returns %d entries, and the account's entry sets no limit to it.", most), nil
	}
	return verdict{
		Note, fmt.Sprintf("It cannot be told how many entries a search may return beyond %d.", most),
		"If there is a limit, lists that are longer fail with 503, or on OpenLDAP take more searches.",
		p.limitRemedy(),
	}, nil
}

// isUnlimited reports whether the account's own entry lifts the limits, as it can on 389-DS.
func (p *patient) isUnlimited(ctx context.Context) (bool, error) {
	limits := []string{"nsSizeLimit", "nsLookThroughLimit"}
	if p.config.Remote.BindDN == "" {
		return false, nil
	}
	entry, err := p.read(ctx, p.config.Remote.BindDN, limits...)
	if err != nil || entry == nil {
		return false, err
	}
	for _, limit := range limits {
		if entry.Value(limit) != "-1" {
			return false, nil
		}
	}
	return true, nil
}

func (p *patient) limited(n int) verdict {
	if p.features.Vendor == remote.VendorOpenLDAP {
		return verdict{
			Warning, fmt.Sprintf("The server returns at most %d entries to the account, in pages as well.", n),
			"Lists that are longer are read in parts, by entryUUID, each with a search of its own.",
			p.limitRemedy(),
		}
	}
	return verdict{
		Error, fmt.Sprintf("The server returns at most %d entries to the account, in pages as well.", n),
		"Lists that are longer fail with 503, and so does whatever has to look at all entries.",
		p.limitRemedy(),
	}
}

func (p *patient) limitRemedy() string {
	return "Lift the limits for the account: see " + p.place(topicLimits) + "."
}

// countThrowaways makes as many entries as are needed to go beyond OpenLDAP's limit and counts them. They are neither users,
// classes nor schools, and below an entry of their own.
func (p *patient) countThrowaways(ctx context.Context) (n int, refusal, err error) {
	top := plainEntry("ou", p.throwaways.name(), p.config.UserBase)
	dns := []string{top.DN}
	defer func() {
		for i := len(dns) - 1; i >= 0; i-- {
			p.throwaways.remove(ctx, dns[i])
		}
	}()
	if _, err := p.throwaways.write(ctx, top); err != nil {
		dns = nil
		return 0, nil, err
	}
	for range openLDAPLimit {
		below := plainEntry("cn", p.throwaways.name(), top.DN)
		if _, err := p.throwaways.write(ctx, below); err != nil {
			return 0, nil, err
		}
		dns = append(dns, below.DN)
	}
	n, err = p.countBelow(ctx, top.DN)
	if _, isResult := wire.CodeOf(err); isResult {
		return n, err, nil
	}
	return n, nil, err
}

func askTimeLimit(ctx context.Context, p *patient) (verdict, error) {
	c, err := p.count(ctx)
	if err != nil {
		return verdict{}, err
	}
	if hasCode(c.refusal, wire.ResultTimeLimitExceeded) {
		return verdict{
			Error, fmt.Sprintf("The server ends a search of the account after %.1f s, before all entries are read.", c.took.Seconds()),
			"Lists fail with 504, and so does whatever has to look at all entries.",
			p.limitRemedy(),
		}, nil
	}
	return ok("The longest list, of %d entries, is read in %.1f s: no time limit is met.", c.most, c.took.Seconds()), nil
}
