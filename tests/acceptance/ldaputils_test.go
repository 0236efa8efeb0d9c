package acceptance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// require ends the test if a program is not installed: as skipped, or as failed if EDUCATION_TEST_REQUIRE, a list with
// commas, names the package that the program comes with.
func require(t testing.TB, packageName string, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		for wanted := range strings.SplitSeq(os.Getenv("EDUCATION_TEST_REQUIRE"), ",") {
			if strings.TrimSpace(wanted) == packageName {
				t.Fatalf("%s is not installed (Debian's package %s), and EDUCATION_TEST_REQUIRE asks for it", program, packageName)
			}
		}
		t.Skipf("%s is not installed; it comes with Debian's package %s", program, packageName)
	}
}

// ldapPrograms are the programs of Debian's ldap-utils that the tests use.
var ldapPrograms = []string{
	"ldapsearch", "ldapwhoami", "ldappasswd", "ldapadd", "ldapmodify", "ldapmodrdn", "ldapcompare", "ldapdelete",
}

// credentials are what a program binds with; without a DN it stays anonymous.
type credentials struct{ dn, password string }

// account returns the credentials of one of the two accounts, admin and reader.
func (s *server) account(t testing.TB, name string) credentials {
	t.Helper()
	return credentials{"cn=" + name + "," + namingContext, s.ldapPassword(t, name)}
}

// printed is what a program has printed, and its exit status, which is LDAP's result code.
type printed struct {
	text   string
	status int
}

// ldapTool runs a program of ldap-utils against a URI. certificate is the file of the only authority that it trusts, or
// empty.
func ldapTool(t testing.TB, uri, certificate string, who credentials, input, program string, arguments ...string) printed {
	t.Helper()
	all := []string{"-x", "-H", uri}
	if who.dn != "" {
		all = append(all, "-D", who.dn, "-w", who.password)
	}
	command := exec.Command(program, append(all, arguments...)...)
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LDAPCONF=" + os.DevNull,
		"LDAPTLS_CACERT=" + certificate, "LDAPTLS_REQCERT=demand",
	}
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return printed{string(output), command.ProcessState.ExitCode()}
}

// want expects an exit status, and a text in the output.
func (p printed) want(t testing.TB, status int, texts ...string) printed {
	t.Helper()
	if p.status != status {
		t.Errorf("got the status %d, want %d\n%s", p.status, status, p.text)
	}
	for _, text := range texts {
		if !strings.Contains(p.text, text) {
			t.Errorf("%q is missing in:\n%s", text, p.text)
		}
	}
	return p
}

// lacks expects that texts are not in the output.
func (p printed) lacks(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(strings.ToLower(p.text), strings.ToLower(text)) {
			t.Errorf("%q is in:\n%s", text, p.text)
		}
	}
}

// entryCount returns the number of entries in LDIF.
func (p printed) entryCount() int {
	return strings.Count("\n"+p.text, "\ndn:")
}

// directoryWithPeople is a directory that several tests look at.
type directoryWithPeople struct {
	*server
	school string
	// users are the DNs of user01 … user12, who have the password.
	users    []string
	password string
}

func startWithPeople(t *testing.T, env ...string) directoryWithPeople {
	t.Helper()
	d := directoryWithPeople{server: start(t, env...), password: "correct horse " + canary}
	d.school = d.server.school(t, entity{"displayName": "Hermann School", "externalId": "hermann"})
	for i := range 12 {
		name := fmt.Sprintf("user%02d", i+1)
		properties := entity{
			"displayName": "Üser " + name, "onPremisesSamAccountName": name, "mail": name + "@example.org",
			"externalId": name, "schools@odata.bind": []string{"/schools/" + d.school},
		}
		if i == 0 {
			properties["passwordProfile"] = entity{"password": d.password}
		}
		d.users = append(d.users, "openCloudUUID="+d.user(t, properties)+","+userBase)
	}
	d.class(t, entity{"externalId": "5a", "members@odata.bind": []string{"/users/user01"}, "teachers@odata.bind": []string{"/users/user02"}})
	return d
}

