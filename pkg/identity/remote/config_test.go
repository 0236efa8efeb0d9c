package remote

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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/internal/passwordhash"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

func TestEndpoints(t *testing.T) {
	t.Parallel()
	tests := []struct {
		uri  string
		want endpoint // Without its URI; empty for none.
	}{
		{"ldap://ldap.example.org", endpoint{network: "tcp", address: "ldap.example.org:389", host: "ldap.example.org"}},
		{"LDAP://ldap.example.org:1389/", endpoint{network: "tcp", address: "ldap.example.org:1389", host: "ldap.example.org"}},
		{"ldaps://[::1]", endpoint{network: "tcp", address: "[::1]:636", host: "::1", tls: true}},
		{"ldaps://ldap:1636", endpoint{network: "tcp", address: "ldap:1636", host: "ldap", tls: true}},
		{"ldapi:///", endpoint{network: "unix", address: defaultSocket, host: "localhost"}},
		{"ldapi://%2Frun%2Fslapd%2Fldapi", endpoint{network: "unix", address: "/run/slapd/ldapi", host: "localhost"}},
		{"ldapi://%2Frun%2Fslapd%2Fldapi/", endpoint{network: "unix", address: "/run/slapd/ldapi", host: "localhost"}},
		{"ldap.example.org", endpoint{}},
		{"ldap://", endpoint{}},
		{"http://ldap", endpoint{}},
		{"ldap://user@ldap", endpoint{}},
		{"ldap://ldap/dc=example", endpoint{}},
		{"ldap://ldap?uid", endpoint{}},
		{"ldap://ldap:port", endpoint{}},
		{"ldapi://run", endpoint{}},
		{"ldapi://%zz", endpoint{}},
	}
	for _, test := range tests {
		got, err := parseEndpoint(test.uri)
		if wanted := test.want != (endpoint{}); (err == nil) != wanted || (ParseURI(test.uri) == nil) != wanted {
			t.Errorf("%s: got %v", test.uri, err)
			continue
		}
		got.uri = ""
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(endpoint{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.uri, diff)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	password := func() (string, error) { return "secret", nil }
	notPEM := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		config Config
		want   []string
	}{
		{"sound", Config{URIs: []string{"ldap://a"}, BindDN: "cn=x", Password: password}, nil},
		{"a socket needs no account", Config{URIs: []string{"ldapi:///"}}, nil},
		{"no server", Config{}, []string{"no LDAP server is named"}},
		{"no servers", Config{URIs: []string{"a", "b"}, BindDN: "cn=x", Password: password}, []string{`"a" is not`, `"b" is not`}},
		{"no password", Config{URIs: []string{"ldap://a"}, BindDN: "cn=x"}, []string{"no password"}},
		{"no account", Config{URIs: []string{"ldaps://a"}}, []string{"ldaps://a needs an account"}},
		{"half a certificate", Config{URIs: []string{"ldapi:///"}, CertFile: "x"}, []string{"must be given together"}},
		{"no certificate", Config{URIs: []string{"ldapi:///"}, CertFile: notPEM, KeyFile: notPEM}, []string{"PEM"}},
		{"no authorities", Config{URIs: []string{"ldapi:///"}, CAFile: notPEM}, []string{"holds no certificate"}},
		{"no file", Config{URIs: []string{"ldapi:///"}, CAFile: "/does/not/exist"}, []string{"/does/not/exist"}},
		{"no hash", Config{URIs: []string{"ldapi:///"}, PasswordHash: "md5"}, []string{`"md5" is not a way`}},
	}
	for _, test := range tests {
		err := Check(test.config)
		if (err == nil) != (test.want == nil) {
			t.Errorf("%s: got %v", test.name, err)
		}
		for _, want := range test.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q in it", test.name, err, want)
			}
		}
		if _, opened := Open(test.config); test.want != nil && opened == nil {
			t.Errorf("%s: opened", test.name)
		}
	}
}

// certificates are files of an authority, and of a certificate and its key that it has made for 127.0.0.1.
type certificates struct{ ca, cert, key string }

func newCertificates(t *testing.T) certificates {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert := write("cert", "CERTIFICATE", der)
	return certificates{ca: cert, cert: cert, key: write("key", "PRIVATE KEY", keyDER)}
}

