package remote

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// TestSilence holds that an operation without an answer ends in time, by the client's own bound or by an earlier one of the
// caller's, and its connection with it.
func TestSilence(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	patient, _ := clientOfFakes(t, f)
	hurried := impatientClient(t, f)
	wantList(t, patient, 0)
	wantList(t, hurried, 0)
	inVain := map[net.Conn]bool{}
	f.set(func(s *fakeSession, _ wire.Message, _ wire.Request) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		inVain[s.conn] = true
		return true
	})
	operations := map[string]func(ctx context.Context, client *Client) error{
		"search": func(ctx context.Context, client *Client) error { _, err := list(ctx, client); return err },
		"add": func(ctx context.Context, client *Client) error {
			_, err := client.Add(ctx, &wire.AddRequest{DN: userDN(1)})
			return err
		},
		"delete": func(ctx context.Context, client *Client) error {
			return client.Delete(ctx, &wire.DeleteRequest{DN: userDN(1)})
		},
	}
	for name, operation := range operations {
		start := time.Now()
		if err := operation(t.Context(), hurried); !isUnavailable(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want the end of a deadline", name, err)
		}
		wantWithin(t, 4*impatient, start)
		ctx, cancel := context.WithTimeout(t.Context(), impatient/5)
		start = time.Now()
		if err := operation(ctx, patient); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s with a shorter deadline of its own: %v", name, err)
		}
		cancel()
		wantWithin(t, impatient/5, start)
	}
	eventually(t, "no connection on which something was asked in vain is open", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for conn := range inVain {
			if f.conns[conn] {
				return false
			}
		}
		return len(inVain) > 0
	})
	f.set(nil)
	wantList(t, patient, 0)
	wantList(t, hurried, 0)
}

// TestNobodyReads holds that a request ends in time that the server does not even read.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client := impatientClient(t, f)
	wantList(t, client, 0)
	release := make(chan struct{})
	f.set(func(*fakeSession, wire.Message, wire.Request) bool { <-release; return true })
	// The first request blocks the server; the second one does not fit into any buffer.
	client.config.PoolSize = 1
	start := time.Now()
	_, err := client.Add(t.Context(), &wire.AddRequest{DN: userDN(1), Attributes: []wire.Attribute{
		{Type: "description", Values: []string{strings.Repeat("x", 15<<20)}},
	}})
	if !isUnavailable(err) {
		t.Errorf("got %v", err)
	}
	wantWithin(t, 4*impatient, start)
	close(release)
}

// TestBrokenSearch holds that a search is repeated as long as none of its entries was seen.
func TestBrokenSearch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		misbehave func(s *fakeSession, message wire.Message, request wire.Request) bool
	}{
		{"before an answer", hangUp},
		{"in the middle of an answer", func(s *fakeSession, message wire.Message, _ wire.Request) bool {
			octets := wire.AppendEntry(nil, message.ID, s.server.entry(userDN(0)))
			s.send(octets)
			s.send(octets[:len(octets)/2])
			return hangUp(s, message, nil)
		}},
		{"with a notice of disconnection", func(s *fakeSession, message wire.Message, _ wire.Request) bool {
			s.send(wire.AppendNoticeOfDisconnection(nil, wire.ResultUnavailable, "bye"))
			return hangUp(s, message, nil)
		}},
		{"with nonsense", func(s *fakeSession, _ wire.Message, _ wire.Request) bool {
			s.send([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			return true
		}},
		{"with an answer to something else", func(s *fakeSession, message wire.Message, _ wire.Request) bool {
			s.send(wire.AppendResponse(nil, message.ID+1, &wire.Response{Tag: wire.TagSearchDone}))
			return true
		}},
		{"with an answer of another kind", func(s *fakeSession, message wire.Message, _ wire.Request) bool {
			s.send(wire.AppendResponse(nil, message.ID, &wire.Response{Tag: wire.TagAddResponse}))
			return true
		}},
		{"busy", answerWith(wire.ResultBusy)},
		{"unavailable", answerWith(wire.ResultUnavailable)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.putUsers(3, 10)
			client, _ := clientOfFakes(t, f)
			f.set(once(wire.TagSearchRequest, test.misbehave))
			wantList(t, client, 3)
		})
	}
}

