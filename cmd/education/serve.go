package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/opencloud-eu/education/internal/secretfile"
	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education/api"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/middleware"
)

// How long the parts of the service may take to stop. Together they stay below the half minute that a container is
// usually given.
const (
	requestGrace   = 10 * time.Second
	ldapGrace      = 5 * time.Second
	telemetryGrace = 5 * time.Second
)

type serveCommand struct{}

// Run serves until ctx ends, then finishes the requests that are running.
func (serveCommand) Run(ctx context.Context, p *process) error {
	ctx, stop, hangups := heedHangups(ctx, p.stderr)
	defer stop()
	s, err := load(p.environment)
	if err != nil {
		return err
	}
	logger := s.logger(p.stderr)
	setDefault(logger)
	return s.serve(ctx, logger, p.stdout, hangups)
}

// setDefault makes a command's logger that of packages which are given none. It belongs to the process, so tests, which run
// many commands in one, leave it as it is.
var setDefault = slog.SetDefault

// logger returns the logger that the settings ask for: text for a person at a terminal, JSON for a program.
func (s *settings) logger(stderr io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: levels[s.LogLevel]}
	if s.LogFormat == "text" || s.LogFormat == "auto" && isTerminal(stderr) {
		return slog.New(slog.NewTextHandler(stderr, options))
	}
	return slog.New(slog.NewJSONHandler(stderr, options))
}

// serve opens the directory, listens, and stops in the reverse order when ctx ends or a listener fails.
func (s *settings) serve(ctx context.Context, logger *slog.Logger, stdout io.Writer, hangups <-chan os.Signal) (err error) {
	directory, err := s.openDirectory(ctx, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, directory.close()) }()

	observed, err := startTelemetry(ctx)
	defer func() {
		within(ctx, telemetryGrace, logger, "spans and metrics were not all sent", observed.stop)
	}()
	if err != nil {
		return err
	}
	token, err := s.credential()
	if err != nil {
		return err
	}
	entities, err := s.entities(directory)
	if err != nil {
		return err
	}
	goOn, err := s.prepare(ctx, directory, entities, logger)
	if err != nil {
		return err
	}
	record, err := s.openRecord(logger, stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, record.close()) }()
	authenticators, err := s.authenticators(token, logger)
	if err != nil {
		return err
	}
	handler, err := s.handler(logger, directory, entities, authenticators, observed, record)
	if err != nil {
		return err
	}
	bound, err := s.listen(ctx)
	if err != nil {
		return err
	}
	connections := middleware.NewConnections(s.connections(logger), s.proxies, observed.meters)
	bound.http = connections.Listener(bound.http)
	both := servers{
		http: httpServer(handler, connections, logger),
		ldap: directory.server, certificates: s.certificates,
	}
	s.message(bound, token, s.ldapAccounts(directory)).announce(stdout, logger)
	s.warnOfExposure(ctx, logger)

	watchers := []func(context.Context){
		goOn, func(ctx context.Context) { record.followHangups(ctx, hangups) },
		func(ctx context.Context) { s.certificates.watch(ctx, logger) },
		func(ctx context.Context) { adjustCollector(ctx, connections.Open) },
	}
	if s.issuers != nil {
		watchers = append(watchers, s.issuers.Run)
	}
	defer besides(ctx, watchers)()
	return both.run(ctx, bound, logger)
}

// besides runs functions until what it returns is called, which waits for their end.
func besides(ctx context.Context, functions []func(context.Context)) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, function := range functions {
		running.Go(func() { function(ctx) })
	}
	return func() {
		stop()
		running.Wait()
	}
}

// entities returns the entities that the directory holds.
func (s *settings) entities(d *directory) (*identity.Directory, error) {
	config := identity.Config{
		Operations: identity.Traced(d.operations),
		UserBase:   s.UserBase, ClassBase: s.ClassBase, SchoolBase: s.SchoolBase, Rules: s.rules(),
	}
	if d.client != nil {
		config.LooseMatching, config.LooseLinks, config.Plain = true, true, d.client.IsPlain
	}
	return identity.New(config)
}

// handler returns everything that is served over HTTP.
func (s *settings) handler(logger *slog.Logger, d *directory, entities *identity.Directory, authenticators []access.Authenticator, observed *telemetry, record *record) (http.Handler, error) {
	cursorKey, err := secretfile.Ensure(cmp.Or(s.CursorKeyFile, filepath.Join(s.DataDir, cursorKeyFile)))
	if err != nil {
		return nil, err
	}
	config := api.Config{
		Directory: record.directory(entities), Rules: s.rules(), CursorKey: []byte(cursorKey), MaxPageSize: int(s.MaxPageSize),
	}
	probes := &health{checks: []check{{"directory", d.ready}}, logger: logger}
	return probes.handler(s.proxies, s.router(config, middleware.Options{
		Logger: logger, Tracers: observed.tracers, Meters: observed.meters, Patience: writePatience,
		Credentials:  &access.Gate{Authenticators: authenticators, Schools: entities},
		Limits:       s.limits(authenticators),
		PublicOrigin: strings.TrimSuffix(s.PublicURL, "/"), TrustedProxies: s.proxies, Compatible: s.compatible(),
		ForeignOrigins: splitList(s.CORSOrigins), Trail: record.trail,
	})), nil
}