func TestLDAPSearch(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	require(t, "ldap-utils", ldapPrograms...)
	d := startWithPeople(t)
	admin, reader, nobody := d.account(t, "admin"), d.account(t, "reader"), credentials{}
	first := credentials{d.users[0], d.password}
	tests := map[string]struct {
		who     credentials
		options string
		filter  string
		// selection are the attributes, separated by blanks.
		selection string
		status    int
		entries   int
		has, not  string
	}{
		"one entry":                {reader, "-s base -b " + d.users[0], "", "", 0, 1, "uid: user01", "userPassword"},
		"one level":                {reader, "-s one -b " + userBase, "", "uid", 0, 12, "uid: user12", ""},
		"one level above":          {reader, "-s one -b " + namingContext, "(objectClass=organizationalUnit)", "ou", 0, 3, "ou: tenants", "uid"},
		"a subtree":                {reader, "-s sub -b " + namingContext, "(objectClass=openCloudEducationUser)", "uid", 0, 12, "", ""},
		"equality":                 {reader, "-b " + userBase, "(uid=USER03)", "uid", 0, 1, "uid: user03", ""},
		"and, or, not":             {reader, "-b " + userBase, "(&(objectClass=person)(|(uid=user03)(uid=user04))(!(uid=user04)))", "uid", 0, 1, "uid: user03", ""},
		"presence":                 {reader, "-b " + userBase, "(mail=*)", "1.1", 0, 12, "", "mail"},
		"substrings":               {reader, "-b " + userBase, "(mail=user1*@*.org)", "mail", 0, 3, "", ""},
		"greater or equal":         {reader, "-b " + userBase, "(&(uid=*)(createTimestamp>=20200101000000Z))", "1.1", 0, 12, "", ""},
		"less or equal":            {reader, "-b " + userBase, "(createTimestamp<=20200101000000Z)", "1.1", 0, 0, "", ""},
		"approximately":            {reader, "-b " + userBase, "(uid~=user05)", "uid", 0, 1, "uid: user05", ""},
		"extensible":               {reader, "-b " + userBase, "(uid:caseIgnoreMatch:=USER06)", "uid", 0, 1, "uid: user06", ""},
		"umlauts":                  {reader, "-b " + userBase, "(displayName=üser  USER07)", "uid", 0, 1, "uid: user07", ""},
		"escapes":                  {reader, "-b " + userBase, `(displayName=\c3\9cser user08)`, "uid", 0, 1, "uid: user08", ""},
		"an attribute nobody has":  {reader, "-b " + userBase, "(bogus=x)", "uid", 0, 0, "", ""},
		"not of an unknown one":    {reader, "-b " + userBase, "(!(bogus=x))", "uid", 0, 0, "", ""},
		"members by DN":            {reader, "-b " + classBase, "(member=" + d.users[0] + ")", "cn", 0, 1, "", ""},
		"pages":                    {reader, "-E pr=5/noprompt -b " + userBase, "(uid=*)", "uid", 0, 12, "", ""},
		"pages of one":             {reader, "-E pr=1/noprompt -b " + userBase, "(uid=*)", "uid", 0, 12, "", ""},
		"a size limit":             {reader, "-z 5 -b " + userBase, "(uid=*)", "uid", 4, 5, "", ""},
		"operational attributes":   {reader, "-s base -b " + d.users[0], "", "+", 0, 1, "entryUUID: ", "mail:"},
		"types only":               {reader, "-A -s base -b " + d.users[0], "", "uid", 0, 1, "uid:", "user01"},
		"an entry that is missing": {reader, "-s base -b uid=nobody," + userBase, "", "", 32, 0, "", ""},
		"a base that is no DN":     {reader, "-s base -b nonsense", "", "", 34, 0, "", ""},
		"a critical control":       {reader, "-e !1.2.3.4.5 -b " + userBase, "", "", 12, 0, "", ""},
		"a control not critical":   {reader, "-e 1.2.3.4.5 -b " + userBase, "(uid=user01)", "uid", 0, 1, "", ""},
		"the root DSE, anonymous":  {nobody, "-s base -b ", "", "+", 0, 1, "supportedLDAPVersion: 3", ""},
		"the root DSE's contexts":  {nobody, "-s base -b ", "", "namingContexts", 0, 1, "namingContexts: " + namingContext, ""},
		"the subschema":            {reader, "-s base -b cn=subschema", "", "attributeTypes objectClasses", 0, 1, "openCloudMemberOfSchool", ""},

		"all, as administrator":                 {admin, "-b " + namingContext, "(userPassword=*)", "userPassword", 0, 3, "userPassword:", ""},
		"passwords, as reader":                  {reader, "-b " + namingContext, "(userPassword=*)", "userPassword", 0, 0, "", "userPassword:"},
		"passwords by absence, as reader":       {reader, "-b " + namingContext, "(!(userPassword=*))", "userPassword", 0, 0, "", "userPassword:"},
		"all attributes, as reader":             {reader, "-b " + namingContext, "(uid=user01)", "* +", 0, 1, "uid: user01", "userPassword"},
		"passwords by OID, as reader":           {reader, "-b " + namingContext, "(uid=user01)", "2.5.4.35", 0, 1, "", "{"},
		"oneself, as user":                      {first, "-s base -b " + d.users[0], "", "", 0, 1, "uid: user01", "userPassword"},
		"somebody else, as user":                {first, "-s base -b " + d.users[1], "", "", 50, 0, "", "uid"},
		"everybody, as user":                    {first, "-b " + userBase, "", "", 50, 0, "", "uid"},
		"an entry, anonymous":                   {nobody, "-s base -b " + d.users[0], "", "", 50, 0, "", "uid"},
		"everything, anonymous":                 {nobody, "-b " + namingContext, "", "", 50, 0, "", "uid"},
		"the subschema, anonymous":              {nobody, "-s base -b cn=subschema", "", "attributeTypes", 50, 0, "", "openCloud"},
		"with a wrong password":                 {credentials{admin.dn, "wrong"}, "-b " + namingContext, "", "", 49, 0, "", "uid"},
		"with an account that does not exist":   {credentials{"cn=nobody," + namingContext, "wrong"}, "-b " + namingContext, "", "", 49, 0, "", "uid"},
		"with a DN that is none":                {credentials{"nonsense", "wrong"}, "-b " + namingContext, "", "", 34, 0, "", "uid"},
		"with a DN and an empty password":       {credentials{admin.dn, ""}, "-b " + namingContext, "", "", 53, 0, "", "uid"},
		"with a user who has no password":       {credentials{d.users[1], "x"}, "-b " + namingContext, "", "", 49, 0, "", "uid"},
		"with the hash in place of a password":  {credentials{d.users[0], "{ARGON2}"}, "-b " + namingContext, "", "", 49, 0, "", "uid"},
		"with another spelling of the password": {credentials{d.users[0], strings.ToUpper(d.password)}, "-b " + namingContext, "", "", 49, 0, "", "uid"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arguments := append([]string{"-LLL", "-o", "ldif-wrap=no"}, strings.SplitN(test.options, " ", -1)...)
			if test.filter != "" {
				arguments = append(arguments, test.filter)
			} else {
				arguments = append(arguments, "(objectClass=*)")
			}
			arguments = append(arguments, strings.Fields(test.selection)...)
			got := ldapTool(t, "ldap://"+d.ldap, "", test.who, "", "ldapsearch", arguments...).want(t, test.status, test.has)
			if got.entryCount() != test.entries {
				t.Errorf("got %d entries, want %d\n%s", got.entryCount(), test.entries, got.text)
			}
			if test.not != "" {
				got.lacks(t, test.not)
			}
		})
	}
}

