package main

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/access/tokenfile"
	"github.com/opencloud-eu/education/pkg/education/api"
	"github.com/opencloud-eu/education/pkg/middleware"
)

// Bounds for a client of the HTTP listener. A response as a whole has none, because a list takes as long as it is; what is
// bounded is how long a client may take no bytes of it. The size of a body is bounded where it is read (api.MaxBodyBytes).
const (
	// headerTimeout is for the request line and the headers, requestTimeout for these and the body.
	headerTimeout  = 10 * time.Second
	requestTimeout = time.Minute
	idleTimeout    = 2 * time.Minute
	writePatience  = 30 * time.Second
	// maxHeaderBytes bounds the request line, and so the URL, together with the headers. Beyond it is 431. Whoever has no token
	// can have as much on each connection, and headers take six times their length if they are short.
	maxHeaderBytes = 32 << 10
	// maxArrivals is how many bytes all requests with a body may take that do not run yet.
	maxArrivals = 64 << 20
	// maxStreams is how many requests one HTTP/2 connection may have at a time.
	maxStreams = 100
)

// httpServer returns the server of the API with the bounds of what a client may do.
func httpServer(handler http.Handler, connections *middleware.Connections, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		// The deadline of a stream does not end a write to a connection that its client takes nothing of.
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: writePatience},
		ConnState: connections.State, ConnContext: connections.Context, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// otherFiles is how many files and connections the process needs beside those of the API: for LDAP, files, logs and telemetry.
const otherFiles = 512

// connections returns how many connections the API may have open: as many as the settings say, and no more than there can be. If
// they could be used up, new ones would wait in the system's queue instead of taking the place of idle ones.
func (s *settings) connections(logger *slog.Logger) int {
	wanted := int(s.LimitConnections)
	files, known := openFiles()
	possible := connectionsWithin(files)
	if !known || wanted <= possible {
		return wanted
	}
	logger.Warn("the process may not have as many files open as connections of the API are permitted", "warning", "files.few",
		"setting", "EDUCATION_LIMIT_CONNECTIONS", "connections", possible, "files", files)
	return possible
}

// connectionsWithin returns how many connections there can be where so many files may be open.
func connectionsWithin(files uint64) int {
	if files < 2*otherFiles {
		return max(1, int(files/2)) //nolint:gosec // A small number.
	}
	return int(min(files-otherFiles, math.MaxInt32)) //nolint:gosec // A bounded number.
}

// limits returns what one tenant and one address can take of the service. On LDAP servers no tenant has more than half of the
// connections to them, because whoever waits for one waits behind all that have come before. In the process it is the
// processors that requests wait for, and no tenant's reads have more than half of those while others ask.
func (s *settings) limits(authenticators []access.Authenticator) middleware.Limits {
	concurrency := int(s.LimitConcurrency)
	if half := max(1, int(s.LDAPPoolSize)/2); s.isRemote() && concurrency > half {
		concurrency = half
	}
	reads := 0
	if !s.isRemote() && concurrency > 0 {
		reads = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return middleware.Limits{
		ContendedReads: reads,
		Rate:           int(s.LimitRate), Concurrency: concurrency, Running: int(s.LimitRunning), Failures: int(s.LimitFailures),
		Body: api.MaxBodyBytes + 1, Arrivals: maxArrivals,
		Exempt: exempt(authenticators),
	}
}

// exempt returns which tokens are let in however many that are not valid come from their address: those that cannot be guessed,
// and of which it takes no more than a digest to tell that they are valid. Nobody who has such a token is locked out by
// somebody else behind the same proxy.
func exempt(authenticators []access.Authenticator) func(context.Context, string) bool {
	var cheap []access.Authenticator
	for _, authenticator := range authenticators {
		switch authenticator.(type) {
		case access.Single, *tokenfile.Administrator, *tokenfile.File:
			cheap = append(cheap, authenticator)
		}
	}
	return func(ctx context.Context, token string) bool {
		return weakness(token) == "" && slices.ContainsFunc(cheap, func(authenticator access.Authenticator) bool {
			_, err := authenticator.Authenticate(ctx, token)
			return err == nil
		})
	}
}
