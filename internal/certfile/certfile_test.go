package certfile

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// issued is a certificate with its key.
type issued struct {
	leaf      *x509.Certificate
	private   *ecdsa.PrivateKey
	cert, key []byte
}

// issue makes a certificate for 127.0.0.1 that ends at a time, by an authority or, without one, by itself.
func issue(t *testing.T, name string, authority *issued, ends time.Time) *issued {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: ends.AddDate(-2, 0, 0), NotAfter: ends,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: authority == nil, BasicConstraintsValid: true,
	}
	parent, signer := template, private
	if authority != nil {
		parent, signer = authority.leaf, authority.private
	}
	public, err := x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(public)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{
		leaf, private,
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// files puts a certificate into files of a new folder.
func files(t *testing.T, certificate *issued) Files {
	t.Helper()
	folder := t.TempDir()
	f := Files{Cert: filepath.Join(folder, "cert.pem"), Key: filepath.Join(folder, "key.pem")}
	write(t, f.Cert, certificate.cert)
	write(t, f.Key, certificate.key)
	return f
}

// dial makes a connection to a listener with the configuration over a pipe, and returns the client's end and the name
// that the server has shown. The server sends back what it receives.
func dial(t *testing.T, server *tls.Config, client *tls.Config) (*tls.Conn, string, error) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	go func() {
		connection := tls.Server(far, server)
		_, _ = io.Copy(connection, connection)
		far.Close()
	}()
	client = client.Clone()
	client.ServerName = "127.0.0.1"
	connection := tls.Client(near, client)
	if err := connection.Handshake(); err != nil {
		return nil, "", err
	}
	if err := echo(connection); err != nil { // With TLS 1.3 a client learns only now that its certificate is refused.
		return nil, "", err
	}
	return connection, connection.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

// echo sends a byte and waits until it is back. A pipe holds nothing, so it reads at the same time: the other end may
// have an alert to send first.
func echo(connection io.ReadWriter) error {
	go func() { _, _ = connection.Write([]byte("x")) }()
	_, err := io.ReadFull(connection, make([]byte, 1))
	return err
}

// trusting is the configuration of a client that trusts an authority.
func trusting(authority *issued) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(authority.leaf)
	return &tls.Config{RootCAs: roots}
}

// record is a log that is written and read at the same time.
type record struct {
	mutex sync.Mutex
	text  strings.Builder
}

func (r *record) Write(text []byte) (int, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.text.Write(text)
}

// take returns what has been written since it was last called.
func (r *record) take() string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	defer r.text.Reset()
	return r.text.String()
}

// watched runs Watch on files in a bubble of its own time, and hands a function to look at what it does. That one lets
// time pass, and returns what has been logged meanwhile.
func watched(t *testing.T, f Files, look func(c *Certificate, pass func(time.Duration) string)) {
	t.Helper()
	c, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	var log record
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Watch(ctx, slog.New(slog.NewTextHandler(&log, nil)), "http")
	}()
	look(c, func(d time.Duration) string {
		time.Sleep(d)
		synctest.Wait()
		return log.take()
	})
	stop()
	<-ended
}

func TestNewConnectionsSeeTheNewCertificate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		authority := issue(t, "authority", nil, time.Now().AddDate(1, 0, 0))
		f := files(t, issue(t, "first", authority, time.Now().AddDate(1, 0, 0)))
		watched(t, f, func(c *Certificate, pass func(time.Duration) string) {
			config, client := c.Config(), trusting(authority)
			running, name, err := dial(t, config, client)
			if err != nil || name != "first" {
				t.Fatalf("got %q, %v", name, err)
			}
			said := pass(time.Millisecond)
			if !strings.Contains(said, "CN=first") || !strings.Contains(said, "not_after=2001-01-01") || strings.Contains(said, "level=WARN") {
				t.Errorf("at the start the log says %q", said)
			}

			second := issue(t, "second", authority, time.Now().AddDate(1, 0, 0))
			write(t, f.Cert, second.cert)
			if said := pass(Interval); said != "" {
				t.Errorf("between the writes the log says %q", said)
			}
			write(t, f.Key, second.key)
			if said := pass(Interval); !strings.Contains(said, "CN=second") || strings.Contains(said, "level=WARN") {
				t.Errorf("after the writes the log says %q", said)
			}
			if _, name, err := dial(t, config, client); err != nil || name != "second" {
				t.Errorf("a new connection got %q, %v", name, err)
			}
			if err := echo(running); err != nil {
				t.Errorf("the connection that was there: %v", err)
			}
			if said := pass(time.Hour); said != "" {
				t.Errorf("without a change the log says %q", said)
			}
			running.Close()
		})
	})
}

