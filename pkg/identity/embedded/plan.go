package embedded

import (
	"bytes"
	"encoding/binary"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// source yields the ids of entries that may match a search. It may yield others, but it leaves none out.
type source interface {
	// next appends to ids, in ascending order, at most n ids greater than after, beginning with the smallest.
	next(tx *bolt.Tx, after uint64, n int, ids []uint64) []uint64
	// count returns how many ids there are, but counts no further than limit.
	count(tx *bolt.Tx, limit int) int
}

// postings are the ids at the end of all keys of a bucket that begin with a prefix.
type postings struct {
	bucket []byte
	prefix []byte
}

func (p postings) next(tx *bolt.Tx, after uint64, n int, ids []uint64) []uint64 {
	bucket := tx.Bucket(p.bucket)
	if bucket == nil || after == 1<<64-1 {
		return ids
	}
	cursor := bucket.Cursor()
	start := appendID(slices.Clip(p.prefix), after+1)
	for key, _ := cursor.Seek(start); n > 0 && isPosting(key, p.prefix); key, _ = cursor.Next() {
		ids = append(ids, lastID(key))
		n--
	}
	return ids
}

func (p postings) count(tx *bolt.Tx, limit int) int {
	cursor := tx.Bucket(p.bucket).Cursor()
	n := 0
	for key, _ := cursor.Seek(p.prefix); n < limit && isPosting(key, p.prefix); key, _ = cursor.Next() {
		n++
	}
	return n
}

func isPosting(key, prefix []byte) bool {
	return len(key) == len(prefix)+idSize && bytes.HasPrefix(key, prefix)
}

// everything is the ids of all entries.
type everything struct{}

func (everything) next(tx *bolt.Tx, after uint64, n int, ids []uint64) []uint64 {
	return postings{bucket: bucketEntries}.next(tx, after, n, ids)
}

func (everything) count(tx *bolt.Tx, limit int) int {
	return postings{bucket: bucketEntries}.count(tx, limit)
}

// fixed is a list of ids in ascending order.
type fixed []uint64

func (f fixed) next(_ *bolt.Tx, after uint64, n int, ids []uint64) []uint64 {
	i, found := slices.BinarySearch(f, after)
	if found {
		i++
	}
	return append(ids, f[i:min(i+n, len(f))]...)
}

func (f fixed) count(_ *bolt.Tx, limit int) int { return min(len(f), limit) }

// union is the ids of several sources, each once.
type union []source

func (u union) next(tx *bolt.Tx, after uint64, n int, ids []uint64) []uint64 {
	start := len(ids)
	for _, part := range u {
		ids = part.next(tx, after, n, ids)
	}
	found := ids[start:]
	slices.Sort(found)
	found = slices.Compact(found)
	return ids[:start+min(n, len(found))]
}

func (u union) count(tx *bolt.Tx, limit int) int {
	n := 0
	for _, part := range u {
		if n += part.count(tx, limit-n); n >= limit {
			return limit
		}
	}
	return n
}

// span is the ids of all keys of a bucket between two bounds. The ids do not ascend with the keys; they are
// collected and sorted when the first of them is wanted, eight bytes for each.
type span struct {
	bucket []byte
	from   []byte
	to     []byte // the first key beyond the span; nil is the end of the bucket
	// valued says that the ids are the values of the bucket and not the ends of its keys.
	valued    bool
	collected fixed
	ready     bool
}

func (s *span) each(tx *bolt.Tx, visit func(id uint64) bool) {
	cursor := tx.Bucket(s.bucket).Cursor()
	for key, value := cursor.Seek(s.from); key != nil && (s.to == nil || bytes.Compare(key, s.to) < 0); key, value = cursor.Next() {
		id := value
		if !s.valued {
			id = key[len(key)-idSize:]
		}
		if !visit(binary.BigEndian.Uint64(id)) {
			return
		}
	}
}

func (s *span) next(tx *bolt.Tx, after uint64, n int, ids []uint64) []uint64 {
	if !s.ready {
		s.each(tx, func(id uint64) bool {
			s.collected = append(s.collected, id)
			return true
		})
		slices.Sort(s.collected)
		s.collected, s.ready = slices.Compact(s.collected), true
	}
	return s.collected.next(tx, after, n, ids)
}

func (s *span) count(tx *bolt.Tx, limit int) int {
	n := 0
	if limit > 0 {
		s.each(tx, func(uint64) bool {
			n++
			return n < limit
		})
	}
	return n
}

// fewIDs is how many ids a source may have that is taken without a look at the others.
const fewIDs = 8

// cheapest returns the source with the fewest ids. A source with a few of them at most is taken at once, and its ids with it:
// most searches are look-ups. Otherwise all are counted up to a small number first, which is raised only if none is
// that small, so a good source costs a look at the others and no more.
func cheapest(tx *bolt.Tx, sources []source) source {
	for _, candidate := range sources {
		if ids, few := peek(tx, candidate); few {
			return ids
		}
	}
	const least, most = 1 << 4, 1 << 14
	for limit := least; limit <= most; limit *= 8 {
		best, fewest := source(nil), limit
		for _, candidate := range sources {
			if n := candidate.count(tx, limit); n < fewest {
				best, fewest = candidate, n
			}
		}
		if best != nil {
			return best
		}
	}
	return sources[0]
}

// peek returns the ids of a source if they are quickly found and few.
func peek(tx *bolt.Tx, s source) (ids fixed, few bool) {
	switch s := s.(type) {
	case fixed:
		ids = s
	case postings:
		ids = s.next(tx, 0, fewIDs+1, nil)
	case union:
		for _, part := range s {
			own, few := peek(tx, part)
			if !few {
				return nil, false
			}
			ids = append(ids, own...)
		}
		slices.Sort(ids)
		ids = slices.Compact(ids)
	default:
		return nil, false
	}
	return ids, len(ids) <= fewIDs
}

// noID is the id of no entry.
const noID = 0

// among returns those of a few ids that all sources have, as far as their indexes tell. An entry that one index leads to and
// another one rules out is then never read: that is quicker, and whoever may see the entries of one tenant alone cannot tell
// by the time that another tenant has such an entry. For the same reason it is asked for noID where there are no ids.
func (f fixed) among(tx *bolt.Tx, sources []source) fixed {
	if len(f) == 0 {
		return fixed{noID}.among(tx, sources)[:0]
	}
	return slices.DeleteFunc(slices.Clone(f), func(id uint64) bool {
		// The ids come from the first of them more often than not.
		for _, s := range slices.Backward(sources) {
			if rulesOut(tx, s, id) {
				return true
			}
		}
		return false
	})
}

// rulesOut reports whether a source is known not to have an id.
func rulesOut(tx *bolt.Tx, s source, id uint64) bool {
	switch s := s.(type) {
	case postings:
		return tx.Bucket(s.bucket).Get(appendID(slices.Clip(s.prefix), id)) == nil
	case union:
		return !slices.ContainsFunc(s, func(part source) bool { return !rulesOut(tx, part, id) })
	}
	return false
}

// sourceOf returns a source of all entries for which the condition may be true, or nil if no index helps. With schools, it
// yields the entries of these alone; nil asks for all entries.
func (c *condition) sourceOf(tx *bolt.Tx, schools []string) source {
	switch c.kind {
	case whenNever:
		return fixed(nil)
	case whenAll:
		return c.sourceOfAll(tx, schools)
	case whenAny:
		parts := make(union, 0, len(c.parts))
		for _, part := range c.parts {
			found := part.sourceOf(tx, schools)
			if found == nil {
				return nil
			}
			parts = append(parts, found)
		}
		return parts
	case whenEqual, whenAtLeast, whenAtMost, whenParts:
		if !c.inName {
			return c.sourceOfValues(tx, schools)
		}
	}
	return nil
}

// sourceOfAll returns the best source among the operands of an and. Object classes come last: nearly every filter
// names one, and nearly every entry has it.
func (c *condition) sourceOfAll(tx *bolt.Tx, schools []string) source {
	objectClass := directory.attribute(attributeObjectClass)
	for _, part := range c.parts {
		if own := part.schools(); schools == nil && own != nil {
			schools = own
		}
	}
	var sources, common []source
	for _, part := range c.parts {
		found := part.sourceOf(tx, schools)
		switch {
		case found == nil:
		case part.kind == whenEqual && slices.Contains(part.attributes, objectClass):
			common = append(common, found)
		default:
			sources = append(sources, found)
		}
	}
	all := slices.Concat(sources, common)
	if len(all) == 0 {
		return nil
	}
	best := cheapest(tx, all)
	if few, ok := best.(fixed); ok && len(sources) > 1 && len(few) <= fewIDs {
		return few.among(tx, sources)
	}
	return best
}

// sourceOfValues returns the source of a condition on the values of one attribute and its subtypes. Within schools no index
// is looked at that has candidates of other schools, but for unique values, of which there is one: see among.
func (c *condition) sourceOfValues(tx *bolt.Tx, schools []string) source {
	parts := make(union, 0, len(c.attributes))
	for _, a := range c.attributes {
		var found source
		if schools == nil || !a.indexed() || a.is(unique) || a.name == attributeMemberOfSchool {
			found = c.sourceOfAttribute(tx, a)
		} else if c.rule.belongsTo(a) && a.is(parted) {
			found = c.sourceWithin(a, schools)
		}
		if found == nil {
			return nil
		}
		parts = append(parts, found)
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return parts
}

func (c *condition) sourceOfAttribute(tx *bolt.Tx, a *attribute) source {
	switch {
	case !c.rule.belongsTo(a): // an extensible match by a rule that the index does not follow
		return nil
	case a.name == attributeEntryDN && c.kind == whenEqual:
		return found(findID(tx, c.value))
	case a.is(link) && c.kind == whenEqual:
		if target, exists := linkTarget(tx, c.value); exists {
			return postings{bucketBacklinks, linkPrefix(target, a)}
		}
		return fixed(nil)
	case !a.indexed():
		return nil
	}
	return c.sourceIn(indexBucket(a), nil)
}

// schools returns the schools that every entry for which the condition is true is in one of, or nil if it says nothing of
// schools.
func (c *condition) schools() []string {
	switch {
	case c.kind == whenEqual && len(c.attributes) == 1 && c.attributes[0].name == attributeMemberOfSchool && !c.inName:
		return []string{c.value}
	case c.kind == whenAny:
		var all []string
		for _, part := range c.parts {
			own := part.schools()
			if own == nil {
				return nil
			}
			all = append(all, own...)
		}
		return all
	}
	return nil
}

// sourceWithin is sourceOfAttribute for the entries of some schools, or nil if the index does not help.
func (c *condition) sourceWithin(a *attribute, schools []string) source {
	parts := make(union, 0, len(schools))
	for _, school := range schools {
		found := c.sourceIn(partBucket(a), valueKey(school))
		if found == nil {
			return nil
		}
		parts = append(parts, found)
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return parts
}

// sourceIn returns the source of a condition on the values in an index, behind what its keys begin with.
func (c *condition) sourceIn(bucket, head []byte) source {
	behind := func(key []byte) []byte { return slices.Concat(head, key) }
	end := after(head)
	if len(head) == 0 {
		end = nil
	}
	switch {
	case c.kind == whenEqual:
		return postings{bucket, behind(valueKey(c.value))}
	case c.kind == whenAtLeast:
		return &span{bucket: bucket, from: behind(prefixKey(c.value)), to: end}
	case c.kind == whenAtMost:
		return &span{bucket: bucket, from: head, to: after(behind(valueBound(c.value)))}
	case c.initial != "" && len(indexPrefix(c.initial)) > 0:
		prefix := behind(prefixKey(indexPrefix(c.initial)))
		return &span{bucket: bucket, from: prefix, to: after(prefix)}
	}
	return nil
}

// valueBound returns what the index keys of a value, or of the beginning of a long one, begin with. No key of a
// smaller value sorts behind the keys that begin so.
func valueBound(normalized string) []byte {
	if len(normalized) > longValue {
		return prefixKey(normalized)
	}
	return valueKey(normalized)
}

// found is the source of one entry, or of none if the id is 0.
func found(id uint64) source {
	if id == 0 {
		return fixed(nil)
	}
	return fixed{id}
}

// linkTarget returns the id that links to a normalised DN lead to. The empty DN is the reserved id 0.
func linkTarget(tx *bolt.Tx, key string) (uint64, bool) {
	if key == "" {
		return 0, true
	}
	id := findID(tx, key)
	return id, id != 0
}
