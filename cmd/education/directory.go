package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/doctor"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/remote"
)

// directory is what the service keeps its entities in: a store in the process, or servers on the network.
type directory struct {
	operations identity.Operations
	// ready proves that the directory can be used.
	ready func(context.Context) error
	close func() error
	// server serves a store over LDAP, to the accounts; there is none in front of servers.
	server   *embedded.Server
	accounts embedded.Accounts
	// client is the client of servers, nil with a store.
	client *remote.Client
}

// isRemote reports whether the directory is on servers.
func (s *settings) isRemote() bool { return s.LDAPURI != "" }

// openDirectory opens the directory that the settings ask for. Servers need not be there yet.
func (s *settings) openDirectory(ctx context.Context, logger *slog.Logger) (*directory, error) {
	if s.isRemote() {
		if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
			return nil, err
		}
		client, err := remote.Open(s.remoteConfig(logger))
		if err != nil {
			return nil, err
		}
		return &directory{operations: client, ready: client.Ready, close: client.Close, client: client}, nil
	}
	store, err := s.open(logger)
	if err != nil {
		return nil, err
	}
	// The oldest naming context keeps the accounts, whatever is configured later.
	accounts, err := embedded.EnsureAccounts(ctx, store, s.DataDir, store.NamingContexts()[0])
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	server := embedded.NewServer(store, embedded.ServerConfig{TLS: s.tlsConfig(), Accounts: accounts, Logger: logger})
	return &directory{operations: store, ready: store.Ready, close: store.Close, server: server, accounts: accounts}, nil
}

// open opens the directory in the process with the containers that the settings name.
func (s *settings) open(logger *slog.Logger) (*embedded.Store, error) {
	return embedded.Open(embedded.Config{
		Path: s.directoryPath(), Containers: []string{s.UserBase, s.ClassBase, s.SchoolBase}, Logger: logger,
	})
}

// remoteConfig returns the configuration of the client of LDAP servers.
func (s *settings) remoteConfig(logger *slog.Logger) remote.Config {
	return remote.Config{
		URIs: splitList(s.LDAPURI), BindDN: s.LDAPBindDN, Password: s.bindPassword,
		Bases:    []string{s.UserBase, s.ClassBase, s.SchoolBase},
		StartTLS: isOn(s.LDAPStartTLS), CAFile: s.LDAPCAFile, CertFile: s.LDAPClientCert, KeyFile: s.LDAPClientKey,
		Insecure: isOn(s.LDAPInsecure), PasswordHash: remote.PasswordHash(s.LDAPPasswordHash), PoolSize: int(s.LDAPPoolSize),
		Logger: logger,
	}
}

// bindPassword returns the password of the account on the servers. A file is read anew, so that the password can be
// changed.
func (s *settings) bindPassword() (string, error) {
	if s.LDAPBindPasswordFile == "" {
		return s.LDAPBindPassword, nil
	}
	return readSecret(s.LDAPBindPasswordFile)
}

// remoteFaults checks the settings of LDAP servers.
func (s *settings) remoteFaults() []error {
	if !s.isRemote() || checkURIs(s.LDAPURI) != "" {
		return nil // What is wrong with the list is among the faults already.
	}
	var faults []error
	if s.LDAPSListen != "" {
		faults = append(faults, errors.New("EDUCATION_LDAPS_LISTEN must be empty with EDUCATION_LDAP_URI: there is no directory in the process to serve"))
	}
	if password, err := s.bindPassword(); err != nil {
		faults = append(faults, fmt.Errorf("EDUCATION_LDAP_BIND_PASSWORD_FILE must be a file that can be read: %w", err))
	} else if s.LDAPBindDN != "" && password == "" {
		faults = append(faults, errors.New("EDUCATION_LDAP_BIND_PASSWORD or EDUCATION_LDAP_BIND_PASSWORD_FILE must be set with EDUCATION_LDAP_BIND_DN"))
	}
	if err := remote.Check(s.remoteConfig(nil)); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			faults = append(faults, fmt.Errorf("EDUCATION_LDAP_URI and what belongs to it: %s", line))
		}
	}
	return faults
}

