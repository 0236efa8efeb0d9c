package ldapserver

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// record is an entry of an LDIF file (RFC 2849).
type record struct {
	dn         string
	attributes []ldap.Attribute
}

// add returns the request that adds the entry.
func (r *record) add() *ldap.AddRequest {
	request := ldap.NewAddRequest(r.dn, nil)
	request.Attributes = r.attributes
	return request
}

// parseLDIF reads the entries of an LDIF file. Records of another kind, such as slapadd's "include:", are left out.
func parseLDIF(text string) ([]*record, error) {
	var records []*record
	for part := range strings.SplitSeq(unfold(text), "\n\n") {
		entry, err := parseRecord(part)
		if err != nil {
			return nil, err
		}
		if entry.dn != "" {
			records = append(records, entry)
		}
	}
	return records, nil
}

// unfold takes comments out and joins the lines that go on in the next one, which begins with a blank then.
func unfold(text string) string {
	var lines []string
	comment := false
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case strings.HasPrefix(line, " ") && comment:
		case strings.HasPrefix(line, " ") && len(lines) > 0:
			lines[len(lines)-1] += line[1:]
		case strings.HasPrefix(line, "#"):
			comment = true
		default:
			comment = false
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func parseRecord(text string) (*record, error) {
	entry := &record{}
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		name, value, ok := strings.Cut(line, ":")
		switch {
		case line == "":
			continue
		case !ok:
			return nil, fmt.Errorf("no line of an LDIF file: %q", line)
		case name == "dn":
			entry.dn = strings.TrimSpace(value)
			continue
		}
		value, err := parseValue(value)
		if err != nil {
			return nil, fmt.Errorf("value of %s: %w", name, err)
		}
		entry.put(name, value)
	}
	return entry, nil
}

// parseValue reads what follows an attribute's name and colon.
func parseValue(text string) (string, error) {
	if encoded, ok := strings.CutPrefix(text, ":"); ok {
		decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		return string(decoded), err
	}
	return strings.TrimLeft(text, " "), nil
}

func (r *record) put(name, value string) {
	for i := range r.attributes {
		if strings.EqualFold(r.attributes[i].Type, name) {
			r.attributes[i].Vals = append(r.attributes[i].Vals, value)
			return
		}
	}
	r.attributes = append(r.attributes, ldap.Attribute{Type: name, Vals: []string{value}})
}
