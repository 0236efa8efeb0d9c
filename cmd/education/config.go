package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/go-ldap/ldap/v3"

	"github.com/opencloud-eu/education/pkg/access/oidc"
	"github.com/opencloud-eu/education/pkg/education"
)

// settings are everything an operator can choose. One field is one setting:
//
//   - env is its name, and envDefault its value where it is not set or empty;
//   - opencloud lists the names under which OpenCloud has the same setting. The first that is set counts where ours
//     is not, so that the service runs in an environment that was written for OpenCloud;
//   - unless names a setting that takes the place of OpenCloud's, and where a switch of OpenCloud's that must be true for
//     OpenCloud's value to count;
//   - check names the rule for its value, in the table checks; permitted lists the values it may have;
//   - a secret is never shown;
//   - private says that the value is the path of a file that nobody but the service should be able to read, trusted that it
//     is one that nobody else should be able to change.
type settings struct {
	HTTPAddr   string `env:"EDUCATION_HTTP_ADDR" envDefault:"127.0.0.1:9120" opencloud:"GRAPH_HTTP_ADDR" check:"address"`
	HTTPRoot   string `env:"EDUCATION_HTTP_ROOT" envDefault:"/graph" opencloud:"GRAPH_HTTP_ROOT" check:"path"`
	Token      string `env:"EDUCATION_TOKEN" opencloud:"GRAPH_HTTP_API_TOKEN" unless:"EDUCATION_TOKEN_FILE" check:"token" secret:"true"`
	TokenFile  string `env:"EDUCATION_TOKEN_FILE" private:"true"`
	TokensFile string `env:"EDUCATION_TOKENS_FILE" private:"true"`
	DataDir    string `env:"EDUCATION_DATA_DIR" envDefault:"./data"`

	OIDCIssuer        string `env:"EDUCATION_OIDC_ISSUER"`
	OIDCAudience      string `env:"EDUCATION_OIDC_AUDIENCE"`
	OIDCAlgorithms    string `env:"EDUCATION_OIDC_ALGORITHMS" envDefault:"RS256,PS256,ES256"`
	OIDCTenantClaim   string `env:"EDUCATION_OIDC_TENANT_CLAIM"`
	OIDCTenantKey     string `env:"EDUCATION_OIDC_TENANT_KEY" envDefault:"auto"`
	OIDCWithoutTenant string `env:"EDUCATION_OIDC_WITHOUT_TENANT" envDefault:"refuse"`
	OIDCSchools       string `env:"EDUCATION_OIDC_SCHOOLS"`
	OIDCVerbClaims    string `env:"EDUCATION_OIDC_VERB_CLAIMS" envDefault:"roles,scp,scope"`
	OIDCVerbs         string `env:"EDUCATION_OIDC_VERBS" envDefault:"EduRoster.ReadBasic.All=read EduRoster.Read.All=read EduRoster.ReadWrite.All=read,write,delete"`
	OIDCNameClaims    string `env:"EDUCATION_OIDC_NAME_CLAIMS" envDefault:"azp,appid,client_id,sub"`
	OIDCCAFile        string `env:"EDUCATION_OIDC_CA_FILE" trusted:"true"`
	OIDCFile          string `env:"EDUCATION_OIDC_FILE" trusted:"true"`

	HTTPTLSCert     string `env:"EDUCATION_HTTP_TLS_CERT_FILE" opencloud:"OC_HTTP_TLS_CERTIFICATE" where:"OC_HTTP_TLS_ENABLED" trusted:"true"`
	HTTPTLSKey      string `env:"EDUCATION_HTTP_TLS_KEY_FILE" opencloud:"OC_HTTP_TLS_KEY" where:"OC_HTTP_TLS_ENABLED" private:"true"`
	HTTPTLSClientCA string `env:"EDUCATION_HTTP_TLS_CLIENT_CA_FILE" trusted:"true"`
	CORSOrigins     string `env:"EDUCATION_CORS_ORIGINS" check:"origins"`

	PublicURL      string `env:"EDUCATION_PUBLIC_URL" check:"url"`
	TrustedProxies string `env:"EDUCATION_TRUSTED_PROXIES" check:"networks"`
	MaxPageSize    uint16 `env:"EDUCATION_MAX_PAGE_SIZE" envDefault:"0"`
	CursorKeyFile  string `env:"EDUCATION_CURSOR_KEY_FILE" private:"true"`

	LimitRate        uint16 `env:"EDUCATION_LIMIT_RATE" envDefault:"1000"`
	LimitConcurrency uint16 `env:"EDUCATION_LIMIT_CONCURRENCY" envDefault:"16"`
	LimitRunning     uint16 `env:"EDUCATION_LIMIT_RUNNING" envDefault:"64"`
	LimitFailures    uint16 `env:"EDUCATION_LIMIT_FAILURES" envDefault:"10"`
	LimitConnections uint16 `env:"EDUCATION_LIMIT_CONNECTIONS" envDefault:"8192"`

	LDAPListen  string `env:"EDUCATION_LDAP_LISTEN" envDefault:"127.0.0.1:10389" check:"address"`
	LDAPSListen string `env:"EDUCATION_LDAPS_LISTEN" check:"address"`
	LDAPTLSCert string `env:"EDUCATION_LDAP_TLS_CERT_FILE" trusted:"true"`
	LDAPTLSKey  string `env:"EDUCATION_LDAP_TLS_KEY_FILE" private:"true"`

	LDAPURI              string `env:"EDUCATION_LDAP_URI" opencloud:"GRAPH_LDAP_URI,OC_LDAP_URI" check:"uris"`
	LDAPBindDN           string `env:"EDUCATION_LDAP_BIND_DN" opencloud:"GRAPH_LDAP_BIND_DN,OC_LDAP_BIND_DN" check:"dn"`
	LDAPBindPassword     string `env:"EDUCATION_LDAP_BIND_PASSWORD" opencloud:"GRAPH_LDAP_BIND_PASSWORD,OC_LDAP_BIND_PASSWORD" unless:"EDUCATION_LDAP_BIND_PASSWORD_FILE" secret:"true"`
	LDAPBindPasswordFile string `env:"EDUCATION_LDAP_BIND_PASSWORD_FILE" private:"true"`
	LDAPStartTLS         string `env:"EDUCATION_LDAP_STARTTLS" envDefault:"false" permitted:"true|false"`
	LDAPCAFile           string `env:"EDUCATION_LDAP_CA_FILE" opencloud:"GRAPH_LDAP_CACERT,OC_LDAP_CACERT" trusted:"true"`
	LDAPInsecure         string `env:"EDUCATION_LDAP_INSECURE" envDefault:"false" opencloud:"GRAPH_LDAP_INSECURE,OC_LDAP_INSECURE" permitted:"true|false"`
	LDAPClientCert       string `env:"EDUCATION_LDAP_CLIENT_CERT_FILE" trusted:"true"`
	LDAPClientKey        string `env:"EDUCATION_LDAP_CLIENT_KEY_FILE" private:"true"`
	LDAPPoolSize         uint16 `env:"EDUCATION_LDAP_POOL_SIZE" envDefault:"16"`
	LDAPPasswordHash     string `env:"EDUCATION_LDAP_PASSWORD_HASH" envDefault:"auto" permitted:"auto|ssha|argon2|server"`
	LDAPOtherWriters     string `env:"EDUCATION_LDAP_OTHER_WRITERS" envDefault:"auto" permitted:"auto|yes"`

	UserBase   string `env:"EDUCATION_LDAP_USER_BASE_DN" envDefault:"ou=users,dc=opencloud,dc=eu" opencloud:"GRAPH_LDAP_USER_BASE_DN,OC_LDAP_USER_BASE_DN" check:"dn"`
	ClassBase  string `env:"EDUCATION_LDAP_CLASS_BASE_DN" envDefault:"ou=groups,dc=opencloud,dc=eu" opencloud:"GRAPH_LDAP_GROUP_BASE_DN,OC_LDAP_GROUP_BASE_DN" check:"dn"`
	SchoolBase string `env:"EDUCATION_LDAP_SCHOOL_BASE_DN" envDefault:"ou=tenants,dc=opencloud,dc=eu" opencloud:"GRAPH_LDAP_SCHOOL_BASE_DN" check:"dn"`

	Compatibility        string `env:"EDUCATION_COMPATIBILITY" permitted:"opencloud"`
	SchoolsPerUser       string `env:"EDUCATION_SCHOOLS_PER_USER" permitted:"one|many"`
	ExternalIDScope      string `env:"EDUCATION_EXTERNAL_ID_SCOPE" envDefault:"school" permitted:"school|global"`
	UsernameMatch        string `env:"EDUCATION_USERNAME_MATCH" envDefault:"default" opencloud:"GRAPH_USERNAME_MATCH" permitted:"default|none"`
	TerminationGraceDays uint16 `env:"EDUCATION_SCHOOL_TERMINATION_MIN_GRACE_DAYS" envDefault:"0" opencloud:"GRAPH_LDAP_SCHOOL_TERMINATION_MIN_GRACE_DAYS"`

	Audit     string `env:"EDUCATION_AUDIT" envDefault:"off" permitted:"off|on|required"`
	AuditFile string `env:"EDUCATION_AUDIT_FILE" private:"true"`

	LogLevel  string `env:"EDUCATION_LOG_LEVEL" envDefault:"info" opencloud:"GRAPH_LOG_LEVEL,OC_LOG_LEVEL" check:"level"`
	LogFormat string `env:"EDUCATION_LOG_FORMAT" envDefault:"auto" permitted:"auto|text|json"`

	// origins holds, for each setting that was set, the name under which it was: its own or one of OpenCloud's.
	origins map[string]string
	// certificates are those of the listeners.
	certificates certificates
	// fileTokens are the tokens that TokenFile holds.
	fileTokens []string
	// issuers knows the tokens of the OIDC issuers, nil without any.
	issuers *oidc.Authenticator
	// proxies are the networks that TrustedProxies lists.
	proxies []netip.Prefix
}

