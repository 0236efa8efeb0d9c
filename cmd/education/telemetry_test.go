package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"
)

// The tests of telemetry are not parallel: OpenTelemetry reads the process's environment and keeps global providers.

func TestTelemetryIsOffByDefault(t *testing.T) {
	for _, variable := range []string{"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_SDK_DISABLED"} {
		t.Setenv(variable, "")
	}
	tests := []struct{ name, variable, value string }{
		{"nothing set", "OTEL_SERVICE_NAME", "x"},
		{"an endpoint alone", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"},
		{"none", "OTEL_TRACES_EXPORTER", "none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(test.variable, test.value)
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			observed, err := startTelemetry(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(observed.stops) != 0 {
				t.Error("something is exported")
			}
		})
	}
}

func TestTelemetryDisabled(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_SDK_DISABLED", "TRUE")
	observed, err := startTelemetry(t.Context())
	if err != nil || len(observed.stops) != 0 {
		t.Errorf("OTEL_SDK_DISABLED is not honoured: %d exporters, %v", len(observed.stops), err)
	}
}

func TestTelemetryUnknownExporter(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
	if _, err := startTelemetry(t.Context()); err == nil {
		t.Error("an exporter that does not exist is accepted")
	}
}

// collector is an OTLP collector that keeps what it is sent.
type collector struct {
	mu       sync.Mutex
	received map[string][]byte
}

func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received[r.URL.Path] = append(c.received[r.URL.Path], body...)
}

func TestTelemetryIsSent(t *testing.T) {
	tests := []struct{ name, service, want string }{
		{"service.name", "", "education"},
		{"service.name of the operator", "provisioning", "provisioning"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sink := &collector{received: map[string][]byte{}}
			server := httptest.NewServer(sink)
			defer server.Close()
			t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
			t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
			t.Setenv("OTEL_SERVICE_NAME", test.service)
			s := start(t, t.TempDir())
			s.do(t, "GET", "/graph/v1.0/education/users/max", "")
			s.stop()
			wants := map[string][]string{
				"/v1/traces":  {test.want, "GET /graph/v1.0/education/users/{user}", "ldap search"},
				"/v1/metrics": {test.want, "http.server.request.duration", "/graph/v1.0/education/users/{user}"},
			}
			for path, texts := range wants {
				for _, want := range texts {
					if !bytes.Contains(sink.received[path], []byte(want)) {
						t.Errorf("%s was sent no %q", path, want)
					}
				}
				for _, secret := range []string{s.token, "/users/max"} {
					if bytes.Contains(sink.received[path], []byte(secret)) {
						t.Errorf("%s was sent %q", path, secret)
					}
				}
			}
		})
	}
}

// TestMetricsHaveNoSeriesForEachHost calls one server by two names.
func TestMetricsHaveNoSeriesForEachHost(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithView(withoutHost))
	handler := otelhttp.NewHandler(http.NotFoundHandler(), "", otelhttp.WithMeterProvider(meters))
	for _, host := range []string{"a.example:1", "b.example:2"} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Host = host
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, metric := range all.ScopeMetrics[0].Metrics {
		if durations, ok := metric.Data.(metricdata.Histogram[float64]); ok && len(durations.DataPoints) != 1 {
			t.Errorf("%s has %d series, want 1", metric.Name, len(durations.DataPoints))
		}
	}
}
