package acceptance

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
)

// What OpenCloud's services ask for, with OC_LDAP_USER_SCHEMA_TENANT_ID=openCloudMemberOfSchool and
// OC_LDAP_USER_SCHEMA_ID=openCloudUUID.
var (
	userAttributes = []string{
		"displayname", "uid", "mail", "openCloudUUID", "uidNumber", "gidNumber", "openCloudUserEnabled", "openCloudUserType",
		"openCloudMemberOfSchool", "openCloudExternalIdentity",
	}
	tenantAttributes = []string{"openCloudUUID", "openCloudEducationExternalId", "ou"}
)

// opencloud is OpenCloud's connection to the directory.
type opencloud struct {
	*testing.T
	*ldap.Conn
}

// find sends a search as OpenCloud does and returns the usernames, or the names of schools, that it finds.
func (o opencloud) find(base, filter string, sizeLimit int, attributes []string) ([]string, error) {
	o.Helper()
	found, err := o.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, sizeLimit, 0, false,
		filter, attributes, nil))
	names := []string{}
	if found == nil {
		return names, err
	}
	for _, entry := range found.Entries {
		names = append(names, entry.GetEqualFoldAttributeValue("uid")+entry.GetEqualFoldAttributeValue("ou"))
	}
	slices.Sort(names)
	return names, err
}

