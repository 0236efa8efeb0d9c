package odata

import (
	"slices"
	"strings"
)

// MaxSelect is the largest number of names in a $select.
const MaxSelect = 64

// parseSelect parses a list of properties. A name may stand in it twice, and * means all properties (OData URL
// conventions, section 5.1.3).
func parseSelect(text string, resource Resource) ([]string, error) {
	items := strings.Split(text, ",")
	if len(items) > MaxSelect {
		return nil, Errorf(InvalidRequest, OptionSelect, "$select has more than %d names", MaxSelect)
	}
	all := false
	names := make([]string, 0, len(items))
	for _, item := range items {
		name := strings.Trim(item, separators)
		if name == "" {
			return nil, Errorf(InvalidRequest, OptionSelect, "$select is a list of properties, separated by commas")
		}
		if name == "*" {
			all = true
			continue
		}
		field, err := property(name, OptionSelect, resource)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names, field.Name) {
			names = append(names, field.Name)
		}
	}
	if all {
		return nil, nil
	}
	return names, nil
}
