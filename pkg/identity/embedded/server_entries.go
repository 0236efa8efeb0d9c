package embedded

import (
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Object identifiers of the features that the root DSE announces.
const (
	// featureAllOperational is "+" in an attribute selection (RFC 3673).
	featureAllOperational = "1.3.6.1.4.1.4203.1.5.1"
	// featureTrueFalse is filters without operands (RFC 4526).
	featureTrueFalse = "1.3.6.1.4.1.4203.1.5.3"
)

// rootDSE returns the entry that describes the server (RFC 4512, section 5.1).
func (s *Server) rootDSE() *wire.Entry {
	extensions := []string{wire.OperationPasswordModify, wire.OperationWhoAmI}
	if s.config.TLS != nil {
		extensions = append(extensions, wire.OperationStartTLS)
	}
	return &wire.Entry{Attributes: []wire.Attribute{
		{Type: attributeObjectClass, Values: []string{"top"}},
		{Type: "namingContexts", Values: s.store.NamingContexts()},
		{Type: attributeSubschemaSubentry, Values: []string{subschemaDN}},
		{Type: "supportedControl", Values: []string{
			wire.ControlPagedResults, wire.ControlPostRead, wire.ControlAssertion, wire.ControlManageDsaIT,
		}},
		{Type: "supportedExtension", Values: extensions},
		{Type: "supportedFeatures", Values: []string{featureAllOperational, featureTrueFalse}},
		{Type: "supportedLDAPVersion", Values: []string{"3"}},
		{Type: "vendorName", Values: []string{"OpenCloud"}},
	}}
}

// serverEntry returns the entry that a search is for if it is one of the two that the server keeps for itself, and nil
// otherwise. Neither has entries below it.
func (e *exchange) serverEntry(request *wire.SearchRequest) (*wire.Entry, error) {
	switch {
	case request.Base == "" && request.Scope == wire.ScopeBase:
		return e.session.server.rootDSE(), nil
	case !strings.EqualFold(request.Base, subschemaDN):
		return nil, nil
	case e.identity.role == anonymous:
		return nil, denied()
	case request.Scope == wire.ScopeOneLevel:
		return nil, wire.Errorf(wire.ResultNoSuchObject, "nothing is below the subschema entry")
	default:
		return e.session.server.store.Subschema(), nil
	}
}

// searchServerEntry answers a search for an entry that the server keeps for itself.
func (e *exchange) searchServerEntry(entry *wire.Entry, request *wire.SearchRequest) error {
	condition, err := compile(request.Filter, 0)
	if err != nil {
		return err
	}
	matches := undefined
	err = e.session.server.store.view(func(tx *bolt.Tx) error {
		matches = condition.of(tx, &record{dn: entry.DN, attributes: entry.Attributes})
		return nil
	})
	if err != nil || matches != isTrue {
		return err
	}
	return e.yield(selectFrom(entry, request))
}

// selectFrom returns the part of an entry of the server's own that a search asks for. Its attributes are operational,
// except for its classes and its name (RFC 4512, sections 4.2 and 5.1).
func selectFrom(entry *wire.Entry, request *wire.SearchRequest) *wire.Entry {
	selected := &wire.Entry{DN: entry.DN}
	for _, attribute := range entry.Attributes {
		user := attribute.Type == attributeObjectClass || attribute.Type == "cn"
		wanted := slices.ContainsFunc(request.Attributes, func(name string) bool {
			return name == wire.AllUserAttributes && user ||
				name == wire.AllOperationalAttributes && !user ||
				strings.EqualFold(name, attribute.Type)
		})
		if !wanted && (!user || len(request.Attributes) > 0) {
			continue
		}
		if request.TypesOnly {
			attribute.Values = nil
		}
		selected.Attributes = append(selected.Attributes, attribute)
	}
	return selected
}
