package remote

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// inUse returns the URI of the server in use.
func inUse(client *Client) string {
	in, err := client.keeper.use(context.Background())
	if err != nil {
		return ""
	}
	return in.server.uri
}

// TestFailover holds that reads go on at the next server when one goes, and come back when it has been there for a while.
func TestFailover(t *testing.T) {
	t.Parallel()
	first, second := newFake(t), newFake(t)
	client, log := clientOfFakes(t, first, second)
	wantList(t, client, 0)
	if got := inUse(client); got != first.uri {
		t.Fatalf("%s is in use, want the first", got)
	}
	for round := range 3 {
		first.stop()
		wantList(t, client, 0)
		if got := inUse(client); got != second.uri {
			t.Fatalf("round %d: %s is in use, want the second", round, got)
		}
		first.restart()
		eventually(t, "the first is in use again", func() bool { return inUse(client) == first.uri })
		wantList(t, client, 0)
	}
	for _, want := range []string{"LDAP server given up", "LDAP server in use", "back to the preferred LDAP server"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	if strings.Contains(log.String(), "no LDAP server can be used") {
		t.Errorf("the log says that no server can be used:\n%s", log)
	}
}

// TestFailoverFromSilence holds that a server which accepts connections and says nothing is left.
func TestFailoverFromSilence(t *testing.T) {
	t.Parallel()
	black, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { black.Close() })
	f := newFake(t)
	config, _ := fakeConfig(f)
	config.URIs = []string{"ldap://" + black.Addr().String(), f.uri}
	client := openFake(t, config, hasty)
	start := time.Now()
	wantList(t, client, 0)
	wantWithin(t, hasty.headStart, start)
	// A server that falls silent later is left after the first time-out, and the read is made at the next.
	other := newFake(t)
	client = impatientClient(t, f, other)
	wantList(t, client, 0)
	f.set(silent)
	f.mu.Lock()
	f.password = "another" // It does not come back.
	f.mu.Unlock()
	wantList(t, client, 0)
	if got := inUse(client); got != other.uri {
		t.Errorf("%s is in use", got)
	}
}

// TestSlownessIsNoFailure holds that a server which answers probes is not left because of one slow operation.
func TestSlownessIsNoFailure(t *testing.T) {
	t.Parallel()
	first, second := newFake(t), newFake(t)
	client := impatientClient(t, first, second)
	first.set(silent)
	if _, err := list(t.Context(), client); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	first.set(nil)
	if got := inUse(client); got != first.uri {
		t.Errorf("%s is in use", got)
	}
	wantList(t, client, 0)
}

// TestNoServer holds that requests fail at once while no server answers, and succeed soon after one does.
func TestNoServer(t *testing.T) {
	t.Parallel()
	first, second := newFake(t), newFake(t)
	config, log := fakeConfig(first, second)
	client := openFake(t, config, defaultTiming)
	first.stop()
	second.stop()
	var unavailable *UnavailableError
	fastest := patience
	for range 20 {
		start := time.Now()
		if _, err := list(t.Context(), client); !errors.As(err, &unavailable) || !isUnavailable(err) {
			t.Fatalf("got %v", err)
		}
		fastest = min(fastest, time.Since(start))
	}
	if fastest > defaultTiming.firstPause/2 {
		t.Errorf("no request failed in less than %v", fastest)
	}
	if len(unavailable.Causes) != 2 {
		t.Errorf("causes: %q", unavailable.Causes)
	}
	if err := client.Ready(t.Context()); err == nil {
		t.Error("ready without a server")
	}
	if _, err := client.Features(t.Context()); err == nil || client.IsPlain() {
		t.Error("features without a server")
	}
	second.restart()
	start := time.Now()
	eventually(t, "a server is in use", func() bool { return inUse(client) == second.uri })
	wantWithin(t, time.Second, start)
	if got := strings.Count(log.String(), `msg="no LDAP server can be used"`); got != 1 {
		t.Errorf("the log says %d times that there is no server:\n%s", got, log)
	}
}

