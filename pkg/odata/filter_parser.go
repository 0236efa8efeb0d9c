package odata

import (
	"context"
	"slices"
	"strings"

	"github.com/CiscoM31/godata"
)

// The largest size of a filter. MaxFilterNodes bounds its nodes, an item of a list being one, and MaxFilterDepth how
// deep nodes or parentheses nest.
const (
	MaxFilterNodes = 200
	MaxFilterDepth = 20
)

// parseFilter parses the text of a $filter option.
func parseFilter(text string, resource Resource) (Filter, error) {
	tokens, err := tokenizeFilter(text)
	if err != nil {
		return nil, err
	}
	tree, err := buildTree(tokens)
	if err != nil {
		return nil, err
	}
	filter, err := scope{resource: resource}.read(tree)
	if err != nil {
		return nil, err
	}
	nodes, depth := measure(filter)
	if nodes > MaxFilterNodes {
		return nil, tooLarge()
	}
	if depth > MaxFilterDepth {
		return nil, tooDeep()
	}
	return filter, nil
}

func tooLarge() error {
	return Errorf(InvalidRequest, OptionFilter, "$filter has more than %d comparisons and operators", MaxFilterNodes)
}

func tooDeep() error {
	return Errorf(InvalidRequest, OptionFilter, "$filter nests deeper than %d levels", MaxFilterDepth)
}

// buildTree calls godata, which knows the precedence of the operators. Its errors repeat their input without bound, so
// they and its panics become one answer.
func buildTree(tokens []*godata.Token) (tree *godata.ParseNode, err error) {
	defer func() {
		if recover() != nil {
			tree, err = nil, malformedFilter()
		}
	}()
	postfix, err := godata.GlobalFilterParser.InfixToPostfix(context.Background(), tokens)
	if err != nil {
		return nil, malformedFilter()
	}
	tree, err = godata.GlobalFilterParser.PostfixToTree(context.Background(), postfix)
	if err != nil || tree.Token == nil {
		return nil, malformedFilter()
	}
	return tree, nil
}

// measure returns the number of a filter's nodes and how deep they nest.
func measure(filter Filter) (nodes, depth int) {
	var operands []Filter
	switch filter := filter.(type) {
	case *And:
		operands = filter.Operands
	case *Or:
		operands = filter.Operands
	case *Not:
		operands = []Filter{filter.Operand}
	case *Any:
		if filter.Filter != nil {
			operands = []Filter{filter.Filter}
		}
	}
	for _, operand := range operands {
		below, deep := measure(operand)
		nodes, depth = nodes+below, max(depth, deep)
	}
	return nodes + 1, depth + 1
}

// scope is what the names in a part of a filter belong to: the resource, or within any() its variable.
type scope struct {
	resource Resource
	// variable is empty outside any(). outer are the variables that cannot be reached from within.
	variable string
	outer    []string
}

// read turns a node of godata's tree into a Filter. It accepts what it knows and nothing else.
func (s scope) read(node *godata.ParseNode) (Filter, error) {
	switch node.Token.Type {
	case godata.ExpressionTokenLogical:
		return s.readOperator(node)
	case godata.ExpressionTokenFunc:
		return s.readMatch(node)
	case godata.ExpressionTokenLambda:
		return s.readAny(node)
	case godata.ExpressionTokenString:
		return s.readAlone(node.Token.SemanticReference)
	}
	return nil, malformedFilter()
}

func (s scope) readOperator(node *godata.ParseNode) (Filter, error) {
	switch operator := node.Token.Value; operator {
	case "and", "or":
		operands, err := s.readOperands(node, operator, nil)
		if err != nil {
			return nil, err
		}
		if operator == "and" {
			return &And{operands}, nil
		}
		return &Or{operands}, nil
	case "not":
		operand, err := s.read(node.Children[0])
		if err != nil {
			return nil, err
		}
		return &Not{operand}, nil
	case "in":
		return s.readIn(node.Children[0], node.Children[1])
	default:
		return s.readComparison(node.Children[0], Operator(operator), node.Children[1])
	}
}

// readOperands appends the operands of a chain of one operator, which godata nests as binary ones. The items of a list
// are operands of an or.
func (s scope) readOperands(node *godata.ParseNode, operator string, operands []Filter) ([]Filter, error) {
	for _, child := range node.Children {
		if child.Token.Type == godata.ExpressionTokenLogical && child.Token.Value == operator {
			var err error
			if operands, err = s.readOperands(child, operator, operands); err != nil {
				return nil, err
			}
			continue
		}
		operand, err := s.read(child)
		if err != nil {
			return nil, err
		}
		if items, ok := operand.(*Or); ok && operator == "or" {
			operands = append(operands, items.Operands...)
		} else {
			operands = append(operands, operand)
		}
	}
	return operands, nil
}

