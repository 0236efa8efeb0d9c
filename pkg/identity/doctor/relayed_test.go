package doctor_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencloud-eu/education/internal/faultproxy"
	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/identity/doctor"
	"github.com/opencloud-eu/education/pkg/identity/wire"
)

// relayed returns how the doctor examines a server through a relay with a fault, so that the server seems to be another
// one.
func relayed(t *testing.T, server *ldapserver.Server, fault faultproxy.Fault) doctor.Config {
	t.Helper()
	proxy := faultproxy.New(t, strings.TrimPrefix(server.URI, "ldap://"))
	proxy.Set(fault)
	config := configOf(server)
	config.Remote.URIs = []string{"ldap://" + proxy.Address}
	return config
}

// TestTimeLimit examines servers that end the search for all entries of a set, because of a time limit or of something else.
func TestTimeLimit(t *testing.T) {
	t.Parallel()
	skipInShortMode(t)
	server, admin := startServer(t)
	populate(t, admin, server.Bases)
	for name, test := range map[string]struct {
		base string
		code wire.ResultCode
		want map[string]doctor.Severity
	}{
		"of users":       {server.UserBase, wire.ResultTimeLimitExceeded, map[string]doctor.Severity{"limits.time": doctor.Error}},
		"of schools":     {server.SchoolBase, wire.ResultTimeLimitExceeded, map[string]doctor.Severity{"limits.time": doctor.Error}},
		"another result": {server.UserBase, wire.ResultUnwillingToPerform, map[string]doctor.Severity{}},
	} {
		t.Run(name, func(t *testing.T) {
			config := relayed(t, server, endsLists(test.base, test.code))
			config.Depth = doctor.Reading
			for _, id := range []string{"limits.size", "indexes.keys", "indexes.filters"} { // With so few entries nothing can be said.
				test.want[id] = doctor.Note
			}
			findings := examine(t, config, test.want)
			if matter := matterOf(findings, "limits.time"); test.want["limits.time"] == doctor.Error != strings.Contains(matter, "ends a search") {
				t.Errorf("limits.time: %q", matter)
			}
		})
	}
}

// endsLists is the fault of a server that ends the search for all entries below a base with a result.
func endsLists(base string, code wire.ResultCode) faultproxy.Fault {
	var lists sync.Map
	return func(m *faultproxy.Message) faultproxy.Fate {
		if m.Tag == wire.TagSearchRequest {
			request, err := m.Message.Request()
			search, _ := request.(*wire.SearchRequest)
			if err == nil && search.Base == base && search.Scope == wire.ScopeSubtree && search.Filter.Kind == wire.FilterPresent {
				lists.Store(m.ID, true)
			}
		}
		if _, found := lists.Load(m.ID); found && m.Tag == wire.TagSearchDone {
			return faultproxy.Instead(wire.AppendResponse(nil, m.ID, &wire.Response{Tag: wire.TagSearchDone, Code: code}))
		}
		return faultproxy.Pass
	}
}

// TestClock examines servers whose clocks are right or wrong, and that say the time in the way of OpenLDAP or of 389-DS.
func TestClock(t *testing.T) {
	t.Parallel()
	skipInShortMode(t)
	server, admin := startServer(t)
	populate(t, admin, server.Bases)
	for _, test := range []struct {
		name  string
		skew  time.Duration
		exact bool
		want  map[string]doctor.Severity
		// matter is what the finding says.
		matter string
	}{
		{"a second ahead", time.Second, true, map[string]doctor.Severity{}, "agrees with this machine's"},
		{"a second ahead, in whole seconds", time.Second, false, map[string]doctor.Severity{}, "agrees with this machine's"},
		{"an hour ahead", time.Hour, true, map[string]doctor.Severity{"clock": doctor.Warning}, "ahead of"},
		{"an hour behind", -time.Hour, true, map[string]doctor.Severity{"clock": doctor.Warning}, "behind"},
		{"an hour behind, in whole seconds", -time.Hour, false, map[string]doctor.Severity{"clock": doctor.Warning}, "behind"},
	} {
		t.Run(test.name, func(t *testing.T) {
			findings := examine(t, relayed(t, server, skewed(test.skew, test.exact)), test.want)
			if matter := matterOf(findings, "clock"); !strings.Contains(matter, test.matter) {
				t.Errorf("clock: %q, want %q in it", matter, test.matter)
			}
		})
	}
}

// skewed is the fault of a server whose clock is ahead. Unless exact, it does not show the entryCSN.
func skewed(by time.Duration, exact bool) faultproxy.Fault {
	return func(m *faultproxy.Message) faultproxy.Fate {
		if m.Tag != wire.TagSearchEntry {
			return faultproxy.Pass
		}
		entry, err := m.Message.Entry()
		if err != nil || entry.Value("createTimestamp") == "" {
			return faultproxy.Pass
		}
		shown := &wire.Entry{DN: entry.DN}
		for _, attribute := range entry.Attributes {
			switch attribute.Type {
			case "createTimestamp":
				attribute.Values = []string{shifted("20060102150405Z", attribute.Values[0], by)}
			case "entryCSN":
				if !exact {
					continue
				}
				moment, change, _ := strings.Cut(attribute.Values[0], "#")
				attribute.Values = []string{shifted("20060102150405.000000Z", moment, by) + "#" + change}
			}
			shown.Attributes = append(shown.Attributes, attribute)
		}
		return faultproxy.Instead(wire.AppendEntry(nil, m.ID, shown))
	}
}

// shifted returns a time in a layout, later by so much. What is no such time becomes one that cannot be read.
func shifted(layout, text string, by time.Duration) string {
	moment, err := time.Parse(layout, text)
	if err != nil {
		return "not in the layout " + layout + ": " + text
	}
	return moment.Add(by).Format(layout)
}
