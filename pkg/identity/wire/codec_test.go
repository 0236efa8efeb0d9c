package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// read decodes the only message of data.
func read(t *testing.T, data []byte) Message {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(data))
	m, err := ReadMessage(r, MaxMessageSize)
	if err != nil {
		t.Fatalf("ReadMessage(%x): %v", data, err)
	}
	if _, err := ReadMessage(r, MaxMessageSize); !errors.Is(err, io.EOF) {
		t.Fatalf("error after the last message: %v, want EOF", err)
	}
	return m
}

func TestRequestsRoundTrip(t *testing.T) {
	t.Parallel()
	for name, want := range requestFixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, id := range []int{1, 127, 128, 255, 256, 1 << 16, maxInteger} {
				m := read(t, AppendRequest(nil, id, want, controlFixtures()...))
				got, err := m.Request()
				if err != nil {
					t.Fatal(err)
				}
				if m.ID != id {
					t.Errorf("id: got %d, want %d", m.ID, id)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("request differs (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(controlFixtures(), m.Controls[:len(controlFixtures())]); diff != "" {
					t.Errorf("controls differ (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestResponsesRoundTrip(t *testing.T) {
	t.Parallel()
	for name, want := range responseFixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := read(t, AppendResponse(nil, 200, want, controlFixtures()...))
			got, err := m.Response()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("response differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(controlFixtures(), m.Controls); diff != "" {
				t.Errorf("controls differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEntriesRoundTrip(t *testing.T) {
	t.Parallel()
	long := &Entry{DN: "cn=long", Attributes: []Attribute{
		{Type: "description", Values: []string{
			strings.Repeat("a", 127), strings.Repeat("b", 128), strings.Repeat("c", 255), strings.Repeat("d", 256),
			strings.Repeat("e", 65535), strings.Repeat("f", 65536), strings.Repeat("g", 2<<20), "",
		}},
		{Type: "typesOnly"},
	}}
	for name, want := range map[string]*Entry{"user": entryFixture(), "long": long, "empty": {DN: "cn=x"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := read(t, AppendEntry(nil, 3, want))
			got, err := m.Entry()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("entry differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEntryValuesDoNotShareTheirRoom(t *testing.T) {
	t.Parallel()
	m := read(t, AppendEntry(nil, 1, &Entry{DN: "cn=x", Attributes: []Attribute{
		{Type: "a", Values: []string{"1"}}, {Type: "b", Values: []string{"2"}},
	}}))
	entry, err := m.Entry()
	if err != nil {
		t.Fatal(err)
	}
	_ = append(entry.Attributes[0].Values, "overwritten")
	if got := entry.Value("b"); got != "2" {
		t.Errorf("appending to one attribute's values changed another's to %q", got)
	}
}

func TestReferencesRoundTrip(t *testing.T) {
	t.Parallel()
	want := &Reference{URIs: []string{"ldap://a/dc=eu", "ldap://b/dc=eu"}}
	m := read(t, AppendReference(nil, 3, want))
	got, err := m.Reference()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reference differs (-want +got):\n%s", diff)
	}
}

func TestPasswordModifyRoundTrip(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]*PasswordModifyRequest{
		"nothing": {},
		"all":     {UserIdentity: ptr("uid=max"), OldPassword: ptr("old"), NewPassword: ptr("new")},
		"new":     {NewPassword: ptr("new")},
		"empty":   {UserIdentity: ptr(""), NewPassword: ptr("")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePasswordModify(want.Extended())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("request differs (-want +got):\n%s", diff)
			}
		})
	}
	value := GeneratedPasswordValue("generated")
	got, err := ParseGeneratedPassword(&value)
	if err != nil || got == nil || *got != "generated" {
		t.Errorf("generated password: got %v, %v", got, err)
	}
	if got, err = ParseGeneratedPassword(nil); err != nil || got != nil {
		t.Errorf("no generated password: got %v, %v", got, err)
	}
}

func TestControlValues(t *testing.T) {
	t.Parallel()
	page := PagedResults{Size: 1000, Cookie: "\x00\xff"}
	control := page.Control(true)
	if got, err := ParsePagedResults(&control); err != nil || got != page {
		t.Errorf("paged results: got %+v, %v", got, err)
	}
	control = PostReadRequest([]string{"*", "+"})
	got, err := ParsePostReadRequest(&control)
	if diff := cmp.Diff([]string{"*", "+"}, got); err != nil || diff != "" {
		t.Errorf("post-read request: %v, %s", err, diff)
	}
	control = PostReadResponse(entryFixture())
	entry, err := ParsePostReadResponse(&control)
	if diff := cmp.Diff(entryFixture(), entry); err != nil || diff != "" {
		t.Errorf("post-read response: %v, %s", err, diff)
	}
}

func TestControlValuesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]*string{
		"absent": nil, "empty": ptr(""), "wrong type": ptr("\x04\x00"), "trailing": ptr("\x30\x00\x00"),
		"cut off": ptr("\x30\x05\x02\x01"), "negative": ptr("\x30\x05\x02\x01\xff\x04\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			control := &Control{OID: "1.2.3", Value: value}
			_, paged := ParsePagedResults(control)
			_, postRead := ParsePostReadResponse(control)
			for _, err := range []error{paged, postRead} {
				if code, ok := CodeOf(err); !ok || code != ResultProtocolError {
					t.Errorf("got %v, want a protocol error", err)
				}
			}
		})
	}
}

func TestNoticeOfDisconnection(t *testing.T) {
	t.Parallel()
	m := read(t, AppendNoticeOfDisconnection(nil, ResultUnavailable, "shutting down"))
	got, err := m.Response()
	if err != nil {
		t.Fatal(err)
	}
	want := &Response{
		Tag: TagExtendedResponse, Code: ResultUnavailable, Message: "shutting down", Name: ptr(NoticeOfDisconnection),
	}
	if diff := cmp.Diff(want, got); m.ID != 0 || diff != "" {
		t.Errorf("id %d, notice differs (-want +got):\n%s", m.ID, diff)
	}
}

func TestResponseErr(t *testing.T) {
	t.Parallel()
	result := &ResultError{Code: ResultNoSuchObject, MatchedDN: "dc=eu", Message: "gone"}
	for name, test := range map[string]struct {
		err, want error
		code      ResultCode
	}{
		"success": {nil, nil, ResultSuccess},
		"result":  {result, result, ResultNoSuchObject},
		"wrapped": {errors.Join(errors.New("outside"), result), result, ResultNoSuchObject},
		"foreign": {errors.New("disk full at /secret"), &ResultError{Code: ResultOther}, ResultOther},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := NewResponse(TagSearchDone, test.err)
			if response.Code != test.code {
				t.Errorf("code: got %d, want %d", response.Code, test.code)
			}
			if diff := cmp.Diff(test.want, response.Err()); diff != "" {
				t.Errorf("error differs (-want +got):\n%s", diff)
			}
		})
	}
	for _, code := range []ResultCode{ResultCompareFalse, ResultCompareTrue} {
		if err := (&Response{Code: code}).Err(); err != nil {
			t.Errorf("code %d is error %v", code, err)
		}
	}
}

