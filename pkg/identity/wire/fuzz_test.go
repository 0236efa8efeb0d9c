package wire

import (
	"bufio"
	"bytes"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allocationBound is what decoding may allocate for an input: the text itself, a string header for each two octets,
// doubled for growth, and a bounded number of filter nodes, which are larger.
func allocationBound(length int) uint64 {
	const fixed, perOctet, perNode = 16 << 10, 32, 176
	return uint64(fixed + perOctet*length + perNode*min(length/2, MaxFilterNodes))
}

// allocated returns how many octets f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// decoded is whatever a message holds.
type decoded struct {
	ID        int
	Controls  []Control
	Request   Request
	Response  *Response
	Entry     *Entry
	Reference *Reference
}

// decode reads all that a message holds; ok is false if it cannot be read.
func decode(data []byte) (d decoded, ok bool) {
	m, err := ReadMessage(bufio.NewReaderSize(bytes.NewReader(data), 64), MaxMessageSize)
	if err != nil {
		return decoded{}, false
	}
	d = decoded{ID: m.ID}
	for _, control := range m.Controls {
		// The post-read and assertion controls of a request become fields of it.
		if control.OID != ControlPostRead && control.OID != ControlAssertion {
			d.Controls = append(d.Controls, control)
		}
	}
	switch {
	case m.Tag == TagSearchEntry:
		d.Entry, err = m.Entry()
	case m.Tag == TagSearchReference:
		d.Reference, err = m.Reference()
	case m.Tag.endsOperation():
		d.Response, err = m.Response()
	default:
		d.Request, err = m.Request()
	}
	return d, err == nil
}

func (d decoded) encode() []byte {
	switch {
	case d.Entry != nil:
		return AppendEntry(nil, d.ID, d.Entry, d.Controls...)
	case d.Reference != nil:
		return AppendReference(nil, d.ID, d.Reference, d.Controls...)
	case d.Response != nil:
		return AppendResponse(nil, d.ID, d.Response, d.Controls...)
	default:
		return AppendRequest(nil, d.ID, d.Request, d.Controls...)
	}
}

func FuzzMessage(f *testing.F) {
	for _, request := range requestFixtures() {
		f.Add(AppendRequest(nil, 300, request, controlFixtures()...))
	}
	for _, response := range responseFixtures() {
		f.Add(AppendResponse(nil, 5, response))
	}
	f.Add(AppendEntry(nil, 5, entryFixture()))
	f.Add(AppendReference(nil, 5, &Reference{URIs: []string{"ldap://a/"}}))
	f.Add([]byte("\x30\x84\x40\x00\x00\x00"))
	f.Add([]byte("\x30\x80\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var first decoded
		var ok bool
		if got, want := allocated(func() { first, ok = decode(data) }), allocationBound(len(data)); got > want {
			t.Errorf("%d octets allocated for %d, want at most %d", got, len(data), want)
		}
		if !ok {
			return
		}
		second, ok := decode(first.encode())
		if !ok {
			t.Fatalf("%+v is encoded as a message that cannot be decoded", first)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("message differs after encoding (-want +got):\n%s", diff)
		}
	})
}

func FuzzFilter(f *testing.F) {
	f.Add(string(appendFilter(nil, filterFixture())))
	f.Add("\x87\x00")
	f.Add("\xa2\x02\xa2\x00")
	f.Add("\xa4\x80")
	f.Fuzz(func(t *testing.T, data string) {
		var first *Filter
		var err error
		decode := func() {
			var d filterReader
			first, err = d.element(&reader{data}, 1)
		}
		if got, want := allocated(decode), allocationBound(len(data)); got > want {
			t.Errorf("%d octets allocated for %d, want at most %d", got, len(data), want)
		}
		if err != nil {
			return
		}
		_ = first.String()
		var d filterReader
		second, err := d.element(&reader{string(appendFilter(nil, first))}, 1)
		if err != nil {
			t.Fatalf("%s cannot be decoded again: %v", first, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("filter differs after encoding (-want +got):\n%s", diff)
		}
	})
}

func BenchmarkEncodeEntry(b *testing.B) {
	entry := entryFixture()
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = AppendEntry(buffer[:0], 7, entry)
	}
	b.SetBytes(int64(len(buffer)))
}

func BenchmarkDecodeEntry(b *testing.B) {
	data := AppendEntry(nil, 7, entryFixture())
	source := bytes.NewReader(nil)
	r := bufio.NewReader(source)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		source.Reset(data)
		r.Reset(source)
		m, err := ReadMessage(r, MaxMessageSize)
		if err != nil {
			b.Fatal(err)
		}
		if _, err = m.Entry(); err != nil {
			b.Fatal(err)
		}
	}
}
