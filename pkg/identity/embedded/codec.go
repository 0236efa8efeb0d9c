package embedded

import (
	"encoding/binary"
	"errors"
	"slices"
	"unsafe"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// record is an entry as the file keeps it: everything but the values of link attributes.
type record struct {
	id     uint64
	parent uint64 // the id of the entry above; 0 for a naming context
	// key is the normalised form of dn (match.DN.Key).
	key string
	// dn is spelt as the client that made the entry spelt it.
	dn string
	// attributes are spelt as the schema spells them, each with at least one value.
	attributes []wire.Attribute
}

// values returns the values of the attribute with exactly this spelling.
func (r *record) values(name string) []string {
	for i := range r.attributes {
		if r.attributes[i].Type == name {
			return r.attributes[i].Values
		}
	}
	return nil
}

// mayHoldLinks says whether an object class of the entry allows links. It spares most entries the look-up of links.
func (r *record) mayHoldLinks() bool {
	return slices.ContainsFunc(r.values(attributeObjectClass), func(name string) bool {
		return slices.Contains(directory.linkClasses, name)
	})
}

// errCorrupt means that bytes in the file are no entry of this format.
var errCorrupt = errors.New("embedded: an entry in the file cannot be read")

// encode returns the bytes of a record: numbers as varints, each string after its length.
//
//	parent, key, dn, number of attributes, number of all values, then for each attribute its name, its number of
//	values and the values
//
// The key comes first so that a scan below a base can pass over an entry without reading the rest of it.
func (r *record) encode() []byte {
	size, total := len(r.key)+len(r.dn)+6*binary.MaxVarintLen64, 0
	for _, a := range r.attributes {
		size += len(a.Type) + 2*binary.MaxVarintLen64
		total += len(a.Values)
		for _, value := range a.Values {
			size += len(value) + binary.MaxVarintLen32
		}
	}
	blob := binary.AppendUvarint(make([]byte, 0, size), r.parent)
	blob = appendString(blob, r.key)
	blob = appendString(blob, r.dn)
	blob = binary.AppendUvarint(blob, uint64(len(r.attributes)))
	blob = binary.AppendUvarint(blob, uint64(total))
	for _, a := range r.attributes {
		blob = appendString(blob, a.Type)
		blob = binary.AppendUvarint(blob, uint64(len(a.Values)))
		for _, value := range a.Values {
			blob = appendString(blob, value)
		}
	}
	return blob
}

func appendString(blob []byte, s string) []byte {
	return append(binary.AppendUvarint(blob, uint64(len(s))), s...)
}

// decodeRecord reads a record. It copies the bytes once; all strings of the record share that copy.
func decodeRecord(id uint64, blob []byte) (*record, error) {
	d := decoder{rest: string(blob)}
	r := &record{id: id, parent: d.number(), key: d.text(), dn: d.text()}
	attributes, total := d.count(), d.count()
	if d.failed {
		return nil, errCorrupt
	}
	r.attributes = make([]wire.Attribute, attributes)
	values := make([]string, total)
	for i := range r.attributes {
		name, count := d.text(), d.count()
		if d.failed || count > len(values) {
			return nil, errCorrupt
		}
		own := values[:count:count]
		values = values[count:]
		for j := range own {
			own[j] = d.text()
		}
		r.attributes[i] = wire.Attribute{Type: name, Values: own}
	}
	if d.failed || d.rest != "" || len(values) > 0 {
		return nil, errCorrupt
	}
	return r, nil
}

// decodeHead reads the beginning of a record without copying: the key is valid as long as the transaction that the
// bytes come from.
func decodeHead(blob []byte) (parent uint64, key string, dn string, err error) {
	d := decoder{rest: unsafe.String(unsafe.SliceData(blob), len(blob))}
	parent, key, dn = d.number(), d.text(), d.text()
	if d.failed {
		return 0, "", "", errCorrupt
	}
	return parent, key, dn, nil
}

// decoder takes a record apart from left to right. After a fault it returns zero values.
type decoder struct {
	rest   string
	failed bool
}

func (d *decoder) number() uint64 {
	var n uint64
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen64; i++ {
		c := d.rest[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.rest = d.rest[i+1:]
			return n
		}
	}
	d.failed, d.rest = true, ""
	return 0
}

// count reads a number of things of which each takes a byte at least, so that a damaged number allocates nothing.
func (d *decoder) count() int {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.failed, d.rest = true, ""
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	n := d.count()
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}
