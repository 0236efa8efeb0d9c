package embedded

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

func TestConcurrentAddsOfOneKey(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	tests := []struct {
		name    string
		request func(n int) *wire.AddRequest
		want    wire.ResultCode
	}{
		{"name", func(int) *wire.AddRequest { return userRequest(1) }, wire.ResultEntryAlreadyExists},
		{"unique key", func(n int) *wire.AddRequest {
			r := userRequest(1000 + n)
			r.Attributes[len(r.Attributes)-1] = attr("educationUniqueKey", "user/username/-/same", fmt.Sprint("own ", n))
			return r
		}, wire.ResultConstraintViolation},
		{"id", func(n int) *wire.AddRequest {
			r := userRequest(2000+n, attr("openCloudUUID", testID(999_999)))
			r.DN = fmt.Sprintf("uid=user%d,%s", 2000+n, userBase)
			return r
		}, wire.ResultConstraintViolation},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var won, lost atomic.Int32
			var group sync.WaitGroup
			for n := range 100 {
				group.Go(func() {
					_, err := s.Add(context.Background(), test.request(n))
					if err == nil {
						won.Add(1)
						return
					}
					lost.Add(1)
					requireCode(t, err, test.want)
				})
			}
			group.Wait()
			if won.Load() != 1 || lost.Load() != 99 {
				t.Errorf("%d won and %d lost, want 1 and 99", won.Load(), lost.Load())
			}
		})
	}
}

// TestRefusedWritesDisturbNobody sends good and bad writes together, so that they share transactions.
func TestRefusedWritesDisturbNobody(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	var group sync.WaitGroup
	for n := 1; n <= 200; n++ {
		group.Go(func() {
			request := userRequest(n)
			want := wire.ResultSuccess
			if n%3 == 0 {
				request = userRequest(n, attr("shoeSize", "42"))
				want = wire.ResultUndefinedAttributeType
			}
			_, err := s.Add(context.Background(), request)
			requireCode(t, err, want)
		})
	}
	group.Wait()
	if got, want := len(search(t, s, userBase, wire.Present("uid"))), 200-200/3; got != want {
		t.Errorf("%d users, want %d", got, want)
	}
}

// blockWriter keeps the writer busy until release is called.
func blockWriter(t *testing.T, s *Store) (release func()) {
	t.Helper()
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	go func() {
		_, _ = s.write(context.Background(), &operation{prepare: func(*bolt.Tx, moment) (*changes, error) {
			once.Do(func() { close(entered) })
			<-leave
			return nil, nil
		}})
	}()
	<-entered
	return func() { close(leave) }
}

func TestQueuedWritesHonourTheContext(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	release := blockWriter(t, s)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Add(ctx, userRequest(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Add: %v", err)
	}
	release()
	mustAdd(t, s, userRequest(2))
	if read(t, s, userDN(1)) != nil {
		t.Error("a write that was called off was carried out")
	}
}

func TestStartedWritesAreCarriedThrough(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	ctx, cancel := context.WithCancel(context.Background())
	_, err := s.write(ctx, &operation{prepare: func(*bolt.Tx, moment) (*changes, error) {
		cancel()
		time.Sleep(10 * time.Millisecond)
		c := &changes{}
		c.put(bucketMeta, metaProof, []byte("x"))
		return c, nil
	}})
	if err != nil {
		t.Errorf("a write that had begun: %v", err)
	}
}

func TestCloseFinishesQueuedWrites(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory.db")
	s := openTestAt(t, path)
	release := blockWriter(t, s)
	failures := make(chan error, 20)
	for n := range cap(failures) {
		go func() {
			_, err := s.Add(context.Background(), userRequest(n+1))
			failures <- err
		}()
	}
	for len(s.writer.queue) < cap(failures) {
		time.Sleep(time.Millisecond)
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	for range cap(failures) {
		if err := <-failures; err != nil {
			t.Errorf("queued write: %v", err)
		}
	}
	if got := len(search(t, openTestAt(t, path), userBase, wire.Present("uid"))); got != cap(failures) {
		t.Errorf("%d entries after reopening, want %d", got, cap(failures))
	}
}

// TestPanicsCostOneWrite sends writes that panic, before and while they change the file, among good ones.
func TestPanicsCostOneWrite(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	release := blockWriter(t, s)
	bad := []*operation{
		{prepare: func(*bolt.Tx, moment) (*changes, error) { panic("while it decides") }},
		{prepare: func(*bolt.Tx, moment) (*changes, error) {
			c := &changes{}
			c.put(bucketEntries, idKey(1), []byte("damage"))
			c.put([]byte("no such bucket"), idKey(1), nil)
			return c, nil
		}},
		{prepare: func(*bolt.Tx, moment) (*changes, error) {
			c := &changes{}
			c.put(bucketEntries, nil, []byte("an empty key is refused by the file"))
			return c, nil
		}},
		{
			prepare: func(*bolt.Tx, moment) (*changes, error) {
				c := &changes{}
				c.put(bucketEntries, idKey(1), []byte("damage"))
				return c, nil
			},
			finish: func(*bolt.Tx) (*wire.Entry, error) { panic("while it answers") },
		},
	}
	var group sync.WaitGroup
	for n := range 20 {
		group.Go(func() {
			if n%5 == 0 {
				if _, err := s.write(context.Background(), bad[n/5]); err == nil {
					t.Errorf("bad write %d succeeded", n/5)
				}
				return
			}
			if _, err := s.Add(context.Background(), userRequest(n)); err != nil {
				t.Errorf("good write beside bad ones: %v", err)
			}
		})
	}
	for len(s.writer.queue) < 20 {
		time.Sleep(time.Millisecond)
	}
	release()
	group.Wait()
	if got := len(search(t, s, userBase, wire.Present("uid"))); got != 16 {
		t.Errorf("%d entries, want 16", got)
	}
	requireSound(t, s)
}

// TestFullDisk lets the file grow no further, as a full disk does.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := openTest(t)
	mustAdd(t, s, userRequest(1))
	size := int64(0)
	_ = s.view(func(tx *bolt.Tx) error {
		size = tx.Size()
		return nil
	})
	s.db.MaxSize = int(size)
	s.db.AllocSize = 4096
	var failure error
	n := 2
	for ; failure == nil && n < 10_000; n++ {
		_, failure = s.Add(context.Background(), userRequest(n, attr("description", strings.Repeat("x", 20_000))))
	}
	requireCode(t, failure, wire.ResultUnavailable)
	s.proven.Store(0)
	if read(t, s, userDN(1)) == nil || read(t, s, userDN(n-2)) == nil || read(t, s, userDN(n-1)) != nil {
		t.Error("what was acknowledged and what is there differ")
	}
	requireSound(t, s)
	s.db.MaxSize = 0
	mustAdd(t, s, userRequest(n))
	if err := s.Ready(context.Background()); err != nil {
		t.Errorf("Ready once there is room again: %v", err)
	}
}

func TestStampsAscend(t *testing.T) {
	t.Parallel()
	w := &writer{last: time.Now().Add(time.Hour).UnixMicro()}
	previous := w.now()
	for range 1000 {
		next := w.now()
		if next.stamp <= previous.stamp || len(next.stamp) != len(previous.stamp) {
			t.Fatalf("%q follows %q", next.stamp, previous.stamp)
		}
		previous = next
	}
}
