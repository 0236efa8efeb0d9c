package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestCurlLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		message startMessage
		want    string
	}{
		{
			"as it comes",
			startMessage{http: "127.0.0.1:9120", apiPath: "/graph/v1.0/education", token: credential{file: "data/token"}},
			`curl -H "Authorization: Bearer $(cat data/token)" http://127.0.0.1:9120/graph/v1.0/education/users`,
		},
		{
			"all interfaces",
			startMessage{http: "[::]:80", apiPath: "/v1.0/education", token: credential{file: "data/token"}},
			`curl -H "Authorization: Bearer $(cat data/token)" http://127.0.0.1:80/v1.0/education/users`,
		},
		{
			"IPv6",
			startMessage{http: "[::1]:80", apiPath: "/v1.0/education", token: credential{file: "data/token"}},
			`curl -H "Authorization: Bearer $(cat data/token)" http://[::1]:80/v1.0/education/users`,
		},
		{
			"a folder with a blank and a quote",
			startMessage{http: "127.0.0.1:80", apiPath: "/v1.0/education", token: credential{file: "my 'data/token"}},
			`curl -H "Authorization: Bearer $(cat 'my '\''data/token')" http://127.0.0.1:80/v1.0/education/users`,
		},
		{
			"a variable",
			startMessage{http: "127.0.0.1:80", apiPath: "/v1.0/education", token: credential{variable: "EDUCATION_TOKEN"}},
			`curl -H "Authorization: Bearer $EDUCATION_TOKEN" http://127.0.0.1:80/v1.0/education/users`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.message.curl(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestStartMessage(t *testing.T) {
	t.Parallel()
	message := startMessage{
		http: "127.0.0.1:9120", ldap: "127.0.0.1:10389", apiPath: "/graph/v1.0/education",
		token:    credential{tokens: []string{"s3cret"}, file: "data/token"},
		accounts: []account{{"cn=admin", "data/admin"}, {"cn=reader", "data/reader"}},
	}
	var text, log bytes.Buffer
	message.print(&text)
	message.announce(&log, slog.New(slog.NewJSONHandler(&log, nil)))
	for _, want := range []string{
		"http://127.0.0.1:9120/graph/v1.0/education\n", "ldap://127.0.0.1:10389\n", "cn=admin, password in data/admin\n",
		"cn=reader, password in data/reader\n", "  data/token\n"[1:], message.curl() + "\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the message lacks %q:\n%s", want, text.String())
		}
	}
	for _, want := range []string{`"msg":"listening"`, `"http":"127.0.0.1:9120"`, `"ldap":"127.0.0.1:10389"`, `"token_file":"data/token"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log line lacks %s: %s", want, log.String())
		}
	}
	if strings.Contains(text.String()+log.String(), "s3cret") {
		t.Error("the token is told")
	}
}
