package remote

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Add implements identity.Operations.
func (c *Client) Add(ctx context.Context, request *wire.AddRequest) (*wire.Entry, error) {
	w := &write{client: c, took: added(request), prepare: func(_ context.Context, l *lease) (wire.Request, error) {
		adapted := *request
		if !l.server.features.Load().PostRead {
			adapted.PostRead = nil
		}
		return &adapted, nil
	}}
	return w.carryOut(ctx)
}

// Modify implements identity.Operations.
func (c *Client) Modify(ctx context.Context, request *wire.ModifyRequest) (*wire.Entry, error) {
	w := &write{client: c, took: modified(request), prepare: func(ctx context.Context, l *lease) (wire.Request, error) {
		adapted := *request
		if !l.server.features.Load().PostRead {
			adapted.PostRead = nil
		}
		var err error
		adapted.Assertion, err = l.assert(ctx, request.DN, request.Assertion, l.server.assertsWith(request))
		return &adapted, err
	}}
	return w.carryOut(ctx)
}

// ModifyDN implements identity.Operations.
func (c *Client) ModifyDN(ctx context.Context, request *wire.ModifyDNRequest) error {
	w := &write{client: c, took: renamed(request), prepare: func(context.Context, *lease) (wire.Request, error) {
		return request, nil
	}}
	_, err := w.carryOut(ctx)
	return err
}

// Delete implements identity.Operations. That the entry disappears from member and teacher attributes is left to the server
// (OpenLDAP: slapo-refint; 389-DS: referential integrity plug-in).
func (c *Client) Delete(ctx context.Context, request *wire.DeleteRequest) error {
	w := &write{client: c, took: deleted(request), prepare: func(ctx context.Context, l *lease) (wire.Request, error) {
		adapted := *request
		var err error
		adapted.Assertion, err = l.assert(ctx, request.DN, request.Assertion, l.server.features.Load().Assertion)
		return &adapted, err
	}}
	_, err := w.carryOut(ctx)
	return err
}

// assertsWith reports whether the server checks an assertion that comes with a Modify. In OpenLDAP, slapo-unique looks
// for other holders of a key within the same operation, and the assertion is then put to the suffix, which does not match
// it: seen in 2.5.13, where such a Modify is always refused with assertionFailed and "unique_search failed".
func (s *server) assertsWith(request *wire.ModifyRequest) bool {
	features := s.features.Load()
	return features.Assertion && (features.Vendor != VendorOpenLDAP || !slices.ContainsFunc(request.Changes, func(change wire.Change) bool {
		return strings.EqualFold(change.Attribute.Type, attributeUniqueKey)
	}))
}

// assert returns the assertion to send with a change of an entry. Where the server does not check it, that is none, and
// the entry is looked at here.
func (l *lease) assert(ctx context.Context, dn string, filter *wire.Filter, checked bool) (*wire.Filter, error) {
	if filter == nil || checked {
		return filter, nil
	}
	if _, err := l.conn.readEntry(ctx, l.server.config, dn, wire.Present("objectClass"), []string{wire.NoAttributes}); err != nil {
		return nil, err
	}
	_, err := l.conn.readEntry(ctx, l.server.config, dn, filter, []string{wire.NoAttributes})
	if code, _ := wire.CodeOf(err); code == wire.ResultNoSuchObject {
		return nil, wire.Errorf(wire.ResultAssertionFailed, "the entry does not match the assertion")
	}
	return nil, err
}

// write is a write on its way.
type write struct {
	client *Client
	// prepare returns the request as the server is to get it.
	prepare func(ctx context.Context, l *lease) (wire.Request, error)
	// took finds out whether the write is in effect.
	took effect
	// sent says that the server may have got the request, and has not answered it.
	sent bool
	// server is the one that was sent it.
	server *server
}

// carryOut makes the write and returns the entry as the server returns it, which may be nil.
func (w *write) carryOut(ctx context.Context) (*wire.Entry, error) {
	defer w.client.keeper.write()()
	var entry *wire.Entry
	err := w.client.run(ctx, func() bool { return !w.sent }, func(l *lease) error {
		request, err := w.prepare(ctx, l)
		if err != nil {
			return err
		}
		for attempt := 0; ; attempt++ {
			response, controls, err := l.conn.call(ctx, l.server.config.Timeout, request)
			w.sent, w.server = l.conn.sent, l.server
			if err != nil {
				return err
			}
			w.sent = false // What the server answers is known.
			if attempt < len(doubtfulPauses) && doubtful(l.server, response) {
				wait(ctx, doubtfulPauses[attempt])
				continue
			}
			entry = postRead(controls)
			return response.Err()
		}
	})
	if err == nil || !w.sent {
		return entry, err
	}
	return nil, w.settle(ctx, err)
}

// doubtfulPauses are the waits before a write is repeated whose refusal may be a mistake of the server.
var doubtfulPauses = []time.Duration{20 * time.Millisecond, 100 * time.Millisecond}

// doubtful reports whether a write was refused for want of a right by a server that does so now and then to an account that
// has it: 389-DS does while others write, when it cannot find an entry that its access rules ask for (2.3.1 on LMDB, with
// "find_entry_internal_dn - Retry count exceeded" in its log). A write that is refused has changed nothing.
func doubtful(s *server, response *wire.Response) bool {
	return response.Code == wire.ResultInsufficientAccessRights && s.features.Load().Vendor == Vendor389DS
}

// wait waits, but no longer than ctx lasts.
func wait(ctx context.Context, pause time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}

// postRead returns the entry that a response carries, or nil.
func postRead(controls []wire.Control) *wire.Entry {
	control := wire.FindControl(controls, wire.ControlPostRead)
	if control == nil {
		return nil
	}
	entry, err := wire.ParsePostReadResponse(control)
	if err != nil {
		// The change is made all the same; the caller reads the entry.
		return nil
	}
	return entry
}

// settlePauses are the waits before each look at what has become of a write whose answer was lost.
var settlePauses = []time.Duration{0, 100 * time.Millisecond, 400 * time.Millisecond}

// settle finds out what has become of a write whose answer was lost, and returns nil if it is in effect.
func (w *write) settle(ctx context.Context, lost error) error {
	ctx, cancel := context.WithTimeout(ctx, w.client.config.Timeout)
	defer cancel()
	look := w.client.lookup(ctx, w.server)
	for _, pause := range settlePauses {
		wait(ctx, pause)
		took, err := w.took(look)
		if _, refused := wire.CodeOf(err); refused {
			return err
		}
		if took && err == nil {
			w.client.config.Logger.InfoContext(ctx, "the answer to a change was lost, and the change is in effect", "cause", lost)
			return nil
		}
	}
	return fmt.Errorf("%w: %w", wire.ErrOutcomeUnknown, lost)
}
