// Package odata is OData 4.0 as this service speaks it: it turns the query options of a request into a checked Query,
// keys and references into a Key, and every failure into the one error document that clients see.
//
// It knows no entity set. What exists and what may be asked of it comes from the caller as a Resource, so a name that
// leaves this package has been proven to exist.
package odata
