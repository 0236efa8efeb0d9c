package identitytest

import (
	"crypto/rand"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
)

// serial makes the values of fixtures differ.
var serial atomic.Int64

// fixture returns a value for a property that is not the zero value, not the default and no other fixture's value as
// far as the type has that many. The property's row alone decides on it. It returns nil for a property that nobody
// can write.
func fixture(property *education.Property) any {
	n := serial.Add(1)
	if property.Access == education.ReadOnly {
		return nil
	}
	switch property.Type {
	case education.UUID:
		return newUUID()
	case education.Boolean:
		return true
	case education.DateTime:
		return time.Now().UTC().Truncate(time.Second).Add(48*time.Hour + time.Duration(n)*time.Second)
	case education.Identities:
		return []education.Identity{
			{Issuer: "https://idp.example.org", IssuerAssignedID: fmt.Sprint("id-", n)},
			{SignInType: "federated", Issuer: "https://other.example.org", IssuerAssignedID: fmt.Sprint("id-", n)},
		}
	case education.PasswordSecrets:
		return education.Password(fmt.Sprint("correct horse ", n))
	case education.String:
		return textFixture(property, n)
	}
	panic("identitytest: no fixture for properties of the type of " + property.Name)
}

// textFixture returns a string that passes the property's check.
func textFixture(property *education.Property, n int64) string {
	for _, tag := range strings.Split(property.Check, ",") {
		if tag == "email" {
			return fmt.Sprintf("somebody%d@example.org", n)
		}
		if choices, ok := strings.CutPrefix(tag, "oneofci="); ok {
			others := slices.DeleteFunc(strings.Fields(choices), func(choice string) bool { return choice == property.Default })
			return others[0]
		}
	}
	return fmt.Sprint(property.Name, n)
}

// newUUID returns a random UUID (RFC 9562, section 5.4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// longest returns the largest number of characters that a property takes, or most if its row says nothing.
func longest(property *education.Property, most int) int {
	for _, tag := range strings.Split(property.Check, ",") {
		if limit, ok := strings.CutPrefix(tag, "max="); ok {
			if n, err := strconv.Atoi(limit); err == nil {
				return min(n, most)
			}
		}
	}
	return most
}

// takesAnyText reports whether a property takes every text without control characters.
func takesAnyText(property *education.Property) bool {
	return property.Type == education.String && property.Access == education.ReadWrite &&
		!strings.Contains(property.Check, "email") && !strings.Contains(property.Check, "oneofci=")
}

// jsonOf returns a property's value as a body has it.
func jsonOf(value any) any {
	switch value := value.(type) {
	case time.Time:
		return value.Format(time.RFC3339)
	case education.Password:
		return fields{"password": string(value)}
	default:
		return value
	}
}

// sameValue compares two values of a property. The order of identities does not count: an LDAP attribute is a set.
func sameValue(a, b any) bool {
	left, isIdentities := a.([]education.Identity)
	right, both := b.([]education.Identity)
	if isIdentities && both {
		return reflect.DeepEqual(sorted(left), sorted(right))
	}
	return education.Equal(a, b)
}

func sorted(identities []education.Identity) []education.Identity {
	return slices.SortedFunc(slices.Values(identities), func(a, b education.Identity) int {
		return strings.Compare(a.String(), b.String())
	})
}

// workers is how many calls inParallel makes at the same time.
const workers = 100

// inParallel calls a function for the numbers below n, many at the same time, and returns what each call returned.
// All workers start together.
func inParallel(n int, call func(i int) error) []error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	var next atomic.Int64
	start := make(chan struct{})
	for range min(n, workers) {
		wait.Go(func() {
			<-start
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = call(i)
			}
		})
	}
	close(start)
	wait.Wait()
	return errs
}
