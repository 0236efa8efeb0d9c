package middleware

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/opencloud-eu/education/pkg/audit"
)

// Options is what Chain needs. Logger, Tracers, Meters, Patience and Credentials may not be left out.
type Options struct {
	Logger  *slog.Logger
	Tracers trace.TracerProvider
	Meters  metric.MeterProvider
	// Patience is how long a client may take no bytes of its response.
	Patience time.Duration
	// Credentials knows the tokens that are let in.
	Credentials Credentials
	// Limits bound what one credential and one address can take. The zero value bounds nothing.
	Limits Limits
	// PublicOrigin and TrustedProxies are those of Origin; the limits of addresses take the latter's word for a client's address, too.
	PublicOrigin   string
	TrustedProxies []netip.Prefix
	// ForeignOrigins are those of CORS.
	ForeignOrigins []string
	// Trail keeps the record of changes and refusals; nil keeps none.
	Trail *audit.Trail
	// Compatible leaves out the headers that OpenCloud's graph service does not send.
	Compatible bool
}

// Chain returns all middleware of this package in its order, for Use of the root router.
func Chain(options Options) []func(http.Handler) http.Handler {
	refusals := newRefusals(options.Meters)
	return []func(http.Handler) http.Handler{
		RequestIDs,
		Telemetry(options.Tracers, options.Meters),
		WriteDeadline(options.Patience),
		AccessLog(options.Logger),
		// Outside of everything that answers, so that a line tells what the client got: refusals by what follows, panics and
		// broken connections too. Inside of what gives the request its ids and its trace.
		Audit(options.Trail, options.TrustedProxies),
		Recover,
		Headers,
		ODataVersion(options.Compatible),
		pacedPreflights(options.TrustedProxies),
		CORS(options.ForeignOrigins),
		authenticate(options.Credentials, newGuard(options.Limits, options.TrustedProxies), refusals),
		limit(options.Limits, refusals),
		Origin(options.PublicOrigin, options.TrustedProxies),
		EscapedPath,
	}
}