// TestLDAPWrites changes the directory with ldap-utils as the administrator, sees each change over HTTP at once, and sees
// changes over HTTP with ldap-utils.
func TestLDAPWrites(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	require(t, "ldap-utils", ldapPrograms...)
	d := startWithPeople(t)
	admin, uri := d.account(t, "admin"), "ldap://"+d.ldap
	run := func(input, program string, arguments ...string) printed {
		t.Helper()
		return ldapTool(t, uri, "", admin, input, program, arguments...)
	}
	const id = "3f2b1a0c-9d8e-4c7b-a6f5-4e3d2c1b0a99"
	dn := "uid=ldap," + userBase
	added := strings.Join([]string{
		"dn: " + dn, "objectClass: inetOrgPerson", "objectClass: openCloudObject", "objectClass: openCloudUser",
		"objectClass: openCloudEducationUser", "uid: ldap", "cn: ldap", "sn: Ldap", "displayName: From LDAP",
		"openCloudUUID: " + id, "openCloudMemberOfSchool: " + d.school, "",
	}, "\n")
	show := func(property string, want any) {
		t.Helper()
		if got := d.get(t, "/users/"+id).want(http.StatusOK).entity()[property]; got != want {
			t.Errorf("%s is %v, want %v", property, got, want)
		}
	}

	run(added, "ldapadd").want(t, 0)
	show("displayName", "From LDAP")
	if got := len(d.get(t, "/schools/"+d.school+"/users").ids()); got != 13 {
		t.Errorf("the school has %d users, want 13", got)
	}
	run(added, "ldapadd").want(t, 68)
	run("dn: "+dn+"\nchangetype: modify\nreplace: displayName\ndisplayName: Changed *\n-\nadd: mail\nmail: a@b.org\n", "ldapmodify").want(t, 0)
	show("displayName", "Changed *")
	show("mail", "a@b.org")
	run("dn: "+dn+"\nchangetype: modify\nadd: bogus\nbogus: x\n", "ldapmodify").want(t, 17)
	run("dn: "+dn+"\nchangetype: modify\ndelete: sn\n", "ldapmodify").want(t, 65)
	run("dn: "+dn+"\nchangetype: modify\nreplace: openCloudMemberOfSchool\nopenCloudMemberOfSchool: "+unknown+"\n", "ldapmodify").want(t, 19)
	run("", "ldapmodrdn", "-r", dn, "uid=renamed").want(t, 0)
	dn = "uid=renamed," + userBase
	show("onPremisesSamAccountName", "renamed")
	run("", "ldapcompare", dn, "displayName:CHANGED  *").want(t, 6, "TRUE")
	run("", "ldapcompare", dn, "displayName:other").want(t, 5, "FALSE")
	run("", "ldapcompare", dn, "givenName:x").want(t, 16)

	d.patch(t, "/users/"+id, entity{"givenName": "Greta", "mail": nil}).want(http.StatusOK)
	run("", "ldapsearch", "-LLL", "-b", dn, "-s", "base").want(t, 0, "givenName: Greta").lacks(t, "mail:")
	d.patch(t, "/users/"+id, entity{"onPremisesSamAccountName": "again"}).want(http.StatusOK)
	dn = "uid=again," + userBase
	run("", "ldapsearch", "-LLL", "-b", dn, "-s", "base").want(t, 0, "uid: again")
	class := d.class(t, entity{"members@odata.bind": []string{"/users/" + id}})
	run("", "ldapsearch", "-LLL", "-b", classBase, "(openCloudUUID="+class+")", "member").want(t, 0, "member: "+dn)
	run("", "ldapdelete", dn).want(t, 0)
	d.get(t, "/users/"+id).wantError(http.StatusNotFound, "itemNotFound")
	if got := d.get(t, "/classes/"+class+"/members").ids(); len(got) > 0 {
		t.Errorf("the class still has the members %v", got)
	}
	run("", "ldapdelete", dn).want(t, 32)
	run("", "ldapdelete", userBase).want(t, 66)
	d.checkReferences(t)
}

