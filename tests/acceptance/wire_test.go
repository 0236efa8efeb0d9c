package acceptance

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A row is one situation at the API: what OpenCloud's graph service answers there, and what this service does.
type row struct {
	// name says what is sent.
	name string
	// opencloud is the answer of OpenCloud's graph service.
	opencloud reply
	// compatible is the answer with EDUCATION_COMPATIBILITY=opencloud. It is opencloud's if it is left out.
	compatible reply
	// standard is the answer by default. It is the compatible one if it is left out.
	standard reply
	// difference gives the reason if one of the two departs from opencloud's, and only then.
	difference string
	// settings are further settings that the row needs; it gets a server of its own then.
	settings []string
	// call makes what the situation needs and returns the answer in question.
	call func(w world) *answer
	// check looks at what the status does not show, in particular at the notes of the replies. It may be nil.
	check func(w world, a *answer)
}

// reply is an answer in a few words. A status of 0 stands for the success that the operation usually has.
type reply struct {
	status int
	code   string
	// note is what matters beside status and code.
	note string
}

// success is the success that the operation usually has.
var success = reply{note: "accepted"}

func (r reply) String() string {
	var parts []string
	if r.status != 0 {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d %s", r.status, quoted(r.code))))
	}
	if r.note != "" {
		parts = append(parts, r.note)
	}
	return strings.Join(parts, ", ")
}

func quoted(code string) string {
	if code == "" {
		return ""
	}
	return "`" + code + "`"
}

func status(status int) reply               { return reply{status: status} }
func refused(status int, code string) reply { return reply{status: status, code: code} }

// but adds a note.
func (r reply) but(note string) reply {
	if r.note != "" {
		note = r.note + ", " + note
	}
	r.note = note
	return r
}

// Refusals that many rows have in common.
var (
	badRequest = refused(http.StatusBadRequest, "invalidRequest")
	notFound   = refused(http.StatusNotFound, "itemNotFound")
	taken      = refused(http.StatusConflict, "nameAlreadyExists")
	broken     = refused(http.StatusInternalServerError, "generalException")
	tooEarly   = refused(http.StatusMethodNotAllowed, "notAllowed")
)

// replies fills in what the row leaves out.
func (r row) replies() (compatible, standard reply) {
	compatible, standard = r.compatible, r.standard
	if compatible == (reply{}) {
		compatible = r.opencloud
	}
	if standard == (reply{}) {
		standard = compatible
	}
	return compatible, standard
}

// differs reports whether one of the two ways to run the service departs from OpenCloud's.
func (r row) differs() bool {
	compatible, standard := r.replies()
	return compatible != r.opencloud || standard != r.opencloud
}

// section is a part of what was written down when OpenCloud's graph service was observed, with the number it has there.
// The numbers 1.3 and 1.5 to 1.8 have a row for every line of it, apart from lines that need a failing directory or a
// way of running that this service does not have: sign-in by OpenCloud's own tokens, events, the clean-up of spaces, a
// choice of how accounts are disabled. Of the others there are the rows in which a client sees a difference.
type section struct {
	number, title string
	rows          []row
}

// sections returns all rows.
func sections() []section {
	return []section{
		{"1.1", "Paths and methods", pathRows()},
		{"1.3", "Request bodies", bodyRows()},
		{"1.4", "Query options", queryRows()},
		{"1.5", "References", referenceRows()},
		{"1.6", "Schools", slices.Concat(schoolRows(), schoolDeletionRows(), schoolLinkRows())},
		{"1.7", "Users", slices.Concat(userRows(), userPropertyRows())},
		{"1.8", "Classes", slices.Concat(classRows(), classPropertyRows(), classLinkRows())},
		{"2", "Authentication", authenticationRows()},
	}
}

// world is where a row happens.
type world struct {
	*testing.T
	server *server
	// compatible says that the service runs with EDUCATION_COMPATIBILITY=opencloud.
	compatible bool
}

func (w world) get(path string, options ...option) *answer {
	w.Helper()
	return w.server.get(w, path, options...)
}

func (w world) post(path string, body any, options ...option) *answer {
	w.Helper()
	return w.server.post(w, path, body, options...)
}

func (w world) patch(path string, body any, options ...option) *answer {
	w.Helper()
	return w.server.patch(w, path, body, options...)
}

func (w world) remove(path string, options ...option) *answer {
	w.Helper()
	return w.server.remove(w, path, options...)
}

func (w world) school(properties ...entity) string {
	w.Helper()
	return w.server.school(w, properties...)
}

func (w world) user(properties ...entity) string {
	w.Helper()
	return w.server.user(w, properties...)
}

func (w world) class(properties ...entity) string {
	w.Helper()
	return w.server.class(w, properties...)
}

func (w world) link(navigation, reference string) {
	w.Helper()
	w.server.link(w, navigation, reference)
}

// wantValue expects a property of an entity; nil expects it to be absent.
func (w world) wantValue(path, property string, want any) {
	w.Helper()
	if diff := cmp.Diff(want, w.get(path).want(http.StatusOK).entity()[property]); diff != "" {
		w.Errorf("%s of %s (-want +got):\n%s", property, path, diff)
	}
}

// wantIDs expects the entities of a list, in any order.
func (w world) wantIDs(path string, want ...string) {
	w.Helper()
	got := w.get(path).ids()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		w.Errorf("GET %s (-want +got):\n%s", path, diff)
	}
}