// TestOpenCloudReads sends the searches of OpenCloud's users, auth-basic, tenant and graph services.
func TestOpenCloudReads(t *testing.T) {
	t.Parallel()
	s := start(t, "EDUCATION_COMPATIBILITY=opencloud")
	north := s.school(t, entity{"displayName": "North", "externalId": "ext-north", "schoolNumber": "0042"})
	south := s.school(t, entity{"displayName": "South", "externalId": "ext-south"})
	ids := map[string]string{}
	for name, school := range map[string]string{"max": north, "maxine": north, "tina": south, "loner": ""} {
		ids[name] = s.user(t, entity{
			"displayName": "The " + name, "onPremisesSamAccountName": name, "mail": name + "@example.org", "externalId": "x-" + name,
			"passwordProfile": entity{"password": "secret of " + name + canary},
			"identities":      []entity{{"issuer": "https://idp.example", "issuerAssignedId": "sub-" + name}},
		})
		if school != "" {
			s.link(t, "/schools/"+school+"/users", "/users/"+name)
		}
	}
	class := s.class(t, entity{"displayName": "5a", "externalId": "5a", "members@odata.bind": []string{"/users/max"}})
	reader := opencloud{t, s.dial(t)}
	if err := reader.Bind("cn=reader,"+namingContext, s.ldapPassword(t, "reader")); err != nil {
		t.Fatal(err)
	}
	tenant := func(school string) string { return "(openCloudMemberOfSchool=" + school + ")" }
	person := func(items string) string { return "(&(objectclass=inetOrgPerson)" + items + ")" }
	substring := func(text string) string {
		return fmt.Sprintf("(|(mail=*%[1]s*)(displayname=*%[1]s*)(uid=*%[1]s*)(openCloudUUID=*%[1]s*))", text)
	}
	school := "(objectClass=openCloudEducationSchool)"
	tests := map[string]struct {
		base, filter string
		sizeLimit    int
		attributes   []string
		want         []string
		code         uint16
	}{
		"a user by id":                    {userBase, person("(openCloudUUID=" + ids["max"] + ")" + tenant(north)), 2, userAttributes, []string{"max"}, 0},
		"a user by id in capitals":        {userBase, person("(openCloudUUID=" + strings.ToUpper(ids["max"]) + ")" + tenant(north)), 2, userAttributes, []string{"max"}, 0},
		"a user of another tenant":        {userBase, person("(openCloudUUID=" + ids["max"] + ")" + tenant(south)), 2, userAttributes, []string{}, 0},
		"a user by username":              {userBase, person("(uid=MAX)" + tenant(north)), 1, userAttributes, []string{"max"}, 0},
		"a user by mail":                  {userBase, person("(mail=max@example.org)" + tenant(north)), 1, userAttributes, []string{"max"}, 0},
		"a user by id, no UUID":           {userBase, person("(openCloudUUID=max)" + tenant(north)), 2, userAttributes, []string{}, 0},
		"the users of a tenant":           {userBase, person(tenant(north)), 0, userAttributes, []string{"max", "maxine"}, 0},
		"users by a part, of a tenant":    {userBase, person(substring("max") + tenant(north)), 0, userAttributes, []string{"max", "maxine"}, 0},
		"users by a part, of another one": {userBase, person(substring("max") + tenant(south)), 0, userAttributes, []string{}, 0},
		"users by a part and type":        {userBase, person(substring("in") + "(openCloudUserType=member)" + tenant(south)), 0, userAttributes, []string{"tina"}, 0},
		"users by a part of a mail":       {userBase, person(substring("EXAMPLE.org") + tenant(south)), 0, userAttributes, []string{"tina"}, 0},
		"somebody who is enabled":         {userBase, person("(uid=max)(!(openCloudUserEnabled=FALSE))" + tenant(north)), 0, userAttributes, []string{"max"}, 0},
		"for a sign-in":                   {userBase, person("(|(uid=max)(mail=max))" + tenant(north)), 2, userAttributes, []string{"max"}, 0},
		"for a sign-in with mail":         {userBase, person("(|(uid=max@example.org)(mail=max@example.org))"), 2, userAttributes, []string{"max"}, 0},
		"more than the size limit":        {userBase, person(tenant(north)), 1, userAttributes, []string{"max"}, ldap.LDAPResultSizeLimitExceeded},
		"a user by an identity":           {userBase, person("(openCloudExternalIdentity= $ https://idp.example $ sub-max)"), 2, userAttributes, []string{"max"}, 0},

		"a tenant by its externalId":   {schoolBase, "(&" + school + "(openCloudEducationExternalId=ext-north))", 2, tenantAttributes, []string{"North"}, 0},
		"a tenant in capitals":         {schoolBase, "(&" + school + "(openCloudEducationExternalId=EXT-NORTH))", 2, tenantAttributes, []string{"North"}, 0},
		"a tenant with a filter first": {schoolBase, "(&(objectclass=organizationalUnit)" + school + "(openCloudEducationExternalId=ext-north))", 2, tenantAttributes, []string{"North"}, 0},
		"a tenant by its id":           {schoolBase, "(&" + school + "(openCloudUUID=" + south + "))", 2, tenantAttributes, []string{"South"}, 0},
		"a tenant that does not exist": {schoolBase, "(&" + school + "(openCloudEducationExternalId=ext-*))", 2, tenantAttributes, []string{"North", "South"}, 0},
		"a tenant with an escaped *":   {schoolBase, "(&" + school + `(openCloudEducationExternalId=ext-\2a))`, 2, tenantAttributes, []string{}, 0},

		"a school by id or number":     {schoolBase, "(&" + school + "(|(openCloudUUID=0042)(openCloudEducationSchoolNumber=0042)))", 1, tenantAttributes, []string{"North"}, 0},
		"a user by username or id":     {userBase, "(&(objectClass=openCloudEducationUser)(|(uid=tina)(openCloudUUID=tina)))", 1, userAttributes, []string{"tina"}, 0},
		"the users of a school":        {userBase, "(&(objectClass=openCloudEducationUser)" + tenant(south) + ")", 0, userAttributes, []string{"tina"}, 0},
		"groups of a member":           {classBase, "(&(objectclass=groupOfNames)(member=" + s.dn(t, userBase, ids["max"]) + "))", 0, []string{"cn"}, []string{""}, 0},
		"groups of somebody else":      {classBase, "(&(objectclass=groupOfNames)(member=" + s.dn(t, userBase, ids["tina"]) + "))", 0, []string{"cn"}, []string{}, 0},
		"a class by id or externalId":  {classBase, "(&(objectClass=openCloudEducationClass)(|(openCloudUUID=5a)(openCloudEducationExternalId=5a)))", 1, []string{"cn"}, []string{""}, 0},
		"a class by name or id":        {classBase, "(&(objectClass=groupOfNames)(|(cn=5a)(openCloudUUID=" + class + ")))", 1, []string{"cn"}, []string{""}, 0},
		"everybody, as Keycloak does":  {userBase, "(&(objectclass=inetOrgPerson)(objectclass=organizationalPerson))", 0, []string{"*", "+"}, []string{"loner", "max", "maxine", "tina"}, 0},
		"somebody by Keycloak's UUIDs": {userBase, "(&(entryUUID=" + s.entryUUID(t, ids["tina"]) + ")(objectclass=inetOrgPerson))", 0, []string{"uid", "entryUUID"}, []string{"tina"}, 0},
	}
	if s.backend != nil {
		// OpenCloud's schema gives the attribute no rule for parts of values; only the directory in the process has one.
		delete(tests, "a tenant that does not exist")
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := reader.find(test.base, test.filter, test.sizeLimit, test.attributes)
			if test.code == 0 && err != nil || test.code != 0 && !ldap.IsErrorWithCode(err, test.code) {
				t.Errorf("got %v, want the code %d", err, test.code)
			}
			if test.code != 0 {
				if len(got) != test.sizeLimit {
					t.Errorf("got %v, want %d entries", got, test.sizeLimit)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// entryUUID returns an entry's operational UUID.
func (s *server) entryUUID(t testing.TB, id string) string {
	t.Helper()
	found, err := s.administrator(t).Search(ldap.NewSearchRequest(s.dn(t, userBase, id), ldap.ScopeBaseObject,
		ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"entryUUID"}, nil))
	if err != nil || len(found.Entries) != 1 {
		t.Fatalf("the entry of a user: %v", err)
	}
	return found.Entries[0].GetAttributeValue("entryUUID")
}

// TestOpenCloudEntry shows what OpenCloud needs of a user entry and of a school entry for a sign-in to a tenant.
func TestOpenCloudEntry(t *testing.T) {
	t.Parallel()
	s := start(t)
	school := s.school(t, entity{"displayName": "North", "externalId": "ext-north"})
	user := s.user(t, entity{
		"displayName": "Max Muster", "onPremisesSamAccountName": "max", "mail": "max@example.org", "givenName": "Max", "surname": "Muster",
		"externalId": "4711", "primaryRole": "student", "userType": "Guest", "accountEnabled": true,
		"identities":         []entity{{"signInType": "federated", "issuer": "https://idp.example", "issuerAssignedId": "1"}},
		"passwordProfile":    entity{"password": canary},
		"schools@odata.bind": []string{"/schools/" + school},
	})
	reader := s.dial(t)
	if err := reader.Bind("cn=reader,"+namingContext, s.ldapPassword(t, "reader")); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, entry := range below(t, reader, userBase) {
		for _, attribute := range entry.Attributes {
			got[attribute.Name] = slices.Sorted(slices.Values(attribute.Values))
		}
	}
	want := map[string][]string{
		"objectClass": {
			"inetOrgPerson", "openCloudEducationUser", "openCloudObject", "openCloudUser", "organizationalPerson", "person", "top",
		},
		"openCloudUUID": {user}, "uid": {"max"}, "cn": {"max"}, "sn": {"Muster"}, "givenName": {"Max"}, "displayName": {"Max Muster"},
		"mail": {"max@example.org"}, "userClass": {"student"}, "openCloudUserType": {"Guest"}, "openCloudUserEnabled": {"TRUE"},
		"openCloudEducationExternalId": {"4711"}, "openCloudMemberOfSchool": {school},
		"openCloudExternalIdentity": {"federated $ https://idp.example $ 1"},
	}
	// What is this service's own, OpenCloud does not look at.
	delete(got, "educationUniqueKey")
	got["objectClass"] = slices.DeleteFunc(got["objectClass"], func(class string) bool { return class == "educationObject" })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the entry of a user (-want +got):\n%s", diff)
	}
	schools := below(t, reader, schoolBase)
	if len(schools) != 1 || schools[0].GetAttributeValue("openCloudUUID") != school || schools[0].GetAttributeValue("ou") != "North" ||
		schools[0].GetAttributeValue("openCloudEducationExternalId") != "ext-north" {
		t.Errorf("the entry of the school: %v", schools)
	}
}

// TestOpenCloudSignIn does what OpenCloud does when somebody signs in: it looks for the user as cn=reader, binds as the
// user on another connection, and notes the time of the sign-in.
func TestOpenCloudSignIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	school := s.school(t)
	user := "/users/" + s.user(t, entity{
		"onPremisesSamAccountName": "max", "schools@odata.bind": []string{"/schools/" + school},
		"passwordProfile": entity{"password": "right " + canary},
	})
	reader := opencloud{t, s.dial(t)}
	if err := reader.Bind("cn=reader,"+namingContext, s.ldapPassword(t, "reader")); err != nil {
		t.Fatal(err)
	}
	found, err := reader.Search(ldap.NewSearchRequest(userBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 1, 0, false,
		"(&(objectclass=inetOrgPerson)(|(uid=max)(mail=max))(openCloudMemberOfSchool="+school+"))", userAttributes, nil))
	if err != nil || len(found.Entries) != 1 {
		t.Fatalf("the look-up of the user: %v", err)
	}
	dn := found.Entries[0].DN
	signIn := func(password string, code uint16) {
		t.Helper()
		err := s.dial(t).Bind(dn, password)
		if code == 0 && err != nil || code != 0 && !ldap.IsErrorWithCode(err, code) {
			t.Errorf("the bind: %v, want the code %d", err, code)
		}
	}
	signIn("right "+canary, 0)
	signIn("wrong", ldap.LDAPResultInvalidCredentials)
	// RFC 4513, section 5.1.2: a bind without a password must not look like one that has succeeded.
	if _, err := s.dial(t).SimpleBind(&ldap.SimpleBindRequest{Username: dn, AllowEmptyPassword: true}); !ldap.IsErrorAnyOf(err, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInappropriateAuthentication) {
		t.Errorf("the bind without a password: %v", err)
	}

	at := time.Now().UTC().Format("20060102150405Z")
	note := ldap.NewModifyRequest(dn, nil)
	note.Replace("openCloudLastSignInTimestamp", []string{at})
	for range 2 { // The second one replaces the first.
		if err := reader.Modify(note); err != nil {
			t.Fatalf("noting the sign-in: %v", err)
		}
	}
	refusal := ldap.NewModifyRequest(dn, nil)
	refusal.Replace("openCloudUserEnabled", []string{"TRUE"})
	if err := reader.Modify(refusal); !ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights) {
		t.Errorf("another write of cn=reader: %v", err)
	}
	wrong := ldap.NewModifyRequest(dn, nil)
	wrong.Replace("openCloudLastSignInTimestamp", []string{"yesterday"})
	if err := reader.Modify(wrong); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidAttributeSyntax) {
		t.Errorf("a time that is none: %v", err)
	}
	admin := s.administrator(t)
	if ok, err := admin.Compare(dn, "openCloudLastSignInTimestamp", at); err != nil || !ok {
		t.Errorf("the time of the sign-in: %t, %v", ok, err)
	}
	// A change over HTTP keeps what OpenCloud has written.
	s.patch(t, user, entity{"displayName": "Renamed", "onPremisesSamAccountName": "moritz"}).want(http.StatusOK)
	dn = s.dn(t, userBase, strings.TrimPrefix(user, "/users/"))
	if ok, err := admin.Compare(dn, "openCloudLastSignInTimestamp", at); err != nil || !ok {
		t.Errorf("the time of the sign-in after a change: %t, %v", ok, err)
	}
	s.patch(t, user, entity{"accountEnabled": false}).want(http.StatusOK)
	if s.backend == nil || s.backend.refusesDisabled {
		signIn("right "+canary, ldap.LDAPResultInvalidCredentials)
	}
	s.remove(t, user).want(http.StatusNoContent)
	signIn("right "+canary, ldap.LDAPResultInvalidCredentials)
	// 389 Directory Server asks first whether the account might write an entry of this name, and knows no such right.
	if err := reader.Modify(note); !ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInsufficientAccessRights) {
		t.Errorf("noting the sign-in of nobody: %v", err)
	}
}
