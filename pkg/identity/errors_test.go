package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

func TestTranslate(t *testing.T) {
	t.Parallel()
	want := map[wire.ResultCode]odata.Code{
		wire.ResultNoSuchObject:           odata.ItemNotFound,
		wire.ResultEntryAlreadyExists:     odata.NameAlreadyExists,
		wire.ResultConstraintViolation:    odata.InvalidRequest,
		wire.ResultInvalidAttributeSyntax: odata.InvalidRequest,
		wire.ResultInvalidDNSyntax:        odata.InvalidRequest,
		wire.ResultTimeLimitExceeded:      odata.GatewayTimeout,
		wire.ResultSizeLimitExceeded:      odata.ServiceNotAvailable,
		wire.ResultAdminLimitExceeded:     odata.ServiceNotAvailable,
		wire.ResultBusy:                   odata.ServiceNotAvailable,
		wire.ResultUnavailable:            odata.ServiceNotAvailable,
		wire.ResultReferral:               odata.ServiceNotAvailable,
		wire.ResultUnwillingToPerform:     odata.ServiceNotAvailable,
		wire.ResultOther:                  odata.ServiceNotAvailable,
	}
	for code := wire.ResultOperationsError; code <= wire.ResultOther+50; code++ {
		expected, listed := want[code]
		if !listed {
			expected = odata.GeneralException
		}
		const secret = "uid=max,ou=users"
		err := translate(fmt.Errorf("directory: %w", wire.Errorf(code, secret)))
		var fault *odata.Error
		if !errors.As(err, &fault) || fault.Code != expected {
			t.Errorf("result %d: got %v, want %v", code, err, expected)
			continue
		}
		if fault.Message == "" || fault.Message == secret || errors.Unwrap(fault) == nil {
			t.Errorf("result %d: the message must be a sentence of ours and the cause be kept", code)
		}
	}
	var lacking *odata.Error
	if !errors.As(translate(wire.Errorf(wire.ResultInsufficientAccessRights, "x")), &lacking) || !strings.Contains(lacking.Message, "no right") {
		t.Errorf("a right that the service's account lacks: got %v", lacking)
	}
	known := odata.Errorf(odata.Conflict, "x", "known")
	tests := []struct {
		name string
		err  error
		want odata.Code
	}{
		{"an error of ours", known, odata.Conflict},
		{"a write without an answer", fmt.Errorf("x: %w: %w", wire.ErrOutcomeUnknown, io.ErrUnexpectedEOF), odata.GatewayTimeout},
		{"a broken connection", io.ErrUnexpectedEOF, odata.ServiceNotAvailable},
		{"the end of the request's time", fmt.Errorf("x: %w", context.DeadlineExceeded), odata.GatewayTimeout},
	}
	for _, test := range tests {
		if got := translate(test.err); !odata.Is(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
	// What runs the directory learns from the log what kind of trouble it is.
	reports := map[string]wire.ResultCode{}
	for code, row := range resultErrors {
		if row.report == "" || code == wire.ResultUndefinedAttributeType {
			continue // The latter two are one trouble.
		}
		if other, ok := reports[row.report]; ok {
			t.Errorf("results %d and %d have one report", code, other)
		}
		reports[row.report] = code
		if err := translate(wire.Errorf(code, "x")); !strings.Contains(errors.Unwrap(err).Error(), row.report) {
			t.Errorf("result %d: the cause %v does not say that %s", code, errors.Unwrap(err), row.report)
		}
	}
	if got := translate(context.Canceled); !errors.Is(got, context.Canceled) {
		t.Errorf("a cancelled request: got %v", got)
	}
	if got := translate(nil); got != nil {
		t.Errorf("no error: got %v", got)
	}
}

// failures are what a directory answers that is down, busy or slow.
var failures = map[string]struct {
	err  error
	want odata.Code
}{
	"busy":            {wire.Errorf(wire.ResultBusy, "x"), odata.ServiceNotAvailable},
	"unavailable":     {wire.Errorf(wire.ResultUnavailable, "x"), odata.ServiceNotAvailable},
	"time limit":      {wire.Errorf(wire.ResultTimeLimitExceeded, "x"), odata.GatewayTimeout},
	"size limit":      {wire.Errorf(wire.ResultSizeLimitExceeded, "x"), odata.ServiceNotAvailable},
	"network":         {io.ErrUnexpectedEOF, odata.ServiceNotAvailable},
	"deadline":        {context.DeadlineExceeded, odata.GatewayTimeout},
	"access refused":  {wire.Errorf(wire.ResultInsufficientAccessRights, "x"), odata.GeneralException},
	"base is missing": {wire.Errorf(wire.ResultNoSuchObject, "x"), odata.GeneralException},
}

// TestFailingSearch proves that a directory which cannot answer never looks like one that has no such entity, whether
// it fails at once or after some entries.
func TestFailingSearch(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	users := education.Users
	id := "0e2f1bd5-9a2d-4a3b-a6c1-000000000001"
	key, nav := keyOf(users, "id", id), education.NavigationOf(education.Schools, "users")
	create := newChange(t, users, education.CreateEntity, map[string]any{
		"displayName": "Max", "onPremisesSamAccountName": "max", "schools@odata.bind": []string{"/schools/" + id},
	})
	update := newChange(t, users, education.UpdateEntity, map[string]any{"displayName": "Max"})
	class := newChange(t, education.Classes, education.CreateEntity, map[string]any{
		"displayName": "5a", "classification": "class", "externalId": "5a",
	})
	last := func(answer *education.Answer, err error) error {
		if err != nil {
			return err
		}
		for _, err = range answer.Entities {
		}
		return err
	}
	for name, failure := range failures {
		for _, entries := range []int{0, 1} {
			t.Run(fmt.Sprint(name, " after ", entries), func(t *testing.T) {
				t.Parallel()
				d := newDirectory(t, &stub{search: func(_ *wire.SearchRequest, yield func(*wire.Entry) error) error {
					for range entries {
						if err := yield(parseEntry("openCloudUUID="+id+","+userBase, "openCloudUUID: "+id)); err != nil {
							return err
						}
					}
					return failure.err
				}}, education.Rules{})
				calls := map[string]func() error{
					"List":         func() error { return last(d.List(ctx, users, nil)) },
					"ListRelated":  func() error { return last(d.ListRelated(ctx, nav, keyOf(education.Schools, "id", id), nil)) },
					"Get":          func() error { _, err := d.Get(ctx, users, key, nil); return err },
					"Create":       func() error { _, err := d.Create(ctx, users, create); return err },
					"Create class": func() error { _, err := d.Create(ctx, education.Classes, class); return err },
					"Update":       func() error { _, err := d.Update(ctx, users, key, update); return err },
					"Delete":       func() error { return d.Delete(ctx, users, key) },
					"AddRef":       func() error { return d.AddRef(ctx, nav, keyOf(education.Schools, "id", id), key) },
					"RemoveRef":    func() error { return d.RemoveRef(ctx, nav, keyOf(education.Schools, "id", id), key) },
				}
				for method, call := range calls {
					if err := call(); !odata.Is(err, failure.want) {
						t.Errorf("%s: got %v, want %v", method, err, failure.want)
					}
				}
			})
		}
	}
}

// TestFailingWrite is TestFailingSearch for writes of entities that are found.
func TestFailingWrite(t *testing.T) {
	t.Parallel()
	for name, failure := range failures {
		if name == "base is missing" {
			continue // On a write result 32 is the entry, which has gone.
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, store, users := t.Context(), openStore(t), education.Users
			d := newDirectory(t, store, education.Rules{})
			user, err := d.Create(ctx, users, newChange(t, users, education.CreateEntity,
				map[string]any{"displayName": "Max", "onPremisesSamAccountName": "max"}))
			if err != nil {
				t.Fatal(err)
			}
			key := keyOf(users, "id", user.ID())
			d.ops = &stub{
				Operations: store,
				add:        func(*wire.AddRequest) (*wire.Entry, error) { return nil, failure.err },
				modify:     func(*wire.ModifyRequest) (*wire.Entry, error) { return nil, failure.err },
				delete:     func(*wire.DeleteRequest) error { return failure.err },
			}
			_, err = d.Create(ctx, users, newChange(t, users, education.CreateEntity,
				map[string]any{"displayName": "Max", "onPremisesSamAccountName": "moritz"}))
			if !odata.Is(err, failure.want) {
				t.Errorf("Create: got %v, want %v", err, failure.want)
			}
			_, err = d.Update(ctx, users, key, newChange(t, users, education.UpdateEntity, map[string]any{"displayName": "Moritz"}))
			if !odata.Is(err, failure.want) {
				t.Errorf("Update: got %v, want %v", err, failure.want)
			}
			if err := d.Delete(ctx, users, key); !odata.Is(err, failure.want) {
				t.Errorf("Delete: got %v, want %v", err, failure.want)
			}
		})
	}
}
