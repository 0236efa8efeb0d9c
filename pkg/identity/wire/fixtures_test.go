package wire

import "fmt"

func ptr[T any](value T) *T { return &value }

// requestFixtures are requests that between them fill every field of every request.
func requestFixtures() map[string]Request {
	return map[string]Request{
		"bind anonymous": &BindRequest{Version: 3},
		"bind simple":    &BindRequest{Version: 3, Name: "cn=admin,dc=opencloud,dc=eu", Password: "s3cret"},
		"bind sasl":      &BindRequest{Version: 3, Method: AuthSASL, Mechanism: "PLAIN", Credentials: ptr("\x00a\x00b")},
		"bind external":  &BindRequest{Version: 3, Method: AuthSASL, Mechanism: "EXTERNAL"},
		"bind unknown":   &BindRequest{Version: 3, Method: 9},
		"unbind":         &UnbindRequest{},
		"search":         searchFixture(),
		"search all":     &SearchRequest{Filter: Present("objectClass")},
		"modify": &ModifyRequest{DN: "uid=max,ou=users", Changes: []Change{
			{Operation: ChangeAdd, Attribute: Attribute{Type: "mail", Values: []string{"max@example.org", "m@example.org"}}},
			{Operation: ChangeDelete, Attribute: Attribute{Type: "sn"}},
			{Operation: ChangeReplace, Attribute: Attribute{Type: "jpegPhoto", Values: []string{"\xff\xd8\x00"}}},
		}},
		"modify with post-read": &ModifyRequest{DN: "uid=max", Changes: []Change{}, PostRead: []string{"*", "+"}},
		"add": &AddRequest{DN: "uid=max", Attributes: []Attribute{
			{Type: "objectClass", Values: []string{"top", "person"}}, {Type: "cn", Values: []string{"Max"}},
		}},
		"add with post-read": &AddRequest{DN: "uid=max", PostRead: []string{"entryUUID"}},
		"delete":             &DeleteRequest{DN: "uid=max,ou=users"},
		"modify if": &ModifyRequest{
			DN: "uid=max", Changes: []Change{}, Assertion: filterFixture(), PostRead: []string{"entryCSN"},
		},
		"delete if": &DeleteRequest{DN: "uid=max", Assertion: Equal("entryCSN", "20260101000000.000000Z#000000#000#000000")},
		"rename":    &ModifyDNRequest{DN: "uid=max,ou=users", NewRDN: "uid=moritz", DeleteOldRDN: true},
		"move":      &ModifyDNRequest{DN: "uid=max,ou=users", NewRDN: "uid=max", NewSuperior: ptr("ou=former")},
		"compare":   &CompareRequest{DN: "uid=max", Attribute: "cn", Value: "Max"},
		"abandon":   &AbandonRequest{ID: 300},
		"extended":  &ExtendedRequest{Name: OperationWhoAmI},
		"password modify": (&PasswordModifyRequest{
			UserIdentity: ptr("uid=max"), OldPassword: ptr("a"), NewPassword: ptr("b"),
		}).Extended(),
	}
}

func searchFixture() *SearchRequest {
	return &SearchRequest{
		Base: "ou=users,dc=opencloud,dc=eu", Scope: ScopeSubtree, SizeLimit: 500, TimeLimit: 30, TypesOnly: true,
		Attributes: []string{"uid", "mail"},
		Filter:     filterFixture(),
	}
}

// filterFixture holds a node of every kind, with every field filled in one of them.
func filterFixture() *Filter {
	return And(
		Equal("objectClass", "inetOrgPerson"),
		Or(Equal("uid", "a*(b)\\"), Not(Present("mail")), Or(), And()),
		&Filter{Kind: FilterGreaterOrEqual, Attribute: "createTimestamp", Value: "20260101000000Z"},
		&Filter{Kind: FilterLessOrEqual, Attribute: "createTimestamp", Value: "20270101000000Z"},
		&Filter{Kind: FilterApprox, Attribute: "sn", Value: "Müller"},
		&Filter{Kind: FilterSubstrings, Attribute: "cn", Initial: "a", Any: []string{"b", "c"}, Final: "d"},
		&Filter{Kind: FilterSubstrings, Attribute: "cn", Any: []string{"b"}},
		&Filter{Kind: FilterExtensible, Attribute: "cn", Rule: "caseExactMatch", Value: "x", DNAttributes: true},
		&Filter{Kind: FilterExtensible, Rule: "2.5.13.2", Value: "x"},
		&Filter{Kind: FilterExtensible, Attribute: "ou", Value: "x", DNAttributes: true},
	)
}

// entryFixture is a user entry of 14 attributes.
func entryFixture() *Entry {
	entry := &Entry{DN: "openCloudUUID=0e2f1bd5-9a2d-4a3b-a6c1-1a2d7f0a3c55,ou=users,dc=opencloud,dc=eu"}
	add := func(name string, values ...string) {
		entry.Attributes = append(entry.Attributes, Attribute{Type: name, Values: values})
	}
	add("objectClass", "top", "person", "organizationalPerson", "inetOrgPerson", "openCloudObject", "openCloudUser",
		"openCloudEducationUser", "educationObject")
	add("openCloudUUID", "0e2f1bd5-9a2d-4a3b-a6c1-1a2d7f0a3c55")
	add("uid", "max.mustermann")
	add("cn", "max.mustermann")
	add("sn", "Mustermann")
	add("givenName", "Max")
	add("displayName", "Max Mustermann")
	add("mail", "max.mustermann@example.org")
	add("openCloudUserEnabled", "TRUE")
	add("openCloudUserType", "Member")
	add("userClass", "student")
	add("openCloudMemberOfSchool", "6f0b9f1c-52a5-4a19-9ad1-4d2b8f4f7a10")
	add("openCloudEducationExternalId", "4711")
	add("educationUniqueKey", "user/username/-/max.mustermann", "user/externalId/-/4711")
	return entry
}

// responseFixtures fill every field of a response.
func responseFixtures() map[string]*Response {
	fixtures := map[string]*Response{
		"no such object": {Tag: TagSearchDone, Code: ResultNoSuchObject, MatchedDN: "dc=eu", Message: "no such entry"},
		"referral":       {Tag: TagModifyResponse, Code: 10, Referrals: []string{"ldap://a/", "ldap://b/"}},
		"bind":           {Tag: TagBindResponse, ServerCredentials: ptr("x")},
		"extended":       {Tag: TagExtendedResponse, Name: ptr("1.2.3"), Value: ptr("dn:uid=max")},
		"empty value":    {Tag: TagExtendedResponse, Value: ptr("")},
	}
	for _, tag := range []Tag{TagAddResponse, TagDeleteResponse, TagModifyDNResponse, TagCompareResponse} {
		fixtures[fmt.Sprintf("tag %x", byte(tag))] = &Response{Tag: tag, Code: ResultCompareTrue}
	}
	return fixtures
}

func controlFixtures() []Control {
	return []Control{
		{OID: ControlManageDsaIT},
		{OID: "1.2.3", Critical: true},
		{OID: "1.2.3.4", Critical: true, Value: ptr("")},
		PagedResults{Size: 1000, Cookie: "\x00\x01"}.Control(true),
	}
}
