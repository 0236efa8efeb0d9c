package odata

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/CiscoM31/godata"
)

// MaxListItems is the largest number of items in the list of the operator in. Lists cost godata 1.0.11 the square of
// their length, so they are counted before it sees them.
const MaxListItems = 100

// separators are the characters that separate words. OData's ABNF knows space and tab; clients wrap long filters.
const separators = " \t\r\n"

// Operators and functions of OData (URL conventions, section 5.1.1) that are refused by name rather than as unknown.
var (
	unsupportedOperators = []string{"has", "add", "sub", "mul", "div", "divby", "mod"}
	unsupportedFunctions = []string{
		"concat", "indexof", "length", "substring", "substringof", "tolower", "toupper", "trim", "matchespattern", "hassubset",
		"hassubsequence", "year", "month", "day", "hour", "minute", "second", "fractionalseconds", "date", "time",
		"totaloffsetminutes", "totalseconds", "now", "maxdatetime", "mindatetime", "round", "floor", "ceiling", "cast",
		"isof", "case", "exists", "geo.distance", "geo.intersects", "geo.length",
	}
)

// path is an operand of a filter that is not a literal: names separated by slashes, as the client spells them.
type path string

// bracket is what an open parenthesis belongs to.
type bracket int

const (
	grouping bracket = iota
	arguments
	list
	lambda
)

// filterTokens cuts a filter into godata's tokens. It stands in for godata's own tokenizer, which takes the property
// "nullable" for null, the string 'P1D' for a duration and "geo_length " for a function. What an operand stands for
// travels in its token's SemanticReference, a literal or a path, where godata does not look at it.
//
// It also sees to it that operands and operators alternate and that commas stand where they may, which godata does not.
type filterTokens struct {
	rest   string
	tokens []*godata.Token
	// operandNext says that an operand must follow; otherwise an operator or the end.
	operandNext bool
	open        []openBracket
	// operators counts the operators and functions among the tokens.
	operators int
}

type openBracket struct {
	kind  bracket
	items int
}

func tokenizeFilter(text string) ([]*godata.Token, error) {
	t := filterTokens{rest: text, operandNext: true}
	for t.skip(); t.rest != ""; t.skip() {
		next := t.operator
		if t.operandNext {
			next = t.operand
		}
		if err := next(); err != nil {
			return nil, err
		}
		// Each is a node of its own, but for and and or, which join nodes.
		if t.operators > 2*MaxFilterNodes {
			return nil, tooLarge()
		}
	}
	if t.operandNext || len(t.open) > 0 {
		return nil, malformedFilter()
	}
	return t.tokens, nil
}

func malformedFilter() error {
	return Errorf(InvalidRequest, OptionFilter, "$filter is not a valid OData expression; write for example externalId eq '4711'")
}

func (t *filterTokens) skip() { t.rest = strings.TrimLeft(t.rest, separators) }

func (t *filterTokens) emit(kind godata.ExpressionTokenType, value string) *godata.Token {
	token := &godata.Token{Type: kind, Value: value}
	switch kind {
	case godata.ExpressionTokenLogical, godata.ExpressionTokenFunc, godata.ExpressionTokenLambda:
		t.operators++
	}
	t.tokens = append(t.tokens, token)
	return token
}

// emitOperand adds an operand. godata tells tokens apart by their values, so all operands have one that is no name of
// an operator or a function, and the type whose tokens it leaves alone.
func (t *filterTokens) emitOperand(operand any) {
	t.emit(godata.ExpressionTokenString, "operand").SemanticReference = operand
	t.operandNext = false
}

// operand reads what may stand where an operand must follow.
func (t *filterTokens) operand() error {
	switch {
	case t.rest[0] == '(':
		return t.openBracket(grouping)
	case t.rest[0] == '\'':
		return t.stringLiteral()
	case negation.MatchString(t.rest):
		return Errorf(NotSupported, OptionFilter, "the operator - is not supported in $filter")
	}
	word := t.word()
	switch {
	case word == "":
		return malformedFilter()
	case strings.HasPrefix(t.rest, "'"):
		return typedLiteral()
	case strings.EqualFold(word, "not"):
		t.emit(godata.ExpressionTokenLogical, "not")
		return nil
	case strings.HasPrefix(strings.TrimLeft(t.rest, separators), "("):
		return t.call(word)
	}
	if literal, ok := wordLiteral(word); ok {
		t.emitOperand(literal)
	} else {
		t.emitOperand(path(word))
	}
	return nil
}

// typedLiteral explains what is wrong about a word in front of a quote: guid'…' and datetime'…' of OData 3, Type'…' for
// an enumeration, eq'…' without its space. The word is not repeated, because it may be half of a value.
func typedLiteral() error {
	return Errorf(InvalidRequest, OptionFilter,
		"in $filter, a space stands in front of a string, and a literal has no prefix: 'student', 2026-12-31T00:00:00Z, or a UUID as it is")
}

func (t *filterTokens) stringLiteral() error {
	text, rest, ok := cutString(t.rest)
	if !ok {
		return Errorf(InvalidRequest, OptionFilter, "a string in $filter lacks its closing quote; double a quote inside a string")
	}
	t.rest = rest
	if next, _ := utf8.DecodeRuneInString(rest); rest != "" && wordRune(next) {
		return malformedFilter()
	}
	t.emitOperand(literal{formString, text})
	return nil
}

// cutString cuts a string literal in single quotes off the front of text and undoes the doubling of its quotes (OData
// ABNF: SQUOTE-in-string).
func cutString(text string) (literal, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] != '\'' {
			b.WriteByte(text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), text[i+1:], true
	}
	return "", "", false
}