// TestDroppedConnections holds that connections which the server has closed are not used.
func TestDroppedConnections(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client, _ := clientOfFakes(t, f)
	wantList(t, client, 0)
	f.closeIdle()
	eventually(t, "the server has let go", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.conns) == 0
	})
	before := f.count(wire.TagAddRequest)
	if _, err := client.Add(t.Context(), &wire.AddRequest{DN: userDN(1)}); err != nil {
		t.Fatal(err)
	}
	if got := f.count(wire.TagAddRequest) - before; got != 1 {
		t.Errorf("the add was sent %d times", got)
	}
}

// TestSlowAnswers tells a long list that comes slowly from an answer that does not come.
func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	const users, timeout = 15, 2 * time.Second
	f := newFake(t)
	f.putUsers(users, heldBytes/users*2)
	config, _ := fakeConfig(f)
	config.Timeout = timeout
	client := openFake(t, config, hasty)
	slowly := func(s *fakeSession, message wire.Message, request wire.Request) bool {
		search, ok := request.(*wire.SearchRequest)
		if !ok || search.Scope != wire.ScopeSubtree {
			return false
		}
		for _, entry := range s.server.search(search) {
			time.Sleep(timeout / 10)
			s.send(wire.AppendEntry(nil, message.ID, entry))
		}
		s.send(wire.AppendResponse(nil, message.ID, &wire.Response{Tag: wire.TagSearchDone}))
		return true
	}
	f.set(slowly)
	start := time.Now()
	wantList(t, client, users)
	if took := time.Since(start); took < timeout {
		t.Errorf("the list took %v, too short to show anything", took)
	}
	f.set(once(wire.TagSearchRequest, func(s *fakeSession, message wire.Message, _ wire.Request) bool {
		octets := wire.AppendEntry(nil, message.ID, s.server.entry(userDN(0)))
		for _, octet := range octets[:200] {
			s.send([]byte{octet})
			time.Sleep(timeout / 40)
		}
		return hangUp(s, message, nil)
	}))
	start = time.Now()
	if _, err := list(t.Context(), client); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an entry that comes octet by octet: %v", err)
	}
	wantWithin(t, 2*timeout, start)
}

// TestLongListLeavesThePool holds that who reads a long list slowly keeps nobody from a connection, and that a list that
// breaks off is an error and not repeated.
func TestLongListLeavesThePool(t *testing.T) {
	t.Parallel()
	const users = 40
	f := newFake(t)
	f.putUsers(users, heldBytes/users*2)
	config, _ := fakeConfig(f)
	config.PoolSize = 1
	client := openFake(t, config, hasty)
	request := &wire.SearchRequest{Base: fakeBase, Scope: wire.ScopeSubtree, Filter: wire.Present("objectClass")}
	seen := 0
	err := client.Search(t.Context(), request, func(*wire.Entry) error {
		if seen++; seen == 1 || seen == users {
			return client.Ready(t.Context())
		}
		return nil
	})
	if err != nil || seen != users+1 {
		t.Errorf("got %d entries, %v", seen, err)
	}

	f.set(once(wire.TagSearchRequest, func(s *fakeSession, message wire.Message, request wire.Request) bool {
		for i, entry := range s.server.search(request.(*wire.SearchRequest)) {
			if i == users-1 {
				return hangUp(s, message, request)
			}
			s.send(wire.AppendEntry(nil, message.ID, entry))
		}
		return true
	}))
	seen = 0
	err = client.Search(t.Context(), request, func(*wire.Entry) error { seen++; return nil })
	if !isUnavailable(err) || seen != users-1 {
		t.Errorf("a list that breaks off: got %d entries, %v", seen, err)
	}

	f.set(nil)
	seen = 0
	err = client.Search(t.Context(), request, func(*wire.Entry) error {
		if seen++; seen == 2 {
			return errStop
		}
		return nil
	})
	if !errors.Is(err, errStop) || seen != 2 {
		t.Errorf("a list that is left: got %d entries, %v", seen, err)
	}
	wantList(t, client, users)
	if got := len(client.streams); got != 0 {
		t.Errorf("%d places for long lists are taken", got)
	}
	for range cap(client.streams) {
		client.streams <- struct{}{}
	}
	if _, err := list(t.Context(), client); !errors.Is(err, errStreams) {
		t.Errorf("one long list too many: %v", err)
	}
}

