package audit

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/access"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// BenchmarkChange makes changes in a directory that does nothing, by turns without a record, with one, and with one that is
// required, each into a file of its own.
//
//   - off-ns, on-ns, required-ns: the time of a change. The last one holds an fsync(2), which changes that are made at the
//     same time share.
//   - core-%-at-10k: how much of a core the record takes at 10,000 changes a second, when it is not required.
func BenchmarkChange(b *testing.B) {
	d := &directory{answer: func(ctx context.Context) (*education.Entity, error) {
		education.WitnessOf(ctx).Found(byName("max"), aUser())
		return nil, nil
	}}
	modes := []struct {
		name  string
		trail *Trail
		spent time.Duration
	}{{name: "off"}, {name: "on", trail: fileTrail(b, false)}, {name: "required", trail: fileTrail(b, true)}}
	const batch = 100
	changes := 0
	for b.Loop() {
		for i := range modes {
			begin := time.Now()
			for range batch {
				change(b, modes[i].trail, d)
			}
			modes[i].spent += time.Since(begin)
		}
		changes += batch
	}
	for _, mode := range modes {
		b.ReportMetric(float64(mode.spent.Nanoseconds())/float64(changes), mode.name+"-ns")
	}
	extra := (modes[1].spent - modes[0].spent).Seconds() / float64(changes)
	b.ReportMetric(extra*10_000*100, "core-%-at-10k")
	b.ReportMetric(0, "ns/op")
}

func fileTrail(b *testing.B, required bool) *Trail {
	b.Helper()
	f, err := OpenFile(filepath.Join(b.TempDir(), "audit.log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	return New(Config{
		Store: f, Required: required, Logger: slog.New(slog.DiscardHandler),
		AddressOf: func(string) education.Address { return education.Address{} },
	})
}

// change makes one change of a user, recorded unless there is no trail.
func change(b *testing.B, trail *Trail, d education.Directory) {
	ctx := odata.WithRequestIDs(b.Context(), odata.RequestIDs{Server: "0b5cf5f0-6a3c-4f0e-9d5c-0a8d2c1f7e11"})
	credential := &access.Credential{Name: "north", Schools: []string{schoolID}}
	if trail == nil {
		_ = d.Delete(access.With(ctx, credential), education.Users, byName("max"))
		return
	}
	ctx, recording := trail.Follow(ctx, Request{Method: http.MethodDelete, Remote: "198.51.100.1"})
	err := trail.Directory(d).Delete(access.With(ctx, credential), education.Users, byName("max"))
	recording.End(Answer{Status: http.StatusNoContent, Credential: credential})
	if err != nil {
		b.Fatal(err)
	}
}
