package acceptance

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// exchangeRaw sends text as it is and returns the status line of the answer. It reads no further than that line.
func exchangeRaw(t testing.TB, connection net.Conn, text string) string {
	t.Helper()
	if _, err := io.WriteString(connection, text); err != nil {
		t.Fatal(err)
	}
	var line []byte
	for !bytes.HasSuffix(line, []byte("\n")) {
		next := make([]byte, 1)
		if _, err := io.ReadFull(connection, next); err != nil {
			t.Fatalf("after %q: %v", line, err)
		}
		line = append(line, next...)
	}
	return strings.TrimSpace(string(line))
}

// skipEmptyLine skips the empty line that ends an interim response.
func skipEmptyLine(connection net.Conn) io.Reader {
	reader := bufio.NewReader(connection)
	if next, err := reader.Peek(2); err == nil && string(next) == "\r\n" {
		_, _ = reader.Discard(2)
	}
	return reader
}

// awaitRefusal waits until the HTTP listener takes no connections any more.
func (s *server) awaitRefusal(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(stopPatience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		connection, err := net.Dial("tcp", s.http)
		if err != nil {
			return
		}
		_ = connection.Close()
	}
	t.Fatal("the service still takes connections")
}
