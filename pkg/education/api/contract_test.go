package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	"github.com/opencloud-eu/education/pkg/education/api"
)

// everywhere are the statuses that any route may answer with: the token is not valid or does not permit it, there are too many
// requests, or something is out of order.
var everywhere = []int{401, 403, 429, 500, 503, 504}

// TestRoutesAreInContract holds that every route is an operation of api/openapi.yaml and every operation a route, and that
// none lacks a status that any may answer with.
func TestRoutesAreInContract(t *testing.T) {
	t.Parallel()
	const base = "/education"
	var routes []string
	err := chi.Walk(api.New(api.Config{}).Routes(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes = append(routes, method+" "+base+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapi3.NewLoader().LoadFromFile("../../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var operations []string
	for path, item := range document.Paths.Map() {
		if !strings.HasPrefix(path, base) {
			continue
		}
		for method, operation := range item.Operations() {
			operations = append(operations, method+" "+path)
			for _, status := range everywhere {
				if operation.Responses.Status(status) == nil {
					t.Errorf("%s %s does not name the status %d", method, path, status)
				}
			}
		}
	}
	for _, route := range routes {
		if !slices.Contains(operations, route) {
			t.Errorf("the route %s is no operation of the document", route)
		}
	}
	for _, operation := range operations {
		if !slices.Contains(routes, operation) {
			t.Errorf("the operation %s is no route", operation)
		}
	}
}
