package education

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	yaml "github.com/oasdiff/yaml3"

	"github.com/opencloud-eu/education/pkg/odata"
)

func TestTables(t *testing.T) {
	t.Parallel()
	for _, set := range EntitySets {
		t.Run(set.Name, func(t *testing.T) {
			t.Parallel()
			checkSet(t, set)
			names, attributes, uniqueNames := map[string]bool{}, map[string]bool{}, map[string]bool{}
			for i, property := range set.Properties {
				name, attribute := strings.ToLower(property.Name), strings.ToLower(property.Attribute)
				if name == "" || names[name] || attribute == "" || attributes[attribute] {
					t.Errorf("%s: name and attribute %q must be there and unique", property.Name, property.Attribute)
				}
				names[name], attributes[attribute] = true, true
				if property.index != i || set.Property(strings.ToUpper(property.Name)) != property {
					t.Errorf("%s is not indexed", property.Name)
				}
				if (property.Unique == NotUnique) != (property.UniqueName == "") || property.UniqueName != "" && uniqueNames[property.UniqueName] {
					t.Errorf("%s: the name in a unique key, %q, must be there and unique", property.Name, property.UniqueName)
				}
				uniqueNames[property.UniqueName] = true
				checkProperty(t, set, property)
			}
		})
	}
}

func checkSet(t *testing.T, set *EntitySet) {
	t.Helper()
	if set.Singular == "" || set.Type == "" || len(set.Aliases) == 0 || set.Aliases[0] != set.Name {
		t.Error("the set's names are incomplete, or it is not its own first alias")
	}
	if !slices.Contains(set.ObjectClasses, set.ObjectClass) || set.ObjectClasses[0] != "top" {
		t.Errorf("object classes %v must hold top and %s", set.ObjectClasses, set.ObjectClass)
	}
	if set.ID == nil || set.ID.Type != UUID || !set.ID.Key {
		t.Error("the set has no id that is a key")
	}
	if human := set.HumanKey; human == nil || !human.Key || human.Unique == NotUnique {
		t.Error("the set has no unique human key")
	}
	for _, standIn := range set.StandIns {
		if property := set.Property(standIn.Property); property == nil || !property.Required || property.Type != String {
			t.Errorf("%s: the stand-in's property %q must be required text", standIn.Attribute, standIn.Property)
		}
	}
}

func checkProperty(t *testing.T, set *EntitySet, property *Property) {
	t.Helper()
	if property.Filter != NotFilterable && property.field().Kind == odata.KindComplex {
		t.Errorf("%s cannot be compared, and is filterable", property.Name)
	}
	if property.Filter == ByText && property.Type != String || property.Substrings && property.Filter != ByText {
		t.Errorf("%s is filterable as text, and is none", property.Name)
	}
	if property.Searchable && property.Filter != ByText || property.Prose && !property.Searchable {
		t.Errorf("%s cannot be searched", property.Name)
	}
	if property.Key && (property.Type != String && property.Type != UUID || !property.Returned()) {
		t.Errorf("%s cannot address an entity", property.Name)
	}
	if property.Required && (property.Access != ReadWrite || property.Default != "") {
		t.Errorf("%s is required, and cannot be given or need not be", property.Name)
	}
	if property.Default != "" && check(property, property.Name, property.Default) != nil {
		t.Errorf("%s: the default fails its own check", property.Name)
	}
	// The check compiles: the validator panics on a tag that it does not know.
	for _, text := range []string{"x", someID, "max@example.org", strings.Repeat("x", 1<<12), "\x00", "Guest"} {
		_ = check(property, property.Name, text)
	}
	if property.Key && property.Type == String && maxLength(property)*4 > odata.MaxKeyLength {
		t.Errorf("%s may be longer than a key in a path", property.Name)
	}
	if property == set.HumanKey && property.Unique == Everywhere && check(property, property.Name, someID) == nil {
		t.Errorf("%s may be shaped like an id", property.Name)
	}
}

var maxTag = regexp.MustCompile(`(?:^|,)max=(\d+)`)

// maxLength returns the largest length that a property's check permits in characters, or 0.
func maxLength(property *Property) int {
	match := maxTag.FindStringSubmatch(property.Check)
	if match == nil {
		return 0
	}
	length, _ := strconv.Atoi(match[1])
	return length
}

func TestNavigations(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, nav := range Navigations {
		name := nav.Owner.Name + "." + nav.Name
		if names[strings.ToLower(name)] || nav.Owner.Property(nav.Name) != nil {
			t.Errorf("%s: the name is not unique", name)
		}
		names[strings.ToLower(name)] = true
		if NavigationOf(nav.Owner, strings.ToUpper(nav.Name)) != nav {
			t.Errorf("%s cannot be found by its name", name)
		}
		inverse := nav.Inverse()
		if inverse == nil || inverse.Inverse() != nav {
			t.Errorf("%s has no inverse", name)
			continue
		}
		if inverse.OwnerHolds == nav.OwnerHolds || inverse.ByDN != nav.ByDN {
			t.Errorf("%s and its inverse must agree on who holds the link and how", name)
		}
		if nav.Bind && !nav.OwnerHolds {
			t.Errorf("%s: a body writes only links that its own entry holds", name)
		}
		if nav.Create && !inverse.Bind {
			t.Errorf("%s: what is created through it must be able to hold the link", name)
		}
		if nav.Ref && inverse.Ref || nav.SilentRemoval && !nav.Ref {
			t.Errorf("%s: a link has one $ref route", name)
		}
	}
}

