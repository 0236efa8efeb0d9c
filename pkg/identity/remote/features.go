package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Vendor is the make of a server.
type Vendor string

// The makes that are told apart. Every other one is the empty Vendor.
const (
	VendorOpenLDAP Vendor = "OpenLDAP"
	Vendor389DS    Vendor = "389-DS"
)

// Features are what a server can do, as its root DSE and its schema say.
type Features struct {
	Vendor Vendor
	// Paging is the simple paged results control (RFC 2696). Without it, lists are as long as the server's size limit.
	Paging bool
	// PostRead is the post-read control (RFC 4527). Without it, a changed entry is read once more.
	PostRead bool
	// Assertion is the assertion control (RFC 4528). Without it, a condition is looked at before a change, not with it.
	Assertion bool
	// PasswordModify is the extended operation of RFC 3062.
	PasswordModify bool
	// SchemaKnown says that the account may read the schema. UniqueKeys means nothing without it.
	SchemaKnown bool
	// UniqueKeys says that the schema has educationUniqueKey and educationObject.
	UniqueKeys bool
	// SchemaDN is the entry that holds the schema, empty if the server does not say which.
	SchemaDN string
	// ExternalIDs says that the schema permits openCloudEducationExternalId on users and schools, as OpenCloud's does since
	// version 5.2.0. It means nothing without SchemaKnown.
	ExternalIDs bool

	// contexts are the naming contexts.
	contexts []string
}

// SuffixOf returns the naming context that a DN is in, or the empty string.
func (f Features) SuffixOf(dn string) string {
	best := ""
	for _, context := range f.contexts {
		if len(context) >= len(best) && within(dn, context) {
			best = context
		}
	}
	return best
}

// within reports whether a DN is a base or below it.
func within(dn, base string) bool {
	inner, ok := parseDN(dn)
	outer, fits := parseDN(base)
	if !ok || !fits || len(inner.RDNs) < len(outer.RDNs) {
		return false
	}
	for len(inner.RDNs) > len(outer.RDNs) {
		inner = inner.Parent()
	}
	return inner.Key() == outer.Key()
}

func parseDN(text string) (*match.DN, bool) {
	return match.ParseDN(text, func(string) (string, match.Normalizer, bool) { return "", nil, false })
}

// rootAttributes are what is read of a root DSE (RFC 4512, section 5.1).
var rootAttributes = []string{
	"objectClass", "vendorName", "namingContexts", "supportedControl", "supportedExtension", "subschemaSubentry",
}

// readFeatures reads the root DSE and the schema.
func (c *conn) readFeatures(ctx context.Context, config *Config) (*Features, error) {
	root, err := c.readEntry(ctx, config, "", wire.Present("objectClass"), rootAttributes)
	if err != nil {
		return nil, err
	}
	controls, extensions := root.Values("supportedControl"), root.Values("supportedExtension")
	f := &Features{
		Paging:         slices.Contains(controls, wire.ControlPagedResults),
		PostRead:       slices.Contains(controls, wire.ControlPostRead),
		Assertion:      slices.Contains(controls, wire.ControlAssertion),
		PasswordModify: slices.Contains(extensions, wire.OperationPasswordModify),
		SchemaDN:       root.Value("subschemaSubentry"),
		contexts:       root.Values("namingContexts"),
	}
	switch {
	case strings.Contains(root.Value("vendorName"), "389"):
		f.Vendor = Vendor389DS
	case slices.Contains(root.Values("objectClass"), "OpenLDAProotDSE"):
		f.Vendor = VendorOpenLDAP
	}
	return f, c.readSchema(ctx, config, f)
}

// attributeUniqueKey is the attribute that a server keeps unique.
const attributeUniqueKey = "educationUniqueKey"

// readSchema looks for this service's own schema. That it cannot be read is no error.
func (c *conn) readSchema(ctx context.Context, config *Config, f *Features) error {
	if f.SchemaDN == "" {
		return nil
	}
	schema, err := c.readEntry(ctx, config, f.SchemaDN, wire.Equal("objectClass", "subschema"), []string{"attributeTypes", "objectClasses"})
	if _, isResult := wire.CodeOf(err); isResult {
		return nil
	}
	if err != nil {
		return err
	}
	types, classes := schema.Values("attributeTypes"), schema.Values("objectClasses")
	f.SchemaKnown = len(types) > 0 && len(classes) > 0
	f.UniqueKeys = describes(types, attributeUniqueKey) && describes(classes, "educationObject")
	const externalID = "openCloudEducationExternalId"
	f.ExternalIDs = permits(classes, "openCloudEducationUser", externalID) && permits(classes, "openCloudEducationSchool", externalID)
	return nil
}

// permits reports whether the description of an object class names an attribute.
func permits(classes []string, class, attribute string) bool {
	return slices.ContainsFunc(classes, func(text string) bool {
		return describes([]string{text}, class) && strings.Contains(strings.ToLower(text), strings.ToLower(attribute))
	})
}

// describes reports whether one of the descriptions (RFC 4512, section 4.1) has the name.
func describes(descriptions []string, name string) bool {
	quoted := "'" + strings.ToLower(name) + "'"
	return slices.ContainsFunc(descriptions, func(text string) bool { return strings.Contains(strings.ToLower(text), quoted) })
}

// readEntry reads one entry. One that is not there, or not for the account, is ResultNoSuchObject.
func (c *conn) readEntry(ctx context.Context, config *Config, dn string, filter *wire.Filter, attributes []string) (*wire.Entry, error) {
	x := c.begin(ctx, config.Timeout)
	defer x.end()
	err := x.send(&wire.SearchRequest{Base: dn, Scope: wire.ScopeBase, Filter: filter, Attributes: attributes})
	if err != nil {
		return nil, err
	}
	var found *wire.Entry
	response, _, err := x.entries(func(entry *wire.Entry) error {
		found = entry
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case response.Err() != nil:
		return nil, response.Err()
	case found == nil:
		return nil, wire.Errorf(wire.ResultNoSuchObject, "the entry is not there or not to be seen")
	}
	return found, nil
}

// errReference is what a search fails with that the server answers in part only (RFC 4511, section 4.5.3). Leaving the
// rest out would make entries look deleted.
var errReference = errors.New("LDAP search: a part of the tree is on another server, which is not followed")

// entries reads the answer to a search and visits its entries. An error of visit is returned as it is, in the middle of
// the answer: the connection is no more use then.
func (x *exchange) entries(visit func(*wire.Entry) error) (*wire.Response, []wire.Control, error) {
	for {
		message, err := x.receive()
		if err != nil {
			return nil, nil, err
		}
		switch message.Tag {
		case wire.TagSearchEntry:
			entry, err := message.Entry()
			if err != nil {
				return nil, nil, x.fail("answer", err)
			}
			if err := visit(entry); err != nil {
				x.conn.broken = true
				return nil, nil, err
			}
		case wire.TagSearchReference:
			x.conn.broken = true
			return nil, nil, errReference
		case wire.TagSearchDone:
			response, err := message.Response()
			if err != nil {
				return nil, nil, x.fail("answer", err)
			}
			return response, message.Controls, nil
		default:
			return nil, nil, x.fail("answer", fmt.Errorf("%w: tag %#x", errProtocol, byte(message.Tag)))
		}
	}
}
