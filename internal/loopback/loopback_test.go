package loopback

import (
	"net"
	"testing"
)

// TestReserve holds that a port is given once, can be listened on again and again, and can be given again when it was
// released.
func TestReserve(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 200 {
		port, err := Reserve()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = port.Release() })
		if seen[port.Number()] || port.Number() < firstPort || port.Number() > lastPort {
			t.Fatalf("port %d, given before: %t", port.Number(), seen[port.Number()])
		}
		seen[port.Number()] = true
	}
}

func TestReservedPort(t *testing.T) {
	t.Parallel()
	port, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := reserve(port.Number()); err == nil {
		t.Errorf("port %d was given twice", again.Number())
	}
	for range 2 {
		listener, err := net.Listen("tcp", port.Address())
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
	}
	if err := port.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := reserve(port.Number())
	if err != nil {
		t.Fatalf("a port that was released: %v", err)
	}
	_ = again.Release()
}

// TestTakenPort holds that a port on which somebody listens is not given, and is not kept.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	port, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", port.Address())
	if err != nil {
		t.Fatal(err)
	}
	if err := port.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := reserve(port.Number()); err == nil {
		t.Errorf("port %d was given while somebody listens on it", port.Number())
	}
	_ = listener.Close()
	again, err := reserve(port.Number())
	if err != nil {
		t.Fatalf("a port that was free again: %v", err)
	}
	_ = again.Release()
}
