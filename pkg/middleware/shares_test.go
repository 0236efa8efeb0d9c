package middleware

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestShares shows who loses what when there is not enough for all: the last request of the party that holds most.
func TestShares(t *testing.T) {
	t.Parallel()
	s := newShares(10)
	var lost []string
	hold := func(party, name string, size int) *share {
		return s.hold(party, size, func() { lost = append(lost, name) })
	}
	want := func(what string, names ...string) {
		t.Helper()
		if diff := cmp.Diff(names, lost); diff != "" {
			t.Errorf("%s: lost (-want +got):\n%s", what, diff)
		}
		lost = nil
	}
	a1, a2 := hold("a", "a1", 3), hold("a", "a2", 4)
	b1 := hold("b", "b1", 3)
	want("as much as there is")
	b2 := hold("b", "b2", 1)
	want("one more of b", "a2")
	a1.grow(4)
	want("more of a", "a1")
	a1.grow(100) // What is lost grows no more.
	a2.release()
	want("what is lost already")
	for range 6 {
		hold("b", "more", 1)
	}
	want("all that is left, for b")
	hold("c", "c1", 2)
	want("a bit for c", "more", "more")
	hold("d", "large", 20)
	want("more than there is", "large")
	b1.release()
	b2.release()
	if s.total != 6 || len(s.parties) != 2 {
		t.Errorf("at the end %d are held by %d", s.total, len(s.parties))
	}
}

// TestSharesAreReleased shows that nothing is left of requests that have ended, in whatever order.
func TestSharesAreReleased(t *testing.T) {
	t.Parallel()
	s := newShares(100)
	var held []*share
	for i := range 60 {
		held = append(held, s.hold(string(rune('a'+i%3)), i, func() {}))
	}
	slices.Reverse(held[10:])
	for _, h := range held {
		h.release()
		h.release()
	}
	if s.total != 0 || len(s.parties) != 0 {
		t.Errorf("at the end %d are held by %d", s.total, len(s.parties))
	}
}
