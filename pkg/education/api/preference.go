package api

import (
	"net/http"
	"strings"

	"github.com/opencloud-eu/education/pkg/access"
)

// Preferences that requests may state (RFC 7240).
const (
	// preferPageSize is the preference for a page's size (OData protocol, section 8.2.8.7).
	preferPageSize = "odata.maxpagesize"
	// preferReturn is the preference for what a write answers (RFC 7240, section 4.2).
	preferReturn = "return"

	returnMinimal        = "minimal"
	returnRepresentation = "representation"
)

// preference returns the value of a preference in the Prefer header fields (RFC 7240). Names count in any case,
// and of several with one name the first (section 2).
func preference(r *http.Request, name string) (string, bool) {
	for element := range elements(r, "Prefer") {
		element, _, _ = cutUnquoted(element, ';')
		key, value, _ := strings.Cut(element, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return unquoted(strings.TrimSpace(value)), true
		}
	}
	return "", false
}

// applied says that a preference was honoured (RFC 7240, section 3).
func applied(w http.ResponseWriter, name, value string) {
	w.Header().Add("Preference-Applied", name+"="+value)
}

// statusOfWrite returns the status of a successful write: the one it has by itself, unless the client prefers to get the
// entity or not to get it. A preference that is neither is one that the service does not honour (RFC 7240, section 2). A
// credential that may not read never gets the entity, or a change of nothing would read it.
func statusOfWrite(w http.ResponseWriter, r *http.Request, status int) int {
	if credential, ok := access.Of(r.Context()); !ok || !credential.Verbs.Include(access.Read) {
		return http.StatusNoContent
	}
	switch wanted, _ := preference(r, preferReturn); wanted {
	case returnMinimal:
		applied(w, preferReturn, wanted)
		return http.StatusNoContent
	case returnRepresentation:
		applied(w, preferReturn, wanted)
		if status == http.StatusNoContent {
			return http.StatusOK
		}
	}
	return status
}