// serveTLS serves a fake from the first octet, or after StartTLS.
func (f *fakeServer) serveTLS(t *testing.T, files certificates, clients tls.ClientAuthType) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(files.cert, files.key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: clients})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	f.running.Go(func() { f.serve(listener) })
	return "ldaps://" + listener.Addr().String()
}

func TestTLS(t *testing.T) {
	t.Parallel()
	files, strangers := newCertificates(t), newCertificates(t)
	f := newFake(t)
	config, _ := fakeConfig()
	config.URIs = []string{f.serveTLS(t, files, tls.NoClientCert)}
	for _, test := range []struct {
		name     string
		ca       string
		insecure bool
		want     bool
	}{
		{"the right authority", files.ca, false, true},
		{"another authority", strangers.ca, false, false},
		{"the system's authorities", "", false, false},
		{"no verification", "", true, true},
	} {
		config.CAFile, config.Insecure = test.ca, test.insecure
		client := openFake(t, config, hasty)
		if _, err := list(t.Context(), client); (err == nil) != test.want {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
	// The certificate takes the place of an account.
	certified := newFake(t)
	certified.password = ""
	config.URIs = []string{certified.serveTLS(t, files, tls.RequireAnyClientCert)}
	config.CAFile, config.BindDN, config.Insecure = files.ca, "", false
	config.CertFile, config.KeyFile = files.cert, files.key
	wantList(t, openFake(t, config, hasty), 0)
}

// TestStartTLSRefused holds that nothing is sent in the clear when a server does not know StartTLS.
func TestStartTLSRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(answerWith(wire.ResultProtocolError))
	config, _ := fakeConfig(f)
	config.StartTLS = true
	client := openFake(t, config, hasty)
	if _, err := list(t.Context(), client); !isUnavailable(err) {
		t.Errorf("got %v", err)
	}
	if got := f.count(wire.TagBindRequest); got != 0 {
		t.Errorf("%d binds without TLS", got)
	}
}

func TestHashPassword(t *testing.T) {
	t.Parallel()
	const cleartext = "gehe im äöü"
	tests := []struct {
		how    PasswordHash
		vendor string
		want   string
	}{
		{HashAuto, "", "{SSHA}"},
		{HashAuto, "389 Project", ""},
		{HashSSHA, "389 Project", "{SSHA}"},
		{HashArgon2, "", "{ARGON2}"},
		{HashServer, "", ""},
	}
	for _, test := range tests {
		f := newFake(t)
		f.vendor = test.vendor
		config, _ := fakeConfig(f)
		config.PasswordHash = test.how
		client := openFake(t, config, hasty)
		got, err := client.HashPassword(t.Context(), cleartext)
		if err != nil {
			t.Errorf("%s: %v", test.how, err)
			continue
		}
		hash, isHash := passwordhash.Parse(got)
		if isHash != (test.want != "") || !strings.HasPrefix(got, test.want) || isHash && !hash.Matches(cleartext) || !isHash && got != cleartext {
			t.Errorf("%s for %q: got %q", test.how, test.vendor, got)
		}
		// Sent as it is, a password in the form of a hash would be taken for one.
		got, err = client.HashPassword(t.Context(), "{SSHA}abc")
		if hash, isHash := passwordhash.Parse(got); err != nil || !isHash || !hash.Matches("{SSHA}abc") {
			t.Errorf("%s: a password in the form of a hash: %q, %v", test.how, got, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := client.HashPassword(ended, cleartext); err == nil {
			t.Errorf("%s: a password for a request that has ended", test.how)
		}
	}
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client, _ := clientOfFakes(t, f)
	features, err := client.Features(t.Context())
	if err != nil || !features.Paging || !features.PostRead || !features.Assertion || features.PasswordModify || features.SchemaKnown {
		t.Errorf("got %+v, %v", features, err)
	}
	for dn, want := range map[string]string{"uid=1,OU=x, O=Fake": "o=fake", "o=other": "", "o=fake": "o=fake"} {
		if got := features.SuffixOf(dn); got != want {
			t.Errorf("suffix of %s: got %q", dn, got)
		}
	}
}
