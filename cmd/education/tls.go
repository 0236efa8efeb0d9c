package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/opencloud-eu/education/internal/certfile"
)

// certificates are what the listeners show, each nil without one.
type certificates struct {
	http, ldap *certfile.Certificate
}

// httpProtocols are the protocols of the HTTP listener (RFC 9113, section 3.1, and RFC 7301, section 6).
var httpProtocols = []string{"h2", "http/1.1"}

// certificateFaults reads the certificates of the listeners.
func (s *settings) certificateFaults() []error {
	var faults []error
	open := func(files certfile.Files, prefix, wanted string, protocols ...string) *certfile.Certificate {
		switch {
		case files.Cert == "" && files.Key == "" && wanted == "":
			return nil
		case files.Cert == "" || files.Key == "":
			faults = append(faults, fmt.Errorf("%sCERT_FILE and %[1]sKEY_FILE must be set together%s", prefix, with(wanted)))
			return nil
		}
		certificate, err := certfile.Open(files, protocols...)
		if err != nil {
			faults = append(faults, fmt.Errorf("%sCERT_FILE and %[1]sKEY_FILE must be a certificate and its key in PEM: %w", prefix, oneLine(err)))
		}
		return certificate
	}
	wantedHTTP, wantedLDAP := "", ""
	if s.HTTPTLSClientCA != "" {
		wantedHTTP = "EDUCATION_HTTP_TLS_CLIENT_CA_FILE"
	}
	if s.LDAPTLSCert+s.LDAPTLSKey+s.LDAPSListen != "" {
		wantedLDAP = "EDUCATION_LDAPS_LISTEN"
	}
	s.certificates.http = open(certfile.Files{Cert: s.HTTPTLSCert, Key: s.HTTPTLSKey, ClientCA: s.HTTPTLSClientCA},
		"EDUCATION_HTTP_TLS_", wantedHTTP, httpProtocols...)
	s.certificates.ldap = open(certfile.Files{Cert: s.LDAPTLSCert, Key: s.LDAPTLSKey}, "EDUCATION_LDAP_TLS_", wantedLDAP)
	return faults
}

// with returns the end of a sentence about a pair of settings that another one needs.
func with(other string) string {
	if other == "" {
		return ""
	}
	return ", and with " + other
}

// oneLine returns an error without line breaks, because each line of a report is one fault.
func oneLine(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) }

// watch keeps the certificates up to date until ctx ends.
func (c certificates) watch(ctx context.Context, logger *slog.Logger) {
	var watching sync.WaitGroup
	for name, certificate := range map[string]*certfile.Certificate{"http": c.http, "ldap": c.ldap} {
		if certificate != nil {
			watching.Go(func() { certificate.Watch(ctx, logger, name) })
		}
	}
	watching.Wait()
}

// tlsConfig returns the TLS configuration of the LDAP listeners, or nil without a certificate.
func (s *settings) tlsConfig() *tls.Config {
	if s.certificates.ldap == nil {
		return nil
	}
	return s.certificates.ldap.Config()
}

// serveHTTP serves on a listener, with TLS if there is a certificate.
func (c certificates) serveHTTP(server *http.Server, listener net.Listener) error {
	if c.http == nil {
		return server.Serve(listener)
	}
	server.TLSConfig = c.http.Config()
	return server.ServeTLS(listener, "", "")
}
