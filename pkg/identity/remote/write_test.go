package remote

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

func attr(name string, values ...string) wire.Attribute {
	return wire.Attribute{Type: name, Values: values}
}

func change(operation wire.ChangeOperation, name string, values ...string) wire.Change {
	return wire.Change{Operation: operation, Attribute: attr(name, values...)}
}

// TestLostAnswers holds what becomes of a write whose answer is lost: success if it is in effect, and otherwise that nobody
// knows. In no case is it sent twice.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	const key = "user/revision/1/"
	newUser := &wire.AddRequest{DN: userDN(9), Attributes: []wire.Attribute{
		attr("objectClass", "person"), attr("description", "new"), attr("userPassword", "{SSHA}x"),
		attr("member", "UID=1, OU=Users,o=fake"),
	}}
	add := func(ctx context.Context, c *Client) error { _, err := c.Add(ctx, newUser); return err }
	modify := func(changes ...wire.Change) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error {
			_, err := c.Modify(ctx, &wire.ModifyRequest{DN: userDN(1), Changes: changes})
			return err
		}
	}
	rename := func(ctx context.Context, c *Client) error {
		return c.ModifyDN(ctx, &wire.ModifyDNRequest{DN: userDN(1), NewRDN: "uid=renamed", DeleteOldRDN: true})
	}
	remove := func(ctx context.Context, c *Client) error { return c.Delete(ctx, &wire.DeleteRequest{DN: userDN(1)}) }
	guarded := modify(change(wire.ChangeReplace, "description", "old"), change(wire.ChangeDelete, "educationUniqueKey", key+"1"),
		change(wire.ChangeAdd, "educationUniqueKey", key+"2"))
	tests := []struct {
		name  string
		tag   wire.Tag
		write func(ctx context.Context, c *Client) error
		// carriedOut says that the server makes the change before it loses the answer; otherwise it loses the request.
		carriedOut bool
		// before is done to the server beforehand.
		before func(f *fakeServer)
		want   func(error) bool
	}{
		{"add", wire.TagAddRequest, add, true, nil, isNil},
		{"add, lost", wire.TagAddRequest, add, false, nil, isUnknown},
		{"add, another is there", wire.TagAddRequest, add, true, func(f *fakeServer) {
			// It may as well be the one that was added, and has been changed since.
			f.put(newUser.DN, "objectClass", "person", "description", "another")
		}, isUnknown},
		{"modify", wire.TagModifyRequest, guarded, true, nil, isNil},
		{"modify, lost", wire.TagModifyRequest, guarded, false, nil, isUnknown},
		{"modify what is so already", wire.TagModifyRequest, modify(change(wire.ChangeReplace, "description", "old")), false, nil, isNil},
		{"add a value", wire.TagModifyRequest, modify(change(wire.ChangeAdd, "member", "uid=2,ou=users,o=fake")), true, nil, isNil},
		{"add a value, lost", wire.TagModifyRequest, modify(change(wire.ChangeAdd, "member", "uid=2,ou=users,o=fake")), false, nil, isUnknown},
		{"delete a value", wire.TagModifyRequest, modify(change(wire.ChangeDelete, "description", "old")), true, nil, isNil},
		{"delete a value, lost", wire.TagModifyRequest, modify(change(wire.ChangeDelete, "description", "old")), false, nil, isUnknown},
		{"delete an attribute", wire.TagModifyRequest, modify(change(wire.ChangeDelete, "description")), true, nil, isNil},
		{"delete an attribute, lost", wire.TagModifyRequest, modify(change(wire.ChangeDelete, "description")), false, nil, isUnknown},
		{"a password alone", wire.TagModifyRequest, modify(change(wire.ChangeReplace, "userPassword", "x")), true, nil, isUnknown},
		{"modify what has gone", wire.TagModifyRequest, guarded, false, func(f *fakeServer) {
			_ = f.carryOut(&wire.DeleteRequest{DN: userDN(1)})
		}, isUnknown},
		{"rename", wire.TagModifyDNRequest, rename, true, nil, isNil},
		{"rename, lost", wire.TagModifyDNRequest, rename, false, nil, isUnknown},
		{"delete", wire.TagDeleteRequest, remove, true, nil, isNil},
		{"delete, lost", wire.TagDeleteRequest, remove, false, nil, isUnknown},
	}
	for _, test := range tests {
		for name, lose := range map[string]func(*fakeSession, wire.Message, wire.Request) bool{"broken": hangUp, "silent": silent} {
			t.Run(test.name+", "+name, func(t *testing.T) {
				t.Parallel()
				f := newFake(t)
				f.put(userDN(1), "objectClass", "person", "description", "old", "educationUniqueKey", key+"1")
				if test.before != nil {
					test.before(f)
				}
				client := impatientClient(t, f)
				f.set(once(test.tag, func(s *fakeSession, message wire.Message, request wire.Request) bool {
					if test.carriedOut {
						_ = s.server.carryOut(request)
					}
					return lose(s, message, request)
				}))
				if err := test.write(t.Context(), client); !test.want(err) {
					t.Errorf("got %v", err)
				}
				if got := f.count(test.tag); got != 1 {
					t.Errorf("sent %d times", got)
				}
			})
		}
	}
}