// readAlone reads an operand that is not compared with anything.
func (s scope) readAlone(operand any) (Filter, error) {
	name, ok := operand.(path)
	if !ok {
		return nil, Errorf(InvalidRequest, OptionFilter, "a literal in $filter is compared with nothing")
	}
	subject, err := s.resolve(name)
	if err != nil {
		return nil, err
	}
	if subject.navigation != "" || subject.field.Kind != KindBoolean {
		return nil, Errorf(InvalidRequest, printable(string(name)), "%s must be compared with something in $filter", printable(string(name)))
	}
	return subject.compare(Eq, literal{formBoolean, "true"})
}

// operandOf returns the literal or the path that a node is.
func operandOf(node *godata.ParseNode) (any, bool) {
	return node.Token.SemanticReference, node.Token.Type == godata.ExpressionTokenString
}

func (s scope) readComparison(leftNode *godata.ParseNode, operator Operator, rightNode *godata.ParseNode) (Filter, error) {
	left, leftOK := operandOf(leftNode)
	right, rightOK := operandOf(rightNode)
	if !leftOK || !rightOK {
		return nil, notComparable(operator, leftNode, rightNode)
	}
	if value, ok := left.(literal); ok {
		name, ok := right.(path)
		if !ok {
			return nil, Errorf(NotSupported, OptionFilter, "comparing two literals is not supported in $filter")
		}
		left, operator, right = name, operator.mirrored(), value
	}
	name, _ := left.(path)
	subject, err := s.resolve(name)
	if err != nil {
		return nil, err
	}
	value, ok := right.(literal)
	if !ok {
		return nil, s.notLiteral(subject, right.(path))
	}
	return subject.compare(operator, value)
}

// notComparable refuses a comparison with the result of an operator or a function.
func notComparable(operator Operator, operands ...*godata.ParseNode) error {
	for _, operand := range operands {
		if operand.Token.Type == godata.ExpressionTokenLogical && operand.Token.Value == "not" {
			return Errorf(InvalidRequest, OptionFilter, "not binds tighter than %s; write not (… %s …)", operator, operator)
		}
	}
	return Errorf(NotSupported, OptionFilter, "%s is supported in $filter between a property and a literal only", operator)
}

// notLiteral refuses a comparison with a path, which is not repeated unless it is a property: it may be a string that
// lacks its quotes.
func (s scope) notLiteral(subject subject, other path) error {
	if _, err := s.resolve(other); err == nil {
		return Errorf(NotSupported, subject.name(), "comparing %s with another property is not supported in $filter", subject.name())
	}
	if subject.navigation != "" {
		return notCount(subject.name())
	}
	return mismatch(subject.field)
}

// readIn reads a list as comparisons with each of its items.
func (s scope) readIn(left, right *godata.ParseNode) (Filter, error) {
	operand, _ := operandOf(left)
	name, ok := operand.(path)
	if !ok {
		return nil, Errorf(NotSupported, OptionFilter, "the left side of in must be a property")
	}
	subject, err := s.resolve(name)
	if err != nil {
		return nil, err
	}
	operands := make([]Filter, len(right.Children))
	for i, item := range right.Children {
		operand, _ := operandOf(item)
		value, ok := operand.(literal)
		if !ok {
			return nil, Errorf(InvalidRequest, subject.name(), "a list in $filter holds literals only")
		}
		if operands[i], err = subject.compare(Eq, value); err != nil {
			return nil, err
		}
	}
	if len(operands) == 1 {
		return operands[0], nil
	}
	return &Or{operands}, nil
}

func (s scope) readMatch(node *godata.ParseNode) (Filter, error) {
	function := Function(node.Token.Value)
	first, _ := operandOf(node.Children[0])
	second, _ := operandOf(node.Children[1])
	name, ok := first.(path)
	value, valueOK := second.(literal)
	if !ok || !valueOK {
		return nil, Errorf(NotSupported, OptionFilter, "%s() is supported in $filter with a property and a string", function)
	}
	subject, err := s.resolve(name)
	switch {
	case err != nil:
		return nil, err
	case subject.navigation != "" || !slices.Contains(subject.field.Functions, function):
		return nil, Errorf(NotSupported, subject.name(), "%s(%s) is not supported in $filter", function, subject.name())
	case value.form != formString:
		return nil, Errorf(InvalidRequest, subject.name(), "the second argument of %s() is a string in single quotes", function)
	}
	return &Match{subject.field.Name, function, value.text}, nil
}

