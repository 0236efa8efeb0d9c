package middleware

import (
	"context"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
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
	return func(next http.Handler) http.Handler {
		inner := observed(named(next))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			aborted := false
			inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), abortedKey{}, &aborted)))
			if aborted {
				panic(http.ErrAbortHandler)
			}
		})
	}
}

// abortedKey is the key of the bool that says that an answer is to break off.
type abortedKey struct{}

// named tells otelhttp the route, which is known only after the router has returned. The path itself, which otelhttp
// has recorded at the span's start, is replaced, because it names people. An answer that breaks off is one whose handler panics
// with http.ErrAbortHandler. otelhttp, which records nothing of a handler that panics, hears of an error instead, and the panic
// goes on outside of it.
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
			if value := recover(); value != nil {
				abort(r, span, value)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// abort notes that the answer breaks off, unless a handler has panicked for another reason.
func abort(r *http.Request, span trace.Span, value any) {
	aborted, ok := r.Context().Value(abortedKey{}).(*bool)
	if !ok || value != http.ErrAbortHandler { //nolint:errorlint // net/http compares the recovered value itself.
		panic(value)
	}
	*aborted = true
	span.SetStatus(codes.Error, "the answer broke off")
	if labeler, ok := otelhttp.LabelerFromContext(r.Context()); ok {
		labeler.Add(attribute.String("error.type", "aborted"))
	}
}