func TestResponseTags(t *testing.T) {
	t.Parallel()
	for name, request := range requestFixtures() {
		m := read(t, AppendRequest(nil, 1, request))
		if !m.Tag.IsRequest() {
			t.Errorf("%s: tag %x is no request", name, m.Tag)
		}
		answer, answered := m.Tag.Response()
		if answered != (m.Tag != TagUnbindRequest && m.Tag != TagAbandonRequest) {
			t.Errorf("%s: answered is %v", name, answered)
		}
		if answered && !answer.endsOperation() {
			t.Errorf("%s: %x ends no operation", name, answer)
		}
	}
	if TagSearchEntry.IsRequest() {
		t.Error("an entry is a request")
	}
}

// element is a BER element for tests; its length is right.
func element(tag byte, content ...string) string {
	return string(appendString(nil, tag, strings.Join(content, "")))
}

func TestMalformedMessages(t *testing.T) {
	t.Parallel()
	id := "\x02\x01\x01"
	search := func(filter string) string {
		return element(0x30, id, element(0x63, "\x04\x00\x0a\x01\x02\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00", filter, "\x30\x00"))
	}
	for name, data := range map[string]string{
		"not a sequence":            "\x04\x03abc",
		"indefinite":                "\x30\x80\x00\x00",
		"length too long":           "\x30\x89\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"length above 2 GiB":        "\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff",
		"above the limit":           "\x30\x84\x40\x00\x00\x00",
		"empty":                     element(0x30),
		"no operation":              element(0x30, id),
		"id missing":                element(0x30, "\x04\x00\x42\x00"),
		"id negative":               element(0x30, "\x02\x01\x80\x42\x00"),
		"id empty":                  element(0x30, "\x02\x00\x42\x00"),
		"id above maxInt":           element(0x30, "\x02\x05\x00\x80\x00\x00\x00\x42\x00"),
		"id of nine octets":         element(0x30, "\x02\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01\x42\x00"),
		"operation beyond":          element(0x30, id, "\x42\x05"),
		"inner indefinite":          element(0x30, id, "\x63\x80\x00\x00"),
		"inner claims 1 GiB":        element(0x30, id, element(0x60, "\x02\x01\x03\x04\x84\x40\x00\x00\x00")),
		"high tag number":           element(0x30, id, "\x7f\x81\x00\x00"),
		"unknown operation":         element(0x30, id, "\x7e\x00"),
		"response":                  element(0x30, id, element(0x65, "\x0a\x01\x00\x04\x00\x04\x00")),
		"controls cut off":          element(0x30, id, "\x42\x00\xa0\x05\x30"),
		"control not a sequence":    element(0x30, id, "\x42\x00", element(0xa0, "\x04\x00")),
		"control without type":      element(0x30, id, "\x42\x00", element(0xa0, "\x30\x00")),
		"criticality of two":        element(0x30, id, "\x42\x00", element(0xa0, element(0x30, "\x04\x011\x01\x02\xff\xff"))),
		"too many controls":         element(0x30, id, "\x42\x00", element(0xa0, strings.Repeat("\x30\x02\x04\x00", maxControls+1))),
		"bind without credentials":  element(0x30, id, element(0x60, "\x02\x01\x03\x04\x00")),
		"bind simple constructed":   element(0x30, id, element(0x60, "\x02\x01\x03\x04\x00\xa0\x00")),
		"bind sasl primitive":       element(0x30, id, element(0x60, "\x02\x01\x03\x04\x00\x83\x00")),
		"bind universal choice":     element(0x30, id, element(0x60, "\x02\x01\x03\x04\x00\x04\x00")),
		"abandon without id":        element(0x30, id, "\x50\x00"),
		"extended without name":     element(0x30, id, element(0x77, "\x81\x00")),
		"filter missing":            search(""),
		"filter universal":          search("\x04\x00"),
		"filter of wrong form":      search("\x83\x00"),
		"present constructed":       search("\xa7\x00"),
		"not without operand":       search("\xa2\x00"),
		"not with two operands":     search("\xa2\x04\x87\x00\x87\x00"),
		"substrings without any":    search(element(0xa4, "\x04\x01a\x30\x00")),
		"substrings initial second": search(element(0xa4, "\x04\x01a", element(0x30, "\x81\x01a\x80\x01a"))),
		"substrings final first":    search(element(0xa4, "\x04\x01a", element(0x30, "\x82\x01a\x81\x01a"))),
		"extensible without value":  search(element(0xa9, "\x82\x01a")),
		"attribute of wrong type":   element(0x30, id, element(0x68, "\x04\x00", element(0x30, element(0x30, "\x04\x01a\x30\x00")))),
		"value of wrong type":       element(0x30, id, element(0x68, "\x04\x00", element(0x30, element(0x30, "\x04\x01a", element(0x31, "\x02\x00"))))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := ReadMessage(bufio.NewReader(strings.NewReader(data)), MaxMessageSize)
			if err == nil {
				_, err = m.Request()
			}
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, want an error that wraps ErrMalformed", err)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	search := func(scope string, filter string) string {
		return element(0x30, "\x02\x01\x07", element(0x63, "\x04\x00\x0a\x01", scope,
			"\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00", filter, "\x30\x00"))
	}
	nested := func(depth int) string {
		filter := "\x87\x01a"
		for range depth - 1 {
			filter = element(0xa2, filter)
		}
		return filter
	}
	for name, test := range map[string]struct {
		data string
		code ResultCode
	}{
		"scope":             {search("\x03", nested(1)), ResultProtocolError},
		"filter choice":     {search("\x00", "\xaa\x00"), ResultProtocolError},
		"filter depth":      {search("\x00", nested(MaxFilterDepth+1)), ResultAdminLimitExceeded},
		"filter very deep":  {search("\x00", nested(5000)), ResultAdminLimitExceeded},
		"filter nodes":      {search("\x00", element(0xa0, strings.Repeat("\x87\x00", MaxFilterNodes))), ResultAdminLimitExceeded},
		"filter many nodes": {search("\x00", element(0xa0, strings.Repeat(element(0xa1, strings.Repeat("\x87\x00", 99)), 101))), ResultAdminLimitExceeded},
		"empty substring":   {search("\x00", element(0xa4, "\x04\x01a", element(0x30, "\x80\x00"))), ResultProtocolError},
		"extensible of nothing": {
			search("\x00", element(0xa9, "\x83\x01a")), ResultProtocolError,
		},
		"change operation": {
			element(0x30, "\x02\x01\x07", element(0x66, "\x04\x00", element(0x30, element(0x30, "\x0a\x01\x03", element(0x30, "\x04\x01a\x31\x00"))))),
			ResultProtocolError,
		},
		"post-read value": {
			string(AppendRequest(nil, 7, &AddRequest{}, Control{OID: ControlPostRead})), ResultProtocolError,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := read(t, []byte(test.data))
			_, err := m.Request()
			if code, ok := CodeOf(err); !ok || code != test.code {
				t.Errorf("got %v, want result %d", err, test.code)
			}
			if m.ID != 7 {
				t.Errorf("id: got %d, want 7", m.ID)
			}
		})
	}
	m := read(t, []byte(search("\x00", nested(MaxFilterDepth))))
	if _, err := m.Request(); err != nil {
		t.Errorf("filter of the greatest depth: %v", err)
	}
}

