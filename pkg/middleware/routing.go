package middleware

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/opencloud-eu/education/pkg/odata"
)

// EscapedPath makes a chi router match the path as it was sent, so that a slash inside a key (%2F) stays inside it
// and each key is decoded exactly once, by who reads it. Left to itself, chi matches the decoded path for some
// requests and the escaped one for others, and a handler cannot tell which it has been given.
func EscapedPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chi.RouteContext(r.Context()).RoutePath = r.URL.EscapedPath()
		next.ServeHTTP(w, r)
	})
}

// NotFound answers a request for a path that does not exist.
func NotFound(w http.ResponseWriter, r *http.Request) {
	odata.WriteError(w, r, odata.Errorf(odata.ItemNotFound, "", "there is nothing at this path"))
}

// MethodNotAllowed answers a request with a method that its path does not have, and names those it has. routes is
// the router that serves the request; it is asked because chi keeps its own answer to itself.
func MethodNotAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		failure := odata.Errorf(odata.NotAllowed, "", "the method is not allowed for this path")
		for _, method := range []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		} {
			if routes.Match(chi.NewRouteContext(), method, r.URL.EscapedPath()) {
				failure.Allow = append(failure.Allow, method)
			}
		}
		odata.WriteError(w, r, failure)
	}
}