// cursorKeyFile holds the secret that authenticates the links between pages. It is kept, so that a client can walk on
// through a list after a restart. Processes that share one walk on through each other's lists: CursorKeyFile.
const cursorKeyFile = "cursor.key"

// router returns the API at each of its paths, behind the middleware.
func (s *settings) router(config api.Config, options middleware.Options) http.Handler {
	router := chi.NewRouter()
	router.Use(middleware.Chain(options)...)
	router.NotFound(middleware.NotFound)
	router.MethodNotAllowed(middleware.MethodNotAllowed(router))
	service := api.New(config)
	for _, path := range s.versionPaths() {
		router.Mount(path, service.Metadata())
		router.Mount(path+apiPath, service.Routes())
	}
	return router
}

// message returns the start message of a service that has bound its listeners.
func (s *settings) message(bound *listeners, token credential, accounts []account) startMessage {
	return startMessage{
		http: address(bound.http), ldap: address(bound.ldap), ldaps: address(bound.ldaps), remote: splitList(s.LDAPURI),
		tls: s.certificates.http != nil, apiPath: s.versionPaths()[0] + apiPath, token: token, accounts: accounts,
	}
}

func address(listener net.Listener) string {
	if listener == nil {
		return ""
	}
	return listener.Addr().String()
}

// listeners are the sockets of the service. One that is off is nil.
type listeners struct {
	http, ldap, ldaps net.Listener
}

// listen binds all listeners, or none.
func (s *settings) listen(ctx context.Context) (*listeners, error) {
	bound := &listeners{}
	var failures []error
	bind := func(variable, address string) net.Listener {
		if address == "" {
			return nil
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", variable, err))
			return nil
		}
		return listener
	}
	bound.http = bind("EDUCATION_HTTP_ADDR", s.HTTPAddr)
	if !s.isRemote() {
		bound.ldap = bind("EDUCATION_LDAP_LISTEN", s.LDAPListen)
	}
	if listener := bind("EDUCATION_LDAPS_LISTEN", s.LDAPSListen); listener != nil {
		bound.ldaps = tls.NewListener(listener, s.tlsConfig())
	}
	if len(failures) == 0 {
		return bound, nil
	}
	for _, listener := range []net.Listener{bound.http, bound.ldap, bound.ldaps} {
		if listener != nil {
			failures = append(failures, listener.Close())
		}
	}
	return nil, errors.Join(failures...)
}

// servers are what answers on the listeners. ldap is nil if the directory is elsewhere.
type servers struct {
	http         *http.Server
	ldap         *embedded.Server
	certificates certificates
}

// run serves until ctx ends or a listener fails. Then it lets running HTTP requests finish before it disconnects the
// LDAP clients, so that OpenCloud can read what the last requests wrote.
func (s servers) run(ctx context.Context, bound *listeners, logger *slog.Logger) error {
	failed := make(chan error, 3)
	var running sync.WaitGroup
	serve := func(listener net.Listener, serve func(net.Listener) error) {
		if listener == nil {
			return
		}
		running.Go(func() {
			if err := serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	serve(bound.http, func(listener net.Listener) error { return s.certificates.serveHTTP(s.http, listener) })
	if s.ldap != nil {
		serve(bound.ldap, s.ldap.Serve)
		serve(bound.ldaps, s.ldap.Serve)
	}
	var failure error
	select {
	case <-ctx.Done():
		logger.Info("stopping", "cause", context.Cause(ctx))
	case failure = <-failed:
	}
	within(ctx, requestGrace, logger, "HTTP requests were cut off", func(ctx context.Context) error {
		if err := s.http.Shutdown(ctx); err != nil {
			return errors.Join(err, s.http.Close())
		}
		return nil
	})
	if s.ldap != nil {
		within(ctx, ldapGrace, logger, "LDAP requests were cut off", s.ldap.Shutdown)
	}
	running.Wait()
	return failure
}

// within calls stop with a bound on its time, although ctx has ended, and warns if it fails.
func within(ctx context.Context, grace time.Duration, logger *slog.Logger, warning string, stop func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := stop(ctx); err != nil {
		logger.Warn(warning, "cause", err)
	}
}

type checkCommand struct{}

// Run prints a sentence for each fault of the directory's file, and fails if there is one.
func (checkCommand) Run(ctx context.Context, p *process) error {
	s, err := load(p.environment)
	if err != nil {
		return err
	}
	if s.isRemote() {
		return errors.New("there is no directory to check: EDUCATION_LDAP_URI says that it is on a server")
	}
	path := s.directoryPath()
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("there is no directory to check: %w", err)
	}
	faults, err := embedded.CheckFile(ctx, path)
	if err != nil {
		return err
	}
	for _, fault := range faults {
		fmt.Fprintln(p.stdout, fault)
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s has faults: %d", path, len(faults))
	}
	fmt.Fprintf(p.stdout, "%s has no faults\n", path)
	return nil
}
