package embedded_test

import (
	"testing"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// BenchmarkServerSearch is one indexed search over a TCP connection, client and server together.
func BenchmarkServerSearch(b *testing.B) {
	f := newFront(b, nil)
	f.addUsers(b, 100)
	for name, search := range map[string]*wire.SearchRequest{
		"equality": {Base: contextDN, Scope: wire.ScopeSubtree, Filter: wire.And(wire.Equal("objectClass", "inetOrgPerson"), wire.Equal("uid", "user42"))},
		"base":     {Base: userDN(42), Filter: wire.Present("objectClass")},
	} {
		b.Run(name, func(b *testing.B) {
			raw := f.dialRawAdmin(b)
			var request []byte
			b.ReportAllocs()
			for b.Loop() {
				request = wire.AppendRequest(request[:0], 2, search)
				raw.write(b, request)
				if entries, _ := raw.answerMessage(b, 2); len(entries) != 1 {
					b.Fatalf("%d entries", len(entries))
				}
			}
		})
	}
}
