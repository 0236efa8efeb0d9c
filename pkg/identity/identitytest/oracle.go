package identitytest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/identity/match"
)

// truth is a value of OData's three-valued logic (URL conventions, section 5.1.1.1): and is the least of its operands,
// or the greatest, not the opposite.
type truth int

const (
	isFalse truth = -1
	isNull  truth = 0
	isTrue  truth = 1
)

func truthOf(condition bool) truth {
	if condition {
		return isTrue
	}
	return isFalse
}

// known is an entity together with its links, as the test made them.
type known struct {
	entity  *education.Entity
	related map[*education.Navigation][]*known
}

// value returns the value of a property, or nil.
func (k *known) value(property *education.Property) any { return k.entity.Value(property) }

// expression is a part of a $filter that knows its text and its meaning. It shares nothing with the code under test but
// the matching rules of the attributes.
type expression interface {
	// text is the expression in a $filter. path stands in front of names: empty, or a variable and a slash.
	text(path string) string
	eval(of *known) truth
}

// junction is and, or or.
type junction struct {
	and      bool
	operands []expression
	// grouped says of each operand that it stands in parentheses that it does not need.
	grouped []bool
}

func (j junction) text(path string) string {
	parts := make([]string, len(j.operands))
	for i, operand := range j.operands {
		parts[i] = operand.text(path)
		inner, nested := operand.(junction)
		if nested && j.and && !inner.and || j.grouped[i] {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	if j.and {
		return strings.Join(parts, " and ")
	}
	return strings.Join(parts, " or ")
}

func (j junction) eval(of *known) truth {
	results := make([]truth, len(j.operands))
	for i, operand := range j.operands {
		results[i] = operand.eval(of)
	}
	if j.and {
		return slices.Min(results)
	}
	return slices.Max(results)
}

type opposite struct{ operand expression }

func (o opposite) text(path string) string { return "not (" + o.operand.text(path) + ")" }
func (o opposite) eval(of *known) truth    { return -o.operand.eval(of) }

// comparison is property operator value. name is the property's name in any case.
type comparison struct {
	property *education.Property
	name     string
	operator string
	value    any
	literal  string
	// mirrored says that the literal stands on the left.
	mirrored bool
}

var mirror = map[string]string{"eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}

func (c comparison) text(path string) string {
	if c.mirrored {
		return fmt.Sprintf("%s %s %s%s", c.literal, mirror[c.operator], path, c.name)
	}
	return fmt.Sprintf("%s%s %s %s", path, c.name, c.operator, c.literal)
}

func (c comparison) eval(of *known) truth {
	value := of.value(c.property)
	switch c.operator {
	case "eq":
		return truthOf(equalValues(c.property, value, c.value))
	case "ne":
		return truthOf(!equalValues(c.property, value, c.value))
	}
	if value == nil {
		return isFalse
	}
	order := orderOf(value, c.value)
	return truthOf(map[string]bool{"gt": order > 0, "ge": order >= 0, "lt": order < 0, "le": order <= 0}[c.operator])
}

// equalValues compares two values, nil being null.
func equalValues(property *education.Property, a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if text, ok := b.(string); ok {
		switch {
		case property.Type == education.UUID:
			return strings.EqualFold(a.(string), text)
		case text == "" || !inSyntax(property, text):
			return false
		}
		return match.CaseIgnore(a.(string)) == match.CaseIgnore(text)
	}
	return education.Equal(a, b)
}

// inSyntax reports whether a text fits the property's attribute: mail is an IA5 string (RFC 4524, section 2.16).
func inSyntax(property *education.Property, text string) bool {
	if property.Attribute != "mail" {
		return true
	}
	_, ok := match.CaseIgnoreIA5(text)
	return ok
}

// orderOf compares two values that are not null.
func orderOf(a, b any) int {
	if at, ok := a.(time.Time); ok {
		return at.Compare(b.(time.Time))
	}
	return strings.Compare(match.CaseIgnore(a.(string)), match.CaseIgnore(b.(string)))
}

// list is property in (…).
type list struct {
	items []comparison
}

func (l list) text(path string) string {
	literals := make([]string, len(l.items))
	for i, item := range l.items {
		literals[i] = item.literal
	}
	return fmt.Sprintf("%s%s in (%s)", path, l.items[0].name, strings.Join(literals, ","))
}

func (l list) eval(of *known) truth {
	return truthOf(slices.ContainsFunc(l.items, func(item comparison) bool { return item.eval(of) == isTrue }))
}

// call is a function of a property and a string.
type call struct {
	function string
	property *education.Property
	name     string
	part     string
}

func (c call) text(path string) string {
	return fmt.Sprintf("%s(%s%s,%s)", c.function, path, c.name, quoted(c.part))
}

func (c call) eval(of *known) truth {
	value, ok := of.value(c.property).(string)
	switch {
	case !ok:
		return isNull
	case c.part == "":
		return isTrue
	case !inSyntax(c.property, c.part):
		return isFalse
	}
	var rule match.Substrings
	prepared := rule.Value(value)
	switch c.function {
	case "startswith":
		return truthOf(strings.HasPrefix(prepared, rule.Initial(c.part)))
	case "endswith":
		return truthOf(strings.HasSuffix(prepared, rule.Final(c.part)))
	default:
		return truthOf(strings.Contains(prepared, rule.Any(c.part)))
	}
}

// lambda is navigation/any(variable:body), or navigation/any() without a body.
type lambda struct {
	nav      *education.Navigation
	variable string
	body     expression
}

func (l lambda) text(path string) string {
	if l.body == nil {
		return path + l.nav.Name + "/any()"
	}
	return fmt.Sprintf("%s%s/any(%s:%s)", path, l.nav.Name, l.variable, l.body.text(l.variable+"/"))
}

func (l lambda) eval(of *known) truth {
	for _, target := range of.related[l.nav] {
		if l.body == nil || l.body.eval(target) == isTrue {
			return isTrue
		}
	}
	return isFalse
}

// number is navigation/$count compared with a number that tells none from any.
type number struct {
	nav      *education.Navigation
	operator string
	than     int
}

func (n number) text(path string) string {
	return fmt.Sprintf("%s%s/$count %s %d", path, n.nav.Name, n.operator, n.than)
}

func (n number) eval(of *known) truth {
	count := len(of.related[n.nav])
	return truthOf(map[string]bool{
		"eq": count == n.than, "ne": count != n.than, "gt": count > n.than, "ge": count >= n.than, "lt": count < n.than, "le": count <= n.than,
	}[n.operator])
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// generator makes expressions about a population.
type generator struct {
	*rand.Rand
	population map[*education.EntitySet][]*known
	// texts are those that stored values are chosen from.
	texts []string
}

// maxLambdas is how deep any() nests.
const maxLambdas = 2

// expression makes an expression about entities of a set that nests depth levels more at most.
func (g *generator) expression(set *education.EntitySet, depth, lambdas int) expression {
	if depth > 0 {
		switch g.IntN(10) {
		case 0, 1, 2:
			return g.junction(set, depth, lambdas)
		case 3, 4:
			return opposite{g.expression(set, depth-1, lambdas)}
		}
	}
	switch n := g.IntN(8); {
	case n == 0 && lambdas < maxLambdas:
		return g.lambda(set, depth, lambdas)
	case n == 1:
		return g.number(set)
	}
	return g.leaf(set)
}

func (g *generator) junction(set *education.EntitySet, depth, lambdas int) expression {
	j := junction{and: g.IntN(2) == 0}
	for range 2 + g.IntN(2) {
		j.operands = append(j.operands, g.expression(set, depth-1, lambdas))
		j.grouped = append(j.grouped, g.IntN(3) == 0)
	}
	return j
}

func (g *generator) navigation(set *education.EntitySet) *education.Navigation {
	var navs []*education.Navigation
	for _, nav := range education.Navigations {
		if nav.Owner == set {
			navs = append(navs, nav)
		}
	}
	return pick(g, navs)
}

func (g *generator) lambda(set *education.EntitySet, depth, lambdas int) expression {
	l := lambda{nav: g.navigation(set), variable: string(rune('s' + lambdas))}
	if g.IntN(4) > 0 {
		l.body = g.expression(l.nav.Target, max(depth-1, 0), lambdas+1)
	}
	return l
}

func (g *generator) number(set *education.EntitySet) expression {
	n := pick(g, []number{
		{nil, "eq", 0},
		{nil, "ne", 0},
		{nil, "gt", 0},
		{nil, "le", 0},
		{nil, "lt", 1},
		{nil, "ge", 1},
		{nil, "ge", 0},
		{nil, "lt", 0},
	})
	n.nav = g.navigation(set)
	return n
}

// leaf makes a comparison of a property, or a function of one.
func (g *generator) leaf(set *education.EntitySet) expression {
	property := pick(g, set.Properties)
	for property.Filter == education.NotFilterable {
		property = pick(g, set.Properties)
	}
	name := g.anyCase(property.Name)
	if property.Filter == education.ByText && g.IntN(2) == 0 {
		return call{pick(g, []string{"startswith", "endswith", "contains"}), property, name, g.part(g.textValue(set, property))}
	}
	if g.IntN(6) == 0 {
		var l list
		for range 1 + g.IntN(4) {
			l.items = append(l.items, g.comparison(set, property, name, "eq"))
		}
		return l
	}
	operators := []string{"eq", "ne"}
	if property.Filter >= education.ByOrder {
		operators = append(operators, "gt", "ge", "lt", "le")
	}
	c := g.comparison(set, property, name, pick(g, operators))
	c.mirrored = g.IntN(8) == 0
	return c
}

func (g *generator) comparison(set *education.EntitySet, property *education.Property, name, operator string) comparison {
	c := comparison{property: property, name: name, operator: operator}
	if (operator == "eq" || operator == "ne") && g.IntN(6) == 0 {
		c.literal = "null"
		return c
	}
	switch property.Type {
	case education.Boolean:
		c.value = g.IntN(2) == 0
		c.literal = fmt.Sprint(c.value)
	case education.DateTime:
		at := g.moment(set, property)
		c.value, c.literal = at, at.In(time.FixedZone("", (g.IntN(25)-12)*1800)).Format(time.RFC3339Nano)
	case education.UUID:
		id := g.anyCase(pick(g, g.population[set]).entity.ID())
		c.value, c.literal = id, pick(g, []string{id, quoted(id)})
		if g.IntN(6) == 0 {
			text := pick(g, texts)
			c.value, c.literal = text, quoted(text)
		}
	default:
		text := g.spelling(g.textValue(set, property))
		c.value, c.literal = text, quoted(text)
	}
	return c
}

// moment returns a time at or near one that an entity has.
func (g *generator) moment(set *education.EntitySet, property *education.Property) time.Time {
	at, ok := pick(g, g.population[set]).value(property).(time.Time)
	if !ok {
		at = time.Date(2000+g.IntN(160), 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return at.Add(pick(g, []time.Duration{0, 0, 0, time.Second, -time.Second, time.Millisecond, time.Nanosecond, 24 * time.Hour}))
}

// textValue returns a text that an entity has, or may have.
func (g *generator) textValue(set *education.EntitySet, property *education.Property) string {
	text, ok := pick(g, g.population[set]).value(property).(string)
	if !ok || g.IntN(4) == 0 || strings.ContainsAny(text, "\n\t") {
		return pick(g, texts)
	}
	return text
}

// spelling returns a text in one of the spellings that a matching rule may or may not take for the same.
func (g *generator) spelling(text string) string {
	switch g.IntN(8) {
	case 0:
		return strings.ToUpper(text)
	case 1:
		return strings.ToLower(text)
	case 2:
		return " " + strings.ReplaceAll(text, " ", "   ") + "\u00a0"
	case 3:
		return text + pick(g, []string{"*", "x", "'", `\`, "\u200b"})
	}
	return text
}

// part returns a piece of a text, in any spelling.
func (g *generator) part(text string) string {
	runes := []rune(text)
	if g.IntN(20) == 0 || len(runes) == 0 {
		return ""
	}
	first := g.IntN(len(runes))
	switch g.IntN(3) {
	case 0:
		runes = runes[:first+1]
	case 1:
		runes = runes[first:]
	default:
		runes = runes[first : first+1+g.IntN(len(runes)-first)]
	}
	return g.spelling(string(runes))
}

func (g *generator) anyCase(text string) string {
	return pick(g, []string{text, text, strings.ToUpper(text), strings.ToLower(text)})
}

// pick returns one of several choices.
func pick[T any](g *generator, choices []T) T { return choices[g.IntN(len(choices))] }
