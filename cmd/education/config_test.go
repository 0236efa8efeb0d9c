package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/education"
)

// inForce returns what the config command prints, or reports.
func inForce(t *testing.T, environment ...string) (stdout, stderr string) {
	t.Helper()
	var out, failed bytes.Buffer
	status := run(t.Context(), []string{"config"}, environment, &out, &failed)
	if (status == 0) != (failed.Len() == 0) {
		t.Errorf("status %d, stderr %q", status, failed.String())
	}
	return out.String(), failed.String()
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	want := `EDUCATION_HTTP_ADDR=127.0.0.1:9120
EDUCATION_HTTP_ROOT=/graph
EDUCATION_TOKEN=
EDUCATION_TOKEN_FILE=
EDUCATION_TOKENS_FILE=
EDUCATION_DATA_DIR=./data
EDUCATION_OIDC_ISSUER=
EDUCATION_OIDC_AUDIENCE=
EDUCATION_OIDC_ALGORITHMS=RS256,PS256,ES256
EDUCATION_OIDC_TENANT_CLAIM=
EDUCATION_OIDC_TENANT_KEY=auto
EDUCATION_OIDC_WITHOUT_TENANT=refuse
EDUCATION_OIDC_SCHOOLS=
EDUCATION_OIDC_VERB_CLAIMS=roles,scp,scope
EDUCATION_OIDC_VERBS=EduRoster.ReadBasic.All=read EduRoster.Read.All=read EduRoster.ReadWrite.All=read,write,delete
EDUCATION_OIDC_NAME_CLAIMS=azp,appid,client_id,sub
EDUCATION_OIDC_CA_FILE=
EDUCATION_OIDC_FILE=
EDUCATION_HTTP_TLS_CERT_FILE=
EDUCATION_HTTP_TLS_KEY_FILE=
EDUCATION_HTTP_TLS_CLIENT_CA_FILE=
EDUCATION_CORS_ORIGINS=
EDUCATION_PUBLIC_URL=
EDUCATION_TRUSTED_PROXIES=
EDUCATION_MAX_PAGE_SIZE=0
EDUCATION_CURSOR_KEY_FILE=
EDUCATION_LIMIT_RATE=1000
EDUCATION_LIMIT_CONCURRENCY=16
EDUCATION_LIMIT_RUNNING=64
EDUCATION_LIMIT_FAILURES=10
EDUCATION_LIMIT_CONNECTIONS=8192
EDUCATION_LDAP_LISTEN=127.0.0.1:10389
EDUCATION_LDAPS_LISTEN=
EDUCATION_LDAP_TLS_CERT_FILE=
EDUCATION_LDAP_TLS_KEY_FILE=
EDUCATION_LDAP_URI=
EDUCATION_LDAP_BIND_DN=
EDUCATION_LDAP_BIND_PASSWORD=
EDUCATION_LDAP_BIND_PASSWORD_FILE=
EDUCATION_LDAP_STARTTLS=false
EDUCATION_LDAP_CA_FILE=
EDUCATION_LDAP_INSECURE=false
EDUCATION_LDAP_CLIENT_CERT_FILE=
EDUCATION_LDAP_CLIENT_KEY_FILE=
EDUCATION_LDAP_POOL_SIZE=16
EDUCATION_LDAP_PASSWORD_HASH=auto
EDUCATION_LDAP_OTHER_WRITERS=auto
EDUCATION_LDAP_USER_BASE_DN=ou=users,dc=opencloud,dc=eu
EDUCATION_LDAP_CLASS_BASE_DN=ou=groups,dc=opencloud,dc=eu
EDUCATION_LDAP_SCHOOL_BASE_DN=ou=tenants,dc=opencloud,dc=eu
EDUCATION_COMPATIBILITY=
EDUCATION_SCHOOLS_PER_USER=one
EDUCATION_EXTERNAL_ID_SCOPE=school
EDUCATION_USERNAME_MATCH=default
EDUCATION_SCHOOL_TERMINATION_MIN_GRACE_DAYS=0
EDUCATION_AUDIT=off
EDUCATION_AUDIT_FILE=
EDUCATION_LOG_LEVEL=info
EDUCATION_LOG_FORMAT=auto
`
	got, stderr := inForce(t, "UNRELATED=1")
	if diff := cmp.Diff(want, got); diff != "" || stderr != "" {
		t.Errorf("config printed on stderr %q, on stdout (-want +got):\n%s", stderr, diff)
	}
}

