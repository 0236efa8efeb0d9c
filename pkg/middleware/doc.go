// Package middleware holds what happens to every request around its handler: identification, telemetry, the access
// log, deadlines, recovery from panics, authentication, and limits.
//
// Each function is a plain func(http.Handler) http.Handler, or makes one. They are meant for the root router, in the
// order in which Chain puts them, because some rely on those before them: the access log and Recover read the ids
// that RequestIDs sets, and a refusal by Authenticate is logged and traced like any other answer. On a chi router they
// run before routing, so a request without a token learns nothing about which paths exist.
//
// Nothing here logs or records a path, a query, a body or a header that may hold a secret. A path names people; what
// stands in logs, spans and metrics is the pattern of the route.
package middleware
