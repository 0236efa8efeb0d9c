package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencloud-eu/education/pkg/odata"
)

// pages makes the links from one page of a list to the next.
type pages struct {
	// key authenticates cursors, so that a position in a list can only be one that this service has given out.
	key []byte
	// maximum is the largest page, or 0 for lists of any length.
	maximum int
}

// asksForPage reports whether a request asks for a part of a list, or for the size of the whole.
func asksForPage(r *http.Request, query *odata.Query) bool {
	_, prefers := pageSize(r)
	return prefers || query.Top != nil || query.Skip > 0 || query.Count || query.Cursor != ""
}

// prepare turns the page that a request asks for into what the directory is asked: the smallest of $top, the client's
// preference and the service's maximum, and the position that the request's cursor stands for.
func (p pages) prepare(w http.ResponseWriter, r *http.Request, query *odata.Query) error {
	if query.Cursor != "" && query.Skip > 0 {
		return odata.Errorf(odata.InvalidRequest, odata.OptionSkip, "$skip is for the first page; the link to this one holds its position")
	}
	if size, ok := pageSize(r); ok {
		limit(query, size)
		applied(w, preferPageSize, strconv.Itoa(size))
	}
	if p.maximum > 0 {
		limit(query, p.maximum)
	}
	if query.Cursor == "" {
		return nil
	}
	position, ok := p.open(query.Cursor, walkOf(r))
	if !ok {
		return odata.Errorf(odata.InvalidRequest, odata.OptionSkipToken,
			"the link to this page is not one of this list; begin again with the first page")
	}
	query.Cursor = position
	return nil
}

// pageSize returns the page size that a request prefers. A preference that cannot be understood is one that the service
// does not honour (RFC 7240, section 2).
func pageSize(r *http.Request) (int, bool) {
	text, _ := preference(r, preferPageSize)
	size, err := strconv.ParseUint(text, 10, 31)
	return int(size), err == nil && size > 0
}

// limit lowers the size of the page that a query asks for.
func limit(query *odata.Query, size int) {
	if query.Top == nil || *query.Top > size {
		query.Top = &size
	}
}

// next returns the URL of the page behind a position: the request's own, with the position as a cursor and without what
// counts for the first page alone. A page size that the client asked for in a header is kept as $top, and a format as
// $format, because clients follow a link without the headers of the first request.
func (p pages) next(r *http.Request, query *odata.Query, position, format string) string {
	values := queryValues(r)
	for name := range values {
		switch strings.ToLower(name) {
		case odata.OptionSkip, odata.OptionCount, odata.OptionSkipToken, odata.OptionTop:
			values.Del(name)
		}
	}
	if query.Top != nil && *query.Top != p.maximum {
		values.Set(odata.OptionTop, strconv.Itoa(*query.Top))
	}
	if format != "" {
		maps.DeleteFunc(values, func(name string, _ []string) bool { return strings.EqualFold(name, odata.OptionFormat) })
		values.Set(odata.OptionFormat, format)
	}
	values.Set(odata.OptionSkipToken, p.seal(position, walkOf(r)))
	return serverURL(r) + r.URL.EscapedPath() + "?" + strings.ReplaceAll(values.Encode(), "%24", "$")
}

// queryValues returns the query options of a request that odata.ParseQuery has accepted. Other than url.URL.Query it
// keeps options that hold a semicolon.
func queryValues(r *http.Request) url.Values {
	values, _ := url.ParseQuery(strings.ReplaceAll(r.URL.RawQuery, ";", "%3B"))
	return values
}

// walkOf names what a cursor is bound to: the list and everything that decides which entities are in it, in which
// order. The size of a page and the properties shown may change from page to page.
func walkOf(r *http.Request) string {
	values := url.Values{}
	for name, given := range queryValues(r) {
		switch lower := strings.ToLower(name); lower {
		case odata.OptionFilter, odata.OptionOrderBy, odata.OptionSearch:
			values[lower] = given
		}
	}
	return routePath(r) + "?" + values.Encode()
}

// macSize is the length of the authentication code in a cursor, in bytes.
const macSize = 16

// seal returns a position as a cursor.
func (p pages) seal(position, walk string) string {
	return base64.RawURLEncoding.EncodeToString(append(p.mac(position, walk), position...))
}

// open returns the position that a cursor stands for, if the service made it for this walk.
func (p pages) open(cursor, walk string) (string, bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(sealed) <= macSize {
		return "", false
	}
	position := string(sealed[macSize:])
	return position, hmac.Equal(sealed[:macSize], p.mac(position, walk))
}

func (p pages) mac(position, walk string) []byte {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(strconv.Itoa(len(walk)) + "\n" + walk + position))
	return mac.Sum(nil)[:macSize]
}
