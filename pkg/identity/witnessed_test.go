package identity

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// TestWitnessed holds that a write which was refused, or never sent, counts as none, and one that may have been made as one.
func TestWitnessed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"made":      {nil, true},
		"refused":   {wire.Errorf(wire.ResultConstraintViolation, "no"), false},
		"not sent":  {errors.New("connection refused"), false},
		"uncertain": {fmt.Errorf("%w: the connection broke", wire.ErrOutcomeUnknown), true},
	} {
		for operation, write := range map[string]func(context.Context, witnessed){
			"add":       func(ctx context.Context, ops witnessed) { _, _ = ops.Add(ctx, &wire.AddRequest{}) },
			"modify":    func(ctx context.Context, ops witnessed) { _, _ = ops.Modify(ctx, &wire.ModifyRequest{}) },
			"modify DN": func(ctx context.Context, ops witnessed) { _ = ops.ModifyDN(ctx, &wire.ModifyDNRequest{}) },
			"delete":    func(ctx context.Context, ops witnessed) { _ = ops.Delete(ctx, &wire.DeleteRequest{}) },
		} {
			t.Run(operation+" "+name, func(t *testing.T) {
				t.Parallel()
				ctx, witness := education.WithWitness(t.Context())
				write(ctx, witnessed{answers{test.err}})
				if got := witness.Wrote(); got != test.want {
					t.Errorf("got %t, want %t", got, test.want)
				}
			})
		}
	}
}
