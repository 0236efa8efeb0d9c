// Package acceptance drives the built binary from outside: over HTTP as a provisioning system does, over LDAP as
// OpenCloud does, and with signals as an operator does. It imports nothing of the service's packages.
//
// Every exchange of the client in this package is checked against api/openapi.yaml, and a run of the whole suite fails
// if it leaves an operation of that document unused.
package acceptance
