package identity

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

const (
	userBase   = "ou=users,dc=opencloud,dc=eu"
	classBase  = "ou=groups,dc=opencloud,dc=eu"
	schoolBase = "ou=tenants,dc=opencloud,dc=eu"
)

// stub is Operations of which a test replaces some.
type stub struct {
	Operations
	search   func(request *wire.SearchRequest, yield func(*wire.Entry) error) error
	add      func(request *wire.AddRequest) (*wire.Entry, error)
	modify   func(request *wire.ModifyRequest) (*wire.Entry, error)
	modifyDN func(request *wire.ModifyDNRequest) error
	delete   func(request *wire.DeleteRequest) error
}

func (s *stub) Search(ctx context.Context, request *wire.SearchRequest, yield func(*wire.Entry) error) error {
	if s.search != nil {
		return s.search(request, yield)
	}
	return s.Operations.Search(ctx, request, yield)
}

func (s *stub) Add(ctx context.Context, request *wire.AddRequest) (*wire.Entry, error) {
	if s.add != nil {
		return s.add(request)
	}
	return s.Operations.Add(ctx, request)
}

func (s *stub) Modify(ctx context.Context, request *wire.ModifyRequest) (*wire.Entry, error) {
	if s.modify != nil {
		return s.modify(request)
	}
	return s.Operations.Modify(ctx, request)
}

func (s *stub) ModifyDN(ctx context.Context, request *wire.ModifyDNRequest) error {
	if s.modifyDN != nil {
		return s.modifyDN(request)
	}
	return s.Operations.ModifyDN(ctx, request)
}

func (s *stub) Delete(ctx context.Context, request *wire.DeleteRequest) error {
	if s.delete != nil {
		return s.delete(request)
	}
	return s.Operations.Delete(ctx, request)
}

// openStore returns an empty directory in a file.
func openStore(t *testing.T) *embedded.Store {
	t.Helper()
	store, err := embedded.Open(embedded.Config{
		Path: filepath.Join(t.TempDir(), "directory.db"), Containers: []string{userBase, classBase, schoolBase},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func newDirectory(tb testing.TB, operations Operations, rules education.Rules) *Directory {
	tb.Helper()
	d, err := New(Config{Operations: operations, UserBase: userBase, ClassBase: classBase, SchoolBase: schoolBase, Rules: rules})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// addEntry adds an entry that is written as "attribute: value" lines, the DN in the first one.
func addEntry(t *testing.T, operations Operations, dn string, lines ...string) {
	t.Helper()
	entry := parseEntry(dn, lines...)
	if _, err := operations.Add(t.Context(), &wire.AddRequest{DN: dn, Attributes: entry.Attributes}); err != nil {
		t.Fatal(err)
	}
}

func parseEntry(dn string, lines ...string) *wire.Entry {
	entry := &wire.Entry{DN: dn}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if last := len(entry.Attributes) - 1; last >= 0 && entry.Attributes[last].Type == name {
			entry.Attributes[last].Values = append(entry.Attributes[last].Values, value)
			continue
		}
		entry.Attributes = append(entry.Attributes, wire.Attribute{Type: name, Values: []string{value}})
	}
	return entry
}

// readEntry returns all attributes of an entry.
func readEntry(t *testing.T, operations Operations, dn string) *wire.Entry {
	t.Helper()
	var read *wire.Entry
	err := operations.Search(t.Context(), &wire.SearchRequest{Base: dn, Filter: everything}, func(entry *wire.Entry) error {
		read = entry
		return nil
	})
	if err != nil || read == nil {
		t.Fatalf("read %s: %v", dn, err)
	}
	return read
}

// newChange decodes a body.
func newChange(t *testing.T, set *education.EntitySet, operation education.Operation, body map[string]any) *education.Change {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	change, err := education.DecodeChange(set, operation, encoded, education.Rules{UsernameMatch: education.UsernameMatchNone})
	if err != nil {
		t.Fatal(err)
	}
	return change
}

func keyOf(set *education.EntitySet, name, value string) education.Key {
	return education.Key{Property: set.Property(name), Value: value}
}