func (s scope) readAny(node *godata.ParseNode) (Filter, error) {
	full, _ := node.Token.SemanticReference.(path)
	name, err := s.within(full)
	if err != nil {
		return nil, err
	}
	target, navigation, ok := s.resource.navigation(name)
	if !ok {
		return nil, s.notNavigation(name, full)
	}
	if len(node.Children) == 0 {
		return &Any{Navigation: navigation}, nil
	}
	operand, _ := operandOf(node.Children[0])
	variable, _ := operand.(path)
	inner := scope{resource: target, variable: string(variable), outer: s.outer}
	if s.variable != "" {
		inner.outer = append(slices.Clone(s.outer), s.variable)
	}
	if slices.ContainsFunc(inner.outer, inner.is) {
		return nil, Errorf(InvalidRequest, inner.variable, "two nested any() in $filter have the same variable %q", printable(inner.variable))
	}
	filter, err := inner.read(node.Children[1])
	if err != nil {
		return nil, err
	}
	return &Any{navigation, filter}, nil
}

// is reports whether name is the scope's variable.
func (s scope) is(name string) bool { return strings.EqualFold(name, s.variable) }

// subject is what stands on one side of a comparison: a property, or the number of a navigation property's targets.
type subject struct {
	field      Field
	navigation string
}

func (s subject) name() string {
	if s.navigation != "" {
		return s.navigation + "/" + OptionCount
	}
	return s.field.Name
}

func (s subject) compare(operator Operator, value literal) (Filter, error) {
	if s.navigation != "" {
		number, ok := value.count()
		if !ok {
			return nil, notCount(s.name())
		}
		return &Count{s.navigation, operator, number}, nil
	}
	if !slices.Contains(s.field.Operators, operator) {
		return nil, Errorf(NotSupported, s.field.Name, "filtering by %s with %s is not supported", s.field.Name, operator)
	}
	if value.form == formNull && operator != Eq && operator != Ne {
		return nil, Errorf(InvalidRequest, s.field.Name, "null is compared with eq and ne only")
	}
	converted, err := value.value(s.field)
	if err != nil {
		return nil, err
	}
	return &Compare{s.field.Name, operator, converted}, nil
}

func notCount(name string) error {
	return Errorf(InvalidRequest, name, "%s is compared with a whole number from 0 to %d", name, MaxNumber)
}

// resolve finds the property, or the navigation property before /$count, that a path names.
func (s scope) resolve(full path) (subject, error) {
	name, err := s.within(full)
	if err != nil {
		return subject{}, err
	}
	shown := printable(string(full))
	before, last, isPath := strings.Cut(name, "/")
	if !isPath {
		if field, ok := s.resource.field(name); ok {
			return subject{field: field}, nil
		}
		if _, navigation, ok := s.resource.navigation(name); ok {
			return subject{}, Errorf(InvalidRequest, shown, "%s cannot be compared; write %s/any(x:x/id eq '…') or %s/$count", shown, navigation, navigation)
		}
		return subject{}, Errorf(InvalidRequest, shown, "unknown property %q in $filter", shown)
	}
	if strings.EqualFold(last, OptionCount) {
		_, navigation, ok := s.resource.navigation(before)
		if !ok {
			return subject{}, s.notNavigation(before, full)
		}
		return subject{navigation: navigation}, nil
	}
	if _, navigation, ok := s.resource.navigation(before); ok {
		return subject{}, Errorf(InvalidRequest, shown, "unknown property path %q in $filter; write %s/any(x:x/id eq '…')", shown, navigation)
	}
	return subject{}, Errorf(InvalidRequest, shown, "unknown property path %q in $filter", shown)
}

// within returns a path without the variable in front of it.
func (s scope) within(full path) (string, error) {
	shown := printable(string(full))
	first, rest, isPath := strings.Cut(string(full), "/")
	switch {
	case strings.HasPrefix(first, "$"), strings.HasPrefix(first, "@"):
		return "", Errorf(NotSupported, shown, "%q is not supported in $filter", shown)
	case s.variable == "":
		return string(full), nil
	case s.is(first) && isPath:
		return rest, nil
	case s.is(first):
		return "", Errorf(InvalidRequest, shown, "the variable %q in $filter lacks a property: %s/id", shown, shown)
	case slices.ContainsFunc(s.outer, func(outer string) bool { return strings.EqualFold(outer, first) }):
		return "", Errorf(NotSupported, shown, "%q in $filter belongs to an outer any(), which is not supported", shown)
	}
	return "", Errorf(InvalidRequest, shown, "%q in $filter stands within any(), where names begin with the variable: %s/id",
		shown, printable(s.variable))
}

// notNavigation refuses a name that is not one of a navigation property.
func (s scope) notNavigation(name string, full path) error {
	shown := printable(string(full))
	if _, ok := s.resource.field(name); ok {
		return Errorf(NotSupported, shown, "%q is not a navigation property; $filter does not look into it", shown)
	}
	return Errorf(InvalidRequest, shown, "unknown navigation property %q in $filter", shown)
}
