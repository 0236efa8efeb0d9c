package wire

import (
	"bufio"
	"bytes"
	"net"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// session lets a go-ldap client talk to a peer that answers with prepared bytes. It returns the first message that the client sent.
func session(t *testing.T, answer func(id int) []byte, call func(*ldap.Conn) error) Message {
	t.Helper()
	client, server := net.Pipe()
	conn := ldap.NewConn(client, false)
	conn.SetTimeout(5 * time.Second)
	conn.Start()
	received := make(chan Message, 1)
	go func() {
		defer func() { _ = server.Close() }()
		m, err := ReadMessage(bufio.NewReader(server), MaxMessageSize)
		if err != nil {
			t.Errorf("ReadMessage: %v", err)
		}
		received <- m
		_, _ = server.Write(answer(m.ID))
	}()
	if err := call(conn); err != nil {
		t.Errorf("go-ldap: %v", err)
	}
	_ = conn.Close()
	return <-received
}

// done answers with success.
func done(tag Tag) func(int) []byte {
	return func(id int) []byte { return AppendResponse(nil, id, &Response{Tag: tag}) }
}

func TestRequestsOfGoLDAP(t *testing.T) {
	t.Parallel()
	filter := filterFixture().String()
	for name, test := range map[string]struct {
		tag  Tag
		call func(*ldap.Conn) error
		want Request
	}{
		"bind": {
			TagBindResponse,
			func(c *ldap.Conn) error { return c.Bind("cn=admin", "s3cret") },
			&BindRequest{Version: 3, Name: "cn=admin", Password: "s3cret"},
		},
		"external bind": {
			TagBindResponse,
			func(c *ldap.Conn) error { return c.ExternalBind() },
			&BindRequest{Version: 3, Method: AuthSASL, Mechanism: "EXTERNAL", Credentials: ptr("")},
		},
		"search": {
			TagSearchDone,
			func(c *ldap.Conn) error {
				_, err := c.Search(ldap.NewSearchRequest("ou=users,dc=opencloud,dc=eu", ldap.ScopeWholeSubtree,
					ldap.NeverDerefAliases, 500, 30, true, filter, []string{"uid", "mail"}, nil))
				return err
			},
			searchFixture(),
		},
		"modify": {
			TagModifyResponse,
			func(c *ldap.Conn) error {
				m := ldap.NewModifyRequest("uid=max", nil)
				m.Add("mail", []string{"a", "b"})
				m.Delete("sn", []string{})
				m.Replace("cn", []string{"c"})
				return c.Modify(m)
			},
			&ModifyRequest{DN: "uid=max", Changes: []Change{
				{ChangeAdd, Attribute{"mail", []string{"a", "b"}}},
				{ChangeDelete, Attribute{Type: "sn"}},
				{ChangeReplace, Attribute{"cn", []string{"c"}}},
			}},
		},
		"add": {
			TagAddResponse,
			func(c *ldap.Conn) error {
				a := ldap.NewAddRequest("uid=max", nil)
				a.Attribute("cn", []string{"Max"})
				return c.Add(a)
			},
			&AddRequest{DN: "uid=max", Attributes: []Attribute{{"cn", []string{"Max"}}}},
		},
		"delete": {
			TagDeleteResponse,
			func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest("uid=max", nil)) },
			&DeleteRequest{DN: "uid=max"},
		},
		"move": {
			TagModifyDNResponse,
			func(c *ldap.Conn) error { return c.ModifyDN(ldap.NewModifyDNRequest("uid=max", "uid=m", true, "ou=x")) },
			&ModifyDNRequest{DN: "uid=max", NewRDN: "uid=m", DeleteOldRDN: true, NewSuperior: ptr("ou=x")},
		},
		"password modify": {
			TagExtendedResponse,
			func(c *ldap.Conn) error {
				_, err := c.PasswordModify(ldap.NewPasswordModifyRequest("uid=max", "old", "new"))
				return err
			},
			(&PasswordModifyRequest{UserIdentity: ptr("uid=max"), OldPassword: ptr("old"), NewPassword: ptr("new")}).Extended(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := session(t, done(test.tag), test.call)
			got, err := m.Request()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("request differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGoLDAPReadsOurAnswers(t *testing.T) {
	t.Parallel()
	want := entryFixture()
	answer := func(id int) []byte {
		data := AppendEntry(nil, id, want)
		data = AppendReference(data, id, &Reference{URIs: []string{"ldap://other/"}})
		return AppendResponse(data, id, &Response{Tag: TagSearchDone}, PagedResults{Cookie: "next"}.Control(false))
	}
	m := session(t, answer, func(c *ldap.Conn) error {
		result, err := c.Search(ldap.NewSearchRequest("", 0, 0, 0, 0, false, "(a=b)", nil,
			[]ldap.Control{ldap.NewControlPaging(77), ldap.NewControlManageDsaIT(true)}))
		if err != nil {
			return err
		}
		got := &Entry{DN: result.Entries[0].DN}
		for _, attribute := range result.Entries[0].Attributes {
			got.Attributes = append(got.Attributes, Attribute{attribute.Name, attribute.Values})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("entry differs (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"ldap://other/"}, result.Referrals); diff != "" {
			t.Errorf("references differ (-want +got):\n%s", diff)
		}
		paging, ok := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || string(paging.Cookie) != "next" {
			t.Errorf("paging control: got %v", result.Controls)
		}
		return nil
	})
	page, err := ParsePagedResults(FindControl(m.Controls, ControlPagedResults))
	if err != nil || page.Size != 77 || page.Cookie != "" {
		t.Errorf("paged results of go-ldap: got %+v, %v", page, err)
	}
	if dsa := FindControl(m.Controls, ControlManageDsaIT); dsa == nil || !dsa.Critical {
		t.Errorf("ManageDsaIT of go-ldap: got %+v", dsa)
	}
}

// Every message that is encoded here is BER that another decoder reads, and its encoder's shortest form is ours.
func TestEncodingAgreesWithASN1BER(t *testing.T) {
	t.Parallel()
	messages := map[string][]byte{
		"entry":  AppendEntry(nil, 128, entryFixture()),
		"notice": AppendNoticeOfDisconnection(nil, ResultProtocolError, "x"),
	}
	for name, request := range requestFixtures() {
		messages[name] = AppendRequest(nil, 300, request, controlFixtures()...)
	}
	for name, response := range responseFixtures() {
		messages["response "+name] = AppendResponse(nil, 70_000, response)
	}
	for name, data := range messages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			packet, err := ber.DecodePacketErr(data)
			if err != nil {
				t.Fatal(err)
			}
			if got := packet.Bytes(); !bytes.Equal(got, data) {
				t.Errorf("asn1-ber encodes\n%x, we\n%x", got, data)
			}
		})
	}
}

// filters generates filters whose text form is unambiguous.
func filters() *rapid.Generator[*Filter] {
	attribute := rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9-]{0,8}`)
	value := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	part := value.Filter(func(s string) bool { return s != "" })
	leaf := rapid.Custom(func(t *rapid.T) *Filter {
		f := &Filter{Attribute: attribute.Draw(t, "attribute")}
		f.Kind = rapid.SampledFrom([]FilterKind{
			FilterEqual, FilterGreaterOrEqual, FilterLessOrEqual, FilterApprox, FilterPresent, FilterSubstrings, FilterExtensible,
		}).Draw(t, "kind")
		switch f.Kind {
		case FilterPresent:
		case FilterSubstrings:
			f.Initial = value.Draw(t, "initial")
			f.Any = rapid.SliceOfN(part, 0, 3).Draw(t, "any")
			if len(f.Any) == 0 {
				f.Any = nil
			}
			f.Final = value.Draw(t, "final")
			if f.Initial == "" && f.Any == nil && f.Final == "" {
				f.Final = "x"
			}
		case FilterExtensible:
			f.Rule = rapid.SampledFrom([]string{"", "2.5.13.2", "caseExactMatch"}).Draw(t, "rule")
			f.DNAttributes = rapid.Bool().Draw(t, "dn")
			f.Value = value.Draw(t, "value")
		default:
			f.Value = value.Draw(t, "value")
		}
		return f
	})
	var tree func(depth int) *rapid.Generator[*Filter]
	tree = func(depth int) *rapid.Generator[*Filter] {
		if depth == 0 {
			return leaf
		}
		return rapid.OneOf(leaf, rapid.Custom(func(t *rapid.T) *Filter {
			children := rapid.SliceOfN(tree(depth-1), 1, 3).Draw(t, "children")
			switch rapid.SampledFrom([]FilterKind{FilterAnd, FilterOr, FilterNot}).Draw(t, "kind") {
			case FilterAnd:
				return And(children...)
			case FilterOr:
				return Or(children...)
			default:
				return Not(children[0])
			}
		}))
	}
	return tree(4)
}

// A filter's text compiles with go-ldap to the bytes that we encode, and both read back as the filter.
func TestFilterTextCompiles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := filters().Draw(t, "filter")
		packet, err := ldap.CompileFilter(want.String())
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		var d filterReader
		got, err := d.element(&reader{string(packet.Bytes())}, 1)
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s differs (-want +got):\n%s", want, diff)
		}
		got, err = d.element(&reader{string(appendFilter(nil, want))}, 1)
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s differs (-want +got):\n%s", want, diff)
		}
	})
}