// checks are the rules for single values. Each returns what is permitted, to follow "must be", or "" if the value is.
// They are not asked about empty values.
var checks = map[string]func(value string) string{
	"address":  checkAddress,
	"path":     checkPath,
	"token":    checkToken,
	"dn":       checkDN,
	"level":    checkLevel,
	"uris":     checkURIs,
	"url":      checkURL,
	"networks": checkNetworks,
	"origins":  checkOrigins,
}

// pathText is a path whose segments need no escaping and mean nothing to the router.
var pathText = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*/?$`)

// levels are the log levels, and below them OpenCloud's further ones at the nearest of ours.
var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	"trace": slog.LevelDebug, "fatal": slog.LevelError, "panic": slog.LevelError,
}

// load reads the settings from an environment. It returns all faults together, one a line, each with the name of its
// variable and what is permitted.
func load(environment map[string]string) (*settings, error) {
	s := &settings{}
	given := s.borrow(environment)
	var faults []error
	if err := env.ParseWithOptions(s, env.Options{Environment: given}); err != nil {
		faults = append(faults, parseFaults(err)...)
	}
	// An address that is set and empty turns the listener off; to env, empty is as good as not set.
	if address, ok := given["EDUCATION_LDAP_LISTEN"]; ok && address == "" {
		s.LDAPListen = ""
	}
	if s.SchoolsPerUser == "" {
		s.SchoolsPerUser = education.OneSchool
		if s.compatible() {
			s.SchoolsPerUser = education.ManySchools
		}
	}
	faults = append(faults, s.valueFaults()...)
	// A list that cannot be parsed is among the faults already.
	s.proxies, _ = parseNetworks(s.TrustedProxies)
	faults = append(faults, s.tokenFaults()...)
	faults = append(faults, s.issuerFaults()...)
	faults = append(faults, s.certificateFaults()...)
	faults = append(faults, s.remoteFaults()...)
	return s, errors.Join(faults...)
}

// borrow returns the environment with OpenCloud's values under our names where ours are not set. A name that is set
// counts even if its value is empty, so that a value of OpenCloud's can be turned away.
func (s *settings) borrow(environment map[string]string) map[string]string {
	given := maps.Clone(environment)
	s.origins = map[string]string{}
	for field := range fields() {
		name := field.Tag.Get("env")
		if _, ok := environment[name]; ok {
			s.origins[name] = name
			continue
		}
		if environment[field.Tag.Get("unless")] != "" || isOff(environment, field.Tag.Get("where")) {
			continue
		}
		for other := range strings.SplitSeq(field.Tag.Get("opencloud"), ",") {
			if value := environment[other]; value != "" {
				given[name], s.origins[name] = value, other
				break
			}
		}
	}
	return given
}

// isOff reports whether a switch of OpenCloud's, if there is one, is not on.
func isOff(environment map[string]string, name string) bool {
	on, _ := strconv.ParseBool(environment[name])
	return name != "" && !on
}

// fields yields the fields of settings that are settings.
func fields() func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, field := range reflect.VisibleFields(reflect.TypeFor[settings]()) {
			if field.IsExported() && !yield(field) {
				return
			}
		}
	}
}

// parseFaults turns what env says about values of the wrong type into faults. The only type besides text is a number.
func parseFaults(err error) []error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []error{err}
	}
	var faults []error
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			faults = append(faults, err)
			continue
		}
		field, _ := reflect.TypeFor[settings]().FieldByName(parse.Name)
		faults = append(faults, fmt.Errorf("%s must be a whole number from 0 to 65535", field.Tag.Get("env")))
	}
	return faults
}

// valueFaults checks each value by its row.
func (s *settings) valueFaults() []error {
	var faults []error
	for field := range fields() {
		name, value := field.Tag.Get("env"), s.value(field)
		if value == "" {
			continue
		}
		wanted := ""
		if list := field.Tag.Get("permitted"); list != "" {
			wanted = checkPermitted(value, list)
		} else if check := checks[field.Tag.Get("check")]; check != nil {
			wanted = check(value)
		}
		if wanted == "" {
			continue
		}
		if origin := s.origins[name]; origin != "" && origin != name {
			name += " (read from " + origin + ")"
		}
		faults = append(faults, fmt.Errorf("%s must be %s", name, wanted))
	}
	return faults
}

// value returns the value of a setting as text.
func (s *settings) value(field reflect.StructField) string {
	return fmt.Sprint(reflect.ValueOf(s).Elem().FieldByIndex(field.Index).Interface())
}

func checkPermitted(value, list string) string {
	permitted := strings.Split(list, "|")
	for _, one := range permitted {
		if value == one {
			return ""
		}
	}
	return "empty or one of: " + strings.Join(permitted, ", ")
}

func checkAddress(value string) string {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "an address with a port, such as 127.0.0.1:9120 or :9120"
	}
	return ""
}

func checkPath(value string) string {
	if !pathText.MatchString(value) {
		return "a path that begins with a slash, of letters, digits and . _ ~ -"
	}
	return ""
}

// checkToken permits what fits into a header field; blanks would be cut there.
func checkToken(value string) string {
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "printable ASCII characters without blanks"
	}
	return ""
}

func checkDN(value string) string {
	if dn, err := ldap.ParseDN(value); err != nil || len(dn.RDNs) == 0 {
		return "a distinguished name, such as ou=users,dc=opencloud,dc=eu"
	}
	return ""
}

func checkLevel(value string) string {
	if _, ok := levels[value]; !ok {
		return "one of: debug, info, warn, error"
	}
	return ""
}

// checkURL permits a URL to which paths can be appended.
func checkURL(value string) string {
	const wanted = "a URL without a query, such as https://school.example or https://school.example/provisioning"
	parsed, err := url.Parse(value)
	switch {
	case err != nil, parsed.Scheme != "http" && parsed.Scheme != "https", parsed.Hostname() == "", parsed.User != nil:
		return wanted
	case !pathText.MatchString(parsed.Path), parsed.RawPath != "", strings.ContainsAny(value, "?#"):
		return wanted
	}
	return ""
}

func checkNetworks(value string) string {
	if _, err := parseNetworks(value); err != nil {
		return "a list of IP addresses and networks separated by commas, such as 127.0.0.1,10.0.0.0/8"
	}
	return ""
}

// checkOrigins permits a list of origins as browsers send them (RFC 6454, section 6.2): a scheme, a host and a port
// other than the scheme's own, in lower case.
func checkOrigins(value string) string {
	origins := splitList(value)
	for _, origin := range origins {
		parsed, err := url.Parse(origin)
		if err != nil || strings.Contains(origin, "*") || checkURL(origin) != "" || parsed.Path != "" || origin != strings.ToLower(origin) || hasUsualPort(parsed) {
			origins = nil
			break
		}
	}
	if len(origins) == 0 {
		return "a list of origins separated by commas, such as https://portal.example,http://localhost:3000, without a path, capitals or the scheme's own port"
	}
	return ""
}

// hasUsualPort reports whether a URL names the port that its scheme has anyway.
func hasUsualPort(u *url.URL) bool {
	return u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80"
}

// parseNetworks parses a list of addresses and networks in CIDR notation (RFC 4632, section 3.1).
func parseNetworks(list string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	if list == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if address, err := netip.ParseAddr(text); err == nil {
			networks = append(networks, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// tokenFaults checks how the token and the password of the directory are given, and reads the token's file.
func (s *settings) tokenFaults() []error {
	var faults []error
	if s.Token != "" && s.TokenFile != "" {
		faults = append(faults, errors.New("EDUCATION_TOKEN and EDUCATION_TOKEN_FILE are both set: only one may be"))
	}
	if s.LDAPBindPassword != "" && s.LDAPBindPasswordFile != "" {
		faults = append(faults, errors.New(
			"EDUCATION_LDAP_BIND_PASSWORD and EDUCATION_LDAP_BIND_PASSWORD_FILE are both set: only one may be"))
	}
	if fault := weakness(s.Token); s.Token != "" && checkToken(s.Token) == "" && fault != "" && !s.permitsWeakToken() {
		faults = append(faults, fmt.Errorf(
			"EDUCATION_TOKEN must be at least %d characters that nobody can guess, unless the API is on a loopback address without a proxy in front: it %s", minTokenLength, fault))
	}
	if s.TokenFile == "" {
		return faults
	}
	content, err := os.ReadFile(s.TokenFile)
	if err != nil {
		return append(faults, fmt.Errorf("EDUCATION_TOKEN_FILE must be a file that can be read: %w", err))
	}
	if s.fileTokens, err = s.parseTokens(content); err != nil {
		faults = append(faults, fmt.Errorf("EDUCATION_TOKEN_FILE %w", err))
	}
	return faults
}

func (s *settings) compatible() bool { return s.Compatibility == "opencloud" }

// rules returns the settings that concern what the service is.
func (s *settings) rules() education.Rules {
	return education.Rules{
		Compatible:           s.compatible(),
		SchoolsPerUser:       s.SchoolsPerUser,
		ExternalIDScope:      s.ExternalIDScope,
		UsernameMatch:        s.UsernameMatch,
		TerminationGraceDays: int(s.TerminationGraceDays),
	}
}

// versionPaths returns the paths at which the service is served, the one to tell people first. The other is for clients
// that drop the prefix of a base URL, as PowerShell's Graph module does.
func (s *settings) versionPaths() []string {
	const version = "/v1.0"
	root := strings.TrimSuffix(s.HTTPRoot, "/")
	if root == "" {
		return []string{version}
	}
	return []string{root + version, version}
}

// apiPath is where the API lies below each of versionPaths.
const apiPath = "/education"

// directoryPath returns the path of the file that holds the directory.
func (s *settings) directoryPath() string { return filepath.Join(s.DataDir, "directory.db") }

type configCommand struct{}

// Run prints the settings in force, one a line.
func (configCommand) Run(p *process) error {
	s, err := load(p.environment)
	if err != nil {
		return err
	}
	for field := range fields() {
		value := s.value(field)
		if value != "" && field.Tag.Get("secret") != "" {
			value = "(set)"
		}
		if _, err := fmt.Fprintf(p.stdout, "%s=%s\n", field.Tag.Get("env"), value); err != nil {
			return err
		}
	}
	return nil
}

// readSecret returns the content of a file without its trailing line break, which editors and echo leave there.
func readSecret(path string) (string, error) {
	content, err := os.ReadFile(path)
	return strings.TrimRight(string(content), "\r\n"), err
}
