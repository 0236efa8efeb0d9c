package api

import (
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// AddressOf returns what an escaped path below the service root addresses, in any of OData's spellings. It is for those who
// look at a request without serving it, or before it is served: the path need not be one of a route.
func AddressOf(path string) education.Address {
	var address education.Address
	path, ok := canonical(path)
	if !ok {
		return address
	}
	segments := strings.Split(path[1:], "/")
	if last := len(segments) - 1; segments[last] == refSegment {
		address.Ref = true
		segments = segments[:last]
	}
	for _, set := range education.EntitySets {
		if len(segments) > 0 && set.Name == segments[0] {
			address.Set = set
		}
	}
	if address.Set == nil || len(segments) < 2 {
		return address
	}
	address.Key = keyIn(segments[1], address.Set)
	if len(segments) > 2 {
		address.Navigation = education.NavigationOf(address.Set, segments[2])
	}
	if address.Navigation != nil && len(segments) > 3 {
		address.Target = keyIn(segments[3], address.Navigation.Target)
	}
	return address
}

// keyIn returns the key that an escaped segment is, or the zero Key if it is none.
func keyIn(segment string, set *education.EntitySet) education.Key {
	if segment == countSegment {
		return education.Key{}
	}
	parsed, err := odata.ParseKey(segment)
	if err != nil {
		return education.Key{}
	}
	key, err := set.Key(parsed)
	if err != nil {
		return education.Key{}
	}
	return key
}