func TestConfigValues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		environment []string
		want        []string
	}{
		{"ours", []string{"EDUCATION_HTTP_ADDR=:80"}, []string{"EDUCATION_HTTP_ADDR=:80"}},
		{"ours before OpenCloud's", []string{"EDUCATION_HTTP_ADDR=:80", "GRAPH_HTTP_ADDR=:81"}, []string{"EDUCATION_HTTP_ADDR=:80"}},
		{"OpenCloud's", []string{
			"GRAPH_HTTP_ADDR=0.0.0.0:9120", "GRAPH_HTTP_ROOT=/g", "GRAPH_HTTP_API_TOKEN=changeme", "GRAPH_USERNAME_MATCH=none",
			"GRAPH_LDAP_SCHOOL_TERMINATION_MIN_GRACE_DAYS=30", "OC_LOG_LEVEL=warn", "OC_LDAP_BIND_DN=cn=admin", "OC_LDAP_BIND_PASSWORD=p",
			"OC_LDAP_USER_BASE_DN=ou=u,o=x", "OC_LDAP_GROUP_BASE_DN=ou=g,o=x", "GRAPH_LDAP_SCHOOL_BASE_DN=ou=s,o=x",
		}, []string{
			"EDUCATION_HTTP_ADDR=0.0.0.0:9120", "EDUCATION_HTTP_ROOT=/g", "EDUCATION_TOKEN=(set)", "EDUCATION_USERNAME_MATCH=none",
			"EDUCATION_SCHOOL_TERMINATION_MIN_GRACE_DAYS=30", "EDUCATION_LOG_LEVEL=warn", "EDUCATION_LDAP_BIND_DN=cn=admin",
			"EDUCATION_LDAP_BIND_PASSWORD=(set)", "EDUCATION_LDAP_USER_BASE_DN=ou=u,o=x", "EDUCATION_LDAP_CLASS_BASE_DN=ou=g,o=x",
			"EDUCATION_LDAP_SCHOOL_BASE_DN=ou=s,o=x",
		}},
		{"of two of OpenCloud's the nearer", []string{"OC_LDAP_USER_BASE_DN=o=far", "GRAPH_LDAP_USER_BASE_DN=o=near"}, []string{"EDUCATION_LDAP_USER_BASE_DN=o=near"}},
		{"an empty one of OpenCloud's", []string{"GRAPH_LDAP_USER_BASE_DN=", "OC_LDAP_USER_BASE_DN=o=far"}, []string{"EDUCATION_LDAP_USER_BASE_DN=o=far"}},
		{"ours is empty", []string{"EDUCATION_LDAP_URI=", "OC_LDAP_URI=ldaps://elsewhere"}, []string{"EDUCATION_LDAP_URI="}},
		{"empty is the default", []string{"EDUCATION_HTTP_ADDR=", "EDUCATION_LOG_LEVEL="}, []string{"EDUCATION_HTTP_ADDR=127.0.0.1:9120", "EDUCATION_LOG_LEVEL=info"}},
		{"TLS of OpenCloud's is off", []string{"OC_HTTP_TLS_CERTIFICATE=/c", "OC_HTTP_TLS_KEY=/k"}, []string{"EDUCATION_HTTP_TLS_CERT_FILE=", "EDUCATION_HTTP_TLS_KEY_FILE="}},
		{"no LDAP listener", []string{"EDUCATION_LDAP_LISTEN="}, []string{"EDUCATION_LDAP_LISTEN="}},
		{"a level of OpenCloud's", []string{"OC_LOG_LEVEL=trace"}, []string{"EDUCATION_LOG_LEVEL=trace"}},
		{"compatibility", []string{"EDUCATION_COMPATIBILITY=opencloud"}, []string{"EDUCATION_SCHOOLS_PER_USER=many"}},
		{"compatibility, one school", []string{"EDUCATION_COMPATIBILITY=opencloud", "EDUCATION_SCHOOLS_PER_USER=one"}, []string{"EDUCATION_SCHOOLS_PER_USER=one"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr := inForce(t, test.environment...)
			if stderr != "" {
				t.Fatalf("faults: %s", stderr)
			}
			lines := strings.Split(stdout, "\n")
			for _, want := range test.want {
				if !contains(lines, want) {
					t.Errorf("config printed no line %q:\n%s", want, stdout)
				}
			}
		})
	}
}

