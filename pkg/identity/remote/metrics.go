package remote

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics reports the connections of a client to the global meter provider.
type metrics struct {
	registration metric.Registration
}

func newMetrics(c *Client) (*metrics, error) {
	meter := otel.Meter("github.com/opencloud-eu/education/pkg/identity/remote")
	connections, err := meter.Int64ObservableUpDownCounter("ldap.client.connections",
		metric.WithDescription("Connections to the LDAP servers, by server and state."), metric.WithUnit("{connection}"))
	if err != nil {
		return nil, err
	}
	streams, err := meter.Int64ObservableUpDownCounter("ldap.client.streams",
		metric.WithDescription("Long lists that are being read from an LDAP server."), metric.WithUnit("{stream}"))
	if err != nil {
		return nil, err
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, observer metric.Observer) error {
		for _, s := range c.servers {
			stat := s.pool.Stat()
			server := attribute.String("server.address", s.address)
			observer.ObserveInt64(connections, int64(stat.AcquiredResources()), metric.WithAttributes(server, attribute.String("state", "used")))
			observer.ObserveInt64(connections, int64(stat.IdleResources()), metric.WithAttributes(server, attribute.String("state", "idle")))
		}
		observer.ObserveInt64(streams, int64(len(c.streams)))
		return nil
	}, connections, streams)
	return &metrics{registration}, err
}

// stop ends the reports.
func (m *metrics) stop() error { return m.registration.Unregister() }
