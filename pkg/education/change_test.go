package education

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/odata"
)

type values = map[string]any

// TestDecodeChange holds what is accepted, and what becomes of it.
func TestDecodeChange(t *testing.T) {
	t.Parallel()
	var (
		later   = time.Date(2026, 12, 31, 22, 0, 0, 0, time.UTC)
		emoji   = strings.Repeat("🏫", 256)
		longest = strings.Repeat("ü", 512)
	)
	const (
		user  = `"displayName":"Max","onPremisesSamAccountName":"max"`
		class = `"displayName":"5a","classification":"course"`
	)
	maxUser := func(extra values) values {
		all := values{"displayName": "Max", "onPremisesSamAccountName": "max", "userType": "Member"}
		for name, value := range extra {
			all[name] = value
		}
		return all
	}
	tests := []struct {
		name      string
		set       *EntitySet
		operation Operation
		rules     *Rules // nil for both modes
		body      string
		want      values
		links     map[string][]string
	}{
		// Schools.
		{"smallest school", Schools, CreateEntity, nil, `{"displayName":"A"}`, values{"displayName": "A"}, nil},
		{"school of the multi-tenancy example", Schools, CreateEntity, nil, `{"displayName":"A","externalId":"t-1"}`, values{"displayName": "A", "externalId": "t-1"}, nil},
		{
			"school with everything", Schools, CreateEntity, nil,
			`{"id":"` + someID + `","displayName":"A","schoolNumber":"0042","externalId":"t","terminationDate":"2027-01-01T00:00:00+02:00"}`,
			values{"id": someID, "displayName": "A", "schoolNumber": "0042", "externalId": "t", "terminationDate": later},
			nil,
		},
		{"id in upper case", Schools, CreateEntity, nil, `{"displayName":"A","id":"` + strings.ToUpper(someID) + `"}`, values{"displayName": "A", "id": strings.ToUpper(someID)}, nil},
		{"id of any version", Schools, CreateEntity, nil, `{"displayName":"A","id":"00000000-0000-0000-0000-000000000000"}`, values{"displayName": "A", "id": "00000000-0000-0000-0000-000000000000"}, nil},
		{"null is absent on create", Schools, CreateEntity, nil, `{"displayName":"A","id":null,"schoolNumber":null,"terminationDate":null,"createdDateTime":null}`, values{"displayName": "A"}, nil},
		{"name shaped like a UUID", Schools, CreateEntity, nil, `{"displayName":"` + someID + `"}`, values{"displayName": someID}, nil},
		{"externalId shaped like a UUID", Schools, CreateEntity, nil, `{"displayName":"A","externalId":"` + someID + `"}`, values{"displayName": "A", "externalId": someID}, nil},
		{"longest name, in characters", Schools, CreateEntity, nil, `{"displayName":"` + emoji + `"}`, values{"displayName": emoji}, nil},
		{"special characters", Schools, CreateEntity, nil, `{"displayName":" *(a)\\,+\"<>;=# ß🏫 "}`, values{"displayName": ` *(a)\,+"<>;=# ß🏫 `}, nil},
		{"fraction of a second", Schools, UpdateEntity, nil, `{"terminationDate":"2026-12-31T22:00:00.987Z"}`, values{"terminationDate": later}, nil},
		{"school's name and number and date at once", Schools, UpdateEntity, nil, `{"displayName":"B","schoolNumber":"1","terminationDate":"2026-12-31T22:00:00Z"}`, values{"displayName": "B", "schoolNumber": "1", "terminationDate": later}, nil},
		{"clear a school's properties", Schools, UpdateEntity, nil, `{"schoolNumber":null,"externalId":null,"terminationDate":null}`, values{"schoolNumber": nil, "externalId": nil, "terminationDate": nil}, nil},
		{"change externalId", Schools, UpdateEntity, nil, `{"externalId":"t-2"}`, values{"externalId": "t-2"}, nil},
		{"nothing to change", Schools, UpdateEntity, nil, `{}`, values{}, nil},
		{"repeated id", Schools, UpdateEntity, nil, `{"id":"` + someID + `"}`, values{"id": someID}, nil},
		{"repeated dates", Schools, UpdateEntity, nil, `{"createdDateTime":"2026-12-31T22:00:00Z"}`, values{"createdDateTime": later}, nil},
		{"annotations", Schools, CreateEntity, nil, `{"@odata.context":"x","@odata.type":"#y","@odata.etag":7,"displayName@odata.type":"z","displayName":"A"}`, values{"displayName": "A"}, nil},
		{"names in another case", Schools, CreateEntity, nil, `{"DISPLAYNAME":"A","schoolnumber":"1"}`, values{"displayName": "A", "schoolNumber": "1"}, nil},
		{"space round everything", Schools, CreateEntity, nil, " \r\n\t{ \"displayName\" : \"A\" } \n", values{"displayName": "A"}, nil},
		{"escapes", Schools, CreateEntity, nil, `{"display\u004eame":"\u00fc\ud83c\udfeb"}`, values{"displayName": "ü🏫"}, nil},

		// Users.
		{"smallest user", Users, CreateEntity, nil, `{` + user + `}`, maxUser(nil), nil},
		{"user of the multi-tenancy example", Users, CreateEntity, nil, `{` + user + `,"mail":"max@example.org"}`, maxUser(values{"mail": "max@example.org"}), nil},
		{"username as libre-graph's examples spell it", Users, CreateEntity, nil, `{"displayName":"Max","onPremisesSAMAccountName":"max"}`, maxUser(nil), nil},
		{
			"user with everything", Users, CreateEntity, nil,
			`{` + user + `,"givenName":"M","surname":"X","userType":"gUEST","primaryRole":"student","externalId":"4711","accountEnabled":false,` +
				`"identities":[{"signInType":"federated","issuer":"https://idp","issuerAssignedId":"1"}],"passwordProfile":{"password":"pw","forceChangePasswordNextSignIn":false}}`,
			maxUser(values{
				"givenName": "M", "surname": "X", "userType": "gUEST", "primaryRole": "student", "externalId": "4711", "accountEnabled": false,
				"identities": []Identity{{"federated", "https://idp", "1"}}, "passwordProfile": Password("pw"),
			}), nil,
		},
		{"null userType is the default on create", Users, CreateEntity, nil, `{` + user + `,"userType":null}`, maxUser(nil), nil},
		{"identity without signInType", Users, UpdateEntity, nil, `{"identities":[{"issuer":"a","issuerAssignedId":"b"}]}`, values{"identities": []Identity{{"", "a", "b"}}}, nil},
		{"identity of dollars", Users, UpdateEntity, nil, `{"identities":[{"issuer":"$","issuerAssignedId":" $"}]}`, values{"identities": []Identity{{"", "$", " $"}}}, nil},
		{"no identities", Users, UpdateEntity, nil, `{"identities":[]}`, values{"identities": nil}, nil},
		{"no identities on create", Users, CreateEntity, nil, `{` + user + `,"identities":[]}`, maxUser(values{"identities": nil}), nil},
		{"mail with a local part of 64 octets", Users, UpdateEntity, nil, `{"mail":"` + strings.Repeat("a", 64) + `@example.org"}`, values{"mail": strings.Repeat("a", 64) + "@example.org"}, nil},
		{"mail with a long domain", Users, UpdateEntity, nil, `{"mail":"a@` + strings.Repeat("b.", 126) + `de"}`, values{"mail": "a@" + strings.Repeat("b.", 126) + "de"}, nil},
		{"clear a user's properties", Users, UpdateEntity, nil, `{"mail":null,"givenName":null,"surname":null,"userType":null,"primaryRole":null,"externalId":null,"accountEnabled":null,"identities":null,"passwordProfile":null}`, values{"mail": nil, "givenName": nil, "surname": nil, "userType": nil, "primaryRole": nil, "externalId": nil, "accountEnabled": nil, "identities": nil, "passwordProfile": nil}, nil},
		{"password with blanks and symbols", Users, UpdateEntity, nil, `{"passwordProfile":{"password":" {ARGON2}ü "}}`, values{"passwordProfile": Password(" {ARGON2}ü ")}, nil},
		{"new password at the next sign-in is ignored as by OpenCloud", Users, UpdateEntity, &compatible, `{"passwordProfile":{"password":"pw","forceChangePasswordNextSignIn":true}}`, values{"passwordProfile": Password("pw")}, nil},
		{"username with a domain", Users, UpdateEntity, nil, `{"onPremisesSamAccountName":"max@schule-1.example.org"}`, values{"onPremisesSamAccountName": "max@schule-1.example.org"}, nil},
		{"username with every character of a local part", Users, UpdateEntity, nil, "{\"onPremisesSamAccountName\":\"_A9.!#$%&'*+/=?^_`{|}~-\"}", values{"onPremisesSamAccountName": "_A9.!#$%&'*+/=?^_`{|}~-"}, nil},
		{"longest username", Users, UpdateEntity, nil, `{"onPremisesSamAccountName":"` + strings.Repeat("m", 256) + `"}`, values{"onPremisesSamAccountName": strings.Repeat("m", 256)}, nil},
		{"longest name of a user", Users, UpdateEntity, nil, `{"displayName":"` + longest + `"}`, values{"displayName": longest}, nil},
		{"any text as a role", Users, UpdateEntity, nil, `{"primaryRole":"Hausmeister"}`, values{"primaryRole": "Hausmeister"}, nil},
		{"empty string keeps the value", Users, UpdateEntity, &compatible, `{"displayName":"","onPremisesSamAccountName":"","givenName":"","mail":""}`, values{}, nil},
		{"move to a school", Users, UpdateEntity, nil, `{"schools@odata.bind":["/schools/0042"]}`, values{}, map[string][]string{"schools": {"schoolNumber=0042"}}},
		{
			"create in a school", Users, CreateEntity, nil,
			`{` + user + `,"schools@odata.bind":["https://graph.microsoft.com/v1.0/directory/administrativeUnits/` + someID + `"]}`,
			maxUser(nil),
			map[string][]string{"schools": {"id=" + someID}},
		},
		{"two schools, which the directory decides", Users, UpdateEntity, nil, `{"schools@odata.bind":["schools(externalId='a')","schools(displayName='b')"]}`, values{}, map[string][]string{"schools": {"externalId=a", "displayName=b"}}},

		// Classes.
		{"smallest class", Classes, CreateEntity, nil, `{` + class + `}`, values{"displayName": "5a", "classification": "course"}, nil},
		{"class with a description of lines", Classes, CreateEntity, nil, `{` + class + `,"externalId":"5a","description":"a\n\tb\r\nc"}`, values{"displayName": "5a", "classification": "course", "externalId": "5a", "description": "a\n\tb\r\nc"}, nil},
		{"class property alone", Classes, UpdateEntity, nil, `{"classification":"class"}`, values{"classification": "class"}, nil},
		{"class as OpenCloud wants it", Classes, UpdateEntity, &compatible, `{"displayName":"5b","classification":""}`, values{"displayName": "5b"}, nil},
		{"clear a class's properties", Classes, UpdateEntity, nil, `{"externalId":null,"description":null}`, values{"externalId": nil, "description": nil}, nil},
		{
			"members and teachers", Classes, CreateEntity, nil,
			`{` + class + `,"members@odata.bind":["/users/max","https://h/v1.0/users/` + someID + `"],"TEACHERS@odata.BIND":["users(externalId='4711')","/directoryObjects/eve"]}`,
			values{"displayName": "5a", "classification": "course"},
			map[string][]string{"members": {"onPremisesSamAccountName=max", "id=" + someID}, "teachers": {"externalId=4711", "onPremisesSamAccountName=eve"}},
		},
		{"no members", Classes, CreateEntity, nil, `{` + class + `,"members@odata.bind":[]}`, values{"displayName": "5a", "classification": "course"}, nil},
		{"null members on create", Classes, CreateEntity, nil, `{` + class + `,"members@odata.bind":null}`, values{"displayName": "5a", "classification": "course"}, nil},
		{"more members than OpenCloud takes", Classes, UpdateEntity, nil, `{"members@odata.bind":[` + strings.TrimSuffix(strings.Repeat(`"/users/max",`, 21), ",") + `]}`, values{}, map[string][]string{"members": strings.Split(strings.TrimSuffix(strings.Repeat("onPremisesSamAccountName=max,", 21), ","), ",")}},
	}
	for _, test := range tests {
		for _, rules := range modes(test.rules) {
			t.Run(test.name+"/"+modeName(rules), func(t *testing.T) {
				t.Parallel()
				change, err := DecodeChange(test.set, test.operation, []byte(test.body), rules)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, shown(change)); diff != "" {
					t.Error(diff)
				}
				links := test.links
				if links == nil {
					links = map[string][]string{}
				}
				if diff := cmp.Diff(links, shownLinks(change)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestDecodeChangeRefuses holds what is refused, with the property at fault.
func TestDecodeChangeRefuses(t *testing.T) {
	t.Parallel()
	const (
		user  = `"displayName":"Max","onPremisesSamAccountName":"max"`
		class = `"displayName":"5a","classification":"course"`
	)
	tooManyReferences := `{"members@odata.bind":[` + strings.TrimSuffix(strings.Repeat(`"/users/max",`, MaxBindReferences+1), ",") + `]}`
	tests := []struct {
		name      string
		set       *EntitySet
		operation Operation
		rules     *Rules // nil for both modes
		body      string
		code      odata.Code
		target    string
	}{
		// What is not an object.
		{"null", Schools, CreateEntity, nil, `null`, odata.InvalidRequest, ""},
		{"array", Schools, CreateEntity, nil, `[]`, odata.InvalidRequest, ""},
		{"string", Schools, UpdateEntity, nil, `"x"`, odata.InvalidRequest, ""},
		{"nothing", Schools, UpdateEntity, nil, ``, odata.InvalidRequest, ""},
		{"truncated", Schools, UpdateEntity, nil, `{"displayName":"x"`, odata.InvalidRequest, ""},

		// Names.
		{"unknown", Users, UpdateEntity, nil, `{"foo":1}`, odata.InvalidRequest, "foo"},
		{"unknown null", Users, UpdateEntity, nil, `{"foo":null}`, odata.InvalidRequest, "foo"},
		{"unknown, long", Users, UpdateEntity, nil, `{"` + strings.Repeat("x", 1<<16) + `":1}`, odata.InvalidRequest, strings.Repeat("x", 64) + "…"},
		{"unknown, unprintable", Users, UpdateEntity, nil, `{"f\u0000\u001bo":1}`, odata.InvalidRequest, "fo"},
		{"no name", Users, UpdateEntity, nil, `{"":1}`, odata.InvalidRequest, ""},
		{"another set's property", Schools, UpdateEntity, nil, `{"mail":"x@example.org"}`, odata.InvalidRequest, "mail"},
		{"twice in different case", Users, UpdateEntity, nil, `{"mail":"a@example.org","MAIL":"b@example.org"}`, odata.InvalidRequest, "mail"},
		{"twice, once null", Users, CreateEntity, nil, `{` + user + `,"mail":"a@example.org","MAIL":null}`, odata.InvalidRequest, "mail"},
		{"twice, once kept", Users, UpdateEntity, &compatible, `{"givenName":"M","GIVENNAME":""}`, odata.InvalidRequest, "givenName"},
		{"links twice", Classes, UpdateEntity, nil, `{"members@odata.bind":["/users/a"],"Members@odata.bind":["/users/b"]}`, odata.InvalidRequest, "members@odata.bind"},
		{"links twice, once empty", Classes, UpdateEntity, nil, `{"members@odata.bind":["/users/a"],"MEMBERS@odata.bind":[]}`, odata.InvalidRequest, "members@odata.bind"},
		{"annotation's spelling of OpenAPI", Classes, UpdateEntity, nil, `{"@members@odata.bind":[]}`, odata.InvalidRequest, "@members@odata.bind"},
		{"navigation property as a property", Classes, CreateEntity, nil, `{` + class + `,"members":[]}`, odata.InvalidRequest, "members"},
		{"navigation property that the body cannot link", Schools, UpdateEntity, nil, `{"users":[]}`, odata.InvalidRequest, "users"},
		{"links that the body cannot make", Schools, UpdateEntity, nil, `{"users@odata.bind":["/users/max"]}`, odata.InvalidRequest, "users@odata.bind"},
		{"links of nothing", Classes, UpdateEntity, nil, `{"@odata.bind":[]}`, odata.InvalidRequest, "@odata.bind"},
		{"links of a plain property", Classes, UpdateEntity, nil, `{"displayName@odata.bind":[]}`, odata.InvalidRequest, "displayName@odata.bind"},

		// Required.
		{"empty school", Schools, CreateEntity, nil, `{}`, odata.InvalidRequest, "displayName"},
		{"empty user", Users, CreateEntity, nil, `{}`, odata.InvalidRequest, "displayName"},
		{"user without a username", Users, CreateEntity, nil, `{"displayName":"Max"}`, odata.InvalidRequest, "onPremisesSamAccountName"},
		{"class without a classification", Classes, CreateEntity, nil, `{"displayName":"5a"}`, odata.InvalidRequest, "classification"},
		{"required is null", Schools, CreateEntity, nil, `{"displayName":null}`, odata.InvalidRequest, "displayName"},
		{"required is empty", Schools, CreateEntity, nil, `{"displayName":""}`, odata.InvalidRequest, "displayName"},
		{"required cannot be cleared", Schools, UpdateEntity, nil, `{"displayName":null}`, odata.InvalidRequest, "displayName"},
		{"username cannot be cleared", Users, UpdateEntity, nil, `{"onPremisesSamAccountName":null}`, odata.InvalidRequest, "onPremisesSamAccountName"},
		{"classification cannot be cleared", Classes, UpdateEntity, nil, `{"classification":null}`, odata.InvalidRequest, "classification"},

		// Read-only.
		{"id of a new user", Users, CreateEntity, nil, `{` + user + `,"id":"` + someID + `"}`, odata.InvalidRequest, "id"},
		{"id of a new class", Classes, CreateEntity, nil, `{` + class + `,"id":"` + someID + `"}`, odata.InvalidRequest, "id"},
		{"date of a new school", Schools, CreateEntity, nil, `{"displayName":"A","createdDateTime":"2026-01-01T00:00:00Z"}`, odata.InvalidRequest, "createdDateTime"},
		{"id cannot be cleared", Schools, UpdateEntity, nil, `{"id":null}`, odata.InvalidRequest, "id"},
		{"date cannot be cleared", Users, UpdateEntity, nil, `{"lastModifiedDateTime":null}`, odata.InvalidRequest, "lastModifiedDateTime"},

		// Empty strings.
		{"empty number", Schools, CreateEntity, nil, `{"displayName":"A","schoolNumber":""}`, odata.InvalidRequest, "schoolNumber"},
		{"empty mail of a new user", Users, CreateEntity, nil, `{` + user + `,"mail":""}`, odata.InvalidRequest, "mail"},
		{"empty value in a PATCH", Users, UpdateEntity, &contract, `{"givenName":""}`, odata.InvalidRequest, "givenName"},
		{"empty classification in a PATCH", Classes, UpdateEntity, &contract, `{"classification":""}`, odata.InvalidRequest, "classification"},
		{"empty id", Schools, CreateEntity, nil, `{"displayName":"A","id":""}`, odata.InvalidRequest, "id"},
		{"blanks", Schools, CreateEntity, nil, `{"displayName":" \u00a0\u3000"}`, odata.InvalidRequest, "displayName"},
		{"characters without width", Schools, CreateEntity, nil, `{"displayName":"\u200b\u00ad\ufe0f"}`, odata.InvalidRequest, "displayName"},

		// Types.
		{"number for a string", Users, UpdateEntity, nil, `{"externalId":4711}`, odata.InvalidRequest, "externalId"},
		{"boolean for a string", Users, UpdateEntity, nil, `{"mail":true}`, odata.InvalidRequest, "mail"},
		{"array for a string", Users, UpdateEntity, nil, `{"mail":["a@example.org"]}`, odata.InvalidRequest, "mail"},
		{"object for a string", Users, UpdateEntity, nil, `{"mail":{}}`, odata.InvalidRequest, "mail"},
		{"string for a boolean", Users, UpdateEntity, nil, `{"accountEnabled":"true"}`, odata.InvalidRequest, "accountEnabled"},
		{"empty string for a boolean", Users, UpdateEntity, nil, `{"accountEnabled":""}`, odata.InvalidRequest, "accountEnabled"},
		{"number for a boolean", Users, UpdateEntity, nil, `{"accountEnabled":1}`, odata.InvalidRequest, "accountEnabled"},

		// Checks.
		{"id that is no UUID", Schools, CreateEntity, nil, `{"displayName":"A","id":"tenant-1"}`, odata.InvalidRequest, "id"},
		{"id in braces", Schools, CreateEntity, nil, `{"displayName":"A","id":"{` + someID + `}"}`, odata.InvalidRequest, "id"},
		{"number shaped like a UUID", Schools, CreateEntity, nil, `{"displayName":"A","schoolNumber":"` + someID + `"}`, odata.InvalidRequest, "schoolNumber"},
		{"username shaped like a UUID", Users, UpdateEntity, nil, `{"onPremisesSamAccountName":"a1994f2e-7a31-7c4e-8d5b-3f6a1c2d4e5f"}`, odata.InvalidRequest, "onPremisesSamAccountName"},
		{"username that begins with a digit", Users, UpdateEntity, nil, `{"onPremisesSamAccountName":"1max"}`, odata.InvalidRequest, "onPremisesSamAccountName"},
		{"username with a space", Users, UpdateEntity, nil, `{"onPremisesSamAccountName":"max muster"}`, odata.InvalidRequest, "onPremisesSamAccountName"},
		{"username with an umlaut", Users, UpdateEntity, nil, `{"onPremisesSamAccountName":"jürgen"}`, odata.InvalidRequest, "onPremisesSamAccountName"},
		{"username with a line break", Users, UpdateEntity, nil, `{"onPremisesSamAccountName":"max\n"}`, odata.InvalidRequest, "onPremisesSamAccountName"},
		{"username with two domains", Users, UpdateEntity, nil, `{"onPremisesSamAccountName":"max@a@b"}`, odata.InvalidRequest, "onPremisesSamAccountName"},
		{"mail without an at sign", Users, UpdateEntity, nil, `{"mail":"max"}`, odata.InvalidRequest, "mail"},
		{"mail with a name", Users, UpdateEntity, nil, `{"mail":"Max <max@example.org>"}`, odata.InvalidRequest, "mail"},
		{"mail with a local part of 65 octets", Users, UpdateEntity, nil, `{"mail":"` + strings.Repeat("a", 65) + `@example.org"}`, odata.InvalidRequest, "mail"},
		{"mail with a quoted local part of 65 octets", Users, UpdateEntity, nil, `{"mail":"\"a@` + strings.Repeat("b", 61) + `\"@example.org"}`, odata.InvalidRequest, "mail"},
		{"mail with a domain of 256 octets", Users, UpdateEntity, nil, `{"mail":"a@` + strings.Repeat("b.", 127) + `cd"}`, odata.InvalidRequest, "mail"},
		{"mail with an umlaut", Users, UpdateEntity, nil, `{"mail":"jürgen@example.org"}`, odata.InvalidRequest, "mail"},
		{"userType", Users, CreateEntity, nil, `{` + user + `,"userType":"Admin"}`, odata.InvalidRequest, "userType"},
		{"userType of two words", Users, UpdateEntity, nil, `{"userType":"Member Guest"}`, odata.InvalidRequest, "userType"},
		{"NUL", Users, UpdateEntity, nil, `{"externalId":"a\u0000"}`, odata.InvalidRequest, "externalId"},
		{"line break in a name", Users, UpdateEntity, nil, `{"displayName":"a\nb"}`, odata.InvalidRequest, "displayName"},
		{"C1 control character", Users, UpdateEntity, nil, `{"displayName":"a\u0085"}`, odata.InvalidRequest, "displayName"},
		{"escape character in a description", Classes, UpdateEntity, nil, `{"description":"\u001b[0m"}`, odata.InvalidRequest, "description"},
		{"name too long", Schools, UpdateEntity, nil, `{"displayName":"` + strings.Repeat("ü", 257) + `"}`, odata.InvalidRequest, "displayName"},
		{"number too long", Schools, UpdateEntity, nil, `{"schoolNumber":"` + strings.Repeat("1", 257) + `"}`, odata.InvalidRequest, "schoolNumber"},
		{"username too long", Users, UpdateEntity, nil, `{"onPremisesSamAccountName":"` + strings.Repeat("m", 257) + `"}`, odata.InvalidRequest, "onPremisesSamAccountName"},
		{"user's name too long", Users, UpdateEntity, nil, `{"displayName":"` + strings.Repeat("x", 1025) + `"}`, odata.InvalidRequest, "displayName"},
		{"10,000 characters", Users, UpdateEntity, nil, `{"surname":"` + strings.Repeat("x", 10000) + `"}`, odata.InvalidRequest, "surname"},
		{"description too long", Classes, UpdateEntity, nil, `{"description":"` + strings.Repeat("x", 1025) + `"}`, odata.InvalidRequest, "description"},

		// Dates.
		{"day", Schools, UpdateEntity, nil, `{"terminationDate":"2026-12-31"}`, odata.InvalidRequest, "terminationDate"},
		{"date without an offset", Schools, UpdateEntity, nil, `{"terminationDate":"2026-12-31T00:00:00"}`, odata.InvalidRequest, "terminationDate"},
		{"date as a number", Schools, UpdateEntity, nil, `{"terminationDate":1798675200}`, odata.InvalidRequest, "terminationDate"},
		{"empty date", Schools, UpdateEntity, nil, `{"terminationDate":""}`, odata.InvalidRequest, "terminationDate"},
		{"month 13", Schools, UpdateEntity, nil, `{"terminationDate":"2026-13-01T00:00:00Z"}`, odata.InvalidRequest, "terminationDate"},
		{"leap second", Schools, UpdateEntity, nil, `{"terminationDate":"2026-12-31T23:59:60Z"}`, odata.InvalidRequest, "terminationDate"},
		{"year 10000 in UTC", Schools, UpdateEntity, nil, `{"terminationDate":"9999-12-31T23:59:59-01:00"}`, odata.InvalidRequest, "terminationDate"},
		{"past date", Schools, UpdateEntity, nil, `{"terminationDate":"2026-09-01T07:59:59Z"}`, odata.InvalidRequest, "terminationDate"},
		{"this very moment", Schools, UpdateEntity, nil, `{"terminationDate":"2026-09-01T08:00:00.9Z"}`, odata.InvalidRequest, "terminationDate"},
		{"past date of a new school", Schools, CreateEntity, nil, `{"displayName":"A","terminationDate":"2020-01-01T00:00:00Z"}`, odata.InvalidRequest, "terminationDate"},

		// Identities and passwords.
		{"identity alone", Users, UpdateEntity, nil, `{"identities":{"issuer":"a","issuerAssignedId":"b"}}`, odata.InvalidRequest, "identities"},
		{"identity that is null", Users, UpdateEntity, nil, `{"identities":[null]}`, odata.InvalidRequest, "identities"},
		{"identity without an issuer", Users, CreateEntity, nil, `{` + user + `,"identities":[{"issuerAssignedId":"b"}]}`, odata.InvalidRequest, "identities"},
		{"identity without an id", Users, UpdateEntity, nil, `{"identities":[{"issuer":"a"}]}`, odata.InvalidRequest, "identities"},
		{"identity with an empty id", Users, UpdateEntity, nil, `{"identities":[{"issuer":"a","issuerAssignedId":""}]}`, odata.InvalidRequest, "identities"},
		{"identity with more", Users, UpdateEntity, nil, `{"identities":[{"issuer":"a","issuerAssignedId":"b","foo":1}]}`, odata.InvalidRequest, "identities"},
		{"identity twice", Users, UpdateEntity, nil, `{"identities":[{"issuer":"a","issuerAssignedId":"b"},{"issuer":"a","issuerAssignedId":"b"}]}`, odata.InvalidRequest, "identities"},
		{"identity with a separator", Users, UpdateEntity, nil, `{"identities":[{"issuer":"a $ b","issuerAssignedId":"c"}]}`, odata.InvalidRequest, "identities"},
		{"identity with a control character", Users, UpdateEntity, nil, `{"identities":[{"issuer":"a","issuerAssignedId":"b\n"}]}`, odata.InvalidRequest, "identities"},
		{"identity too long", Users, UpdateEntity, nil, `{"identities":[{"issuer":"` + strings.Repeat("x", 1025) + `","issuerAssignedId":"b"}]}`, odata.InvalidRequest, "identities"},
		{"password alone", Users, UpdateEntity, nil, `{"passwordProfile":"canary"}`, odata.InvalidRequest, "passwordProfile"},
		{"profile without a password", Users, UpdateEntity, &contract, `{"passwordProfile":{}}`, odata.InvalidRequest, "passwordProfile"},
		{"empty password", Users, CreateEntity, &contract, `{` + user + `,"passwordProfile":{"password":""}}`, odata.InvalidRequest, "passwordProfile"},
		{"password with a control character", Users, UpdateEntity, nil, `{"passwordProfile":{"password":"canary\u0000"}}`, odata.InvalidRequest, "passwordProfile"},
		{"password too long", Users, UpdateEntity, nil, `{"passwordProfile":{"password":"` + strings.Repeat("canary", 200) + `"}}`, odata.InvalidRequest, "passwordProfile"},
		{"profile with more", Users, UpdateEntity, nil, `{"passwordProfile":{"password":"canary","foo":1}}`, odata.InvalidRequest, "passwordProfile"},
		{"new password at the next sign-in", Users, CreateEntity, &contract, `{` + user + `,"passwordProfile":{"password":"canary","forceChangePasswordNextSignIn":true}}`, odata.NotSupported, "passwordProfile"},
		{"new password with a second factor", Users, UpdateEntity, &contract, `{"passwordProfile":{"password":"canary","forceChangePasswordNextSignInWithMfa":true}}`, odata.NotSupported, "passwordProfile"},

		{"too many identities", Users, UpdateEntity, nil, `{"identities":[` + strings.Repeat(`{"issuer":"a","issuerAssignedId":"b"},`, 100) + `{"issuer":"a","issuerAssignedId":"c"}]}`, odata.InvalidRequest, "identities"},

		// Links.
		{"misspelt bind", Classes, UpdateEntity, nil, `{"members@odata.bnd":["/users/max"]}`, odata.InvalidRequest, "members@odata.bnd"},
		{"annotation of an unknown property", Classes, UpdateEntity, nil, `{"foo@odata.type":"#String"}`, odata.InvalidRequest, "foo@odata.type"},
		{"null links", Classes, UpdateEntity, nil, `{"members@odata.bind":null}`, odata.InvalidRequest, "members@odata.bind"},
		{"one link without an array", Classes, UpdateEntity, nil, `{"members@odata.bind":"/users/max"}`, odata.InvalidRequest, "members@odata.bind"},
		{"link as an object", Classes, UpdateEntity, nil, `{"members@odata.bind":[{"@odata.id":"/users/max"}]}`, odata.InvalidRequest, "members@odata.bind"},
		{"null link", Classes, UpdateEntity, nil, `{"members@odata.bind":[null]}`, odata.InvalidRequest, "members@odata.bind"},
		{"empty link", Classes, UpdateEntity, nil, `{"members@odata.bind":[""]}`, odata.InvalidRequest, "members@odata.bind"},
		{"link to another set", Classes, UpdateEntity, nil, `{"members@odata.bind":["/users/max","/classes/5a"]}`, odata.InvalidRequest, "members@odata.bind"},
		{"link by a property that is no key", Classes, UpdateEntity, nil, `{"members@odata.bind":["users(mail='max@example.org')"]}`, odata.InvalidRequest, "members@odata.bind"},
		{"too many links", Classes, UpdateEntity, nil, tooManyReferences, odata.InvalidRequest, "members@odata.bind"},
	}
	for _, test := range tests {
		for _, rules := range modes(test.rules) {
			t.Run(test.name+"/"+modeName(rules), func(t *testing.T) {
				t.Parallel()
				change, err := DecodeChange(test.set, test.operation, []byte(test.body), rules)
				if change != nil {
					t.Errorf("got a change beside the error: %v", change)
				}
				fault := checkFault(t, err, test.code, test.target)
				if strings.Contains(fault.Error(), "canary") {
					t.Errorf("the error holds a password: %v", fault)
				}
			})
		}
	}
}

// TestDecodeChangeFaults holds that all faults are reported, in a fixed order, and the first one is the error.
func TestDecodeChangeFaults(t *testing.T) {
	t.Parallel()
	for range 20 {
		_, err := DecodeChange(Users, CreateEntity, []byte(`{"mail":"x","foo":1,"displayName":"","bar":2,"passwordProfile":{}}`), contract)
		fault := checkFault(t, err, odata.InvalidRequest, "bar")
		var targets []string
		for _, detail := range fault.Details {
			targets = append(targets, detail.Target)
		}
		if diff := cmp.Diff([]string{"bar", "displayName", "foo", "mail", "passwordProfile", "onPremisesSamAccountName"}, targets); diff != "" {
			t.Fatal(diff)
		}
	}
	_, err := DecodeChange(Users, CreateEntity, []byte(`{"displayName":"A"}`), contract)
	if fault := checkFault(t, err, odata.InvalidRequest, username); len(fault.Details) > 0 {
		t.Errorf("one fault has details: %v", fault.Details)
	}
}

func TestDecodeChangeUsernameMatchNone(t *testing.T) {
	t.Parallel()
	rules := contract
	rules.UsernameMatch = UsernameMatchNone
	for _, name := range []string{"jürgen müller", "4711", "*)(uid=*", "🏫"} {
		change, err := DecodeChange(Users, UpdateEntity, []byte(fmt.Sprintf(`{"onPremisesSamAccountName":%q}`, name)), rules)
		if err != nil {
			t.Error(err)
			continue
		}
		if got, _ := change.Text(username); got != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
	_, err := DecodeChange(Users, UpdateEntity, []byte(`{"onPremisesSamAccountName":"`+someID+`"}`), rules)
	checkFault(t, err, odata.InvalidRequest, username)
}

func TestDecodeChangeGraceDays(t *testing.T) {
	t.Parallel()
	rules := contract
	rules.TerminationGraceDays = 30
	for date, accepted := range map[string]bool{
		"2026-09-01T08:00:01Z": false, "2026-10-01T08:00:00Z": false, "2026-10-01T08:00:01Z": true,
	} {
		_, err := DecodeChange(Schools, UpdateEntity, []byte(`{"terminationDate":"`+date+`"}`), rules)
		if (err == nil) != accepted {
			t.Errorf("%s: %v", date, err)
		}
	}
}

func TestLinkTo(t *testing.T) {
	t.Parallel()
	body := []byte(`{"displayName":"Max","onPremisesSamAccountName":"max"}`)
	change, err := DecodeChange(Users, CreateEntity, body, contract)
	if err != nil {
		t.Fatal(err)
	}
	schools := NavigationOf(Users, "schools")
	if err := change.LinkTo(schools, Key{Property: Schools.ID, Value: someID}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"schools": {"id=" + someID}}, shownLinks(change)); diff != "" {
		t.Error(diff)
	}
	checkFault(t, change.LinkTo(schools, Key{Property: Schools.ID, Value: someID}), odata.InvalidRequest, "schools@odata.bind")
}

// TestChangeHidesValues holds that a change can be logged: whoever prints one must not learn a password from it.
func TestChangeHidesValues(t *testing.T) {
	t.Parallel()
	change, err := DecodeChange(Users, UpdateEntity, []byte(`{"surname":"x","passwordProfile":{"password":"canary"},"schools@odata.bind":["/schools/1"]}`), contract)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := change.Value(Users.Property("passwordProfile"))
	wrapped := struct {
		Change   *Change
		Password any
	}{change, password}
	for _, value := range []any{change, *change, password, wrapped, []any{password}, map[string]any{"a": change}, fmt.Errorf("%w: %v", errors.ErrUnsupported, change)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%T"} {
			checkHidden(t, verb, fmt.Sprintf(verb, value))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value, slog.Group("group", "value", value))
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value, slog.Group("group", "value", value))
		checkHidden(t, "slog", log.String())
		if encoded, err := json.Marshal(value); err == nil {
			checkHidden(t, "json", string(encoded))
		}
	}
	if got, want := change.String(), "users: surname, passwordProfile, schools"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func checkHidden(t *testing.T, how, text string) {
	t.Helper()
	for _, secret := range []string{"canary", fmt.Sprintf("%x", "canary"), fmt.Sprintf("%X", "canary")} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the password: %s", how, text)
		}
	}
}

func FuzzChange(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"displayName":"Max","onPremisesSamAccountName":"max","mail":"max@example.org"}`, `{"displayName":"A","id":"` + someID + `"}`,
		`{"displayName":"5a","classification":"course","members@odata.bind":["/users/max","users(externalId='''')"]}`, `{"mail":null}`, `{"foo@odata.x":1}`,
		`{"identities":[{"issuer":"$","issuerAssignedId":"$ "}],"accountEnabled":true}`, `{"passwordProfile":{"password":"x"}}`, `{"identities":[]}`,
		`{"terminationDate":"2027-01-01T00:00:00.5+02:00"}`, `{"DisplayName":"","displayname":null}`, `{"description":"a\nb"}`, "{\"a\xff\":\"\\ud800\"}",
	} {
		for kind := range byte(12) {
			f.Add(kind, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		set, operation := EntitySets[kind%3], Operation(kind/3%2)
		rules := contract
		if kind/6%2 == 1 {
			rules = compatible
		}
		change, err := DecodeChange(set, operation, body, rules)
		if err != nil {
			var fault *odata.Error
			if !errors.As(err, &fault) || fault.Code != odata.InvalidRequest && fault.Code != odata.NotSupported {
				t.Fatalf("got %v", err)
			}
			return
		}
		again, err := DecodeChange(set, operation, encode(t, change), rules)
		if err != nil {
			t.Fatalf("%s was accepted, and %s is not: %v", body, encode(t, change), err)
		}
		if diff := cmp.Diff(shown(change), shown(again)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(shownLinks(change), shownLinks(again)); diff != "" {
			t.Error(diff)
		}
	})
}

// encode returns a body that asks for the change.
func encode(t *testing.T, change *Change) []byte {
	t.Helper()
	members := map[string]any{}
	for property, value := range change.values {
		switch value := value.(type) {
		case nil:
			members[property.Name] = nil
			if property.Type == Identities {
				members[property.Name] = []string{}
			}
		case Password:
			members[property.Name] = map[string]string{"password": string(value)}
		default:
			members[property.Name] = value
		}
	}
	for _, link := range change.Links {
		var references []string
		for _, key := range link.Keys {
			text := url.PathEscape(strings.ReplaceAll(key.Value, "'", "''"))
			references = append(references, "/"+link.Navigation.Target.Name+"("+key.Property.Name+"='"+text+"')")
		}
		members[link.Navigation.Name+bindSuffix] = references
	}
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
