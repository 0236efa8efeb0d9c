package api

import (
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"

	"github.com/opencloud-eu/education/pkg/odata"
)

// Media types of the metadata.
const (
	mediaJSON = "application/json"
	mediaXML  = "application/xml"
)

// Metadata returns the routes that say what the service is, to be mounted at <root>/v1.0 beside Routes: the service
// document, and $metadata.
func (a *API) Metadata() chi.Router {
	r := chi.NewRouter()
	r.Get("/", handle(nothing, a.serviceDocument))
	r.Get("/$metadata", handle(nothing, metadata))
	r.Get("/%24metadata", handle(nothing, metadata)) // Some clients escape the dollar sign.
	return r
}

// serviceDocument lists what a client can begin with (OData protocol, section 11.1.1).
func (a *API) serviceDocument(w http.ResponseWriter, r *http.Request) error {
	query, err := odata.ParseQuery(r.URL.RawQuery, odata.Resource{Options: []string{odata.OptionFormat}})
	if err != nil {
		return err
	}
	level, err := a.metadataLevel(r, query)
	if err != nil {
		return err
	}
	body := []byte("{")
	if level != odata.MetadataNone {
		body = appendName(body, annotationContext)
		body = appendString(body, serverURL(r)+strings.TrimRight(r.URL.EscapedPath(), "/")+"/$metadata")
	}
	body = appendJSON(appendName(body, "value"), []map[string]string{
		{"name": csdlSingleton, "kind": "Singleton", "url": csdlSingleton},
	})
	w.Header().Set("Content-Type", a.contentType(level))
	w.Header().Set("Vary", "Accept")
	_, _ = w.Write(append(body, "}\n"...))
	return nil
}

// metadataTexts are the model in each of its formats. The tables do not change, so neither does it.
var metadataTexts = sync.OnceValue(func() map[string][]byte {
	schema := csdlSchema()
	texts := map[string][]byte{}
	for media, encode := range map[string]func(*edmSchema) ([]byte, error){mediaXML: csdlXML, mediaJSON: csdlJSON} {
		text, err := encode(schema)
		if err != nil {
			panic(fmt.Sprintf("api: metadata: %v", err))
		}
		texts[media] = text
	}
	return texts
})

// metadata serves the model: XML, which every client of OData reads, or JSON when the client asks for it.
func metadata(w http.ResponseWriter, r *http.Request) error {
	media, err := metadataFormat(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Vary", "Accept")
	_, _ = w.Write(metadataTexts()[media])
	return nil
}

// formatXML is a query part that asks for XML in the one encoding there is, and for nothing else. No other resource has
// that format.
var formatXML = regexp.MustCompile(`^(?i:(\$|%24)format=(application(/|%2F))?xml((;|%3B)charset=utf-8)?)$`)

// metadataFormat returns the media type that a request for the metadata wants. $format counts before the Accept header
// (OData protocol, section 11.2.10).
func metadataFormat(r *http.Request) (string, error) {
	query := r.URL.RawQuery
	if formatXML.MatchString(query) {
		return mediaXML, nil
	}
	if _, err := odata.ParseQuery(query, odata.Resource{Options: []string{odata.OptionFormat}}); err != nil {
		return "", err
	}
	if strings.Trim(query, "&") != "" {
		return mediaJSON, nil // The one option there is has the one value that is left.
	}
	if quality(r, mediaJSON) > quality(r, mediaXML) {
		return mediaJSON, nil
	}
	return mediaXML, nil
}

// quality returns how much the Accept header wants a media type that it names (RFC 9110, section 12.5.1), or 0. Ranges
// such as */* name none.
func quality(r *http.Request, media string) float64 {
	best := 0.0
	for part := range elements(r, "Accept") {
		name, parameters, err := mime.ParseMediaType(part)
		if err != nil || name != media {
			continue
		}
		best = max(best, weightOf(parameters))
	}
	return best
}
