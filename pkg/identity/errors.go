package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencloud-eu/education/pkg/identity/wire"
	"github.com/opencloud-eu/education/pkg/odata"
)

// resultErrors maps the results of LDAP operations to the errors of the API, wherever the operation at hand has not given a
// result a meaning of its own. A result that is not listed is a 500: it is a fault of this service or of the
// directory's set-up, never of the request. The report is for the log: what whoever runs the directory can do about it.
var resultErrors = map[wire.ResultCode]struct {
	code    odata.Code
	message string
	report  string
}{
	wire.ResultNoSuchObject:           {odata.ItemNotFound, "no such entity", ""},
	wire.ResultEntryAlreadyExists:     {odata.NameAlreadyExists, "an entity with this id or name exists already", ""},
	wire.ResultConstraintViolation:    {odata.InvalidRequest, "the directory refuses one of the values", ""},
	wire.ResultInvalidAttributeSyntax: {odata.InvalidRequest, "the directory refuses the form of one of the values", ""},
	wire.ResultInvalidDNSyntax:        {odata.InvalidRequest, "the directory refuses the form of a name", ""},
	wire.ResultTimeLimitExceeded: {
		odata.GatewayTimeout, "the directory did not answer in time; try again later",
		"the directory's time limit is too short for this, or an index is missing",
	},
	wire.ResultSizeLimitExceeded: {
		odata.ServiceNotAvailable, "the directory does not return so many entries at once",
		"the directory's size limit for the service's account is below the length of a list",
	},
	wire.ResultAdminLimitExceeded: {
		odata.ServiceNotAvailable, "the directory's limits do not permit this; try again later",
		"a limit of the directory for the service's account is too low, or an index is missing",
	},
	wire.ResultBusy: {
		odata.ServiceNotAvailable, "the directory is busy; try again later", "the directory is overloaded",
	},
	wire.ResultUnavailable: {
		odata.ServiceNotAvailable, "the directory is not available; try again later", "the directory is starting, stopping or cut off",
	},
	wire.ResultReferral: {
		odata.ServiceNotAvailable, "the directory is read-only at present; try again later",
		"the directory is a read-only replica, which refers writes to another server",
	},
	wire.ResultUnwillingToPerform: {
		odata.ServiceNotAvailable, "the directory does not accept changes at present; try again later",
		"the directory is read-only or out of disk space",
	},
	// MDB_MAP_FULL, when slapd's database has reached olcDbMaxSize, is one of these.
	wire.ResultOther: {
		odata.ServiceNotAvailable, "the directory failed; try again later",
		"the directory failed internally, as it does when its database or its disk is full",
	},
	wire.ResultInsufficientAccessRights: {
		odata.GeneralException, "the service has no right to do that in the directory", "the service's account lacks a right in the directory",
	},
	wire.ResultStrongerAuthRequired: {
		odata.GeneralException, "internal error", "the directory demands TLS or another way to authenticate",
	},
	wire.ResultConfidentialityRequired: {odata.GeneralException, "internal error", "the directory demands TLS"},
	wire.ResultObjectClassViolation: {
		odata.GeneralException, "internal error", "the directory's schema is not the one that comes with this service",
	},
	wire.ResultUndefinedAttributeType: {
		odata.GeneralException, "internal error", "the directory's schema is not the one that comes with this service",
	},
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
		if row.report != "" {
			err = fmt.Errorf("%s: %w", row.report, err)
		}
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
