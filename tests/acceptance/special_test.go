package acceptance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-ldap/ldap/v3"
)

// plainTexts are texts that every property without a format of its own must keep exactly as they are, and by which an
// entity must be found. No two of them are equal under caseIgnoreMatch (RFC 4518).
var plainTexts = slices.Concat(simpleTexts, corpus("filters"), corpus("dns"))

// simpleTexts are those of plainTexts that are not made for an attack on LDAP.
var simpleTexts = []string{
	// What is special in LDAP filters, DNs, URLs, JSON, OData and SQL, alone.
	"*", "(", ")", `\`, ",", "+", `"`, "<", ">", ";", "=", "#", "/", "%", "'", "&", "|", "!", "?", ":", "@", "$", "~", "`", ".",
	"..", "{", "}", "[", "^", "-", "_", "--",
	// The same together, and at the ends.
	`* ( ) \ , + " < > ; = # / %`, "**", "()", `\\\`, "a*", "*b", "#c", "d\\", `"e"`, "f,", "/g/", "//", "h;i",
	// Blanks. Matching folds them, storing must not.
	" leading", "trailing ", "  both  ", "two  inner", "\u00a0no-break\u00a0", " #x",
	// Text of many scripts.
	"Jörg Müller-Lüdenscheidt", "Straße", "ÀÉÎÕÜ", "e\u0301tude", "ﬁlm", "İstanbul", "Σίσυφος", "школа", "中文學校", "学校が好き",
	"שלום", "مدرسة", "\u202eright to left", "👩‍👩‍👧‍👦", "😀", "🇩🇪", "x\u200by", "\ufeffmark",
	// Injection into OData and URLs.
	"' or 1 eq 1 or '", "''", "o'neil", "$filter", "$ref", "$count", "null", "true", "4711", "P1D", "2026-12-31T00:00:00Z", "%27", "%2F", "%00",
	"%ff", "%25", "a%20b", "a+b%2bc", "a&b=c", "a?b#c", "('x')", "(externalId='x')", "users('x')", "@odata.id", "../../etc/passwd", "http://host/users/x",
	// JSON.
	`{"a":1}`, `"quoted"`, `\u0041`, `\n`, "</script>",
}

// oddTexts are texts that a property may refuse, but neither change nor lose.
var oddTexts = []string{
	"\x00", "a\x00b", "\x00leading", "a\x01b", "a\x1fb", "a\x7fb", "a\u0085b", "a\tb", "a\nb", "a\r\nb", "a\x1b[31mb",
	" ", "\t", "\u00a0", "\u200b", "\u00ad", "\u0301", "a\u2028b", "\uffff", "a\ufffdb", "\ufffd",
	"\ue000", "\U0010fffd", "$ $", "a $ b", "$ a", "a $",
	"00000000-0000-4000-8000-00000000000a", "6F0B4D3E-2A56-7C1C-9D3E-0A1B2C3D4E5F", "{6f0b4d3e-2a56-7c1c-9d3e-0a1b2c3d4e5f}",
}

// refusedTexts are texts that no property may take.
var refusedTexts = []string{"", strings.Repeat("x", 10_000), strings.Repeat("ß", 5_000)}

// set is an entity set, as far as this test knows it.
type set struct {
	// schema is its name in api/openapi.yaml, path its name in URLs, singular the one in parameters.
	schema, path, singular string
	// base is where its entries lie.
	base string
	// fresh returns the least that makes an entity.
	fresh func() entity
	// humanKey is the property that a key without a name addresses.
	humanKey string
}

var entitySets = []set{
	{"educationSchool", "schools", "school", schoolBase, aSchool, "schoolNumber"},
	{"educationUser", "users", "user", userBase, aUser, "onPremisesSamAccountName"},
	{"educationClass", "classes", "class", classBase, aClass, "externalId"},
}

// place is a place in a body where any text may stand: a property that is a string, or a string inside of one.
type place struct {
	set set
	// property is the property, inner the name of the string inside of it, or empty.
	property, inner string
	// maxLength is the longest text in characters.
	maxLength int
	// constrained places have a format or a pattern and may refuse every text. optional ones may be empty.
	constrained, optional bool
	// secret places are never returned.
	secret bool
	// filterable places can be compared in $filter. alternate ones are keys with a name.
	filterable, alternate bool

	schema *openapi3.Schema
}

func (p place) String() string { return strings.Trim(p.set.path+" "+p.property+" "+p.inner, " ") }

// places returns all places of the contract where a client may write text.
func places() []place {
	var all []place
	for _, set := range entitySets {
		properties := document().document.Components.Schemas[set.schema].Value.Properties
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			schema := properties[name].Value
			if schema.Extensions["x-writable"] != "always" || strings.Contains(name, "@odata.") {
				continue
			}
			about := place{
				set: set, property: name, schema: schema, secret: schema.WriteOnly, filterable: schema.Extensions["x-filterable"] != nil,
				alternate: alternateKeys()[set.singular][name],
			}
			all = append(all, about.within(schema)...)
		}
	}
	return all
}

// within returns the places inside of a property with the given schema.
func (p place) within(schema *openapi3.Schema) []place {
	switch {
	case schema.Type.Includes("string"):
		p.maxLength, p.constrained = 1<<30, schema.Format != "" || schema.Pattern != ""
		if schema.MaxLength != nil {
			p.maxLength = int(*schema.MaxLength)
		}
		if schema.Format == "date-time" {
			return nil
		}
		return []place{p}
	case schema.Type.Includes("array"):
		return p.within(schema.Items.Value)
	}
	objects := []*openapi3.Schema{schema}
	for _, one := range schema.OneOf {
		objects = append(objects, one.Value)
	}
	var all []place
	for _, object := range objects {
		for _, name := range slices.Sorted(maps.Keys(object.Properties)) {
			inner := p
			inner.inner, inner.optional = name, !slices.Contains(object.Required, name)
			if value := object.Properties[name].Value; value.Type.Includes("string") {
				all = append(all, inner.within(value)...)
			}
		}
	}
	return all
}

// named finds the properties that the description of a path parameter lists as keys with a name.
var named = regexp.MustCompile(`It may\s+name ([^.]+)\.`)

// alternateKeys returns, for each entity set, the properties that address an entity by name: users(externalId='4711').
func alternateKeys() map[string]map[string]bool {
	keys := map[string]map[string]bool{}
	for _, set := range entitySets {
		keys[set.singular] = map[string]bool{}
		description := document().document.Components.Parameters[set.singular].Value.Description
		for _, list := range named.FindAllStringSubmatch(description, -1) {
			for i, name := range strings.Split(list[1], "`") {
				keys[set.singular][name] = i%2 == 1
			}
		}
	}
	return keys
}

