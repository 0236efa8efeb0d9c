package odata

import (
	"regexp"
	"strings"
)

// The largest size of a $search. MaxSearchDepth bounds how deep parentheses and NOT nest.
const (
	MaxSearchTerms = 50
	MaxSearchDepth = 20
)

// Search is a checked $search: every property in it exists and is searchable. It is one of *SearchTerm, *SearchAnd,
// *SearchOr and *SearchNot.
type Search interface {
	// String returns the search as the text of a $search option, the same for searches that are equal. For a search that
	// was parsed, parsing the text gives an equal one.
	String() string
	search()
}

// SearchTerm looks for Text, which is not empty, in a property. Property is empty for every searchable one.
type SearchTerm struct {
	Property string
	Text     string
}

// SearchAnd holds for what all of its operands hold for. It has at least two, none of which is a SearchAnd.
type SearchAnd struct{ Operands []Search }

// SearchOr holds for what any of its operands holds for. It has at least two, none of which is a SearchOr.
type SearchOr struct{ Operands []Search }

// SearchNot holds for what its operand does not hold for.
type SearchNot struct{ Operand Search }

func (*SearchTerm) search() {}
func (*SearchAnd) search()  {}
func (*SearchOr) search()   {}
func (*SearchNot) search()  {}

func (s *SearchTerm) String() string {
	text := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s.Text)
	if s.Property != "" {
		text = s.Property + ":" + text
	}
	return `"` + text + `"`
}

func (s *SearchAnd) String() string { return joinSearches(s.Operands, " AND ") }
func (s *SearchOr) String() string  { return joinSearches(s.Operands, " OR ") }
func (s *SearchNot) String() string { return "NOT " + groupedSearch(s.Operand) }

func joinSearches(operands []Search, operator string) string {
	texts := make([]string, len(operands))
	for i, operand := range operands {
		texts[i] = groupedSearch(operand)
	}
	return strings.Join(texts, operator)
}

// groupedSearch renders a search as an operand.
func groupedSearch(operand Search) string {
	switch operand.(type) {
	case *SearchAnd, *SearchOr:
		return "(" + operand.String() + ")"
	}
	return operand.String()
}

// parseSearch parses the text of a $search option as Graph has it: terms "property:text" in double quotes, in which a
// double quote and a backslash are escaped by a backslash. OData's bare words (URL conventions, section 5.1.7) are
// terms, too, and look into every searchable property. NOT binds tighter than AND, AND than OR; AND may be left out.
func parseSearch(text string, resource Resource) (Search, error) {
	p := searchParser{rest: text, resource: resource}
	p.next()
	search, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.token != "" {
		return nil, malformedSearch()
	}
	return search, nil
}

func malformedSearch() error {
	return Errorf(InvalidRequest, OptionSearch, `$search combines terms by AND, OR and NOT, such as "displayName:max" AND "mail:example"`)
}

// searchParser parses by recursive descent.
type searchParser struct {
	rest     string
	resource Resource
	// token is the current word, parenthesis or operator, and empty at the end. quoted tells a term in quotes from
	// everything else; its text is that between the quotes.
	token  string
	quoted bool
	// err is set when the current token is malformed.
	err   error
	terms int
	depth int
}

// next reads the next token.
func (p *searchParser) next() {
	p.rest = strings.TrimLeft(p.rest, separators)
	p.token, p.quoted = "", false
	switch {
	case p.rest == "":
	case p.rest[0] == '"':
		p.nextQuoted()
	case p.rest[0] == '(' || p.rest[0] == ')':
		p.token, p.rest = p.rest[:1], p.rest[1:]
	default:
		end := strings.IndexAny(p.rest, separators+`()"`)
		if end < 0 {
			end = len(p.rest)
		}
		p.token, p.rest = p.rest[:end], p.rest[end:]
	}
}

// nextQuoted reads a term in double quotes.
func (p *searchParser) nextQuoted() {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '"':
			p.token, p.quoted, p.rest = b.String(), true, p.rest[i+1:]
			if p.token == "" {
				p.err = Errorf(InvalidRequest, OptionSearch, "a term of $search is empty")
			}
			return
		case '\\':
			if i++; i == len(p.rest) || p.rest[i] != '"' && p.rest[i] != '\\' {
				p.err = Errorf(InvalidRequest, OptionSearch, `in $search, a backslash stands in front of a double quote or a backslash only`)
				return
			}
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	p.err = Errorf(InvalidRequest, OptionSearch, "a term of $search lacks its closing double quote")
}

// at reports whether the current token is an operator or a parenthesis.
func (p *searchParser) at(token string) bool { return p.err == nil && !p.quoted && p.token == token }

func (p *searchParser) or() (Search, error) {
	var operands []Search
	for {
		operand, err := p.and()
		if err != nil {
			return nil, err
		}
		if nested, ok := operand.(*SearchOr); ok {
			operands = append(operands, nested.Operands...)
		} else {
			operands = append(operands, operand)
		}
		if !p.at("OR") {
			break
		}
		p.next()
	}
	if len(operands) == 1 {
		return operands[0], nil
	}
	return &SearchOr{operands}, nil
}

func (p *searchParser) and() (Search, error) {
	var operands []Search
	for {
		operand, err := p.not()
		if err != nil {
			return nil, err
		}
		if nested, ok := operand.(*SearchAnd); ok {
			operands = append(operands, nested.Operands...)
		} else {
			operands = append(operands, operand)
		}
		if p.at("AND") {
			p.next()
		} else if p.at("") || p.at(")") || p.at("OR") {
			break
		}
	}
	if len(operands) == 1 {
		return operands[0], nil
	}
	return &SearchAnd{operands}, nil
}

func (p *searchParser) not() (Search, error) {
	negated, grouped := p.at("NOT"), p.at("(")
	if !negated && !grouped {
		return p.term()
	}
	if p.depth++; p.depth > MaxSearchDepth {
		return nil, Errorf(InvalidRequest, OptionSearch, "$search nests deeper than %d levels", MaxSearchDepth)
	}
	defer func() { p.depth-- }()
	p.next()
	if negated {
		operand, err := p.not()
		if err != nil {
			return nil, err
		}
		return &SearchNot{operand}, nil
	}
	search, err := p.or()
	if err != nil {
		return nil, err
	}
	if !p.at(")") {
		return nil, malformedSearch()
	}
	p.next()
	return search, nil
}

// propertyName is what in front of a colon is taken for a property, so that "12:30" is not.
var propertyName = regexp.MustCompile(`^[\pL_][\pL\pN_/.]*$`)

func (p *searchParser) term() (Search, error) {
	switch {
	case p.err != nil:
		return nil, p.err
	case p.at(""), p.at(")"), p.at("AND"), p.at("OR"):
		return nil, malformedSearch()
	}
	if p.terms++; p.terms > MaxSearchTerms {
		return nil, Errorf(InvalidRequest, OptionSearch, "$search has more than %d terms", MaxSearchTerms)
	}
	term := &SearchTerm{Text: strings.Trim(p.token, separators)}
	if name, text, ok := strings.Cut(term.Text, ":"); ok && propertyName.MatchString(name) {
		field, err := property(name, OptionSearch, p.resource)
		if err != nil {
			return nil, err
		}
		if !field.Searchable {
			return nil, Errorf(NotSupported, field.Name, "searching in %s is not supported", field.Name)
		}
		term.Property, term.Text = field.Name, strings.Trim(text, separators)
	}
	if term.Text == "" {
		return nil, Errorf(InvalidRequest, OptionSearch, "a term of $search is empty")
	}
	p.next()
	return term, nil
}
