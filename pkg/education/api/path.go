package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

type mountKey struct{}

// mount is where the routes of a request's service lie: the path of the root and the path below it, in canonical form.
type mount struct{ root, path string }

func mountOf(r *http.Request) mount {
	m, _ := r.Context().Value(mountKey{}).(mount)
	return m
}

// routePath returns the canonical path of a request below the service root.
func routePath(r *http.Request) string { return mountOf(r).path }

// serverURL returns scheme and host under which the client sees the service, and what stands before the path.
func serverURL(r *http.Request) string {
	if origin := odata.OriginOf(r.Context()); origin != "" {
		return origin
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// serviceRoot returns the URL under which the entity sets of a request's service lie.
func serviceRoot(r *http.Request) string { return serverURL(r) + mountOf(r).root }

// canonicalPath gives each of OData's spellings of a path the one that the routes have: a key in parentheses becomes a
// segment of its own, users(externalId='4711') → users/(externalId='4711'); names count in any case; slashes at the
// end do not count. It works on the escaped path, so that a slash inside a key stays inside it. A parenthesis at the
// front of a key segment is escaped, so that a raw one always means the other spelling.
func canonicalPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route := chi.RouteContext(r.Context())
		escaped := r.URL.EscapedPath()
		if route.RoutePath == "" {
			route.RoutePath = escaped
		}
		root := strings.TrimSuffix(escaped, route.RoutePath)
		path, ok := canonical(route.RoutePath)
		if !ok {
			odata.WriteError(w, r, odata.Errorf(odata.InvalidRequest, "", "a key in the path is empty"))
			return
		}
		route.RoutePath = path
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), mountKey{}, mount{root, path})))
	})
}

// countSegment addresses the number of entities in a list.
const countSegment = "$count"

// refSegment is the segment that addresses a link rather than the entity behind it.
const refSegment = "$ref"

// canonical rewrites a path below the service root. It returns false for a path with an empty segment inside.
func canonical(path string) (string, bool) {
	segments := strings.Split(strings.TrimRight(strings.TrimPrefix(path, "/"), "/"), "/")
	var b strings.Builder
	isKey := false
	for i, segment := range segments {
		if segment == "" && len(segments) > 1 {
			return "", false
		}
		last := i == len(segments)-1
		switch {
		case last && i > 1 && isOperation(segment, refSegment):
			b.WriteString("/" + refSegment)
		case last && i > 0 && isOperation(segment, countSegment):
			b.WriteString("/" + countSegment)
		case isKey:
			b.WriteString("/" + escapeParenthesis(segment))
		default:
			name, predicate, parenthesised := strings.Cut(segment, "(")
			b.WriteString("/" + canonicalName(name))
			if parenthesised {
				b.WriteString("/(" + predicate)
				continue // The key was part of this segment; the next one is a name again.
			}
		}
		isKey = !isKey
	}
	return b.String(), true
}

// escapeParenthesis escapes a parenthesis at the front of a key segment.
func escapeParenthesis(segment string) string {
	if rest, ok := strings.CutPrefix(segment, "("); ok {
		return "%28" + rest
	}
	return segment
}

// isOperation reports whether a segment is the given one, which begins with a dollar sign; some clients escape that.
func isOperation(segment, operation string) bool {
	return segment == operation || strings.EqualFold(segment, "%24"+operation[1:])
}

// canonicalName returns the spelling of an entity set's or navigation property's name that the routes have.
func canonicalName(name string) string {
	for _, set := range education.EntitySets {
		if strings.EqualFold(set.Name, name) {
			return set.Name
		}
	}
	for _, nav := range education.Navigations {
		if strings.EqualFold(nav.Name, name) {
			return nav.Name
		}
	}
	return name
}

// keyOf returns the key of the set's entity in the request's path.
func keyOf(r *http.Request, set *education.EntitySet) (education.Key, error) {
	key, err := odata.ParseKey(chi.URLParam(r, set.Singular))
	if err != nil {
		return education.Key{}, err
	}
	return set.Key(key)
}

// notFound answers a path that is no route.
func notFound(_ http.ResponseWriter, r *http.Request) error {
	segments := strings.Split(strings.Trim(chi.RouteContext(r.Context()).RoutePath, "/"), "/")
	switch nav := linkOf(segments); {
	case nav == nil:
		return odata.Errorf(odata.ItemNotFound, "", "there is nothing at this path")
	case r.Method == http.MethodGet:
		return odata.Errorf(odata.NotAllowed, "", "an entity is read at a path of its own, %s/{%s}", nav.Target.Name, nav.Target.Singular)
	case nav.Ref:
		return odata.Errorf(odata.NotAllowed, "",
			"nothing was changed: to remove the link, append /$ref to the path; in a shell, quote it so that $ref is not expanded")
	default:
		other := nav.Inverse()
		return odata.Errorf(odata.NotAllowed, "",
			"nothing was changed: the link is written from its other end, %s/{%s}/%s/$ref", other.Owner.Name, other.Owner.Singular, other.Name)
	}
}

// linkOf returns the navigation property through which segments address an entity, as in classes/5a/members/max, or nil.
// On Graph itself a DELETE there deletes the user, and scripts arrive there when a shell expands "$ref" to nothing.
func linkOf(segments []string) *education.Navigation {
	if len(segments) != 4 && (len(segments) != 5 || segments[4] != refSegment) {
		return nil
	}
	for _, nav := range education.Navigations {
		if nav.Owner.Name == segments[0] && nav.Name == segments[2] {
			return nav
		}
	}
	return nil
}

// methods are those that a route can have.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete}

// methodNotAllowed answers a method that the path does not have, with those that it has.
func methodNotAllowed(routes chi.Routes) handler {
	return func(_ http.ResponseWriter, r *http.Request) error {
		refused := odata.Errorf(odata.NotAllowed, "", "the method %s is not allowed here", odata.Printable(r.Method))
		for _, method := range methods {
			if routes.Match(chi.NewRouteContext(), method, chi.RouteContext(r.Context()).RoutePath) {
				refused.Allow = append(refused.Allow, method)
			}
		}
		return refused
	}
}