// body returns the value of the property with a text in the place.
func (p place) body(text string) any {
	if p.inner == "" {
		return text
	}
	object := map[string]any{}
	if p.schema.Type.Includes("array") {
		for _, name := range p.schema.Items.Value.Required {
			object[name] = "x"
		}
		object[p.inner] = text
		return []any{object}
	}
	object[p.inner] = text
	return object
}

// textOf returns the text of the place in an entity.
func (p place) textOf(e entity) (string, bool) {
	value := e[p.property]
	if p.inner == "" {
		text, ok := value.(string)
		return text, ok
	}
	if list, ok := value.([]any); ok && len(list) == 1 {
		value = list[0]
	}
	object, _ := value.(map[string]any)
	text, ok := object[p.inner].(string)
	return text, ok
}

// mustKeep says whether the place has to accept a text and keep it.
func (p place) mustKeep(text string) bool {
	if p.constrained || !slices.Contains(plainTexts, text) && !isRepeated(text) {
		return false
	}
	return utf8.RuneCountInString(text) <= p.maxLength
}

// mustRefuse says whether the place must not accept a text.
func (p place) mustRefuse(text string) bool {
	if text == "" {
		return !p.optional
	}
	return slices.Contains(refusedTexts, text) || utf8.RuneCountInString(text) > p.maxLength ||
		strings.ContainsRune(text, 0)
}

// longest returns the longest texts that fit, and the shortest ones that do not.
func (p place) longest() []string {
	if p.maxLength > 1<<20 {
		return nil
	}
	var texts []string
	for _, character := range []string{"l", "ö", "字", "🏫"} {
		texts = append(texts, strings.Repeat(character, p.maxLength), strings.Repeat(character, p.maxLength+1))
	}
	return texts
}

