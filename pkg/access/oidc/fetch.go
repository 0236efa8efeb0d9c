package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	discovery "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	// maxAnswerBytes is the size of the longest answer of an issuer that is read, maxKeys that of its key set.
	maxAnswerBytes = 1 << 20
	maxKeys        = 64
	// maxCause is the length of what is told of an issuer's answer.
	maxCause = 300
)

// Reasons why an issuer's answer is of no use.
var (
	errNoPlace  = errors.New("its configuration does not say where its keys are")
	errTooLarge = fmt.Errorf("the answer is larger than %d KiB", maxAnswerBytes>>10)
)

// fetchKeys finds out where an issuer has its keys (OpenID Connect Discovery 1.0, section 4) and fetches those that can be
// used. An issuer that publishes none has none.
func fetchKeys(ctx context.Context, client *http.Client, issuer string) ([]jose.JSONWebKey, error) {
	provider, err := discovery.NewProvider(discovery.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, fmt.Errorf("its configuration: %.*s", maxCause, err)
	}
	var place struct {
		URL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&place); err != nil || place.URL == "" {
		return nil, errNoPlace
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place.URL, http.NoBody)
	if err != nil {
		return nil, errNoPlace
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return readKeys(response.Body)
}

// readKeys reads a JWK Set (RFC 7517, section 5) and leaves out keys that cannot be used, as that section wants it.
func readKeys(body io.Reader) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	switch err := json.NewDecoder(body).Decode(&set); {
	case errors.Is(err, errTooLarge):
		return nil, fmt.Errorf("its set of keys: %w", err)
	case err != nil || set.Keys == nil:
		return nil, errors.New("its answer is no set of keys")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("it has more than %d", maxKeys)
	}
	keys := []jose.JSONWebKey{}
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(text, &key) == nil && isUsable(key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// newClient returns a client for issuers' answers. It keeps no connection: minutes lie between two requests.
func newClient(authorities *x509.CertPool) *http.Client {
	return &http.Client{Transport: guarded{&http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		TLSClientConfig:   &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}}}
}

// guarded is a transport that goes to no place, not by a redirection either, from which keys could not be believed, and that
// takes an answer only if it is good and of a reasonable size.
type guarded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(request *http.Request) (*http.Response, error) {
	if !isSecure(request.URL) {
		return nil, errors.New("it is not https")
	}
	response, err := g.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode/100 != 3 {
		return nil, errors.Join(fmt.Errorf("the answer is %s", response.Status), response.Body.Close())
	}
	response.Body = bounded{http.MaxBytesReader(nil, response.Body, maxAnswerBytes)}
	return response, nil
}

// bounded is a body that a http.MaxBytesReader limits. That speaks of requests.
type bounded struct{ io.ReadCloser }

// Read implements io.Reader.
func (b bounded) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	var limit *http.MaxBytesError
	if errors.As(err, &limit) {
		err = errTooLarge
	}
	return n, err
}
