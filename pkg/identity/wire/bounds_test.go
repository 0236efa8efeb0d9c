package wire

import (
	"strings"
	"testing"
)

// hostileMessages are messages of about a size that are as much as possible of what costs more memory than octets.
func hostileMessages(size int) map[string]string {
	name := element(tagOctetString, "cn=a")
	many := func(part string) string { return strings.Repeat(part, size/len(part)) }
	search := func(filter, selection string) string {
		return element(byte(TagSearchRequest), name+"\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00"+filter+
			element(tagSequence, selection))
	}
	change := func(attribute string) string {
		return element(tagSequence, "\x0a\x01\x00"+element(tagSequence, attribute))
	}
	operations := map[string]string{
		"empty changes":           element(byte(TagModifyRequest), name+element(tagSequence, many("\x30\x00"))),
		"small changes":           element(byte(TagModifyRequest), name+element(tagSequence, many(change("\x04\x00\x31\x00")))),
		"empty values":            element(byte(TagModifyRequest), name+element(tagSequence, change("\x04\x00"+element(tagSet, many("\x04\x00"))))),
		"values of many changes":  element(byte(TagModifyRequest), name+element(tagSequence, many(change("\x04\x00"+element(tagSet, strings.Repeat("\x04\x00", 1000)))))),
		"attributes of an add":    element(byte(TagAddRequest), name+element(tagSequence, many(element(tagSequence, "\x04\x00\x31\x00")))),
		"values of an add":        element(byte(TagAddRequest), name+element(tagSequence, element(tagSequence, "\x04\x00"+element(tagSet, many("\x04\x00"))))),
		"selection of attributes": search("\x87\x00", many("\x04\x00")),
		"nodes of a filter":       search(element(0xa0, many("\x87\x00")), ""),
		"nested filter":           search(many("\xa2\x80"), ""),
		"substrings":              search(element(0xa4, "\x04\x00"+element(tagSequence, many("\x81\x01a"))), ""),
	}
	messages := map[string]string{}
	for name, operation := range operations {
		messages[name] = element(tagSequence, "\x02\x01\x01"+operation)
	}
	selection := PostReadRequest(make([]string, size/2))
	messages["post-read"] = string(AppendRequest(nil, 1, &ModifyRequest{}, selection))
	return messages
}

// TestDecodingTakesLittleMemory is not parallel, because it measures what the process allocates. What is allocated is
// bounded by a small multiple of the size and by what the fixed bounds let through.
func TestDecodingTakesLittleMemory(t *testing.T) { //nolint:paralleltest // See above.
	const fixed, perOctet = 2 << 20, 10
	for _, size := range []int{64 << 10, 1 << 20, 8 << 20} {
		for name, message := range hostileMessages(size) {
			got := allocated(func() { decode([]byte(message)) })
			if want := uint64(fixed + perOctet*len(message)); got > want {
				t.Errorf("%s of %d octets: %d octets allocated, want at most %d", name, len(message), got, want)
			}
		}
	}
}

func TestBoundsOfRequests(t *testing.T) {
	t.Parallel()
	values := func(n, length int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = strings.Repeat("x", length)
		}
		return list
	}
	changes := func(n int) []Change {
		list := make([]Change, n)
		for i := range list {
			list[i] = Change{Operation: ChangeReplace, Attribute: Attribute{Type: "cn"}}
		}
		return list
	}
	attributes := func(n int) []Attribute { return make([]Attribute, n) }
	parts := func(n int) *Filter { return &Filter{Kind: FilterSubstrings, Attribute: "cn", Any: values(n, 1)} }
	search := func(filter *Filter, selection []string) *SearchRequest {
		return &SearchRequest{Filter: filter, Attributes: selection}
	}
	tests := []struct {
		name    string
		request Request
		refused bool
	}{
		{"changes", &ModifyRequest{Changes: changes(MaxChanges)}, false},
		{"too many changes", &ModifyRequest{Changes: changes(MaxChanges + 1)}, true},
		{"attributes", &AddRequest{Attributes: attributes(MaxAttributes)}, false},
		{"too many attributes", &AddRequest{Attributes: attributes(MaxAttributes + 1)}, true},
		{"selection", search(Present("cn"), values(MaxAttributes, 1)), false},
		{"too large a selection", search(Present("cn"), values(MaxAttributes+1, 1)), true},
		{"post-read", &AddRequest{PostRead: values(MaxAttributes, 1)}, false},
		{"too large a post-read", &AddRequest{PostRead: values(MaxAttributes+1, 1)}, true},
		{"substrings", search(parts(MaxSubstrings), nil), false},
		{"too many substrings", search(parts(MaxSubstrings+1), nil), true},
		{"few short values", &AddRequest{Attributes: []Attribute{{Type: "cn", Values: values(MaxValues, 0)}}}, false},
		{"many short values", &AddRequest{Attributes: []Attribute{{Type: "cn", Values: values(2*MaxValues, 0)}}}, true},
		{"many members", &AddRequest{Attributes: []Attribute{{Type: "member", Values: values(100_000, 80)}}}, false},
		{"short values of many changes", &ModifyRequest{Changes: []Change{
			{Attribute: Attribute{Values: values(MaxValues, 0)}}, {Attribute: Attribute{Values: values(MaxValues, 0)}},
		}}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, err := ParseMessage(string(AppendRequest(nil, 1, test.request)))
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.Request()
			code, _ := CodeOf(err)
			if got := code == ResultAdminLimitExceeded; got != test.refused || !got && err != nil {
				t.Errorf("got %v, want a refusal: %v", err, test.refused)
			}
		})
	}
}
