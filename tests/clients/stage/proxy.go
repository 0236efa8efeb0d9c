package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

// proxy speaks TLS and HTTP/1.1 or HTTP/2 with clients, and plain HTTP with the service.
type proxy struct {
	url    string
	server *http.Server
}

// startProxy puts a proxy in front of a service. Its certificate is from an authority made for this run, whose own
// certificate is written to a file.
func startProxy(ctx context.Context, service, authorityFile string) (*proxy, error) {
	target, err := url.Parse(service)
	if err != nil {
		return nil, err
	}
	certificate, err := certify(authorityFile)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler:           forwardTo(target),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}},
		ReadHeaderTimeout: 10 * time.Second,
	}
	// It returns when the server is closed; a proxy that fails before that shows in the client.
	go func() { _ = server.ServeTLS(listener, "", "") }()
	return &proxy{url: "https://" + listener.Addr().String(), server: server}, nil
}

func (p *proxy) stop() error { return p.server.Close() }

// forwardTo returns a handler that hands each request to the target unchanged and says how the client sees it.
func forwardTo(target *url.URL) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(request *httputil.ProxyRequest) {
		request.SetURL(target)
		request.SetXForwarded()
		// ReverseProxy takes out what it cannot parse; what to make of that is the service's business.
		request.Out.URL.RawQuery = request.In.URL.RawQuery
	}}
}

// certify makes an authority, writes its certificate to a file, and returns a certificate from it for 127.0.0.1. The
// authority's key is in memory only.
func certify(authorityFile string) (tls.Certificate, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	authority := certificateFor("Authority of the client tests")
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	encoded, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encoded})
	if err := os.WriteFile(authorityFile, block, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf := certificateFor("127.0.0.1")
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	encoded, err = x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), authorityKey)
	return tls.Certificate{Certificate: [][]byte{encoded}, PrivateKey: key}, err
}

// certificateFor returns what all certificates of a run have: a name, a serial number, and validity for the run.
func certificateFor(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
}