func TestLenientReading(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"long form of a short length": "\x30\x84\x00\x00\x00\x08\x02\x04\x00\x00\x00\x01\x42\x00",
		"longest length":              "\x30\x88\x00\x00\x00\x00\x00\x00\x00\x05\x02\x01\x01\x42\x00",
		"unknown trailing component":  element(0x30, "\x02\x01\x01\x42\x00\x85\x01x"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := read(t, []byte(data))
			if _, err := m.Request(); err != nil || m.ID != 1 {
				t.Errorf("got id %d, %v", m.ID, err)
			}
		})
	}
	m := read(t, []byte(element(0x30, "\x02\x01\x01\x42\x00", element(0xa0, element(0x30, "\x04\x011\x01\x01\x01")))))
	if !m.Controls[0].Critical {
		t.Error("criticality 1 is not read as TRUE")
	}
}

func TestReadMessageStops(t *testing.T) {
	t.Parallel()
	whole := AppendRequest(nil, 1, searchFixture())
	for length := range whole {
		_, err := ReadMessage(bufio.NewReader(bytes.NewReader(whole[:length])), MaxMessageSize)
		want := io.ErrUnexpectedEOF
		if length == 0 {
			want = io.EOF
		}
		if !errors.Is(err, want) {
			t.Errorf("after %d octets: got %v, want %v", length, err, want)
		}
	}
	if _, err := ReadMessage(bufio.NewReader(bytes.NewReader(whole)), len(whole)); err != nil {
		t.Errorf("message of exactly the limit: %v", err)
	}
	if _, err := ReadMessage(bufio.NewReader(bytes.NewReader(whole)), len(whole)-1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("message above the limit: got %v, want ErrTooLarge", err)
	}
	if _, err := ParseMessage(string(whole) + "x"); !errors.Is(err, ErrMalformed) {
		t.Errorf("octets after the message: got %v, want ErrMalformed", err)
	}
}