// checkURIs permits a list of LDAP servers.
func checkURIs(value string) string {
	uris := splitList(value)
	for _, uri := range uris {
		if remote.ParseURI(uri) != nil {
			uris = nil
			break
		}
	}
	if len(uris) == 0 {
		return "a list of LDAP servers separated by commas or blanks, such as ldaps://ldap1.example.org,ldaps://ldap2.example.org"
	}
	return ""
}

// splitList splits a list at commas and blanks.
func splitList(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

func isOn(value string) bool { return value == "true" }

// prepare brings the directory to what the settings ask for. In front of servers that takes until one answers, so the
// returned function goes on with it in the background, until its context ends.
func (s *settings) prepare(ctx context.Context, d *directory, entities *identity.Directory, logger *slog.Logger) (func(context.Context), error) {
	if d.client == nil {
		return func(context.Context) {}, s.enforceRules(ctx, entities, logger)
	}
	return func(ctx context.Context) {
		s.reportFindings(ctx, d.client, logger)
		retry(ctx, func() error {
			err := s.enforceRules(ctx, entities, logger)
			if err != nil && ctx.Err() == nil {
				logger.WarnContext(ctx, "the rules for unique values cannot be brought up to date yet", "cause", err)
			}
			return err
		})
		var looking sync.WaitGroup
		if s.LDAPOtherWriters == "auto" {
			looking.Go(func() { lookForKeyless(ctx, entities, logger) })
		}
		entities.WatchConflicts(ctx, conflictInterval)
		looking.Wait()
	}, nil
}

// keylessInterval is how often the directory is looked through for entries that another program has made. What is found
// holds for as many intervals as keylessIntervals, so that a failure or two change nothing.
const (
	keylessInterval  = 5 * time.Minute
	keylessIntervals = 3
)

// lookForKeyless keeps what is known of other programs' entries up to date, until ctx ends.
func lookForKeyless(ctx context.Context, entities *identity.Directory, logger *slog.Logger) {
	for ctx.Err() == nil {
		if err := entities.LookForKeyless(ctx, keylessIntervals*keylessInterval); err != nil && ctx.Err() == nil {
			logger.WarnContext(ctx, "it cannot be looked up whether another program has made entries; writes look themselves", "cause", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(keylessInterval):
		}
	}
}

// conflictInterval is the time between two looks for unique keys that two servers have given away. A look reads the unique
// keys of all entities.
const conflictInterval = 5 * time.Minute

// reportFindings says, when a server answers, what the servers lack and what that costs, as far as a glance shows it.
func (s *settings) reportFindings(ctx context.Context, client *remote.Client, logger *slog.Logger) {
	retry(ctx, func() error {
		_, err := client.Features(ctx)
		return err
	})
	findings, err := doctor.Examine(ctx, s.doctorConfig(doctor.Glance))
	if err != nil {
		return // The service stops.
	}
	for _, finding := range findings {
		level := map[doctor.Severity]slog.Level{doctor.Warning: slog.LevelWarn, doctor.Error: slog.LevelError}[finding.Severity]
		if finding.Severity >= doctor.Warning {
			logger.Log(ctx, level, finding.Matter, "finding", finding.ID, "uri", finding.Server, "cost", finding.Cost, "remedy", finding.Remedy)
		}
	}
}

// The first and the longest wait between two attempts at what needs a server.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// retry repeats an attempt until it succeeds or ctx ends.
func retry(ctx context.Context, attempt func() error) {
	for pause := firstRetry; ctx.Err() == nil && attempt() != nil; pause = min(2*pause, lastRetry) {
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// ldapAccounts returns the accounts of the LDAP listener, for the start message.
func (s *settings) ldapAccounts(d *directory) []account {
	if d.server == nil {
		return nil
	}
	return []account{
		{d.accounts.AdminDN, filepath.Join(s.DataDir, embedded.AdminPasswordFile)},
		{d.accounts.ReaderDN, filepath.Join(s.DataDir, embedded.ReaderPasswordFile)},
	}
}
