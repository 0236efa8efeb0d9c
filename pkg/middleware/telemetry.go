package middleware

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Telemetry records a span and the metrics of OpenTelemetry's HTTP conventions for each request. Spans and metrics
// carry the route's pattern. A trace that the client has begun (W3C Trace Context) is continued.
func Telemetry(tracers trace.TracerProvider, meters metric.MeterProvider) func(http.Handler) http.Handler {
	observed := otelhttp.NewMiddleware("request",
		otelhttp.WithTracerProvider(tracers),
		otelhttp.WithMeterProvider(meters),
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator(
			propagation.TraceContext{}, propagation.Baggage{})),
	)
	return func(next http.Handler) http.Handler { return observed(named(next)) }
}

// named tells otelhttp the route, which is known only after the router has returned. The path itself, which otelhttp
// has recorded at the span's start, is replaced, because it names people.
func named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			pattern := route(r)
			// otelhttp takes the span's name and the route of its metrics from here.
			r.Pattern = pattern
			span := trace.SpanFromContext(r.Context())
			span.SetAttributes(attribute.String("url.path", pattern))
			if pattern != "" {
				span.SetAttributes(attribute.String("http.route", pattern))
			}
		}()
		next.ServeHTTP(w, r)
	})
}
