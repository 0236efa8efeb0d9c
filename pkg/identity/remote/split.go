package remote

import (
	"strings"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// OpenLDAP's size limit counts the entries of all pages of a search together, unless the account has been given the right to
// more (slapd.conf(5), size.prtotal). A search that meets it is taken up again in parts, by the first digits of entryUUID,
// which every entry has, which never changes and which slapd compares by order (RFC 4530, section 2.3). A part that meets
// the limit, too, is split once more. That takes more searches, but the answer is whole.

// attributeEntryUUID names an entry for as long as it exists (RFC 4530).
const attributeEntryUUID = "entryUUID"

// maxSplits is how often a part can be split, in digits of entryUUID. The first eight are the lowest bits of the time when the
// entry was made, in steps of 100 ns, so that parts of equal length hold about equal numbers of entries, but for those
// that were made within one second.
const maxSplits = 8

// maxCut is how many entries of one search are remembered in case that the server does not carry it through. Where the limit
// is higher than that, the search fails.
const maxCut = 10_000

// cutSearches holds the DNs of entries that searches have returned which the server did not carry through. Whoever asks for
// parts of them gets these entries again.
type cutSearches struct {
	// kept says that entries are noted at all.
	kept bool
	seen map[string]bool
	// current are the DNs of the search that is under way, as long as they are no more than maxCut; lost says that they are.
	current []string
	lost    bool
}

// begin begins another search.
func (c *cutSearches) begin() { c.current, c.lost = c.current[:0], false }

// note notes an entry of the current search, and reports whether it is a new one.
func (c *cutSearches) note(dn string) bool {
	if !c.kept {
		return true
	}
	if c.seen[dn] {
		return false
	}
	if c.lost = c.lost || len(c.current) == maxCut; !c.lost {
		c.current = append(c.current, strings.Clone(dn)) // Without the rest of the entry.
	}
	return true
}

// keep remembers the entries of the current search, because the server has not carried it through.
func (c *cutSearches) keep() {
	if c.seen == nil {
		c.seen = make(map[string]bool, len(c.current))
	}
	for _, dn := range c.current {
		c.seen[dn] = true
	}
}

// canSplit reports whether a search that has met the server's own limit can be carried on in parts.
func (s *search) canSplit(prefix string) bool {
	return s.cut.kept && !s.cut.lost && len(prefix) < maxSplits
}

// splits reports whether a search is one that can be carried on in parts.
func (s *search) splits(l *lease) bool {
	return s.request.SizeLimit == 0 && s.request.Scope != wire.ScopeBase && l.server.features.Load().Vendor == VendorOpenLDAP
}

// split carries a search on in sixteen parts.
func (s *search) split(l *lease, x *exchange, prefix string) error {
	s.cut.keep()
	for _, digit := range "0123456789abcdef" {
		if err := s.read(l, x, prefix+string(digit)); err != nil {
			return err
		}
	}
	return nil
}

// beginningWith returns a search for those entries whose entryUUID begins with some digits.
func beginningWith(request *wire.SearchRequest, prefix string) *wire.SearchRequest {
	bound := func(kind wire.FilterKind, digit string) *wire.Filter {
		digits := prefix + strings.Repeat(digit, 32-len(prefix))
		uuid := strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
		return &wire.Filter{Kind: kind, Attribute: attributeEntryUUID, Value: uuid}
	}
	part := *request
	part.Filter = wire.And(request.Filter, bound(wire.FilterGreaterOrEqual, "0"), bound(wire.FilterLessOrEqual, "f"))
	return &part
}
