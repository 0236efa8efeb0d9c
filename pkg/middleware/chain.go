package middleware

import (
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Options is what Chain needs. No field may be left out, except that without Accepted every request is refused.
type Options struct {
	Logger  *slog.Logger
	Tracers trace.TracerProvider
	Meters  metric.MeterProvider
	// Patience is how long a client may take no bytes of its response.
	Patience time.Duration
	// Accepted are the digests of the tokens that are let in.
	Accepted []Digest
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
		Authenticate(options.Accepted...),
		EscapedPath,
	}
}
