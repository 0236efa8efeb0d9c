package embedded

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	bolt "go.etcd.io/bbolt"
)

// bbolt trusts its file: it follows page numbers and lengths without a look at where they lead, and it does so in
// goroutines of its own, where a panic ends the process. So the pages are walked here before bbolt walks them. The
// layout is that of version 2 of bbolt's format, with numbers in the byte order of the machine:
//
//	page     id (8 octets), kind (2), number of elements (2), number of pages that it goes on for (4); elements
//	branch   offset of the key (4), length of the key (4), page below (8)
//	leaf     is it a bucket (4), offset of the key (4), length of the key (4), length of the value (4)
//	bucket   as a value: page of its root, or 0 if the page follows in the value (8); sequence (8)
//
// Offsets count from the beginning of the element; a value follows its key.
const (
	pageHeader   = 16
	pageElement  = 16
	bucketHeader = 16

	branchPage = 1
	leafPage   = 2
	bucketFlag = 1

	// metaPages are the first pages of a file. bbolt proves them by their checksums.
	metaPages = 2
)

// pages walks the pages of a file and marks those that it has seen.
type pages struct {
	file io.ReaderAt
	size int
	seen []bool
}

// checkPages proves that all pages which can be reached lie in the file, once each, and hold keys in their order.
// size is that of the file in octets.
func checkPages(tx *bolt.Tx, file io.ReaderAt, size int64) error {
	if tx.Size() > size {
		return fmt.Errorf("it has %d bytes and should have %d", size, tx.Size())
	}
	pageSize := tx.DB().Info().PageSize
	w := &pages{file: file, size: pageSize, seen: make([]bool, tx.Size()/int64(pageSize))}
	return w.walk(uint64(tx.Cursor().Bucket().Root()), nil, nil)
}

// walk proves a page and all below it. Their keys are at least from and less than to; nil is no bound.
func (w *pages) walk(id uint64, from, to []byte) error {
	content, err := w.read(id)
	if err != nil {
		return err
	}
	p := page{id: id, content: content}
	switch p.kind() {
	case branchPage:
		return w.branch(p, from, to)
	case leafPage:
		return w.leaf(p, from, to)
	default:
		return p.fault("is no page of a tree")
	}
}

// read returns the octets of a page and of those that it goes on for.
func (w *pages) read(id uint64) ([]byte, error) {
	p := page{id: id}
	if id < metaPages || id >= uint64(len(w.seen)) {
		return nil, p.fault("is named and does not exist")
	}
	content := make([]byte, w.size)
	if _, err := w.file.ReadAt(content, int64(id)*int64(w.size)); err != nil {
		return nil, err
	}
	more := uint64(binary.NativeEndian.Uint32(content[12:]))
	if binary.NativeEndian.Uint64(content) != id || more >= uint64(len(w.seen))-id {
		return nil, p.fault("has a header that cannot be right")
	}
	for i := id; i <= id+more; i++ {
		if w.seen[i] {
			return nil, p.fault("is used twice")
		}
		w.seen[i] = true
	}
	if more == 0 {
		return content, nil
	}
	content = append(content, make([]byte, more*uint64(w.size))...)
	_, err := w.file.ReadAt(content[w.size:], int64(id+1)*int64(w.size))
	return content, err
}

func (w *pages) branch(p page, from, to []byte) error {
	keys, err := p.keys(from, to)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return p.fault("has nothing below it")
	}
	for i, key := range keys {
		end := to
		if i+1 < len(keys) {
			end = keys[i+1]
		}
		if err := w.walk(binary.NativeEndian.Uint64(p.element(i)[8:]), key, end); err != nil {
			return err
		}
	}
	return nil
}

func (w *pages) leaf(p page, from, to []byte) error {
	keys, err := p.keys(from, to)
	if err != nil {
		return err
	}
	for i := range keys {
		if binary.NativeEndian.Uint32(p.element(i))&bucketFlag == 0 {
			continue
		}
		if err := w.bucket(p, p.value(i)); err != nil {
			return err
		}
	}
	return nil
}

// bucket proves a bucket that a page has as a value.
func (w *pages) bucket(p page, value []byte) error {
	if len(value) < bucketHeader {
		return p.fault("has a bucket without a root")
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return w.walk(root, nil, nil)
	}
	inner := page{id: p.id, content: value[bucketHeader:]}
	if len(inner.content) < pageHeader || inner.kind() != leafPage {
		return p.fault("has a bucket without a page")
	}
	return w.leaf(inner, nil, nil)
}

// page is a page of a tree, with those that it goes on for.
type page struct {
	id      uint64
	content []byte
}

func (p page) fault(what string) error { return fmt.Errorf("page %d %s", p.id, what) }

func (p page) kind() uint16 { return binary.NativeEndian.Uint16(p.content[8:]) }

// element returns the page from an element on.
func (p page) element(i int) []byte { return p.content[pageHeader+i*pageElement:] }

// place returns where the key of an element begins, counted from the element, and the lengths of its key and value.
func (p page) place(i int) (offset, key, value uint64) {
	e := p.element(i)
	if p.kind() == branchPage {
		return uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:])), 0
	}
	return uint64(binary.NativeEndian.Uint32(e[4:])), uint64(binary.NativeEndian.Uint32(e[8:])), uint64(binary.NativeEndian.Uint32(e[12:]))
}

// keys returns the keys of all elements, once it is proven that elements, keys and values lie in the page and that the
// keys ascend within the bounds.
func (p page) keys(from, to []byte) ([][]byte, error) {
	n := int(binary.NativeEndian.Uint16(p.content[10:]))
	if len(p.content) < pageHeader+n*pageElement {
		return nil, p.fault("has more elements than it can hold")
	}
	keys := make([][]byte, n)
	for i := range keys {
		offset, key, value := p.place(i)
		if key == 0 || offset+key+value > uint64(len(p.element(i))) {
			return nil, p.fault("has an element that leads out of it")
		}
		keys[i] = p.element(i)[offset : offset+key]
		outside := i == 0 && bytes.Compare(keys[i], from) < 0 || to != nil && bytes.Compare(keys[i], to) >= 0
		if outside || i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 {
			return nil, p.fault("has keys in the wrong order")
		}
	}
	return keys, nil
}

// value returns the value of an element that keys has proven.
func (p page) value(i int) []byte {
	offset, key, value := p.place(i)
	return p.element(i)[offset+key : offset+key+value]
}