func isNil(err error) bool { return err == nil }

func isUnknown(err error) bool { return errors.Is(err, wire.ErrOutcomeUnknown) && isUnavailable(err) }

// TestOutcomeAfterRestart holds that a write's outcome is found out on the server that comes back, or on the next one.
func TestOutcomeAfterRestart(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client, log := clientOfFakes(t, f)
	down := make(chan struct{})
	f.set(once(wire.TagAddRequest, func(s *fakeSession, message wire.Message, request wire.Request) bool {
		_ = s.server.carryOut(request)
		go func() { f.stop(); close(down) }()
		return true
	}))
	go func() {
		<-down
		f.restart()
	}()
	request := &wire.AddRequest{DN: userDN(1), Attributes: []wire.Attribute{attr("objectClass", "person")}}
	if _, err := client.Add(t.Context(), request); err != nil {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(log.String(), "the answer to a change was lost, and the change is in effect") {
		t.Errorf("the log does not say so:\n%s", log)
	}
}

// TestNobodyToAsk holds that a write of unknown outcome says so when no server is left.
func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client, _ := clientOfFakes(t, f)
	wantList(t, client, 0)
	f.set(once(wire.TagDeleteRequest, func(*fakeSession, wire.Message, wire.Request) bool {
		go f.stop()
		return true
	}))
	start := time.Now()
	if err := client.Delete(t.Context(), &wire.DeleteRequest{DN: userDN(1)}); !isUnknown(err) {
		t.Errorf("got %v", err)
	}
	wantWithin(t, 4*impatient, start)
	// What has not been sent has not been made.
	_, err := client.Add(t.Context(), &wire.AddRequest{DN: userDN(1)})
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) || errors.Is(err, wire.ErrOutcomeUnknown) {
		t.Errorf("an add without a server: %v", err)
	}
}

// TestWriteResults holds that a result is passed on, and that a server which is busy is asked again.
func TestWriteResults(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client, _ := clientOfFakes(t, f)
	for _, code := range []wire.ResultCode{
		wire.ResultReferral, wire.ResultUnwillingToPerform, wire.ResultConstraintViolation, wire.ResultInsufficientAccessRights, wire.ResultOther,
	} {
		f.set(answerWith(code))
		before := f.count(wire.TagAddRequest)
		_, err := client.Add(t.Context(), &wire.AddRequest{DN: userDN(1)})
		if got, _ := wire.CodeOf(err); got != code {
			t.Errorf("result %d: got %v", code, err)
		}
		if got := f.count(wire.TagAddRequest) - before; got != 1 {
			t.Errorf("result %d: asked %d times", code, got)
		}
	}
	f.set(once(wire.TagAddRequest, answerWith(wire.ResultBusy)))
	if _, err := client.Add(t.Context(), &wire.AddRequest{DN: userDN(1)}); err != nil {
		t.Errorf("busy once: %v", err)
	}
	f.set(answerWith(wire.ResultBusy))
	_, err := client.Add(t.Context(), &wire.AddRequest{DN: userDN(2)})
	if got, _ := wire.CodeOf(err); got != wire.ResultBusy {
		t.Errorf("always busy: %v", err)
	}
}

