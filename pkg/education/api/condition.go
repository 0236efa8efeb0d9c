package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Header fields of conditional requests (RFC 9110, section 13.1).
const (
	headerIfMatch           = "If-Match"
	headerIfNoneMatch       = "If-None-Match"
	headerIfUnmodifiedSince = "If-Unmodified-Since"
)

// conditionsOf are the conditions that writes of a method may make. A read is harmless whatever condition is not looked at
// (RFC 9110, section 13.1, asks to ignore those on dates that the service does not give), a write is not.
var conditionsOf = map[string][]string{
	http.MethodPost:   nil,
	http.MethodPatch:  {headerIfMatch},
	http.MethodDelete: {headerIfMatch},
}

// refuseConditions refuses a write under a condition that would not be looked at. Links have no versions of their own.
func refuseConditions(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		permitted, writes := conditionsOf[r.Method]
		if !writes {
			next.ServeHTTP(w, r)
			return
		}
		if strings.HasSuffix(routePath(r), "/"+refSegment) {
			permitted = nil
		}
		for _, header := range []string{headerIfMatch, headerIfNoneMatch, headerIfUnmodifiedSince} {
			if r.Header.Values(header) != nil && !slices.Contains(permitted, header) {
				odata.WriteError(w, r, odata.Errorf(odata.InvalidRequest, header,
					"%s is not supported for this request, and nothing was changed; PATCH and DELETE of an entity support %s", header, headerIfMatch))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// meantKey returns the key of the entity in the path, in the versions that If-Match names. An asterisk means every version
// (RFC 9110, section 13.1.1).
func meantKey(r *http.Request, set *education.EntitySet) (education.Key, error) {
	key, err := keyOf(r, set)
	if err != nil || r.Header.Values(headerIfMatch) == nil {
		return key, err
	}
	versions, every, ok := entityTags(r, headerIfMatch)
	switch {
	case !ok:
		return key, odata.Errorf(odata.InvalidRequest, headerIfMatch, `%s must be * or a list of entity tags such as W/"abc"`, headerIfMatch)
	case !every:
		key.Versions = versions
	}
	return key, nil
}

// isKnown reports whether the client has the entity in its version already, as If-None-Match says. A field that cannot be
// read names no version.
func isKnown(r *http.Request, entity *education.Entity) bool {
	versions, every, ok := entityTags(r, headerIfNoneMatch)
	return ok && (every || slices.Contains(versions, entity.Version))
}

// entityTags reads a header field that is an asterisk or a list of entity tags (RFC 9110, section 8.8.3). All tags of this
// service are weak, because the form of an entity depends on the query, and If-Match compares weakly (OData protocol,
// section 8.2.4).
func entityTags(r *http.Request, header string) (versions []string, every, ok bool) {
	rest := strings.TrimSpace(strings.Join(r.Header.Values(header), ","))
	if rest == "*" {
		return nil, true, true
	}
	for rest != "" {
		// Empty elements of a list do not count (RFC 9110, section 5.6.1.2).
		if after, empty := strings.CutPrefix(rest, ","); empty {
			rest = strings.TrimSpace(after)
			continue
		}
		quoted, found := strings.CutPrefix(strings.TrimPrefix(rest, "W/"), `"`)
		if !found {
			return nil, false, false
		}
		version, after, closed := strings.Cut(quoted, `"`)
		if !closed {
			return nil, false, false
		}
		versions = append(versions, version)
		rest = strings.TrimSpace(after)
		if rest == "" {
			break
		}
		if rest, found = strings.CutPrefix(rest, ","); !found {
			return nil, false, false
		}
		rest = strings.TrimSpace(rest)
	}
	return versions, false, len(versions) > 0
}

// entityTag returns an entity's version as an entity tag, or the empty string if it has none.
func entityTag(entity *education.Entity) string {
	if entity.Version == "" {
		return ""
	}
	return `W/"` + entity.Version + `"`
}

// setEntityTag gives a response the entity tag of its entity.
func setEntityTag(w http.ResponseWriter, entity *education.Entity) {
	if tag := entityTag(entity); tag != "" {
		w.Header().Set("ETag", tag)
	}
}
