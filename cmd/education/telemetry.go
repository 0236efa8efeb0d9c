package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// telemetry is where spans and metrics go.
type telemetry struct {
	tracers trace.TracerProvider
	meters  metric.MeterProvider
	// stops flush what is recorded and end the exporters.
	stops []func(context.Context) error
}

// startTelemetry sets telemetry up as OpenTelemetry's OTEL_* variables say. They are read from the process's own
// environment, because OpenTelemetry's packages do. Departing from its defaults, nothing is exported as long as
// OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER are not set: a service should not call a collector nobody asked for.
// What has been started is returned with the error of what has not, and must be stopped.
func startTelemetry(ctx context.Context) (*telemetry, error) {
	t := &telemetry{tracers: tracenoop.NewTracerProvider(), meters: metricnoop.NewMeterProvider()}
	traces, metrics := wanted("OTEL_TRACES_EXPORTER"), wanted("OTEL_METRICS_EXPORTER")
	if !traces && !metrics {
		return t, nil
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "education"), attribute.String("service.version", buildVersion())),
		// What the operator says comes last and so counts.
		resource.WithFromEnv())
	if err != nil {
		return t, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { slog.Warn("telemetry failed", "cause", err) }))
	if traces {
		err = t.startTraces(ctx, about)
	}
	if metrics {
		err = errors.Join(err, t.startMetrics(ctx, about))
	}
	return t, err
}

func (t *telemetry) startTraces(ctx context.Context, about *resource.Resource) error {
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return fmt.Errorf("OTEL_TRACES_EXPORTER: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	t.tracers, t.stops = provider, append(t.stops, provider.Shutdown)
	otel.SetTracerProvider(provider)
	return nil
}

func (t *telemetry) startMetrics(ctx context.Context, about *resource.Resource) error {
	reader, err := autoexport.NewMetricReader(ctx)
	if err != nil {
		return fmt.Errorf("OTEL_METRICS_EXPORTER: %w", err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(about),
		sdkmetric.WithView(withoutHost))
	t.meters, t.stops = provider, append(t.stops, provider.Shutdown)
	otel.SetMeterProvider(provider)
	return nil
}

// withoutHost drops the name by which a client called the server: the client chooses it, so it would make as many
// series as somebody likes.
func withoutHost(instrument sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	return sdkmetric.Stream{
		Name: instrument.Name, Description: instrument.Description, Unit: instrument.Unit,
		AttributeFilter: attribute.NewDenyKeysFilter("server.address", "server.port"),
	}, strings.HasPrefix(instrument.Name, "http.server.")
}

// wanted reports whether a variable names an exporter and the SDK is not switched off.
func wanted(variable string) bool {
	exporter := os.Getenv(variable)
	return exporter != "" && exporter != "none" && !strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true")
}

// stop sends what has been recorded and ends the exporters.
func (t *telemetry) stop(ctx context.Context) error {
	var failures []error
	for _, stop := range t.stops {
		failures = append(failures, stop(ctx))
	}
	return errors.Join(failures...)
}