// isRepeated reports whether a text is one of those of longest.
func isRepeated(text string) bool {
	first, _ := utf8.DecodeRuneInString(text)
	return utf8.RuneCountInString(text) > 200 && strings.Trim(text, string(first)) == ""
}

// TestSpecialTexts puts every special text into every place for text, with a POST and with a PATCH, and expects that it
// is kept exactly and finds its entity and no other, or that it is refused with the property's name.
func TestSpecialTexts(t *testing.T) {
	t.Parallel()
	s := start(t, "EDUCATION_USERNAME_MATCH=none")
	for _, text := range slices.Concat(plainTexts, oddTexts) {
		if utf8.RuneCountInString(text) > 9 {
			s.keepUnlogged(text)
		}
	}
	// Nobody who is not asked for may be found.
	s.user(t, entity{"externalId": "bystander", "mail": "by@example.org", "surname": "Stander"})
	found := places()
	if len(found) < 15 {
		t.Fatalf("the contract has only %d places for text: %v", len(found), found)
	}
	for _, p := range found {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			if p.secret {
				s.checkSecret(t, p)
				return
			}
			texts := slices.Concat(plainTexts, oddTexts, refusedTexts, p.longest())
			s.checkAbsent(t, p, texts)
			t.Run("POST", func(t *testing.T) {
				ids, home := s.checkTexts(t, p, texts, s.create), "/schools/"+s.school(t)
				inParallel(len(texts), workers, func(i int) {
					if ids[i] != "" {
						s.checkKeys(t, p, home, texts[i], ids[i])
					}
				})
				s.clear(t, p.set, ids)
			})
			t.Run("PATCH", func(t *testing.T) { s.clear(t, p.set, s.checkTexts(t, p, texts, s.createThenPatch)) })
		})
	}
	t.Cleanup(func() { s.checkPlacement(t) })
}

// create makes an entity with a text in the place.
func (s *server) create(t testing.TB, p place, text string) *answer {
	t.Helper()
	return s.mustTry(t, http.MethodPost, "/"+p.set.path, with(p.set.fresh(), entity{p.property: p.body(text)}))
}

// createThenPatch makes an entity and changes it to have a text in the place.
func (s *server) createThenPatch(t testing.TB, p place, text string) *answer {
	t.Helper()
	made := s.mustTry(t, http.MethodPost, "/"+p.set.path, p.set.fresh())
	if made == nil || made.status != http.StatusCreated {
		t.Errorf("%s: an entity cannot be made: %v", p, made)
		return nil
	}
	path := "/" + p.set.path + "/" + made.id()
	got := s.mustTry(t, http.MethodPatch, path, entity{p.property: p.body(text)})
	if got != nil && got.status >= http.StatusBadRequest {
		s.mustTry(t, http.MethodDelete, path, nil)
	}
	return got
}

// workers is how many requests a test sends at a time where their order does not count.
const workers = 8

// checkTexts writes texts into a place and checks what becomes of them. It returns the ids of the entities that it has
// made, each at the index of its text; the id of a refused text is empty.
func (s *server) checkTexts(t *testing.T, p place, texts []string, write func(testing.TB, place, string) *answer) []string {
	ids := make([]string, len(texts))
	inParallel(len(texts), workers, func(i int) {
		got := write(t, p, texts[i])
		switch {
		case got == nil:
		case got.status == http.StatusOK || got.status == http.StatusCreated:
			ids[i] = got.id()
			if p.mustRefuse(texts[i]) {
				t.Errorf("%s: %s was accepted", p, shown(texts[i]))
			}
			s.checkKept(t, p, texts[i], got.entity())
		case p.mustKeep(texts[i]):
			t.Errorf("%s: %s was refused: %d %s", p, shown(texts[i]), got.status, got.body)
		default:
			checkRefusal(t, p, texts[i], got)
		}
	})
	inParallel(len(texts), workers, func(i int) {
		if ids[i] != "" {
			s.checkFound(t, p, texts[i], ids[i])
		}
	})
	s.checkEntries(t, p, texts, ids)
	return ids
}

// clear deletes entities over LDAP, where a school need not wait for its termination date.
func (s *server) clear(t testing.TB, set set, ids []string) {
	t.Helper()
	connection := s.administrator(t)
	inParallel(len(ids), workers, func(i int) {
		if ids[i] == "" {
			return
		}
		if err := connection.Del(ldap.NewDelRequest(s.dn(t, set.base, ids[i]), nil)); err != nil {
			t.Errorf("deleting one of %s: %v", set.path, err)
		}
	})
}

