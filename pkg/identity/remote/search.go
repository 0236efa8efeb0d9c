package remote

import (
	"context"
	"errors"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// Bounds of a search.
const (
	// pageSize is how many entries are asked for at a time. OpenLDAP's and 389-DS's limits for accounts that have none of
	// their own are 500 and 2000 entries for a search, or for a page of one.
	pageSize = 500
	// heldBytes is how much of an answer is kept in memory before its entries are handed on as they come.
	heldBytes = 1 << 20
)

// errStreams is what a long list fails with when too many others are under way.
var errStreams = errors.New("LDAP: too many long lists are under way")

// search is one search on its way.
type search struct {
	ctx     context.Context
	client  *Client
	request *wire.SearchRequest
	yield   func(*wire.Entry) error
	// held are entries that have not been handed on yet, and size about the memory that they take.
	held []*wire.Entry
	size int
	// streaming says that entries are handed on as they come.
	streaming bool
	// count is the number of entries so far.
	count int
	// result is what the server ended the search with, and server that server.
	result error
	server *server
	// cut remembers what the server has returned of searches that it has not carried through.
	cut cutSearches
}

// Search implements identity.Operations. An answer of moderate size is read whole before its first entry is yielded; of a
// long one that breaks off, the entries before that have been yielded.
func (c *Client) Search(ctx context.Context, request *wire.SearchRequest, yield func(*wire.Entry) error) error {
	asked := *request
	if asked.Filter = plainly(request.Filter); asked.Filter == nothing {
		asked.Scope = wire.ScopeBase // What matches nothing need not be looked for far; that the base exists must be.
	}
	s := &search{ctx: ctx, client: c, request: &asked, yield: yield}
	return s.carryOut()
}

func (s *search) carryOut() error {
	err := s.client.run(s.ctx, func() bool { return !s.streaming }, s.on)
	if err != nil {
		return err
	}
	if err := s.handOn(); err != nil {
		return err
	}
	return s.result
}

// on makes the search on a connection. The server's own result is left in s, with the entries that belong to it, unless
// another server may have a better one.
func (s *search) on(l *lease) error {
	s.held, s.size, s.count, s.server, s.cut = nil, 0, 0, l.server, cutSearches{kept: s.splits(l)}
	defer func() {
		if s.streaming {
			<-s.client.streams
		}
	}()
	x := l.conn.begin(s.ctx, l.server.config.Timeout)
	defer x.end()
	return s.read(l, x, "")
}

// read makes the search, or the part of it that a prefix of entryUUIDs stands for; the empty one stands for all of it.
func (s *search) read(l *lease, x *exchange, prefix string) error {
	request := s.request
	if prefix != "" {
		request = beginningWith(request, prefix)
	}
	s.cut.begin()
	paged := s.paged(l)
	for cookie := ""; ; {
		var controls []wire.Control
		if paged {
			controls = []wire.Control{wire.PagedResults{Size: pageSize, Cookie: cookie}.Control(true)}
		}
		if err := x.send(request, controls...); err != nil {
			return err
		}
		response, answered, err := x.entries(func(entry *wire.Entry) error { return s.take(l, entry) })
		switch {
		case err != nil:
			return err
		case response.Code == wire.ResultSizeLimitExceeded && s.canSplit(prefix):
			return s.split(l, x, prefix)
		case response.Code != wire.ResultSuccess:
			return s.failed(response)
		}
		if cookie, err = nextCookie(answered); err != nil || cookie == "" {
			return err
		}
	}
}

// paged reports whether the search is made in pages. A size limit would count for each page (RFC 2696, section 3), and a
// single entry needs none.
func (s *search) paged(l *lease) bool {
	return s.request.SizeLimit == 0 && s.request.Scope != wire.ScopeBase && l.server.features.Load().Paging
}

// nextCookie returns what asks for the next page, or an empty string after the last.
func nextCookie(answered []wire.Control) (string, error) {
	control := wire.FindControl(answered, wire.ControlPagedResults)
	if control == nil {
		return "", nil
	}
	page, err := wire.ParsePagedResults(control)
	if err != nil {
		return "", &linkError{"answer", errProtocol}
	}
	return page.Cookie, nil
}

// failed ends a search that the server ends with a result other than success.
func (s *search) failed(response *wire.Response) error {
	err := response.Err()
	if response.Code == wire.ResultSizeLimitExceeded && s.request.SizeLimit > 0 {
		// The entries are a part of the answer, and more was not asked for. Against the server's own limit they are a list
		// that is too short.
		s.result = err
		return nil
	}
	s.held = nil
	return err
}

// take takes an entry of the answer.
func (s *search) take(l *lease, entry *wire.Entry) error {
	if s.count++; s.request.SizeLimit > 0 && s.count > s.request.SizeLimit {
		return &linkError{"answer", errors.New("the server returns more entries than the size limit")}
	}
	if !s.cut.note(entry.DN) {
		return nil
	}
	if s.streaming {
		return s.yield(entry)
	}
	s.held = append(s.held, entry)
	if s.size += sizeOf(entry); s.size < heldBytes {
		return nil
	}
	select {
	case s.client.streams <- struct{}{}:
	default:
		return errStreams
	}
	l.keep()
	s.streaming = true
	return s.handOn()
}

// handOn yields the entries that are held.
func (s *search) handOn() error {
	held := s.held
	s.held = nil
	for _, entry := range held {
		if err := s.yield(entry); err != nil {
			return err
		}
	}
	return nil
}

// sizeOf returns about the memory that an entry takes.
func sizeOf(entry *wire.Entry) int {
	const attributeSize, stringSize = 40, 16
	size := len(entry.DN)
	for _, attribute := range entry.Attributes {
		size += attributeSize + len(attribute.Type)
		for _, value := range attribute.Values {
			size += stringSize + len(value)
		}
	}
	return size
}
