// Package certfile keeps the certificate that a TLS listener shows in files, and takes up what is written into them
// while the listener serves.
package certfile

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// Files are the paths of PEM files.
type Files struct {
	// Cert holds the certificate, followed by those that lead to its authority, and Key its key.
	Cert, Key string
	// ClientCA holds the authorities that clients' certificates must come from. Empty means that clients need none.
	ClientCA string
}

// Certificate is what the files held when they were last good. It is safe for concurrent use.
type Certificate struct {
	files     Files
	protocols []string
	current   atomic.Pointer[pair]
}

// pair is a certificate with its key, ready for use.
type pair struct {
	leaf   *x509.Certificate
	config *tls.Config
	// digest is that of the files' content.
	digest [sha256.Size]byte
}

// Open reads the files. The protocols are those of ALPN (RFC 7301) that the listener speaks, the preferred one first;
// there may be none. An error names the file or, if certificate and key do not belong together, says so.
func Open(files Files, protocols ...string) (*Certificate, error) {
	c := &Certificate{files: files, protocols: protocols}
	content, err := c.files.read()
	if err != nil {
		return nil, err
	}
	first, err := c.parse(content)
	if err != nil {
		return nil, err
	}
	c.current.Store(first)
	return c, nil
}

// Config returns the TLS configuration of a listener, which shows to each new connection what the files last held.
// Connections that are there already go on with what they began with.
func (c *Certificate) Config() *tls.Config {
	config := c.current.Load().config.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load().config, nil }
	return config
}

// content is what the files hold.
type content struct{ cert, key, clientCA []byte }

func (f Files) read() (content, error) {
	var c content
	var err, failed error
	c.cert, failed = os.ReadFile(f.Cert)
	err = errors.Join(err, failed)
	c.key, failed = os.ReadFile(f.Key)
	err = errors.Join(err, failed)
	if f.ClientCA != "" {
		c.clientCA, failed = os.ReadFile(f.ClientCA)
		err = errors.Join(err, failed)
	}
	return c, err
}

// digest tells contents apart. Time stamps would not do: they can be coarser than two writes are apart, and some
// programs that copy files keep them.
func (c content) digest() [sha256.Size]byte {
	hash := sha256.New()
	for _, part := range [][]byte{c.cert, c.key, c.clientCA} {
		_, _ = fmt.Fprintf(hash, "%d:", len(part))
		_, _ = hash.Write(part)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// parse makes a pair out of what the files hold.
func (c *Certificate) parse(content content) (*pair, error) {
	certificate, err := tls.X509KeyPair(content.cert, content.key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", c.files.Cert, c.files.Key, err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: c.protocols, MinVersion: tls.VersionTLS12}
	if c.files.ClientCA != "" {
		config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !config.ClientCAs.AppendCertsFromPEM(content.clientCA) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", c.files.ClientCA)
		}
		// A session that is resumed is not verified anew, and would outlive the authority that vouched for it.
		config.SessionTicketsDisabled = true
	}
	return &pair{leaf: certificate.Leaf, config: config, digest: content.digest()}, nil
}