func TestBrokenFilesLeaveTheCertificate(t *testing.T) {
	t.Parallel()
	other := func(t *testing.T) *issued { return issue(t, "other", nil, time.Now().AddDate(1, 0, 0)) }
	tests := map[string]func(t *testing.T, f Files) error{
		"the key of another": func(t *testing.T, f Files) error { return os.WriteFile(f.Key, other(t).key, 0o600) },
		"no key":             func(_ *testing.T, f Files) error { return os.Remove(f.Key) },
		"no certificate":     func(_ *testing.T, f Files) error { return os.Remove(f.Cert) },
		"an empty file":      func(_ *testing.T, f Files) error { return os.Truncate(f.Cert, 0) },
		"half a file":        func(_ *testing.T, f Files) error { return os.Truncate(f.Cert, 100) },
	}
	for name, destroy := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				first := issue(t, "first", nil, time.Now().AddDate(1, 0, 0))
				f := files(t, first)
				watched(t, f, func(c *Certificate, pass func(time.Duration) string) {
					pass(time.Millisecond)
					if err := destroy(t, f); err != nil {
						t.Fatal(err)
					}
					if said := pass(time.Minute); strings.Count(said, "\n") != 1 || !strings.Contains(said, "cannot be used") || !strings.Contains(said, filepath.Dir(f.Key)) {
						t.Errorf("the log says %q, want one line that names the file", said)
					}
					connection, name, err := dial(t, c.Config(), trusting(first))
					if err != nil || name != "first" {
						t.Fatalf("a new connection got %q, %v", name, err)
					}
					connection.Close()

					whole := other(t)
					write(t, f.Cert, whole.cert)
					write(t, f.Key, whole.key)
					if said := pass(time.Minute); strings.Count(said, "\n") != 1 || !strings.Contains(said, "CN=other") {
						t.Errorf("after the repair the log says %q", said)
					}
				})
			})
		})
	}
}

func TestExpiryIsWarnedOf(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	start := time.Now()
	f := files(t, issue(t, "first", nil, start.Add(32*day)))
	c, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	w := &watch{certificate: c, logger: slog.New(slog.NewTextHandler(&log, nil))}
	// looking returns what is logged when the files are looked at every hour.
	looking := func(from, to time.Duration) string {
		log.Reset()
		for at := from; at < to; at += time.Hour {
			w.look(t.Context(), start.Add(at))
		}
		return log.String()
	}
	if said := looking(0, day); strings.Contains(said, "level=WARN") {
		t.Errorf("a month before the end the log says %q", said)
	}
	if said := looking(day, 12*day); strings.Count(said, "expires soon") != 10 {
		t.Errorf("in the first ten days of the last month the log says %q", said)
	}
	if said := looking(33*day, 34*day); strings.Count(said, "has expired") != 1 {
		t.Errorf("after the end the log says %q", said)
	}
	soon := issue(t, "soon", nil, start.Add(40*day))
	write(t, f.Cert, soon.cert)
	write(t, f.Key, soon.key)
	if said := looking(34*day, 34*day+2*time.Hour); !strings.Contains(said, "CN=soon") || strings.Count(said, "expires soon") != 1 {
		t.Errorf("with a new certificate the log says %q", said)
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next := time.Now().AddDate(1, 0, 0)
		ours, theirs := issue(t, "ours", nil, next), issue(t, "theirs", nil, next)
		f := files(t, issue(t, "server", ours, next))
		f.ClientCA = filepath.Join(filepath.Dir(f.Cert), "ca.pem")
		write(t, f.ClientCA, ours.cert)
		with := func(certificate *issued) *tls.Config {
			config := trusting(ours)
			if certificate != nil {
				pair, err := tls.X509KeyPair(certificate.cert, certificate.key)
				if err != nil {
					t.Fatal(err)
				}
				// A client that chose by itself would show none that the server has not asked for.
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			return config
		}
		client, stranger := with(issue(t, "client", ours, next)), with(issue(t, "stranger", theirs, next))
		watched(t, f, func(c *Certificate, pass func(time.Duration) string) {
			server := c.Config()
			check := func(what string, config *tls.Config, want bool) {
				t.Helper()
				connection, _, err := dial(t, server, config)
				if (err == nil) != want {
					t.Errorf("%s: got %v, want it let in to be %t", what, err, want)
				}
				if err == nil {
					connection.Close()
				}
			}
			check("a certificate of the authority", client, true)
			check("a certificate of another", stranger, false)
			check("no certificate", with(nil), false)
			check("an expired certificate", with(issue(t, "late", ours, time.Now().AddDate(0, 0, -1))), false)
			write(t, f.ClientCA, theirs.cert)
			pass(Interval)
			check("a certificate of the new authority", stranger, true)
			check("a certificate of the former one, whose session is cached", client, false)
		})
	})
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := issue(t, "good", nil, time.Now().AddDate(1, 0, 0))
	f := files(t, good)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	write(t, empty, nil)
	tests := map[string]struct {
		files Files
		want  string
	}{
		"no such file":          {Files{Cert: f.Cert, Key: "/does/not/exist"}, "/does/not/exist"},
		"two files the same":    {Files{Cert: f.Cert, Key: f.Cert}, f.Cert},
		"no certificate in PEM": {Files{Cert: empty, Key: f.Key}, empty},
		"no authority":          {Files{Cert: f.Cert, Key: f.Key, ClientCA: empty}, empty},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c, err := Open(test.files); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v, want an error with %q", c, err, test.want)
			}
		})
	}
}

func TestOldVersionsOfTLS(t *testing.T) {
	t.Parallel()
	good := issue(t, "good", nil, time.Now().AddDate(1, 0, 0))
	c, err := Open(files(t, good), "h2", "http/1.1")
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		client := trusting(good)
		client.MinVersion, client.MaxVersion, client.NextProtos = version, version, []string{"http/1.1", "h2"}
		connection, _, err := dial(t, c.Config(), client)
		if (err == nil) != want {
			t.Errorf("%s: got %v, want it let in to be %t", tls.VersionName(version), err, want)
		}
		if err == nil {
			if got := connection.ConnectionState().NegotiatedProtocol; got != "h2" {
				t.Errorf("%s: got the protocol %q, want the one that the server prefers", tls.VersionName(version), got)
			}
			connection.Close()
		} else if errors.Is(err, io.EOF) {
			t.Errorf("%s: the connection ends without an alert", tls.VersionName(version))
		}
	}
}
