package identity

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/opencloud-eu/education/internal/ldapserver"
	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/remote"
	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// malformedUser is a user that another program has written, in the school of foreign and in its class.
type malformedUser struct {
	name string
	// lines are the attributes that are wrong, beside those of a good entry; an id is among them unless it is missing.
	lines []string
	// damage changes the entry as it is read, for what a directory with syntaxes does not accept.
	damage func(entry *wire.Entry)
	// target is the property that the error names, and repair a value of it that makes the entry whole.
	target string
	repair any
}

func malformedUsers() []malformedUser {
	const id = "0e2f1bd5-9a2d-4a3b-a6c1-0000000001"
	return []malformedUser{
		{name: "noid", target: "id"},
		{
			name: "identity", lines: []string{"openCloudUUID: " + id + "01", "openCloudExternalIdentity: no separators"},
			target: "identities", repair: []map[string]any{{"issuer": "https://idp", "issuerAssignedId": "x"}},
		},
		{
			name: "twomails", lines: []string{"openCloudUUID: " + id + "02", "mail: a@example.org", "mail: b@example.org"},
			target: "mail", repair: "a@example.org",
		},
		{
			name:   "twoids",
			lines:  []string{"openCloudUUID: " + id + "03", "openCloudEducationExternalId: 1", "openCloudEducationExternalId: 2"},
			target: "externalId", repair: "2",
		},
		{
			name: "date", lines: []string{"openCloudUUID: " + id + "04"},
			damage: func(entry *wire.Entry) {
				for i, attribute := range entry.Attributes {
					if attribute.Type == "createTimestamp" {
						entry.Attributes[i].Values = []string{"yesterday"}
					}
				}
			},
			target: "createdDateTime",
		},
	}
}

