// Package opencloudnames runs tests on a tree as OpenCloud's graph service writes it. It changes each entry on its way to the
// directory, whoever makes it: users are named by uid, schools by ou, classes by their externalId, and a user without a
// mail address has an empty one.
//
// Tests of a directory in Go put Operations around it. Tests of a program put a relay between it and the LDAP server:
//
//	relay := faultproxy.New(t, address)
//	relay.Set(opencloudnames.Relayed(isTaken))
package opencloudnames

import (
	"context"
	"slices"

	"github.com/opencloud-eu/education/internal/faultproxy"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// nameAttributes are the attributes that OpenCloud's graph service names entries by, by object class.
var nameAttributes = map[string]string{
	"openCloudEducationUser":   "uid",
	"openCloudEducationClass":  "openCloudEducationExternalId",
	"openCloudEducationSchool": "ou",
}

// maxNameLength is the length in bytes of the longest RDN. Servers refuse one of about 245, and then OpenCloud's graph service
// could not have made the entry.
const maxNameLength = 128

// As returns the Add by which OpenCloud's graph service would have made an entry. One that has no value to be named by
// keeps its name, and so does one that is no user, class or school.
func As(request *wire.AddRequest) *wire.AddRequest {
	written := *request
	for class, attribute := range nameAttributes {
		if !slices.Contains(valuesOf(request, "objectClass"), class) {
			continue
		}
		if values := valuesOf(request, attribute); len(values) == 1 {
			written.DN = renamed(request.DN, attribute, values[0])
		}
		if class == "openCloudEducationUser" && len(valuesOf(request, "mail")) == 0 {
			written.Attributes = append(slices.Clone(request.Attributes), wire.Attribute{Type: "mail", Values: []string{""}})
		}
	}
	return &written
}

func valuesOf(request *wire.AddRequest, name string) []string {
	for _, attribute := range request.Attributes {
		if attribute.Type == name {
			return attribute.Values
		}
	}
	return nil
}

// renamed returns a DN with another RDN. What is no DN stays, for the directory to refuse, and so does what would be too long.
func renamed(dn, attribute, value string) string {
	parsed, ok := match.ParseDN(dn, func(string) (string, match.Normalizer, bool) { return "", nil, false })
	if !ok || len(parsed.RDNs) == 0 {
		return dn
	}
	name := match.RDN{Values: []match.RDNValue{{Attribute: attribute, Value: value}}}.String()
	if len(name) > maxNameLength {
		return dn
	}
	return name + "," + parsed.Parent().String()
}

// Operations is a directory whose entries are made as OpenCloud's graph service makes them. An entry whose name is taken gets
// the one that it asks for. The directory has to return entries when they are added: nothing else tells who adds one what it is
// called.
type Operations struct{ identity.Operations }

// Add implements identity.Operations.
func (o Operations) Add(ctx context.Context, request *wire.AddRequest) (*wire.Entry, error) {
	written := As(request)
	entry, err := o.Operations.Add(ctx, written)
	if code, ok := wire.CodeOf(err); ok && code == wire.ResultEntryAlreadyExists && written.DN != request.DN {
		written.DN = request.DN
		return o.Operations.Add(ctx, written)
	}
	return entry, err
}

// Relayed is what happens to messages on their way to a server whose entries are to be made as OpenCloud's graph service
// makes them. An entry whose DN is taken, as the function says, gets the one that it asks for.
func Relayed(taken func(dn string) bool) faultproxy.Fault {
	return func(m *faultproxy.Message) faultproxy.Fate {
		request, err := m.Message.Request()
		asked, isAdd := request.(*wire.AddRequest)
		if m.Reply || err != nil || !isAdd {
			return faultproxy.Pass
		}
		written := As(asked)
		if written.DN != asked.DN && taken(written.DN) {
			written.DN = asked.DN
		}
		written.PostRead = nil // It is among the controls.
		return faultproxy.Instead(wire.AppendRequest(nil, m.ID, written, m.Controls...))
	}
}
