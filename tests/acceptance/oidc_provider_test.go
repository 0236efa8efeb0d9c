package acceptance

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// oidcAudience is the name by which the providers of the tests know the service.
const oidcAudience = "https://education.example"

// identityProvider is an OpenID provider with clients that get access tokens for themselves (RFC 6749, section 4.4).
type identityProvider struct {
	*httptest.Server
	store *providerStore

	mutex sync.Mutex
	// down says that it breaks off every connection.
	down bool
	// asked is how many requests it has had.
	asked int
}

// providerStore is what the provider knows: the clients, each with the claims of its tokens, and the keys.
type providerStore struct {
	*storage.Storage

	mutex   sync.Mutex
	clients map[string]map[string]any
	// keys are those that are published. The last one signs.
	keys []providerKey
}

// clientSecret is that of every client.
const clientSecret = "client-secret"

// startIdentityProvider runs a provider until the test ends.
func startIdentityProvider(t testing.TB, clients map[string]map[string]any) *identityProvider {
	t.Helper()
	p := &identityProvider{store: &providerStore{clients: clients}}
	p.Server = httptest.NewUnstartedServer(nil)
	issuer := "http://" + p.Listener.Addr().String()
	p.store.Storage = storage.NewStorage(storage.NewUserStore(issuer))
	p.store.rotate()
	provider, err := op.NewProvider(&op.Config{AuthMethodPost: true}, p.store, op.StaticIssuer(issuer), op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mutex.Lock()
		p.asked++
		down := p.down
		p.mutex.Unlock()
		if down {
			panic(http.ErrAbortHandler)
		}
		provider.ServeHTTP(w, r)
	})
	p.Start()
	t.Cleanup(p.Close)
	return p
}

// setDown takes the provider off the network, or back.
func (p *identityProvider) setDown(down bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.down = down
}

// requests returns how many requests the provider has had.
func (p *identityProvider) requests() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.asked
}

// settings are those of a service that lets in the provider's tokens.
func (p *identityProvider) settings() []string {
	return []string{
		"EDUCATION_OIDC_ISSUER=" + p.URL, "EDUCATION_OIDC_AUDIENCE=" + oidcAudience,
		`EDUCATION_OIDC_TENANT_CLAIM=https://example\.org/tenant.schools`,
	}
}

// token gets a token as a client does, with the client's credentials.
func (p *identityProvider) token(t testing.TB, client string) string {
	t.Helper()
	response, err := http.PostForm(p.URL+"/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {clientSecret}, "scope": {"openid"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || strings.Count(answer.Token, ".") != 2 {
		t.Fatalf("the provider answers %s and no JWT (%v)", response.Status, err)
	}
	return answer.Token
}

// claimsFor returns the claims of a client for schools, by their keys, with a role.
func claimsFor(role string, schools ...string) map[string]any {
	return map[string]any{"roles": []string{role}, "https://example.org/tenant": map[string]any{"schools": schools}}
}

// providerKey is a key pair of the provider, which is op.SigningKey and, as publicKey, op.Key.
type providerKey struct {
	id   string
	pair *rsa.PrivateKey
}

func (k providerKey) ID() string                                  { return k.id }
func (k providerKey) Key() any                                    { return k.pair }
func (k providerKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

type publicKey struct{ providerKey }

func (k publicKey) Key() any                           { return k.pair.Public() }
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }

// rotate makes a new key, with which tokens are signed from now on.
func (s *providerStore) rotate() {
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.keys = append(s.keys, providerKey{id: uuid.NewString(), pair: pair})
}

// forget takes the oldest key back.
func (s *providerStore) forget() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.keys = s.keys[1:]
}

// current returns the key that signs.
func (s *providerStore) current() providerKey {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.keys[len(s.keys)-1]
}

func (s *providerStore) SigningKey(context.Context) (op.SigningKey, error) { return s.current(), nil }

func (s *providerStore) KeySet(context.Context) ([]op.Key, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var keys []op.Key
	for _, key := range s.keys {
		keys = append(keys, publicKey{key})
	}
	return keys, nil
}

// providerClient is the one client of the storage under another name, with tokens that are JWTs.
type providerClient struct {
	op.Client
	id string
}

func (c providerClient) GetID() string                       { return c.id }
func (c providerClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

func (s *providerStore) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	if s.clients[id] == nil || secret != clientSecret {
		return nil, errors.New("there is no such client")
	}
	client, err := s.Storage.ClientCredentials(ctx, "sid1", "verysecret")
	return providerClient{client, id}, err
}

func (s *providerStore) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{id, oidcAudience}, Scopes: slices.Clone(scopes)}, nil
}

func (s *providerStore) GetPrivateClaimsFromScopes(_ context.Context, _, client string, _ []string) (map[string]any, error) {
	return s.clients[client], nil
}