// contractProperty is a property as the OpenAPI document describes it.
type contractProperty struct {
	Type       any      `yaml:"type"`
	Format     string   `yaml:"format"`
	MaxLength  int      `yaml:"maxLength"`
	ReadOnly   bool     `yaml:"readOnly"`
	WriteOnly  bool     `yaml:"writeOnly"`
	Writable   string   `yaml:"x-writable"`
	Filterable []string `yaml:"x-filterable"`
	Sortable   bool     `yaml:"x-sortable"`
	Clearable  bool     `yaml:"x-clearable"`
	OneOf      []struct {
		Type string `yaml:"type"`
	} `yaml:"oneOf"`
}

// contractOperators are the operators and functions that the document names.
var contractOperators = map[Filterable][]string{
	ByValue: {"eq", "ne", "in"},
	ByOrder: {"eq", "ne", "in", "gt", "ge", "lt", "le"},
	ByText:  {"eq", "ne", "in", "gt", "ge", "lt", "le", "startswith", "endswith", "contains"},
}

// nullable reports whether the document permits null.
func (p contractProperty) nullable() bool {
	types, _ := p.Type.([]any)
	for _, alternative := range p.OneOf {
		types = append(types, alternative.Type)
	}
	return slices.Contains(types, any("null"))
}

type contractSchema struct {
	Properties map[string]contractProperty `yaml:"properties"`
	Required   []string                    `yaml:"required"`
	AllOf      []struct {
		AnyOf []contractSchema `yaml:"anyOf"`
	} `yaml:"allOf"`
}

// TestTablesInContract holds that the tables and the OpenAPI document name the same properties with the same access.
func TestTablesInContract(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Components struct {
			Schemas map[string]contractSchema `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	for _, set := range EntitySets {
		schema := document.Components.Schemas[set.Type]
		want := map[string]bool{}
		for _, property := range set.Properties {
			want[property.Name] = true
			checkContract(t, set, property, schema.Properties[property.Name])
		}
		for _, nav := range Navigations {
			if nav.Owner != set {
				continue
			}
			want[nav.Name] = true
			if got := schema.Properties[nav.Name]; !got.ReadOnly || got.Writable != "never" {
				t.Errorf("%s.%s: the document lets a body write the targets themselves", set.Name, nav.Name)
			}
			if nav.Bind {
				want[nav.Name+bindSuffix] = true
			}
		}
		for name := range schema.Properties {
			if !want[name] {
				t.Errorf("%s.%s stands in the document and not in the table", set.Name, name)
			}
			delete(want, name)
		}
		for name := range want {
			t.Errorf("%s.%s stands in the table and not in the document", set.Name, name)
		}
		checkRequired(t, set, document.Components.Schemas[set.Type+"Create"])
	}
}

func checkContract(t *testing.T, set *EntitySet, property *Property, got contractProperty) {
	t.Helper()
	name := set.Name + "." + property.Name
	writable := map[Access]string{ReadWrite: "always", WriteOnly: "always", CreateOnly: "create", ReadOnly: "never"}[property.Access]
	if got.Writable != writable || got.ReadOnly != (property.Access == ReadOnly) || got.WriteOnly != (property.Access == WriteOnly) {
		t.Errorf("%s: the document's access is %q (readOnly %v, writeOnly %v), want %q", name, got.Writable, got.ReadOnly, got.WriteOnly, writable)
	}
	clearable := writable == "always" && !property.Required
	if got.Clearable != clearable || got.nullable() != clearable {
		t.Errorf("%s: the document says clearable %v and nullable %v, want %v", name, got.Clearable, got.nullable(), clearable)
	}
	if diff := cmp.Diff(contractOperators[property.Filter], got.Filterable); diff != "" {
		t.Errorf("%s: operators: %s", name, diff)
	}
	if sortable := property.Filter >= ByOrder; got.Sortable != sortable {
		t.Errorf("%s: the document says sortable %v, want %v", name, got.Sortable, sortable)
	}
	if property.Type == String && got.MaxLength != maxLength(property) {
		t.Errorf("%s: the document's length is %d, want %d", name, got.MaxLength, maxLength(property))
	}
	format := map[Type]string{UUID: "uuid", DateTime: "date-time"}[property.Type]
	if property.Type != String && got.Format != format {
		t.Errorf("%s: the document's format is %q, want %q", name, got.Format, format)
	}
}

// checkRequired compares what a POST must give. The username stands apart in the document, since it has two spellings.
func checkRequired(t *testing.T, set *EntitySet, schema contractSchema) {
	t.Helper()
	required := slices.Clone(schema.Required)
	for _, part := range schema.AllOf {
		if len(part.AnyOf) > 0 {
			required = append(required, part.AnyOf[0].Required...)
		}
	}
	var want []string
	for _, property := range set.Properties {
		if property.Required {
			want = append(want, property.Name)
		}
	}
	slices.Sort(required)
	slices.Sort(want)
	if diff := cmp.Diff(want, required); diff != "" {
		t.Errorf("%s: required: %s", set.Name, diff)
	}
}
