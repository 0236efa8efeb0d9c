package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// listed is how many users the directories of the tests below have, all of them in the school with the number 1.
const listed = 7

// names are the names of the users of newListed, in order.
func names() []string {
	all := make([]string, listed)
	for i := range all {
		all[i] = fmt.Sprintf("User %d", i)
	}
	return all
}

func newListed(tb testing.TB, rules education.Rules) education.Directory {
	tb.Helper()
	directory := newDirectory(tb, rules)
	s := newService(directory, rules)
	s.must(tb, http.StatusCreated, "POST", "/schools", `{"displayName":"A","schoolNumber":"1"}`)
	for i, name := range names() {
		s.must(tb, http.StatusCreated, "POST", "/schools/1/users", fmt.Sprintf(`{"displayName":"%s","onPremisesSamAccountName":"user%d"}`, name, i))
	}
	return directory
}

// follow sends a GET for a link as it is, without a header.
func (s *service) follow(link string) *httptest.ResponseRecorder {
	return s.sendTo(httptest.NewRequest(http.MethodGet, link, http.NoBody))
}

// pagesFrom follows the links from a response to the end and returns the names on each page.
func (s *service) pagesFrom(t *testing.T, response *httptest.ResponseRecorder) [][]string {
	t.Helper()
	var pages [][]string
	for page := decodeList(t, response); ; page = decodeList(t, s.follow(page.Next)) {
		if page.Count != nil && len(pages) > 0 {
			t.Errorf("the count is given again on page %d", len(pages)+1)
		}
		if pages = append(pages, page.names()); page.Next == "" || len(pages) > listed {
			return pages
		}
		if parsed, err := url.Parse(page.Next); err != nil || parsed.Scheme != "http" || parsed.Host != "education.example" {
			t.Errorf("got the link %q (%v)", page.Next, err)
		}
	}
}

// chunked cuts names into pages.
func chunked(all []string, size int) [][]string { return slices.Collect(slices.Chunk(all, size)) }

