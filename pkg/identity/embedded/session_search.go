package embedded

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// search answers a search, whole or page by page.
func (e *exchange) search(request *wire.SearchRequest) (answer, error) {
	switch entry, err := e.serverEntry(request); {
	case err != nil:
		return answer{}, err
	case entry != nil:
		return answer{}, e.searchServerEntry(entry, request)
	}
	permitted, err := e.identity.maySearch(request)
	if err != nil {
		return answer{}, err
	}
	permitted.SizeLimit = smaller(request.SizeLimit, e.session.server.config.SizeLimit)
	limit := e.session.server.config.TimeLimit
	if request.TimeLimit > 0 {
		limit = min(limit, time.Duration(request.TimeLimit)*time.Second)
	}
	ctx, cancel := context.WithTimeout(e.ctx, limit)
	defer cancel()
	if control := wire.FindControl(e.controls, wire.ControlPagedResults); control != nil {
		return e.searchPage(ctx, permitted, control)
	}
	return answer{}, e.session.server.store.Search(ctx, permitted, e.yield)
}

// smaller returns the smaller of two limits, of which 0 is none.
func smaller(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// yield sends an entry to the client, without what the client may not see.
func (e *exchange) yield(entry *wire.Entry) error {
	if e.abandoned.Load() {
		return errAbandoned
	}
	return e.session.out.entry(e.id, e.identity.reveal(entry))
}

// searchPage answers with one page (RFC 2696). Its cookie is the id of the last entry, in whose order pages follow
// each other, so a server need not remember anything between two pages, and a client may take as long as it likes.
func (e *exchange) searchPage(ctx context.Context, request *wire.SearchRequest, control *wire.Control) (answer, error) {
	page, err := wire.ParsePagedResults(control)
	if err != nil {
		return answer{}, err
	}
	after, err := parseCookie(page.Cookie)
	if err != nil {
		return answer{}, err
	}
	if page.Size == 0 {
		// The client ends the search before its end.
		return pageAnswer(""), nil
	}
	// Each page is a search of its own, so the limits hold for each (RFC 4511, section 4.5.1.4).
	page.Size = smaller(page.Size, request.SizeLimit)
	request.SizeLimit = 0
	last, more, err := e.session.server.store.SearchPage(ctx, request, after, page.Size, e.yield)
	if err != nil || !more {
		return pageAnswer(""), err
	}
	return pageAnswer(string(binary.BigEndian.AppendUint64(nil, last))), nil
}

// pageAnswer returns the answer to a page with the cookie of the next one.
func pageAnswer(cookie string) answer {
	return answer{controls: []wire.Control{wire.PagedResults{Cookie: cookie}.Control(false)}}
}

// parseCookie reads the cookie of a page.
func parseCookie(cookie string) (after uint64, err error) {
	switch len(cookie) {
	case 0:
		return 0, nil
	case 8:
		return binary.BigEndian.Uint64([]byte(cookie)), nil
	default:
		return 0, wire.Errorf(wire.ResultUnwillingToPerform, "the cookie is none of this server's")
	}
}
