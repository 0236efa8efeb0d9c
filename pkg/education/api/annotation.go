package api

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencloud-eu/education/pkg/education"
	"github.com/opencloud-eu/education/pkg/odata"
)

// Names of control information in entities (OData JSON format 4.0, section 4.5).
const (
	annotationContext         = "@odata.context"
	annotationType            = "@odata.type"
	annotationID              = "@odata.id"
	annotationETag            = "@odata.etag"
	annotationEditLink        = "@odata.editLink"
	annotationNavigationLink  = "@odata.navigationLink"
	annotationAssociationLink = "@odata.associationLink"
)

// mediaParameter is the parameter of application/json that says how much control information a response holds (OData
// JSON format 4.0, section 3.1).
const mediaParameter = "odata.metadata"

// metadataLevel returns how much control information a request wants: what $format says, or else the Accept header, or
// else as much as a client needs that knows the model. OpenCloud's graph service sends none.
func (a *API) metadataLevel(r *http.Request, query *odata.Query) (odata.Metadata, error) {
	if a.rules.Compatible {
		return odata.MetadataNone, nil
	}
	if query != nil && query.Metadata != "" {
		return query.Metadata, nil
	}
	level, best := odata.MetadataMinimal, 0.0
	for part := range elements(r, "Accept") {
		name, parameters, err := mime.ParseMediaType(part)
		weight := weightOf(parameters)
		if err != nil || name != mediaJSON || weight == 0 {
			continue
		}
		wanted, ok := odata.MetadataMinimal, true
		if text, given := parameters[mediaParameter]; given {
			wanted, ok = odata.ParseMetadata(text)
		}
		if !ok {
			return "", odata.Errorf(odata.InvalidRequest, "Accept", "%s must be none, minimal or full", mediaParameter)
		}
		if weight > best {
			level, best = wanted, weight
		}
	}
	return level, nil
}

// weightOf returns the weight of a media range with the given parameters (RFC 9110, section 12.4.2).
func weightOf(parameters map[string]string) float64 {
	q, ok := parameters["q"]
	if !ok {
		return 1
	}
	weight, _ := strconv.ParseFloat(q, 64)
	return weight
}

// contentType returns the media type of a response with the given control information.
func (a *API) contentType(level odata.Metadata) string {
	if a.rules.Compatible {
		return mediaJSON
	}
	return mediaJSON + ";" + mediaParameter + "=" + string(level)
}

// linkFormat returns the $format of a link to the next page, or the empty string if the link needs none: what an Accept
// header has decided would be lost otherwise.
func (a *API) linkFormat(query *odata.Query, level odata.Metadata) string {
	if a.rules.Compatible || query.Metadata != "" || level == odata.MetadataMinimal {
		return ""
	}
	return a.contentType(level)
}

// appendAnnotations appends the control information of an entity that stands before its properties.
func (s *shape) appendAnnotations(buffer []byte, context string, entity *education.Entity) []byte {
	if s.level == odata.MetadataNone {
		return buffer
	}
	if context != "" {
		buffer = appendString(appendName(buffer, annotationContext), context)
	}
	if s.level == odata.MetadataFull {
		url := s.entityURL(entity)
		buffer = appendString(appendName(buffer, annotationType), "#"+csdlNamespace+"."+s.set.Type)
		buffer = appendString(appendName(buffer, annotationID), url)
		buffer = appendString(appendName(buffer, annotationEditLink), url)
	}
	if tag := entityTag(entity); tag != "" {
		buffer = appendString(appendName(buffer, annotationETag), tag)
	}
	return buffer
}

// appendType appends the type of a property's value if full control information is wanted and JSON does not tell it (OData
// JSON format 4.0, section 4.5.3).
func (s *shape) appendType(buffer []byte, property *education.Property) []byte {
	if s.level != odata.MetadataFull {
		return buffer
	}
	switch property.Type {
	case education.DateTime, education.Identities:
		name := strings.TrimPrefix(edmTypes[property.Type].String(), "Edm.")
		return appendString(appendName(buffer, property.Name+annotationType), "#"+name)
	default:
		return buffer
	}
}

// appendLinks appends the links to what the entity is linked to, if full control information is wanted (OData JSON format
// 4.0, section 4.5.8).
func (s *shape) appendLinks(buffer []byte, entity *education.Entity) []byte {
	if s.level != odata.MetadataFull {
		return buffer
	}
	for _, nav := range education.Navigations {
		if nav.Owner != s.set {
			continue
		}
		url := s.entityURL(entity) + "/" + nav.Name
		if nav.Ref {
			buffer = appendString(appendName(buffer, nav.Name+annotationAssociationLink), url+"/"+refSegment)
		}
		buffer = appendString(appendName(buffer, nav.Name+annotationNavigationLink), url)
	}
	return buffer
}

// entityURL returns the URL of an entity.
func (s *shape) entityURL(entity *education.Entity) string {
	return s.root + "/" + entity.Set.Name + "/" + entity.ID()
}
