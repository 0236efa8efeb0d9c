package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// newQuery parses one query option, or several that are joined by an ampersand.
func newQuery(t *testing.T, set *education.EntitySet, options ...string) *odata.Query {
	t.Helper()
	for i, option := range options {
		name, value, _ := strings.Cut(option, "=")
		options[i] = name + "=" + url.QueryEscape(value)
	}
	query, err := odata.ParseQuery(strings.Join(options, "&"), set.Resource(odata.OptionFilter, odata.OptionSelect, odata.OptionOrderBy,
		odata.OptionTop, odata.OptionSkip, odata.OptionCount, odata.OptionSearch, odata.OptionExpand))
	if err != nil {
		t.Fatal(err)
	}
	return query
}

// listIDs returns the ids that a query selects, in the order of the answer.
func listIDs(t *testing.T, d *Directory, set *education.EntitySet, query *odata.Query) []string {
	t.Helper()
	answer, err := d.List(t.Context(), set, query)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for entity, err := range answer.Entities {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, entity.ID())
	}
	return ids
}

// counted counts the searches that are made of a directory.
type counted struct {
	Operations
	searches []*wire.SearchRequest
}

func (c *counted) Search(ctx context.Context, request *wire.SearchRequest, yield func(*wire.Entry) error) error {
	c.searches = append(c.searches, request)
	return c.Operations.Search(ctx, request, yield)
}

// TestSearchesAreBounded counts the searches that a query takes in a directory of 300 users: not one for each entity.
func TestSearchesAreBounded(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	for i := range 300 {
		id := fmt.Sprintf("0e2f1bd5-9a2d-4a3b-a6c1-%012x", 256+i)
		addEntry(t, store, fmt.Sprintf("uid=user%d,%s", i, userBase), "objectClass: inetOrgPerson", "objectClass: openCloudUser",
			"objectClass: openCloudEducationUser", fmt.Sprint("uid: user", i), "cn: x", "sn: x", "displayName: x",
			"openCloudUUID: "+id, "openCloudMemberOfSchool: "+schoolID)
	}
	operations := &counted{Operations: store}
	d = newDirectory(t, operations, d.rules)
	for _, test := range []struct {
		set     *education.EntitySet
		options []string
		want    int
	}{
		{education.Users, nil, 1},
		{education.Users, []string{"$filter=startswith(displayName,'x') and not (mail eq 'y')"}, 1},
		{education.Users, []string{"$filter=schools/any(s:s/id eq '" + schoolID + "')"}, 1},
		{education.Users, []string{"$filter=schools/any(s:s/externalId eq 'x')"}, 2},
		{education.Users, []string{"$filter=schools/$count eq 0"}, 1},
		{education.Users, []string{"$filter=classes/$count eq 0"}, 2},
		{education.Users, []string{"$filter=classes/$count ge 0"}, 1},
		{education.Users, []string{"$orderby=displayName", "$top=100"}, 2},
		{education.Users, []string{"$orderby=displayName", "$top=0", "$count=true"}, 1},
		{education.Users, []string{"$expand=schools"}, 1 + 2},
		{education.Users, []string{"$expand=schools,classes,taughtClasses"}, 1 + 3*2},
		{education.Users, []string{"$expand=schools,classes,taughtClasses", "$top=50"}, 2 + 3},
		{education.Schools, []string{"$expand=users,classes"}, 1 + 2},
		{education.Classes, []string{"$expand=members,schools"}, 1 + 1},
	} {
		operations.searches = nil
		listIDs(t, d, test.set, newQuery(t, test.set, test.options...))
		if got := len(operations.searches); got != test.want {
			t.Errorf("%s with %q: got %d searches, want %d", test.set.Name, test.options, got, test.want)
		}
	}
}

// TestSelectTrimsAttributes holds that the directory is asked for what is shown and no more.
func TestSelectTrimsAttributes(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	operations := &counted{Operations: store}
	d = newDirectory(t, operations, d.rules)
	for _, test := range []struct {
		options []string
		want    []string
	}{
		{[]string{"$select=mail"}, []string{"openCloudUUID", "mail"}},
		{[]string{"$select=id"}, []string{"openCloudUUID"}},
		{[]string{"$select=surname"}, []string{"openCloudUUID", "sn", "educationPlaceholder"}},
		{[]string{"$select=id", "$filter=endswith(externalId,'1')"}, []string{"openCloudUUID", "openCloudEducationExternalId"}},
		{[]string{"$select=id", "$filter=endswith(mail,'1')"}, []string{"openCloudUUID"}},
		{[]string{"$select=id", "$expand=schools"}, []string{"openCloudUUID", "openCloudMemberOfSchool"}},
	} {
		operations.searches = nil
		listIDs(t, d, education.Users, newQuery(t, education.Users, test.options...))
		// The attributes that tell versions apart are always asked for.
		want := slices.Concat(test.want[:1], versionAttributes, test.want[1:])
		wantStrings(t, operations.searches[0].Attributes, want)
	}
}