// TestControls holds that a server gets the controls that it knows, and that an assertion holds without its control too.
func TestControls(t *testing.T) {
	t.Parallel()
	uniqueKey := change(wire.ChangeAdd, "educationUniqueKey", "x")
	tests := []struct {
		name          string
		controls      []string
		changes       []wire.Change
		wantAssertion bool
		wantPostRead  bool
	}{
		{"both", []string{wire.ControlAssertion, wire.ControlPostRead}, nil, true, true},
		{"none", nil, nil, false, false},
		{"unique keys", []string{wire.ControlAssertion}, []wire.Change{uniqueKey}, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.controls = test.controls
			f.put(userDN(1), "objectClass", "person", "description", "old")
			client, _ := clientOfFakes(t, f)
			modify := func(filter *wire.Filter) (*wire.ModifyRequest, error) {
				var got *wire.ModifyRequest
				f.set(func(_ *fakeSession, _ wire.Message, request wire.Request) bool {
					if modify, ok := request.(*wire.ModifyRequest); ok {
						got = modify
					}
					return false
				})
				_, err := client.Modify(t.Context(), &wire.ModifyRequest{
					DN: userDN(1), Changes: append(test.changes, change(wire.ChangeReplace, "title", "x")),
					Assertion: filter, PostRead: []string{"title"},
				})
				return got, err
			}
			got, err := modify(wire.Equal("description", "old"))
			if err != nil || got == nil {
				t.Fatalf("got %v, %v", got, err)
			}
			if (got.Assertion != nil) != test.wantAssertion || (got.PostRead != nil) != test.wantPostRead {
				t.Errorf("sent %+v", got)
			}
			if test.wantAssertion {
				return
			}
			got, err = modify(wire.Equal("description", "new"))
			if code, _ := wire.CodeOf(err); code != wire.ResultAssertionFailed || got != nil {
				t.Errorf("an assertion that does not hold: sent %v, %v", got, err)
			}
			err = client.Delete(t.Context(), &wire.DeleteRequest{DN: userDN(1), Assertion: wire.Equal("description", "new")})
			if code, _ := wire.CodeOf(err); code != wire.ResultAssertionFailed || f.entry(userDN(1)) == nil {
				t.Errorf("a delete with one: %v", err)
			}
			err = client.Delete(t.Context(), &wire.DeleteRequest{DN: userDN(2), Assertion: wire.Equal("description", "new")})
			if code, _ := wire.CodeOf(err); code != wire.ResultNoSuchObject {
				t.Errorf("a delete of what is not there: %v", err)
			}
		})
	}
}

func TestAssertionsBesideUniqueKeys(t *testing.T) {
	t.Parallel()
	keys := &wire.ModifyRequest{Changes: []wire.Change{change(wire.ChangeDelete, "EDUCATIONUNIQUEKEY", "x")}}
	other := &wire.ModifyRequest{Changes: []wire.Change{change(wire.ChangeReplace, "sn", "x")}}
	for _, test := range []struct {
		name     string
		features Features
		request  *wire.ModifyRequest
		want     bool
	}{
		{"OpenLDAP, keys", Features{Vendor: VendorOpenLDAP, Assertion: true}, keys, false},
		{"OpenLDAP, others", Features{Vendor: VendorOpenLDAP, Assertion: true}, other, true},
		{"another server, keys", Features{Assertion: true}, keys, true},
		{"no assertions", Features{}, other, false},
	} {
		s := &server{}
		s.features.Store(&test.features)
		if got := s.assertsWith(test.request); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
}