func contains(lines []string, wanted string) bool {
	for _, line := range lines {
		if line == wanted {
			return true
		}
	}
	return false
}

func TestConfigReportsAllFaults(t *testing.T) {
	t.Parallel()
	_, got := inForce(t,
		"EDUCATION_HTTP_ADDR=9120",
		"EDUCATION_HTTP_ROOT=graph/{x}",
		"EDUCATION_TOKEN=not a tök3n",
		"EDUCATION_TOKEN_FILE=/does/not/exist",
		"EDUCATION_PUBLIC_URL=school.example",
		"EDUCATION_TRUSTED_PROXIES=proxy",
		"EDUCATION_MAX_PAGE_SIZE=many",
		"EDUCATION_LDAP_LISTEN=localhost:ldap",
		"EDUCATION_LDAPS_LISTEN=127.0.0.1:0",
		"OC_LDAP_URI=ldap-server:1636",
		"EDUCATION_LDAP_STARTTLS=yes",
		"EDUCATION_LDAP_PASSWORD_HASH=md5",
		"EDUCATION_LDAP_BIND_PASSWORD=p4ss",
		"EDUCATION_LDAP_BIND_PASSWORD_FILE=/p",
		"EDUCATION_LDAP_USER_BASE_DN=users",
		"EDUCATION_COMPATIBILITY=ocis",
		"EDUCATION_SCHOOLS_PER_USER=two",
		"EDUCATION_SCHOOL_TERMINATION_MIN_GRACE_DAYS=-1",
		"OC_LOG_LEVEL=loud",
		"EDUCATION_LOG_FORMAT=xml",
	)
	want := `education: EDUCATION_MAX_PAGE_SIZE must be a whole number from 0 to 65535
education: EDUCATION_SCHOOL_TERMINATION_MIN_GRACE_DAYS must be a whole number from 0 to 65535
education: EDUCATION_HTTP_ADDR must be an address with a port, such as 127.0.0.1:9120 or :9120
education: EDUCATION_HTTP_ROOT must be a path that begins with a slash, of letters, digits and . _ ~ -
education: EDUCATION_TOKEN must be printable ASCII characters without blanks
education: EDUCATION_PUBLIC_URL must be a URL without a query, such as https://school.example or https://school.example/provisioning
education: EDUCATION_TRUSTED_PROXIES must be a list of IP addresses and networks separated by commas, such as 127.0.0.1,10.0.0.0/8
education: EDUCATION_LDAP_LISTEN must be an address with a port, such as 127.0.0.1:9120 or :9120
education: EDUCATION_LDAP_URI (read from OC_LDAP_URI) must be a list of LDAP servers separated by commas or blanks, such as ldaps://ldap1.example.org,ldaps://ldap2.example.org
education: EDUCATION_LDAP_STARTTLS must be empty or one of: true, false
education: EDUCATION_LDAP_PASSWORD_HASH must be empty or one of: auto, ssha, argon2, server
education: EDUCATION_LDAP_USER_BASE_DN must be a distinguished name, such as ou=users,dc=opencloud,dc=eu
education: EDUCATION_COMPATIBILITY must be empty or one of: opencloud
education: EDUCATION_SCHOOLS_PER_USER must be empty or one of: one, many
education: EDUCATION_LOG_LEVEL (read from OC_LOG_LEVEL) must be one of: debug, info, warn, error
education: EDUCATION_LOG_FORMAT must be empty or one of: auto, text, json
education: EDUCATION_TOKEN and EDUCATION_TOKEN_FILE are both set: only one may be
education: EDUCATION_LDAP_BIND_PASSWORD and EDUCATION_LDAP_BIND_PASSWORD_FILE are both set: only one may be
education: EDUCATION_TOKEN_FILE must be a file that can be read: open /does/not/exist: no such file or directory
education: EDUCATION_LDAP_TLS_CERT_FILE and EDUCATION_LDAP_TLS_KEY_FILE must be set together, and with EDUCATION_LDAPS_LISTEN
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestConfigFaultsOfServers(t *testing.T) {
	t.Parallel()
	const account = "EDUCATION_LDAP_BIND_DN=cn=education,dc=opencloud,dc=eu"
	tests := []struct {
		name        string
		environment []string
		want        []string
	}{
		{"no account", nil, []string{"ldaps://ldap needs an account to bind with, or TLS and a client certificate"}},
		{"no password", []string{account}, []string{"EDUCATION_LDAP_BIND_PASSWORD or EDUCATION_LDAP_BIND_PASSWORD_FILE must be set"}},
		{
			"files that are not there",
			[]string{account, "EDUCATION_LDAP_BIND_PASSWORD_FILE=/does/not/exist", "OC_LDAP_CACERT=/nor/this"},
			[]string{"EDUCATION_LDAP_BIND_PASSWORD_FILE must be a file", "/nor/this"},
		},
		{"half a certificate", []string{"EDUCATION_LDAP_CLIENT_CERT_FILE=/c"}, []string{"a client certificate and its key must be given together"}},
		{
			"a listener",
			[]string{account, "EDUCATION_LDAP_BIND_PASSWORD=p", "EDUCATION_LDAPS_LISTEN=:0"},
			[]string{"EDUCATION_LDAPS_LISTEN must be empty with EDUCATION_LDAP_URI"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, stderr := inForce(t, append(test.environment, "EDUCATION_LDAP_URI=ldaps://ldap")...)
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("got %q, want %q in it", stderr, want)
				}
			}
		})
	}
}

func TestConfigFaultsOfFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name        string
		environment []string
		want        string
	}{
		{"empty token file", []string{"EDUCATION_TOKEN_FILE=" + file("empty", "\n")}, "EDUCATION_TOKEN_FILE must hold one token"},
		{"three lines", []string{"EDUCATION_TOKEN_FILE=" + file("three", "a\nb\nc\n")}, "EDUCATION_TOKEN_FILE must hold one token"},
		{"an empty second line", []string{"EDUCATION_TOKEN_FILE=" + file("gap", "a\n\nb\n")}, "EDUCATION_TOKEN_FILE must hold one token"},
		{"two words", []string{"EDUCATION_TOKEN_FILE=" + file("words", "a b\n")}, "EDUCATION_TOKEN_FILE must hold one token"},
		{"half a certificate", []string{"EDUCATION_LDAP_TLS_CERT_FILE=x"}, "must be set together"},
		{"half a certificate for HTTP", []string{"EDUCATION_HTTP_TLS_KEY_FILE=x"}, "EDUCATION_HTTP_TLS_CERT_FILE and EDUCATION_HTTP_TLS_KEY_FILE must be set together\n"},
		{"authorities without a certificate", []string{"EDUCATION_HTTP_TLS_CLIENT_CA_FILE=x"}, "must be set together, and with EDUCATION_HTTP_TLS_CLIENT_CA_FILE"},
		{
			"a certificate of OpenCloud's that is not there",
			[]string{"OC_HTTP_TLS_ENABLED=true", "OC_HTTP_TLS_CERTIFICATE=/does/not/exist", "OC_HTTP_TLS_KEY=/nor/this"},
			"EDUCATION_HTTP_TLS_CERT_FILE and EDUCATION_HTTP_TLS_KEY_FILE must be a certificate and its key in PEM: open /does/not/exist: no such file or directory; open /nor/this",
		},
		{
			"no certificate",
			[]string{"EDUCATION_LDAP_TLS_CERT_FILE=" + file("cert", "x"), "EDUCATION_LDAP_TLS_KEY_FILE=" + file("key", "x")},
			"must be a certificate and its key in PEM",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, got := inForce(t, test.environment...); !strings.Contains(got, test.want) {
				t.Errorf("faults: got %q, want %q in it", got, test.want)
			}
		})
	}
}

func TestConfigShowsNoSecret(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	for _, environment := range [][]string{
		{"EDUCATION_TOKEN=" + canary, "EDUCATION_LDAP_BIND_PASSWORD=" + canary},
		{"GRAPH_HTTP_API_TOKEN=" + canary, "OC_LDAP_BIND_PASSWORD=" + canary},
		{"EDUCATION_TOKEN= " + canary, "EDUCATION_LOG_LEVEL=x"},
	} {
		stdout, stderr := inForce(t, environment...)
		if strings.Contains(stdout+stderr, canary) {
			t.Errorf("config with %q prints the secret:\n%s%s", environment, stdout, stderr)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	s, err := load(map[string]string{
		"EDUCATION_COMPATIBILITY": "opencloud", "EDUCATION_EXTERNAL_ID_SCOPE": "global", "EDUCATION_USERNAME_MATCH": "none",
		"EDUCATION_SCHOOL_TERMINATION_MIN_GRACE_DAYS": "7",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := education.Rules{
		Compatible: true, SchoolsPerUser: education.ManySchools, ExternalIDScope: education.ScopeGlobal,
		UsernameMatch: education.UsernameMatchNone, TerminationGraceDays: 7,
	}
	if diff := cmp.Diff(want, s.rules()); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func TestVersionPaths(t *testing.T) {
	t.Parallel()
	tests := []struct {
		root string
		want []string
	}{
		{"/graph", []string{"/graph/v1.0", "/v1.0"}},
		{"/graph/", []string{"/graph/v1.0", "/v1.0"}},
		{"/a/b", []string{"/a/b/v1.0", "/v1.0"}},
		{"/", []string{"/v1.0"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, (&settings{HTTPRoot: test.root}).versionPaths()); diff != "" {
			t.Errorf("paths for %q (-want +got):\n%s", test.root, diff)
		}
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value string
		want  bool
	}{
		{"https://school.example", true},
		{"https://school.example/", true},
		{"http://127.0.0.1:9120", true},
		{"https://[2001:db8::1]:8443/a/b", true},
		{"school.example", false},
		{"//school.example", false},
		{"ftp://school.example", false},
		{"https://", false},
		{"https://:443", false},
		{"https://user:password@school.example", false},
		{"https://school.example?", false},
		{"https://school.example/#", false},
		{"https://school.example//a", false},
		{"https://school.example/a%2Fb", false},
		{"https://school.example/{x}", false},
		{"https://school.example:port", false},
	}
	for _, test := range tests {
		if got := checkURL(test.value) == ""; got != test.want {
			t.Errorf("%q is permitted: got %v, want %v", test.value, got, test.want)
		}
	}
}

func TestCheckOrigins(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value string
		want  bool
	}{
		{"https://portal.example", true},
		{"https://portal.example, http://localhost:3000", true},
		{"https://[2001:db8::1]:8443", true},
		{"*", false},
		{"null", false},
		{"https://*.example", false},
		{"https://portal.example/", false},
		{"https://portal.example/a", false},
		{"https://Portal.example", false},
		{"https://portal.example:443", false},
		{"http://portal.example:80", false},
		{"portal.example", false},
		{"https://portal.example,*", false},
		{",", false},
	}
	for _, test := range tests {
		if got := checkOrigins(test.value) == ""; got != test.want {
			t.Errorf("%q is permitted: got %v, want %v", test.value, got, test.want)
		}
	}
}

func TestParseNetworks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		list string
		want string
	}{
		{"", "[]"},
		{"127.0.0.1", "[127.0.0.1/32]"},
		{"127.0.0.1, 10.0.0.0/8 ,2001:db8::/32,::1", "[127.0.0.1/32 10.0.0.0/8 2001:db8::/32 ::1/128]"},
		{"127.0.0.1,", "refused"},
		{"proxy.example", "refused"},
		{"10.0.0.0/33", "refused"},
		{"*", "refused"},
	}
	for _, test := range tests {
		networks, err := parseNetworks(test.list)
		got := fmt.Sprint(networks)
		if err != nil {
			got = "refused"
		}
		if got != test.want {
			t.Errorf("%q: got %s, want %s", test.list, got, test.want)
		}
	}
}

// TestRows holds that a tag which names a rule names one that exists, and that README's table has every setting.
func TestRows(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for field := range fields() {
		name := field.Tag.Get("env")
		if check := field.Tag.Get("check"); check != "" && checks[check] == nil {
			t.Errorf("%s: there is no check %q", name, check)
		}
		row := "\n| `" + name + "` | "
		if rows := strings.Count(string(readme), row); rows > 1 {
			t.Errorf("README has %d rows for %s", rows, name)
		}
		if value := field.Tag.Get("envDefault"); value != "" {
			row += "`" + value + "` |"
		}
		if !strings.Contains(string(readme), row) {
			t.Errorf("README has no row that begins with %q", row)
		}
		for other := range strings.SplitSeq(field.Tag.Get("opencloud"), ",") {
			if !strings.Contains(string(readme), other) {
				t.Errorf("README does not say that %s is read from %s", name, other)
			}
		}
	}
}