// TestUnreadableEntriesInAnswers has entries among good ones that hold no entity: pages and expansions leave them out.
func TestUnreadableEntriesInAnswers(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	bad := "0e2f1bd5-9a2d-4a3b-a6c1-00000000000b"
	person := []string{"objectClass: inetOrgPerson", "objectClass: openCloudEducationUser", "cn: x", "sn: x", "openCloudMemberOfSchool: " + schoolID}
	addEntry(t, store, "uid=noid,"+userBase, append(person, "uid: noid")...)
	addEntry(t, store, "uid=bad,"+userBase, append(person, "uid: bad", "openCloudUUID: "+bad, "openCloudExternalIdentity: no separators")...)
	_, err := store.Modify(t.Context(), &wire.ModifyRequest{DN: classDN, Changes: []wire.Change{{
		Attribute: wire.Attribute{Type: "member", Values: []string{"uid=noid," + userBase, "uid=bad," + userBase}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, options := range [][]string{nil, {"$orderby=displayName"}, {"$top=10"}, {"$filter=mail ne 'x'"}, {"$filter=schools/any()"}, {"$expand=schools,classes"}} {
		wantStrings(t, listIDs(t, d, education.Users, newQuery(t, education.Users, options...)), []string{maxID})
	}
	for set, expand := range map[*education.EntitySet]string{education.Schools: "users", education.Classes: "members"} {
		answer, err := d.List(t.Context(), set, newQuery(t, set, "$expand="+expand))
		if err != nil {
			t.Fatal(err)
		}
		for entity, err := range answer.Entities {
			if err != nil {
				t.Fatal(err)
			}
			related, _ := entity.Related(education.NavigationOf(set, expand))
			if len(related) != 1 || related[0].ID() != maxID {
				t.Errorf("%s of %s: got %d entities, want the one that can be read", expand, set.Name, len(related))
			}
		}
	}
}

// TestEmptyMember has a class as OpenCloud's graph service leaves it when its last member has gone.
func TestEmptyMember(t *testing.T) {
	t.Parallel()
	class := parseEntry(classDN, "openCloudUUID: "+classID, "member: ")
	d := newDirectory(t, &stub{search: func(request *wire.SearchRequest, yield func(*wire.Entry) error) error {
		if request.Base != classBase {
			return nil
		}
		return yield(class)
	}}, education.Rules{})
	wantStrings(t, listIDs(t, d, education.Classes, newQuery(t, education.Classes, "$filter=members/any()")), nil)
	wantStrings(t, listIDs(t, d, education.Classes, newQuery(t, education.Classes, "$filter=members/$count eq 0")), []string{classID})
	wantStrings(t, listIDs(t, d, education.Users, newQuery(t, education.Users, "$filter=classes/any()")), nil)
}

// TestNamesakes has two users whose entries have the same RDN below different parents, of whom one is in a class.
func TestNamesakes(t *testing.T) {
	t.Parallel()
	member := parseEntry(maxDN, "openCloudUUID: "+maxID, "uid: max")
	namesake := parseEntry("uid=max,ou=others,"+userBase, "openCloudUUID: "+schoolID, "uid: max")
	class := parseEntry(classDN, "openCloudUUID: "+classID, "member: "+strings.ToUpper(maxDN))
	d := newDirectory(t, &stub{search: func(request *wire.SearchRequest, yield func(*wire.Entry) error) error {
		if request.Base == classBase {
			return yield(class)
		}
		return errors.Join(yield(member), yield(namesake))
	}}, education.Rules{})
	wantStrings(t, listIDs(t, d, education.Users, newQuery(t, education.Users, "$filter=classes/any()")), []string{maxID})
	wantStrings(t, listIDs(t, d, education.Users, newQuery(t, education.Users, "$filter=not classes/any()")), []string{schoolID})
}

// TestManyLinks holds that a lambda about more entities than fit into a filter is looked at in the entries.
func TestManyLinks(t *testing.T) {
	t.Parallel()
	var wanted []string
	for i := range maxLinkValues + 1 {
		wanted = append(wanted, fmt.Sprint("id", i))
	}
	linked := linkedTo([]string{attributeMemberOfSchool}, wanted, strings.ToLower)
	for _, want := range []bool{true, false} {
		if filter, exact := linked.filter(want); exact || len(filter.String()) > 100 {
			t.Errorf("want %v: got the filter %.100s, exact %v", want, filter, exact)
		}
	}
	inside, outside := parseEntry(maxDN, attributeMemberOfSchool+": ID7"), parseEntry(maxDN, attributeMemberOfSchool+": id1001")
	if linked.holds(inside) != isTrue || linked.holds(outside) != isFalse {
		t.Errorf("got %v and %v, want true and false", linked.holds(inside), linked.holds(outside))
	}
}

func TestOrderedLists(t *testing.T) {
	t.Parallel()
	var lists orderedLists
	start := time.Now()
	known := func(walk string, now time.Time) bool {
		_, ok := lists.find(walk, now)
		return ok
	}
	for i := range keptLists {
		lists.keep("party", fmt.Sprint(i), make([]place, i), start)
	}
	if !known("0", start) {
		t.Error("a list is lost before there are too many")
	}
	lists.keep("party", "one more", nil, start)
	if !known("0", start) || known("1", start) || !known("one more", start) {
		t.Error("not the list that was used first was let go of")
	}
	later := start.Add(keptListTime + time.Second)
	if known("0", later) {
		t.Error("a list is found after its time")
	}
	large := []place{{ID: strings.Repeat("x", keptListBytes-100)}}
	lists.keep("party", "large", large, later)
	if len(lists.lists) != 1 || !known("large", later) {
		t.Errorf("got %d lists beside the one that takes all the room", len(lists.lists)-1)
	}
	lists.keep("party", "small", make([]place, 1), later)
	if known("large", later) || !known("small", later) {
		t.Error("the lists hold more than they may")
	}
	lists.keep("party", "too large", append(large, large...), later)
	if known("too large", later) {
		t.Error("a list is kept that is larger than all may be")
	}
	lists.sweep()
	if len(lists.lists) != 1 {
		t.Error("a list is swept away before its time")
	}
	lists.lists[0].used = start.Add(-time.Hour)
	if lists.sweep(); len(lists.lists) != 0 || lists.sweeper != nil {
		t.Error("a list is kept after its time though nobody asks")
	}
}

// TestLongestCursor holds that the service accepts the longest cursor that it gives out: of an order by as many properties
// as there may be, each with the key that takes the most room.
func TestLongestCursor(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("\"", 600), strings.Repeat("\\", 600), strings.Repeat("<", 600), strings.Repeat("日", 512), strings.Repeat("\ufdfa", 512)} {
		last := place{ID: maxID}
		for range odata.MaxOrderBy {
			last.Keys = append(last.Keys, cut(match.CaseIgnore(text), maxSortKey))
		}
		const sealed = 2 // The API encodes it once more, with an authentication code in front.
		cursor := walk{ID: rand.Text(), Query: strings.Repeat("x", 16)}.cursor(last)
		if size := (len(cursor) + 16) * 4 / 3; size+sealed > odata.MaxCursorLength {
			t.Errorf("a cursor of %d bytes for keys of %.10q", size, text)
		}
		for _, key := range last.Keys {
			if !utf8.ValidString(key) {
				t.Errorf("a character is cut in %.10q", key)
			}
		}
	}
}

// FuzzCursor holds that what is read from a cursor is written the same, that it fits the query that it came with, and
// that it is good for no other.
func FuzzCursor(f *testing.F) {
	d := newDirectory(f, nil, education.Rules{})
	ask := func(order []odata.Order, cursor string) *question {
		query := &odata.Query{OrderBy: order, Cursor: cursor}
		return &question{directory: d, set: education.Users, scope: "list", query: query}
	}
	orders := [][]odata.Order{nil, {{Property: "displayName"}}}
	for _, order := range orders {
		q := ask(order, "")
		w := walk{ID: "walk", Query: q.hash()}
		f.Add(w.cursor(place{ID: maxID}), true)
		f.Add(w.cursor(place{ID: maxID, Keys: []string{"müller"}}), true)
		f.Add(fmt.Sprintf(`{"w":"walk","q":%q,"a":{"k":["x\ud800"],"i":"y"}}`, q.hash()), false)
	}
	for _, text := range []string{"", "{}", "null", "[]", `{"w":1}`, `{"a":{"k":[null]}}`, `{"a":null}{}`, strings.Repeat(`{"a":`, 100), "\xff"} {
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, encoded bool) {
		if !encoded {
			text = base64.RawURLEncoding.EncodeToString([]byte(text))
		}
		accepted := 0
		for _, order := range orders {
			q := ask(order, text)
			w, err := parseCursor(q)
			if err != nil {
				var fault *odata.Error
				if !errors.As(err, &fault) || fault.Code != odata.InvalidRequest || fault.Target != odata.OptionSkipToken || fault.Unwrap() != nil {
					t.Fatalf("%q: %v", text, err)
				}
				continue
			}
			accepted++
			q.query.Cursor = w.cursor(w.After)
			if again, err := parseCursor(q); err != nil || again.ID != w.ID || q.compare(again.After, w.After) != 0 {
				t.Fatalf("%q became %+v, which became %+v (%v)", text, w, again, err)
			}
		}
		if accepted > 1 {
			t.Fatalf("%q is a cursor of two queries", text)
		}
	})
}
