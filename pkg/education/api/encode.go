package api

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencloud-eu/education/pkg/education"
)

// writeChunk is how much of a list is collected before it is written, in bytes.
const writeChunk = 32 << 10

// contextURL returns the @odata.context of a response about a set (OData protocol, section 10).
func contextURL(r *http.Request, set *education.EntitySet) string {
	return strings.TrimSuffix(serviceRoot(r), "/education") + "/$metadata#education/" + set.Name
}

// writeEntity writes one entity.
func (a *API) writeEntity(w http.ResponseWriter, r *http.Request, status int, entity *education.Entity) error {
	var context string
	if !a.rules.Compatible {
		context = contextURL(r, entity.Set) + "/$entity"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The status is sent; a client that has gone does not want to know.
	_, _ = w.Write(append(appendEntity(nil, context, entity), '\n'))
	return nil
}

// writeList writes entities as they come, in constant memory. An error before anything has been written is returned; a
// later one breaks the connection, because a list that ends early must not look whole. With bare the list is a JSON
// array instead of an object with a value.
func (a *API) writeList(w http.ResponseWriter, r *http.Request, set *education.EntitySet, bare bool, entities iter.Seq2[*education.Entity, error]) error {
	head, tail := `{"value":[`, "]}\n"
	switch {
	case bare:
		head, tail = "[", "]\n"
	case !a.rules.Compatible:
		head = `{"@odata.context":` + string(appendString(nil, contextURL(r, set))) + `,"value":[`
	}
	buffer := append(make([]byte, 0, writeChunk+writeChunk/4), head...)
	empty, written := true, false
	for entity, err := range entities {
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
		if buffer = appendEntity(buffer, "", entity); len(buffer) >= writeChunk {
			if !written {
				w.Header().Set("Content-Type", "application/json")
			}
			written = true
			if _, err := w.Write(buffer); err != nil {
				panic(http.ErrAbortHandler)
			}
			buffer = buffer[:0]
		}
	}
	if !written {
		w.Header().Set("Content-Type", "application/json")
	}
	_, _ = w.Write(append(buffer, tail...))
	return nil
}

// appendEntity appends an entity as a JSON object, with the properties in the order of their table. Absent properties
// are left out.
func appendEntity(buffer []byte, context string, entity *education.Entity) []byte {
	buffer = append(buffer, '{')
	if context != "" {
		buffer = appendString(append(buffer, `"@odata.context":`...), context)
	}
	for _, property := range entity.Set.Properties {
		value := entity.Value(property)
		if value == nil || !property.Returned() {
			continue
		}
		if buffer[len(buffer)-1] != '{' {
			buffer = append(buffer, ',')
		}
		buffer = append(append(append(buffer, '"'), property.Name...), `":`...)
		buffer = appendValue(buffer, value)
	}
	return append(buffer, '}')
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
		if c := text[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return appendJSON(buffer, text)
		}
	}
	return append(append(append(buffer, '"'), text...), '"')
}

// appendJSON appends what encoding/json makes of a value that it can always encode.
func appendJSON(buffer []byte, value any) []byte {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("api: %v", err))
	}
	return append(buffer, encoded...)
}