// shown is a text for a message.
func shown(text string) string {
	if len(text) > 60 {
		return fmt.Sprintf("%+.60q… (%d characters)", text, utf8.RuneCountInString(text))
	}
	return fmt.Sprintf("%+q", text)
}

func (s *server) checkKept(t testing.TB, p place, text string, e entity) {
	t.Helper()
	if got, _ := p.textOf(e); got != text {
		t.Errorf("%s: %s has become %s", p, shown(text), shown(got))
	}
}

// checkRefusal expects a refusal that names the property and can be read.
func checkRefusal(t testing.TB, p place, text string, got *answer) {
	t.Helper()
	said := got.fault()
	if got.status != http.StatusBadRequest || said.Code != "invalidRequest" || said.Target != p.property {
		t.Errorf("%s: %s was refused with %d %s", p, shown(text), got.status, got.body)
	}
	if strings.ContainsFunc(said.Message, unicode.IsControl) || len(said.Message) > 400 {
		t.Errorf("%s: %s was refused with a message that holds it: %+q", p, shown(text), said.Message)
	}
}

// equal returns a filter that compares the place with a text.
func (p place) equal(text string) string {
	return "/" + p.set.path + filtered(p.property+" eq "+odataLiteral(text))
}

// odataLiteral returns a text as a string literal of OData.
func odataLiteral(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// idText matches what is shaped like an id.
var idText = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// keys returns the paths, below the service's root and escaped, by which an entity with the text is addressed.
func (p place) keys(text string) []string {
	var paths []string
	escaped := url.PathEscape(text)
	// A key shaped like a UUID is an id.
	if p.property == p.set.humanKey && !idText.MatchString(text) {
		paths = append(paths, "/"+p.set.path+"('"+url.PathEscape(strings.ReplaceAll(text, "'", "''"))+"')")
		// The segment $count asks for the number of entities (OData URL conventions, section 4.8).
		if text != "$count" {
			paths = append(paths, "/"+p.set.path+"/"+escaped)
		}
	}
	if p.alternate {
		paths = append(paths, "/"+p.set.path+"("+p.property+"="+url.PathEscape(odataLiteral(text))+")")
	}
	return paths
}

// checkFound expects that the text finds the entity and no other.
func (s *server) checkFound(t testing.TB, p place, text, id string) {
	t.Helper()
	if p.filterable {
		got := s.mustTry(t, http.MethodGet, p.equal(text), nil)
		if got == nil || !got.wantStatus(http.StatusOK) {
			return
		}
		// Matching takes some odd texts for the same: line breaks and tabs count as blanks (RFC 4518, section 2.2).
		ids := got.ids()
		if !slices.Contains(ids, id) || len(ids) > 1 && !slices.Contains(oddTexts, text) {
			t.Errorf("%s: the filter for %s finds %v, want %s alone", p, shown(text), ids, id)
		}
	}
}

// checkKeys expects that the text is a key of the entity, and a reference to it.
func (s *server) checkKeys(t testing.TB, p place, home, text, id string) {
	t.Helper()
	for _, path := range p.keys(text) {
		got := s.mustTry(t, http.MethodGet, path, nil)
		if got == nil || !got.wantStatus(http.StatusOK) {
			continue
		}
		if got.id() != id {
			t.Errorf("%s: %s is %s, want %s", p, got.what, got.id(), id)
		}
		s.checkReferable(t, p, home, path, id)
	}
}

// checkReferable expects that a path refers to the entity in the body of a $ref or in @odata.bind, in @id, and as part of
// the path of a $ref. That the path itself leads to the entity is known.
func (s *server) checkReferable(t testing.TB, p place, home, path, id string) {
	t.Helper()
	send := func(method, path string, body any, want int) *answer {
		if got := s.mustTry(t, method, path, body); got != nil && got.wantStatus(want) {
			return got
		}
		return nil
	}
	reference := "https://somewhere.example/graph/v1.0/education" + path
	if p.set.path == "schools" {
		user := with(aUser(), entity{"schools@odata.bind": []string{reference}})
		if made := send(http.MethodPost, "/users", user, http.StatusCreated); made != nil {
			send(http.MethodDelete, path+"/users/"+made.id()+"/$ref", nil, http.StatusNoContent)
		}
		return
	}
	// A link that is not there cannot be removed, so each removal shows what the addition before it has added.
	links := home + "/" + p.set.path
	send(http.MethodPost, links+"/$ref", ref(reference), http.StatusNoContent)
	send(http.MethodDelete, links+strings.TrimPrefix(path, "/"+p.set.path)+"/$ref", nil, http.StatusNoContent)
	send(http.MethodPost, links+"/$ref", ref("/"+p.set.path+"/"+id), http.StatusNoContent)
	send(http.MethodDelete, links+"/$ref?@id="+url.QueryEscape(reference), nil, http.StatusNoContent)
}

// wantStatus is want for a goroutine beside the test's own.
func (a *answer) wantStatus(status int) bool {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%s: got %d, want %d\n%s", a.what, a.status, status, a.body)
	}
	return a.status == status
}

