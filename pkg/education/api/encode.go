package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// writeChunk is how much of a list is collected before it is written, in bytes.
const writeChunk = 32 << 10

// shape says which parts of an entity a response shows.
type shape struct {
	set *education.EntitySet
	// names are the properties that $select names; nil shows all. Those that navigation properties are expanded into
	// have shapes of their own.
	names    []string
	expanded []expansion
	// level says how much control information is shown, and root where the entity sets of the service lie.
	level odata.Metadata
	root  string
}

type expansion struct {
	nav   *education.Navigation
	shape *shape
}

// shapeOf returns the shape that a request wants its entities to have.
func (a *API) shapeOf(r *http.Request, set *education.EntitySet, query *odata.Query) (*shape, error) {
	level, err := a.metadataLevel(r, query)
	if err != nil {
		return nil, err
	}
	s := newShape(set, query, level, serviceRoot(r))
	if a.rules.Compatible && s.names == nil {
		s.names = compatibleNames(set)
	}
	return s, nil
}

// compatibleNames returns the properties that a response in the manner of OpenCloud's graph service shows if the client
// selects none; nil stands for all. OpenCloud's own Go client (libre-graph-api-go 1.0.8) fails on a class with a
// property that it does not know, and it knows no times.
func compatibleNames(set *education.EntitySet) []string {
	if set != education.Classes {
		return nil
	}
	var names []string
	for _, property := range set.Properties {
		if property.Type != education.DateTime {
			names = append(names, property.Name)
		}
	}
	return names
}

func newShape(set *education.EntitySet, query *odata.Query, level odata.Metadata, root string) *shape {
	s := &shape{set: set, level: level, root: root}
	if query == nil {
		return s
	}
	s.names = query.Select
	for _, expand := range query.Expand {
		nav := education.NavigationOf(set, expand.Navigation)
		s.expanded = append(s.expanded, expansion{nav, newShape(nav.Target, expand.Query, level, root)})
	}
	return s
}

func (s *shape) shows(property *education.Property) bool {
	return property.Returned() && (s.names == nil || slices.Contains(s.names, property.Name))
}

// contextURL returns the @odata.context of a response (OData protocol, section 10).
func (s *shape) contextURL() string {
	url := strings.TrimSuffix(s.root, "/education") + "/$metadata#education/" + s.set.Name
	if names := s.list(); names != "" {
		url += "(" + names + ")"
	}
	return url
}

// list returns the properties that a context names: the selected ones, and expanded ones with their own lists.
func (s *shape) list() string {
	names := slices.Clone(s.names)
	for _, expanded := range s.expanded {
		names = append(names, expanded.nav.Name+"("+expanded.shape.list()+")")
	}
	return strings.Join(names, ",")
}

// writeEntity writes one entity.
func (a *API) writeEntity(w http.ResponseWriter, status int, shape *shape, entity *education.Entity) error {
	w.Header().Set("Content-Type", a.contentType(shape.level))
	w.WriteHeader(status)
	// The status is sent; a client that has gone does not want to know.
	_, _ = w.Write(append(shape.append(nil, shape.contextURL()+"/$entity", entity), '\n'))
	return nil
}

