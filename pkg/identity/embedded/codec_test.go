package embedded

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

var compareRecords = cmp.Options{cmp.AllowUnexported(record{}), cmpopts.EquateEmpty()}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		record record
	}{
		{"empty", record{}},
		{"values", record{id: 7, parent: 1 << 40, key: "dc=a\x00", dn: "dc=A", attributes: []wire.Attribute{
			attr("dc", "A"), attr("description", "one", "", "drei \U0001F393 \x00"),
		}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeRecord(test.record.id, test.record.encode())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.record, got, compareRecords); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDecodeRefusesDamage cuts a record at every byte and puts a byte behind it.
func TestDecodeRefusesDamage(t *testing.T) {
	t.Parallel()
	blob := (&record{parent: 3, key: "k", dn: "d", attributes: []wire.Attribute{attr("cn", "a", "b")}}).encode()
	for i := range blob {
		if _, err := decodeRecord(1, blob[:i]); !errors.Is(err, errCorrupt) {
			t.Errorf("of %d bytes: %v", i, err)
		}
	}
	if _, err := decodeRecord(1, append(blob, 0)); !errors.Is(err, errCorrupt) {
		t.Errorf("with a byte more: %v", err)
	}
	huge := append([]byte{0, 0, 0}, bytes.Repeat([]byte{0xff}, 9)...)
	if _, err := decodeRecord(1, huge); !errors.Is(err, errCorrupt) {
		t.Errorf("with a huge count: %v", err)
	}
}

func FuzzEntryCodec(f *testing.F) {
	f.Add([]byte{})
	f.Add((&record{}).encode())
	f.Add((&record{parent: 1, key: "ou=a\x00", dn: "ou=A", attributes: []wire.Attribute{attr("ou", "A", "B"), attr("cn", "")}}).encode())
	f.Add([]byte{0, 0, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, blob []byte) {
		first, err := decodeRecord(1, blob)
		if err != nil {
			return
		}
		parent, key, dn, err := decodeHead(blob)
		if err != nil || parent != first.parent || key != first.key || dn != first.dn {
			t.Fatalf("head %d, %q, %q (%v) differs from the record", parent, key, dn, err)
		}
		second, err := decodeRecord(1, first.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second, compareRecords); diff != "" {
			t.Errorf("after encoding (-want +got):\n%s", diff)
		}
	})
}