// TestRefusedAccount holds that a wrong password is an error of the set-up: reported once, without a result that could
// be about an entry, and not tried at full speed.
func TestRefusedAccount(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	config, log := fakeConfig(f)
	var password atomic.Value
	password.Store("wrong")
	config.Password = func() (string, error) { return password.Load().(string), nil }
	client := openFake(t, config, hasty)
	start := time.Now()
	for range 5 {
		if _, err := list(t.Context(), client); !isUnavailable(err) {
			t.Fatalf("got %v", err)
		}
		time.Sleep(hasty.refusedPause / 2)
	}
	if got := strings.Count(log.String(), "the LDAP account is refused"); got != 1 {
		t.Errorf("the log says %d times that the account is refused:\n%s", got, log)
	}
	// One bind to choose a server, one to begin to wait for it, and one after each pause.
	if got, most := f.count(wire.TagBindRequest), 2+int(time.Since(start)/hasty.refusedPause); got > most {
		t.Errorf("%d binds, want at most %d", got, most)
	}
	password.Store("secret")
	eventually(t, "the right password counts", func() bool { return inUse(client) != "" })
	for _, text := range []string{"wrong", "secret"} {
		if strings.Contains(log.String(), text+`"`) {
			t.Errorf("the log holds the password:\n%s", log)
		}
	}
	password.Store("")
	f.closeIdle()
	if _, err := list(t.Context(), client); !isUnavailable(err) {
		t.Errorf("an empty password: %v", err)
	}
}

// TestFailBack holds when the client goes back to the preferred server: not while there are writes, and not before that
// server has everything.
func TestFailBack(t *testing.T) {
	t.Parallel()
	first, second := newFake(t), newFake(t)
	for _, f := range []*fakeServer{first, second} {
		f.put("o=fake", "objectClass", "organization", "contextCSN", "20260101000000.000000Z#000000#001#000000")
	}
	client, _ := clientOfFakes(t, first, second)
	wantList(t, client, 0)
	first.stop()
	wantList(t, client, 0)
	second.put("o=fake", "objectClass", "organization", "contextCSN", "20260101000001.000000Z#000000#001#000000")
	write := func(i int) {
		if _, err := client.Add(context.Background(), &wire.AddRequest{DN: userDN(i)}); err != nil {
			t.Error(err)
		}
	}
	write(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(hasty.failBackQuiet / 20):
				write(i)
			}
		}
	}()
	first.put("o=fake", "objectClass", "organization", "contextCSN", "20260101000001.000000Z#000000#001#000000")
	first.restart()
	time.Sleep(5 * hasty.failBackAfter)
	if got := inUse(client); got != second.uri {
		t.Errorf("%s is in use while the client writes", got)
	}
	first.put("o=fake", "objectClass", "organization", "contextCSN", "20260101000000.000000Z#000000#001#000000")
	close(stop)
	<-stopped
	time.Sleep(hasty.failBackQuiet + 5*hasty.failBackAfter)
	if got := inUse(client); got != second.uri {
		t.Errorf("%s is in use before it has caught up", got)
	}
	first.put("o=fake", "objectClass", "organization", "contextCSN", "20260101000001.000000Z#000000#001#000000")
	eventually(t, "the first is in use again", func() bool { return inUse(client) == first.uri })
}

// TestManyAtOnce has many readers and writers meet servers that come and go.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	first, second := newFake(t), newFake(t)
	client, _ := clientOfFakes(t, first, second)
	var wait sync.WaitGroup
	var failed, succeeded atomic.Int32
	stop := make(chan struct{})
	for range 8 {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				found, err := list(context.Background(), client)
				switch {
				case err == nil && len(found) == 1:
					succeeded.Add(1)
				case isUnavailable(err):
					failed.Add(1)
				default:
					t.Errorf("got %q, %v", found, err)
				}
			}
		})
	}
	for range 10 {
		first.stop()
		time.Sleep(10 * time.Millisecond)
		first.restart()
		second.closeIdle()
		time.Sleep(10 * time.Millisecond)
	}
	eventually(t, "a read succeeds", func() bool { return succeeded.Load() > 0 })
	close(stop)
	wait.Wait()
	t.Logf("%d reads succeeded, %d failed", succeeded.Load(), failed.Load())
}

// TestClose holds that a closed client leaves nothing behind and serves nobody. It does not run beside other tests.
func TestClose(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	f := newFake(t)
	config, _ := fakeConfig(f)
	for _, used := range []bool{true, false} {
		client, err := Open(config)
		if err != nil {
			t.Fatal(err)
		}
		if used {
			wantList(t, client, 0)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if _, err := list(t.Context(), client); !isUnavailable(err) {
			t.Errorf("a closed client: %v", err)
		}
	}
	f.stop()
	goleak.VerifyNone(t, ignore)
}

// TestSocket binds by SASL EXTERNAL on a Unix socket.
func TestSocket(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.password = "" // That of a SASL bind, to this server.
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	path := filepath.Join(folder, "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	f.running.Go(func() { f.serve(listener) })
	config, _ := fakeConfig()
	config.URIs, config.BindDN = []string{"ldapi://" + strings.ReplaceAll(path, "/", "%2F")}, ""
	client := openFake(t, config, hasty)
	wantList(t, client, 0)
	listener.Close()
}
