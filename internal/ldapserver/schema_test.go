package ldapserver

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/embedded"
)

// definition is what a schema says about an attribute type or an object class (RFC 4512, sections 4.1.1 and 4.1.2), as far as
// schemas have to agree: they may differ in descriptions, and in what ranges and beginnings can be asked for.
type definition struct {
	OID      string
	Equality string
	Syntax   string
	Single   bool
	// Superior, Kind and May are those of object classes.
	Superior string
	Kind     string
	May      []string
}

var (
	definitionName = regexp.MustCompile(` NAME '([^']+)'`)
	definitionWord = regexp.MustCompile(`\( (\S+) `)
	definitionKind = regexp.MustCompile(` (ABSTRACT|STRUCTURAL|AUXILIARY)`)
	definitionMay  = regexp.MustCompile(` MAY (\( [^)]+ \)|\w+)`)
)

// parseDefinition reads one value of attributeTypes or objectClasses.
func parseDefinition(text string) (string, definition) {
	after := func(keyword string) string {
		_, rest, _ := strings.Cut(text, " "+keyword+" ")
		word, _, _ := strings.Cut(rest, " ")
		return word
	}
	group := func(expression *regexp.Regexp) string {
		if found := expression.FindStringSubmatch(text); found != nil {
			return found[1]
		}
		return ""
	}
	return group(definitionName), definition{
		OID: group(definitionWord), Equality: strings.ToLower(after("EQUALITY")), Syntax: after("SYNTAX"),
		Single: strings.Contains(text, " SINGLE-VALUE"), Superior: after("SUP"), Kind: group(definitionKind),
		May: slices.Sorted(slices.Values(strings.Fields(strings.NewReplacer("(", "", ")", "", "$", "").Replace(group(definitionMay))))),
	}
}

// isOurs says whether an attribute or a class is OpenCloud's or this project's.
func isOurs(name string) bool {
	return strings.HasPrefix(name, "openCloud") || strings.HasPrefix(name, "education")
}

// definitionsIn reads the schema files of a folder below deploy.
func definitionsIn(t *testing.T, folder string) map[string]definition {
	t.Helper()
	path, err := deployFolder(folder)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(path, "schema", "*.ldif"))
	if err != nil || len(files) != 2 {
		t.Fatalf("the schema files of %s are %q, %v", folder, files, err)
	}
	found := map[string]definition{}
	for _, file := range files {
		text, err := source(path).read(filepath.Join("schema", filepath.Base(file)))
		if err != nil {
			t.Fatal(err)
		}
		records, err := parseLDIF(text)
		if err != nil || len(records) != 1 {
			t.Fatalf("%s has %d records, %v", file, len(records), err)
		}
		maps.Copy(found, records[0].definitions())
	}
	return found
}

// definitions returns what a record of a schema defines, with OpenLDAP's short names for identifiers written out.
func (r *record) definitions() map[string]definition {
	short, found := map[string]string{}, map[string]definition{}
	for _, attribute := range r.attributes {
		switch strings.TrimPrefix(attribute.Type, "olc") {
		case "ObjectIdentifier":
			for _, value := range attribute.Vals {
				name, oid, _ := strings.Cut(value, " ")
				short[name] = written(oid, short)
			}
		case "AttributeTypes", "attributeTypes", "ObjectClasses", "objectClasses":
			for _, value := range attribute.Vals {
				name, one := parseDefinition(value)
				one.OID = written(one.OID, short)
				found[name] = one
			}
		}
	}
	return found
}

// written returns an identifier such as openCloudAttribute:1 in numbers.
func written(oid string, short map[string]string) string {
	if name, rest, ok := strings.Cut(oid, ":"); ok {
		return short[name] + "." + rest
	}
	return oid
}

