package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Defaults of a Config.
const (
	DefaultPoolSize    = 16
	DefaultDialTimeout = 3 * time.Second
	DefaultBindTimeout = 5 * time.Second
	DefaultTimeout     = 10 * time.Second
)

// Config says which servers there are and how to use them. A zero value means the default.
type Config struct {
	// URIs are the servers, the preferred one first: ldap://host:port, ldaps://host:port or ldapi://path, where the
	// path of the socket has its slashes written as %2F.
	URIs []string
	// BindDN is the account of the service. Without it the client authenticates by SASL EXTERNAL (RFC 4422, appendix A),
	// which only a socket and a client certificate can do.
	BindDN string
	// Password returns the account's password. It is called for every connection, so that a password can be changed
	// without a restart.
	Password func() (string, error)
	// Bases are entries that must exist for the directory to be ready, those below which everything is found.
	Bases []string

	// StartTLS makes connections to ldap:// URIs secure before anything else is sent.
	StartTLS bool
	// CAFile holds the certificates, in PEM, of the authorities that servers are verified by; empty means the system's.
	CAFile string
	// CertFile and KeyFile are the certificate and key, in PEM, that the client shows.
	CertFile, KeyFile string
	// Insecure turns the verification of servers off.
	Insecure bool

	// PasswordHash is how userPassword is written; see HashPassword.
	PasswordHash PasswordHash

	// PoolSize is the number of connections to the server in use, beside those of long lists.
	PoolSize int
	// DialTimeout bounds reaching a server, TLS included.
	DialTimeout time.Duration
	// BindTimeout bounds each step of authenticating.
	BindTimeout time.Duration
	// Timeout bounds an operation. In a search it bounds the wait for each entry.
	Timeout time.Duration

	// Logger gets what the people who run the directory should know. Nil discards it.
	Logger *slog.Logger
}

// withDefaults returns the configuration with its zero values replaced.
func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.PasswordHash == "" {
		c.PasswordHash = HashAuto
	}
	setDefault(&c.PoolSize, DefaultPoolSize)
	setDefault(&c.DialTimeout, DefaultDialTimeout)
	setDefault(&c.BindTimeout, DefaultBindTimeout)
	setDefault(&c.Timeout, DefaultTimeout)
	return c
}

func setDefault[T int | time.Duration](setting *T, value T) {
	if *setting <= 0 {
		*setting = value
	}
}

// endpoint is where a server is, and how it is spoken to.
type endpoint struct {
	uri string
	// network and address are those of net.Dial.
	network, address string
	// host is the name that the server's certificate must have.
	host string
	// tls says that the connection begins with TLS.
	tls bool
}

// The schemes of LDAP URIs.
const (
	schemeLDAP  = "ldap"
	schemeLDAPS = "ldaps"
	schemeLDAPI = "ldapi"
)

// defaultSocket is where Debian's slapd listens for ldapi:///.
const defaultSocket = "/var/run/slapd/ldapi"

// ParseURI returns an error unless the text is the URI of a server: of scheme ldap, ldaps or ldapi, and without a DN,
// attributes, scope or filter.
func ParseURI(text string) error {
	_, err := parseEndpoint(text)
	return err
}

func parseEndpoint(text string) (endpoint, error) {
	wrong := fmt.Errorf("%q is not the URI of an LDAP server, such as ldaps://ldap.example.org", text)
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return endpoint{}, wrong
	}
	scheme = strings.ToLower(scheme)
	if scheme == schemeLDAPI {
		// The path stands, escaped, where a host would, which package url does not accept.
		path, err := url.PathUnescape(strings.TrimSuffix(rest, "/"))
		if err != nil || path != "" && !strings.HasPrefix(path, "/") {
			return endpoint{}, wrong
		}
		if path == "" {
			path = defaultSocket
		}
		return endpoint{uri: text, network: "unix", address: path, host: "localhost"}, nil
	}
	port, known := map[string]string{schemeLDAP: "389", schemeLDAPS: "636"}[scheme]
	parsed, err := url.Parse(text)
	if !known || err != nil || parsed.Hostname() == "" || parsed.User != nil || strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" {
		return endpoint{}, wrong
	}
	if parsed.Port() != "" {
		port = parsed.Port()
	}
	return endpoint{
		uri: text, network: "tcp", address: net.JoinHostPort(parsed.Hostname(), port), host: parsed.Hostname(), tls: scheme == schemeLDAPS,
	}, nil
}

// endpoints reads the URIs.
func (c *Config) endpoints() ([]endpoint, error) {
	if len(c.URIs) == 0 {
		return nil, errors.New("no LDAP server is named")
	}
	var faults []error
	endpoints := make([]endpoint, len(c.URIs))
	for i, uri := range c.URIs {
		var err error
		if endpoints[i], err = parseEndpoint(uri); err != nil {
			faults = append(faults, err)
		}
	}
	return endpoints, errors.Join(faults...)
}

// Check returns all faults of a configuration that can be seen without a server.
func Check(config Config) error {
	config = config.withDefaults()
	endpoints, err := config.endpoints()
	faults := []error{err}
	if config.BindDN != "" && config.Password == nil {
		faults = append(faults, errors.New("the LDAP account has no password"))
	}
	if (config.CertFile == "") != (config.KeyFile == "") {
		faults = append(faults, errors.New("a client certificate and its key must be given together"))
	}
	if !config.PasswordHash.known() {
		faults = append(faults, fmt.Errorf("%q is not a way to write passwords", config.PasswordHash))
	}
	for _, at := range endpoints {
		secure := at.tls || config.StartTLS
		if config.BindDN == "" && at.uri != "" && at.network != "unix" && (config.CertFile == "" || !secure) {
			faults = append(faults, fmt.Errorf("%s needs an account to bind with, or TLS and a client certificate", at.uri))
		}
	}
	_, err = config.tlsConfig()
	return errors.Join(append(faults, err)...)
}

// tlsConfig reads the certificates. The configuration lacks a server's name.
func (c *Config) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.Insecure} //nolint:gosec // the operator's choice
	if c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", c.CAFile)
		}
	}
	if c.CertFile != "" && c.KeyFile != "" {
		certificate, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}
