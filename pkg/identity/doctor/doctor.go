package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Depth says how far an examination goes. Each depth includes those before it.
type Depth int

const (
	// Glance takes a few operations and writes nothing, except that attempts are made at changes that can only fail.
	Glance Depth = iota
	// Reading reads everything once, and writes no more than a glance.
	Reading
	// Writing makes throw-away entries.
	Writing
)

// Config says which servers are examined, and how.
type Config struct {
	// Remote is how the service uses the servers. Its Logger is not used.
	Remote remote.Config
	// UserBase, ClassBase and SchoolBase are where the entries of each set are.
	UserBase, ClassBase, SchoolBase string
	Depth                           Depth
}

// base returns where the entries of a set are.
func (c *Config) base(set *education.EntitySet) string {
	return map[*education.EntitySet]string{
		education.Users: c.UserBase, education.Classes: c.ClassBase, education.Schools: c.SchoolBase,
	}[set]
}

// patience bounds an operation. A search without an index takes long in a large directory, and that is a finding.
const patience = time.Minute

// Examine examines every server of a configuration, and whether they are replicas of one another. The error says that it
// was interrupted: the findings are those made until then, without one of the question that was being asked, because what a
// server has not been asked to the end is not its fault. Throw-away entries are removed before it returns, or named in a
// finding.
func Examine(ctx context.Context, config Config) ([]Finding, error) {
	config.Remote.Logger = nil
	config.Remote.Timeout = patience
	patients := make([]*patient, len(config.Remote.URIs))
	found := make([][]Finding, len(patients))
	for i, uri := range config.Remote.URIs {
		patients[i] = &patient{config: &config, uri: uri}
		defer patients[i].close()
		found[i] = patients[i].examine(ctx)
	}
	var together []Finding
	if ctx.Err() == nil {
		together = examineTogether(ctx, patients)
	}
	interrupted := ctx.Err()
	if interrupted != nil {
		together = nil
	}
	for i, p := range patients {
		found[i] = append(found[i], p.cleanUp(ctx)...)
	}
	return slices.Concat(append(found, together)...), interrupted
}

// check is one question about a server.
type check struct {
	// id names the question, and about ends the sentence "It cannot be told …".
	id, about string
	// depth is what the question takes.
	depth Depth
	// ask finds the answer. An error says that there is none; it is context's, the server's, or about the connection.
	ask func(ctx context.Context, p *patient) (verdict, error)
}

// checks are all questions that are put to a server that has let the service's account in, in their order.
var checks = []check{
	{"tls.encrypted", "whether the connection is encrypted", Glance, askEncrypted},
	{"tls.verified", "whether the server is verified", Glance, askVerified},
	{"tls.certificate", "how long the server's certificate is valid", Glance, askCertificate},
	{"server.make", "what make the server is of", Glance, askMake},
	{"bases", "whether the bases are there", Glance, askBases},
	{"schema.readable", "whether the schema can be read", Glance, askSchemaReadable},
	{"schema.opencloud", "whether the schema has OpenCloud's attributes and classes", Glance, askSchema},
	{"schema.externalid", "whether users and schools may have an externalId", Glance, askSchemaExternalID},
	{"schema.uniquekeys", "whether the schema has the service's own attributes", Glance, askSchemaUniqueKeys},
	{"paging", "whether the server pages results", Glance, askPaging},
	{"postread", "whether the server returns entries with their changes", Glance, askPostRead},
	{"assertion", "whether the server checks conditions with a change", Glance, askAssertion},
	{"passwordmodify", "whether users can change their passwords", Glance, askPasswordModify},
	{"access.anonymous", "whether strangers can read people", Glance, askAnonymous},
	{"throwaways.leftovers", "whether an earlier examination has left entries", Writing, askLeftovers},
	// slapo-refint looks at all entries for each one that is deleted, one after the other. Behind the hundreds that the questions
	// below make and delete, it would be minutes late in a large directory.
	{"references", "whether links follow the entries they lead to", Writing, askReferences},
	{"access.write", "whether the account can write what the service writes", Glance, askWrite},
	{"access.outside", "whether the account can write elsewhere", Reading, askOutside},
	{"access.passwords", "whether the account can read passwords", Writing, askPasswords},
	{"limits.size", "how many entries a search may return", Reading, askSizeLimit},
	{"limits.time", "how long a search may take", Reading, askTimeLimit},
	{"unique", "whether unique keys are enforced", Writing, askUnique},
	{"unique.serialized", "whether unique keys are enforced between writers", Writing, askSerialized},
	{"unique.usernames", "whether usernames are unique beside unique keys", Writing, askUsernames},
	{"password", "whether passwords can be verified", Writing, askPassword},
	{"clock", "whether the clocks agree", Writing, askClock},
	{"indexes.keys", "whether there are indexes for what entries are looked up by", Reading, askKeyIndexes},
	{"indexes.filters", "whether there are indexes for filters", Reading, askFilterIndexes},
	{"indexes.complete", "whether the indexes are complete", Reading, askComplete},
}