// embeddedDefinitions returns what the directory in the process defines under our names.
func embeddedDefinitions(t *testing.T) map[string]definition {
	t.Helper()
	store, err := embedded.Open(embedded.Config{Path: filepath.Join(t.TempDir(), "directory"), Containers: []string{"ou=users," + suffix}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	found := map[string]definition{}
	for _, kind := range []string{"attributeTypes", "objectClasses"} {
		for _, value := range store.Subschema().Values(kind) {
			if name, one := parseDefinition(value); isOurs(name) {
				found[name] = one
			}
		}
	}
	return found
}

// TestSchemasAgree holds that the schema files define what the directory in the process does, and nothing else.
func TestSchemasAgree(t *testing.T) {
	t.Parallel()
	want := embeddedDefinitions(t)
	if len(want) != 19 {
		t.Errorf("there are %d definitions, want 13 attributes and 6 classes", len(want))
	}
	if diff := cmp.Diff(want, definitionsIn(t, "openldap")); diff != "" {
		t.Errorf("deploy/openldap defines otherwise (-embedded +OpenLDAP):\n%s", diff)
	}
	// UUIDs are text to 389 Directory Server: see schema/98opencloud.ldif.
	for _, name := range []string{"openCloudUUID", "openCloudMemberOfSchool"} {
		one := want[name]
		one.Equality, one.Syntax = "caseignorematch", "1.3.6.1.4.1.1466.115.121.1.15"
		want[name] = one
	}
	if diff := cmp.Diff(want, definitionsIn(t, "389ds")); diff != "" {
		t.Errorf("deploy/389ds defines otherwise (-embedded +389):\n%s", diff)
	}
}

// beside are the attributes that no property and no link is kept in: the service's own two, and the one that OpenCloud
// writes at each sign-in.
var beside = []string{"educationPlaceholder", "educationUniqueKey", "openCloudLastSignInTimestamp"}

// TestTablesAgreeWithSchema holds that what the tables of properties and links name is in the schema and may be in the
// entries of its set, with a syntax of its type, and that the schema has nothing that the tables do not know.
func TestTablesAgreeWithSchema(t *testing.T) {
	t.Parallel()
	schema := definitionsIn(t, "openldap")
	known := slices.Clone(beside)
	for _, set := range education.EntitySets {
		known = append(known, set.ObjectClasses...)
		for _, property := range set.Properties {
			known = append(known, property.Attribute)
			checkAttribute(t, schema, set, property.Attribute)
			if want, ok := syntaxes[property.Type]; ok && isOurs(property.Attribute) && schema[property.Attribute].Syntax != want {
				t.Errorf("%s of %s has the syntax %s, want %s", property.Attribute, set.Name, schema[property.Attribute].Syntax, want)
			}
		}
	}
	for _, nav := range education.Navigations {
		holder := nav.Target
		if nav.OwnerHolds {
			holder = nav.Owner
		}
		for _, attribute := range nav.Attributes {
			known = append(known, attribute)
			checkAttribute(t, schema, holder, attribute)
		}
	}
	for name := range schema {
		if !slices.Contains(known, name) {
			t.Errorf("nothing uses %s", name)
		}
	}
}

// syntaxes are those of types whose values have a form of their own (RFC 4517 and RFC 4530).
var syntaxes = map[education.Type]string{
	education.UUID:     "1.3.6.1.1.16.1",
	education.Boolean:  "1.3.6.1.4.1.1466.115.121.1.7",
	education.DateTime: "1.3.6.1.4.1.1466.115.121.1.24",
}

// checkAttribute holds that one of a set's own object classes permits an attribute, if it is one of our attributes.
func checkAttribute(t *testing.T, schema map[string]definition, set *education.EntitySet, attribute string) {
	t.Helper()
	if !isOurs(attribute) {
		return
	}
	for _, class := range set.ObjectClasses {
		if slices.Contains(schema[class].May, attribute) {
			return
		}
	}
	t.Errorf("no class of %s permits %s", set.Name, attribute)
}