func TestPages(t *testing.T) {
	t.Parallel()
	directory := newListed(t, contract)
	reversed := slices.Clone(names())
	slices.Reverse(reversed)
	tests := []struct {
		name    string
		maximum int
		prefer  string
		query   string
		want    [][]string
		// applied is the preference that the response says it honours.
		applied string
	}{
		{"whole list", 0, "", "$orderby=displayName", [][]string{names()}, ""},
		{"$top", 0, "", "$orderby=displayName&$top=3", chunked(names(), 3), ""},
		{"$top of one", 0, "", "$orderby=displayName&$top=1", chunked(names(), 1), ""},
		{"$top of all", 0, "", "$orderby=displayName&$top=7", [][]string{names()}, ""},
		{"$top of none", 0, "", "$orderby=displayName&$top=0", [][]string{{}}, ""},
		{"$top and $skip", 0, "", "$orderby=displayName&$top=2&$skip=1", chunked(names()[1:], 2), ""},
		{"$skip", 0, "", "$orderby=displayName&$skip=5", [][]string{names()[5:]}, ""},
		{"$skip beyond the end", 0, "", "$orderby=displayName&$skip=8&$top=1", [][]string{{}}, ""},
		{"$count", 0, "", "$orderby=displayName&$top=4&$count=true", chunked(names(), 4), ""},
		{"descending", 0, "", "$orderby=displayName%20desc&$top=4", chunked(reversed, 4), ""},
		{"filter", 0, "", "$filter=displayName%20ge%20'User%203'&$orderby=displayName&$top=3", chunked(names()[3:], 3), ""},
		{"search", 0, "", "$search=%22displayName:user%22&$orderby=displayName&$top=3", chunked(names(), 3), ""},
		{"semicolon", 0, "", "$filter=displayName%20ne%20'a;b'&$orderby=displayName&$top=3&$expand=schools($select=id;$top=1)", chunked(names(), 3), ""},
		{"other spelling", 0, "", "%24ORDERBY=DISPLAYNAME&$TOP=3&$SKIP=1&$Count=TRUE", chunked(names()[1:], 3), ""},
		{"preference", 0, "odata.maxpagesize=3", "$orderby=displayName", chunked(names(), 3), "odata.maxpagesize=3"},
		{"preference among others", 0, `return=minimal, OData.MaxPageSize = "3"; x=y`, "$orderby=displayName", chunked(names(), 3), "odata.maxpagesize=3"},
		{"preference larger than $top", 0, "odata.maxpagesize=5", "$orderby=displayName&$top=3", chunked(names(), 3), "odata.maxpagesize=5"},
		{"preference smaller than $top", 0, "odata.maxpagesize=2", "$orderby=displayName&$top=3", chunked(names(), 2), "odata.maxpagesize=2"},
		{"preference that is no number", 0, "odata.maxpagesize=many", "$orderby=displayName", [][]string{names()}, ""},
		{"preference for nothing", 0, "odata.maxpagesize=0", "$orderby=displayName", [][]string{names()}, ""},
		{"preference for too much", 0, "odata.maxpagesize=99999999999", "$orderby=displayName", [][]string{names()}, ""},
		{"maximum", 3, "", "$orderby=displayName", chunked(names(), 3), ""},
		{"maximum below $top", 3, "", "$orderby=displayName&$top=5", chunked(names(), 3), ""},
		{"maximum above $top", 3, "", "$orderby=displayName&$top=2", chunked(names(), 2), ""},
		{"maximum below preference", 3, "odata.maxpagesize=5", "$orderby=displayName", chunked(names(), 3), "odata.maxpagesize=5"},
	}
	for _, test := range tests {
		for _, path := range []string{"/users", "/schools/1/users"} {
			t.Run(test.name+" "+path, func(t *testing.T) {
				t.Parallel()
				s := serve(New(Config{Directory: directory, Rules: contract, MaxPageSize: test.maximum}))
				request := httptest.NewRequest(http.MethodGet, "http://education.example"+root+path+"?"+test.query, http.NoBody)
				request.Header.Set("Prefer", test.prefer)
				first := s.sendTo(request)
				if diff := cmp.Diff(test.want, s.pagesFrom(t, first)); diff != "" {
					t.Errorf("pages: %s", diff)
				}
				if got := first.Header().Get("Preference-Applied"); got != test.applied {
					t.Errorf("got Preference-Applied %q, want %q", got, test.applied)
				}
				if got, want := decodeList(t, first).Count != nil, strings.Contains(strings.ToLower(test.query), "$count"); got != want {
					t.Errorf("the first page has a count: %t, want %t", got, want)
				}
			})
		}
	}
}