func TestLDAPPasswords(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	require(t, "ldap-utils", ldapPrograms...)
	d := startWithPeople(t)
	uri := "ldap://" + d.ldap
	admin, reader, user := d.account(t, "admin"), d.account(t, "reader"), credentials{d.users[3], "set by ldappasswd " + canary}
	whoami := func(who credentials) printed {
		t.Helper()
		return ldapTool(t, uri, "", who, "", "ldapwhoami")
	}
	whoami(admin).want(t, 0, "dn:"+admin.dn)
	whoami(reader).want(t, 0, "dn:"+reader.dn)
	whoami(credentials{}).want(t, 0, "anonymous")
	whoami(user).want(t, 49)

	ldapTool(t, uri, "", admin, "", "ldappasswd", "-s", user.password, user.dn).want(t, 0)
	whoami(user).want(t, 0, "dn:"+user.dn)
	generated := ldapTool(t, uri, "", admin, "", "ldappasswd", user.dn).want(t, 0, "New password: ")
	_, password, _ := strings.Cut(generated.text, "New password: ")
	whoami(user).want(t, 49)
	user.password, _, _ = strings.Cut(password, "\n")
	d.conceal(user.password)
	whoami(user).want(t, 0, "dn:"+user.dn)

	// A user changes the own password with the old one, and nobody else's. ldappasswd prints LDAP's result code and
	// ends with 1.
	next := credentials{user.dn, "chosen by the user " + canary}
	ldapTool(t, uri, "", user, "", "ldappasswd", "-s", next.password).want(t, 1, "(53)")
	ldapTool(t, uri, "", user, "", "ldappasswd", "-a", "wrong", "-s", next.password).want(t, 1, "(49)")
	ldapTool(t, uri, "", user, "", "ldappasswd", "-a", user.password, "-s", next.password).want(t, 0)
	whoami(user).want(t, 49)
	whoami(next).want(t, 0)
	ldapTool(t, uri, "", next, "", "ldappasswd", "-a", "x", "-s", "y", d.users[4]).want(t, 1, "(50)")
	ldapTool(t, uri, "", reader, "", "ldappasswd", "-s", "y", next.dn).want(t, 1, "(50)")
	ldapTool(t, uri, "", credentials{}, "", "ldappasswd", "-s", "y", next.dn).want(t, 1, "(50)")
	whoami(next).want(t, 0)

	// What is disabled over HTTP cannot sign in, and what is enabled again can.
	path := "/users/user04"
	d.patch(t, path, entity{"accountEnabled": false}).want(http.StatusOK)
	whoami(next).want(t, 49)
	d.patch(t, path, entity{"accountEnabled": true}).want(http.StatusOK)
	whoami(next).want(t, 0)
	d.patch(t, path, entity{"passwordProfile": entity{"password": "set over HTTP " + canary}}).want(http.StatusOK)
	whoami(next).want(t, 49)
	whoami(credentials{next.dn, "set over HTTP " + canary}).want(t, 0)
	d.patch(t, path, entity{"passwordProfile": nil}).want(http.StatusOK)
	whoami(credentials{next.dn, "set over HTTP " + canary}).want(t, 49)
	d.remove(t, "/users/user01").want(http.StatusNoContent)
	whoami(credentials{d.users[0], d.password}).want(t, 49)
}

