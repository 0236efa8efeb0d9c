package embedded

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

const benchPopulation = 10_000

// openBench opens a directory with 10,000 users in a school, of fourteen user attributes each.
func openBench(b *testing.B) *Store {
	b.Helper()
	s := openTest(b)
	mustAdd(b, s, schoolRequest(900_000))
	addConcurrently(b, benchPopulation, func(n int) error {
		_, err := s.Add(context.Background(), benchUser(n))
		return err
	})
	return s
}

func addConcurrently(b *testing.B, n int, add func(int) error) {
	b.Helper()
	var next atomic.Int64
	failures := make(chan error)
	const workers = 256
	for range workers {
		go func() {
			for {
				i := int(next.Add(1))
				if i > n {
					failures <- nil
					return
				}
				if err := add(i); err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	for range workers {
		if err := <-failures; err != nil {
			b.Fatal(err)
		}
	}
}

func benchUser(n int) *wire.AddRequest {
	return userRequest(n,
		attr("givenName", "Max"), attr("openCloudEducationExternalId", fmt.Sprint("ext-", n)), attr("openCloudUserType", "Member"),
		attr("userClass", "student"), attr("openCloudUserEnabled", "TRUE"), attr("openCloudMemberOfSchool", testID(900_000)),
	)
}

func BenchmarkAdd(b *testing.B) {
	s := openTest(b)
	mustAdd(b, s, schoolRequest(900_000))
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		mustAdd(b, s, benchUser(n))
	}
}

func BenchmarkAddParallel(b *testing.B) {
	s := openTest(b)
	mustAdd(b, s, schoolRequest(900_000))
	var next atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Add(context.Background(), benchUser(int(next.Add(1)))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkSearch(b *testing.B) {
	s := openBench(b)
	person := wire.Equal("objectClass", "openCloudEducationUser")
	for _, test := range []struct {
		name   string
		base   string
		scope  wire.Scope
		filter func(n int) *wire.Filter
		want   int
	}{
		{"ByID", userBase, wire.ScopeSubtree, func(n int) *wire.Filter { return wire.And(person, wire.Equal("openCloudUUID", testID(n))) }, 1},
		{"ByIDOrName", userBase, wire.ScopeSubtree, func(n int) *wire.Filter {
			return wire.And(person, wire.Or(wire.Equal("uid", testID(n)), wire.Equal("openCloudUUID", testID(n))))
		}, 1},
		{"List", userBase, wire.ScopeSubtree, func(int) *wire.Filter { return person }, benchPopulation},
		{"ListOfSchool", userBase, wire.ScopeSubtree, func(int) *wire.Filter {
			return wire.And(person, wire.Equal("openCloudMemberOfSchool", testID(900_000)))
		}, benchPopulation},
		{"Scan", userBase, wire.ScopeSubtree, func(int) *wire.Filter { return sub("displayName", "", []string{"no such"}, "") }, 0},
	} {
		b.Run(test.name, func(b *testing.B) {
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				found := 0
				err := s.Search(context.Background(), &wire.SearchRequest{Base: test.base, Scope: test.scope, Filter: test.filter(n%benchPopulation + 1)},
					func(*wire.Entry) error { found++; return nil })
				if err != nil || found != test.want {
					b.Fatalf("%d entries, %v", found, err)
				}
			}
		})
	}
	b.Run("ReadByDN", func(b *testing.B) {
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			n++
			if read(b, s, userDN(n%benchPopulation+1)) == nil {
				b.Fatal("missing")
			}
		}
	})
}

// BenchmarkAddMember adds and deletes a member of a class of 5 and of one of 10,000.
func BenchmarkAddMember(b *testing.B) {
	s := openBench(b)
	for i, size := range []int{5, benchPopulation - 1} {
		var members []string
		for n := 1; n <= size; n++ {
			members = append(members, userDN(n))
		}
		mustAdd(b, s, classRequest(900_100+i, attr("member", members...)))
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for b.Loop() {
				mustModify(b, s, classDN(900_100+i), change(wire.ChangeAdd, "member", userDN(benchPopulation)))
				mustModify(b, s, classDN(900_100+i), change(wire.ChangeDelete, "member", userDN(benchPopulation)))
			}
		})
	}
}