// TestPageWithoutOrder holds that pages have an order even if nobody asks for one: each user is met once.
func TestPageWithoutOrder(t *testing.T) {
	t.Parallel()
	s := newService(newListed(t, contract), contract)
	for _, path := range []string{"/users", "/schools/1/users"} {
		got := slices.Concat(s.pagesFrom(t, s.send("GET", path+"?$top=2", ""))...)
		slices.Sort(got)
		if diff := cmp.Diff(names(), got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

// TestLinkEdited holds what a client may change in a link to the next page: how much it gets, and what of it.
func TestLinkEdited(t *testing.T) {
	t.Parallel()
	s := newService(newListed(t, contract), contract)
	link := decodeList(t, s.send("GET", "/users?$orderby=displayName&$top=2", "")).Next
	preferred := httptest.NewRequest(http.MethodGet, "http://education.example"+root+"/users?$orderby=displayName", http.NoBody)
	preferred.Header.Set("Prefer", "odata.maxpagesize=2")
	tests := []struct {
		name, link string
		want       []string
	}{
		{"smaller $top", strings.Replace(link, "$top=2", "$top=1", 1), names()[2:3]},
		{"larger $top", strings.Replace(link, "$top=2", "$top=4", 1), names()[2:6]},
		{"no $top", strings.Replace(link, "&$top=2", "", 1), names()[2:]},
		{"another root", strings.Replace(link, "/graph/", "/", 1), names()[2:4]},
		{"another host", strings.Replace(link, "education.example", "127.0.0.1", 1), names()[2:4]},
		{"escaped", strings.ReplaceAll(link, "$", "%24"), names()[2:4]},
		{"another spelling", strings.Replace(strings.Replace(link, "/users", "/USERS/", 1), "$orderby", "$OrderBy", 1), names()[2:4]},
		{"$select", link + "&$select=displayName", names()[2:4]},
		{"$count", link + "&$count=true", names()[2:4]},
		{"link of a preference", decodeList(t, s.sendTo(preferred)).Next, names()[2:4]},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, decodeList(t, s.follow(test.link)).names()); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
	checkFault(t, s.follow(link+"&$skip=1"), odata.InvalidRequest, "$skip")
	checkFault(t, s.follow(link+"&$top=1"), odata.InvalidRequest, "$top")
}

// TestCursorRefused holds that a cursor is good for the walk that it was made for, and for no other.
func TestCursorRefused(t *testing.T) {
	t.Parallel()
	s := newService(newListed(t, contract), contract)
	const query = "?$filter=displayName%20ne%20'x'&$search=user&$orderby=displayName&$top=2"
	link := decodeList(t, s.send("GET", "/users"+query, "")).Next
	cursor := cursorOf(t, link)
	related := cursorOf(t, decodeList(t, s.send("GET", "/schools/1/users"+query, "")).Next)
	links := map[string]string{
		"another filter":      strings.Replace(link, "%27x%27", "%27y%27", 1),
		"another search":      strings.Replace(link, "$search=user", "$search=use", 1),
		"another order":       strings.Replace(link, "$orderby=displayName", "$orderby=mail", 1),
		"another direction":   strings.Replace(link, "$orderby=displayName", "$orderby=displayName+desc", 1),
		"another collection":  strings.Replace(link, "/users?", "/classes?", 1),
		"a related one":       strings.Replace(link, "/users?", "/schools/1/users?", 1),
		"of a related one":    strings.Replace(link, cursor, related, 1),
		"cut":                 strings.Replace(link, cursor, cursor[:len(cursor)-2], 1),
		"position alone":      strings.Replace(link, cursor, cursor[macSize:], 1),
		"longer":              strings.Replace(link, cursor, cursor+"AAAA", 1),
		"not base64":          strings.Replace(link, cursor, cursor+"*", 1),
		"nothing but the MAC": strings.Replace(link, cursor, cursor[:22], 1),
	}
	for i := range cursor {
		changed := []byte(cursor)
		if changed[i] = 'A'; cursor[i] == 'A' {
			changed[i] = 'Q'
		}
		// The last character of a cursor may hold bits that are not part of it.
		if i < len(cursor)-1 {
			links[fmt.Sprintf("character %d", i)] = strings.Replace(link, cursor, string(changed), 1)
		}
	}
	for name, link := range links {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkFault(t, s.follow(link), odata.InvalidRequest, "$skiptoken")
		})
	}
	without, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	values := without.Query()
	values.Del("$filter")
	without.RawQuery = values.Encode()
	checkFault(t, s.follow(without.String()), odata.InvalidRequest, "$skiptoken")
}

// TestWalkOf holds what a cursor is bound to, whatever the position in it says: requests are of one walk exactly if they
// ask for the same entities in the same order.
func TestWalkOf(t *testing.T) {
	t.Parallel()
	walk := func(path, query string) string {
		r := httptest.NewRequest(http.MethodGet, "http://education.example/any?"+query, http.NoBody)
		return walkOf(r.WithContext(context.WithValue(r.Context(), mountKey{}, mount{root, path})))
	}
	const query = "$filter=a%20eq%20'b;c'&$search=d&$orderby=e"
	first := walk("/users", query)
	for _, same := range []string{
		query, "$orderby=e&$search=d&$filter=a+eq+%27b;c%27", "$FILTER=a%20eq%20'b;c'&%24search=d&$OrderBy=e", query + "&$top=1", query + "&$select=id&$expand=f",
		query + "&$count=true&$format=json&$skiptoken=x",
	} {
		if got := walk("/users", same); got != first {
			t.Errorf("%s: got %q, want %q", same, got, first)
		}
	}
	for _, other := range []string{
		"", "$search=d&$orderby=e", "$filter=a%20eq%20'b;c'&$orderby=e", "$filter=a%20eq%20'b;c'&$search=d", "$filter=a%20eq%20'b'&$search=d&$orderby=e",
		"$filter=a%20eq%20'b;C'&$search=d&$orderby=e", "$filter=a%20eq%20'b;c'&$search=D&$orderby=e", "$filter=a%20eq%20'b;c'&$search=d&$orderby=e%20desc",
	} {
		if got := walk("/users", other); got == first {
			t.Errorf("%s is of the same walk", other)
		}
	}
	if walk("/schools/1/users", query) == first {
		t.Error("another list is of the same walk")
	}
}

// TestCursorKey holds that links work in each process that has the key, and in no other; no key is a secret of its own
// rather than none.
func TestCursorKey(t *testing.T) {
	t.Parallel()
	directory := newListed(t, contract)
	instance := func(key string) *service {
		return serve(New(Config{Directory: directory, Rules: contract, CursorKey: []byte(key)}))
	}
	for _, test := range []struct {
		name, from, to string
		works          bool
	}{
		{"the same key", "one", "one", true},
		{"another key", "one", "two", false},
		{"no key, then one", "", "one", false},
		{"a key, then none", "one", "", false},
		{"no keys", "", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			link := decodeList(t, instance(test.from).send("GET", "/users?$orderby=displayName&$top=5", "")).Next
			response := instance(test.to).follow(link)
			if !test.works {
				checkFault(t, response, odata.InvalidRequest, "$skiptoken")
				return
			}
			if diff := cmp.Diff(names()[5:], decodeList(t, response).names()); diff != "" {
				t.Error(diff)
			}
		})
	}
	// What anybody can compute is no cursor.
	forged := pages{}.seal("eyJpIjoiMDAifQ", "/users?")
	checkFault(t, instance("").send("GET", "/users?$skiptoken="+forged, ""), odata.InvalidRequest, "$skiptoken")
}