// TestLDAPRefusals tries every write as everybody who may not, and expects that nothing has changed.
func TestLDAPRefusals(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	require(t, "ldap-utils", ldapPrograms...)
	d := startWithPeople(t)
	dn, other := d.users[0], d.users[1]
	dump := func() string {
		t.Helper()
		got := ldapTool(t, "ldap://"+d.ldap, "", d.account(t, "admin"), "", "ldapsearch", "-LLL", "-b", namingContext, "*", "+")
		return got.want(t, 0).text
	}
	before := dump()
	writes := map[string]struct {
		input, program string
		arguments      []string
	}{
		"add": {"dn: cn=x," + namingContext + "\nobjectClass: organizationalRole\ncn: x\n", "ldapadd", nil},
		"modify": {
			"dn: " + dn + "\nchangetype: modify\nreplace: displayName\ndisplayName: x\n", "ldapmodify", nil,
		},
		"modify the password": {
			"dn: " + dn + "\nchangetype: modify\nreplace: userPassword\nuserPassword: x\n", "ldapmodify", nil,
		},
		"modify the school": {
			"dn: " + dn + "\nchangetype: modify\ndelete: openCloudMemberOfSchool\n", "ldapmodify", nil,
		},
		"modify the sign-in and more": {
			"dn: " + other + "\nchangetype: modify\nreplace: openCloudLastSignInTimestamp\n" +
				"openCloudLastSignInTimestamp: 20261122000000Z\n-\nreplace: displayName\ndisplayName: x\n", "ldapmodify", nil,
		},
		"rename":           {"", "ldapmodrdn", []string{"-r", dn, "uid=x"}},
		"delete":           {"", "ldapdelete", []string{dn}},
		"delete the base":  {"", "ldapdelete", []string{userBase}},
		"delete the admin": {"", "ldapdelete", []string{"cn=admin," + namingContext}},
	}
	for name, who := range map[string]credentials{
		"reader": d.account(t, "reader"), "user": {dn, d.password}, "anonymous": {},
	} {
		for what, write := range writes {
			t.Run(name+"/"+what, func(t *testing.T) {
				ldapTool(t, "ldap://"+d.ldap, "", who, write.input, write.program, write.arguments...).want(t, 50)
			})
		}
	}
	t.Run("compare", func(t *testing.T) {
		uri := "ldap://" + d.ldap
		ldapTool(t, uri, "", d.account(t, "reader"), "", "ldapcompare", dn, "uid:user01").want(t, 6)
		ldapTool(t, uri, "", d.account(t, "reader"), "", "ldapcompare", dn, "userPassword:x").want(t, 16)
		ldapTool(t, uri, "", credentials{dn, d.password}, "", "ldapcompare", dn, "uid:user01").want(t, 6)
		ldapTool(t, uri, "", credentials{dn, d.password}, "", "ldapcompare", other, "uid:user02").want(t, 50)
		ldapTool(t, uri, "", credentials{}, "", "ldapcompare", dn, "uid:user01").want(t, 50)
	})
	if after := dump(); after != before {
		t.Errorf("the directory has changed from\n%s\nto\n%s", before, after)
	}
	signIn := "dn: " + other + "\nchangetype: modify\nreplace: openCloudLastSignInTimestamp\nopenCloudLastSignInTimestamp: 20261122000000Z\n"
	ldapTool(t, "ldap://"+d.ldap, "", d.account(t, "reader"), signIn, "ldapmodify").want(t, 0)
	ldapTool(t, "ldap://"+d.ldap, "", credentials{other, "x"}, signIn, "ldapmodify").want(t, 49)
	ldapTool(t, "ldap://"+d.ldap, "", credentials{}, signIn, "ldapmodify").want(t, 50)
}

