package opencloudnames

import (
	"bufio"
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/opencloud-eu/education/internal/faultproxy"
	"github.com/opencloud-eu/education/pkg/identity"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// add returns the Add of an entry of one class.
func add(class, attribute, value string) *wire.AddRequest {
	return &wire.AddRequest{DN: "openCloudUUID=1,ou=here,dc=x", PostRead: []string{"cn"}, Attributes: []wire.Attribute{
		{Type: "objectClass", Values: []string{"top", class}}, {Type: attribute, Values: []string{value}},
	}}
}

func TestAs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		request *wire.AddRequest
		want    string
	}{
		{"user", add("openCloudEducationUser", "uid", "max"), "uid=max,ou=here,dc=x"},
		{"school", add("openCloudEducationSchool", "ou", "North, East"), `ou=North\, East,ou=here,dc=x`},
		{"class", add("openCloudEducationClass", "openCloudEducationExternalId", "5a"), "openCloudEducationExternalId=5a,ou=here,dc=x"},
		{"class without an externalId", add("openCloudEducationClass", "cn", "5a"), "openCloudUUID=1,ou=here,dc=x"},
		{"a long name", add("openCloudEducationUser", "uid", strings.Repeat("x", 200)), "openCloudUUID=1,ou=here,dc=x"},
		{"somebody else", add("device", "uid", "max"), "openCloudUUID=1,ou=here,dc=x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			written := As(test.request)
			if written.DN != test.want {
				t.Errorf("got the DN %s, want %s", written.DN, test.want)
			}
			isUser := slices.Contains(valuesOf(test.request, "objectClass"), "openCloudEducationUser")
			if got := valuesOf(written, "mail"); slices.Equal(got, []string{""}) != isUser {
				t.Errorf("got the mail %q", got)
			}
			if len(test.request.Attributes) != 2 {
				t.Error("the request itself has been changed")
			}
		})
	}
}

// store takes entries whose DN is not taken.
type store struct {
	identity.Operations
	taken string
	asked []string
}

func (s *store) Add(_ context.Context, request *wire.AddRequest) (*wire.Entry, error) {
	if s.asked = append(s.asked, request.DN); request.DN == s.taken {
		return nil, wire.Errorf(wire.ResultEntryAlreadyExists, "x")
	}
	return &wire.Entry{DN: request.DN}, nil
}

func TestOperationsGiveWay(t *testing.T) {
	t.Parallel()
	s := &store{taken: "uid=max,ou=here,dc=x"}
	entry, err := Operations{s}.Add(t.Context(), add("openCloudEducationUser", "uid", "max"))
	if err != nil || entry.DN != "openCloudUUID=1,ou=here,dc=x" {
		t.Errorf("got %v, %v after %q", entry, err, s.asked)
	}
}

func TestRelayed(t *testing.T) {
	t.Parallel()
	relay := Relayed(func(dn string) bool { return dn == "uid=taken,ou=here,dc=x" })
	fate := func(request wire.Request) (string, faultproxy.Fate) {
		octets := wire.AppendRequest(nil, 7, request)
		parsed, err := wire.ReadMessage(bufio.NewReader(bytes.NewReader(octets)), wire.MaxMessageSize)
		if err != nil {
			t.Fatal(err)
		}
		return string(octets), relay(&faultproxy.Message{Message: parsed})
	}
	for name, want := range map[string]string{"max": "uid=max,ou=here,dc=x", "taken": "openCloudUUID=1,ou=here,dc=x"} {
		request := add("openCloudEducationUser", "uid", name)
		_, got := fate(request)
		written := As(request)
		written.DN = want
		if got != faultproxy.Instead(wire.AppendRequest(nil, 7, written)) {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if octets, got := fate(&wire.DeleteRequest{DN: "uid=max,ou=here,dc=x"}); got != faultproxy.Pass {
		t.Errorf("a deletion: got %v for %q", got, octets)
	}
}