// writeRead answers a read, without the entity if the client has it. What is expanded changes without the entity, whose
// version says nothing about it.
func (a *API) writeRead(w http.ResponseWriter, r *http.Request, shape *shape, entity *education.Entity) error {
	if len(shape.expanded) == 0 {
		setEntityTag(w, entity)
		if isKnown(r, entity) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	return a.writeEntity(w, http.StatusOK, shape, entity)
}

// writeChanged answers a create or an update: with the entity or without it, as the status has it and as the client
// prefers.
func (a *API) writeChanged(w http.ResponseWriter, r *http.Request, status int, shape *shape, entity *education.Entity) error {
	setEntityTag(w, entity)
	if status = statusOfWrite(w, r, status); status == http.StatusNoContent {
		// A client that gets no body has the id of a new entity from here (OData protocol, section 8.3.4).
		w.Header().Set("OData-EntityId", shape.entityURL(entity))
		w.WriteHeader(status)
		return nil
	}
	return a.writeEntity(w, status, shape, entity)
}

// writeList writes the entities of an answer as they come, in constant memory. An error before anything has been written
// is returned; a later one breaks the connection, because a list that ends early must not look whole. With bare the list
// is a JSON array instead of an object with a value, which has no place for a count or a link to the next page.
func (a *API) writeList(w http.ResponseWriter, r *http.Request, shape *shape, bare bool, query *odata.Query, answer *education.Answer) error {
	head, tail := a.frame(r, shape, bare, query, answer)
	buffer := append(make([]byte, 0, writeChunk+writeChunk/4), head...)
	empty, written := true, false
	for entity, err := range answer.Entities {
		switch {
		case err != nil && !written:
			return err
		case err != nil:
			panic(http.ErrAbortHandler)
		}
		if !empty {
			buffer = append(buffer, ',')
		}
		empty = false
		if buffer = shape.append(buffer, "", entity); len(buffer) >= writeChunk {
			if !written {
				w.Header().Set("Content-Type", a.contentType(shape.level))
			}
			written = true
			if _, err := w.Write(buffer); err != nil {
				panic(http.ErrAbortHandler)
			}
			buffer = buffer[:0]
		}
	}
	if !written {
		w.Header().Set("Content-Type", a.contentType(shape.level))
	}
	if _, err := w.Write(append(buffer, tail...)); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// frame returns what stands before and after the entities of a list.
func (a *API) frame(r *http.Request, shape *shape, bare bool, query *odata.Query, answer *education.Answer) (head, tail []byte) {
	if bare {
		return []byte("["), []byte("]\n")
	}
	head = append(head, '{')
	if shape.level != odata.MetadataNone {
		head = appendString(append(head, `"@odata.context":`...), shape.contextURL())
		head = append(head, ',')
	}
	if query.Count {
		head = strconv.AppendInt(append(head, `"@odata.count":`...), int64(answer.Total), 10)
		head = append(head, ',')
	}
	head = append(head, `"value":[`...)
	tail = append(tail, ']')
	if answer.Next != "" {
		tail = appendString(append(tail, `,"@odata.nextLink":`...), a.pages.next(r, query, answer.Next, a.linkFormat(query, shape.level)))
	}
	return head, append(tail, "}\n"...)
}

// append appends an entity as a JSON object, with the properties in the order of their table. Absent properties are left
// out. The context is that of a response that holds the entity alone, or empty.
func (s *shape) append(buffer []byte, context string, entity *education.Entity) []byte {
	buffer = s.appendAnnotations(append(buffer, '{'), context, entity)
	for _, property := range s.set.Properties {
		if value := entity.Value(property); value != nil && s.shows(property) {
			buffer = s.appendType(buffer, property)
			buffer = appendValue(appendName(buffer, property.Name), value)
		}
	}
	buffer = s.appendLinks(buffer, entity)
	for _, expanded := range s.expanded {
		related, _ := entity.Related(expanded.nav)
		buffer = append(appendName(buffer, expanded.nav.Name), '[')
		for i, target := range related {
			if i > 0 {
				buffer = append(buffer, ',')
			}
			buffer = expanded.shape.append(buffer, "", target)
		}
		buffer = append(buffer, ']')
	}
	return append(buffer, '}')
}

// appendName appends the name of an object's member, and a comma if it is not the first.
func appendName(buffer []byte, name string) []byte {
	if buffer[len(buffer)-1] != '{' {
		buffer = append(buffer, ',')
	}
	return append(append(append(buffer, '"'), name...), `":`...)
}

// appendValue appends a property's value.
func appendValue(buffer []byte, value any) []byte {
	switch value := value.(type) {
	case string:
		return appendString(buffer, value)
	case bool:
		return strconv.AppendBool(buffer, value)
	case time.Time:
		return append(value.AppendFormat(append(buffer, '"'), time.RFC3339Nano), '"')
	case []education.Identity:
		return appendJSON(buffer, value)
	default:
		panic(fmt.Sprintf("api: value of type %T", value))
	}
}

// appendString appends a JSON string. Most strings are plain and need no encoder.
func appendString(buffer []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return appendJSON(buffer, text)
		}
	}
	return append(append(append(buffer, '"'), text...), '"')
}

// appendJSON appends what encoding/json makes of a value that it can always encode. Ampersands and angle brackets stay
// what they are, so that a shell script can cut a link out of a response; no response is taken for HTML.
func appendJSON(buffer []byte, value any) []byte {
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("api: %v", err))
	}
	return append(buffer, bytes.TrimSuffix(encoded.Bytes(), []byte("\n"))...)
}
