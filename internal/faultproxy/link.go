package faultproxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// link is a connection of a client together with the one to the server that it stands for.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	once           sync.Once
	// ended is closed when the link ends.
	ended chan struct{}

	mu sync.Mutex
	// asked has the tags of the requests that are under way, by message id.
	asked map[int]wire.Tag
}

func newLink(p *Proxy, client, server net.Conn) *link {
	return &link{proxy: p, client: client, server: server, ended: make(chan struct{}), asked: make(map[int]wire.Tag)}
}

// run relays messages in both directions until the link ends.
func (l *link) run() {
	var both sync.WaitGroup
	both.Go(func() { l.pump(l.client, l.server, false) })
	both.Go(func() { l.pump(l.server, l.client, true) })
	both.Wait()
}

// end closes both connections, the client's in the given way.
func (l *link) end(how ending) {
	l.once.Do(func() {
		if socket, ok := l.client.(*net.TCPConn); ok && how == isReset {
			// Without a time to linger, an end is a reset (socket(7), SO_LINGER).
			_ = socket.SetLinger(0)
		}
		_ = l.client.Close()
		_ = l.server.Close()
		close(l.ended)
	})
}

// pump relays messages in one direction until the link ends, which it also brings about.
func (l *link) pump(from, to net.Conn, reply bool) {
	defer l.end(isCut)
	reader := bufio.NewReader(from)
	for {
		text, err := readMessage(reader)
		if err != nil {
			return
		}
		parsed, err := wire.ParseMessage(string(text))
		if err != nil {
			return
		}
		m := &Message{Message: parsed, Reply: reply}
		m.Request = l.requestOf(m)
		if !l.deliver(to, text, l.proxy.fate(m)) {
			return
		}
	}
}

// requestOf returns the tag of the request that a message is or answers.
func (l *link) requestOf(m *Message) wire.Tag {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !m.Reply {
		l.asked[m.ID] = m.Tag
		return m.Tag
	}
	request := l.asked[m.ID]
	if m.ends() {
		delete(l.asked, m.ID)
	}
	return request
}

// deliver lets a message meet its fate and reports whether the link goes on.
func (l *link) deliver(to net.Conn, text []byte, fate Fate) bool {
	if !l.pause(fate.wait) {
		return false
	}
	if fate.instead != "" {
		text = []byte(fate.instead)
	}
	switch {
	case fate.ending == isLost:
		return true
	case fate.ending != passes:
		l.end(fate.ending)
		return false
	case fate.pace == 0:
		_, err := to.Write(text)
		return err == nil
	}
	for i := range text {
		if !l.pause(fate.pace) {
			return false
		}
		if _, err := to.Write(text[i : i+1]); err != nil {
			return false
		}
	}
	return true
}

// pause waits. It reports false if the link ends meanwhile.
func (l *link) pause(wait time.Duration) bool {
	if wait == 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ended:
		return false
	}
}

// errNoLDAP is what readMessage fails with for octets that are no LDAP message.
var errNoLDAP = errors.New("no LDAP message")

// readMessage reads the octets of one message, a SEQUENCE in BER with a definite length (RFC 4511, section 5.1).
func readMessage(reader *bufio.Reader) ([]byte, error) {
	const sequence, longForm, maxLengthOctets = 0x30, 0x80, 4
	header, err := reader.Peek(2)
	if err != nil {
		return nil, err
	}
	if header[0] != sequence {
		return nil, errNoLDAP
	}
	size, length := len(header), int(header[1])
	if length >= longForm {
		octets := length - longForm
		if octets == 0 || octets > maxLengthOctets {
			return nil, errNoLDAP
		}
		size += octets
		if header, err = reader.Peek(size); err != nil {
			return nil, err
		}
		length = 0
		for _, octet := range header[2:] {
			length = length<<8 | int(octet)
		}
	}
	if length > wire.MaxMessageSize {
		return nil, errNoLDAP
	}
	text := make([]byte, size+length)
	_, err = io.ReadFull(reader, text)
	return text, err
}