// checkAbsent expects that no text is the key of anything as long as no entity has it.
func (s *server) checkAbsent(t *testing.T, p place, texts []string) {
	inParallel(len(texts), workers, func(i int) {
		for _, path := range p.keys(texts[i]) {
			got := s.mustTry(t, http.MethodGet, path, nil)
			// Without a key the path is that of the set.
			if got != nil && got.status != http.StatusBadRequest && got.status != http.StatusNotFound && texts[i] != "" {
				t.Errorf("%s: %s: %d %s", p, got.what, got.status, got.body)
			}
		}
	})
}

// checkEntries reads the entries over LDAP and expects each directly below its base, with the name that it should have, and with
// the text as it is in one of its attributes.
func (s *server) checkEntries(t *testing.T, p place, texts, ids []string) {
	entries := map[string]*ldap.Entry{}
	for _, entry := range below(t, s.administrator(t), p.set.base) {
		entries[entry.GetAttributeValue("openCloudUUID")] = entry
	}
	for i, id := range ids {
		if id == "" {
			continue
		}
		entry := entries[id]
		if entry == nil {
			t.Errorf("%s: the entity with %s has no entry", p, shown(texts[i]))
			continue
		}
		if !s.isPlaced(entry, p.set.base) {
			t.Errorf("%s: the entity with %s is at %q, below %q", p, shown(texts[i]), entry.DN, p.set.base)
		}
		if !slices.ContainsFunc(entry.Attributes, func(attribute *ldap.EntryAttribute) bool {
			return slices.ContainsFunc(attribute.Values, func(value string) bool {
				return value == texts[i] || p.inner != "" && strings.Contains(value, texts[i])
			})
		}) {
			t.Errorf("%s: no attribute of %s is %s", p, entry.DN, shown(texts[i]))
		}
	}
}

// checkPlacement expects every entry directly below its base, and nothing else in the directory.
func (s *server) checkPlacement(t *testing.T) {
	bases := map[string]bool{}
	for _, set := range entitySets {
		bases[set.base] = true
	}
	for _, entry := range below(t, s.administrator(t), namingContext) {
		name, parent, _ := strings.Cut(entry.DN, ",")
		switch {
		case bases[entry.DN], parent == namingContext && slices.Contains([]string{"cn=admin", "cn=reader", "cn=education"}, name):
		case slices.ContainsFunc(entitySets, func(set set) bool { return s.isPlaced(entry, set.base) }):
		default:
			t.Errorf("there is an entry at %q", entry.DN)
		}
	}
	s.checkReferences(t)
}

// checkSecret sets texts as the password of one user and expects that the user can sign in with each exactly as it is.
func (s *server) checkSecret(t *testing.T, p place) {
	path := "/" + p.set.path + "/" + s.user(t)
	id := s.get(t, path).id()
	texts := slices.Concat(oddTexts, refusedTexts, p.longest())
	// A password is slow to hash, on purpose.
	for i := 0; i < len(plainTexts); i += 5 {
		texts = append(texts, plainTexts[i])
	}
	for _, text := range texts {
		got := s.mustTry(t, http.MethodPatch, path, entity{p.property: p.body(text)})
		switch {
		case got == nil:
		case got.status == http.StatusOK:
			if p.mustRefuse(text) {
				t.Errorf("%s: %s was accepted", p, shown(text))
			}
			world{T: t, server: s}.wantSignIn(id, text, true)
			if blank := strings.TrimSpace(text); blank != text && blank != "" {
				world{T: t, server: s}.wantSignIn(id, blank, false)
			}
		case p.mustKeep(text):
			t.Errorf("%s: %s was refused: %d %s", p, shown(text), got.status, got.body)
		default:
			checkRefusal(t, p, text, got)
		}
	}
}

