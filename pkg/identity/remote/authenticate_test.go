package remote_test

import "testing"

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	config := serveEmbedded(t)
	client := newClient(t, config)
	password, err := config.Password()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, dn, password string
		want               bool
	}{
		{"the account", config.BindDN, password, true},
		{"another password", config.BindDN, password + "x", false},
		{"no password", config.BindDN, "", false},
		{"no such entry", "uid=nobody," + usersDN, password, false},
		{"an entry without a password", usersDN, password, false},
	} {
		if got, err := client.Authenticate(t.Context(), test.dn, test.password); got != test.want || err != nil {
			t.Errorf("%s: got %t and error %v, want %t", test.name, got, err, test.want)
		}
	}
	if err := client.Ready(t.Context()); err != nil {
		t.Errorf("the client's own connections: %v", err)
	}
}
