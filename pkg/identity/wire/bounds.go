package wire

// Bounds of what one request may hold. An element of two octets becomes a string or a struct many times its size, so
// what a client sends would otherwise be a fraction of what it costs, and it costs before anybody has looked at who the
// client is. A request beyond a bound is well-formed; it is answered with adminLimitExceeded. Responses have no such
// bounds, because they come from a server that the caller has chosen.
const (
	// MaxChanges bounds the changes of a Modify.
	MaxChanges = 1000
	// MaxAttributes bounds the attributes of an Add and the names in a selection of attributes.
	MaxAttributes = 1000
	// MaxSubstrings bounds the parts of one substrings filter.
	MaxSubstrings = 1000
	// MaxValues is the number of values that a request of any size may hold; a large one may hold one more for every
	// octetsPerValue octets.
	MaxValues = 1000
)

// octetsPerValue is less than the values of large requests take: an id of a member has 36 octets.
const octetsPerValue = 8

// budget is how many values the rest of a request may hold.
type budget int

func budgetFor(content string) budget { return budget(MaxValues + len(content)/octetsPerValue) }

// spend takes a number of values off the budget.
func (b *budget) spend(n int) error {
	if n > int(*b) {
		return Errorf(ResultAdminLimitExceeded, "the request has too many values for its size")
	}
	*b -= budget(n)
	return nil
}

// atMost refuses a request with more elements of a kind than its bound.
func atMost(bound, n int, elements string) error {
	if n > bound {
		return Errorf(ResultAdminLimitExceeded, "the request has more than %d %s", bound, elements)
	}
	return nil
}