func TestWire(t *testing.T) {
	t.Parallel()
	for mode, settings := range map[string][]string{
		"default":    nil,
		"compatible": {"EDUCATION_COMPATIBILITY=opencloud"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			shared := start(t, settings...)
			for _, section := range sections() {
				for _, row := range section.rows {
					t.Run(section.number+" "+section.title+"/"+row.name, func(t *testing.T) {
						t.Parallel()
						w := world{T: t, server: shared, compatible: shared.compatible}
						if len(row.settings) > 0 {
							w.server = start(t, slices.Concat(settings, row.settings)...)
						}
						row.run(w)
					})
				}
			}
		})
	}
}

func (r row) run(w world) {
	compatible, want := r.replies()
	if w.compatible {
		want = compatible
	}
	got := r.call(w)
	switch {
	case want.status == 0 && got.status >= http.StatusBadRequest:
		w.Fatalf("%s: got %d, want success\n%s", got.what, got.status, got.body)
	case want.status != 0:
		got.want(want.status)
	}
	if code := got.code(); code != want.code {
		w.Errorf("%s: got the code %q, want %q\n%s", got.what, code, want.code, got.body)
	}
	if r.check != nil {
		r.check(w, got)
	}
}

// date returns a date that lies ahead, in the form in which the API returns it.
func date(ahead time.Duration) string {
	return time.Now().Add(ahead).UTC().Truncate(time.Second).Format(time.RFC3339)
}

// terminated returns a school whose termination date has passed, with the given properties.
func (w world) terminated(properties ...entity) string {
	w.Helper()
	id := w.school(properties...)
	w.terminate(id)
	return id
}

// terminate gives a school a termination date and waits until it has passed.
func (w world) terminate(school string) {
	w.Helper()
	soon := time.Now().Add(2 * time.Second).UTC().Truncate(time.Second)
	w.patch("/schools/"+school, entity{"terminationDate": soon.Format(time.RFC3339)}).want(http.StatusOK)
	time.Sleep(time.Until(soon) + 20*time.Millisecond)
}

// unknown is an id that no entity has.
const unknown = "00000000-0000-4000-8000-000000000000"

var update = flag.Bool("update", false, "write docs/compatibility.md anew")

// compatibilityPath is the list of differences for people.
const compatibilityPath = "../../docs/compatibility.md"

// TestCompatibilityDocument keeps docs/compatibility.md equal to the rows. Run it with -update after a change of them.
func TestCompatibilityDocument(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	want := compatibilityDocument()
	if *update {
		if err := os.WriteFile(compatibilityPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(compatibilityPath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/compatibility.md is outdated; run this test with -update (-want +got):\n%s", diff)
	}
}

// TestRows proves that the rows are whole: each has a name of its own, and gives a reason exactly if it needs one.
func TestRows(t *testing.T) {
	embeddedOnly(t)
	t.Parallel()
	for _, section := range sections() {
		seen := map[string]bool{}
		for _, row := range section.rows {
			if seen[row.name] {
				t.Errorf("%s: %q is there twice", section.title, row.name)
			}
			seen[row.name] = true
			if row.differs() != (row.difference != "") {
				t.Errorf("%s: %q gives the reason %q, but differs: %t", section.title, row.name, row.difference, row.differs())
			}
		}
	}
}

// compatibilityDocument returns the text of docs/compatibility.md.
func compatibilityDocument() string {
	var b strings.Builder
	b.WriteString(compatibilityHead)
	for _, section := range sections() {
		if !slices.ContainsFunc(section.rows, row.differs) {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", section.title)
		b.WriteString("| situation | OpenCloud's graph service | education | education with `EDUCATION_COMPATIBILITY=opencloud` | why |\n")
		b.WriteString("|---|---|---|---|---|\n")
		for _, row := range section.rows {
			if row.differs() {
				compatible, standard := row.replies()
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n",
					cell(row.name), cell(row.opencloud.String()), cell(standard.String()), cell(compatible.String()), cell(row.difference))
			}
		}
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

const compatibilityHead = `# Differences from OpenCloud's graph service

This service takes the place of the education part of OpenCloud's graph service. The tables below list every situation
in which its answer is another one: by default, where the contract (` + "`api/openapi.yaml`" + `) counts, and with
` + "`EDUCATION_COMPATIBILITY=opencloud`" + `, where scripts that were written for OpenCloud run unchanged and only what
harms them is left out. What is not listed is meant to be the same in both. OpenCloud's answers are those of version 6.

Some things differ everywhere and are not repeated in the tables:

- Messages are other ones, and hold no text of a library or a directory. Codes are the same unless listed.
- Errors also have a ` + "`target`" + `, ` + "`details`" + ` where there are several faults, and ` + "`innerError`" + ` beside ` + "`innererror`" + `.
- By default, creating a user is 201 and has a ` + "`Location`" + `, changing a class is 200 with the class, the collections below
  an entity are objects with a ` + "`value`" + `, and responses carry ` + "`@odata.context`" + `. In compatibility mode creating a user is
  200, changing a class is 204, and the collections below an entity are bare arrays.
- A list is whole unless a page is asked for with ` + "`$top`" + ` or ` + "`Prefer: odata.maxpagesize`" + `, or the service has a largest page; an
  ` + "`@odata.nextLink`" + ` leads to the rest. In compatibility mode a request with ` + "`$top`, `$skip`, `$count=true`, `$skiptoken`" + ` or that
  preference gets an object even below an entity, and so does one that does not get everything at once; of annotations
  there are the ` + "`@odata.count`" + ` that was asked for and the ` + "`@odata.nextLink`" + ` that is needed.
- A directory that is down or busy is 503 or 504, never 404 and never an empty list.

"Accepted" stands for the success that the operation has otherwise. The tables are written by
` + "`tests/acceptance`" + `, which tries every line of them.
`