// TestCompatiblePages holds that in compatibility mode the collections below an entity are arrays until the client asks
// for pages, or cannot have everything at once, and that nothing but the answer to a question is annotated.
func TestCompatiblePages(t *testing.T) {
	t.Parallel()
	directory := newListed(t, compatible)
	tests := []struct {
		name, query, prefer string
		maximum             int
		bare, count, next   bool
	}{
		{"nothing asked", "", "", 0, true, false, false},
		{"order", "?$orderby=displayName", "", 0, true, false, false},
		{"filter and properties", "?$filter=displayName%20ne%20'x'&$select=id&$expand=schools", "", 0, true, false, false},
		{"no count", "?$count=false", "", 0, true, false, false},
		{"count", "?$count=true", "", 0, false, true, false},
		{"first page", "?$top=2", "", 0, false, false, true},
		{"page that holds all", "?$top=100", "", 0, false, false, false},
		{"skip", "?$skip=1", "", 0, false, false, false},
		{"preference", "", "odata.maxpagesize=2", 0, false, false, true},
		{"preference that holds all", "", "odata.maxpagesize=100", 0, false, false, false},
		{"another preference", "", "return=minimal", 0, true, false, false},
		{"maximum that holds all", "", "", 100, true, false, false},
		{"maximum", "", "", 2, false, false, true},
	}
	for _, test := range tests {
		for path, bare := range map[string]bool{"/users": false, "/schools/1/users": test.bare} {
			t.Run(test.name+" "+path, func(t *testing.T) {
				t.Parallel()
				s := serve(New(Config{Directory: directory, Rules: compatible, MaxPageSize: test.maximum}))
				request := httptest.NewRequest(http.MethodGet, "http://education.example"+root+path+test.query, http.NoBody)
				request.Header.Set("Prefer", test.prefer)
				response := s.sendTo(request)
				if got := strings.HasPrefix(response.Body.String(), "["); got != bare {
					t.Errorf("got an array: %t, want %t", got, bare)
				}
				if bare {
					return
				}
				var members map[string]json.RawMessage
				if err := json.Unmarshal(response.Body.Bytes(), &members); err != nil {
					t.Fatal(err)
				}
				for name, want := range map[string]bool{"value": true, "@odata.count": test.count, "@odata.nextLink": test.next} {
					if _, got := members[name]; got != want {
						t.Errorf("%s is there: %t, want %t", name, got, want)
					}
					delete(members, name)
				}
				if len(members) > 0 {
					t.Errorf("got the members %v as well", members)
				}
				if test.next {
					s.pagesFrom(t, response)
				}
			})
		}
	}
}