// TestInvalidText sends what is no text at all, and expects 400 everywhere.
func TestInvalidText(t *testing.T) {
	t.Parallel()
	s := start(t)
	user, school, class := s.user(t), s.school(t), s.class(t)
	ids := map[string]string{"schools": school, "users": user, "classes": class}
	refuse := func(t *testing.T, method, path, body string) {
		t.Helper()
		var content any
		if body != "" {
			content = body
		}
		if got := s.mustTry(t, method, path, content); got != nil && got.status != http.StatusBadRequest {
			t.Errorf("%s %+q: got %d, want 400\n%s", got.what, body, got.status, got.body)
		}
	}
	raw := map[string]string{
		"a byte alone":               "a\xffb",
		"an overlong slash":          "a\xc0\xafb",
		"an overlong NUL":            "a\xc0\x80b",
		"a cut sequence":             "a\xe2\x82",
		"a surrogate as UTF-8":       "a\xed\xa0\x80b",
		"beyond Unicode":             "a\xf4\x90\x80\x80b",
		"Latin-1":                    "J\xf6rg",
		"half of a pair, escaped":    `a\ud83db`,
		"the other half, escaped":    `a\ude00b`,
		"a pair the wrong way round": `\ude00\ud83d`,
	}
	for name, text := range raw {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, p := range places() {
				properties := with(p.set.fresh(), entity{p.property: p.body("<text>")})
				for method, path := range map[string]string{
					http.MethodPost: "/" + p.set.path, http.MethodPatch: "/" + p.set.path + "/" + ids[p.set.path],
				} {
					refuse(t, method, path, strings.ReplaceAll(string(marshal(t, properties)), "<text>", text))
				}
			}
			refuse(t, http.MethodPost, "/schools/"+school+"/users/$ref", `{"@odata.id":"/users/`+text+`"}`)
			refuse(t, http.MethodPost, "/users", `{"displayName":"x","onPremisesSamAccountName":"y","schools@odata.bind":["/schools/`+text+`"]}`)
			refuse(t, http.MethodPost, "/users", `{"displayName":"x","onPremisesSamAccountName":"y","`+text+`":1}`)
		})
	}
	for _, escape := range []string{"%ff", "a%ffb", "%c0%af", "%ed%a0%80", "%e2%82", "%00", "a%00b", "%01", "%7f"} {
		t.Run("escaped as "+escape, func(t *testing.T) {
			t.Parallel()
			for _, set := range entitySets {
				key := "/" + set.path + "/" + escape
				refuse(t, http.MethodGet, key, "")
				refuse(t, http.MethodPatch, key, "{}")
				refuse(t, http.MethodDelete, key, "")
				refuse(t, http.MethodGet, "/"+set.path+"('"+escape+"')", "")
				refuse(t, http.MethodGet, "/"+set.path+"("+set.humanKey+"='"+escape+"')", "")
			}
			refuse(t, http.MethodDelete, "/schools/"+school+"/users/"+escape+"/$ref", "")
			refuse(t, http.MethodDelete, "/classes/"+class+"/members/"+escape+"/$ref", "")
			refuse(t, http.MethodPost, "/schools/"+school+"/users/$ref", `{"@odata.id":"/users/`+escape+`"}`)
			refuse(t, http.MethodDelete, "/schools/"+school+"/users/$ref?@id=/users/"+escape, "")
			refuse(t, http.MethodGet, "/users?"+escape+"=1", "")
			for _, p := range places() {
				if p.filterable {
					refuse(t, http.MethodGet, "/"+p.set.path+"?$filter="+p.property+"%20eq%20'"+escape+"'", "")
				}
			}
		})
	}
	for path, id := range ids {
		s.get(t, "/"+path+"/"+id).want(http.StatusOK)
	}
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	// The encoder escapes angle brackets, which the caller wants to find.
	return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(text)))
}