// TestLDAPWithTLS uses StartTLS and ldaps with a certificate of the test's own.
func TestLDAPWithTLS(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	require(t, "ldap-utils", ldapPrograms...)
	certificate, key := makeCertificate(t)
	s := start(t, "EDUCATION_LDAP_TLS_CERT_FILE="+certificate, "EDUCATION_LDAP_TLS_KEY_FILE="+key, "EDUCATION_LDAPS_LISTEN=127.0.0.1:0")
	plain, secure, admin := "ldap://"+s.ldap, "ldaps://"+s.ldaps(t), s.account(t, "admin")
	stranger, _ := makeCertificate(t)

	ldapTool(t, plain, certificate, admin, "", "ldapwhoami", "-ZZ").want(t, 0, "dn:"+admin.dn)
	ldapTool(t, plain, certificate, admin, "", "ldapsearch", "-ZZ", "-LLL", "-s", "base", "-b", userBase).want(t, 0, "ou: users")
	ldapTool(t, plain, certificate, credentials{}, "", "ldapsearch", "-ZZ", "-LLL", "-s", "base", "-b", "", "supportedExtension").
		want(t, 0, "1.3.6.1.4.1.1466.20037")
	ldapTool(t, secure, certificate, admin, "", "ldapwhoami").want(t, 0, "dn:"+admin.dn)
	ldapTool(t, secure, certificate, admin, "", "ldapsearch", "-LLL", "-E", "pr=2/noprompt", "-b", namingContext).want(t, 0, "dn: "+userBase)
	ldapTool(t, secure, certificate, admin, "", "ldapwhoami", "-ZZ").want(t, 1) // TLS inside TLS.
	ldapTool(t, plain, certificate, admin, "", "ldapwhoami").want(t, 0)
	for _, uri := range []string{plain, secure} {
		arguments := []string{"-ZZ"}[:strings.Count(uri, "ldap://")]
		if got := ldapTool(t, uri, stranger, admin, "", "ldapwhoami", arguments...); got.status == 0 {
			t.Errorf("%s: the client trusts a certificate that it must not trust\n%s", uri, got.text)
		}
	}
	// Without a certificate StartTLS is not offered, and a client that insists on it gives up.
	bare := start(t)
	ldapTool(t, "ldap://"+bare.ldap, certificate, bare.account(t, "admin"), "", "ldapwhoami", "-ZZ").want(t, 1)
	ldapTool(t, "ldap://"+bare.ldap, "", credentials{}, "", "ldapsearch", "-LLL", "-s", "base", "-b", "", "supportedExtension").
		want(t, 0).lacks(t, "1.3.6.1.4.1.1466.20037")
}