// TestCountRefuses holds that a count needs an owner and a question that can be answered.
func TestCountRefuses(t *testing.T) {
	t.Parallel()
	s := newService(newListed(t, contract), contract)
	checkFault(t, s.send("GET", "/schools/2/users/$count", ""), odata.ItemNotFound, "schools")
	checkFault(t, s.send("GET", "/schools(mail='x')/users/$count", ""), odata.InvalidRequest, "mail")
	checkFault(t, s.send("GET", "/users/user1/$count", ""), odata.ItemNotFound, "")
	checkFault(t, s.send("POST", "/schools/1/users/$count", ""), odata.NotAllowed, "")
	for _, path := range []string{"/users/$count", "/users/%24count", "/USERS/$count/", "/users/%24COUNT"} {
		if got := s.must(t, http.StatusOK, "GET", path, "").Body.String(); got != fmt.Sprint(listed) {
			t.Errorf("%s: got %q", path, got)
		}
	}
}

// FuzzCursor holds that no text is a cursor but what the service has given out, and that whatever position is in one, it
// leads to a part of the list or is refused. The walk is what the list's own cursors are for.
func FuzzCursor(f *testing.F) {
	p := pages{key: []byte("secret")}
	directory := newListed(f, contract)
	s := serve(New(Config{Directory: directory, Rules: contract, CursorKey: p.key}))
	for _, query := range []string{"", "$orderby=displayName"} {
		cursor := cursorOf(f, decodeList(f, s.send("GET", "/users?$top=3&"+query, "")).Next)
		position, ok := p.open(cursor, "/users?"+strings.Replace(query, "$", "%24", 1))
		if !ok {
			f.Fatalf("%s is not opened", cursor)
		}
		f.Add(cursor, query != "")
		f.Add(position, query != "")
	}
	for _, seed := range []string{"", "AAAA", "eyJpIjoiMDAifQ", "e30", "*", "\xff"} {
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, ordered bool) {
		if len(text) > odata.MaxCursorLength/2 {
			return // Sealed, it would be refused for its length.
		}
		query, walk := "", "/users?"
		if ordered {
			query = "&$orderby=displayName"
			walk += "%24orderby=displayName"
		}
		if position, ok := p.open(text, walk); ok {
			// Line breaks and the last character's spare bits are no part of base64.
			given := strings.NewReplacer("\r", "", "\n", "").Replace(text)
			if last := len(given) - 1; p.seal(position, walk)[:last] != given[:last] {
				t.Fatalf("%q is a cursor though nobody gave it out", text)
			}
		}
		sealed := p.seal(text, walk)
		if position, ok := p.open(sealed, walk); position != text || ok != (text != "") {
			t.Fatalf("%q became %q, %t", text, position, ok)
		}
		for _, other := range []string{walk + "x", walk[1:], "", walk + text} {
			if _, ok := p.open(sealed, other); ok && other != walk {
				t.Fatalf("the cursor is one of %q, too", other)
			}
		}
		for _, cursor := range []string{text, sealed} {
			response := s.send("GET", "/users?$skiptoken="+url.QueryEscape(cursor)+query, "")
			if response.Code != http.StatusOK {
				checkFault(t, response, odata.InvalidRequest, odata.OptionSkipToken)
				continue
			}
			got := decodeList(t, response).names()
			slices.Sort(got)
			if len(got) > listed || len(slices.Compact(got)) != len(got) {
				t.Fatalf("%q leads to %q", cursor, got)
			}
		}
	})
}
