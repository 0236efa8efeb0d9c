// Package loopback keeps TCP ports free for servers of tests that end and come back at the same address.
//
// A port that a listener on port 0 was given is anybody's as soon as that listener is closed: the kernel gives it to the
// next listener, and to the next outgoing connection, of which tests have thousands.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Ports from firstPort to lastPort are looked through. They are below those that Linux gives away by itself
// (ip_local_port_range, from 32768 on), and systems that follow RFC 6335 section 6 (from 49152 on).
const (
	firstPort = 10000
	lastPort  = 32767
)

// maxTries is how many ports are tried before there is none.
const maxTries = 1000

// host is the address that all ports are of.
const host = "127.0.0.1"

// Port is a TCP port of loopback that nobody listens on, and that no other process which asks this package gets.
type Port struct {
	number int
	// held is the UDP port with the same number. It reserves the TCP port, also from other processes, and the kernel gives
	// it back however this process ends.
	held net.PacketConn
}

// Reserve returns a free port. It is reserved until Release, or until the process ends.
func Reserve() (*Port, error) {
	var failed error
	for range maxTries {
		port, err := reserve(firstPort + rand.IntN(lastPort-firstPort+1)) //nolint:gosec // It is no secret.
		if err == nil {
			return port, nil
		}
		failed = err
	}
	return nil, fmt.Errorf("no free port: %w", failed)
}

// reserve takes the port with the number, if it is free.
func reserve(number int) (*Port, error) {
	p := &Port{number: number}
	var config net.ListenConfig
	var err error
	if p.held, err = config.ListenPacket(context.Background(), "udp", p.Address()); err != nil {
		return nil, err
	}
	// Somebody who does not ask this package may have it.
	listener, err := config.Listen(context.Background(), "tcp", p.Address())
	if err != nil {
		return nil, errors.Join(err, p.Release())
	}
	return p, listener.Close()
}

// Number returns the port's number.
func (p *Port) Number() int { return p.number }

// Address returns the port's address as host:port.
func (p *Port) Address() string { return net.JoinHostPort(host, strconv.Itoa(p.number)) }

// Release gives the port back.
func (p *Port) Release() error { return p.held.Close() }

// Address reserves a free port until the end of the test, and returns its address as host:port.
func Address(t testing.TB) string {
	t.Helper()
	port, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Release() })
	return port.Address()
}