func TestLargeMessageFromSmallBuffer(t *testing.T) {
	t.Parallel()
	want := &DeleteRequest{DN: strings.Repeat("x", 100_000)}
	data := append(AppendRequest(nil, 1, want), AppendRequest(nil, 2, &UnbindRequest{})...)
	r := bufio.NewReaderSize(bytes.NewReader(data), 16)
	m, err := ReadMessage(r, MaxMessageSize)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Request(); err != nil || !cmp.Equal(want, got.(*DeleteRequest)) {
		t.Errorf("request of 100,000 octets came out different, %v", err)
	}
	if m, err = ReadMessage(r, MaxMessageSize); err != nil || m.ID != 2 {
		t.Errorf("next message: id %d, %v", m.ID, err)
	}
}

// A length that announces a gigabyte costs nothing, neither on the outside nor nested.
func TestClaimedLengthAllocatesNothing(t *testing.T) {
	claims := map[string]string{
		"above the limit": "\x30\x84\x40\x00\x00\x00\x02\x01\x01",
		"nested":          element(0x30, "\x02\x01\x01", element(0x60, "\x02\x01\x03\x04\x84\x40\x00\x00\x00")),
		"cut off":         "\x30\x83\xff\xff\xf0\x02\x01\x01",
	}
	for name, data := range claims {
		t.Run(name, func(t *testing.T) {
			r := bufio.NewReader(nil)
			source := strings.NewReader("")
			result := testing.Benchmark(func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					source.Reset(data)
					r.Reset(source)
					m, err := ReadMessage(r, MaxMessageSize)
					if err == nil {
						_, err = m.Request()
					}
					if err == nil {
						b.Fatal("the message was accepted")
					}
				}
			})
			if got := result.AllocedBytesPerOp(); got > 512 {
				t.Errorf("%d octets were allocated for a packet of %d", got, len(data))
			}
		})
	}
}