// TestMalformedEntries has malformed entries among good ones, in the embedded directory and in OpenLDAP.
func TestMalformedEntries(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		store := openStore(t)
		checkMalformed(t, store, ldapserver.Bases{UserBase: userBase, ClassBase: classBase, SchoolBase: schoolBase}, false)
	})
	t.Run("OpenLDAP", func(t *testing.T) {
		t.Parallel()
		server := ldapserver.OpenLDAP(t)
		client, err := remote.Open(remote.Config{
			URIs: []string{server.URI}, BindDN: server.BindDN, Password: func() (string, error) { return server.Password, nil },
			Bases: []string{server.UserBase, server.ClassBase, server.SchoolBase},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		checkMalformed(t, client, server.Bases, true)
	})
}

func checkMalformed(t *testing.T, operations Operations, bases ldapserver.Bases, loosely bool) {
	users := malformedUsers()
	damaged := &stub{Operations: operations, search: func(request *wire.SearchRequest, yield func(*wire.Entry) error) error {
		return operations.Search(t.Context(), request, func(entry *wire.Entry) error {
			for _, user := range users {
				if user.damage != nil && strings.HasPrefix(entry.DN, "uid="+user.name+",") {
					user.damage(entry)
				}
			}
			return yield(entry)
		})
	}}
	d, err := New(Config{
		Operations: damaged, UserBase: bases.UserBase, ClassBase: bases.ClassBase, SchoolBase: bases.SchoolBase, LooseMatching: loosely,
	})
	if err != nil {
		t.Fatal(err)
	}
	addEntry(t, operations, "ou=School,"+bases.SchoolBase, "objectClass: organizationalUnit", "objectClass: openCloudEducationSchool",
		"ou: School", "openCloudUUID: "+schoolID)
	person := []string{"objectClass: inetOrgPerson", "objectClass: openCloudUser", "objectClass: openCloudEducationUser", "cn: x", "sn: x"}
	class := []string{
		"objectClass: groupOfNames", "objectClass: openCloudEducationClass", "objectClass: openCloudObject",
		"cn: 5a", "openCloudEducationExternalId: 5a", "openCloudUUID: " + classID, "openCloudEducationClassType: course",
	}
	for _, user := range append(users, malformedUser{name: "max", lines: []string{"openCloudUUID: " + maxID}}) {
		dn := "uid=" + user.name + "," + bases.UserBase
		addEntry(t, operations, dn, slices.Concat(person, []string{"displayName: " + user.name, "uid: " + user.name, "openCloudMemberOfSchool: " + schoolID}, user.lines)...)
		class = append(class, "member: "+dn)
	}
	addEntry(t, operations, "openCloudEducationExternalId=5a,"+bases.ClassBase, class...)

	checkMalformedAreLeftOut(t, d, users)
	for _, user := range users {
		checkMalformedByKey(t, d, user)
	}
	for _, user := range users {
		checkMalformedCanChange(t, d, user)
	}
	for _, user := range users {
		if err := d.Delete(t.Context(), education.Users, keyOf(education.Users, "onPremisesSamAccountName", user.name)); err != nil {
			t.Errorf("delete %s: %v", user.name, err)
		}
	}
	wantTargets(t, d, education.Classes, classID, "members", maxID)
}

// checkMalformedAreLeftOut looks at everything that shows several entities.
func checkMalformedAreLeftOut(t *testing.T, d *Directory, users []malformedUser) {
	t.Helper()
	wantTargets(t, d, education.Classes, classID, "members", maxID)
	wantTargets(t, d, education.Schools, schoolID, "users", maxID)
	top := len(users) + 1
	for _, query := range []*odata.Query{nil, {Top: &top, OrderBy: []odata.Order{{Property: "mail"}}}} {
		answer, err := d.List(t.Context(), education.Users, query)
		if err != nil {
			t.Fatal(err)
		}
		var listed []string
		for user, err := range answer.Entities {
			if err != nil {
				t.Fatal(err)
			}
			listed = append(listed, user.Text("onPremisesSamAccountName"))
		}
		wantStrings(t, listed, []string{"max"})
	}
	expanded, err := d.Get(t.Context(), education.Classes, keyOf(education.Classes, "id", classID),
		&odata.Query{Expand: []odata.Expand{{Navigation: "members", Query: &odata.Query{}}}})
	if err != nil {
		t.Fatal(err)
	}
	members, _ := expanded.Related(education.NavigationOf(education.Classes, "members"))
	if len(members) != 1 || members[0].ID() != maxID {
		t.Errorf("expanded members: got %d, want max alone", len(members))
	}
	// The number is of entries with an id (docs/decisions/0015).
	counted, err := d.List(t.Context(), education.Users, &odata.Query{Count: true})
	if err != nil || counted.Total != len(users) {
		t.Errorf("$count: got %d and %v, want %d", counted.Total, err, len(users))
	}
}

// checkMalformedByKey asks for a malformed entity by its keys.
func checkMalformedByKey(t *testing.T, d *Directory, user malformedUser) {
	t.Helper()
	keys := []education.Key{keyOf(education.Users, "onPremisesSamAccountName", user.name)}
	for _, line := range user.lines {
		if id, ok := strings.CutPrefix(line, "openCloudUUID: "); ok {
			keys = append(keys, keyOf(education.Users, "id", id))
		}
		if id, ok := strings.CutPrefix(line, "openCloudEducationExternalId: "); ok {
			keys = append(keys, keyOf(education.Users, "externalId", id))
		}
	}
	for _, key := range keys {
		_, err := d.Get(t.Context(), education.Users, key, nil)
		var fault *odata.Error
		if !errors.As(err, &fault) || fault.Code != odata.GeneralException || fault.Target != user.target {
			t.Errorf("get %s by %s: got %v, want generalException with the target %s", user.name, key.Property.Name, err, user.target)
		}
	}
}

// checkMalformedCanChange changes another property of a malformed entity, takes it out of its school, holds that its unique
// values are taken, and repairs it.
func checkMalformedCanChange(t *testing.T, d *Directory, user malformedUser) {
	t.Helper()
	key := keyOf(education.Users, "onPremisesSamAccountName", user.name)
	update := func(name string, value any) {
		_, err := d.Update(t.Context(), education.Users, key, newChange(t, education.Users, education.UpdateEntity, map[string]any{name: value}))
		if err != nil {
			t.Errorf("change %s of %s: %v", name, user.name, err)
		}
	}
	update("givenName", "Other")
	for _, nav := range []struct {
		set      *education.EntitySet
		id, name string
	}{{education.Schools, schoolID, "users"}, {education.Classes, classID, "members"}} {
		if err := d.RemoveRef(t.Context(), education.NavigationOf(nav.set, nav.name), keyOf(nav.set, "id", nav.id), key); err != nil {
			t.Errorf("take %s out of %s: %v", user.name, nav.name, err)
		}
	}
	_, err := d.Create(t.Context(), education.Users, newChange(t, education.Users, education.CreateEntity,
		map[string]any{"displayName": "x", "onPremisesSamAccountName": user.name}))
	wantTaken(t, "a second "+user.name, err, "onPremisesSamAccountName")
	if user.repair == nil {
		return
	}
	update(user.target, user.repair)
	if _, err := d.Get(t.Context(), education.Users, key, nil); err != nil {
		t.Errorf("get %s after its repair: %v", user.name, err)
	}
}

// TestMalformedValuesStayTaken holds that each of two values of an entry without keys keeps others from taking it.
func TestMalformedValuesStayTaken(t *testing.T) {
	t.Parallel()
	d, store := foreign(t)
	addEntry(t, store, "uid=one,"+userBase, "objectClass: inetOrgPerson", "objectClass: openCloudEducationUser", "cn: x", "sn: x",
		"uid: one", "uid: two", "openCloudUUID: 0e2f1bd5-9a2d-4a3b-a6c1-00000000000f")
	for _, name := range []string{"one", "TWO"} {
		_, err := d.Create(t.Context(), education.Users, newChange(t, education.Users, education.CreateEntity,
			map[string]any{"displayName": "x", "onPremisesSamAccountName": name}))
		wantTaken(t, name, err, "onPremisesSamAccountName")
	}
}

// TestMalformedEntriesAreReported looks into the log and at the metric. It replaces what all tests share, so that it does
// not run beside others.
func TestMalformedEntriesAreReported(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	meters, logger := otel.GetMeterProvider(), slog.Default()
	var log bytes.Buffer
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer func() {
		otel.SetMeterProvider(meters)
		slog.SetDefault(logger)
	}()
	d, store := foreign(t)
	addEntry(t, store, "uid=noid,"+userBase, "objectClass: inetOrgPerson", "objectClass: openCloudEducationUser", "cn: x", "sn: x", "uid: noid")
	const times = 5
	for range times {
		answer, err := d.List(t.Context(), education.Users, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range answer.Entities {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := strings.Count(log.String(), "uid=noid,"+userBase); got != 1 {
		t.Errorf("the log names the entry %d times, want once:\n%s", got, log.String())
	}
	if !strings.Contains(log.String(), "openCloudUUID is missing") {
		t.Errorf("the log does not give the reason:\n%s", log.String())
	}
	if got := countMalformed(t, reader); got != times {
		t.Errorf("the metric counts %d, want %d", got, times)
	}
}

// countMalformed returns the sum of the metric.
func countMalformed(t *testing.T, reader sdkmetric.Reader) (sum int64) {
	t.Helper()
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.WithoutCancel(t.Context()), &collected); err != nil {
		t.Fatal(err)
	}
	for _, scope := range collected.ScopeMetrics {
		for _, metric := range scope.Metrics {
			if counts, ok := metric.Data.(metricdata.Sum[int64]); ok && metric.Name == "education.directory.malformed_entries" {
				for _, point := range counts.DataPoints {
					sum += point.Value
				}
			}
		}
	}
	return sum
}

func TestMalformedEntriesAreNamedAgain(t *testing.T) {
	t.Parallel()
	e, err := newMalformedEntries()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	steps := []struct {
		name  string
		after time.Duration
		want  bool
	}{
		{"a", 0, true},
		{"a", time.Minute, false},
		{"b", time.Minute, true},
		{"a", remindAfter - 1, false},
		{"a", remindAfter, true},
		{"a", remindAfter + 1, false},
	}
	for i, step := range steps {
		if got := e.due(step.name, start.Add(step.after)); got != step.want {
			t.Errorf("step %d: got %v, want %v", i, got, step.want)
		}
	}
	for range 2 * maxReported {
		e.due(strings.Repeat("x", len(e.reported)), start.Add(remindAfter))
	}
	if len(e.reported) != maxReported {
		t.Errorf("%d entries are remembered, want %d", len(e.reported), maxReported)
	}
	if !e.due("c", start.Add(3*remindAfter)) {
		t.Error("after all are outdated, a new one is not named")
	}
}
