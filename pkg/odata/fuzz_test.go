package odata

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// maxParse is the longest that it may take to parse a query that is no longer than it may be.
const maxParse = 10 * time.Millisecond

// checkFault checks that an error is one for the client: it names what is at fault, and no error of a library is
// behind it.
func checkFault(t *testing.T, err error) {
	t.Helper()
	var fault *Error
	if !errors.As(err, &fault) || fault.Code != InvalidRequest && fault.Code != NotSupported {
		t.Fatalf("got %v", err)
	}
	if fault.Target == "" || fault.Message == "" || fault.Unwrap() != nil {
		t.Fatalf("got %#v", fault)
	}
	checkBounded(t, fault)
}

// checkTime checks how long something takes. The best of many tries is its cost; in the others, the machine may have
// been busy with something else.
func checkTime(t *testing.T, name string, limit time.Duration, do func()) {
	t.Helper()
	if underRaceDetector {
		return // Times mean nothing there.
	}
	best := time.Hour
	for tries := 0; best > limit && tries < 100; tries++ {
		start := time.Now()
		do()
		best = min(best, time.Since(start))
	}
	if best > limit {
		t.Errorf("%s: %v", name, best)
	}
}

// canary is a value that no error may repeat. Text in front of it cannot change that: its first quote opens a string,
// ends one, or is part of one.
const canary = "'canary4711'"

// optionTexts writes a query as the texts of its options.
func optionTexts(q *Query) []option {
	var options []option
	add := func(given bool, name, format string, args ...any) {
		if given {
			options = append(options, option{name, fmt.Sprintf(format, args...)})
		}
	}
	add(q.Filter != nil, OptionFilter, "%v", q.Filter)
	add(q.ID != "", OptionID, "%s", q.ID)
	add(q.Select != nil, OptionSelect, "%s", strings.Join(q.Select, ","))
	add(q.OrderBy != nil, OptionOrderBy, "%s", orderText(q.OrderBy))
	if q.Top != nil {
		add(true, OptionTop, "%d", *q.Top)
	}
	add(q.Skip > 0, OptionSkip, "%d", q.Skip)
	add(q.Count, OptionCount, "true")
	add(q.Search != nil, OptionSearch, "%v", q.Search)
	add(q.Expand != nil, OptionExpand, "%s", expandText(q.Expand))
	add(q.Metadata != "", OptionFormat, "json;odata.metadata=%s", q.Metadata)
	add(q.Cursor != "", OptionSkipToken, "%s", q.Cursor)
	return options
}

func orderText(orders []Order) string {
	texts := make([]string, len(orders))
	for i, order := range orders {
		texts[i] = order.Property + map[bool]string{true: " desc"}[order.Descending]
	}
	return strings.Join(texts, ",")
}

func expandText(expands []Expand) string {
	texts := make([]string, len(expands))
	for i, expand := range expands {
		var nested []string
		for _, option := range optionTexts(expand.Query) {
			nested = append(nested, option.name+"="+option.value)
		}
		if texts[i] = expand.Navigation; nested != nil {
			texts[i] += "(" + strings.Join(nested, ";") + ")"
		}
	}
	return strings.Join(texts, ",")
}

// checkQuery checks that a query says what its text says: the text of what was parsed is parsed to the same.
func checkQuery(t *testing.T, query *Query) {
	t.Helper()
	values := url.Values{}
	for _, option := range optionTexts(query) {
		if len(option.value) > MaxOptionLength && option.name != OptionID && option.name != OptionSkipToken {
			return // The text of a list or of words is longer than what was parsed.
		}
		values.Set(option.name, option.value)
	}
	again, err := ParseQuery(values.Encode(), everything)
	if err != nil || !reflect.DeepEqual(again, query) {
		t.Fatalf("%s became %+v (%v)", values, again, err)
	}
}