// patient is one server under examination.
type patient struct {
	config *Config
	uri    string
	// session belongs to the service's account; nil if the server cannot be used.
	session  *remote.Session
	features remote.Features
	// schema is nil if the account may not read it.
	schema     *schema
	throwaways *throwaways
	// census is what reading everything has shown, nil before.
	census *census
	// indexes is what measuring has shown, nil before.
	indexes *indexes
}

func (p *patient) close() {
	if p.session != nil {
		p.session.Close()
	}
}

// examine puts all questions to the server.
func (p *patient) examine(ctx context.Context) []Finding {
	findings := p.connect(ctx)
	if p.session == nil {
		return findings
	}
	for _, c := range checks {
		if c.depth > p.config.Depth {
			continue
		}
		v := p.answer(ctx, c)
		if ctx.Err() != nil {
			break
		}
		findings = append(findings, p.finding(c.id, v))
	}
	return findings
}

func (p *patient) finding(id string, v verdict) Finding {
	return Finding{ID: id, Severity: v.severity, Server: p.uri, Matter: v.matter, Cost: v.cost, Remedy: v.remedy}
}

// answer puts one question to the server. Where that ends the session, the next question gets another one.
func (p *patient) answer(ctx context.Context, c check) verdict {
	v, err := c.ask(ctx, p)
	if p.session.Broken() {
		_ = p.renew(ctx)
	}
	if err != nil {
		return unknown(c.about, err)
	}
	return v
}

// unknown is the verdict on what cannot be told. A server that refuses is one thing, a connection that fails another.
func unknown(about string, err error) verdict {
	v := verdict{severity: Note, matter: fmt.Sprintf("It cannot be told %s: %s.", about, reason(err))}
	if _, isResult := wire.CodeOf(err); !isResult {
		v.severity = Warning
		v.cost = "The server or the way to it is not reliable."
		v.remedy = "Look into the server's log, and examine it again."
	}
	return v
}

// reason returns why something failed, as a part of a sentence.
func reason(err error) string {
	var result *wire.ResultError
	if errors.As(err, &result) && result.Message == "" {
		return fmt.Sprintf("LDAP result %d", int(result.Code))
	}
	return strings.TrimRight(err.Error(), ". ")
}

// find returns the entries that the server finds. Of a search with a size limit these are as many as the limit permits.
func (p *patient) find(ctx context.Context, request *wire.SearchRequest) ([]*wire.Entry, error) {
	return find(ctx, p.session, request)
}

func find(ctx context.Context, session *remote.Session, request *wire.SearchRequest) ([]*wire.Entry, error) {
	var entries []*wire.Entry
	_, err := session.Search(ctx, request, func(entry *wire.Entry) error {
		entries = append(entries, entry)
		return nil
	})
	if code, _ := wire.CodeOf(err); code == wire.ResultSizeLimitExceeded && request.SizeLimit > 0 {
		err = nil
	}
	return entries, err
}

// read returns an entry, or nil if it is not there or not to be seen.
func (p *patient) read(ctx context.Context, dn string, attributes ...string) (*wire.Entry, error) {
	return read(ctx, p.session, dn, attributes...)
}

func read(ctx context.Context, session *remote.Session, dn string, attributes ...string) (*wire.Entry, error) {
	entries, err := find(ctx, session, &wire.SearchRequest{
		Base: dn, Scope: wire.ScopeBase, Filter: everything, Attributes: attributes,
	})
	if hasCode(err, wire.ResultNoSuchObject) {
		return nil, nil
	}
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	return entries[0], nil
}

// everything matches every entry.
var everything = wire.Present("objectClass")

// modify changes one attribute of an entry.
func (p *patient) modify(ctx context.Context, dn string, operation wire.ChangeOperation, attribute string, values ...string) error {
	_, err := p.session.Do(ctx, &wire.ModifyRequest{DN: dn, Changes: []wire.Change{
		{Operation: operation, Attribute: wire.Attribute{Type: attribute, Values: values}},
	}})
	return err
}

// hasCode reports whether err is one of the given results.
func hasCode(err error, codes ...wire.ResultCode) bool {
	got, isResult := wire.CodeOf(err)
	if !isResult {
		return false
	}
	for _, code := range codes {
		if got == code {
			return true
		}
	}
	return false
}
