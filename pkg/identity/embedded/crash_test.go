package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

const crashWriters = 8

// TestKilledWriter kills a process in the middle of concurrent writes, several times on the same file, and holds that
// everything it acknowledged is there and the file is sound.
func TestKilledWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory.db")
	acknowledged := map[string]string{} // DN to the last acknowledged display name; empty is deleted
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		killWriter(t, path, round, acknowledged)
		s, err := Open(Config{Path: path, Containers: testContainers})
		if err != nil {
			t.Fatal(err)
		}
		requireSound(t, s)
		for dn, want := range acknowledged {
			entry := read(t, s, dn)
			if want == "" && entry != nil {
				t.Errorf("round %d: %s was deleted and is there", round, dn)
			}
			if want != "" && (entry == nil || entry.Value("displayName") < want) {
				t.Errorf("round %d: the acknowledged state %q of %s is lost", round, want, dn)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) == 0 {
		t.Error("nothing was acknowledged")
	}
}

// killWriter runs TestWriterProcess in another process, notes what it acknowledges, and kills it.
func killWriter(t *testing.T, path string, round int, acknowledged map[string]string) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestWriterProcess$")
	command.Env = append(os.Environ(), "EMBEDDED_TEST_WRITER="+path, fmt.Sprintf("EMBEDDED_TEST_ROUND=%d", round))
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	var timer *time.Timer
	for lines.Scan() {
		if timer == nil { // the first acknowledgement
			timer = time.AfterFunc(time.Duration(100+rand.IntN(300))*time.Millisecond, func() { _ = command.Process.Kill() })
		}
		if dn, state, found := strings.Cut(lines.Text(), "\t"); found {
			acknowledged[dn] = state
		}
	}
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the writer ended by itself: %v", err)
	}
}

// TestWriterProcess is what TestKilledWriter runs in another process: it writes until it is killed, and prints each
// write once it is acknowledged.
func TestWriterProcess(t *testing.T) {
	path := os.Getenv("EMBEDDED_TEST_WRITER")
	if path == "" {
		t.Skip("runs in a process of its own")
	}
	s, err := Open(Config{Path: path, Containers: testContainers})
	if err != nil {
		t.Fatal(err)
	}
	var round int
	if _, err := fmt.Sscan(os.Getenv("EMBEDDED_TEST_ROUND"), &round); err != nil {
		t.Fatal(err)
	}
	failures := make(chan error)
	for writer := range crashWriters {
		go func() {
			for n := 0; ; n++ {
				if err := writeOnce(s, (round*crashWriters+writer)*100_000+n); err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	t.Fatal(<-failures)
}

// writeOnce adds a user and a class with it, changes the user, and deletes every other user. Before a write that
// changes what was acknowledged, nothing is acknowledged that it would take back.
func writeOnce(s *Store, n int) error {
	ctx := context.Background()
	if _, err := s.Add(ctx, userRequest(n, attr("description", strings.Repeat("x", n%5000+1)))); err != nil {
		return err
	}
	if n%2 == 1 {
		fmt.Printf("%s\tMax\n", userDN(n))
	}
	class := fmt.Sprintf("cn=class %d,%s", n, classBase)
	if _, err := s.Add(ctx, &wire.AddRequest{DN: class, Attributes: []wire.Attribute{attr("objectClass", "groupOfNames"), attr("member", userDN(n))}}); err != nil {
		return err
	}
	if n%2 == 0 {
		if err := s.Delete(ctx, &wire.DeleteRequest{DN: userDN(n)}); err != nil {
			return err
		}
		fmt.Printf("%s\t\n", userDN(n))
		return nil
	}
	_, err := s.Modify(ctx, &wire.ModifyRequest{DN: userDN(n), Changes: []wire.Change{
		change(wire.ChangeReplace, "displayName", "Moritz"), change(wire.ChangeReplace, "mail", "moritz@example.org"),
	}})
	if err == nil {
		fmt.Printf("%s\tMoritz\n", userDN(n))
	}
	return err
}
