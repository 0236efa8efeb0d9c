package middleware

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Options is what Chain needs. Logger, Tracers, Meters and Patience may not be left out. Without Accepted every request
// is refused.
type Options struct {
	Logger  *slog.Logger
	Tracers trace.TracerProvider
	Meters  metric.MeterProvider
	// Patience is how long a client may take no bytes of its response.
	Patience time.Duration
	// Accepted are the digests of the tokens that are let in.
	Accepted []Digest
	// PublicOrigin and TrustedProxies are those of Origin.
	PublicOrigin   string
	TrustedProxies []netip.Prefix
	// Compatible leaves out the headers that OpenCloud's graph service does not send.
	Compatible bool
}

// Chain returns all middleware of this package in its order, for Use of the root router.
func Chain(options Options) []func(http.Handler) http.Handler {
	return []func(http.Handler) http.Handler{
		RequestIDs,
		Telemetry(options.Tracers, options.Meters),
		WriteDeadline(options.Patience),
		AccessLog(options.Logger),
		Recover,
		Headers,
		ODataVersion(options.Compatible),
		Authenticate(options.Accepted...),
		Origin(options.PublicOrigin, options.TrustedProxies),
		EscapedPath,
	}
}
