package identity

import (
	"context"
	"errors"

	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// resultErrors maps the results of LDAP operations to the errors of the API, wherever the operation at hand has not given a
// result a meaning of its own. A result that is not listed is a 500: it is a fault of this service or of the
// directory's set-up, never of the request.
var resultErrors = map[wire.ResultCode]struct {
	code    odata.Code
	message string
}{
	wire.ResultNoSuchObject:           {odata.ItemNotFound, "no such entity"},
	wire.ResultEntryAlreadyExists:     {odata.NameAlreadyExists, "an entity with this id or name exists already"},
	wire.ResultConstraintViolation:    {odata.InvalidRequest, "the directory refuses one of the values"},
	wire.ResultInvalidAttributeSyntax: {odata.InvalidRequest, "the directory refuses the form of one of the values"},
	wire.ResultInvalidDNSyntax:        {odata.InvalidRequest, "the directory refuses the form of a name"},
	wire.ResultTimeLimitExceeded:      {odata.GatewayTimeout, "the directory did not answer in time; try again later"},
	wire.ResultSizeLimitExceeded:      {odata.ServiceNotAvailable, "the directory does not return so many entries at once"},
	wire.ResultAdminLimitExceeded:     {odata.ServiceNotAvailable, "the directory's limits do not permit this; try again later"},
	wire.ResultBusy:                   {odata.ServiceNotAvailable, "the directory is busy; try again later"},
	wire.ResultUnavailable:            {odata.ServiceNotAvailable, "the directory is not available; try again later"},
}

// translate turns an error of an operation into one for the client. Errors that are for the client already and the end
// of the request's own context pass.
func translate(err error) error {
	var known *odata.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, wire.ErrOutcomeUnknown):
		return odata.Errorf(odata.GatewayTimeout, "",
			"the directory did not confirm the change, which may or may not have been made; look before you repeat it").Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return odata.Errorf(odata.GatewayTimeout, "", "the directory did not answer in time; try again later").Because(err)
	}
	code, ok := wire.CodeOf(err)
	if !ok {
		return odata.Errorf(odata.ServiceNotAvailable, "", "the directory is not available; try again later").Because(err)
	}
	if row, ok := resultErrors[code]; ok {
		return odata.Errorf(row.code, "", "%s", row.message).Because(err)
	}
	return odata.Errorf(odata.GeneralException, "", "internal error").Because(err)
}

// hasCode reports whether err is one of the given LDAP results.
func hasCode(err error, codes ...wire.ResultCode) bool {
	got, ok := wire.CodeOf(err)
	if !ok {
		return false
	}
	for _, code := range codes {
		if got == code {
			return true
		}
	}
	return false
}
