package identity

import (
	"context"
	"errors"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// witnessed is Operations that tells the witness of a change what was written, or may have been.
type witnessed struct{ Operations }

// noteWrite tells the witness of ctx how a write has ended.
func noteWrite(ctx context.Context, err error) {
	if err == nil || errors.Is(err, wire.ErrOutcomeUnknown) {
		education.WitnessOf(ctx).Write()
	}
}

func (w witnessed) Add(ctx context.Context, request *wire.AddRequest) (*wire.Entry, error) {
	entry, err := w.Operations.Add(ctx, request)
	noteWrite(ctx, err)
	return entry, err
}

func (w witnessed) Modify(ctx context.Context, request *wire.ModifyRequest) (*wire.Entry, error) {
	entry, err := w.Operations.Modify(ctx, request)
	noteWrite(ctx, err)
	return entry, err
}

func (w witnessed) ModifyDN(ctx context.Context, request *wire.ModifyDNRequest) error {
	err := w.Operations.ModifyDN(ctx, request)
	noteWrite(ctx, err)
	return err
}

func (w witnessed) Delete(ctx context.Context, request *wire.DeleteRequest) error {
	err := w.Operations.Delete(ctx, request)
	noteWrite(ctx, err)
	return err
}