// TestSearchResults holds what a server's result means.
func TestSearchResults(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.putUsers(5, 10)
	client, _ := clientOfFakes(t, f)
	partly := func(code wire.ResultCode) func(s *fakeSession, message wire.Message, request wire.Request) bool {
		return func(s *fakeSession, message wire.Message, request wire.Request) bool {
			for _, entry := range s.server.search(request.(*wire.SearchRequest))[:3] {
				s.send(wire.AppendEntry(nil, message.ID, entry))
			}
			return answerWith(code)(s, message, request)
		}
	}
	tests := []struct {
		name      string
		misbehave func(s *fakeSession, message wire.Message, request wire.Request) bool
		limit     int
		entries   int
		code      wire.ResultCode
	}{
		{"size limit of the server", partly(wire.ResultSizeLimitExceeded), 0, 0, wire.ResultSizeLimitExceeded},
		{"size limit of the request", partly(wire.ResultSizeLimitExceeded), 3, 3, wire.ResultSizeLimitExceeded},
		{"more than the size limit", nil, 3, 0, wire.ResultOther},
		{"another result after some entries", partly(wire.ResultAdminLimitExceeded), 0, 0, wire.ResultAdminLimitExceeded},
		{"no such object", answerWith(wire.ResultNoSuchObject), 0, 0, wire.ResultNoSuchObject},
		{"referral", answerWith(wire.ResultReferral), 0, 0, wire.ResultReferral},
		{"a part is elsewhere", func(s *fakeSession, message wire.Message, _ wire.Request) bool {
			s.send(wire.AppendReference(nil, message.ID, &wire.Reference{URIs: []string{"ldap://other/ou=x"}}))
			return answerWith(wire.ResultSuccess)(s, message, nil)
		}, 0, 0, wire.ResultOther},
	}
	for _, test := range tests {
		f.set(test.misbehave)
		seen := 0
		err := client.Search(t.Context(), &wire.SearchRequest{
			Base: fakeBase, Scope: wire.ScopeSubtree, Filter: wire.Present("objectClass"), SizeLimit: test.limit,
		}, func(*wire.Entry) error { seen++; return nil })
		code, isResult := wire.CodeOf(err)
		if err == nil || code != test.code || isResult != (test.code != wire.ResultOther) || seen != test.entries {
			t.Errorf("%s: got %d entries, %v", test.name, seen, err)
		}
	}
}

// TestPages holds that a list comes in pages where the server has them, on one connection, and whole where not.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, paging := range []bool{true, false} {
		f := newFake(t)
		f.putUsers(7, 10)
		if !paging {
			f.controls = nil
		}
		config, _ := fakeConfig(f)
		config.PoolSize = 1
		client := openFake(t, config, hasty)
		var pages []string
		f.set(func(s *fakeSession, message wire.Message, request wire.Request) bool {
			control := wire.FindControl(message.Controls, wire.ControlPagedResults)
			if control == nil {
				return false
			}
			page, err := wire.ParsePagedResults(control)
			if err != nil {
				t.Error(err)
			}
			pages = append(pages, page.Cookie)
			for _, entry := range s.server.search(request.(*wire.SearchRequest))[:1] {
				s.send(wire.AppendEntry(nil, message.ID, entry))
			}
			next := map[string]string{"": "second", "second": "third", "third": ""}[page.Cookie]
			s.send(wire.AppendResponse(nil, message.ID, &wire.Response{Tag: wire.TagSearchDone}, wire.PagedResults{Cookie: next}.Control(false)))
			return true
		})
		found, err := list(t.Context(), client)
		if want := map[bool]int{true: 3, false: 8}[paging]; err != nil || len(found) != want {
			t.Errorf("paging %v: got %d entries, %v, want %d", paging, len(found), err, want)
		}
		if want := map[bool]string{true: " second third", false: ""}[paging]; strings.Join(pages, " ") != want {
			t.Errorf("paging %v: asked for the pages %q, want %q", paging, strings.Join(pages, " "), want)
		}
	}
}