// operator reads what may stand behind an operand.
func (t *filterTokens) operator() error {
	switch t.rest[0] {
	case ')':
		return t.closeBracket()
	case ',':
		return t.comma()
	}
	word := t.word()
	operator := strings.ToLower(word)
	switch operator {
	case "and", "or", string(Eq), string(Ne), string(Gt), string(Ge), string(Lt), string(Le):
		if strings.HasPrefix(t.rest, "'") {
			return typedLiteral()
		}
		t.emit(godata.ExpressionTokenLogical, operator)
		t.operandNext = true
		return nil
	case "in":
		t.emit(godata.ExpressionTokenLogical, operator)
		if t.skip(); !strings.HasPrefix(t.rest, "(") {
			return Errorf(InvalidRequest, OptionFilter, "in is followed by a list, for example in ('a','b')")
		}
		return t.openBracket(list)
	}
	if slices.Contains(unsupportedOperators, operator) {
		return Errorf(NotSupported, OptionFilter, "the operator %s is not supported in $filter", operator)
	}
	return malformedFilter()
}

// call reads the name of a function and its opening parenthesis.
func (t *filterTokens) call(word string) error {
	owner, name := "", strings.ToLower(word)
	if slash := strings.LastIndexByte(name, '/'); slash >= 0 {
		owner, name = word[:slash], name[slash+1:]
	}
	shown := printable(word)
	switch {
	case owner != "" && name == "any":
		return t.any(owner)
	case owner != "" && (name == "all" || name == OptionCount), owner == "" && slices.Contains(unsupportedFunctions, name):
		return Errorf(NotSupported, shown, "%s() is not supported in $filter", shown)
	case owner == "" && slices.Contains([]Function{StartsWith, EndsWith, Contains}, Function(name)):
		t.emit(godata.ExpressionTokenFunc, name)
		t.skip()
		return t.openBracket(arguments)
	case owner == "" && (name == "any" || name == "all"):
		return Errorf(InvalidRequest, shown, "%s() stands behind a navigation property: schools/any(s:s/id eq '…')", shown)
	}
	return Errorf(InvalidRequest, shown, "unknown function %q in $filter", shown)
}

// any reads any() or the head of any(variable:…). godata has it as a function with the arguments variable and body.
func (t *filterTokens) any(navigation string) error {
	t.emit(godata.ExpressionTokenLambda, "any").SemanticReference = path(navigation)
	t.skip()
	if err := t.openBracket(lambda); err != nil {
		return err
	}
	if t.skip(); strings.HasPrefix(t.rest, ")") {
		return t.closeBracket()
	}
	variable := t.word()
	t.skip()
	rest, ok := strings.CutPrefix(t.rest, ":")
	if !ok || !identifier.MatchString(variable) {
		return Errorf(InvalidRequest, OptionFilter, "any() is written any(x:…), with a variable and a colon")
	}
	t.rest = rest
	t.emitOperand(path(variable))
	t.emit(godata.ExpressionTokenComma, godata.TokenComma)
	t.operandNext = true
	return nil
}

func (t *filterTokens) openBracket(kind bracket) error {
	if len(t.open) == MaxFilterDepth {
		return tooDeep()
	}
	t.open = append(t.open, openBracket{kind, 1})
	t.rest = t.rest[1:]
	t.emit(godata.ExpressionTokenOpenParen, godata.TokenOpenParen)
	t.operandNext = true
	return nil
}

func (t *filterTokens) closeBracket() error {
	if len(t.open) == 0 {
		return malformedFilter()
	}
	t.open = t.open[:len(t.open)-1]
	t.rest = t.rest[1:]
	t.emit(godata.ExpressionTokenCloseParen, godata.TokenCloseParen)
	t.operandNext = false
	return nil
}

func (t *filterTokens) comma() error {
	if len(t.open) == 0 {
		return malformedFilter()
	}
	innermost := &t.open[len(t.open)-1]
	innermost.items++
	switch {
	case innermost.kind == list && innermost.items > MaxListItems:
		return Errorf(InvalidRequest, OptionFilter, "a list in $filter has more than %d items", MaxListItems)
	case innermost.kind == list, innermost.kind == arguments && innermost.items == 2:
		t.rest = t.rest[1:]
		t.emit(godata.ExpressionTokenComma, godata.TokenComma)
		t.operandNext = true
		return nil
	}
	return malformedFilter()
}

var (
	identifier = regexp.MustCompile(`^[\pL_][\pL\pN_]*$`)
	negation   = regexp.MustCompile(`^-\s*[\pL_(]`)
	// localTime and unencodedPlus are the halves of a date whose offset lost its plus sign, because in a URL a plus that
	// is not encoded is a space.
	localTime     = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]+$`)
	unencodedPlus = regexp.MustCompile(`^ [0-9]{2}:[0-9]{2}([^0-9:]|$)`)
)

// word cuts a name, a path, an operator or a literal without quotes off the front of the text.
func (t *filterTokens) word() string {
	end := 0
	begin := t.rest
	for end < len(begin) {
		r, size := utf8.DecodeRuneInString(begin[end:])
		if !wordRune(r) && (!strings.ContainsRune(":+", r) || !numeric(begin[0])) {
			break
		}
		end += size
	}
	word := begin[:end]
	t.rest = begin[end:]
	if localTime.MatchString(word) && unencodedPlus.MatchString(t.rest) {
		const offset = len(" 00:00")
		word, t.rest = word+"+"+t.rest[1:offset], t.rest[offset:]
	}
	return word
}

// wordRune reports whether a rune belongs to a word. The minus is part of UUIDs.
func wordRune(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.M) || strings.ContainsRune("_-./$@", r)
}

// numeric reports whether a byte begins a number or a date, which may contain a colon and a plus.
func numeric(first byte) bool {
	return first >= '0' && first <= '9' || strings.IndexByte("+-.", first) >= 0
}
