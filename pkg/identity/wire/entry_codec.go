package wire

// parseEntry decodes the content of a SearchResultEntry (RFC 4511, section 4.5.2).
func parseEntry(content string) (*Entry, error) {
	r := reader{content}
	dn, err := r.octets("a DN")
	if err != nil {
		return nil, err
	}
	list, err := r.take(tagSequence, "a sequence of attributes")
	if err != nil {
		return nil, err
	}
	attributes, err := parseAttributes(list, nil)
	if err != nil {
		return nil, err
	}
	return &Entry{DN: dn, Attributes: attributes}, nil
}

// parseAttributes decodes the attributes of an entry. It goes over them twice: once to count and check, once to fill
// two slices of the right size, one of attributes and one that all of their values share. Lists of a hundred
// thousand entries spend their time here. permit is asked in between whether there may be so many; nil permits every
// number.
func parseAttributes(content string, permit func(attributes, values int) error) ([]Attribute, error) {
	attributeCount, valueCount, err := countAttributes(content)
	if err != nil || attributeCount == 0 {
		return nil, err
	}
	if permit != nil {
		if err := permit(attributeCount, valueCount); err != nil {
			return nil, err
		}
	}
	attributes := make([]Attribute, attributeCount)
	values := make([]string, 0, valueCount)
	r := reader{content}
	for i := range attributes {
		_, attribute, _ := r.next()
		inner := reader{attribute}
		_, attributes[i].Type, _ = inner.next()
		_, set, _ := inner.next()
		first := len(values)
		for list := (reader{set}); !list.empty(); {
			_, value, _ := list.next()
			values = append(values, value)
		}
		if len(values) > first {
			attributes[i].Values = values[first:len(values):len(values)]
		}
	}
	return attributes, nil
}

// countAttributes counts the attributes and the values in a list of attributes. It returns an error unless every element
// of the list is what it should be.
func countAttributes(content string) (attributes, values int, err error) {
	for r := (reader{content}); !r.empty(); attributes++ {
		attribute, err := r.take(tagSequence, "an attribute")
		if err != nil {
			return 0, 0, err
		}
		inner := reader{attribute}
		if _, err = inner.octets("an attribute description"); err != nil {
			return 0, 0, err
		}
		set, err := inner.take(tagSet, "a set of values")
		if err != nil {
			return 0, 0, err
		}
		for list := (reader{set}); !list.empty(); values++ {
			if _, err = list.octets("a value"); err != nil {
				return 0, 0, err
			}
		}
	}
	return attributes, values, nil
}

// parseAttribute decodes the content of one attribute of a request.
func parseAttribute(content string, left *budget) (attribute Attribute, err error) {
	r := reader{content}
	if attribute.Type, err = r.octets("an attribute description"); err != nil {
		return Attribute{}, err
	}
	set, err := r.take(tagSet, "a set of values")
	if err != nil {
		return Attribute{}, err
	}
	attribute.Values, err = octetStrings(set, "a value", left.spend)
	return attribute, err
}

// appendEntry appends a SearchResultEntry without its message.
func appendEntry(dst []byte, entry *Entry) []byte {
	dst, start := open(dst, byte(TagSearchEntry))
	dst = appendString(dst, tagOctetString, entry.DN)
	dst = appendAttributes(dst, entry.Attributes)
	return closeAt(dst, start)
}

func appendAttributes(dst []byte, attributes []Attribute) []byte {
	dst, start := open(dst, tagSequence)
	for i := range attributes {
		dst = appendAttribute(dst, &attributes[i])
	}
	return closeAt(dst, start)
}

func appendAttribute(dst []byte, attribute *Attribute) []byte {
	dst, start := open(dst, tagSequence)
	dst = appendString(dst, tagOctetString, attribute.Type)
	dst = appendStrings(dst, tagSet, attribute.Values)
	return closeAt(dst, start)
}