// ldaps returns the address of the listener that speaks TLS from the first byte.
func (s *server) ldaps(t testing.TB) string {
	t.Helper()
	for _, line := range s.log.lines() {
		var said struct {
			LDAPS string `json:"ldaps"`
		}
		if json.Unmarshal(line, &said) == nil && said.LDAPS != "" {
			return said.LDAPS
		}
	}
	t.Fatal("the service has not said where it listens for ldaps")
	return ""
}

// makeCertificate makes a certificate for 127.0.0.1 that signs itself, and returns the files of it and of its key.
func makeCertificate(t testing.TB) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "acceptance"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("certificate.pem", "CERTIFICATE", signed), write("key.pem", "PRIVATE KEY", encoded)
}

// TestMalformedLDAP sends packets that are none. Each may cost its own connection, and neither another one nor memory.
func TestMalformedLDAP(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	s := start(t)
	witness := s.administrator(t)
	bind := bindRequest("cn=reader,"+namingContext, s.ldapPassword(t, "reader"))
	packets := map[string][]byte{
		"a claim of 1 GiB":              append([]byte{0x30, 0x84, 0x40, 0, 0, 0}, make([]byte, 1<<20)...),
		"a claim of 2 GiB":              {0x30, 0x84, 0x80, 0, 0, 0, 2, 1, 1},
		"a claim of 16 EiB":             {0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a claim inside of the message": {0x30, 0x0c, 0x02, 0x01, 0x01, 0x60, 0x84, 0x40, 0, 0, 0, 2, 1, 3},
		"a name of 1 GiB":               {0x30, 0x10, 0x02, 0x01, 0x01, 0x60, 0x0b, 2, 1, 3, 0x04, 0x84, 0x40, 0, 0, 0, 0x80, 0},
		"no length":                     {0x30, 0x80, 0x02, 0x01, 0x01, 0, 0},
		"text":                          []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a TLS greeting":                {0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0, 0, 1, 0},
		"zeros":                         make([]byte, 4096),
		"ones":                          bytes.Repeat([]byte{0xff}, 4096),
		"a message of nothing":          {0x30, 0x00},
		"a negative id":                 {0x30, 0x05, 0x02, 0x01, 0xff, 0x42, 0x00},
		"a response":                    {0x30, 0x0c, 0x02, 0x01, 0x01, 0x61, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00},
		"a filter of a million levels":  nestedSearch(1 << 20),
		"a filter of 1000 levels":       nestedSearch(1000),
	}
	resident := s.resident(t)
	for name, packet := range packets {
		for _, bound := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, bound %t", name, bound), func(t *testing.T) {
				connection, err := net.Dial("tcp", s.ldap)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = connection.Close() }()
				_ = connection.SetDeadline(time.Now().Add(20 * time.Second))
				if bound {
					if _, err := connection.Write(bind); err != nil {
						t.Fatal(err)
					}
					if _, err := connection.Read(make([]byte, 1024)); err != nil {
						t.Fatal(err)
					}
				}
				// The service may close the connection while there is something left to send.
				_, _ = connection.Write(packet)
				answer := make([]byte, 64<<10)
				for err == nil {
					_, err = connection.Read(answer)
					if strings.HasPrefix(name, "a filter") {
						break // What is well-formed and refused costs its request only.
					}
				}
				if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
					t.Error("the connection stays open")
				}
			})
		}
	}
	if _, err := witness.WhoAmI(nil); err != nil {
		t.Errorf("another connection has suffered: %v", err)
	}
	// Many at a time, each with a part of what it claims.
	inParallel(100, 100, func(int) {
		connection, err := net.Dial("tcp", s.ldap)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = connection.Close() }()
		_, _ = connection.Write(append(bytes.Clone(bind), packets["a claim of 1 GiB"][:1<<16]...))
		_ = connection.SetDeadline(time.Now().Add(2 * time.Second))
		_, _ = connection.Read(make([]byte, 1024))
	})
	// One of the filters is 6 MiB, which the service may read. What is claimed is a thousand times as much.
	const bearable = 64 << 20
	grown := s.resident(t) - resident
	if t.Logf("the service takes %d MiB more than before", grown>>20); grown > bearable {
		t.Error("that is too much")
	}
	s.get(t, "/users").want(http.StatusOK)
	if err := s.dial(t).Bind("cn=reader,"+namingContext, s.ldapPassword(t, "reader")); err != nil {
		t.Errorf("a new connection: %v", err)
	}
}

