package wire

const (
	// MaxFilterDepth bounds how deep a decoded filter nests. A filter is decoded and evaluated by recursion.
	MaxFilterDepth = 64
	// MaxFilterNodes bounds the nodes of a decoded filter: an item of two octets becomes a struct many times its
	// size.
	MaxFilterNodes = 10_000
)

// The tags within the items of a filter (RFC 4511, section 4.5.1.7).
const (
	tagSubstringInitial = classContext + 0
	tagSubstringAny     = classContext | 1
	tagSubstringFinal   = classContext | 2
	tagMatchingRule     = classContext | 1
	tagMatchType        = classContext | 2
	tagMatchValue       = classContext | 3
	tagMatchDN          = classContext | 4
)

// filterReader decodes one filter and counts its nodes.
type filterReader struct {
	nodes int
}

// element decodes the next element of r. An error that wraps ErrMalformed says that the bytes are broken, a ResultError
// that the filter is well-formed but refused.
func (d *filterReader) element(r *reader, depth int) (*Filter, error) {
	tag, content, err := r.next()
	if err != nil {
		return nil, err
	}
	if d.nodes++; d.nodes > MaxFilterNodes {
		return nil, Errorf(ResultAdminLimitExceeded, "the filter has more than %d nodes", MaxFilterNodes)
	}
	if depth > MaxFilterDepth {
		return nil, Errorf(ResultAdminLimitExceeded, "the filter nests deeper than %d", MaxFilterDepth)
	}
	if tag&classMask != classContext {
		return nil, malformed("a filter")
	}
	kind := FilterKind(tag & tagNumberMask)
	if (tag&constructed != 0) != kind.constructed() {
		return nil, malformed("a filter of the right form")
	}
	f := &Filter{Kind: kind}
	inner := reader{content}
	switch kind {
	case FilterAnd, FilterOr, FilterNot:
		err = d.children(f, &inner, depth+1)
	case FilterEqual, FilterGreaterOrEqual, FilterLessOrEqual, FilterApprox:
		err = f.readAssertion(&inner)
	case FilterSubstrings:
		err = f.readSubstrings(&inner)
	case FilterPresent:
		f.Attribute = content
	case FilterExtensible:
		err = f.readExtensible(&inner)
	default:
		// A choice that is not known is a protocolError of its request (RFC 4511, section 4.5.1.7 with 4.1.1).
		err = Errorf(ResultProtocolError, "the filter has a choice that is not known")
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// constructed says which form the element of a kind has.
func (k FilterKind) constructed() bool { return k != FilterPresent }

func (d *filterReader) children(f *Filter, r *reader, depth int) error {
	n, err := r.count()
	if err != nil {
		return err
	}
	if f.Kind == FilterNot && n != 1 {
		return malformed("one operand of not")
	}
	if n > MaxFilterNodes-d.nodes {
		return Errorf(ResultAdminLimitExceeded, "the filter has more than %d nodes", MaxFilterNodes)
	}
	if n == 0 {
		return nil
	}
	f.Children = make([]*Filter, 0, n)
	for !r.empty() {
		child, err := d.element(r, depth)
		if err != nil {
			return err
		}
		f.Children = append(f.Children, child)
	}
	return nil
}

func (f *Filter) readAssertion(r *reader) (err error) {
	if f.Attribute, err = r.octets("an attribute description"); err != nil {
		return err
	}
	f.Value, err = r.octets("an assertion value")
	return err
}

func (f *Filter) readSubstrings(r *reader) (err error) {
	if f.Attribute, err = r.octets("an attribute description"); err != nil {
		return err
	}
	content, err := r.take(tagSequence, "a sequence of substrings")
	if err != nil {
		return err
	}
	parts := reader{content}
	n, err := parts.count()
	if err != nil {
		return err
	}
	if n == 0 {
		return malformed("at least one substring")
	}
	if err := atMost(MaxSubstrings, n, "substrings in a filter"); err != nil {
		return err
	}
	for i := range n {
		tag, part, err := parts.next()
		if err != nil {
			return err
		}
		if part == "" {
			return Errorf(ResultProtocolError, "the filter has an empty substring")
		}
		switch {
		case tag == tagSubstringInitial && i == 0:
			f.Initial = part
		case tag == tagSubstringFinal && i == n-1:
			f.Final = part
		case tag == tagSubstringAny:
			f.Any = append(f.Any, part)
		default:
			return malformed("substrings in their order")
		}
	}
	return nil
}

func (f *Filter) readExtensible(r *reader) error {
	rule, err := r.takeOptional(tagMatchingRule)
	if err != nil {
		return err
	}
	attribute, err := r.takeOptional(tagMatchType)
	if err != nil {
		return err
	}
	if f.Value, err = r.take(tagMatchValue, "an assertion value"); err != nil {
		return err
	}
	dn, err := r.takeOptional(tagMatchDN)
	if err != nil {
		return err
	}
	if dn != nil {
		if f.DNAttributes, err = parseBoolean(*dn, "dnAttributes"); err != nil {
			return err
		}
	}
	if rule != nil {
		f.Rule = *rule
	}
	if attribute != nil {
		f.Attribute = *attribute
	}
	if f.Rule == "" && f.Attribute == "" {
		return Errorf(ResultProtocolError, "an extensible match names neither a rule nor an attribute")
	}
	return nil
}

// appendFilter appends f. Filters are built by this program, so a node of unknown kind is a programmer's error and
// panics.
func appendFilter(dst []byte, f *Filter) []byte {
	tag := classContext | byte(f.Kind)
	if f.Kind == FilterPresent {
		return appendString(dst, tag, f.Attribute)
	}
	dst, start := open(dst, tag|constructed)
	switch f.Kind {
	case FilterAnd, FilterOr, FilterNot:
		for _, child := range f.Children {
			dst = appendFilter(dst, child)
		}
	case FilterEqual, FilterGreaterOrEqual, FilterLessOrEqual, FilterApprox:
		dst = appendString(dst, tagOctetString, f.Attribute)
		dst = appendString(dst, tagOctetString, f.Value)
	case FilterSubstrings:
		dst = appendSubstrings(dst, f)
	case FilterExtensible:
		dst = appendExtensible(dst, f)
	default:
		panic("wire: filter of unknown kind")
	}
	return closeAt(dst, start)
}

func appendSubstrings(dst []byte, f *Filter) []byte {
	dst = appendString(dst, tagOctetString, f.Attribute)
	dst, start := open(dst, tagSequence)
	if f.Initial != "" {
		dst = appendString(dst, tagSubstringInitial, f.Initial)
	}
	for _, part := range f.Any {
		dst = appendString(dst, tagSubstringAny, part)
	}
	if f.Final != "" {
		dst = appendString(dst, tagSubstringFinal, f.Final)
	}
	return closeAt(dst, start)
}

func appendExtensible(dst []byte, f *Filter) []byte {
	if f.Rule != "" {
		dst = appendString(dst, tagMatchingRule, f.Rule)
	}
	if f.Attribute != "" {
		dst = appendString(dst, tagMatchType, f.Attribute)
	}
	dst = appendString(dst, tagMatchValue, f.Value)
	if f.DNAttributes { // FALSE is the default and left out.
		dst = appendBoolean(dst, tagMatchDN, true)
	}
	return dst
}
