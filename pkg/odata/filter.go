package odata

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/CiscoM31/godata"
)

// Filter is a checked $filter: every property in it exists and supports its operator, every value has the property's
// kind. A consumer may therefore panic on a node it does not know.
type Filter interface{ filter() }

// Compare compares a property with a literal. Value is a string (KindString, KindGUID), a bool, a time.Time, or nil
// for the literal null, which equals the absent value.
type Compare struct {
	Property string
	Operator Operator
	Value    any
}

func (*Compare) filter() {}

// MaxFilterSyntax is the largest length of a $filter in bytes, without the text of its strings. It keeps the time that
// godata 1.0.11 takes far below 10 ms: lists and runs of spaces cost it the square of their length.
const MaxFilterSyntax = 512

// parseFilter parses the text of a $filter option. The literals in quotes are taken out before godata sees the text
// and put back afterwards, because godata 1.0.11 mistakes some of them for other things: 'P1D' for a duration, and two
// doubled quotes for an empty string.
func parseFilter(text string, field func(string) (Field, bool)) (Filter, error) {
	bare, literals, err := liftStrings(text)
	if err != nil {
		return nil, err
	}
	if len(bare) > MaxFilterSyntax {
		return nil, Errorf(InvalidRequest, OptionFilter, "$filter is longer than %d bytes beside its strings", MaxFilterSyntax)
	}
	tree, err := parseTree(unencodedPlus.ReplaceAllString(bare, "$1+$2"))
	if err != nil {
		return nil, err
	}
	return filterReader{literals: literals, field: field}.read(tree)
}

// liftStrings replaces every string literal of a filter by '0', '1', … and returns the literals' texts, with doubled
// quotes undone (OData ABNF: SQUOTE-in-string).
func liftStrings(text string) (string, []string, error) {
	var bare strings.Builder
	var literals []string
	for rest := text; rest != ""; {
		start := strings.IndexByte(rest, '\'')
		if start < 0 {
			bare.WriteString(rest)
			break
		}
		bare.WriteString(rest[:start])
		literal, after, ok := cutString(rest[start:])
		if !ok {
			return "", nil, Errorf(InvalidRequest, OptionFilter, "a string in $filter lacks its closing quote; double a quote inside a string")
		}
		fmt.Fprintf(&bare, "'%d'", len(literals))
		literals = append(literals, literal)
		rest = after
	}
	return bare.String(), literals, nil
}

// cutString cuts a string literal in single quotes off the front of text.
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

var (
	// unencodedPlus finds the space that is left of an offset's plus sign when a client does not encode it.
	unencodedPlus = regexp.MustCompile(`(T[0-9:.]+) ([0-9]{2}:[0-9]{2})`)
	// emptyParentheses finds what godata drops from its tree, which makes a property of displayName().
	emptyParentheses = regexp.MustCompile(`\( *\)`)
)

// parseTree calls godata. Its panics (geo functions) and all of its errors become one answer: its messages repeat the
// input without bound.
func parseTree(text string) (tree *godata.ParseNode, err error) {
	failed := Errorf(InvalidRequest, OptionFilter, "$filter is not a valid OData expression; write for example externalId eq '4711'")
	if emptyParentheses.MatchString(text) {
		return nil, failed
	}
	defer func() {
		if recover() != nil {
			tree, err = nil, failed
		}
	}()
	query, err := godata.ParseFilterString(context.Background(), text)
	if err != nil {
		return nil, failed
	}
	return query.Tree, nil
}

// filterReader turns godata's tree into a Filter.
type filterReader struct {
	literals []string
	field    func(string) (Field, bool)
}

func (f filterReader) read(node *godata.ParseNode) (Filter, error) {
	if node.Token.Type != godata.ExpressionTokenLogical || node.Token.Value != string(Eq) || len(node.Children) != 2 {
		return nil, Errorf(NotSupported, OptionFilter, "$filter supports one comparison with eq, for example externalId eq '4711'")
	}
	left, right := node.Children[0], node.Children[1]
	if len(left.Children) > 0 || left.Token.Type != godata.ExpressionTokenLiteral {
		return nil, Errorf(NotSupported, OptionFilter, "the left side of eq must be a property")
	}
	name := left.Token.Value
	field, ok := f.field(name)
	if !ok {
		return nil, Errorf(InvalidRequest, printable(name), "unknown property %q in $filter", printable(name))
	}
	if !supports(field, Eq) {
		return nil, Errorf(NotSupported, field.Name, "filtering by %s is not supported", field.Name)
	}
	value, err := f.literal(field, right)
	if err != nil {
		return nil, err
	}
	return &Compare{Property: field.Name, Operator: Eq, Value: value}, nil
}

func supports(field Field, operator Operator) bool {
	for _, known := range field.Operators {
		if known == operator {
			return true
		}
	}
	return false
}

// literal returns the value of a literal, which must be of the field's kind.
func (f filterReader) literal(field Field, node *godata.ParseNode) (any, error) {
	if len(node.Children) > 0 {
		return nil, Errorf(NotSupported, field.Name, "the right side of eq must be a literal")
	}
	token := node.Token
	if token.Type == godata.ExpressionTokenNull {
		return nil, nil
	}
	switch field.Kind {
	case KindString:
		if token.Type == godata.ExpressionTokenString {
			return f.lifted(token.Value)
		}
	case KindGUID:
		if token.Type == godata.ExpressionTokenString {
			return f.lifted(token.Value)
		}
		if token.Type == godata.ExpressionTokenGuid {
			return token.Value, nil
		}
	case KindBoolean:
		if token.Type == godata.ExpressionTokenBoolean {
			return token.Value == "true", nil
		}
	case KindDateTimeOffset:
		if token.Type == godata.ExpressionTokenDateTime {
			// Unlike RFC 3339, OData lets the seconds be left out (ABNF, dateTimeOffsetValue).
			for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
				if at, err := time.Parse(layout, token.Value); err == nil {
					return at, nil
				}
			}
		}
	}
	return nil, Errorf(InvalidRequest, field.Name, "%s is compared with %s", field.Name, field.Kind.literalForm())
}

// lifted returns the text of a string literal that liftStrings replaced by its number in quotes.
func (f filterReader) lifted(token string) (any, error) {
	index, err := strconv.Atoi(strings.Trim(token, "'"))
	if err != nil || index < 0 || index >= len(f.literals) {
		return nil, Errorf(InvalidRequest, OptionFilter, "$filter is not a valid OData expression")
	}
	return f.literals[index], nil
}

// literalForm says how a literal of the kind is written.
func (k Kind) literalForm() string {
	switch k {
	case KindBoolean:
		return "true, false or null"
	case KindDateTimeOffset:
		return "a date such as 2026-12-31T00:00:00Z, without quotes, or null"
	case KindGUID:
		return "a UUID, or null"
	default:
		return "a string in single quotes, or null"
	}
}