// resident returns the memory that the service takes, in bytes (proc(5), statm).
func (s *server) resident(t testing.TB) int64 {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.command.Process.Pid))
	if err != nil {
		t.Skipf("the memory of a process can be read on Linux only: %v", err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(content), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// element returns a BER element with a length of four octets.
func element(tag byte, contents ...[]byte) []byte {
	content := bytes.Join(contents, nil)
	size := len(content)
	return append([]byte{tag, 0x84, byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}, content...)
}

// bindRequest returns the message of a simple bind (RFC 4511, section 4.2).
func bindRequest(dn, password string) []byte {
	request := element(0x60, []byte{2, 1, 3}, element(0x04, []byte(dn)), element(0x80, []byte(password)))
	return element(0x30, []byte{2, 1, 1}, request)
}

// nestedSearch returns the message of a search whose filter negates itself many times (RFC 4511, section 4.5.1).
func nestedSearch(levels int) []byte {
	// Lengths are written from the inside to the outside; the filter is built from its end.
	item := element(0x87, []byte("objectClass"))
	reversed, size := reverse(item), len(item)
	for range levels {
		reversed = append(reversed, byte(size), byte(size>>8), byte(size>>16), byte(size>>24), 0x84, 0xa2)
		size += 6
	}
	return element(0x30, []byte{2, 1, 2}, element(0x63, element(0x04), []byte{10, 1, 2, 10, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0},
		reverse(reversed), element(0x30)))
}

func reverse(text []byte) []byte {
	reversed := make([]byte, len(text))
	for i, octet := range text {
		reversed[len(text)-1-i] = octet
	}
	return reversed
}
